//! Questions with what checks their answers, for reinforcement learning with verifiable rewards.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    Converter, Doubt, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        checks::{CHECKS, keep_checks},
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
/// An answer that is a string becomes the sample's, as does the one inside of a reward that is a rule and nothing else, as verl and
/// SkyRL write it. Any other, and what says how it is checked, is kept as a column.
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
                "label",
            ],
        ),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::Messages], &[Slot::User]],
};

/// The rewards that hold the answer.
const REWARDS: [&str; 2] = ["reward_model", "reward_spec"];

impl Converter for Rlvr {
    fn name(&self) -> &'static str {
        "rlvr"
    }

    fn version(&self) -> u32 {
        7
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
        let of_reward = || REWARDS.iter().find_map(|name| Some((*name, Cow::Owned(ruled(row, name)?))));
        if sample.answer.is_none()
            && let Some((name, answer)) = of_reward().or_else(|| blank(row))
        {
            row.get(name);
            sample.answer = Some(answer);
        }
        keep_checks(&mut sample, row, SPELLINGS.spelled(Slot::Answer))?;
        Ok(sample.into())
    }
}

/// Returns the answer of a row that has one alone, and one of white space: shapes write those, too.
fn blank<'a>(row: &'a RawRow<'_>) -> Option<(&'a str, Cow<'a, str>)> {
    let of = |name: &&str| row.spelled(name, |value| *value != Value::Null);
    match SPELLINGS.spelled(Slot::Answer).iter().filter_map(of).collect::<Vec<_>>()[..] {
        [(name, Value::String(text))] => Some((name, Cow::Borrowed(text))),
        _ => None,
    }
}

/// Returns the ground truth of a reward that is given by rule.
fn ruled(row: &RawRow<'_>, column: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reward {
        #[serde(alias = "method")]
        style: String,
        ground_truth: String,
    }
    let (_, value) = row.fields.iter().find(|(name, _)| name == column)?;
    let Value::Json(json) = value else { return None };
    let reward: Reward = serde_json::from_str(json).ok()?;
    (reward.style == "rule").then_some(reward.ground_truth)
}

fn has_check(columns: &[&str]) -> bool {
    let answers = SPELLINGS.spelled(Slot::Answer);
    columns.iter().any(|column| answers.iter().chain(CHECKS).any(|name| column.eq_ignore_ascii_case(name)))
}
