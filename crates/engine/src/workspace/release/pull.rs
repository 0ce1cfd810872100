//! Pulls a release: puts its files in place.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::{failure_of, names_of_keys};
use crate::{
    build::shared::Shared,
    driver,
    event::Event,
    remote::{
        ReleaseError, ReleaseName, ReleasedFile, Remote, Requests,
        release::{self, each_part},
    },
    site::{IfHeld, Site, WorkspaceError},
    system::{self, EntryKind, FileError, Replacement},
};
use datac_core::{
    failure::{Failure, FailureKind},
    hash::Hasher,
    id::FileHash,
};

/// Options of a pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// The folder that files are put in, relative to the workspace; by default that of the outputs.
    pub to: Option<PathBuf>,
    /// Whether files with other bytes are replaced.
    pub force: bool,
    /// Whether to say what would be done, and write nothing.
    pub dry_run: bool,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pulled {
    /// Name and version of the release.
    pub release: String,
    /// The shared cache.
    pub remote: String,
    /// Whether this was a dry run, which writes nothing.
    pub dry_run: bool,
    /// Time at which the release was made: RFC 3339, UTC.
    pub created: String,
    /// Name of the key that signed it.
    pub key: Option<String>,
    /// The files, by recipe and path.
    pub files: Vec<PulledFile>,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// A file of a release that was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PulledFile {
    /// Where it is.
    pub path: PathBuf,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: FileHash,
    /// What was done.
    pub placement: Placement,
}

/// What a pull did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// It was there with the same bytes.
    Kept,
    /// It was not there.
    Written,
    /// It was there with other bytes.
    Replaced,
}

/// Puts the files of a release in place. Those that are there with the same bytes stay as they are; if any has other bytes, nothing
/// is written unless that is forced.
pub(in crate::workspace) fn pull(site: &Site, name: &str, options: &PullOptions) -> Result<Pulled, WorkspaceError> {
    let name = ReleaseName::parse(name).map_err(|error| failure_of(&error, "", ""))?;
    let shared = Shared::named(site)?;
    let remote = shared.remote();
    let failed = |error: &ReleaseError, what: &str| failure_of(error, &remote.name, what);
    let found = release::find(remote, &name, |key| shared.trusts(key));
    let found = found.map_err(|error| failed(&error, &format!("pull `{name}`")))?;
    let signed = found.ok_or_else(|| absent(remote, &name))?;
    let keys = names_of_keys(site, shared.own())?;
    let folder = options.to.as_ref().map_or_else(|| site.outputs.dir().to_owned(), |to| site.root().join(to));
    // Where builds write, nobody else writes meanwhile.
    let is_of_builds = folder == site.outputs.dir() && site.cache.is_begun() && !options.dry_run;
    let _lock = if is_of_builds { Some(site.cache.acquire(IfHeld::Wait)?) } else { None };

    let files: Vec<&ReleasedFile> = signed.release.files().collect();
    let placements: Vec<Placement> =
        files.par_iter().map(|file| placement(&folder.join(&file.path), file)).collect::<Result<_, Failure>>()?;
    let shown = |file: &ReleasedFile| crate::site::relative(site.root(), &folder.join(&file.path));
    let others: Vec<String> = files
        .iter()
        .zip(&placements)
        .filter(|(_, placement)| **placement == Placement::Replaced)
        .map(|(file, _)| format!("`{}`", shown(file).display()))
        .collect();
    if !others.is_empty() && !options.force {
        return Err(in_the_way(&name, &others).into());
    }
    if !options.dry_run {
        let wanted: Vec<&ReleasedFile> = files
            .iter()
            .zip(&placements)
            .filter(|(_, placement)| **placement != Placement::Kept)
            .map(|(file, _)| *file)
            .collect();
        check_space(&folder, &wanted)?;
        let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
        for file in &wanted {
            let path = shown(file).to_string_lossy().into_owned();
            let mut on_bytes = |done| {
                (site.observer)(Event::Download { path: path.clone(), done, total: file.stored.bytes });
            };
            fetch(remote, file, &folder.join(&file.path), &is_interrupted, &mut on_bytes)
                .map_err(|error| failed(&error, &format!("get `{}` of `{name}`", file.path)))?;
        }
        sync_folders(&folder, &wanted)?;
    }
    let pulled = files.iter().zip(&placements).map(|(file, placement)| PulledFile {
        path: shown(file),
        rows: file.rows,
        bytes: file.stored.bytes,
        blake3: file.stored.blake3,
        placement: *placement,
    });
    Ok(Pulled {
        release: name.to_string(),
        remote: remote.name.clone(),
        dry_run: options.dry_run,
        created: signed.release.created.clone(),
        key: keys.get(&signed.key).cloned(),
        files: pulled.collect(),
        requests: shared.requests(),
    })
}

/// Returns the failure of a release that is not there.
pub(super) fn absent(remote: &Remote, name: &ReleaseName) -> Failure {
    let failure = Failure::plain(
        FailureKind::Source,
        format!("there is no release `{name}` in the shared cache `{}`", remote.name),
    );
    // A place that cannot be listed gives no hint.
    let known = release::list(remote).unwrap_or_default();
    let of_name: Vec<String> =
        known.iter().filter(|known| known.name() == name.name()).map(ToString::to_string).collect();
    match of_name.last() {
        Some(newest) => {
            failure.hint(format!("the last of {} is `{newest}`; `datac releases` lists all", of_name.len()))
        }
        None if known.is_empty() => failure,
        None => failure.hint("`datac releases` lists those that are there"),
    }
}

fn in_the_way(name: &ReleaseName, others: &[String]) -> Failure {
    const SHOWN: usize = 5;
    let mut shown = others.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if others.len() > SHOWN {
        shown.push_str(&format!(" and {} more", others.len() - SHOWN));
    }
    let verb = if others.len() == 1 { "has" } else { "have" };
    let text = format!("{shown} {verb} other bytes than in `{name}`; nothing was written");
    Failure::plain(FailureKind::Action, text)
        .hint("`--to FOLDER` puts the files elsewhere; `--force` replaces what is there")
}

/// Returns what is to be done for a file.
fn placement(path: &Path, file: &ReleasedFile) -> Result<Placement, Failure> {
    match system::kind(path) {
        None => Ok(Placement::Written),
        Some(EntryKind::File) => {
            let is_same = is_same(path, file).map_err(|error| driver::file_failure(&error))?;
            Ok(if is_same { Placement::Kept } else { Placement::Replaced })
        }
        Some(_) => {
            let text = format!("`{}` is in the way: it is not a file", path.display());
            Err(Failure::plain(FailureKind::Action, text).hint("move it, or choose another folder with `--to`"))
        }
    }
}

/// Returns whether the file at `path` has the bytes of a release.
fn is_same(path: &Path, wanted: &ReleasedFile) -> Result<bool, FileError> {
    let mut file = system::open(path)?;
    if system::stat_file(&file, path)?.size != wanted.stored.bytes {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(|source| FileError { verb: "read", path: path.to_owned(), source })? {
            0 => return Ok(FileHash::new(hasher.finish()) == wanted.stored.blake3),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Fails if the disk has no room for the files, before the first byte is asked for.
fn check_space(folder: &Path, files: &[&ReleasedFile]) -> Result<(), Failure> {
    let needed: u64 = files.iter().map(|file| file.stored.bytes).sum();
    // A file system that tells nothing is noticed when it is full.
    let free = system::space(folder).map_or(u64::MAX, |space| space.free);
    if needed <= free {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let text = format!(
        "the files need {} MB, and the disk of `{}` has {} MB left",
        megabytes(needed),
        folder.display(),
        free / 1_000_000
    );
    Err(Failure::plain(FailureKind::Action, text).hint("free some space, or choose another folder with `--to`"))
}

/// Fetches a file beside its destination, and puts it in place once every byte has been checked.
fn fetch(
    remote: &Remote,
    file: &ReleasedFile,
    path: &Path,
    is_interrupted: &dyn Fn() -> bool,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<(), ReleaseError> {
    system::create_dir(path.parent().unwrap_or(Path::new(".")))?;
    let mut replacement = Replacement::new(path)?;
    replacement.reserve(file.stored.bytes)?;
    let mut done = 0;
    each_part(remote, &file.stored, is_interrupted, &mut |bytes| {
        replacement.write_all(bytes)?;
        done += bytes.len() as u64;
        on_bytes(done);
        Ok(())
    })?;
    replacement.synced()?.put_in_place()?;
    Ok(())
}

/// Syncs the folders that files were put in, so that they survive a power cut.
fn sync_folders(folder: &Path, files: &[&ReleasedFile]) -> Result<(), FileError> {
    let above =
        |file: &&ReleasedFile| Path::new(&file.path).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
    let folders: BTreeSet<PathBuf> = files.iter().flat_map(above).collect();
    folders.iter().try_for_each(|below| system::sync_dir(&folder.join(below)))
}
