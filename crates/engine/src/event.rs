//! The events of a running command: the interface between the engine and whatever displays its progress.

use std::{sync::Arc, time::Duration};

use datac_core::{hash::Digest, outputs::FileMeta, stage::Stage, stale::StaleReason};

/// Something that happened while a command ran.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Another process builds in this workspace, and this one waits for it.
    Waiting {
        /// Description of the other process, such as `pid 4121`.
        holder: String,
    },
    /// A warning: something that the user should know, but that does not stop the build.
    Warning(String),
    /// A source was pinned, described in words.
    Locked(String),
    /// Bytes of a download arrived.
    Download {
        /// Path of the file.
        path: String,
        /// Bytes received so far.
        done: u64,
        /// Total size in bytes.
        total: u64,
    },
    /// Bytes of a file were sent to where others read it.
    Upload {
        /// Path of the file.
        path: String,
        /// Bytes sent so far.
        done: u64,
        /// Total size in bytes.
        total: u64,
    },
    /// Part of the cache was checked.
    Checked {
        /// Bytes checked so far.
        done: u64,
        /// Total size in bytes.
        total: u64,
    },
    /// The state of a recipe is known. All these events come before any action starts.
    Planned {
        /// Path of the recipe.
        recipe: String,
        /// State of the recipe, such as `fresh` or `stale`.
        state: &'static str,
        /// Reasons for that state.
        reasons: Vec<StaleReason>,
    },
    /// An action started.
    Started {
        /// Kind of work.
        kind: JobKind,
        /// Digest of the action's key; for a restored recipe, of its training file.
        key: Digest,
        /// Description of what the action works on.
        label: String,
        /// Paths of the recipes that wait for it.
        recipes: Arc<[String]>,
    },
    /// A file is to be read: its turn comes later.
    ToRead {
        /// What is to be read.
        label: String,
        /// Its size.
        bytes: u64,
    },
    /// A file is being read.
    Reading {
        /// Description of the file.
        label: String,
        /// Rows read so far.
        rows: u64,
        /// Bytes of the file so far; 0 if nobody knows.
        bytes: u64,
    },
    /// An output is being written.
    Writing {
        /// Which output.
        label: String,
        /// Rows so far.
        rows: u64,
        /// Rows in all.
        of: u64,
        /// Bytes so far.
        bytes: u64,
    },
    /// An action ended.
    Finished {
        /// Kind of work.
        kind: JobKind,
        /// As in the start event.
        key: Digest,
        /// As in the start event.
        label: String,
        /// Paths of the recipes that waited for it.
        recipes: Arc<[String]>,
        /// Elapsed time.
        took: Duration,
        /// Number of rows in the result, if counted.
        rows: Option<u64>,
        /// Size of the result in bytes, or, for a scan, of what was read; if counted.
        bytes: Option<u64>,
        /// Whether the action succeeded.
        is_done: bool,
    },
    /// A chunk was converted, or its samples scored, while its file was read.
    Chunk {
        /// [`Stage::Convert`] or [`Stage::Score`].
        stage: Stage,
        /// Digest of the action's key.
        key: Digest,
        /// Name of the converter or scorer.
        label: &'static str,
        /// Elapsed time for everything that was done with the chunk.
        took: Duration,
        /// Number of samples.
        rows: u64,
        /// Size of the result in bytes.
        bytes: u64,
    },
    /// A recipe has been dealt with.
    Ended {
        /// Path of the recipe.
        recipe: String,
        /// Failure that kept the recipe from being built.
        failure: Option<String>,
        /// Paths of its files, with their digests, sizes and numbers of rows.
        files: Vec<(String, FileMeta)>,
    },
    /// A file was put in place.
    Wrote {
        /// Path of the file.
        path: String,
        /// Number of rows.
        rows: u64,
        /// Size in bytes.
        bytes: u64,
    },
}

/// A kind of work that events report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// An action of a stage.
    Stage(Stage),
    /// Known chunks of a file are read again, to be converted or scored.
    Reread,
    /// Files are put in place from the cache.
    Restore,
}

impl JobKind {
    /// Returns the word that is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.word(),
            Self::Reread => "reread",
            Self::Restore => "restore",
        }
    }
}

/// A function that receives every event.
pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;
