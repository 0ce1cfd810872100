//! Checks stored bytes against listed digests, and records that they have been checked.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{
    source::{FileDigest, RemoteFile},
    system::{self, FileError, Replacement, Stat},
};
use datac_core::id::FileHash;

/// Version of [`Verified`]. Records of other versions are ignored.
const RECORD_VERSION: u32 = 1;

/// The contents of `<name>.ok`, which is written beside a stored file once its bytes have been hashed.
#[derive(Serialize, Deserialize)]
struct Verified {
    version: u32,
    digest: String,
    stat: Stat,
    recorded_ns: i64,
}

/// Opens a stored file; `None` if it does not exist or its bytes are not the listed ones.
///
/// The bytes are hashed unless a record says that they were, and the file's stat has not changed since.
pub(super) fn open_trusted(path: &Path, file: &RemoteFile) -> Result<Option<File>, FileError> {
    let mut bytes = match system::open(path) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = system::stat_file(&bytes, path)?;
    if stat.size != file.size {
        return Ok(None);
    }
    if !is_recorded(path, file, &stat) {
        if !matches(&mut bytes, file).map_err(|source| reading(path, source))? {
            return Ok(None);
        }
        record(path, file, stat);
    }
    Ok(Some(bytes))
}

/// Returns whether an open file has the listed bytes. The position is at the beginning afterwards.
pub(in crate::source) fn matches(bytes: &mut File, file: &RemoteFile) -> io::Result<bool> {
    bytes.seek(SeekFrom::Start(0))?;
    let (size, digest) = hash(bytes, file.size, file.digest)?;
    bytes.seek(SeekFrom::Start(0))?;
    Ok(size == file.size && digest == file.digest)
}

/// Returns whether a stored file has the digest `digest`, ignoring records; false if `digest` is not a valid digest.
pub fn holds(path: &Path, digest: &str) -> Result<bool, FileError> {
    let Ok(digest) = digest.parse::<FileDigest>() else { return Ok(false) };
    let mut bytes = system::open(path)?;
    let size = system::stat_file(&bytes, path)?.size;
    let (_, found) = hash(&mut bytes, size, digest).map_err(|source| reading(path, source))?;
    Ok(found == digest)
}

/// Returns the digest of a file, of the kind that `like` is.
pub(super) fn digest_of(path: &Path, like: FileDigest) -> Result<FileDigest, FileError> {
    let mut bytes = system::open(path)?;
    let size = system::stat_file(&bytes, path)?.size;
    hash(&mut bytes, size, like).map(|(_, digest)| digest).map_err(|source| reading(path, source))
}

/// Returns the SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the path of a stored file's record.
pub(super) fn record_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ok");
    name.into()
}

fn is_recorded(path: &Path, file: &RemoteFile, stat: &Stat) -> bool {
    const LONGEST: u64 = 4096;
    let Ok(text) = system::read_up_to(&record_path(path), LONGEST) else { return false };
    serde_json::from_slice::<Verified>(&text).is_ok_and(|record| {
        record.version == RECORD_VERSION
            && record.digest == file.digest.to_string()
            && record.stat == *stat
            && !stat.is_racy(record.recorded_ns)
    })
}

/// Records that a file was checked. Errors are ignored: without a record, the file is hashed again.
fn record(path: &Path, file: &RemoteFile, stat: Stat) {
    let record =
        Verified { version: RECORD_VERSION, digest: file.digest.to_string(), stat, recorded_ns: system::now_ns() };
    let text = serde_json::to_vec(&record).expect("a record of plain fields serialises");
    let _ = Replacement::new(&record_path(path)).and_then(|mut replacement| {
        replacement.write_all(&text)?;
        replacement.commit_unsynced()
    });
}

/// Hashes a stream to its end with the algorithm of `like`. `size` is the number that git writes before a blob.
/// Returns the number of bytes read and the digest.
fn hash(bytes: &mut impl Read, size: u64, like: FileDigest) -> io::Result<(u64, FileDigest)> {
    fn feed(bytes: &mut impl Read, mut update: impl FnMut(&[u8])) -> io::Result<u64> {
        let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => return Ok(total),
                Ok(count) => {
                    update(&buffer[..count]);
                    total += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(match like {
        FileDigest::Sha256(_) => {
            let mut hasher = Sha256::new();
            let total = feed(bytes, |part| hasher.update(part))?;
            (total, FileDigest::Sha256(hasher.finalize().into()))
        }
        FileDigest::Git(_) => {
            let mut hasher = Sha1::new();
            hasher.update(format!("blob {size}\0"));
            let total = feed(bytes, |part| hasher.update(part))?;
            (total, FileDigest::Git(hasher.finalize().into()))
        }
        FileDigest::Blake3(_) => {
            let mut hasher = blake3::Hasher::new();
            let total = feed(bytes, |part| _ = hasher.update(part))?;
            (total, FileDigest::Blake3(FileHash::from_bytes(*hasher.finalize().as_bytes())))
        }
    })
}

fn reading(path: &Path, source: io::Error) -> FileError {
    FileError { verb: "read", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(digest: &str, size: u64) -> RemoteFile {
        RemoteFile { path: "a".into(), size, digest: digest.parse().expect("a digest"), etag: None }
    }

    /// The digests of `hello\n`, as printed by `git hash-object` and `sha256sum`.
    const HELLO: [&str; 2] = [
        "git:ce013625030ba8dba906f756967f9e9ca394464a",
        "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
    ];

    #[test]
    fn digests_are_those_of_git_and_sha256sum() {
        for text in HELLO {
            let digest: FileDigest = text.parse().expect("a digest");
            assert_eq!(hash(&mut &b"hello\n"[..], 6, digest).expect("memory reads"), (6, digest));
            assert_ne!(hash(&mut &b"hellp\n"[..], 6, digest).expect("memory reads").1, digest);
        }
        let blake3 = FileDigest::Blake3(FileHash::of(b"hello\n"));
        assert_eq!(hash(&mut &b"hello\n"[..], 6, blake3).expect("memory reads"), (6, blake3));
    }

    #[test]
    fn a_stored_file_is_hashed_again_once_anything_about_it_moved() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("blob");
        let file = listed(HELLO[1], 6);
        assert!(open_trusted(&path, &file).expect("no fault").is_none());

        system::replace(&path, b"hello\n").expect("a file");
        assert!(open_trusted(&path, &file).expect("no fault").is_some());
        assert!(system::exists(&record_path(&path)));

        system::replace(&path, b"hellp\n").expect("a file");
        assert!(open_trusted(&path, &file).expect("no fault").is_none());
        system::replace(&path, b"hello").expect("a file");
        assert!(open_trusted(&path, &file).expect("no fault").is_none());
    }

    #[test]
    fn a_record_counts_only_for_its_digest_its_stat_and_a_settled_clock() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("blob");
        let file = listed(HELLO[1], 6);
        system::replace(&path, b"hello\n").expect("a file");
        let stat = system::stat(&path).expect("a stat");
        let write = |digest: &str, stat: Stat, recorded_ns: i64, version: u32| {
            let text = serde_json::to_vec(&Verified { version, digest: digest.into(), stat, recorded_ns });
            system::replace(&record_path(&path), &text.expect("JSON")).expect("a file");
        };
        let settled = stat.mtime_ns.max(stat.ctime_ns) + 1_000_000_000;
        write(HELLO[1], stat, settled, RECORD_VERSION);
        assert!(is_recorded(&path, &file, &stat));
        write(HELLO[1], stat, stat.mtime_ns, RECORD_VERSION);
        assert!(!is_recorded(&path, &file, &stat), "racy");
        write(HELLO[0], stat, settled, RECORD_VERSION);
        assert!(!is_recorded(&path, &file, &stat), "another digest");
        write(HELLO[1], Stat { inode: stat.inode + 1, ..stat }, settled, RECORD_VERSION);
        assert!(!is_recorded(&path, &file, &stat), "another file");
        write(HELLO[1], stat, settled, RECORD_VERSION + 1);
        assert!(!is_recorded(&path, &file, &stat), "another version");
        system::replace(&record_path(&path), b"{").expect("a file");
        assert!(!is_recorded(&path, &file, &stat), "no JSON");
    }
}
