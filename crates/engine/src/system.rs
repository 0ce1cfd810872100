//! The only door to files, environment and clock.
//!
//! Errors name the path. No decision depends on a clock: [`now_ns`] and [`Stopwatch`] are for records and reports,
//! and for the rule that a file as new as its stat-cache entry is read again.
#![expect(clippy::disallowed_methods, reason = "this module is the door the other modules must use")]

mod entries;
mod peer;
mod position;
mod probe;
mod program;
mod replacement;
mod scratch;

use std::{
    cell::RefCell,
    collections::HashSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

pub use datac_core::failure::FileError;
pub use entries::{EntryKind, FolderEntry, entries, kind, remove_empty_dir};
pub use peer::{Gone, Peer, PeerOptions, Progress};
pub use position::ReadPosition;
pub use probe::{Probe, Space, Stamps, allow_open_files, available_memory, cores, nearest, space, stamps_each_change};
pub use program::{PipeLimit, Piped, pipe};
pub use replacement::{Replacement, Synced};
pub use scratch::ScratchFolder;

fn at<'p>(verb: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> FileError + 'p {
    move |source| FileError { verb, path: path.to_owned(), source }
}

/// Resolution of the coarsest clock that file systems take timestamps from, in nanoseconds: a tick at 100 Hz.
const GRAIN_NS: i64 = 10_000_000;

/// Returns the first time at which a file with the timestamp `stamp_ns` is older than the grain.
fn past_grain(stamp_ns: i64) -> i64 {
    stamp_ns + GRAIN_NS + 1
}

/// Returns the current time, or the time at which a file just stamped at `stamp_ns` is older than the grain, if that
/// is later. A timestamp in the future, which cannot be from this machine's clock, is ignored.
pub fn soon_past_grain(stamp_ns: i64) -> i64 {
    let now = now_ns();
    if stamp_ns <= now { past_grain(stamp_ns).max(now) } else { now }
}

/// Waits until any later write to the file at `path` is certain to change its stat, given that a stat just returned
/// `stamp_ns`.
///
/// That is when the file is older than the grain, or at once if its file system gives every change after a stat a new
/// timestamp. The latter is tested in the folder `scratch`, if that is on the same file system. Returns the time to
/// record with what is read from now on, at which the stat is not racy; see [`Stat::is_racy`].
pub fn wait_past_grain(stamp_ns: i64, path: &Path, scratch: &Path) -> i64 {
    let (now, past) = (now_ns(), past_grain(stamp_ns));
    // The probe costs a dozen system calls, so it is for files that were just written: most of many were not.
    let is_young = stamp_ns <= now && past > now;
    if is_young && !stamps_each_change(path, scratch) {
        std::thread::sleep(Duration::from_nanos((past - now) as u64));
    }
    if is_young { past.max(now_ns()) } else { now_ns() }
}

/// Result of a stat call. A file whose stat is equal and not racy has the same bytes; see [`Stat::is_racy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of the content, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Time of the last change of the inode, in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Inode number.
    pub inode: u64,
}

impl Stat {
    /// What stands for a path at which nothing is.
    pub const ABSENT: Self = Self { size: 0, mtime_ns: 0, ctime_ns: 0, inode: 0 };

    /// Returns the later of both times.
    pub fn stamp_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }

    /// Returns whether the file may have changed after the stat was taken, at `recorded_ns`, without that changing
    /// the stat.
    ///
    /// This is git's rule for racily clean entries: file systems take timestamps from a coarse clock, so a file
    /// stamped within the grain of `recorded_ns` proves nothing.
    pub fn is_racy(&self, recorded_ns: i64) -> bool {
        self.stamp_ns() + GRAIN_NS >= recorded_ns
    }
}

/// Returns the stat of a path, following links.
pub fn stat(path: &Path) -> Result<Stat, FileError> {
    let meta = fs::metadata(path).map_err(at("stat", path))?;
    Ok(stat_of(&meta))
}

fn stat_of(meta: &fs::Metadata) -> Stat {
    Stat {
        size: meta.len(),
        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        ctime_ns: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
        inode: meta.ino(),
    }
}

/// Returns the stat of an open file.
pub fn stat_file(file: &File, path: &Path) -> Result<Stat, FileError> {
    file.metadata().map(|meta| stat_of(&meta)).map_err(at("stat", path))
}

/// Returns whether something exists at `path`.
pub fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

/// Makes a folder that is gone when it is dropped.
pub fn temporary_folder() -> Result<tempfile::TempDir, FileError> {
    tempfile::tempdir().map_err(|source| FileError { verb: "create folder", path: std::env::temp_dir(), source })
}

/// Makes a symbolic link at `path` that leads to `target`.
pub fn link(target: &Path, path: &Path) -> Result<(), FileError> {
    let target = fs::canonicalize(target).map_err(at("find", target))?;
    std::os::unix::fs::symlink(target, path).map_err(at("link", path))
}

/// Returns the final target of a symbolic link; `None` if the path is not a link, or is a dangling one.
pub fn link_target(path: &Path) -> Option<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    is_link.then(|| fs::canonicalize(path).ok()).flatten()
}

/// Returns whether a folder exists at `path`.
pub fn is_dir(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(at("read", path))
}

/// Reads at most `limit` bytes of a file, plus one if the file is longer.
pub fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
    }
    // Thousands of recipes are read in a row: the buffer is shared, files are not stat'ed for their size, and the
    // result is allocated at its exact size.
    let mut file = open(path)?.take(limit + 1);
    BUFFER.with_borrow_mut(|buffer| {
        let mut filled = 0;
        loop {
            match file.read(&mut buffer[filled..]) {
                Ok(0) if filled < buffer.len() => return Ok(buffer[..filled].to_vec()),
                Ok(0) => {
                    let mut bytes = buffer.clone();
                    file.read_to_end(&mut bytes).map_err(at("read", path))?;
                    return Ok(bytes);
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at("read", path)(error)),
            }
        }
    })
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(at("read", path))
}

/// Creates a folder and its parents.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(at("create folder", path))
}

/// Creates a folder that only its owner may enter, and its parents.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create folder", path))
}

/// Creates an empty file, and its folder. An existing file is truncated.
pub fn create(path: &Path) -> Result<File, FileError> {
    create_folder_of(path)?;
    File::create(path).map_err(at("write", path))
}

/// Opens a file for reading and writing, creating it if it does not exist.
pub fn open_or_create(path: &Path) -> Result<File, FileError> {
    File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(at("open", path))
}

/// Removes a file. It is no error if the file does not exist.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Renames a file, replacing any file at `to`.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(at("rename to", to))
}

/// Syncs a file, so that its bytes survive a power cut.
pub fn sync_file(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(at("sync", path))
}

/// Syncs a folder, so that the names in it survive a power cut.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at("sync", path))
}

/// Returns the names in a folder, sorted, each with whether it is a folder.
pub fn list(path: &Path) -> Result<Vec<(String, bool)>, FileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(at("list", path))? {
        let entry = entry.map_err(at("list", path))?;
        let is_dir = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
        names.push((entry.file_name().to_string_lossy().into_owned(), is_dir));
    }
    names.sort();
    Ok(names)
}

/// Returns the names in a folder; none if the folder does not exist.
pub fn names(path: &Path) -> HashSet<OsString> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

/// Replaces a file by `bytes` atomically, and syncs it.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<Stat, FileError> {
    let mut replacement = Replacement::new(path)?;
    replacement.write_all(bytes)?;
    let stat = replacement.synced()?.put_in_place()?;
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), sync_dir)?;
    Ok(stat)
}

/// Replaces a file by `bytes` atomically, unless it already holds them. The file is not synced, so this is only for
/// files that may be lost. Creates its folder if needed.
pub fn replace_if_other(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    create_folder_of(path)?;
    let mut replacement = Replacement::new(path)?;
    replacement.write_all(bytes)?;
    replacement.commit_unsynced()
}

/// Writes a file, and creates its folder, if there is no such file. Returns whether it was written; an existing file
/// is never touched.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    create_folder_of(path)?;
    let mut replacement = Replacement::new(path)?;
    replacement.write_all(bytes)?;
    replacement.commit_new()
}

/// Writes a file that only its owner can read, and creates its folder likewise, if there is no such file. Returns whether it was
/// written; an existing file is never touched.
pub fn write_private_new(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_dir(folder)?;
    }
    let mut file = match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(at("write", path)(error)),
    };
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a file would stand in the way of the next attempt.
        remove(path).ok();
        return Err(at("write", path)(error));
    }
    Ok(true)
}

/// Returns the permissions of a file.
pub fn mode(path: &Path) -> Result<u32, FileError> {
    fs::metadata(path).map(|meta| meta.mode()).map_err(at("stat", path))
}

/// Reads standard input: at most `limit` bytes, plus one if there are more.
pub fn read_stdin(limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(limit + 1).read_to_end(&mut bytes).map_err(at("read", Path::new("-")))?;
    Ok(bytes)
}

fn create_folder_of(path: &Path) -> Result<(), FileError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => create_dir(folder),
        None => Ok(()),
    }
}

/// Sets the modification time of a file. Creates an empty file, and its folder, if it does not exist.
pub fn touch(path: &Path, time_ns: i64) -> Result<(), FileError> {
    create_folder_of(path)?;
    let time = UNIX_EPOCH + Duration::from_nanos(time_ns.max(0) as u64);
    open_or_create(path)?.set_modified(time).map_err(at("touch", path))
}

/// Returns an environment variable if it is set, not empty and valid UTF-8.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the user's home folder, if there is one.
pub fn home_dir() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// Returns the names of environment variables that begin with `prefix`, sorted.
pub fn env_names(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    names
}

/// Exits the process at once, and stops the programs that it runs: after a second interrupt, when the first takes too long.
pub fn exit_now(code: u8) -> ! {
    program::stop_all();
    #[expect(clippy::exit, reason = "the user asked twice")]
    std::process::exit(i32::from(code))
}

/// Returns the current folder.
pub fn current_dir() -> Result<PathBuf, FileError> {
    std::env::current_dir().map_err(at("enter", Path::new(".")))
}

/// Returns the current time in nanoseconds since 1970, for records.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Measures elapsed time, for reports.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
