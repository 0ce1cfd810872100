//! The file `datac.lock` of a workspace.

use std::path::PathBuf;

use super::WorkspaceError;
use crate::{source::lock::LockFile, system};
use datac_core::{
    failure::{Failure, FailureKind},
    id::FileHash,
};

/// A handle to `datac.lock`, which may not exist.
pub(crate) struct LockStore {
    path: PathBuf,
}

impl LockStore {
    /// Creates a handle to the lock at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the lock, and returns it with the digest of its text. A missing lock is empty.
    pub(crate) fn read(&self) -> Result<(LockFile, FileHash), WorkspaceError> {
        let bytes = self.text()?;
        let digest = FileHash::of(&bytes);
        if bytes.is_empty() {
            return Ok((LockFile::default(), digest));
        }
        let parsed = std::str::from_utf8(&bytes).map_err(|error| error.to_string());
        let lock =
            parsed.and_then(|text| LockFile::parse(text).map_err(|error| error.to_string())).map_err(|reason| {
                Failure::new(FailureKind::Lock, format!("use `datac.lock`: {reason}"))
                    .hint("restore the file from version control, or remove it and run `datac lock`")
            })?;
        Ok((lock, digest))
    }

    /// Returns the digest of the lock's text, without parsing the text.
    pub(crate) fn digest(&self) -> Result<FileHash, WorkspaceError> {
        Ok(FileHash::of(&self.text()?))
    }

    /// Writes the lock if its text differs, and returns the digest of the text.
    pub(crate) fn write(&self, lock: &LockFile) -> Result<FileHash, WorkspaceError> {
        let text = lock.write();
        let digest = FileHash::of(text.as_bytes());
        if self.digest()? != digest {
            system::replace(&self.path, text.as_bytes())?;
        }
        Ok(digest)
    }

    /// Returns whether the lock exists.
    pub(crate) fn exists(&self) -> bool {
        system::exists(&self.path)
    }

    /// Returns the text of the lock; an error if there is none.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, system::FileError> {
        system::read(&self.path)
    }

    fn text(&self) -> Result<Vec<u8>, WorkspaceError> {
        match system::read(&self.path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Shortens a commit for display, to ten hexadecimal digits.
pub(crate) fn short(commit: &str) -> &str {
    let hex = commit.rsplit(':').next().unwrap_or(commit);
    hex.get(..10).unwrap_or(hex)
}
