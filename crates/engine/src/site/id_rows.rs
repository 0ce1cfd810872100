//! The rows of files of bare token ids as lines of JSON.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::read::GzDecoder;

use super::output_rows::BUFFER;
use crate::system::{self, FileError};
use datac_core::outputs::{Container, IdType};

/// Bytes before the lengths in the index of an indexed dataset.
const HEAD: usize = 34;

/// Opens a file of bare token ids, and returns a row for each sample: `{"input_ids":[…]}`, with `id` and `label_mask` if the files
/// beside it have them.
pub(super) fn id_lines(path: &Path, container: Container) -> Result<Box<dyn BufRead + Send>, FileError> {
    let open = |path: &Path| Ok::<_, FileError>(BufReader::with_capacity(BUFFER, system::open(path)?));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts: Vec<_> = container.parts(&name).into_iter().map(|part| path.with_file_name(part)).collect();
    let rows = match &parts[..] {
        [index] => {
            let failed = |source| FileError { verb: "read", path: index.clone(), source };
            let mut index = open(index)?;
            let (of, count) = indexed_head(&mut index).map_err(failed)?;
            Rows { ids: open(path)?, width: of.bytes(), mask: None, places: Box::new(Lengths { index, left: count }) }
        }
        [mask, documents] => {
            let failed = |source| FileError { verb: "read", path: path.to_owned(), source };
            let (ids, count) = (system::stat(path)?.size, system::stat(mask)?.size);
            // There is a byte of the mask for each id.
            let width = ids.checked_div(count).filter(|width| width * count == ids && matches!(width, 1 | 2 | 4));
            let width = width.ok_or_else(|| failed(invalid("its size is not that of the ids of its mask")))?;
            let documents = BufReader::new(GzDecoder::new(open(documents)?));
            let places = Box::new(Documents { documents, end: 0 });
            Rows { ids: open(path)?, width: width as usize, mask: Some(open(mask)?), places }
        }
        _ => unreachable!("the container is one of bare ids"),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, Lines { rows, line: Vec::new(), at: 0 })))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Reads the head of an index: the type of the ids, and the number of sequences.
fn indexed_head(index: &mut impl Read) -> io::Result<(IdType, u64)> {
    let mut head = [0; HEAD];
    index.read_exact(&mut head)?;
    let of = match (&head[..9], head[17]) {
        (b"MMIDIDX\0\0", 4) => IdType::I32,
        (b"MMIDIDX\0\0", 8) => IdType::U16,
        _ => return Err(invalid("it is no index as datac writes them")),
    };
    let count = head[18..26].try_into().expect("a slice of eight bytes");
    Ok((of, u64::from_le_bytes(count)))
}

/// A row: its `id`, if it has one, and the number of its ids.
type RowPlace = (Option<String>, u64);

/// The rows of an index, one after another.
struct Lengths<R> {
    index: R,
    left: u64,
}

impl<R: Read> Iterator for Lengths<R> {
    type Item = io::Result<RowPlace>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut length = [0; 4];
        Some(self.index.read_exact(&mut length).map(|()| (None, u32::from_le_bytes(length).into())))
    }
}

/// The rows of a list of documents, one after another.
struct Documents<R> {
    documents: R,
    end: u64,
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = io::Result<RowPlace>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.documents.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        let mut parts = line.trim_end().split(',');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (Some(begin), Some(end)) = (number(), number()) else {
            return Some(Err(invalid("a line of the list of documents is not of two numbers")));
        };
        if begin != self.end || end < begin {
            return Some(Err(invalid("documents do not stand one after another")));
        }
        self.end = end;
        Some(Ok((parts.next().map(str::to_owned), end - begin)))
    }
}

/// Reads rows, whose places stand elsewhere.
struct Rows {
    ids: BufReader<File>,
    /// Number of bytes of an id.
    width: usize,
    mask: Option<BufReader<File>>,
    places: Box<dyn Iterator<Item = io::Result<RowPlace>> + Send>,
}

impl Rows {
    /// Writes the next row, with a line feed; returns false if there is none.
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        let Some((id, length)) = self.places.next().transpose()? else { return Ok(false) };
        line.push(b'{');
        if let Some(id) = id {
            line.extend_from_slice(format!("\"id\":\"{id}\",").as_bytes());
        }
        numbers("input_ids", &mut self.ids, self.width, length, line)?;
        if let Some(mask) = &mut self.mask {
            line.push(b',');
            numbers("label_mask", mask, 1, length, line)?;
        }
        line.extend_from_slice(b"}\n");
        Ok(true)
    }
}

/// Reads numbers of `width` bytes, and writes them as a list under a name.
fn numbers(name: &str, from: &mut impl Read, width: usize, count: u64, line: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = itoa::Buffer::new();
    line.extend_from_slice(format!("\"{name}\":[").as_bytes());
    for number in 0..count {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes[..width])?;
        let comma: &[u8] = if number == 0 { b"" } else { b"," };
        line.extend_from_slice(comma);
        line.extend_from_slice(buffer.format(u32::from_le_bytes(bytes)).as_bytes());
    }
    line.push(b']');
    Ok(())
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
