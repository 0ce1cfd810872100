//! The command line as people meet it: help, the scenarios of `tests/cmd/`, and every example of the documentation.
#![expect(
    clippy::disallowed_methods,
    reason = "tests read the project's files, and run programs in a folder of their own"
)]

mod console;

use std::{collections::BTreeSet, fs};

use console::{Workspace, project, run};
use datac::{
    cli::exit,
    config::{self, ConverterWord, Vocabulary},
    convert::CONVERTERS,
    failure::SourceFault,
};

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Help texts and calls that need no workspace.
#[test]
fn help_and_usage() {
    let cases = trycmd::TestCases::new();
    // As in a terminal of 80 columns, and without the settings of whoever runs the test.
    cases.env("COLUMNS", "80").env("HOME", "/nonexistent");
    cases.case("tests/cmd/*.toml");
}

macro_rules! documents {
    ($($name:ident: $path:literal,)*) => {
        $(#[test] fn $name() { run($path); })*

        const RUN: &[&str] = &[$($path),*];
    };
}

documents! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    architecture: "ARCHITECTURE.md",
    recipes: "docs/recipes.md",
    rows: "docs/rows.md",
    sources: "docs/sources.md",
    trainers: "docs/trainers.md",
    models: "docs/models.md",
    card: "docs/card.md",
    compared: "docs/compared.md",
    performance: "docs/performance.md",
    inspect: "docs/inspect.md",
    caching: "docs/caching.md",
    remote_cache: "docs/remote-cache.md",
    releases: "docs/releases.md",
    publish: "docs/publish.md",
    workers: "docs/workers.md",
    make_ninja_ci: "docs/make-ninja-ci.md",
    history: "docs/history.md",
    commands: "docs/commands.md",
    first_use: "docs/first-use.md",
    troubleshooting: "docs/troubleshooting.md",
    selectors: "docs/selectors.md",
    settings: "docs/settings.md",
    watch: "docs/watch.md",
    build: "tests/cmd/build.md",
    cache: "tests/cmd/cache.md",
    clean: "tests/cmd/clean.md",
    fetch: "tests/cmd/fetch.md",
    status: "tests/cmd/status.md",
    why: "tests/cmd/why.md",
    lock: "tests/cmd/lock.md",
    hubs: "tests/cmd/hubs.md",
    errors: "tests/cmd/errors.md",
    shapes: "tests/cmd/shapes.md",
    expect: "tests/cmd/expect.md",
    inspect_and_add: "tests/cmd/inspect.md",
    show: "tests/cmd/show.md",
    stats: "tests/cmd/stats.md",
    trace: "tests/cmd/trace.md",
    blame: "tests/cmd/blame.md",
    validate: "tests/cmd/validate.md",
    explain: "tests/cmd/explain.md",
}

#[test]
fn every_document_is_run() {
    let listed = ["", "docs", "tests/cmd"].iter().flat_map(|folder| {
        let names = fs::read_dir(project().join(folder)).expect("the folder can be listed");
        names.map(move |entry| {
            let name = entry.expect("its entries too").file_name().to_string_lossy().into_owned();
            if folder.is_empty() { name } else { format!("{folder}/{name}") }
        })
    });
    // Python's own tests run what is of Python (`python/tests/test_docs.py`).
    let is_run = |path: &String| RUN.contains(&path.as_str()) || path == "docs/python.md";
    let missing: Vec<String> = listed.filter(|path| path.ends_with(".md") && !is_run(path)).collect();
    assert!(missing.is_empty(), "add to `documents!`: {missing:?}");
}

/// The picture of the eight recipes is the one that `datac graph` draws of them.
#[test]
fn the_picture_in_the_readme_is_drawn_by_datac() {
    let workspace = Workspace::new();
    let sample = [("DATAC_HUB".to_owned(), "sample".to_owned())].into();
    let (printed, code) = workspace.sh("datac build --quiet && datac graph", &sample);
    assert_eq!(code, 0, "{printed}");
    let text = read("README.md");
    let [picture] = blocks(&text, "mermaid")[..] else { panic!("README.md has one picture") };
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        fs::write(project().join("README.md"), text.replacen(picture, &printed, 1)).expect("it can be written");
    } else {
        assert_eq!(picture, printed, "to take what is drawn now: SNAPSHOTS=overwrite");
    }
}

fn vocabulary() -> Vocabulary {
    let word = |converter: &&dyn datac::convert::Converter| ConverterWord {
        name: converter.name().to_owned(),
        kind: converter.kind(),
        options: converter
            .options()
            .iter()
            .map(|option| (option.name.to_owned(), option.values.iter().map(|value| (*value).to_owned()).collect()))
            .collect(),
    };
    Vocabulary { converters: CONVERTERS.iter().map(word).collect(), ..Vocabulary::default() }
}

/// The blocks of a document that begin with the line ` ```info `.
fn blocks<'t>(text: &'t str, info: &str) -> Vec<&'t str> {
    let start = format!("\n```{info}\n");
    let ends = |at: usize| text[at..].find("\n```").map(|length| &text[at..at + length + 1]);
    text.match_indices(&start).filter_map(|(at, _)| ends(at + start.len())).collect()
}

#[test]
fn recipes_in_the_documentation_are_sound() {
    let mut seen = 0;
    for path in RUN {
        for block in blocks(&read(path), "yaml recipe") {
            seen += 1;
            if let Err(problems) = config::load("config/example.yaml", block.as_bytes(), &vocabulary()) {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                panic!("{path}: {}\n{block}", problems.join("\n"));
            }
        }
    }
    assert!(seen > 3, "the examples are found");
}

/// Editors hold recipes to this schema: it must not underline what is sound.
#[test]
fn recipes_are_as_the_printed_schema_says() {
    let (printed, _) = Workspace::new().sh("datac schema recipe", &std::collections::BTreeMap::new());
    assert_eq!(
        printed,
        read("config/recipe.schema.json"),
        "SNAPSHOTS=overwrite cargo test --release --lib init writes it"
    );
    let schema: serde_json::Value = serde_json::from_str(&printed).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let faults = |text: &str| -> Vec<String> {
        let recipe: serde_json::Value = serde_yaml::from_str(text).expect("a recipe is YAML");
        validator.iter_errors(&recipe).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
    };
    let mut seen = 0;
    for entry in walkdir::WalkDir::new(project().join("config")) {
        let path = entry.expect("recipes can be listed").into_path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).expect("a recipe is text");
            assert_eq!(faults(&text), [""; 0], "{}", path.display());
            let line = text.lines().next().expect("it says something");
            let named = line.strip_prefix("# yaml-language-server: $schema=").expect("editors are told of the schema");
            assert!(path.parent().expect("it has a folder").join(named).exists(), "{}", path.display());
            seen += 1;
        }
    }
    for path in RUN {
        for block in blocks(&read(path), "yaml recipe") {
            assert_eq!(faults(block), [""; 0], "{path}: {block}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn every_problem_code_is_documented() {
    let text = read("docs/recipes.md");
    let of_sources = SourceFault::ALL.iter().map(|fault| (fault.code(), fault.meaning()));
    for (code, meaning) in config::CODES.iter().copied().chain(of_sources) {
        let row = format!("| {code} | {meaning} |");
        assert!(text.lines().any(|line| line == row), "`docs/recipes.md` has no row `{row}`");
    }
}

#[test]
fn every_key_is_documented() {
    let (text, source) = (read("docs/recipes.md"), read("crates/core/src/config/check/mod.rs"));
    let lists = source.split("_KEYS: &[&str] = &[").skip(1).map(|rest| rest.split(']').next().unwrap_or_default());
    let keys: BTreeSet<&str> = lists.flat_map(|list| list.split('"').skip(1).step_by(2)).collect();
    assert!(keys.len() > 25, "the keys are found in the source");
    for key in keys {
        assert!(text.contains(&format!("| `{key}` |")), "`docs/recipes.md` has no row for `{key}`");
    }
}

#[test]
fn every_setting_is_documented() {
    let text = read("docs/settings.md");
    for setting in config::SETTINGS {
        let (name, default, about) = (setting.name(), setting.default, setting.explain);
        let row = format!("| `{name}` | `{}` | `{}` | {default} | {about} |", setting.variable, setting.option);
        assert!(text.lines().any(|line| line == row), "`docs/settings.md` has no row `{row}`");
    }
}

#[test]
fn every_exit_code_is_documented() {
    let text = read("README.md");
    let codes = [
        exit::OK,
        exit::FAILED,
        exit::USAGE,
        exit::SOURCE,
        exit::LOCK,
        exit::POLICY,
        exit::CACHE,
        exit::LOCKED,
        exit::BUG,
        exit::INTERRUPTED,
    ];
    for code in codes {
        assert!(text.contains(&format!("\n| {code} | ")), "README.md has no row for exit code {code}");
        let has_page = config::pages().iter().any(|page| page.code == format!("exit-{code}"));
        assert!(has_page || code == exit::OK, "docs/troubleshooting.md has no page for exit code {code}");
    }
}

/// A reader that goes away, such as `head`, is no fault.
#[test]
fn closed_pipes_are_no_errors() {
    let workspace = Workspace::new();
    for line in [
        "datac build --hub sample --json | head -c 1",
        "datac status | head -n 1 2>/dev/null",
        "datac --help | head -n 1",
        "datac status -v --hub sample 2>&1 | true",
        "datac show sft/general --rows 1000000 | head -n 1",
        "datac stats --json | head -c 1",
    ] {
        let (printed, code) = workspace.sh(&format!("set -e; {line}"), &std::collections::BTreeMap::new());
        assert_eq!(code, 0, "{line}: {printed}");
        assert!(!printed.contains("panicked") && !printed.contains("Broken pipe"), "{line}: {printed}");
    }
}

/// Colour is for terminals, or for who asks for it.
#[test]
fn colour_is_only_written_when_asked_for() {
    let workspace = Workspace::new();
    let none = std::collections::BTreeMap::new();
    let (printed, _) = workspace.sh("datac build sft/code --hub sample && datac status", &none);
    assert!(!printed.contains('\x1b'), "{printed}");
    let (printed, _) = workspace.sh("datac status --color always", &none);
    assert!(printed.contains("\x1b[1m"), "{printed}");
}
