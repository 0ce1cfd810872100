//! What keeps a command from doing anything at all.

use crate::{
    config::Problem,
    failure::{Failure, FailureKind},
    system,
};

/// What keeps a command from doing anything at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// Something failed, with what to do about it.
    #[error("{0}")]
    Failure(Failure),
    /// Recipes are broken.
    #[error("{} problems in recipes", .0.len())]
    Problems(Vec<Problem>),
    /// Another process builds, and waiting was not wanted.
    #[error("take the workspace's lock: {holder} holds it")]
    Locked {
        /// What the other process left about itself.
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

impl From<crate::artifact::RecordError> for WorkspaceError {
    fn from(error: crate::artifact::RecordError) -> Self {
        let failure = Failure::new(FailureKind::Cache, error.to_string());
        Self::Failure(if error.is_full { failure.hint(crate::driver::FREE_SOME_SPACE) } else { failure })
    }
}
