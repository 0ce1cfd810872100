//! Sources, outputs and locks that are not what they should be: a clear error with its exit code, and nothing lost.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use datac::{
    event::{Event, JobKind},
    failure::FailureKind,
    stage::Stage,
    system,
    workspace::{BuildOptions, Settings, Workspace},
};

use super::{GENERAL, small};
use crate::space::{Space, assert_same, copy, entry, of, ran, recipe, row, rows};

/// One recipe over one local file.
fn local(text: impl AsRef<[u8]>, more: &str) -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", text);
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], more));
    space
}

#[track_caller]
fn assert_exit(space: &Space, arguments: &[&str], code: i32, words: &[&str]) {
    let ended = space.datac(arguments);
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {told}");
    for word in words {
        assert!(told.contains(word), "`{word}` is not in: {told}");
    }
}

#[test]
fn a_file_where_a_folder_belongs_is_said_with_what_to_do() {
    for place in ["cache", "dataset"] {
        let space = local(rows(0..40, 60), "");
        space.write(place, "mine");
        assert_exit(&space, &["build"], 1, &["create folder", place, "move it, or choose another folder"]);
        assert_eq!(fs::read(space.path(place)).unwrap(), b"mine", "it is left as it is");
    }
}

#[test]
fn a_broken_line_costs_that_line_and_is_found_again() {
    let mut lines: Vec<String> = (0..3000).map(|number| row(number, 60)).collect();
    lines[1234] = "{\"instruction\": \"half a row".into();
    // Blank lines are no rows, yet they are lines.
    lines[2000] = String::new();
    lines[2001] = "[1, 2]".into();
    let space = local(lines.join("\n"), "");
    let report = space.build();
    let summary = of(&report, "sft/one").summary.as_ref().unwrap();
    assert_eq!((summary.rejects, summary.train_rows + summary.validation_rows), (2, 2997));
    let quarantine = space.text("dataset/quarantine/sft_one.jsonl");
    let rejects: Vec<serde_json::Value> = quarantine.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = rejects
        .iter()
        .map(|reject| (reject["line"].as_u64(), reject["row"].as_u64(), reject["raw"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(found, [(Some(1235), Some(1234), lines[1234].clone()), (Some(2002), Some(2000), lines[2001].clone())]);
    let bytes = space.read("data/a.jsonl");
    for reject in &rejects {
        let (offset, raw) = (reject["offset"].as_u64().unwrap() as usize, reject["raw"].as_str().unwrap());
        assert_eq!(&bytes[offset..offset + raw.len()], raw.as_bytes());
        assert_eq!((reject["file"].as_str(), reject["source"].as_str()), (Some("data/a.jsonl"), Some("a")));
    }
    assert_eq!(rejects[0]["reason"], "invalid_json");

    // What stands above moves places, not rows.
    lines.insert(0, row(9999, 60));
    space.write("data/a.jsonl", lines.join("\n"));
    space.build();
    let moved: serde_json::Value =
        serde_json::from_str(space.text("dataset/quarantine/sft_one.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(moved["line"], 1236);
    space.assert_clean();
}

#[test]
fn a_file_that_begins_with_broken_lines_is_still_read() {
    let text = "{\"broken\": \n".repeat(60_000) + &rows(0..500, 20);
    // Nothing but the columns says which converter, and with a limit only the beginning is read at first.
    for limit in ["", "    max_samples: 5\n"] {
        let space = local(&text, "");
        space.edit("config/sft/one.yaml", "mix_ratio: 1.0\n", &format!("mix_ratio: 1.0\n{limit}"));
        let report = space.build();
        let summary = of(&report, "sft/one").summary.as_ref().unwrap();
        assert_eq!((summary.rejects, summary.sources[0].kept), (60_000, if limit.is_empty() { 500 } else { 5 }));
        space.assert_settled();
        space.assert_clean();
    }
}

#[test]
fn too_many_rejects_fail_the_build_and_leave_outputs_alone() {
    let space = local(rows(0..100, 10), "");
    space.build();
    let before = space.outputs();
    let bad = "{\"broken\": \n".repeat(5);
    space.write("data/a.jsonl", rows(0..100, 10) + &bad);
    let text = space.text("config/sft/one.yaml");
    for (limit, allowed) in [("4", "4"), ("0.04", "4%"), ("4%", "4%"), ("0", "0")] {
        space.write("config/sft/one.yaml", format!("{text}max_rejects: {limit}\n"));
        assert_exit(&space, &["build"], 5, &["5 of 105 rows were rejected", &format!("allows {allowed}")]);
        let mut outputs = space.outputs();
        let quarantine = outputs.remove("quarantine/sft_one.jsonl").expect("the rejects are there to be looked at");
        assert_eq!(quarantine.iter().filter(|byte| **byte == b'\n').count(), 5);
        assert_same(&outputs, &before);
    }
    for limit in ["5", "0.05"] {
        space.write("config/sft/one.yaml", format!("{text}max_rejects: {limit}\n"));
        assert_exit(&space, &["build"], 0, &[]);
        space.assert_settled();
    }
}

#[test]
fn every_refused_recipe_shows_its_rejects() {
    let space = local(rows(0..100, 10) + &"{\"broken\": \n".repeat(5), "max_rejects: 4\n");
    let text = space.text("config/sft/one.yaml");
    space.write("config/sft/two.yaml", &text);
    for round in ["first", "deleted", "edited"] {
        assert_exit(&space, &["build"], 5, &["sft/one", "sft/two"]);
        let outputs = space.outputs();
        let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
        assert_eq!(names, ["quarantine/sft_one.jsonl", "quarantine/sft_two.jsonl"], "{round}");
        assert_eq!(outputs[names[0]], outputs[names[1]]);
        match round {
            "first" => space.remove("dataset"),
            _ => space.write("dataset/quarantine/sft_two.jsonl", "something else\n"),
        }
    }
}

#[test]
fn going_back_from_a_refused_recipe_leaves_nothing_of_it() {
    let bad = "{\"broken\": \n";
    for rejects_before in [0, 1] {
        let source = rows(0..100, 10) + &bad.repeat(rejects_before);
        let space = local(&source, "max_rejects: 4\n");
        space.build();
        let before = space.outputs();
        space.write("data/a.jsonl", rows(0..100, 10) + &bad.repeat(5));
        assert_exit(&space, &["build"], 5, &[]);
        space.write("data/a.jsonl", &source);
        let state = space.state("sft/one");
        assert!(state.contains("quarantine/sft_one.jsonl"), "{state}");
        assert_eq!(ran(&space.build()), "");
        assert_same(&space.outputs(), &before);
        space.assert_settled();
    }
    // The recipe alone goes there and back: its text and its source are as they were recorded.
    let space = local(rows(0..100, 10) + &bad.repeat(5), "");
    space.edit("config/sft/one.yaml", "mix_ratio: 1.0", "mix_ratio: 1.0\n    max_samples: 90");
    space.build();
    let (before, text) = (space.outputs(), space.text("config/sft/one.yaml"));
    assert_eq!(before.len(), 2, "the rejects come after the last row that is needed");
    space.write("config/sft/one.yaml", text.replace("    max_samples: 90\n", "") + "max_rejects: 4\n");
    assert_exit(&space, &["build"], 5, &[]);
    space.write("config/sft/one.yaml", &text);
    assert_eq!(ran(&space.build()), "");
    assert_same(&space.outputs(), &before);
    space.assert_settled();
}

#[test]
fn a_source_that_gives_nothing_is_refused_with_reasons() {
    let space = local("", "");
    assert_exit(&space, &["build"], 5, &["`a` has no rows"]);
    space.write("data/a.jsonl", "\n\n  \n");
    assert_exit(&space, &["build"], 5, &["has no rows"]);
    space.edit("config/sft/one.yaml", "mix_ratio: 1.0", "mix_ratio: 1.0\n    converter: alpaca");
    space.write("data/a.jsonl", "{\n{\"instruction\":\"x\",\"input\":\"\",\"output\":\"\"}\n[]\n");
    assert_exit(&space, &["build"], 5, &["are left, of 3 read", "1 empty_output", "invalid_json"]);
    space.write("data/a.jsonl", rows(0..10, 10));
    space.edit(
        "config/sft/one.yaml",
        "mix_ratio: 1.0",
        "mix_ratio: 1.0\n    filters: [{ type: length, min_length: 90000 }]",
    );
    assert_exit(&space, &["build"], 5, &["are left, of 10 read", "`length` kept 0 of 10 rows"]);
    let written: Vec<String> = space.outputs().into_keys().collect();
    assert_eq!(written, ["quarantine/sft_one.jsonl"], "of what was refused, the rejects alone are written");
    space.edit("config/sft/one.yaml", "90000", "1");
    assert_exit(&space, &["build"], 0, &[]);
    space.assert_clean();
}

#[test]
fn one_recipe_that_fails_does_not_keep_the_others() {
    let space = local("", "");
    space.write("data/b.jsonl", rows(0..50, 10));
    space.write("config/sft/two.yaml", recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], ""));
    space.write("config/sft/three.yaml", recipe(&[entry("c", "data/none.jsonl", 1.0, &[])], ""));
    space.write("config/sft/four.yaml", "metadata: { phase: sft }\ndatasets: []\n");
    assert_exit(&space, &["build"], 5, &["sft/one", "data/none.jsonl", "four.yaml"]);
    assert_eq!(space.outputs().len(), 2, "the sound one is built");
    assert_eq!(space.state("sft/two"), "fresh");
}

#[test]
fn an_output_folder_that_cannot_be_written_is_an_error_and_no_loss() {
    let space = small();
    space.write("dataset", "a file where the folder should be");
    assert_exit(&space, &["build"], 1, &["dataset"]);
    assert_eq!(space.text("dataset"), "a file where the folder should be");
    space.remove("dataset");
    let report = space.build();
    assert!(!ran(&report).contains("convert"), "conversions were kept: {}", ran(&report));
    space.remove("dataset/quarantine");
    space.write("dataset/quarantine", "a file where the folder should be");
    assert_exit(&space, &["build"], 1, &["quarantine"]);
    space.remove("dataset/quarantine");
    space.build();
    space.remove("dataset/sft_general_val.jsonl");
    space.write("dataset/sft_general_val.jsonl/inside", "a folder where the file should be");
    assert_exit(&space, &["build"], 1, &["sft_general_val.jsonl"]);
    space.remove("dataset/sft_general_val.jsonl");
    space.build();
    space.assert_clean();
}

#[test]
fn a_cache_that_cannot_be_made_is_an_error() {
    let space = small();
    space.write("cache", "a file where the folder should be");
    assert_exit(&space, &["build"], 1, &["cache"]);
    assert_exit(&space, &["status"], 0, &[]);
}

/// A hub of one repository in a folder.
fn folder_hub() -> Space {
    let mut space = Space::new();
    space.hub = "hub".into();
    space.write("hub/tatsu-lab/alpaca/data/train-00000-of-00001.jsonl", rows(0..200, 12));
    space.write("config/sft/general.yaml", GENERAL);
    space
}

#[test]
fn a_source_replaced_behind_the_lock_is_refused() {
    let space = folder_hub();
    space.build();
    let (before, lock) = (space.outputs(), space.text("datac.lock"));
    space.write("hub/tatsu-lab/alpaca/data/train-00000-of-00001.jsonl", rows(0..201, 12));
    assert_exit(&space, &["build"], 0, &[]);
    assert_same(&space.outputs(), &before);

    space.remove("cache");
    assert_exit(&space, &["build"], 4, &["datac lock --upgrade tatsu-lab/alpaca"]);
    assert_same(&space.outputs(), &before);
    assert_eq!(space.text("datac.lock"), lock);

    assert_exit(&space, &["lock", "--upgrade", "tatsu-lab/alpaca"], 0, &["tatsu-lab/alpaca"]);
    assert_ne!(space.text("datac.lock"), lock);
    assert_exit(&space, &["build"], 0, &[]);
    space.assert_settled();
    space.assert_clean();

    fs::remove_file(space.path("hub/tatsu-lab/alpaca/data/train-00000-of-00001.jsonl")).unwrap();
    space.remove("cache");
    assert_exit(&space, &["build"], 3, &["train-00000-of-00001.jsonl"]);
}

#[test]
fn another_hub_is_resolved_anew_and_never_mixed_in() {
    let mut space = small();
    space.build();
    assert_eq!(space.locked().len(), 2);
    let sample = space.outputs();
    assert!(!space.text("datac.lock").contains("hub: folder"));

    space.write("hub/tatsu-lab/alpaca/data/train-00000-of-00001.jsonl", rows(0..200, 12));
    space.write("hub/Anthropic/hh-rlhf/harmless-base/train.jsonl", {
        let turn =
            |i: u64, end: &str| format!("\\n\\nHuman: question {i} {}\\n\\nAssistant: {end} {i}", row(i, 1).len());
        let pair = |i| format!("{{\"chosen\":\"{}\",\"rejected\":\"{}\"}}\n", turn(i, "good"), turn(i, "bad"));
        (0..50).map(pair).collect::<String>()
    });
    space.hub = "hub".into();
    let reason = space.state("sft/general");
    assert!(reason.contains("hub of tatsu-lab/alpaca sample -> folder"), "{reason}");
    assert_exit(&space, &["build", "--locked"], 4, &["hub of tatsu-lab/alpaca sample -> folder"]);
    assert_same(&space.outputs(), &sample);

    space.edit("config/dpo/safety.yaml", "length, min_length: 30", "length, min_length: 3");
    space.build();
    let told = space.locked();
    assert!(told.len() == 2 && told.iter().all(|text| text.contains("hub folder, before sample")), "{told:?}");
    assert!(!space.text("datac.lock").contains("hub: sample"));
    assert!(space.text("dataset/sft_general_train.jsonl").contains("Question 1:"));
    space.assert_clean();

    space.edit("config/dpo/safety.yaml", "length, min_length: 3", "length, min_length: 30");
    space.hub = "sample".into();
    let report = space.build();
    assert_eq!(ran(&report), "", "the cache has it");
    assert_same(&space.outputs(), &sample);
}

#[test]
fn locks_are_kept_to() {
    let space = small();
    assert_exit(&space, &["build", "--locked"], 4, &["tatsu-lab/alpaca is not in datac.lock", "datac lock"]);
    assert!(!space.path("datac.lock").exists());
    assert_exit(&space, &["lock"], 0, &[]);
    assert_exit(&space, &["build", "--locked"], 0, &[]);
    let lock = space.text("datac.lock");
    space.write("datac.lock", format!("<<<<<<< ours\n{lock}"));
    space.edit("config/sft/general.yaml", "seed: 42", "seed: 1");
    assert_exit(&space, &["build"], 4, &["conflict"]);
    space.write("datac.lock", &lock);
    assert_exit(&space, &["build", "--locked"], 0, &[]);
}

#[test]
fn without_the_network_a_hub_by_url_is_unavailable() {
    let mut space = small();
    space.hub = "http://127.0.0.1:9".into();
    assert_exit(&space, &["build", "--offline"], 3, &["tatsu-lab/alpaca"]);
    assert!(space.outputs().is_empty() && !space.path("datac.lock").exists());
    space.hub = "nowhere".into();
    assert_exit(&space, &["build"], 3, &["nowhere"]);
}

#[test]
fn a_truncated_archive_is_an_error_that_names_it() {
    let space = Space::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(rows(0..2000, 40).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    space.write("data/a.jsonl.gz", &whole[..whole.len() / 2]);
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl.gz", 1.0, &[])], ""));
    assert_exit(&space, &["build"], 1, &["data/a.jsonl.gz"]);
    assert!(space.outputs().is_empty());
    space.write("data/a.jsonl.gz", &whole);
    assert_exit(&space, &["build"], 0, &[]);
    space.assert_clean();
}

#[test]
fn a_source_edited_after_status_is_built_as_it_is_then() {
    let space = local(rows(0..300, 12), "");
    space.build();
    space.write("data/a.jsonl", rows(1..300, 12));
    assert!(space.state("sft/one").starts_with("stale"));
    space.write("data/a.jsonl", rows(2..300, 12));
    space.build();
    space.assert_clean();
    // The same size, within the same tick of the clock.
    for seed in 0..20 {
        space.write("data/a.jsonl", rows(0..300, 12).replace("Question 7:", &format!("Question {}:", seed % 10)));
        space.build();
        space.assert_clean();
    }
}

#[test]
fn a_source_that_changes_while_it_is_read_is_noticed() {
    let space = local(rows(0..9000, 60), "");
    let path = space.path("data/a.jsonl");
    let has_changed = Arc::new(AtomicBool::new(false));
    let flag = has_changed.clone();
    let workspace = Workspace::open(Settings {
        observer: Arc::new(move |event| {
            if matches!(event, Event::Reading { .. }) && !flag.swap(true, Ordering::Relaxed) {
                append(&path, &rows(9000..9001, 60));
            }
        }),
        ..Settings::new(space.root())
    });
    let report = workspace.build(&[], &BuildOptions::default()).unwrap();
    assert!(has_changed.load(Ordering::Relaxed));
    let failure = of(&report, "sft/one").failure.as_ref().expect("it cannot be built from a moving file");
    assert_eq!((failure.kind, failure.message.contains("data/a.jsonl")), (FailureKind::Action, true), "{failure}");
    space.build();
    space.assert_clean();
}

fn append(path: &Path, text: &str) {
    fs::File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn an_edit_between_hashing_and_the_end_of_the_build_is_seen_by_the_next() {
    let space = local(rows(0..300, 12), "");
    let path = space.path("data/a.jsonl");
    let workspace = Workspace::open(Settings {
        observer: Arc::new(move |event| {
            if matches!(event, Event::Finished { kind: JobKind::Stage(Stage::Scan), .. }) {
                // In place, and the same size: only the stamps tell.
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text.replace("Question 7:", "Question 8:")).unwrap();
            }
        }),
        ..Settings::new(space.root())
    });
    workspace.build(&[], &BuildOptions::default()).unwrap();
    assert_ne!(space.state("sft/one"), "fresh");
    space.build();
    space.assert_clean();
}

#[test]
fn a_workspace_without_a_recipe_has_nothing_to_build() {
    let space = Space::new();
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rustfmt.toml")), &space.path("config.toml"));
    for arguments in [&["build"][..], &["build", "--force"], &["build", "x"], &["fetch"], &["status"]] {
        let words: &[&str] =
            if arguments.len() == 2 && arguments[1] == "x" { &["no recipe"] } else { &["no recipes below `config/`"] };
        assert_exit(&space, arguments, 2, words);
        assert!(!system::exists(&space.path("dataset")) && !system::exists(&space.path("cache")), "{arguments:?}");
    }
}
