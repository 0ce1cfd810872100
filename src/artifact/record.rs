//! The record: what every action yielded, what every recipe stood on, and the stats of large files.
//!
//! An SQLite database that many processes share. It uses a rollback journal, not a write-ahead log, so that readers
//! create no files. Losing it loses work, never correctness: a damaged record is set aside and begun again.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::{
    hash::{Digest, Manifest},
    system::{self, Stat},
};

/// How a record is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writes nothing and creates nothing.
    Read,
    /// Creates the record where there is none.
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
}

/// One file of a recipe as it was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its name within the output folder.
    pub name: String,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Its stat after it was written.
    pub stat: Stat,
}

/// What a recipe stood on when it was last built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshRecipe {
    /// BLAKE3 of the recipe's text.
    pub text: Digest,
    /// Digest of all else that can change without the text changing: lock, code, hub, folders.
    pub world: Digest,
    /// Stats of local source files, by path.
    pub locals: Vec<(String, Stat)>,
    /// The files that were written.
    pub outputs: Vec<OutputFile>,
    /// When, nanoseconds since 1970: files stamped about then or later are hashed again.
    pub built_ns: i64,
}

/// What is told of a recipe's last build, and not needed to see that it is fresh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltDetail {
    /// Everything that decided its outputs, by name.
    pub leaves: Manifest,
    /// The summary that was printed, as its writer encodes it.
    pub summary: Vec<u8>,
}

/// The database below `cache/<version>/`.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    connection: Option<Mutex<Connection>>,
    /// Action outcomes not yet written; one commit for many keeps syncs few.
    pending: Mutex<HashMap<Digest, (String, Vec<u8>)>>,
    /// The keys of actions noted since the record was opened.
    noted: Mutex<HashSet<Digest>>,
    /// File digests not yet written, by path.
    hashed: Mutex<HashMap<String, Hashed>>,
}

/// The digest of a file, with its stat then and a time before it was read.
type Hashed = (Stat, Digest, i64);

/// Raised when a table or the encoding of what it holds changes: another version begins an empty record.
const SCHEMA_VERSION: i64 = 2;

impl Record {
    /// Opens the record below `root`; a damaged one is set aside, and `warn` told.
    pub fn open(root: &Path, access: Access, warn: &dyn Fn(String)) -> Result<Self, RecordError> {
        let path = root.join("record.sqlite");
        let fail = |reason: String| RecordError { path: path.clone(), reason };
        if access == Access::Write {
            system::create_private_dir(root).map_err(|error| fail(error.to_string()))?;
        } else if !system::exists(&path) {
            return Ok(Self {
                path,
                connection: None,
                pending: Mutex::default(),
                noted: Mutex::default(),
                hashed: Mutex::default(),
            });
        }
        let mut opened = connect(&path, access);
        if access == Access::Read && opened.as_ref().is_err_and(needs_recovery) {
            // A build was killed while it wrote. SQLite undoes the half-written part, which a reader may not; nothing
            // that was recorded is lost by it.
            drop(connect(&path, Access::Write));
            opened = connect(&path, access);
        }
        let connection = match opened {
            Ok(connection) => Some(connection),
            Err(error) if is_damage(&error) || matches!(error, rusqlite::Error::InvalidQuery) => {
                if access == Access::Read {
                    warn(format!("the record `{}` cannot be read ({error}); everything counts as new", path.display()));
                    None
                } else {
                    let aside = path.with_extension("damaged");
                    system::rename(&path, &aside).map_err(|error| fail(error.to_string()))?;
                    system::remove(&path.with_extension("sqlite-journal")).map_err(|error| fail(error.to_string()))?;
                    warn(format!(
                        "the record `{}` was damaged ({error}); it is set aside as `{}` and begun again",
                        path.display(),
                        aside.display()
                    ));
                    Some(connect(&path, access).map_err(|error| fail(error.to_string()))?)
                }
            }
            Err(error) => return Err(fail(error.to_string())),
        };
        Ok(Self {
            path,
            connection: connection.map(Mutex::new),
            pending: Mutex::default(),
            noted: Mutex::default(),
            hashed: Mutex::default(),
        })
    }

    fn locked(&self) -> Option<MutexGuard<'_, Connection>> {
        // A panic elsewhere while the lock was held leaves SQLite consistent: its transactions are atomic.
        self.connection.as_ref().map(|connection| connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn query<T>(&self, default: T, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, RecordError> {
        match self.locked() {
            None => Ok(default),
            Some(connection) => match run(&connection) {
                // A damaged page is a miss; the next writer that opens the record sets it aside.
                Err(error) if is_damage(&error) => Ok(default),
                other => other.map_err(|error| self.fail(&error)),
            },
        }
    }

    fn fail(&self, error: &rusqlite::Error) -> RecordError {
        RecordError { path: self.path.clone(), reason: error.to_string() }
    }

    /// What an action yielded, if it is known.
    pub fn outcome(&self, key: &Digest) -> Result<Option<Vec<u8>>, RecordError> {
        if let Some((_, outcome)) = self.pending.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(Some(outcome.clone()));
        }
        self.query(None, |connection| {
            let mut select = connection.prepare_cached("SELECT outcome FROM actions WHERE key = ?1")?;
            select.query_row([key.as_bytes()], |row| row.get(0)).optional()
        })
    }

    /// Whether an outcome was noted since the record was opened.
    pub fn was_noted(&self, key: &Digest) -> bool {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Notes what an action yielded; written by the next [`Record::flush`].
    pub fn note(&self, key: Digest, kind: &str, outcome: Vec<u8>) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (kind.to_owned(), outcome));
    }

    /// Forgets what an action yielded.
    pub fn forget(&self, key: &Digest) -> Result<(), RecordError> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.query((), |connection| {
            connection.prepare_cached("DELETE FROM actions WHERE key = ?1")?.execute([key.as_bytes()]).map(drop)
        })
    }

    /// Writes everything noted, in one transaction.
    pub fn flush(&self) -> Result<(), RecordError> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let hashed = std::mem::take(&mut *self.hashed.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() && hashed.is_empty() {
            return Ok(());
        }
        let mut pending: Vec<_> = pending.into_iter().collect();
        // In key order the B-tree is filled from one side.
        pending.sort_unstable_by_key(|entry| entry.0);
        let mut hashed: Vec<_> = hashed.into_iter().collect();
        hashed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let Some(mut connection) = self.locked() else { return Ok(()) };
        (|| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT OR REPLACE INTO actions (key, kind, outcome) VALUES (?1, ?2, ?3)")?;
                for (key, (kind, outcome)) in &pending {
                    insert.execute(params![key.as_bytes(), kind, outcome])?;
                }
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO files (path, stat, digest, hashed_ns) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for (path, (stat, digest, hashed_ns)) in &hashed {
                    let stat = postcard::to_stdvec(stat).unwrap_or_default();
                    insert.execute(params![path, stat, digest.as_bytes(), hashed_ns])?;
                }
            }
            transaction.commit()
        })()
        .map_err(|error: rusqlite::Error| self.fail(&error))
    }

    /// What every recipe stood on when it was last built, by recipe path.
    pub fn recipes(&self) -> Result<HashMap<String, FreshRecipe>, RecordError> {
        self.query(HashMap::new(), |connection| {
            let mut select = connection.prepare("SELECT path, fresh FROM recipes")?;
            let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            let mut recipes = HashMap::new();
            for row in rows {
                let (path, fresh) = row?;
                // One that cannot be read counts as never built.
                if let Ok(fresh) = postcard::from_bytes(&fresh) {
                    recipes.insert(path, fresh);
                }
            }
            Ok(recipes)
        })
    }

    /// What is told of a recipe's last build.
    pub fn detail(&self, path: &str) -> Result<Option<BuiltDetail>, RecordError> {
        let bytes: Option<Vec<u8>> = self.query(None, |connection| {
            let mut select = connection.prepare_cached("SELECT detail FROM recipes WHERE path = ?1")?;
            select.query_row([path], |row| row.get(0)).optional()
        })?;
        Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    /// Replaces what recipes stood on.
    pub fn set_recipes(&self, built: &[(String, FreshRecipe, BuiltDetail)]) -> Result<(), RecordError> {
        let Some(mut connection) = self.locked() else { return Ok(()) };
        (|| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT OR REPLACE INTO recipes (path, fresh, detail) VALUES (?1, ?2, ?3)")?;
                let encoded = |error: postcard::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
                for (path, fresh, detail) in built {
                    let fresh = postcard::to_stdvec(fresh).map_err(encoded)?;
                    let detail = postcard::to_stdvec(detail).map_err(encoded)?;
                    insert.execute(params![path, fresh, detail])?;
                }
            }
            transaction.commit()
        })()
        .map_err(|error: rusqlite::Error| self.fail(&error))
    }

    /// The digest of a file that was hashed when it had this stat, unless it was too young then to be sure.
    pub fn digest_of(&self, path: &str, stat: &Stat) -> Result<Option<Digest>, RecordError> {
        let sure = |(then, digest, hashed_ns): Hashed| (then == *stat && !then.is_racy(hashed_ns)).then_some(digest);
        if let Some(hashed) = self.hashed.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(sure(*hashed));
        }
        self.query(None, |connection| {
            let mut select = connection.prepare_cached("SELECT stat, digest, hashed_ns FROM files WHERE path = ?1")?;
            let found: Option<(Vec<u8>, [u8; 32], i64)> =
                select.query_row([path], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
            Ok(found.and_then(|(then, digest, hashed_ns)| {
                sure((postcard::from_bytes(&then).ok()?, Digest::from_bytes(digest), hashed_ns))
            }))
        })
    }

    /// Notes the digest of a file; `hashed_ns` is a time before the hashing began. Written by the next
    /// [`Record::flush`].
    pub fn note_digest(&self, path: &str, stat: &Stat, digest: &Digest, hashed_ns: i64) {
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.insert(path.to_owned(), (*stat, *digest, hashed_ns));
    }
}

fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        Access::Write => {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX
        }
    };
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.set_prepared_statement_cache_capacity(32);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if access == Access::Write {
        // NORMAL still syncs the database before its journal is truncated: a crash leaves the old or the new record.
        connection.execute_batch("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL;")?;
        if version != SCHEMA_VERSION {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 DROP TABLE IF EXISTS actions; DROP TABLE IF EXISTS recipes; DROP TABLE IF EXISTS files;
                 CREATE TABLE actions (key BLOB PRIMARY KEY, kind TEXT NOT NULL, outcome BLOB NOT NULL) WITHOUT ROWID;
                 -- With a rowid: `detail` is long, and reading `fresh` alone must not step over it.
                 CREATE TABLE recipes (path TEXT PRIMARY KEY, fresh BLOB NOT NULL, detail BLOB NOT NULL);
                 CREATE TABLE files (path TEXT PRIMARY KEY, stat BLOB NOT NULL, digest BLOB NOT NULL, hashed_ns INTEGER NOT NULL)
                     WITHOUT ROWID;
                 PRAGMA user_version = {SCHEMA_VERSION};
                 COMMIT;"
            ))?;
        }
    } else if version != SCHEMA_VERSION {
        return Err(rusqlite::Error::InvalidQuery);
    }
    Ok(connection)
}

/// Whether a journal left behind has to be rolled back before anything can be read.
fn needs_recovery(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(_: String) {}

    #[test]
    fn outcomes_survive_the_process_and_damage_costs_only_work() {
        let folder = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        {
            let record = Record::open(folder.path(), Access::Write, &quiet).unwrap();
            record.note(key, "convert", vec![1, 2]);
            assert_eq!(record.outcome(&key).unwrap(), Some(vec![1, 2]), "noted is known");
            record.flush().unwrap();
        }
        {
            let record = Record::open(folder.path(), Access::Read, &quiet).unwrap();
            assert_eq!(record.outcome(&key).unwrap(), Some(vec![1, 2]));
        }
        let path = folder.path().join("record.sqlite");
        system::replace(&path, b"this is no database, and long enough to look at: ".repeat(99).as_slice()).unwrap();
        let told = Mutex::new(0);
        let record = Record::open(folder.path(), Access::Write, &|_| *told.lock().unwrap() += 1).unwrap();
        assert_eq!(record.outcome(&key).unwrap(), None);
        assert_eq!(*told.lock().unwrap(), 1);
    }

    #[test]
    fn reading_creates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::open(folder.path(), Access::Read, &quiet).unwrap();
        assert_eq!(record.recipes().unwrap().len(), 0);
        assert_eq!(system::list(folder.path()).unwrap(), []);
    }

    #[test]
    fn a_young_file_is_hashed_again() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::open(folder.path(), Access::Write, &quiet).unwrap();
        let stat = Stat { size: 1, mtime_ns: 1_000_000_000, ctime_ns: 1_000_000_000, inode: 7 };
        let digest = Digest::of(b"x");
        record.note_digest("f", &stat, &digest, stat.mtime_ns + 1_000);
        assert_eq!(record.digest_of("f", &stat).unwrap(), None, "hashed in the same tick as it was written");
        record.note_digest("f", &stat, &digest, stat.mtime_ns + 1_000_000_000);
        assert_eq!(record.digest_of("f", &stat).unwrap(), Some(digest));
        assert_eq!(record.digest_of("f", &Stat { size: 2, ..stat }).unwrap(), None);
    }
}
