//! What a source file is: how rows are written, and what the bytes are wrapped in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::{Encode, Encoder};

/// What a source file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileKind {
    /// How rows are written.
    pub format: RowFormat,
    /// What the bytes are wrapped in.
    pub compression: Compression,
}

/// How a file writes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// JSON values, one a line.
    Jsonl,
    /// One JSON array, or values one after another.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, file or stream.
    Arrow,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
}

/// What a file's bytes are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Nothing.
    None,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// The code that reads rows, shared by formats that write them alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decoder {
    /// Reads JSON values, one a line or in an array.
    Json,
    /// Reads records separated by commas or tabs.
    Delimited,
    /// Reads the rows of Parquet and Arrow files.
    Columns,
}

impl Decoder {
    /// Every decoder.
    pub const ALL: &[Self] = &[Self::Json, Self::Delimited, Self::Columns];

    /// Returns the decoder of files of a format.
    pub fn of(format: RowFormat) -> Self {
        match format {
            RowFormat::Jsonl | RowFormat::Json => Self::Json,
            RowFormat::Csv | RowFormat::Tsv => Self::Delimited,
            RowFormat::Parquet | RowFormat::Arrow => Self::Columns,
        }
    }

    /// Returns the decoder's name in keys and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Delimited => "delimited",
            Self::Columns => "columns",
        }
    }

    /// Returns the version, which is raised by hand whenever the same bytes are read as other rows.
    pub fn version(self) -> u32 {
        match self {
            Self::Json | Self::Delimited | Self::Columns => 1,
        }
    }
}

impl RowFormat {
    /// The format's name.
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
    /// The suffix of such files, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

impl FileKind {
    /// Roughly how many bytes of rows a file of `size` bytes holds: texts shrink to a third, and to half with what Parquet
    /// files are mostly written with, Snappy.
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
