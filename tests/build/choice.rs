//! Which converter reads a source: the first hundred good rows decide, wherever they are.

use datac::workspace::{Add, Inspect, NoteKind};

use crate::space::{Space, entry, ran, recipe, row, rows};

/// A recipe over one source, all of whose rows are for training.
fn space(source: &str, more: &[&str]) -> Space {
    let space = Space::new();
    space.write("config/sft/one.yaml", recipe(&[entry("a", source, 1.0, more)], "validation: { ratio: 0 }\n"));
    space
}

fn count(space: &Space, path: &str) -> usize {
    space.text(path).lines().count()
}

/// A row of some exporter, as long as a chunk.
fn header(number: usize) -> String {
    format!("{{\"_meta\":\"{}\",\"number\":{number}}}\n", "x".repeat(700 << 10))
}

#[test]
fn rows_in_later_chunks_decide_as_well() {
    let space = space("data/a.jsonl", &[]);
    let long = |number| row(number, 2000) + "\n";
    space.write("data/a.jsonl", (0..3).map(header).collect::<String>() + &(0..300).map(long).collect::<String>());
    space.build();
    assert_eq!(
        (count(&space, "dataset/sft_one_train.jsonl"), count(&space, "dataset/quarantine/sft_one.jsonl")),
        (300, 3)
    );
    space.assert_settled();

    // An edit behind them decides nothing anew.
    let text = space.text("data/a.jsonl");
    space.write("data/a.jsonl", text + &long(300));
    let report = space.build();
    assert!(ran(&report).contains("1 convert"), "{}", ran(&report));
    assert_eq!(count(&space, "dataset/sft_one_train.jsonl"), 301);
}

#[test]
fn rows_of_later_files_decide_as_well() {
    for more in [&[][..], &["max_samples: 5"]] {
        let space = space("data/a", more);
        space.write("data/a/00.jsonl", "{\"_meta\":1}\n");
        for number in 1..30_u64 {
            space.write(&format!("data/a/{number:02}.jsonl"), row(number, 10));
        }
        space.build();
        assert_eq!(count(&space, "dataset/sft_one_train.jsonl"), if more.is_empty() { 29 } else { 5 });
        space.assert_settled();
    }
}

#[test]
fn what_else_was_read_of_a_source_changes_no_choice() {
    let space = space("data/a.jsonl", &["max_samples: 5"]);
    space.write("data/a.jsonl", rows(0..5000, 40) + "{\"messages\":[]}\n");
    space.build();
    let few = space.outputs();
    let all = recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], "validation: { ratio: 0 }\n");
    space.write("config/sft/two.yaml", all);
    space.build();
    assert_eq!(count(&space, "dataset/sft_two_train.jsonl"), 5000);
    assert!(few.iter().all(|(path, bytes)| space.outputs().get(path) == Some(bytes)));
}

#[test]
fn a_command_gets_many_chunks_at_once_and_its_lines_go_to_their_rows() {
    let text = rows(0..20_000, 40);
    let chosen = space("data/a.jsonl", &[]);
    chosen.write("data/a.jsonl", &text);
    chosen.build();
    let command = r#"converter: { command: [sed, 's/"instruction":/"user":/; s/"output":/"assistant":/'] }"#;
    let run = space("data/a.jsonl", &[command]);
    // A bad row is not given to the command.
    let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
    run.write("data/a.jsonl", format!("{first}broken\n{rest}"));
    run.build();
    assert_eq!(count(&run, "dataset/quarantine/sft_one.jsonl"), 1);
    assert_eq!(run.text("dataset/sft_one_train.jsonl"), chosen.text("dataset/sft_one_train.jsonl"));
}

/// Rows, and the phase that suits them.
const SUITED: [(&str, &[&str], &str); 7] = [
    ("an empty answer", &[r#"{"instruction":"q1","output":"a1"}"#, r#"{"instruction":"q2","output":""}"#], "sft"),
    (
        "an identical pair",
        &[r#"{"prompt":"q1","chosen":"a","rejected":"b"}"#, r#"{"prompt":"q2","chosen":"a","rejected":"a"}"#],
        "dpo",
    ),
    (
        "a pair beside a dialogue",
        &[
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"prompt":"q","chosen":"a","rejected":"b"}"#,
            r#"{"messages":[{"role":"user","content":"r"},{"role":"assistant","content":"a"}],"prompt":"r","chosen":"a","rejected":"a"}"#,
        ],
        "dpo",
    ),
    (
        "an empty completion",
        &[
            r#"{"prompt":"q1","completion":"a","label":true}"#,
            r#"{"prompt":"q2","completion":"b","label":false}"#,
            r#"{"prompt":"q3","completion":"","label":false}"#,
        ],
        "kto",
    ),
    (
        "an answer and a text",
        &[r#"{"instruction":"q1","output":"a1","text":"t"}"#, r#"{"instruction":"q2","output":"","text":"t"}"#],
        "sft",
    ),
    ("prompts alone", &[r#"{"prompt":"q1"}"#, r#"{"prompt":"q2"}"#], "rlaif"),
    ("text alone", &[r#"{"text":"t1"}"#], "pretrain"),
];

#[test]
fn rows_that_have_answers_are_for_training_on_them() {
    for (what, rows, phase) in SUITED {
        let space = Space::new();
        space.write(
            "config/other.yaml",
            "metadata: { phase: sft }\ndatasets: [{ name: a, source: tatsu-lab/alpaca }]\n",
        );
        space.write("data/d.jsonl", rows.join("\n"));
        let found = space.workspace().inspect(&Inspect::of("data/d.jsonl")).unwrap();
        assert_eq!(found.kinds[0].phase, phase, "{what}");
        let add = Add { source: Inspect::of("data/d.jsonl"), to: None, name: None, ratio: None };
        assert_eq!(space.workspace().add(&add).unwrap().kind.phase, phase, "{what}");
    }
}

#[test]
fn whoever_adds_rows_most_of_which_lack_an_answer_has_to_say_what_they_are_for() {
    let space = Space::new();
    space.write("config/other.yaml", "metadata: { phase: sft }\ndatasets: [{ name: a, source: tatsu-lab/alpaca }]\n");
    let open = |number: usize| format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"q{number}\"}}]}}\n");
    let answered = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#;
    space.write("data/d.jsonl", (0..4).map(open).collect::<String>() + answered);
    let mut add = Add { source: Inspect::of("data/d.jsonl"), to: None, name: None, ratio: None };
    let told = space.workspace().add(&add).unwrap_err().to_string();
    assert!(told.contains("1 of 5 could be used as `sft`, and 4 as `rlaif`"), "{told}");
    assert!(!space.path("config/data/posttrain").exists(), "nothing is written");
    add.source.phase = Some("rlaif".to_owned());
    assert_eq!(space.workspace().add(&add).unwrap().kind.samples, 4);
}

#[test]
fn an_answer_that_a_recipe_for_prompts_leaves_out_is_named() {
    let space = Space::new();
    space.write("data/d.jsonl", "{\"instruction\":\"q\",\"output\":\"a\",\"text\":\"q a\"}\n");
    space.write(
        "config/p.yaml",
        "metadata: { phase: rlaif }\ndatasets: [{ name: d, source: data/d.jsonl }]\nvalidation: none\n",
    );
    let report = space.build();
    let unused = &report.recipes[0].summary.as_ref().unwrap().sources[0].unused;
    assert_eq!(unused.iter().collect::<Vec<_>>(), [(&"output".to_owned(), &1)]);
}

#[test]
fn the_converter_neither_sees_nor_is_chosen_by_columns_that_are_ignored() {
    let row = r#"{"instruction":"q","output":"a","system":"s","tools":[{"name":"f"}],"messages":[{"role":"user","content":"m"},{"role":"assistant","content":"n"}]}"#;
    for (more, told) in [
        ("ignore: [instruction, output]", r#""role":"system""#),
        ("ignore: [system, tools, instruction, output]", r#"{"conversations":[{"role":"user","content":"m"}"#),
        ("ignore: [messages, tools]", r#""content":"q"}"#),
    ] {
        let space = space("data/a.jsonl", &[more]);
        space.write("data/a.jsonl", format!("{row}\n"));
        space.build();
        space.assert_settled();
        let text = space.text("dataset/sft_one_train.jsonl");
        assert!(text.contains(told), "{more}: {text}");
        assert_eq!(text.contains("\"tools\":["), !more.contains("tools"), "{more}: {text}");
    }
}

#[test]
fn a_column_that_is_kept_or_ignored_and_not_there_is_named() {
    let row = "{\"instruction\":\"q\",\"output\":\"a\",\"category\":\"c\",\"nested\":{\"x\":1}}\n";
    for (more, told) in [
        ("keep: [catgory]", "no row of `a` has the column `catgory`, which `keep` names (did you mean `category`?)"),
        (
            "ignore: [catgory]",
            "no row of `a` has the column `catgory`, which `ignore` names (did you mean `category`?)",
        ),
        (
            "keep: [nested.x]",
            "no row of `a` has the column `nested.x`, which `keep` names (`keep` keeps whole columns; `columns` reaches into them)",
        ),
        (
            "keep: [nope]",
            "no row of `a` has the column `nope`, which `keep` names (the columns are `instruction`, `output`, `category`, `nested`)",
        ),
        ("keep: [category]", ""),
        ("keep: all", ""),
        ("ignore: [nested.x]", ""),
    ] {
        let space = space("data/a.jsonl", &[more]);
        space.write("data/a.jsonl", row);
        let report = space.build();
        let notes = report.recipes[0].notes.iter().filter(|note| note.about == NoteKind::Columns);
        let notes: Vec<String> =
            notes.map(|note| format!("{} ({})", note.text, note.hint.as_deref().unwrap_or_default())).collect();
        assert_eq!(notes.join("; "), told, "{more}");
    }
    // A column may begin to be there further down.
    let space = space("data/a.jsonl", &["keep: [late]"]);
    let late = row.replace("category", "late");
    space.write("data/a.jsonl", row.repeat(100) + &late);
    let report = space.build();
    let notes: Vec<&str> =
        report.recipes[0].notes.iter().map(|note| &*note.text).filter(|text| text.contains("late")).collect();
    assert_eq!(notes, ["none of the first 100 rows of `a` has the column `late`, which `keep` names"]);
    assert!(space.text("dataset/sft_one_train.jsonl").contains("\"late\":\"c\""));
}
