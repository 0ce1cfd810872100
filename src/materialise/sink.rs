//! An output file being written: hashed on the way, in place only once it is whole and only if it is new.
//!
//! Whoever has rows for it fills buffers; a thread that is free hashes and writes them meanwhile. Where none is free
//! they pile up to a few, and whoever fills them writes them.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    hash::Digest,
    system::{FileError, Replacement, Stat},
};

/// Bytes that are handed over at once.
const BUFFER: usize = 512 << 10;

/// Buffers that may wait to be written.
const WAITING: usize = 4;

/// Bytes that are written before the disk is asked to take them.
const SYNC_EVERY: u64 = 8 << 20;

/// A file being written beside its destination.
pub struct Sink {
    line: Arc<Line>,
    buffer: Vec<u8>,
    destination: PathBuf,
}

/// A file that was written and not yet put in place.
pub struct Written {
    replacement: Replacement,
    /// Where it belongs.
    pub destination: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// Buffers that were handed over, in order, and empty ones to use again.
type Buffers = (VecDeque<Vec<u8>>, Vec<Vec<u8>>);

/// Buffers on their way to the file.
struct Line {
    buffers: Mutex<Buffers>,
    /// The file's end; `None` once it is finished.
    end: Mutex<Option<End>>,
    /// Whether a thread was asked to write.
    is_asked: AtomicBool,
}

struct End {
    replacement: Replacement,
    hasher: blake3::Hasher,
    bytes: u64,
    /// How many of them the disk was not asked to take.
    unsynced: u64,
    /// The first error; what comes after it is not written.
    failed: Option<FileError>,
}

impl Sink {
    /// Starts a file for `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, FileError> {
        let replacement = Replacement::new(destination)?;
        let end = End { replacement, hasher: blake3::Hasher::new(), bytes: 0, unsynced: 0, failed: None };
        let line = Line { buffers: Mutex::default(), end: Mutex::new(Some(end)), is_asked: AtomicBool::new(false) };
        Ok(Self { line: Arc::new(line), buffer: Vec::new(), destination: destination.to_owned() })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), FileError> {
        let waiting = {
            let mut buffers = lock(&self.line.buffers);
            let empty = buffers.1.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER + BUFFER / 4));
            buffers.0.push_back(std::mem::replace(&mut self.buffer, empty));
            buffers.0.len()
        };
        if waiting > WAITING || rayon::current_num_threads() == 1 {
            self.line.write();
        } else if !self.line.is_asked.swap(true, Ordering::AcqRel) {
            let line = self.line.clone();
            rayon::spawn(move || {
                line.is_asked.store(false, Ordering::Release);
                line.write();
            });
        }
        // An error shows with the next buffer at the latest, or at the end.
        match self.line.end.try_lock() {
            Ok(mut end) => end.as_mut().and_then(|end| end.failed.take()).map_or(Ok(()), Err),
            Err(_) => Ok(()),
        }
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<Written, FileError> {
        lock(&self.line.buffers).0.push_back(std::mem::take(&mut self.buffer));
        self.line.write();
        let end = lock(&self.line.end).take().expect("a sink is finished once");
        if let Some(error) = end.failed {
            return Err(error);
        }
        let digest = Digest::from_bytes(*end.hasher.finalize().as_bytes());
        Ok(Written { replacement: end.replacement, destination: self.destination, digest, bytes: end.bytes })
    }
}

impl Line {
    /// Writes what waits; two threads at it take turns.
    fn write(&self) {
        let mut end = lock(&self.end);
        let Some(end) = end.as_mut() else { return };
        // A statement of its own, or the lock would be held while the buffer is written.
        let next = || lock(&self.buffers).0.pop_front();
        while let Some(mut buffer) = next() {
            if end.failed.is_none() {
                end.hasher.update(&buffer);
                end.failed = end.replacement.write_all(&buffer).err();
                end.bytes += buffer.len() as u64;
                end.unsynced += buffer.len() as u64;
                if end.unsynced >= SYNC_EVERY && end.failed.is_none() {
                    end.failed = end.replacement.sync_soon().err();
                    end.unsynced = 0;
                }
            }
            buffer.clear();
            lock(&self.buffers).1.push(buffer);
        }
    }
}

/// What a thread that panicked has left is whole: buffers are moved, and a file of an action that failed is dropped.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Written {
    /// Puts the file in place, synced; returns its stat.
    pub fn put_in_place(self) -> Result<Stat, FileError> {
        self.replacement.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_whoever_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let path = folder.path().join(format!("{threads}"));
            let mut wanted = Vec::new();
            let written = pool.install(|| {
                let mut sink = Sink::new(&path).unwrap();
                for i in 0..200_000_u32 {
                    let row = format!("{i} {}\n", "x".repeat(i as usize % 90));
                    sink.write(row.as_bytes()).unwrap();
                    wanted.extend_from_slice(row.as_bytes());
                }
                sink.finish().unwrap()
            });
            assert_eq!((written.bytes, written.digest), (wanted.len() as u64, Digest::of(&wanted)));
            written.put_in_place().unwrap();
            assert!(crate::system::read(&path).unwrap() == wanted, "{threads} threads");
        }
    }
}
