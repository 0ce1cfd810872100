//! Opens the record's database: creates tables, rolls back the half-written transaction of a killed process, and sets
//! a damaged database aside.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{frames, ledger, record::Warn, upkeep};
use crate::system::{self, FileError};

/// Version of the tables and of the encoding of their values. A database of another version is emptied.
const SCHEMA_VERSION: i64 = 15;

/// Opens a record for reading; `None` if it is empty or of another version.
pub(super) fn read(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let open = || connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let (connection, version) = match open() {
        Err(error) if needs_recovery(&error) => {
            // A build was killed while it wrote. A reader may not roll the transaction back, so open the database for
            // writing once. Nothing that was recorded is lost.
            drop(connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE));
            open()?
        }
        opened => opened?,
    };
    Ok((version == SCHEMA_VERSION).then_some(connection))
}

/// Opens a record for writing; empties a record of another version.
pub(super) fn write(path: &Path) -> rusqlite::Result<Connection> {
    let (connection, version) = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    // NORMAL still syncs the database before its journal is truncated, so a crash leaves either the old or the new
    // record. The cache of 16 MiB keeps the pages of one transaction in memory: writing some of them early would cost
    // a sync and block readers.
    connection
        .execute_batch("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;")?;
    if version != SCHEMA_VERSION {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             DROP TABLE IF EXISTS actions; DROP TABLE IF EXISTS files;
             DROP TABLE IF EXISTS recipes; DROP TABLE IF EXISTS details;
             CREATE TABLE actions (key BLOB PRIMARY KEY, kind TEXT NOT NULL, outcome BLOB NOT NULL) WITHOUT ROWID;
             -- Two tables: details are long, and every build reads the rest of all recipes.
             CREATE TABLE recipes (path TEXT PRIMARY KEY, fresh BLOB NOT NULL) WITHOUT ROWID;
             CREATE TABLE details (path TEXT PRIMARY KEY, detail BLOB NOT NULL) WITHOUT ROWID;
             CREATE TABLE files (path TEXT PRIMARY KEY, hashed BLOB NOT NULL) WITHOUT ROWID;
             {} {} {}
             PRAGMA user_version = {SCHEMA_VERSION};
             COMMIT;",
            ledger::TABLES,
            upkeep::TABLES,
            frames::TABLES
        ))?;
    }
    Ok(connection)
}

/// Opens the database and reads its version, which makes SQLite read the file.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<(Connection, i64)> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.set_prepared_statement_cache_capacity(32);
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok((connection, version))
}

/// Renames a damaged record and warns.
pub(super) fn set_aside(path: &Path, error: &rusqlite::Error, warn: &Warn) -> Result<(), FileError> {
    let aside = path.with_extension("damaged");
    system::rename(path, &aside)?;
    system::remove(&path.with_extension("sqlite-journal"))?;
    warn(format!(
        "the record `{}` was damaged ({error}); it was renamed to `{}`, and a new one is started",
        path.display(),
        aside.display()
    ));
    Ok(())
}

/// Returns whether SQLite failed because a journal must be rolled back before the database can be read.
fn needs_recovery(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

/// Returns whether an error means that the file is damaged.
///
/// All statements are fixed, so any error that is not caused by the disk or another process comes from the file: a
/// missing table, a column of another type, or an invalid page.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
                | ErrorCode::NoLargeFileSupport
        )
    )
}
