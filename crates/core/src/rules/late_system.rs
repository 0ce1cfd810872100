//! A dialogue has one system message, and begins with it.

use super::{Check, Part, Rule};
use crate::{
    row::Reason,
    sample::{Content, Message, Role},
};

/// Mends by putting the words of all system messages into the first, in order, with a blank line between them.
pub(super) const RULE: Rule = Rule {
    name: "late_system",
    about: "there is one system message at most, at the beginning; repaired by merging into it",
    reason: Reason::BrokenRule,
    detail: "`late_system`: a system message stands behind the first message",
    default: Some(super::Mode::Warn),
    check: Check::Turns { count, mend: Some(mend) },
};

fn is_system(message: &Message<'_>) -> bool {
    message.role == Role::System
}

fn count(messages: &[Message<'_>], part: Part) -> u32 {
    messages.iter().skip(usize::from(part.is_start)).filter(|message| is_system(message)).count() as u32
}

fn mend(messages: &mut Vec<Message<'_>>) {
    // What is more than text cannot be merged, and is left as it is.
    let is_plain = |message: &Message<'_>| matches!(message.content, Content::Text(_)) && message.extras.is_none();
    if !messages.iter().filter(|message| is_system(message)).all(is_plain) {
        return;
    }
    let words: Vec<&str> = messages.iter().filter(|message| is_system(message)).map(Message::text).collect();
    let merged = Message::new(Role::System, words.join("\n\n"));
    messages.retain(|message| !is_system(message));
    messages.insert(0, merged);
}
