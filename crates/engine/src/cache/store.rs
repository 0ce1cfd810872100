//! Content-addressed blobs, in files named `cas/<first two digits>/<BLAKE3 of the uncompressed bytes>.zst`, or, if
//! they are small, in the record.
//!
//! A read has two outcomes: the bytes that were stored, or a [`Miss`]. Files of blobs are therefore not synced: one
//! that is lost or torn by a power cut is a miss.

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

/// Number of bytes of a large blob that are read at a time: a multiple of the size of the numbers that such blobs
/// hold.
const PART: usize = 1 << 20;

/// Maximum size of recent blobs kept in memory. Outputs are mostly written from rows that were just converted, and
/// reading those back would cost a decompression and a hash. A build of a few hundred megabytes finds most of its
/// rows here; one of many gigabytes reads the cache.
const RECENT_BYTES: usize = 96 << 20;

/// A blob that is unavailable.
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
    /// Creates the store below `root`; the folder is created with the first blob. Small blobs can be read at once,
    /// and are written with the next flush of the record.
    pub fn new(root: &Path, record: Arc<Record>) -> Self {
        Self {
            root: root.join(BLOBS),
            record,
            recent: Arc::new(Mutex::new(Recent::new(RECENT_BYTES))),
            written: Arc::default(),
        }
    }

    /// Creates a store below `root` with a record of its own.
    #[cfg(test)]
    pub(crate) fn alone(root: &Path) -> Self {
        let record = Record::open(root, super::Access::Write, Arc::new(|_| {})).unwrap();
        Self::new(root, Arc::new(record))
    }

    /// Returns the number of bytes that were written to disk through this store.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the path of a blob, whether or not the file exists. Small blobs have no file.
    pub fn path(&self, digest: &BlobId) -> PathBuf {
        path(&self.root, digest)
    }

    /// Stores `size` bytes that `fill` passes part by part. Only a few bytes are held in memory.
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
        // The blob is named once its digest is known.
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

    /// Calls `take` with the parts of a blob, holding only a few bytes in memory.
    ///
    /// The bytes are checked at the end: if this fails, everything that `take` was given must be discarded. A damaged
    /// blob is removed.
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
        // Smaller blobs are read at once, with the thread's decompressor.
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

    /// Drops the recent blobs held in memory.
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

    /// Creates the temporary file for a blob.
    fn begin(&self, path: &Path) -> Result<Replacement, FileError> {
        match Replacement::new(path) {
            // The folder nearly always exists: there are 256 folders and thousands of blobs.
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

    /// Stores bytes that will soon be read again.
    pub fn put_recent(&self, bytes: Vec<u8>) -> Result<BlobId, FileError> {
        let digest = self.put(&bytes)?;
        self.keep(digest, Arc::new(bytes));
        Ok(digest)
    }

    fn keep(&self, digest: BlobId, bytes: Arc<Vec<u8>>) {
        let size = bytes.len();
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(digest, bytes, size);
    }

    /// Removes a blob. It is no error if the blob does not exist.
    pub fn remove(&self, digest: &BlobId) -> Result<(), FileError> {
        self.remove_all(std::slice::from_ref(digest))
    }

    /// Removes blobs. It is no error if some do not exist.
    pub fn remove_all(&self, digests: &[BlobId]) -> Result<(), FileError> {
        self.record.remove_frames(digests).map_err(|error| record_failed("remove from", error))?;
        digests.par_iter().try_for_each(|digest| system::remove(&self.path(digest)))
    }

    /// Reads a blob like [`Store::get`] and keeps it in memory, because it will soon be read again.
    pub fn get_recent(&self, digest: &BlobId) -> Result<Arc<Vec<u8>>, Miss> {
        let bytes = self.get(digest)?;
        self.keep(*digest, bytes.clone());
        Ok(bytes)
    }

    /// Returns the compressed frame of a blob, with every byte checked, as another store may keep it; `None` if the blob is
    /// missing or damaged.
    pub fn frame(&self, digest: &BlobId) -> Option<Vec<u8>> {
        let frame = match system::read(&self.path(digest)) {
            Ok(frame) => frame,
            Err(_) => self.record.frame(digest).ok()??.to_vec(),
        };
        is_frame_of(digest, &frame).then_some(frame)
    }

    /// Stores the frame of a blob that comes from elsewhere, if its bytes are those of the blob. Returns whether they are.
    pub fn put_frame(&self, digest: &BlobId, frame: &[u8]) -> Result<bool, FileError> {
        if !is_frame_of(digest, frame) {
            return Ok(false);
        }
        let path = self.path(digest);
        if frame.len() <= SMALL {
            self.record.note_frame(*digest, frame);
        } else if !system::exists(&path) {
            self.write(&path, frame)?;
        }
        self.written.fetch_add(frame.len() as u64, Ordering::Relaxed);
        if self.record.unrecorded_bytes() > MOST_WAITING {
            self.record.flush().map_err(|error| record_failed("write", error))?;
        }
        Ok(true)
    }

    /// Reads a blob and checks every byte. Leaves a damaged blob in place, for callers that may not write.
    pub fn peek(&self, digest: &BlobId) -> Result<Arc<Vec<u8>>, Miss> {
        self.read(digest).map_err(|(miss, _)| miss)
    }

    /// Reads a blob; the error holds the miss, and whether the blob has wrong bytes.
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
                // If removing fails, the next read finds the blob damaged again.
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

/// Returns whether a compressed frame holds the bytes of a blob.
pub fn is_frame_of(digest: &BlobId, frame: &[u8]) -> bool {
    codec::decompress(frame).is_ok_and(|bytes| BlobId::of(&bytes) == *digest)
}

/// Returns the bytes of a blob from its compressed frame; `None` if the frame has other bytes, or more than `most`.
pub fn bytes_of(digest: &BlobId, frame: &[u8], most: u64) -> Option<Vec<u8>> {
    codec::decompress_up_to(frame, most).ok().filter(|bytes| BlobId::of(bytes) == *digest)
}

/// Returns a compressed frame of bytes that are kept for long: smaller than those of the cache, and made more slowly.
pub fn frame_to_keep(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    codec::compress_to_keep(bytes)
}

/// Returns the path of a blob below `blobs`, whether or not the file exists. Small blobs have no file.
pub(super) fn path(blobs: &Path, digest: &BlobId) -> PathBuf {
    let name = digest.to_string();
    blobs.join(&name[..2]).join(format!("{name}.zst"))
}

#[cfg(test)]
mod tests;
