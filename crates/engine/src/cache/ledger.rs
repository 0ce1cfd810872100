//! The ledger: which runs there were, and what each of them built.
//!
//! A run is one `build` that had something to do; a build is what a run did for one recipe. The manifest of a build,
//! which says what its files are made of, is a blob; the ledger holds its digest.

use std::{collections::BTreeMap, fmt};

use rusqlite::{Connection, ToSql, TransactionBehavior, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    frames,
    record::{BuiltDetail, FreshRecipe, Record, RecordError, insert_recipes, seal},
};

use datac_core::{
    id::{BlobId, FileHash},
    stage::Stage,
    stale::StaleReason,
};

/// Number of runs that are kept. Of older runs, only the last build of each recipe is.
pub const KEPT_RUNS: i64 = 200;

/// Creates the tables of an empty record.
pub(super) const TABLES: &str = "\
DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS builds; DROP TABLE IF EXISTS made;
CREATE TABLE runs (id INTEGER PRIMARY KEY, detail BLOB NOT NULL);
CREATE TABLE builds (run INTEGER NOT NULL, path TEXT NOT NULL, manifest BLOB, detail BLOB NOT NULL,
                     PRIMARY KEY (run, path)) WITHOUT ROWID;
CREATE INDEX builds_by_path ON builds (path, run);
CREATE INDEX builds_by_manifest ON builds (manifest);
CREATE TABLE made (file BLOB NOT NULL, run INTEGER NOT NULL, path TEXT NOT NULL,
                   PRIMARY KEY (file, run, path)) WITHOUT ROWID;";

/// Number of a run. Later runs have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Everything was built.
    Built,
    /// At least one recipe could not be built.
    Failed,
    /// The user interrupted it.
    Interrupted,
}

/// One `build` that had something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Start time, in nanoseconds since 1970.
    pub started_ns: i64,
    /// End time, in nanoseconds since 1970.
    pub ended_ns: i64,
    /// The command line without the program's name and without secrets; empty if datac was called as a library.
    pub command: Vec<String>,
    /// The hub that sources were downloaded from.
    pub hub: String,
    /// The version of datac.
    pub datac: String,
    /// Outcome of the run.
    pub outcome: RunOutcome,
    /// Number of actions that ran, by stage.
    pub ran: BTreeMap<Stage, u64>,
    /// Number of actions that were reused, by stage.
    pub reused: BTreeMap<Stage, u64>,
}

/// What one run did for one recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Path of the recipe.
    pub path: String,
    /// The blob of the manifest; `None` if the build failed or the manifest could not be stored.
    pub manifest: Option<BlobId>,
    /// Digests of the files.
    pub files: Vec<FileHash>,
    /// State of the recipe before the run: `stale` or `new`.
    pub state: String,
    /// Reasons for that state.
    pub reasons: Vec<StaleReason>,
    /// Failure that kept the recipe from being built.
    pub failure: Option<String>,
}

/// Result of recording a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Number of the run.
    pub id: RunId,
    /// Manifests that no build names any more. Those stored in the record have been removed; the caller must remove
    /// the files of the others.
    pub dropped: Vec<BlobId>,
}

/// Returns the name that a run (with an empty `path`) or a build is sealed with, so that one entry is never taken for
/// another.
pub(super) fn name(run: i64, path: &str) -> Vec<u8> {
    [&run.to_le_bytes(), path.as_bytes()].concat()
}

impl Record {
    /// Records a run, its builds, and the new state of recipes, together with everything noted before. Forgets runs
    /// older than [`KEPT_RUNS`].
    pub fn note_run(
        &self,
        run: &Run,
        builds: &[Build],
        recipes: &[(String, FreshRecipe, BuiltDetail)],
    ) -> Result<Noted, RecordError> {
        let outcomes = self.take_noted();
        let noted = self.on(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            outcomes.insert(&transaction)?;
            insert_recipes(&transaction, recipes)?;
            // The newest run is never forgotten, so no number is used twice.
            let id: i64 = transaction.query_row("SELECT COALESCE(MAX(id), 0) + 1 FROM runs", [], |row| row.get(0))?;
            transaction
                .execute("INSERT INTO runs (id, detail) VALUES (?1, ?2)", params![id, seal(&name(id, ""), run)])?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO builds (run, path, manifest, detail) VALUES (?1, ?2, ?3, ?4)")?;
                let mut made =
                    transaction.prepare_cached("INSERT OR IGNORE INTO made (file, run, path) VALUES (?1, ?2, ?3)")?;
                for build in builds {
                    let manifest = build.manifest.as_ref().map(BlobId::as_bytes);
                    insert.execute(params![id, build.path, manifest, seal(&name(id, &build.path), build)])?;
                    for file in &build.files {
                        made.execute(params![file.as_bytes(), id, build.path])?;
                    }
                }
            }
            let dropped = forget(&transaction, id - KEPT_RUNS)?;
            frames::remove(&transaction, &dropped)?;
            transaction.commit()?;
            Ok(Noted { id: RunId(id), dropped })
        })?;
        self.unrecorded.done(&outcomes.frames);
        Ok(noted.unwrap_or(Noted { id: RunId(0), dropped: Vec::new() }))
    }

    /// Returns all runs, newest first.
    pub fn runs(&self) -> Result<Vec<(RunId, Run)>, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare_cached("SELECT id, detail FROM runs ORDER BY id DESC")?;
            let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let read = |(id, sealed): (i64, Vec<u8>)| Some((RunId(id), self.unsealed(&name(id, ""), &sealed)?));
        Ok(found.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    /// Returns the builds of a run, ordered by path.
    pub fn builds(&self, run: RunId) -> Result<Vec<Build>, RecordError> {
        let found =
            self.select_builds("SELECT run, path, detail FROM builds WHERE run = ?1 ORDER BY path", params![run.0])?;
        Ok(found.into_iter().map(|(_, build)| build).collect())
    }

    /// Returns the builds of a recipe, newest first.
    pub fn builds_of(&self, path: &str) -> Result<Vec<(RunId, Build)>, RecordError> {
        self.select_builds("SELECT run, path, detail FROM builds WHERE path = ?1 ORDER BY run DESC", params![path])
    }

    /// Returns the last build of a recipe that has a manifest.
    pub fn latest_build(&self, path: &str) -> Result<Option<(RunId, Build)>, RecordError> {
        let found = self.select_builds(
            "SELECT run, path, detail FROM builds WHERE path = ?1 AND manifest IS NOT NULL ORDER BY run DESC LIMIT 1",
            params![path],
        )?;
        Ok(found.into_iter().next())
    }

    /// Returns the last build that has a manifest for every recipe, ordered by path.
    pub fn latest_builds(&self) -> Result<Vec<(RunId, Build)>, RecordError> {
        self.select_builds(
            "SELECT run, path, detail FROM builds AS b WHERE manifest IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM builds AS later
                 WHERE later.path = b.path AND later.run > b.run AND later.manifest IS NOT NULL)
             ORDER BY path",
            params![],
        )
    }

    /// Returns every build that has a manifest, ordered by path, oldest first.
    pub fn all_builds(&self) -> Result<Vec<(RunId, Build)>, RecordError> {
        self.select_builds(
            "SELECT run, path, detail FROM builds WHERE manifest IS NOT NULL ORDER BY path, run",
            params![],
        )
    }

    /// Returns the builds that produced a file with this digest, newest first.
    pub fn builds_of_file(&self, digest: &FileHash) -> Result<Vec<(RunId, Build)>, RecordError> {
        self.select_builds(
            "SELECT b.run, b.path, b.detail FROM made JOIN builds AS b ON b.run = made.run AND b.path = made.path
             WHERE made.file = ?1 ORDER BY b.run DESC, b.path",
            params![digest.as_bytes()],
        )
    }

    /// Returns the digests of all manifests.
    pub fn manifests(&self) -> Result<Vec<BlobId>, RecordError> {
        let found = self.select_builds("SELECT run, path, detail FROM builds WHERE manifest IS NOT NULL", params![])?;
        Ok(found.into_iter().filter_map(|(_, build)| build.manifest).collect())
    }

    fn select_builds(&self, sql: &str, keys: &[&dyn ToSql]) -> Result<Vec<(RunId, Build)>, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare_cached(sql)?;
            let rows = select.query_map(keys, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(i64, String, Vec<u8>)>>>()
        })?;
        let read = |(run, path, sealed): (i64, String, Vec<u8>)| {
            Some((RunId(run), self.unsealed(&name(run, &path), &sealed)?))
        };
        Ok(found.unwrap_or_default().into_iter().filter_map(read).collect())
    }
}

/// Deletes runs up to `last`, except the last build of each recipe. Returns the manifests that no build names any
/// more.
fn forget(connection: &Connection, last: i64) -> rusqlite::Result<Vec<BlobId>> {
    let oldest: Option<i64> = connection.query_row("SELECT MIN(id) FROM runs", [], |row| row.get(0))?;
    if oldest.is_none_or(|oldest| oldest > last) {
        return Ok(Vec::new());
    }
    let mut delete = connection.prepare_cached(
        "DELETE FROM builds WHERE run <= ?1 AND (manifest IS NULL OR EXISTS (
             SELECT 1 FROM builds AS later
             WHERE later.path = builds.path AND later.run > builds.run AND later.manifest IS NOT NULL))
         RETURNING manifest",
    )?;
    let gone = delete.query_map([last], |row| row.get::<_, Option<[u8; 32]>>(0))?;
    let gone = gone.collect::<rusqlite::Result<Vec<_>>>()?;
    connection.execute("DELETE FROM runs WHERE id <= ?1 AND id NOT IN (SELECT run FROM builds)", [last])?;
    if !gone.is_empty() {
        let orphaned = "DELETE FROM made WHERE run <= ?1 AND NOT EXISTS (
            SELECT 1 FROM builds WHERE builds.run = made.run AND builds.path = made.path)";
        connection.execute(orphaned, [last])?;
    }
    // Equal builds share one manifest.
    let mut named = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM builds WHERE manifest = ?1)")?;
    let mut dropped = Vec::new();
    for manifest in gone.into_iter().flatten() {
        if !named.query_row([&manifest], |row| row.get::<_, bool>(0))? {
            dropped.push(BlobId::from_bytes(manifest));
        }
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cache::Access;

    fn run(at: i64) -> Run {
        Run {
            started_ns: at,
            ended_ns: at + 1,
            command: vec!["build".into()],
            hub: "sample".into(),
            datac: "0.1.0".into(),
            outcome: RunOutcome::Built,
            ran: BTreeMap::new(),
            reused: BTreeMap::new(),
        }
    }

    fn build(path: &str, number: i64, is_built: bool) -> Build {
        let text = format!("{path} {number}");
        Build {
            path: path.into(),
            manifest: is_built.then(|| BlobId::of(text.as_bytes())),
            files: if is_built {
                vec![FileHash::of(path.as_bytes()), FileHash::of(text.as_bytes())]
            } else {
                Vec::new()
            },
            state: "stale".into(),
            reasons: vec![StaleReason::NeverBuilt],
            failure: (!is_built).then(|| "read it".into()),
        }
    }

    #[test]
    fn runs_are_kept_up_to_a_number_and_the_last_build_of_each_recipe_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::open(folder.path(), Access::Write, Arc::new(|_| {})).unwrap();
        record.note_run(&run(1), &[build("old", 1, true), build("new", 1, true)], &[]).unwrap();
        let mut dropped = Vec::new();
        for number in 2..=KEPT_RUNS + 3 {
            let builds = [build("new", number, number % 2 == 0), build("fails", number, false)];
            let noted = record.note_run(&run(number), &builds, &[]).unwrap();
            assert_eq!(noted.id, RunId(number));
            dropped.extend(noted.dropped);
        }
        let gone = [build("new", 1, true), build("new", 2, true)].map(|build| build.manifest.unwrap());
        assert_eq!(dropped, gone);

        let record = Record::open(folder.path(), Access::Read, Arc::new(|_| {})).unwrap();
        let ids: Vec<i64> = record.runs().unwrap().into_iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids.first(), Some(&(KEPT_RUNS + 3)));
        assert_eq!((ids.len(), ids.last()), (KEPT_RUNS as usize + 1, Some(&1)), "it holds the last build of a recipe");
        let latest = record.latest_builds().unwrap();
        let latest: Vec<(i64, &str)> = latest.iter().map(|(id, build)| (id.0, build.path.as_str())).collect();
        assert_eq!(latest, [(KEPT_RUNS + 2, "new"), (1, "old")]);
        assert_eq!(record.latest_build("new").unwrap().unwrap().0, RunId(KEPT_RUNS + 2));
        assert_eq!(record.latest_build("fails").unwrap(), None);
        assert_eq!(record.builds(RunId(1)).unwrap(), [build("old", 1, true)]);
        assert_eq!(record.builds_of_file(&FileHash::of(b"old")).unwrap(), [(RunId(1), build("old", 1, true))]);
        assert_eq!(record.builds_of_file(&FileHash::of(b"new")).unwrap().len(), KEPT_RUNS as usize / 2);
        assert_eq!(record.builds_of_file(&FileHash::new(gone[0].digest())).unwrap(), []);
        assert_eq!(record.manifests().unwrap().len(), KEPT_RUNS as usize / 2 + 1);
    }
}
