//! The lines of `build --events`, which report the progress of a build to other programs.
//!
//! The format is additive: later versions may add events and fields, but do not change the name or meaning of
//! existing ones. Readers should skip what they do not know.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Event, JobKind};
use datac_core::{
    outputs::{FileMeta, OutputSet},
    stage::Stage,
};

/// The `schema` of every line. The number changes only when a reader of the old format would be misled.
pub const EVENTS_SCHEMA: &str = "datac.events/1";

/// A line: one JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct EventLine {
    /// `datac.events/1`.
    pub schema: &'static str,
    /// Time since the start of the run, in milliseconds.
    pub at_ms: f64,
    /// The event.
    #[serde(flatten)]
    pub event: BuildEvent,
}

/// An event of a build.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BuildEvent {
    /// The run started. This is the first line.
    RunStarted {
        /// The version of datac.
        datac: &'static str,
        /// Process id.
        pid: u32,
        /// Start time: RFC 3339, UTC.
        started: String,
        /// The selectors of the build; empty for all recipes.
        paths: Vec<String>,
    },
    /// The state of a recipe is known. All these events come before any action starts.
    RecipePlanned {
        /// Path of the recipe.
        recipe: String,
        /// `fresh`, `stale`, `new`, `cached`, `edited`, `invalid` or `orphan`.
        state: &'static str,
        /// Reasons for that state, in words.
        reasons: Vec<String>,
    },
    /// A source was pinned in `datac.lock`.
    Pinned {
        /// The source and the commit, in words.
        text: String,
    },
    /// A file of a source was downloaded.
    Downloaded {
        /// Path of the file.
        path: String,
        /// Size in bytes.
        bytes: u64,
    },
    /// datac waits for another process.
    Waiting {
        /// Description of the other process.
        holder: String,
    },
    /// A warning: something that people should know, but that does not stop the build.
    Warning {
        /// Text of the warning.
        text: String,
    },
    /// An action started.
    ActionStarted {
        /// `scan`, `select`, `arrange`, `output` or `quarantine`; `reread` if known chunks of a file are read again
        /// to be converted or scored; `restore` if files are put in place from the cache.
        kind: &'static str,
        /// Key of the action in the cache; for `restore`, the digest of the training file.
        key: String,
        /// Description of what the action works on.
        label: String,
        /// Paths of the recipes that wait for the action.
        recipes: Vec<String>,
    },
    /// An action ended. Chunks that are converted and scored while their file is read end without a start event.
    ActionFinished {
        /// As in the start event; for chunks, `convert` or `score`.
        kind: &'static str,
        /// As in the start event.
        key: String,
        /// As in the start event.
        label: String,
        /// As in the start event; empty for chunks, which are part of a scan.
        recipes: Vec<String>,
        /// Elapsed time in milliseconds.
        ms: f64,
        /// Number of rows in the result, if counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<u64>,
        /// Size of the result in bytes, if counted; for a scan, the size of the file.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Whether the action succeeded. If not, it failed, was interrupted, or will run again because a cache entry
        /// was gone.
        done: bool,
    },
    /// A file was written, because there was none or its bytes differed.
    OutputWritten {
        /// Path of the file.
        path: String,
        /// Number of rows.
        rows: u64,
        /// Size in bytes.
        bytes: u64,
    },
    /// A file was written from the cache alone: no action of its recipe had to run.
    OutputRestored {
        /// Path of the file.
        path: String,
        /// Number of rows.
        rows: u64,
        /// Size in bytes.
        bytes: u64,
    },
    /// A file of a built recipe already had the right bytes and was not touched.
    OutputUnchanged {
        /// Path of the file.
        path: String,
        /// Number of rows.
        rows: u64,
        /// Size in bytes.
        bytes: u64,
    },
    /// A recipe has been dealt with.
    RecipeFinished {
        /// Path of the recipe.
        recipe: String,
        /// Result for the recipe.
        state: RecipeEnd,
        /// Files of the recipe; empty if it failed or was fresh.
        outputs: Vec<EventOutput>,
        /// Failure that kept the recipe from being built.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// The run ended. This is the last line; if it is missing, the run was killed.
    RunFinished {
        /// The exit code.
        exit: u8,
        /// Number of recipes by result: `built`, `fresh`, `failed`. Empty with `--dry-run` and `--check`.
        counts: BTreeMap<&'static str, u64>,
        /// Number of actions that ran, by stage.
        actions: BTreeMap<Stage, u64>,
        /// Elapsed time in milliseconds.
        ms: f64,
    },
}

/// Result for a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecipeEnd {
    /// Its files are up to date, and work was done for it.
    Built,
    /// Nothing had to be done.
    Fresh,
    /// It could not be built.
    Failed,
}

impl RecipeEnd {
    /// Returns the word that counts use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Fresh => "fresh",
            Self::Failed => "failed",
        }
    }
}

/// A file of a recipe that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventOutput {
    /// Path of the file.
    pub path: String,
    /// Digest, size and number of rows.
    #[serde(flatten)]
    pub meta: FileMeta,
}

/// Puts what an observer is told during a build into the events that other programs are told.
///
/// `run_started` and `run_finished` are not among them: whoever starts the build knows when it begins and ends.
#[derive(Debug, Default)]
pub struct BuildEvents {
    /// Stems of recipes whose files are being restored.
    restoring: BTreeSet<String>,
    /// Paths of files that were written.
    written: HashSet<String>,
    /// Downloaded files with their sizes, because the end of a download is reported twice.
    downloaded: HashSet<(String, u64)>,
    /// Recipes that have finished.
    ended: HashSet<String>,
}

impl BuildEvents {
    /// Returns whether the recipe at `path` has finished.
    pub fn has_ended(&self, path: &str) -> bool {
        self.ended.contains(path)
    }

    /// Returns what is told of an event, in order; nothing of mere progress.
    pub fn tell(&mut self, event: &Event) -> Vec<BuildEvent> {
        vec![match event {
            Event::Planned { recipe, state, reasons } => BuildEvent::RecipePlanned {
                recipe: recipe.clone(),
                state,
                reasons: reasons.iter().map(ToString::to_string).collect(),
            },
            Event::Waiting { holder } => BuildEvent::Waiting { holder: holder.clone() },
            Event::Warning(text) => BuildEvent::Warning { text: text.clone() },
            Event::Locked(text) => BuildEvent::Pinned { text: text.clone() },
            Event::Download { path, done, total }
                if done == total && self.downloaded.insert((path.clone(), *total)) =>
            {
                BuildEvent::Downloaded { path: path.clone(), bytes: *total }
            }
            Event::Started { kind, key, label, recipes } => {
                if *kind == JobKind::Restore {
                    self.restoring.insert(label.clone());
                }
                let (kind, key, label, recipes) = (kind.word(), key.to_string(), label.clone(), recipes.to_vec());
                BuildEvent::ActionStarted { kind, key, label, recipes }
            }
            Event::Finished { kind, key, label, recipes, took, rows, bytes, is_done } => BuildEvent::ActionFinished {
                kind: kind.word(),
                key: key.to_string(),
                label: label.clone(),
                recipes: recipes.to_vec(),
                ms: ms(*took),
                rows: *rows,
                bytes: *bytes,
                done: *is_done,
            },
            Event::Chunk { stage, key, label, took, rows, bytes } => BuildEvent::ActionFinished {
                kind: stage.word(),
                key: key.to_string(),
                label: (*label).to_owned(),
                recipes: Vec::new(),
                ms: ms(*took),
                rows: Some(*rows),
                bytes: Some(*bytes),
                done: true,
            },
            Event::Wrote { path, rows, bytes } => {
                let (rows, bytes) = (*rows, *bytes);
                self.written.insert(path.clone());
                let path = from_here(path);
                match self.restoring.iter().any(|stem| is_of(&path, stem)) {
                    true => BuildEvent::OutputRestored { path, rows, bytes },
                    false => BuildEvent::OutputWritten { path, rows, bytes },
                }
            }
            Event::Ended { recipe, failure, files } => return self.ended(recipe, failure.as_deref(), files),
            _ => return Vec::new(),
        }]
    }

    fn ended(&mut self, recipe: &str, failure: Option<&str>, files: &[(String, FileMeta)]) -> Vec<BuildEvent> {
        self.ended.insert(recipe.to_owned());
        let unchanged = files.iter().filter(|(path, _)| !self.written.contains(path)).map(|(path, file)| {
            BuildEvent::OutputUnchanged { path: from_here(path), rows: file.rows, bytes: file.bytes }
        });
        let output = |(path, file): &(String, FileMeta)| EventOutput { path: from_here(path), meta: *file };
        let finished = BuildEvent::RecipeFinished {
            recipe: recipe.to_owned(),
            state: if failure.is_some() { RecipeEnd::Failed } else { RecipeEnd::Built },
            outputs: files.iter().map(output).collect(),
            failure: failure.map(str::to_owned),
        };
        unchanged.chain([finished]).collect()
    }
}

/// Removes the `./` from a path if the workspace is the current folder.
fn from_here(path: &str) -> String {
    path.strip_prefix("./").unwrap_or(path).to_owned()
}

/// Returns whether a file belongs to the recipe with this stem.
fn is_of(path: &str, stem: &str) -> bool {
    OutputSet::new(stem).has(Path::new(path))
}

/// Converts a duration to milliseconds, rounded to microseconds.
fn ms(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}

/// Returns the JSON Schema of a line.
pub fn events_schema() -> serde_json::Value {
    schemars::schema_for!(EventLine).to_value()
}
