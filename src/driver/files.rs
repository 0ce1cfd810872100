//! Digests of files on disk, each read once as long as its stat stays the same.

use std::{io::Read, path::Path};

use crate::{
    artifact::Record,
    hash::Digest,
    system::{self, FileError},
};

/// Bytes that are read at once.
const BUFFER: usize = 2 << 20;

/// From here on threads share the hashing of what was read; sharing less takes longer than it saves.
const SHARED: usize = 512 << 10;

/// BLAKE3 of a file, from the stat cache where that can be trusted.
pub(crate) fn digest(record: &Record, path: &Path) -> Result<Digest, FileError> {
    let name = path.to_string_lossy();
    let stat = system::stat(path)?;
    // A stat cache that cannot be read is an empty one.
    if let Ok(Some(digest)) = record.digest_of(&name, &stat) {
        return Ok(digest);
    }
    let begun = system::now_ns();
    let mut file = system::open(path)?;
    let before = system::stat_file(&file, path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER.min(before.size as usize + 1)];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) if read < SHARED => drop(hasher.update(&buffer[..read])),
            Ok(read) => drop(hasher.update_rayon(&buffer[..read])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(FileError { verb: "read", path: path.to_owned(), source }),
        }
    }
    let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
    if system::stat_file(&file, path)? == before {
        record.note_digest(&name, &before, &digest, begun);
    }
    Ok(digest)
}
