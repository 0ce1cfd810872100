//! The plan: salsa queries over digests that say what every output is made of and what is still to run.
//!
//! salsa never holds data and is rebuilt in each process; what survives is in the cache. Asking `plan` for a
//! recipe yields its two files' digests, or the actions that are missing, or why it cannot be built. The driver runs
//! what is missing, sets the cells and asks again; `datac status` is the first of those asks.

mod action;
mod inputs;
pub(crate) mod keys;
mod queries;
mod selection;
mod sources;
mod stages;
mod standing;
#[cfg(test)]
mod tests;

pub use action::{
    Action, ArrangeOutcome, ChunkRef, Conversion, ConvertOutcome, ConvertedChunk, FileOrigin, Follower, Measure,
    Outcome, ScanOutcome, ScanWork, ScannedChunk, SelectOutcome, SelectedSource, SourceFile, Work,
};
pub(crate) use inputs::{Known, Lookup, OnExecute, Planner, RecipeFile};
pub use inputs::{LocalFile, Snapshot, SnapshotKey};
#[cfg(test)]
use inputs::{SnapshotInput, World};
pub use keys::code_versions;
pub use queries::{Node, RecipePlan};
pub(crate) use queries::{Rejects, parse, plan, rejects};
pub(crate) use sources::{choose, conversion_of, files_of, snapshot_key};
pub(crate) use stages::stages;
pub(crate) use standing::{environment, leaves};
