//! Lists a cache folder by names and sizes. Opens no file but the record, and follows no links.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{Record, RecordError, gc_schedule::SCHEDULE, record::RECORD, store};
use crate::system::{self, EntryKind, FileError, FolderEntry, Replacement};
use datac_core::id::BlobId;

/// Contents of `cache/<version>/`.
#[derive(Debug, Default)]
pub struct CacheContents {
    /// The blobs.
    pub blobs: BTreeMap<BlobId, Held>,
    /// Downloaded files, by the name of their digest (`sha256-…`).
    pub downloads: BTreeMap<String, Held>,
    /// Notes beside downloads, of which objects of buckets they were.
    pub notes: Vec<PathBuf>,
    /// Incomplete downloads, by the name of their digest.
    pub partial: BTreeMap<String, Held>,
    /// The record.
    pub record: Held,
    /// Files left behind by killed processes, and replaced outputs.
    pub temporary: Vec<(PathBuf, Held)>,
    /// Files that datac did not create.
    pub strangers: Vec<PathBuf>,
}

/// Disk usage of a set of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Number of files or blobs.
    pub count: u64,
    /// Total size in bytes.
    pub bytes: u64,
    /// Modification time of the newest file, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// The file that a process locks while it builds.
pub const LOCK: &str = "build.lock";
/// The file that holds what was published to shared caches.
pub const SHARED: &str = "shared.bin";
/// The folder for files that hold what does not fit in memory, and for outputs that were replaced.
pub const SCRATCH: &str = "tmp";
/// The folder of downloaded files.
pub const DOWNLOADS: &str = "sources";
/// The folder of blobs.
pub(super) const BLOBS: &str = "cas";
/// Name of a damaged record that was set aside.
const DAMAGED: &str = "record.damaged";

impl Held {
    fn of(entry: &FolderEntry) -> Self {
        Self { count: 1, bytes: entry.bytes, mtime_ns: entry.mtime_ns }
    }

    /// Returns the sum of two sets of files.
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
            mtime_ns: self.mtime_ns.max(other.mtime_ns),
        }
    }
}

impl CacheContents {
    /// Lists the cache below `root`; a missing folder is an empty cache.
    pub fn take(root: &Path) -> Result<Self, FileError> {
        let mut found = Self::default();
        for entry in system::entries(root)? {
            let path = root.join(&entry.name);
            match (entry.kind, entry.name.as_str()) {
                (EntryKind::Folder, BLOBS) => found.take_blobs(&path)?,
                (EntryKind::Folder, DOWNLOADS) => found.take_downloads(&path)?,
                (EntryKind::Folder, SCRATCH) => found.take_scratch(&path)?,
                // These are too small to count.
                (EntryKind::File, LOCK | SCHEDULE | SHARED) => {}
                (EntryKind::File, DAMAGED) => found.temporary.push((path, Held::of(&entry))),
                (EntryKind::File, name) if name.strip_prefix(RECORD).is_some_and(is_journal) => {
                    found.record = found.record.and(Held::of(&entry));
                }
                (EntryKind::File, name) if Replacement::is_left_over(name) => {
                    found.temporary.push((path, Held::of(&entry)));
                }
                _ => found.strangers.push(path),
            }
        }
        Ok(found)
    }

    /// Adds the blobs that are stored in the record, and subtracts their size from that of the record.
    pub fn add_recorded(&mut self, record: &Record) -> Result<(), RecordError> {
        if let Some(rest) = record.bytes_beside_frames()? {
            self.record.bytes = rest;
        }
        for (digest, held) in record.frames()? {
            let both = self.blobs.entry(digest).or_default();
            // A blob that is both in a file and in the record counts once, with both sizes.
            *both = Held { count: 1, ..both.and(held) };
        }
        Ok(())
    }

    /// Returns the sum of all files of the cache.
    pub fn total(&self) -> Held {
        let all = self.blobs.values().chain(self.downloads.values()).chain(self.partial.values());
        let all = all.chain(self.temporary.iter().map(|(_, held)| held)).chain([&self.record]);
        all.fold(Held::default(), |sum, held| sum.and(*held))
    }

    /// Returns every file below `root` that datac created, except the lock; and its folders, inner folders first.
    pub fn everything(&self, root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (blobs, downloads) = (root.join(BLOBS), root.join(DOWNLOADS));
        let mut files: Vec<PathBuf> = self.blobs.keys().map(|digest| store::path(&blobs, digest)).collect();
        for name in self.downloads.keys() {
            files.extend([downloads.join(format!("{name}.ok")), downloads.join(name)]);
        }
        files.extend(self.partial.keys().map(|name| downloads.join(format!("{name}.part"))));
        files.extend(self.notes.iter().cloned());
        files.extend(self.temporary.iter().map(|(path, _)| path.clone()));
        files.extend(["", "-journal", "-wal", "-shm"].map(|suffix| root.join(format!("{RECORD}{suffix}"))));
        files.push(root.join(SCHEDULE));
        files.retain(|path| system::kind(path) == Some(EntryKind::File));
        let shelves = (0..=u8::MAX).map(|shelf| root.join(BLOBS).join(format!("{shelf:02x}")));
        let folders = shelves.chain([BLOBS, DOWNLOADS, SCRATCH].map(|name| root.join(name)));
        (files, folders.collect())
    }

    fn take_blobs(&mut self, folder: &Path) -> Result<(), FileError> {
        let (shelves, others): (Vec<FolderEntry>, Vec<FolderEntry>) = system::entries(folder)?
            .into_iter()
            .partition(|entry| entry.kind == EntryKind::Folder && is_hex(&entry.name, 2));
        self.strangers.extend(others.iter().map(|entry| folder.join(&entry.name)));
        let listed: Vec<(PathBuf, Vec<FolderEntry>)> = shelves
            .into_par_iter()
            .map(|shelf| {
                let path = folder.join(&shelf.name);
                Ok((path.clone(), system::entries(&path)?))
            })
            .collect::<Result<_, FileError>>()?;
        for (shelf, entries) in listed {
            for entry in entries {
                let digest = entry.name.strip_suffix(".zst").and_then(BlobId::from_hex);
                // A blob in the wrong folder is never found, so it is not counted as one.
                let digest = digest.filter(|_| shelf.ends_with(&entry.name[..2]) && entry.kind == EntryKind::File);
                match digest {
                    Some(digest) => drop(self.blobs.insert(digest, Held::of(&entry))),
                    None if Replacement::is_left_over(&entry.name) => {
                        self.temporary.push((shelf.join(&entry.name), Held::of(&entry)));
                    }
                    None => self.strangers.push(shelf.join(&entry.name)),
                }
            }
        }
        Ok(())
    }

    fn take_downloads(&mut self, folder: &Path) -> Result<(), FileError> {
        let mut checked = Vec::new();
        for entry in system::entries(folder)? {
            let (path, held) = (folder.join(&entry.name), Held::of(&entry));
            if entry.kind != EntryKind::File {
                self.strangers.push(path);
            } else if is_download(&entry.name) {
                self.downloads.insert(entry.name, held);
            } else if let Some(name) = entry.name.strip_suffix(".ok").filter(|name| is_download(name)) {
                checked.push((name.to_owned(), path, held));
            } else if let Some(name) = noted(&entry.name) {
                checked.push((name.to_owned(), path, held));
            } else if let Some(name) = entry.name.strip_suffix(".part").filter(|name| is_download(name)) {
                self.partial.insert(name.to_owned(), held);
            } else if Replacement::is_left_over(&entry.name) {
                self.temporary.push((path, held));
            } else {
                self.strangers.push(path);
            }
        }
        // The `.ok` file and the notes add their sizes to the download, but not their modification times.
        for (name, path, held) in checked {
            match self.downloads.get_mut(&name) {
                Some(download) => {
                    *download = Held { mtime_ns: download.mtime_ns, ..download.and(held) };
                    if path.extension().is_some_and(|extension| extension == "etag") {
                        self.notes.push(path);
                    }
                }
                None => self.temporary.push((path, held)),
            }
        }
        Ok(())
    }

    fn take_scratch(&mut self, folder: &Path) -> Result<(), FileError> {
        for entry in system::entries(folder)? {
            let path = folder.join(&entry.name);
            match entry.kind {
                EntryKind::File => self.temporary.push((path, Held::of(&entry))),
                _ => self.strangers.push(path),
            }
        }
        Ok(())
    }
}

/// Returns whether a file has the name of a download: `sha256-<64 hex>`, `git-<40 hex>` or `blake3-<64 hex>`.
fn is_download(name: &str) -> bool {
    match name.split_once('-') {
        Some(("sha256" | "blake3", hex)) => is_hex(hex, 64),
        Some(("git", hex)) => is_hex(hex, 40),
        _ => false,
    }
}

/// Returns the name of the download that a note is about: `<download>.<64 hex>.etag` says which object of a bucket it was.
fn noted(name: &str) -> Option<&str> {
    let (download, object) = name.strip_suffix(".etag")?.split_once('.')?;
    (is_download(download) && is_hex(object, 64)).then_some(download)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether SQLite appends `suffix` to the name of a database.
fn is_journal(suffix: &str) -> bool {
    matches!(suffix, "" | "-journal" | "-wal" | "-shm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_place_and_strangers_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(CacheContents::take(&root.join("none")).unwrap().total(), Held::default());
        let digest = BlobId::of(b"rows");
        let download = format!("sha256-{}", "a".repeat(64));
        let shelf = format!("cas/{}", &digest.to_string()[..2]);
        for name in [
            "record.sqlite".to_owned(),
            "record.damaged".into(),
            "build.lock".into(),
            "notes.txt".into(),
            "tmp/sorted".into(),
            "sources/mine".into(),
            format!("sources/{download}"),
            format!("sources/{download}.ok"),
            format!("sources/{download}.{}.etag", "c".repeat(64)),
            format!("sources/git-{}.part", "b".repeat(40)),
            format!("sources/git-{}.ok", "c".repeat(40)),
            format!("{shelf}/.datac-x.part"),
            format!("{shelf}/{digest}.zst"),
            format!("{shelf}/{}.zst", "0".repeat(63)),
        ] {
            let path = root.join(name);
            system::create_dir(path.parent().unwrap()).unwrap();
            system::replace(&path, b"1234").unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("cas/ff")).ok();
        let found = CacheContents::take(root).unwrap();
        assert_eq!(found.blobs.keys().collect::<Vec<_>>(), [&digest]);
        assert_eq!(found.downloads[&download], Held { count: 3, bytes: 12, ..found.downloads[&download] });
        assert_eq!(found.notes.len(), 1);
        assert_eq!(found.partial.len(), 1);
        assert_eq!(found.record.bytes, 4);
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut temporary: Vec<String> = found.temporary.iter().map(|(path, _)| name(path)).collect();
        temporary.sort();
        let checked = format!("git-{}.ok", "c".repeat(40));
        assert_eq!(temporary, [".datac-x.part", &checked, "record.damaged", "sorted"]);
        let mut strangers: Vec<String> = found.strangers.iter().map(|path| name(path)).collect();
        strangers.sort();
        assert_eq!(strangers, [format!("{}.zst", "0".repeat(63)), "ff".into(), "mine".into(), "notes.txt".into()]);
    }
}
