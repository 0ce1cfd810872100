//! Columns whose names say that they change what is trained on.
//!
//! A converter that does not use such a column would make another sample than the row means, so that row is rejected unless the
//! recipe keeps or ignores the column. Columns of other names are counted and named once.

use super::shared::beside::{SYSTEM, TOOLS};
use crate::{
    row::is_called,
    sample::SampleKind::{self, Conversation, Labelled, Preference, Prompt, Stepwise},
};

/// The kinds of which a model learns to speak.
const DIALOGUES: &[SampleKind] = &[Conversation, Labelled, Preference, Prompt, Stepwise];
const ANSWERS: &[SampleKind] = &[Conversation, Labelled];
const TRAINED: &[SampleKind] = &[Conversation, Labelled, Preference];

/// Names of columns, the kinds of samples that they change, and how.
const TABLE: &[(&[&str], &[SampleKind], &str)] = &[
    (SYSTEM, DIALOGUES, "holds the instructions before the dialogue"),
    (&["history"], DIALOGUES, "holds the turns before the last one"),
    (TOOLS, DIALOGUES, "holds the tools that the model may call"),
    (&["images", "image", "videos", "video", "audios", "audio"], DIALOGUES, "holds what the messages refer to"),
    (
        &[
            "reasoning",
            "reasoning_content",
            "reasoning_text",
            "reasoning_trace",
            "thinking",
            "thinking_content",
            "chain_of_thought",
            "complex_cot",
        ],
        ANSWERS,
        "holds the reasoning before the answer",
    ),
    (&["label", "kto_tag"], &[Conversation], "may say that an answer is bad"),
    (
        &["weight", "sample_weight", "loss_weight", "loss_scale", "loss_mask", "train", "loss"],
        TRAINED,
        "says how much a row is trained on",
    ),
];

/// Returns how a column of this name changes samples of `kind`; `None` if nothing is known of such columns.
pub(super) fn of(column: &str, kind: SampleKind) -> Option<&'static str> {
    let is_meant = |names: &[&str]| names.iter().any(|name| is_called(column, name));
    let row = TABLE.iter().find(|(names, kinds, _)| kinds.contains(&kind) && is_meant(names));
    row.map(|(_, _, how)| *how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_something_to_the_kinds_they_change() {
        assert!(of("System", Conversation).is_some() && of("tools", Prompt).is_some());
        assert!(of("label", Conversation).is_some() && of("label", Labelled).is_none(), "a label is what is learned");
        assert!(TABLE.iter().all(|(names, ..)| names.iter().all(|name| of(name, SampleKind::Text).is_none())));
        assert!(of("id", Conversation).is_none());
    }
}
