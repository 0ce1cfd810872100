//! Resolves dataset names to pinned snapshots, and reads the bytes of snapshots.
//!
//! A [`Hub`] lists a repository at a revision and opens its files. There are three: over HTTP (`hub/`), a folder laid
//! out `<org>/<name>/…` (`folder.rs`), and the sample data inside the binary (`sample.rs`).

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

use crate::system::FileError;
use datac_core::id::FileHash;

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
}

/// A repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The repository's own name, such as `openai/gsm8k` if `gsm8k` was requested.
    pub id: String,
    /// Commit: 40 hexadecimal digits on the Hub, otherwise `blake3:<64 hex>` of the file list.
    pub commit: String,
    /// Files of the repository, sorted by path.
    pub files: Vec<RemoteFile>,
}

/// The bytes of a file, which allow random access.
#[derive(Debug)]
pub enum Bytes {
    /// A file on disk whose digest has been checked, with its path for messages.
    File(File, PathBuf),
    /// Bytes inside the binary.
    Static(&'static [u8]),
}

/// A place that snapshots come from.
pub trait Hub: Send + Sync {
    /// Returns the name recorded in locks: a URL without credentials, `folder` or `sample`.
    fn name(&self) -> String;

    /// Resolves a repository at a revision (branch, tag or commit; `None` for `main`) to a commit and its files.
    fn resolve(&self, repo: &str, revision: Option<&str>) -> Result<Listing, SourceError>;

    /// Opens a file of a resolved repository. The bytes have been checked against `file.digest`.
    fn open(&self, repo: &str, commit: &str, file: &RemoteFile) -> Result<Bytes, SourceError>;
}

/// Why a source is unavailable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The repository does not exist, or the token does not give access to it.
    #[error("find dataset `{repo}` on {hub}")]
    NoRepo {
        /// The repository.
        repo: String,
        /// The hub's name.
        hub: String,
    },
    /// The repository does not exist, or is private and there is no token.
    #[error("find dataset `{repo}` on {hub}: not found, or private (set HF_TOKEN)")]
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
    /// The repository does not contain what the recipe requests.
    #[error("find rows: {reason}")]
    Layout {
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
