//! Answers that are labelled good or bad, one by one.

use super::{
    Converter, Options,
    shared::{pair::Diverge, spelling::Spellings},
};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind, Slot},
};

/// Makes a labelled dialogue of `prompt`, `completion` and `label`, or of `messages` and `label`, in any usual spelling.
///
/// `prompt` and `completion` are strings or lists of messages. A label is a boolean, 1 or 0, or one of these in a string.
#[derive(Debug)]
pub struct Labelled;

const SPELLINGS: Spellings = Spellings {
    names: &[
        (Slot::Label, &["label", "kto_tag"]),
        (Slot::Messages, &["messages", "conversations", "conversation"]),
        (Slot::User, &["prompt", "query", "question", "instruction", "problem", "input"]),
        (Slot::Input, &["input", "context"]),
        (Slot::Assistant, &["completion", "response", "output", "answer", "solution"]),
        (Slot::System, &["system", "system_prompt"]),
        (Slot::History, &["history"]),
        (Slot::Tools, &["tools"]),
        (Slot::Images, &["images"]),
        (Slot::Videos, &["videos"]),
        (Slot::Audios, &["audios"]),
    ],
    needs: &[&[Slot::Messages, Slot::Label], &[Slot::User, Slot::Assistant, Slot::Label]],
};

impl Converter for Labelled {
    fn name(&self) -> &'static str {
        "labelled"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Labelled
    }

    fn accepts(&self, columns: &[&str]) -> bool {
        SPELLINGS.fit(columns)
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, _: &Options) -> Result<Converted<'a>, Reject> {
        Ok(SPELLINGS.fill(row)?.sample(self.kind(), Diverge::Reject)?.into())
    }
}
