//! Determines what is in use in the cache, and when the rest was last used.
//!
//! Current recipes are those below `config/`, and recipes elsewhere that have been built and still exist. A current
//! recipe uses everything that its plan looks up, and everything that the manifest of its last build names. A blob
//! that only earlier manifests name was last used when the next build of the recipe replaced it; the ledger has that
//! time, so uses need not be recorded.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use rayon::prelude::*;

use crate::{
    cache::{GcSchedule, Record},
    driver,
    graph::plan,
    provenance::manifest::BuildManifest,
    selector::assess_selected,
    site::{Site, WorkspaceError},
    status::{
        assess::{Depth, Looks},
        pins::Pinning,
    },
    system,
};
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
};

/// What is in use in the cache.
#[derive(Debug, Default)]
pub(crate) struct Reachable {
    /// Actions that the plans of current recipes look up.
    pub(crate) keys: HashSet<ActionKey>,
    /// Blobs that current recipes depend on.
    pub(crate) blobs: HashSet<BlobId>,
    /// Manifests of all runs in the ledger.
    pub(crate) manifests: HashSet<BlobId>,
    /// Names of downloads that datac.lock pins.
    pub(crate) downloads: HashSet<String>,
    /// Time of last use of unused blobs, if a manifest names them, in nanoseconds since 1970.
    pub(crate) used_ns: HashMap<BlobId, i64>,
    /// Time of last use of source chunks and output files; [`IN_USE`] for those of current recipes.
    pub(crate) named_ns: HashMap<Digest, i64>,
    /// Paths of recipes that were built and no longer exist.
    pub(crate) gone: Vec<String>,
}

/// Time of last use of what is still in use.
pub(crate) const IN_USE: i64 = i64::MAX;

/// Number of manifests held in memory at once.
const MANIFESTS_AT_ONCE: usize = 256;

/// Determines what is in use, and what was in use after `oldest_ns`. Writes nothing and uses no network.
pub(crate) fn reachable(
    site: &Site,
    record: &Arc<Record>,
    schedule: &GcSchedule,
    oldest_ns: i64,
) -> Result<Reachable, WorkspaceError> {
    let builds = record.all_builds()?;
    let mut built: Vec<String> = builds.iter().map(|(_, build)| build.path.clone()).collect();
    built.extend(record.recipes()?.into_keys());
    built.sort();
    built.dedup();
    let (present, gone): (Vec<String>, Vec<String>) =
        built.into_iter().partition(|path| system::exists(&site.root().join(path)));
    let mut found = Reachable { gone, ..Reachable::default() };
    let current = plan_all(site, record, present, &mut found)?;
    let (lock, _) = site.lock.read()?;
    let files = lock.sources.iter().flat_map(|pin| &pin.files);
    found.downloads.extend(files.map(|file| download_name(&file.digest.to_string())));

    let runs: HashMap<_, _> = record.runs()?.into_iter().map(|(id, run)| (id, run.ended_ns)).collect();
    let mut used: BTreeMap<BlobId, i64> = BTreeMap::new();
    for (at, (_, build)) in builds.iter().enumerate() {
        let Some(manifest) = build.manifest else { continue };
        // What only this build names was last used when the recipe's next build replaced it.
        let next = builds.get(at + 1).filter(|(_, next)| next.path == build.path);
        let until = match next {
            Some((run, _)) => runs.get(run).copied().unwrap_or(0),
            None if current.contains(&build.path) => IN_USE,
            None => schedule.unused.get(&build.path).copied().unwrap_or_else(system::now_ns),
        };
        let known = used.entry(manifest).or_insert(until);
        *known = (*known).max(until);
    }
    found.manifests.extend(used.keys());
    // Older manifests need not be read: what they name cannot have been used after them.
    let wanted: Vec<(BlobId, i64)> = used.into_iter().filter(|(_, until)| *until > oldest_ns).collect();
    let store = site.cache.store(record);
    for some in wanted.chunks(MANIFESTS_AT_ONCE) {
        // A missing or damaged manifest is skipped; the blobs it named count as unused since they were written.
        let read = |(digest, until): &(BlobId, i64)| {
            let manifest = BuildManifest::decode(&store.peek(digest).ok()?).ok()?;
            Some((manifest, *until))
        };
        let manifests: Vec<_> = some.par_iter().filter_map(read).collect();
        manifests.iter().for_each(|(manifest, until)| found.note(manifest, *until));
        found.blobs.extend(some.iter().filter(|(_, until)| *until == IN_USE).map(|(digest, _)| *digest));
    }
    Ok(found)
}

/// Plans every current recipe and notes what the plans look up. Returns the paths of current recipes.
fn plan_all(
    site: &Site,
    record: &Arc<Record>,
    mut selectors: Vec<String>,
    found: &mut Reachable,
) -> Result<HashSet<String>, WorkspaceError> {
    if system::is_dir(&site.root().join("config")) {
        selectors.push("config".to_owned());
    }
    let looked_up: Arc<Mutex<BTreeMap<ActionKey, Vec<BlobId>>>> = Arc::default();
    let (own, store, noted) = (record.clone(), site.cache.store(record), looked_up.clone());
    let looks = Looks {
        pinning: Pinning::Pinned,
        depth: Depth::Close,
        lookup: Some(Arc::new(move |key: &ActionKey| {
            let outcome = driver::lookup(&*own, &store, key)?;
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, outcome.blobs());
            Some(outcome)
        })),
        ..Looks::default()
    };
    let session = assess_selected(site, record.clone(), &selectors, looks)?;
    for assessed in &session.recipes {
        if let (Some(file), Some(_)) = (assessed.file, &assessed.recipe) {
            // The result does not matter, only what is looked up on the way.
            plan(&session.planner, file);
        }
    }
    let looked_up = std::mem::take(&mut *looked_up.lock().unwrap_or_else(PoisonError::into_inner));
    for (key, blobs) in looked_up {
        found.keys.insert(key);
        found.blobs.extend(blobs);
    }
    Ok(session.recipes.into_iter().map(|assessed| assessed.text.path).collect())
}

impl Reachable {
    /// Notes that everything named by a manifest was in use until `until`.
    fn note(&mut self, manifest: &BuildManifest, until: i64) {
        if until == IN_USE {
            self.blobs.extend(manifest.blobs());
        } else {
            for blob in manifest.blobs() {
                let used = self.used_ns.entry(blob).or_insert(until);
                *used = (*used).max(until);
            }
        }
        let chunks = manifest.sources.iter().flat_map(|source| &source.chunks).map(|chunk| chunk.digest.digest());
        for digest in chunks.chain(manifest.files.iter().map(|file| file.meta.digest.digest())) {
            let used = self.named_ns.entry(digest).or_insert(until);
            *used = (*used).max(until);
        }
    }

    /// Returns the names that the schedule notes as unused: recipes that no longer exist, and downloads that no lock
    /// pins.
    pub(crate) fn unused<'r>(
        &'r self,
        downloads: impl Iterator<Item = &'r String> + 'r,
    ) -> impl Iterator<Item = String> + 'r {
        downloads.filter(|name| !self.downloads.contains(*name)).chain(&self.gone).cloned()
    }
}

/// Returns the file name of a download with this digest.
pub(crate) fn download_name(digest: &str) -> String {
    digest.replace(':', "-")
}
