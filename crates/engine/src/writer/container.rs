//! How rows lie in a file: every container takes rows as JSON lines, whatever they hold.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::system::{FileError, Replacement};
use datac_core::{
    hash::Hasher,
    outputs::{Container, IdType},
    shape::facts::Column,
};
use datac_encode::{EncodeError, Encoded, Format, Group};

/// Level of Zstandard in `jsonl.zst`.
const LEVEL: i32 = 6;

/// SHA-256, by which programs other than datac check files.
#[derive(Default)]
pub(super) struct PublicHash(Sha256);

impl PublicHash {
    /// Returns the hash in hexadecimal digits.
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Number of bytes of which the disk is told together. Without this, the disk gets all of a file when it is synced, and that is
/// waited for.
const WRITTEN_OUT: u64 = 2 << 20;

/// What decides how rows lie in a file.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// The file format.
    pub container: Container,
    /// The columns of the rows.
    pub columns: &'a [Column],
    /// The type of ids, in files of bare ids.
    pub ids: Option<IdType>,
}

/// The file, its size, and the hash of its bytes.
pub(super) struct Bytes {
    pub(super) replacement: Replacement,
    pub(super) hasher: Hasher,
    pub(super) sha256: Option<PublicHash>,
    pub(super) count: u64,
}

impl Bytes {
    /// Begins a file.
    pub(super) fn new(replacement: Replacement, sha256: Option<PublicHash>) -> Self {
        Self { replacement, hasher: Hasher::default(), sha256, count: 0 }
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replacement.write_all(bytes).map_err(|error| error.source)?;
        self.hasher.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.0.update(bytes);
        }
        let begin = self.count / WRITTEN_OUT * WRITTEN_OUT;
        self.count += bytes.len() as u64;
        let end = self.count / WRITTEN_OUT * WRITTEN_OUT;
        if begin < end {
            self.replacement.write_out(begin..end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where rows are appended.
pub(super) enum Sink {
    Lines(Box<Bytes>),
    Compressed(Box<zstd::Encoder<'static, Bytes>>),
    Groups(Box<datac_encode::Encoder<Bytes>>),
}

impl Sink {
    /// Begins a file, with the [files that belong to it](Container::parts).
    pub(super) fn new(bytes: Bytes, parts: Vec<Bytes>, layout: Layout<'_>) -> Result<Self, EncodeError> {
        let encoded = |format, bytes| datac_encode::Encoder::new(bytes, parts, format, layout.columns);
        Ok(match layout.container {
            Container::Jsonl => Self::Lines(Box::new(bytes)),
            Container::JsonlZst => {
                let mut encoder = zstd::Encoder::new(bytes, LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Compressed(Box::new(encoder))
            }
            Container::Parquet => Self::Groups(Box::new(encoded(Format::Parquet, bytes)?)),
            Container::Arrow => Self::Groups(Box::new(encoded(Format::Arrow, bytes)?)),
            Container::Bin | Container::Npy => {
                let ids = layout.ids.ok_or_else(|| EncodeError::Columns("the type of ids is unknown".to_owned()))?;
                let format = if layout.container == Container::Bin { Format::Indexed(ids) } else { Format::Npy(ids) };
                Self::Groups(Box::new(encoded(format, bytes)?))
            }
        })
    }

    /// Appends rows, one a line. Returns groups of rows that are to be [encoded](Group::encode), on any thread, and
    /// [added](Self::add).
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<Vec<Group>, EncodeError> {
        match self {
            Self::Lines(bytes) => bytes.write_all(lines)?,
            Self::Compressed(encoder) => encoder.write_all(lines)?,
            Self::Groups(encoder) => return Ok(encoder.append(lines)),
        }
        Ok(Vec::new())
    }

    /// Returns the rows that are no complete group, once all rows were appended.
    pub(super) fn rest(&mut self) -> Option<Group> {
        match self {
            Self::Groups(encoder) => encoder.rest(),
            Self::Lines(_) | Self::Compressed(_) => None,
        }
    }

    /// Number of the group to write next.
    pub(super) fn next_group(&self) -> usize {
        match self {
            Self::Groups(encoder) => encoder.next_group(),
            Self::Lines(_) | Self::Compressed(_) => 0,
        }
    }

    /// Adds a group of rows that [`append`](Self::append) or [`rest`](Self::rest) returned. Returns how many bytes the rows of
    /// the groups had that were written.
    pub(super) fn add(&mut self, encoded: Encoded) -> Result<u64, EncodeError> {
        match self {
            Self::Groups(encoder) => encoder.add(encoded),
            Self::Lines(_) | Self::Compressed(_) => unreachable!("lines are written as they come"),
        }
    }

    /// Writes what is left; returns the file, and those that belong to it.
    pub(super) fn finish(self) -> Result<(Bytes, Vec<Bytes>), EncodeError> {
        match self {
            Self::Lines(bytes) => Ok((*bytes, Vec::new())),
            Self::Compressed(encoder) => Ok((encoder.finish()?, Vec::new())),
            Self::Groups(encoder) => encoder.finish(),
        }
    }
}

/// Returns an error as one of the file at `path`, or as a row that does not fit its columns.
pub(super) fn failed(error: EncodeError, path: &std::path::Path) -> super::OutputError {
    match error {
        EncodeError::Io(source) => FileError { verb: "write", path: path.to_owned(), source }.into(),
        other => super::OutputError::Encode { path: path.to_owned(), reason: other.to_string() },
    }
}
