//! Runs the `console` blocks of Markdown files and compares what is printed.
//!
//! A block holds lines that begin with `$ `, each a command for `sh`, and under each what it prints, stdout and stderr
//! together. A command succeeds unless the next line says `? 2`. The blocks of one file run in order in one workspace, a
//! copy of the project's `config/`, in which `datac` is the binary under test; `export NAME=value` lasts to the end of
//! the file. Durations and digests of source code may differ; `[..]` stands for the rest of a line, `...` for lines.
//! Other blocks (`sh`, `json`, `yaml`) are not run.
//!
//! `SNAPSHOTS=overwrite cargo test --release --test cli` writes into the files what is printed now.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use snapbox::{Assert, IntoData as _, assert::Action};

/// A file, part after part.
enum Part<'t> {
    /// Lines that are only read.
    Text(&'t str),
    /// A command with what it should print and its exit code.
    Command { line: &'t str, expected: String, code: i32 },
}

/// Runs every `console` block of the file at `path`, relative to the project.
pub(crate) fn run(path: &str) {
    let file = project().join(path);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    let workspace = Workspace::new();
    let (mut exported, mut faults, mut written) = (BTreeMap::new(), String::new(), String::new());
    for part in parts(&text) {
        let (line, expected, code) = match part {
            Part::Text(line) => {
                writeln!(written, "{line}").expect("a String");
                continue;
            }
            Part::Command { line, expected, code } => (line, expected, code),
        };
        if let Some((name, value)) = line.strip_prefix("export ").and_then(|export| export.split_once('=')) {
            exported.insert(name.to_owned(), value.to_owned());
        }
        let (printed, exit) = workspace.sh(line, &exported);
        let fault = compare(&workspace, &printed, &expected).err();
        if let Some(fault) = &fault {
            writeln!(faults, "{path}: `{line}` prints something else:\n{fault}").expect("a String");
        }
        if exit != code {
            writeln!(faults, "{path}: `{line}` exits with {exit}, not {code}:\n{printed}").expect("a String");
        }
        writeln!(written, "$ {line}").expect("a String");
        if exit != 0 {
            writeln!(written, "? {exit}").expect("a String");
        }
        written.push_str(if fault.is_some() { &printed } else { &expected });
    }
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        fs::write(&file, written).expect("the file can be written");
    } else {
        assert!(faults.is_empty(), "{faults}\nto take what is printed now: SNAPSHOTS=overwrite");
    }
}

/// Splits a text into commands and the rest.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut in_block) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block && line == "```console";
            parts.push(Part::Text(line));
        } else if !in_block {
            parts.push(Part::Text(line));
        } else if let Some(line) = line.strip_prefix("$ ") {
            parts.push(Part::Command { line, expected: String::new(), code: 0 });
        } else {
            let Some(Part::Command { expected, code, .. }) = parts.last_mut() else {
                panic!("a `console` block begins with `$ `, not `{line}`");
            };
            match line.strip_prefix("? ").and_then(|code| code.parse().ok()) {
                Some(exit) if expected.is_empty() => *code = exit,
                _ => {
                    expected.push_str(line);
                    expected.push('\n');
                }
            }
        }
    }
    parts
}

fn compare(workspace: &Workspace, printed: &str, expected: &str) -> Result<(), String> {
    let plain = |text: &str| workspace.plain(text.trim_end()).into_data();
    // A backslash in what is printed is an escape of JSON, never a path of Windows.
    let assert = Assert::new().action(Action::Verify).normalize_paths(false);
    assert.try_eq(None, plain(printed), plain(expected)).map_err(|error| error.to_string())
}

/// The project's folder.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A copy of the project's recipes to work in.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// A new copy.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = project().join("config");
        for entry in walkdir::WalkDir::new(&config) {
            let entry = entry.expect("recipes can be listed");
            let below = entry.path().strip_prefix(project()).expect("it is below");
            let to = folder.path().join(below);
            let copied =
                if entry.file_type().is_dir() { fs::create_dir_all(to) } else { fs::copy(entry.path(), to).map(drop) };
            copied.expect("recipes can be copied");
        }
        Self { folder }
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a line in the workspace; returns what it prints, as it is printed, and its exit code.
    pub(crate) fn sh(&self, line: &str, exported: &BTreeMap<String, String>) -> (String, i32) {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_datac"));
        let folder = binary.parent().expect("a binary has a folder").display();
        let path = std::env::var("PATH").unwrap_or_default();
        // No terminal, no settings and no token of whoever runs the test.
        let run = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{line}")])
            .current_dir(self.path())
            .env_clear()
            .env("PATH", format!("{folder}:{path}"))
            .env("HOME", self.path())
            .env("SAMPLE", project().join("assets/sample"))
            .envs(exported)
            .output()
            .expect("there is a shell");
        (String::from_utf8_lossy(&run.stdout).into_owned(), run.status.code().unwrap_or(-1))
    }

    /// A text without what differs from run to run or with the code: durations, digests of source, this folder.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(&self.path().display().to_string(), "[CWD]");
        let is_word = |c: char| c.is_alphanumeric() || c == '.';
        let mut plain = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let number = word.starts_with(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok();
            let unit = [" ms", " s"]
                .into_iter()
                .find(|unit| after.strip_prefix(unit).is_some_and(|after| !after.starts_with(is_word)));
            if let (true, Some(unit)) = (number, unit) {
                plain.push_str("[TIME]");
                rest = &after[unit.len()..];
                continue;
            }
            let is_code = word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            plain.push_str(if is_code { "[CODE]" } else { word });
            let skip = after.chars().next().map_or(0, char::len_utf8);
            plain.push_str(&after[..skip]);
            rest = &after[skip..];
        }
        plain
    }
}
