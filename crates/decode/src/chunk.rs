//! A chunk: consecutive rows of one source file, as bytes that can be read without the file.
//!
//! Later steps depend on the bytes of a chunk alone, never on its position, so a row inserted above does not change
//! the chunks below. The position is kept separately, in [`Place`].

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use datac_core::format::Decoder;

use super::{
    columns,
    delimited::{self, FieldReader},
    json_spans,
    room::ChunkBytes,
    text_lines,
};
use datac_core::{
    id::ChunkId,
    json,
    key::{Encode, Encoder},
    row::{RawRow, Reason, Reject},
    survey::Survey,
};

/// Maximum size of a row in bytes. A longer row is rejected without being held in memory.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// Number of bytes that an over-long row counts as in a survey.
const OVERLONG_COUNTS: usize = 1 << 20;

/// Encoding of a chunk's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// JSON values, one per line.
    JsonLines,
    /// Elements of a JSON array, with the commas and white space between them.
    JsonArray,
    /// Records separated by line ends, with fields separated by this byte; the chunk's `header` is the header line.
    Delimited(u8),
    /// Rows of a columnar file, encoded as in `columns.rs`; the header has the names of the columns.
    Columns,
    /// JSON objects one after another, which span lines or share them.
    JsonValues,
    /// Lines of text.
    TextLines,
}

impl Encoding {
    /// Returns the name of the encoding, as used in digests.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "json-lines",
            Self::JsonArray => "json-array",
            Self::Delimited(b'\t') => "tsv",
            Self::Delimited(b';') => "csv-semicolon",
            Self::Delimited(b'|') => "csv-pipe",
            Self::Delimited(b':') => "csv-colon",
            Self::Delimited(b' ') => "csv-space",
            Self::Delimited(_) => "csv",
            Self::Columns => "columns",
            Self::JsonValues => "json-values",
            Self::TextLines => "text-lines",
        }
    }

    /// Returns the decoder for rows of this encoding.
    pub fn decoder(self) -> Decoder {
        match self {
            Self::JsonLines | Self::JsonArray | Self::JsonValues => Decoder::Json,
            Self::TextLines => Decoder::Lines,
            Self::Delimited(_) => Decoder::Delimited,
            Self::Columns => Decoder::Columns,
        }
    }
}

/// Position of a chunk in its (decompressed) file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Number of rows before the chunk.
    pub first_row: u64,
    /// Number of lines before the chunk; 0 for columnar files.
    pub first_line: u64,
    /// Offset of the first byte in the decompressed file; 0 for columnar files.
    pub offset: u64,
    /// Length in bytes; for columnar files, in rows.
    pub length: u64,
    /// Whether the chunk is a single over-long row, of which only the beginning is held.
    pub overlong: bool,
}

/// Consecutive rows of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Encoding of `bytes`.
    pub encoding: Encoding,
    /// What reading the rows takes besides their bytes: a CSV header, or column names.
    pub header: Arc<[u8]>,
    /// The rows.
    pub bytes: ChunkBytes,
    /// Number of rows.
    pub rows: u32,
    /// Position in the file.
    pub place: Place,
}

/// A row of a chunk that has been located but not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte in the chunk.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
    /// Number of lines before the row in the chunk.
    pub line: u32,
}

/// Computes the digest of a chunk: BLAKE3 over encoding, header and bytes.
pub struct ChunkHasher(blake3::Hasher);

impl ChunkHasher {
    /// Begins a digest.
    pub fn new(encoding: Encoding, header: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(encoding.name().as_bytes());
        hasher.update(&(header.len() as u64).to_le_bytes());
        hasher.update(header);
        Self(hasher)
    }

    /// Adds bytes of the chunk.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest.
    pub fn digest(&self) -> ChunkId {
        ChunkId::from_bytes(*self.0.finalize().as_bytes())
    }
}

impl Chunk {
    /// Returns the digest of the chunk, which does not depend on its position.
    pub fn digest(&self) -> ChunkId {
        let mut hasher = ChunkHasher::new(self.encoding, &self.header);
        hasher.update(&self.bytes);
        hasher.digest()
    }

    /// Returns the rows in order. Blank lines are not rows.
    pub fn spans(&self) -> Vec<Span> {
        // Its beginning may have what separates rows.
        if self.place.overlong {
            return vec![Span { start: 0, end: self.bytes.len(), line: 0 }];
        }
        match self.encoding {
            Encoding::JsonLines => json_spans::line_spans(&self.bytes),
            Encoding::JsonArray => json_spans::element_spans(&self.bytes),
            Encoding::Delimited(delimiter) => delimited::spans(&self.bytes, delimiter),
            Encoding::Columns => columns::spans(&self.bytes),
            Encoding::JsonValues => json_spans::value_spans(&self.bytes),
            Encoding::TextLines => text_lines::spans(&self.bytes),
        }
    }

    /// Returns the number of line feeds in the chunk.
    pub fn lines(&self) -> u64 {
        match self.encoding {
            Encoding::Columns => 0,
            _ => memchr::memchr_iter(b'\n', &self.bytes).count() as u64,
        }
    }

    /// Calls `each` with every row, parsed or rejected.
    pub fn for_each_row(&self, mut each: impl FnMut(u32, Span, Result<RawRow<'_>, Reject>)) {
        let names = self.names();
        // Checking the whole chunk for UTF-8 is several times faster than checking each row, and usually suffices.
        let whole = self.text();
        let mut fields = self.fields();
        for (row, span) in (0..).zip(self.spans()) {
            each(row, span, self.row(span, whole, &names, &mut fields));
        }
    }

    /// Adds the rows that can be read to a survey, as far as it is not full.
    pub fn survey(&self, survey: &mut Survey) {
        let names = self.names();
        names.iter().for_each(|name| survey.add_column(name));
        let mut fields = self.fields();
        for span in self.spans() {
            if survey.is_full() {
                break;
            }
            if let Ok(row) = self.row(span, None, &names, &mut fields) {
                survey.add(&row);
            }
        }
        // An over-long row says nothing of the columns. If some stand first, the rows behind them are looked at, but as chunks
        // wait for the survey, not behind any number of them.
        survey.bytes += if self.place.overlong { OVERLONG_COUNTS } else { self.bytes.len() } as u64;
    }

    /// Returns the names of the columns, if all rows have the same.
    fn names(&self) -> Vec<String> {
        match self.encoding {
            Encoding::Columns => columns::names(&self.header),
            // The cutter has refused files with an invalid header.
            Encoding::Delimited(delimiter) => delimited::names(&self.header, delimiter).unwrap_or_default(),
            Encoding::TextLines => vec![text_lines::COLUMN.to_owned()],
            Encoding::JsonLines | Encoding::JsonArray | Encoding::JsonValues => Vec::new(),
        }
    }

    /// Returns a reader for the fields of delimited records.
    fn fields(&self) -> FieldReader {
        FieldReader::new(if let Encoding::Delimited(delimiter) = self.encoding { delimiter } else { b',' })
    }

    /// Returns the bytes as text, if all of them are valid UTF-8.
    fn text(&self) -> Option<&str> {
        match self.encoding {
            Encoding::Columns => None,
            _ => std::str::from_utf8(&self.bytes).ok(),
        }
    }

    fn row<'c>(
        &'c self,
        span: Span,
        whole: Option<&'c str>,
        names: &'c [String],
        fields: &mut FieldReader,
    ) -> Result<RawRow<'c>, Reject> {
        let bytes = &self.bytes[span.start..span.end];
        if let Encoding::Columns = self.encoding {
            return columns::row(names, bytes);
        }
        if bytes.len() > MAX_ROW_BYTES {
            return Err(overlong());
        }
        let text = match whole {
            Some(whole) => &whole[span.start..span.end],
            None => std::str::from_utf8(bytes).map_err(|error| {
                Reject::new(Reason::InvalidUtf8, format!("byte {} of the row", error.valid_up_to() + 1))
            })?,
        };
        match self.encoding {
            Encoding::Delimited(_) => delimited::row(names, text, fields),
            Encoding::TextLines => Ok(text_lines::row(text)),
            // The elements of a list of texts are rows of one column.
            Encoding::JsonArray if text.starts_with('"') => match json::any(text) {
                Some(value) => Ok(RawRow::new(vec![(Cow::Borrowed(text_lines::COLUMN), value)])),
                None => json::row(text),
            },
            // A list of messages that has no object around it is a row of that column.
            _ if is_dialogue(text) => match json::any(text) {
                Some(value) => Ok(RawRow::new(vec![(Cow::Borrowed("messages"), value)])),
                None => json::row(text),
            },
            _ => json::row(text),
        }
    }

    /// Returns a row as text for the quarantine file: as it is in the source, or, for columnar files, as JSON. An
    /// over-long row of a columnar file is empty.
    pub fn raw(&self, span: Span) -> Cow<'_, str> {
        let bytes = &self.bytes[span.start..span.end];
        match self.encoding {
            Encoding::Columns => {
                let row = columns::row(&columns::names(&self.header), bytes).map(|row| json::write_row(&row));
                Cow::Owned(row.unwrap_or_default())
            }
            _ => String::from_utf8_lossy(bytes),
        }
    }
}

/// Whether a row is a list of objects that say who speaks.
fn is_dialogue(text: &str) -> bool {
    let Some(first) = text.strip_prefix('[').map(str::trim_start).filter(|rest| rest.starts_with('{')) else {
        return false;
    };
    let first = first.split_once('}').map_or(first, |(first, _)| first);
    first.contains("\"role\"") || first.contains("\"from\"")
}

/// Returns the reject of an over-long row.
pub(super) fn overlong() -> Reject {
    Reject::new(Reason::RowTooLong, format!("longer than {} MiB", MAX_ROW_BYTES >> 20))
}

impl Encode for Place {
    fn encode(&self, encoder: &mut Encoder) {
        let Self { first_row, first_line, offset, length, overlong } = *self;
        encoder.list(5);
        [first_row, first_line, offset, length].iter().for_each(|number| encoder.integer(*number));
        encoder.flag(overlong);
    }
}
