//! A file that takes another's place: old or new, never half.

use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use super::{Aside, FileError, Stat, at, pages, stat_file, sync_dir};

/// A file being written beside its destination; dropped without [`Replacement::put_in_place`], it leaves nothing behind.
#[derive(Debug)]
pub struct Replacement {
    temporary: tempfile::NamedTempFile,
    destination: PathBuf,
    /// Where what is replaced is kept, and what was replaced before was.
    aside: Option<Arc<Aside>>,
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// How the names of unfinished replacements begin and end.
pub(super) const LEFT_OVER: (&str, &str) = (".datac-", ".part");

impl Replacement {
    /// Whether a file of this name is a replacement that was begun and never put in place.
    pub fn is_left_over(name: &str) -> bool {
        name.starts_with(LEFT_OVER.0) && name.ends_with(LEFT_OVER.1)
    }

    /// Starts a replacement of `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, FileError> {
        let folder = destination.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(LEFT_OVER.0)
            .suffix(LEFT_OVER.1)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(at("write beside", destination))?;
        Ok(Self { temporary, destination: destination.to_owned(), aside: None })
    }

    /// The same, if it is a large file: what it replaces is kept, and it is written over what was kept then.
    pub fn with_aside(self, aside: Arc<Aside>) -> Self {
        aside.prepare(&self.destination);
        Self { aside: Some(aside), ..self }
    }

    /// Reserves room on the disk for so many bytes that are to be written; fails if the disk is known to have none. The
    /// file may be longer than what is written to it until it is [cut off](Self::cut_off).
    pub fn reserve(&mut self, bytes: u64) -> Result<(), FileError> {
        if let Some(aside) = &self.aside {
            aside.give(&self.destination, &mut self.temporary, bytes);
        }
        pages::reserve(self.temporary.as_file(), bytes).map_err(at("write", &self.destination))
    }

    /// Has the disk begin to take bytes that were written and will stay, while more come: the sync at the end then has less
    /// to wait for.
    pub fn write_out(&self, bytes: Range<u64>) {
        pages::write_out(self.temporary.as_file(), bytes);
    }

    /// Ends the file behind so many bytes.
    pub fn cut_off(&self, bytes: u64) -> Result<(), FileError> {
        self.temporary.as_file().set_len(bytes).map_err(at("write", &self.destination))
    }

    /// Appends bytes.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.temporary.write_all(bytes).map_err(at("write", &self.destination))
    }

    /// Writes bytes at a place of their own; other threads may write elsewhere at the same time.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), FileError> {
        self.temporary.as_file().write_all_at(bytes, offset).map_err(at("write", &self.destination))
    }

    /// Reads bytes that were written.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), FileError> {
        self.temporary.as_file().read_exact_at(bytes, offset).map_err(at("read", self.temporary.path()))
    }

    /// Puts the file in place without syncing it: for content that is checked on every read.
    pub fn commit_unsynced(self) -> Result<(), FileError> {
        self.temporary.persist(&self.destination).map(drop).map_err(|error| at("write", &self.destination)(error.error))
    }

    /// Puts the file at `path`, on the same file system, without syncing it; returns its size.
    pub fn commit_unsynced_at(mut self, path: &Path) -> Result<u64, FileError> {
        self.destination = path.to_owned();
        let bytes = stat_file(self.temporary.as_file(), path)?.size;
        self.commit_unsynced().map(|()| bytes)
    }

    /// Puts the file in place, synced, if nothing is there; returns whether it did.
    pub fn commit_new(self) -> Result<bool, FileError> {
        self.temporary.as_file().sync_all().map_err(at("sync", &self.destination))?;
        match self.temporary.persist_noclobber(&self.destination) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(at("write", &self.destination)(error.error)),
        }
        self.destination.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), sync_dir)?;
        Ok(true)
    }

    /// Waits until the disk has the file.
    pub fn sync(&self) -> Result<(), FileError> {
        let is_kept = self.aside.as_ref().is_some_and(|aside| aside.size(&self.destination).is_some());
        if !is_kept {
            make_way(&self.destination);
        }
        self.temporary.as_file().sync_all().map_err(at("sync", &self.destination))
    }

    /// Puts the file in place; returns its stat. Its name outlasts a power cut once its folder is synced.
    pub fn put_in_place(self) -> Result<Stat, FileError> {
        if let Some(aside) = &self.aside {
            aside.keep(&self.destination);
        }
        let replaced = File::open(&self.destination).ok();
        let file =
            self.temporary.persist(&self.destination).map_err(|error| at("write", &self.destination)(error.error))?;
        close_beside(replaced);
        stat_file(&file, &self.destination)
    }
}

/// A file from here on takes the system a while to free.
const LARGE: u64 = 1 << 20;

/// Has the system free the memory that a file which is about to be replaced takes: now, while the disk is waited for, and
/// not when it loses its name, which would hold up everything else that the file system is to write.
fn make_way(destination: &Path) {
    if let Some(file) = File::open(destination).ok().filter(is_large) {
        thread::Builder::new().spawn(move || pages::let_go(&file, 0..i64::MAX as u64)).ok();
    }
}

/// Closes a file that no name leads to any more. What it took is freed then: no one has to wait for that.
fn close_beside(replaced: Option<File>) {
    if let Some(replaced) = replaced.filter(is_large) {
        thread::Builder::new().spawn(move || drop(replaced)).ok();
    }
}

fn is_large(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.len() >= LARGE)
}
