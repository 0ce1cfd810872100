//! Who ends up on which side.

use std::collections::{BTreeMap, BTreeSet};

use crate::space::{Space, entry, of, recipe, row, rows};

/// One recipe over one local file, with a `validation` block.
fn space(text: &str, validation: &str) -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", text);
    space.write(
        "config/sft/one.yaml",
        recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], &format!("validation: {validation}\n")),
    );
    space
}

/// The rows of a file, in order.
fn lines(space: &Space, name: &str) -> Vec<String> {
    space.text(&format!("dataset/{name}.jsonl")).lines().map(str::to_owned).collect()
}

fn prompts(lines: &[String]) -> BTreeSet<String> {
    let prompt = |line: &String| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["conversations"][0]["content"].as_str().unwrap().to_owned()
    };
    lines.iter().map(prompt).collect()
}

#[test]
fn appended_rows_move_no_row() {
    for validation in ["{ ratio: 0.2, seed: 42 }", "{ ratio: 0.5, seed: 7, stratified: false }"] {
        let space = space(&rows(0..2000, 20), validation);
        space.build();
        let (train, val) = (lines(&space, "sft_one_train"), lines(&space, "sft_one_val"));
        assert_eq!(train.len() + val.len(), 2000);
        let old: BTreeSet<&String> = train.iter().chain(&val).collect();
        for (first, rest) in [("", rows(2000..2400, 20)), (&*rows(3000..3100, 20), String::new())] {
            let text = space.text("data/a.jsonl");
            space.write("data/a.jsonl", format!("{first}{text}{rest}"));
            space.build();
            let kept = |name| lines(&space, name).into_iter().filter(|line| old.contains(line)).collect::<Vec<_>>();
            assert_eq!(kept("sft_one_train"), train, "side and order of the old rows stay");
            assert_eq!(kept("sft_one_val"), val);
        }
        assert_eq!(lines(&space, "sft_one_train").len() + lines(&space, "sft_one_val").len(), 2500);
    }
}

#[test]
fn no_prompt_is_on_both_sides() {
    // Each question three times: word for word, and with another answer.
    let text: String = (0..600)
        .flat_map(|number| {
            let plain = row(number, 20);
            let other = plain.replace("\"output\":\"The ", "\"output\":\"Another ");
            [plain.clone() + "\n", plain + "\n", other + "\n"]
        })
        .collect();
    for method in ["hash", "exact"] {
        for strategy in ["repeat", "cut"] {
            let space = space(&text, &format!("{{ ratio: 0.3, seed: 1, method: {method} }}"));
            space.write("data/b.jsonl", rows(0..100, 20) + &rows(5000..5200, 20));
            space.write(
                "config/sft/two.yaml",
                recipe(
                    &[entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])],
                    &format!(
                        "mix: {{ strategy: {strategy} }}\nvalidation: {{ ratio: 0.3, seed: 1, method: {method} }}\n"
                    ),
                ),
            );
            space.build();
            for name in ["sft_one", "sft_two"] {
                let train = prompts(&lines(&space, &format!("{name}_train")));
                let val = prompts(&lines(&space, &format!("{name}_val")));
                assert!(train.is_disjoint(&val), "{name} {method} {strategy}");
                assert!(
                    train.len() > 100 && val.len() > 50,
                    "{name} {method} {strategy}: {} {}",
                    train.len(),
                    val.len()
                );
            }
            if method == "hash" {
                let train = prompts(&lines(&space, "sft_one_train"));
                let val = prompts(&lines(&space, "sft_two_val"));
                assert!(train.is_disjoint(&val), "recipes of one seed agree on every prompt");
            }
        }
    }
}

#[test]
fn exact_and_stratified_counts() {
    let space = space(&rows(0..1000, 10), "{ ratio: 0.05, seed: 42, method: exact }");
    space.write("data/b.jsonl", rows(2000..2203, 10));
    let two = |stratified: bool| {
        recipe(
            &[entry("a", "data/a.jsonl", 0.8312, &[]), entry("b", "data/b.jsonl", 0.1688, &[])],
            &format!("validation: {{ ratio: 0.05, seed: 42, method: exact, stratified: {stratified} }}\n"),
        )
    };
    for stratified in [false, true] {
        space.write("config/sft/two.yaml", two(stratified));
        let report = space.build();
        assert_eq!((lines(&space, "sft_one_train").len(), lines(&space, "sft_one_val").len()), (950, 50));
        let mut from: BTreeMap<bool, usize> = BTreeMap::new();
        for line in lines(&space, "sft_two_val") {
            *from.entry(line.ends_with("\"source\":\"b\"}")).or_default() += 1;
        }
        assert_eq!(from.values().sum::<usize>(), 60, "floor of 1203 × 0.05");
        if stratified {
            assert_eq!(from, BTreeMap::from([(false, 50), (true, 10)]));
        }
        let summary = of(&report, "sft/two").summary.as_ref().unwrap();
        assert_eq!((summary.train_rows, summary.validation_rows), (1143, 60));
        for source in &summary.sources {
            assert!((source.realised - source.asked).abs() * 1203.0 <= 1.0, "{source:?}");
        }
    }
}

#[test]
fn a_split_that_would_be_empty_is_not() {
    let space = space(&rows(0..10, 10), "{ ratio: 0.0001, seed: 42 }");
    space.build();
    assert_eq!((lines(&space, "sft_one_train").len(), lines(&space, "sft_one_val").len()), (9, 1));
    space.edit("config/sft/one.yaml", "0.0001", "0.0");
    space.build();
    assert_eq!(lines(&space, "sft_one_train").len(), 10);
    assert!(!space.path("dataset/sft_one_val.jsonl").exists(), "nothing was asked for");
    space.edit("config/sft/one.yaml", "0.0", "0.999");
    space.build();
    assert!(!lines(&space, "sft_one_train").is_empty());
    space.assert_settled();
}

#[test]
fn a_short_source_repeats_evenly_or_cuts_the_others() {
    let space = space(&rows(0..40, 10), "{ ratio: 0.1, seed: 42 }");
    space.write("data/b.jsonl", rows(1000..1300, 10));
    let both = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    space.write("config/sft/repeat.yaml", recipe(&both, ""));
    space.write("config/sft/cut.yaml", recipe(&both, "mix: { strategy: cut }\n"));
    let report = space.build();
    let numbers = |name: &str| {
        let summary = of(&report, name).summary.as_ref().unwrap();
        summary.sources.iter().map(|source| (source.rows, source.repeats)).collect::<Vec<_>>()
    };
    assert_eq!(numbers("sft/repeat"), [(170, 130), (170, 0)]);
    assert_eq!(numbers("sft/cut"), [(40, 0), (40, 0)]);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines(&space, "sft_repeat_train").into_iter().chain(lines(&space, "sft_repeat_val")) {
        *times.entry(line).or_default() += 1;
    }
    let of_a: BTreeSet<usize> =
        times.iter().filter(|(line, _)| line.ends_with("\"source\":\"a\"}")).map(|(_, times)| *times).collect();
    assert_eq!(of_a, BTreeSet::from([4, 5]), "170 rows out of 40");
}
