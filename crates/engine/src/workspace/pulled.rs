//! Puts files that are got from elsewhere in place, each whole, and none over what somebody else has written.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::{push::PulledOutputs, release::Pulled};
use crate::{
    driver,
    event::Event,
    site::{IfHeld, Site, WorkspaceError, relative},
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

/// A file that was pulled.
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

/// What a pull did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PullReport {
    /// Of a release.
    Release(Pulled),
    /// Of outputs that were pushed.
    Outputs(PulledOutputs),
}

/// A file that is to be in place.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Path within the folder.
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) blake3: FileHash,
}

/// Writes the bytes of a file, by its number, and tells how many there are so far. Fails unless they are the right ones.
pub(super) type Fetch<'f> = dyn FnMut(usize, &mut Replacement, &mut dyn FnMut(u64)) -> Result<(), Failure> + 'f;

/// Puts files in place. Those that are there with the same bytes stay as they are; if any has other bytes, nothing is written unless
/// that is forced. `what` is what the files are, for people.
pub(super) fn place(
    site: &Site,
    what: &str,
    files: &[Wanted],
    options: &PullOptions,
    fetch: &mut Fetch<'_>,
) -> Result<Vec<PulledFile>, WorkspaceError> {
    let folder = options.to.as_ref().map_or_else(|| site.outputs.dir().to_owned(), |to| site.root().join(to));
    // Where builds write, nobody else writes meanwhile.
    let is_of_builds = folder == site.outputs.dir() && site.cache.is_begun() && !options.dry_run;
    let _lock = if is_of_builds { Some(site.cache.acquire(IfHeld::Wait)?) } else { None };

    let placements: Vec<Placement> =
        files.par_iter().map(|file| placement(&folder.join(&file.path), file)).collect::<Result<_, Failure>>()?;
    let shown = |file: &Wanted| relative(site.root(), &folder.join(&file.path));
    let others: Vec<String> = files
        .iter()
        .zip(&placements)
        .filter(|(_, placement)| **placement == Placement::Replaced)
        .map(|(file, _)| format!("`{}`", shown(file).display()))
        .collect();
    if !others.is_empty() && !options.force {
        return Err(in_the_way(what, &others).into());
    }
    if !options.dry_run {
        let wanted: Vec<usize> = (0..files.len()).filter(|number| placements[*number] != Placement::Kept).collect();
        check_space(&folder, wanted.iter().map(|number| files[*number].bytes).sum())?;
        for number in &wanted {
            let file = &files[*number];
            let path = shown(file).to_string_lossy().into_owned();
            let mut on_bytes = |done| (site.observer)(Event::Download { path: path.clone(), done, total: file.bytes });
            let failed = |error: FileError| driver::file_failure(&error);
            let destination = folder.join(&file.path);
            system::create_dir(destination.parent().unwrap_or(Path::new("."))).map_err(failed)?;
            let mut replacement = Replacement::new(&destination).map_err(failed)?;
            replacement.reserve(file.bytes).map_err(failed)?;
            fetch(*number, &mut replacement, &mut on_bytes)?;
            replacement.synced().and_then(|synced| synced.put_in_place()).map_err(failed)?;
        }
        sync_folders(&folder, wanted.iter().map(|number| files[*number].path.as_str()))?;
    }
    let pulled = files.iter().zip(&placements).map(|(file, placement)| PulledFile {
        path: shown(file),
        rows: file.rows,
        bytes: file.bytes,
        blake3: file.blake3,
        placement: *placement,
    });
    Ok(pulled.collect())
}

fn in_the_way(what: &str, others: &[String]) -> Failure {
    const SHOWN: usize = 5;
    let mut shown = others.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if others.len() > SHOWN {
        shown.push_str(&format!(" and {} more", others.len() - SHOWN));
    }
    let verb = if others.len() == 1 { "has" } else { "have" };
    let text = format!("{shown} {verb} other bytes than in `{what}`; nothing was written");
    Failure::plain(FailureKind::Action, text)
        .hint("`--to FOLDER` puts the files elsewhere; `--force` replaces what is there")
}

/// Returns what is to be done for a file.
fn placement(path: &Path, file: &Wanted) -> Result<Placement, Failure> {
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

/// Returns whether the file at `path` has the bytes that are wanted.
fn is_same(path: &Path, wanted: &Wanted) -> Result<bool, FileError> {
    let mut file = system::open(path)?;
    if system::stat_file(&file, path)?.size != wanted.bytes {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(|source| FileError { verb: "read", path: path.to_owned(), source })? {
            0 => return Ok(FileHash::new(hasher.finish()) == wanted.blake3),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Fails if the disk has no room for so many bytes, before the first of them is asked for.
fn check_space(folder: &Path, needed: u64) -> Result<(), Failure> {
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

/// Syncs the folders that files were put in, so that they survive a power cut.
fn sync_folders<'f>(folder: &Path, files: impl Iterator<Item = &'f str>) -> Result<(), FileError> {
    let above = |file: &'f str| Path::new(file).ancestors().skip(1);
    let folders: BTreeSet<&Path> = files.flat_map(above).collect();
    folders.iter().try_for_each(|below| system::sync_dir(&folder.join(below)))
}
