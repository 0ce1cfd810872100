//! Several answers to one prompt, ranked or scored.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    Converter, OptionSpec, Options,
    shared::{is_blank, spelling::Spellings},
};
use crate::{
    json,
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, Sample, SampleKind, Slot},
    survey::{Survey, Types},
};

/// Makes pairs of a prompt's answers, which stand in a list of objects with a rank or a score, or in a list of texts beside a
/// list of scores.
///
/// Answers that are worth the same make no pair.
#[derive(Debug)]
pub struct Rankings;

const PROMPT: Spellings = Spellings {
    names: &[
        (Slot::User, &["prompt", "instruction", "question", "query"]),
        (Slot::System, &["system", "system_prompt"]),
        (Slot::Messages, &["messages", "conversations"]),
    ],
    needs: &[&[Slot::User], &[Slot::Messages]],
};

/// Lists of answers.
const ANSWERS: [&str; 3] = ["completions", "answers", "responses"];
/// What the text of an answer is called.
const TEXTS: [&str; 6] = ["response", "answer", "text", "completion", "content", "output"];
/// What is higher the better an answer is.
const SCORES: [&str; 4] = ["overall_score", "score", "rating", "reward"];
/// Lists of scores beside a list of texts.
const SCORE_LISTS: [&str; 3] = ["scores", "ratings", "rewards"];

const PAIRS: OptionSpec = OptionSpec {
    name: "pairs",
    values: &["best_worst", "adjacent", "all"],
    help: "pair the best answer with the worst, each with the next, or each with all that are worse",
};

impl Converter for Rankings {
    fn name(&self) -> &'static str {
        "rankings"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Preference
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["prompt", "completions"], vec!["prompt", "answers"], vec!["prompt", "responses", "scores"]]
    }

    fn reads(&self, survey: &Survey) -> u32 {
        let is = |name: &str, types: Types| survey.column(name).is_some_and(|column| column.types.has(types));
        survey.count(|columns| {
            let has_scores = SCORE_LISTS.iter().any(|name| columns.contains(name));
            let is_ranked = |name: &&&str| {
                columns.contains(name) && (is(name, Types::OBJECTS) || has_scores && is(name, Types::STRINGS))
            };
            PROMPT.fit(columns) && ANSWERS.iter().any(|name| is_ranked(&name))
        })
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[PAIRS]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let is_there = |name: &&&str| !matches!(row.peek(name), None | Some(Value::Null));
        let Some(name) = ANSWERS.iter().find(is_there) else {
            return Err(Reject::new(Reason::MissingField, "no `completions`, `answers` or `responses`"));
        };
        let mut answers = answers(row, name)?;
        answers.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        let pairs: Vec<(usize, usize)> = match options.get(PAIRS.name).map(String::as_str) {
            Some("adjacent") => (1..answers.len()).map(|worse| (worse - 1, worse)).collect(),
            Some("all") => (0..answers.len())
                .flat_map(|better| (better + 1..answers.len()).map(move |worse| (better, worse)))
                .collect(),
            _ => answers.len().checked_sub(1).map(|worst| (0, worst)).into_iter().collect(),
        };
        let mut samples: Vec<Sample<'a>> = Vec::with_capacity(pairs.len());
        for (better, worse) in pairs {
            let (better, worse) = (&answers[better], &answers[worse]);
            if better.worth > worse.worth {
                let mut filled = PROMPT.fill(row, options)?;
                filled.fill(Slot::Chosen, name, Value::String(better.text.clone()));
                filled.fill(Slot::Rejected, name, Value::String(worse.text.clone()));
                samples.push(filled.sample(self.kind())?);
            }
        }
        if samples.is_empty() {
            let detail = format!("`{name}` has no two answers of which one is worth more");
            return Err(Reject::new(Reason::IdenticalPair, detail));
        }
        Ok(samples.into())
    }
}

/// An answer and what it is worth, the more the better.
struct Answer<'a> {
    text: Cow<'a, str>,
    worth: f64,
}

fn answers<'a>(row: &'a RawRow<'_>, name: &str) -> Result<Vec<Answer<'a>>, Reject> {
    let wrong = |what: String| Reject::new(Reason::WrongType, what);
    let list = |name: &str| -> Result<Vec<&'a RawValue>, Reject> {
        let list = match row.get(name) {
            Some(Value::Json(json) | Value::String(json)) => serde_json::from_str(json).ok(),
            _ => None,
        };
        list.ok_or_else(|| wrong(format!("`{name}` is not a list")))
    };
    let items = list(name)?;
    if items.iter().all(|item| item.get().starts_with('"')) {
        let Some(of) = SCORE_LISTS.iter().find(|name| row.peek(name).is_some()) else {
            return Err(Reject::new(Reason::MissingField, format!("no `scores` beside `{name}`")));
        };
        let scores = list(of)?;
        if scores.len() != items.len() {
            return Err(wrong(format!("`{name}` has {} answers and `{of}` {} scores", items.len(), scores.len())));
        }
        let answer = |(at, (text, score)): (usize, (&&'a RawValue, &&RawValue))| {
            let text = serde_json::from_str::<String>(text.get())
                .map_err(|_| wrong(format!("`{name}[{at}]` is not a string")))?;
            let worth = number(score.get()).ok_or_else(|| wrong(format!("`{of}[{at}]` is not a number")))?;
            Ok(Answer { text: text.into(), worth })
        };
        return items.iter().zip(&scores).enumerate().map(answer).collect();
    }
    let answer = |(at, item): (usize, &&'a RawValue)| {
        let fields = json::read(item.get()).map_err(|_| wrong(format!("`{name}[{at}]` is not an object")))?;
        let value = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| fields.iter().find(|(of, value)| of == key && *value != Value::Null))
                .map(|(_, value)| value)
        };
        let text = match value(&TEXTS) {
            Some(Value::String(text)) if !is_blank(text) => text.clone(),
            Some(Value::String(_)) => {
                return Err(Reject::new(Reason::EmptyLastAnswer, format!("`{name}[{at}]` is empty")));
            }
            _ => {
                return Err(wrong(format!(
                    "`{name}[{at}]` has no text in `response`, `answer`, `text`, `completion`, `content` or `output`"
                )));
            }
        };
        let of = |value: &Value<'_>| match value {
            Value::Number(text) | Value::String(text) => number(text),
            _ => None,
        };
        // The best is of rank 1, or of rank 0.
        let worth = value(&SCORES).and_then(of).or_else(|| value(&["rank"]).and_then(of).map(|rank| -rank));
        let worth = worth.ok_or_else(|| {
            wrong(format!("`{name}[{at}]` has no number in `rank`, `overall_score`, `score`, `rating` or `reward`"))
        })?;
        Ok(Answer { text, worth })
    };
    items.iter().enumerate().map(answer).collect()
}

/// A number, which may stand in a string.
fn number(text: &str) -> Option<f64> {
    text.trim().trim_matches('"').parse::<f64>().ok().filter(|number| number.is_finite())
}
