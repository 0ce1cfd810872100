//! Reads the ledger: which runs there were, what each did, and what changed between two runs.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::read_manifest;
use crate::{
    cache::{Access, Build, Record, Run, RunId, RunOutcome},
    provenance::manifest::BuildManifest,
    site::{CacheFolder, WorkspaceError, name_of},
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::FileHash,
    stage::Stage,
    stale::StaleReason,
};

/// One run and what it did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunEntry {
    /// Number of the run.
    pub run: RunId,
    /// Start time: RFC 3339, UTC.
    #[serde(serialize_with = "as_rfc3339", rename = "started")]
    #[schemars(with = "String")]
    pub started_ns: i64,
    /// Elapsed time in milliseconds.
    pub ms: u64,
    /// Outcome of the run.
    pub outcome: RunOutcome,
    /// The command line of the run.
    pub command: Vec<String>,
    /// The hub that sources were downloaded from.
    pub hub: String,
    /// The version of datac that ran.
    pub version: String,
    /// Number of actions that ran, by stage.
    pub ran: std::collections::BTreeMap<Stage, u64>,
    /// Number of actions that were reused, by stage.
    pub reused: std::collections::BTreeMap<Stage, u64>,
    /// Results for each recipe that was out of date, by path.
    pub recipes: Vec<RunRecipe>,
}

/// Result of a run for one recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunRecipe {
    /// Name of the recipe.
    pub recipe: String,
    /// Path of the recipe.
    pub path: String,
    /// State of the recipe before the run.
    pub state: String,
    /// Reasons for that state.
    pub reasons: Vec<String>,
    /// Failure that kept the recipe from being built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Files of the recipe after the run.
    pub files: Vec<RunFile>,
}

/// A file after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunFile {
    /// Name of the file in the output folder; `None` if the manifest of the build is no longer in the cache.
    pub name: Option<String>,
    /// BLAKE3 of its bytes.
    pub blake3: FileHash,
    /// Number of rows, if known.
    pub rows: Option<u64>,
    /// Size in bytes, if known.
    pub bytes: Option<u64>,
}

/// Differences between the outputs after two runs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunDiff {
    /// The earlier run.
    pub old: RunId,
    /// The later run.
    pub new: RunId,
    /// Recipes whose files differ, by path.
    pub recipes: Vec<RecipeDiff>,
    /// Number of recipes with the same files.
    pub same: usize,
}

/// Differences of one recipe's files between two runs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RecipeDiff {
    /// Name of the recipe.
    pub recipe: String,
    /// Path of the recipe.
    pub path: String,
    /// The last run up to `old` that built the recipe; `None` if there is none.
    pub built_old: Option<RunId>,
    /// The last run up to `new` that built the recipe.
    pub built_new: Option<RunId>,
    /// The files that differ.
    pub files: Vec<FileDiff>,
    /// Inputs that changed.
    pub changes: Vec<StaleReason>,
    /// Why names and changes are unknown, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// A file whose bytes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileDiff {
    /// Name of the file in the output folder.
    pub name: Option<String>,
    /// BLAKE3 of the bytes after the earlier run; `None` if the file did not exist.
    pub old: Option<FileHash>,
    /// BLAKE3 of the bytes after the later run; `None` if the file no longer exists.
    pub new: Option<FileHash>,
    /// Number of rows after the earlier run.
    pub old_rows: Option<u64>,
    /// Number of rows after the later run.
    pub new_rows: Option<u64>,
}

/// Returns the last `limit` runs, newest first.
pub(crate) fn entries(cache: &CacheFolder, limit: usize) -> Result<Vec<RunEntry>, WorkspaceError> {
    let record = cache.record(Access::Read)?;
    record.runs()?.into_iter().take(limit).map(|(id, run)| entry_of(cache, &record, id, run)).collect()
}

/// Returns one run, named by its number or as `last`.
pub(crate) fn entry(cache: &CacheFolder, name: &str) -> Result<RunEntry, WorkspaceError> {
    let record = cache.record(Access::Read)?;
    let (id, run) = find_run(&record, name)?;
    entry_of(cache, &record, id, run)
}

/// Compares the outputs after two runs, each named by its number or as `last`.
///
/// A run only builds recipes that are out of date, so the outputs after a run are those of each recipe's last build
/// up to that run.
pub(crate) fn diff(cache: &CacheFolder, old: &str, new: &str) -> Result<RunDiff, WorkspaceError> {
    let record = cache.record(Access::Read)?;
    let (old, new) = (find_run(&record, old)?.0, find_run(&record, new)?.0);
    let mut diff = RunDiff { old, new, recipes: Vec::new(), same: 0 };
    for (_, latest) in record.latest_builds()? {
        let builds = record.builds_of(&latest.path)?;
        match (standing(&builds, old), standing(&builds, new)) {
            (None, None) => {}
            (Some((_, old)), Some((_, new))) if old.files == new.files => diff.same += 1,
            (old, new) => diff.recipes.push(recipe_diff(cache, &record, &latest.path, old, new)),
        }
    }
    Ok(diff)
}

fn recipe_diff(
    cache: &CacheFolder,
    record: &Arc<Record>,
    path: &str,
    old: Option<&(RunId, Build)>,
    new: Option<&(RunId, Build)>,
) -> RecipeDiff {
    let manifest =
        |build: Option<&(RunId, Build)>| build.map(|(_, build)| read_manifest(&cache.store(record), build)).transpose();
    let manifests = manifest(old).and_then(|old| Ok((old, manifest(new)?)));
    let (old_files, new_files) =
        (old.map(|old| files(cache, record, &old.1)), new.map(|new| files(cache, record, &new.1)));
    let (old_files, new_files) = (old_files.unwrap_or_default(), new_files.unwrap_or_default());
    let mut files: Vec<FileDiff> = Vec::new();
    for file in &new_files {
        let before = old_files.iter().find(|old| old.name.is_some() && old.name == file.name);
        if before.is_none_or(|before| before.blake3 != file.blake3) {
            files.push(FileDiff {
                name: file.name.clone(),
                old: before.map(|before| before.blake3),
                new: Some(file.blake3),
                old_rows: before.and_then(|before| before.rows),
                new_rows: file.rows,
            });
        }
    }
    let is_gone = |old: &&RunFile| !new_files.iter().any(|new| new.name == old.name);
    files.extend(old_files.iter().filter(is_gone).map(|old| FileDiff {
        name: old.name.clone(),
        old: Some(old.blake3),
        new: None,
        old_rows: old.rows,
        new_rows: None,
    }));
    let (changes, unknown) = match manifests {
        Ok((Some(old), Some(new))) => (changes(&old, &new), None),
        Ok(_) => (Vec::new(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    RecipeDiff {
        recipe: name_of(path.as_ref()),
        path: path.to_owned(),
        built_old: old.map(|old| old.0),
        built_new: new.map(|new| new.0),
        files,
        changes,
        unknown,
    }
}

fn entry_of(cache: &CacheFolder, record: &Arc<Record>, id: RunId, run: Run) -> Result<RunEntry, WorkspaceError> {
    let recipe = |build: Build| RunRecipe {
        recipe: name_of(build.path.as_ref()),
        files: files(cache, record, &build),
        path: build.path,
        state: build.state,
        reasons: build.reasons.iter().map(ToString::to_string).collect(),
        failure: build.failure,
    };
    Ok(RunEntry {
        run: id,
        started_ns: run.started_ns,
        ms: u64::try_from(run.ended_ns.saturating_sub(run.started_ns)).unwrap_or(0) / 1_000_000,
        outcome: run.outcome,
        command: run.command,
        hub: run.hub,
        version: run.datac,
        ran: run.ran,
        reused: run.reused,
        recipes: record.builds(id)?.into_iter().map(recipe).collect(),
    })
}

/// Returns the files of a build. Their names are known only while the manifest is in the cache.
pub(crate) fn files(cache: &CacheFolder, record: &Arc<Record>, build: &Build) -> Vec<RunFile> {
    match read_manifest(&cache.store(record), build) {
        Ok(manifest) => manifest
            .files
            .into_iter()
            .map(|file| RunFile {
                name: Some(file.name),
                blake3: file.meta.digest,
                rows: Some(file.meta.rows),
                bytes: Some(file.meta.bytes),
            })
            .collect(),
        Err(_) => {
            let bare = |digest: &FileHash| RunFile { name: None, blake3: *digest, rows: None, bytes: None };
            build.files.iter().map(bare).collect()
        }
    }
}

/// Returns the inputs that differ between two builds.
pub(crate) fn changes(old: &BuildManifest, new: &BuildManifest) -> Vec<StaleReason> {
    new.leaves.changes_since(&old.leaves).into_iter().map(StaleReason::Changed).collect()
}

/// Returns the last build up to `run` that produced files; `builds` are newest first.
pub(crate) fn standing(builds: &[(RunId, Build)], run: RunId) -> Option<&(RunId, Build)> {
    builds.iter().find(|(id, build)| *id <= run && !build.files.is_empty())
}

/// Returns a run by its number, or the newest as `last`.
pub(crate) fn find_run(record: &Record, name: &str) -> Result<(RunId, Run), WorkspaceError> {
    let runs = record.runs()?;
    let known = match (runs.first(), runs.last()) {
        (Some((newest, _)), Some((oldest, _))) => format!("runs {oldest} to {newest} are recorded"),
        _ => "nothing has been built yet".to_owned(),
    };
    let wanted = match name {
        "last" => runs.first().map(|(id, _)| *id),
        number => number.parse().ok().map(RunId),
    };
    let found = wanted.and_then(|wanted| runs.into_iter().find(|(id, _)| *id == wanted));
    found.ok_or_else(|| {
        let failure = Failure::plain(FailureKind::Config, format!("there is no run `{name}`"));
        failure.hint(format!("{known}; `datac log` lists them")).into()
    })
}

/// Formats a time as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(ns: i64) -> String {
    // Cannot fail: every `i64` of nanoseconds is in the range of `Timestamp`.
    let time = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn as_rfc3339<S: serde::Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_programs() {
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.500Z");
        assert_eq!(rfc3339(i64::MAX), "2262-04-11T23:47:16.854Z");
    }
}
