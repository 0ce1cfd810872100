//! Answers that are labelled good or bad, one by one.

use super::{Converter, Doubt, Options, shared::spelling::Spellings};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind, Slot},
    survey::Survey,
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
        (Slot::Tools, &["tools", "functions"]),
    ],
    needs: &[&[Slot::Messages, Slot::Label], &[Slot::User, Slot::Assistant, Slot::Label]],
};

impl Converter for Labelled {
    fn name(&self) -> &'static str {
        "labelled"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Labelled
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        SPELLINGS.wants()
    }

    fn reads(&self, survey: &Survey) -> u32 {
        SPELLINGS.reads(survey)
    }

    fn doubt(&self, survey: &Survey) -> Option<Doubt> {
        SPELLINGS.doubt(survey)
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        Ok(SPELLINGS.fill(row, options)?.sample(self.kind())?.into())
    }
}
