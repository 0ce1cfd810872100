//! Why something could not be done: one type for every layer, put in words and exit codes by the command.

mod source_fault;

pub use source_fault::{AboutSource, InRecipe, SourceFault};

use std::{fmt, io, path::PathBuf};

use crate::leaf::Setting;

/// Stands for the path of a file in the words of a failure, until [`Failure::in_file`] puts it there.
pub const THE_FILE: &str = "\u{0}file\u{0}";

/// Says why a recipe cannot be built, or a command cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The kind of fault; decides the exit code.
    pub kind: FailureKind,
    /// The whole message: "failed to …" with the cause behind a colon, or a plain statement.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// What shows it best, such as the first of the rows that were rejected.
    pub note: Option<String>,
    /// Which part of a source it is about, where it is about one.
    pub about: Option<Box<AboutSource>>,
    /// The failures that this one sums up, each with its own place; none if there is but one.
    pub parts: Vec<Failure>,
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
    /// The recipe does not allow it: too many rows were rejected, or the result is not what it expects.
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
        Self::plain(kind, format!("failed to {operation}"))
    }

    /// Makes a failure that states a fact, such as "`a.yaml` already exists"; for requests that are invalid.
    pub fn plain(kind: FailureKind, statement: impl Into<String>) -> Self {
        Self { kind, message: statement.into(), hint: None, note: None, about: None, parts: Vec::new() }
    }

    /// Returns this failure with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns this failure with a note.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// Returns this failure as one of a source: it has a code, and is shown at the key of the recipe that it is about.
    pub fn about(self, fault: SourceFault) -> Self {
        Self { about: Some(Box::new(AboutSource { fault, word: None, key: None, dataset: None })), ..self }
    }

    /// Returns this failure with the word of the recipe that is wrong, such as one split of several.
    pub fn at_word(mut self, word: impl Into<String>) -> Self {
        if let Some(about) = &mut self.about {
            about.word = Some(word.into());
        }
        self
    }

    /// Returns this failure with the key of the recipe that it is about, where its fault leaves that open.
    pub fn at_key(mut self, key: Setting) -> Self {
        if let Some(about) = &mut self.about {
            about.key = Some(key);
        }
        self
    }

    /// Returns this failure of a recipe's model as one of the model of an output, by the name of the output's folder.
    pub fn of_output(mut self, folder: &str) -> Self {
        if let Some(about) = &mut self.about {
            about.key = about.key.take().map(|key| key.of_output(folder));
        }
        self
    }

    /// Returns the failure of several things at once, at least one, that are told one by one where they are shown in the
    /// recipe.
    pub fn of_all(mut parts: Vec<Self>) -> Option<Self> {
        let first = parts.first()?.clone();
        if parts.len() == 1 {
            return parts.pop();
        }
        let messages: Vec<&str> = parts.iter().map(|part| part.message.as_str()).collect();
        Some(Self { message: messages.join(", and "), parts, ..first })
    }

    /// Returns this failure with the dataset entry that it is about, unless one is named already.
    ///
    /// What lists, reads or converts a source does not know which recipe asked; the plan does.
    pub fn in_dataset(mut self, recipe: &str, dataset: &str) -> Self {
        if let Some(about) = self.about.as_mut().filter(|about| about.dataset.is_none()) {
            about.dataset = Some(InRecipe { recipe: recipe.to_owned(), dataset: dataset.to_owned() });
        }
        self.parts = self.parts.into_iter().map(|part| part.in_dataset(recipe, dataset)).collect();
        self
    }

    /// Returns this failure with the file that it is about in place of [`THE_FILE`]: its name in the message, its path in the hint.
    ///
    /// Files with the same bytes share what is made of them, and so they share its failure; the plan knows which of them is meant.
    pub fn in_file(mut self, name: &str, path: &str) -> Self {
        self.message = self.message.replace(THE_FILE, name);
        self.hint = self.hint.map(|hint| hint.replace(THE_FILE, path));
        self
    }

    /// Returns this failure without its dataset entry, for a source that no recipe names.
    pub fn of_no_recipe(mut self) -> Self {
        if let Some(about) = &mut self.about {
            about.dataset = None;
        }
        self
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
