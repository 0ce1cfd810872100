//! Resolves dataset names to snapshots, and reads the bytes of snapshots.
//!
//! A [`Source`] is a place that rows come from, whatever format they are written in: it finds what a recipe names, lists its
//! files and opens them. Five exist: a hub over HTTP (`hub/`), a folder laid out `<org>/<name>/…` (`folder.rs`), the sample inside
//! the binary (`sample.rs`), objects of buckets (`in_buckets.rs`), and the files of the workspace (`local.rs`). The first three are
//! hubs: `--hub` chooses one of [`HUBS`]. `datac.lock` pins what hubs and buckets answer.

#[cfg(feature = "hub")]
pub mod hub;

#[cfg(feature = "bucket")]
pub(crate) mod bucket;

pub mod card;
pub mod folder;
mod glob;
mod http;
pub(crate) mod in_buckets;
mod kind;
pub mod known;
pub mod layout;
pub mod local;
pub mod lock;
pub mod members;
pub(crate) mod places;
mod python_imports;
pub mod sample;
pub(crate) mod splits;

pub(crate) use kind::is_archive;
pub use kind::{FileKind, format_of, is_data};
pub(crate) use layout::why_no_rows;

use std::{fmt, fs::File, path::PathBuf, str::FromStr, sync::Arc};

use crate::{
    event::Observer,
    system::{FileError, Stat},
};
use datac_core::{failure::SourceFault, format::RowFormat, id::FileHash, license::License};

/// The digest of a file's bytes, in the algorithm that its hub provides.
///
/// As text, in locks and keys: `blake3:<64 hex>`, `sha256:<64 hex>`, `git:<40 hex>` (SHA-1 of a git blob).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileDigest {
    /// BLAKE3 of the bytes; used by the folder and sample hubs and for local files.
    Blake3(FileHash),
    /// SHA-256 of the bytes; used by the Hub for large files.
    Sha256([u8; 32]),
    /// SHA-1 of the git blob; used by the Hub for small files.
    Git([u8; 20]),
}

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteFile {
    /// Path of the file in the repository, checked to be plain and relative.
    pub path: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Digest of the file.
    pub digest: FileDigest,
    /// The entity tag of an object in a bucket: another object of this name has another one.
    pub etag: Option<Arc<str>>,
}

/// What the ids of repositories of models begin with: `models/org/name`. Those of datasets have at most two parts.
pub(crate) const MODELS: &str = "models/";

/// Returns whether a repository is one of a model.
pub(crate) fn is_model_repo(repo: &str) -> bool {
    repo.strip_prefix(MODELS).is_some_and(|name| name.contains('/'))
}

/// Names a repository in messages: "dataset `org/name`", "model `org/name`".
fn in_words(repo: &str) -> String {
    match repo.strip_prefix(MODELS) {
        Some(name) if is_model_repo(repo) => format!("model `{name}`"),
        _ => format!("dataset `{repo}`"),
    }
}

/// What a recipe asks of a place.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The source as the recipe has it: a repository, or a path of the workspace.
    pub source: &'a str,
    /// The branch, tag or commit; `None`: `main`.
    pub revision: Option<&'a str>,
    /// The part of the source that is wanted, for places that look at no more than that; `None`: all of it.
    pub selection: Option<&'a Selection>,
    /// Files of this source whose digests are known: a bucket need not be read for those that it still has.
    pub known: &'a [RemoteFile],
}

impl<'a> Asked<'a> {
    /// Asks for all of a repository at a revision.
    pub fn of(source: &'a str, revision: Option<&'a str>) -> Self {
        Self { source, revision, selection: None, known: &[] }
    }
}

/// The part of a source that a dataset entry reads.
///
/// Of a bucket, `paths` are addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selection {
    /// The recipe's `format`; `None` leaves it to the names of files.
    pub format: Option<RowFormat>,
    /// The splits asked for.
    pub splits: Vec<String>,
    /// The folders asked for.
    pub data_dir: Vec<String>,
    /// The paths of the workspace, with or without wildcards.
    pub paths: Vec<String>,
    /// The config asked for, which only repositories have.
    pub config_name: Option<String>,
    /// What the files are for.
    pub purpose: Purpose,
}

/// What files of the workspace are for, which decides what their names say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// They hold rows.
    Rows,
    /// They decide what a command or a model does; their names say nothing.
    Files,
    /// They are modules in Python; what these import from the workspace is wanted, too.
    Module,
}

impl Default for Selection {
    fn default() -> Self {
        let (splits, data_dir, paths) = (Vec::new(), Vec::new(), Vec::new());
        Self { format: None, splits, data_dir, paths, config_name: None, purpose: Purpose::Rows }
    }
}

/// What a place has of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The source's own name for itself: `openai/gsm8k` when `gsm8k` was asked for.
    pub id: String,
    /// Commit: 40 hexadecimal digits on a Hub; `blake3:<64 hex>` over the file list elsewhere; `None` where there is none to
    /// pin, and each build looks again.
    pub commit: Option<String>,
    /// Files of the source, sorted by path; with `selected`, only those, in reading order.
    pub files: Vec<RemoteFile>,
    /// The kind of each file, if the place itself selected what is read; `None`: that follows from the names of `files` and
    /// the card.
    pub selected: Option<Vec<FileKind>>,
    /// The licence that files beside those of the source state, where the place looks for such files.
    pub license: Option<License>,
    /// Files and folders on disk, relative to the workspace, with the stats that this listing holds for.
    pub stood_on: Vec<(String, Stat)>,
    /// Files beside those that are read, if the place itself selected them.
    pub passed_over: Vec<String>,
}

/// The bytes of a file, which allow random access.
#[derive(Debug)]
pub enum Bytes {
    /// A file on disk whose digest has been checked, with its path for messages.
    File(File, PathBuf),
    /// Bytes inside the binary.
    Static(&'static [u8]),
}

/// A place that rows come from.
pub trait Source: Send + Sync {
    /// Returns the name that a lock records: a URL without credentials, `folder` or `sample`.
    fn name(&self) -> String;

    /// Finds what is asked for, and lists its files with their digests.
    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError>;

    /// Opens one file of a listing; `id` and `commit` are the listing's.
    ///
    /// What a hub hands out has been checked against `file.digest`. A file of the workspace can change at any time: whoever reads
    /// it compares its stat with the listing's.
    fn open(&self, id: &str, commit: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError>;

    /// Writes files to a repository, in one commit. Most places only give.
    fn push(&self, asked: &Pushing<'_>) -> Result<PushedCommit, SourceError> {
        let (repo, hub) = (asked.repo.to_owned(), self.name());
        Err(SourceError::Refused { repo, hub, reason: "nothing can be pushed to this kind of hub".to_owned() })
    }
}

/// Files that are to be written to a repository of datasets.
#[derive(Clone, Copy)]
pub struct Pushing<'a> {
    /// The repository: `org/name`.
    pub repo: &'a str,
    /// The branch.
    pub revision: &'a str,
    /// What the commit is called.
    pub summary: &'a str,
    /// The files.
    pub files: &'a [PushFile],
    /// Whether to say what would be sent, and send nothing.
    pub dry_run: bool,
    /// Returns whether to stop; once the commit is asked for, it is too late.
    pub is_interrupted: &'a (dyn Fn() -> bool + Sync),
}

/// A file to write to a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushFile {
    /// Path in the repository.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// The file on this machine.
    pub local: PathBuf,
}

/// What was written to a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedCommit {
    /// The repository's own name.
    pub repo: String,
    /// The commit; if there was nothing to write, the one that is there.
    pub commit: String,
    /// Whether the commit was made now.
    pub is_new: bool,
    /// Paths of the files that were not there, or had other bytes.
    pub sent: Vec<String>,
    /// Number of bytes of files that were sent.
    pub uploaded_bytes: u64,
}

/// A kind of hub.
pub trait HubKind: Sync {
    /// Returns whether `--hub GIVEN` names a hub of this kind; the first of [`HUBS`] that says so is chosen.
    fn is_meant(&self, given: &str) -> bool;

    /// Returns the name that locks record, without opening the hub.
    fn name(&self, given: &str) -> String;

    /// Returns whether its files come over a network.
    fn is_remote(&self) -> bool {
        false
    }

    /// Opens the hub that `given` names.
    fn open(&self, given: &str, with: &Opening) -> Result<Arc<dyn Source>, SourceError>;

    /// Says whether the hub can be used, for `datac doctor`.
    fn check(&self, given: &str, with: &Opening) -> Checked;
}

/// Every kind of hub.
pub const HUBS: &[&dyn HubKind] = &[&sample::SampleKind, &http::HttpKind, &folder::FolderKind];

/// What hubs are opened with.
pub struct Opening {
    /// The workspace, which folders are relative to.
    pub root: PathBuf,
    /// The folder for downloads.
    pub store: PathBuf,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Whether the access token may be sent to the hub.
    pub sends_token: bool,
    /// Hashes files on disk.
    pub digest: Arc<folder::DigestFile>,
    /// Told of downloads.
    pub observer: Observer,
    /// Whether it is for a look at a source, for which some of the objects in a bucket are enough.
    pub is_look: bool,
}

/// Whether a hub can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It can.
    Usable(String),
    /// It was not looked at.
    Skipped(String),
    /// Not now.
    Troubled {
        /// What is wrong.
        text: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// It cannot.
    Unusable {
        /// What is wrong.
        text: String,
        /// What to do about it.
        hint: &'static str,
    },
}

/// What `--hub` takes, for hints.
pub(crate) const HUB_WORDS: &str = "`--hub` takes a URL, a folder laid out <org>/<name>/…, or `sample`";

/// The reason why a source is unavailable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The repository does not exist, or the token does not give access to it.
    #[error("find {} on {hub}", in_words(repo))]
    NoRepo {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
    },
    /// The repository does not exist, or is private and there is no token.
    #[error("find {} on {hub}: not found, or private (set HF_TOKEN)", in_words(repo))]
    NoRepoOrPrivate {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
    },
    /// The branch, tag or commit does not exist.
    #[error("find revision `{revision}` of `{repo}`")]
    NoRevision {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The commit has no such file.
    #[error("find `{path}` in `{repo}`")]
    NoFile {
        /// The repository.
        repo: String,
        /// The path.
        path: String,
    },
    /// Access must be requested from the owner.
    #[error("read `{repo}`: access must be requested from its owner")]
    Gated {
        /// The repository.
        repo: String,
    },
    /// The token was rejected.
    #[error("read `{repo}`: the token was rejected")]
    BadToken {
        /// The repository.
        repo: String,
    },
    /// Writing needs a token, and there is none.
    #[error("write to `{repo}` on {hub}: there is no token")]
    NoToken {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
    },
    /// The hub does not take what is to be written.
    #[error("write to `{repo}` on {hub}: {reason}")]
    Refused {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
        /// Description of the error.
        reason: String,
    },
    /// The user interrupted datac.
    #[error("write to a repository: interrupted")]
    Interrupted,
    /// Somebody else has written to the repository in the meantime.
    #[error("write to `{repo}`: it has another commit meanwhile")]
    Conflict {
        /// The repository.
        repo: String,
    },
    /// The hub did not respond, or responded with an error, and retries did not help.
    #[error("read `{repo}` from {hub}: {reason}")]
    Unavailable {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
        /// Description of the error.
        reason: String,
    },
    /// The network may not be used, and something has not been downloaded.
    #[error("read {what} offline: not downloaded yet")]
    Offline {
        /// Description of the missing item.
        what: String,
    },
    /// A bucket cannot be read.
    #[error("read `{address}`: {reason}")]
    Bucket {
        /// The address of the bucket, an object, or a folder.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// This datac reads no buckets.
    #[error("read `{address}`: this datac was built without the `bucket` feature")]
    NoBuckets {
        /// The address.
        address: String,
    },
    /// A bucket does not have the object that is pinned.
    #[error("read `{address}`: {reason}")]
    NotThePinned {
        /// The address of the object.
        address: String,
        /// The source as the recipe has it.
        pinned_for: String,
        /// What has become of it.
        reason: &'static str,
    },
    /// The contents do not match the pinned digest.
    #[error("read `{path}` of `{repo}`: its contents do not match the pinned digest ({expected})")]
    Changed {
        /// The repository or `local`.
        repo: String,
        /// The file.
        path: String,
        /// The pinned digest.
        expected: String,
    },
    /// The hub's response is invalid.
    #[error("read the response of {hub} about `{repo}`: {reason}")]
    Malformed {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
        /// Description of the problem.
        reason: String,
    },
    /// The hub's address is invalid.
    #[error("use hub `{hub}`: {reason}")]
    BadHub {
        /// The address as given.
        hub: String,
        /// Description of the problem.
        reason: String,
    },
    /// The folder that is to stand in for a hub does not exist.
    #[error("find the hub folder `{given}`")]
    NoHubFolder {
        /// The folder as given.
        given: String,
    },
    /// The repository does not contain what the recipe requests.
    #[error("find rows: {reason}")]
    Layout {
        /// What kind of thing is missing.
        fault: SourceFault,
        /// Word of the recipe that is wrong, such as the split.
        word: Option<String>,
        /// Description of what is missing, and of what is available.
        reason: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes): (_, &[u8]) = match self {
            Self::Blake3(digest) => ("blake3", digest.as_bytes()),
            Self::Sha256(bytes) => ("sha256", bytes),
            Self::Git(bytes) => ("git", bytes),
        };
        write!(f, "{name}:")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for FileDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
            let mut bytes = [0; N];
            if text.len() != 2 * N || !text.is_ascii() {
                return None;
            }
            for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            }
            Some(bytes)
        }
        let parsed = match text.split_once(':') {
            Some(("blake3", rest)) => FileHash::from_hex(rest).map(Self::Blake3),
            Some(("sha256", rest)) => hex(rest).map(Self::Sha256),
            Some(("git", rest)) => hex(rest).map(Self::Git),
            _ => None,
        };
        parsed.ok_or_else(|| format!("`{text}` is not a file digest (blake3:…, sha256:… or git:…)"))
    }
}
