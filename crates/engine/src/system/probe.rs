//! Probes a machine and its file systems: locks, timestamps, free space, threads and memory.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{FileError, GRAIN_NS, at, now_ns, replacement::LEFT_OVER, stat_file};

/// A temporary file that shows what its folder supports. It is removed on drop.
#[derive(Debug)]
pub struct Probe {
    file: tempfile::NamedTempFile,
}

/// Timestamps of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// How far timestamps are ahead of this machine's clock, in nanoseconds; 0 if within their precision.
    pub ahead_ns: i64,
    /// Whether two writes that are further apart than the grain datac assumes get different timestamps.
    pub is_fine: bool,
}

impl Probe {
    /// Creates the file.
    pub fn new(folder: &Path) -> Result<Self, FileError> {
        let file = tempfile::Builder::new().prefix(LEFT_OVER.0).suffix(LEFT_OVER.1).tempfile_in(folder);
        file.map(|file| Self { file }).map_err(at("write into", folder))
    }

    /// Returns whether a lock on the file excludes others.
    pub fn keeps_locks(&self) -> Result<bool, FileError> {
        let failed = |error| at("lock a file beside", self.file.path())(error);
        let other = File::options().write(true).open(self.file.path()).map_err(failed)?;
        self.file.as_file().try_lock().map_err(|error| failed(error.into()))?;
        let outcome = other.try_lock();
        self.file.as_file().unlock().map_err(failed)?;
        match outcome {
            Ok(()) => Ok(false),
            Err(std::fs::TryLockError::WouldBlock) => Ok(true),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Writes to the file and returns how it is stamped.
    pub fn stamps(&mut self) -> Result<Stamps, FileError> {
        let mut write = || {
            let path = self.file.path().to_owned();
            self.file.write_all(b".").map_err(at("write", &path))?;
            stat_file(self.file.as_file(), &path).map(|stat| stat.mtime_ns)
        };
        let before = now_ns();
        let first = write()?;
        let after = now_ns();
        let ahead_ns = if first < before - GRAIN_NS {
            first - before
        } else if first > after + GRAIN_NS {
            first - after
        } else {
            0
        };
        // Two of three steps suffice: a busy machine may update its clock late once, and a coarse clock may tick in
        // between.
        let (mut last, mut steps) = (first, 0);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_nanos(GRAIN_NS as u64 + 1));
            let next = write()?;
            steps += u32::from(next != last);
            last = next;
        }
        Ok(Stamps { ahead_ns, is_fine: steps >= 2 })
    }
}

/// Returns whether the file system of `path` gives every change that follows a stat a new timestamp, as Linux has
/// done since 6.13 (`FS_MGTIME`).
///
/// The test writes to a nameless file in the folder `scratch`, which changes nothing in that folder. If `scratch` is
/// on another file system, or nameless files are not supported, the result is false.
pub fn stamps_each_change(path: &Path, scratch: &Path) -> bool {
    // Other clocks for timestamps advance in steps of at least a millisecond.
    const CLOSE_NS: i64 = 500_000;
    let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    if device(scratch).is_none() || device(path) != device(scratch) {
        return false;
    }
    let Some(mut file) = nameless(scratch) else { return false };
    let mut stamp = || {
        file.write_all(b".").ok()?;
        stat_file(&file, scratch).ok().map(|stat| stat.stamp_ns())
    };
    // The first write after a stat gets a new timestamp.
    let stamps: Option<Vec<i64>> = (0..4).map(|_| stamp()).collect();
    stamps.is_some_and(|stamps| stamps[1..].windows(2).all(|pair| (1..CLOSE_NS).contains(&(pair[1] - pair[0]))))
}

/// Creates a file without a name, if the file system supports that.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR).ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> Option<File> {
    None
}

/// The space on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Number of bytes that may still be written.
    pub free: u64,
    /// Total size in bytes.
    pub total: u64,
}

/// Returns the space on the file system that `path` is on, or would be on.
pub fn space(path: &Path) -> Result<Space, FileError> {
    let place = nearest(path);
    let room = rustix::fs::statvfs(&place).map_err(|error| at("stat the file system of", &place)(error.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Ok(Space { free: bytes(room.f_bavail), total: bytes(room.f_blocks) })
}

/// Returns the path itself if it exists, or its nearest existing parent.
pub fn nearest(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|place| !place.as_os_str().is_empty() && super::exists(place));
    above.unwrap_or(Path::new(".")).to_owned()
}

/// Returns the bytes of memory that this process may use, if the system reports it: available memory, limited by the
/// control group.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|limit| limit.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(available.min(limit))
}

/// Raises this process's limit of open files as far as the system allows: it usually starts at 1,024, and large
/// outputs are sorted through hundreds of files.
pub fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Some systems report no maximum, but refuse very large limits.
    const ENOUGH: u64 = 65_536;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if current.is_some_and(|current| current < wanted) {
        // If this fails, the present limit has to suffice.
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).ok();
    }
}

/// Returns the number of threads that this process can run in parallel.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        use rustix::process::{Resource, getrlimit};
        allow_open_files();
        let limit = getrlimit(Resource::Nofile);
        let allowed = limit.maximum.unwrap_or(65_536).min(65_536);
        assert!(limit.current.is_none_or(|current| current >= allowed), "{limit:?}");
    }

    #[test]
    fn a_folder_is_probed_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        {
            let mut probe = Probe::new(folder.path()).unwrap();
            assert!(probe.keeps_locks().unwrap());
            let stamps = probe.stamps().unwrap();
            assert!(stamps.is_fine && stamps.ahead_ns == 0, "{stamps:?}");
        }
        assert!(super::super::names(folder.path()).is_empty());
        assert!(Probe::new(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_file_system_that_is_said_to_stamp_each_change_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        if !stamps_each_change(folder.path(), folder.path()) {
            eprintln!("skipped: this file system does not, or the machine was busy");
            return;
        }
        let mut file = File::create(&path).unwrap();
        let mut stamps = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            file.write_all(b".").unwrap();
            stamps.insert(stat_file(&file, &path).unwrap().stamp_ns());
        }
        assert_eq!(stamps.len(), 1000);
        assert!(!stamps_each_change(Path::new("/proc/self"), folder.path()), "of another one nothing is known");
        assert!(!stamps_each_change(folder.path(), &path), "what cannot be tried is denied");
    }

    #[test]
    fn room_is_that_of_the_nearest_folder() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("not/there");
        assert_eq!(nearest(&below), folder.path());
        assert_eq!(nearest(Path::new("not/there")), Path::new("."));
        let space = space(&below).unwrap();
        assert!(space.free <= space.total && space.total > 0, "{space:?}");
    }
}
