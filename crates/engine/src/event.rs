//! What happens while a command runs, told to whoever shows it: the interface between the engine and its users.

use std::{sync::Arc, time::Duration};

use datac_core::{hash::Digest, outputs::FileMeta, stage::Stage, stale::StaleReason};

/// Something that happened while building, for whoever shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Another process builds in this workspace; this one waits for it.
    Waiting {
        /// What the other process left about itself, such as `pid 4121`.
        holder: String,
    },
    /// Something the user should know that does not stop the build.
    Warning(String),
    /// A source was resolved or re-resolved, in words.
    Locked(String),
    /// Bytes of a download arrived.
    Download {
        /// The file.
        path: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Part of the cache was checked.
    Checked {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A recipe was looked at before anything runs.
    Planned {
        /// Its path.
        recipe: String,
        /// Its state: `fresh`, `stale`.
        state: &'static str,
        /// Why it is in that state.
        reasons: Vec<StaleReason>,
    },
    /// An action begins.
    Started {
        /// What kind of work it is.
        kind: JobKind,
        /// The digest of its manifest; of a restored recipe, of its training file.
        key: Digest,
        /// What it works on.
        label: String,
        /// The paths of the recipes that wait for it.
        recipes: Arc<[String]>,
    },
    /// A file is being read.
    Reading {
        /// What is being read.
        label: String,
        /// Rows so far.
        rows: u64,
    },
    /// An action ended.
    Finished {
        /// What kind of work it is.
        kind: JobKind,
        /// As when it began.
        key: Digest,
        /// What it worked on.
        label: String,
        /// The paths of the recipes that waited for it.
        recipes: Arc<[String]>,
        /// How long it took.
        took: Duration,
        /// Rows that came of it, where it counts them.
        rows: Option<u64>,
        /// Bytes that came of it, or, of a scan, that were read; where it counts them.
        bytes: Option<u64>,
        /// Whether it came to something.
        is_done: bool,
    },
    /// A chunk was converted, or its samples measured, while its file was read.
    Chunk {
        /// What was done with it: converted or scored.
        stage: Stage,
        /// The digest of its manifest.
        key: Digest,
        /// The converter or scorer.
        label: &'static str,
        /// How long it took, with all that was wanted of the chunk.
        took: Duration,
        /// Its samples.
        rows: u64,
        /// The size of what came of it.
        bytes: u64,
    },
    /// A recipe came to its end.
    Ended {
        /// Its path.
        recipe: String,
        /// What kept it from being built.
        failure: Option<String>,
        /// Its files with path, rows, size and digest.
        files: Vec<(String, FileMeta)>,
    },
    /// A file was put in place.
    Wrote {
        /// The file.
        path: String,
        /// Its rows.
        rows: u64,
        /// Its size.
        bytes: u64,
    },
}

/// A kind of work that is told of.
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

/// A function that is told of every event.
pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;
