//! What the plan stands on: recipe texts, snapshots, converter versions, and one cell per action.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use salsa::Setter;

use super::action::Outcome;
use crate::source::{FileDigest, RemoteFile};
use datac_core::{
    code::{CodeVersions, Component},
    config::Vocabulary,
    failure::Failure,
    id::ActionKey,
    key::Versions,
};
use datac_decode::{FileKind, RowFormat};

/// Which snapshot a dataset entry stands on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SnapshotKey {
    /// A repository of the hub, at a revision.
    Hub {
        /// As the recipe has it.
        source: String,
        /// As the recipe has it; `None`: `main`.
        revision: Option<String>,
    },
    /// Files of the workspace.
    Local {
        /// As the recipe has it.
        source: String,
        /// The recipe's `format`.
        format: Option<RowFormat>,
        /// The splits asked for.
        splits: Vec<String>,
        /// The folders asked for.
        data_dir: Vec<String>,
    },
}

/// A pinned source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// A repository at a commit.
    Hub {
        /// Its canonical id.
        repo: String,
        /// The commit.
        commit: String,
        /// The part of its card that says what it holds.
        card: Option<String>,
        /// Its data files.
        files: Vec<RemoteFile>,
    },
    /// Files of the workspace as they are now, in reading order.
    Local(Vec<LocalFile>),
}

/// A file of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Its path relative to the workspace.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub digest: FileDigest,
    /// What it holds.
    pub kind: FileKind,
}

/// The text of one recipe.
#[salsa::input(debug)]
pub(crate) struct RecipeFile {
    /// Its path relative to the workspace.
    #[returns(deref)]
    pub(crate) path: String,
    /// Its bytes.
    #[returns(ref)]
    pub(crate) text: Arc<[u8]>,
}

/// A snapshot, or why it cannot be had; `None`: not locked yet.
pub(crate) type SnapshotState = Option<Result<Arc<Snapshot>, Failure>>;

/// One snapshot.
#[salsa::input]
pub(crate) struct SnapshotInput {
    /// What is known of it.
    #[returns(ref)]
    pub(crate) state: SnapshotState,
}

/// The version of one component.
#[salsa::input]
pub(crate) struct Code {
    /// As its code states it.
    #[returns(copy)]
    pub(crate) version: u32,
}

/// What an action yielded, as far as the driver knows.
#[salsa::input]
pub(crate) struct Cell {
    /// What is known.
    #[returns(ref)]
    pub(crate) known: Known,
}

/// What is known of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it must run.
    Nothing,
    /// It yielded this, and the blobs are there.
    Outcome(Outcome),
    /// It was run and went wrong.
    Failure(Failure),
}

/// Everything that is one of a kind.
#[salsa::input(singleton)]
pub(crate) struct World {
    /// The words recipes may use.
    #[returns(ref)]
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// The version of every component.
    #[returns(ref)]
    pub(crate) code: BTreeMap<Component, Code>,
    /// Snapshots by key.
    #[returns(ref)]
    pub(crate) snapshots: BTreeMap<SnapshotKey, SnapshotInput>,
}

/// What queries may ask beyond their inputs.
#[salsa::db]
pub(crate) trait PlannerDb: salsa::Database {
    /// The cell of an action, filled from the cache when it is first asked for.
    fn cell(&self, key: &ActionKey) -> Cell;
}

/// Tells the planner's versions of components; each is an input of its own, so that a raised one disturbs what it decides
/// and nothing else.
pub(super) struct VersionsIn<'db>(pub(super) &'db dyn PlannerDb);

impl Versions for VersionsIn<'_> {
    fn version(&self, component: &Component) -> u32 {
        let code = World::get(self.0).code(self.0).get(component);
        code.expect("the table of components is complete").version(self.0)
    }
}

/// Looks an action up in the cache.
pub(crate) type Lookup = Arc<dyn Fn(&ActionKey) -> Option<Outcome> + Send + Sync>;

/// Told the name of every query that runs.
pub(crate) type OnExecute = Box<dyn Fn(salsa::DatabaseKeyIndex) + Send + Sync>;

/// The salsa database.
#[salsa::db]
#[derive(Clone)]
pub(crate) struct Planner {
    storage: salsa::Storage<Self>,
    cells: Arc<Mutex<HashMap<ActionKey, Cell>>>,
    lookup: Lookup,
    /// Inputs by what they stand for, so that whoever asks again changes them rather than adding others.
    files: HashMap<String, RecipeFile>,
    snapshots: BTreeMap<SnapshotKey, SnapshotInput>,
}

#[salsa::db]
impl salsa::Database for Planner {}

#[salsa::db]
impl PlannerDb for Planner {
    fn cell(&self, key: &ActionKey) -> Cell {
        // Nothing is asked of salsa but a new input while the lock is held, so it cannot be taken twice.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        *cells.entry(*key).or_insert_with(|| {
            let known = (self.lookup)(key).map_or(Known::Nothing, Known::Outcome);
            Cell::new(self, known)
        })
    }
}

impl Planner {
    /// A database that looks actions up through `lookup`.
    pub(crate) fn new(lookup: Lookup, on_execute: Option<OnExecute>) -> Self {
        let callback = on_execute.map(|tell| -> Box<dyn Fn(salsa::Event) + Send + Sync> {
            Box::new(move |event| {
                if let salsa::EventKind::WillExecute { database_key } = event.kind {
                    tell(database_key);
                }
            })
        });
        let storage = salsa::Storage::new(callback);
        Self { storage, cells: Arc::default(), lookup, files: HashMap::new(), snapshots: BTreeMap::new() }
    }

    /// Notes what is known of an action now; knowing the same again disturbs nothing.
    pub(crate) fn learn(&mut self, key: &ActionKey, known: Known) {
        let cell = self.cells.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied();
        match cell {
            Some(cell) if *cell.known(self) == known => {}
            Some(cell) => {
                cell.set_known(self).to(known);
            }
            None => {
                let cell = Cell::new(self, known);
                self.cells.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, cell);
            }
        }
    }

    /// Sets what is one of a kind, unless it was set before.
    pub(crate) fn begin(&mut self, vocabulary: &Arc<Vocabulary>, versions: &CodeVersions) {
        if World::try_get(self).is_none() {
            let code = versions.iter().map(|(component, version)| (component.clone(), Code::new(self, version)));
            let code = code.collect();
            World::new(self, vocabulary.clone(), code, BTreeMap::new());
        }
    }

    /// The input of the recipe at `path`, which has this text now.
    pub(crate) fn file(&mut self, path: &str, text: &[u8]) -> RecipeFile {
        match self.files.get(path).copied() {
            Some(file) => {
                if **file.text(self) != *text {
                    file.set_text(self).to(text.into());
                }
                file
            }
            None => {
                let file = RecipeFile::new(self, path.to_owned(), text.into());
                self.files.insert(path.to_owned(), file);
                file
            }
        }
    }

    /// Sets the snapshots that dataset entries stand on; [`Planner::begin`] must have been called.
    pub(crate) fn pin<'s>(&mut self, states: impl Iterator<Item = (&'s SnapshotKey, &'s SnapshotState)>) {
        let before = self.snapshots.len();
        for (key, state) in states {
            match self.snapshots.get(key).copied() {
                Some(input) if input.state(self) == state => {}
                Some(input) => {
                    input.set_state(self).to(state.clone());
                }
                None => {
                    let input = SnapshotInput::new(self, state.clone());
                    self.snapshots.insert(key.clone(), input);
                }
            }
        }
        if self.snapshots.len() > before {
            let snapshots = self.snapshots.clone();
            World::get(self).set_snapshots(self).to(snapshots);
        }
    }

    /// Looks actions up through `lookup` from now on, at once those that were not known or failed.
    pub(crate) fn renew(&mut self, lookup: Lookup) {
        self.lookup = lookup;
        let cells: Vec<(ActionKey, Cell)> = {
            let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            cells.iter().map(|(key, cell)| (*key, *cell)).collect()
        };
        for (key, cell) in cells {
            if !matches!(cell.known(self), Known::Outcome(_)) {
                self.learn(&key, (self.lookup)(&key).map_or(Known::Nothing, Known::Outcome));
            }
        }
    }

    /// Returns the keys of actions whose outcome is known, and for which `is_meant` holds.
    pub(crate) fn known_keys(&self, is_meant: impl Fn(&Outcome) -> bool) -> Vec<ActionKey> {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |cell: &Cell| matches!(cell.known(self), Known::Outcome(outcome) if is_meant(outcome));
        let mut keys: Vec<ActionKey> = cells.iter().filter(|(_, cell)| is_meant(cell)).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }
}
