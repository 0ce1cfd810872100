//! Rows that several samples are packed in: what stands in them, what an edit changes, and where a sample is found.

use std::collections::BTreeMap;

use datac::workspace::BuildOptions;
use serde_json::Value;

use crate::space::{Space, count, ran};

/// Dialogues of many lengths; one of them is longer than a row.
fn dialogues(count: usize) -> String {
    let dialogue = |number: usize| {
        let words = match number {
            5 => 400,
            _ => number * number % 37,
        };
        let answer = format!("It is {number}.{}", " word".repeat(words));
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"What is {number}?\"}},{{\"role\":\"assistant\",\"content\":\"{answer}\"}}]}}\n"
        )
    };
    (0..count).map(dialogue).collect()
}

/// A recipe that uses most samples of its only source twice.
fn recipe(output: &str) -> String {
    format!(
        "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: chat, source: data/a.jsonl }}\nmix: {{ total: 1300, strategy: \
         repeat }}\nvalidation: {{ ratio: 0.1, seed: 42 }}\nmodel: datac/sample\noutput: {output}\n"
    )
}

const PACKED: &str = "{ shape: tokens, container: jsonl, id: true, pack: 256 }";

fn space(output: &str) -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues(800));
    space.write("config/a.yaml", recipe(output));
    space
}

fn rows(space: &Space, file: &str) -> Vec<Value> {
    space.text(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(row: &Value, column: &str) -> Vec<i64> {
    row[column].as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

fn texts(row: &Value, column: &str) -> Vec<String> {
    row[column].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn packed_rows_hold_the_samples_that_rows_of_their_own_hold() {
    let (apart, packed) = (space("{ shape: tokens, container: jsonl, id: true }"), space(PACKED));
    apart.build();
    packed.build();
    let mut unfit = 0;
    for side in ["train", "val"] {
        let file = format!("dataset/sft_a/tokens/{side}.jsonl");
        let mut wanted: BTreeMap<String, Vec<(Vec<i64>, Vec<i64>)>> = BTreeMap::new();
        for row in rows(&apart, &file) {
            let (ids, labels) = (numbers(&row, "input_ids"), numbers(&row, "labels"));
            if ids.len() > 256 {
                unfit += 1;
                continue;
            }
            wanted.entry(row["id"].as_str().unwrap().to_owned()).or_default().push((ids, labels));
        }
        let (mut samples, mut tokens, packed) = (0, 0, rows(&packed, &file));
        for row in &packed {
            let (ids, labels, positions) =
                (numbers(row, "input_ids"), numbers(row, "labels"), numbers(row, "position_ids"));
            let (lengths, names) = (numbers(row, "seq_lengths"), texts(row, "ids"));
            assert_eq!(lengths.len(), names.len());
            assert_eq!(lengths.iter().sum::<i64>() as usize, ids.len());
            assert_eq!((labels.len(), positions.len()), (ids.len(), ids.len()));
            assert!(ids.len() <= 256 && !ids.is_empty());
            let mut start = 0;
            for (length, name) in lengths.iter().zip(&names) {
                let range = start..start + *length as usize;
                let (own, mut own_labels) = wanted.get_mut(name).and_then(Vec::pop).expect("a sample of this side");
                own_labels[0] = -100;
                assert_eq!((&ids[range.clone()], &labels[range.clone()]), (&own[..], &own_labels[..]));
                assert_eq!(positions[range.clone()], (0..*length).collect::<Vec<_>>());
                start = range.end;
                samples += 1;
            }
            tokens += ids.len();
        }
        assert!(wanted.values().all(Vec::is_empty), "every sample is there");
        assert!(samples > 2 * packed.len(), "{samples} samples in {} rows", packed.len());
        let least = tokens.div_ceil(256);
        assert!(packed.len() <= least + 1 + least / 20, "{} rows, {least} if none were empty", packed.len());
    }
    // The sample with more tokens than a row is told, as often as it is used.
    let told = rows(&packed, "dataset/sft_a/tokens/unfit.jsonl");
    assert!(unfit > 0 && told.len() == unfit, "{told:?}");
    assert!(told.iter().all(|line| line["no_place_for"] == "more tokens than a packed row has"), "{told:?}");
}

#[test]
fn an_edited_answer_changes_a_handful_of_rows() {
    let space = space(PACKED);
    space.build();
    for edit in [
        ("It is 77.", "It is 77, and no other number."),
        ("It is 401. word word", "It is 401."),
        ("What is 402?", "And what is 402?"),
    ] {
        let file = "dataset/sft_a/tokens/train.jsonl";
        let before = space.text(file);
        let before: std::collections::BTreeSet<&str> = before.lines().collect();
        space.edit("data/a.jsonl", edit.0, edit.1);
        let report = space.build();
        assert_eq!(count(&report, "render"), 1, "{}", ran(&report));
        let after = space.text(file);
        let new = after.lines().filter(|row| !before.contains(row)).count();
        // Each sample is used twice, and a prompt that changes moves both.
        assert!((1..=24).contains(&new) && before.len() > 100, "{edit:?}: {new} of {} rows", before.len());
        space.assert_settled();
        space.assert_clean();
    }
    // Another room packs again and renders nothing.
    space.edit("config/a.yaml", "pack: 256", "pack: 300");
    let report = space.build();
    assert_eq!((count(&report, "render"), count(&report, "output")), (0, 1), "{}", ran(&report));
    space.assert_clean();
}

#[test]
fn shards_and_threads_change_no_row() {
    let whole = space(PACKED);
    whole.build();
    let name = |number: usize| format!("dataset/sft_a/tokens/train-{number:05}-of-00003.jsonl");
    for jobs in [1, 2, 8] {
        let space = space(&PACKED.replace("pack", "shards: 3, pack"));
        space.build_with(&BuildOptions { jobs, ..BuildOptions::default() });
        let parts: Vec<String> = (0..3).map(|number| space.text(&name(number))).collect();
        assert!(parts.iter().all(|part| !part.is_empty()));
        assert_eq!(parts.concat(), whole.text("dataset/sft_a/tokens/train.jsonl"));
    }
}

#[test]
fn the_samples_of_a_packed_row_are_found() {
    let space = space(&format!("[native, {}]", PACKED.replace("pack", "shards: 2, pack")));
    space.build();
    let workspace = space.workspace();
    let outputs = workspace.outputs();
    let file = "sft_a/tokens/train-00001-of-00002.jsonl";
    let all = rows(&space, &format!("dataset/{file}"));
    let mut seen = Vec::new();
    let each = |row| {
        seen.push(row);
        true
    };
    outputs.seen(file, 1, u64::MAX, each).unwrap();
    assert_eq!(seen.len(), all.len());
    for (row, seen) in all.iter().zip(&seen) {
        let ids: Vec<i64> = seen.sequences.iter().flat_map(|sequence| &sequence.ids).map(|id| i64::from(*id)).collect();
        assert_eq!(ids, numbers(row, "input_ids"));
    }
    // A row of several samples names them, and each is found by its id.
    let at = all.iter().position(|row| texts(row, "ids").len() > 2).unwrap();
    let failure = outputs.trace(file, at as u64 + 1).unwrap_err().to_string();
    assert!(failure.contains("samples"), "{failure}");
    for id in texts(&all[at], "ids") {
        let told = space.datac(&["trace", "--id", &id, "--json"]);
        assert!(told.status.success(), "{id}: {}", String::from_utf8_lossy(&told.stderr));
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        let text = told.to_string();
        assert!(text.contains(&format!("{{\"line\":{},\"output\":\"{file}\"", at + 1)), "{id}: {text}");
    }
}

#[test]
fn samples_without_a_place_take_no_room() {
    let weighted = |every: usize| {
        let space = space(PACKED);
        let mut number = 0;
        let row = |line: &str| {
            number += 1;
            let weight =
                if number % every == 0 { "\"weight\":0.5,\"role\":\"assistant\"" } else { "\"role\":\"assistant\"" };
            format!("{}\n", line.replace("\"role\":\"assistant\"", weight))
        };
        let lines: String = dialogues(800).lines().map(row).collect();
        space.write("data/a.jsonl", lines);
        space.edit("config/a.yaml", "mix: { total: 1300, strategy: repeat }\n", "");
        space.build();
        space
    };
    let (none, half) = (weighted(10_000), weighted(2));
    let file = "dataset/sft_a/tokens/train.jsonl";
    let filled = |space: &Space| {
        let rows = rows(space, file);
        rows.iter().map(|row| numbers(row, "input_ids").len()).sum::<usize>() as f64 / (256 * rows.len()) as f64
    };
    assert!(filled(&half) > filled(&none) - 0.05, "{} {}", filled(&half), filled(&none));
    let told = rows(&half, "dataset/sft_a/tokens/unfit.jsonl");
    assert_eq!(told.iter().filter(|line| line["no_place_for"] == "a weight other than 0 and 1").count(), 399);
    let seen = half.workspace();
    let mut all = 0;
    let each = |row: datac::workspace::SeenRow| {
        all += row.sequences.len();
        true
    };
    seen.outputs().seen("sft_a/tokens/train.jsonl", 1, u64::MAX, each).unwrap();
    assert_eq!(all, rows(&half, file).iter().map(|row| texts(row, "ids").len()).sum::<usize>());
}

#[test]
fn what_cannot_be_packed_is_told() {
    let space = space("[{ shape: trl, pack: 256 }, { shape: tokens, pack: 0 }]");
    let report = space.try_build(&BuildOptions::default()).unwrap();
    let problems: Vec<&str> = report.recipes[0].before.problems.iter().map(|problem| &*problem.message).collect();
    assert_eq!(problems, ["`trl` rows cannot be packed", "`pack` must be at least 1, found `0`"]);
    space.write("config/a.yaml", recipe("{ shape: tokens, pack: 8 }"));
    let report = space.try_build(&BuildOptions::default()).unwrap();
    let failure = report.recipes[0].failure.as_ref().unwrap().to_string();
    assert!(failure.contains("every sample has more tokens than a packed row of `tokens`"), "{failure}");
}
