//! A pipe between processes that is read and written a byte at a time, and never waited for.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

/// Makes reads return at once. The value is that of every Linux that Rust's first two tiers run on, and of macOS.
const O_NONBLOCK: i32 = if cfg!(target_os = "linux") { 0o4000 } else { 4 };

/// A pipe whose bytes are tokens: whoever reads one holds it until it is written back.
#[derive(Debug)]
pub struct TokenPipe {
    read: File,
    write: File,
}

impl TokenPipe {
    /// Opens a pipe that has a name; `None` if there is no pipe of that name.
    pub fn named(path: &Path) -> Option<Self> {
        // Open for both, neither end waits for the other.
        let read = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(path).ok()?;
        let write = read.try_clone().ok()?;
        Self::checked(read, write)
    }

    /// Opens a pipe that this process was started with, by the numbers of its ends; `None` if they are no ends of one
    /// pipe, or the system cannot open them anew.
    ///
    /// To be called before anything else is opened: a number that was not handed on may be given to another file.
    pub fn inherited(read: u32, write: u32) -> Option<Self> {
        // Linux opens the pipe itself, with flags of its own. Elsewhere the end would be shared as it is, and making its
        // reads return at once would change it for every process that has it.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let end = |number: u32| format!("/proc/self/fd/{number}");
        let read = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(end(read)).ok()?;
        let write = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(end(write)).ok()?;
        Self::checked(read, write)
    }

    fn checked(read: File, write: File) -> Option<Self> {
        let (one, other) = (read.metadata().ok()?, write.metadata().ok()?);
        let is_pipe = one.file_type().is_fifo() && (one.dev(), one.ino()) == (other.dev(), other.ino());
        is_pipe.then_some(Self { read, write })
    }

    /// Takes a token, if one is to be had now; an error means that none will ever be.
    pub fn take(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match (&self.read).read(&mut byte) {
                Ok(1) => return Ok(Some(byte[0])),
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a token back.
    pub fn give(&self, token: u8) {
        // If the pipe is closed there is no one left who waits for it.
        (&self.write).write_all(&[token]).ok();
    }
}
