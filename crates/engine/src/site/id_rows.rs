//! The rows of files of bare token ids as lines of JSON.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use super::output_rows::BUFFER;
use crate::system::{self, FileError};
use datac_core::outputs::{Container, IdType};

/// Bytes before the lengths in the index of an indexed dataset.
const HEAD: usize = 34;

/// Opens a file of bare token ids, and returns a row for each sample: `{"input_ids":[…]}`.
pub(super) fn id_lines(path: &Path, container: Container) -> Result<Box<dyn BufRead + Send>, FileError> {
    let open = |path: &Path| Ok::<_, FileError>(BufReader::with_capacity(BUFFER, system::open(path)?));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts: Vec<_> = container.parts(&name).into_iter().map(|part| path.with_file_name(part)).collect();
    let rows: Rows = match &parts[..] {
        [index] => {
            let failed = |source| FileError { verb: "read", path: index.clone(), source };
            let mut index = open(index)?;
            let (of, count) = indexed_head(&mut index).map_err(failed)?;
            Rows { ids: open(path)?, of, lengths: Box::new(Lengths { index, left: count }) }
        }
        _ => unreachable!("the container is one of bare ids"),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, Lines { rows, line: Vec::new(), at: 0 })))
}

/// Reads the head of an index: the type of the ids, and the number of sequences.
fn indexed_head(index: &mut impl Read) -> io::Result<(IdType, u64)> {
    let mut head = [0; HEAD];
    index.read_exact(&mut head)?;
    let of = match (&head[..9], head[17]) {
        (b"MMIDIDX\0\0", 4) => IdType::I32,
        (b"MMIDIDX\0\0", 8) => IdType::U16,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no index as datac writes them")),
    };
    let count = head[18..26].try_into().expect("a slice of eight bytes");
    Ok((of, u64::from_le_bytes(count)))
}

/// The lengths of sequences, one after another.
struct Lengths<R> {
    index: R,
    left: u64,
}

impl<R: Read> Iterator for Lengths<R> {
    type Item = io::Result<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut length = [0; 4];
        Some(self.index.read_exact(&mut length).map(|()| u32::from_le_bytes(length).into()))
    }
}

/// Reads rows, whose lengths stand elsewhere.
struct Rows {
    ids: BufReader<std::fs::File>,
    of: IdType,
    lengths: Box<dyn Iterator<Item = io::Result<u64>> + Send>,
}

impl Rows {
    /// Writes the next row, with a line feed; returns false if there is none.
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        let Some(length) = self.lengths.next().transpose()? else { return Ok(false) };
        let mut buffer = itoa::Buffer::new();
        line.extend_from_slice(b"{\"input_ids\":[");
        for number in 0..length {
            let mut bytes = [0; 4];
            self.ids.read_exact(&mut bytes[..self.of.bytes()])?;
            let comma: &[u8] = if number == 0 { b"" } else { b"," };
            line.extend_from_slice(comma);
            line.extend_from_slice(buffer.format(u32::from_le_bytes(bytes)).as_bytes());
        }
        line.extend_from_slice(b"]}\n");
        Ok(true)
    }
}

/// The lines of rows.
struct Lines {
    rows: Rows,
    line: Vec<u8>,
    at: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            self.at = 0;
            if !self.rows.next(&mut self.line)? {
                return Ok(0);
            }
        }
        let count = (self.line.len() - self.at).min(buffer.len());
        buffer[..count].copy_from_slice(&self.line[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
