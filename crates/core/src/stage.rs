//! The stages that a row goes through, in the order in which data flows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of action: a pure step whose results the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Cut a source file into chunks.
    Scan,
    /// Make samples of a chunk.
    Convert,
    /// Measure the samples of a chunk.
    Score,
    /// Choose the samples of a source.
    Select,
    /// Mix, split and order the samples of a recipe.
    Arrange,
    /// Write the rows of a recipe.
    Output,
    /// Write the rejects of a recipe.
    Quarantine,
}

impl Stage {
    /// Every stage, in the order in which data flows.
    pub const ALL: [Self; 7] =
        [Self::Scan, Self::Convert, Self::Score, Self::Select, Self::Arrange, Self::Output, Self::Quarantine];

    /// Returns the word that is printed, recorded and hashed into keys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Convert => "convert",
            Self::Score => "score",
            Self::Select => "select",
            Self::Arrange => "arrange",
            Self::Output => "output",
            Self::Quarantine => "quarantine",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
