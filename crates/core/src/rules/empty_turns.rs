//! No turn before the last says nothing.

use super::{Check, Part, Rule};
use crate::{row::Reason, sample::Message};

/// Mends by taking the turns out. A turn that calls tools says something.
pub(super) const RULE: Rule = Rule {
    name: "empty_turns",
    about: "no turn before the last is empty; repaired by removing it",
    reason: Reason::BrokenRule,
    detail: "`empty_turns`: a turn before the last says nothing",
    default: Some(super::Mode::Warn),
    check: Check::Turns { count, mend: Some(mend) },
};

fn is_empty(message: &Message<'_>) -> bool {
    message.is_empty() && !message.calls_tools()
}

fn count(messages: &[Message<'_>], part: Part) -> u32 {
    // An empty answer at the end is another rule's.
    let end = if part.is_end { messages.len().saturating_sub(1) } else { messages.len() };
    messages[..end].iter().filter(|message| is_empty(message)).count() as u32
}

fn mend(messages: &mut Vec<Message<'_>>) {
    let last = messages.len().saturating_sub(1);
    let mut at = 0;
    messages.retain(|message| {
        at += 1;
        at > last || !is_empty(message)
    });
}
