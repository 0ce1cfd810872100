//! Dataset name to pinned snapshot, and snapshot to bytes.
//!
//! A [`Hub`] lists a repository at a revision and hands out the bytes of its files. Three exist: over HTTP
//! (`hub/`), a folder laid out `<org>/<name>/…` (`folder.rs`), and the sample inside the binary (`sample.rs`).

#[cfg(feature = "hub")]
pub mod hub;

pub mod card;
pub mod folder;
mod glob;
mod kind;
pub mod known;
pub mod layout;
pub mod local;
pub mod lock;
pub mod sample;
mod splits;

pub use kind::{format_of, is_data};

use std::{fmt, fs::File, path::PathBuf, str::FromStr};

use crate::{id::FileHash, system::FileError};

/// The identity of a file's bytes, in the algorithm its hub offers.
///
/// As text, in locks and keys: `blake3:<64 hex>`, `sha256:<64 hex>`, `git:<40 hex>` (SHA-1 of a git blob).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileDigest {
    /// BLAKE3 of the bytes: folder and sample hubs, local files.
    Blake3(FileHash),
    /// SHA-256 of the bytes: what a Hub records for large files.
    Sha256([u8; 32]),
    /// Git's blob SHA-1: what a Hub records for small files.
    Git([u8; 20]),
}

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteFile {
    /// Its path in the repository, checked to be plain and relative.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What its bytes hash to.
    pub digest: FileDigest,
}

/// A repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The repository's own name for itself: `openai/gsm8k` when `gsm8k` was asked for.
    pub id: String,
    /// 40 hexadecimal digits on a Hub; `blake3:<64 hex>` over the file list elsewhere.
    pub commit: String,
    /// Its files, sorted by path.
    pub files: Vec<RemoteFile>,
}

/// The bytes of a file, ready to be read; random access is possible on each kind.
#[derive(Debug)]
pub enum Bytes {
    /// A file on disk whose digest has been checked, with its path for messages.
    File(File, PathBuf),
    /// Bytes inside the binary.
    Static(&'static [u8]),
}

/// Where snapshots come from.
pub trait Hub: Send + Sync {
    /// The name a lock records: a URL without credentials, `folder` or `sample`.
    fn name(&self) -> String;

    /// Resolves a repository at a revision (branch, tag or commit; `None`: `main`) to a commit and its files.
    fn resolve(&self, repo: &str, revision: Option<&str>) -> Result<Listing, SourceError>;

    /// Opens one file of a resolved repository; whatever is handed out has been checked against `file.digest`.
    fn open(&self, repo: &str, commit: &str, file: &RemoteFile) -> Result<Bytes, SourceError>;
}

/// A source that cannot be had, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No such repository, as far as the token may see.
    #[error("find dataset `{repo}` on {hub}")]
    NoRepo {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
    },
    /// No such repository as far as anyone may see who shows no token.
    #[error("find dataset `{repo}` on {hub}: there is none, or it is private: set HF_TOKEN")]
    NoRepoOrPrivate {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
    },
    /// No such branch, tag or commit.
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
    /// Access must be asked for.
    #[error("read `{repo}`: its owner grants access on request")]
    Gated {
        /// The repository.
        repo: String,
    },
    /// The token was refused.
    #[error("read `{repo}`: the token was refused")]
    BadToken {
        /// The repository.
        repo: String,
    },
    /// The hub did not answer, or answered with a fault, and retries did not help.
    #[error("read `{repo}` from {hub}: {reason}")]
    Unavailable {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
        /// What happened.
        reason: String,
    },
    /// The network may not be used and something is not on this machine.
    #[error("read {what} offline: not on this machine")]
    Offline {
        /// What is missing.
        what: String,
    },
    /// The bytes are not those that were pinned.
    #[error("read `{path}` of `{repo}`: its bytes are not the pinned ones ({expected})")]
    Changed {
        /// The repository or `local`.
        repo: String,
        /// The file.
        path: String,
        /// The pinned digest.
        expected: String,
    },
    /// The hub's answer cannot be used.
    #[error("read the answer of {hub} about `{repo}`: {reason}")]
    Malformed {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub's address cannot be used.
    #[error("use hub `{hub}`: {reason}")]
    BadHub {
        /// The address as given.
        hub: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository's layout does not give what the recipe asks for.
    #[error("find rows: {reason}")]
    Layout {
        /// What is missing, naming what there is.
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
