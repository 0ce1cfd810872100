//! Files that were replaced, kept for what is to replace the same file next.
//!
//! A file that loses its last name is freed then and there. On a disk mounted with `discard` that takes a third of the
//! time that writing it took, and all else that is to be written waits behind it; and new room for as many bytes takes
//! longer to write than room that a file had before. So it is written over, where no one can notice ([`super::reuse`]).

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{self, Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use tempfile::NamedTempFile;

use super::{EntryKind, Replacement, entries, replacement::LEFT_OVER, reuse};

/// The most that is kept: no one is to miss the space.
const MOST_BYTES: u64 = 64 << 20;

/// A file that is smaller is freed within a millisecond.
const LEAST_BYTES: u64 = 4 << 20;

/// A folder for them.
#[derive(Debug)]
pub struct Aside {
    folder: PathBuf,
    /// The file system that it is on.
    device: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was kept before and is still there: its name and size.
    before: BTreeMap<String, u64>,
    /// Bytes that were kept since.
    bytes: u64,
    /// Threads that free what is not kept any longer, or make the rest ready.
    at_work: Vec<JoinHandle<()>>,
}

impl Aside {
    /// A folder, which must exist and which no one else keeps files in. What a killed process left there begins to be
    /// freed.
    pub fn new(folder: PathBuf) -> Self {
        let mut state = State::default();
        let mut lost = Vec::new();
        for entry in entries(&folder).unwrap_or_default() {
            if entry.kind == EntryKind::File && is_name(&entry.name) {
                state.before.insert(entry.name, entry.bytes);
            } else if Replacement::is_left_over(&entry.name) {
                lost.push(entry.name);
            }
        }
        state.free(&folder, lost);
        let device = fs::metadata(&folder).ok().map(|meta| meta.dev());
        Self { folder, device, state: Mutex::new(state) }
    }

    /// Begins to make ready what was kept when `path` was replaced last: it may soon be replaced again.
    pub(super) fn prepare(&self, path: &Path) {
        let mut state = self.state();
        if let Some(name) = name_of(path).filter(|name| state.before.contains_key(name)) {
            let kept = self.folder.join(name);
            state.begin(move || {
                // Of no use, it is freed.
                if reuse::empty(&kept).is_err() {
                    fs::remove_file(kept).ok();
                }
            });
        }
    }

    /// Takes what was kept when `path` was replaced last for the new file that is to replace it now, of so many bytes, if
    /// it may be used. What is at `path` is to be kept next: what stands in its way begins to be freed.
    pub(super) fn give(&self, path: &Path, temporary: &mut NamedTempFile, bytes: u64) {
        let Some(name) = name_of(path) else { return };
        let mut state = self.state();
        state.settle();
        if state.before.remove(&name).is_some() && reuse::reuse(&self.folder.join(&name), temporary, bytes).is_err() {
            state.free(&self.folder, vec![name]);
        }
        if let Some(bytes) = self.size(path) {
            state.make_room(&self.folder, bytes);
        }
    }

    /// The size of the file at `path`, if it is to be kept when it is replaced: not if it is small, or larger than all that
    /// is kept, or on another file system. A link is not followed: it would be kept itself.
    pub(super) fn size(&self, path: &Path) -> Option<u64> {
        let meta = fs::symlink_metadata(path).ok()?;
        let is_of_use = meta.is_file() && (LEAST_BYTES..=MOST_BYTES).contains(&meta.len());
        (is_of_use && Some(meta.dev()) == self.device).then_some(meta.len())
    }

    /// Keeps a file that is about to be replaced, under another name; unless it is of no use or there is no room for it: it
    /// is freed when it is replaced.
    pub(super) fn keep(&self, path: &Path) {
        let Some((name, bytes)) = name_of(path).zip(self.size(path)) else { return };
        let mut state = self.state();
        if state.before.remove(&name).is_some() {
            state.free(&self.folder, vec![name.clone()]);
        }
        state.make_room(&self.folder, bytes);
        state.settle();
        if state.held() + bytes <= MOST_BYTES && fs::hard_link(path, self.folder.join(name)).is_ok() {
            state.bytes += bytes;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Bytes that are kept.
    fn held(&self) -> u64 {
        self.before.values().sum::<u64>() + self.bytes
    }

    /// Frees of what was kept before what stands in the way of so many bytes.
    fn make_room(&mut self, folder: &Path, bytes: u64) {
        let mut lost = Vec::new();
        while self.held() + bytes > MOST_BYTES {
            let Some((name, _)) = self.before.pop_first() else { break };
            lost.push(name);
        }
        self.free(folder, lost);
    }

    /// Begins to free files; what cannot be freed is in no one's way.
    fn free(&mut self, folder: &Path, names: Vec<String>) {
        if !names.is_empty() {
            let folder = folder.to_owned();
            self.begin(move || names.iter().for_each(|name| drop(fs::remove_file(folder.join(name)))));
        }
    }

    fn begin(&mut self, work: impl FnOnce() + Send + 'static) {
        self.at_work.extend(thread::Builder::new().spawn(work).ok());
    }

    /// Waits for all that was begun; nearly always it has ended long since.
    fn settle(&mut self) {
        self.at_work.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// What a file is called that is kept for `path`.
fn name_of(path: &Path) -> Option<String> {
    let mut hasher = DefaultHasher::new();
    path::absolute(path).ok()?.hash(&mut hasher);
    Some(format!("{}{:016x}{}", LEFT_OVER.0, hasher.finish(), LEFT_OVER.1))
}

/// Whether a file that is kept may have this name.
fn is_name(name: &str) -> bool {
    Replacement::is_left_over(name) && name.len() == LEFT_OVER.0.len() + 16 + LEFT_OVER.1.len()
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, sync::Arc};

    use super::*;
    use crate::system;

    const LARGE: usize = LEAST_BYTES as usize;

    /// A file and where those that it replaced are kept.
    struct Place {
        folder: tempfile::TempDir,
        output: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("aside")).unwrap();
            Self { output: folder.path().join("output"), folder }
        }

        /// Begins as a build would.
        fn aside(&self) -> Arc<Aside> {
            Arc::new(Aside::new(self.folder.path().join("aside")))
        }

        /// Writes a file as a build would; says whether it lies where another one did.
        fn replace(&self, aside: &Arc<Aside>, path: &Path, bytes: &[u8]) -> bool {
            let mut replacement = Replacement::new(path).unwrap().with_aside(aside.clone());
            let kept: Vec<u64> = self.files().iter().map(|path| fs::metadata(path).unwrap().ino()).collect();
            replacement.reserve(bytes.len() as u64).unwrap();
            replacement.write_all_at(&bytes[1..], 1).unwrap();
            replacement.write_out(0..bytes.len() as u64);
            replacement.write_all_at(&bytes[..1], 0).unwrap();
            replacement.cut_off(bytes.len() as u64).unwrap();
            replacement.sync().unwrap();
            let stat = replacement.put_in_place().unwrap();
            assert!(fs::read(path).unwrap() == bytes);
            kept.contains(&stat.inode)
        }

        fn files(&self) -> Vec<PathBuf> {
            let folder = self.folder.path().join("aside");
            entries(&folder).unwrap().iter().map(|entry| folder.join(&entry.name)).collect()
        }

        /// What is kept, the shortest first.
        fn kept(&self) -> Vec<Vec<u8>> {
            let mut kept: Vec<_> = self.files().iter().map(|path| fs::read(path).unwrap()).collect();
            kept.sort_by_key(Vec::len);
            kept
        }

        /// Whether files can be written over here.
        fn reuses(&self) -> bool {
            let path = self.folder.path().join("tried");
            fs::write(&path, vec![1; LARGE]).unwrap();
            let can = reuse::empty(&path);
            if let Err(error) = &can {
                assert!(fs::read(&path).unwrap() == vec![1; LARGE], "all or nothing");
                eprintln!("skipped: no file is written over here, {error}");
            }
            can.is_ok()
        }
    }

    /// Bytes that tell files apart.
    fn bytes(fill: u8, more: usize) -> Vec<u8> {
        vec![fill; LARGE + more]
    }

    #[test]
    fn what_was_replaced_is_kept_and_written_over() {
        let place = Place::new();
        fs::write(place.folder.path().join("aside/not ours"), "x").unwrap();
        fs::write(place.folder.path().join("aside/.datac-killed.part"), "left behind").unwrap();
        let reuses = place.reuses();
        let mut former = None;
        // Longer and shorter ones, by less than a page and by more.
        for (fill, more) in [(1, 10), (2, 0), (3, 70_000), (4, 5), (5, 5), (6, 0)] {
            let aside = place.aside();
            let now = bytes(fill, more);
            let is_reused = place.replace(&aside, &place.output, &now);
            assert_eq!(is_reused, reuses && fill > 2, "file {fill}: two must have been replaced");
            drop(aside);
            let wanted: Vec<_> = [b"x".to_vec()].into_iter().chain(former).collect();
            assert!(place.kept() == wanted, "the one before it, and it alone");
            former = Some(now);
        }
    }

    #[test]
    fn a_file_that_someone_may_still_read_is_never_written_over() {
        let place = Place::new();
        let reuses = place.reuses();
        let link = place.folder.path().join("link");
        type Hold<'h> = &'h dyn Fn() -> Option<fs::File>;
        let holds: [(&str, bool, Hold<'_>); 5] = [
            ("no one", reuses, &|| None),
            ("a reader", false, &|| fs::File::open(&place.output).ok()),
            ("a writer", false, &|| fs::File::options().append(true).open(&place.output).ok()),
            ("another name", false, &|| {
                fs::hard_link(&place.output, &link).unwrap();
                None
            }),
            ("no one again", reuses, &|| None),
        ];
        let mut fill = 0;
        let mut next = || {
            fill += 1;
            place.replace(&place.aside(), &place.output, &bytes(fill, 0));
            bytes(fill, 0)
        };
        for (who, is_reused, hold) in holds {
            next();
            let read = next();
            // Whoever has it, had it before it was replaced.
            let mut held = hold();
            next();
            let inode = fs::metadata(&place.files()[0]).unwrap().ino();
            next();
            assert_eq!(fs::metadata(&place.output).unwrap().ino() == inode, is_reused, "{who}");
            if let Some(file) = &mut held {
                let mut whole = vec![0; read.len()];
                match std::os::unix::fs::FileExt::read_exact_at(file, &mut whole, 0) {
                    Ok(()) => assert!(whole == read, "{who}"),
                    Err(_) => assert!(file.write_all(b"!").is_ok(), "it is open for writing alone"),
                }
            }
            if fs::read(&link).is_ok_and(|bytes| bytes != read) {
                panic!("{who}: it has other bytes");
            }
            fs::remove_file(&link).ok();
        }
    }

    #[test]
    fn a_file_of_other_rights_is_not_taken() {
        let place = Place::new();
        let reuses = place.reuses();
        for (mode, is_reused) in [(0o644, reuses), (0o600, false)] {
            place.replace(&place.aside(), &place.output, &bytes(1, 0));
            fs::set_permissions(&place.output, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            place.replace(&place.aside(), &place.output, &bytes(2, 0));
            assert_eq!(place.replace(&place.aside(), &place.output, &bytes(3, 0)), is_reused, "{mode:o}");
            assert_eq!(fs::metadata(&place.output).unwrap().mode() & 0o777, 0o644);
            place.files().iter().for_each(|path| fs::remove_file(path).unwrap());
        }
    }

    #[test]
    fn little_is_kept_and_only_files_are() {
        let place = Place::new();
        let path = |name: &str| place.folder.path().join(name);
        let keeper = place.aside();
        fs::write(path("small"), vec![1; LARGE - 1]).unwrap();
        fs::write(path("large"), vec![1; LARGE]).unwrap();
        // No block of it is ever written.
        fs::File::create(path("huge")).unwrap().set_len(MOST_BYTES - 2 * LEAST_BYTES + 1).unwrap();
        std::os::unix::fs::symlink(path("large"), path("link")).unwrap();
        for name in ["small", "link", "aside", "absent"] {
            keeper.keep(&path(name));
            assert_eq!(place.files(), [] as [PathBuf; 0], "{name}");
        }
        for name in ["large", "huge"] {
            keeper.keep(&path(name));
        }
        assert_eq!(place.files().len(), 2);
        fs::write(path("other"), vec![2; LARGE]).unwrap();
        keeper.keep(&path("other"));
        assert_eq!(place.files().len(), 2, "there is no room, and what this build has kept stays");
        let next = place.aside();
        next.keep(&path("other"));
        assert!(place.kept().contains(&vec![2; LARGE]), "what an earlier one has kept makes way");
        let held: u64 = place.files().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(held <= MOST_BYTES);
        let nowhere = Aside::new(path("nowhere"));
        nowhere.keep(&path("large"));
        assert!(fs::read(path("large")).unwrap() == [1; LARGE], "it stays as it is");
        assert!(system::stat(&path("nowhere")).is_err());
    }
}
