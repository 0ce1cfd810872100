//! The user says something.

use super::{Check, Part, Rule, assistant_first::first_words};
use crate::{row::Reason, sample::Message};

/// Cannot be mended.
pub(super) const RULE: Rule = Rule {
    name: "no_user",
    about: "the user says something; cannot be repaired",
    reason: Reason::EmptyPrompt,
    detail: "the user says nothing before the first answer",
    default: Some(super::Mode::Reject),
    check: Check::Turns { count, mend: None },
};

fn count(messages: &[Message<'_>], part: Part) -> u32 {
    u32::from(part.is_start && first_words(messages).is_none())
}
