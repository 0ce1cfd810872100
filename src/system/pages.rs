//! What the system holds of files in memory, and on the disk for those to come.

use std::{fs::File, io, num::NonZeroU64, ops::Range};

/// Tells the system that some bytes of a file, which the disk has, need not be in memory.
pub(super) fn let_go(file: &File, bytes: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(length) = bytes.end.checked_sub(bytes.start).and_then(NonZeroU64::new) {
        rustix::fs::fadvise(file, bytes.start, Some(length), rustix::fs::Advice::DontNeed).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}

/// Has the disk begin to take some bytes of a file, which stay in memory. Nothing may rest on it: elsewhere than on Linux
/// nothing happens, and what goes wrong shows when the file is synced.
pub(super) fn write_out(file: &File, bytes: Range<u64>) {
    #[cfg(target_os = "linux")]
    super::linux::write_out(file, bytes).ok();
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}

/// Reserves so many bytes of the disk for a file, whose length stays as it is: it then need not look for them bit by bit,
/// and says before the first of them is written if it has too few. A file system that cannot do so does nothing.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
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
    fn what_is_reserved_is_no_part_of_the_file_and_more_than_there_is_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        reserve(&file, 0).unwrap();
        reserve(&file, 3 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        if cfg!(target_os = "linux") {
            // The largest file there can be: larger than any disk.
            let error = reserve(&file, i64::MAX as u64).unwrap_err();
            let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
    }
}
