//! The reports that jobs send to the driver, and the result of a run.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
    thread,
};

use super::{
    chunk::ChunkOutcome,
    error::ActionError,
    output::{Held, Placed},
    shared::Sought,
};
use crate::{
    graph::{Action, Outcome, RecipePlan},
    remote::Read,
    system::{self, FileError, Stat},
};
use datac_core::{
    failure::Failure,
    id::{ActionKey, BlobId, FileHash},
    stage::Stage,
};

/// A report of a job.
pub(super) enum Report {
    /// Chunks were converted or scored while their file is read.
    Chunks(Vec<ChunkOutcome>),
    /// An action ended, with the files that it wrote.
    Action(Arc<Action>, Result<(Outcome, Vec<Held>), ActionError>),
    /// Conversions and scorings of known chunks of one file ended. Their outcomes were sent as [`Report::Chunks`].
    Again(Vec<Arc<Action>>, Result<(), ActionError>),
    /// The files of a recipe that were not where they belong were written from the cache.
    Restored(usize, Result<Vec<Held>, ActionError>),
    /// A job has read its file and goes on with what it has read.
    Read,
    /// A job no longer occupies a thread of the pool.
    Left,
    /// The files of a job are written and wait for the disk. Holds the key if the job is an action.
    Written(Option<ActionKey>),
    /// The disk has the files of a job.
    Synced,
    /// Files of a recipe were put in place: those given, and all of them unless there is an error.
    Placed(usize, Vec<Placed>, Result<(), ActionError>),
    /// Actions were looked up in the shared cache: those that need not run, and those that must. `is_last` if that is all that
    /// was asked for together.
    Sought { found: Vec<Sought>, missing: Vec<Arc<Action>>, is_last: bool },
    /// A job panicked and will not report.
    Panicked,
}

/// Sends outcomes of chunks to the driver, which alone records them.
#[derive(Clone)]
pub(super) struct Outbox(Sender<Report>);

impl Outbox {
    /// Creates an outbox that sends to `reports`.
    pub(super) fn new(reports: Sender<Report>) -> Self {
        Self(reports)
    }

    /// Sends the outcomes of a chunk.
    pub(super) fn send(&self, outcomes: Vec<ChunkOutcome>) {
        if !outcomes.is_empty() {
            // A closed channel means that the driver has ended and needs no report.
            self.0.send(Report::Chunks(outcomes)).ok();
        }
    }
}

/// Result for one recipe.
pub(crate) type Ending = Result<RecipePlan, Failure>;

/// Result of a run of the driver, which comes to an `End` for each recipe.
pub(crate) struct RunReport<End = RecipePlan> {
    /// Result for each recipe, in the order in which they were given.
    pub(crate) endings: Vec<Result<End, Failure>>,
    /// Number of actions that ran, by stage.
    pub(crate) actions: BTreeMap<Stage, u64>,
    /// Number of actions that did not run because a shared cache had their outcome, by stage.
    pub(crate) shared: BTreeMap<Stage, u64>,
    /// What was read of the shared cache, if there is one.
    pub(crate) read: Option<Read>,
    /// Indexes of the chunks that were converted.
    converted: HashSet<BlobId>,
    /// Stat and digest of the files that were put in place, by name in the output folder.
    placed: HashMap<String, (Stat, FileHash)>,
    /// Folders of those files, which are not synced yet.
    folders: BTreeSet<PathBuf>,
}

impl<End> Default for RunReport<End> {
    fn default() -> Self {
        Self {
            endings: Vec::new(),
            actions: BTreeMap::new(),
            shared: BTreeMap::new(),
            read: None,
            converted: HashSet::new(),
            placed: HashMap::new(),
            folders: BTreeSet::new(),
        }
    }
}

impl<End> RunReport<End> {
    /// Counts an action that ran.
    pub(super) fn count(&mut self, stage: Stage) {
        *self.actions.entry(stage).or_default() += 1;
    }

    /// Counts an action whose outcome a shared cache had.
    pub(super) fn count_shared(&mut self, stage: Stage) {
        *self.shared.entry(stage).or_default() += 1;
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

    /// Returns whether this run converted the chunk with this index.
    pub(crate) fn has_converted(&self, index: &BlobId) -> bool {
        self.converted.contains(index)
    }

    /// Returns the stat and digest of an output that this run put in place.
    pub(crate) fn placed(&self, name: &str) -> Option<(Stat, FileHash)> {
        self.placed.get(name).copied()
    }
}

impl RunReport {
    /// Starts to sync the folders of the files that were put in place. The names of the files survive a power cut
    /// once the returned function has returned.
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
