//! Cuts lines, array elements and CSV records into chunks, holding at most a chunk or the longest row in memory.

use std::{
    io::{self, Read},
    sync::Arc,
};

use super::{
    DecodeError,
    chunk::{Chunk, Encoding, MAX_ROW_BYTES, Place},
    columnar,
    cutter::{MAX_BYTES, ends_after},
    delimited::{self, RecordScanner},
    json_spans::ElementScanner,
    room::Room,
};

/// Number of bytes read at a time.
const BLOCK: usize = 256 << 10;

/// Cuts lines, array elements or CSV records into chunks.
pub struct TextCutter {
    input: Box<dyn Read + Send>,
    encoding: Encoding,
    header: Arc<[u8]>,
    /// Bytes that have been read but not given out. `buffer[..row_start]` belongs to the next chunk.
    buffer: Vec<u8>,
    room: Room,
    /// Offset of the row that is being read.
    row_start: usize,
    /// Offset up to which row ends have been searched for.
    scanned: usize,
    elements: ElementScanner,
    records: RecordScanner,
    place: Place,
    at_end: bool,
    /// Whether the closing bracket of the array has been read.
    closed: bool,
}

impl TextCutter {
    /// Creates a cutter of JSON values, one per line.
    pub(super) fn lines(input: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::JsonLines);
        cutter.skip_mark()?;
        Ok(cutter)
    }

    /// Creates a cutter of lines that begin at `place` of a file, after a chunk.
    pub(super) fn lines_from(input: Box<dyn Read + Send>, place: Place) -> Self {
        Self { place: Place { length: 0, ..place }, ..Self::new(input, Encoding::JsonLines) }
    }

    /// Returns the place of the next chunk, whose length is not known yet.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Creates a cutter of a JSON array, or of lines if the file begins with an object.
    pub(super) fn json(input: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut cutter = Self::lines(input)?;
        loop {
            let blanks = cutter.buffer.len() - cutter.buffer.trim_ascii_start().len();
            cutter.discard(blanks);
            if !cutter.buffer.is_empty() || cutter.fill()? == 0 {
                break;
            }
        }
        match cutter.buffer.first() {
            None => {}
            Some(b'[') => {
                cutter.encoding = Encoding::JsonArray;
                cutter.discard(1);
            }
            Some(b'{') => {
                let line =
                    memchr::memchr(b'\n', &cutter.buffer).map_or(&[][..], |end| cutter.buffer[..end].trim_ascii());
                if let Some(b'{' | b'[' | b',') = line.last() {
                    return Err(DecodeError::ObjectOverLines);
                }
            }
            Some(_) => return Err(DecodeError::NotJson),
        }
        Ok(cutter)
    }

    /// Creates a cutter of CSV records, the first of which is the header.
    pub(super) fn delimited(input: Box<dyn Read + Send>, delimiter: u8) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::Delimited(delimiter));
        cutter.skip_mark()?;
        loop {
            let found = cutter.row_end();
            let end = found.unwrap_or(cutter.buffer.len());
            if end - cutter.row_start > MAX_ROW_BYTES {
                return Err(columnar::format(format!("its header is longer than {} MiB", MAX_ROW_BYTES >> 20)));
            }
            if found.is_none() && !cutter.at_end {
                cutter.fill()?;
                continue;
            }
            let record = delimited::record(&cutter.buffer[cutter.row_start..end], found.is_some());
            if !delimited::is_blank(record, delimiter) {
                delimited::names(record, delimiter).map_err(columnar::format)?;
                cutter.header = record.into();
            }
            cutter.row_start = end;
            if found.is_none() || !cutter.header.is_empty() || end >= MAX_BYTES {
                cutter.discard(end);
            }
            if found.is_none() || !cutter.header.is_empty() {
                return Ok(cutter);
            }
        }
    }

    fn new(input: Box<dyn Read + Send>, encoding: Encoding) -> Self {
        let delimiter = if let Encoding::Delimited(delimiter) = encoding { delimiter } else { b',' };
        Self {
            input,
            encoding,
            header: Arc::from([]),
            buffer: Vec::new(),
            room: Room::default(),
            row_start: 0,
            scanned: 0,
            elements: ElementScanner::default(),
            records: RecordScanner::new(delimiter),
            place: Place::default(),
            at_end: false,
            closed: false,
        }
    }

    /// Reads one more block; returns the number of bytes, 0 at the end of the file.
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

    /// Removes `end` bytes from the front of the buffer, which belong to no chunk.
    fn discard(&mut self, end: usize) {
        self.place.first_line += memchr::memchr_iter(b'\n', &self.buffer[..end]).count() as u64;
        self.place.offset += end as u64;
        self.buffer.drain(..end);
        self.row_start = 0;
        self.scanned = 0;
    }

    /// Returns the end of the row at `row_start`, after its separator, if it is in the buffer.
    fn row_end(&mut self) -> Option<usize> {
        let unseen = &self.buffer[self.scanned..];
        let found = match self.encoding {
            Encoding::Delimited(_) => self.records.end_of_record(unseen).map(|length| self.scanned + length),
            Encoding::JsonArray => self.elements.end_of_element(unseen).map(|length| {
                let end = self.scanned + length;
                self.closed = self.buffer[end] == b']';
                end + 1
            }),
            _ => memchr::memchr(b'\n', unseen).map(|at| self.scanned + at + 1),
        };
        self.scanned = found.unwrap_or(self.buffer.len());
        if found.is_some() {
            self.elements = ElementScanner::default();
        }
        found
    }

    /// Searches for row ends again from `row_start` on.
    fn rescan(&mut self) {
        self.scanned = self.row_start;
        self.elements = ElementScanner::default();
        self.records.reset();
        self.closed = false;
    }

    /// Returns the row that begins at `row_start` and whose separator ends at `end`; empty if the line is blank.
    fn row(&self, end: usize) -> &[u8] {
        let bytes = &self.buffer[self.row_start..end];
        match self.encoding {
            Encoding::Delimited(delimiter) => {
                let record = delimited::record(bytes, true);
                if delimited::is_blank(record, delimiter) { &[] } else { record }
            }
            Encoding::JsonArray => bytes[..bytes.len() - 1].trim_ascii(),
            _ => bytes.trim_ascii(),
        }
    }

    /// Returns the next chunk, see [`crate::Cutter::next_chunk`].
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        let mut rows = 0;
        loop {
            if self.closed {
                return self.finish_array(rows);
            }
            let end = self.row_end();
            let length = end.unwrap_or(self.buffer.len()) - self.row_start;
            // Two bytes more than the limit, since the line end is not part of the row.
            if length > MAX_ROW_BYTES + 2 {
                // An over-long row is a chunk of its own, without the rows and white space before it.
                if rows > 0 {
                    self.rescan();
                    return Ok(Some(self.give(self.row_start, rows)));
                }
                let start = self.row_start + self.leading_blanks();
                if start == 0 {
                    return self.give_overlong(end).map(Some);
                }
                self.discard(start);
                self.rescan();
                continue;
            }
            let Some(end) = end else {
                if self.at_end {
                    return self.finish(rows);
                }
                self.fill()?;
                continue;
            };
            let row = self.row(end);
            let is_row = !row.is_empty();
            // Megabytes of blank lines must not be held in memory either.
            let is_cut = if is_row { ends_after(row, end) } else { end >= MAX_BYTES };
            rows += u64::from(is_row);
            self.row_start = end;
            if is_cut && !self.closed {
                if rows > 0 {
                    return Ok(Some(self.give(end, rows)));
                }
                self.discard(end);
            }
        }
    }

    fn leading_blanks(&self) -> usize {
        let bytes = &self.buffer[self.row_start..];
        match self.encoding {
            // White space belongs to the first field.
            Encoding::Delimited(_) => 0,
            _ => bytes.len() - bytes.trim_ascii_start().len(),
        }
    }

    /// Returns the maximum number of bytes that were held at once; the buffer never shrinks.
    #[cfg(test)]
    pub(super) fn most_held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Returns the first `end` bytes as a chunk of `rows` rows.
    fn give(&mut self, end: usize, rows: u64) -> Chunk {
        let place = Place { length: end as u64, ..self.place };
        // The chunk takes over the buffer, and the rest, which is usually shorter, is copied.
        let mut rest = self.room.take();
        rest.reserve(self.buffer.len() - end + BLOCK);
        rest.extend_from_slice(&self.buffer[end..]);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        self.place.first_line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        self.place.offset += end as u64;
        self.place.first_row += rows;
        self.row_start = 0;
        self.scanned -= end;
        Chunk {
            encoding: self.encoding,
            header: self.header.clone(),
            bytes: self.room.lend(bytes),
            rows: rows as u32,
            place,
        }
    }

    /// Returns an over-long row as a chunk, holding no more bytes than the limit. `end` is the end of the row, if it
    /// is in the buffer.
    fn give_overlong(&mut self, mut end: Option<usize>) -> Result<Chunk, DecodeError> {
        let mut bytes = self.buffer[..=MAX_ROW_BYTES].to_vec();
        mask(&mut bytes);
        let start = self.place;
        while end.is_none() {
            self.discard(self.buffer.len());
            if self.fill()? == 0 {
                break;
            }
            end = self.row_end();
        }
        match (end, self.encoding) {
            (Some(end), _) => self.discard(end),
            (None, Encoding::JsonArray) => return Err(DecodeError::UnclosedArray { offset: self.place.offset }),
            (None, _) => {}
        }
        self.place.first_row += 1;
        let place = Place { length: self.place.offset - start.offset, overlong: true, ..start };
        Ok(Chunk { encoding: self.encoding, header: self.header.clone(), bytes: bytes.into(), rows: 1, place })
    }

    /// Returns the last chunk of a file of lines or records; whatever is left is the last row.
    fn finish(&mut self, mut rows: u64) -> Result<Option<Chunk>, DecodeError> {
        let end = self.buffer.len();
        let rest = &self.buffer[self.row_start..];
        let is_row = match self.encoding {
            Encoding::JsonArray => {
                return Err(DecodeError::UnclosedArray { offset: self.place.offset + end as u64 });
            }
            Encoding::Delimited(delimiter) => !delimited::is_blank(rest, delimiter),
            _ => !rest.trim_ascii().is_empty(),
        };
        rows += u64::from(is_row);
        self.row_start = end;
        if rows == 0 { Ok(None) } else { Ok(Some(self.give(end, rows))) }
    }

    /// Returns the last chunk of an array, after checking that only white space follows the bracket.
    fn finish_array(&mut self, rows: u64) -> Result<Option<Chunk>, DecodeError> {
        // The bracket belongs to the file, not to the last element.
        let end = self.row_start;
        let chunk = (rows > 0).then(|| self.give(end - 1, rows));
        self.discard(if rows > 0 { 1 } else { end });
        loop {
            let blanks = self.buffer.len() - self.buffer.trim_ascii_start().len();
            self.discard(blanks);
            if !self.buffer.is_empty() {
                return Err(DecodeError::TrailingText { offset: self.place.offset });
            }
            if self.at_end || self.fill()? == 0 {
                break;
            }
        }
        // From here on, the cutter behaves like one of lines at the end of its file.
        self.encoding = Encoding::JsonLines;
        self.closed = false;
        Ok(chunk)
    }
}

/// Replaces the separators and brackets in the beginning of an over-long row, so that it is one row in every
/// encoding.
pub(super) fn mask(bytes: &mut [u8]) {
    for byte in bytes.iter_mut() {
        if byte.is_ascii_whitespace() || matches!(*byte, b',' | b'[' | b']' | b'{' | b'}' | b'"') {
            *byte = b'_';
        }
    }
}
