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
    /// Text, one row per line.
    Txt,
    /// A zip archive, whose files have the rows.
    Zip,
    /// A tar archive, whose files have the rows.
    Tar,
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
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
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
    /// Reads lines of text.
    Lines,
    /// Finds the files of archives.
    Archive,
}

impl Decoder {
    /// All decoders.
    pub const ALL: &[Self] = &[Self::Json, Self::Delimited, Self::Columns, Self::Lines, Self::Archive];

    /// Returns the decoder for a format.
    pub fn of(format: RowFormat) -> Self {
        match format {
            RowFormat::Jsonl | RowFormat::Json => Self::Json,
            RowFormat::Csv | RowFormat::Tsv => Self::Delimited,
            RowFormat::Parquet | RowFormat::Arrow => Self::Columns,
            RowFormat::Txt => Self::Lines,
            RowFormat::Zip | RowFormat::Tar => Self::Archive,
        }
    }

    /// Returns the name of the decoder, as used in keys and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Delimited => "delimited",
            Self::Columns => "columns",
            Self::Lines => "lines",
            Self::Archive => "archive",
        }
    }

    /// Returns the version, which must be raised when the same bytes are read as other rows.
    pub fn version(self) -> u32 {
        match self {
            Self::Lines | Self::Archive => 1,
            // 2: arrays, objects over lines and objects around a list are told by the bytes, whatever the name says; texts in an
            // array are rows.
            // 3: NaN, the infinities and halves of surrogate pairs cost only who reads them.
            // 4: inside of lists and objects, too, they are kept as their text.
            // 5: lists of messages are rows, and tables as pandas writes them are refused.
            Self::Json => 5,
            // 2: the delimiter is found in the header, and names that are empty or occur again get a number.
            // 3: details of rejects name NaN and halves of surrogate pairs.
            Self::Delimited => 3,
            // 2: bytes that are UTF-8 are texts, columns of JSON are values, and what JSON has no type for is no text.
            // 3: details of rejects name NaN and halves of surrogate pairs.
            // 4: what JSON has no type for is kept as its text inside of lists and objects, too.
            // 5: surveys know messages in other forms than a list of objects.
            Self::Columns => 5,
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
            Self::Txt => "txt",
            Self::Zip => "zip",
            Self::Tar => "tar",
        }
    }

    /// Returns whether files of this format hold other files, and have no rows of their own.
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Zip | Self::Tar)
    }
}

impl Compression {
    /// Returns the suffix of compressed files, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
            Self::Bzip2 => ".bz2",
        }
    }
}

impl FileKind {
    /// Estimates the number of bytes of rows in a file of `size` bytes. Text is compressed to a third, and to half
    /// with Snappy, which most Parquet files use.
    pub fn unpacked(self, size: u64) -> u64 {
        match (self.compression, self.format) {
            (Compression::None, RowFormat::Parquet) => size.saturating_mul(2),
            (Compression::None, _) => size,
            _ => size.saturating_mul(3),
        }
    }
}

/// How rows are read where neither the name nor the bytes of a file say it: what a recipe or a card adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reading {
    /// The byte between the fields of a record, one of [`DELIMITERS`].
    pub delimiter: Option<u8>,
    /// The list that holds the rows of a JSON object, as a dotted path.
    pub field: Option<String>,
    /// The names of the columns of records, in place of those of a header.
    pub names: Option<Vec<String>>,
    /// Whether the first record is a header; `None`: it is, unless `names` are given.
    pub header: Option<bool>,
    /// Lines before the header.
    pub skip: u32,
}

/// The delimiters that records may have, with the words for them.
pub const DELIMITERS: &[(&str, u8)] =
    &[(",", b','), (";", b';'), ("\t", b'\t'), ("tab", b'\t'), ("|", b'|'), (":", b':'), (" ", b' ')];

impl Reading {
    /// Returns what this says, and for what it does not say what `other` says.
    pub fn over(&self, other: &Self) -> Self {
        Self {
            delimiter: self.delimiter.or(other.delimiter),
            field: self.field.clone().or_else(|| other.field.clone()),
            names: self.names.clone().or_else(|| other.names.clone()),
            header: self.header.or(other.header),
            skip: if self.skip > 0 { self.skip } else { other.skip },
        }
    }

    /// Returns whether nothing is added.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delimiter, field, names, header, skip } = self;
        let mut parts = Vec::new();
        parts.extend(delimiter.map(|byte| format!("delimiter {:?}", char::from(byte))));
        parts.extend(field.as_ref().map(|field| format!("field {field:?}")));
        parts.extend(names.as_ref().map(|names| format!("names {names:?}")));
        parts.extend(header.map(|header| format!("header {header}")));
        parts.extend((*skip > 0).then(|| format!("skip {skip}")));
        f.write_str(&parts.join(", "))
    }
}

impl Encode for Reading {
    fn encode(&self, encoder: &mut Encoder) {
        let Self { delimiter, field, names, header, skip } = self;
        encoder.list(5);
        encoder.integer(delimiter.map_or(0, u64::from));
        field.encode(encoder);
        let names = names.as_deref();
        encoder.list(names.map_or(0, <[String]>::len));
        names.into_iter().flatten().for_each(|name| encoder.text(name));
        encoder.integer(header.map_or(0, |header| 1 + u64::from(header)));
        encoder.integer((*skip).into());
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
