//! Solutions in steps that are judged one by one.

use super::shared::{
    beside::SYSTEM,
    spelling::{INPUT, Spellings, Tabled},
};
use crate::sample::{SampleKind, Slot};

/// Makes a stepwise sample of `prompt`, `completions` and `labels`.
///
/// `prompt` is a string or a list of messages, `completions` a list of strings, `labels` a list of as many booleans or
/// numbers.
pub static STEPWISE: Tabled = Tabled {
    name: "stepwise",
    version: 7,
    kind: SampleKind::Stepwise,
    spellings: Spellings {
        names: &[
            (Slot::User, &["prompt", "question", "problem", "instruction", "query"]),
            (Slot::Completions, &["completions", "steps"]),
            (Slot::Labels, &["labels", "step_labels"]),
            (Slot::Input, INPUT),
            (Slot::System, SYSTEM),
            (Slot::History, &["history"]),
        ],
        needs: &[&[Slot::User, Slot::Completions, Slot::Labels]],
    },
};
