//! Calls of Linux that no crate offers as safe ones. All take numbers alone.
#![expect(unsafe_code, reason = "rustix and nix have neither")]

use std::{fs::File, io, ops::Range, os::fd::AsRawFd};

/// A write lease, see `fcntl(2)`: given only while no one else has the file open, in whatever way.
pub(super) struct Lease<'f>(&'f File);

/// Which signal says that others wait for a lease's end: of `asm-generic/fcntl.h`, and not in libc.
const F_SETSIG: libc::c_int = 10;

impl<'f> Lease<'f> {
    /// Takes it; until it is dropped, whoever opens the file waits.
    pub(super) fn of(file: &'f File) -> io::Result<Self> {
        // The signal that tells of those would end the process if it were not one that is mostly ignored.
        fcntl(file, F_SETSIG, libc::SIGURG)?;
        fcntl(file, libc::F_SETLEASE, libc::F_WRLCK)?;
        Ok(Self(file))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        fcntl(self.0, libc::F_SETLEASE, libc::F_UNLCK).ok();
    }
}

/// Gives one of those commands that take a number.
fn fcntl(file: &File, command: libc::c_int, number: libc::c_int) -> io::Result<()> {
    // SAFETY: the file is open, and no memory is handed over.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Begins to write out what the disk does not have of some bytes of a file, and waits for none of it.
pub(super) fn write_out(file: &File, bytes: Range<u64>) -> io::Result<()> {
    let number = |number: u64| number.try_into().map_err(|_| io::ErrorKind::InvalidInput);
    let (begin, length) = (number(bytes.start)?, number(bytes.end.saturating_sub(bytes.start))?);
    // SAFETY: the file is open, and no memory is handed over.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), begin, length, libc::SYNC_FILE_RANGE_WRITE) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
