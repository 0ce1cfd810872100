//! Questions with what checks their answers, for reinforcement learning with verifiable rewards.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    Converter, Doubt, OptionSpec, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        checks::{CHECKS, keep_checks},
        final_answer::final_answer,
        spelling::{INPUT, Spellings},
    },
};
use crate::{
    row::{RawRow, Reject, Value, is_called},
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
                "gold_standard_solution",
                "target",
                "solution",
                "label",
            ],
        ),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::Messages], &[Slot::User]],
};

const FINAL: OptionSpec = OptionSpec {
    name: "answer",
    values: &["whole", "final"],
    help: "the whole answer, or the number after its last `####` without thousands commas, as scorers of GSM8K compare it",
};

/// The rewards that hold the answer.
const REWARDS: [&str; 2] = ["reward_model", "reward_spec"];

impl Converter for Rlvr {
    fn name(&self) -> &'static str {
        "rlvr"
    }

    fn version(&self) -> u32 {
        9
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

    fn options(&self) -> &'static [OptionSpec] {
        &[FINAL]
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
        if options.get(FINAL.name).is_some_and(|value| value == "final") {
            let last = |answer: Cow<'_, str>| final_answer(&answer).map(|last| Cow::Owned(last.into_owned()));
            sample.answer = sample.answer.map(last).transpose()?;
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
    columns.iter().any(|column| answers.iter().chain(CHECKS).any(|name| is_called(column, name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{row::Reason, sample::Samples};

    #[test]
    fn the_final_answer_is_what_scorers_compare() {
        let converted = |answer: &'static str, how: &str| {
            let fields = [("question", "How many?"), ("answer", answer)];
            let row = RawRow::new(fields.map(|(name, text)| (name.into(), Value::String(text.into()))).into());
            let options = Options::from([("answer".to_owned(), how.to_owned())]);
            let made = Rlvr.convert(&row, &options).map_err(|reject| reject.reason)?;
            let Samples::One(sample) = made.samples else { panic!("one sample") };
            Ok(sample.answer.map(Cow::into_owned))
        };
        let answer = "30 * 40 = <<30*40=1200>>1,200\n#### 1,200";
        assert_eq!(converted(answer, "final"), Ok(Some("1200".to_owned())));
        assert_eq!(converted(answer, "whole"), Ok(Some(answer.to_owned())));
        assert_eq!(converted("1200", "final"), Err(Reason::NoFinalAnswer));
    }
}
