//! Answers that are labelled good or bad, one by one.

use super::shared::{
    beside::{SYSTEM, TOOLS},
    spelling::{INPUT, REASONING, Spellings, Tabled},
};
use crate::sample::{SampleKind, Slot};

/// Makes a labelled dialogue of `prompt`, `completion` and `label`, or of `messages` and `label`, in any usual spelling.
///
/// `prompt` and `completion` are strings or lists of messages. A label is a boolean, 1 or 0, or one of these in a string.
pub static LABELLED: Tabled = Tabled {
    name: "labelled",
    version: 8,
    kind: SampleKind::Labelled,
    spellings: Spellings {
        names: &[
            (Slot::Label, &["label", "kto_tag"]),
            (Slot::Messages, &["messages", "conversations", "conversation"]),
            (Slot::User, &["prompt", "query", "question", "instruction", "problem", "input"]),
            (Slot::Input, INPUT),
            (Slot::Assistant, &["completion", "response", "output", "answer", "solution"]),
            (Slot::Reasoning, REASONING),
            (Slot::System, SYSTEM),
            (Slot::History, &["history"]),
            (Slot::Tools, TOOLS),
        ],
        needs: &[&[Slot::Messages, Slot::Label], &[Slot::User, Slot::Assistant, Slot::Label]],
    },
};
