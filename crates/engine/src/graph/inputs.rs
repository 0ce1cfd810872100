//! The inputs of the plan: recipe texts, snapshots, versions of components, and one cell per action.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use salsa::Setter;

use super::action::{FileOrigin, Outcome};
use crate::source::{FileKind, RemoteFile, Selection, is_model_repo, lock::Part};
use datac_core::{
    code::{CodeVersions, Component},
    config::{Vocabulary, is_in_bucket},
    failure::Failure,
    id::ActionKey,
    key::Versions,
    license::License,
};

/// The snapshot that a dataset entry depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotKey {
    /// The source as given in the recipe.
    pub source: String,
    /// The revision as given in the recipe; `None` for `main`.
    pub revision: Option<String>,
    /// The part that is read, for files of the workspace and objects of buckets; `None` for a repository of the hub, which is
    /// pinned as a whole.
    pub selection: Option<Selection>,
}

impl SnapshotKey {
    /// Returns whether `datac.lock` pins the snapshot.
    pub fn is_pinned(&self) -> bool {
        self.selection.is_none() || self.is_in_bucket()
    }

    /// Returns whether the snapshot is one of objects of buckets.
    pub fn is_in_bucket(&self) -> bool {
        is_in_bucket(&self.source)
    }

    /// Returns the part of a source that is pinned under this key; `None`: the whole repository.
    pub fn part(&self) -> Option<Part> {
        self.selection.as_ref().filter(|_| self.is_in_bucket()).map(Part::of)
    }

    /// Returns whether the snapshot is one of a repository of a model.
    pub fn is_model(&self) -> bool {
        self.selection.is_none() && is_model_repo(&self.source)
    }
}

/// A source as it was found at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Name and commit of the source.
    pub origin: FileOrigin,
    /// The part of its card that says what it holds.
    pub card: Option<String>,
    /// The licence that it states.
    pub license: Option<License>,
    /// Its data files.
    pub files: Vec<RemoteFile>,
    /// The kind of each file, if `files` are exactly those that the dataset entry reads, in reading order; `None` if
    /// the kinds follow from the file names and the card.
    pub selected: Option<Vec<FileKind>>,
    /// Files beside those that are read, for people.
    pub passed_over: Vec<String>,
}

/// A recipe's text, as an input of queries.
#[salsa::input(debug)]
pub(crate) struct RecipeFile {
    /// Path relative to the workspace.
    #[returns(deref)]
    pub(crate) path: String,
    /// Its bytes.
    #[returns(ref)]
    pub(crate) text: Arc<[u8]>,
}

/// A snapshot, or why it is unavailable; `None` if it is not locked yet.
pub(crate) type SnapshotState = Option<Result<Arc<Snapshot>, Failure>>;

/// A snapshot, as an input of queries.
#[salsa::input]
pub(crate) struct SnapshotInput {
    /// The snapshot or its failure.
    #[returns(ref)]
    pub(crate) state: SnapshotState,
}

/// The version of a component, as an input of queries.
#[salsa::input]
pub(crate) struct Code {
    /// The version that the component's code states.
    #[returns(copy)]
    pub(crate) version: u32,
}

/// The outcome of an action, as an input of queries.
#[salsa::input]
pub(crate) struct Cell {
    /// What the driver knows of the outcome.
    #[returns(ref)]
    pub(crate) known: Known,
}

/// What is known of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: the action must run.
    Nothing,
    /// The action yielded this outcome, and its blobs are in the store.
    Outcome(Outcome),
    /// The action ran and failed.
    Failure(Failure),
}

/// The inputs that exist once.
#[salsa::input(singleton)]
pub(crate) struct World {
    /// The converters and options that recipes may name.
    #[returns(ref)]
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// The version of every component.
    #[returns(ref)]
    pub(crate) code: BTreeMap<Component, Code>,
    /// Snapshots by key.
    #[returns(ref)]
    pub(crate) snapshots: BTreeMap<SnapshotKey, SnapshotInput>,
    /// Names that could be of repositories and are of files or folders of the workspace.
    #[returns(ref)]
    pub(crate) here: BTreeSet<String>,
}

/// The database that queries read, with access to the cells of actions.
#[salsa::db]
pub(crate) trait PlannerDb: salsa::Database {
    /// Returns the cell of an action. The first call looks the action up in the cache.
    fn cell(&self, key: &ActionKey) -> Cell;
}

/// The versions of components as the planner has them.
///
/// Each version is an input of its own, so that raising one only affects the queries that read it.
pub(super) struct VersionsIn<'db>(pub(super) &'db dyn PlannerDb);

impl Versions for VersionsIn<'_> {
    fn version(&self, component: &Component) -> u32 {
        let code = World::get(self.0).code(self.0).get(component);
        code.expect("the table of components is complete").version(self.0)
    }
}

/// Looks up the outcome of an action in the cache.
pub(crate) type Lookup = Arc<dyn Fn(&ActionKey) -> Option<Outcome> + Send + Sync>;

/// Called with every query that runs.
pub(crate) type OnExecute = Box<dyn Fn(salsa::DatabaseKeyIndex) + Send + Sync>;

/// The planner's salsa database.
#[salsa::db]
#[derive(Clone)]
pub(crate) struct Planner {
    storage: salsa::Storage<Self>,
    cells: Arc<Mutex<HashMap<ActionKey, Cell>>>,
    lookup: Lookup,
    /// Inputs by what they stand for, so that later calls change an input instead of adding another.
    files: HashMap<String, RecipeFile>,
    snapshots: BTreeMap<SnapshotKey, SnapshotInput>,
}

#[salsa::db]
impl salsa::Database for Planner {}

#[salsa::db]
impl PlannerDb for Planner {
    fn cell(&self, key: &ActionKey) -> Cell {
        // No deadlock: while the lock is held, salsa is only asked to create an input, which never asks for a cell.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        *cells.entry(*key).or_insert_with(|| {
            let known = (self.lookup)(key).map_or(Known::Nothing, Known::Outcome);
            Cell::new(self, known)
        })
    }
}

impl Planner {
    /// Creates a planner that looks up actions through `lookup`.
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

    /// Sets what is known of an action. Setting an equal value invalidates no query.
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

    /// Sets the inputs that exist once, unless they are already set. What recipes may say, and need not, is that of now.
    pub(crate) fn begin(&mut self, vocabulary: &Arc<Vocabulary>, versions: &CodeVersions) {
        if let Some(world) = World::try_get(self) {
            if world.vocabulary(self) != vocabulary {
                world.set_vocabulary(self).to(vocabulary.clone());
            }
        } else {
            let code = versions.iter().map(|(component, version)| (component.clone(), Code::new(self, version)));
            let code = code.collect();
            World::new(self, vocabulary.clone(), code, BTreeMap::new(), BTreeSet::new());
        }
    }

    /// Returns the input of the recipe at `path`, with its text set to `text`.
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

    /// Sets the snapshots that dataset entries depend on. [`Planner::begin`] must have been called before.
    pub(crate) fn pin<'s>(
        &mut self,
        states: impl Iterator<Item = (&'s SnapshotKey, &'s SnapshotState)>,
        here: &BTreeSet<String>,
    ) {
        if World::get(self).here(self) != here {
            World::get(self).set_here(self).to(here.clone());
        }
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

    /// Replaces the lookup, and looks up again all actions that had no outcome or failed.
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

    /// Returns the keys of actions whose known outcome satisfies `is_meant`.
    pub(crate) fn known_keys(&self, is_meant: impl Fn(&Outcome) -> bool) -> Vec<ActionKey> {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |cell: &Cell| matches!(cell.known(self), Known::Outcome(outcome) if is_meant(outcome));
        let mut keys: Vec<ActionKey> = cells.iter().filter(|(_, cell)| is_meant(cell)).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }
}
