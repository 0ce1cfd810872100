//! Opens source files, and detects files that change while they are read.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{error::ActionError, unpack::OpenTars};
use crate::{
    graph::{FileOrigin, SourceFile},
    source::{Bytes, RemoteFile, Source},
    system::{self, FileError, Stat},
};
use datac_core::failure::{Failure, FailureKind};
use datac_decode::Input;

/// Access to source files.
pub(crate) struct Sources {
    /// The hub that provides the snapshots; `None` if all sources are local.
    pub(crate) hub: Option<Arc<dyn Source>>,
    /// The files of the workspace.
    pub(crate) workspace: Arc<dyn Source>,
    /// The folder of the workspace, which paths of local files are relative to.
    pub(crate) root: PathBuf,
    /// The stats of local files when they were hashed, by path.
    pub(crate) local_stats: HashMap<String, Stat>,
    /// Archives that were decompressed to read files of them.
    pub(crate) tars: OpenTars,
}

impl Sources {
    /// Returns the path of a local file.
    pub(super) fn local(&self, file: &SourceFile) -> PathBuf {
        self.root.join(&file.path)
    }

    /// Opens a source file whose bytes have been checked against its digest.
    pub(super) fn open(&self, file: &SourceFile) -> Result<(Input, FileGuard), ActionError> {
        let (bytes, guard) = self.open_file(&file.origin, &file.remote())?;
        Ok((self.tars.input_of(file, bytes).map_err(ActionError::Failure)?, guard))
    }

    /// Returns the bytes of a file, which have been checked against its digest.
    #[cfg_attr(not(feature = "model"), expect(dead_code, reason = "only the files of models are read whole"))]
    pub(super) fn read(&self, origin: &FileOrigin, file: &RemoteFile) -> Result<Vec<u8>, ActionError> {
        let (opened, guard) = self.open_file(origin, file)?;
        let bytes = match opened {
            Bytes::Static(bytes) => bytes.to_vec(),
            Bytes::File(mut opened, path) => {
                let mut bytes = Vec::with_capacity(usize::try_from(file.size).unwrap_or_default());
                opened.read_to_end(&mut bytes).map_err(|source| FileError { verb: "read", path, source })?;
                bytes
            }
        };
        guard.check()?;
        Ok(bytes)
    }

    fn open_file(&self, origin: &FileOrigin, file: &RemoteFile) -> Result<(Bytes, FileGuard), ActionError> {
        let FileOrigin { name, commit } = origin;
        let source = match (commit, &self.hub) {
            (None, _) => &self.workspace,
            (Some(_), hub) => hub.as_ref().expect("a build with files of a hub opens the hub"),
        };
        match source.open(name, commit.as_deref(), file)? {
            Bytes::Static(bytes) => Ok((Bytes::Static(bytes), FileGuard { file: None })),
            Bytes::File(opened, path) => {
                let stat = system::stat_file(&opened, &path)?;
                let cloned = opened.try_clone().map_err(|error| clone_error(&path, error))?;
                let guard = FileGuard { file: Some((cloned, path.clone(), stat)) };
                // Only with an unchanged stat is a local file the one that was hashed.
                if commit.is_none() && self.local_stats.get(&file.path) != Some(&stat) {
                    return Err(guard.changed());
                }
                Ok((Bytes::File(opened, path), guard))
            }
        }
    }
}

fn clone_error(path: &Path, source: io::Error) -> FileError {
    FileError { verb: "read", path: path.to_owned(), source }
}

/// Detects whether an open file changes while it is read.
pub(super) struct FileGuard {
    file: Option<(File, PathBuf, Stat)>,
}

impl FileGuard {
    /// Fails if the file has changed since it was opened.
    pub(super) fn check(&self) -> Result<(), ActionError> {
        match &self.file {
            Some((file, path, stat)) if system::stat_file(file, path)? != *stat => Err(self.changed()),
            _ => Ok(()),
        }
    }

    fn changed(&self) -> ActionError {
        let path = self.file.as_ref().map(|(_, path, _)| path.display().to_string()).unwrap_or_default();
        let failure =
            Failure::new(FailureKind::Action, format!("read `{path}`: the file changed while it was being read"));
        ActionError::Failure(failure.hint("build again once the file is no longer being written"))
    }
}
