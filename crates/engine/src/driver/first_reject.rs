//! Adds the first reject to the failure of a recipe with too many rejects.

use super::{chunk::StoredReject, quarantine_place};
use crate::{
    cache::{Blobs, Store},
    graph::SelectedSource,
};
use datac_core::failure::{Failure, FailureKind, SourceFault};

/// Adds a note to a failure caused by too many rejects: location, reason and detail of the first reject.
///
/// Returns the failure unchanged if it has another cause, or if no reject is found in the cache.
pub(crate) fn with_first_reject(store: &Store, sources: &[SelectedSource], failure: Failure) -> Failure {
    let about = failure.about.as_ref().and_then(|about| about.dataset.as_ref());
    let (FailureKind::Policy, Some(entry)) = (failure.kind, about) else { return failure };
    if failure.about.as_ref().is_some_and(|about| about.fault == SourceFault::Unexpected) {
        return failure;
    }
    let source = sources.iter().find(|source| source.name == entry.dataset);
    match source.and_then(|source| first_reject(store, source)) {
        Some(first) => failure.note(first),
        None => failure,
    }
}

fn first_reject(store: &Store, source: &SelectedSource) -> Option<String> {
    let chunk = source.chunks.iter().find(|chunk| chunk.converted.rejects.is_some())?;
    let bytes = store.get(&chunk.converted.rejects?).ok()?;
    let stored: Vec<StoredReject> = postcard::from_bytes(&bytes).ok()?;
    let first = stored.first()?;
    let place = quarantine_place(&source.name, &chunk.chunk);
    let line = place.line(first).map_or_else(String::new, |line| format!(" (line {line})"));
    let detail = &first.reject.detail;
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    Some(format!("first `{}` row {}{line}: {}{detail}", place.file, place.row(first), first.reject.reason.code()))
}
