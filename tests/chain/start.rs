//! A workspace that `datac init` wrote, built by its own Makefile, and what `datac doctor` finds.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    harm::{blobs, truncate},
    place::{Place, has},
};

/// The names and bytes of the files in a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_new_workspace_builds_the_bytes_of_the_repositorys_recipes() {
    let place = Place::new();
    let repository = env!("CARGO_MANIFEST_DIR");
    place.sh("datac init new --quiet && cd new && datac build --hub sample --quiet");
    place.sh(&format!("mkdir own && cp -r {repository}/config own/ && cd own && datac build --hub sample --quiet"));
    let (new, own) = (files(&place.path("new/dataset")), files(&place.path("own/dataset")));
    assert_eq!(new.len(), 16);
    assert_eq!(new, own);
    // What is built is not for version control; the lock is.
    if has("git") {
        let listed = place.sh("cd new && git init -q && git status --porcelain --untracked-files=all");
        assert!(listed.contains("datac.lock") && listed.contains("config/recipe.schema.json"), "{listed}");
        assert!(!listed.contains("cache/") && !listed.contains("dataset/"), "{listed}");
    }
}

#[test]
fn its_makefile_works() {
    if !has("make") {
        return;
    }
    let place = Place::new();
    place.sh("datac init new --quiet");
    let (printed, code) = place.try_sh("make -C new check HUB=sample");
    assert!(code != 0 && printed.contains("datac.lock would change"), "{printed}");
    let printed = place.sh("make -C new -j2 data HUB=sample");
    assert!(printed.contains("8 built") && !printed.contains("warning"), "{printed}");
    place.sh("make -C new check HUB=sample");
    place.edit("new/config/data/posttrain/sft/code.yaml", "seed: 42", "seed: -42");
    let (printed, code) = place.try_sh("make -C new check HUB=sample");
    assert!(code != 0 && printed.contains("error[E0114]"), "{printed}");
}

fn doctor(place: &Place, options: &str) -> (Value, i32) {
    let (printed, code) = place.try_sh(&format!("datac doctor --json {options}"));
    (serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}")), code)
}

/// How something stands, and what was found.
fn finding(report: &Value, name: &str) -> (String, String) {
    let findings = report["findings"].as_array().unwrap();
    let finding =
        findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name}: {report}"));
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    (text("health"), text("text") + " / " + &text("hint"))
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let place = Place::new();
    let (report, code) = doctor(&place, "--hub sample");
    assert_eq!((code, finding(&report, "recipes").0.as_str(), finding(&report, "cache").0.as_str()), (0, "ok", "ok"));
    assert!(!place.path("cache").exists(), "looking leaves nothing behind");

    place.sh("datac build --quiet");
    let (report, _) = doctor(&place, "--hub sample");
    assert!(finding(&report, "record").1.contains("2 recipes built so far"), "{report}");
    assert!(finding(&report, "cache").1.contains("locks work"), "{report}");

    assert!(finding(&report, "blobs").1.contains("all intact"), "{report}");
    blobs(&place.path("cache/v1")).iter().for_each(truncate);
    let (report, code) = doctor(&place, "--hub sample");
    assert!(code == 0 && finding(&report, "blobs").0 == "warn", "{report}");

    place.write("datac.lock", "<<<<<<< ours\nversion: 1\n");
    let (report, code) = doctor(&place, "--hub sample");
    let (health, text) = finding(&report, "lock");
    assert!(code == 1 && health == "fail" && text.contains("conflict"), "{report}");
    fs::remove_file(place.path("datac.lock")).unwrap();

    place.write("config/hub.yaml", "metadata: { phase: sft }\ndatasets: [{ name: a, source: gsm8k }]\n");
    let (report, code) = doctor(&place, "--hub sample");
    assert!(code == 0 && finding(&report, "lock").1.contains("no datac.lock"), "{report}");
    place.sh("datac lock --hub sample --quiet");
    let (report, _) = doctor(&place, "--hub sample");
    assert_eq!(finding(&report, "lock").0, "ok", "{report}");
    let (report, _) = doctor(&place, "--hub .");
    assert!(finding(&report, "lock").1.contains("gsm8k pinned from a different hub"), "{report}");

    place.write("config/hub.yaml", "metadata: { phase: sft }\n");
    let (report, code) = doctor(&place, "--hub sample");
    assert!(code == 1 && finding(&report, "recipes").1.contains("1 of 3"), "{report}");
    fs::remove_file(place.path("config/hub.yaml")).unwrap();

    let (report, code) = doctor(&place, "--hub nowhere");
    assert!(code == 1 && finding(&report, "hub").0 == "fail", "{report}");
    // The workspace of these tests is offline.
    let (report, code) = doctor(&place, "--hub https://hub.invalid");
    assert!(code == 0 && finding(&report, "hub").0 == "skip", "{report}");

    place.write("record", "no folder");
    let (report, code) = doctor(&place, "--hub sample --cache-dir record");
    assert!(code == 1 && finding(&report, "cache").1.contains("is a file"), "{report}");
    let (report, code) = doctor(&place, "--hub sample --output-dir record");
    assert!(code == 1 && finding(&report, "output").1.contains("is a file"), "{report}");
    place.write("cache/v1/record.sqlite", "no database, but long enough to be read as one".repeat(100));
    let (report, code) = doctor(&place, "--hub sample");
    assert!(code == 0 && finding(&report, "record").0 == "warn", "{report}");
}

#[test]
fn the_doctor_sees_files_from_the_future() {
    let place = Place::new();
    let then = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    fs::File::options().write(true).open(place.path("config/sft/one.yaml")).unwrap().set_modified(then).unwrap();
    let (report, code) = doctor(&place, "--hub sample");
    let (health, text) = finding(&report, "clock");
    assert!(code == 0 && health == "warn" && text.contains("config/sft/one.yaml"), "{report}");
}

#[test]
fn the_doctor_works_anywhere_and_never_prints_the_token() {
    let place = Place::new();
    let (printed, code) = place.try_sh("mkdir empty && cd empty && HF_TOKEN=hf_CANARY datac -C . doctor");
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("found in HF_TOKEN") && !printed.contains("CANARY"), "{printed}");
    assert!(printed.contains("datac init"), "{printed}");
    let (printed, _) = place.try_sh("HF_TOKEN='two words' datac doctor --json");
    assert!(printed.contains("not a valid token") && !printed.contains("two words"), "{printed}");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let place = Place::new();
    let help = place.sh("datac help");
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = names
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = place.sh(&format!("datac completions {shell}"));
        for name in &names {
            assert!(text.contains(name), "{shell} completes no {name}");
        }
    }
    assert_eq!(place.try_sh("datac completions tcsh").1, 2);
    let page = place.sh("datac man");
    assert!(page.contains(".TH datac 1"), "{page}");
    place.sh("datac man --out man");
    for name in &names {
        let page = place.read(&format!("man/datac-{name}.1"));
        assert!(page.contains(&format!(".TH datac-{name} 1")) && page.contains("Examples:"), "{page}");
    }
    assert!(place.read("man/datac-log-diff.1").contains("OLD"), "commands below others have pages too");
    if has("man") {
        let shown = place.sh("man -l man/datac-build.1 | cat");
        assert!(shown.contains("datac") && shown.contains("--locked"), "{shown}");
    }
    if has("bash") {
        // What bash offers after `datac val`.
        let line = "datac completions bash > c.sh && bash -c '. ./c.sh; COMP_WORDS=(datac val); COMP_CWORD=1; _datac datac val datac; \
                    echo ${COMPREPLY[@]}'";
        assert_eq!(place.sh(line).trim(), "validate");
    }
}
