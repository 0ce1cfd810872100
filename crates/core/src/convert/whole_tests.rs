//! Whatever columns stand beside those that a converter reads, and whatever is in them: it is in the sample, or named, or the row
//! is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    Converter, Options, Tally, all, convert,
    shared::spelling::{ANSWER, INPUT, QUESTION, REASONING},
};
use crate::{config::Keep, json, row::Reject, sample::Slot};

/// Names that some converter knows, in the spellings of all, and some that none does.
fn names() -> Vec<String> {
    const MORE: &[&str] = &[
        "system_prompt",
        "system_message",
        "functions",
        "image",
        "video",
        "audio",
        "objects",
        "documents",
        "chat_template_kwargs",
        "parallel_tool_calls",
        "kto_tag",
        "weight",
        "loss_weight",
        "loss_scale",
        "train",
        "loss",
        "conversations",
        "conversation",
        "dialogue",
        "turns",
        "data",
        "transcript",
        "answers",
        "responses",
        "completions",
        "rejected_responses",
        "chosen_messages",
        "rejected_messages",
        "score_chosen",
        "score_rejected",
        "rank",
        "scores",
        "final_answer",
        "expected_answer",
        "ground_truth",
        "test_cases",
        "reward_model",
        "verification_info",
        "solution",
        "answer1",
        "answer2",
        "source",
        "id",
        "category",
        "dataset",
        "é",
        "System",
        "systemPrompt",
        "System Prompt",
        "sys",
        "sample_weight",
        "input_output",
        "rubrics",
        "Messages",
        "TOOLS",
        "Label",
        "messages_2",
    ];
    let slots = Slot::ALL.iter().map(|slot| slot.name());
    let tables = [QUESTION, ANSWER, INPUT, REASONING].into_iter().flatten().copied();
    let wanted = all().flat_map(|converter| converter.wants()).flatten();
    let names: BTreeSet<&str> = slots.chain(tables).chain(wanted).chain(MORE.iter().copied()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Values of a column in which `mark` stands once: what a source may hold, right or wrong.
fn values(mark: &str) -> Vec<String> {
    let messages = format!(r#"[{{"role":"user","content":"asks"}},{{"role":"assistant","content":"{mark}"}}]"#);
    let quoted = serde_json::to_string(&messages).unwrap();
    let number = mark.trim_start_matches('m');
    vec![
        format!(r#""{mark}""#),
        format!(r#""{mark} [] {{}} <noinput>\n""#),
        format!("{number}.250"),
        format!("[{number}.250]"),
        messages.clone(),
        quoted,
        format!(r#"[{{"from":"human","value":"{mark}"}}]"#),
        format!(r#"{{"role":"assistant","content":"{mark}"}}"#),
        format!(r#"{{"messages":{messages}}}"#),
        format!(r#"{{"messages":[{{"role":"user","content":"q"}}],"more":"{mark}"}}"#),
        format!(r#"["{mark}"]"#),
        format!(r#"["a","{mark}"]"#),
        format!(r#"[["q","{mark}"]]"#),
        format!(r#"{{"k":["{mark}"]}}"#),
        format!(r#"[{{"type":"function","function":{{"name":"{mark}"}}}}]"#),
        format!(r#"[{{"text":"a","rank":1}},{{"text":"{mark}","rank":2}}]"#),
        format!(r#"[{{"input":"q","output":"{mark}"}}]"#),
    ]
}

/// Values that hold nothing that could be lost.
const PLAIN: &[&str] = &["null", r#""""#, "[]", "{}", "true", "false", "1", "0"];

/// Rows of a converter's fixture, the unusable ones among them.
fn fixture(converter: &dyn Converter) -> Vec<String> {
    let path = format!("{}/../../tests/fixtures/formats/{}/input.jsonl", env!("CARGO_MANIFEST_DIR"), converter.name());
    #[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().filter(|line| json::row(line).is_ok()).map(str::to_owned).collect()
}

/// A column that is put into a row: its name, its value, and what of the value must be found again.
#[derive(Clone, Debug)]
struct Put {
    name: String,
    value: String,
    mark: Option<String>,
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let names = names();
    let many = values("m").len();
    let put = (prop::sample::select(names), 0..many + PLAIN.len());
    prop::collection::vec(put, 0..6).prop_map(move |puts| {
        let put = |(at, (name, value)): (usize, (String, usize))| {
            let mark = format!("m70{at}831");
            match values(&mark).get(value) {
                Some(value) => Put { name, value: value.clone(), mark: Some(mark) },
                None => Put { name, value: PLAIN[value - many].to_owned(), mark: None },
            }
        };
        puts.into_iter().enumerate().map(put).collect()
    })
}

/// The row with the columns put into it: in the place of those of the same name, or behind all.
fn with(row: &str, puts: &[Put]) -> (String, Vec<Put>) {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in &json::row(row).unwrap().fields {
        fields.push((name.to_string(), crate::sample::Json::of(value).unwrap().as_str().to_owned()));
    }
    let mut done: Vec<Put> = Vec::new();
    for put in puts {
        if done.iter().any(|known| known.name == put.name) {
            continue;
        }
        match fields.iter_mut().find(|(name, _)| *name == put.name) {
            Some((_, value)) => value.clone_from(&put.value),
            None => fields.push((put.name.clone(), put.value.clone())),
        }
        done.push(put.clone());
    }
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap())).collect();
    (format!("{{{}}}", fields.join(",")), done)
}

/// What is lost of the columns that were put into a row: neither in a sample, nor named, nor refused.
fn lost(converter: &dyn Converter, row: &str, puts: &[Put], options: &Options) -> Result<Vec<String>, Reject> {
    let row = json::row(row)?;
    let mut tally = Tally::default();
    let converted = convert(converter, &row, options, &mut tally)?;
    let samples = format!("{:?}", converted.samples);
    let is_named = |name: &str| {
        let is_it = |unused: &str| {
            unused.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        tally.unused.iter().any(|(unused, _)| is_it(unused))
            || converter.redundant().iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let is_lost = |put: &&Put| {
        let mark = put.mark.as_deref().map(|mark| mark.trim_start_matches('m'));
        mark.is_some_and(|mark| !samples.contains(mark) && !is_named(&put.name))
    };
    Ok(puts.iter().filter(is_lost).map(|put| format!("`{}` {}", put.name, put.value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_a_row_is_lost_without_a_word(
        converter in prop::sample::select(all().map(Converter::name).collect::<Vec<_>>()),
        at in any::<prop::sample::Index>(),
        puts in puts(),
        keeps_all in any::<bool>(),
    ) {
        let converter = super::by_name(converter).unwrap();
        let rows = fixture(converter);
        let (row, puts) = with(&rows[at.index(rows.len())], &puts);
        let options = Options { keep: Keep { all: keeps_all, ..Keep::default() }, ..Options::new() };
        if let Ok(lost) = lost(converter, &row, &puts, &options) {
            prop_assert!(lost.is_empty(), "{} of {}: {:?}", converter.name(), row, lost);
        }
    }
}

/// The property is about something only if enough rows are converted, and only if it can fail.
#[test]
fn many_rows_with_more_columns_are_converted() {
    for converter in all() {
        let put =
            |name: &str, value: &str| Put { name: name.to_owned(), value: value.to_owned(), mark: Some("m7".into()) };
        let puts = [put("id", "7"), put("category", r#""m7""#)];
        let options = Options::new();
        let rows = fixture(converter);
        let made = rows.iter().filter(|row| {
            let (row, puts) = with(row, &puts);
            lost(converter, &row, &puts, &options).is_ok_and(|lost| lost.is_empty())
        });
        assert!(made.count() >= 2, "{}", converter.name());
        let none = [Put { mark: Some("m99173".into()), ..put("none", "7") }];
        let is_told = |row: &String| lost(converter, row, &none, &options).is_ok_and(|lost| lost.len() == 1);
        assert!(rows.iter().any(is_told), "{}: what is not in the row is not found", converter.name());
    }
}
