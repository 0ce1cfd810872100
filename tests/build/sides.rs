//! Sides that are not a share of the mixture, a third side, none at all, and what sources have in common.

use std::collections::BTreeSet;

use datac::workspace::{BuildReport, NoteKind};

use crate::space::{Space, entry, of, recipe, rows};

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

fn notes(report: &BuildReport, name: &str, about: NoteKind) -> Vec<String> {
    of(report, name).notes.iter().filter(|note| note.about == about).map(|note| note.text.clone()).collect()
}

/// What each filter and each comparison let through of the first source.
fn counts(report: &BuildReport, name: &str) -> Vec<(String, u64, u64)> {
    let source = &of(report, name).summary.as_ref().unwrap().sources[0];
    source.filters.iter().map(|count| (count.filter.clone(), count.rows_in, count.rows_out)).collect()
}

/// One recipe over one local file.
fn one(space: &Space, more: &str) {
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], more));
}

#[test]
fn no_validation_leaves_no_file() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..50, 10));
    one(&space, "");
    space.build();
    assert!(space.path("dataset/sft_one_val.jsonl").exists());
    for more in ["validation: none\n", "validation: { ratio: 0 }\n"] {
        one(&space, more);
        space.build();
        assert_eq!(lines(&space, "sft_one_train").len(), 50);
        assert!(!space.path("dataset/sft_one_val.jsonl").exists(), "{more}");
        space.assert_settled();
        one(&space, "");
        space.build();
        assert!(space.path("dataset/sft_one_val.jsonl").exists());
    }
    // A file that is not datac's stays.
    space.write("dataset/sft_one_test.jsonl", "mine\n");
    one(&space, "validation: none\n");
    space.write("dataset/sft_one_val.jsonl", "edited\n");
    let told = notes(&space.build(), "sft/one", NoteKind::Former);
    let names = "`dataset/sft_one_test.jsonl`, `dataset/sft_one_val.jsonl`";
    assert_eq!(told, [format!("not of this build, and not known to be of an earlier one: {names}")]);
    space.assert_settled();
    assert_eq!(space.text("dataset/sft_one_test.jsonl"), "mine\n");
    assert_eq!(space.text("dataset/sft_one_val.jsonl"), "edited\n");
}

#[test]
fn a_test_side_takes_rows_from_both() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..1000, 10));
    one(&space, "validation: { ratio: 0.2, seed: 3 }\n");
    space.build();
    let (train, val) = (lines(&space, "sft_one_train"), lines(&space, "sft_one_val"));
    one(&space, "validation: { ratio: 0.2, seed: 3 }\ntest: { ratio: 0.1 }\n");
    let report = space.build();
    let test: BTreeSet<String> = lines(&space, "sft_one_test").into_iter().collect();
    assert!((60..140).contains(&test.len()), "{}", test.len());
    assert_eq!(of(&report, "sft/one").summary.as_ref().unwrap().test_rows, test.len() as u64);
    let left = |side: &[String]| side.iter().filter(|line| !test.contains(*line)).cloned().collect::<Vec<_>>();
    assert_eq!((lines(&space, "sft_one_train"), lines(&space, "sft_one_val")), (left(&train), left(&val)));
    space.assert_settled();
    // And back: the file goes.
    one(&space, "validation: { ratio: 0.2, seed: 3 }\n");
    space.build();
    assert!(!space.path("dataset/sft_one_test.jsonl").exists());
    assert_eq!((lines(&space, "sft_one_train"), lines(&space, "sft_one_val")), (train, val));
}

#[test]
fn a_side_of_its_own_takes_its_prompts_from_train() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..300, 10));
    space.write("data/v.jsonl", rows(290..320, 10));
    let own = |more: &str| format!("validation: {{ source: data/v.jsonl, format: jsonl{more} }}\n");
    one(&space, &own(""));
    let report = space.build();
    let (train, val) = (lines(&space, "sft_one_train"), lines(&space, "sft_one_val"));
    assert_eq!((train.len(), val.len()), (290, 30));
    assert!(prompts(&train).is_disjoint(&prompts(&val)));
    assert!(val.iter().all(|line| line.ends_with("\"source\":\"validation\"}")));
    assert_eq!(counts(&report, "sft/one"), [("validation.overlap".to_owned(), 300, 290)]);
    space.assert_settled();

    one(&space, &own(", overlap: keep, name: own"));
    let report = space.build();
    assert_eq!((lines(&space, "sft_one_train").len(), lines(&space, "sft_one_val").len()), (300, 30));
    let told = notes(&report, "sft/one", NoteKind::Mingled);
    assert_eq!(told[0], "`a` has 10 rows with prompts of validation");
    assert!(lines(&space, "sft_one_val")[0].ends_with("\"source\":\"own\"}"));

    one(&space, &own(", overlap: fail"));
    let report = space.try_build(&Default::default()).unwrap();
    let failure = of(&report, "sft/one").failure.as_ref().unwrap().to_string();
    assert!(failure.contains("10 rows of other sources have prompts of `validation`"), "{failure}");
}

#[test]
fn other_splits_are_sides_and_other_sources_are_left_out() {
    let space = Space::new();
    space.write("data/a/train.jsonl", rows(0..100, 10));
    space.write("data/a/test.jsonl", rows(95..110, 10));
    space.write("data/eval.jsonl", rows(0..7, 10));
    let more = "validation: { ratio: 0.1, seed: 1 }\ntest: { split: test }\nexclude:\n  - { source: data/eval.jsonl, format: jsonl }\n";
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a", 1.0, &[])], more));
    let report = space.build();
    let [train, val, test] = ["train", "val", "test"].map(|side| lines(&space, &format!("sft_one_{side}")));
    assert_eq!((train.len() + val.len(), test.len()), (88, 15));
    assert!(test.iter().all(|line| line.ends_with("\"source\":\"a\"}")));
    let expected = [("exclude".to_owned(), 100, 93), ("test.overlap".to_owned(), 93, 88)];
    assert_eq!(counts(&report, "sft/one"), expected);
    space.assert_settled();
    // What left is told, as is where the rows of the test side are from.
    let trace = |file: &str, row| space.workspace().outputs().trace_source("data/a", file, row).unwrap();
    let fate = serde_json::to_value(&trace("train.jsonl", 3).fates[0].fate).unwrap();
    assert_eq!(fate["fate"], "compared");
    let fate = serde_json::to_value(&trace("test.jsonl", 3).fates[0].fate).unwrap();
    assert_eq!((&fate["fate"], &fate["lines"][0]["side"]), (&"written".into(), &"test".into()));
}

#[test]
fn copies_across_sources_are_told_or_left_out() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..20, 10));
    // The same rows, other case and white space, other answers, and rows of its own.
    let folded = rows(0..10, 10).replace("Question", "QUESTION ").replace("\"The ", "\" the  ");
    let answered = rows(10..20, 10).replace("\"output\":\"The", "\"output\":\"Another");
    space.write("data/b.jsonl", rows(0..5, 10) + &folded + &answered + &rows(100..110, 10));
    let both = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    let kept = |mix: &str| {
        space.write("config/sft/two.yaml", recipe(&both, &format!("validation: none\nmix: {{ total: 1000{mix} }}\n")));
        let report = space.build();
        space.assert_settled();
        let sources = &of(&report, "sft/two").summary.as_ref().unwrap().sources;
        ([sources[0].kept, sources[1].kept], notes(&report, "sft/two", NoteKind::Copies))
    };
    let (sizes, told) = kept("");
    assert_eq!(sizes, [20, 35]);
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.ends_with("of 1,000 rows repeat rows of another source"), "{told}");
    assert_eq!(kept(", deduplicate: row"), ([20, 30], vec![]));
    assert_eq!(kept(", deduplicate: row, normalise: true"), ([20, 20], vec![]));
    assert_eq!(kept(", deduplicate: prompt"), ([20, 20], vec![]));
    assert_eq!(kept(", deduplicate: prompt, normalise: true"), ([20, 10], vec![]));
}

#[test]
fn a_source_that_others_have_whole_gives_its_share_to_them() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..20, 10));
    space.write("data/b.jsonl", rows(0..20, 10));
    let both = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    space.write("config/sft/two.yaml", recipe(&both, "mix: { deduplicate: row }\n"));
    let report = space.build();
    assert_eq!(lines(&space, "sft_two_train").len() + lines(&space, "sft_two_val").len(), 20);
    let told = notes(&report, "sft/two", NoteKind::Copies);
    assert_eq!(told, ["`b` gives no row: all of its rows or prompts are in other sources"]);
}

#[test]
fn prompts_that_differ_in_case_alone_can_be_on_one_side() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..200, 10));
    space.write("data/b.jsonl", rows(0..200, 10).replace("\"Question", "\" question").replace("?\"", "?\\n\""));
    let both = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    let folded = |side: &str| -> BTreeSet<String> {
        prompts(&lines(&space, &format!("sft_two_{side}"))).iter().map(|text| text.trim().to_lowercase()).collect()
    };
    for method in ["hash", "exact"] {
        let two = |more: &str| {
            let split = format!("validation: {{ ratio: 0.2, seed: 1, method: {method}{more} }}\n");
            space.write("config/sft/two.yaml", recipe(&both, &split));
            space.build()
        };
        let report = two("");
        let shared = folded("train").intersection(&folded("val")).count();
        assert!(shared > 10, "{shared}");
        let told = notes(&report, "sft/two", NoteKind::Mingled);
        assert_eq!(told, [format!("{shared} prompts are on several sides but for case and white space")]);
        let report = two(", normalise: true");
        assert!(folded("train").is_disjoint(&folded("val")));
        assert_eq!(notes(&report, "sft/two", NoteKind::Mingled), [""; 0]);
        space.assert_settled();
    }
}

#[test]
fn a_file_that_another_recipe_writes_now_stays() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..50, 10));
    let of_sft = recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], "");
    space.write("config/a/x.yaml", &of_sft);
    space.build();
    // The other recipe writes the same bytes under the same name, and the first one other files.
    space.write("config/b/x.yaml", of_sft);
    let text = recipe(&[entry("a", "data/a.jsonl", 1.0, &["columns: { text: output }"])], "");
    space.write("config/a/x.yaml", text.replace("phase: sft", "phase: pretrain"));
    space.build();
    assert!(space.path("dataset/sft_x_train.jsonl").exists() && space.path("dataset/pretrain_x_train.jsonl").exists());
    space.assert_settled();
}

#[test]
fn shares_that_cannot_be_met_are_told_without_a_hint_where_nothing_is_split() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..50, 10));
    space.write("data/b.jsonl", rows(100..150, 10));
    let sources = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    for (split, is_hinted) in [("validation: none\n", false), ("validation: { ratio: 0.4 }\n", true)] {
        space.write("config/sft/one.yaml", recipe(&sources, &format!("mix: {{ total: 5 }}\n{split}")));
        let report = space.build();
        let note = of(&report, "sft/one").notes.iter().find(|note| note.about == NoteKind::Shares).unwrap();
        assert_eq!(note.hint.is_some(), is_hinted, "{split}: {note:?}");
    }
}
