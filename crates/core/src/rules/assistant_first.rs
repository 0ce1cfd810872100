//! The user speaks before the assistant does.

use super::{Check, Part, Rule};
use crate::{
    row::Reason,
    sample::{Message, Role},
};

/// Mends by taking out what stands before the user's first words, but for system messages.
pub(super) const RULE: Rule = Rule {
    name: "assistant_first",
    about: "the user says something before the assistant does; repaired by removing what the assistant says before",
    reason: Reason::EmptyPrompt,
    detail: "the user says nothing before the first answer; `rules: {assistant_first: repair}` removes it, `warn` keeps it",
    default: Some(super::Mode::Reject),
    check: Check::Turns { count, mend: Some(mend) },
};

/// Returns where the user first says something.
pub(super) fn first_words(messages: &[Message<'_>]) -> Option<usize> {
    messages.iter().position(|message| message.role == Role::User && !message.is_empty())
}

fn count(messages: &[Message<'_>], part: Part) -> u32 {
    let first_answer = messages.iter().position(|message| message.role == Role::Assistant);
    match (first_answer, first_words(messages)) {
        (Some(answer), Some(words)) if part.is_start => u32::from(answer < words),
        _ => 0,
    }
}

fn mend(messages: &mut Vec<Message<'_>>) {
    let Some(words) = first_words(messages) else { return };
    let mut at = 0;
    messages.retain(|message| {
        at += 1;
        at > words || matches!(message.role, Role::System | Role::Developer)
    });
}
