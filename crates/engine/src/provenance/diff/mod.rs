//! Finds the rows that differ between two builds, or between two files.
//!
//! Two rows are the same if their bytes are. A row that has no equal is *changed* if a row of the other side answers
//! the same prompt or comes from the same place of the same file; otherwise it is added or removed. Only hashes are
//! held in memory, never rows.

mod compare;
mod rows;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use self::{
    compare::{Compared, compare},
    rows::{RowKey, RowSet},
};
use super::history::{
    log::{find_run, rfc3339, standing},
    read_manifest,
};
use crate::{
    cache::{Access, Build, Record, RunId},
    selector::one_recipe,
    site::{CacheFolder, OutputFolder, Site, WorkspaceError, name_of},
    system,
};
use datac_core::failure::{Failure, FailureKind};

/// Rows that differ between two builds of a recipe, or between two files.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RowsDiff {
    /// Name of the recipe; `None` if two files were compared.
    pub recipe: Option<String>,
    /// The older side.
    pub old: DiffSide,
    /// The newer side.
    pub new: DiffSide,
    /// Counts by source, in the recipe's order, followed by the sources that only the old side has.
    pub sources: Vec<SourceRows>,
    /// The first rows that only the new side has.
    pub added: Vec<DiffRow>,
    /// The first rows that only the old side has.
    pub removed: Vec<DiffRow>,
    /// The first rows whose content changed.
    pub changed: Vec<RowPair>,
    /// The first rows with the same content of which the recipe's model sees other tokens, or is trained on others.
    pub encoded: Vec<TokenPair>,
    /// The first rows that moved from one side of the split to the other.
    pub moved: Vec<RowPair>,
}

/// One side of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DiffSide {
    /// The run that built the rows; `None` for a file.
    pub run: Option<RunId>,
    /// Start time of the run: RFC 3339, UTC.
    pub built: Option<String>,
    /// Start time in nanoseconds since 1970.
    #[serde(skip)]
    pub built_ns: Option<i64>,
    /// The file; `None` for a build.
    pub file: Option<PathBuf>,
    /// Number of rows.
    pub rows: u64,
}

/// Differences between the rows of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceRows {
    /// Name of the source in the recipe.
    pub name: String,
    /// Rows that only the new side has.
    pub added: u64,
    /// Rows that only the old side has.
    pub removed: u64,
    /// Rows whose content changed.
    pub changed: u64,
    /// Rows that moved from one side of the split to the other.
    pub moved: u64,
    /// Rows with the same content of which the recipe's model sees other tokens, or is trained on others.
    pub encoded: u64,
    /// Rows that are unchanged and on the same side of the split.
    pub same: u64,
}

/// A row as written to an output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DiffRow {
    /// `train` or `val`; `None` if the row comes from a file that was compared.
    pub split: Option<&'static str>,
    /// Line in the file, from 1.
    pub line: u32,
    /// Name of the source.
    pub source: String,
    /// The row.
    #[schemars(with = "serde_json::Value")]
    pub row: Box<RawValue>,
}

/// A row before and after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RowPair {
    /// The row before.
    pub old: DiffRow,
    /// The row now.
    pub new: DiffRow,
}

/// A row whose content is the same, as the model of the recipe saw it and sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TokenPair {
    /// Number of its tokens before.
    pub tokens_before: u32,
    /// Number of those that were trained on.
    pub trained_before: u32,
    /// Number of its tokens now.
    pub tokens: u32,
    /// Number of those that are trained on.
    pub trained: u32,
    /// The row now.
    pub row: DiffRow,
}

/// Compares the rows of a recipe's last build with those of an earlier build, or two files on disk.
///
/// `target` is an output file, or a recipe by path or name. `versus` is a run, or a file to compare the output file
/// with; the default is the last build whose files differ. At most `limit` rows of each kind are returned.
pub(crate) fn diff(site: &Site, target: &str, versus: Option<&str>, limit: usize) -> Result<RowsDiff, WorkspaceError> {
    let is_run = |text: &str| text == "last" || text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(file) = versus.filter(|versus| !is_run(versus)) {
        let target = output_file(&site.outputs, target)?;
        let (old, new) = (RowSet::of_file(Path::new(file))?, RowSet::of_file(&target)?);
        let side = |path: &Path, rows: &RowSet| DiffSide {
            run: None,
            built: None,
            built_ns: None,
            file: Some(path.to_owned()),
            rows: rows.rows.len() as u64,
        };
        let sides = (side(Path::new(file), &old), side(&target, &new));
        return shown(None, sides, &old, &new, limit);
    }
    let record = site.cache.record(Access::Read)?;
    let path = one_recipe(site, target, &record)?;
    let builds = record.builds_of(&path)?;
    let name = name_of(path.as_ref());
    let Some(new) = builds.iter().find(|(_, build)| build.manifest.is_some()) else {
        let failure = Failure::plain(FailureKind::Config, format!("`{name}` has not been built yet"));
        return Err(failure.hint(format!("datac build {name}")).into());
    };
    let old = match versus {
        Some(run) => standing(&builds, find_run(&record, run)?.0),
        None => builds.iter().find(|(_, build)| !build.files.is_empty() && build.files != new.1.files),
    };
    let Some(old) = old else {
        let why = if versus.is_some() { "had not been built by then" } else { "has only one distinct build" };
        let failure = Failure::plain(FailureKind::Config, format!("nothing to compare: `{name}` {why}"));
        return Err(failure.hint("`datac log` lists runs; `--vs FILE` compares with a file").into());
    };
    let (old_side, old) = rows_of(&site.cache, &record, old)?;
    let (new_side, new) = rows_of(&site.cache, &record, new)?;
    shown(Some(name), (old_side, new_side), &old, &new, limit)
}

fn rows_of(
    cache: &CacheFolder,
    record: &Arc<Record>,
    (run, build): &(RunId, Build),
) -> Result<(DiffSide, RowSet), WorkspaceError> {
    let gone = |error: String| {
        let message = format!("find the rows of run {run} in the cache: {error}");
        let hint = "the cache only keeps the latest builds; `--vs FILE` compares with a copy of a file";
        Failure::new(FailureKind::Action, message).hint(hint)
    };
    let manifest = read_manifest(&cache.store(record), build).map_err(|error| gone(error.to_string()))?;
    let rows = RowSet::of_build(cache.store(record), &manifest).map_err(gone)?;
    let started = record.runs()?.into_iter().find(|(id, _)| id == run).map(|(_, run)| run.started_ns);
    let side = DiffSide {
        run: Some(*run),
        built: started.map(rfc3339),
        built_ns: started,
        file: None,
        rows: rows.rows.len() as u64,
    };
    Ok((side, rows))
}

/// Returns the path of an output file, given its path or its name in the output folder.
fn output_file(folder: &OutputFolder, target: &str) -> Result<PathBuf, WorkspaceError> {
    let is_file = |path: &PathBuf| system::exists(path) && !system::is_dir(path);
    let places = [PathBuf::from(target), folder.file(target)];
    places.into_iter().find(is_file).ok_or_else(|| {
        let failure = Failure::plain(FailureKind::Config, format!("`{target}` does not exist"));
        failure.hint("with `--vs FILE`, also name the output file to compare").into()
    })
}

/// Counts the differences and reads the first `limit` rows of each kind.
fn shown(
    recipe: Option<String>,
    (old_side, new_side): (DiffSide, DiffSide),
    old: &RowSet,
    new: &RowSet,
    limit: usize,
) -> Result<RowsDiff, WorkspaceError> {
    let compared = compare(old, new);
    let row = |rows: &RowSet, at: u32| -> Result<DiffRow, WorkspaceError> {
        let key = &rows.rows[at as usize];
        Ok(DiffRow {
            split: key.side.word(),
            line: key.line,
            source: rows.names[key.source as usize].clone(),
            row: rows.text(key)?,
        })
    };
    let some = |rows: &RowSet, all: &[u32]| -> Result<Vec<DiffRow>, WorkspaceError> {
        all.iter().take(limit).map(|at| row(rows, *at)).collect()
    };
    let pairs = |all: &[(u32, u32)]| -> Result<Vec<RowPair>, WorkspaceError> {
        let pair = |(before, after): &(u32, u32)| Ok(RowPair { old: row(old, *before)?, new: row(new, *after)? });
        all.iter().take(limit).map(pair).collect()
    };
    let token_pair = |(before, after): &(u32, u32)| {
        let encoded =
            |rows: &RowSet, at: u32| rows.rows[at as usize].encoded.map_or((0, 0), |key| (key.tokens, key.trained));
        let ((tokens_before, trained_before), (tokens, trained)) = (encoded(old, *before), encoded(new, *after));
        Ok::<_, WorkspaceError>(TokenPair { tokens_before, trained_before, tokens, trained, row: row(new, *after)? })
    };
    Ok(RowsDiff {
        recipe,
        encoded: compared.encoded.iter().take(limit).map(token_pair).collect::<Result<_, _>>()?,
        sources: by_source(&compared, old, new),
        added: some(new, &compared.added)?,
        removed: some(old, &compared.removed)?,
        changed: pairs(&compared.changed)?,
        moved: pairs(&compared.moved)?,
        old: old_side,
        new: new_side,
    })
}

fn by_source(compared: &Compared, old: &RowSet, new: &RowSet) -> Vec<SourceRows> {
    let names = new.names.iter().chain(old.names.iter().filter(|name| !new.names.contains(name)));
    let mut sources: Vec<SourceRows> =
        names.map(|name| SourceRows { name: name.clone(), ..SourceRows::default() }).collect();
    let place = |rows: &RowSet, at: u32| {
        let name = &rows.names[rows.rows[at as usize].source as usize];
        new.names.iter().position(|known| known == name).unwrap_or_else(|| {
            let gone = old.names.iter().filter(|known| !new.names.contains(known));
            new.names.len() + gone.take_while(|known| *known != name).count()
        })
    };
    compared.added.iter().for_each(|at| sources[place(new, *at)].added += 1);
    compared.removed.iter().for_each(|at| sources[place(old, *at)].removed += 1);
    compared.changed.iter().for_each(|(_, at)| sources[place(new, *at)].changed += 1);
    compared.moved.iter().for_each(|(_, at)| sources[place(new, *at)].moved += 1);
    compared.encoded.iter().for_each(|(_, at)| sources[place(new, *at)].encoded += 1);
    for (source, same) in compared.same.iter().enumerate() {
        sources[source].same += same;
    }
    sources
}
