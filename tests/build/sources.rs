//! Where rows come from and what the bytes of files are: each kind of place and of file is read, or refused by name.

use std::{io::Write, process::Command};

use crate::space::{Space, of, row, rows};

/// A recipe of one source, described by the rest of its dataset entry.
pub(crate) fn one(space: &Space, name: &str, source: &str) {
    let text = format!(
        "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: rows, {source} }}\nvalidation: {{ ratio: 0, seed: 1 }}\n"
    );
    space.write(&format!("config/sft/{name}.yaml"), text);
}

/// The answers that a recipe's training rows have, sorted.
pub(crate) fn answers(space: &Space, name: &str) -> Vec<String> {
    let text = space.text(&format!("dataset/sft_{name}_train.jsonl"));
    let answer = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["conversations"][1]["content"].as_str().unwrap().to_owned()
    };
    let mut answers: Vec<String> = text.lines().map(answer).collect();
    answers.sort();
    answers
}

/// What keeps a recipe from being built, with its hint.
pub(crate) fn refusal(space: &Space, name: &str) -> String {
    let report = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    let recipe = of(&report, &format!("sft/{name}"));
    let failure = recipe.failure.as_ref().unwrap_or_else(|| panic!("{name} was built"));
    format!("{failure}: {}", failure.hint.clone().unwrap_or_default())
}

pub(crate) const AB: &str = "{\"instruction\":\"q1\",\"output\":\"a\"}\n{\"instruction\":\"q2\",\"output\":\"b\"}\n";

#[test]
fn a_path_that_exists_is_that_path() {
    let space = Space::new();
    space.write("data/chat/one.jsonl", AB);
    one(&space, "folder", "source: data/chat");
    one(&space, "file", "source: data/chat/one.jsonl");
    one(&space, "slash", "source: data/chat/");
    space.build();
    for name in ["folder", "file", "slash"] {
        assert_eq!(answers(&space, name), ["a", "b"], "{name}");
    }
    assert!(space.locked().is_empty(), "no hub was asked");
    space.assert_settled();
}

#[test]
fn what_looks_like_a_file_is_never_asked_of_a_hub() {
    let space = Space::new();
    one(&space, "gone", "source: data/gone.jsonl");
    assert!(refusal(&space, "gone").contains("`data/gone.jsonl` does not exist"));
    one(&space, "gone", "source: data/gone.jsonl, revision: v9");
    let problems = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    let problems = &of(&problems, "sft/gone").before.problems;
    assert!(problems[0].message.contains("`revision` is of a repository"), "{problems:?}");
}

#[test]
fn lists_and_patterns_name_several_files() {
    let space = Space::new();
    space.write("data/a.jsonl", "{\"instruction\":\"q\",\"output\":\"a\"}\n");
    space.write("data/b.jsonl", "{\"instruction\":\"q\",\"output\":\"b\"}\n");
    space.write("data/c.csv", "instruction,output\nq,c\n");
    one(&space, "list", "source: [data/b.jsonl, data/c.csv]");
    one(&space, "glob", "source: 'data/*.jsonl'");
    one(&space, "nothing", "source: 'data/*.parquet'");
    let failure = refusal(&space, "nothing");
    assert!(failure.contains("no file matches `data/*.parquet`"), "{failure}");
    assert_eq!(answers(&space, "list"), ["b", "c"]);
    assert_eq!(answers(&space, "glob"), ["a", "b"]);
    space.write("data/d.jsonl", "{\"instruction\":\"q\",\"output\":\"d\"}\n");
    space.remove("config/sft/nothing.yaml");
    space.build();
    assert_eq!(answers(&space, "glob"), ["a", "b", "d"], "a file that comes in is seen");
    space.assert_settled();
}

#[test]
fn json_is_read_in_whichever_layout_it_is() {
    let rows = AB.trim_end().replace('\n', ",");
    let pretty = rows.replace(",\"", ",\n \"").replace("},{", "}\n{");
    for (name, text) in [
        ("array.jsonl", format!("[{rows}]")),
        ("pretty.jsonl", pretty.clone()),
        ("pretty.json", pretty),
        ("shared.jsonl", AB.replace("}\n{", "}{")),
        ("within.json", format!("{{\"version\": 1, \"data\": [{rows}], \"n\": 2}}")),
        ("within.jsonl", format!("{{\n \"instances\": [\n{rows}\n ]\n}}\n")),
        ("lines.json", AB.to_owned()),
    ] {
        let space = Space::new();
        space.write(&format!("data/{name}"), text);
        one(&space, "json", &format!("source: data/{name}"));
        space.build();
        assert_eq!(answers(&space, "json"), ["a", "b"], "{name}");
        // Read again, the chunks are the same.
        space.remove("dataset/sft_json_train.jsonl");
        space.build_with(&datac::workspace::BuildOptions { force: true, ..Default::default() });
        assert_eq!(answers(&space, "json"), ["a", "b"], "{name}");
    }
}

#[test]
fn a_pattern_looks_no_deeper_than_it_leads() {
    let space = Space::new();
    space.write("top.jsonl", AB);
    space.write("data/a/one.jsonl", AB);
    space.write("data/a/b/deep.jsonl", AB);
    // A walk would fail at this loop, and a folder that cannot matter is not looked at for changes either.
    std::os::unix::fs::symlink(space.path("data"), space.path("data/a/b/loop")).unwrap();
    one(&space, "top", "source: '*.jsonl'");
    one(&space, "below", "source: 'data/*/*.jsonl'");
    space.build();
    assert_eq!(answers(&space, "top"), ["a", "b"]);
    assert_eq!(answers(&space, "below"), ["a", "b"]);
    one(&space, "deep", "source: 'data/**/*.jsonl'");
    assert!(refusal(&space, "deep").contains("symbolic links form a loop"));
}

#[test]
fn of_several_lists_one_is_named() {
    let space = Space::new();
    let rows = AB.trim_end().replace('\n', ",");
    space.write("data/two.json", format!("{{\"train\": [{rows}], \"test\": [{rows}]}}"));
    one(&space, "two", "source: data/two.json");
    let failure = refusal(&space, "two");
    assert!(failure.contains("several lists: `train`, `test`") && failure.contains("field: train"), "{failure}");
    one(&space, "two", "source: data/two.json, field: train");
    space.build();
    assert_eq!(answers(&space, "two"), ["a", "b"]);
}

#[test]
fn delimiters_are_found_or_named() {
    for (name, delimiter, more) in
        [("semi", ";", ""), ("tab", "\t", ""), ("pipe", "|", ""), ("colon", ":", ", delimiter: ':'")]
    {
        let space = Space::new();
        space.write("data/d.csv", format!("instruction{delimiter}output\nq1, x{delimiter}a\nq2{delimiter}b\n"));
        one(&space, name, &format!("source: data/d.csv{more}"));
        space.build();
        assert_eq!(answers(&space, name), ["a", "b"], "{name}");
    }
}

#[test]
fn compressed_bytes_are_told_by_themselves() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(AB.as_bytes()).unwrap();
    let space = Space::new();
    space.write("data/plain.jsonl", gzip.finish().unwrap());
    space.write("data/CAPITALS.JSONL", AB);
    // What downloads a file may unpack it and leave its name. It is cut into several chunks, which are read again.
    space.write("data/unpacked.jsonl.gz", rows(0..6000, 80));
    one(&space, "unpacked", "source: data/unpacked.jsonl.gz");
    one(&space, "again", "source: data/unpacked.jsonl.gz, converter: qa");
    one(&space, "gzip", "source: data/plain.jsonl");
    one(&space, "capitals", "source: data/CAPITALS.JSONL");
    space.build();
    assert_eq!(answers(&space, "gzip"), ["a", "b"]);
    assert_eq!(answers(&space, "capitals"), ["a", "b"]);
    assert_eq!((answers(&space, "unpacked").len(), answers(&space, "again").len()), (6000, 6000));
    space.assert_settled();
}

#[test]
fn what_is_no_data_is_refused_by_name() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 7\n";
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(AB.bytes().flat_map(|byte| [byte, 0])).collect();
    for (name, bytes, words) in [
        ("d.jsonl", pointer.as_bytes(), "d.jsonl`: decode the file: it is a Git LFS pointer"),
        ("d.csv", pointer.as_bytes(), "Git LFS pointer"),
        ("d.parquet", pointer.as_bytes(), "git lfs pull"),
        ("d.jsonl", &utf16, "UTF-16LE"),
        ("d.csv", b"instruction,output\ncaf\xe9,a\n", "iconv -f WINDOWS-1252"),
        ("g.csv", b"instruction,output\n\xc4\xe3\xba\xc3,\xca\xc0\xbd\xe7\n", "iconv -f ENCODING"),
        ("d.jsonl", b"PAR1\x15\x04", "format: parquet"),
        ("d.parquet", b"", "d.parquet`: decode the file: it is empty"),
        ("d.jsonl.gz", b"", "it is empty"),
        ("d.jsonl.zst", b"", "it is empty"),
    ] {
        let space = Space::new();
        space.write(&format!("data/{name}"), bytes);
        // One among shards is refused, too.
        space.write(&format!("data/e.{}", name.rsplit('.').next().unwrap()), row(1, 3));
        one(&space, "refused", "source: [data/d.*]".replace("[data/d.*]", &format!("data/{name}")).as_str());
        let failure = refusal(&space, "refused");
        assert!(failure.contains(words), "{name}: {failure}");
    }
    let space = Space::new();
    space.write("data/shards/a.jsonl", AB);
    space.write("data/shards/b.jsonl", pointer);
    one(&space, "shards", "source: data/shards");
    let failure = refusal(&space, "shards");
    assert!(failure.contains("data/shards/b.jsonl") && failure.contains("Git LFS"), "{failure}");
}

#[test]
fn strays_in_a_folder_are_passed_over_and_told() {
    let space = Space::new();
    space.write("data/rows/a.jsonl", AB);
    space.write("data/rows/old/a.jsonl", AB.replace("\"a\"", "\"stale\""));
    space.write("data/rows/logs.jsonl", "{\"step\":1,\"loss\":2.5}\n");
    space.write("data/rows/README.md", "# rows");
    one(&space, "rows", "source: data/rows, format: jsonl");
    space.build();
    assert_eq!(answers(&space, "rows"), ["a", "b"]);
    let told = space.warnings();
    assert!(told.iter().any(|words| words.contains("data/rows/logs.jsonl, data/rows/old/a.jsonl")), "{told:?}");
}

#[test]
fn lines_of_text_are_rows() {
    let space = Space::new();
    space.write("data/book.txt", "one\n\ntwo\n");
    space.write(
        "config/pretrain/text.yaml",
        "metadata: { phase: pretrain }\ndatasets:\n  - { name: book, source: data/book.txt }\nvalidation: { ratio: 0, seed: 1 }\n",
    );
    space.build();
    let text = space.text("dataset/pretrain_text_train.jsonl");
    assert_eq!(text.lines().count(), 2, "the empty line is a reject: {text}");
}

#[test]
fn what_json_lacks_costs_only_who_reads_it() {
    let space = Space::new();
    let rows = "{\"instruction\":\"q1\",\"output\":\"a\",\"score\":NaN}\n\
                {\"instruction\":\"q2\",\"output\":NaN}\n\
                {\"instruction\":\"q3\",\"output\":\"b\",\"scores\":[-Infinity, 1.50],\"raw\":\"\\ud83d\"}\n\
                {\"instruction\":\"q4\",\"output\":\"half \\ud83d\"}\n\
                {\"instruction\":\"q5\",\"output\":\"c\",}\n";
    space.write("data/d.jsonl", rows);
    space.write("data/pretty.json", "{\n \"instruction\": \"q\",\n \"output\": \"a\", \"n\": NaN\n}\n{\n \"instruction\": \"q\",\n \"output\": \"b\"\n}\n");
    one(&space, "dirt", "source: data/d.jsonl");
    one(&space, "kept", "source: data/d.jsonl, keep: [score, scores]");
    one(&space, "pretty", "source: data/pretty.json");
    space.build();
    assert_eq!(answers(&space, "dirt"), ["a", "b"]);
    assert_eq!(answers(&space, "pretty"), ["a", "b"]);
    let quarantine = space.text("dataset/quarantine/sft_dirt.jsonl");
    for said in ["`output` is NaN, not a string", "`output` holds half of a surrogate pair", "trailing comma"] {
        assert!(quarantine.contains(said), "{said}: {quarantine}");
    }
    let kept = space.text("dataset/sft_kept_train.jsonl");
    assert!(kept.contains("\"score\":\"NaN\"") && kept.contains("\"scores\":[\"-Infinity\",1.50]"), "{kept}");
    // What a model sees has no such value; an object of the source is what it is.
    let message = |more: &str| {
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"q\",\"at\":{{\"$date\":NaN}}}},{more}]}}\n")
    };
    let call = |number: &str| {
        message(&format!(
            "{{\"role\":\"assistant\",\"tool_calls\":[{{\"id\":\"c\",\"function\":{{\"name\":\"f\",\"arguments\":{{\"x\":{number}}}}}}}]}}"
        ))
    };
    let rows = [message("{\"role\":\"assistant\",\"content\":\"a\"}"), call("1"), call("NaN")].concat();
    space.write("data/m.jsonl", rows);
    one(&space, "calls", "source: data/m.jsonl");
    space.build();
    let calls = space.text("dataset/sft_calls_train.jsonl");
    assert_eq!(calls.matches("\"at\":{\"$date\":\"NaN\"}").count(), 2, "{calls}");
    let quarantine = space.text("dataset/quarantine/sft_calls.jsonl");
    assert!(quarantine.contains("`messages[1].tool_calls[0]` holds a float that is no number"), "{quarantine}");
}

#[test]
fn a_first_row_that_is_too_long_hides_no_others() {
    let space = Space::new();
    let long = "long, [{ ".repeat(17 << 17);
    let row = |answer: &str| format!("{{\"instruction\":\"q\",\"output\":\"{answer}\"}}");
    space.write("data/a.jsonl", format!("{}\n{}\n{}\n", row(&long), row("a"), row("b")));
    space.write("data/b.json", format!("[{},\n{}\n,{}]", row(&long), row("a"), row("b")));
    space.write("data/c.csv", format!("instruction,output\nq,\"{long}\"\nq,a\nq,b\n"));
    for (name, file, raw) in [
        ("a", "a.jsonl", "{\"instruction\":\"q\",\"output\":\"long, [{ long"),
        ("b", "b.json", "{\"instruction\":\"q\",\"output\":\"long, [{ long"),
        ("c", "c.csv", "q,\"long, [{ long"),
    ] {
        one(&space, name, &format!("source: data/{file}"));
        space.build();
        assert_eq!(answers(&space, name), ["a", "b"], "{file}");
        let rejected: serde_json::Value =
            serde_json::from_str(space.text(&format!("dataset/quarantine/sft_{name}.jsonl")).trim()).unwrap();
        assert_eq!(rejected["reason"].as_str(), Some("row_too_long"));
        let kept = rejected["raw"].as_str().unwrap();
        assert!(kept.starts_with(raw), "{file}: {kept}");
    }
}

#[test]
fn a_command_that_goes_wrong_is_stopped_and_the_row_is_named() {
    for (name, command, said) in [
        ("endless", "[sh, -c, 'while true; do echo {}; done']", "it wrote more than 2 lines for 2 rows"),
        ("wide", "[sh, -c, 'tr -d \"\\n\" < /dev/zero']", "stopped at `data/d.jsonl` row 0 (line 1)"),
        (
            "second",
            "[sh, -c, 'read a; echo {}; echo no such key >&2; exit 3']",
            "after 1 of 2 rows, at `data/d.jsonl` row 1 (line 3): no such key",
        ),
        ("short", "[sh, -c, 'read a; echo {}']", "it wrote 1 lines for the 2 rows from `data/d.jsonl` row 0"),
        ("bytes", "[sh, -c, 'echo {}; printf \"\\377\\n\"']", "not UTF-8 for `data/d.jsonl` row 1"),
    ] {
        let space = Space::new();
        space.write("data/d.jsonl", "{\"a\":1}\n\n{\"a\":2}\n");
        one(&space, name, &format!("source: data/d.jsonl, converter: {{ command: {command} }}"));
        let failure = refusal(&space, name);
        assert!(failure.contains(said), "{name}: {failure}");
    }
}

#[test]
fn rows_of_which_a_command_makes_nothing_are_counted() {
    let space = Space::new();
    let rows: String = (0..20).map(|n| format!("{{\"user\":\"{n}?\",\"assistant\":\"{n}.\"}}\n")).collect();
    space.write("data/a.jsonl", rows);
    one(&space, "a", "source: data/a.jsonl, converter: { command: [sed, 's/.*1[0-9][?].*/[]/'] }");
    let report = space.build();
    let notes: Vec<&str> = report.recipes[0].notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, ["no sample is made of 10 of 20 rows of `rows`"]);
    assert!(!space.path("dataset/quarantine/sft_a.jsonl").exists(), "they are no rejects");
    // Where nothing is made of any row, the error says so.
    one(&space, "a", "source: data/a.jsonl, converter: { command: [sed, 's/.*/[]/'] }");
    let failure = refusal(&space, "a");
    assert!(failure.contains("no rows of `rows` are left, of 20 read (20 without a sample)"), "{failure}");
    assert!(failure.contains("no row makes a sample"), "{failure}");
}

#[test]
fn a_command_that_fails_fails_its_own_recipes_alone() {
    let space = Space::new();
    let rows: String =
        (0..3000).map(|n| format!("{{\"instruction\":\"q{n} {}\",\"output\":\"a{n}\"}}\n", "x".repeat(400))).collect();
    space.write("data/d.jsonl", &rows);
    space.write("data/copy.jsonl", &rows);
    let bad = "converter: { command: ['false'] }";
    one(&space, "bad", &format!("source: data/d.jsonl, {bad}"));
    one(&space, "good", "source: data/d.jsonl");
    one(&space, "copy", "source: data/copy.jsonl");
    one(&space, "few", "source: data/d.jsonl, max_samples: 10");
    let failed = |report: &datac::workspace::BuildReport| -> Vec<String> {
        report
            .recipes
            .iter()
            .filter(|recipe| recipe.failure.is_some())
            .map(|recipe| recipe.before.name.clone())
            .collect()
    };
    let report = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    assert_eq!(failed(&report), ["sft/bad"]);
    assert_eq!((answers(&space, "good").len(), answers(&space, "copy").len()), (3000, 3000));
    assert_eq!(answers(&space, "few").len(), 10);
    // Chunks that are known are read again for a new recipe, and again only that one fails.
    one(&space, "worse", &format!("source: data/d.jsonl, filters: [{{ type: length, min_length: 1 }}], {bad}"));
    one(&space, "other", "source: data/d.jsonl, filters: [{ type: length, min_length: 1 }]");
    let report = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    assert_eq!(failed(&report), ["sft/bad", "sft/worse"]);
    assert_eq!(answers(&space, "other").len(), 3000);
    // Once the command works, only what was left is made.
    one(
        &space,
        "bad",
        "source: data/d.jsonl, converter: { command: [sed, 's/instruction/user/; s/output/assistant/'] }",
    );
    let report = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    assert_eq!(failed(&report), ["sft/worse"]);
    assert_eq!(answers(&space, "bad").len(), 3000);
}

#[test]
fn a_file_that_cannot_be_read_is_named_as_each_recipe_calls_it() {
    let space = Space::new();
    space.write("data/a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    space.write("data/b.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain("{\"a\":\"b\"}\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    space.write("data/c.jsonl", &utf16);
    space.write("data/d.jsonl", &utf16);
    space.write("data/e.jsonl", AB);
    space.write("data/f.jsonl", AB);
    for name in ["a", "b", "c", "d"] {
        one(&space, name, &format!("source: data/{name}.jsonl"));
    }
    for name in ["e", "f"] {
        one(&space, name, &format!("source: data/{name}.jsonl, converter: {{ command: ['false'] }}"));
    }
    let report = space.try_build(&datac::workspace::BuildOptions::default()).unwrap();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let failure = of(&report, &format!("sft/{name}")).failure.clone().unwrap();
        let said = format!("{failure}: {}", failure.hint.as_deref().unwrap_or_default());
        let files: Vec<&str> = said.match_indices(".jsonl").map(|(at, _)| &said[at - 6..at + 6]).collect();
        let own = format!("data/{name}.jsonl");
        assert!(!files.is_empty() && files.iter().all(|file| *file == own), "{name}: {said}");
    }
}

#[test]
fn what_a_stopped_command_started_is_stopped_with_it() {
    let space = Space::new();
    space.write("data/d.jsonl", "{\"a\":1}\n");
    assert!(Command::new("mkfifo").arg(space.path("open")).status().unwrap().success());
    // What the command starts holds its pipes, and the named one, for as long as it lives.
    let command = "[sh, -c, 'exec 3> open; sleep 600 & while true; do echo {}; done']";
    one(&space, "left", &format!("source: data/d.jsonl, converter: {{ command: {command} }}"));
    let (ended, has_ended) = std::sync::mpsc::channel();
    let path = space.path("open");
    std::thread::spawn(move || ended.send(std::fs::read(path).is_ok()));
    let failure = refusal(&space, "left");
    assert!(failure.contains("it wrote more than 1 lines for 1 rows"), "{failure}");
    let is_closed = has_ended.recv_timeout(std::time::Duration::from_secs(60));
    assert_eq!(is_closed, Ok(true), "what holds the pipe still runs");
}

#[test]
fn inspect_reads_files_as_their_card_says() {
    let mut space = Space::new();
    space.hub = "hub".into();
    space.write("hub/org/colons/a.csv", "instruction:output\nq1:a\nq2:b\n");
    let card = "---\nconfigs:\n- config_name: default\n  data_files: a.csv\n  sep: ':'\n---\n";
    space.write("hub/org/colons/README.md", card);
    let output = space.datac(&["inspect", "org/colons"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("output") && !said.contains("instruction:output"), "{said}");
}

#[test]
fn numbered_files_of_which_some_are_missing_are_warned_of() {
    let space = Space::new();
    for number in [0, 2] {
        space.write(&format!("data/s/train-{number:05}-of-00003.jsonl"), row(number, 10) + "\n");
    }
    let told = "`data/s`: by the names of its files, some are missing: data/s/train-00001-of-00003";
    for (source, warnings) in [("data/s/", &[told][..]), ("data/s/train-00000-of-00003.jsonl", &[])] {
        one(&space, "one", &format!("source: {source}"));
        space.build();
        assert_eq!(space.warnings(), warnings, "{source}");
    }
}

#[cfg(not(feature = "bucket"))]
#[test]
fn a_source_in_a_bucket_is_refused_where_the_recipe_names_it() {
    let space = Space::new();
    one(&space, "one", "source: 's3://team/chats/*.jsonl'");
    for arguments in [&["build"][..], &["build", "--locked"], &["lock"], &["inspect", "s3://team/chats"]] {
        let output = space.datac(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("built without the `bucket` feature") && said.contains("--features bucket"), "{said}");
        if arguments[0] == "build" {
            assert!(said.contains("E0223") && said.contains("config/sft/one.yaml:3:"), "{said}");
        }
    }
}
