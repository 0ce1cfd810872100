//! Turns the bytes of source files into rows: decompresses, cuts into chunks and parses.
//!
//! [`open`] cuts a file into chunks in one pass, and [`cut_lines_from`] does so from a given place on. [`reread`]
//! reads single chunks again when the rest is cached.

mod chunk;
mod column_cutter;
mod columnar;
mod columns;
mod cutter;
mod delimited;
mod json_spans;
mod print;
mod room;
mod stream;
#[cfg(test)]
mod tests;
mod text_cutter;

use std::{
    fs::File,
    io::{self, Read},
    sync::Arc,
};

pub use chunk::{Chunk, ChunkHasher, Encoding, MAX_ROW_BYTES, Place, Span};
use column_cutter::ColumnCutter;
use columnar::Batches;
pub use cutter::{CUTTER_VERSION, Cutter};
pub use datac_core::format::{Compression, Decoder, FileKind, RowFormat};
pub use room::ChunkBytes;
use room::Room;
use stream::Stream;
pub use text_cutter::TextCutter;

/// The bytes of a file, which allow random access.
#[derive(Debug)]
pub enum Input {
    /// A file on disk.
    File(File),
    /// Bytes inside the binary.
    Static(&'static [u8]),
}

/// Why a file cannot be read any further, and where. A bad row is not an error but a [`datac_core::row::Reject`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Reading or decompressing failed.
    #[error("read at byte {offset} of the decompressed file: {reason}")]
    Read {
        /// Number of bytes that were read before.
        offset: u64,
        /// The error of the reader.
        reason: String,
    },
    /// The file does not have the format that its name says.
    #[error("decode the file: {0}")]
    Format(String),
    /// A JSON file that begins with neither `[` nor `{`.
    #[error("decode the file: it is not JSON that has rows: it begins with neither `[` nor `{{`")]
    NotJson,
    /// A JSON file whose first object spans several lines.
    #[error("decode the file: its first object spans lines; rows are elements of one array, or objects one a line")]
    ObjectOverLines,
    /// A JSON array without a closing bracket: the file was truncated.
    #[error("decode the file: the JSON array is not closed at its end, byte {offset}; the file may be cut off")]
    UnclosedArray {
        /// Length of the decompressed file in bytes.
        offset: u64,
    },
    /// A JSON array that is followed by something.
    #[error("decode the file: something follows the JSON array, at byte {offset}")]
    TrailingText {
        /// Offset of what follows, in bytes.
        offset: u64,
    },
    /// A chunk is no longer at its place.
    #[error("find a chunk again: the file has changed since it was read")]
    Moved,
}

/// Opens a file, to cut it into chunks.
pub fn open(input: Input, kind: FileKind) -> Result<Cutter, DecodeError> {
    let format = kind.format;
    if let RowFormat::Parquet | RowFormat::Arrow = format {
        return Ok(Cutter::Columns(Box::new(ColumnCutter::new(batches(input, kind, 0)?, 0)?)));
    }
    let bytes = Stream::open(input, kind.compression)?.into_read();
    Ok(Cutter::Text(Box::new(cut(bytes, format)?)))
}

/// Cuts the JSON lines of a file from `place` on, which is the beginning of the file or the end of a chunk. `bytes`
/// must begin at that place.
pub fn cut_lines_from(bytes: Box<dyn Read + Send>, place: Place) -> Result<TextCutter, DecodeError> {
    if place.offset == 0 { TextCutter::lines(bytes) } else { Ok(TextCutter::lines_from(bytes, place)) }
}

/// Begins to cut the decompressed bytes of a text file.
fn cut(bytes: Box<dyn Read + Send>, format: RowFormat) -> Result<TextCutter, DecodeError> {
    match format {
        RowFormat::Json => TextCutter::json(bytes),
        RowFormat::Csv => TextCutter::delimited(bytes, b','),
        RowFormat::Tsv => TextCutter::delimited(bytes, b'\t'),
        _ => TextCutter::lines(bytes),
    }
}

/// Calls `each` with single chunks that are read again, with their numbers. `shape` is their encoding and header, and
/// `places` their places with the numbers of rows, in file order.
pub fn reread(
    input: Input,
    kind: FileKind,
    shape: (Encoding, Arc<[u8]>),
    places: &[(Place, u32)],
    mut each: impl FnMut(usize, Chunk),
) -> Result<(), DecodeError> {
    let (encoding, header) = shape;
    if let Encoding::Columns = encoding {
        // Only Parquet files can be read from the middle.
        let begin = match (kind.format, places.first()) {
            (RowFormat::Parquet, Some((place, _))) => place.first_row,
            _ => 0,
        };
        return ColumnCutter::new(batches(input, kind, begin)?, begin)?.pick(places, each);
    }
    let mut stream = Stream::open(input, kind.compression)?;
    let (mut at, room) = (0, Room::default());
    for (i, (place, rows)) in places.iter().enumerate() {
        let failed = |error: io::Error| DecodeError::Read { offset: place.offset, reason: error.to_string() };
        let forward = place.offset.checked_sub(at).ok_or(DecodeError::Moved)?;
        stream.skip(forward).map_err(failed)?;
        let keep = if place.overlong { place.length.min(MAX_ROW_BYTES as u64 + 1) } else { place.length };
        let mut bytes = room.take();
        stream.as_read().take(keep).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != keep {
            return Err(DecodeError::Moved);
        }
        if place.overlong {
            text_cutter::mask(&mut bytes);
            stream.skip(place.length - keep).map_err(failed)?;
        }
        at = place.offset + place.length;
        each(i, Chunk { encoding, header: header.clone(), bytes: room.lend(bytes), rows: *rows, place: *place });
    }
    Ok(())
}

fn batches(input: Input, kind: FileKind, first_row: u64) -> Result<Batches, DecodeError> {
    match (kind.compression, kind.format) {
        (Compression::None, RowFormat::Parquet) => Batches::parquet(input, first_row),
        (Compression::None, _) => Batches::arrow(input),
        _ => Err(columnar::format("a compressed columnar file; these formats compress themselves")),
    }
}
