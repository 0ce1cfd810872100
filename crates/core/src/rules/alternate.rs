//! User and assistant take turns.

use super::{Check, Part, Rule};
use crate::{
    row::Reason,
    sample::{Content, Message, Role},
};

/// Mends by joining what one says in a row, with a blank line between.
pub(super) const RULE: Rule = Rule {
    name: "alternate",
    about: "user and assistant take turns; repaired by joining consecutive turns with a blank line",
    reason: Reason::BrokenRule,
    detail: "`alternate`: two turns of the same role follow each other",
    default: Some(super::Mode::Warn),
    check: Check::Turns { count, mend: Some(mend) },
};

/// Whether two messages are two turns of one role; calls of tools may follow each other.
fn is_broken(a: &Message<'_>, b: &Message<'_>) -> bool {
    a.role == b.role && matches!(a.role, Role::User | Role::Assistant) && !a.calls_tools() && !b.calls_tools()
}

fn count(messages: &[Message<'_>], _: Part) -> u32 {
    messages.windows(2).filter(|pair| is_broken(&pair[0], &pair[1])).count() as u32
}

fn mend(messages: &mut Vec<Message<'_>>) {
    let mut mended: Vec<Message<'_>> = Vec::with_capacity(messages.len());
    for next in messages.drain(..) {
        // What is more than text cannot be joined, and is left as it is.
        let is_plain = |last: &Message<'_>| last.extras.is_none() && next.extras.is_none() && is_broken(last, &next);
        match (mended.last_mut().filter(|last| is_plain(last)).map(|last| &mut last.content), &next.content) {
            (Some(Content::Text(last)), Content::Text(said)) => {
                let joint = if last.is_empty() || said.is_empty() { "" } else { "\n\n" };
                let last = last.to_mut();
                last.push_str(joint);
                last.push_str(said);
            }
            _ => mended.push(next),
        }
    }
    *messages = mended;
}
