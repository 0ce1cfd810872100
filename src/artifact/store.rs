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
    frames::{MOST_WAITING, SMALL},
    inventory::BLOBS,
    recent::Recent,
    record::{Record, RecordError},
    unwritten::{Unwritten, Writing},
};
use crate::{
    hash::Digest,
    system::{self, FileError, Replacement},
};

/// The blobs of a cache.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    record: Arc<Record>,
    recent: Arc<Mutex<Recent<Vec<u8>>>>,
    written: Arc<AtomicU64>,
    unwritten: Arc<Unwritten>,
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
    /// Which blob.
    pub digest: Digest,
    /// Why.
    pub reason: MissReason,
}

/// Why a blob cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissReason {
    /// It is not there: never stored, evicted or deleted.
    #[error("it is not there")]
    Absent,
    /// It was there with other bytes than it was stored with; it has been removed.
    #[error("it is damaged ({0})")]
    Damaged(String),
}

impl Store {
    /// The store below `root`, which is made when the first blob is put. What is small is written with what is noted in
    /// the record next, and can be read before that.
    pub fn new(root: &Path, record: Arc<Record>) -> Self {
        Self {
            root: root.join(BLOBS),
            record,
            recent: Arc::new(Mutex::new(Recent::new(RECENT_BYTES))),
            written: Arc::default(),
            unwritten: Arc::default(),
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

    /// Where a blob is or would be, unless it is small.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        path(&self.root, digest)
    }

    /// Whether there is a blob of this name; only [`Store::get`] tells whether it is sound.
    pub fn has(&self, digest: &Digest) -> bool {
        // One that cannot be asked for cannot be read either.
        self.unwritten.get(digest).is_some()
            || system::exists(&self.path(digest))
            || self.record.has_frame(digest).unwrap_or(false)
    }

    /// Stores bytes and returns their digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, FileError> {
        let digest = Digest::of(bytes);
        self.put_named(digest, bytes).map(|()| digest)
    }

    fn put_named(&self, digest: Digest, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.path(&digest);
        if system::exists(&path) {
            return Ok(());
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
        Ok(())
    }

    /// Stores `size` bytes that `fill` brings part by part: a few are held, however many there are.
    pub fn put_parts<E: From<FileError>>(
        &self,
        size: u64,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>,
    ) -> Result<Digest, E> {
        if size <= PART as u64 {
            let mut bytes = Vec::with_capacity(size as usize);
            fill(&mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            return Ok(self.put(&bytes)?);
        }
        // It gets its name when its bytes are known.
        let unnamed = self.path(&Digest::from_bytes([0; 32]));
        let failed = |source| FileError { verb: "write", path: unnamed.clone(), source };
        let mut blob = self.begin(&unnamed)?;
        let mut hasher = blake3::Hasher::new();
        let mut frame = codec::compress_into(&mut blob, size).map_err(failed)?;
        fill(&mut |part| {
            hasher.update(part);
            frame.write_all(part).map_err(failed).map_err(E::from)
        })?;
        codec::finish(frame).map_err(failed)?;
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
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
        digest: &Digest,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(bytes) = self.recent(digest).or_else(|| self.unwritten.get(digest)) {
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
        if is_sound { Ok(()) } else { Err(damaged("its bytes hash to something else".into()).into()) }
    }

    /// Lets go of what is held in memory.
    pub fn let_go(&self) {
        let held = std::mem::replace(
            &mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner),
            Recent::new(RECENT_BYTES),
        );
        drop(held);
    }

    fn recent(&self, digest: &Digest) -> Option<Arc<Vec<u8>>> {
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
    pub fn put_recent(&self, bytes: Vec<u8>) -> Result<Digest, FileError> {
        let digest = self.put(&bytes)?;
        self.keep(digest, Arc::new(bytes));
        Ok(digest)
    }

    fn keep(&self, digest: Digest, bytes: Arc<Vec<u8>>) {
        let size = bytes.len();
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(digest, bytes, size);
    }

    /// Takes bytes as [`Store::put_recent`] does, to be written when [`Store::write_beside`] or [`Store::settle`] is called,
    /// or more than a few wait for that; on a thread of the pool.
    pub fn put_later(&self, bytes: Vec<u8>) -> Digest {
        let (digest, bytes) = (Digest::of(&bytes), Arc::new(bytes));
        self.keep(digest, bytes.clone());
        if self.has(&digest) {
            return digest;
        }
        if self.unwritten.add(digest, bytes) {
            self.write_beside();
        }
        digest
    }

    /// Has free threads of the pool write what was put for later, while the caller goes on; on a thread of the pool.
    pub fn write_beside(&self) {
        for writing in self.unwritten.take() {
            let store = self.clone();
            rayon::spawn(move || store.write_later(&writing));
        }
    }

    /// Returns when all that was put is written, or what kept some of it from that.
    pub fn settle(&self) -> Result<(), FileError> {
        self.unwritten.take().iter().for_each(|writing| self.write_later(writing));
        self.unwritten.settle()
    }

    fn write_later(&self, writing: &Writing) {
        self.put_named(writing.digest, &writing.bytes).unwrap_or_else(|error| writing.failed(error));
    }

    /// Reads a blob and checks every byte of it; a damaged one is removed, so that it is made again.
    pub fn get(&self, digest: &Digest) -> Result<Arc<Vec<u8>>, Miss> {
        self.read(digest).map_err(|(miss, has_wrong_bytes)| {
            if has_wrong_bytes {
                // If it cannot be removed, the next read finds it damaged again: no worse.
                self.remove(digest).ok();
            }
            miss
        })
    }

    /// Removes a blob; one that is not there is fine.
    pub fn remove(&self, digest: &Digest) -> Result<(), FileError> {
        self.remove_all(std::slice::from_ref(digest))
    }

    /// Removes blobs; those that are not there are fine.
    pub fn remove_all(&self, digests: &[Digest]) -> Result<(), FileError> {
        self.record.remove_frames(digests).map_err(|error| record_failed("remove from", error))?;
        digests.par_iter().try_for_each(|digest| system::remove(&self.path(digest)))
    }

    /// Reads a blob as [`Store::get`] does, for whoever will ask for it again soon.
    pub fn get_recent(&self, digest: &Digest) -> Result<Arc<Vec<u8>>, Miss> {
        let bytes = self.get(digest)?;
        self.keep(*digest, bytes.clone());
        Ok(bytes)
    }

    /// Reads a blob and checks every byte of it; leaves a damaged one as it is, for those who may not write.
    pub fn peek(&self, digest: &Digest) -> Result<Arc<Vec<u8>>, Miss> {
        self.read(digest).map_err(|(miss, _)| miss)
    }

    /// Reads a blob; or the miss, and whether the blob is there with wrong bytes.
    fn read(&self, digest: &Digest) -> Result<Arc<Vec<u8>>, (Miss, bool)> {
        if let Some(bytes) = self.recent(digest).or_else(|| self.unwritten.get(digest)) {
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
            Ok(bytes) if Digest::of(&bytes) == *digest => return Ok(Arc::new(bytes)),
            Ok(_) => "its bytes hash to something else".into(),
            Err(problem) => problem,
        };
        Err((miss(MissReason::Damaged(problem)), true))
    }
}

fn record_failed(verb: &'static str, error: RecordError) -> FileError {
    let kind = if error.is_full { ErrorKind::StorageFull } else { ErrorKind::Other };
    FileError { verb, path: error.path, source: std::io::Error::new(kind, error.reason) }
}

/// Where a blob is or would be below the folder of all, unless it is small.
pub(super) fn path(blobs: &Path, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    blobs.join(&name[..2]).join(format!("{name}.zst"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not shrink.
    fn noise(seed: u32, length: usize) -> Vec<u8> {
        let bytes = (0..length.div_ceil(32) as u32)
            .flat_map(|i| *blake3::hash(&[seed, i].map(u32::to_le_bytes).concat()).as_bytes());
        bytes.take(length).collect()
    }

    #[test]
    fn a_damaged_blob_is_a_miss_once_and_then_absent() {
        let folder = tempfile::tempdir().unwrap();
        for length in [100, 2 * SMALL] {
            let store = Store::alone(folder.path());
            let (rows, others) = (noise(1, length), noise(2, length));
            let digest = store.put(&rows).unwrap();
            assert_eq!(*store.get(&digest).unwrap(), rows);

            codec::compress(&others, |frame| match length > SMALL {
                true => drop(system::replace(&store.path(&digest), frame).unwrap()),
                false => store.record.note_frame(digest, frame),
            })
            .unwrap();
            store.record.flush().unwrap();
            let miss = store.get(&digest).unwrap_err();
            let wrong = MissReason::Damaged("its bytes hash to something else".into());
            assert_eq!(miss.reason, wrong, "swapped entries are found");
            assert_eq!(store.get(&digest).unwrap_err().reason, MissReason::Absent);

            store.put(&rows).unwrap();
            assert_eq!(*store.get(&digest).unwrap(), rows, "a rebuild heals it");
        }
    }

    #[test]
    fn small_blobs_lie_in_the_record_and_are_there_before_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (Store::alone(folder.path()), Store::alone(folder.path()));
        let blobs: Vec<Vec<u8>> = (0..200).map(|seed| noise(seed, seed as usize * 120)).collect();
        let digests: Vec<Digest> = blobs.iter().map(|blob| store.put(blob).unwrap()).collect();
        let is_whole = |store: &Store| {
            digests.iter().zip(&blobs).all(|(digest, blob)| store.has(digest) && *store.get(digest).unwrap() == *blob)
        };
        assert!(is_whole(&store));
        let small = digests.iter().filter(|digest| !system::exists(&store.path(digest)));
        let small: Vec<Digest> = small.copied().collect();
        assert!(small.len() > 100 && small.len() < 150, "{}", small.len());
        assert!(small.iter().all(|digest| !other.has(digest)), "they wait");
        store.record.flush().unwrap();
        assert_eq!(store.record.unrecorded_bytes(), 0);
        assert!(is_whole(&other) && is_whole(&store));
        other.remove_all(&digests[..120]).unwrap();
        assert!(digests[..120].iter().all(|digest| !store.has(digest)));
        assert!(digests[120..].iter().all(|digest| store.has(digest)));
    }

    #[test]
    fn few_small_blobs_wait_whoever_puts_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let most = (0..2 * MOST_WAITING as u32 / 15_000)
            .map(|seed| {
                store.put(&noise(seed, 15_000)).unwrap();
                store.record.unrecorded_bytes()
            })
            .max();
        assert!(most.is_some_and(|most| most > MOST_WAITING / 2 && most <= MOST_WAITING), "{most:?}");
    }

    #[test]
    fn a_small_blob_that_is_removed_before_it_is_written_stays_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let digest = store.put(b"rows").unwrap();
        store.remove(&digest).unwrap();
        assert!(!store.has(&digest) && store.record.unrecorded_bytes() == 0);
        store.record.flush().unwrap();
        assert!(!store.has(&digest));
    }

    #[test]
    fn every_single_bit_flip_is_found_or_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let bytes: Vec<u8> = (0..2000_u32).flat_map(|i| (i % 97).to_le_bytes()).collect();
        let digest = store.put(&bytes).unwrap();
        let frame = codec::compress(&bytes, <[u8]>::to_vec).unwrap();
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            store.record.note_frame(digest, &damaged);
            match store.get(&digest) {
                Ok(read) => assert_eq!(*read, bytes, "bit {bit}"),
                Err(miss) => assert!(matches!(miss.reason, MissReason::Damaged(_)), "{miss}"),
            }
        }
    }

    #[test]
    fn what_is_put_for_later_is_there_at_once_and_on_disk_once_settled() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let other = Store::alone(folder.path());
        let put = |blob: &Vec<u8>| {
            let digest = store.put_later(blob.clone());
            store.let_go();
            assert!(store.has(&digest) && **store.get(&digest).unwrap() == *blob, "before it is written, or after");
            digest
        };
        let alone = put(&noise(40, 2 * SMALL));
        assert!(!other.has(&alone), "it waits");
        pool.install(|| store.write_beside());
        let blobs: Vec<Vec<u8>> = (0..40).map(|seed| noise(seed, 500_000)).collect();
        let digests: Vec<Digest> = pool.install(|| blobs.iter().chain(&blobs).map(put).collect());
        store.settle().unwrap();
        assert_eq!(*other.get(&alone).unwrap(), noise(40, 2 * SMALL));
        assert!(blobs.iter().zip(&digests).all(|(blob, digest)| **other.get(digest).unwrap() == *blob));

        let nowhere = Store::alone(&folder.path().join("none"));
        system::replace(&folder.path().join("none/cas"), b"no folder").unwrap();
        let digest = pool.install(|| nowhere.put_later(noise(41, 2 * SMALL)));
        let error = nowhere.settle().unwrap_err();
        assert_eq!(error.verb, "create folder", "{error}");
        assert!(nowhere.settle().is_ok(), "an error is told once");
        nowhere.let_go();
        assert!(!nowhere.has(&digest) && nowhere.get(&digest).is_err());
    }

    #[test]
    fn a_large_blob_is_stored_and_read_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        for length in [0, 1, PART, PART + 1, 3 * PART - 4] {
            let bytes: Vec<u8> = (0..length as u32).map(|i| i.wrapping_mul(0x9E37_79B9).to_le_bytes()[3]).collect();
            let fill = |push: &mut dyn FnMut(&[u8]) -> Result<(), FileError>| bytes.chunks(1000).try_for_each(push);
            let digest = store.put_parts(length as u64, fill).unwrap();
            assert_eq!(digest, Digest::of(&bytes));
            assert_eq!(**store.get(&digest).unwrap(), bytes, "as any other blob");
            let mut read = Vec::new();
            let push = |part: &[u8]| {
                read.extend_from_slice(part);
                Ok::<_, Miss>(())
            };
            store.each_part(&digest, push).unwrap();
            assert_eq!(read, bytes);
        }
        let names = system::names(&folder.path().join(BLOBS).join("00"));
        assert!(names.iter().all(|name| !Replacement::is_left_over(&name.to_string_lossy())), "nothing is left behind");

        let of = |fill| store.put_parts(2 << 20, |push| push(&noise(fill, 2 << 20))).map_err(|e: FileError| e).unwrap();
        let (one, two) = (of(1), of(2));
        system::replace(&store.path(&one), &system::read(&store.path(&two)).unwrap()).unwrap();
        let miss = store.each_part(&one, |_| Ok::<_, Miss>(())).unwrap_err();
        assert_eq!(miss.reason, MissReason::Damaged("its bytes hash to something else".into()));
        assert_eq!(store.each_part(&one, |_| Ok::<_, Miss>(())).unwrap_err().reason, MissReason::Absent);
        let frame = system::read(&store.path(&two)).unwrap();
        system::replace(&store.path(&two), &frame[..frame.len() - 1]).unwrap();
        let miss = store.each_part(&two, |_| Ok::<_, Miss>(())).unwrap_err();
        assert!(matches!(miss.reason, MissReason::Damaged(_)), "{miss}");
    }

    #[test]
    fn recent_blobs_are_served_from_memory_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let digests: Vec<Digest> = (0..9_u8).map(|i| store.put_recent(vec![i; RECENT_BYTES / 8]).unwrap()).collect();
        store.remove_all(&digests).unwrap();
        assert_eq!(store.get(&digests[8]).unwrap()[0], 8);
        assert_eq!(store.get(&digests[0]).unwrap_err().reason, MissReason::Absent);
    }
}
