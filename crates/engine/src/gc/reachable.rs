//! What of the cache is in use: what current recipes stand on, and when the rest was used last.
//!
//! Current are the recipes below `config/`, and those elsewhere that were built once and are still there. One stands on
//! whatever its plan looks up, and on all that the manifest of its last build names. A blob that only earlier manifests
//! name was used last when the build came that did without it: the ledger knows, so nothing has to be noted for it.

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

/// What of the cache is in use.
#[derive(Debug, Default)]
pub(crate) struct Reachable {
    /// The actions that plans of current recipes look up.
    pub(crate) keys: HashSet<ActionKey>,
    /// The blobs that current recipes depend on.
    pub(crate) blobs: HashSet<BlobId>,
    /// The manifests of all runs that are remembered.
    pub(crate) manifests: HashSet<BlobId>,
    /// The names of downloads that datac.lock pins.
    pub(crate) downloads: HashSet<String>,
    /// When blobs that are not in use were used last, as far as manifests tell, nanoseconds since 1970.
    pub(crate) used_ns: HashMap<BlobId, i64>,
    /// When chunks of sources, and files of outputs, were used last; those of current recipes: for ever.
    pub(crate) named_ns: HashMap<Digest, i64>,
    /// The paths of recipes that were built and are gone.
    pub(crate) gone: Vec<String>,
}

/// As long as anything is in use.
pub(crate) const IN_USE: i64 = i64::MAX;

/// The number of manifests held in memory at once.
const MANIFESTS_AT_ONCE: usize = 256;

/// Finds what of the cache is in use, and what was in use since `oldest_ns`. Writes nothing and uses no network.
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
        // The next build of the same recipe is the one that did without what only this one names.
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
    // What is older is old whatever its manifest names: none of it was made after that.
    let wanted: Vec<(BlobId, i64)> = used.into_iter().filter(|(_, until)| *until > oldest_ns).collect();
    let store = site.cache.store(record);
    for some in wanted.chunks(MANIFESTS_AT_ONCE) {
        // One that is gone or damaged tells nothing; what it named is as old as it is.
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

/// Plans every current recipe and notes what the plans looked up; returns the paths of current recipes.
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
            // Whatever it comes to: what it looks up on the way is what counts.
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
    /// Notes that everything a manifest names was in use until `until`.
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

    /// Returns the names that the schedule notes as unused: recipes that are gone, and downloads that no lock pins.
    pub(crate) fn unused<'r>(
        &'r self,
        downloads: impl Iterator<Item = &'r String> + 'r,
    ) -> impl Iterator<Item = String> + 'r {
        downloads.filter(|name| !self.downloads.contains(*name)).chain(&self.gone).cloned()
    }
}

/// Returns the file name of a download by its digest.
pub(crate) fn download_name(digest: &str) -> String {
    digest.replace(':', "-")
}
