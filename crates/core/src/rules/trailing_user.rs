//! A dialogue ends with an answer.

use super::{Check, Part, Rule};
use crate::{
    row::Reason,
    sample::{Message, Role},
};

/// Mends by cutting what stands behind the last answer.
pub(super) const RULE: Rule = Rule {
    name: "trailing_user",
    about: "the dialogue ends with a turn of the assistant; repaired by cutting what follows the last one",
    reason: Reason::NoFinalAssistantTurn,
    detail: "the dialogue does not end with a turn of the assistant; `rules: {trailing_user: repair}` cuts what follows the last one",
    default: Some(super::Mode::Reject),
    check: Check::Turns { count, mend: Some(mend) },
};

/// How many turns stand behind the last answer.
fn count(messages: &[Message<'_>], part: Part) -> u32 {
    let behind = messages.iter().rev().take_while(|message| message.role != Role::Assistant).count();
    if part.is_end { behind as u32 } else { 0 }
}

fn mend(messages: &mut Vec<Message<'_>>) {
    // Without any answer there is nothing to keep.
    if let Some(last) = messages.iter().rposition(|message| message.role == Role::Assistant) {
        messages.truncate(last + 1);
    }
}
