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
    let mut at = 1;
    while at < messages.len() {
        let (before, after) = messages.split_at_mut(at);
        let (last, next) = (&mut before[at - 1], &after[0]);
        // What is more than text cannot be joined, and is left as it is.
        let is_plain = last.extras.is_none() && next.extras.is_none() && is_broken(last, next);
        match (&mut last.content, &next.content) {
            (Content::Text(last), Content::Text(next)) if is_plain => {
                let joint = if last.is_empty() || next.is_empty() { "" } else { "\n\n" };
                *last = [&**last, joint, &**next].concat().into();
                messages.remove(at);
            }
            _ => at += 1,
        }
    }
}
