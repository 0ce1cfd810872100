//! Errors as exceptions: `datac._errors` has the classes, and makes one of a document.

use std::panic::{self, AssertUnwindSafe};

use pyo3::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use datac::{
    Failure, FailureKind, WorkspaceError,
    cli::exit,
    config::problems_of,
    system::{self, FileError},
    workspace::{Problem, Settings},
};

/// A problem of a recipe.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Problem")]
pub(crate) struct Told {
    /// Stable code; `datac explain CODE` describes it.
    pub(crate) code: &'static str,
    /// Path of the recipe.
    pub(crate) path: String,
    /// Line of the problem, from 1.
    pub(crate) line: usize,
    /// Column of the problem in characters, from 1.
    pub(crate) column: usize,
    /// Statement of what is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// What shows it best, such as the first of the rows that were rejected.
    pub(crate) note: Option<String>,
}

impl From<&Problem> for Told {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.code,
            path: problem.path.clone(),
            line: problem.line,
            column: problem.column,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            note: problem.note.clone(),
        }
    }
}

/// Why something could not be done.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Failure")]
pub(crate) struct Raised {
    /// The exit code of the command for it.
    pub(crate) exit: u8,
    /// Stable code, if it has one; `datac explain CODE` describes it.
    pub(crate) code: Option<&'static str>,
    /// The whole message.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// What shows it best, such as the first of the rows that were rejected.
    pub(crate) note: Option<String>,
    /// The places in recipes that it is about.
    pub(crate) problems: Vec<Told>,
}

impl Raised {
    /// Returns what is raised of a failure in the workspace of `settings`, at its place in a recipe if it has one.
    pub(crate) fn of_failure(failure: &Failure, settings: &Settings) -> Self {
        let entry = failure.about.as_ref().and_then(|about| about.dataset.as_ref());
        let text = entry.and_then(|entry| system::read(&settings.root.join(&entry.recipe)).ok());
        let problems = text.map(|text| problems_of(failure, &text)).unwrap_or_default();
        Self {
            exit: exit::of(failure.kind),
            code: failure.about.as_ref().map(|about| about.fault.code()),
            message: failure.message.clone(),
            hint: failure.hint.clone(),
            note: failure.note.clone(),
            problems: problems.iter().map(Told::from).collect(),
        }
    }

    pub(crate) fn of_problems(problems: &[Problem]) -> Self {
        let message = match problems {
            [one] => one.to_string(),
            _ => format!(
                "{} problems in recipes, the first: {}",
                problems.len(),
                problems.first().map(ToString::to_string).unwrap_or_default()
            ),
        };
        let code = problems.first().map(|problem| problem.code);
        let problems = problems.iter().map(Told::from).collect();
        Self { exit: exit::USAGE, code, message, hint: None, note: None, problems }
    }

    fn of_error(error: &WorkspaceError, settings: &Settings) -> Self {
        match error {
            WorkspaceError::Failure(failure) => Self::of_failure(failure, settings),
            WorkspaceError::Problems(problems) => Self::of_problems(problems),
            WorkspaceError::Locked { .. } => Self::plain(exit::LOCKED, error.to_string()),
            _ => Self::plain(exit::FAILED, error.to_string()),
        }
    }

    fn plain(exit: u8, message: String) -> Self {
        Self { exit, code: None, message, hint: None, note: None, problems: Vec::new() }
    }

    /// Returns the exception.
    pub(crate) fn exception(&self, py: Python<'_>) -> PyErr {
        let document = serde_json::to_string(self).expect("text can be written as JSON");
        let made = py.import("datac._errors").and_then(|errors| errors.call_method1("exception", (document,)));
        made.map_or_else(|error| error, PyErr::from_value)
    }
}

/// Why something was not done.
pub(crate) enum Fault {
    /// The library says so.
    Error(Box<WorkspaceError>),
    /// A bug: it panicked.
    Bug(String),
}

impl From<WorkspaceError> for Fault {
    fn from(error: WorkspaceError) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        WorkspaceError::from(failure).into()
    }
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        WorkspaceError::from(error).into()
    }
}

impl Fault {
    /// Returns the fault of an operation, as [`Failure::new`].
    pub(crate) fn action(operation: impl std::fmt::Display) -> Self {
        Failure::new(FailureKind::Action, operation).into()
    }

    /// Returns the message alone, for who cannot be given an exception.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Error(error) => error.to_string(),
            Self::Bug(text) => format!("this is a bug in datac: {text}"),
        }
    }

    pub(crate) fn exception(&self, py: Python<'_>, settings: &Settings) -> PyErr {
        match self {
            Self::Error(error) => Raised::of_error(error, settings),
            Self::Bug(_) => Raised::plain(exit::BUG, self.text()),
        }
        .exception(py)
    }
}

/// Returns what `work` returns, or a bug if it panics.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panicked| {
        let text = panicked.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Fault::Bug(text.unwrap_or_default()))
    })
}
