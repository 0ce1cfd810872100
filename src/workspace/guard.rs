//! The lock that processes share which write to a workspace.

use std::io::{Read, Seek, Write};

use super::{Workspace, WorkspaceError};
use crate::{driver::Event, system};

/// The workspace's lock; another process waits until it is dropped.
pub(super) struct Guard {
    file: std::fs::File,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The kernel drops the lock with the file in any case.
        self.file.set_len(0).ok();
        self.file.unlock().ok();
    }
}

impl Workspace {
    /// Takes the lock that building processes share, waiting for it if `wait`.
    pub(super) fn acquire(&self, wait: bool) -> Result<Guard, WorkspaceError> {
        system::create_private_dir(&self.cache)?;
        let path = self.cache.join("build.lock");
        let mut file = system::open_or_create(&path)?;
        let failed = |source| system::FileError { verb: "lock", path: path.clone(), source };
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source).into()),
            Err(std::fs::TryLockError::WouldBlock) => {
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
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "datac, pid {}", std::process::id()))
            .map_err(failed)?;
        Ok(Guard { file })
    }
}
