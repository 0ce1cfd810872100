//! Sources to snapshots: from the lock where it has them, from the hub where it may be asked, from disk for local files.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Reason, Workspace, WorkspaceError};
use crate::{
    artifact::{Access, Record},
    config::{self, Format, Recipe},
    driver::{failure_of, files},
    event::Event,
    failure::{Failure, FailureKind},
    graph::{LocalFile, Snapshot, SnapshotKey, snapshot_key},
    hash::Change,
    id::FileHash,
    source::{
        Bytes, FileDigest, Hub, SourceError, card, is_data, local,
        lock::{LockFile, Pin},
    },
    system::{self, Stat},
};

/// How far pinning may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinning {
    /// Only what the lock has.
    Read,
    /// Only what the lock has, from whichever hub.
    Pinned,
    /// The hub is asked for what the lock lacks.
    Resolve,
    /// What the lock lacks is an error.
    Locked,
}

/// Snapshots of all sources that were asked for.
#[derive(Default)]
pub(super) struct Snapshots {
    /// The snapshots; `None`: not pinned.
    pub(super) states: BTreeMap<SnapshotKey, Option<Result<Arc<Snapshot>, Failure>>>,
    /// Why a source is not pinned, in words.
    pub(super) unpinned: BTreeMap<SnapshotKey, Reason>,
    /// The stats of local files when they were hashed, by path.
    pub(super) local_stats: HashMap<String, Stat>,
    /// The stats of local folders before they were listed, by path.
    pub(super) local_folders: BTreeMap<SnapshotKey, Vec<(String, Stat)>>,
}

/// What `datac lock` did to one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LockChange {
    /// The source as recipes have it.
    pub source: String,
    /// The commit before; `None`: it was not pinned.
    pub old: Option<String>,
    /// The commit now; `None`: no recipe uses it any more.
    pub new: Option<String>,
}

/// What `datac lock` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LockReport {
    /// Sources whose pin changed.
    pub changes: Vec<LockChange>,
    /// Sources whose pin stayed.
    pub unchanged: usize,
}

/// Which pins `datac lock` moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// None: only what is missing is added.
    None,
    /// All.
    All,
    /// Those of these sources.
    Sources(Vec<String>),
}

impl Workspace {
    fn lock_path(&self) -> std::path::PathBuf {
        self.settings.root.join("datac.lock")
    }

    /// The lock and the digest of its text.
    pub(super) fn read_lock(&self) -> Result<(LockFile, FileHash), WorkspaceError> {
        let bytes = match system::read(&self.lock_path()) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let digest = FileHash::of(&bytes);
        if bytes.is_empty() {
            return Ok((LockFile::default(), digest));
        }
        let parsed = std::str::from_utf8(&bytes).map_err(|error| error.to_string());
        let lock =
            parsed.and_then(|text| LockFile::parse(text).map_err(|error| error.to_string())).map_err(|reason| {
                Failure::new(FailureKind::Lock, format!("use `datac.lock`: {reason}"))
                    .hint("restore it from version control, or remove it and run `datac lock`")
            })?;
        Ok((lock, digest))
    }

    /// The digest of the lock's text alone.
    pub(super) fn lock_digest(&self) -> Result<FileHash, WorkspaceError> {
        match system::read(&self.lock_path()) {
            Ok(bytes) => Ok(FileHash::of(&bytes)),
            Err(error) if error.is_missing() => Ok(FileHash::of(b"")),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn write_lock(&self, lock: &LockFile) -> Result<FileHash, WorkspaceError> {
        let text = lock.write();
        let digest = FileHash::of(text.as_bytes());
        if self.lock_digest()? != digest {
            system::replace(&self.lock_path(), text.as_bytes())?;
        }
        Ok(digest)
    }

    /// Pins the sources of `recipes`; new pins go into `lock`.
    pub(super) fn pin(
        &self,
        recipes: &[Arc<Recipe>],
        pinning: Pinning,
        record: &Arc<Record>,
        lock: &mut LockFile,
    ) -> Result<Snapshots, WorkspaceError> {
        let hub_name = self.hub_name()?;
        let mut snapshots = Snapshots::default();
        // What the hub is to be asked for: sources and revisions, and why.
        let mut asked: Vec<(String, Option<String>, Reason)> = Vec::new();
        for dataset in recipes.iter().flat_map(|recipe| &recipe.datasets) {
            let key = snapshot_key(dataset);
            if snapshots.states.contains_key(&key) {
                continue;
            }
            let state = match &key {
                SnapshotKey::Local { source, splits, data_dir, .. } => {
                    // Before the files are listed: one that comes in between then shows at the next look.
                    if let Ok(folders) = self.folder_stats(source) {
                        snapshots.local_folders.insert(key.clone(), folders);
                    }
                    Some(self.local(source, dataset.format, splits, data_dir, record, &mut snapshots.local_stats))
                }
                SnapshotKey::Hub { source, revision } => {
                    let pinned = lock.find(source, revision.as_deref());
                    let why_not = match pinned {
                        Some(pin) if pin.hub == hub_name || pinning == Pinning::Pinned => None,
                        Some(pin) => Some(Reason::from(Change {
                            name: format!("hub of {source}"),
                            old: Some(pin.hub.clone()),
                            new: Some(hub_name.clone()),
                        })),
                        None => Some(Reason::from(format!("{source} is not in datac.lock"))),
                    };
                    match (why_not, pinning) {
                        (None, _) => pinned.map(|pin| Ok(Arc::new(snapshot_of(pin)))),
                        (Some(why), Pinning::Read | Pinning::Pinned) => {
                            snapshots.unpinned.insert(key.clone(), why);
                            None
                        }
                        (Some(why), Pinning::Locked) => {
                            Some(Err(Failure::new(FailureKind::Lock, format!("build as locked: {why}"))
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
            let hub = self.hub(record)?;
            // Each takes a while, be it for an answer from far away or for hashing a folder.
            let ask = |(source, revision, _): &(String, Option<String>, _)| resolve(&*hub, source, revision.as_deref());
            let answers: Vec<_> = asked.par_iter().map(ask).collect();
            for ((source, revision, why), answer) in asked.into_iter().zip(answers) {
                let state = match answer {
                    Ok(pin) => {
                        let before = why.change.and_then(|change| change.old);
                        let before = before.map_or_else(String::new, |hub| format!(", before {hub}"));
                        let words = format!("{source} at {} (hub {hub_name}{before})", short(&pin.commit));
                        (self.settings.observer)(Event::Locked(words));
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

    fn folder_stats(&self, source: &str) -> Result<Vec<(String, Stat)>, SourceError> {
        let root = &self.settings.root;
        let stat = |folder: std::path::PathBuf| {
            let stat = system::stat(&root.join(&folder))?;
            Ok((folder.to_string_lossy().into_owned(), stat))
        };
        local::folders(root, source)?.into_iter().map(stat).collect()
    }

    fn local(
        &self,
        source: &str,
        format: Format,
        splits: &[String],
        data_dir: &[String],
        record: &Record,
        stats: &mut HashMap<String, Stat>,
    ) -> Result<Arc<Snapshot>, Failure> {
        let root = &self.settings.root;
        let listed = local::list(root, source, format, splits, data_dir).map_err(|error| failure_of(&error))?;
        let mut found = Vec::with_capacity(listed.len());
        for (path, kind) in listed {
            let place = root.join(&path);
            let failed = |error: system::FileError| failure_of(&SourceError::File(error));
            let stat = system::stat(&place).map_err(failed)?;
            // A write within the tick of its stamp leaves the stat as it is. Past that tick, whatever is hashed is what
            // this stat stands for.
            let begun_ns = system::wait_past_grain(stat.stamp_ns(), &place, &self.cache);
            let digest = files::digest_of_source(record, &place, begun_ns).map_err(failed)?;
            let path = path.to_string_lossy().into_owned();
            stats.insert(path.clone(), stat);
            found.push(LocalFile { path, size: stat.size, digest: FileDigest::Blake3(digest), kind });
        }
        Ok(Arc::new(Snapshot::Local(found)))
    }

    /// The recipes that `selectors` name, all of which must be sound.
    fn parse_all(&self, selectors: &[String]) -> Result<Vec<Arc<Recipe>>, WorkspaceError> {
        let (mut recipes, mut problems) = (Vec::new(), Vec::new());
        for text in self.find(selectors)?.recipes {
            match config::load(&text.path, &text.text, &self.vocabulary) {
                Ok(recipe) => recipes.push(Arc::new(recipe)),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(recipes) } else { Err(WorkspaceError::Problems(problems)) }
    }

    /// Pins the sources of the selected recipes, and moves pins as `upgrade` says.
    ///
    /// With `check` nothing is written: the report says what would change. Without selectors, pins that no recipe
    /// uses are removed.
    pub fn lock(&self, selectors: &[String], upgrade: &Upgrade, check: bool) -> Result<LockReport, WorkspaceError> {
        let _guard = if check { None } else { Some(self.acquire(true)?) };
        let record = self.record(if check { Access::Read } else { Access::Write })?;
        let recipes = self.parse_all(selectors)?;
        let (before, _) = self.read_lock()?;
        let mut lock = before.clone();
        lock.sources.retain(|pin| match upgrade {
            Upgrade::None => true,
            Upgrade::All => false,
            Upgrade::Sources(sources) => !sources.iter().any(|source| *source == pin.source || *source == pin.repo),
        });
        let keys: BTreeSet<SnapshotKey> =
            recipes.iter().flat_map(|recipe| &recipe.datasets).map(snapshot_key).collect();
        let is_used =
            |pin: &Pin| keys.contains(&SnapshotKey::Hub { source: pin.source.clone(), revision: pin.revision.clone() });
        if selectors.is_empty() {
            lock.sources.retain(is_used);
        } else {
            // What other recipes pinned and this call does not resolve again is kept.
            let kept: Vec<Pin> = before.sources.iter().filter(|pin| !is_used(pin)).cloned().collect();
            kept.into_iter().for_each(|pin| lock.set(pin));
        }
        if let Upgrade::Sources(sources) = upgrade {
            let known = |source: &String| before.sources.iter().any(|pin| pin.source == *source || pin.repo == *source);
            if let Some(unknown) = sources.iter().find(|source| !known(source)) {
                let names: Vec<&str> = before.sources.iter().map(|pin| pin.source.as_str()).collect();
                let failure =
                    Failure::new(FailureKind::Config, format!("upgrade `{unknown}`: it is not in datac.lock"));
                return Err(failure.hint(format!("there are {}", names.join(", "))).into());
            }
        }
        let snapshots = self.pin(&recipes, Pinning::Resolve, &record, &mut lock)?;
        if let Some(failure) = snapshots.states.into_values().flatten().find_map(Result::err) {
            return Err(failure.into());
        }
        let report = compare(&before, &lock);
        if !check {
            self.write_lock(&lock)?;
            record.flush()?;
        }
        Ok(report)
    }
}

fn compare(before: &LockFile, after: &LockFile) -> LockReport {
    let mut report = LockReport::default();
    for pin in &after.sources {
        match before.find(&pin.source, pin.revision.as_deref()) {
            Some(old) if old == pin => report.unchanged += 1,
            old => report.changes.push(LockChange {
                source: pin.source.clone(),
                old: old.map(|old| old.commit.clone()),
                new: Some(pin.commit.clone()),
            }),
        }
    }
    for pin in &before.sources {
        if after.find(&pin.source, pin.revision.as_deref()).is_none() {
            report.changes.push(LockChange { source: pin.source.clone(), old: Some(pin.commit.clone()), new: None });
        }
    }
    report
}

/// A commit for people.
pub(super) fn short(commit: &str) -> &str {
    let hex = commit.rsplit(':').next().unwrap_or(commit);
    hex.get(..10).unwrap_or(hex)
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
