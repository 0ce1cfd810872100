//! Writes an output file beside its destination. Any thread may deliver segments in any order; one thread at a time
//! hashes and appends the segments whose turn has come.
//!
//! ```text
//! thread A   encode 0 ──────── append 0, 1 ── encode 4 ─ …
//! thread B   encode 1 ── leave 1 ── encode 2 ── append 2 …
//! ```
//!
//! Rows of columnar files are encoded in groups of many segments. Whichever thread completes a group encodes it while others go on
//! appending, and the thread that appends then writes it in its turn.
//!
//! A thread whose segment is far ahead of the next one to append waits, so that segments do not pile up. Segments are
//! begun in order, so the thread that has the next segment never waits, and the waiting threads go on once that
//! segment is appended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    container::{Bytes, PublicHash, Sink, failed},
    rows::OutputError,
};
use crate::system::{FileError, Replacement, Stat};
use datac_core::{id::FileHash, outputs::Container, shape::facts::Column};
use datac_encode::{Encoded, Group};

/// Number of empty buffers that are kept for reuse.
const KEPT: usize = 4;

/// An output file that is being written beside its destination.
pub struct OutputFile {
    destination: PathBuf,
    state: Mutex<State>,
    /// Notified when a segment has been appended, and when no more will be.
    turn: Condvar,
    /// Told the rows and bytes of each segment that was encoded.
    told: Option<Told>,
}

/// A function that is told how many rows and bytes came.
pub type Told = Arc<dyn Fn(u64, u64) + Send + Sync>;

struct State {
    /// Number of the segment to append next.
    next: usize,
    /// Number of rows that were appended.
    rows: u64,
    /// Segments that were delivered before their turn.
    early: BTreeMap<usize, Vec<u8>>,
    /// Groups of rows that were encoded and are to be added.
    encoded: Vec<Encoded>,
    /// Where segments are appended; `None` while a thread appends, and once the file is finished.
    end: Option<Sink>,
    /// Whether a segment could not be encoded or appended, so that no later segment will be appended.
    is_broken: bool,
    buffers: Vec<Vec<u8>>,
}

/// A file that has been written but is not in place yet.
pub struct Written {
    replacement: Replacement,
    /// Path that the file will be renamed to.
    pub destination: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: FileHash,
    /// SHA-256 of its bytes in hexadecimal digits, if that was wanted.
    pub sha256: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of rows.
    pub rows: u64,
}

impl OutputFile {
    /// Begins a file of lines for `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, OutputError> {
        Self::begin(destination, Container::Jsonl, &[], None)
    }

    /// Begins a file of a container, with these columns, whose SHA-256 is wanted too.
    pub fn of_container(destination: &Path, container: Container, columns: &[Column]) -> Result<Self, OutputError> {
        Self::begin(destination, container, columns, Some(PublicHash::default()))
    }

    fn begin(
        destination: &Path,
        container: Container,
        columns: &[Column],
        sha256: Option<PublicHash>,
    ) -> Result<Self, OutputError> {
        let replacement = Replacement::new(destination)?;
        let end = Sink::new(replacement, container, columns, sha256).map_err(|error| failed(error, destination))?;
        let state = State {
            next: 0,
            rows: 0,
            early: BTreeMap::new(),
            encoded: Vec::new(),
            end: Some(end),
            is_broken: false,
            buffers: Vec::new(),
        };
        Ok(Self { destination: destination.to_owned(), state: Mutex::new(state), turn: Condvar::new(), told: None })
    }

    /// Returns this file with a function that is told of each segment.
    pub fn telling(self, told: Told) -> Self {
        Self { told: Some(told), ..self }
    }

    /// Returns an empty buffer for a segment.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.state().buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Delivers a segment, which is appended when its turn comes. Segments are numbered from 0 and must be begun in
    /// order.
    pub(super) fn put(&self, number: usize, encoded: Result<Vec<u8>, OutputError>) -> Result<(), OutputError> {
        let appended = encoded.and_then(|bytes| {
            // A row is a line. To count them costs nothing beside encoding them.
            let rows = lines(&bytes);
            if let Some(told) = &self.told {
                told(rows, bytes.len() as u64);
            }
            self.state().rows += rows;
            self.append(number, bytes)
        });
        if appended.is_err() {
            self.abandon();
        }
        appended
    }

    /// Wakes all waiting threads, because a segment will never be delivered.
    pub(super) fn abandon(&self) {
        self.state().is_broken = true;
        self.turn.notify_all();
    }

    fn append(&self, number: usize, bytes: Vec<u8>) -> Result<(), OutputError> {
        let ahead = rayon::current_num_threads();
        let mut state = self.state();
        while number > state.next + ahead && !state.is_broken {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.early.insert(number, bytes);
        // If the end is taken, another thread is appending, and will append this segment when its turn comes.
        while let Some(mut end) = state.end.take() {
            let (next, encoded) = (state.next, std::mem::take(&mut state.encoded));
            let segment = state.early.remove(&next);
            if segment.is_none() && encoded.is_empty() {
                state.end = Some(end);
                break;
            }
            drop(state);
            let added = encoded.into_iter().try_for_each(|group| end.add(group));
            let appended = added.and_then(|()| segment.as_ref().map_or(Ok(Vec::new()), |bytes| end.append(bytes)));
            state = self.state();
            state.end = Some(end);
            let groups = appended.map_err(|error| failed(error, &self.destination))?;
            if let Some(bytes) = segment {
                state.next += 1;
                if state.buffers.len() < KEPT {
                    state.buffers.push(bytes);
                }
                self.turn.notify_all();
            }
            if !groups.is_empty() {
                drop(state);
                let encoded: Result<Vec<Encoded>, _> = groups.into_iter().map(Group::encode).collect();
                state = self.state();
                state.encoded.extend(encoded.map_err(|error| failed(error, &self.destination))?);
            }
        }
        Ok(())
    }

    /// Appends bytes, for files that a single thread writes from beginning to end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.rows += lines(bytes);
        let Some(end) = &mut state.end else { return Ok(()) };
        let appended =
            end.append(bytes).and_then(|groups| groups.into_iter().try_for_each(|group| end.add(group.encode()?)));
        appended.map_err(|error| failed(error, &self.destination))
    }

    /// Ends the file; fails if a segment is missing.
    pub fn finish(&self) -> Result<Written, OutputError> {
        let mut state = self.state();
        if state.is_broken || !state.early.is_empty() {
            return Err(OutputError::Mismatch);
        }
        let mut sink = state.end.take().ok_or(OutputError::Mismatch)?;
        let added = std::mem::take(&mut state.encoded).into_iter().try_for_each(|group| sink.add(group));
        let Bytes { replacement, hasher, sha256, count } =
            added.and_then(|()| sink.finish()).map_err(|error| failed(error, &self.destination))?;
        let destination = self.destination.clone();
        let sha256 = sha256.map(PublicHash::finish);
        let digest = FileHash::new(hasher.finish());
        Ok(Written { replacement, destination, digest, sha256, bytes: count, rows: state.rows })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half-done: segments are moved in and out as a whole, and the file of a failed action
        // is dropped.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

impl Written {
    /// Changes where the file is to go, within the same folder.
    pub fn go_to(&mut self, destination: PathBuf) {
        self.replacement.go_to(destination.clone());
        self.destination = destination;
    }

    /// Syncs the file to disk.
    pub fn sync(&self) -> Result<(), FileError> {
        self.replacement.sync()
    }

    /// Renames the file to its destination and returns its stat. The rename only survives a power cut once the folder
    /// is synced.
    pub fn put_in_place(self) -> Result<Stat, FileError> {
        self.replacement.put_in_place()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::writer::share;

    #[test]
    fn segments_are_appended_in_order_whoever_brings_them() {
        let folder = tempfile::tempdir().unwrap();
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for count in [0, 1, 300] {
                let path = folder.path().join(format!("{threads} {count}"));
                let segment = |number: usize| vec![number as u8; (number * 7919) % 5000];
                let wanted: Vec<u8> = (0..count).flat_map(segment).collect();
                let file = Arc::new(OutputFile::new(&path).unwrap());
                let written = file.clone();
                pool.install(|| {
                    share(count, move |number| {
                        let mut out = written.buffer();
                        out.extend(segment(number));
                        written.put(number, Ok(out)).unwrap();
                    });
                });
                let written = file.finish().unwrap();
                assert_eq!((written.bytes, written.digest), (wanted.len() as u64, FileHash::of(&wanted)));
                written.put_in_place().unwrap();
                assert!(crate::system::read(&path).unwrap() == wanted, "{threads} threads");
            }
        }
    }

    #[test]
    fn a_segment_that_cannot_be_made_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let file = Arc::new(OutputFile::new(&folder.path().join("file")).unwrap());
        let written = file.clone();
        pool.install(|| {
            share(100, move |number| {
                let encoded = if number == 7 { Err(OutputError::Mismatch) } else { Ok(written.buffer()) };
                assert_eq!(written.put(number, encoded).is_err(), number == 7);
            });
        });
        assert!(file.finish().is_err());
    }
}
