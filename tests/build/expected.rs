//! Results that are held to what their recipes expect: what is written where, and what runs for it.

use datac::{
    failure::FailureKind,
    workspace::{BuildOptions, BuildReport, CleanOptions},
};

use crate::space::{Outputs, Space, assert_same, changed, count, entry, of, ran, recipe, rows};

/// One recipe over 300 rows of one source and 100 of another, some of which repeat.
fn space(expect: &str) -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..300, 20));
    space.write("data/b.jsonl", rows(500..600, 20));
    space.write("config/sft/one.yaml", with(expect));
    space
}

fn with(expect: &str) -> String {
    let entries = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    recipe(&entries, &format!("validation: {{ ratio: 0.1, seed: 42 }}\n{expect}\n"))
}

/// Returns the outputs in place, and those that are not as expected by their usual names.
fn apart(space: &Space) -> (Outputs, Outputs) {
    let (unexpected, in_place): (Outputs, Outputs) =
        space.outputs().into_iter().partition(|(name, _)| name.starts_with("unexpected/"));
    (in_place, unexpected.into_iter().map(|(name, bytes)| (name["unexpected/".len()..].to_owned(), bytes)).collect())
}

fn build(space: &Space) -> BuildReport {
    space.try_build(&BuildOptions::default()).unwrap()
}

#[track_caller]
fn assert_unexpected(space: &Space, words: &[&str]) -> BuildReport {
    let report = build(space);
    let failure = of(&report, "sft/one").failure.clone().expect("it is not as expected");
    assert_eq!(failure.kind, FailureKind::Policy);
    for word in words {
        assert!(failure.message.contains(word), "`{word}` is not in: {}", failure.message);
        assert!(space.state("sft/one").starts_with("invalid: "), "{}", space.state("sft/one"));
        assert!(space.state("sft/one").contains(word), "`{word}` is not in: {}", space.state("sft/one"));
    }
    report
}

#[test]
fn edits_of_what_is_expected_make_nothing_again_and_what_is_in_place_stays() {
    let space = space("");
    space.build();
    let (before, none) = apart(&space);
    assert!(none.is_empty());
    let stats = |space: &Space| {
        let mut stats = space.stats();
        stats.retain(|path, _| {
            path.starts_with(space.path("dataset")) && !path.starts_with(space.path("dataset/unexpected"))
        });
        stats
    };
    let written = stats(&space);
    for (expect, unmet) in [
        ("expect: { rows: 400, rejects: 0 }", &[][..]),
        ("expect: { rows: { min: 401 } }", &["the result has 400 rows; `rows` expects at least 401"]),
        (
            "expect: { rows: { min: 401 }, train_rows: { max: 10 } }",
            &["has 400 rows", "`train_rows` expects at most 10"],
        ),
        ("expect: { repeated_prompts: { min: 1 }, characters: { min: 1000 } }", &[]),
        ("expect: { repeated_prompts: { max: 0 } }", &["have the prompt of an earlier row"]),
        ("expect: { repeated_prompts: { max: 50% } }", &[]),
        ("expect: { characters: { max: 1000 } }", &["characters; `characters` expects at most 1000"]),
        ("expect: { shares: { a: { min: 0.49, max: 51% }, b: 0.5 } }", &[]),
        (
            "expect: { shares: { a: { min: 0.6 } } }",
            &["`a` makes up 200 of 400 rows (50.00%); `shares` expects at least 60%"],
        ),
        ("", &[]),
    ] {
        space.write("config/sft/one.yaml", with(expect));
        let report = if unmet.is_empty() { space.build() } else { assert_unexpected(&space, unmet) };
        assert_eq!(ran(&report).replace("1 tally", ""), "", "{expect}");
        let (in_place, unexpected) = apart(&space);
        assert_same(&in_place, &before);
        assert_eq!(changed(&written, &stats(&space)).len(), 0, "{expect}: what is in place is not written again");
        let twin = space.twin();
        if unmet.is_empty() {
            assert!(unexpected.is_empty() && !space.path("dataset/unexpected").exists(), "{expect}");
            space.assert_settled();
            space.assert_clean();
        } else {
            assert_same(&unexpected, &before);
            assert_unexpected(&twin, unmet);
            assert_same(&apart(&twin).1, &unexpected);
            assert!(apart(&twin).0.is_empty(), "nothing is put in place");
            // A second build says the same, and writes nothing.
            let stats = space.stats();
            assert_unexpected(&space, unmet);
            let dataset = changed(&stats, &space.stats()).iter().any(|path| path.starts_with(space.path("dataset")));
            assert!(!dataset, "{expect}");
        }
    }
}

#[test]
fn numbers_of_rows_are_those_of_the_files() {
    let space = space("expect: { repeated_prompts: 1000000, characters: 0 }");
    space.write("data/a.jsonl", rows(0..300, 20) + &rows(0..30, 25));
    let report = assert_unexpected(&space, &["repeated_prompts", "characters"]);
    let message = of(&report, "sft/one").failure.as_ref().unwrap().message.clone();
    let (mut prompts, mut repeated, mut characters) = (std::collections::HashSet::new(), 0, 0);
    for side in ["train", "val"] {
        for line in space.text(&format!("dataset/unexpected/sft_one_{side}.jsonl")).lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            characters += row["text"].as_str().unwrap().chars().count();
            let prompt = row["conversations"][0]["content"].as_str().unwrap().to_owned();
            repeated += usize::from(side == "train" && !prompts.insert(prompt));
        }
    }
    assert!(message.contains(&format!("{repeated} of ")), "{repeated}: {message}");
    assert!(message.contains(&format!("the rows have {characters} characters")), "{characters}: {message}");
}

#[test]
fn a_source_that_shrinks_leaves_the_last_good_files_in_place() {
    let space = space("expect: { rows: { min: 300 } }\noutput: [native, { shape: trl, container: jsonl }]");
    space.write("data/a.jsonl", rows(0..300, 20) + "{broken\n");
    space.build();
    let (good, _) = apart(&space);
    assert!(good.contains_key("quarantine/sft_one.jsonl") && good.contains_key("sft_one/trl/train.jsonl"));
    let (whole, recipe) = (space.text("data/a.jsonl"), space.text("config/sft/one.yaml"));
    for (number, text) in [rows(0..100, 20) + "{broken\n{more\n", rows(0..150, 20)].iter().enumerate() {
        space.write("data/a.jsonl", text);
        assert_unexpected(&space, &["`rows` expects at least 300"]);
        let (in_place, unexpected) = apart(&space);
        assert_same(&in_place, &good);
        assert_eq!(
            unexpected.contains_key("quarantine/sft_one.jsonl"),
            number == 0,
            "no file of an earlier build is left"
        );
        // What would be in place without the expectation.
        let twin = space.twin();
        twin.edit("config/sft/one.yaml", "min: 300", "min: 0");
        twin.build();
        assert_same(&unexpected, &twin.outputs());
    }
    // Files that are removed or changed come back.
    let (_, before) = apart(&space);
    space.remove("dataset/unexpected/sft_one_val.jsonl");
    space.write("dataset/unexpected/sft_one/trl/train.jsonl", "mine");
    let report = assert_unexpected(&space, &[]);
    assert_eq!(ran(&report), "");
    assert_same(&apart(&space).1, &before);
    // Once it is expected, nothing is made again.
    space.edit("config/sft/one.yaml", "min: 300", "min: 200");
    let report = space.build();
    assert_eq!(ran(&report), "");
    space.assert_settled();
    space.assert_clean();
    space.write("data/a.jsonl", &whole);
    space.write("config/sft/one.yaml", &recipe);
    space.build();
    assert_same(&space.outputs(), &good);
    // As it was is as expected, whatever happened in between.
    space.write("data/a.jsonl", rows(0..10, 20));
    assert_unexpected(&space, &["expects at least 300"]);
    space.write("data/a.jsonl", &whole);
    let state = space.state("sft/one");
    assert!(!state.starts_with("fresh"), "{state}");
    space.build();
    space.assert_settled();
    assert_same(&space.outputs(), &good);
}

#[test]
fn recipes_of_the_same_rows_expect_each_for_itself() {
    let space = space("expect: { rows: { max: 10 } }");
    space.write("config/sft/two.yaml", with(""));
    let report = build(&space);
    assert!(of(&report, "sft/one").failure.is_some() && of(&report, "sft/two").failure.is_none());
    assert_eq!(count(&report, "output"), 1, "{}", ran(&report));
    let names = |outputs: &Outputs| outputs.keys().cloned().collect::<Vec<_>>();
    let (in_place, unexpected) = apart(&space);
    assert_eq!(names(&in_place), ["sft_two_train.jsonl", "sft_two_val.jsonl"]);
    assert_eq!(names(&unexpected), ["sft_one_train.jsonl", "sft_one_val.jsonl"]);
    assert_eq!(in_place["sft_two_train.jsonl"], unexpected["sft_one_train.jsonl"]);
    let cleaned = space.workspace().outputs().clean(&[], &CleanOptions::default()).unwrap();
    assert_eq!((cleaned.removed.len(), cleaned.kept.len()), (4, 0), "{cleaned:?}");
    assert!(!space.path("dataset").exists());
}

#[test]
fn a_refusal_comes_before_what_is_expected() {
    let space = space("max_rejects: 0\nexpect: { rows: { min: 10_000 } }");
    space.write("data/a.jsonl", rows(0..300, 20) + "{broken\n");
    let output = space.datac(&["build"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("E0213") && !told.contains("E0219"), "{told}");
    assert_eq!(space.outputs().keys().collect::<Vec<_>>(), ["quarantine/sft_one.jsonl"]);
}
