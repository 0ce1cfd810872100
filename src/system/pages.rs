//! What the system holds of files in memory.

use std::{fs::File, num::NonZeroU64, ops::Range};

/// Tells the system that some bytes of a file need not be in memory. It frees what the disk has, and
/// begins to write out what the disk has not: so says Linux's `mm/fadvise.c` of `POSIX_FADV_DONTNEED`. Elsewhere nothing
/// happens, and no one may rely on more.
pub fn let_go(file: &File, bytes: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(length) = bytes.end.checked_sub(bytes.start).and_then(NonZeroU64::new) {
        rustix::fs::fadvise(file, bytes.start, Some(length), rustix::fs::Advice::DontNeed).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}
