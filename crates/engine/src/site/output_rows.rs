//! The rows of an output as lines of JSON, whatever they lie in.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use datac_core::{
    format::{Compression, FileKind, RowFormat},
    outputs::Container,
};
use datac_decode::{Cutter, Input};

use super::id_rows::id_lines;
use crate::system::{self, FileError};

/// Size of the buffer that files are read through, in bytes.
pub(super) const BUFFER: usize = 1 << 20;

/// Opens an output, whose name says what its rows lie in, and returns its rows as lines of JSON.
pub(crate) fn lines_of(path: &Path) -> Result<Box<dyn BufRead + Send>, FileError> {
    let file = system::open(path)?;
    let kind = match Container::of(path) {
        Some(Container::Parquet) => FileKind { format: RowFormat::Parquet, compression: Compression::None },
        Some(Container::Arrow) => FileKind { format: RowFormat::Arrow, compression: Compression::None },
        Some(Container::JsonlZst) => FileKind { format: RowFormat::Jsonl, compression: Compression::Zstd },
        Some(container @ (Container::Bin | Container::Npy)) => return id_lines(path, container),
        Some(Container::Jsonl) | None => return Ok(Box::new(BufReader::with_capacity(BUFFER, file))),
    };
    let cutter = datac_decode::open(Input::File(file), kind).map_err(|error| {
        let source = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        FileError { verb: "read", path: path.to_owned(), source }
    })?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, Lines { cutter, lines: Vec::new(), at: 0 })))
}

/// Reads rows chunk by chunk.
struct Lines {
    cutter: Cutter,
    /// The rows of the current chunk.
    lines: Vec<u8>,
    /// Number of their bytes that were read.
    at: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.lines.len() {
            let chunk = self.cutter.next_chunk();
            let chunk = chunk.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let Some(chunk) = chunk else { return Ok(0) };
            (self.at, self.lines) = (0, Vec::new());
            for span in chunk.spans() {
                self.lines.extend_from_slice(chunk.raw(span).trim_end().as_bytes());
                self.lines.push(b'\n');
            }
        }
        let count = (self.lines.len() - self.at).min(buffer.len());
        buffer[..count].copy_from_slice(&self.lines[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
