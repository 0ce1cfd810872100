//! Temporary files for data that does not fit in memory.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::FileError;
use datac_core::sort::{Scratch, ScratchFile};

/// A folder for nameless files, which vanish with the process. The folder must exist when a file is created.
#[derive(Debug)]
pub struct ScratchFolder(pub PathBuf);

impl ScratchFolder {
    /// Returns the folder at `path` as a sorter expects it.
    pub fn at(path: &Path) -> Arc<dyn Scratch> {
        Arc::new(Self(path.to_owned()))
    }

    /// Creates a nameless file.
    pub fn create(&self) -> Result<File, FileError> {
        tempfile::tempfile_in(&self.0).map_err(|error| self.error("write", error))
    }

    /// Creates a nameless file that holds these bytes and is read from its beginning, and the folder if there is none.
    pub fn holding(&self, bytes: &[u8]) -> Result<File, FileError> {
        super::create_private_dir(&self.0)?;
        let mut file = self.create()?;
        let written = file.write_all(bytes).and_then(|()| file.rewind());
        written.map_err(|error| self.error("write", error))?;
        Ok(file)
    }
}

impl Scratch for ScratchFolder {
    fn file(&self) -> Result<Box<dyn ScratchFile>, FileError> {
        Ok(Box::new(self.create()?))
    }

    fn error(&self, verb: &'static str, source: io::Error) -> FileError {
        FileError { verb, path: self.0.clone(), source }
    }
}
