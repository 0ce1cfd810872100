//! What every action is given to work with, and the ways it can end.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{former::FindFormer, indexes::Indexes, memory::Memory, scan::Chunks};
use crate::{
    artifact::{Miss, MissReason, Record, Store},
    decode::Input,
    event::{Event, Observer},
    failure::{Failure, FailureKind},
    graph::{FileOrigin, Outcome, ScanOutcome, SourceFile},
    id::ActionKey,
    materialise::Budget,
    source::{Bytes, Hub, SourceError},
    system::{self, FileError, Stat},
};

/// What every action is given to work with.
pub(crate) struct Context {
    /// The blobs.
    pub(crate) store: Store,
    /// The indexes among them.
    pub(crate) indexes: Indexes,
    /// The record of actions.
    pub(crate) record: Arc<Record>,
    /// Where snapshots come from; `None`: all sources are local.
    pub(crate) hub: Option<Arc<dyn Hub>>,
    /// The workspace.
    pub(crate) root: PathBuf,
    /// Where outputs go.
    pub(crate) output_dir: PathBuf,
    /// Where files too large for memory are sorted.
    pub(crate) scratch: PathBuf,
    /// Told of everything.
    pub(crate) observer: Observer,
    /// Set when the user wants to stop.
    pub(crate) interrupt: Arc<AtomicBool>,
    /// Bytes that actions may hold together beyond their chunks in flight.
    pub(crate) memory: Budget,
    /// Files of which enough has been read for now, to go on with should more be needed.
    pub(crate) parked: Mutex<HashMap<ActionKey, (Chunks, ScanOutcome)>>,
    /// The stats of local files when they were hashed.
    pub(crate) local_stats: HashMap<String, Stat>,
    /// Finds the build that wrote a file of these bytes.
    pub(crate) former: Arc<FindFormer>,
    /// What is known of actions that ran before.
    pub(crate) known: Arc<Memory>,
}

/// How an action can end without an outcome.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A blob it needs is not to be had: whatever made it must run again.
    Missing(Miss),
    /// It cannot be done.
    Failure(Failure),
    /// The user wants to stop.
    Interrupted,
}

impl From<Miss> for Stop {
    fn from(miss: Miss) -> Self {
        Self::Missing(miss)
    }
}

impl From<FileError> for Stop {
    fn from(error: FileError) -> Self {
        Self::Failure(file_failure(&error))
    }
}

/// A file error as a failure, with what to do about it.
pub(crate) fn file_failure(error: &FileError) -> Failure {
    let failure = Failure::new(FailureKind::Action, error.to_string());
    match error.source.kind() {
        ErrorKind::StorageFull => failure.hint(FREE_SOME_SPACE),
        ErrorKind::PermissionDenied => failure.hint("check the permissions of the folder"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists if error.verb == "create folder" => failure.hint(
            "a file is in the place of a folder: move it, or choose another folder (`--cache-dir`, `--output-dir`)",
        ),
        _ => failure,
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Failure(failure_of(&error))
    }
}

/// What to do about a full disk.
pub(crate) const FREE_SOME_SPACE: &str = "free some space and build again; finished steps are kept";

/// A source error as a failure, with what to do about it.
pub(crate) fn failure_of(error: &SourceError) -> Failure {
    let kind = match error {
        SourceError::Changed { .. } => FailureKind::Lock,
        SourceError::Layout { .. } | SourceError::BadHub { .. } => FailureKind::Config,
        SourceError::File(_) => FailureKind::Action,
        _ => FailureKind::Source,
    };
    let failure = match error {
        SourceError::Layout { reason } => Failure::plain(kind, reason.clone()),
        _ => Failure::new(kind, error),
    };
    match error {
        SourceError::NoRepo { .. } | SourceError::NoRepoOrPrivate { .. } => {
            failure.hint("check the name; for a private dataset set HF_TOKEN")
        }
        SourceError::Gated { repo } => {
            failure.hint(format!("request access on the page of `{repo}`, and set HF_TOKEN to a token with access"))
        }
        SourceError::BadToken { .. } => failure.hint("set HF_TOKEN to a valid token, or unset it for public datasets"),
        SourceError::Unavailable { .. } => failure.hint("try again, or use `--offline` with downloaded files"),
        SourceError::Offline { .. } => failure.hint("run `datac fetch` once with network access"),
        SourceError::Changed { repo, .. } => failure
            .hint(format!("run `datac lock --upgrade {repo}` to accept the new contents, or restore the old ones")),
        _ => failure,
    }
}

impl Context {
    /// Fails if the user wants to stop.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.interrupt.load(Ordering::Relaxed) { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// Tells the observer.
    pub(crate) fn tell(&self, event: Event) {
        (self.observer)(event);
    }

    /// What an action yielded before, if its blobs are still there.
    pub(crate) fn lookup(&self, key: &ActionKey) -> Option<Outcome> {
        self.known.lookup(key)
    }

    /// Opens a source file; what is read has been checked against its digest.
    pub(crate) fn open(&self, file: &SourceFile) -> Result<(Input, Guard), Stop> {
        let FileOrigin::Hub { repo, commit } = &file.origin else {
            let path = self.root.join(&file.path);
            let opened = system::open(&path)?;
            let stat = system::stat_file(&opened, &path)?;
            let hashed = self.local_stats.get(&file.path).copied();
            let guard =
                Guard { file: Some((opened.try_clone().map_err(|error| clone_error(&path, error))?, path, stat)) };
            return if hashed == Some(stat) { Ok((Input::File(opened), guard)) } else { Err(guard.changed()) };
        };
        let hub = self.hub.as_ref().expect("a build with files of a hub opens the hub");
        match hub.open(repo, commit, &file.remote())? {
            Bytes::Static(bytes) => Ok((Input::Static(bytes), Guard { file: None })),
            Bytes::File(opened, path) => {
                let stat = system::stat_file(&opened, &path)?;
                let guard =
                    Guard { file: Some((opened.try_clone().map_err(|error| clone_error(&path, error))?, path, stat)) };
                Ok((Input::File(opened), guard))
            }
        }
    }
}

fn clone_error(path: &std::path::Path, source: std::io::Error) -> FileError {
    FileError { verb: "read", path: path.to_owned(), source }
}

/// Looks an action up in a cache.
pub(crate) fn lookup(record: &Record, store: &Store, key: &ActionKey) -> Option<Outcome> {
    recorded(record, key).filter(|outcome| is_whole(store, outcome))
}

/// What is recorded of an action.
pub(super) fn recorded(record: &Record, key: &ActionKey) -> Option<Outcome> {
    postcard::from_bytes(&record.outcome(key).ok()??).ok()
}

/// Whether a store has all blobs of an outcome.
pub(super) fn is_whole(store: &Store, outcome: &Outcome) -> bool {
    outcome.blobs().iter().all(|blob| store.has(blob))
}

/// Notices a file that changes while it is read.
pub(crate) struct Guard {
    file: Option<(std::fs::File, PathBuf, Stat)>,
}

impl Guard {
    /// Fails if the file is not what it was when it was opened.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        match &self.file {
            Some((file, path, stat)) if system::stat_file(file, path)? != *stat => Err(self.changed()),
            _ => Ok(()),
        }
    }

    fn changed(&self) -> Stop {
        let path = self.file.as_ref().map(|(_, path, _)| path.display().to_string()).unwrap_or_default();
        let failure =
            Failure::new(FailureKind::Action, format!("read `{path}`: the file changed while it was being read"));
        Stop::Failure(failure.hint("build again once the file is no longer being written"))
    }
}

/// A miss in words.
pub(crate) fn describe(miss: &Miss) -> String {
    match &miss.reason {
        MissReason::Absent => format!("cache entry {} is missing; rebuilding it", miss.digest.short()),
        MissReason::Damaged(how) => {
            format!("cache entry {} was damaged ({how}); rebuilding it", miss.digest.short())
        }
    }
}
