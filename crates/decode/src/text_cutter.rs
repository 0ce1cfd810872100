//! Cuts lines, array elements and CSV records into chunks, holding at most a chunk or the longest row in memory.

use std::{
    io::{self, Read},
    sync::Arc,
};

use super::{
    DecodeError, Reading, RowFormat,
    chunk::{Chunk, Encoding, MAX_ROW_BYTES, Place},
    columnar,
    cutter::{MAX_BYTES, ends_after},
    delimited::{self, RecordScanner},
    json_layout::{JsonLayout, check_tail, json_layout},
    json_spans::{ElementScanner, ValueScanner},
    room::Room,
    sniff, text_lines,
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
    values: ValueScanner,
    place: Place,
    at_end: bool,
    /// Whether the closing bracket of the array has been read.
    closed: bool,
    /// Whether the array stands in an object.
    is_within: bool,
    /// Whether the recipe names that array.
    is_named: bool,
    /// How many objects the list lies within, one in another.
    depth: usize,
}

impl TextCutter {
    /// Creates a cutter of JSON values, one per line.
    pub(super) fn lines(input: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::JsonLines);
        cutter.skip_mark(RowFormat::Jsonl)?;
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

    /// Creates a cutter of a JSON file, in whichever layout it is. `lines` says that the file's name promises lines; `field` names
    /// the list of an object that holds one.
    pub(super) fn json(input: Box<dyn Read + Send>, lines: bool, field: Option<&str>) -> Result<Self, DecodeError> {
        let mut cutter = Self::lines(input)?;
        sniff::check_text(&cutter.buffer)?;
        let layout = loop {
            let start = cutter.buffer.len() - cutter.buffer.trim_ascii_start().len();
            if start == cutter.buffer.len() && start > MAX_BYTES {
                cutter.discard(start);
                continue;
            }
            if start < cutter.buffer.len() || cutter.at_end {
                let head = &cutter.buffer[start..];
                if let Some(layout) = json_layout(head, cutter.at_end, lines, field)? {
                    break match layout {
                        JsonLayout::Within(at) => JsonLayout::Within(start + at),
                        JsonLayout::Array => JsonLayout::Within(start + 1),
                        layout => layout,
                    };
                }
            }
            // Twice as much each time: what was looked at is looked at again.
            let wanted = 2 * cutter.buffer.len();
            while !cutter.at_end && cutter.buffer.len() < wanted.max(1) {
                cutter.fill()?;
            }
        };
        match layout {
            JsonLayout::Within(at) => {
                cutter.is_named = field.is_some();
                cutter.depth = field.map_or(1, |field| field.split('.').count());
                cutter.is_within = !cutter.buffer[..at].trim_ascii().starts_with(b"[");
                cutter.encoding = Encoding::JsonArray;
                cutter.discard(at);
            }
            JsonLayout::Values => cutter.encoding = Encoding::JsonValues,
            JsonLayout::Array | JsonLayout::Lines => {}
        }
        Ok(cutter)
    }

    /// Creates a cutter of lines of text.
    pub(super) fn text(input: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::TextLines);
        cutter.skip_mark(RowFormat::Txt)?;
        sniff::check_text(&cutter.buffer)?;
        Ok(cutter)
    }

    /// Returns how the rows of its chunks are encoded.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Creates a cutter of records, the first of which is the header unless `reading` says otherwise. Without a delimiter in
    /// `reading`, it is `usual`, or the one that stands in the header.
    pub(super) fn delimited(input: Box<dyn Read + Send>, usual: u8, reading: &Reading) -> Result<Self, DecodeError> {
        let mut cutter = Self::new(input, Encoding::Delimited(usual));
        cutter.skip_mark(RowFormat::Csv)?;
        sniff::check_text(&cutter.buffer)?;
        for _ in 0..reading.skip {
            cutter.discard_line()?;
        }
        let lines = cutter.buffer.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.into_iter().find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
        let delimiter = reading.delimiter.unwrap_or_else(|| sniff::delimiter_of(first, usual));
        cutter.encoding = Encoding::Delimited(delimiter);
        cutter.records = RecordScanner::new(delimiter);
        let has_header = reading.header.unwrap_or(reading.names.is_none());
        if let Some(names) = &reading.names {
            cutter.header = delimited::header_of(names, delimiter).into();
        }
        if !has_header {
            if reading.names.is_none() {
                let count = delimited::names(first, delimiter).map_err(columnar::format)?.len();
                let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
                cutter.header = delimited::header_of(&names, delimiter).into();
            }
            return Ok(cutter);
        }
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
            let is_header = !delimited::is_blank(record, delimiter);
            if is_header {
                delimited::names(record, delimiter).map_err(columnar::format)?;
                if reading.names.is_none() {
                    cutter.header = record.into();
                }
            }
            cutter.row_start = end;
            if found.is_none() || is_header || end >= MAX_BYTES {
                cutter.discard(end);
            }
            if found.is_none() || is_header {
                return Ok(cutter);
            }
        }
    }

    /// Removes a line from the front of the buffer.
    fn discard_line(&mut self) -> Result<(), DecodeError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                self.discard(end + 1);
                return Ok(());
            }
            if self.at_end || self.fill()? == 0 {
                self.discard(self.buffer.len());
                return Ok(());
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
            values: ValueScanner::default(),
            place: Place::default(),
            at_end: false,
            closed: false,
            is_within: false,
            is_named: false,
            depth: 1,
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

    fn skip_mark(&mut self, format: RowFormat) -> Result<(), DecodeError> {
        self.fill()?;
        sniff::check(&self.buffer, format)?;
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
            Encoding::JsonValues => self.values.end_of_value(unseen).map(|length| self.scanned + length),
            _ => memchr::memchr(b'\n', unseen).map(|at| self.scanned + at + 1),
        };
        self.scanned = found.unwrap_or(self.buffer.len());
        if found.is_some() {
            self.elements = ElementScanner::default();
            self.values = ValueScanner::default();
        }
        found
    }

    /// Searches for row ends again from `row_start` on.
    fn rescan(&mut self) {
        self.scanned = self.row_start;
        self.elements = ElementScanner::default();
        self.values = ValueScanner::default();
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
            let is_lines = self.encoding == Encoding::TextLines;
            let is_row = is_lines || !row.is_empty();
            let count =
                if is_lines { text_lines::rows_in(&self.buffer[self.row_start..end]) } else { u64::from(is_row) };
            // Megabytes of blank lines must not be held in memory either.
            let is_cut = if is_row { ends_after(row, end) } else { end >= MAX_BYTES };
            rows += count;
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
            Encoding::Delimited(_) | Encoding::TextLines => 0,
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
        let bytes = self.buffer[..=MAX_ROW_BYTES].to_vec();
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
            Encoding::TextLines => !rest.is_empty(),
            _ => !rest.trim_ascii().is_empty(),
        };
        rows +=
            if self.encoding == Encoding::TextLines && is_row { text_lines::rows_in(rest) } else { u64::from(is_row) };
        self.row_start = end;
        if rows == 0 { Ok(None) } else { Ok(Some(self.give(end, rows))) }
    }

    /// Returns the last chunk of an array, after checking that only white space follows the bracket.
    fn finish_array(&mut self, rows: u64) -> Result<Option<Chunk>, DecodeError> {
        // The bracket belongs to the file, not to the last element.
        let end = self.row_start;
        let chunk = (rows > 0).then(|| self.give(end - 1, rows));
        self.discard(if rows > 0 { 1 } else { end });
        if self.is_within {
            while self.buffer.len() <= MAX_ROW_BYTES && !self.at_end {
                self.fill()?;
            }
            match check_tail(&self.buffer, self.depth, self.place.offset) {
                // Whoever names a list knows of the others.
                Err(DecodeError::SeveralLists { .. }) if self.is_named => {}
                checked => checked?,
            }
            self.discard(self.buffer.len());
        }
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
