//! What is told of jobs: when they begin and end, and what came of them.

use std::sync::Arc;

use super::step::{Context, Event, Stop};
use crate::{
    graph::{Outcome, Work},
    hash::Digest,
    system::Stopwatch,
};

/// A job as it is told of.
pub(super) struct Told {
    pub(super) kind: &'static str,
    pub(super) key: Digest,
    pub(super) label: String,
    pub(super) recipes: Arc<[String]>,
}

impl Told {
    /// Runs it, unless the user wants to stop, and tells of its beginning and end; `size` says what rows and bytes came
    /// of it.
    pub(super) fn run<T>(
        self,
        context: &Context,
        size: impl FnOnce(&T) -> (Option<u64>, Option<u64>),
        run: impl FnOnce() -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let watch = Stopwatch::start();
        let Self { kind, key, label, recipes } = self;
        context.tell(Event::Started { kind, key, label: label.clone(), recipes: recipes.clone() });
        let result = context.check().and_then(|()| run());
        let (rows, bytes) = result.as_ref().map(size).unwrap_or_default();
        let (took, is_done) = (watch.elapsed(), result.is_ok());
        context.tell(Event::Finished { kind, key, label, recipes, took, rows, bytes, is_done });
        result
    }
}

/// Rows and bytes that came of an action, where it counts them; of a scan, the bytes of the file.
pub(super) fn size(work: &Work, outcome: &Outcome) -> (Option<u64>, Option<u64>) {
    match (work, outcome) {
        (Work::Scan(work), Outcome::Scan(scan)) => {
            (Some(scan.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum()), Some(work.file.file.size))
        }
        (_, Outcome::Select(selected)) => (Some(selected.kept), None),
        (_, Outcome::Arrange(arranged)) => {
            (Some(arranged.realised.iter().map(|realised| realised.train + realised.validation).sum()), None)
        }
        (_, Outcome::Output(train, held_out)) => (Some(train.rows + held_out.rows), Some(train.bytes + held_out.bytes)),
        (_, Outcome::Quarantine(file)) => (Some(file.rows), Some(file.bytes)),
        _ => (None, None),
    }
}

/// What an action works on, for people.
pub(super) fn label(work: &Work) -> String {
    match work {
        Work::Scan(scan) => scan.file.file.path.clone(),
        Work::Output { stem, .. } | Work::Quarantine { stem, .. } => stem.clone(),
        Work::Select { chunks, .. } => {
            chunks.first().map(|chunk| chunk.chunk.file.repo.to_string()).unwrap_or_default()
        }
        Work::Arrange { sources, .. } => {
            sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ")
        }
        Work::Convert(chunk, ..) | Work::Score(chunk, ..) => chunk.file.file.path.clone(),
    }
}
