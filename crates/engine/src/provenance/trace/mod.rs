//! Traces rows: from a line of an output to its source row, and back.
//!
//! Everything follows from the manifest of a build (`manifest.rs`). It describes files as they were built, whatever
//! has happened to the recipe, the lock file or the source since. Tracing writes nothing and needs no network.

mod back;
mod dropped;
mod findings;
mod forward;
mod lineage;
mod locate;
mod rows;
mod seen;
mod shard;
mod source_row;

pub(crate) use back::trace;
pub use back::{FileAsBuilt, Mixed, Origin, Passed, Rejected, Split};
pub(crate) use dropped::dropped;
pub use dropped::{DroppedRow, DroppedRows};
pub(crate) use findings::Finder;
pub use findings::{Findings, Repairs};
pub use forward::{Fate, FateOf, Identified, Journey, OutputLine, Twin};
pub(crate) use forward::{trace_id, trace_source};
pub(crate) use lineage::{At, Lineage};
pub(crate) use locate::{Located, locate, named_output};
pub(crate) use rows::rows;
pub use rows::{OutputRow, OutputRows};
pub(crate) use seen::seen;
pub use seen::{SeenPart, SeenRow, SeenRun, SeenSequence};
pub(crate) use source_row::Sources;
pub use source_row::{SampleOf, SourcePlace, SourceText};

use crate::site::WorkspaceError;
use datac_core::failure::{Failure, FailureKind};

/// Splits `FILE:NUMBER` at the last colon; the file name may contain colons.
pub fn split_place(place: &str) -> Result<(&str, u64), WorkspaceError> {
    let parts = place.rsplit_once(':').and_then(|(file, number)| Some((file, number.parse().ok()?)));
    parts.filter(|(file, _)| !file.is_empty()).ok_or_else(|| {
        let failure = Failure::plain(FailureKind::Config, format!("`{place}` is not of the form FILE:NUMBER"));
        failure.hint("for example `dataset/sft_general_train.jsonl:17`").into()
    })
}
