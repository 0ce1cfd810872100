//! Turns the bytes of source files into rows: decompresses, cuts into chunks and parses.
//!
//! [`open`] cuts a file into chunks in one pass, and [`cut_lines_from`] does so from a given place on. [`reread`]
//! reads single chunks again when the rest is cached.

mod archive;
mod chunk;
mod column_cutter;
mod columnar;
mod columns;
mod cutter;
mod delimited;
mod json_layout;
mod json_spans;
mod print;
mod room;
mod sniff;
mod stream;
#[cfg(test)]
mod tests;
mod text_cutter;
mod text_lines;

use std::{
    fs::File,
    io::{self, Read},
    sync::Arc,
};

pub use archive::{Forward, Member, Packing, Part, members, unpack};
pub use chunk::{Chunk, ChunkHasher, Encoding, MAX_ROW_BYTES, Place, Span};
use column_cutter::ColumnCutter;
use columnar::Batches;
pub use cutter::{CUTTER_VERSION, Cutter};
pub use datac_core::format::{Compression, Decoder, FileKind, Reading, RowFormat};
pub use room::ChunkBytes;
use room::Room;
use stream::Stream;
pub use text_cutter::TextCutter;

/// The bytes of a file.
#[derive(Debug)]
pub enum Input {
    /// A file on disk.
    File(File),
    /// Bytes inside the binary.
    Static(&'static [u8]),
    /// A file that lies in an archive as it is.
    Part(Part),
    /// A file that is unpacked of an archive while it is read. The only ones that do not allow random access.
    Forward(Forward),
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
    #[error("decode the file: it is not JSON that has rows: it begins with neither `[` nor `{{` but with `{seen}`")]
    NotJson {
        /// The first line of the file, shortened.
        seen: String,
    },
    /// A pointer of Git LFS in place of the file.
    #[error("decode the file: it is a Git LFS pointer, not the data")]
    LfsPointer,
    /// A file without a byte, of a format in which even no rows take some.
    #[error("decode the file: it is empty")]
    Empty,
    /// A file of another format than the one it is read as.
    #[error("decode the file: it is {what}, but is read as {format}")]
    IsOther {
        /// What the file is.
        what: &'static str,
        /// The format that it is read as.
        format: &'static str,
        /// The `format:` of a recipe that reads it.
        write: Option<&'static str>,
    },
    /// Text in another encoding than UTF-8.
    #[error("decode the file: line {line} is not UTF-8{}", name.map_or(", but text in another encoding".to_owned(), |name| format!(", but fits {name}")))]
    Encoding {
        /// The name of the encoding, as iconv has it, if it can be told.
        name: Option<&'static str>,
        /// The first line that is not UTF-8.
        line: u64,
    },
    /// A JSON object with several lists that can be rows.
    #[error("decode the file: it is one object with several lists: {}", names(fields))]
    SeveralLists {
        /// The fields that hold the lists.
        fields: Vec<String>,
    },
    /// A JSON object that is a table as pandas writes it, not a row.
    #[error("decode the file: it is one object with a whole table, as pandas writes it with `orient=\"{orient}\"`")]
    Table {
        /// The `orient` of pandas.
        orient: &'static str,
    },
    /// A JSON object whose only list of rows lies deeper.
    #[error("decode the file: it is one object, and its rows lie within, in `{field}`")]
    Deeper {
        /// The path of the list.
        field: String,
    },
    /// A JSON file without the list that the recipe names.
    #[error("decode the file: it is no object with a list under `{field}`")]
    NoField {
        /// The `field` of the recipe.
        field: String,
    },
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
    /// An archive whose files cannot be told, or not be read.
    #[error("list its files: {0}")]
    Archive(String),
    /// A chunk is no longer at its place.
    #[error("find a chunk again: the file has changed since it was read")]
    Moved,
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl DecodeError {
    /// Returns what to do about a file that is called `path`.
    pub fn hint(&self, path: &str) -> Option<String> {
        Some(match self {
            Self::Empty => "copy it again, or leave it out of the source".to_owned(),
            Self::LfsPointer => "run `git lfs pull` where the file comes from".to_owned(),
            Self::IsOther { write: Some(format), .. } => format!("write `format: {format}`"),
            Self::IsOther { write: None, .. } => "unpack it, or leave it out of the source".to_owned(),
            Self::Encoding { name: Some(name), .. } => {
                format!("convert it: `iconv -f {name} -t UTF-8 {path} > {path}.utf8`")
            }
            Self::Encoding { name: None, .. } => format!(
                "find out which, such as GB18030, SHIFT_JIS, BIG5 or WINDOWS-1251, and convert it: `iconv -f ENCODING -t UTF-8 \
                 {path} > {path}.utf8`"
            ),
            Self::SeveralLists { fields } => {
                let each: Vec<String> = fields.iter().map(|field| format!("`field: {field}`")).collect();
                format!("say which holds the rows: {}", each.join(" or "))
            }
            Self::Deeper { field } => format!("write `field: {field}`"),
            Self::Table { orient } => format!(
                "write its rows, one a line: `pandas.read_json(\"{path}\", orient=\"{orient}\", dtype=False).to_json(\"{path}l\", \
                 orient=\"records\", lines=True)`"
            ),
            Self::Archive(_) => "pack it again, or copy it again if it was cut off".to_owned(),
            Self::NotJson { .. } => "write its `format`: csv, txt, parquet, …".to_owned(),
            _ => return None,
        })
    }
}

impl Input {
    /// Returns the first bytes of the file.
    fn head(&self) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Static(bytes) => Ok(bytes[..bytes.len().min(sniff::LOOKED_AT)].to_vec()),
            Self::Part(part) => part.head().map_err(|error| DecodeError::Read { offset: 0, reason: error.to_string() }),
            Self::Forward(bytes) => Ok(bytes.head().to_vec()),
            Self::File(file) => {
                use std::os::unix::fs::FileExt;
                let mut head = vec![0; sniff::LOOKED_AT];
                let mut read = 0;
                while read < head.len() {
                    match file.read_at(&mut head[read..], read as u64) {
                        Ok(0) => break,
                        Ok(more) => read += more,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(DecodeError::Read { offset: 0, reason: error.to_string() }),
                    }
                }
                head.truncate(read);
                Ok(head)
            }
        }
    }
}

/// Opens a file, to cut it into chunks.
pub fn open(input: Input, kind: FileKind) -> Result<Cutter, DecodeError> {
    open_as(input, kind, &Reading::default())
}

/// Opens a file that is read as `reading` says, to cut it into chunks.
pub fn open_as(input: Input, kind: FileKind, reading: &Reading) -> Result<Cutter, DecodeError> {
    let format = kind.format;
    if let RowFormat::Parquet | RowFormat::Arrow = format {
        sniff::check(&input.head()?, format)?;
        return Ok(Cutter::Columns(Box::new(ColumnCutter::new(batches(input, kind, 0)?, 0)?)));
    }
    let bytes = Stream::open(input.checked()?, kind.compression)?.into_read();
    Ok(Cutter::Text(Box::new(cut(bytes, format, reading)?)))
}

/// Cuts the JSON lines of a file from `place` on, which is the beginning of the file or the end of a chunk. `bytes`
/// must begin at that place.
pub fn cut_lines_from(bytes: Box<dyn Read + Send>, place: Place) -> Result<TextCutter, DecodeError> {
    if place.offset == 0 { TextCutter::lines(bytes) } else { Ok(TextCutter::lines_from(bytes, place)) }
}

/// Begins to cut the decompressed bytes of a text file.
fn cut(bytes: Box<dyn Read + Send>, format: RowFormat, reading: &Reading) -> Result<TextCutter, DecodeError> {
    match format {
        RowFormat::Csv => TextCutter::delimited(bytes, b',', reading),
        RowFormat::Tsv => TextCutter::delimited(bytes, b'\t', reading),
        RowFormat::Txt => TextCutter::text(bytes),
        format => TextCutter::json(bytes, format != RowFormat::Json, reading.field.as_deref()),
    }
}

/// Returns whether a file is compressed as a whole, whatever its name says.
pub fn is_compressed(input: &Input, kind: FileKind) -> Result<bool, DecodeError> {
    Stream::is_compressed(input, kind.compression)
}

/// Returns what a file decompresses to.
pub fn decompress(input: Input, compression: Compression) -> Result<Box<dyn Read + Send>, DecodeError> {
    Ok(Stream::open(input, compression)?.into_read())
}

/// Returns whether the rows of a JSON file are on a line each of the file itself, not of what it decompresses to; `bytes` are
/// those of the file from its beginning.
pub fn has_lines(mut bytes: Box<dyn Read + Send>) -> Result<bool, DecodeError> {
    let failed = |error: io::Error| DecodeError::Read { offset: 0, reason: error.to_string() };
    let mut head = Vec::new();
    bytes.by_ref().take(sniff::LOOKED_AT as u64).read_to_end(&mut head).map_err(failed)?;
    if sniff::compression_of(&head).is_some() {
        return Ok(false);
    }
    let all = Box::new(io::Cursor::new(head).chain(bytes));
    Ok(TextCutter::json(all, true, None)?.encoding() == Encoding::JsonLines)
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
