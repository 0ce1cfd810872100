//! Questions with what checks their answers, for reinforcement learning with verifiable rewards.

use super::{
    Converter, Doubt, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        checks::{CHECKS, keep_checks},
        spelling::{INPUT, Spellings},
    },
};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind, Slot},
    survey::Survey,
};

/// Makes a prompt of a question or of messages, with the answer and all else that a reward needs beside it.
///
/// An answer that is a string becomes the sample's; any other, and what says how it is checked, is kept as a column.
#[derive(Debug)]
pub struct Rlvr;

const SPELLINGS: Spellings = Spellings {
    names: &[
        (Slot::Messages, &["messages", "conversations"]),
        (Slot::User, &["prompt", "instruction", "question", "query", "problem", "input"]),
        (Slot::Input, INPUT),
        (Slot::System, SYSTEM),
        (Slot::History, &["history"]),
        (
            Slot::Answer,
            &[
                "answer",
                "ground_truth",
                "final_answer",
                "expected_answer",
                "reference_answer",
                "gold",
                "target",
                "solution",
            ],
        ),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::Messages], &[Slot::User]],
};

impl Converter for Rlvr {
    fn name(&self) -> &'static str {
        "rlvr"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Prompt
    }

    fn rank(&self) -> u8 {
        2
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["prompt", "answer"], vec!["messages", "ground_truth"], vec!["prompt", "reward_model"]]
    }

    fn reads(&self, survey: &Survey) -> u32 {
        survey.count(|columns| SPELLINGS.fit(columns) && has_check(columns))
    }

    fn doubt(&self, survey: &Survey) -> Option<Doubt> {
        SPELLINGS.doubt(survey)
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let mut sample = SPELLINGS.fill(row, options)?.sample(self.kind())?;
        keep_checks(&mut sample, row, SPELLINGS.spelled(Slot::Answer))?;
        Ok(sample.into())
    }
}

fn has_check(columns: &[&str]) -> bool {
    let answers = SPELLINGS.spelled(Slot::Answer);
    columns.iter().any(|column| answers.iter().chain(CHECKS).any(|name| column.eq_ignore_ascii_case(name)))
}
