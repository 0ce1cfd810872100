//! Tests decoding against independent readers, edits, and files made to break it.

mod cutting;
mod hostile;
mod rows;
mod values;

use std::io::{self, Cursor, Read, Seek, Write};

use super::*;
use datac_core::row::{self, RawRow, Reason, Value};

/// A generator of pseudo-random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 32)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A reader that returns at most so many bytes at a time.
struct Drip<R>(R, usize);

impl<R: Read> Read for Drip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.1);
        self.0.read(&mut into[..length])
    }
}

fn kind(format: RowFormat, compression: Compression) -> FileKind {
    FileKind { format, compression }
}

fn input(bytes: &[u8]) -> Input {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

fn rest(mut cutter: Cutter) -> Result<Vec<Chunk>, DecodeError> {
    let mut chunks = Vec::new();
    while let Some(chunk) = cutter.next_chunk()? {
        chunks.push(chunk);
    }
    assert!(matches!(cutter.next_chunk(), Ok(None)), "the end stays the end");
    Ok(chunks)
}

fn chunks(kind: FileKind, file: &[u8]) -> Result<Vec<Chunk>, DecodeError> {
    rest(open(input(file), kind)?)
}

/// Returns the chunks of bytes that are not in a file.
fn streamed(format: RowFormat, bytes: impl Read + Send + 'static) -> Result<Vec<Chunk>, DecodeError> {
    rest(Cutter::Text(Box::new(cut(Box::new(bytes), format, &Reading::default())?)))
}

fn owned(row: &RawRow<'_>) -> RawRow<'static> {
    let value = |value: &Value<'_>| match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Number(text) => Value::Number(text.to_string().into()),
        Value::String(text) => Value::String(text.to_string().into()),
        Value::Json(text) => Value::Json(text.to_string().into()),
        Value::Printed { kind, text } => {
            Value::Printed { kind: kind.to_string().into(), text: text.to_string().into() }
        }
    };
    RawRow::new(row.fields.iter().map(|(name, v)| (name.to_string().into(), value(v))).collect())
}

/// A row as it was read, with the number of lines before it in its file.
type Read_ = (Result<RawRow<'static>, Reason>, u64);

fn parsed(chunks: &[Chunk]) -> Vec<Read_> {
    let mut rows = Vec::new();
    for chunk in chunks {
        chunk.for_each_row(|_, span, row| {
            let row = row.as_ref().map(owned).map_err(|reject| reject.reason);
            rows.push((row, chunk.place.first_line + u64::from(span.line)));
        });
    }
    rows
}

/// Returns the reasons of rejected rows; `None` for rows that are fine.
fn reasons(chunks: &[Chunk]) -> Vec<Option<Reason>> {
    parsed(chunks).into_iter().map(|(row, _)| row.err()).collect()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Compresses `plain` as `parts` gzip members or Zstandard frames.
pub(crate) fn pack(compression: Compression, plain: &[u8], parts: usize) -> Vec<u8> {
    let parts = plain.chunks((plain.len() / parts).max(1)).chain(plain.is_empty().then_some(plain));
    match compression {
        Compression::None => plain.to_vec(),
        Compression::Gzip => parts.flat_map(gzip).collect(),
        Compression::Zstd => parts.flat_map(|part| zstd::encode_all(part, 1).unwrap()).collect(),
        Compression::Xz => {
            let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        }
        Compression::Bzip2 => parts
            .flat_map(|part| {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            })
            .collect(),
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Checks that the rows of chunks are counted right and that their places are those of their bytes.
fn check_places(chunks: &[Chunk], plain: &[u8]) {
    let (mut rows, mut end) = (0, 0);
    for chunk in chunks {
        let place = chunk.place;
        assert_eq!(chunk.rows as usize, chunk.spans().len());
        assert_eq!(place.first_row, rows);
        assert!(place.offset >= end, "chunks do not overlap");
        rows += u64::from(chunk.rows);
        end = place.offset + place.length;
        let bytes = &plain[place.offset as usize..end as usize];
        assert_eq!(place.first_line, newlines(&plain[..place.offset as usize]));
        if place.overlong {
            assert_eq!(chunk.bytes.len(), MAX_ROW_BYTES + 1);
        } else {
            assert!(*bytes == *chunk.bytes, "a chunk is the bytes at its place");
            assert_eq!(chunk.lines(), newlines(bytes));
        }
    }
}

/// Reads the chunks chosen by `pick` again, and checks that they are unchanged.
fn check_reread(file: &[u8], kind: FileKind, chunks: &[Chunk], mut pick: impl FnMut(usize) -> bool) {
    let Some(first) = chunks.first() else { return };
    let picked: Vec<&Chunk> = chunks.iter().enumerate().filter(|(i, _)| pick(*i)).map(|(_, chunk)| chunk).collect();
    let places: Vec<_> = picked.iter().map(|chunk| (chunk.place, chunk.rows)).collect();
    let mut found = Vec::new();
    reread(input(file), kind, (first.encoding, first.header.clone()), &places, |i, chunk| {
        assert_eq!(i, found.len());
        found.push(chunk);
    })
    .unwrap();
    assert!(found.iter().eq(picked), "chunks read again are the same");
}
