//! The format of a source file: how rows are written, and how the file is compressed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::{Encode, Encoder};

/// Format and compression of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileKind {
    /// Format of the rows.
    pub format: RowFormat,
    /// Compression of the file.
    pub compression: Compression,
}

/// A format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// JSON values, one per line.
    Jsonl,
    /// One JSON array, or JSON values one after another.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, as a file or a stream.
    Arrow,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
}

/// A compression of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// No compression.
    None,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// The code that reads rows, shared by similar formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decoder {
    /// Reads JSON values, one per line or in an array.
    Json,
    /// Reads records with fields separated by commas or tabs.
    Delimited,
    /// Reads the rows of Parquet and Arrow files.
    Columns,
}

impl Decoder {
    /// All decoders.
    pub const ALL: &[Self] = &[Self::Json, Self::Delimited, Self::Columns];

    /// Returns the decoder for a format.
    pub fn of(format: RowFormat) -> Self {
        match format {
            RowFormat::Jsonl | RowFormat::Json => Self::Json,
            RowFormat::Csv | RowFormat::Tsv => Self::Delimited,
            RowFormat::Parquet | RowFormat::Arrow => Self::Columns,
        }
    }

    /// Returns the name of the decoder, as used in keys and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Delimited => "delimited",
            Self::Columns => "columns",
        }
    }

    /// Returns the version, which must be raised when the same bytes are read as other rows.
    pub fn version(self) -> u32 {
        match self {
            Self::Json | Self::Delimited => 1,
            // 2: bytes that are UTF-8 are texts, columns of JSON are values, and what JSON has no type for is no text.
            Self::Columns => 2,
        }
    }
}

impl RowFormat {
    /// Returns the name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
        }
    }
}

impl Compression {
    /// Returns the suffix of compressed files, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

impl FileKind {
    /// Estimates the number of bytes of rows in a file of `size` bytes. Text is compressed to a third, and to half
    /// with Snappy, which most Parquet files use.
    pub fn unpacked(self, size: u64) -> u64 {
        match (self.compression, self.format) {
            (Compression::Gzip | Compression::Zstd, _) => size.saturating_mul(3),
            (Compression::None, RowFormat::Parquet) => size.saturating_mul(2),
            (Compression::None, _) => size,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.format.name(), self.compression.suffix())
    }
}

impl Encode for FileKind {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(&self.to_string());
    }
}
