//! Finds the file that a user named, and the build that wrote it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::lineage::{At, Lineage};
use crate::{
    cache::{Build, FreshRecipe, OutputFile, Record, RunId, stat_cache},
    provenance::history::read_manifest,
    selector::find,
    site::{Site, WorkspaceError},
    status::FileState,
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::FileHash,
    outputs::{self, OutputKind, Side},
    sample::{SampleIndex, SampleKind},
};

/// A file of a build.
pub(crate) struct Located {
    /// The build that wrote the file.
    pub(crate) lineage: Lineage,
    /// The file's name within the output folder.
    pub(crate) name: String,
    /// Path of the file, even if the file no longer exists.
    pub(crate) path: PathBuf,
    /// Which of the recipe's files it is.
    pub(crate) side: OutputKind,
    /// Number of rows as written.
    pub(crate) rows: u64,
    /// State of the file compared with the build.
    pub(crate) state: FileState,
    /// Whether a later build of its recipe wrote something else.
    pub(crate) is_older: bool,
    /// The samples that its target has no place for, once they are asked for.
    pub(super) unfit: OnceLock<HashSet<u32>>,
}

/// An output file that a user named.
pub(crate) struct Named {
    /// Path of the output, whether or not the file exists.
    pub(crate) path: PathBuf,
    /// The recipe that writes it, with what is recorded of the recipe and the file; `None` if no recipe writes the
    /// file.
    own: Option<(String, FreshRecipe, OutputFile)>,
}

fn unknown(target: &str, why: &str) -> Failure {
    Failure::plain(FailureKind::Config, format!("unknown output `{target}`: {why}"))
        .hint("`datac status -v --json` lists recipes and their files; `datac build` creates them")
}

/// Finds an output file by its path or name, or the training file of a recipe by its path or name.
pub(crate) fn named_output(site: &Site, record: &Record, target: &str) -> Result<Named, WorkspaceError> {
    let mut recipes: Vec<(String, FreshRecipe)> = record.recipes()?.into_iter().collect();
    // A renamed recipe leaves an entry behind, so entries whose recipe exists come first.
    recipes.sort_by_cached_key(|(path, _)| (!system::exists(&site.root().join(path)), path.clone()));
    let is_file = outputs::looks_like_output(target);
    let places = [site.root().join(target), PathBuf::from(target), site.outputs.file(target)];
    let path = places.into_iter().find(|path| is_file && system::exists(path) && !system::is_dir(path));
    let recipe = if is_file || path.is_some() {
        None
    } else {
        match &find(site, &[target.to_owned()])?.recipes[..] {
            [one] => Some(one.path.clone()),
            several => {
                let names: Vec<&str> = several.iter().map(|recipe| recipe.name.as_str()).collect();
                let failure = unknown(target, &format!("it matches {} recipes", names.len()));
                return Err(failure.hint(format!("choose one: {}", names.join(", "))).into());
            }
        }
    };
    let is_meant = |path: &str, output: &OutputFile| match &recipe {
        Some(recipe) => recipe == path && OutputKind::of(&output.name).and_then(OutputKind::side) == Some(Side::Train),
        None => {
            let bare = !target.contains('/') && output.name.rsplit('/').next() == Some(target);
            bare || Path::new(target).ends_with(&output.name)
        }
    };
    for (recipe, last) in recipes {
        let Some(output) = last.outputs.iter().find(|output| is_meant(&recipe, output)).cloned() else { continue };
        let own = site.outputs.file(&output.name);
        // A file outside the output folder may have the same name without being the same file.
        let is_same = |path: &PathBuf| matches!((system::stat(path), system::stat(&own)), (Ok(a), Ok(b)) if a == b);
        if path.as_ref().is_none_or(is_same) {
            return Ok(Named { path: own, own: Some((recipe, last, output)) });
        }
    }
    match (path, recipe) {
        (Some(path), _) => Ok(Named { path, own: None }),
        (None, Some(recipe)) => Err(unknown(target, &format!("`{recipe}` has not been built yet")).into()),
        (None, None) => Err(unknown(target, "the file does not exist, and no recipe wrote it").into()),
    }
}

/// Finds an output file and the build that wrote it.
pub(crate) fn locate(site: &Site, record: &Arc<Record>, target: &str) -> Result<Located, WorkspaceError> {
    let named = named_output(site, record, target)?;
    let no_build = || {
        let failure = Failure::new(FailureKind::Cache, format!("trace the rows of `{target}`"));
        failure.hint("no build of it is recorded; `datac build --force` records one")
    };
    let Some((recipe, last, output)) = named.own else {
        let digest = stat_cache::digest(record, &named.path)?;
        let found = record.builds_of_file(&digest)?;
        let (run, build) = found.into_iter().next().ok_or_else(|| unknown(target, "no build wrote these bytes"))?;
        return opened(site, record, named.path, run, &build, digest, FileState::Same, None);
    };
    let now = match system::stat(&named.path) {
        Ok(stat) if stat == output.stat && !stat.is_racy(last.built_ns) => Some(output.meta.digest),
        Ok(_) => Some(stat_cache::digest(record, &named.path)?),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    // Bytes that an older build wrote, such as those of a checkout, are traced through that build.
    let by_bytes = match now {
        Some(digest) => record.builds_of_file(&digest)?.into_iter().find(|(_, build)| build.path == recipe),
        None => None,
    };
    let name = Some(output.name.as_str());
    match (by_bytes, now) {
        (Some((run, build)), Some(digest)) => {
            opened(site, record, named.path, run, &build, digest, FileState::Same, name)
        }
        (_, now) => {
            let (run, build) = record.latest_build(&recipe)?.ok_or_else(no_build)?;
            let state = if now.is_some() { FileState::Edited } else { FileState::Missing };
            opened(site, record, named.path, run, &build, output.meta.digest, state, name)
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "each is found by another way")]
fn opened(
    site: &Site,
    record: &Arc<Record>,
    path: PathBuf,
    run: RunId,
    build: &Build,
    digest: FileHash,
    state: FileState,
    name: Option<&str>,
) -> Result<Located, WorkspaceError> {
    let manifest = read_manifest(&site.cache.store(record), build)?;
    let is_file = |file: &&datac_core::outputs::NamedFile| match name {
        Some(name) => file.name == name,
        None => file.meta.digest == digest,
    };
    // That build may have used other file names.
    let found = manifest.files.iter().find(is_file).or(manifest.files.iter().find(|file| file.meta.digest == digest));
    let Some(file) = found.cloned() else {
        return Err(Lineage::new(manifest, run, site.cache.store(record)).lost("the build wrote no such file"));
    };
    let side = OutputKind::of(&file.name).unwrap_or(OutputKind::Rows(Side::Train));
    let latest = record.latest_build(&build.path)?;
    let is_older = latest.is_some_and(|(_, latest)| latest.manifest != build.manifest);
    let lineage = Lineage::new(manifest, run, site.cache.store(record));
    let unfit = OnceLock::new();
    Ok(Located { lineage, name: file.name, path, side, rows: file.meta.rows, state, is_older, unfit })
}

impl Located {
    /// Returns the kind of the recipe's rows.
    pub(crate) fn kind(&self) -> SampleKind {
        self.lineage.manifest.kind
    }

    /// Returns the sample of a line with its index, or `None` if the file has changed since the build.
    pub(crate) fn sample(&self, line: u64) -> Result<Option<(At, SampleIndex)>, WorkspaceError> {
        let (FileState::Same, OutputKind::Rows(side)) = (self.state, self.side) else { return Ok(None) };
        let order = self.lineage.order(side)?;
        let Some(number) = line.checked_sub(1).and_then(|line| order.get(line as usize)) else { return Ok(None) };
        let at = self.lineage.at(*number)?;
        Ok(Some((at, self.lineage.index(at.source, at.chunk)?)))
    }
}
