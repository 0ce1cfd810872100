//! An output file being written: hashed on the way, in place only once it is whole and only if it is new.

use std::path::{Path, PathBuf};

use crate::{
    hash::Digest,
    system::{FileError, Replacement, Stat},
};

const BUFFER: usize = 1 << 20;

/// A file being written beside its destination.
pub struct Sink {
    replacement: Replacement,
    destination: PathBuf,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    bytes: u64,
}

/// A file that was written and not yet put in place.
pub struct Written {
    replacement: Replacement,
    /// Where it belongs.
    pub destination: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

impl Sink {
    /// Starts a file for `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, FileError> {
        Ok(Self {
            replacement: Replacement::new(destination)?,
            destination: destination.to_owned(),
            hasher: blake3::Hasher::new(),
            buffer: Vec::with_capacity(BUFFER + (64 << 10)),
            bytes: 0,
        })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.drain() } else { Ok(()) }
    }

    fn drain(&mut self) -> Result<(), FileError> {
        self.hasher.update(&self.buffer);
        self.replacement.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<Written, FileError> {
        self.drain()?;
        let digest = Digest::from_bytes(*self.hasher.finalize().as_bytes());
        Ok(Written { replacement: self.replacement, destination: self.destination, digest, bytes: self.bytes })
    }
}

impl Written {
    /// Puts the file in place, synced; returns its stat.
    pub fn put_in_place(self) -> Result<Stat, FileError> {
        self.replacement.commit()
    }
}
