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

pub(crate) use back::trace;
pub use back::{FileAsBuilt, Mixed, Origin, Passed, Rejected, Split};
pub(crate) use forward::trace_source;
pub use forward::{Fate, FateOf, Journey, OutputLine, Twin};
pub(crate) use locate::{Located, locate, named_output};
pub(crate) use rows::rows;
pub use rows::{OutputRow, OutputRows};
pub use source_row::{SampleOf, SourcePlace, SourceText};

use crate::site::WorkspaceError;
use datac_core::failure::{Failure, FailureKind};

/// Splits `FILE:NUMBER`; the file may have colons of its own.
pub fn split_place(place: &str) -> Result<(&str, u64), WorkspaceError> {
    let parts = place.rsplit_once(':').and_then(|(file, number)| Some((file, number.parse().ok()?)));
    parts.filter(|(file, _)| !file.is_empty()).ok_or_else(|| {
        let failure = Failure::plain(FailureKind::Config, format!("`{place}` is not of the form FILE:NUMBER"));
        failure.hint("for example `dataset/sft_general_train.jsonl:17`").into()
    })
}
