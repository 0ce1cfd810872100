//! Workspaces to measure in.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use walkdir::WalkDir;

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
    for entry in WalkDir::new(from) {
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
    made: Cell<u32>,
    /// Workspaces of single runs whose files may be in memory still.
    used: RefCell<Vec<PathBuf>>,
}

impl<'f> Fresh<'f> {
    /// Workspaces below `folder`.
    pub(crate) fn below(folder: &'f Path) -> Self {
        Self { folder, made: Cell::default(), used: RefCell::default() }
    }

    /// A workspace with the eight recipes.
    pub(crate) fn eight(&self) -> PathBuf {
        with_eight(self.empty())
    }

    /// The same for one run.
    pub(crate) fn eight_once(&self) -> PathBuf {
        with_eight(self.once())
    }

    /// An empty folder.
    pub(crate) fn empty(&self) -> PathBuf {
        let number = self.made.get();
        self.made.set(number + 1);
        let workspace = self.folder.join(format!("fresh-{number}"));
        fs::create_dir_all(&workspace).expect("a folder can be made");
        workspace
    }

    /// An empty folder for one run. The system lets go of what earlier runs have left in memory: a virtual machine is slow
    /// to come by memory that it never had, and whoever runs when it needs more would seem slow.
    pub(crate) fn once(&self) -> PathBuf {
        let used = self.used.take();
        if !used.is_empty() {
            // What was not written cannot be let go.
            Command::new("sync").status().ok();
        }
        // A file of several names is a source that the next run reads, too.
        let is_own = |entry: &walkdir::DirEntry| entry.metadata().is_ok_and(|meta| meta.is_file() && meta.nlink() == 1);
        for entry in used.iter().flat_map(WalkDir::new).flatten().filter(is_own) {
            if let Ok(file) = fs::File::open(entry.path()) {
                rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).ok();
            }
        }
        let workspace = self.empty();
        self.used.borrow_mut().push(workspace.clone());
        workspace
    }
}

fn with_eight(workspace: PathBuf) -> PathBuf {
    copy(&project().join("config"), &workspace.join("config"));
    workspace
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

/// A recipe over one local file of rows of alpaca's shape.
pub(crate) fn one_source(folder: &Path, source: &str, seed: u32) {
    let filters = "    filters:\n      - {type: length, min_length: 10, max_length: 100000}\n      - {type: quality, \
                   min_score: 0.1}\n";
    recipe(folder, source, &format!("converter: alpaca\n{filters}"), "sft", seed);
}

/// A recipe over one local file of pairs of hh-rlhf's shape.
pub(crate) fn one_source_of_pairs(folder: &Path, source: &str) {
    recipe(folder, source, "converter: hh_rlhf\n", "dpo", 1);
}

fn recipe(folder: &Path, source: &str, more: &str, phase: &str, seed: u32) {
    let config = folder.join("config").join(phase);
    fs::create_dir_all(&config).expect("a folder can be made");
    let text = format!(
        "metadata: {{phase: {phase}}}\ndatasets:\n  - name: rows\n    source: {source}\n    format: jsonl\n    mix_ratio: \
         1.0\n    {more}validation: {{ratio: 0.1, seed: {seed}}}\n"
    );
    fs::write(config.join("rows.yaml"), text).expect("a file can be written");
}

/// Rows of alpaca's shape and mean length, each another.
pub(crate) fn rows(count: u64) -> String {
    let (mut text, mut words) = (String::new(), Words(1));
    for row in 0..count {
        write!(text, "{{\"instruction\":\"{row}: ").expect("a String takes every write");
        words.write(&mut text, 4, 16);
        text.push_str("\",\"input\":\"\",\"output\":\"");
        words.write(&mut text, 8, 90);
        text.push_str("\"}\n");
    }
    text
}

/// Pairs of hh-rlhf's shape and mean length, each another; `mark` stands in every one of them.
pub(crate) fn pairs(count: u64, mark: u64) -> String {
    let (mut text, mut words) = (String::new(), Words(1));
    for pair in 0..count {
        let mut prompt = format!("\\n\\nHuman: {mark}-{pair} ");
        for _ in 0..pair % 4 {
            words.write(&mut prompt, 8, 40);
            prompt.push_str("\\n\\nAssistant: ");
            words.write(&mut prompt, 8, 60);
            prompt.push_str("\\n\\nHuman: ");
        }
        words.write(&mut prompt, 4, 30);
        for (head, tail) in [("{\"chosen\":\"", "\","), ("\"rejected\":\"", "\"}\n")] {
            write!(text, "{head}{prompt}\\n\\nAssistant: ").expect("a String takes every write");
            words.write(&mut text, 8, 70);
            text.push_str(tail);
        }
    }
    text
}

/// Words by a linear congruential generator, which needs no library to be the same everywhere.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// Writes at least `least` words, and fewer than `spread` more.
    fn write(&mut self, text: &mut String, least: u64, spread: u64) {
        const WORDS: [&str; 16] = [
            "the", "river", "answers", "slowly", "when", "asked", "about", "bread", "or", "why", "so", "many", "birds",
            "return", "in", "spring.",
        ];
        for _ in 0..least + (self.next() >> 40) % spread {
            text.push_str(WORDS[(self.next() >> 33) as usize % WORDS.len()]);
            text.push(' ');
        }
    }
}
