//! Downloads every file that recipes read, so that builds need no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cache::{Access, DOWNLOADS},
    driver::failure_of,
    gc::download_name,
    graph::{SourceFile, files_of, model_files},
    selector::{assess_selected, find},
    site::{IfHeld, Site, WorkspaceError},
    source::Source,
    status::{
        assess::{Depth, Looks},
        pins::Pinning,
    },
    system,
};
use datac_core::{
    config::Problem,
    failure::{Failure, FailureKind},
};

/// Number of simultaneous downloads: enough to keep a connection busy while one waits for its first byte.
const AT_ONCE: usize = 4;

/// Result of a fetch.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Fetched {
    /// Name of the hub.
    pub hub: String,
    /// Whether the hub's files come over the network.
    pub is_remote: bool,
    /// Files of the hub that recipes read, by repository and path.
    pub files: Vec<FetchedFile>,
    /// Sources and files that could not be fetched.
    pub failures: Vec<FetchFailure>,
    /// Problems of invalid recipes.
    #[serde(serialize_with = "in_words")]
    #[schemars(with = "Vec<String>")]
    pub problems: Vec<Problem>,
    /// Number of selected recipes.
    pub recipes: usize,
}

/// A file that recipes read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FetchedFile {
    /// Repository of the file.
    pub repo: String,
    /// Path in the repository.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether the file was downloaded now; if not, it was already there.
    pub is_new: bool,
}

/// A source or file that could not be fetched.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FetchFailure {
    /// The source as given in a recipe, or the repository of the file.
    pub source: String,
    /// The failure.
    #[serde(serialize_with = "message")]
    #[schemars(with = "String")]
    pub failure: Failure,
}

fn message<S: serde::Serializer>(failure: &Failure, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(failure)
}

fn in_words<S: serde::Serializer>(problems: &[Problem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(ToString::to_string))
}

impl Fetched {
    /// Returns the kind of the worst failure, if there was any.
    pub fn failure(&self) -> Option<FailureKind> {
        let invalid = self.problems.first().map(|_| FailureKind::Config);
        self.failures.iter().map(|failure| failure.failure.kind).chain(invalid).max()
    }
}

/// Adds missing pins to datac.lock, and downloads every file that the selected recipes read.
///
/// With `locked`, a source that is not in the lock is a failure. Failures do not stop the other downloads.
pub(super) fn fetch(site: &Site, selectors: &[String], locked: bool) -> Result<Fetched, WorkspaceError> {
    // Where there is no recipe, nothing is made.
    if find(site, selectors)?.recipes.is_empty() {
        return Ok(Fetched {
            hub: site.hub.name(),
            is_remote: site.hub.is_remote(),
            files: Vec::new(),
            failures: Vec::new(),
            problems: Vec::new(),
            recipes: 0,
        });
    }
    let _lock = site.cache.acquire(IfHeld::Wait)?;
    let record = site.cache.record(Access::Write)?;
    let pinning = if locked { Pinning::Locked } else { Pinning::Resolve };
    let session =
        assess_selected(site, record.clone(), selectors, Looks { pinning, depth: Depth::Close, ..Looks::default() })?;
    let mut fetched = Fetched {
        hub: site.hub.name(),
        is_remote: site.hub.is_remote(),
        files: Vec::new(),
        failures: Vec::new(),
        problems: Vec::new(),
        recipes: session.recipes.len(),
    };
    let mut wanted: BTreeMap<(String, String), Arc<SourceFile>> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for assessed in &session.recipes {
        fetched.problems.extend(assessed.status.problems.iter().cloned());
        let (Some(file), Some(recipe)) = (assessed.file, &assessed.recipe) else { continue };
        match model_files(&session.planner, file) {
            Ok(files) => {
                wanted.extend(files.into_iter().map(|file| {
                    ((file.origin.name().to_owned(), file.digest.to_string() + &file.path), Arc::new(file))
                }))
            }
            Err(failure) if failed.insert((String::new(), failure.message.clone())) => {
                let source = recipe.all_models().next().map_or("", |model| model.location.source()).to_owned();
                fetched.failures.push(FetchFailure { source, failure });
            }
            Err(_) => {}
        }
        for (number, dataset) in recipe.datasets.iter().enumerate() {
            match files_of(&session.planner, file, number) {
                Ok(files) => {
                    // Every file of an archive leads to the archive.
                    wanted.extend(files.iter().filter(|file| !file.origin.is_local()).map(|file| {
                        let path = file.remote().path;
                        ((file.origin.name().to_owned(), file.digest.to_string() + &path), file.clone())
                    }))
                }
                // Many recipes may name the same source, so the failure is reported once.
                Err(failure) if failed.insert((dataset.location.source().to_owned(), failure.message.clone())) => {
                    fetched.failures.push(FetchFailure { source: dataset.location.source().to_owned(), failure });
                }
                Err(_) => {}
            }
        }
    }
    let wanted: Vec<Arc<SourceFile>> = wanted.into_values().collect();
    if !wanted.is_empty() {
        let names = wanted.iter().map(|file| file.origin.name());
        let hub = site.hub.open_for(names, &site.cache, &record)?;
        let (files, failures) = fetch_all(site, &*hub, &wanted);
        fetched.files = files;
        fetched.failures.extend(failures);
    }
    // Opening the files of a folder hub took their digests; recording them saves the next build the work.
    record.flush()?;
    Ok(fetched)
}

/// Opens every file, several at a time. Opening a file downloads and checks it.
fn fetch_all(site: &Site, hub: &dyn Source, wanted: &[Arc<SourceFile>]) -> (Vec<FetchedFile>, Vec<FetchFailure>) {
    let next = AtomicUsize::new(0);
    let ended: Mutex<(Vec<FetchedFile>, Vec<FetchFailure>)> = Mutex::default();
    let work = || {
        while let Some(file) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = fetch_one(site, hub, file);
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(is_new) => ended.0.push(FetchedFile {
                    repo: file.origin.name().to_owned(),
                    path: file.remote().path,
                    bytes: file.remote().size,
                    is_new,
                }),
                Err(failure) => {
                    let is_over = failure.kind == FailureKind::Interrupted;
                    if !is_over || ended.1.iter().all(|known| known.failure != failure) {
                        ended.1.push(FetchFailure { source: file.origin.name().to_owned(), failure });
                    }
                }
            }
        }
    };
    thread::scope(|threads| {
        (0..AT_ONCE.min(wanted.len())).for_each(|_| drop(threads.spawn(work)));
    });
    let (mut files, mut failures) = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.sort();
    failures.sort_by(|a, b| (&a.source, &a.failure.message).cmp(&(&b.source, &b.failure.message)));
    (files, failures)
}

/// Opens one file, which downloads it if necessary and checks it; returns whether it was downloaded.
fn fetch_one(site: &Site, hub: &dyn Source, file: &SourceFile) -> Result<bool, Failure> {
    if site.interrupt.load(Ordering::Relaxed) {
        let failure = Failure::plain(FailureKind::Interrupted, "interrupted");
        return Err(failure.hint("finished downloads are kept; run fetch again to continue"));
    }
    let stored = site.cache.join(DOWNLOADS).join(download_name(&file.digest.to_string()));
    let before = system::stat(&stored).ok();
    hub.open(file.origin.name(), file.origin.commit(), &file.remote()).map_err(|error| failure_of(&error))?;
    let after = system::stat(&stored).ok();
    // A damaged download has been replaced by a new file, with another inode.
    Ok(after.is_some() && after.map(|stat| stat.inode) != before.map(|stat| stat.inode))
}
