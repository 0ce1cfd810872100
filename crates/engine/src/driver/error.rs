//! The errors of actions, and their conversion to failures with hints.

use std::io::ErrorKind;

use crate::{
    cache::{Miss, MissReason},
    source::{HUB_WORDS, SourceError, is_model_repo},
    system::FileError,
};
use datac_core::failure::{Failure, FailureKind, SourceFault};

/// Why an action ended without an outcome.
#[derive(Clone, Debug)]
pub(crate) enum ActionError {
    /// A blob is missing or damaged, so the action that made it must run again.
    Missing(Miss),
    /// The action failed.
    Failure(Failure),
    /// The user interrupted the build.
    Interrupted,
}

impl From<Miss> for ActionError {
    fn from(miss: Miss) -> Self {
        Self::Missing(miss)
    }
}

impl From<FileError> for ActionError {
    fn from(error: FileError) -> Self {
        Self::Failure(file_failure(&error))
    }
}

/// Converts a file error to a failure with a hint.
pub(crate) fn file_failure(error: &FileError) -> Failure {
    let failure = Failure::new(FailureKind::Action, error.to_string());
    match error.source.kind() {
        ErrorKind::StorageFull => failure.hint(FREE_SOME_SPACE),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => failure.hint(
            "check the permissions of the folder; `--cache-dir` and `--output-dir` put cache and outputs elsewhere",
        ),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists if error.verb == "create folder" => failure.hint(
            "a file is in the place of a folder: move it, or choose another folder (`--cache-dir`, `--output-dir`)",
        ),
        // Of files that are read, only outputs are checked to be of a format.
        ErrorKind::InvalidData if error.verb == "read" => {
            failure.hint("the file is damaged: `datac build` writes it again")
        }
        _ => failure,
    }
}

impl From<SourceError> for ActionError {
    fn from(error: SourceError) -> Self {
        Self::Failure(failure_of(&error))
    }
}

/// The hint for a full disk.
pub(crate) const FREE_SOME_SPACE: &str = "free some space and build again; finished steps are kept";

/// Converts a source error to a failure with a hint.
pub(crate) fn failure_of(error: &SourceError) -> Failure {
    let kind = match error {
        SourceError::Changed { .. } | SourceError::NotThePinned { .. } => FailureKind::Lock,
        SourceError::Layout { .. } | SourceError::BadHub { .. } | SourceError::NoBuckets { .. } => FailureKind::Config,
        SourceError::File(_) => FailureKind::Action,
        SourceError::Interrupted => FailureKind::Interrupted,
        _ => FailureKind::Source,
    };
    let failure = match error {
        SourceError::Layout { reason, .. } => Failure::plain(kind, reason.clone()),
        SourceError::NoHubFolder { given } => {
            Failure::plain(kind, format!("the hub folder `{given}` does not exist")).hint(HUB_WORDS)
        }
        _ => Failure::new(kind, error),
    };
    let failure = match error {
        SourceError::Layout { fault, word, .. } => word.iter().fold(failure.about(*fault), Failure::at_word),
        SourceError::NoRepo { .. }
        | SourceError::NoRepoOrPrivate { .. }
        | SourceError::NoRevision { .. }
        | SourceError::NoFile { .. }
        | SourceError::Gated { .. }
        | SourceError::BadToken { .. } => failure.about(SourceFault::NotOnHub),
        SourceError::Unavailable { .. } | SourceError::Offline { .. } | SourceError::Malformed { .. } => {
            failure.about(SourceFault::Unreachable)
        }
        SourceError::Changed { .. } | SourceError::NotThePinned { .. } => failure.about(SourceFault::NotPinned),
        SourceError::Bucket { .. } | SourceError::NoBuckets { .. } => failure.about(SourceFault::Bucket),
        SourceError::File(_) => failure.about(SourceFault::Unreadable),
        _ => failure,
    };
    match error {
        SourceError::NoRepo { repo, .. } | SourceError::NoRepoOrPrivate { repo, .. } => {
            failure.hint(match is_model_repo(repo) {
                true => "check the name; a folder of the workspace must exist, or end with `/`; for a private model set HF_TOKEN",
                false => "check the name; a file or folder of the workspace has to exist; for a private dataset set HF_TOKEN",
            })
        }
        SourceError::Gated { repo } => {
            failure.hint(format!("request access on the page of `{repo}`, and set HF_TOKEN to a token with access"))
        }
        SourceError::BadToken { .. } => failure.hint("set HF_TOKEN to a valid token, or unset it for public datasets"),
        SourceError::NoToken { .. } => failure.hint("set HF_TOKEN to a token that may write; one is not sent to a hub that only datac.toml names"),
        SourceError::Refused { .. } => failure.hint("nothing has changed there; the token must have the right to write to it"),
        SourceError::Conflict { .. } => failure.hint("nothing of this was written; do the same again"),
        SourceError::Unavailable { .. } => failure.hint("try again, or use `--offline` with downloaded files"),
        SourceError::File(error) if error.source.kind() == ErrorKind::PermissionDenied => {
            failure.hint("check the permissions of the file")
        }
        SourceError::Offline { .. } => failure.hint("run `datac fetch` once with network access"),
        SourceError::Changed { repo, .. } => failure
            .hint(format!("run `datac lock --upgrade {repo}` to accept the new contents, or restore the old ones")),
        SourceError::NotThePinned { pinned_for, .. } => failure.hint(format!(
            "run `datac lock --upgrade '{pinned_for}'` to accept what is there now, or restore what was pinned"
        )),
        SourceError::NoBuckets { .. } => failure.hint(
            "build datac with `--features bucket`, or copy the objects into the workspace and name that folder",
        ),
        _ => failure,
    }
}

/// Returns a description of a miss.
pub(crate) fn describe(miss: &Miss) -> String {
    match &miss.reason {
        MissReason::Absent => format!("cache entry {} is missing; rebuilding it", miss.digest.short()),
        MissReason::Damaged(how) => {
            format!("cache entry {} was damaged ({how}); rebuilding it", miss.digest.short())
        }
    }
}
