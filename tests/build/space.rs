//! A workspace in a temporary folder, with what tests do to one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use datac::{
    code::Component,
    event::{Event, JobKind},
    remote::keys::Signing,
    stage::Stage,
    system,
    workspace::{Assessment, BuildOptions, BuildReport, RecipeReport, Settings, State, Workspace, WorkspaceError},
};

use crate::harm::{Blob, blobs};

/// The binary under test.
pub(crate) const DATAC: &str = env!("CARGO_BIN_EXE_datac");

/// Name of an output file to its bytes.
pub(crate) type Outputs = BTreeMap<String, Vec<u8>>;

/// Inode and times of every file.
pub(crate) type Stats = BTreeMap<PathBuf, (u64, i64, i64, i64, i64)>;

/// A workspace of its own.
pub(crate) struct Space {
    folder: tempfile::TempDir,
    pub(crate) hub: String,
    /// The shared cache, if there is one.
    pub(crate) remote: Option<String>,
    /// What results in it are signed with.
    pub(crate) signing: Signing,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Space {
    /// An empty workspace with the sample hub.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, hub: "sample".into(), remote: None, signing: Signing::Nothing, events: Arc::default() }
    }

    /// Another workspace with the same recipes, sources, lock and hub folder, and neither cache nor outputs.
    pub(crate) fn twin(&self) -> Self {
        let mut twin = Self::new();
        twin.hub.clone_from(&self.hub);
        for place in ["config", "data", "hub", "py", "datac.lock"] {
            copy(&self.path(place), &twin.path(place));
        }
        twin
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file in place, making its folder.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        let path = self.path(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap()
    }

    /// Replaces `from`, which must be there, by `to` in a file.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert!(text.contains(from), "`{from}` is not in {path}:\n{text}");
        self.write(path, text.replacen(from, to, 1));
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        Workspace::open(self.settings())
    }

    fn settings(&self) -> Settings {
        let events = self.events.clone();
        Settings {
            hub: Some(self.hub.clone()),
            remote: self.remote.clone(),
            signing: self.signing.clone(),
            observer: Arc::new(move |event| events.lock().unwrap().push(event)),
            ..Settings::new(self.root())
        }
    }

    /// The same workspace for a datac in which the version of a component was raised.
    pub(crate) fn with_raised(&self, component: &Component) -> Workspace {
        let mut settings = self.settings();
        settings.versions.raise(component.clone());
        Workspace::open(settings)
    }

    pub(crate) fn try_build(&self, options: &BuildOptions) -> Result<BuildReport, WorkspaceError> {
        self.workspace().build(&[], options)
    }

    /// Builds everything; every recipe must be built or fresh.
    pub(crate) fn build(&self) -> BuildReport {
        self.build_with(&BuildOptions { detailed: true, ..BuildOptions::default() })
    }

    pub(crate) fn build_with(&self, options: &BuildOptions) -> BuildReport {
        let report = self.try_build(options).unwrap();
        for recipe in &report.recipes {
            assert_eq!(recipe.before.problems, [], "{}", recipe.before.path);
            assert!(recipe.failure.is_none(), "{}: {:?}", recipe.before.path, recipe.failure);
            assert!(recipe.summary.is_some() || !options.detailed, "{}: built without a summary", recipe.before.path);
        }
        report
    }

    pub(crate) fn status(&self) -> Assessment {
        self.workspace().status(&[]).unwrap()
    }

    /// The state of a recipe and why, `stale: validation.seed 42 -> 43`.
    pub(crate) fn state(&self, name: &str) -> String {
        let assessment = self.status();
        let recipe = assessment.recipes.iter().find(|recipe| recipe.name == name);
        let recipe = recipe.unwrap_or_else(|| panic!("no recipe {name}"));
        let reasons: Vec<String> = recipe.reasons.iter().map(ToString::to_string).collect();
        if reasons.is_empty() {
            recipe.state.word().to_owned()
        } else {
            format!("{}: {}", recipe.state.word(), reasons.join("; "))
        }
    }

    /// The output files.
    pub(crate) fn outputs(&self) -> Outputs {
        files(&self.path("dataset"))
            .into_iter()
            .map(|path| {
                let name = path.strip_prefix(self.path("dataset")).unwrap().to_str().unwrap().to_owned();
                (name, fs::read(path).unwrap())
            })
            .collect()
    }

    /// Everything below the workspace that a needless write would change: inode and times of every file.
    pub(crate) fn stats(&self) -> Stats {
        let stat = |path: PathBuf| {
            let meta = fs::metadata(&path).unwrap();
            (path, (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
        };
        files(self.root()).into_iter().map(stat).collect()
    }

    /// The blobs of the cache, sorted.
    pub(crate) fn blobs(&self) -> Vec<Blob> {
        blobs(&self.path("cache/v1"))
    }

    /// Warnings since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let take = |event| if let Event::Warning(text) = event { Some(text) } else { None };
        std::mem::take(&mut *self.events.lock().unwrap()).into_iter().filter_map(take).collect()
    }

    /// What was read since the last call, in order.
    pub(crate) fn scanned(&self) -> Vec<String> {
        let take = |event| {
            if let Event::Started { kind: JobKind::Stage(Stage::Scan), label, .. } = event { Some(label) } else { None }
        };
        std::mem::take(&mut *self.events.lock().unwrap()).into_iter().filter_map(take).collect()
    }

    /// Sources that were pinned since the last call, in words.
    pub(crate) fn locked(&self) -> Vec<String> {
        let take = |event| if let Event::Locked(text) = event { Some(text) } else { None };
        std::mem::take(&mut *self.events.lock().unwrap()).into_iter().filter_map(take).collect()
    }

    /// `datac` in this workspace, in an environment that says nothing to it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(DATAC);
        for name in system::env_names("DATAC_").iter().chain(&system::env_names("HF_")) {
            command.env_remove(name);
        }
        command.arg("-C").arg(self.root()).args(["--hub", &self.hub]).args(arguments);
        command.stdin(std::process::Stdio::null()).env("NO_COLOR", "1");
        command
    }

    pub(crate) fn datac(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Fails unless a clean build of the same state in another folder gives the same bytes.
    pub(crate) fn assert_clean(&self) {
        let twin = self.twin();
        twin.build();
        assert_same(&self.outputs(), &twin.outputs());
    }

    /// Fails unless a build has nothing to do.
    pub(crate) fn assert_settled(&self) {
        let before = self.stats();
        let report = self.build();
        assert_eq!(ran(&report), "", "a second build");
        assert!(report.recipes.iter().all(|recipe| recipe.before.state == State::Fresh), "{:?}", states(&report));
        assert_eq!(changed(&before, &self.stats()), [] as [&Path; 0], "a build with nothing to do writes nothing");
    }
}

/// Fails, naming the file, unless outputs are the same.
#[track_caller]
pub(crate) fn assert_same(ours: &Outputs, theirs: &Outputs) {
    let names = |outputs: &Outputs| outputs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs), "the same files");
    for (name, bytes) in ours {
        assert!(bytes == &theirs[name], "{name} differs");
    }
}

/// The files that came, went or were written.
pub(crate) fn changed<'s>(before: &'s Stats, after: &'s Stats) -> Vec<&'s Path> {
    let all: BTreeMap<_, _> = before.iter().chain(after).collect();
    all.into_keys().filter(|path| before.get(*path) != after.get(*path)).map(PathBuf::as_path).collect()
}

/// The actions that ran, `1 arrange, 1 output`.
pub(crate) fn ran(report: &BuildReport) -> String {
    let mut parts: Vec<(&str, u64)> = report.actions.iter().map(|(stage, count)| (stage.word(), *count)).collect();
    parts.sort_unstable();
    parts.iter().map(|(stage, count)| format!("{count} {stage}")).collect::<Vec<_>>().join(", ")
}

/// How often a kind of action ran.
pub(crate) fn count(report: &BuildReport, kind: &str) -> u64 {
    report.actions.iter().find(|(stage, _)| stage.word() == kind).map_or(0, |(_, count)| *count)
}

/// Name and state of every recipe before the build.
pub(crate) fn states(report: &BuildReport) -> Vec<(&str, &str)> {
    report.recipes.iter().map(|recipe| (recipe.before.name.as_str(), recipe.before.state.word())).collect()
}

/// What became of a recipe.
pub(crate) fn of<'r>(report: &'r BuildReport, name: &str) -> &'r RecipeReport {
    report.recipes.iter().find(|recipe| recipe.before.name == name).unwrap_or_else(|| panic!("no recipe {name}"))
}

/// A `datasets` entry over a local file, with more keys, one a line.
pub(crate) fn entry(name: &str, source: &str, ratio: f64, more: &[&str]) -> String {
    let format = match source.trim_end_matches(".gz").rsplit_once('.') {
        Some((_, "parquet")) => "parquet",
        Some((_, "csv")) => "csv",
        Some((_, "json")) => "json",
        _ => "jsonl",
    };
    let mut text = format!("  - name: {name}\n    source: {source}\n    format: {format}\n    mix_ratio: {ratio:?}\n");
    more.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
    text
}

/// A recipe of `entries`, with more blocks behind them.
pub(crate) fn recipe(entries: &[String], more: &str) -> String {
    format!("metadata: {{ phase: sft }}\ndatasets:\n{}{more}", entries.concat())
}

/// Random numbers that are the same in every run (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

const WORDS: &[&str] = &[
    "river", "stone", "letter", "music", "garden", "winter", "bridge", "market", "silver", "window", "travel", "quiet",
    "number", "answer", "simple", "reason", "people", "morning", "little", "Straße", "naïve", "東京", "because",
    "under",
];

/// A row in the columns of Alpaca, different for every `number`, of about `words` words.
pub(crate) fn row(number: u64, words: usize) -> String {
    let mut dice = Dice(number);
    let mut text = |count: usize| (0..count).map(|_| WORDS[dice.below(WORDS.len())]).collect::<Vec<_>>().join(" ");
    let (instruction, output) = (text(6), text(words));
    format!(
        "{{\"instruction\":\"Question {number}: what about {instruction}?\",\"input\":\"\",\"output\":\"The {output}.\"}}"
    )
}

/// Rows `numbers`, one a line.
pub(crate) fn rows(numbers: std::ops::Range<u64>, words: usize) -> String {
    numbers.map(|number| row(number, words) + "\n").collect()
}

/// All files below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies a file or folder; what is not there is left out.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for file in files(from) {
            let target = to.join(file.strip_prefix(from).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(file, target).unwrap();
        }
    } else if from.exists() {
        fs::copy(from, to).unwrap();
    }
}
