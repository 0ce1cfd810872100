//! Pins sources to snapshots: from the lock, or else from the hub, if that may be asked; local files from disk.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;

use crate::{
    cache::{Record, stat_cache},
    driver::failure_of,
    event::{Event, Observer},
    graph::{LocalFile, Snapshot, SnapshotKey, snapshot_key},
    site::{CacheFolder, HubAccess, Site, WorkspaceError, short},
    source::{
        Bytes, FileDigest, Hub, SourceError, card, is_data, local,
        lock::{LockFile, Pin},
    },
    system::{self, Stat},
};
use datac_core::{
    config::{Recipe, RowFormat},
    failure::{Failure, FailureKind},
    leaf::{Change, Leaf, Value},
    stale::StaleReason,
};

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
    /// The lock; a missing pin is an error.
    Locked,
}

/// Snapshots of sources.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// The snapshots; `None` for sources that are not pinned.
    pub(crate) states: BTreeMap<SnapshotKey, Option<Result<Arc<Snapshot>, Failure>>>,
    /// Why sources are not pinned.
    pub(crate) unpinned: BTreeMap<SnapshotKey, StaleReason>,
    /// Stats of local files when they were hashed, by path.
    pub(crate) local_stats: HashMap<String, Stat>,
    /// Stats of local folders before they were listed, by path.
    pub(crate) local_folders: BTreeMap<SnapshotKey, Vec<(String, Stat)>>,
}

/// Everything needed to pin sources.
pub(crate) struct PinSources<'a> {
    pub(crate) root: &'a Path,
    pub(crate) cache: &'a CacheFolder,
    pub(crate) record: &'a Arc<Record>,
    pub(crate) hub: &'a HubAccess,
    pub(crate) observer: &'a Observer,
}

impl<'a> PinSources<'a> {
    /// Returns what is needed to pin the sources of a workspace.
    pub(crate) fn of(site: &'a Site, record: &'a Arc<Record>) -> Self {
        Self { root: site.root(), cache: &site.cache, record, hub: &site.hub, observer: &site.observer }
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
        let mut snapshots = Snapshots::default();
        // Questions for the hub: source, revision, and why it is asked.
        let mut asked: Vec<(String, Option<String>, StaleReason)> = Vec::new();
        for dataset in recipes.iter().flat_map(|recipe| &recipe.datasets) {
            let key = snapshot_key(dataset);
            if snapshots.states.contains_key(&key) {
                continue;
            }
            let state = match &key {
                SnapshotKey::Local { source, format, splits, data_dir } => {
                    // Taken before the files are listed, so that the next look notices a file that is added in
                    // between.
                    if let Ok(folders) = self.folder_stats(source) {
                        snapshots.local_folders.insert(key.clone(), folders);
                    }
                    Some(self.local(source, *format, splits, data_dir, &mut snapshots.local_stats))
                }
                SnapshotKey::Hub { source, revision } => {
                    let pinned = lock.find(source, revision.as_deref());
                    let why_not = match pinned {
                        Some(pin) if pin.hub == hub_name || pinning == Pinning::Pinned => None,
                        Some(pin) => Some(StaleReason::Changed(Change {
                            name: Leaf::Hub { source: source.clone() },
                            old: Some(Value::Text(pin.hub.clone())),
                            new: Some(Value::Text(hub_name.clone())),
                        })),
                        None => Some(StaleReason::NotPinned { source: source.clone() }),
                    };
                    match (why_not, pinning) {
                        (None, _) => pinned.map(|pin| Ok(Arc::new(snapshot_of(pin)))),
                        (Some(why), Pinning::Read | Pinning::Pinned) => {
                            snapshots.unpinned.insert(key.clone(), why);
                            None
                        }
                        (Some(why), Pinning::Locked) => {
                            Some(Err(Failure::plain(FailureKind::Lock, format!("`--locked` was given, but {why}"))
                                .hint("run `datac lock` and commit datac.lock")))
                        }
                        (Some(why), Pinning::Resolve) => {
                            asked.push((source.clone(), revision.clone(), why));
                            None
                        }
                    }
                }
            };
            snapshots.states.insert(key, state);
        }
        if !asked.is_empty() {
            let hub = self.hub.open(self.cache, self.record)?;
            // Asked in parallel: a remote hub takes long to answer, a folder long to hash.
            let ask = |(source, revision, _): &(String, Option<String>, _)| resolve(&*hub, source, revision.as_deref());
            let answers: Vec<_> = asked.par_iter().map(ask).collect();
            for ((source, revision, why), answer) in asked.into_iter().zip(answers) {
                let state = match answer {
                    Ok(pin) => {
                        let before = why.change().and_then(|change| change.old.as_ref());
                        let before = before.map_or_else(String::new, |hub| format!(", before {hub}"));
                        let words = format!("{source} at {} (hub {hub_name}{before})", short(&pin.commit));
                        (self.observer)(Event::Locked(words));
                        let snapshot = snapshot_of(&pin);
                        lock.set(pin);
                        Ok(Arc::new(snapshot))
                    }
                    Err(error) => Err(failure_of(&error)),
                };
                snapshots.states.insert(SnapshotKey::Hub { source, revision }, Some(state));
            }
        }
        Ok(snapshots)
    }

    /// Returns the stats of the folders that a local source is listed from.
    fn folder_stats(&self, source: &str) -> Result<Vec<(String, Stat)>, SourceError> {
        let root = self.root;
        let stat = |folder: PathBuf| {
            let stat = system::stat(&root.join(&folder))?;
            Ok((folder.to_string_lossy().into_owned(), stat))
        };
        local::folders(root, source)?.into_iter().map(stat).collect()
    }

    /// Lists the files of a local source and hashes those that have changed.
    fn local(
        &self,
        source: &str,
        format: Option<RowFormat>,
        splits: &[String],
        data_dir: &[String],
        stats: &mut HashMap<String, Stat>,
    ) -> Result<Arc<Snapshot>, Failure> {
        let root = self.root;
        let listed = local::list(root, source, format, splits, data_dir).map_err(|error| failure_of(&error))?;
        let mut found = Vec::with_capacity(listed.len());
        for (path, kind) in listed {
            let place = root.join(&path);
            let failed = |error: system::FileError| failure_of(&SourceError::File(error));
            let stat = system::stat(&place).map_err(failed)?;
            // A write within the same clock tick may not change the stat. After that tick, the file that is hashed is
            // the file that has this stat.
            let begun_ns = system::wait_past_grain(stat.stamp_ns(), &place, self.cache);
            let digest = stat_cache::digest_of_source(self.record, &place, begun_ns).map_err(failed)?;
            let path = path.to_string_lossy().into_owned();
            stats.insert(path.clone(), stat);
            found.push(LocalFile { path, size: stat.size, digest: FileDigest::Blake3(digest), kind });
        }
        Ok(Arc::new(Snapshot::Local(found)))
    }
}

fn snapshot_of(pin: &Pin) -> Snapshot {
    Snapshot::Hub {
        repo: pin.repo.clone(),
        commit: pin.commit.clone(),
        card: pin.card.clone(),
        files: pin.files.clone(),
    }
}

fn resolve(hub: &dyn Hub, source: &str, revision: Option<&str>) -> Result<Pin, SourceError> {
    let listing = hub.resolve(source, revision)?;
    let readme = listing.files.iter().find(|file| file.path == "README.md");
    let card = match readme {
        Some(file) => {
            let text = read_all(hub.open(&listing.id, &listing.commit, file)?)?;
            card::essence(&String::from_utf8_lossy(&text))
        }
        None => None,
    };
    Ok(Pin {
        source: source.to_owned(),
        revision: revision.map(str::to_owned),
        repo: listing.id,
        hub: hub.name(),
        commit: listing.commit,
        card,
        files: listing.files.into_iter().filter(|file| is_data(&file.path)).collect(),
    })
}

fn read_all(bytes: Bytes) -> Result<Vec<u8>, SourceError> {
    match bytes {
        Bytes::Static(bytes) => Ok(bytes.to_vec()),
        Bytes::File(_, path) => Ok(system::read(&path)?),
    }
}
