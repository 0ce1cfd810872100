//! The cache folder of a workspace: its record, its blobs, and the lock that building processes share.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    ops::Deref,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::WorkspaceError;
use crate::{
    cache::{Access, LOCK, Record, Store},
    event::{Event, Observer},
    system,
};

/// The folder of the cache, which may not exist yet.
///
/// Dereferences to the path of the folder for this cache version.
pub(crate) struct CacheFolder {
    path: PathBuf,
    observer: Observer,
}

impl Deref for CacheFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl CacheFolder {
    /// Creates a handle to the cache at `path`, the folder of one version. `observer` receives its warnings.
    pub(crate) fn new(path: PathBuf, observer: Observer) -> Self {
        Self { path, observer }
    }

    /// Returns the absolute path of the folder that holds the caches of all versions.
    pub(crate) fn dir(&self) -> PathBuf {
        let folder = self.path.parent().map_or_else(|| self.path.clone(), PathBuf::from);
        // If the current folder has been removed, the path can only be given as configured.
        let whole = system::current_dir().map_or_else(|_| folder.clone(), |current| current.join(&folder));
        whole.components().filter(|part| !matches!(part, Component::CurDir)).collect()
    }

    /// Returns whether any process has ever locked this cache. If not, the cache is empty.
    pub(crate) fn is_begun(&self) -> bool {
        system::exists(&self.path.join(LOCK))
    }

    /// Opens the record of actions.
    pub(crate) fn record(&self, access: Access) -> Result<Arc<Record>, WorkspaceError> {
        let observer = self.observer.clone();
        let record = Record::open(&self.path, access, Arc::new(move |warning| observer(Event::Warning(warning))))?;
        Ok(Arc::new(record))
    }

    /// Returns the store of blobs. Small blobs are stored in `record`.
    pub(crate) fn store(&self, record: &Arc<Record>) -> Store {
        Store::new(&self.path, record.clone())
    }

    /// Takes the lock that building processes share. Only its holder may change the cache, the outputs and
    /// `datac.lock`.
    pub(crate) fn acquire(&self, if_held: IfHeld) -> Result<BuildLock, WorkspaceError> {
        let mut misses = 0;
        loop {
            system::create_private_dir(&self.path)?;
            let path = self.path.join(LOCK);
            let mut file = match system::open_or_create(&path) {
                Ok(file) => file,
                // Another process has just removed the folder together with the cache.
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
                    if if_held == IfHeld::Fail {
                        return Err(WorkspaceError::Locked { holder });
                    }
                    (self.observer)(Event::Waiting { holder });
                    file.lock().map_err(failed)?;
                }
            }
            // The previous holder may have removed the cache and this file with it. A deleted file locks nothing.
            if !is_at(&file, &path)? {
                continue;
            }
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| write!(file, "datac, pid {}", std::process::id()))
                .map_err(failed)?;
            return Ok(BuildLock { file });
        }
    }
}

/// What to do if another process holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfHeld {
    /// Wait until it is free.
    Wait,
    /// Fail at once.
    Fail,
}

/// The lock that building processes share. It is released on drop.
pub(crate) struct BuildLock {
    file: File,
}

impl Drop for BuildLock {
    fn drop(&mut self) {
        // If this fails, the kernel releases the lock when the file is closed.
        self.file.set_len(0).ok();
        self.file.unlock().ok();
    }
}

/// Maximum number of retries if the folder disappears before the lock is created; more than that has another cause.
const MOST_MISSES: u32 = 100;

/// Returns whether an open file is the file at `path`.
fn is_at(file: &File, path: &Path) -> Result<bool, system::FileError> {
    match system::stat(path) {
        Ok(now) => Ok(now.inode == system::stat_file(file, path)?.inode),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}
