//! A file that takes its pieces from whatever thread, in whatever order: hashed on the way.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock},
};

use crate::{
    hash::{PIECE, PieceHash, Pieces},
    id::FileHash,
    system::{FileError, Replacement, Stat},
};

/// Pieces that may wait to be written.
const WAITING: usize = 4;

/// Rooms that are kept to be used again: what waits, and one for each of a few threads.
const KEPT: usize = 2 * WAITING;

/// A file being written beside its destination, in pieces of [`PIECE`] bytes but for the last.
pub(super) struct Target {
    destination: PathBuf,
    /// `None` once it is finished.
    replacement: RwLock<Option<Replacement>>,
    state: Mutex<State>,
    /// Told when a piece was written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    pieces: Pieces,
    bytes: u64,
    waiting: VecDeque<Waiting>,
    /// Whether a thread writes what waits. One at a time: the system lets no two write to a file, and whoever waits for
    /// that does so at full speed.
    is_writing: bool,
    /// Room to use again.
    empty: Vec<Vec<u8>>,
    /// The first error; what comes after it is not written.
    failed: Option<FileError>,
}

/// Bytes on their way to the file.
struct Waiting {
    /// Where they belong.
    begin: u64,
    bytes: Vec<u8>,
}

/// A file that was written and not yet put in place.
pub struct Written {
    replacement: Replacement,
    /// Where it belongs.
    pub destination: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: FileHash,
    /// Its size.
    pub bytes: u64,
}

impl Target {
    /// Starts a file for `destination`, whose folder must exist.
    pub(super) fn new(destination: &Path) -> Result<Self, FileError> {
        let replacement = RwLock::new(Some(Replacement::new(destination)?));
        Ok(Self { destination: destination.to_owned(), replacement, state: Mutex::default(), written: Condvar::new() })
    }

    /// Reserves room on the disk for all of the file, before any of it is put.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), FileError> {
        let replacement = self.replacement.read().unwrap_or_else(PoisonError::into_inner);
        replacement.as_ref().map_or(Ok(()), |replacement| replacement.reserve(bytes))
    }

    /// Room for a piece: that of an earlier one, with whatever is in it, or none yet.
    pub(super) fn room(&self) -> Vec<u8> {
        self.used_room().unwrap_or_default()
    }

    /// Room of an earlier piece.
    pub(super) fn used_room(&self) -> Option<Vec<u8>> {
        self.state().empty.pop()
    }

    /// Takes room back that was not written.
    pub(super) fn take_back(&self, room: Vec<u8>) {
        self.state().empty.push(room);
    }

    /// Writes a piece, which is not empty, or leaves it to the thread that writes already. An error shows with the next
    /// [`Target::check`] or at the end.
    pub(super) fn put(&self, number: usize, piece: Vec<u8>) {
        let hash = PieceHash::of(number, &piece);
        let mut state = self.state();
        state.pieces.add(number, hash);
        state.bytes += piece.len() as u64;
        self.write(state, Waiting { begin: number as u64 * PIECE as u64, bytes: piece });
    }

    /// Writes bytes in the same way that pieces will be written over.
    pub(super) fn put_aside(&self, begin: u64, bytes: Vec<u8>) {
        self.write(self.state(), Waiting { begin, bytes });
    }

    fn write<'s>(&'s self, mut state: MutexGuard<'s, State>, bytes: Waiting) {
        state.waiting.push_back(bytes);
        while state.is_writing {
            if state.waiting.len() <= WAITING {
                return;
            }
            state = self.written.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        while let Some(next) = state.waiting.pop_front() {
            let is_lost = state.failed.is_some();
            drop(state);
            let written = if is_lost { Ok(()) } else { self.write_now(&next) };
            state = self.state();
            if state.empty.len() < KEPT {
                state.empty.push(next.bytes);
            }
            if let Err(error) = written {
                state.failed.get_or_insert(error);
            }
            self.written.notify_all();
        }
        state.is_writing = false;
        self.written.notify_all();
    }

    fn write_now(&self, bytes: &Waiting) -> Result<(), FileError> {
        let replacement = self.replacement.read().unwrap_or_else(PoisonError::into_inner);
        replacement.as_ref().map_or(Ok(()), |replacement| replacement.write_all_at(&bytes.bytes, bytes.begin))
    }

    /// Waits until all that was put is in the file; the error that any of it has met with, once.
    pub(super) fn settle(&self) -> Result<(), FileError> {
        self.settled().failed.take().map_or(Ok(()), Err)
    }

    /// Reads bytes that were put aside, after [`Target::settle`].
    pub(super) fn read_at(&self, bytes: &mut [u8], begin: u64) -> Result<(), FileError> {
        let replacement = self.replacement.read().unwrap_or_else(PoisonError::into_inner);
        replacement.as_ref().map_or(Ok(()), |replacement| replacement.read_exact_at(bytes, begin))
    }

    /// Waits until nothing waits to be written.
    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while state.is_writing {
            state = self.written.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error that a piece has met with, once.
    pub(super) fn check(&self) -> Result<(), FileError> {
        self.state().failed.take().map_or(Ok(()), Err)
    }

    /// Forgets the pieces that have come: others are to be put in their places.
    pub(super) fn restart(&self) {
        let mut state = self.settled();
        (state.pieces, state.bytes) = (Pieces::default(), 0);
    }

    /// Ends the file; `None` if a piece of it is missing.
    pub(super) fn finish(&self) -> Result<Option<Written>, FileError> {
        let mut state = self.settled();
        state.failed.take().map_or(Ok(()), Err)?;
        let replacement = self.replacement.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some((replacement, digest)) = replacement.zip(state.pieces.digest()) else { return Ok(None) };
        replacement.cut_off(state.bytes)?;
        Ok(Some(Written {
            replacement,
            destination: self.destination.clone(),
            digest: FileHash::new(digest),
            bytes: state.bytes,
        }))
    }
}

impl Written {
    /// Waits until the disk has the file.
    pub fn sync(&self) -> Result<(), FileError> {
        self.replacement.sync()
    }

    /// Puts the file in place; returns its stat. Its name outlasts a power cut once its folder is synced.
    pub fn put_in_place(self) -> Result<Stat, FileError> {
        self.replacement.put_in_place()
    }
}
