//! Garbage collection: removes entries of the cache that no current recipe reaches, least recently used first, by age
//! and by size.
//!
//! Entries that a current recipe reaches and downloads that datac.lock pins are kept whatever the bounds. Entries of
//! the record are removed before the blobs they name, so that an interrupted collection leaves no entry whose blobs
//! are missing.

mod reachable;
mod size;
mod verify;

pub(crate) use reachable::download_name;
pub use size::{CachePart, CacheSize, PartSize};
pub(crate) use size::{cache_size, outcome as recorded_outcome};
pub(crate) use verify::verify;
pub use verify::{Damaged, Verified};

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use self::{
    reachable::{IN_USE, Reachable, reachable},
    size::outcome,
};
use crate::{
    cache::{Access, CacheContents, DOWNLOADS, GcSchedule, Gone, Held, Record, RecordedAction},
    event::Event,
    graph::Outcome,
    site::{IfHeld, Site, WorkspaceError},
    system,
};
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
};

/// Limits for the entries of the cache that no current recipe reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheBounds {
    /// Maximum size of the whole cache in bytes, above which the least recently used entries are evicted.
    pub max_bytes: u64,
    /// Time that an unused entry is kept.
    pub max_age: Duration,
}

impl Default for CacheBounds {
    /// 10 GB and 30 days.
    fn default() -> Self {
        Self { max_bytes: 10_000_000_000, max_age: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// Result of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Collected {
    /// Whether this was a dry run, which removes nothing.
    pub dry_run: bool,
    /// Blobs that no current recipe reaches.
    pub blobs: Removed,
    /// Downloads that datac.lock does not pin.
    pub downloads: Removed,
    /// Files that killed processes left behind.
    pub temporary: Removed,
    /// Number of entries of the record that named removed blobs.
    pub entries: u64,
    /// Size of the cache before the collection, in bytes.
    pub before_bytes: u64,
    /// Size of the cache after the collection, in bytes.
    pub after_bytes: u64,
    /// Size of what current recipes reach, in bytes.
    pub reached_bytes: u64,
    /// Maximum size of the cache, in bytes.
    pub max_bytes: u64,
    /// Time that an unused entry is kept, in seconds.
    pub max_age_s: u64,
}

/// Files or blobs that were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Removed {
    /// Number of files or blobs.
    pub count: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

impl Removed {
    fn add(&mut self, held: Held) {
        self.count += held.count;
        self.bytes += held.bytes;
    }
}

impl Collected {
    /// Returns the number of removed blobs and files.
    pub fn count(&self) -> u64 {
        self.blobs.count + self.downloads.count + self.temporary.count
    }

    /// Returns the size of removed blobs and files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.blobs.bytes + self.downloads.bytes + self.temporary.bytes
    }
}

/// An entry of the cache that may be removed.
struct Evictable {
    what: EvictableKind,
    held: Held,
    /// Time of last use, in nanoseconds since 1970.
    used_ns: i64,
}

#[derive(Clone, Debug)]
enum EvictableKind {
    Blob(BlobId),
    /// The manifest of an earlier build. Manifests are few and small, so they are removed last, and only to save
    /// space.
    History(BlobId),
    Download(String),
}

/// Removes unreachable entries beyond the bounds. A dry run returns what would be removed, and writes nothing.
pub(crate) fn collect(site: &Site, bounds: &CacheBounds, dry_run: bool) -> Result<Collected, WorkspaceError> {
    if dry_run {
        let record = site.cache.record(Access::Read)?;
        return collect_with(site, &record, bounds, true);
    }
    if !site.cache.is_begun() {
        // There is no cache, and a collection does not create one.
        return Ok(Collected::begun(bounds, false));
    }
    let _lock = site.cache.acquire(IfHeld::Wait)?;
    let record = site.cache.record(Access::Write)?;
    collect_with(site, &record, bounds, false)
}

/// Collects garbage if that is due, after a build that wrote `written` bytes. The caller must hold the lock.
///
/// A failed collection gives a warning and does not fail the build.
pub(crate) fn collect_if_due(
    site: &Site,
    record: &Arc<Record>,
    bounds: &CacheBounds,
    written: u64,
) -> Option<Collected> {
    let now = system::now_ns();
    let mut schedule = GcSchedule::read(&site.cache).unwrap_or_else(|| GcSchedule::begun(now));
    schedule.written = schedule.written.saturating_add(written);
    let collected = match schedule.is_due(now, bounds.max_bytes) {
        true => collect_with(site, record, bounds, false).map(Some),
        false => schedule.write(&site.cache).map(|()| None).map_err(WorkspaceError::from),
    };
    match collected {
        Ok(collected) => collected.filter(|collected| collected.count() > 0),
        Err(error) => {
            let text = format!("the cache was not cleaned up: {error}");
            (site.observer)(Event::Warning(text));
            None
        }
    }
}

fn collect_with(
    site: &Site,
    record: &Arc<Record>,
    bounds: &CacheBounds,
    dry_run: bool,
) -> Result<Collected, WorkspaceError> {
    let now = system::now_ns();
    let mut schedule = GcSchedule::read(&site.cache).unwrap_or_else(|| GcSchedule::begun(now));
    let mut found = CacheContents::take(&site.cache)?;
    found.add_recorded(record)?;
    let oldest = now.saturating_sub(nanoseconds(bounds.max_age));
    let reachable = reachable(site, record, &schedule, oldest)?;
    schedule.note_unused(reachable.unused(found.downloads.keys()), now);
    let mut collected = Collected::begun(bounds, dry_run);
    collected.before_bytes = found.total().bytes;
    let temporary = temporary(&found, &reachable, &site.cache);
    temporary.iter().for_each(|(_, held)| collected.temporary.add(*held));
    let candidates = candidates(&found, &reachable, &schedule);
    let candidate_bytes: u64 = candidates.iter().map(|candidate| candidate.held.bytes).sum();
    collected.reached_bytes = collected.before_bytes - candidate_bytes - collected.temporary.bytes;
    let left = collected.before_bytes - collected.temporary.bytes;
    let gone = beyond(candidates, bounds, now, left);
    for candidate in &gone {
        match candidate.what {
            EvictableKind::Blob(_) | EvictableKind::History(_) => collected.blobs.add(candidate.held),
            EvictableKind::Download(_) => collected.downloads.add(candidate.held),
        }
    }
    let removed: HashSet<BlobId> = gone.iter().filter_map(|candidate| candidate.what.blob()).collect();
    let is_kept = |blob: &BlobId| found.blobs.contains_key(blob) && !removed.contains(blob);
    let actions = record.actions()?;
    let hollow: Vec<ActionKey> = actions
        .iter()
        .filter(|action| {
            !reachable.keys.contains(&action.key) && !is_of_use(action, &is_kept, &reachable.named_ns, oldest)
        })
        .map(|action| action.key)
        .collect();
    collected.entries = hollow.len() as u64;
    collected.after_bytes = collected.before_bytes - collected.bytes();
    if dry_run {
        return Ok(collected);
    }
    record.forget_all(&hollow, Gone::Evicted)?;
    let root = site.root();
    let is_gone = |path: &str| Path::new(path).starts_with(root) && !system::exists(Path::new(path));
    record.forget_paths(&is_gone, &[])?;
    site.cache
        .store(record)
        .remove_all(&gone.iter().filter_map(|candidate| candidate.what.blob()).collect::<Vec<_>>())?;
    let paths = gone.iter().flat_map(|candidate| downloaded(&site.cache, &candidate.what));
    let paths: Vec<PathBuf> = paths.chain(temporary.into_iter().map(|(path, _)| path)).collect();
    paths.par_iter().try_for_each(|path| system::remove(path))?;
    record.compact()?;
    // The size of the removed entries only estimates the space that SQLite frees, so measure the record again.
    if let Some(rest) = record.bytes_beside_frames()? {
        collected.after_bytes = (collected.after_bytes + rest).saturating_sub(found.record.bytes);
    }
    (schedule.surveyed_ns, schedule.bytes, schedule.written) = (now, collected.after_bytes, 0);
    schedule.write(&site.cache)?;
    Ok(collected)
}

/// Returns the paths of a download's files.
fn downloaded(cache: &Path, what: &EvictableKind) -> Vec<PathBuf> {
    let EvictableKind::Download(name) = what else { return Vec::new() };
    let path = cache.join(DOWNLOADS).join(name);
    // The `.ok` file, which says that the download was checked, must go first: it means nothing without the download.
    vec![path.with_file_name(format!("{name}.ok")), path]
}

impl Collected {
    fn begun(bounds: &CacheBounds, dry_run: bool) -> Self {
        Self { dry_run, max_bytes: bounds.max_bytes, max_age_s: bounds.max_age.as_secs(), ..Self::default() }
    }
}

impl EvictableKind {
    fn blob(&self) -> Option<BlobId> {
        match self {
            Self::Blob(digest) | Self::History(digest) => Some(*digest),
            Self::Download(_) => None,
        }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns the files left by killed processes, except partial downloads of pinned files, which can be continued.
fn temporary(found: &CacheContents, reachable: &Reachable, cache: &Path) -> Vec<(PathBuf, Held)> {
    let partial = found.partial.iter().filter(|(name, _)| !reachable.downloads.contains(*name));
    let partial = partial.map(|(name, held)| (cache.join(DOWNLOADS).join(format!("{name}.part")), *held));
    found.temporary.iter().cloned().chain(partial).collect()
}

/// Returns everything that no current recipe reaches and no lock pins.
fn candidates(found: &CacheContents, reachable: &Reachable, schedule: &GcSchedule) -> Vec<Evictable> {
    let blobs = found.blobs.iter().filter(|(digest, _)| !reachable.blobs.contains(*digest));
    let blobs = blobs.map(|(digest, held)| {
        let used_ns = reachable.used_ns.get(digest).copied().unwrap_or(held.mtime_ns).max(held.mtime_ns);
        let is_history = reachable.manifests.contains(digest);
        let what = if is_history { EvictableKind::History(*digest) } else { EvictableKind::Blob(*digest) };
        Evictable { what, held: *held, used_ns }
    });
    let downloads = found.downloads.iter().filter(|(name, _)| !reachable.downloads.contains(*name));
    let downloads = downloads.map(|(name, held)| {
        let used_ns = schedule.unused.get(name).copied().unwrap_or(held.mtime_ns).max(held.mtime_ns);
        Evictable { what: EvictableKind::Download(name.clone()), held: *held, used_ns }
    });
    blobs.chain(downloads).collect()
}

/// Returns the candidates to remove so that none is older than allowed and the cache, now `bytes` in size, is not too
/// large.
fn beyond(mut candidates: Vec<Evictable>, bounds: &CacheBounds, now: i64, mut bytes: u64) -> Vec<Evictable> {
    let is_history = |candidate: &Evictable| matches!(candidate.what, EvictableKind::History(_));
    // Among entries with the same time of last use, larger ones go first; the digest decides the rest.
    candidates.sort_by_cached_key(|candidate| {
        let name = match &candidate.what {
            EvictableKind::Blob(digest) | EvictableKind::History(digest) => digest.to_string(),
            EvictableKind::Download(name) => name.clone(),
        };
        (is_history(candidate), candidate.used_ns, std::cmp::Reverse(candidate.held.bytes), name)
    });
    let oldest = now.saturating_sub(nanoseconds(bounds.max_age));
    let mut gone = Vec::new();
    for candidate in candidates {
        let is_old = candidate.used_ns <= oldest && !is_history(&candidate);
        if is_old || bytes > bounds.max_bytes {
            bytes -= candidate.held.bytes;
            gone.push(candidate);
        }
    }
    gone
}

/// Returns whether to keep an entry of the record that no current plan looks up. It is kept as long as its blobs are;
/// if it has none, as long as the builds that read its chunks or wrote its files.
fn is_of_use(
    action: &RecordedAction,
    is_kept: &impl Fn(&BlobId) -> bool,
    named_ns: &HashMap<Digest, i64>,
    oldest: i64,
) -> bool {
    let is_named = |digest: Digest| named_ns.get(&digest).is_some_and(|used| *used == IN_USE || *used > oldest);
    match outcome(action) {
        None => false,
        Some(Outcome::Scan(scan)) => scan.chunks.iter().any(|chunk| is_named(chunk.digest.digest())),
        Some(Outcome::Output(files)) => files.values().flatten().any(|file| is_named(file.digest.digest())),
        Some(Outcome::Quarantine(file)) => is_named(file.digest.digest()),
        Some(Outcome::Shaped(shaped)) => shaped.files.iter().any(|file| is_named(file.meta.digest.digest())),
        Some(outcome) => outcome.blobs().iter().all(is_kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: u8, bytes: u64, used_ns: i64) -> Evictable {
        let held = Held { count: 1, bytes, mtime_ns: 0 };
        Evictable { what: EvictableKind::Blob(BlobId::of(&[name])), held, used_ns }
    }

    fn gone(candidates: Vec<Evictable>, max_bytes: u64, max_age: u64, bytes: u64) -> Vec<(u64, i64)> {
        let bounds = CacheBounds { max_bytes, max_age: Duration::from_nanos(max_age) };
        beyond(candidates, &bounds, 100, bytes).iter().map(|gone| (gone.held.bytes, gone.used_ns)).collect()
    }

    #[test]
    fn what_is_too_old_goes_and_then_the_oldest_until_it_fits() {
        let all = || vec![candidate(1, 10, 90), candidate(2, 20, 50), candidate(3, 30, 70)];
        assert_eq!(gone(all(), 1000, 1000, 60), []);
        assert_eq!(gone(all(), 1000, 50, 60), [(20, 50)], "one that is exactly as old");
        assert_eq!(gone(all(), 40, 1000, 60), [(20, 50)]);
        assert_eq!(gone(all(), 39, 1000, 60), [(20, 50), (30, 70)]);
        assert_eq!(gone(all(), 0, 1000, 1060), [(20, 50), (30, 70), (10, 90)], "and what is in use stays");
        assert_eq!(gone(all(), 1000, 0, 60).len(), 3);
    }

    #[test]
    fn history_goes_last_and_only_for_want_of_space() {
        let mut history = candidate(4, 5, 1);
        history.what = EvictableKind::History(BlobId::of(b"manifest"));
        let all = || vec![Evictable { what: history.what.clone(), ..history }, candidate(1, 10, 90)];
        assert_eq!(gone(all(), 1000, 0, 15), [(10, 90)]);
        assert_eq!(gone(all(), 5, 1000, 15), [(10, 90)]);
        assert_eq!(gone(all(), 4, 1000, 15), [(10, 90), (5, 1)]);
    }
}
