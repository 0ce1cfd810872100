//! Removes what datac wrote: outputs that still have the bytes of a build, and on request the cache.
//!
//! Nothing is removed that datac did not make. An output is removed if its bytes are those of some build; outputs
//! edited by hand are kept and reported. In the cache folder, only files with names that datac gives are removed, and
//! links are not followed.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cache::{Access, CACHE_VERSION, CacheContents, LOCK, Record, stat_cache},
    driver,
    gc::recorded_outcome,
    graph::Outcome,
    selector::find,
    site::{CacheFolder, IfHeld, Site, WorkspaceError, name_of},
    system::{self, EntryKind, FolderEntry},
};
use datac_core::{
    id::FileHash,
    outputs::{self, Destination, OutputSet},
};

/// Options of `clean`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanOptions {
    /// Whether to report what would be removed, without removing it.
    pub dry_run: bool,
    /// Whether to remove outputs edited by hand too.
    pub force: bool,
    /// Whether to remove the cache too.
    pub cache: bool,
}

/// The files that were removed, or would be in a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cleaned {
    /// Whether this was a dry run, which removes nothing.
    pub dry_run: bool,
    /// Removed outputs.
    pub removed: Vec<CleanedFile>,
    /// Files that have names of outputs but are kept.
    pub kept: Vec<KeptFile>,
    /// The cache, if it was to be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CleanedCache>,
}

/// A removed output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CleanedFile {
    /// Name in the output folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A file that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeptFile {
    /// Name in the output folder.
    pub name: String,
    /// Why the file is kept.
    pub why: String,
}

/// A removed cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CleanedCache {
    /// Folder of the cache.
    pub dir: PathBuf,
    /// Number of removed files.
    pub files: u64,
    /// Size of those files in bytes.
    pub bytes: u64,
    /// Files in the folder that datac did not create. They are kept.
    pub kept: Vec<PathBuf>,
}

/// Names of outputs, with whether a recorded build wrote them.
type Names = BTreeMap<String, bool>;

/// Removes the outputs of the selected recipes; without selectors, of all recipes, including deleted ones.
pub(super) fn clean(site: &Site, selectors: &[String], options: &CleanOptions) -> Result<Cleaned, WorkspaceError> {
    // Do not create a cache for this, least of all in a folder that is not a cache.
    let writes = !options.dry_run && site.cache.is_begun();
    let lock = if writes { Some(site.cache.acquire(IfHeld::Wait)?) } else { None };
    let record = site.cache.record(if writes { Access::Write } else { Access::Read })?;
    let (mut names, gone) = outputs_of(site, selectors, &record)?;
    let sets: BTreeSet<OutputSet> = names.keys().filter_map(|name| Some(OutputSet::parse(name)?.0)).collect();
    for set in &sets {
        let left = driver::unexpected::files_of(&Destination::Unexpected.folder(site.outputs.dir()), set);
        names.extend(left.iter().map(|name| (Destination::Unexpected.name(name), false)));
    }
    let known = known(&record)?;
    let mut cleaned = Cleaned { dry_run: options.dry_run, ..Cleaned::default() };
    for (name, was_built) in names {
        let path = site.outputs.file(&name);
        let keep = |why: &str| KeptFile { name: name.clone(), why: why.to_owned() };
        match system::kind(&path) {
            None => continue,
            Some(EntryKind::File) => {}
            Some(_) => {
                cleaned.kept.push(keep("not a file"));
                continue;
            }
        }
        let is_ours = known.contains(&stat_cache::digest(&record, &path)?);
        match (is_ours, was_built, options.force) {
            (true, ..) | (false, true, true) => {
                let bytes = system::stat(&path)?.size;
                cleaned.removed.push(CleanedFile { name: name.clone(), bytes });
            }
            (false, true, false) => cleaned.kept.push(keep("edited by hand")),
            (false, false, _) => cleaned.kept.push(keep("no recorded build wrote it")),
        }
    }
    if !options.dry_run {
        for file in &cleaned.removed {
            system::remove(&site.outputs.file(&file.name))?;
            // The folders of shapes; folders are only removed if they are empty.
            for above in Path::new(&file.name).ancestors().skip(1).filter(|above| above.parent().is_some()) {
                system::remove_empty_dir(&site.outputs.dir().join(above));
            }
        }
        site.outputs.sweep();
        if !cleaned.removed.is_empty() {
            // Folders are only removed if they are empty.
            driver::unexpected::clear_folder(site.outputs.dir());
            [site.outputs.file(outputs::QUARANTINE), site.outputs.dir().to_owned()].iter().for_each(|folder| {
                system::remove_empty_dir(folder);
            });
        }
        if writes && !options.cache {
            // A deleted recipe without outputs need not stay in the record.
            let is_kept = |path: &String| cleaned.kept.iter().any(|kept| gone[path].contains(&kept.name));
            let forgotten: Vec<String> = gone.keys().filter(|path| !is_kept(path)).cloned().collect();
            record.forget_paths(&|_| false, &forgotten)?;
        }
    }
    // The database must be closed before its file is removed.
    drop(record);
    if options.cache {
        // If there was no lock to take, there was no cache. A cache that has appeared since is in use.
        let may = lock.is_some() || options.dry_run;
        let none = || CleanedCache { dir: site.cache.dir(), ..CleanedCache::default() };
        cleaned.cache = Some(if may { clean_cache(&site.cache, options.dry_run)? } else { none() });
    }
    drop(lock);
    Ok(cleaned)
}

/// Returns the names of recipes' outputs, and for each deleted recipe, by path, the outputs it left.
fn outputs_of(
    site: &Site,
    selectors: &[String],
    record: &Record,
) -> Result<(Names, BTreeMap<String, Vec<String>>), WorkspaceError> {
    let recorded: BTreeMap<String, Vec<String>> = record
        .recipes()?
        .into_iter()
        .map(|(path, last)| (path, last.outputs.into_iter().map(|output| output.name).collect()))
        .collect();
    let (present, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
        recorded.into_iter().partition(|(path, _)| system::exists(&site.root().join(path)));
    let is_meant = |selector: &String, path: &str| selector == path || *selector == name_of(Path::new(path));
    let (of_gone, of_present): (Vec<String>, Vec<String>) =
        selectors.iter().cloned().partition(|selector| gone.keys().any(|path| is_meant(selector, path)));
    let mut names = Names::new();
    if selectors.is_empty() || !of_present.is_empty() {
        for text in find(site, &of_present)?.recipes {
            if let Ok(recipe) = site.recipes.load(&text.path, &text.text) {
                names.extend(recipe.output_names(&text.path).into_iter().map(|name| (name, false)));
            }
            names.extend(present.get(&text.path).into_iter().flatten().map(|name| (name.clone(), true)));
        }
    }
    let gone: BTreeMap<String, Vec<String>> = gone
        .into_iter()
        .filter(|(path, _)| selectors.is_empty() || of_gone.iter().any(|selector| is_meant(selector, path)))
        .collect();
    // Files that another recipe writes now were not left behind.
    let owned: HashSet<&String> = present.values().flatten().collect();
    let left = gone.values().flatten().filter(|name| !owned.contains(name));
    names.extend(left.map(|name| (name.clone(), true)).collect::<Vec<_>>());
    Ok((names, gone))
}

/// Removes the cache. The caller must hold its lock, except in a dry run.
fn clean_cache(cache: &CacheFolder, dry_run: bool) -> Result<CleanedCache, WorkspaceError> {
    let dir = cache.dir();
    let mut cleaned = CleanedCache { dir: dir.clone(), ..CleanedCache::default() };
    let lock = cache.join(LOCK);
    // Every cache has a lock file, so a folder without one is not a cache.
    let is_cache = |entry: &FolderEntry| {
        entry.name == CACHE_VERSION && entry.kind == EntryKind::Folder && system::kind(&lock) == Some(EntryKind::File)
    };
    for entry in system::entries(&dir)? {
        if !is_cache(&entry) {
            cleaned.kept.push(dir.join(&entry.name));
            continue;
        }
        let root = dir.join(&entry.name);
        let found = CacheContents::take(&root)?;
        let (files, folders) = found.everything(&root);
        cleaned.files += files.len() as u64 + 1;
        cleaned.bytes += found.total().bytes;
        cleaned.kept.extend(found.strangers);
        if dry_run {
            continue;
        }
        files.par_iter().try_for_each(|path| system::remove(path))?;
        let remove_if_empty = |folder: &Path| {
            system::remove_empty_dir(folder);
        };
        folders.iter().for_each(|folder| remove_if_empty(folder));
        // The lock is removed last: from then on another process may create a new cache here.
        system::remove(&lock)?;
        remove_if_empty(&root);
        // This fails, as it should, if the folder is a link or not empty.
        remove_if_empty(&dir);
    }
    Ok(cleaned)
}

/// Returns the digests of all files that recorded builds wrote.
fn known(record: &Record) -> Result<HashSet<FileHash>, WorkspaceError> {
    let recipes = record.recipes()?.into_values().flat_map(|last| last.outputs).map(|output| output.meta.digest);
    let mut known: HashSet<FileHash> = recipes.collect();
    known.extend(record.all_builds()?.into_iter().flat_map(|(_, build)| build.files));
    for action in record.actions()? {
        match recorded_outcome(&action) {
            Some(Outcome::Output(files)) => known.extend(files.values().flatten().map(|file| file.digest)),
            Some(Outcome::Quarantine(file)) => drop(known.insert(file.digest)),
            Some(Outcome::Shaped(shaped)) => known.extend(shaped.files.iter().map(|file| file.meta.digest)),
            _ => {}
        }
    }
    Ok(known)
}
