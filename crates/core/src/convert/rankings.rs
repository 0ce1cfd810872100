//! Several answers to one prompt, ranked or scored.

use serde_json::value::RawValue;

use super::{
    Converter, OptionSpec, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        is_blank,
        spelling::{INPUT, Spellings},
    },
};
use crate::{
    json::{self, Field},
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, Sample, SampleKind, Slot},
    survey::{Survey, Types},
};

/// Makes pairs of a prompt's answers, which stand in a list of objects with a rank or a score, or in a list of texts beside a
/// list of scores. An answer is a text or, as NeMo-RL has it, a list of messages.
///
/// Answers that are worth the same or say the same make no pair, and empty ones are left out.
#[derive(Debug)]
pub struct Rankings;

const PROMPT: Spellings = Spellings {
    names: &[
        (Slot::User, &["prompt", "question", "instruction", "query", "problem", "input"]),
        (Slot::Input, INPUT),
        (Slot::Messages, &["messages", "conversations"]),
        (Slot::System, SYSTEM),
        (Slot::History, &["history"]),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::User], &[Slot::Messages]],
};

/// NeMo-RL's prompt. Elsewhere a context is what a question is about.
const CONTEXT: Spellings =
    Spellings { names: &[(Slot::Messages, &["context"]), (Slot::Tools, TOOLS)], needs: &[&[Slot::Messages]] };

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
        8
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Preference
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![
            vec!["prompt", "completions"],
            vec!["prompt", "answers"],
            vec!["prompt", "responses", "scores"],
            vec!["context", "completions"],
        ]
    }

    fn reads(&self, survey: &Survey) -> u32 {
        let is = |name: &str, types: Types| survey.column(name).is_some_and(|column| column.types.has(types));
        survey.count(|columns| {
            let has_scores = SCORE_LISTS.iter().any(|name| columns.contains(name));
            let is_ranked = |name: &&&str| {
                columns.contains(name) && (is(name, Types::OBJECTS) || has_scores && is(name, Types::STRINGS))
            };
            let has_prompt =
                PROMPT.fit(columns) || CONTEXT.fit(columns) && is("context", Types::OBJECTS.or(Types::MESSAGES));
            has_prompt && ANSWERS.iter().any(|name| is_ranked(&name))
        })
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[PAIRS]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let Some(name) = row.column(&ANSWERS) else {
            return Err(Reject::new(Reason::MissingField, "no `completions`, `answers` or `responses`"));
        };
        let (mut answers, unused) = answers(row, name)?;
        answers.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        let pairs: Vec<(usize, usize)> = match options.get(PAIRS.name).map(String::as_str) {
            Some("adjacent") => (1..answers.len()).map(|worse| (worse - 1, worse)).collect(),
            Some("all") => (0..answers.len())
                .flat_map(|better| (better + 1..answers.len()).map(move |worse| (better, worse)))
                .collect(),
            _ => answers.len().checked_sub(1).map(|worst| (0, worst)).into_iter().collect(),
        };
        let columns: Vec<&str> =
            row.fields.iter().filter(|(_, value)| !value.is_nothing()).map(|(name, _)| &**name).collect();
        let prompt = if CONTEXT.fit(&columns) && !PROMPT.fit(&columns) { &CONTEXT } else { &PROMPT };
        let mut samples: Vec<Sample<'a>> = Vec::with_capacity(pairs.len());
        for (better, worse) in pairs {
            let (better, worse) = (&answers[better], &answers[worse]);
            if better.worth > worse.worth && better.said != worse.said {
                let mut filled = prompt.fill(row, options)?;
                filled.fill(Slot::Chosen, name, better.said.clone());
                filled.fill(Slot::Rejected, name, worse.said.clone());
                samples.push(filled.sample(self.kind())?);
            }
        }
        if samples.is_empty() {
            let detail = format!("`{name}` has no two answers of which one is worth more");
            return Err(Reject::new(Reason::IdenticalPair, detail));
        }
        Ok(Converted { unused, ..samples.into() })
    }
}

/// An answer and what it is worth, the more the better.
struct Answer<'a> {
    /// A text, or a list of messages.
    said: Value<'a>,
    worth: f64,
}

/// Returns the answers that say something, and the keys of theirs that nothing is made of, as `answers[].model`.
fn answers<'a>(row: &'a RawRow<'_>, name: &str) -> Result<(Vec<Answer<'a>>, Vec<String>), Reject> {
    let wrong = |what: String| Reject::new(Reason::WrongType, what);
    let list = |name: &str| -> Result<Vec<&'a RawValue>, Reject> {
        let list = match row.get(name) {
            Some(Value::Json(json) | Value::String(json)) => serde_json::from_str(json).ok(),
            _ => None,
        };
        list.ok_or_else(|| wrong(format!("`{name}` is not a list")))
    };
    let items = list(name)?;
    let (mut answers, mut unused) = (Vec::with_capacity(items.len()), Vec::new());
    if items.iter().all(|item| item.get().starts_with('"')) {
        let Some(of) = row.column(&SCORE_LISTS) else {
            return Err(Reject::new(Reason::MissingField, format!("no `scores` beside `{name}`")));
        };
        let scores = list(of)?;
        if scores.len() != items.len() {
            return Err(wrong(format!("`{name}` has {} answers and `{of}` {} scores", items.len(), scores.len())));
        }
        for (at, (text, score)) in items.iter().zip(&scores).enumerate() {
            let text = serde_json::from_str::<String>(text.get())
                .map_err(|_| wrong(format!("`{name}[{at}]` is not a string")))?;
            let worth = number(score.get()).ok_or_else(|| wrong(format!("`{of}[{at}]` is not a number")))?;
            answers.push(Answer { said: Value::String(text.into()), worth });
        }
    } else {
        let mut found = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            found.push(json::read(item.get()).map_err(|_| wrong(format!("`{name}[{at}]` is not an object")))?);
        }
        // Numbers of one scale alone can be compared: the first that all answers have. The best is of rank 1, or of rank 0.
        let scales = SCORES.iter().map(|key| (*key, 1.0)).chain([("rank", -1.0)]);
        let worths = |(key, sign): (&str, f64)| -> Option<Vec<f64>> {
            let worth = |fields: &Vec<Field<'a>>| match value(fields, &[key])? {
                (_, Value::Number(text) | Value::String(text)) => number(text).map(|number| sign * number),
                _ => None,
            };
            found.iter().map(worth).collect()
        };
        let worths = scales.into_iter().find_map(worths).ok_or_else(|| {
            wrong(format!("the answers in `{name}` have no number in common: `rank`, `overall_score`, `score`, `rating` or `reward`"))
        })?;
        for (at, (fields, worth)) in found.iter().zip(worths).enumerate() {
            let Some((used, said @ (Value::String(_) | Value::Json(_)))) = value(fields, &TEXTS) else {
                return Err(wrong(format!(
                    "`{name}[{at}]` has no text in `response`, `answer`, `text`, `completion`, `content` or `output`"
                )));
            };
            for (key, value) in fields {
                let is_read = **key == *used || SCORES.contains(&&**key) || key == "rank" || value.is_nothing();
                let key = format!("{name}[].{key}");
                if !is_read && !unused.contains(&key) {
                    unused.push(key);
                }
            }
            answers.push(Answer { said: said.clone(), worth });
        }
    }
    answers.retain(|answer: &Answer<'_>| !matches!(&answer.said, Value::String(text) if is_blank(text)));
    Ok((answers, unused))
}

/// Returns the first of these keys that an object has, with its value.
fn value<'f, 'a>(fields: &'f [Field<'a>], keys: &[&str]) -> Option<(&'f str, &'f Value<'a>)> {
    let of = |key: &&str| fields.iter().find(|(name, value)| name == key && *value != Value::Null);
    keys.iter().find_map(of).map(|(name, value)| (&**name, value))
}

/// A number, which may stand in a string.
fn number(text: &str) -> Option<f64> {
    text.trim().trim_matches('"').parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{convert::Tally, shape};

    fn made(row: &str) -> Result<String, String> {
        let (row, mut tally) = (json::row(row).unwrap(), Tally::default());
        let options = Options::new();
        let converted = crate::convert::convert(&Rankings, &row, &options, &mut tally)
            .map_err(|reject| format!("{}: {}", reject.reason.code(), reject.detail))?;
        let rows = converted.samples.as_slice().iter();
        let rows: Vec<String> = rows.map(|sample| shape::row_of(shape::DEFAULT, sample, "s").unwrap()).collect();
        let unused: Vec<String> = tally.unused.into_iter().map(|(name, _)| name).collect();
        Ok([rows, unused].concat().join(" "))
    }

    #[test]
    fn numbers_of_one_scale_are_compared() {
        let row = r#"{"prompt":"q","answers":[{"text":"best","rank":1},{"text":"worst","score":0.1,"rank":3}]}"#;
        let made = made(row).unwrap();
        assert!(made.find("best") < made.find("worst"), "{made}");
        let none = r#"{"prompt":"q","answers":[{"text":"a","rank":1},{"text":"b","score":2}]}"#;
        assert!(
            self::made(none).unwrap_err().starts_with("wrong_type: the answers in `answers` have no number in common")
        );
    }

    #[test]
    fn the_prompt_has_all_that_belongs_to_it() {
        let row = r#"{"system":"S","history":[["x","y"]],"instruction":"Summarise","input":"THE TEXT","tools":[{"name":"f"}],"completions":[{"response":"a","score":2},{"response":"b","score":1}]}"#;
        let made = made(row).unwrap();
        for part in
            [r#""content":"S""#, r#""content":"y""#, r#""content":"Summarise\nTHE TEXT""#, r#""tools":[{"name":"f"}]"#]
        {
            assert!(made.contains(part), "{part}: {made}");
        }
    }

    #[test]
    fn answers_may_be_lists_of_messages() {
        let row = |more: &str| {
            format!(
                r#"{{"context":[{{"role":"system","content":"S"}},{{"role":"user","content":"q"}}],"completions":[{{"rank":1,"completion":[{{"role":"assistant","content":"worst"{more}}}]}},{{"rank":0,"completion":[{{"role":"assistant","content":"best"}}]}}]}}"#
            )
        };
        let made = self::made(&row(r#","reasoning_content":"r""#)).unwrap();
        for part in [r#""content":"S""#, r#""content":"q""#, r#""reasoning_content":"r""#] {
            assert!(made.contains(part), "{part}: {made}");
        }
        assert!(made.find("best") < made.find("worst"), "{made}");
        let text = r#"{"context":"q","completions":[{"rank":0,"completion":"a"},{"rank":1,"completion":"b"}]}"#;
        assert_eq!(self::made(text).unwrap_err(), "wrong_type: `context` is not a list of messages");
        let beside = text.replace(r#"{"context":"q""#, r#"{"context":"text","question":"q""#);
        assert!(
            self::made(&beside).unwrap().contains(r#""content":"q\ntext""#),
            "a context is what a question is about"
        );
    }

    #[test]
    fn keys_of_answers_are_named_or_refused() {
        let row = |key: &str| {
            format!(
                r#"{{"prompt":"q","answers":[{{"text":"a","rank":1,"{key}":"x"}},{{"text":"b","rank":2,"{key}":"y"}}]}}"#
            )
        };
        assert!(made(&row("rationale")).unwrap().ends_with(" answers[].rationale"));
        let refused = made(&row("system")).unwrap_err();
        assert!(refused.starts_with("unused_column: `answers[].system` holds the instructions"), "{refused}");
    }

    #[test]
    fn one_bad_answer_costs_no_other() {
        let answers = r#"[{"text":"a","rank":1},{"text":" ","rank":4},{"text":"a","rank":2},{"text":"b","rank":3}]"#;
        let made = made(&format!(r#"{{"prompt":"q","answers":{answers}}}"#)).unwrap();
        assert!(made.contains(r#""content":"b""#), "{made}");
        let same = r#"{"prompt":"q","answers":[{"text":"a","rank":1},{"text":"a","rank":2}]}"#;
        assert!(self::made(same).unwrap_err().starts_with("identical_pair"));
    }
}
