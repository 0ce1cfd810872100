//! A chunk: consecutive rows of one source file, as bytes that stand for themselves.
//!
//! Everything downstream of a chunk depends on its bytes alone, never on where they stood, so a row inserted above
//! leaves every later chunk as it was. Where it stood is kept apart, in [`Place`].

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{columns, delimited, json};
use crate::{
    hash::Digest,
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
#[derive(Clone, Debug)]
pub struct Chunk {
    /// How to read `bytes`.
    pub encoding: Encoding,
    /// What rows need besides their own bytes: a CSV header, column names.
    pub header: Arc<[u8]>,
    /// The rows.
    pub bytes: Vec<u8>,
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

impl Chunk {
    /// BLAKE3 over encoding, header and bytes: the chunk's identity wherever it stands.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.encoding.name().as_bytes());
        hasher.update(&(self.header.len() as u64).to_le_bytes());
        hasher.update(&self.header);
        hasher.update(&self.bytes);
        Digest::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The rows, in order; blank lines are none.
    pub fn spans(&self) -> Vec<Span> {
        match self.encoding {
            Encoding::JsonLines => json::line_spans(&self.bytes),
            Encoding::JsonArray => json::element_spans(&self.bytes),
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
    pub fn for_each_row(&self, mut each: impl FnMut(usize, Span, Result<RawRow<'_>, Reject>)) {
        let spans = self.spans();
        if let Encoding::Columns = self.encoding {
            let names = columns::names(&self.header);
            for (i, span) in spans.into_iter().enumerate() {
                each(i, span, Ok(columns::row(&names, &self.bytes[span.start..span.end])));
            }
            return;
        }
        // One check of the whole chunk is several times quicker than one a row, and nearly always all it takes.
        let whole = std::str::from_utf8(&self.bytes).ok();
        let header = match self.encoding {
            Encoding::Delimited(delimiter) => delimited::fields(&self.header, delimiter),
            _ => Vec::new(),
        };
        for (i, span) in spans.into_iter().enumerate() {
            if span.end - span.start > MAX_ROW_BYTES {
                let detail = format!("longer than {} MiB", MAX_ROW_BYTES >> 20);
                each(i, span, Err(Reject::new(Reason::RowTooLong, detail)));
                continue;
            }
            let text = match whole {
                Some(whole) => Ok(&whole[span.start..span.end]),
                None => std::str::from_utf8(&self.bytes[span.start..span.end]),
            };
            let row = match text {
                Err(error) => {
                    Err(Reject::new(Reason::InvalidUtf8, format!("byte {} of the row", error.valid_up_to() + 1)))
                }
                Ok(text) => match self.encoding {
                    Encoding::Delimited(delimiter) => delimited::row(&header, text, delimiter),
                    _ => json::row(text),
                },
            };
            each(i, span, row);
        }
    }

    /// The columns of the first row that can be read; `None` if none can.
    pub fn columns(&self) -> Option<Vec<String>> {
        match self.encoding {
            Encoding::Columns => Some(columns::names(&self.header)),
            Encoding::Delimited(delimiter) => Some(delimited::fields(&self.header, delimiter)),
            _ => {
                let mut found = None;
                self.for_each_row(|_, _, row| {
                    if let (Ok(row), None) = (row, &found) {
                        found = Some(row.fields.iter().map(|(name, _)| name.to_string()).collect());
                    }
                });
                found
            }
        }
    }

    /// A row as text for the quarantine file: as it stands in the source, or as JSON for columnar files.
    pub fn raw(&self, span: Span) -> Cow<'_, str> {
        let bytes = &self.bytes[span.start..span.end];
        match self.encoding {
            Encoding::Columns => Cow::Owned(json::write_row(&columns::row(&columns::names(&self.header), bytes))),
            _ => String::from_utf8_lossy(bytes),
        }
    }
}
