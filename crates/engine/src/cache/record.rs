//! The record: the outcomes of actions, the dependencies of recipes, digests of files, and small blobs.
//!
//! The record is an SQLite database that many processes share. It uses a rollback journal rather than a write-ahead
//! log, so that readers create no files. Losing it costs work, never correctness: a damaged record is set aside and a
//! new one begun.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    database::{is_damage, read, set_aside, write},
    frames::{self, Frames, Unrecorded},
    traits::Actions,
};
use crate::system::{self, Stat};
use datac_core::{
    hash::Digest,
    id::{ActionKey, EnvironmentId, FileHash},
    leaf::Leaves,
    outputs::FileMeta,
    stage::Stage,
};

/// How a record is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writes nothing and creates nothing.
    Read,
    /// Creates the record if it does not exist.
    Write,
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use the record `{}`: {reason}", path.display())]
pub struct RecordError {
    /// The database.
    pub path: PathBuf,
    /// What went wrong.
    pub reason: String,
    /// Whether the disk is full.
    pub is_full: bool,
}

/// A file of a recipe as it was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Name of the file in the output folder.
    pub name: String,
    /// Digest, size and number of rows.
    pub meta: FileMeta,
    /// The file's stat after it was written.
    pub stat: Stat,
}

/// What a recipe depended on when it was last built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshRecipe {
    /// BLAKE3 of the recipe's text.
    pub text: FileHash,
    /// Digest of everything else that outputs may depend on: lock, hub, versions of code.
    pub environment: EnvironmentId,
    /// Stats of local source files and of their folders, by path.
    pub locals: Vec<(String, Stat)>,
    /// The files that were written.
    pub outputs: Vec<OutputFile>,
    /// Time of the build, in nanoseconds since 1970. Files modified at about that time or later are hashed again.
    pub built_ns: i64,
}

/// Details of a recipe's last build that are not needed to see that it is up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltDetail {
    /// Everything that decided the outputs, by name.
    pub leaves: Leaves,
    /// The summary that was printed, encoded by its writer.
    pub summary: Vec<u8>,
}

/// Called with warnings for the user.
pub type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// The database below `cache/<version>/`.
pub struct Record {
    path: PathBuf,
    access: Access,
    warn: Warn,
    connection: Option<Mutex<Connection>>,
    /// Action outcomes not yet written; one commit for many keeps syncs few.
    pending: Mutex<HashMap<ActionKey, (Stage, Vec<u8>)>>,
    /// Small blobs not yet written.
    pub(super) unrecorded: Unrecorded,
    /// Keys of actions that were noted since the record was opened.
    noted: Mutex<HashSet<ActionKey>>,
    /// File digests not yet written, by path.
    hashed: Mutex<HashMap<String, Hashed>>,
    /// Digests of the pieces of files, by path; kept in memory only.
    pieces: Mutex<HashMap<String, PiecesOf>>,
    /// Number of [`Together`] that are held.
    together: AtomicUsize,
    /// What the database holds of files, once many were asked for.
    files: Mutex<FilesRead>,
}

/// What was read of the table of files.
#[derive(Default)]
struct FilesRead {
    /// Number of files that were asked for one by one.
    single: usize,
    /// All of them, by path, as they are sealed.
    all: Option<HashMap<String, Vec<u8>>>,
}

/// Number of files that are asked for one by one before all are read at once: each query locks the database and looks for its
/// journal, which for 10,000 files takes a second.
const SINGLE_FILES: usize = 64;

/// Most files that are held in memory.
const MOST_FILES: usize = 200_000;

/// While it is held, reads share one lock on the database: taking one for each costs several times as much as the read itself. It
/// must not be held for long, since other processes cannot write meanwhile.
#[derive(Debug)]
#[must_use]
pub(crate) struct Together<'a>(&'a Record);

impl Drop for Together<'_> {
    fn drop(&mut self) {
        if self.0.together.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(connection) = &self.0.connection
        {
            end_reads(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Ends the transaction that reads share, if there is one.
fn end_reads(connection: &Connection) {
    if !connection.is_autocommit() {
        connection.execute_batch("COMMIT").ok();
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("path", &self.path).field("access", &self.access).finish_non_exhaustive()
    }
}

/// Stat of a file, its digest, and a time before it was hashed.
type Hashed = (Stat, FileHash, i64);

/// Digest of a file and of its pieces.
type PiecesOf = (FileHash, Arc<[Digest]>);

/// Name of the database.
pub(super) const RECORD: &str = "record.sqlite";

impl Record {
    /// Opens the record below `root`. A damaged record is set aside with a warning.
    pub fn open(root: &Path, access: Access, warn: Warn) -> Result<Self, RecordError> {
        let path = root.join(RECORD);
        let fail = |reason: String| RecordError { path: path.clone(), reason, is_full: false };
        let connection = match access {
            Access::Read if !system::exists(&path) => None,
            Access::Read => match read(&path) {
                Ok(connection) => connection,
                Err(error) if is_damage(&error) => {
                    warn(format!(
                        "the record `{}` cannot be read ({error}); everything will be rebuilt",
                        path.display()
                    ));
                    None
                }
                // The record was removed after the check above: removing a cache does not wait for readers.
                Err(_) if !system::exists(&path) => None,
                Err(error) => return Err(fail(error.to_string())),
            },
            Access::Write => {
                system::create_private_dir(root).map_err(|error| fail(error.to_string()))?;
                match write(&path) {
                    Err(error) if is_damage(&error) => {
                        set_aside(&path, &error, &warn).map_err(|error| fail(error.to_string()))?;
                        Some(write(&path))
                    }
                    opened => Some(opened),
                }
                .transpose()
                .map_err(|error| fail(error.to_string()))?
            }
        };
        Ok(Self {
            path,
            access,
            warn,
            connection: connection.map(Mutex::new),
            pending: Mutex::default(),
            unrecorded: Unrecorded::default(),
            noted: Mutex::default(),
            hashed: Mutex::default(),
            pieces: Mutex::default(),
            together: AtomicUsize::new(0),
            files: Mutex::default(),
        })
    }

    /// Makes the reads that follow share a lock, until the result is dropped.
    pub(crate) fn together(&self) -> Together<'_> {
        self.together.fetch_add(1, Ordering::AcqRel);
        Together(self)
    }

    /// Calls `run`, which only reads, as [`Record::on`] does.
    pub(super) fn read<T>(&self, run: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<Option<T>, RecordError> {
        if let Some(connection) = &self.connection {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            // Asked under the lock: whoever ends the last of the shared reads waits for it, and ends this transaction, too.
            if self.together.load(Ordering::Acquire) > 0 {
                if connection.is_autocommit() {
                    connection.execute_batch("BEGIN").ok();
                }
                // What fails is tried again alone, where damage is dealt with.
                if let Ok(found) = run(&connection) {
                    return Ok(Some(found));
                }
            }
        }
        self.on(|connection| run(connection))
    }

    /// Calls `run` with the database; returns `None` if there is no database, or if a reader finds it damaged.
    ///
    /// A writer sets a damaged record aside and calls `run` again with an empty one. What the old one held is made
    /// again.
    pub(super) fn on<T>(&self, run: impl Fn(&mut Connection) -> rusqlite::Result<T>) -> Result<Option<T>, RecordError> {
        let Some(connection) = &self.connection else { return Ok(None) };
        // A panic elsewhere while the lock was held leaves SQLite consistent: its transactions are atomic.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        end_reads(&connection);
        match run(&mut connection) {
            Err(error) if is_damage(&error) && self.access == Access::Read => Ok(None),
            Err(error) if is_damage(&error) => {
                *connection = Connection::open_in_memory().map_err(|error| self.fail(&error))?;
                set_aside(&self.path, &error, &self.warn).map_err(|error| RecordError {
                    path: self.path.clone(),
                    reason: error.to_string(),
                    is_full: false,
                })?;
                *connection = write(&self.path).map_err(|error| self.fail(&error))?;
                run(&mut connection).map(Some).map_err(|error| self.fail(&error))
            }
            other => other.map(Some).map_err(|error| self.fail(&error)),
        }
    }

    fn fail(&self, error: &rusqlite::Error) -> RecordError {
        let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        RecordError { path: self.path.clone(), reason: error.to_string(), is_full }
    }

    /// Decodes a value that was sealed with `name`; warns and returns `None` if it is damaged.
    pub(super) fn unsealed<T: DeserializeOwned>(&self, name: &[u8], sealed: &[u8]) -> Option<T> {
        let found = unseal(name, sealed).and_then(|value| postcard::from_bytes(value).ok());
        if found.is_none() {
            let path = self.path.display();
            (self.warn)(format!("an entry of the record `{path}` was damaged and will be rebuilt"));
        }
        found
    }

    /// Returns the outcome of an action, if it is known.
    pub fn outcome(&self, key: &ActionKey) -> Result<Option<Vec<u8>>, RecordError> {
        if let Some((_, outcome)) = self.pending.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(Some(outcome.clone()));
        }
        let found: Option<Option<Vec<u8>>> = self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT outcome FROM actions WHERE key = ?1")?;
            select.query_row([key.as_bytes()], |row| row.get(0)).optional()
        })?;
        Ok(found.flatten().and_then(|sealed| self.unsealed(key.as_bytes(), &sealed)))
    }

    /// Returns whether there is a record that cannot be read, because it is damaged or of another version.
    pub fn is_unreadable(&self) -> bool {
        self.connection.is_none() && system::exists(&self.path)
    }

    /// Returns whether an outcome was noted since the record was opened.
    pub fn was_noted(&self, key: &ActionKey) -> bool {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Forgets the outcome of an action.
    pub fn forget(&self, key: &ActionKey) -> Result<(), RecordError> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.on(|connection| connection.prepare_cached("DELETE FROM actions WHERE key = ?1")?.execute([key.as_bytes()]))
            .map(drop)
    }

    /// Writes everything noted, in one transaction.
    pub fn flush(&self) -> Result<(), RecordError> {
        let noted = self.take_noted();
        if noted.is_empty() {
            return Ok(());
        }
        self.on(|connection| {
            let transaction = connection.transaction()?;
            noted.insert(&transaction)?;
            transaction.commit()
        })?;
        self.unrecorded.done(&noted.frames);
        Ok(())
    }

    /// Takes everything noted, so that it can be written in the same transaction as something else.
    pub(super) fn take_noted(&self) -> Noted {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let hashed = std::mem::take(&mut *self.hashed.lock().unwrap_or_else(PoisonError::into_inner));
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = FilesRead::default();
        let mut outcomes: Vec<_> =
            pending.into_iter().map(|(key, (stage, outcome))| (key, stage, seal(key.as_bytes(), &outcome))).collect();
        // Inserting in key order fills the B-tree from one side.
        outcomes.sort_unstable_by_key(|entry| entry.0);
        let mut hashed: Vec<_> =
            hashed.into_iter().map(|(path, hashed)| (seal(path.as_bytes(), &hashed), path)).collect();
        hashed.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        // Taken last, so that the blobs named by an outcome are written with it.
        Noted { outcomes, hashed, frames: self.unrecorded.all() }
    }

    /// Returns what every recipe depended on when it was last built, by recipe path.
    pub fn recipes(&self) -> Result<HashMap<String, FreshRecipe>, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare("SELECT path, fresh FROM recipes")?;
            let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        // A recipe with a damaged entry counts as never built.
        let read = |(path, sealed): (String, Vec<u8>)| {
            let fresh = self.unsealed(path.as_bytes(), &sealed)?;
            Some((path, fresh))
        };
        Ok(found.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    /// Returns the details of a recipe's last build.
    pub fn detail(&self, path: &str) -> Result<Option<BuiltDetail>, RecordError> {
        let found: Option<Option<Vec<u8>>> = self.on(|connection| {
            let mut select = connection.prepare_cached("SELECT detail FROM details WHERE path = ?1")?;
            select.query_row([path], |row| row.get(0)).optional()
        })?;
        Ok(found.flatten().and_then(|sealed| self.unsealed(path.as_bytes(), &sealed)))
    }

    /// Replaces the entries of recipes, and writes everything noted.
    pub fn set_recipes(&self, built: &[(String, FreshRecipe, BuiltDetail)]) -> Result<(), RecordError> {
        let noted = self.take_noted();
        self.on(|connection| {
            let transaction = connection.transaction()?;
            noted.insert(&transaction)?;
            insert_recipes(&transaction, built)?;
            transaction.commit()
        })?;
        self.unrecorded.done(&noted.frames);
        Ok(())
    }

    /// Returns the digest of a file that had this stat when it was hashed; `None` if the file was so new then that it
    /// could have changed without changing its stat.
    pub fn digest_of(&self, path: &str, stat: &Stat) -> Result<Option<FileHash>, RecordError> {
        let sure = |(then, digest, hashed_ns): Hashed| (then == *stat && !then.is_racy(hashed_ns)).then_some(digest);
        if let Some(hashed) = self.hashed.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(sure(*hashed));
        }
        Ok(self.hashed(path)?.and_then(sure))
    }

    /// Returns the stat and digest that were last written for a file, even if it has changed since.
    pub fn former_digest(&self, path: &str) -> Option<(Stat, FileHash)> {
        let (stat, digest, _) = self.hashed(path).ok()??;
        Some((stat, digest))
    }

    /// Returns what the database holds for a file.
    fn hashed(&self, path: &str) -> Result<Option<Hashed>, RecordError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.single += 1;
        if files.single == SINGLE_FILES {
            files.all = self.read(all_files)?.filter(|all| all.len() <= MOST_FILES);
        }
        if let Some(all) = &files.all {
            return Ok(all.get(path).and_then(|sealed| self.unsealed(path.as_bytes(), sealed)));
        }
        drop(files);
        let found: Option<Option<Vec<u8>>> = self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT hashed FROM files WHERE path = ?1")?;
            select.query_row([path], |row| row.get(0)).optional()
        })?;
        Ok(found.flatten().and_then(|sealed| self.unsealed(path.as_bytes(), &sealed)))
    }

    /// Notes the digest of a file. `hashed_ns` is a time before hashing began. The next [`Record::flush`] writes it.
    pub fn note_digest(&self, path: &str, stat: &Stat, digest: &FileHash, hashed_ns: i64) {
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.insert(path.to_owned(), (*stat, *digest, hashed_ns));
    }

    /// Notes the digests of the pieces of a file that has this digest.
    pub fn note_pieces(&self, path: &str, digest: &FileHash, pieces: Vec<Digest>) {
        let mut noted = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        noted.insert(path.to_owned(), (*digest, pieces.into()));
    }

    /// Returns the digests of a file's pieces, if this process has read the file and it has this digest.
    pub fn pieces_of(&self, path: &str, digest: &FileHash) -> Option<Arc<[Digest]>> {
        let noted = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(path).filter(|(of, _)| of == digest).map(|(_, pieces)| pieces.clone())
    }
}

/// Reads the table of files, or one row more than is held of it.
fn all_files(connection: &Connection) -> rusqlite::Result<HashMap<String, Vec<u8>>> {
    let mut select = connection.prepare("SELECT path, hashed FROM files LIMIT ?1")?;
    select.query_map([MOST_FILES as i64 + 1], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

impl Actions for Record {
    fn get(&self, key: &ActionKey) -> Option<Vec<u8>> {
        self.outcome(key).ok()?
    }

    /// The next [`Record::flush`] writes the outcome.
    fn put(&self, key: ActionKey, stage: Stage, outcome: Vec<u8>) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (stage, outcome));
    }
}

/// Everything noted, encoded for the database.
pub(super) struct Noted {
    /// Key, stage and sealed outcome of actions.
    outcomes: Vec<(ActionKey, Stage, Vec<u8>)>,
    /// Sealed digest and path of files.
    hashed: Vec<(Vec<u8>, String)>,
    /// Small blobs. Once they are written, [`Unrecorded::done`] must be called with them.
    pub(super) frames: Frames,
}

impl Noted {
    fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.hashed.is_empty() && self.frames.is_empty()
    }

    /// Writes everything within a transaction.
    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO actions (key, kind, outcome) VALUES (?1, ?2, ?3)")?;
        for (key, stage, outcome) in &self.outcomes {
            insert.execute(params![key.as_bytes(), stage.word(), outcome])?;
        }
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO files (path, hashed) VALUES (?1, ?2)")?;
        for (hashed, path) in &self.hashed {
            insert.execute(params![path, hashed])?;
        }
        frames::insert(connection, &self.frames)
    }
}

/// Replaces the entries of recipes within a transaction.
pub(super) fn insert_recipes(
    connection: &Connection,
    built: &[(String, FreshRecipe, BuiltDetail)],
) -> rusqlite::Result<()> {
    let mut fresh = connection.prepare_cached("INSERT OR REPLACE INTO recipes (path, fresh) VALUES (?1, ?2)")?;
    let mut detail = connection.prepare_cached("INSERT OR REPLACE INTO details (path, detail) VALUES (?1, ?2)")?;
    for (path, now, more) in built {
        fresh.execute(params![path, seal(path.as_bytes(), now)])?;
        detail.execute(params![path, seal(path.as_bytes(), more)])?;
    }
    Ok(())
}

/// Encodes a value and appends a hash of it and of the name it is stored under.
///
/// SQLite does not check what it reads from disk. A flipped bit in an outcome could be a wrong row count, and so
/// wrong outputs.
pub(super) fn seal(name: &[u8], value: &impl Serialize) -> Vec<u8> {
    let mut sealed = postcard::to_stdvec(value).expect("what is recorded is plain data");
    let hash = xxh3_64_with_seed(&sealed, xxh3_64(name));
    sealed.extend_from_slice(&hash.to_le_bytes());
    sealed
}

/// Returns the encoded value if its hash matches the value and the name.
pub(super) fn unseal<'s>(name: &[u8], sealed: &'s [u8]) -> Option<&'s [u8]> {
    let (value, hash) = sealed.split_last_chunk()?;
    (xxh3_64_with_seed(value, xxh3_64(name)) == u64::from_le_bytes(*hash)).then_some(value)
}

#[cfg(test)]
mod tests;
