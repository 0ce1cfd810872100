//! Cuts a source file into chunks in one pass, in memory that does not grow with the file.
//!
//! Boundaries follow content: after a row whose hash falls below a threshold that grows with the row's length, so
//! chunks hold [`TARGET_BYTES`] on average and an edit moves no boundary but its own. A row appended to, edited in or
//! removed from a file therefore changes one chunk, or two where the edited row was a boundary.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    DecodeError,
    chunk::{Chunk, Encoding, MAX_ROW_BYTES, Place},
    columnar::Batches,
    columns,
    delimited::RecordScanner,
    json::ElementScanner,
};

/// Raised when the same file is cut elsewhere: it is part of every scan's key.
pub const CUTTER_VERSION: u32 = 1;

/// The average size of a chunk. Small enough that an edit costs little and two cores share a 4 MB source, large
/// enough that zstd has something to find and a 10 GB source makes no more than 20,000 records.
const TARGET_BYTES: u64 = 512 << 10;
/// No boundary before this, or files of tiny rows would make blobs of one row each.
const MIN_BYTES: usize = (TARGET_BYTES / 16) as usize;
/// A boundary at the latest here, whatever the rows hash to.
const MAX_BYTES: usize = (TARGET_BYTES * 8) as usize;

const BLOCK: usize = 256 << 10;

/// Whether a chunk of `size` bytes ends after `row`.
fn ends_after(row: &[u8], size: usize) -> bool {
    let threshold = (u64::MAX / TARGET_BYTES).saturating_mul(row.len() as u64);
    size >= MAX_BYTES || (size >= MIN_BYTES && xxh3_64(row) < threshold)
}

/// Yields the chunks of one file in order.
pub enum Cutter {
    /// Text formats.
    Text(Box<TextCutter>),
    /// Parquet and Arrow.
    Columns(Box<ColumnCutter>),
}

impl Cutter {
    /// The next chunk; `None` at the end of the file.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        match self {
            Self::Text(cutter) => cutter.next_chunk(),
            Self::Columns(cutter) => cutter.next_chunk(),
        }
    }
}

/// Cuts lines, array elements or CSV records.
pub struct TextCutter {
    input: Box<dyn Read + Send>,
    encoding: Encoding,
    header: Arc<[u8]>,
    /// Bytes read but not yet given out; the chunk being gathered is `buffer[..row_start]`.
    buffer: Vec<u8>,
    /// Where the row being read begins.
    row_start: usize,
    /// How far rows were looked for.
    scanned: usize,
    elements: ElementScanner,
    records: Option<RecordScanner>,
    place: Place,
    at_end: bool,
    /// The array's closing bracket was seen.
    closed: bool,
}

impl TextCutter {
    /// A cutter over lines or an array, whichever `array` says; `None`: whatever the first byte says.
    pub(super) fn json(input: Box<dyn Read + Send>, array: Option<bool>) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::JsonLines, None);
        cutter.skip_mark()?;
        while cutter.buffer[cutter.row_start..].trim_ascii_start().is_empty() && cutter.fill()? > 0 {}
        let blanks =
            cutter.buffer.len() - cutter.row_start - cutter.buffer[cutter.row_start..].trim_ascii_start().len();
        let first = cutter.buffer.get(cutter.row_start + blanks).copied();
        if array.unwrap_or(first == Some(b'[')) {
            if first != Some(b'[') {
                return Err(DecodeError::NotAnArray);
            }
            cutter.encoding = Encoding::JsonArray;
            cutter.discard(cutter.row_start + blanks + 1);
        }
        Ok(cutter)
    }

    /// A cutter over CSV records, the first of which is the header.
    pub(super) fn delimited(input: Box<dyn Read + Send>, delimiter: u8) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::Delimited(delimiter), Some(RecordScanner::new(delimiter)));
        cutter.skip_mark()?;
        loop {
            match cutter.row_end() {
                Some(end) if cutter.buffer[cutter.row_start..end].trim_ascii().is_empty() => cutter.discard(end),
                Some(end) => {
                    cutter.header = cutter.buffer[cutter.row_start..end].trim_ascii_end().into();
                    cutter.discard(end);
                    return Ok(cutter);
                }
                None if cutter.fill()? == 0 => return Ok(cutter),
                None => {}
            }
        }
    }

    fn new(input: Box<dyn Read + Send>, encoding: Encoding, records: Option<RecordScanner>) -> Self {
        Self {
            input,
            encoding,
            header: Arc::from([]),
            buffer: Vec::new(),
            row_start: 0,
            scanned: 0,
            elements: ElementScanner::default(),
            records,
            place: Place::default(),
            at_end: false,
            closed: false,
        }
    }

    /// Reads one more block; 0 at the end.
    fn fill(&mut self) -> Result<usize, DecodeError> {
        let length = self.buffer.len();
        self.buffer.resize(length + BLOCK, 0);
        let mut read = 0;
        while read < BLOCK {
            match self.input.read(&mut self.buffer[length + read..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let offset = self.place.offset + (length + read) as u64;
                    return Err(DecodeError::Read { offset, reason: error.to_string() });
                }
            }
        }
        self.buffer.truncate(length + read);
        Ok(read)
    }

    fn skip_mark(&mut self) -> Result<(), DecodeError> {
        self.fill()?;
        if self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.discard(3);
        }
        Ok(())
    }

    /// Takes `end` bytes off the front without making rows of them.
    fn discard(&mut self, end: usize) {
        self.place.first_line += memchr::memchr_iter(b'\n', &self.buffer[..end]).count() as u64;
        self.place.offset += end as u64;
        self.buffer.drain(..end);
        self.row_start = 0;
        self.scanned = 0;
    }

    /// One past the end of the row at `row_start`, its separator included, if the buffer holds it.
    fn row_end(&mut self) -> Option<usize> {
        let unseen = &self.buffer[self.scanned..];
        let found = match (self.encoding, &mut self.records) {
            (Encoding::Delimited(_), Some(records)) => {
                records.end_of_record(unseen).map(|length| self.scanned + length)
            }
            (Encoding::JsonArray, _) => self.elements.end_of_element(unseen).map(|length| {
                let end = self.scanned + length;
                self.closed |= self.buffer[end] == b']';
                end + 1
            }),
            _ => memchr::memchr(b'\n', unseen).map(|at| self.scanned + at + 1),
        };
        self.scanned = found.unwrap_or(self.buffer.len());
        found
    }

    fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        let mut rows = 0;
        loop {
            if self.closed {
                return self.finish_array(rows);
            }
            let end = match self.row_end() {
                Some(end) => end,
                None if self.buffer.len() - self.row_start > MAX_ROW_BYTES => {
                    if self.row_start > 0 {
                        return Ok(Some(self.give(self.row_start, rows)));
                    }
                    return self.give_overlong().map(Some);
                }
                None if !self.at_end => {
                    self.fill()?;
                    continue;
                }
                None => return self.finish(rows),
            };
            let row = self.buffer[self.row_start..end].trim_ascii();
            let row = if let Encoding::JsonArray = self.encoding { row.trim_suffix_of(b",]") } else { row };
            let is_row = !row.is_empty();
            let overlong = row.len() > MAX_ROW_BYTES;
            if overlong && self.row_start > 0 {
                // An over-long row is a chunk of its own; it is found again by the next call.
                self.scanned = self.row_start;
                self.elements = ElementScanner::default();
                self.closed = false;
                return Ok(Some(self.give(self.row_start, rows)));
            }
            rows += u64::from(is_row);
            let cut = is_row && (overlong || ends_after(row, end));
            self.row_start = end;
            self.elements = ElementScanner::default();
            if cut && (overlong || !self.closed) {
                let mut chunk = self.give(end, rows);
                if overlong {
                    chunk.place.overlong = true;
                    truncate_overlong(&mut chunk.bytes);
                }
                return Ok(Some(chunk));
            }
        }
    }

    /// Gives out the first `end` bytes as a chunk of `rows` rows.
    fn give(&mut self, end: usize, rows: u64) -> Chunk {
        // What was read beyond the chunk is at most a block, so moving it costs little.
        let rest = self.buffer[end..].to_vec();
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        self.scanned = self.scanned.saturating_sub(end);
        self.row_start = 0;
        let place = Place { length: end as u64, ..self.place };
        let chunk = Chunk { encoding: self.encoding, header: self.header.clone(), bytes, rows: rows as u32, place };
        self.place.first_row += rows;
        self.place.first_line += chunk.lines();
        self.place.offset += end as u64;
        chunk
    }

    /// Gives out a row longer than the limit, of which no more than the limit is held.
    fn give_overlong(&mut self) -> Result<Chunk, DecodeError> {
        let mut bytes = self.buffer[..MAX_ROW_BYTES + 1].to_vec();
        truncate_overlong(&mut bytes);
        let (mut length, mut lines) = (0_u64, 0);
        loop {
            let kept = std::mem::take(&mut self.buffer);
            self.scanned = 0;
            length += kept.len() as u64;
            lines += memchr::memchr_iter(b'\n', &kept).count() as u64;
            if self.fill()? == 0 {
                if let Encoding::JsonArray = self.encoding {
                    return Err(DecodeError::UnclosedArray { offset: self.place.offset + length });
                }
                break;
            }
            if let Some(end) = self.row_end() {
                length += end as u64;
                lines += memchr::memchr_iter(b'\n', &self.buffer[..end]).count() as u64;
                self.buffer.drain(..end);
                break;
            }
        }
        self.scanned = 0;
        self.elements = ElementScanner::default();
        let place = Place { length, overlong: true, ..self.place };
        self.place.first_row += 1;
        self.place.first_line += lines;
        self.place.offset += length;
        Ok(Chunk { encoding: self.encoding, header: self.header.clone(), bytes, rows: 1, place })
    }

    /// The end of a file of lines or records: what is left is the last row.
    fn finish(&mut self, mut rows: u64) -> Result<Option<Chunk>, DecodeError> {
        if let Encoding::JsonArray = self.encoding {
            return Err(DecodeError::UnclosedArray { offset: self.place.offset + self.buffer.len() as u64 });
        }
        rows += u64::from(!self.buffer[self.row_start..].trim_ascii().is_empty());
        let end = self.buffer.len();
        self.row_start = end;
        if rows == 0 { Ok(None) } else { Ok(Some(self.give(end, rows))) }
    }

    /// The end of an array: only blanks may follow its bracket.
    fn finish_array(&mut self, rows: u64) -> Result<Option<Chunk>, DecodeError> {
        let end = self.row_start;
        let chunk = if rows > 0 {
            let mut chunk = self.give(end, rows);
            // The bracket is the file's, not the last element's.
            chunk.bytes.pop();
            chunk.place.length -= 1;
            Some(chunk)
        } else {
            self.discard(end);
            None
        };
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| !byte.is_ascii_whitespace()) {
                return Err(DecodeError::TrailingText { offset: self.place.offset + at as u64 });
            }
            self.place.offset += self.buffer.len() as u64;
            self.buffer.clear();
            if self.at_end || self.fill()? == 0 {
                break;
            }
        }
        // From here on the file is like one of lines that has ended.
        self.encoding = Encoding::JsonLines;
        (self.closed, self.scanned, self.row_start) = (false, 0, 0);
        Ok(chunk)
    }
}

/// Keeps what shows that a row is over-long, as one row: one byte more than the limit, and no line ends.
pub(super) fn truncate_overlong(bytes: &mut Vec<u8>) {
    bytes.truncate(MAX_ROW_BYTES + 1);
    for byte in bytes.iter_mut() {
        if byte.is_ascii_whitespace() || matches!(*byte, b',' | b'[' | b']' | b'{' | b'}' | b'"') {
            *byte = b'_';
        }
    }
}

trait TrimSuffix {
    fn trim_suffix_of(&self, set: &[u8]) -> &Self;
}

impl TrimSuffix for [u8] {
    /// Takes off one trailing byte that is in `set`, and the blanks before it.
    fn trim_suffix_of(&self, set: &[u8]) -> &Self {
        match self.split_last() {
            Some((last, rest)) if set.contains(last) => rest.trim_ascii_end(),
            _ => self,
        }
    }
}

/// Cuts the rows of a columnar file.
pub struct ColumnCutter {
    batches: Batches,
    header: Arc<[u8]>,
    /// Encoded rows that were read and not yet given out, with where each ends.
    buffer: Vec<u8>,
    first_row: u64,
    rows: u64,
    ready: VecDeque<Chunk>,
    at_end: bool,
}

impl ColumnCutter {
    /// A cutter over batches, the first row of which is the file's row `first_row`.
    pub(super) fn new(batches: Batches, first_row: u64) -> Self {
        let header = columns::header(&batches.schema());
        Self { batches, header, buffer: Vec::new(), first_row, rows: 0, ready: VecDeque::new(), at_end: false }
    }

    /// Yields the chunks at `places`, which are in file order, instead of cutting.
    pub(super) fn pick(
        mut self,
        places: &[(Place, u32)],
        mut each: impl FnMut(usize, Chunk),
    ) -> Result<(), DecodeError> {
        let mut next = 0;
        while next < places.len() {
            let batch = self.batches.next_batch()?.ok_or(DecodeError::Moved)?;
            columns::for_each_row(&batch, |row| {
                let (place, _) = places[next];
                let at = self.first_row;
                self.first_row += 1;
                if at < place.first_row {
                    return true;
                }
                self.buffer.extend_from_slice(row);
                if at + 1 == place.first_row + place.length {
                    let bytes = std::mem::take(&mut self.buffer);
                    each(next, column_chunk(&self.header, bytes, place.first_row, place.length));
                    next += 1;
                }
                next < places.len()
            })
            .map_err(|error| DecodeError::Format(error.to_string()))?;
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        while self.ready.is_empty() && !self.at_end {
            let Some(batch) = self.batches.next_batch()? else {
                self.at_end = true;
                self.give();
                break;
            };
            let (header, ready) = (&self.header, &mut self.ready);
            let (buffer, first_row, rows) = (&mut self.buffer, &mut self.first_row, &mut self.rows);
            columns::for_each_row(&batch, |row| {
                buffer.extend_from_slice(row);
                *rows += 1;
                if ends_after(row, buffer.len()) {
                    ready.push_back(column_chunk(header, std::mem::take(buffer), *first_row, *rows));
                    *first_row += *rows;
                    *rows = 0;
                }
                true
            })
            .map_err(|error| DecodeError::Format(error.to_string()))?;
        }
        Ok(self.ready.pop_front())
    }

    fn give(&mut self) {
        if self.rows > 0 {
            let bytes = std::mem::take(&mut self.buffer);
            self.ready.push_back(column_chunk(&self.header, bytes, self.first_row, self.rows));
            self.first_row += self.rows;
            self.rows = 0;
        }
    }
}

fn column_chunk(header: &Arc<[u8]>, bytes: Vec<u8>, first_row: u64, rows: u64) -> Chunk {
    let place = Place { first_row, length: rows, ..Place::default() };
    Chunk { encoding: Encoding::Columns, header: header.clone(), bytes, rows: rows as u32, place }
}
