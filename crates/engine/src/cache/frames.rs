//! Small blobs, stored as compressed frames in the record.
//!
//! There are many small blobs, and a file for each would cost more than its bytes. Frames are written before or
//! together with the entries that name them, so no entry names a missing frame.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    contents::Held,
    record::{Record, RecordError},
};
use crate::system;
use datac_core::id::BlobId;

/// Maximum size of a frame in the record, in bytes. Raising it saves files, but gives SQLite more to copy into its
/// journal and when it compacts the database.
pub(super) const SMALL: usize = 16 << 10;

/// Maximum total size of frames that wait to be written, in bytes. Builds flush the record long before; this bounds
/// memory where they do not.
pub(super) const MOST_WAITING: usize = 16 << 20;

/// Creates the table of an empty record.
pub(super) const TABLES: &str = "\
DROP TABLE IF EXISTS frames;
CREATE TABLE frames (digest BLOB PRIMARY KEY, written_ns INTEGER NOT NULL, frame BLOB NOT NULL);";

/// Frames that are not in the database yet.
#[derive(Default)]
pub(super) struct Unrecorded(Mutex<State>);

#[derive(Default)]
struct State {
    frames: HashMap<BlobId, Arc<[u8]>>,
    bytes: usize,
}

/// Frames to be written into the database.
pub(super) type Frames = Vec<(BlobId, Arc<[u8]>)>;

impl Unrecorded {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all waiting frames. They can be read from memory until [`Unrecorded::done`] removes them.
    pub(super) fn all(&self) -> Frames {
        let state = self.state();
        let mut frames: Frames = state.frames.iter().map(|(digest, frame)| (*digest, frame.clone())).collect();
        // Inserting in key order fills the index from one side.
        frames.sort_unstable_by_key(|(digest, _)| *digest);
        frames
    }

    /// Removes frames that are in the database now.
    pub(super) fn done(&self, frames: &Frames) {
        self.let_go(frames.iter().map(|(digest, _)| digest));
    }

    fn let_go<'d>(&self, digests: impl Iterator<Item = &'d BlobId>) {
        let mut state = self.state();
        for digest in digests {
            if let Some(frame) = state.frames.remove(digest) {
                state.bytes -= frame.len();
            }
        }
    }
}

/// Writes frames within a transaction. An existing frame is replaced if it differs, since it may be damaged.
pub(super) fn insert(connection: &Connection, frames: &Frames) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO frames (digest, written_ns, frame) VALUES (?1, ?2, ?3)
         ON CONFLICT (digest) DO UPDATE SET frame = excluded.frame WHERE frame IS NOT excluded.frame",
    )?;
    let now = system::now_ns();
    frames.iter().try_for_each(|(digest, frame)| insert.execute(params![digest.as_bytes(), now, frame]).map(drop))
}

/// Removes frames within a transaction.
pub(super) fn remove(connection: &Connection, digests: &[BlobId]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM frames WHERE digest = ?1")?;
    digests.iter().try_for_each(|digest| delete.execute([digest.as_bytes()]).map(drop))
}

impl Record {
    /// Adds a frame, to be written by the next [`Record::flush`].
    pub(super) fn note_frame(&self, digest: BlobId, frame: &[u8]) {
        let mut state = self.unrecorded.state();
        if state.frames.insert(digest, frame.into()).is_none() {
            state.bytes += frame.len();
        }
    }

    /// Returns the total size of frames that wait to be written, in bytes.
    pub fn unrecorded_bytes(&self) -> usize {
        self.unrecorded.state().bytes
    }

    /// Returns the frame of a blob, or `None` if there is none.
    pub(super) fn frame(&self, digest: &BlobId) -> Result<Option<Arc<[u8]>>, RecordError> {
        if let Some(frame) = self.unrecorded.state().frames.get(digest) {
            return Ok(Some(frame.clone()));
        }
        let found: Option<Option<Vec<u8>>> = self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT frame FROM frames WHERE digest = ?1")?;
            select.query_row([digest.as_bytes()], |row| row.get(0)).optional()
        })?;
        Ok(found.flatten().map(Arc::from))
    }

    /// Returns, for each blob, whether there is a frame. If the database cannot be queried, only waiting frames
    /// count.
    pub(super) fn has_frames(&self, ids: &[BlobId]) -> Vec<bool> {
        let waits: Vec<bool> = {
            let state = self.unrecorded.state();
            ids.iter().map(|id| state.frames.contains_key(id)).collect()
        };
        let found = self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT 1 FROM frames WHERE digest = ?1")?;
            let has = |(id, waits): (&BlobId, &bool)| Ok(*waits || select.exists([id.as_bytes()])?);
            ids.iter().zip(&waits).map(has).collect::<rusqlite::Result<Vec<bool>>>()
        });
        found.ok().flatten().unwrap_or(waits)
    }

    /// Removes frames in one transaction. It is no error if some do not exist.
    pub(super) fn remove_frames(&self, digests: &[BlobId]) -> Result<(), RecordError> {
        self.unrecorded.let_go(digests.iter());
        self.on(|connection| {
            let transaction = connection.transaction()?;
            remove(&transaction, digests)?;
            transaction.commit()
        })
        .map(drop)
    }

    /// Returns the size of the record without frames and free space; `None` if there is no record.
    pub fn bytes_beside_frames(&self) -> Result<Option<u64>, RecordError> {
        self.on(|connection| {
            let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
            let frames = number("SELECT COALESCE(SUM(LENGTH(frame)), 0) FROM frames")?;
            Ok((pages * number("PRAGMA page_size")? - frames).unsigned_abs())
        })
    }

    /// Returns the size of each frame in the database.
    pub(super) fn frames(&self) -> Result<Vec<(BlobId, Held)>, RecordError> {
        let found = self.on(|connection| {
            let mut select = connection.prepare("SELECT digest, length(frame), written_ns FROM frames")?;
            let held = |row: &rusqlite::Row<'_>| {
                let held = Held { count: 1, bytes: row.get::<_, i64>(1)?.unsigned_abs(), mtime_ns: row.get(2)? };
                Ok((BlobId::from_bytes(row.get(0)?), held))
            };
            select.query_map([], held)?.collect()
        })?;
        Ok(found.unwrap_or_default())
    }
}
