//! Source bytes to rows: decompress, cut into chunks, parse.
//!
//! [`open`] yields a file's chunks in one pass; [`reread`] fetches single chunks again when the rest is in the cache.

mod chunk;
mod columnar;
mod columns;
mod cutter;
mod delimited;
mod json;
mod kind;

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
};

pub use chunk::{Chunk, Encoding, MAX_ROW_BYTES, Place, Span};
use columnar::Batches;
pub use cutter::{CUTTER_VERSION, Cutter};
use cutter::{ColumnCutter, TextCutter};
pub use kind::{Compression, FileKind, RowFormat};

/// Bytes that can be read at any place.
#[derive(Debug)]
pub enum Input {
    /// A file on disk.
    File(File),
    /// Bytes inside the binary.
    Static(&'static [u8]),
}

/// A file that cannot be read on, with where it went wrong; a bad row is a [`crate::row::Reject`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Reading or decompressing failed.
    #[error("read at byte {offset} of the decompressed file: {reason}")]
    Read {
        /// Bytes that were read before.
        offset: u64,
        /// What the reader said.
        reason: String,
    },
    /// The file is not of the form its name says.
    #[error("decode the file: {0}")]
    Format(String),
    /// The recipe says `json`, and the file does not begin with `[` or `{`.
    #[error("decode the file: it does not begin with `[`")]
    NotAnArray,
    /// The array has no closing bracket: the file was cut off.
    #[error("decode the file: the JSON array is not closed at its end, byte {offset}; the file may be cut off")]
    UnclosedArray {
        /// The file's length, decompressed.
        offset: u64,
    },
    /// Something follows the array.
    #[error("decode the file: something follows the JSON array, at byte {offset}")]
    TrailingText {
        /// Where.
        offset: u64,
    },
    /// A chunk is no longer where it was.
    #[error("find a chunk again: the file has changed since it was read")]
    Moved,
}

/// Opens a file to cut it into chunks.
pub fn open(input: Input, kind: FileKind) -> Result<Cutter, DecodeError> {
    Ok(match kind.format {
        RowFormat::Jsonl => Cutter::Text(Box::new(TextCutter::json(text(input, kind)?.into_read(), Some(false))?)),
        RowFormat::Json => Cutter::Text(Box::new(TextCutter::json(text(input, kind)?.into_read(), None)?)),
        RowFormat::Csv => Cutter::Text(Box::new(TextCutter::delimited(text(input, kind)?.into_read(), b',')?)),
        RowFormat::Tsv => Cutter::Text(Box::new(TextCutter::delimited(text(input, kind)?.into_read(), b'\t')?)),
        RowFormat::Parquet => {
            Cutter::Columns(Box::new(ColumnCutter::new(Batches::parquet(uncompressed(input, kind)?, 0)?, 0)))
        }
        RowFormat::Arrow => {
            Cutter::Columns(Box::new(ColumnCutter::new(Batches::arrow(uncompressed(input, kind)?)?, 0)))
        }
    })
}

/// Reads single chunks again, each as it was when `shape`, its place and its number of rows were recorded; `places` are
/// in file order.
pub fn reread(
    input: Input,
    kind: FileKind,
    shape: (Encoding, std::sync::Arc<[u8]>),
    places: &[(Place, u32)],
    mut each: impl FnMut(usize, Chunk),
) -> Result<(), DecodeError> {
    let (encoding, header) = shape;
    if let Encoding::Columns = encoding {
        let first = places.first().map_or(0, |(place, _)| place.first_row);
        let batches = match kind.format {
            RowFormat::Parquet => Batches::parquet(uncompressed(input, kind)?, first)?,
            _ => Batches::arrow(uncompressed(input, kind)?)?,
        };
        let at = if let RowFormat::Parquet = kind.format { first } else { 0 };
        return ColumnCutter::new(batches, at).pick(places, each);
    }
    let mut stream = text(input, kind)?;
    let mut at = 0;
    for (i, (place, rows)) in places.iter().enumerate() {
        let failed = |error: io::Error| DecodeError::Read { offset: place.offset, reason: error.to_string() };
        let forward = place.offset.checked_sub(at).ok_or(DecodeError::Moved)?;
        stream.skip(forward).map_err(failed)?;
        let keep = if place.overlong { place.length.min(MAX_ROW_BYTES as u64 + 1) } else { place.length };
        let mut bytes = Vec::new();
        stream.as_read().take(keep).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != keep {
            return Err(DecodeError::Moved);
        }
        if place.overlong {
            cutter::truncate_overlong(&mut bytes);
            stream.skip(place.length - keep).map_err(failed)?;
        }
        at = place.offset + place.length;
        each(i, Chunk { encoding, header: header.clone(), bytes, rows: *rows, place: *place });
    }
    Ok(())
}

/// A decompressed text stream.
enum Stream {
    File(File),
    Static(Cursor<&'static [u8]>),
    /// Can only be read on.
    Decompressed(Box<dyn Read + Send>),
}

impl Stream {
    fn as_read(&mut self) -> &mut dyn Read {
        match self {
            Self::File(file) => file,
            Self::Static(cursor) => cursor,
            Self::Decompressed(reader) => reader,
        }
    }

    fn into_read(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Static(cursor) => Box::new(cursor),
            Self::Decompressed(reader) => reader,
        }
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let distance = SeekFrom::Current(i64::try_from(bytes).map_err(io::Error::other)?);
        match self {
            Self::File(file) => file.seek(distance).map(drop),
            Self::Static(cursor) => cursor.seek(distance).map(drop),
            Self::Decompressed(reader) => io::copy(&mut reader.take(bytes), &mut io::sink()).map(drop),
        }
    }
}

fn text(input: Input, kind: FileKind) -> Result<Stream, DecodeError> {
    const BUFFER: usize = 256 << 10;
    let failed = |error: io::Error| DecodeError::Read { offset: 0, reason: error.to_string() };
    let raw: Box<dyn Read + Send> = match (kind.compression, input) {
        (Compression::None, Input::File(file)) => return Ok(Stream::File(file)),
        (Compression::None, Input::Static(bytes)) => return Ok(Stream::Static(Cursor::new(bytes))),
        (_, Input::File(file)) => Box::new(file),
        (_, Input::Static(bytes)) => Box::new(bytes),
    };
    Ok(Stream::Decompressed(match kind.compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(BUFFER, raw))),
        _ => Box::new(zstd::Decoder::new(raw).map_err(failed)?),
    }))
}

fn uncompressed(input: Input, kind: FileKind) -> Result<Input, DecodeError> {
    match kind.compression {
        Compression::None => Ok(input),
        _ => Err(DecodeError::Format("a compressed columnar file; these formats compress themselves".into())),
    }
}
