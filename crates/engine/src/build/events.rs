//! The lines of `build --events`, which report the progress of a build to other programs.
//!
//! The format is additive: later versions may add events and fields, but do not change the name or meaning of
//! existing ones. Readers should skip what they do not know.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use datac_core::{outputs::FileMeta, stage::Stage};

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

/// Returns the JSON Schema of a line.
pub fn events_schema() -> serde_json::Value {
    schemars::schema_for!(EventLine).to_value()
}
