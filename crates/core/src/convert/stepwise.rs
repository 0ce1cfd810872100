//! Solutions in steps that are judged one by one.

use super::{Converter, Doubt, Options, shared::spelling::Spellings};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind, Slot},
    survey::Survey,
};

/// Makes a stepwise sample of `prompt`, `completions` and `labels`.
///
/// `prompt` is a string or a list of messages, `completions` a list of strings, `labels` a list of as many booleans or
/// numbers.
#[derive(Debug)]
pub struct Stepwise;

const SPELLINGS: Spellings = Spellings {
    names: &[
        (Slot::User, &["prompt", "question", "problem", "instruction", "query"]),
        (Slot::Completions, &["completions", "steps"]),
        (Slot::Labels, &["labels", "step_labels"]),
        (Slot::System, &["system", "system_prompt"]),
        (Slot::History, &["history"]),
    ],
    needs: &[&[Slot::User, Slot::Completions, Slot::Labels]],
};

impl Converter for Stepwise {
    fn name(&self) -> &'static str {
        "stepwise"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Stepwise
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
