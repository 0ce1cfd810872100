//! The output folder of a workspace.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::relative;
use crate::system;
use datac_core::outputs::{QUARANTINE, UNEXPECTED};

/// The folder that builds write to, which may not exist yet.
pub(crate) struct OutputFolder {
    root: PathBuf,
    path: PathBuf,
}

impl OutputFolder {
    /// Creates a handle to the output folder `path` of the workspace at `root`.
    pub(crate) fn new(root: PathBuf, path: PathBuf) -> Self {
        Self { root, path }
    }

    /// Returns the path of the folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the output `name`, for opening the file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        // A build with nothing to do asks for each output: `join` would allocate twice.
        let mut path = PathBuf::with_capacity(self.path.as_os_str().len() + 1 + name.len());
        path.push(&self.path);
        path.push(name);
        path
    }

    /// Returns the path of the output `name`, relative to the workspace if it is inside.
    pub(crate) fn relative(&self, name: &str) -> PathBuf {
        relative(&self.root, &self.path.join(name))
    }

    /// Returns the names of the existing quarantine files.
    pub(crate) fn quarantined(&self) -> HashSet<OsString> {
        system::names(&self.path.join(QUARANTINE))
    }

    /// Removes half-written files that killed builds left. The caller must hold the build lock, so that no other
    /// process writes.
    pub(crate) fn sweep(&self) {
        let unexpected = self.path.join(UNEXPECTED);
        let quarantines = [self.path.join(QUARANTINE), unexpected.join(QUARANTINE)];
        for folder in quarantines.into_iter().chain([self.path.clone(), unexpected, self.root.clone()]) {
            for (name, _) in system::list(&folder).unwrap_or_default() {
                if system::Replacement::is_left_over(&name) {
                    // A file that cannot be removed does no harm.
                    system::remove(&folder.join(name)).ok();
                }
            }
        }
    }
}
