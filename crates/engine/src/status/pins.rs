//! Pins sources to snapshots: from the lock, or else from the hub, if that may be asked; local files from disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;

use crate::{
    cache::Record,
    driver::failure_of,
    event::{Event, Observer},
    graph::{FileOrigin, Snapshot, SnapshotKey, model_file, model_key, snapshot_key, snapshot_keys},
    site::{CacheFolder, HubAccess, Site, WorkspaceError, local_files, short},
    source::{
        Asked, Bytes, Listing, Purpose, RemoteFile, Source, SourceError, card,
        in_buckets::BUCKET,
        is_archive, is_data,
        local::kind_as_named,
        lock::{LockFile, Pin},
        splits::missing_shards,
        why_no_rows,
    },
    system::{self, Stat},
};
use datac_core::{
    config::{Location, Recipe},
    failure::{Failure, FailureKind, SourceFault},
    leaf::{Change, Leaf, Value},
    license::Stated,
    stale::StaleReason,
};

/// The most files that are named among those passed over.
const MOST_NAMED: usize = 8;

/// Where pins may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pinning {
    /// The lock.
    #[default]
    Read,
    /// The lock, whichever hub a pin is from.
    Pinned,
    /// The lock, or else the hub.
    Resolve,
    /// The lock; a missing pin is an error, since `--locked` was given.
    Locked,
    /// The lock; a missing pin is an error, since workers never change it.
    Fixed,
}

/// Which files of the workspace with rows are hashed when they are pinned.
#[derive(Clone, Debug, Default)]
pub(crate) enum Hashing {
    /// All of them.
    #[default]
    All,
    /// These, by their whole paths. Every other one gets a digest that no file has, so that whatever is recorded of it is
    /// never taken for something else.
    Only(Arc<HashSet<PathBuf>>),
}

/// Snapshots of sources.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// The snapshots; `None` for sources that are not pinned.
    pub(crate) states: BTreeMap<SnapshotKey, Option<Result<Arc<Snapshot>, Failure>>>,
    /// Why sources are not pinned.
    pub(crate) unpinned: BTreeMap<SnapshotKey, StaleReason>,
    /// Names that could be of repositories and are of files or folders of the workspace.
    pub(crate) here: BTreeSet<String>,
    /// Local folders and files, with their stats before they were listed and when they were hashed.
    pub(crate) stood_on: BTreeMap<SnapshotKey, Vec<(String, Stat)>>,
}

/// Everything needed to pin sources.
pub(crate) struct PinSources<'a> {
    pub(crate) root: &'a Path,
    pub(crate) cache: &'a CacheFolder,
    pub(crate) record: &'a Arc<Record>,
    pub(crate) hub: &'a HubAccess,
    pub(crate) observer: &'a Observer,
    pub(crate) hashing: Hashing,
    /// Files of earlier pins, whose digests are known as long as a bucket still has them.
    pub(crate) known: Vec<RemoteFile>,
}

impl<'a> PinSources<'a> {
    /// Returns what is needed to pin the sources of a workspace.
    pub(crate) fn of(site: &'a Site, record: &'a Arc<Record>) -> Self {
        let hashing = Hashing::All;
        let known = Vec::new();
        Self { root: site.root(), cache: &site.cache, record, hub: &site.hub, observer: &site.observer, hashing, known }
    }
}

impl PinSources<'_> {
    /// Pins the sources of `recipes`. New pins are added to `lock`.
    pub(crate) fn pin(
        &self,
        recipes: &[Arc<Recipe>],
        pinning: Pinning,
        lock: &mut LockFile,
    ) -> Result<Snapshots, WorkspaceError> {
        let hub_name = self.hub.name();
        let mut snapshots = Snapshots { here: here(self.root, recipes), ..Snapshots::default() };
        // What the hub is to be asked for: sources and revisions, and why.
        let mut asked: Vec<(SnapshotKey, StaleReason)> = Vec::new();
        let datasets = || recipes.iter().flat_map(|recipe| &recipe.datasets);
        for dataset in datasets() {
            let key = snapshot_key(dataset, &snapshots.here);
            if let Location::Named { name, .. } = &dataset.location
                && key.is_pinned()
            {
                // Once something of that name lies in the workspace, it is what is meant.
                snapshots.stood_on.insert(key, vec![(name.clone(), Stat::ABSENT)]);
            }
        }
        let models = recipes.iter().flat_map(|recipe| recipe.all_models());
        let of_models = models.flat_map(|model| model_key(model, &snapshots.here));
        let of_datasets = datasets().flat_map(|dataset| snapshot_keys(dataset, &snapshots.here));
        let keys: Vec<SnapshotKey> = of_datasets.chain(of_models).collect();
        for key in keys {
            if snapshots.states.contains_key(&key) {
                continue;
            }
            let state = if key.is_pinned() {
                self.pinned(&key, pinning, lock, &mut snapshots, &mut asked)
            } else {
                Some(self.found(&key, pinning, &mut snapshots))
            };
            snapshots.states.insert(key, state);
        }
        if !asked.is_empty() {
            let names = asked.iter().map(|(key, _)| key.source.as_str());
            let hub = self.hub.open_for(names, self.cache, self.record)?;
            // Each takes a while, be it for an answer from far away or for hashing a folder.
            let answers: Vec<_> = asked.par_iter().map(|(key, _)| resolve(&*hub, key, &self.known)).collect();
            for ((key, why), answer) in asked.into_iter().zip(answers) {
                let state = match answer {
                    Ok(Resolved { pin, beside }) => {
                        match &beside[..] {
                            [] => {}
                            beside if key.is_in_bucket() => {
                                let words = passed_over_of(&key.source, pin.files.len(), beside);
                                (self.observer)(Event::Warning(words));
                            }
                            archives => {
                                let named = few(archives);
                                let words = format!("`{}`: archives are not read beside rows: {named}", key.source);
                                (self.observer)(Event::Warning(words));
                            }
                        }
                        self.warn_of_shards(&key.source, pin.files.iter());
                        let before = why.change().and_then(|change| change.old.as_ref());
                        let before = before.map_or_else(String::new, |hub| format!(", before {hub}"));
                        let at = match key.is_in_bucket() {
                            true => String::new(),
                            false => format!(" (hub {hub_name}{before})"),
                        };
                        let words = format!("{} at {}{at}", key.source, short(&pin.commit));
                        (self.observer)(Event::Locked(words));
                        let snapshot = snapshot_of(&pin, &key);
                        lock.set(pin);
                        snapshot.map(Arc::new).map_err(|error| failure_of(&error))
                    }
                    Err(error) => Err(failure_of(&error)),
                };
                snapshots.states.insert(key, Some(state));
            }
        }
        Ok(snapshots)
    }

    /// Returns the snapshot that the lock has; `None`: it has none, and the source is among `unpinned` or `asked`.
    fn pinned(
        &self,
        key: &SnapshotKey,
        pinning: Pinning,
        lock: &LockFile,
        snapshots: &mut Snapshots,
        asked: &mut Vec<(SnapshotKey, StaleReason)>,
    ) -> Option<Result<Arc<Snapshot>, Failure>> {
        if key.is_in_bucket() && !cfg!(feature = "bucket") {
            return Some(Err(failure_of(&SourceError::NoBuckets { address: key.source.clone() })));
        }
        let source = &key.source;
        let hub_name = if key.is_in_bucket() { BUCKET.to_owned() } else { self.hub.name() };
        let pinned = lock.find_part(source, key.revision.as_deref(), key.part().as_ref());
        let why_not = match pinned {
            Some(pin) if pin.hub == hub_name || pinning == Pinning::Pinned => None,
            Some(pin) => Some(StaleReason::Changed(Change {
                name: Leaf::Hub { source: source.clone() },
                old: Some(Value::Text(pin.hub.clone())),
                new: Some(Value::Text(hub_name)),
            })),
            None => Some(StaleReason::NotPinned { source: source.clone() }),
        };
        match (why_not, pinning) {
            (None, _) => {
                let snapshot = |pin| snapshot_of(pin, key).map(Arc::new).map_err(|error| failure_of(&error));
                pinned.map(snapshot)
            }
            (Some(why), Pinning::Read | Pinning::Pinned) => {
                snapshots.unpinned.insert(key.clone(), why);
                None
            }
            (Some(why), Pinning::Locked | Pinning::Fixed) => {
                let given = if pinning == Pinning::Locked { "`--locked` was given" } else { "a worker adds no pins" };
                Some(Err(Failure::plain(FailureKind::Lock, format!("{given}, but {why}"))
                    .about(SourceFault::NotPinned)
                    .hint("run `datac lock` and commit datac.lock")))
            }
            (Some(why), Pinning::Resolve) => {
                asked.push((key.clone(), why));
                None
            }
        }
    }

    /// Returns the snapshot of a source that is looked at in each build.
    fn found(&self, key: &SnapshotKey, pinning: Pinning, snapshots: &mut Snapshots) -> Result<Arc<Snapshot>, Failure> {
        let has_rows = key.selection.as_ref().is_some_and(|selection| selection.purpose == Purpose::Rows);
        let place = match &self.hashing {
            Hashing::Only(wanted) if has_rows => {
                let wanted = wanted.clone();
                local_files(self.root, self.cache, self.record, move |path| wanted.contains(path))
            }
            Hashing::All | Hashing::Only(_) => local_files(self.root, self.cache, self.record, |_| true),
        };
        let asked = Asked { selection: key.selection.as_ref(), ..Asked::of(&key.source, key.revision.as_deref()) };
        let Listing { id, commit, files, selected, license, stood_on, passed_over } =
            place.resolve(&asked).map_err(|error| failure_of(&error))?;
        snapshots.stood_on.insert(key.clone(), stood_on);
        // Whoever only looks has been told when it was built.
        if matches!(pinning, Pinning::Resolve | Pinning::Locked | Pinning::Fixed) && !passed_over.is_empty() {
            (self.observer)(Event::Warning(passed_over_of(&key.source, files.len(), &passed_over)));
        }
        if matches!(pinning, Pinning::Resolve | Pinning::Locked | Pinning::Fixed) {
            // A file that the recipe names is meant, whatever it is called.
            let is_named =
                |path: &str| key.selection.iter().any(|selection| selection.paths.iter().any(|named| named == path));
            self.warn_of_shards(&key.source, files.iter().filter(|file| !is_named(&file.path)));
        }
        let origin = FileOrigin { name: id.into(), commit: commit.map(Into::into) };
        Ok(Arc::new(Snapshot { origin, card: None, license, files, selected, passed_over }))
    }
}

impl PinSources<'_> {
    /// Warns of a source whose numbered files are not all there: a download may have been interrupted.
    fn warn_of_shards<'f>(&self, source: &str, files: impl Iterator<Item = &'f RemoteFile>) {
        let missing = missing_shards(files.map(|file| file.path.as_str()));
        if !missing.is_empty() {
            let words = format!("`{source}`: by the names of its files, some are missing: {}", few(&missing));
            (self.observer)(Event::Warning(words));
        }
    }
}

/// Says how many files of a folder or an archive are read, and which are not.
pub(crate) fn passed_over_of(source: &str, read: usize, passed_over: &[String]) -> String {
    let read = if read == 1 { "1 file".to_owned() } else { format!("{read} files") };
    format!("`{source}`: {read} read, passed over: {}", few(passed_over))
}

/// Names files, the first few of them.
fn few(files: &[String]) -> String {
    let most = &files[..files.len().min(MOST_NAMED)];
    match files.len() - most.len() {
        0 => most.join(", "),
        more => format!("{} and {more} more", most.join(", ")),
    }
}

/// Returns the sources of recipes that could be repositories and are files or folders of the workspace.
pub(crate) fn here(root: &Path, recipes: &[Arc<Recipe>]) -> BTreeSet<String> {
    let of_datasets = recipes.iter().flat_map(|recipe| &recipe.datasets).map(|dataset| &dataset.location);
    let of_models = recipes.iter().flat_map(|recipe| recipe.all_models()).map(|model| &model.location);
    let named = of_datasets.chain(of_models).filter_map(|location| match location {
        Location::Named { name, .. } => Some(name),
        _ => None,
    });
    named.filter(|name| system::exists(&root.join(name))).cloned().collect()
}

/// Returns the files of all pins, whose digests are known.
pub(crate) fn known_of(lock: &LockFile) -> Vec<RemoteFile> {
    lock.sources.iter().filter(|pin| pin.part.is_some()).flat_map(|pin| pin.files.iter().cloned()).collect()
}

fn snapshot_of(pin: &Pin, key: &SnapshotKey) -> Result<Snapshot, SourceError> {
    let selected = match &key.selection {
        Some(selection) => {
            let kinds = pin.files.iter().map(|file| kind_as_named(&file.path, selection.format));
            Some(kinds.collect::<Result<_, _>>()?)
        }
        None => None,
    };
    Ok(Snapshot {
        origin: FileOrigin { name: pin.repo.as_str().into(), commit: Some(pin.commit.as_str().into()) },
        card: pin.card.clone(),
        license: pin.card.as_deref().and_then(|card| card::license(card, Stated::Card)),
        files: pin.files.clone(),
        selected,
        passed_over: Vec::new(),
    })
}

/// A source that has been pinned.
struct Resolved {
    pin: Pin,
    /// The archives of a repository that has other rows, or the objects of a bucket beside those that are read.
    beside: Vec<String>,
}

/// Pins a source. The digests of `known` files are taken from there, if a bucket still has them.
fn resolve(hub: &dyn Source, key: &SnapshotKey, known: &[RemoteFile]) -> Result<Resolved, SourceError> {
    let asked = Asked::of(&key.source, key.revision.as_deref());
    if key.is_in_bucket() {
        let listing = hub.resolve(&Asked { selection: key.selection.as_ref(), known, ..asked })?;
        let pin = pin_of(BUCKET.to_owned(), key, listing.id, listing.commit, None, listing.files);
        return Ok(Resolved { pin, beside: listing.passed_over });
    }
    let listing = hub.resolve(&asked)?;
    if key.is_model() {
        let files = listing.files.into_iter().filter(|file| model_file(&file.path).is_some()).collect();
        let pin = pin_of(hub.name(), key, listing.id, listing.commit, None, files);
        return Ok(Resolved { pin, beside: Vec::new() });
    }
    // The lock keeps the names of row files alone, so what else there is can be said only now.
    if !listing.files.iter().any(|file| is_data(&file.path)) {
        let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        let reason = why_no_rows(&key.source, &paths);
        return Err(SourceError::Layout { fault: SourceFault::NoRows, word: None, reason });
    }
    let paths = || listing.files.iter().map(|file| file.path.as_str());
    let has_others = paths().any(|path| is_data(path) && !is_archive(path));
    let archives = paths().filter(|path| has_others && is_archive(path)).map(str::to_owned).collect();
    let readme = listing.files.iter().find(|file| file.path == "README.md");
    let card = match readme {
        Some(file) => {
            let text = read_all(hub.open(&listing.id, listing.commit.as_deref(), file)?)?;
            card::essence(&String::from_utf8_lossy(&text))
        }
        None => None,
    };
    let files = listing.files.into_iter().filter(|file| is_data(&file.path)).collect();
    Ok(Resolved { pin: pin_of(hub.name(), key, listing.id, listing.commit, card, files), beside: archives })
}

fn pin_of(
    hub: String,
    key: &SnapshotKey,
    repo: String,
    commit: Option<String>,
    card: Option<String>,
    files: Vec<RemoteFile>,
) -> Pin {
    let (source, revision, commit) = (key.source.clone(), key.revision.clone(), commit.unwrap_or_default());
    Pin { source, revision, repo, hub, commit, card, part: key.part(), files }
}

fn read_all(bytes: Bytes) -> Result<Vec<u8>, SourceError> {
    match bytes {
        Bytes::Static(bytes) => Ok(bytes.to_vec()),
        Bytes::File(_, path) => Ok(system::read(&path)?),
    }
}
