//! The errors that keep a command from running.

use crate::system;
use datac_core::{
    config::Problem,
    failure::{Failure, FailureKind},
};

/// Error that keeps a command from running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// An operation failed.
    #[error("{0}")]
    Failure(Failure),
    /// Recipes are invalid.
    #[error("{} errors in recipes", .0.len())]
    Problems(Vec<Problem>),
    /// Another process builds, and the caller does not want to wait.
    #[error("the workspace is locked by {holder}")]
    Locked {
        /// Description of the process that holds the lock.
        holder: String,
    },
}

impl From<Failure> for WorkspaceError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<system::FileError> for WorkspaceError {
    fn from(error: system::FileError) -> Self {
        Self::Failure(crate::driver::file_failure(&error))
    }
}

impl From<crate::cache::RecordError> for WorkspaceError {
    fn from(error: crate::cache::RecordError) -> Self {
        let failure = Failure::new(FailureKind::Cache, error.to_string());
        Self::Failure(if error.is_full { failure.hint(crate::driver::FREE_SOME_SPACE) } else { failure })
    }
}
