//! How many rows a recipe gives, which ones, and what is said where that is not what it asked for.

use std::collections::BTreeSet;

use datac::workspace::{BuildReport, NoteKind};

use crate::space::{Space, entry, of, recipe, rows};

/// The rows of a recipe's files.
fn lines(space: &Space, name: &str) -> BTreeSet<String> {
    let side = |side: &str| space.text(&format!("dataset/{name}_{side}.jsonl"));
    [side("train"), side("val")].iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

/// The notes of a recipe on one subject.
fn notes(report: &BuildReport, name: &str, about: NoteKind) -> Vec<String> {
    of(report, name).notes.iter().filter(|note| note.about == about).map(|note| note.text.clone()).collect()
}

#[test]
fn random_rows_stay_while_their_source_grows() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..3000, 20));
    let one = |keys: &str| space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[keys])], ""));
    one("sample: { rows: 400, seed: 1 }");
    let report = space.build();
    let before = lines(&space, "sft_one");
    assert_eq!(before.len(), 400);
    assert_eq!(notes(&report, "sft/one", NoteKind::FirstRows), [""; 0]);
    let last = before.iter().filter(|line| (2900..3000).any(|number| line.contains(&format!(" {number}: ")))).count();
    assert!((2..40).contains(&last), "{last} of 400 rows are from the last 100 of 3000");
    space.assert_settled();

    // Rows are added at both ends: those that leave are as many as those that come.
    space.write("data/a.jsonl", rows(5000..5100, 20) + &rows(0..3000, 20) + &rows(6000..6200, 20));
    space.build();
    let after = lines(&space, "sft_one");
    assert_eq!(after.len(), 400);
    let stayed = before.intersection(&after).count();
    let new = after.iter().filter(|line| (5000..6200).any(|number| line.contains(&format!(" {number}: ")))).count();
    assert_eq!(stayed + new, 400, "no row of the old source came in");
    assert!((340..400).contains(&stayed), "{stayed}");

    one("sample: { rows: 400, seed: 2 }");
    space.build();
    assert_ne!(lines(&space, "sft_one"), after);
    // More than there are: all of them, which is told.
    one("sample: { rows: 5000 }");
    let report = space.build();
    assert_eq!(lines(&space, "sft_one").len(), 3300);
    let told = notes(&report, "sft/one", NoteKind::FewRows);
    assert_eq!(told, ["`a` has only 3,300 rows, requested `sample: { rows: 5,000 }`"]);
}

#[test]
fn texts_that_a_chat_template_wrote_are_told() {
    let space = Space::new();
    let rendered = "<|im_start|>user\\nq<|im_end|>\\n<|im_start|>assistant\\n";
    space.write(
        "data/a.jsonl",
        format!("{{\"prompt\":\"{rendered}\",\"completion\":\"a\"}}\n{{\"prompt\":\"q\",\"completion\":\"b\"}}\n"),
    );
    space.write("data/t.jsonl", format!("{{\"text\":\"{rendered}\"}}\n"));
    let one = |name: &str, phase: &str, source: &str, keys: &[&str]| {
        let text = recipe(&[entry("a", source, 1.0, keys)], "validation: none\n");
        space.write(&format!("config/{name}.yaml"), text.replace("phase: sft", &format!("phase: {phase}")));
    };
    one("sft/chat", "sft", "data/a.jsonl", &[]);
    one("sft/left_out", "sft", "data/a.jsonl", &["rules: { rendered: reject }"]);
    one("rl/ask", "rlaif", "data/a.jsonl", &["ignore: [completion]"]);
    one("pt/raw", "pretrain", "data/t.jsonl", &[]);
    let report = space.build();
    let told = |name: &str| notes(&report, name, NoteKind::Rendered);
    let marks = "1 text of `a` holds marks of a chat template, such as `<|im_start|>user`";
    assert_eq!(told("sft/chat"), [format!("{marks}: a chat template would write them once more")]);
    assert_eq!(told("rl/ask"), told("sft/chat"));
    assert_eq!(told("pt/raw"), [format!("{marks}: a model is trained on them as they stand")]);
    assert_eq!(told("sft/left_out"), [""; 0]);
    assert_eq!(space.text("dataset/sft_left_out_train.jsonl").lines().count(), 1);
}

#[test]
fn the_top_of_a_source_is_told() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..300, 20));
    space.write("data/b.jsonl", rows(0..60, 20));
    let one = |name: &str, keys: &[&str]| {
        space.write(&format!("config/sft/{name}.yaml"), recipe(&[entry("a", "data/a.jsonl", 1.0, keys)], ""));
    };
    one("top", &["max_samples: 60"]);
    one("filtered", &["max_samples: 60", "filters: [{ type: length, min_length: 30 }]"]);
    one("all", &["max_samples: 300"]);
    one("fewer", &["max_samples: 301"]);
    let report = space.build();
    let told = |name: &str| notes(&report, name, NoteKind::FirstRows);
    assert_eq!(told("sft/top"), ["`a` gives the first 60 of its 300 rows"]);
    assert_eq!((told("sft/all"), told("sft/fewer")), (vec![], vec![]));
    assert_eq!(told("sft/filtered").len(), 1);
    assert!(space.build().recipes.iter().all(|recipe| recipe.notes.is_empty()), "a fresh recipe says nothing");
}

#[test]
fn the_size_of_a_source_is_told_though_reading_stopped() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..300, 20));
    space.write("config/sft/top.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &["max_samples: 60"])], ""));
    let told = notes(&space.build(), "sft/top", NoteKind::FirstRows);
    assert_eq!(told, ["`a` gives the first 60 of its 300 rows"]);
}

#[test]
fn totals_and_shares_that_are_not_met_are_told() {
    let space = Space::new();
    space.write("data/big.jsonl", rows(0..1000, 20));
    space.write("data/small.jsonl", rows(2000..2010, 20));
    let both = [entry("big", "data/big.jsonl", 0.5, &[]), entry("small", "data/small.jsonl", 0.5, &[])];
    let split = "validation: { ratio: 0.2, seed: 1 }\n";
    for (name, mix) in [("cut", "strategy: cut"), ("total", "strategy: cut, total: 500"), ("repeat", "total: 500")] {
        space.write(&format!("config/sft/{name}.yaml"), recipe(&both, &format!("{split}mix: {{ {mix} }}\n")));
    }
    let single = [entry("small", "data/small.jsonl", 1.0, &[])];
    space.write("config/sft/single.yaml", recipe(&single, "mix: { total: 25 }\n"));
    space.write("config/sft/tokens.yaml", recipe(&single, "mix: { total: 20, unit: tokens }\n"));
    let report = space.build();
    let left = "`small` limits the mixture with its 10 rows: 990 of 1,000 rows of `big` are left out";
    assert_eq!(notes(&report, "sft/cut", NoteKind::LeftOut), [left]);
    assert_eq!(notes(&report, "sft/cut", NoteKind::Total), [""; 0]);
    let total = "the mixture has 20 rows, requested `total: 500`: `small` has only 10 rows";
    assert_eq!(notes(&report, "sft/total", NoteKind::Total), [total]);
    assert_eq!(notes(&report, "sft/repeat", NoteKind::Total), [""; 0]);
    let repeats = "`small` has 10 rows, so 15 of 25 are repeats";
    assert_eq!(notes(&report, "sft/single", NoteKind::Repeats), [repeats]);
    let [tokens] = &notes(&report, "sft/tokens", NoteKind::Total)[..] else { panic!("{report:?}") };
    assert!(tokens.ends_with(" tokens, requested `total: 20`: rows are not cut"), "{tokens}");
    // A repeated row is on one side with all its repeats, so the sides' shares are far from those of the mixture.
    let [shares] = &notes(&report, "sft/repeat", NoteKind::Shares)[..] else { panic!("{report:?}") };
    assert!(shares.starts_with("train has big ") && shares.ends_with("; requested 50.00%, 50.00%"), "{shares}");
}

#[test]
fn a_validation_side_that_is_far_off_is_told() {
    let space = Space::new();
    let mut off = 0;
    for (name, count) in [("few", 20), ("more", 300), ("many", 3000)] {
        space.write(&format!("data/{name}.jsonl"), rows(0..count, 20));
        for method in ["hash", "exact"] {
            let recipe = recipe(
                &[entry(name, &format!("data/{name}.jsonl"), 1.0, &[])],
                &format!("validation: {{ ratio: 0.05, seed: 1, method: {method} }}\n"),
            );
            space.write(&format!("config/sft/{name}_{method}.yaml"), recipe);
        }
    }
    let report = space.build();
    for recipe in &report.recipes {
        let summary = recipe.summary.as_ref().unwrap();
        let rows = summary.train_rows + summary.validation_rows;
        let (got, asked) = (summary.validation_rows as f64, 0.05 * rows as f64);
        let is_off = (got - asked).abs() >= 1.0 && (got - asked).abs() > 0.1 * asked;
        let told = notes(&report, &recipe.before.name, NoteKind::Validation);
        assert_eq!(told.len(), usize::from(is_off), "{}: {got} of {rows}: {told:?}", recipe.before.name);
        off += told.len();
        if recipe.before.name.ends_with("_exact") {
            assert_eq!(told, [""; 0], "{}", recipe.before.name);
        }
    }
    assert!(off > 0, "the test needs a recipe that is off");
}

/// Texts of one source, and those of them that a filter keeps.
fn kept(filter: &str, texts: &[&str]) -> (Vec<String>, BuildReport) {
    let space = Space::new();
    let line = |text: &&str| serde_json::json!({ "text": text }).to_string() + "\n";
    space.write("data/a.jsonl", texts.iter().map(line).collect::<String>());
    let entry = format!("{{ name: a, source: data/a.jsonl, format: jsonl, filters: [{filter}] }}");
    space.write(
        "config/pretrain/one.yaml",
        format!("metadata: {{ phase: pretrain }}\ndatasets: [{entry}]\nvalidation: none\n"),
    );
    let report = space.build();
    let lines = space.text("dataset/pretrain_one_train.jsonl");
    let text =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    let mut kept: Vec<String> = lines.lines().map(text).collect();
    kept.sort_by_key(|text| texts.iter().position(|known| known == text));
    (kept, report)
}

#[test]
fn short_texts_are_not_taken_for_another_language() {
    let texts = [
        "Write a haiku about rain.",
        "Hello, how are you?",
        "Blue.",
        "12 + 30 = 42",
        "Write a short letter to a friend who has moved to another city.",
        "Schreibe einen kurzen Brief an eine Freundin, die umgezogen ist.",
        "Почему небо голубое?",
    ];
    let (english, report) = kept("{ type: language, languages: [en] }", &texts);
    assert_eq!(english, texts[..5]);
    let count = &of(&report, "pretrain/one").summary.as_ref().unwrap().sources[0].filters[0];
    assert_eq!((count.rows_in, count.rows_out, count.unknown), (7, 5, 2));
    assert_eq!(kept("{ type: language, languages: [en], unknown: drop }", &texts).0, [texts[0], texts[1], texts[4]]);
    let (guessed, report) = kept("{ type: language, languages: [de], min_certainty: 0 }", &texts);
    assert_eq!(guessed, [texts[2], texts[3], texts[5]], "what has no language stays unknown");
    let told = notes(&report, "pretrain/one", NoteKind::Filter);
    assert_eq!(told, ["the filter `language` keeps 3 of 7 rows of `a`"]);
}

#[test]
fn lengths_are_counted_in_tokens() {
    let texts = ["one two three", "{[(<>)]} {[(<>)]} {[(<>)]}"];
    assert_eq!(kept("{ type: length, max_length: 5, unit: tokens }", &texts).0, texts[..1]);
    assert_eq!(kept("{ type: length, max_length: 30, unit: characters }", &texts).0, texts);
}

#[test]
fn a_note_on_many_recipes_names_the_first() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..300, 20));
    for number in 10..40 {
        let text = recipe(&[entry("a", "data/a.jsonl", 1.0, &["max_samples: 60"])], "");
        space.write(&format!("config/sft/r{number}.yaml"), text);
    }
    let output = space.datac(&["build"]);
    let told = String::from_utf8(output.stderr).unwrap();
    let note = told.lines().find(|line| line.starts_with("note")).unwrap();
    let named = "sft/r10, sft/r11, sft/r12, sft/r13, sft/r14, sft/r15, sft/r16, sft/r17 and 22 more";
    assert_eq!(note.split(" (").next().unwrap(), format!("note {named}: `a` gives the first 60 of its 300 rows"));
}
