//! What disks do to files.

use std::{fs, path::Path};

/// Turns one bit in the middle.
pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Takes the second half away.
pub(crate) fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// Takes all of it away.
pub(crate) fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}
