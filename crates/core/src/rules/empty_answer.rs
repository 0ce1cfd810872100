//! The last answer says something.

use super::{Check, Part, Rule};
use crate::{
    row::Reason,
    sample::{Message, Role},
};

/// Cannot be mended. An answer that calls tools says something.
pub(super) const RULE: Rule = Rule {
    name: "empty_answer",
    about: "the last answer says something or calls a tool; cannot be repaired",
    reason: Reason::EmptyOutput,
    detail: "the last answer is empty",
    default: Some(super::Mode::Reject),
    check: Check::Turns { count, mend: None },
};

fn count(messages: &[Message<'_>], part: Part) -> u32 {
    let is_empty = |last: &Message<'_>| last.role == Role::Assistant && last.is_empty() && !last.calls_tools();
    u32::from(part.is_end && messages.last().is_some_and(is_empty))
}
