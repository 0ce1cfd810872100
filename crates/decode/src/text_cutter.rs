//! Cuts lines, array elements and CSV records, holding no more than a chunk or the longest row.

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

/// Bytes that are read in one go.
const BLOCK: usize = 256 << 10;

/// Cuts lines, array elements or CSV records.
pub struct TextCutter {
    input: Box<dyn Read + Send>,
    encoding: Encoding,
    header: Arc<[u8]>,
    /// Bytes read but not yet given out; the chunk being gathered is `buffer[..row_start]`.
    buffer: Vec<u8>,
    room: Room,
    /// Where the row being read begins.
    row_start: usize,
    /// How far rows were looked for.
    scanned: usize,
    elements: ElementScanner,
    records: RecordScanner,
    place: Place,
    at_end: bool,
    /// The array's closing bracket was seen.
    closed: bool,
}

impl TextCutter {
    /// A cutter over JSON values, one a line.
    pub(super) fn lines(input: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::JsonLines);
        cutter.skip_mark()?;
        Ok(cutter)
    }

    /// A cutter over lines that begin at `place` of a file, behind a chunk.
    pub(super) fn lines_from(input: Box<dyn Read + Send>, place: Place) -> Self {
        Self { place: Place { length: 0, ..place }, ..Self::new(input, Encoding::JsonLines) }
    }

    /// Where what has not been given out begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// A cutter over a JSON array, or over lines if the file begins with an object.
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

    /// A cutter over CSV records, the first of which is the header.
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

    /// Takes `end` bytes off the front, which end up in no chunk.
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

    /// Looks for rows from `row_start` on as if nothing there had been seen.
    fn rescan(&mut self) {
        self.scanned = self.row_start;
        self.elements = ElementScanner::default();
        self.records.reset();
        self.closed = false;
    }

    /// The row between `row_start` and `end`, which is behind its separator; empty if there is none.
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

    /// See [`crate::Cutter::next_chunk`].
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        let mut rows = 0;
        loop {
            if self.closed {
                return self.finish_array(rows);
            }
            let end = self.row_end();
            let length = end.unwrap_or(self.buffer.len()) - self.row_start;
            // Two bytes more than a row may have: its line end is none of it.
            if length > MAX_ROW_BYTES + 2 {
                // An over-long row is a chunk of its own, and blanks before it are none of it either.
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
            // Lines that are blank for megabytes must not be held either.
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
            // They belong to the first field.
            Encoding::Delimited(_) => 0,
            _ => bytes.len() - bytes.trim_ascii_start().len(),
        }
    }

    /// The most bytes that were held at once: the buffer grows and never shrinks.
    #[cfg(test)]
    pub(super) fn most_held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Gives out the first `end` bytes as a chunk of `rows` rows.
    fn give(&mut self, end: usize, rows: u64) -> Chunk {
        let place = Place { length: end as u64, ..self.place };
        // The chunk takes the buffer along: what is behind it is the shorter part to copy.
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

    /// Gives out a row longer than the limit, of which no more than the limit is held; `end` is where it ends, if the
    /// buffer holds that.
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

    /// The end of a file of lines or records: what is left is the last row.
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

    /// The end of an array: only blanks may follow its bracket.
    fn finish_array(&mut self, rows: u64) -> Result<Option<Chunk>, DecodeError> {
        // The bracket is the file's, not the last element's.
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
        // From here on the file is like one of lines that has ended.
        self.encoding = Encoding::JsonLines;
        self.closed = false;
        Ok(chunk)
    }
}

/// Makes the beginning of an over-long row one row in every encoding: it has no separators.
pub(super) fn mask(bytes: &mut [u8]) {
    for byte in bytes.iter_mut() {
        if byte.is_ascii_whitespace() || matches!(*byte, b',' | b'[' | b']' | b'{' | b'}' | b'"') {
            *byte = b'_';
        }
    }
}
