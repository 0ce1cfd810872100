//! The store of downloads: a folder of files named by their digests, which admits no bytes but those.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use super::{DownloadEvent, download::failed, verify};
use crate::{
    source::{RemoteFile, SourceError},
    system::{self, FileError},
};

/// The store of downloads.
pub(in crate::source) struct Store<'a> {
    /// The folder, which may not exist yet.
    pub(in crate::source) folder: &'a Path,
    /// Told of what happens.
    pub(in crate::source) tell: &'a dyn Fn(DownloadEvent),
}

impl Store<'_> {
    /// Returns the stored file and its path, if it is there with the listed bytes.
    pub(in crate::source) fn trusted(&self, file: &RemoteFile) -> Result<Option<(File, PathBuf)>, SourceError> {
        let stored = self.path(file);
        let found = verify::open_trusted(&stored, file)?;
        if found.is_none() && system::exists(&stored) {
            (self.tell)(DownloadEvent::Damaged { path: file.path.clone(), stored });
            return Ok(None);
        }
        Ok(found.map(|found| (found, stored)))
    }

    /// Has a file fetched that is not there, and returns it with its path. `fetch` fills a partial file, which may have bytes of an
    /// earlier attempt, and returns once that has the listed bytes.
    pub(in crate::source) fn admit(
        &self,
        file: &RemoteFile,
        fetch: impl FnOnce(&mut File, &Path) -> Result<(), SourceError>,
    ) -> Result<(File, PathBuf), SourceError> {
        let stored = self.path(file);
        let part = with_suffix(&stored, ".part");
        let mut bytes = self.begin(file, &part)?;
        if let Some(found) = verify::open_trusted(&stored, file)? {
            system::remove(&part)?;
            return Ok((found, stored));
        }
        fill(&mut bytes, &part, fetch)?;
        self.place(file, &bytes, &part, &stored)?;
        // Reopen the file for reading: the present handle may write, and holds the lock.
        let bytes = system::open(&stored)?;
        Ok((bytes, stored))
    }

    /// Has a file fetched whose digest is not known, as [`admit`](Self::admit) does, and returns it with its digest. The one that
    /// is given names what is fetched, so that it can be continued.
    #[cfg(feature = "bucket")]
    pub(in crate::source) fn admit_unknown(
        &self,
        file: RemoteFile,
        fetch: impl FnOnce(&mut File, &Path) -> Result<(), SourceError>,
    ) -> Result<RemoteFile, SourceError> {
        let part = with_suffix(&self.path(&file), ".part");
        let mut bytes = self.begin(&file, &part)?;
        fill(&mut bytes, &part, fetch)?;
        let digest = verify::digest_of(&part, file.digest)?;
        let file = RemoteFile { digest, ..file };
        let stored = self.path(&file);
        if verify::open_trusted(&stored, &file)?.is_some() {
            system::remove(&part)?;
        } else {
            self.place(&file, &bytes, &part, &stored)?;
        }
        Ok(file)
    }

    fn path(&self, file: &RemoteFile) -> PathBuf {
        self.folder.join(file.digest.to_string().replace(':', "-"))
    }

    /// Opens a partial file that no other process fills.
    fn begin(&self, file: &RemoteFile, part: &Path) -> Result<File, SourceError> {
        system::create_private_dir(self.folder)?;
        // The partial file serves as its own lock, which leaves nothing behind: the holder of the lock renames it
        // into place.
        loop {
            let bytes = system::open_or_create(part)?;
            self.lock(file, &bytes, part)?;
            let is_current = match system::stat(part) {
                Ok(now) => now.inode == system::stat_file(&bytes, part)?.inode,
                Err(error) if error.is_missing() => false,
                Err(error) => return Err(error.into()),
            };
            if is_current {
                return Ok(bytes);
            }
        }
    }

    fn lock(&self, file: &RemoteFile, bytes: &File, part: &Path) -> Result<(), FileError> {
        match bytes.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                (self.tell)(DownloadEvent::Locked { path: file.path.clone() });
                bytes.lock().map_err(failed("lock", part))
            }
            Err(TryLockError::Error(source)) => Err(failed("lock", part)(source)),
        }
    }

    fn place(&self, file: &RemoteFile, bytes: &File, part: &Path, stored: &Path) -> Result<(), SourceError> {
        system::remove(&verify::record_path(stored))?;
        bytes.sync_all().map_err(failed("sync", part))?;
        system::rename(part, stored)?;
        system::sync_dir(self.folder)?;
        (self.tell)(DownloadEvent::Finished { path: file.path.clone(), size: file.size });
        Ok(())
    }
}

/// Has a partial file filled; an empty one is not left behind.
fn fill(
    bytes: &mut File,
    part: &Path,
    fetch: impl FnOnce(&mut File, &Path) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let Err(error) = fetch(bytes, part) else { return Ok(()) };
    if system::stat_file(bytes, part)?.size == 0 {
        system::remove(part)?;
    }
    Err(error)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
