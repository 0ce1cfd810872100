//! A chunk: consecutive rows of one source file, as bytes that stand for themselves.
//!
//! Everything downstream of a chunk depends on its bytes alone, never on where they stood, so a row inserted above
//! leaves every later chunk as it was. Where it stood is kept apart, in [`Place`].

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use datac_core::format::Decoder;

use super::{
    columns,
    delimited::{self, FieldReader},
    json_spans,
    room::ChunkBytes,
};
use datac_core::{
    id::ChunkId,
    json,
    key::{Encode, Encoder},
    row::{RawRow, Reason, Reject},
};

/// The longest row that is read; a longer one is rejected without being held in memory.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// How a chunk's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// JSON values, one a line.
    JsonLines,
    /// Elements of a JSON array, with the commas and blanks between them.
    JsonArray,
    /// Records separated by this byte; the header is the chunk's `header`.
    Delimited(u8),
    /// Rows of a columnar file in the encoding of `columns.rs`; the header names the columns.
    Columns,
}

impl Encoding {
    /// The encoding's name in a cache key.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "json-lines",
            Self::JsonArray => "json-array",
            Self::Delimited(b'\t') => "tsv",
            Self::Delimited(_) => "csv",
            Self::Columns => "columns",
        }
    }

    /// Returns the code that reads rows of this encoding.
    pub fn decoder(self) -> Decoder {
        match self {
            Self::JsonLines | Self::JsonArray => Decoder::Json,
            Self::Delimited(_) => Decoder::Delimited,
            Self::Columns => Decoder::Columns,
        }
    }
}

/// Where a chunk stands in its (decompressed) file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The number of rows before it.
    pub first_row: u64,
    /// The number of lines before it; 0 for columnar files, which have none.
    pub first_line: u64,
    /// The byte it begins at, counted in the decompressed stream; 0 for columnar files.
    pub offset: u64,
    /// Its length in bytes there, or in rows for columnar files.
    pub length: u64,
    /// Whether it is one row too long to be read, of which `bytes` holds the beginning.
    pub overlong: bool,
}

/// Consecutive rows of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// How to read `bytes`.
    pub encoding: Encoding,
    /// What rows need besides their own bytes: a CSV header, column names.
    pub header: Arc<[u8]>,
    /// The rows.
    pub bytes: ChunkBytes,
    /// How many rows there are.
    pub rows: u32,
    /// Where they stood.
    pub place: Place,
}

/// One row of a chunk that was cut out but not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte, counted within the chunk.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Lines before it within the chunk.
    pub line: u32,
}

/// BLAKE3 over encoding, header and bytes of a chunk.
pub struct ChunkHasher(blake3::Hasher);

impl ChunkHasher {
    /// Begins a chunk.
    pub fn new(encoding: Encoding, header: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(encoding.name().as_bytes());
        hasher.update(&(header.len() as u64).to_le_bytes());
        hasher.update(header);
        Self(hasher)
    }

    /// Adds bytes of it.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Its digest.
    pub fn digest(&self) -> ChunkId {
        ChunkId::from_bytes(*self.0.finalize().as_bytes())
    }
}

impl Chunk {
    /// The chunk's identity wherever it stands.
    pub fn digest(&self) -> ChunkId {
        let mut hasher = ChunkHasher::new(self.encoding, &self.header);
        hasher.update(&self.bytes);
        hasher.digest()
    }

    /// The rows, in order; blank lines are none.
    pub fn spans(&self) -> Vec<Span> {
        match self.encoding {
            Encoding::JsonLines => json_spans::line_spans(&self.bytes),
            Encoding::JsonArray => json_spans::element_spans(&self.bytes),
            Encoding::Delimited(delimiter) => delimited::spans(&self.bytes, delimiter),
            Encoding::Columns => columns::spans(&self.bytes),
        }
    }

    /// The number of line ends in the chunk.
    pub fn lines(&self) -> u64 {
        match self.encoding {
            Encoding::Columns => 0,
            _ => memchr::memchr_iter(b'\n', &self.bytes).count() as u64,
        }
    }

    /// Calls `each` with every row, parsed or rejected.
    pub fn for_each_row(&self, mut each: impl FnMut(u32, Span, Result<RawRow<'_>, Reject>)) {
        let names = self.names();
        // One check of the whole chunk is several times quicker than one a row, and nearly always all it takes.
        let whole = self.text();
        let mut fields = self.fields();
        for (row, span) in (0..).zip(self.spans()) {
            each(row, span, self.row(span, whole, &names, &mut fields));
        }
    }

    /// The columns of the first row that can be read; `None` if none can.
    pub fn columns(&self) -> Option<Vec<String>> {
        let names = self.names();
        match self.encoding {
            Encoding::Columns | Encoding::Delimited(_) => Some(names),
            Encoding::JsonLines | Encoding::JsonArray => {
                let mut fields = self.fields();
                let mut rows = self.spans().into_iter().map(|span| self.row(span, None, &names, &mut fields));
                let row = rows.find_map(Result::ok)?;
                Some(row.fields.into_iter().map(|(name, _)| name.into_owned()).collect())
            }
        }
    }

    /// The names of the columns, where all rows have the same.
    fn names(&self) -> Vec<String> {
        match self.encoding {
            Encoding::Columns => columns::names(&self.header),
            // The cutter gives out no chunks under a header with a fault.
            Encoding::Delimited(delimiter) => delimited::names(&self.header, delimiter).unwrap_or_default(),
            Encoding::JsonLines | Encoding::JsonArray => Vec::new(),
        }
    }

    /// What takes records apart, where rows are records.
    fn fields(&self) -> FieldReader {
        FieldReader::new(if let Encoding::Delimited(delimiter) = self.encoding { delimiter } else { b',' })
    }

    /// The bytes as text, where they are text throughout.
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
            _ => json::row(text),
        }
    }

    /// A row as text for the quarantine file: as it stands in the source, or as JSON for columnar files, of which an
    /// over-long row leaves nothing.
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

/// The reject of a row longer than the limit.
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
