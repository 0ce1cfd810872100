//! The sides of a pair say something else.

use super::{Check, Rule};
use crate::{
    row::Reason,
    sample::{Content, Message},
};

/// Nothing of such a pair can be mended.
pub(super) const RULE: Rule = Rule {
    name: "alike_sides",
    about: "the sides of a pair differ in more than case and white space",
    reason: Reason::BrokenRule,
    detail: "`alike_sides`: the sides of the pair differ in case and white space alone",
    default: Some(super::Mode::Warn),
    check: Check::Sides(count),
};

/// How many sides say what the one before says.
fn count(ranked: &[Vec<Message<'_>>]) -> u32 {
    ranked.windows(2).filter(|sides| are_alike(&sides[0], &sides[1])).count() as u32
}

fn are_alike(one: &[Message<'_>], other: &[Message<'_>]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            let says_the_same = match (&one.content, &other.content) {
                (Content::Text(one), Content::Text(other)) => folded(one).eq(folded(other)),
                (one, other) => one == other,
            };
            says_the_same && one.role == other.role && one.extras == other.extras
        })
}

/// The characters of a text without case and white space.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}
