//! Reuses the rows of the output in place, which are in nearly the order in which they are wanted.
//!
//! The file is read once, in step with the order. A row is reused if its bytes hash to the wanted sample's hash and
//! end with the sample's source, so it does not matter who wrote the file or what else it contains. Rows that are not
//! wanted are skipped, and wanted rows that are missing are new. If either happens often, the file is useless.

use std::{io::Read, path::Path};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    system,
    writer::{AtHand, Found, WantedRow},
};
use datac_core::shape::Shape;

/// Number of bytes read at a time.
const BLOCK: usize = 256 << 10;

/// Number of rows that may be skipped or new before the file is useless: [`SPARE`], plus one for every [`SHARE`] rows
/// that were found.
const SPARE: u64 = 256;
const SHARE: u64 = 8;

/// Returns the rows of the file at `path`, for reuse in an output of this shape; `None` if the file cannot be opened.
pub(crate) fn reuse_output(path: &Path, shape: &'static dyn Shape) -> Option<Box<dyn AtHand>> {
    let file = system::open(path).ok()?;
    Some(Box::new(InPlace::new(file, shape)))
}

/// A file that is read row by row.
struct InPlace<R> {
    input: R,
    shape: &'static dyn Shape,
    buffer: Vec<u8>,
    /// Start of the next row in the buffer, and number of bytes in the buffer.
    start: usize,
    filled: usize,
    found: u64,
    missed: u64,
}

impl<R: Read + Send> InPlace<R> {
    fn new(input: R, shape: &'static dyn Shape) -> Self {
        Self { input, shape, buffer: Vec::new(), start: 0, filled: 0, found: 0, missed: 0 }
    }

    /// Returns the end of the next row, after its line feed; `None` at the end of the file, or if reading fails.
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
            // Either the row in place is no longer wanted, or the wanted row is new.
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
