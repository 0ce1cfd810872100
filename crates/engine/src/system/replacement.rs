//! Replaces files atomically.

use std::{
    fs::File,
    io::{self, Write},
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{FileError, Stat, at, stat, stat_file, sync_dir};

/// A file that is being written beside its destination. If it is dropped before it is put in place, it leaves nothing
/// behind.
#[derive(Debug)]
pub struct Replacement {
    temporary: tempfile::NamedTempFile,
    destination: PathBuf,
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Prefix and suffix of the names of unfinished replacements.
pub(super) const LEFT_OVER: (&str, &str) = (".datac-", ".part");

impl Replacement {
    /// Returns whether a file of this name is a replacement that was begun but not put in place.
    pub fn is_left_over(name: &str) -> bool {
        name.starts_with(LEFT_OVER.0) && name.ends_with(LEFT_OVER.1)
    }

    /// Begins a replacement of `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, FileError> {
        let folder = destination.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(LEFT_OVER.0)
            .suffix(LEFT_OVER.1)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(at("write beside", destination))?;
        Ok(Self { temporary, destination: destination.to_owned() })
    }

    /// Changes where the file is to go, within the same folder.
    pub fn go_to(&mut self, destination: PathBuf) {
        self.destination = destination;
    }

    /// Reserves disk space for `bytes` bytes, so that a full disk is noticed before the first of them is written.
    ///
    /// The length of the file does not change. If the file system cannot reserve space, this does nothing.
    pub fn reserve(&self, bytes: u64) -> Result<(), FileError> {
        reserve(self.temporary.as_file(), bytes).map_err(at("write", &self.destination))
    }

    /// Truncates the file to `bytes` bytes.
    pub fn cut_off(&self, bytes: u64) -> Result<(), FileError> {
        self.temporary.as_file().set_len(bytes).map_err(at("write", &self.destination))
    }

    /// Appends bytes to the file.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.temporary.write_all(bytes).map_err(at("write", &self.destination))
    }

    /// Writes bytes at an offset. Other threads may write at other offsets at the same time.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), FileError> {
        self.temporary.as_file().write_all_at(bytes, offset).map_err(at("write", &self.destination))
    }

    /// Has the disk begin to take bytes that have been written, so that syncing the file takes less time. Elsewhere than on Linux
    /// this does nothing.
    pub fn write_out(&self, bytes: Range<u64>) {
        write_out(self.temporary.as_file(), bytes);
    }

    /// Reads bytes that have been written.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), FileError> {
        self.temporary.as_file().read_exact_at(bytes, offset).map_err(at("read", self.temporary.path()))
    }

    /// Puts the file in place without syncing it, for content that is checked on every read.
    pub fn commit_unsynced(self) -> Result<(), FileError> {
        self.temporary.persist(&self.destination).map(drop).map_err(|error| at("write", &self.destination)(error.error))
    }

    /// Puts the file at `path`, which must be on the same file system, without syncing it. Returns its size.
    pub fn commit_unsynced_at(mut self, path: &Path) -> Result<u64, FileError> {
        self.destination = path.to_owned();
        let bytes = stat_file(self.temporary.as_file(), path)?.size;
        self.commit_unsynced().map(|()| bytes)
    }

    /// Syncs the file and puts it in place, unless the destination exists. Returns whether it did.
    pub fn commit_new(self) -> Result<bool, FileError> {
        self.temporary.as_file().sync_all().map_err(at("sync", &self.destination))?;
        match self.temporary.persist_noclobber(&self.destination) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(at("write", &self.destination)(error.error)),
        }
        self.destination.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), sync_dir)?;
        Ok(true)
    }

    /// Syncs the file to disk, and closes it.
    pub fn synced(self) -> Result<Synced, FileError> {
        let Self { temporary, destination } = self;
        temporary.as_file().sync_all().map_err(at("sync", &destination))?;
        Ok(Synced { path: temporary.into_temp_path(), destination })
    }
}

/// A file beside its destination that the disk has. If it is dropped before it is put in place, it leaves nothing behind.
#[derive(Debug)]
pub struct Synced {
    path: tempfile::TempPath,
    destination: PathBuf,
}

impl Synced {
    /// Renames the file to its destination and returns its stat. The rename only survives a power cut once the folder
    /// is synced.
    pub fn put_in_place(self) -> Result<Stat, FileError> {
        self.path.persist(&self.destination).map_err(|error| at("write", &self.destination)(error.error))?;
        stat(&self.destination)
    }
}

/// Tells Linux that bytes of a file are not needed in memory. It begins to write those that the disk does not have, and keeps
/// them until it has.
fn write_out(file: &File, bytes: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(length) = bytes.end.checked_sub(bytes.start).and_then(NonZeroU64::new) {
        rustix::fs::fadvise(file, bytes.start, Some(length), rustix::fs::Advice::DontNeed).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}

/// Reserves disk space for a file without changing its length.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if bytes > 0 {
        use rustix::{fs::FallocateFlags, io::Errno};
        if let Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) =
            rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes)
        {
            return Err(error.into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_written_out_stay() {
        let (file, bytes) = (tempfile::tempfile().unwrap(), vec![7; 3 << 20]);
        file.write_all_at(&bytes, 0).unwrap();
        write_out(&file, 0..2 << 20);
        write_out(&file, 5..5);
        let mut read = vec![0; bytes.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn reserved_space_is_no_part_of_the_file_and_too_much_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        reserve(&file, 0).unwrap();
        reserve(&file, 3 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        if cfg!(target_os = "linux") {
            // The largest possible file, larger than any disk.
            let error = reserve(&file, i64::MAX as u64).unwrap_err();
            let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
    }
}
