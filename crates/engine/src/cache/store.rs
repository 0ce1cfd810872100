//! Content-addressed blobs: `cas/<first two digits>/<BLAKE3 of the uncompressed bytes>.zst`, or, if they are small, in the
//! record.
//!
//! A read has two outcomes: the bytes that were stored, or a [`Miss`]. Files of blobs are therefore not synced: one lost or
//! torn by a power cut is a miss like any other.

use std::{
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    codec,
    contents::BLOBS,
    frames::{MOST_WAITING, SMALL},
    recent::Recent,
    record::{Record, RecordError},
    traits::Blobs,
};
use crate::system::{self, FileError, Replacement};
use datac_core::id::BlobId;

/// The blobs of a cache.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    record: Arc<Record>,
    recent: Arc<Mutex<Recent<Vec<u8>>>>,
    written: Arc<AtomicU64>,
}

/// Bytes of a large blob that are read at a time: a multiple of what its numbers take.
const PART: usize = 1 << 20;

/// The most that is kept of what was made a moment ago. What is written to outputs is mostly what was just converted, and
/// reading it back would cost a decompression and a hash for nothing. A build of a few hundred megabytes finds most of its
/// rows here; one of many gigabytes finds none and reads the cache as ever.
const RECENT_BYTES: usize = 96 << 20;

/// A blob that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read artifact {} from the cache: {reason}", digest.short())]
pub struct Miss {
    /// Digest of the blob.
    pub digest: BlobId,
    /// Reason.
    pub reason: MissReason,
}

/// Reason why a blob is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissReason {
    /// The blob does not exist: never stored, evicted or deleted.
    #[error("missing")]
    Absent,
    /// The blob had other bytes than it was stored with, and has been removed.
    #[error("damaged ({0})")]
    Damaged(String),
}

impl Store {
    /// Creates the store below `root`, which is made when the first blob is put. What is small is written with what is
    /// noted in the record next, and can be read before that.
    pub fn new(root: &Path, record: Arc<Record>) -> Self {
        Self {
            root: root.join(BLOBS),
            record,
            recent: Arc::new(Mutex::new(Recent::new(RECENT_BYTES))),
            written: Arc::default(),
        }
    }

    /// A store below `root` with a record of its own.
    #[cfg(test)]
    pub(crate) fn alone(root: &Path) -> Self {
        let record = Record::open(root, super::Access::Write, Arc::new(|_| {})).unwrap();
        Self::new(root, Arc::new(record))
    }

    /// Bytes that were written to disk through this store.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the path of a blob, whether or not it exists; small blobs have none.
    pub fn path(&self, digest: &BlobId) -> PathBuf {
        path(&self.root, digest)
    }

    /// Stores `size` bytes that `fill` brings part by part: a few are held, however many there are.
    pub fn put_parts<E: From<FileError>>(
        &self,
        size: u64,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>,
    ) -> Result<BlobId, E> {
        if size <= PART as u64 {
            let mut bytes = Vec::with_capacity(size as usize);
            fill(&mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            return Ok(self.put(&bytes)?);
        }
        // It gets its name when its bytes are known.
        let unnamed = self.path(&BlobId::from_bytes([0; 32]));
        let failed = |source| FileError { verb: "write", path: unnamed.clone(), source };
        let mut blob = self.begin(&unnamed)?;
        let mut hasher = blake3::Hasher::new();
        let mut frame = codec::compress_into(&mut blob, size).map_err(failed)?;
        fill(&mut |part| {
            hasher.update(part);
            frame.write_all(part).map_err(failed).map_err(E::from)
        })?;
        codec::finish(frame).map_err(failed)?;
        let digest = BlobId::from_bytes(*hasher.finalize().as_bytes());
        let path = self.path(&digest);
        system::create_dir(path.parent().expect("a blob's path has a folder"))?;
        let written = blob.commit_unsynced_at(&path)?;
        self.written.fetch_add(written, Ordering::Relaxed);
        Ok(digest)
    }

    /// Reads a blob part by part, a few of its bytes being held. Whether they are sound is known at the end: what `take`
    /// was given is worth nothing if this fails. A damaged blob is removed.
    pub fn each_part<E: From<Miss>>(
        &self,
        digest: &BlobId,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(bytes) = self.recent(digest) {
            return bytes.chunks(PART).try_for_each(take);
        }
        let path = self.path(digest);
        let damaged = |problem: String| {
            self.remove(digest).ok();
            Miss { digest: *digest, reason: MissReason::Damaged(problem) }
        };
        // All but a large one is read in one go, with what is kept for that.
        if !system::stat(&path).is_ok_and(|stat| stat.size > PART as u64 / 2) {
            return self.get(digest)?.chunks(PART).try_for_each(take);
        }
        let file = match system::open(&path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => Err(Miss { digest: *digest, reason: MissReason::Absent })?,
            Err(error) => Err(Miss { digest: *digest, reason: MissReason::Damaged(error.source.to_string()) })?,
        };
        let mut bytes = codec::decompress_from(file).map_err(|error| damaged(error.to_string()))?;
        let (mut hasher, mut part) = (blake3::Hasher::new(), Vec::with_capacity(PART));
        loop {
            part.clear();
            let read = bytes.by_ref().take(PART as u64).read_to_end(&mut part);
            match read.map_err(|error| damaged(error.to_string()))? {
                0 => break,
                _ => drop(hasher.update(&part)),
            }
            take(&part)?;
        }
        let is_sound = hasher.finalize() == *digest.as_bytes();
        if is_sound { Ok(()) } else { Err(damaged("its digest does not match".into()).into()) }
    }

    /// Lets go of what is held in memory.
    pub fn let_go(&self) {
        let held = std::mem::replace(
            &mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner),
            Recent::new(RECENT_BYTES),
        );
        drop(held);
    }

    fn recent(&self, digest: &BlobId) -> Option<Arc<Vec<u8>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).get(digest)
    }

    /// Begins a file at the path of a blob.
    fn begin(&self, path: &Path) -> Result<Replacement, FileError> {
        match Replacement::new(path) {
            // There are 256 folders and thousands of blobs: nearly always it is there.
            Err(error) if error.is_missing() => {
                system::create_dir(path.parent().expect("a blob's path has a folder"))?;
                Replacement::new(path)
            }
            begun => begun,
        }
    }

    fn write(&self, path: &Path, frame: &[u8]) -> Result<(), FileError> {
        let mut blob = self.begin(path)?;
        blob.write_all(frame)?;
        blob.commit_unsynced().map(drop)
    }

    /// Stores bytes that will be read again soon.
    pub fn put_recent(&self, bytes: Vec<u8>) -> Result<BlobId, FileError> {
        let digest = self.put(&bytes)?;
        self.keep(digest, Arc::new(bytes));
        Ok(digest)
    }

    fn keep(&self, digest: BlobId, bytes: Arc<Vec<u8>>) {
        let size = bytes.len();
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(digest, bytes, size);
    }

    /// Removes a blob; one that is not there is fine.
    pub fn remove(&self, digest: &BlobId) -> Result<(), FileError> {
        self.remove_all(std::slice::from_ref(digest))
    }

    /// Removes blobs; those that are not there are fine.
    pub fn remove_all(&self, digests: &[BlobId]) -> Result<(), FileError> {
        self.record.remove_frames(digests).map_err(|error| record_failed("remove from", error))?;
        digests.par_iter().try_for_each(|digest| system::remove(&self.path(digest)))
    }

    /// Reads a blob as [`Store::get`] does, for whoever will ask for it again soon.
    pub fn get_recent(&self, digest: &BlobId) -> Result<Arc<Vec<u8>>, Miss> {
        let bytes = self.get(digest)?;
        self.keep(*digest, bytes.clone());
        Ok(bytes)
    }

    /// Reads a blob and checks every byte of it; leaves a damaged one as it is, for those who may not write.
    pub fn peek(&self, digest: &BlobId) -> Result<Arc<Vec<u8>>, Miss> {
        self.read(digest).map_err(|(miss, _)| miss)
    }

    /// Reads a blob; or the miss, and whether the blob is there with wrong bytes.
    fn read(&self, digest: &BlobId) -> Result<Arc<Vec<u8>>, (Miss, bool)> {
        if let Some(bytes) = self.recent(digest) {
            return Ok(bytes);
        }
        let path = self.path(digest);
        let miss = |reason| Miss { digest: *digest, reason };
        let unreadable = |why: String| Err((miss(MissReason::Damaged(why)), false));
        let found = match system::read(&path) {
            Ok(frame) => codec::decompress(&frame),
            Err(error) if error.is_missing() => match self.record.frame(digest) {
                Ok(Some(frame)) => codec::decompress(&frame),
                Ok(None) => return Err((miss(MissReason::Absent), false)),
                Err(error) => return unreadable(error.to_string()),
            },
            Err(error) => return unreadable(error.source.to_string()),
        };
        let problem = match found {
            Ok(bytes) if BlobId::of(&bytes) == *digest => return Ok(Arc::new(bytes)),
            Ok(_) => "its digest does not match".into(),
            Err(problem) => problem,
        };
        Err((miss(MissReason::Damaged(problem)), true))
    }
}

impl Blobs for Store {
    fn get(&self, digest: &BlobId) -> Result<Arc<Vec<u8>>, Miss> {
        self.read(digest).map_err(|(miss, has_wrong_bytes)| {
            if has_wrong_bytes {
                // If it cannot be removed, the next read finds it damaged again: no worse.
                self.remove(digest).ok();
            }
            miss
        })
    }

    fn put(&self, bytes: &[u8]) -> Result<BlobId, FileError> {
        let digest = BlobId::of(bytes);
        let path = self.path(&digest);
        if system::exists(&path) {
            return Ok(digest);
        }
        let compressed = codec::compress(bytes, |frame| {
            self.written.fetch_add(frame.len() as u64, Ordering::Relaxed);
            if frame.len() > SMALL {
                return self.write(&path, frame);
            }
            self.record.note_frame(digest, frame);
            Ok(())
        });
        compressed.map_err(|source| FileError { verb: "compress", path, source })??;
        if self.record.unrecorded_bytes() > MOST_WAITING {
            self.record.flush().map_err(|error| record_failed("write", error))?;
        }
        Ok(digest)
    }

    fn has(&self, ids: &[BlobId]) -> Vec<bool> {
        let mut has: Vec<bool> = ids.iter().map(|id| system::exists(&self.path(id))).collect();
        let absent: Vec<BlobId> = ids.iter().zip(&has).filter(|(_, has)| !**has).map(|(id, _)| *id).collect();
        if !absent.is_empty() {
            let mut small = self.record.has_frames(&absent).into_iter();
            has.iter_mut().filter(|has| !**has).for_each(|has| *has = small.next().unwrap_or(false));
        }
        has
    }
}

fn record_failed(verb: &'static str, error: RecordError) -> FileError {
    let kind = if error.is_full { ErrorKind::StorageFull } else { ErrorKind::Other };
    FileError { verb, path: error.path, source: std::io::Error::new(kind, error.reason) }
}

/// Returns the path of a blob below `blobs`, whether or not it exists; small blobs have none.
pub(super) fn path(blobs: &Path, digest: &BlobId) -> PathBuf {
    let name = digest.to_string();
    blobs.join(&name[..2]).join(format!("{name}.zst"))
}

#[cfg(test)]
mod tests;
