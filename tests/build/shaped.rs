//! Outputs in the shapes of trainers: what runs for them, what does not fit, and how their rows are found again.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use datac::workspace::BuildOptions;

use crate::space::{Space, assert_same, count, ran};

/// Dialogues, some with calls, some with a weight, which not every trainer has a place for.
fn dialogues() -> String {
    let mut rows = String::new();
    for number in 0..300 {
        let question = format!("{{\"role\":\"user\",\"content\":\"Question {number}?\"}}");
        let answer = match number % 10 {
            3 => format!(
                "{{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{{\"id\":\"a\",\"type\":\"function\",\"function\":\
                 {{\"name\":\"look\",\"arguments\":\"{{\\\"at\\\": {number}}}\"}}}}]}},{{\"role\":\"tool\",\"content\":\"x\",\
                 \"tool_call_id\":\"a\"}},{{\"role\":\"assistant\",\"content\":\"Found {number}.\"}}"
            ),
            7 => format!("{{\"role\":\"assistant\",\"content\":\"No {number}.\",\"weight\":0}}"),
            _ => format!("{{\"role\":\"assistant\",\"content\":\"Answer {number}.\"}}"),
        };
        writeln!(rows, "{{\"messages\":[{question},{answer}]}}").unwrap();
    }
    rows
}

fn with(output: &str) -> String {
    format!(
        "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: chat, source: data/a.jsonl }}\nvalidation: {{ ratio: 0.1, seed: 42 }}\n{output}\n"
    )
}

#[test]
fn a_shape_that_is_added_converts_nothing_and_one_that_goes_takes_its_files_along() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write("config/a.yaml", with(""));
    space.build();
    let native = space.outputs();
    for (output, outputs) in [
        ("output: [native, trl]", 1),
        ("output: [native, trl, {shape: axolotl, shards: 3, container: jsonl.zst, id: true}]", 1),
        ("output: [native, trl, {shape: axolotl, shards: 2}]", 1),
        ("output: [{shape: trl, layout: hub, shards: 2}, llama-factory]", 2),
        ("output: {shape: native, container: parquet}", 1),
        ("output: {shape: messages, container: arrow}", 1),
        ("output: [native]", 0),
    ] {
        space.write("config/a.yaml", with(output));
        let report = space.build();
        assert_eq!(count(&report, "convert") + count(&report, "arrange"), 0, "{output}: {}", ran(&report));
        assert_eq!(count(&report, "output"), outputs, "{output}: {}", ran(&report));
        space.assert_settled();
        space.assert_clean();
    }
    assert_eq!(space.outputs(), native, "native rows are the same with and without other shapes");
}

#[test]
fn edits_of_the_source_reach_every_shape() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write(
        "config/a.yaml",
        with("output: [trl, {shape: llama-factory, id: true}, {shape: swift, shards: 2}, openrlhf]"),
    );
    space.build();
    for (from, to) in [("Answer 5.", "Another answer."), ("Question 8?", "Is it 8?"), ("\"weight\":0", "\"weight\":1")]
    {
        space.edit("data/a.jsonl", from, to);
        space.build();
        space.assert_settled();
        space.assert_clean();
    }
    // A file that was removed or changed by hand comes back from the cache.
    space.remove("dataset/sft_a/trl/train.parquet");
    space.write("dataset/sft_a/swift/swift.args", "mine");
    let report = space.build();
    assert_eq!(report.actions.len(), 0, "{}", ran(&report));
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn what_does_not_fit_is_listed_and_counted_and_nothing_else_is_missing() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write("config/a.yaml", with("output: [native, {shape: trl, container: jsonl, id: true}]"));
    let report = space.build();
    let note = &report.recipes[0].notes.iter().find(|note| note.text.contains("`trl`")).unwrap().text;
    assert_eq!(note, "`trl` has no place for whether a message is trained on (30)");
    let lines = |name: &str| space.text(&format!("dataset/{name}")).lines().map(str::to_owned).collect::<Vec<_>>();
    let (train, val) = (lines("sft_a/trl/train.jsonl"), lines("sft_a/trl/val.jsonl"));
    assert_eq!(train.len() + val.len(), 270);
    let unfit = lines("sft_a/trl/unfit.jsonl");
    assert_eq!(unfit.len(), 30);
    let id = |line: &String| line[7..27].to_owned();
    let ids: BTreeSet<String> = train.iter().chain(&val).chain(&unfit).map(id).collect();
    assert_eq!(ids.len(), 300, "each sample is in a file or listed");
    // The order is that of native rows, less what does not fit.
    let question = |line: &String| line.split("Question ").nth(1).unwrap().split('?').next().unwrap().to_owned();
    let fits = |line: &&String| !line.contains("\"weight\":0");
    let native: Vec<String> = lines("sft_a_train.jsonl").iter().filter(fits).map(question).collect();
    assert_eq!(train.iter().map(question).collect::<Vec<_>>(), native);
    // Every line, and every id, is traced to the row that it was made of.
    let workspace = space.workspace();
    for line in [1, 2, 57, train.len()] {
        let row = &train[line - 1];
        let origin = workspace.outputs().trace("sft_a/trl/train.jsonl", line as u64).unwrap();
        assert_eq!(origin.source.row.to_string(), question(row), "line {line}");
        let identified = workspace.outputs().trace_id(&id(row)).unwrap();
        assert_eq!(identified.rows.iter().map(|row| row.row.to_string()).collect::<Vec<_>>(), [question(row)]);
    }
    let error = workspace.outputs().trace_id("row-1").unwrap_err().to_string();
    assert!(error.contains("is no `id` of a row"), "{error}");
}

#[test]
fn what_does_not_fit_is_told_of_each_shape() {
    let recipe = with("output: [trl, swift, llama-factory, openai, axolotl, nemo-rl]");
    let rows = dialogues().replacen("\"role\":\"user\"", "\"role\":\"user\",\"mood\":\"calm\"", 1);
    let space = Space::new();
    space.write("data/a.jsonl", &rows);
    space.write("config/a.yaml", &recipe);
    space.write("config/b.yaml", &recipe);
    let report = space.build();
    let unfit = |note: &&datac::workspace::Note| note.text.contains("has no place for");
    let texts: Vec<&String> = report.recipes[0].notes.iter().filter(unfit).map(|note| &note.text).collect();
    assert!(texts.len() > 4, "{texts:?}");
    let again = Space::new();
    again.write("data/a.jsonl", &rows);
    again.write("config/a.yaml", &recipe);
    again.write("config/b.yaml", &recipe);
    let output = again.datac(&["build"]);
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for text in texts {
        assert_eq!(told.matches(&format!("note config/a, config/b: {text}")).count(), 1, "{text}: {told}");
    }
    assert!(!told.contains("and alike"), "{told}");
}

#[test]
fn a_recipe_none_of_whose_samples_fit_is_refused() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues().replace("\"role\":\"user\"", "\"role\":\"user\",\"mood\":\"calm\""));
    space.write("config/a.yaml", with("output: openai"));
    let output = space.datac(&["build"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("no sample can be written as `openai`"), "{told}");
    assert!(!space.path("dataset/sft_a/openai/train.jsonl").exists());
}

#[test]
fn a_recipe_one_of_whose_outputs_fails_leaves_them_all_as_they_were() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write("config/a.yaml", with("output: [native, {shape: trl, shards: 3}, openai]"));
    space.build();
    let before = space.outputs();
    let mood = |text: String| text.replace("\"role\":\"user\"", "\"role\":\"user\",\"mood\":\"calm\"");
    space.write("data/a.jsonl", mood(dialogues()).replace("Question 7?", "Question 7000?"));
    for options in [BuildOptions::default(), BuildOptions { force: true, ..BuildOptions::default() }] {
        let report = space.try_build(&options).unwrap();
        let failure = report.recipes[0].failure.clone().expect("no sample fits");
        assert!(failure.message.contains("no sample can be written as `openai`"), "{}", failure.message);
        assert_same(&space.outputs(), &before);
        assert!(!space.state("config/a").contains("edited"), "{}", space.state("config/a"));
    }
    let text = mood(dialogues()).replacen(",\"mood\":\"calm\"", "", 1);
    space.write("data/a.jsonl", text);
    space.build();
    space.assert_clean();
    space.assert_settled();
}

#[test]
fn a_column_that_a_trainer_reads_itself_costs_only_the_rows_that_have_it() {
    let space = Space::new();
    space.write(
        "data/a.jsonl",
        dialogues().replace("\"weight\":0", "\"weight\":1").replacen(
            "{\"messages\"",
            "{\"images\":[\"x.png\"],\"messages\"",
            1,
        ),
    );
    for shape in ["trl", "llama-factory", "swift", "openrlhf"] {
        space.write("config/a.yaml", with(&format!("output: {{shape: {shape}, container: jsonl}}")));
        let report = space.build();
        let note = report.recipes[0].notes.iter().find(|note| note.text.starts_with(&format!("`{shape}`")));
        let note = &note.unwrap_or_else(|| panic!("{shape}: {:?}", report.recipes[0].notes)).text;
        assert!(note.contains("columns of images, videos or sounds (1)"), "{note}");
        let train = space.text(&format!("dataset/sft_a/{shape}/train.jsonl"));
        assert!(train.lines().count() > 200 && !train.contains("x.png"), "{shape}");
        assert!(!train.contains("\"images\""), "{shape}");
    }
}

#[test]
fn a_side_without_rows_has_no_file() {
    let space = Space::new();
    // One prompt is on one side, and on that of the training rows if both sides cannot have one.
    let row = |answer: &str| {
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"Why?\"}},{{\"role\":\"assistant\",\"content\":\"{answer}\"}}]}}\n"
        )
    };
    space.write("data/a.jsonl", row("So.") + &row("Because."));
    space.write("config/a.yaml", with("output: [native, trl]"));
    space.build();
    assert_eq!(space.text("dataset/sft_a_val.jsonl"), "");
    assert!(space.path("dataset/sft_a/trl/train.parquet").exists());
    assert!(!space.path("dataset/sft_a/trl/val.parquet").exists());
    space.assert_settled();
}

#[test]
fn rows_are_measured_and_shown_whatever_they_lie_in() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    for (output, file, rows) in [
        ("{shape: trl, shards: 2}", "trl/train-00000-of-00002.parquet", 270),
        ("{shape: messages, container: arrow}", "messages/train.arrow", 300),
        ("{shape: axolotl, container: jsonl.zst}", "axolotl/train-", 300),
        ("swift", "swift/train.parquet", 300),
        ("llama-factory", "llama-factory/train.jsonl", 270),
    ] {
        space.write("config/a.yaml", with(&format!("output: {output}")));
        space.build();
        let told = |arguments: &[&str]| -> String {
            let ended = space.datac(arguments);
            assert!(ended.status.success(), "{output} {arguments:?}: {ended:?}");
            String::from_utf8(ended.stdout).unwrap()
        };
        let stats: serde_json::Value = serde_json::from_str(&told(&["stats", "--json"])).unwrap();
        let files = stats["recipes"][0]["files"].as_array().unwrap();
        let sum = |key: &str| files.iter().map(|file| file["all"][key].as_u64().unwrap()).sum::<u64>();
        assert_eq!(
            (sum("rows"), files.iter().map(|file| file["unreadable"].as_u64().unwrap()).sum::<u64>()),
            (rows, 0)
        );
        assert!(sum("turns") >= 2 * rows && sum("characters") > 10 * rows, "{stats}");
        // The training rows of a recipe, and any file by its name.
        let name = files.iter().find_map(|it| it["output"].as_str().filter(|name| name.contains(file))).unwrap();
        for target in ["a", &format!("{name}:1"), &format!("dataset/{name}:1")] {
            let row: serde_json::Value = serde_json::from_str(&told(&["show", target, "-n", "1", "--json"])).unwrap();
            assert!(row.to_string().contains("Question "), "{target}: {row}");
        }
    }
    // What changed between two files is told, from whatever they are read.
    space.write("config/a.yaml", with("output: swift"));
    space.build();
    let then = fs::read(space.path("dataset/sft_a/swift/train.parquet")).unwrap();
    space.write("then.parquet", then);
    space.edit("data/a.jsonl", "Answer 5.", "Another answer.");
    space.build();
    let path = |name: &str| space.path(name).display().to_string();
    let ended = space.datac(&["diff", &path("dataset/sft_a/swift/train.parquet"), "--vs", &path("then.parquet")]);
    let told = String::from_utf8(ended.stdout.clone()).unwrap();
    assert!(ended.status.success() && told.contains("Another answer."), "{ended:?}");
}

#[test]
fn what_lies_beside_the_files_of_a_shape_is_named() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write("config/a.yaml", with("output: {shape: trl, shards: 2}"));
    space.build();
    // The record of the build is lost, and so is whose the files are.
    space.remove("cache/v1/record.sqlite");
    space.write("config/a.yaml", with("output: trl"));
    space.write("dataset/sft_a/trl/.datac-killed.part", "half");
    let report = space.build();
    let of_former = |note: &&datac::workspace::Note| note.about == datac::workspace::NoteKind::Former;
    let note = &report.recipes[0].notes.iter().find(of_former).unwrap().text;
    assert!(note.contains("`dataset/sft_a/trl/train-00001-of-00002.parquet`"), "{note}");
    assert!(space.path("dataset/sft_a/trl/train-00001-of-00002.parquet").exists());
    assert!(!space.path("dataset/sft_a/trl/.datac-killed.part").exists());
}

#[test]
fn a_shape_that_is_no_longer_asked_for_leaves_nothing_but_what_is_of_the_user() {
    let space = Space::new();
    space.write("data/a.jsonl", dialogues());
    space.write("config/a.yaml", with("output: [native, {shape: trl, layout: hub}, swift]"));
    space.build();
    space.write("dataset/sft_a/swift/notes.txt", "of the user");
    space.write("config/a.yaml", with(""));
    space.build();
    assert!(!space.path("dataset/sft_a/trl").exists());
    assert_eq!(space.text("dataset/sft_a/swift/notes.txt"), "of the user");
    space.remove("dataset/sft_a/swift/notes.txt");
    let left: Vec<_> = space.outputs().into_keys().collect();
    assert_eq!(left, ["sft_a_train.jsonl", "sft_a_val.jsonl"]);
}

#[test]
fn half_of_a_surrogate_pair_in_a_kept_column_does_not_fit() {
    let space = Space::new();
    let half = dialogues().replacen("{\"messages\"", "{\"note\":\"\\ud800\",\"messages\"", 1);
    space.write("data/a.jsonl", half.replace("\"weight\":0", "\"weight\":1"));
    for container in ["parquet", "arrow", "jsonl"] {
        let output = format!("output: {{shape: messages, container: {container}}}");
        space.write("config/a.yaml", with(&output).replace("a.jsonl }", "a.jsonl, keep: [note] }"));
        let report = space.build();
        let told: Vec<&str> = report.recipes[0].notes.iter().map(|note| note.text.as_str()).collect();
        assert!(
            told.contains(&"`messages` has no place for half of a surrogate pair, which is no text (1)"),
            "{told:?}"
        );
        space.assert_settled();
    }
}

#[test]
fn a_row_has_one_id_and_keeps_that_of_its_source_by_another_name() {
    let space = Space::new();
    space.write("data/a.jsonl", "{\"id\":\"x1\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n");
    let recipe = |entry: &str| {
        format!(
            "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: chat, source: data/a.jsonl, {entry} }}\nvalidation: none\n\
             output: {{ shape: messages, container: jsonl, id: true }}\n"
        )
    };
    let written = || space.text("dataset/sft_a/messages/train.jsonl");
    for (entry, own) in [("keep: all", true), ("keep: { id: source_id }", true), ("keep: [all], ignore: [id]", false)] {
        space.write("config/a.yaml", recipe(entry));
        space.build();
        let row = written();
        assert_eq!((row.matches("\"id\":").count(), row.contains("\"source_id\":\"x1\"")), (1, own), "{entry}: {row}");
        assert!(row.starts_with("{\"id\":\"row-"), "{entry}: {row}");
        space.assert_settled();
    }
    // The columns of a command are known only when it has run.
    space.write("convert.sh", "while read -r line; do echo '{\"user\":\"q\",\"assistant\":\"a\",\"id\":7}'; done");
    space.write("config/a.yaml", recipe("converter: { command: [sh, convert.sh], files: [convert.sh] }"));
    let report = space.try_build(&BuildOptions::default()).unwrap();
    let failure = report.recipes[0].failure.as_ref().unwrap();
    assert!(failure.message.contains("a column `id` beside the `id` of the row"), "{failure:?}");
}
