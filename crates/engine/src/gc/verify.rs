//! Reads the whole cache and checks every byte: blobs and downloads against their digests, entries of the record
//! against their seals. Damaged entries are removed, so that the next build that needs them makes them again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    CachePart,
    reachable::download_name,
    size::{names, outcome},
};
use crate::{
    cache::{Access, Blobs, CacheContents, DOWNLOADS, Gone, MissReason, Record, Store},
    event::Event,
    provenance::history::read_manifest,
    site::{IfHeld, LockStore, Site, WorkspaceError, name_of},
    system::{self, Stopwatch},
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::BlobId,
};

/// Result of checking the whole cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verified {
    /// Number of blobs that were read.
    pub blobs: u64,
    /// Number of downloaded files that were read.
    pub downloads: u64,
    /// Number of action entries that were checked.
    pub entries: u64,
    /// Number of bytes that were read.
    pub bytes: u64,
    /// The damaged entries.
    pub damaged: Vec<Damaged>,
    /// Elapsed time in milliseconds.
    pub elapsed_ms: u64,
}

/// An entry of the cache whose bytes differ from those stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Damaged {
    /// Part of the cache that the entry belongs to.
    pub part: CachePart,
    /// Digest that names the entry; for an entry of the record, its description.
    pub name: String,
    /// Description of the damage.
    pub how: String,
    /// Names of recipes whose last build depends on the entry, as far as manifests show; for a download, its source
    /// files by repository and path.
    pub used_by: Vec<String>,
    /// Why the entry could not be removed; `None` if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
}

impl Verified {
    /// Returns whether a damaged entry could not be removed.
    pub fn is_stuck(&self) -> bool {
        self.damaged.iter().any(|damaged| damaged.stuck.is_some())
    }
}

/// Checks every byte of the cache, and removes damaged entries.
pub(crate) fn verify(site: &Site) -> Result<Verified, WorkspaceError> {
    let watch = Stopwatch::start();
    let mut verified = Verified::default();
    if !site.cache.is_begun() {
        return Ok(verified);
    }
    let _lock = site.cache.acquire(IfHeld::Wait)?;
    let record = site.cache.record(Access::Write)?;
    verified.damaged = record.check()?.into_iter().map(entry).collect();
    let mut found = CacheContents::take(&site.cache)?;
    found.add_recorded(&record)?;
    let store = site.cache.store(&record);
    let (actions, users) = (record.actions()?, users(&store, &record)?);
    let parts = names(&actions, &record)?;
    let total = found.total().bytes - found.record.bytes;
    let done = AtomicU64::new(0);
    let tell = |bytes: u64| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (site.observer)(Event::Checked { done, total });
        match site.interrupt.load(Ordering::Relaxed) {
            true => Err(Failure::plain(FailureKind::Interrupted, "interrupted")),
            false => Ok(()),
        }
    };

    let blobs: Vec<BlobId> = found.blobs.keys().copied().collect();
    let checked = blobs.par_iter().map(|digest| {
        let problem = check_blob(&store, digest);
        tell(found.blobs[digest].bytes).map(|()| problem.map(|(how, stuck)| (*digest, how, stuck)))
    });
    let broken: Vec<_> = checked.collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten().collect();
    let gone: HashSet<BlobId> = broken.iter().map(|(digest, ..)| *digest).collect();
    let damaged = |digest: &BlobId, how: String, stuck: Option<String>| Damaged {
        part: parts.get(digest).copied().unwrap_or(CachePart::Unnamed),
        name: digest.to_string(),
        how,
        used_by: users.get(digest).map(|users| users.iter().cloned().collect()).unwrap_or_default(),
        stuck,
    };
    verified.damaged.extend(broken.into_iter().map(|(digest, how, stuck)| damaged(&digest, how, stuck)));

    let pinned = pinned(&site.lock)?;
    let names: Vec<&String> = found.downloads.keys().collect();
    let checked = names.par_iter().map(|name| {
        let problem = check_download(&site.cache.join(DOWNLOADS).join(name), name);
        tell(found.downloads[*name].bytes).map(|()| problem.map(|(how, stuck)| (*name, how, stuck)))
    });
    for (name, how, stuck) in checked.collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten() {
        let used_by = pinned.get(name).cloned().unwrap_or_default();
        verified.damaged.push(Damaged { part: CachePart::Downloads, name: name.clone(), how, used_by, stuck });
    }

    // An entry whose blobs were removed above is removed with them. Blobs that were missing before are reported as
    // damage of their own.
    let mut hollow = Vec::new();
    let mut lost: BTreeSet<BlobId> = BTreeSet::new();
    for action in &actions {
        let Some(outcome) = outcome(action) else {
            hollow.push(action.key);
            verified.damaged.push(entry(format!("result of a {} in an unreadable form", action.kind)));
            continue;
        };
        let absent: Vec<BlobId> = outcome.blobs().into_iter().filter(|blob| !found.blobs.contains_key(blob)).collect();
        if !absent.is_empty() || outcome.blobs().iter().any(|blob| gone.contains(blob)) {
            hollow.push(action.key);
            lost.extend(absent);
        }
    }
    verified.damaged.extend(lost.iter().map(|digest| damaged(digest, "missing".to_owned(), None)));
    record.forget_all(&hollow, Gone::Damaged)?;
    verified.blobs = blobs.len() as u64;
    verified.downloads = names.len() as u64;
    verified.entries = actions.len() as u64;
    verified.bytes = done.into_inner();
    verified.elapsed_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(verified)
}

/// Returns, for every blob, the names of the recipes whose last build depends on it.
fn users(store: &Store, record: &Record) -> Result<HashMap<BlobId, BTreeSet<String>>, WorkspaceError> {
    let mut users: HashMap<BlobId, BTreeSet<String>> = HashMap::new();
    let mut told: HashSet<String> = HashSet::new();
    // Newest first: if the manifest of the last build is itself damaged, the one before it still names most of the
    // blobs.
    for (_, build) in record.all_builds()?.into_iter().rev() {
        let (Some(digest), name) = (build.manifest, name_of(Path::new(&build.path))) else { continue };
        users.entry(digest).or_default().insert(name.clone());
        if told.contains(&build.path) {
            continue;
        }
        let Ok(manifest) = read_manifest(store, &build) else { continue };
        for blob in manifest.blobs() {
            users.entry(blob).or_default().insert(name.clone());
        }
        told.insert(build.path);
    }
    Ok(users)
}

/// Returns the repository and path of each download that datac.lock pins, by the name of the download.
fn pinned(lock: &LockStore) -> Result<BTreeMap<String, Vec<String>>, WorkspaceError> {
    let mut pinned: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pin in lock.read()?.0.sources {
        for file in &pin.files {
            let name = download_name(&file.digest.to_string());
            pinned.entry(name).or_default().push(format!("{}/{}", pin.repo, file.path));
        }
    }
    Ok(pinned)
}

/// Returns the description of a damaged entry of the record, which has been removed.
fn entry(what: String) -> Damaged {
    Damaged {
        part: CachePart::Record,
        name: what,
        how: "its contents differ from what was written".to_owned(),
        used_by: Vec::new(),
        stuck: None,
    }
}

/// Reads a blob and removes it if it is damaged. Returns the damage and the error of a failed removal.
fn check_blob(store: &Store, digest: &BlobId) -> Option<(String, Option<String>)> {
    let miss = store.get(digest).err()?;
    let how = match miss.reason {
        // The blob was removed by another process since it was listed.
        MissReason::Absent => return None,
        MissReason::Damaged(how) => how,
    };
    Some((how, store.remove(digest).err().map(|error| error.to_string())))
}

/// Reads a download and removes it if it is damaged. Returns the damage and the error of a failed removal.
fn check_download(path: &Path, name: &str) -> Option<(String, Option<String>)> {
    let how = match is_sound(path, name) {
        Ok(true) => return None,
        Ok(false) => "its digest does not match".to_owned(),
        Err(error) if error.is_missing() => return None,
        Err(error) => error.source.to_string(),
    };
    let removed = system::remove(&path.with_file_name(format!("{name}.ok"))).and_then(|()| system::remove(path));
    Some((how, removed.err().map(|error| error.to_string())))
}

#[cfg(feature = "hub")]
fn is_sound(path: &Path, name: &str) -> Result<bool, system::FileError> {
    crate::source::hub::holds(path, &name.replacen('-', ":", 1))
}

/// Without the `hub` feature there are no downloads except those of another datac, which checks them itself.
#[cfg(not(feature = "hub"))]
fn is_sound(_: &Path, _: &str) -> Result<bool, system::FileError> {
    Ok(true)
}
