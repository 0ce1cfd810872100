//! Blobs that were put, can be read, and are still to be written.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{id::BlobId, system::FileError};

/// The most that waits for a thread: what came of a few chunks.
const WAITING_BYTES: usize = 8 << 20;

/// What is still to be written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    state: Mutex<State>,
    /// Told when one was written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    blobs: HashMap<BlobId, Arc<Vec<u8>>>,
    /// Those that no thread has begun to write.
    waiting: Vec<BlobId>,
    waiting_bytes: usize,
    /// The first error.
    failed: Option<FileError>,
}

/// A blob on its way; dropped, also by a panic, it is waited for no more.
pub(super) struct Writing {
    of: Arc<Unwritten>,
    pub(super) digest: BlobId,
    pub(super) bytes: Arc<Vec<u8>>,
}

impl Unwritten {
    /// A blob's bytes.
    pub(super) fn get(&self, digest: &BlobId) -> Option<Arc<Vec<u8>>> {
        self.state().blobs.get(digest).cloned()
    }

    /// Adds a blob; whether so many wait by now that someone had better begin.
    pub(super) fn add(&self, digest: BlobId, bytes: Arc<Vec<u8>>) -> bool {
        let (mut state, size) = (self.state(), bytes.len());
        if state.blobs.insert(digest, bytes).is_none() {
            state.waiting.push(digest);
            state.waiting_bytes += size;
        }
        state.waiting_bytes > WAITING_BYTES
    }

    /// Those that no thread has begun to write; whoever takes them writes them.
    pub(super) fn take(self: &Arc<Self>) -> Vec<Writing> {
        let mut state = self.state();
        state.waiting_bytes = 0;
        let waiting = std::mem::take(&mut state.waiting);
        let writing = |digest| Writing { of: self.clone(), digest, bytes: state.blobs[&digest].clone() };
        waiting.into_iter().map(writing).collect()
    }

    /// Returns when there are none, once all were taken; or the first error that one has met with, once.
    pub(super) fn settle(&self) -> Result<(), FileError> {
        let mut state = self.state();
        while !state.blobs.is_empty() {
            state = self.written.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// Notes what kept it from being written.
    pub(super) fn failed(&self, error: FileError) {
        self.of.state().failed.get_or_insert(error);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.of.state().blobs.remove(&self.digest);
        self.of.written.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_and_each_is_taken_once() {
        let unwritten = Arc::new(Unwritten::default());
        let blob = |fill: u8| (BlobId::of(&[fill]), Arc::new(vec![fill; WAITING_BYTES / 4]));
        let added: Vec<bool> = (0..5).map(|fill| unwritten.add(blob(fill).0, blob(fill).1)).collect();
        assert_eq!(added, [false, false, false, false, true]);
        let taken = unwritten.take();
        assert_eq!(taken.len(), 5);
        assert!(!unwritten.add(blob(4).0, blob(4).1), "it is on its way");
        assert!(unwritten.take().is_empty());
        assert_eq!(unwritten.get(&blob(3).0), Some(blob(3).1), "until it is written");
        let error = || FileError { verb: "write", path: "blob".into(), source: std::io::ErrorKind::StorageFull.into() };
        taken[3].failed(error());
        drop(taken);
        assert_eq!(unwritten.get(&blob(3).0), None);
        assert_eq!(unwritten.settle().unwrap_err().verb, "write");
        unwritten.settle().unwrap();
    }
}
