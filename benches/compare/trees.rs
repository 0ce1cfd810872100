//! Workspaces to measure in.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The project's folder.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// datac on a workspace.
pub(crate) fn datac(workspace: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datac"));
    command.arg("-C").arg(workspace).args(arguments);
    command
}

/// Copies everything below `from` to `to`.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("the folder can be listed");
        let to = to.join(entry.path().strip_prefix(from).expect("it is below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).expect("a folder can be made");
        } else {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}

/// Fresh workspaces, one a call. None is deleted before the end: file systems are slow to hand out again what was given
/// back a moment ago, and that would be measured.
pub(crate) struct Fresh<'f> {
    folder: &'f Path,
    made: std::cell::Cell<u32>,
}

impl<'f> Fresh<'f> {
    /// Workspaces below `folder`.
    pub(crate) fn below(folder: &'f Path) -> Self {
        Self { folder, made: std::cell::Cell::new(0) }
    }

    /// A workspace with the eight recipes.
    pub(crate) fn eight(&self) -> PathBuf {
        let workspace = self.empty();
        copy(&project().join("config"), &workspace.join("config"));
        workspace
    }

    /// An empty folder.
    pub(crate) fn empty(&self) -> PathBuf {
        let number = self.made.get();
        self.made.set(number + 1);
        let workspace = self.folder.join(format!("fresh-{number}"));
        fs::create_dir_all(&workspace).expect("a folder can be made");
        workspace
    }
}

/// `recipes` recipes of one local row each, and the same tree for ninja: as many edges, two outputs each.
pub(crate) fn many(folder: &Path, recipes: usize) {
    let mut ninja = "rule cp\n  command = cat $in > $one && cat $in > $two\n".to_owned();
    fs::create_dir_all(folder.join("data")).expect("a folder can be made");
    fs::create_dir_all(folder.join("out")).expect("a folder can be made");
    for source in 0..20 {
        let rows: String = (0..4)
            .map(|row| format!("{{\"instruction\":\"q{source} {row}\",\"input\":\"\",\"output\":\"a{row}\"}}\n"))
            .collect();
        fs::write(folder.join(format!("data/s{source}.jsonl")), rows).expect("a file can be written");
    }
    for recipe in 0..recipes {
        let source = recipe % 20;
        let config = folder.join(format!("config/p{:03}/sft", recipe / 100));
        fs::create_dir_all(&config).expect("a folder can be made");
        let text = format!(
            "metadata: {{phase: sft}}\ndatasets:\n  - {{name: s, source: data/s{source}.jsonl, format: jsonl, mix_ratio: 1.0}}\n\
             validation: {{ratio: 0.25, seed: {recipe}}}\n"
        );
        let path = config.join(format!("r{recipe}.yaml"));
        fs::write(&path, text).expect("a file can be written");
        let path = path.strip_prefix(folder).expect("it is below").display().to_string();
        writeln!(
            ninja,
            "build out/r{recipe}_a out/r{recipe}_b: cp {path} data/s{source}.jsonl\n  one = out/r{recipe}_a\n  two = \
             out/r{recipe}_b"
        )
        .expect("a String takes every write");
    }
    fs::write(folder.join("build.ninja"), ninja).expect("a file can be written");
}

/// A recipe over one local file.
pub(crate) fn one_source(folder: &Path, source: &str, seed: u32) {
    let config = folder.join("config/sft");
    fs::create_dir_all(&config).expect("a folder can be made");
    let text = format!(
        "metadata: {{phase: sft}}\ndatasets:\n  - name: rows\n    source: {source}\n    format: jsonl\n    converter: alpaca\n    \
         mix_ratio: 1.0\n    filters:\n      - {{type: length, min_length: 10, max_length: 100000}}\n      - {{type: \
         quality, min_score: 0.1}}\nvalidation: {{ratio: 0.1, seed: {seed}}}\n"
    );
    fs::write(config.join("rows.yaml"), text).expect("a file can be written");
}

/// Rows of alpaca's shape and mean length, each another.
pub(crate) fn rows(count: u64) -> String {
    const WORDS: [&str; 16] = [
        "the", "river", "answers", "slowly", "when", "asked", "about", "bread", "or", "why", "so", "many", "birds",
        "return", "in", "spring.",
    ];
    let mut state = 1_u64;
    let mut text = String::new();
    let mut words = |text: &mut String, least: u64, spread: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..least + (state >> 40) % spread {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
            text.push(' ');
        }
    };
    for row in 0..count {
        write!(text, "{{\"instruction\":\"{row}: ").expect("a String takes every write");
        words(&mut text, 4, 16);
        text.push_str("\",\"input\":\"\",\"output\":\"");
        words(&mut text, 8, 90);
        text.push_str("\"}\n");
    }
    text
}
