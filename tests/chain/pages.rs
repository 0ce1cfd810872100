//! The examples of `docs/troubleshooting.md` that are no recipes: rows, and lines of a shell.

use datac::config::{Part, pages};

use super::place::Place;

/// Runs an example in a new workspace; returns what is printed, the exit code, and the quarantine file of its rows.
fn run(info: &str, text: &str) -> (String, i32, String) {
    let place = Place::new();
    place.sh("rm -r config && datac init --quiet");
    let mut words = info.split(' ').skip(2);
    // Behind the converter may stand more keys of the dataset entry, and `for` a model.
    let (phase, converter) = (words.next(), words.collect::<Vec<_>>().join(" "));
    let (converter, model) = match converter.split_once(" for ") {
        Some((converter, model)) => (converter.to_owned(), format!("model: {model}\n")),
        None => (converter, String::new()),
    };
    let Some(phase) = phase.filter(|_| !converter.is_empty()) else {
        let (printed, code) = place.try_sh(text);
        return (printed, code, String::new());
    };
    let extension = if info.starts_with("csv") { "csv" } else { "jsonl" };
    if info.starts_with("sh ") {
        place.sh(text);
    } else {
        place.write(&format!("data/own.{extension}"), text);
    }
    place.write(
        "config/own.yaml",
        format!(
            "metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: data/own.{extension}, format: {extension}, \
             converter: {converter} }}\n{model}"
        ),
    );
    let hub = if model.is_empty() { "" } else { " --hub sample" };
    let (printed, code) = place.try_sh(&format!("datac build own{hub}"));
    let rejects = place.path(&format!("dataset/quarantine/{phase}_own.jsonl"));
    (printed, code, std::fs::read_to_string(rejects).unwrap_or_default())
}

pub(crate) fn has_python() -> bool {
    std::process::Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn wrong_files_have_their_code_and_right_ones_none() {
    let (mut lines, mut rows, mut exits) = (0, 0, 0);
    for page in pages() {
        for part in page.parts() {
            let Part::Example(example) = part else { continue };
            let (language, rest) = example.info.split_once(' ').unwrap();
            // Recipes and settings are held to their codes beside the code that reads them.
            if language == "yaml" || language == "toml" {
                continue;
            }
            if example.text.contains("python:") && !has_python() {
                println!("skipped: no python3 for an example of {}", page.code);
                continue;
            }
            let is_wrong = rest.starts_with("wrong");
            let (printed, code, rejects) = run(example.info, example.text);
            if let Some(exit) = page.code.strip_prefix("exit-") {
                exits += 1;
                assert_eq!(code.to_string() == exit, is_wrong, "{}: {code}: {printed}", page.code);
                assert!(is_wrong || code == 0, "{}: {code}: {printed}", page.code);
            } else if rest.contains(' ') {
                rows += 1;
                let reason = format!("\"reason\":\"{}\"", page.code);
                assert_eq!(rejects.contains(&reason), is_wrong, "{}: {printed}{rejects}", page.code);
                assert!(is_wrong || printed.contains("1 built"), "{}: {printed}", page.code);
            } else {
                lines += 1;
                assert_eq!(printed.contains(&format!("[{}]", page.code)), is_wrong, "{}: {printed}", page.code);
                let is_right = printed.contains("ok: ") || printed.contains("1 built");
                assert!(is_wrong || is_right && code == 0, "{}: {printed}", page.code);
            }
        }
    }
    assert!(lines >= 40 && rows >= 30 && exits >= 10, "{lines} of lines, {rows} of rows, {exits} of exit codes");
}
