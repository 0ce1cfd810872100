//! A shared cache in a folder: a disk that several machines mount, or the root of a web server.

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rayon::prelude::*;

use super::{
    LARGEST, RemoteError, RemoteKind,
    objects::{Counters, EachRead, Edit, Fault, Go, How, Listed, Objects, Parts, Put, Wanted},
};
use crate::system::{self, EntryKind, FileError, Replacement, Stopwatch};

/// A shared cache that a path or a `file://` address names.
pub(super) struct FolderRemote(pub(super) Reading);

impl RemoteKind for FolderRemote {
    fn is_meant(&self, given: &str) -> bool {
        given.starts_with("file://") || !given.contains("://")
    }

    fn is_network(&self) -> bool {
        false
    }

    fn open(&self, given: &str, root: &Path, counters: Arc<Counters>) -> Result<Arc<dyn Objects>, RemoteError> {
        let path = given.strip_prefix("file://").unwrap_or(given);
        if path.is_empty() || (given.starts_with("file://") && !path.starts_with('/')) {
            return Err(RemoteError::new(given, "write it as /folder or file:///folder"));
        }
        // The root may be `.` itself, and is shown.
        let path = path.strip_prefix("./").filter(|rest| !rest.is_empty()).unwrap_or(path);
        Ok(Arc::new(Folder { root: root.join(path), counters, reading: self.0, is_stuck: AtomicBool::new(false) }))
    }
}

/// How objects are read by those that they are written for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// What a power cut tears is noticed by whoever reads it, and replaced by whoever publishes it again. So nothing is synced unless that is
    /// asked for.
    Checked,
    /// Programs read the files as they are, so each is synced before it is put in place.
    Trusting,
}

/// Name of the file that is locked while an object beside it is changed.
const LOCK: &str = "lock";

/// Time for which other machines are waited for. Many may end at the same moment, and each holds the lock for milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time for which they are waited for once that was in vain: whoever holds the lock seems to be gone.
const LITTLE_PATIENCE: Duration = Duration::from_millis(500);

/// Time between two looks at a lock that is held.
const PAUSE: Duration = Duration::from_millis(5);

/// Objects that are files below a folder.
pub(crate) struct Folder {
    root: PathBuf,
    counters: Arc<Counters>,
    reading: Reading,
    /// Whether a lock was waited for in vain.
    is_stuck: AtomicBool,
}

impl Folder {
    /// Fails if there is no such folder: it may be a disk that is not mounted, beside which nothing is to be written.
    fn check(&self) -> Result<(), Fault> {
        let missing = || Fault(format!("the folder `{}` does not exist", self.root.display()));
        if system::is_dir(&self.root) { Ok(()) } else { Err(missing()) }
    }

    fn read_one(&self, wanted: &Wanted) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.root.join(&wanted.name);
        let mut file = match system::open(&path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let failed = |source| FileError { verb: "read", path: path.clone(), source };
        let length = match &wanted.range {
            Some(range) => {
                file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
                range.end.saturating_sub(range.start)
            }
            None => LARGEST,
        };
        let mut bytes = Vec::new();
        file.take(length.min(LARGEST) + u64::from(wanted.range.is_none())).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST {
            return Err(failed(std::io::Error::other("the file is larger than any that datac writes")));
        }
        Ok(Some(bytes))
    }

    fn write_one(&self, Put { name, bytes, how }: &Put) -> Result<(), FileError> {
        let path = self.root.join(name);
        if *how == How::IfAbsent && system::exists(&path) {
            return Ok(());
        }
        let mut file = begin(&path)?;
        file.write_all(bytes)?;
        self.put_in_place(file)
    }

    fn put_in_place(&self, file: Replacement) -> Result<(), FileError> {
        match self.reading {
            Reading::Checked => file.commit_unsynced(),
            Reading::Trusting => file.synced()?.put_in_place().map(drop),
        }
    }

    /// Locks the folder of an object against others that change what is in it, until the result is dropped. Where files cannot be
    /// locked, or another machine holds the lock for long, work goes on without it: what is lost then is found to be missing.
    fn lock(&self, name: &str) -> Option<File> {
        let path = self.root.join(name).parent()?.join(LOCK);
        system::create_dir(path.parent()?).ok()?;
        let file = system::open_or_create(&path).ok()?;
        let begun = Stopwatch::start();
        let patience = if self.is_stuck.load(Ordering::Relaxed) { LITTLE_PATIENCE } else { PATIENCE };
        loop {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::Error(_)) => return None,
                Err(TryLockError::WouldBlock) if begun.elapsed() > patience => {
                    self.is_stuck.store(true, Ordering::Relaxed);
                    return None;
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Syncs the folders that objects are in, up to the root, any of which may be new.
    fn settle_folders(&self, names: &[String]) -> Result<(), Fault> {
        let above = |name: &String| Path::new(name).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
        let folders: BTreeSet<PathBuf> = names.iter().flat_map(above).collect();
        folders.iter().try_for_each(|folder| system::sync_dir(&self.root.join(folder)).map_err(fault))
    }

    fn list_below(&self, folder: &str, each: &mut dyn FnMut(Listed)) -> Result<(), FileError> {
        self.counters.list();
        for entry in system::entries(&self.root.join(folder))? {
            let name = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            match entry.kind {
                EntryKind::Folder => self.list_below(&name, each)?,
                EntryKind::File if entry_is_lock(&name) => {}
                EntryKind::File => each(Listed { name, bytes: entry.bytes, changed_ns: entry.mtime_ns }),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Objects for Folder {
    fn is_writable(&self) -> bool {
        true
    }

    fn read(&self, wanted: &[Wanted], each: &mut EachRead<'_>) {
        let checked = self.check();
        for (number, one) in wanted.iter().enumerate() {
            self.counters.read();
            let read = checked.clone().and_then(|()| self.read_one(one).map_err(fault));
            if let Ok(Some(bytes)) = &read {
                self.counters.received(bytes.len());
            }
            if each(number, read) == Go::Stop {
                return;
            }
        }
    }

    fn write(&self, objects: Vec<Put>) -> Result<(), Fault> {
        self.check()?;
        for object in &objects {
            self.counters.write(object.bytes.len());
            self.write_one(object).map_err(fault)?;
        }
        Ok(())
    }

    fn send(&self, name: &str, bytes: u64, parts: &mut Parts<'_>) -> Result<(), Fault> {
        const AT_A_TIME: usize = 1 << 20;
        self.check()?;
        let mut file = begin(&self.root.join(name)).map_err(fault)?;
        file.reserve(bytes).map_err(fault)?;
        let mut sent = 0;
        loop {
            let part = parts(AT_A_TIME)?;
            if part.is_empty() {
                break;
            }
            file.write_all(&part).map_err(fault)?;
            sent += part.len();
        }
        self.counters.write(sent);
        self.put_in_place(file).map_err(fault)
    }

    fn update(&self, name: &str, edit: &mut Edit<'_>) -> Result<(), Fault> {
        self.check()?;
        let _lock = self.lock(name);
        self.counters.read();
        let old = self.read_one(&Wanted { name: name.to_owned(), range: None }).map_err(fault)?;
        let Some(bytes) = edit(old) else { return Ok(()) };
        self.counters.write(bytes.len());
        self.write_one(&Put { name: name.to_owned(), bytes, how: How::Replace }).map_err(fault)
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
        self.check()?;
        self.counters.write(bytes.len());
        let mut file = begin(&self.root.join(name)).map_err(fault)?;
        file.write_all(&bytes).map_err(fault)?;
        let is_new = file.commit_new().map_err(fault)?;
        self.settle_folders(&[name.to_owned()])?;
        Ok(is_new)
    }

    fn settle(&self, names: &[String]) -> Result<(), Fault> {
        names.par_iter().try_for_each(|name| system::sync_file(&self.root.join(name)).map_err(fault))?;
        self.settle_folders(names)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), Fault> {
        self.check()?;
        self.list_below(prefix, each).map_err(fault)
    }

    fn remove(&self, names: &[String]) -> Result<(), Fault> {
        for name in names {
            self.counters.remove();
            system::remove(&self.root.join(name)).map_err(fault)?;
        }
        Ok(())
    }
}

/// Begins to write an object, and makes its folder.
fn begin(path: &Path) -> Result<Replacement, FileError> {
    match Replacement::new(path) {
        Err(error) if error.is_missing() => {
            system::create_dir(path.parent().expect("an object is in a folder"))?;
            Replacement::new(path)
        }
        begun => begun,
    }
}

fn entry_is_lock(name: &str) -> bool {
    name.rsplit('/').next() == Some(LOCK)
}

fn fault(error: FileError) -> Fault {
    let full = if error.source.kind() == ErrorKind::StorageFull { " (its disk is full)" } else { "" };
    Fault(format!("failed to {error}{full}"))
}
