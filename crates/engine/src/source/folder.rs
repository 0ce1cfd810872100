//! A hub that is a folder laid out `<org>/<name>/…`, for machines that cannot reach another hub.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use super::{
    Asked, Bytes, Checked, FileDigest, HUB_WORDS, HubKind, Listing, Opening, RemoteFile, Source, SourceError,
    is_model_repo, known,
};
use crate::system::{self, FileError};
use datac_core::{hash::Manifest, id::FileHash};

/// Function that returns the digest of a file, possibly from a record of unchanged files.
pub type DigestFile = dyn Fn(&Path) -> Result<FileHash, FileError> + Send + Sync;

/// A folder of repositories.
#[derive(Clone)]
pub struct FolderHub {
    root: PathBuf,
    digest: Arc<DigestFile>,
}

impl fmt::Debug for FolderHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderHub").field("root", &self.root).finish_non_exhaustive()
    }
}

impl FolderHub {
    /// Creates a hub of the repositories below `root`; `digest` returns the BLAKE3 of a file.
    pub fn new(root: PathBuf, digest: Arc<DigestFile>) -> Self {
        Self { root, digest }
    }

    /// Returns the folder of a repository, and the name that the folder has.
    fn place<'r>(&self, repo: &'r str) -> Option<(PathBuf, &'r str)> {
        if !is_repo_id(repo) {
            return None;
        }
        [known::canonical(repo), repo]
            .into_iter()
            .map(|id| (self.root.join(id), id))
            .find(|(place, _)| system::is_dir(place))
    }

    fn no_repo(&self, repo: &str) -> SourceError {
        SourceError::NoRepo { repo: repo.to_owned(), hub: format!("folder `{}`", self.root.display()) }
    }
}

/// The kind of hub that any other word names.
pub(super) struct FolderKind;

const NAME: &str = "folder";

impl HubKind for FolderKind {
    fn is_meant(&self, _: &str) -> bool {
        true
    }

    fn name(&self, _: &str) -> String {
        NAME.to_owned()
    }

    fn open(&self, given: &str, with: &Opening) -> Result<Arc<dyn Source>, SourceError> {
        let folder = with.root.join(given);
        if !system::is_dir(&folder) {
            return Err(SourceError::NoHubFolder { given: given.to_owned() });
        }
        Ok(Arc::new(FolderHub::new(folder, with.digest.clone())))
    }

    fn check(&self, given: &str, with: &Opening) -> Checked {
        let folder = with.root.join(given);
        if system::is_dir(&folder) {
            Checked::Usable(format!("the folder {}", folder.display()))
        } else {
            Checked::Unusable { text: format!("folder {} does not exist", folder.display()), hint: HUB_WORDS }
        }
    }
}

impl Source for FolderHub {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    /// Resolves a branch or tag to the current contents of the folder; a commit must match them.
    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        let Asked { source: repo, revision, .. } = *asked;
        let (place, id) = self.place(repo).ok_or_else(|| self.no_repo(repo))?;
        let files = walk(&place)?
            .into_par_iter()
            .map(|path| {
                let on_disk = place.join(&path);
                let size = system::stat(&on_disk)?.size;
                Ok(RemoteFile { path, size, digest: FileDigest::Blake3((self.digest)(&on_disk)?), etag: None })
            })
            .collect::<Result<Vec<_>, FileError>>()?;
        let commit = commit_of(&files);
        match revision {
            // A folder has no history: what lies there is `main`, and its own commit.
            Some(revision) if revision != "main" && revision != commit => {
                Err(SourceError::NoRevision { repo: repo.to_owned(), revision: revision.to_owned() })
            }
            _ => Ok(Listing { id: id.to_owned(), commit: Some(commit), files, ..Listing::default() }),
        }
    }

    fn open(&self, repo: &str, _: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        let (place, _) = self.place(repo).ok_or_else(|| self.no_repo(repo))?;
        let missing = || SourceError::NoFile { repo: repo.to_owned(), path: file.path.clone() };
        if !is_plain(&file.path) {
            return Err(missing());
        }
        let path = place.join(&file.path);
        let gone = |error: FileError| if error.is_missing() { missing() } else { error.into() };
        let opened = system::open(&path).map_err(gone)?;
        let digest = (self.digest)(&path).map_err(gone)?;
        // The digest is that of the file now at the path, so that must still be the file that was opened.
        let same = system::stat_file(&opened, &path)? == system::stat(&path).map_err(gone)?;
        if !same || file.digest != FileDigest::Blake3(digest) {
            return Err(SourceError::Changed {
                repo: repo.to_owned(),
                path: file.path.clone(),
                expected: file.digest.to_string(),
            });
        }
        Ok(Bytes::File(opened, path))
    }
}

/// Returns the commit of a repository without history: a digest of its file list.
pub(super) fn commit_of(files: &[RemoteFile]) -> String {
    let mut manifest = Manifest::new();
    for file in files {
        manifest.push(file.path.as_str(), format_args!("{} {}", file.size, file.digest));
    }
    format!("blake3:{}", manifest.digest())
}

/// Returns the files below a folder, sorted. Links are followed; `.git` and other hidden entries are skipped.
pub fn walk(root: &Path) -> Result<Vec<String>, FileError> {
    walk_to(root, usize::MAX)
}

/// Returns the files that [`walk`] returns, as far as their paths have no more than `depth` parts; looks no deeper.
pub(super) fn walk_to(root: &Path, depth: usize) -> Result<Vec<String>, FileError> {
    let mut files = Vec::new();
    for entry in entries(root, depth) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let within = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
        files.push(within.map(str::to_owned).ok_or_else(|| FileError {
            verb: "list",
            path: entry.path().to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8"),
        })?);
    }
    // Sorted by the whole path, as all listings are: `a.b` comes before `a/b`, unlike in a walk.
    files.sort_unstable();
    Ok(files)
}

/// Returns the folders that [`walk_to`] reads, relative to `root`, beginning with `root` itself.
pub(super) fn folders_below(root: &Path, depth: usize) -> Result<Vec<PathBuf>, FileError> {
    let is_folder = |entry: &Result<DirEntry, FileError>| entry.as_ref().map_or(true, |e| e.file_type().is_dir());
    let within = |entry: DirEntry| entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
    entries(root, depth.saturating_sub(1)).filter(is_folder).map(|entry| entry.map(within)).collect()
}

/// Iterates over the entries below a folder, down to `depth`. Links are followed; hidden entries are skipped.
fn entries(root: &Path, depth: usize) -> impl Iterator<Item = Result<DirEntry, FileError>> {
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth).sort_by_file_name().into_iter();
    walk.filter_entry(move |entry| entry.depth() == 0 || !hidden(entry.file_name())).map(move |entry| {
        entry.map_err(|error| FileError {
            verb: "list",
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into_io_error().unwrap_or_else(|| io::Error::other("symbolic links form a loop")),
        })
    })
}

/// Returns whether `repo` is `name` or `org/name`, without parts that are special in paths.
fn is_repo_id(repo: &str) -> bool {
    let most = if is_model_repo(repo) { 3 } else { 2 };
    is_plain(repo) && repo.split('/').count() <= most && repo.split('/').all(|part| !part.starts_with('.'))
}

/// Returns whether a path is relative and does not lead out of its folder.
fn is_plain(path: &str) -> bool {
    !path.contains(['\0', '\\']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(root: &Path) -> FolderHub {
        FolderHub::new(root.to_owned(), Arc::new(|path: &Path| system::read(path).map(|bytes| FileHash::of(&bytes))))
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        system::create_dir(path.parent().unwrap()).unwrap();
        system::replace(&path, text.as_bytes()).unwrap();
    }

    fn paths(listing: &Listing) -> Vec<&str> {
        listing.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn lists_sorted_without_hidden_files() {
        let root = tempfile::tempdir().unwrap();
        for path in ["o/n/b.json", "o/n/a/x.json", "o/n/a.json", "o/n/.git/HEAD", "o/n/.hidden", "o/n/a/.h/y"] {
            write(root.path(), path, path);
        }
        let listing = hub(root.path()).resolve(&Asked::of("o/n", None)).unwrap();
        assert_eq!(paths(&listing), ["a.json", "a/x.json", "b.json"]);
        assert_eq!(listing.id, "o/n");
        assert_eq!(listing.files[0].size, 10);
        assert_eq!(listing.files[0].digest, FileDigest::Blake3(FileHash::of(b"o/n/a.json")));
    }

    #[test]
    fn the_commit_is_the_content_and_a_commit_asked_for_must_match() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "o/n/a.json", "1");
        let hub = hub(root.path());
        let first = hub.resolve(&Asked::of("o/n", Some("main"))).unwrap();
        let pinned = first.commit.as_deref().unwrap();
        assert!(pinned.starts_with("blake3:"), "{pinned}");
        assert_eq!(hub.resolve(&Asked::of("o/n", first.commit.as_deref())).unwrap(), first);
        write(root.path(), "o/n/a.json", "2");
        assert_ne!(hub.resolve(&Asked::of("o/n", None)).unwrap().commit, first.commit);
        for commit in [pinned, "0123456789abcdef0123456789abcdef01234567", "v1.0"] {
            let error = hub.resolve(&Asked::of("o/n", Some(commit))).unwrap_err();
            assert!(matches!(error, SourceError::NoRevision { .. }), "{error}");
        }
    }

    #[test]
    fn a_former_name_finds_the_repository_and_learns_its_present_one() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "openai/gsm8k/main/train.jsonl", "{}");
        let hub = hub(root.path());
        let listing = hub.resolve(&Asked::of("gsm8k", None)).unwrap();
        assert_eq!(listing.id, "openai/gsm8k");
        assert!(hub.open("gsm8k", listing.commit.as_deref(), &listing.files[0]).is_ok());
        let old = tempfile::tempdir().unwrap();
        write(old.path(), "gsm8k/train.jsonl", "{}");
        assert_eq!(
            self::hub(old.path()).resolve(&Asked::of("gsm8k", None)).unwrap().id,
            "gsm8k",
            "a folder kept under the old name"
        );
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_repositories() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "hub/o/n/a.json", "1");
        write(root.path(), "secret/a.json", "1");
        let hub = hub(&root.path().join("hub"));
        for repo in ["../secret", "o/../../secret", "", "o", "o/n/x", "/etc", "o/none", "./o", "o//n"] {
            let found = hub.resolve(&Asked::of(repo, None));
            if repo == "o" {
                // A repository without an organisation is a plain folder; nothing distinguishes the two.
                assert_eq!(paths(&found.unwrap()), ["n/a.json"]);
            } else {
                assert!(matches!(found, Err(SourceError::NoRepo { .. })), "{repo}");
            }
        }
    }

    #[test]
    fn opening_checks_the_bytes() {
        use std::io::Read;
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "o/n/a.json", "first");
        let hub = hub(root.path());
        let listing = hub.resolve(&Asked::of("o/n", None)).unwrap();
        let Bytes::File(mut file, path) = hub.open("o/n", listing.commit.as_deref(), &listing.files[0]).unwrap() else {
            panic!()
        };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), path), ("first", root.path().join("o/n/a.json")));
        write(root.path(), "o/n/a.json", "other");
        let error = hub.open("o/n", listing.commit.as_deref(), &listing.files[0]).unwrap_err();
        assert!(matches!(&error, SourceError::Changed { path, .. } if path == "a.json"), "{error}");
    }

    #[test]
    fn opening_what_is_not_there_or_leads_out() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "o/n/a.json", "1");
        write(root.path(), "o/m/a.json", "1");
        let hub = hub(root.path());
        for path in ["b.json", "../m/a.json", "a.json/x", ""] {
            let file =
                RemoteFile { path: path.into(), size: 1, digest: FileDigest::Blake3(FileHash::of(b"1")), etag: None };
            let error = hub.open("o/n", Some("blake3:"), &file).unwrap_err();
            assert!(matches!(error, SourceError::NoFile { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn links_are_followed_and_circles_named() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "store/a.json", "1");
        write(root.path(), "o/n/b.json", "1");
        std::os::unix::fs::symlink(root.path().join("store/a.json"), root.path().join("o/n/a.json")).unwrap();
        let hub = hub(root.path());
        assert_eq!(paths(&hub.resolve(&Asked::of("o/n", None)).unwrap()), ["a.json", "b.json"]);
        std::os::unix::fs::symlink(root.path().join("o"), root.path().join("o/n/loop")).unwrap();
        assert!(hub.resolve(&Asked::of("o/n", None)).unwrap_err().to_string().contains("symbolic links form a loop"));
    }
}
