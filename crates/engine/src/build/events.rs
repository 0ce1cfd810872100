//! The lines of `build --events`: what happens while a build runs, for programs.
//!
//! Additive: a later datac may add events and fields, and changes neither the name nor the meaning of any; whoever reads
//! them skips what it does not know.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use datac_core::{outputs::FileMeta, stage::Stage};

/// What every line names as its `schema`; the number changes only when a reader of the old one would be misled.
pub const EVENTS_SCHEMA: &str = "datac.events/1";

/// One line: a JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct EventLine {
    /// `datac.events/1`.
    pub schema: &'static str,
    /// Milliseconds since the run began.
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: BuildEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BuildEvent {
    /// The first line.
    RunStarted {
        /// The version of datac.
        datac: &'static str,
        /// The process.
        pid: u32,
        /// When, in RFC 3339 and UTC.
        started: String,
        /// The recipes that were asked for; empty: all.
        paths: Vec<String>,
    },
    /// A recipe was looked at; all are before anything runs.
    RecipePlanned {
        /// The recipe's path.
        recipe: String,
        /// `fresh`, `stale`, `new`, `cached`, `edited`, `invalid` or `orphan`.
        state: &'static str,
        /// Why it is in that state, in words.
        reasons: Vec<String>,
    },
    /// A source was pinned in `datac.lock`.
    Pinned {
        /// Which, and at what, in words.
        text: String,
    },
    /// A file of a source was downloaded.
    Downloaded {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// Another process holds what this one needs; it waits.
    Waiting {
        /// What the other process left about itself.
        holder: String,
    },
    /// Something that people should know and that does not stop the build.
    Warning {
        /// In words.
        text: String,
    },
    /// An action begins.
    ActionStarted {
        /// `scan`, `select`, `arrange`, `output`, `quarantine`; `reread`: known chunks of a file are read again, to be
        /// converted or scored; `restore`: files are put in place from the cache.
        kind: &'static str,
        /// The digest that names it in the cache; of a `restore`, that of the training file.
        key: String,
        /// What it works on.
        label: String,
        /// The paths of the recipes that wait for it.
        recipes: Vec<String>,
    },
    /// An action ended. Chunks that are converted and scored while their file is read end without having begun.
    ActionFinished {
        /// As when it began; of a chunk `convert` or `score`.
        kind: &'static str,
        /// As when it began.
        key: String,
        /// What it worked on.
        label: String,
        /// The paths of the recipes that waited for it; empty for a chunk, which is part of a scan.
        recipes: Vec<String>,
        /// How long it took.
        ms: f64,
        /// Rows that came of it, where it counts them.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<u64>,
        /// Bytes that came of it; of a scan, the size of the file. Where it counts them.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Whether it came to something: if not, it failed, was interrupted, or runs again because a cache entry was gone.
        done: bool,
    },
    /// A file was written, because there was none or one of other bytes.
    OutputWritten {
        /// The file.
        path: String,
        /// Its rows.
        rows: u64,
        /// Its size.
        bytes: u64,
    },
    /// A file was written out of the cache alone: nothing of its recipe had to run for it.
    OutputRestored {
        /// The file.
        path: String,
        /// Its rows.
        rows: u64,
        /// Its size.
        bytes: u64,
    },
    /// A file of a recipe that was built was there with the right bytes, and was not touched.
    OutputUnchanged {
        /// The file.
        path: String,
        /// Its rows.
        rows: u64,
        /// Its size.
        bytes: u64,
    },
    /// A recipe came to its end.
    RecipeFinished {
        /// The recipe's path.
        recipe: String,
        /// What became of it.
        state: RecipeEnd,
        /// Its files; empty if it failed or was fresh.
        outputs: Vec<EventOutput>,
        /// What kept it from being built.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// The last line; without it the run was killed.
    RunFinished {
        /// The exit code.
        exit: u8,
        /// How many recipes came to each end: `built`, `fresh`, `failed`; with `--dry-run` and `--check` none does.
        counts: BTreeMap<&'static str, u64>,
        /// How many actions of each kind ran.
        actions: BTreeMap<Stage, u64>,
        /// How long it took.
        ms: f64,
    },
}

/// What became of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecipeEnd {
    /// Its files are what they should be, and something was done for it.
    Built,
    /// Nothing had to be done.
    Fresh,
    /// It could not be built.
    Failed,
}

impl RecipeEnd {
    /// The word that counts use.
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
    /// The file.
    pub path: String,
    /// What is in it.
    #[serde(flatten)]
    pub meta: FileMeta,
}

/// The JSON Schema of a line.
pub fn events_schema() -> serde_json::Value {
    schemars::schema_for!(EventLine).to_value()
}
