//! A file that was replaced, written over where it lies: its room on the disk need not be freed and found again.
//!
//! Whoever has it open would read what is written there now. So it is done only where the system says that no one does,
//! and where it would know.

use std::{io, path::Path};

use tempfile::NamedTempFile;

/// Has a file read as zeros, if it may be [reused](reuse). That takes a while where memory still holds it.
#[cfg(target_os = "linux")]
pub(super) fn empty(kept: &Path) -> io::Result<()> {
    let file = std::fs::File::options().write(true).open(kept)?;
    emptied(&file).map(drop)
}

/// Takes the file at `kept` for the one in `temporary`, which is new and empty, under its name. Its bytes are gone: it
/// reads as zeros, as far as it goes, or up to `bytes`.
///
/// Where that cannot be done, or may not be, both files are still there.
#[cfg(target_os = "linux")]
pub(super) fn reuse(kept: &Path, temporary: &mut NamedTempFile, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let file = std::fs::File::options().read(true).write(true).open(kept)?;
    let lease = emptied(&file)?;
    let (found, new) = (file.metadata()?, temporary.as_file().metadata()?);
    let like = |meta: &std::fs::Metadata| (meta.dev(), meta.uid(), meta.gid(), meta.mode());
    if like(&found) != like(&new) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    if found.len() > bytes {
        file.set_len(bytes)?;
    }
    std::fs::rename(kept, temporary.path())?;
    drop(lease);
    *temporary.as_file_mut() = file;
    Ok(())
}

/// Has a file read as zeros that no one else has open, or will have open while the lease lasts.
#[cfg(target_os = "linux")]
fn emptied(file: &std::fs::File) -> io::Result<super::linux::Lease<'_>> {
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::{FallocateFlags, fallocate, fstatfs};

    let lease = super::linux::Lease::of(file)?;
    let meta = file.metadata()?;
    // Whoever has it under another name may open it there. Other file systems free what is to read as zeros, know nothing
    // of who reads elsewhere, or both.
    if meta.nlink() > 1 || fstatfs(file)?.f_type != EXT4 || serves_nfs()? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // Not cut off, which would free it. What memory still holds of the file leaves it: whoever was handed that, say
    // through a pipe, keeps it as it was.
    fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, 0, meta.len())?;
    Ok(lease)
}

/// What Linux calls ext2, ext3 and ext4.
#[cfg(target_os = "linux")]
const EXT4: rustix::fs::FsWord = 0xEF53;

/// Whether this machine may serve files to others, whose reading shows in no open file: NFS before version 4 knows none.
#[cfg(target_os = "linux")]
fn serves_nfs() -> io::Result<bool> {
    let known = std::fs::read_to_string("/proc/filesystems")?;
    Ok(known.lines().any(|line| line.split_whitespace().next_back() == Some("nfsd")))
}

/// Elsewhere no one would say who has a file open.
#[cfg(not(target_os = "linux"))]
pub(super) fn empty(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// See [`empty`].
#[cfg(not(target_os = "linux"))]
pub(super) fn reuse(_: &Path, _: &mut NamedTempFile, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
