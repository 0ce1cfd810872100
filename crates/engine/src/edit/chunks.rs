//! Cuts an edited JSONL file by reusing the chunks of its earlier version. A chunk that the file still contains is
//! reused; only what is between such chunks is cut anew.
//!
//! The end of a chunk depends on its rows alone (see `decode/cutter.rs`). A chunk that begins where another one
//! ended, and has the bytes of an earlier chunk, therefore ends where that one ended. The file has three parts:
//!
//! ```text
//!          head                      middle                        tail
//! |---------------------|------------------------------|------------------------|
//!  bytes that the hashes  cut anew; at the end of each   chunks that moved by as
//!  of the file's pieces   chunk, the next earlier        much as the file grew,
//!  prove unchanged: not   chunks are hashed to see       found by hashing
//!  read                   whether they begin there       backwards from the end
//!                                                        until one differs
//! ```

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    cache::Record,
    graph::{Outcome, ScanOutcome, ScanWork, ScannedChunk, SourceFile, keys},
    source::FileDigest,
    writer::share,
};
use datac_core::{
    code::CodeVersions,
    hash::{Digest, PIECE},
    id::{ActionKey, ChunkId},
    key::Keyed,
};
use datac_decode as decode;
use datac_decode::{Chunk, ChunkHasher, Compression, DecodeError, Encoding, FileKind, Place, RowFormat, TextCutter};

/// The chunks of a file, some of them reused from its earlier version.
pub(crate) struct ReusedChunks {
    file: Arc<File>,
    size: u64,
    earlier: Vec<ScannedChunk>,
    /// Number of earlier chunks at the beginning that are proven unchanged.
    head: usize,
    /// Index of the first earlier chunk in the tail: from here on, all are proven to have moved by [`Self::growth`].
    tail: usize,
    /// Number of bytes that the file has grown by.
    growth: i64,
    /// Place of the next chunk. Its length is not known yet.
    next: Place,
    /// Index of the first earlier chunk that may still be reused.
    least: usize,
    /// Origin of the next chunk; `None` until it has been determined.
    from: Option<From>,
    /// Number of further lookups that may fail in a row before no more are tried.
    guesses: u32,
}

/// Origin of the next chunk.
enum From {
    /// The earlier chunk with this index is at the place of the next chunk.
    Earlier(usize),
    /// The next chunk is cut from the file.
    File(Box<TextCutter>),
    /// The file has ended.
    End,
}

/// A chunk of the file.
#[derive(Debug)]
pub(crate) enum Part {
    /// An earlier chunk, at its present place.
    Reused(ScannedChunk),
    /// A chunk that was cut anew.
    Cut(Chunk),
}

/// Number of earlier chunks to try at the end of a cut chunk: two of them may have become one.
const LOOKED_AT: usize = 2;

/// Number of failed lookups in a row after which an edit is taken to have changed rows everywhere.
const GUESSES: u32 = 8;

/// Number of chunks per thread that are hashed together to find the tail. The number is small, since hashing is
/// wasted if all chunks are new.
const WAVE: usize = 4;

/// Number of bytes read at a time for hashing; they fit in the second-level cache of a processor.
const BLOCK: usize = 128 << 10;

/// Returns the chunks of the file of `work`, which is open as `file` and has the path `path`, reusing those of its
/// earlier version.
///
/// Returns `None` if there is no earlier version or it is no help: if the file is not uncompressed JSONL, or if only
/// its first rows are wanted, of which more may be rejected than before.
pub(crate) fn reuse_chunks(
    record: &Record,
    versions: &CodeVersions,
    lookup: impl Fn(&ActionKey) -> Option<Outcome>,
    path: &Path,
    work: &ScanWork,
    file: &File,
) -> Option<ReusedChunks> {
    let source = &*work.file;
    let are_all_wanted = work.known == 0 && work.followers.iter().all(|follower| follower.samples.is_none());
    if !source.origin.is_local() || source.inside.is_some() || !are_all_wanted {
        return None;
    }
    let (stat, digest) = record.former_digest(&path.to_string_lossy())?;
    let digest = FileDigest::Blake3(digest);
    let then = SourceFile { digest, ..source.clone() };
    let Some(Outcome::Scan(scan)) = lookup(&keys::Scan { file: &then }.key(&(), versions)) else { return None };
    let now = pieces_of(record, path, source);
    let alike = now.iter().zip(&scan.pieces).take_while(|(now, then)| now == then).count();
    let unchanged = (alike as u64 * PIECE as u64).min(stat.size);
    // Compressed bytes, an array and objects over lines are cut anew, whatever the file was before.
    let bytes = ReadAt { file: Arc::new(file.try_clone().ok()?), offset: 0 };
    if !decode::has_lines(Box::new(bytes)).is_ok_and(|lines| lines) {
        return None;
    }
    let sizes = Sizes { then: stat.size, now: source.size, unchanged };
    ReusedChunks::new(file.try_clone().ok()?, source.kind, sizes, &scan)
}

/// Returns the digests of a local file's pieces; none if this process has not hashed the file.
pub(crate) fn pieces_of(record: &Record, path: &Path, source: &SourceFile) -> Vec<Digest> {
    match &source.digest {
        FileDigest::Blake3(digest) if source.origin.is_local() => {
            record.pieces_of(&path.to_string_lossy(), digest).map_or_else(Vec::new, |pieces| pieces.to_vec())
        }
        _ => Vec::new(),
    }
}

/// Sizes of both versions of a file, in bytes.
#[derive(Clone, Copy)]
struct Sizes {
    then: u64,
    now: u64,
    /// Number of leading bytes that are known to be unchanged.
    unchanged: u64,
}

impl ReusedChunks {
    fn new(file: File, kind: FileKind, sizes: Sizes, scan: &ScanOutcome) -> Option<Self> {
        let is_lines = kind == FileKind { format: RowFormat::Jsonl, compression: Compression::None };
        if !is_lines || !scan.complete || scan.encoding != Encoding::JsonLines || scan.chunks.is_empty() {
            return None;
        }
        let mut end = 0;
        for chunk in &scan.chunks {
            // A row too long to be read also ends the chunk before it, so ends do not depend on rows alone.
            if chunk.place.offset != end || chunk.place.overlong {
                return None;
            }
            end += chunk.place.length;
        }
        let growth = i64::try_from(sizes.now).ok()? - i64::try_from(sizes.then).ok()?;
        let file = Arc::new(file);
        let mut made = Self {
            file,
            size: sizes.now,
            earlier: scan.chunks.clone(),
            head: 0,
            tail: scan.chunks.len(),
            growth,
            next: Place::default(),
            least: 0,
            from: None,
            guesses: GUESSES,
        };
        let is_unchanged = |chunk: &ScannedChunk| chunk.place.offset + chunk.place.length <= sizes.unchanged;
        made.head = made.earlier.partition_point(is_unchanged);
        // The last chunk ended because the file did; it may go on now.
        if made.head == made.earlier.len() && (growth != 0 || end != sizes.now) {
            made.head -= 1;
        }
        made.tail = made.find_tail();
        Some(made)
    }

    /// Returns the index of the first chunk of the tail.
    fn find_tail(&self) -> usize {
        let is_at_end = |chunk: &ScannedChunk| {
            let end = (chunk.place.offset + chunk.place.length).checked_add_signed(self.growth);
            end == Some(self.size)
        };
        let mut tail = self.earlier.len();
        if !self.earlier.last().is_some_and(is_at_end) {
            return tail;
        }
        while tail > self.head {
            let wave = tail.saturating_sub(WAVE * rayon::current_num_threads()).max(self.head)..tail;
            let same: Arc<Vec<AtomicBool>> = Arc::new(wave.clone().map(|_| AtomicBool::new(false)).collect());
            let items: Vec<(Option<u64>, ScannedChunk)> = self.earlier[wave.clone()]
                .iter()
                .map(|chunk| (chunk.place.offset.checked_add_signed(self.growth), chunk.clone()))
                .collect();
            let (file, found) = (self.file.clone(), same.clone());
            share(items.len(), move |at| {
                let (offset, chunk) = &items[at];
                // A chunk that cannot be read is cut instead, and that reports the error.
                let is_same = offset.is_some_and(|offset| {
                    digest_at(&file, offset, chunk.place.length).is_ok_and(|digest| digest == chunk.digest)
                });
                found[at].store(is_same, Ordering::Relaxed);
            });
            let run = same.iter().rev().take_while(|same| same.load(Ordering::Relaxed)).count();
            tail -= run;
            if run < wave.len() {
                break;
            }
        }
        tail
    }

    /// Returns the next chunk; `None` at the end of the file.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>, DecodeError> {
        let from = match self.from.take() {
            Some(from) => from,
            None => self.look()?,
        };
        match from {
            From::Earlier(number) => Ok(Some(Part::Reused(self.take_over(number)))),
            From::File(mut cutter) => {
                let Some(chunk) = cutter.next_chunk()? else {
                    self.from = Some(From::End);
                    return Ok(None);
                };
                self.next = cutter.place();
                self.from = Some(self.earlier_here()?.map_or(From::File(cutter), From::Earlier));
                Ok(Some(Part::Cut(chunk)))
            }
            From::End => {
                self.from = Some(From::End);
                Ok(None)
            }
        }
    }

    /// Determines the origin of the next chunk.
    fn look(&mut self) -> Result<From, DecodeError> {
        if let Some(number) = self.earlier_here()? {
            return Ok(From::Earlier(number));
        }
        let bytes = ReadAt { file: self.file.clone(), offset: self.next.offset };
        Ok(From::File(Box::new(decode::cut_lines_from(Box::new(bytes), self.next)?)))
    }

    /// Reuses an earlier chunk that begins where the next chunk does.
    fn take_over(&mut self, number: usize) -> ScannedChunk {
        let chunk = &self.earlier[number];
        let place = Place { length: chunk.place.length, ..self.next };
        let taken = ScannedChunk { digest: chunk.digest, rows: chunk.rows, place };
        let after = self.earlier.get(number + 1);
        self.next.offset += place.length;
        self.next.first_row += u64::from(chunk.rows);
        self.next.first_line += after.map_or(0, |after| after.place.first_line - chunk.place.first_line);
        self.least = number + 1;
        if after.is_none() {
            self.from = Some(From::End);
        }
        taken
    }

    /// Returns the index of the earlier chunk that begins where the next chunk does, if any.
    fn earlier_here(&mut self) -> Result<Option<usize>, DecodeError> {
        let offset = self.next.offset;
        if self.least < self.head {
            return Ok((self.earlier[self.least].place.offset == offset).then_some(self.least));
        }
        let then = offset.checked_add_signed(-self.growth);
        let tail = &self.earlier[self.tail..];
        let number = then.and_then(|then| tail.binary_search_by_key(&then, |chunk| chunk.place.offset).ok());
        if let Some(number) = number.map(|at| self.tail + at).filter(|number| *number >= self.least) {
            return Ok(Some(number));
        }
        for number in self.least..self.tail.min(self.least + LOOKED_AT) {
            let chunk = &self.earlier[number];
            let is_last = number + 1 == self.earlier.len();
            if is_last || offset + chunk.place.length > self.size || self.guesses == 0 {
                break;
            }
            self.guesses -= 1;
            if digest_at(&self.file, offset, chunk.place.length)? == chunk.digest {
                self.guesses = GUESSES;
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Reads the bytes of a reused chunk.
    pub(crate) fn read(&self, chunk: &ScannedChunk) -> Result<Chunk, DecodeError> {
        let mut bytes = Vec::with_capacity(chunk.place.length as usize);
        let mut from = ReadAt { file: self.file.clone(), offset: chunk.place.offset }.take(chunk.place.length);
        from.read_to_end(&mut bytes).map_err(|error| failed(chunk.place.offset, &error))?;
        let (encoding, header) = (Encoding::JsonLines, Arc::from([]));
        Ok(Chunk { encoding, header, bytes: bytes.into(), rows: chunk.rows, place: chunk.place })
    }
}

/// Returns the digest of the `length` bytes at `offset`, taken as a chunk of lines. If the file is shorter, only the
/// bytes up to its end are hashed.
fn digest_at(file: &File, offset: u64, length: u64) -> Result<ChunkId, DecodeError> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(BLOCK, 0);
        let mut hasher = ChunkHasher::new(Encoding::JsonLines, b"");
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let most = BLOCK.min((end - at) as usize);
            match file.read_at(&mut buffer[..most], at) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(at, &error)),
            }
        }
        Ok(hasher.digest())
    })
}

fn failed(offset: u64, error: &io::Error) -> DecodeError {
    DecodeError::Read { offset, reason: error.to_string() }
}

/// Reads a file from an offset, independently of other readers.
struct ReadAt {
    file: Arc<File>,
    offset: u64,
}

impl Read for ReadAt {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
