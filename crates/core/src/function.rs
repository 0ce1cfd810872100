//! Functions in Python of a workspace, as recipes name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A function in Python that is called on rows or on samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// The file of its module, relative to the workspace.
    pub module: String,
    /// Its name in the module.
    pub name: String,
    /// The files that decide what it does, besides its module and what that imports from the workspace.
    pub files: Vec<String>,
    /// The seconds that it may take for one row or sample.
    pub timeout: u64,
}

impl Function {
    /// The seconds that a function may take for one row or sample where the recipe does not say.
    pub const TIMEOUT: u64 = 600;
}

/// Spells the function as a recipe does: `converters/chat.py:to_sample`.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module, self.name)
    }
}

/// What a function says of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judge {
    /// A number, which the bounds of a filter are compared with.
    Scorer,
    /// Whether the sample is kept.
    Filter,
}

impl Judge {
    /// Returns the name of the decorator of such functions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scorer => "scorer",
            Self::Filter => "filter",
        }
    }
}
