//! The plan: salsa queries over digests that say what every output is made of and which actions are missing.
//!
//! salsa never holds rows, and the plan is rebuilt in each process; only the cache persists. For each recipe, `plan`
//! returns the digests of its files, or the missing actions, or why the recipe cannot be built. The driver runs the
//! missing actions, sets their cells and asks again. `datac status` asks once and runs nothing.

mod about;
mod action;
mod expected;
mod grouping;
mod inputs;
pub(crate) mod keys;
mod model;
mod own_model;
mod queries;
pub(crate) mod scope;
mod selection;
pub(crate) mod slice;
mod sources;
mod stages;
mod standing;
#[cfg(test)]
mod tests;

pub use action::{
    Action, ArrangeOutcome, ChunkRef, Conversion, ConvertOutcome, ConvertedChunk, EncodedChunk, FileOrigin, Follower,
    GroupedSource, Grouping, Inside, Measure, Measured, ModelFile, ModelOutcome, Outcome, PackedRows, PinnedFile,
    PinnedModel, RefusedChunk, RefusedSamples, RenderOutcome, ScanOutcome, ScanWork, ScannedChunk, Scoring,
    SelectOutcome, SelectedSource, ShapedOutcome, ShortenedChunk, SourceFile, StoredOutcome, StoredSamples,
    TallyOutcome, Work,
};
pub(crate) use expected::unexpected;
pub(crate) use inputs::{Known, Lookup, OnExecute, Planner, RecipeFile};
pub use inputs::{Snapshot, SnapshotKey};
#[cfg(test)]
use inputs::{SnapshotInput, World};
pub use keys::code_versions;
pub(crate) use model::{model_file, model_files, model_key, model_of};
pub use own_model::OwnModel;
pub use queries::{Node, RecipePlan};
pub(crate) use queries::{Rejects, parse, plan, rejects, sources_of};
pub use slice::Slice;
pub(crate) use sources::{
    choose, conversion_of, files_of, license, partly_read, snapshot_key, snapshot_keys, survey_of, text_of,
};
pub(crate) use stages::stages;
pub(crate) use standing::{environment, leaves};
