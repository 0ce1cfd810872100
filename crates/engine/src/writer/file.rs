//! Writes an output file beside its destination. Any thread may deliver segments in any order; one thread at a time
//! hashes and appends the segments whose turn has come.
//!
//! ```text
//! thread A   encode 0 ──────── append 0, 1 ── encode 4 ─ …
//! thread B   encode 1 ── leave 1 ── encode 2 ── append 2 …
//! ```
//!
//! Rows of columnar files, and of files of bare token ids, are encoded in groups of many segments. A group that is complete waits in a queue, from which any
//! thread takes it and encodes it while others go on appending; the thread that appends then writes it in its turn.
//!
//! A thread whose segment is far ahead of the next one to append waits, so that segments do not pile up. Segments are
//! begun in order, so the thread that has the next segment never waits, and the waiting threads go on once that
//! segment is appended. Groups are bounded likewise: one is encoded if it is the next to be written, or if it and those that
//! wait for their turn are small enough together.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    container::{Bytes, Layout, PublicHash, Sink, failed},
    rows::OutputError,
};
use crate::system::{FileError, Replacement, Synced};
use datac_core::{id::FileHash, outputs::Container};
use datac_encode::{Encoded, Group};

/// Number of empty buffers that are kept for reuse.
const KEPT: usize = 4;

/// Most bytes of rows in groups that are encoded ahead of the next one to be written, unless the file was given another limit.
const AHEAD: u64 = 24 << 20;

/// An output file that is being written beside its destination.
pub struct OutputFile {
    destination: PathBuf,
    container: Container,
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
    /// Number of segments of the file, if that is known.
    segments: Option<usize>,
    /// Segments that were delivered before their turn.
    early: BTreeMap<usize, Vec<u8>>,
    /// Groups of rows that no thread has begun to encode, in order.
    groups: VecDeque<Group>,
    /// Groups of rows that were encoded and are to be added.
    encoded: Vec<Encoded>,
    /// Bytes of the rows of groups that are being encoded or wait to be written, and the most that may be.
    held: u64,
    ahead: u64,
    /// Number of the group to write next.
    next_group: usize,
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
    /// The [files that belong to it](Container::parts), which have no rows of their own.
    pub parts: Vec<Written>,
}

impl OutputFile {
    /// Begins a file of lines for `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, OutputError> {
        let lines = Layout { container: Container::Jsonl, columns: &[], ids: None };
        Self::begin(destination, lines, Option::default)
    }

    /// Begins a file of rows, and those that belong to it. The SHA-256 of each is wanted too.
    pub fn of_rows(destination: &Path, layout: Layout<'_>) -> Result<Self, OutputError> {
        Self::begin(destination, layout, || Some(PublicHash::default()))
    }

    fn begin(
        destination: &Path,
        layout: Layout<'_>,
        sha256: impl Fn() -> Option<PublicHash>,
    ) -> Result<Self, OutputError> {
        let begun = |path: &Path| Ok::<_, FileError>(Bytes::new(Replacement::new(path)?, sha256()));
        let parts = parts(destination, layout.container).iter().map(|part| begun(part)).collect::<Result<_, _>>()?;
        let end = Sink::new(begun(destination)?, parts, layout).map_err(|error| failed(error, destination))?;
        let state = State {
            next: 0,
            rows: 0,
            segments: None,
            early: BTreeMap::new(),
            groups: VecDeque::new(),
            encoded: Vec::new(),
            held: 0,
            ahead: AHEAD,
            next_group: 0,
            end: Some(end),
            is_broken: false,
            buffers: Vec::new(),
        };
        Ok(Self {
            destination: destination.to_owned(),
            container: layout.container,
            state: Mutex::new(state),
            turn: Condvar::new(),
            told: None,
        })
    }

    /// Returns this file with a function that is told of each segment.
    pub fn telling(self, told: Told) -> Self {
        Self { told: Some(told), ..self }
    }

    /// Returns this file with a limit for the bytes of rows that are encoded ahead of the next ones to be written.
    pub(super) fn ahead(mut self, bytes: u64) -> Self {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).ahead = bytes;
        self
    }

    /// Says how many segments will be delivered, so that the last rows are encoded with them and not when the file is finished.
    pub(super) fn expect(&self, segments: usize) {
        self.state().segments = Some(segments);
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
        loop {
            // If the end is taken, another thread is appending, and will append this segment when its turn comes.
            if state.has_turn()
                && let Some(end) = state.end.take()
            {
                state = self.append_next(state, end)?;
            } else if let Some(group) = state.next_to_encode() {
                drop(state);
                let encoded = group.encode().map_err(|error| failed(error, &self.destination))?;
                state = self.state();
                state.encoded.push(encoded);
            } else if state.groups.is_empty() || state.is_broken {
                return Ok(());
            } else {
                // The group before is being encoded by another thread.
                state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Writes the groups that were encoded, and appends the next segment if it is there.
    fn append_next<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        mut end: Sink,
    ) -> Result<MutexGuard<'s, State>, OutputError> {
        let (next, encoded) = (state.next, std::mem::take(&mut state.encoded));
        let segment = state.early.remove(&next);
        let is_last = segment.is_some() && state.segments == Some(next + 1);
        drop(state);
        let freed = encoded.into_iter().try_fold(0, |freed, group| Ok(freed + end.add(group)?));
        let appended = freed.and_then(|freed| {
            let mut groups = segment.as_ref().map_or(Ok(Vec::new()), |bytes| end.append(bytes))?;
            groups.extend(if is_last { end.rest() } else { None });
            Ok((freed, groups))
        });
        let next_group = end.next_group();
        let mut state = self.state();
        state.end = Some(end);
        let (freed, groups) = appended.map_err(|error| failed(error, &self.destination))?;
        state.held -= freed;
        state.next_group = next_group;
        state.groups.extend(groups);
        if let Some(bytes) = segment {
            state.next += 1;
            if state.buffers.len() < KEPT {
                state.buffers.push(bytes);
            }
        }
        self.turn.notify_all();
        Ok(state)
    }

    /// Appends bytes, for files that a single thread writes from beginning to end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.rows += lines(bytes);
        let Some(end) = &mut state.end else { return Ok(()) };
        let encode = |group: Group, end: &mut Sink| end.add(group.encode()?).map(drop);
        let added = end.append(bytes).and_then(|groups| groups.into_iter().try_for_each(|group| encode(group, end)));
        added.map_err(|error| failed(error, &self.destination))
    }

    /// Ends the file; fails if a segment is missing.
    pub fn finish(&self) -> Result<Written, OutputError> {
        let mut state = self.state();
        if state.is_broken || !state.early.is_empty() {
            return Err(OutputError::Mismatch);
        }
        let mut sink = state.end.take().ok_or(OutputError::Mismatch)?;
        let encoded = std::mem::take(&mut state.encoded).into_iter().map(Ok);
        let left = std::mem::take(&mut state.groups).into_iter().map(Group::encode);
        let added = encoded.chain(left).try_for_each(|group| sink.add(group?).map(drop));
        let (bytes, beside) = added.and_then(|()| sink.finish()).map_err(|error| failed(error, &self.destination))?;
        let paths = parts(&self.destination, self.container);
        let parts = paths.into_iter().zip(beside).map(|(path, bytes)| written(path, bytes, 0)).collect();
        Ok(Written { parts, ..written(self.destination.clone(), bytes, state.rows) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half-done: segments are moved in and out as a whole, and the file of a failed action
        // is dropped.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is something to append.
    fn has_turn(&self) -> bool {
        !self.encoded.is_empty() || self.early.contains_key(&self.next)
    }

    /// Takes the next group to be encoded, if it may be now.
    fn next_to_encode(&mut self) -> Option<Group> {
        let may = |group: &Group| group.number() == self.next_group || self.held + group.bytes() <= self.ahead;
        let group = if self.groups.front().is_some_and(may) { self.groups.pop_front() } else { None };
        self.held += group.as_ref().map_or(0, Group::bytes);
        group
    }
}

/// Returns the paths of the files that belong to a file of a container.
fn parts(path: &Path, container: Container) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    container.parts(&name).into_iter().map(|part| path.with_file_name(part)).collect()
}

fn written(destination: PathBuf, bytes: Bytes, rows: u64) -> Written {
    let Bytes { replacement, hasher, sha256, count } = bytes;
    let (digest, sha256) = (FileHash::new(hasher.finish()), sha256.map(PublicHash::finish));
    Written { replacement, destination, digest, sha256, bytes: count, rows, parts: Vec::new() }
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

    /// Returns a digest of the bytes of the file and of those that belong to it.
    pub fn digest_with_parts(&self) -> FileHash {
        if self.parts.is_empty() {
            return self.digest;
        }
        let digests = [self].into_iter().chain(&self.parts).map(|file| file.digest.to_string());
        FileHash::of(digests.collect::<String>().as_bytes())
    }

    /// Syncs the file to disk, and closes it.
    pub fn synced(self) -> Result<Synced, FileError> {
        self.replacement.synced()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::writer::share;
    use datac_core::shape::facts::{Column, Type};

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
                written.synced().unwrap().put_in_place().unwrap();
                assert!(crate::system::read(&path).unwrap() == wanted, "{threads} threads");
            }
        }
    }

    /// A row of the only column `text`, of about a megabyte.
    fn long_row(number: usize) -> Vec<u8> {
        format!("{{\"text\":\"{number} {}\"}}\n", "word ".repeat(200_000)).into_bytes()
    }

    fn parquet(path: &Path) -> OutputFile {
        let columns = [Column::new("text", Type::Text)];
        OutputFile::of_rows(path, Layout { container: Container::Parquet, columns: &columns, ids: None }).unwrap()
    }

    #[test]
    fn groups_are_written_in_order_and_few_ahead_of_their_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.parquet");
        let mut digests = Vec::new();
        for (threads, ahead) in [(1, u64::MAX), (1, 0), (4, u64::MAX), (4, 0)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let file = Arc::new(parquet(&path).ahead(ahead));
            file.expect(30);
            let written = file.clone();
            pool.install(|| share(30, move |number| written.put(number, Ok(long_row(number))).unwrap()));
            // The last rows are no longer waited for, and nothing is held.
            let state = file.state();
            assert_eq!((state.next_group > 1, state.groups.len(), state.held), (true, 0, 0), "{threads} {ahead}");
            drop(state);
            let written = file.finish().unwrap();
            assert_eq!(written.rows, 30);
            digests.push(written.digest);
        }
        assert!(digests.iter().all(|digest| *digest == digests[0]));
    }

    #[test]
    fn a_group_waits_for_those_before_it_unless_they_are_small_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = parquet(&folder.path().join("train.parquet"));
        let mut end = file.state().end.take().unwrap();
        let mut groups: VecDeque<Group> = end.append(&(0..30).flat_map(long_row).collect::<Vec<u8>>()).unwrap().into();
        groups.extend(end.rest());
        let (count, first) = (groups.len(), groups[0].bytes());
        assert!(count > 2);
        let mut state = file.state();
        (state.groups, state.ahead) = (groups, first);
        let taken = state.next_to_encode().unwrap();
        assert_eq!((taken.number(), state.held), (0, first));
        assert!(state.next_to_encode().is_none(), "both together are too large");
        state.held -= end.add(taken.encode().unwrap()).unwrap();
        state.next_group = end.next_group();
        assert_eq!((state.held, state.next_group), (0, 1));
        state.ahead = u64::MAX;
        assert_eq!(std::iter::from_fn(|| state.next_to_encode()).count(), count - 1);
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
