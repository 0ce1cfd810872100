//! Questions with what checks their answers, for reinforcement learning with verifiable rewards.

use std::borrow::Cow;

use super::{
    Converter, Doubt, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        keep::keep,
        spelling::{INPUT, Spellings},
    },
};
use crate::{
    row::{RawRow, Reject, Value},
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

/// What says how an answer is checked; one of these, or an answer, makes a row one of this format.
const CHECKS: [&str; 8] =
    ["reward_model", "test_cases", "tests", "verification_info", "test", "inputs", "outputs", "unit_tests"];

/// What goes with it: where a row is from and what it asks for, as verl writes it.
const BESIDE: [&str; 3] = ["data_source", "ability", "extra_info"];

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
        // Of several spellings of an answer the first is the answer: a solution beside it is kept as it is.
        let known = sample.columns.len();
        let is_used: Vec<bool> = row.uses().map(|(_, _, is_used)| is_used).collect();
        let goes_with = [SPELLINGS.spelled(Slot::Answer), &CHECKS, &BESIDE];
        for ((name, value), is_used) in row.fields.iter().zip(is_used) {
            let is_meant = goes_with.iter().any(|names| names.iter().any(|known| name.eq_ignore_ascii_case(known)));
            if is_meant && !is_used && *value != Value::Null && keep(&mut sample, known, Cow::Borrowed(name), value)? {
                row.get(name);
            }
        }
        Ok(sample.into())
    }
}

fn has_check(columns: &[&str]) -> bool {
    let answers = SPELLINGS.spelled(Slot::Answer);
    columns.iter().any(|column| answers.iter().chain(&CHECKS).any(|name| column.eq_ignore_ascii_case(name)))
}
