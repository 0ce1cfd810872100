//! A workspace of two small recipes over local files, and the programs that build it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

/// A workspace in a temporary folder.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// Two recipes, `sft/one` over a file and `sft/two` over a folder of files.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("config/sft/one.yaml", recipe("one", "data/one.jsonl"));
        place.write("config/sft/two.yaml", recipe("two", "data/two"));
        place.write("data/one.jsonl", rows("one", 0..40));
        place.write("data/two/a.jsonl", rows("two", 0..40));
        place
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Replaces `from`, which must be there, by `to` in a file.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "`{from}` is not in {path}:\n{text}");
        self.write(path, text.replacen(from, to, 1));
    }

    pub(crate) fn modified(&self, path: &str) -> SystemTime {
        fs::metadata(self.path(path)).unwrap().modified().unwrap()
    }

    /// Moves a file's time into the past: tests need not wait for clocks.
    pub(crate) fn age(&self, path: &str, by: Duration) {
        let then = self.modified(path) - by;
        fs::File::options().write(true).open(self.path(path)).unwrap().set_modified(then).unwrap();
    }

    /// A program that runs in the workspace, with `datac` on its path and none of the settings of whoever runs the test.
    pub(crate) fn command(&self, program: &str) -> Command {
        let folder = Path::new(env!("CARGO_BIN_EXE_datac")).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{folder}:{path}"))
            .env("HOME", self.folder.path())
            .env("DATAC_OFFLINE", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a line of `sh`; returns what it prints. It must succeed.
    pub(crate) fn sh(&self, line: &str) -> String {
        let (printed, code) = self.try_sh(line);
        assert_eq!(code, 0, "{line}\n{printed}");
        printed
    }

    /// Runs a line of `sh`; returns what it prints and its exit code.
    pub(crate) fn try_sh(&self, line: &str) -> (String, i32) {
        text_of(self.command("sh").args(["-c", &format!("exec 2>&1\n{line}")]).output().unwrap())
    }
}

fn text_of(output: Output) -> (String, i32) {
    let printed = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&printed).into_owned(), output.status.code().unwrap_or(-1))
}

/// Whether a program can be run here; says so if not.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: there is no `{program}` here");
    }
    found
}

/// A recipe over one source.
pub(crate) fn recipe(name: &str, source: &str) -> String {
    format!(
        "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: {name}, source: \"{source}\", format: jsonl, mix_ratio: 1.0 }}\n\
         validation: {{ ratio: 0.1, seed: 1 }}\n"
    )
}

/// Rows of the format that `alpaca` reads.
pub(crate) fn rows(name: &str, numbers: std::ops::Range<u32>) -> String {
    let row = |number: u32| {
        format!("{{\"instruction\":\"{name} question {number}\",\"input\":\"\",\"output\":\"answer {number}\"}}\n")
    };
    numbers.map(row).collect()
}
