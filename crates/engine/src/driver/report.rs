//! What jobs tell the driver, and what a run came to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
    thread,
};

use super::{chunk::ChunkOutcome, error::ActionError, output::Placed};
use crate::{
    graph::{Action, Outcome, RecipePlan},
    system::{self, FileError, Stat},
};
use datac_core::{
    failure::Failure,
    id::{ActionKey, BlobId, FileHash},
    stage::Stage,
};

/// What a job tells.
pub(super) enum Report {
    /// Chunks were converted or scored while their file is read.
    Chunks(Vec<ChunkOutcome>),
    /// An action with its outcome.
    Action(Arc<Action>, Result<Outcome, ActionError>),
    /// Single conversions and scorings of one file, by key, whose outcomes were told.
    Again(Vec<Arc<Action>>, Result<(), ActionError>),
    /// A recipe's files were put in place.
    Restored(usize, Result<(), ActionError>),
    /// A job has read its file, and goes on with what it has read.
    Read,
    /// A job takes up no thread of the pool any more.
    Left,
    /// The files of a job are written, and wait for the disk; the key, if it is an action.
    Written(Option<ActionKey>),
    /// Files were put in place.
    Placed(Vec<Placed>),
    /// A job has panicked and will not report.
    Panicked,
}

/// Sends outcomes of chunks to the driver, which alone records them.
#[derive(Clone)]
pub(super) struct Outbox(Sender<Report>);

impl Outbox {
    /// An outbox whose driver receives `reports`.
    pub(super) fn new(reports: Sender<Report>) -> Self {
        Self(reports)
    }

    /// Sends the outcomes of a chunk.
    pub(super) fn send(&self, outcomes: Vec<ChunkOutcome>) {
        if !outcomes.is_empty() {
            // A closed channel means the driver has ended; there is no one left to tell.
            self.0.send(Report::Chunks(outcomes)).ok();
        }
    }
}

/// What became of one recipe.
pub(crate) type Ending = Result<RecipePlan, Failure>;

/// What a run of the driver came to.
#[derive(Default)]
pub(crate) struct RunReport {
    /// Each recipe's ending, in the order that was asked for.
    pub(crate) endings: Vec<Ending>,
    /// How often each kind of action ran.
    pub(crate) actions: BTreeMap<Stage, u64>,
    /// The indexes of chunks that were converted.
    converted: HashSet<BlobId>,
    /// Files that were put in place, by name in the output folder, each with its stat then and its digest.
    placed: HashMap<String, (Stat, FileHash)>,
    /// Their folders, whose names are not synced yet.
    folders: BTreeSet<PathBuf>,
}

impl RunReport {
    /// Counts an action that ran.
    pub(super) fn count(&mut self, stage: Stage) {
        *self.actions.entry(stage).or_default() += 1;
    }

    /// Adds a chunk that was converted, by its index.
    pub(super) fn add_converted(&mut self, index: BlobId) {
        self.converted.insert(index);
    }

    /// Adds a file that was put in place.
    pub(super) fn add_placed(&mut self, placed: Placed) {
        self.folders.extend(placed.path.parent().map(PathBuf::from));
        self.placed.insert(placed.name, (placed.stat, placed.digest));
    }

    /// Whether the chunk with this index was converted in this run.
    pub(crate) fn has_converted(&self, index: &BlobId) -> bool {
        self.converted.contains(index)
    }

    /// The stat and the digest of an output when this run put it in place.
    pub(crate) fn placed(&self, name: &str) -> Option<(Stat, FileHash)> {
        self.placed.get(name).copied()
    }

    /// Begins to sync the folders that files were put into; their names outlast a power cut once the returned function has
    /// returned.
    pub(crate) fn sync_folders(&self) -> impl FnOnce() -> Result<(), FileError> + use<> {
        let folders = self.folders.clone();
        let sync = move || folders.iter().try_for_each(|folder| system::sync_dir(folder));
        let begun = thread::Builder::new().spawn(sync.clone());
        move || match begun {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => sync(),
        }
    }
}
