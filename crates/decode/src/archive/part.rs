//! A stretch of a file, and readers that check what is unpacked of one.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;
use flate2::Crc;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use super::super::{DecodeError, Input, sniff};

/// The bytes of a member that lies in its archive as it is. Several readers of one archive do not disturb each other.
#[derive(Clone, Debug)]
pub struct Part {
    bytes: Source,
    start: u64,
    length: u64,
    /// Position of the next byte to read, from `start`.
    at: u64,
    crc: Option<u32>,
}

#[derive(Clone, Debug)]
enum Source {
    File(Arc<File>),
    Static(&'static [u8]),
}

impl Part {
    /// Returns all bytes of a file that allows random access.
    pub(super) fn whole(input: Input) -> Result<Self, DecodeError> {
        let failed = |error: io::Error| DecodeError::Read { offset: 0, reason: error.to_string() };
        let (bytes, length) = match input {
            Input::File(file) => {
                let length = file.metadata().map_err(failed)?.len();
                (Source::File(Arc::new(file)), length)
            }
            Input::Static(bytes) => (Source::Static(bytes), bytes.len() as u64),
            Input::Part(part) => return Ok(part),
            Input::Forward(_) => return Err(DecodeError::Archive("an archive in an archive is not read".to_owned())),
        };
        Ok(Self { bytes, start: 0, length, at: 0, crc: None })
    }

    /// Returns a stretch of these bytes.
    pub(super) fn within(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        let length = length.min(self.length - offset);
        Self { bytes: self.bytes.clone(), start: self.start + offset, length, at: 0, crc: None }
    }

    pub(super) fn with_crc(self, crc: Option<u32>) -> Self {
        Self { crc, ..self }
    }

    pub(super) fn crc(&self) -> Option<u32> {
        self.crc
    }

    /// Returns the number of bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the first bytes, wherever the reader stands.
    pub(crate) fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.within(0, sniff::LOOKED_AT as u64).read_to_end(&mut head)?;
        Ok(head)
    }
}

impl Read for Part {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.length - self.at).unwrap_or(usize::MAX).min(into.len());
        let (at, into) = (self.start + self.at, &mut into[..most]);
        let read = match &self.bytes {
            Source::File(file) => file.read_at(into, at)?,
            Source::Static(bytes) => {
                // A part never reaches beyond its file.
                into.copy_from_slice(&bytes[at as usize..at as usize + most]);
                most
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Part {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(distance) => self.length.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
        };
        let at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.at = at.min(self.length);
        Ok(self.at)
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Part {
    type T = BufReader<Self>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(self.within(start, self.length)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // The length is the file's own word, which may be wrong.
        let part = self.within(start, length as u64);
        if part.length != length as u64 {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are more than there are")));
        }
        let mut bytes = vec![0; length];
        { part }.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Compares what is unpacked with what the archive states of it, at the end.
pub(super) struct Checked {
    inner: Box<dyn Read + Send>,
    left: u64,
    sum: Option<(Crc, u32)>,
}

impl Checked {
    pub(super) fn new(inner: Box<dyn Read + Send>, size: u64, crc: Option<u32>) -> Self {
        Self { inner, left: size, sum: crc.map(|crc| (Crc::new(), crc)) }
    }
}

impl Read for Checked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(into)?;
        if read as u64 > self.left {
            return Err(io::Error::other("it unpacks to more bytes than the archive says"));
        }
        if read == 0 && self.left > 0 {
            return Err(io::Error::other(format!("it ends {} bytes before its end", self.left)));
        }
        self.left -= read as u64;
        if let Some((sum, expected)) = &mut self.sum {
            sum.update(&into[..read]);
            if read == 0 && sum.sum() != *expected {
                return Err(io::Error::other("it does not have the checksum that the archive states"));
            }
        }
        Ok(read)
    }
}

/// A reader whose first bytes have been looked at.
pub(super) struct Peeked {
    head: Vec<u8>,
    given: usize,
    rest: Box<dyn Read + Send>,
}

impl Peeked {
    pub(super) fn new(mut rest: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut head = Vec::new();
        rest.by_ref().take(sniff::LOOKED_AT as u64).read_to_end(&mut head)?;
        Ok(Self { head, given: 0, rest })
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }
}

impl Read for Peeked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = &self.head[self.given..];
        if left.is_empty() {
            return self.rest.read(into);
        }
        let most = left.len().min(into.len());
        into[..most].copy_from_slice(&left[..most]);
        self.given += most;
        Ok(most)
    }
}
