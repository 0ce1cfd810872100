//! Where rows come from and where they go: from a line of an output to the row of a source, and back.
//!
//! All of it stands on what a build left behind (`manifest.rs`), so it tells of files as they were built, whatever has
//! become of the recipe, the lock or the source since. It writes nothing and needs no network.

mod back;
mod forward;
mod lineage;
mod locate;
mod rows;
mod source_row;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use back::{FileAsBuilt, Mixed, Origin, Passed, Rejected, Split};
pub use forward::{Fate, FateOf, Journey, OutputLine, Twin};
pub(super) use locate::Located;
pub use rows::{OutputRow, OutputRows};
pub use source_row::{SourcePlace, SourceText};

use super::WorkspaceError;
use crate::graph::{Failure, FailureKind};

/// Which of a recipe's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The rows to train on.
    Train,
    /// The rows held out.
    Validation,
    /// The rows that could not be used.
    Quarantine,
}

impl Side {
    /// The word that is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Splits `FILE:NUMBER`; the file may have colons of its own.
pub fn split_place(place: &str) -> Result<(&str, u64), WorkspaceError> {
    let parts = place.rsplit_once(':').and_then(|(file, number)| Some((file, number.parse().ok()?)));
    parts.filter(|(file, _)| !file.is_empty()).ok_or_else(|| {
        let failure = Failure::new(FailureKind::Config, format!("read `{place}` as FILE:NUMBER"));
        failure.hint("such as `dataset/sft_general_train.jsonl:17`").into()
    })
}
