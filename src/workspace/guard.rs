//! The lock that building processes share: one at a time changes the cache, the outputs and datac.lock.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use super::{Workspace, WorkspaceError};
use crate::{artifact::LOCK, event::Event, system};

/// The workspace's lock; another process waits until it is dropped.
pub(super) struct Guard {
    file: File,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The kernel drops the lock with the file in any case.
        self.file.set_len(0).ok();
        self.file.unlock().ok();
    }
}

/// How often the folder may be gone before its lock is there; beyond that something else is wrong.
const MOST_MISSES: u32 = 100;

impl Workspace {
    /// Takes the lock that building processes share, waiting for it if `wait`.
    pub(super) fn acquire(&self, wait: bool) -> Result<Guard, WorkspaceError> {
        let mut misses = 0;
        loop {
            system::create_private_dir(&self.cache)?;
            let path = self.cache.join(LOCK);
            let mut file = match system::open_or_create(&path) {
                Ok(file) => file,
                // Whoever removes the cache has just removed its folder.
                Err(error) if error.is_missing() && misses < MOST_MISSES => {
                    misses += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let failed = |source| system::FileError { verb: "lock", path: path.clone(), source };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source).into()),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).ok();
                    let holder = if holder.is_empty() { "another datac".to_owned() } else { holder.trim().to_owned() };
                    if !wait {
                        return Err(WorkspaceError::Locked { holder });
                    }
                    (self.settings.observer)(Event::Waiting { holder });
                    file.lock().map_err(failed)?;
                }
            }
            // Whoever held it may have removed the cache, this file with it: then it locks nothing any more.
            if !is_at(&file, &path)? {
                continue;
            }
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| write!(file, "datac, pid {}", std::process::id()))
                .map_err(failed)?;
            return Ok(Guard { file });
        }
    }
}

/// Whether an open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> Result<bool, system::FileError> {
    match system::stat(path) {
        Ok(now) => Ok(now.inode == system::stat_file(file, path)?.inode),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}
