//! The stages that a row goes through, in the order in which data flows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of action: a pure step whose results are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Cuts a source file into chunks.
    Scan,
    /// Converts the rows of a chunk to samples.
    Convert,
    /// Scores the samples of a chunk.
    Score,
    /// Selects the samples of a source.
    Select,
    /// Compares the samples of all sources of a recipe.
    Group,
    /// Mixes, splits and orders the samples of a recipe.
    Arrange,
    /// Writes the rows of a recipe.
    Output,
    /// Writes the rejects of a recipe.
    Quarantine,
    // What was added later stands here, because records number the stages.
    /// Counts what a recipe expects of its rows.
    Tally,
    /// Renders and encodes the samples of a chunk for a model.
    Render,
}

impl Stage {
    /// All stages, in the order in which data flows.
    pub const ALL: [Self; 10] = [
        Self::Scan,
        Self::Convert,
        Self::Score,
        Self::Render,
        Self::Select,
        Self::Group,
        Self::Arrange,
        Self::Tally,
        Self::Output,
        Self::Quarantine,
    ];

    /// Returns the word that is printed, recorded and hashed into keys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Convert => "convert",
            Self::Score => "score",
            Self::Select => "select",
            Self::Group => "group",
            Self::Arrange => "arrange",
            Self::Output => "output",
            Self::Quarantine => "quarantine",
            Self::Tally => "tally",
            Self::Render => "render",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
