//! Why something could not be done: one type for every layer, put in words and exit codes by the command.

use std::{fmt, io, path::PathBuf};

/// Says why a recipe cannot be built, or a command cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The kind of fault; decides the exit code.
    pub kind: FailureKind,
    /// The whole message: "failed to …" with the cause behind a colon, or a plain statement.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

/// Sorts failures by what the caller can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// A step went wrong: a file that cannot be decoded or written.
    Action,
    /// The recipe asks for what its source does not have.
    Config,
    /// A source is unavailable.
    Source,
    /// The lock does not allow it.
    Lock,
    /// More rows were rejected than the recipe allows.
    Policy,
    /// The cache is damaged and rebuilding did not repair it.
    Cache,
    /// The build was interrupted.
    Interrupted,
}

impl Failure {
    /// Makes the failure of an operation; `operation` completes "failed to …", with the cause behind a colon.
    ///
    /// ```
    /// use datac_core::failure::{Failure, FailureKind};
    ///
    /// let failure = Failure::new(FailureKind::Action, "read `a.jsonl`: permission denied");
    /// assert_eq!(failure.to_string(), "failed to read `a.jsonl`: permission denied");
    /// ```
    pub fn new(kind: FailureKind, operation: impl fmt::Display) -> Self {
        Self { kind, message: format!("failed to {operation}"), hint: None }
    }

    /// Makes a failure that states a fact, such as "`a.yaml` already exists"; for requests that are invalid.
    pub fn plain(kind: FailureKind, statement: impl Into<String>) -> Self {
        Self { kind, message: statement.into(), hint: None }
    }

    /// Returns this failure with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
/// A file operation that failed, with the path it was about.
#[derive(Debug, thiserror::Error)]
#[error("{verb} `{}`: {source}", path.display())]
pub struct FileError {
    /// Operation that failed: `read`, `write`, `create folder`.
    pub verb: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// Error of the operating system.
    pub source: io::Error,
}

impl FileError {
    /// Returns whether the file was simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    }
}
