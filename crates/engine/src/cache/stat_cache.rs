//! Digests of files on disk. A file is read again only if its stat has changed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
};

use rayon::prelude::*;

use super::Record;
use crate::system::{self, FileError};
use datac_core::{
    hash::{Digest, PIECE, PieceHasher, Pieces},
    id::FileHash,
};

/// Minimum size of a file, in bytes, that threads hash together; for smaller ones sharing costs more than it saves.
const SHARED: u64 = 4 << 20;

/// Number of bytes read at a time; they stay in the processor's caches until they are hashed.
const BLOCK: usize = 128 << 10;

/// Returns the BLAKE3 of a file, from the stat cache if that can be trusted.
pub fn digest(record: &Record, path: &Path) -> Result<FileHash, FileError> {
    Ok(look(record, path, system::now_ns())?.0)
}

/// Returns the BLAKE3 of a file as [`digest`] does, and notes the digests of its pieces, so that a later version of
/// the file can be compared with this one. `begun_ns` is a time before the file is read.
pub fn digest_of_source(record: &Record, path: &Path, begun_ns: i64) -> Result<FileHash, FileError> {
    let (digest, pieces) = look(record, path, begun_ns)?;
    if !pieces.is_empty() {
        record.note_pieces(&path.to_string_lossy(), &digest, pieces);
    }
    Ok(digest)
}

/// Returns the BLAKE3 of a file and of its pieces; no pieces if the file was not read, or not in pieces.
fn look(record: &Record, path: &Path, begun_ns: i64) -> Result<(FileHash, Vec<Digest>), FileError> {
    let name = path.to_string_lossy();
    let stat = system::stat(path)?;
    // A stat cache that cannot be read counts as empty.
    if let Ok(Some(digest)) = record.digest_of(&name, &stat) {
        return Ok((digest, Vec::new()));
    }
    let file = system::open(path)?;
    let before = system::stat_file(&file, path)?;
    let shared = if before.size < SHARED { None } else { by_pieces(&file, before.size) };
    let (digest, pieces) = match shared {
        Some(hashed) => hashed,
        None => {
            let digest = in_one_go(&file, before.size);
            (digest.map_err(|source| FileError { verb: "read", path: path.to_owned(), source })?, Vec::new())
        }
    };
    if system::stat_file(&file, path)? == before {
        record.note_digest(&name, &before, &digest, begun_ns);
    }
    Ok((digest, pieces))
}

/// Hashes a file of `size` bytes and its pieces on all threads; `None` if reading fails. The caller then reads the
/// file from start to end and gets the error.
fn by_pieces(file: &File, size: u64) -> Option<(FileHash, Vec<Digest>)> {
    let count = size.div_ceil(PIECE as u64) as usize;
    let hash = |buffer: &mut Vec<u8>, number: usize| {
        let (mut at, mut hasher) = (number as u64 * PIECE as u64, PieceHasher::new(number));
        let end = size.min(at + PIECE as u64);
        while at < end {
            let bytes = &mut buffer[..BLOCK.min((end - at) as usize)];
            file.read_exact_at(bytes, at).ok()?;
            hasher.update(bytes);
            at += bytes.len() as u64;
        }
        Some(hasher.finish())
    };
    // Each split of the work allocates a buffer, so splits are kept few.
    let at_least = count.div_ceil(4 * rayon::current_num_threads());
    let hashes: Vec<_> = (0..count).into_par_iter().with_min_len(at_least).map_init(|| vec![0; BLOCK], hash).collect();
    let mut pieces = Pieces::default();
    for (number, hash) in hashes.into_iter().enumerate() {
        pieces.add(number, hash?);
    }
    pieces.digest().map(FileHash::new).zip(pieces.hashes())
}

fn in_one_go(mut file: &File, size: u64) -> io::Result<FileHash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BLOCK.min(size as usize + 1)];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(FileHash::from_bytes(*hasher.finalize().as_bytes())),
            Ok(read) => drop(hasher.update(&buffer[..read])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_hashes_alike_by_pieces_and_in_one_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> =
            (0..PIECE as u32 * 3 / 2).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        system::replace(&path, &bytes).unwrap();
        let open = || system::open(&path).unwrap();
        assert_eq!(by_pieces(&open(), bytes.len() as u64).unwrap().0, FileHash::of(&bytes));
        assert_eq!(in_one_go(&open(), 7).unwrap(), FileHash::of(&bytes));
        assert_eq!(by_pieces(&open(), bytes.len() as u64 + 1), None, "it is shorter than its stat said");
    }
}
