//! Cuts a file of which an earlier version was cut: where chunks of then still stand, at their place or moved, they are
//! taken as they were, and only what is between them is cut anew.
//!
//! Where a chunk ends hangs on its rows alone (see `cutter.rs`): a chunk that begins where one ended and holds the bytes of
//! an earlier one ends where that ended. Whether it holds them is for the caller to find out, by its digest, on whatever
//! thread; it may be found out late.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use super::{
    Compression, DecodeError, FileKind, RowFormat,
    chunk::{Chunk, ChunkHasher, Encoding, Place},
    text_cutter::TextCutter,
};

use crate::id::ChunkId;

/// A chunk of the earlier version.
#[derive(Clone, Copy, Debug)]
pub struct FormerChunk {
    /// The digest of its bytes.
    pub digest: ChunkId,
    /// Its rows.
    pub rows: u32,
    /// Where it stood.
    pub place: Place,
}

/// Cuts a file with the chunks of an earlier version at hand.
pub struct Recutter {
    file: Arc<File>,
    former: Vec<FormerChunk>,
    /// How much longer the file is than it was.
    growth: i64,
    size: u64,
    /// How many bytes at its beginning are as they were.
    unchanged: u64,
    /// Where the next chunk begins; its length is not known.
    next: Place,
    /// Where its rows may come from.
    from: From,
    /// For each chunk given, where it stood and which former one it was taken for.
    given: Vec<(Place, Option<usize>)>,
    /// Whether nothing is given for now.
    waits: bool,
    /// How often it may look in vain, one time after another, for a chunk that has moved.
    guesses: u32,
}

/// How many former chunks are looked at where a chunk ends: an edit may have made two of them one.
const LOOKED_AT: usize = 2;

/// How often in a row that may be in vain: rows are replaced in a few places, or everywhere.
const GUESSES: u32 = 8;

enum From {
    /// A former chunk, by its number, and how far it has moved.
    Former(usize, i64),
    /// The file, until a former chunk begins where one ends; not before the one of this number.
    File(Box<TextCutter>, usize),
}

/// What comes next of a file.
pub enum Given {
    /// A former chunk, if what stands there hashes to this.
    Former(Stand, ChunkId),
    /// A chunk that was cut anew.
    Fresh(Chunk),
    /// Nothing more; or, before something is cut anew, nothing until all that was given is known to be what it was taken
    /// for.
    Wait,
}

/// Bytes of a file that are taken for a former chunk.
pub struct Stand {
    file: Arc<File>,
    rows: u32,
    /// Where they stand.
    pub place: Place,
    /// Whether they stood there then, and are known to be the same.
    pub is_known: bool,
}

/// Bytes that are read at a time to be hashed: they stay in a processor's second cache, in room that a thread keeps.
const BLOCK: usize = 128 << 10;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Stand {
    /// How many rows there are, if it is the chunk that it is taken for.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether they are the chunk of this digest that they were taken for.
    pub fn is(&self, digest: &ChunkId) -> Result<bool, DecodeError> {
        Ok(self.is_known || self.digest()? == *digest)
    }

    /// The digest of the chunk that they would be.
    fn digest(&self) -> Result<ChunkId, DecodeError> {
        ROOM.with_borrow_mut(|room| {
            room.resize(BLOCK, 0);
            let mut hasher = ChunkHasher::new(Encoding::JsonLines, b"");
            let mut left = self.read();
            loop {
                match left.read(room) {
                    // Of a file that has become shorter it is another one.
                    Ok(0) => return Ok(hasher.digest()),
                    Ok(read) => hasher.update(&room[..read]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(self.failed(&error)),
                }
            }
        })
    }

    /// The columns of their first row that can be read, as [`Chunk::columns`] has them.
    pub fn columns(&self) -> Result<Option<Vec<String>>, DecodeError> {
        Ok(self.chunk()?.columns())
    }

    /// The bytes themselves.
    pub(super) fn chunk(&self) -> Result<Chunk, DecodeError> {
        let mut bytes = Vec::with_capacity(self.place.length as usize);
        self.read().read_to_end(&mut bytes).map_err(|error| self.failed(&error))?;
        let (encoding, bytes) = (Encoding::JsonLines, bytes.into());
        Ok(Chunk { encoding, header: Arc::from([]), bytes, rows: self.rows, place: self.place })
    }

    fn read(&self) -> io::Take<ReadAt> {
        ReadAt { file: self.file.clone(), offset: self.place.offset }.take(self.place.length)
    }

    fn failed(&self, error: &io::Error) -> DecodeError {
        DecodeError::Read { offset: self.place.offset, reason: error.to_string() }
    }
}

impl Recutter {
    /// A cutter of a file of `size` bytes of which an earlier version, `former_size` bytes long, was cut into `former`;
    /// the first `unchanged` bytes are known to be the same. `None` if that is no help: it is for lines, one a row, that
    /// follow one another from the first byte on.
    pub fn new(
        file: File,
        kind: FileKind,
        size: u64,
        former: Vec<FormerChunk>,
        former_size: u64,
        unchanged: u64,
    ) -> Option<Self> {
        let is_lines = kind == FileKind { format: RowFormat::Jsonl, compression: Compression::None };
        let mut end = 0;
        for chunk in &former {
            // A row too long to be read ends the chunk before it, whatever that holds.
            if chunk.place.offset != end || chunk.place.overlong {
                return None;
            }
            end += chunk.place.length;
        }
        let growth = i64::try_from(size).ok()? - i64::try_from(former_size).ok()?;
        let (next, from) = (Place::default(), From::Former(0, 0));
        let file = Arc::new(file);
        let made = Self {
            file,
            former,
            growth,
            size,
            unchanged,
            next,
            from,
            given: Vec::new(),
            waits: false,
            guesses: GUESSES,
        };
        (is_lines && end > 0).then_some(made)
    }

    /// The next chunk. What comes after [`Given::Wait`] is [`Given::Wait`] again, unless [`Recutter::reject`] or
    /// [`Recutter::go_on`] is called.
    pub fn next_chunk(&mut self) -> Result<Given, DecodeError> {
        if self.waits {
            return Ok(Given::Wait);
        }
        if let From::Former(number, shift) = self.from {
            let Some(stand) = self.former_chunk(number, shift) else { return Ok(self.wait()) };
            self.given.push((stand.place, Some(number)));
            self.next.offset += stand.place.length;
            self.next.first_row += u64::from(stand.rows);
            self.next.first_line += self.lines_of(number);
            self.from = From::Former(number + 1, shift);
            return Ok(Given::Former(stand, self.former[number].digest));
        }
        let From::File(cutter, least) = &mut self.from else { unreachable!("it is no other") };
        let least = *least;
        let Some(chunk) = cutter.next_chunk()? else { return Ok(self.wait()) };
        self.next = cutter.place();
        self.given.push((chunk.place, None));
        if let Some(from) = self.former_at(least)? {
            self.from = from;
        }
        Ok(Given::Fresh(chunk))
    }

    /// Gives nothing more for now: something that was given is not what it was taken for.
    pub fn wait(&mut self) -> Given {
        self.waits = true;
        Given::Wait
    }

    /// Goes on after [`Given::Wait`], once all that was given is what it was taken for; false at the end of the file.
    pub fn go_on(&mut self) -> Result<bool, DecodeError> {
        let From::Former(number, _) = self.from else { return Ok(false) };
        self.from = From::File(Box::new(self.cutter(self.next)?), number);
        self.waits = false;
        Ok(true)
    }

    /// Goes back to a chunk, counted from the first one given, that was not what it was taken for: it is cut anew.
    pub fn reject(&mut self, number: usize) -> Result<(), DecodeError> {
        let (place, former) = self.given[number];
        self.waits = false;
        self.given.truncate(number);
        self.next = Place { length: 0, ..place };
        self.from = From::File(Box::new(self.cutter(self.next)?), former.map_or(0, |former| former + 1));
        Ok(())
    }

    /// Where a former chunk should stand; `None` if it cannot stand there.
    fn former_chunk(&self, number: usize, shift: i64) -> Option<Stand> {
        let former = self.former.get(number)?;
        let begin = former.place.offset.checked_add_signed(shift);
        let end = self.next.offset + former.place.length;
        // The last one ended because the file did.
        let is_last = number + 1 == self.former.len();
        let can_stand = begin == Some(self.next.offset) && end <= self.size && (!is_last || end == self.size);
        can_stand.then(|| self.stand(&self.next, former))
    }

    /// As many bytes as a former chunk has, from a place on.
    fn stand(&self, at: &Place, former: &FormerChunk) -> Stand {
        let place = Place { length: former.place.length, ..*at };
        let is_known = place.offset == former.place.offset && place.offset + place.length <= self.unchanged;
        Stand { file: self.file.clone(), rows: former.rows, place, is_known }
    }

    /// The lines of a former chunk, for the place of the one behind it; the last has none behind it.
    fn lines_of(&self, number: usize) -> u64 {
        self.former.get(number + 1).map_or(0, |after| after.place.first_line - self.former[number].place.first_line)
    }

    /// The former chunk that begins where the next one does; none before the one of number `least`. One that has moved as
    /// far as what is at the end of the file, or not at all, is taken on trust. Between edits chunks have moved otherwise:
    /// the next ones are looked at.
    fn former_at(&mut self, least: usize) -> Result<Option<From>, DecodeError> {
        let offset = self.next.offset;
        let moved = [self.growth, 0].into_iter().find_map(|shift| {
            let then = offset.checked_add_signed(shift.checked_neg()?)?;
            let number = self.former.binary_search_by_key(&then, |chunk| chunk.place.offset).ok()?;
            (number >= least).then_some(From::Former(number, shift))
        });
        if moved.is_some() {
            return Ok(moved);
        }
        for number in least..self.former.len().min(least + LOOKED_AT) {
            let then = self.former[number].place.offset;
            let Ok(shift) = i64::try_from(i128::from(offset) - i128::from(then)) else { continue };
            let Some(stand) = self.former_chunk(number, shift) else { continue };
            if self.guesses == 0 {
                break;
            }
            self.guesses -= 1;
            if stand.is(&self.former[number].digest)? {
                self.guesses = GUESSES;
                return Ok(Some(From::Former(number, shift)));
            }
        }
        Ok(None)
    }

    fn cutter(&self, at: Place) -> Result<TextCutter, DecodeError> {
        let input = Box::new(self.read_from(at.offset));
        if at.offset == 0 { TextCutter::lines(input) } else { Ok(TextCutter::lines_from(input, at)) }
    }

    fn read_from(&self, offset: u64) -> ReadAt {
        ReadAt { file: self.file.clone(), offset }
    }
}

/// Reads a file from a place on, wherever others read it.
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
