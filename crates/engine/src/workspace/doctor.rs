//! Diagnoses problems of a workspace and its machine without building.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::validate::validate;
use crate::{
    build::MEMORY_A_THREAD,
    cache::{Access, CACHE_VERSION, CacheContents, Record},
    graph::snapshot_key,
    site::{CacheFolder, HubAccess, OutputFolder, Site, WorkspaceError, vocabulary},
    source::{Checked, lock::Part},
    system::{self, Probe},
};
use datac_core::{config::Location, id::BlobId};

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// The check was skipped.
    Skip,
    /// No problem was found.
    Ok,
    /// A problem was found that does not keep datac from working.
    Warn,
    /// A problem was found that keeps datac from working.
    Fail,
}

/// A check and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Subject of the check: `cache`, `lock`, `hub`, …
    pub name: &'static str,
    /// Result of the check.
    pub health: Health,
    /// Description of the finding.
    pub text: String,
    /// What the user can do about a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    fn new(name: &'static str, health: Health, text: impl Into<String>) -> Self {
        Self { name, health, text: text.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Checks everything that a build depends on. Contacts the hub once, unless the network is disabled. Writes nothing
/// except a temporary file, which is removed.
pub(super) fn doctor(site: &Site) -> Vec<Finding> {
    let root = site.root();
    let (folder, clock) = check_cache_and_clock(site);
    vec![
        version(),
        check_recipes(site),
        check_lock(site),
        folder,
        check_record(&site.cache),
        check_blobs(&site.cache),
        clock,
        check_output(root, &site.outputs),
        check_disk(&site.cache, &site.outputs),
        check_token(&site.hub),
        check_hub(&site.hub, &site.cache),
        check_machine(),
    ]
}

fn check_recipes(site: &Site) -> Finding {
    let name = "recipes";
    let checked = match validate(site, &[], None) {
        Ok(checked) => checked,
        Err(error) => return Finding::new(name, Health::Fail, error.to_string()),
    };
    let broken = checked.recipes.iter().filter(|recipe| !recipe.problems.is_empty()).count();
    match (checked.recipes.len(), broken) {
        (0, _) => Finding::new(name, Health::Warn, "none below config/")
            .hint("datac init creates some; -C DIR selects a workspace elsewhere"),
        (count, 0) => Finding::new(name, Health::Ok, format!("{count} below config/, all valid")),
        (count, broken) => Finding::new(name, Health::Fail, format!("{broken} of {count} below config/ are invalid"))
            .hint("datac validate"),
    }
}

/// Checks that the lock is valid and covers the valid recipes.
fn check_lock(site: &Site) -> Finding {
    let name = "lock";
    let lock = match site.lock.read() {
        Ok((lock, _)) => lock,
        Err(WorkspaceError::Failure(failure)) => {
            let finding = Finding::new(name, Health::Fail, failure.message.clone());
            return failure.hint.into_iter().fold(finding, Finding::hint);
        }
        Err(error) => return Finding::new(name, Health::Fail, error.to_string()),
    };
    let recipes = site.recipes.find_all().map(|found| found.recipes).unwrap_or_default();
    let sound = recipes.iter().filter_map(|text| site.recipes.load(&text.path, &text.text).ok());
    let mut used: Vec<(String, Option<String>, Option<Part>)> = sound
        .flat_map(|recipe| recipe.datasets)
        .filter_map(|dataset| match &dataset.location {
            Location::Hub { repo, revision } => Some((repo.clone(), revision.clone(), None)),
            Location::Named { name, revision } => {
                (!system::exists(&site.root().join(name))).then(|| (name.clone(), revision.clone(), None))
            }
            Location::Bucket { address, .. } => {
                Some((address.clone(), None, snapshot_key(&dataset, &BTreeSet::new()).part()))
            }
            Location::Local { .. } => None,
        })
        .collect();
    used.sort();
    used.dedup();
    let hub = site.hub.name();
    let missing: Vec<&str> = used
        .iter()
        .filter(|(source, revision, part)| lock.find_part(source, revision.as_deref(), part.as_ref()).is_none())
        .map(|(source, ..)| source.as_str())
        .collect();
    let elsewhere: Vec<&str> =
        lock.sources.iter().filter(|pin| pin.part.is_none() && pin.hub != hub).map(|pin| pin.source.as_str()).collect();
    let unused = lock
        .sources
        .iter()
        .filter(|pin| !used.iter().any(|(source, of, part)| pin.key() == (source, of.as_deref(), part.as_ref())))
        .count();
    if !missing.is_empty() {
        let text = if lock.sources.is_empty() && !site.lock.exists() {
            "no datac.lock yet".to_owned()
        } else {
            format!("{} not in datac.lock", missing.join(", "))
        };
        return Finding::new(name, Health::Warn, text).hint("run datac lock or datac build to pin what is missing");
    }
    if !elsewhere.is_empty() {
        let text = format!("{} pinned from a different hub than {hub}", elsewhere.join(", "));
        return Finding::new(name, Health::Warn, text).hint("build with that `--hub`, or run datac lock to pin again");
    }
    if lock.sources.is_empty() {
        return Finding::new(name, Health::Ok, "nothing to pin");
    }
    let unused = if unused == 0 { String::new() } else { format!(", {unused} unused") };
    Finding::new(name, Health::Ok, format!("{} pinned{unused}", sources(lock.sources.len())))
}

/// Checks that the cache is writable, that locks work, and how its file system stamps files.
fn check_cache_and_clock(site: &Site) -> (Finding, Finding) {
    let (name, clock) = ("cache", "clock");
    let (root, cache) = (site.root(), &site.cache);
    let place = system::nearest(cache);
    let shown = relative_to(root, cache);
    let unknown = || Finding::new(clock, Health::Skip, "not checked: no file could be written");
    if !system::is_dir(&place) {
        let text = format!("{} is a file, not a folder", relative_to(root, &place));
        return (
            Finding::new(name, Health::Fail, text).hint("remove it, or choose another folder with --cache-dir"),
            unknown(),
        );
    }
    let mut probe = match Probe::new(&place) {
        Ok(probe) => probe,
        Err(error) => {
            let finding = Finding::new(name, Health::Fail, format!("failed to {error}"));
            return (finding.hint("make it writable, or choose another folder with --cache-dir"), unknown());
        }
    };
    let not_local = "keep the cache on a disk of this machine: --cache-dir DIR";
    let folder = match probe.keeps_locks() {
        Ok(true) if place == **cache => Finding::new(name, Health::Ok, format!("{shown}: writable, locks work")),
        Ok(true) => Finding::new(name, Health::Ok, format!("{shown} can be created, locks work")),
        Ok(false) => Finding::new(name, Health::Fail, format!("{shown}: file locks have no effect")).hint(not_local),
        Err(error) => Finding::new(name, Health::Fail, format!("failed to {error}")).hint(not_local),
    };
    let clock = match probe.stamps() {
        Err(error) => Finding::new(clock, Health::Fail, format!("failed to {error}")),
        Ok(stamps) if stamps.ahead_ns.abs() > 1_000_000_000 => {
            let side = if stamps.ahead_ns > 0 { "ahead of" } else { "behind" };
            let seconds = stamps.ahead_ns.unsigned_abs() / 1_000_000_000;
            let text = format!("file timestamps are {seconds} s {side} this machine's clock");
            Finding::new(clock, Health::Warn, text)
                .hint("synchronise the clocks of this machine and of the file server")
        }
        Ok(stamps) if !stamps.is_fine => {
            let text = "file timestamps are coarser than 10 ms: an edit soon after a build may go unnoticed";
            Finding::new(clock, Health::Warn, text).hint(not_local)
        }
        Ok(_) => check_stamps(site, clock),
    };
    (folder, clock)
}

/// Checks for files with a modification time in the future. Until that time, every build reads them again.
fn check_stamps(site: &Site, name: &'static str) -> Finding {
    const MINUTE_NS: i64 = 60_000_000_000;
    let recipes = site.recipes.find_all().map(|found| found.recipes).unwrap_or_default();
    let paths = recipes.into_iter().map(|recipe| recipe.path).chain(["datac.lock".to_owned()]);
    let limit = system::now_ns() + MINUTE_NS;
    let late: Vec<String> =
        paths.filter(|path| system::stat(&site.root().join(path)).is_ok_and(|stat| stat.mtime_ns > limit)).collect();
    match late.first() {
        None => Finding::new(
            name,
            Health::Ok,
            "file timestamps match this machine's clock, with a precision of 10 ms or better",
        ),
        Some(first) => {
            let more = if late.len() > 1 { format!(" and {} more", late.len() - 1) } else { String::new() };
            Finding::new(name, Health::Warn, format!("{first}{more}: modification time in the future"))
                .hint(format!("touch {first}"))
        }
    }
}

/// Checks that the record of the cache is readable.
fn check_record(cache: &CacheFolder) -> Finding {
    let name = "record";
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = warnings.clone();
    let tell = move |warning| told.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    let opened = Record::open(cache, Access::Read, Arc::new(tell));
    let read = opened.and_then(|record| Ok((record.recipes()?.len(), record.is_unreadable())));
    let warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
    match (read, warnings.first()) {
        (Err(error), _) => Finding::new(name, Health::Fail, format!("failed to {error}"))
            .hint("remove the cache; this only costs time"),
        (Ok(_), Some(warning)) => {
            Finding::new(name, Health::Warn, warning.clone()).hint("nothing to do: the next build starts a new one")
        }
        (Ok((_, true)), None) => Finding::new(name, Health::Warn, "written by another version of datac")
            .hint("nothing to do: the next build starts a new one"),
        (Ok((0, false)), None) => Finding::new(name, Health::Ok, "nothing has been built yet"),
        (Ok((built, false)), None) => Finding::new(
            name,
            Health::Ok,
            format!("{built} {} built so far", if built == 1 { "recipe" } else { "recipes" }),
        ),
    }
}

/// Checks the bytes of some blobs. Builds check every byte they read anyway.
fn check_blobs(cache: &CacheFolder) -> Finding {
    const MOST: usize = 64;
    const LARGEST: u64 = 4 << 20;
    let name = "blobs";
    let listed = CacheContents::take(cache).map_err(WorkspaceError::from).and_then(|mut found| {
        // Problems of the record are reported by `check_record`.
        let record = Arc::new(Record::open(cache, Access::Read, Arc::new(|_| {}))?);
        found.add_recorded(&record)?;
        Ok((found.blobs, cache.store(&record)))
    });
    let (blobs, store) = match listed {
        Ok(listed) => listed,
        Err(error) => {
            return Finding::new(name, Health::Fail, format!("failed to {error}")).hint("check the disk");
        }
    };
    // Blobs are sorted by hash, so these are a random sample.
    let looked_at: Vec<&BlobId> = blobs
        .iter()
        .filter(|(_, held)| held.bytes <= LARGEST)
        .map(|(digest, _)| digest)
        .step_by(blobs.len().div_ceil(MOST).max(1))
        .collect();
    let damaged = looked_at.iter().filter(|digest| store.peek(digest).is_err()).count();
    match (looked_at.len(), damaged) {
        (0, _) => Finding::new(name, Health::Ok, "none yet"),
        (count, 0) => Finding::new(name, Health::Ok, format!("{count} checked, all intact")),
        (count, damaged) => Finding::new(name, Health::Warn, format!("{damaged} of {count} checked are damaged"))
            .hint("damaged entries are rebuilt when needed; if this happens again, check the disk"),
    }
}

/// Checks that outputs can be written.
fn check_output(root: &Path, outputs: &OutputFolder) -> Finding {
    let name = "output";
    let (place, shown) = (system::nearest(outputs.dir()), relative_to(root, outputs.dir()));
    let elsewhere = "make it a writable folder, or choose another one with --output-dir";
    if !system::is_dir(&place) {
        let text = format!("{} is a file, not a folder", relative_to(root, &place));
        return Finding::new(name, Health::Fail, text).hint(elsewhere);
    }
    match Probe::new(&place) {
        Err(error) => Finding::new(name, Health::Fail, format!("failed to {error}")).hint(elsewhere),
        Ok(_) if place == outputs.dir() => Finding::new(name, Health::Ok, format!("{shown}: writable")),
        Ok(_) => Finding::new(name, Health::Ok, format!("{shown} can be created")),
    }
}

/// Checks the free disk space for cache and outputs.
fn check_disk(cache: &CacheFolder, outputs: &OutputFolder) -> Finding {
    const LITTLE: u64 = 1 << 30;
    const NONE: u64 = 16 << 20;
    let name = "disk";
    let (cache, output) = match (system::space(cache), system::space(outputs.dir())) {
        (Ok(cache), Ok(output)) => (cache, output),
        (Err(error), _) | (_, Err(error)) => return Finding::new(name, Health::Warn, format!("failed to {error}")),
    };
    let text = if cache == output {
        format!("{} free for the cache and outputs", gigabytes(cache.free))
    } else {
        format!("{} free for the cache, {} for outputs", gigabytes(cache.free), gigabytes(output.free))
    };
    let health = match cache.free.min(output.free) {
        ..NONE => Health::Fail,
        NONE..LITTLE => Health::Warn,
        _ => Health::Ok,
    };
    let finding = Finding::new(name, health, text);
    match health {
        Health::Ok => finding,
        _ => finding.hint("free some space, or choose other folders with --cache-dir and --output-dir"),
    }
}

fn check_hub(hub: &HubAccess, cache: &CacheFolder) -> Finding {
    let name = "hub";
    match hub.check(cache) {
        Checked::Usable(text) => Finding::new(name, Health::Ok, text),
        Checked::Skipped(text) => Finding::new(name, Health::Skip, text),
        Checked::Troubled { text, hint } => Finding::new(name, Health::Warn, text).hint(hint),
        Checked::Unusable { text, hint } => Finding::new(name, Health::Fail, text).hint(hint),
    }
}

/// Returns a path for messages: relative to the workspace if it is inside, otherwise as it is.
fn relative_to(root: &Path, path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root).unwrap_or(path).components().collect();
    path.strip_prefix(".").unwrap_or(&path).display().to_string()
}

fn version() -> Finding {
    let features =
        [("hub", cfg!(feature = "hub")), ("tokens", cfg!(feature = "tokens")), ("watch", cfg!(feature = "watch"))];
    let with: Vec<&str> = features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    let converters = vocabulary().converters.len();
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("datac {version} ({}), {converters} converters, cache {CACHE_VERSION}", with.join(", "));
    Finding::new("version", Health::Ok, text)
}

fn sources(count: usize) -> String {
    if count == 1 { "1 source".to_owned() } else { format!("{count} sources") }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(feature = "hub")]
fn check_token(configured: &HubAccess) -> Finding {
    use crate::source::hub;
    let name = "token";
    match hub::find_token_and_place() {
        _ if hub::has_bad_token() => Finding::new(name, Health::Warn, "HF_TOKEN is not a valid token")
            .hint("set it to a valid token, or unset it"),
        Some((_, place)) if configured.is_remote() && !configured.is_trusted() => {
            let text = format!("found in {place}; not sent to {}, which `datac.toml` alone names", configured.name());
            Finding::new(name, Health::Warn, text).hint("`--hub` or DATAC_HUB sends it there, if you trust that host")
        }
        Some((_, place)) => Finding::new(name, Health::Ok, format!("found in {place}")),
        None => Finding::new(name, Health::Ok, "none; private and gated datasets need HF_TOKEN"),
    }
}

#[cfg(not(feature = "hub"))]
fn check_token(_: &HubAccess) -> Finding {
    Finding::new("token", Health::Skip, "this datac was built without the `hub` feature")
}

fn check_machine() -> Finding {
    let cores = system::cores();
    let threads = if cores == 1 { "1 thread".to_owned() } else { format!("{cores} threads") };
    let Some(memory) = system::available_memory() else {
        return Finding::new("machine", Health::Ok, threads);
    };
    let text = format!("{threads}, {} of memory available", gigabytes(memory));
    let needed = MEMORY_A_THREAD * cores as u64;
    if memory < needed {
        let fitting = (memory / MEMORY_A_THREAD).max(1);
        return Finding::new("machine", Health::Warn, text).hint(format!("datac build -j{fitting}"));
    }
    Finding::new("machine", Health::Ok, text)
}
