//! Files that were replaced, kept until someone has the time to free them.
//!
//! A file that loses its last name is freed then and there. On a disk mounted with `discard` that takes a third of the
//! time that writing it took, and all else that is to be written waits behind it. By then a build has nothing left to do
//! but to wait; the next one frees the file beside its work.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{FileError, Replacement, at, entries, replacement};

/// The most that is kept: no one is to miss the space.
const MOST_BYTES: u64 = 64 << 20;

/// A file that is smaller is freed within a millisecond.
const LEAST_BYTES: u64 = 4 << 20;

/// A folder for them.
#[derive(Debug)]
pub struct Aside {
    folder: PathBuf,
    /// Bytes that may still be kept.
    room: AtomicU64,
    /// The thread that frees what was kept before.
    freeing: Mutex<Option<JoinHandle<()>>>,
}

impl Aside {
    /// A folder, which must exist and which no one else keeps files in; what was kept there before begins to be freed.
    pub fn new(folder: PathBuf) -> Self {
        let before = folder.clone();
        let freeing = thread::Builder::new().spawn(move || free(&before)).ok();
        Self { folder, room: AtomicU64::new(MOST_BYTES), freeing: Mutex::new(freeing) }
    }

    /// Keeps a file that is about to be replaced, under another name. One that is small, or that there is no room for, or
    /// that is on another file system than the folder, is not kept: it is freed when it is replaced.
    pub fn keep(&self, path: &Path) {
        // A link would be kept itself, and not what it leads to.
        let Some(meta) = fs::symlink_metadata(path).ok().filter(|meta| meta.is_file()) else { return };
        let take = |room: u64| room.checked_sub(meta.len());
        if meta.len() < LEAST_BYTES || self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return;
        }
        // It has ended long since, nearly always.
        let freeing = self.freeing.lock().unwrap_or_else(PoisonError::into_inner).take();
        freeing.map(JoinHandle::join);
        self.link(path).ok();
    }

    fn link(&self, path: &Path) -> Result<(), FileError> {
        let (prefix, suffix) = replacement::LEFT_OVER;
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .suffix(suffix)
            .make_in(&self.folder, |name| fs::hard_link(path, name))
            .map_err(at("keep", path))?;
        made.into_temp_path().keep().map(drop).map_err(|error| at("keep", path)(error.error))
    }
}

/// Frees what is kept in a folder; what cannot be freed is in no one's way.
fn free(folder: &Path) {
    for entry in entries(folder).unwrap_or_default() {
        if Replacement::is_left_over(&entry.name) {
            fs::remove_file(folder.join(entry.name)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system;

    const LARGE: usize = LEAST_BYTES as usize;

    fn kept(folder: &Path) -> Vec<Vec<u8>> {
        let entries = entries(folder).unwrap();
        let mut kept: Vec<_> = entries.iter().map(|entry| fs::read(folder.join(&entry.name)).unwrap()).collect();
        kept.sort_by_key(Vec::len);
        kept
    }

    #[test]
    fn what_was_replaced_is_kept_until_the_next_one_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (output, aside) = (folder.path().join("output"), folder.path().join("aside"));
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("not ours"), "x").unwrap();
        let mut former = None;
        for fill in 1..=3 {
            let now = vec![fill; LARGE + usize::from(fill)];
            let keeper = Aside::new(aside.clone());
            keeper.keep(&output);
            system::replace(&output, &now).unwrap();
            assert_eq!(fs::read(&output).unwrap(), now);
            let wanted: Vec<_> = [b"x".to_vec()].into_iter().chain(former).collect();
            assert!(kept(&aside) == wanted, "the one before it, and it alone");
            former = Some(now);
        }
    }

    #[test]
    fn little_is_kept_and_only_files_are() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (|name: &str| folder.path().join(name), folder.path().join("aside"));
        fs::create_dir(&aside).unwrap();
        let keeper = Aside::new(aside.clone());
        fs::write(path("small"), vec![1; LARGE - 1]).unwrap();
        fs::write(path("large"), vec![1; LARGE]).unwrap();
        // No block of it is ever written.
        fs::File::create(path("huge")).unwrap().set_len(MOST_BYTES - 2 * LEAST_BYTES + 1).unwrap();
        std::os::unix::fs::symlink(path("large"), path("link")).unwrap();
        for name in ["small", "link", "aside", "absent"] {
            keeper.keep(&path(name));
            assert_eq!(entries(&aside).unwrap(), [], "{name}");
        }
        for (name, wanted) in [("large", 1), ("huge", 2), ("large", 2), ("huge", 2)] {
            keeper.keep(&path(name));
            assert_eq!(entries(&aside).unwrap().len(), wanted, "{name}");
        }
        let nowhere = Aside::new(path("nowhere"));
        nowhere.keep(&path("large"));
        assert!(fs::read(path("large")).unwrap() == [1; LARGE], "it stays as it is");
    }
}
