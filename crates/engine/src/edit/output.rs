//! Rows that an output in place holds already, in nearly the order in which they are wanted.
//!
//! The file is gone through once, beside the order. A row of it is used where its bytes hash to what the wanted sample hashes
//! to, and end with its source; so it makes no difference who wrote the file, or what else it holds. A row that is not wanted
//! is passed over, and a wanted one that is not there is new. Where both happen often, the file is of no use.

use std::{io::Read, path::Path};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    system,
    writer::{AtHand, Found, WantedRow},
};
use datac_core::shape::Shape;

/// Bytes that are read at once.
const BLOCK: usize = 256 << 10;

/// Rows that may be passed over or be new, besides one in [`SHARE`] of those that were found.
const SPARE: u64 = 256;
const SHARE: u64 = 8;

/// Returns the rows of the file at `path`, which an earlier build may have written in this shape; `None` if there is no use
/// in it.
pub(crate) fn reuse_output(path: &Path, shape: &'static dyn Shape) -> Option<Box<dyn AtHand>> {
    let file = system::open(path).ok()?;
    Some(Box::new(InPlace::new(file, shape)))
}

/// A file that is read row by row.
struct InPlace<R> {
    input: R,
    shape: &'static dyn Shape,
    buffer: Vec<u8>,
    /// Where the row begins that is next, and how many bytes of the buffer were read.
    start: usize,
    filled: usize,
    found: u64,
    missed: u64,
}

impl<R: Read + Send> InPlace<R> {
    fn new(input: R, shape: &'static dyn Shape) -> Self {
        Self { input, shape, buffer: Vec::new(), start: 0, filled: 0, found: 0, missed: 0 }
    }

    /// The end of the row that is next, behind its line's end; `None` at the end of the file, or if it cannot be read.
    fn end(&mut self) -> Option<usize> {
        let mut searched = self.start;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.filled]) {
                return Some(searched + at + 1);
            }
            searched = self.filled - self.start;
            self.buffer.copy_within(self.start..self.filled, 0);
            (self.filled, self.start) = (searched, 0);
            if self.buffer.len() < self.filled + BLOCK {
                self.buffer.resize(self.filled + BLOCK, 0);
            }
            let read = self.input.read(&mut self.buffer[self.filled..]).ok().filter(|read| *read > 0)?;
            self.filled += read;
        }
    }
}

impl<R: Read + Send> AtHand for InPlace<R> {
    fn find(&mut self, wanted: WantedRow<'_>, ahead: &dyn Fn(u64) -> bool) -> Found<'_> {
        let row = loop {
            let Some(end) = self.end() else {
                self.missed += 1;
                break None;
            };
            let row = self.start..end;
            let line = &self.buffer[row.start..row.end - 1];
            let identity = self.shape.identity(line, wanted.source);
            if identity.is_some_and(|identity| xxh3_64(identity) == wanted.row_hash) {
                self.found += 1;
                self.start = end;
                break Some(row);
            }
            self.missed += 1;
            // Either the row in place is not wanted any more, or the wanted one is new.
            let other = self.shape.source_of(line).and_then(|source| self.shape.identity(line, source)).map(xxh3_64);
            if other.is_some_and(ahead) {
                break None;
            }
            self.start = end;
            if self.missed > SPARE + self.found / SHARE {
                return Found::Useless;
            }
        };
        match row {
            _ if self.missed > SPARE + self.found / SHARE => Found::Useless,
            Some(row) => Found::Row(&self.buffer[row]),
            None => Found::New,
        }
    }
}
