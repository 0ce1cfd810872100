//! Events of jobs: when they start and end, and the size of their results.

use std::sync::Arc;

use super::context::Context;
use crate::{
    event::{Event, JobKind},
    graph::{Outcome, Work},
    system::Stopwatch,
};
use datac_core::{hash::Digest, outputs::FileMeta};

/// Description of a job in events.
pub(super) struct Told {
    pub(super) kind: JobKind,
    pub(super) key: Digest,
    pub(super) label: String,
    pub(super) recipes: Arc<[String]>,
}

/// A job whose start event has been sent.
pub(super) struct Begun {
    told: Told,
    watch: Stopwatch,
}

/// Rows and bytes of a job's result, if counted.
pub(super) type Size = (Option<u64>, Option<u64>);

impl Told {
    /// Sends the start event.
    pub(super) fn begin(self, context: &Context) -> Begun {
        let (kind, key, label, recipes) = (self.kind, self.key, self.label.clone(), self.recipes.clone());
        context.tell(Event::Started { kind, key, label, recipes });
        Begun { told: self, watch: Stopwatch::start() }
    }
}

impl Begun {
    /// Sends the end event. `size` is `None` if the job did not succeed.
    pub(super) fn end(self, context: &Context, size: Option<Size>) {
        let Self { told: Told { kind, key, label, recipes }, watch } = self;
        let ((rows, bytes), is_done) = (size.unwrap_or_default(), size.is_some());
        context.tell(Event::Finished { kind, key, label, recipes, took: watch.elapsed(), rows, bytes, is_done });
    }
}

/// Returns the rows and bytes of an action's result, if counted; for a scan, the bytes of the file.
pub(super) fn size(work: &Work, outcome: &Outcome) -> Size {
    match (work, outcome) {
        (Work::Scan(work), Outcome::Scan(scan)) => {
            (Some(scan.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum()), Some(work.file.size))
        }
        (_, Outcome::Select(selected) | Outcome::Refusing(selected, _)) => (Some(selected.kept), None),
        (_, Outcome::Group(sources)) => (Some(sources.iter().map(|source| source.kept).sum()), None),
        (_, Outcome::Arrange(arranged)) => {
            (Some(arranged.realised.iter().map(|realised| realised.all_rows()).sum()), None)
        }
        (_, Outcome::Output(files)) => {
            let files = || files.values().flatten();
            (Some(files().map(|file| file.rows).sum()), Some(files().map(|file| file.bytes).sum()))
        }
        (_, Outcome::Quarantine(file)) => (Some(file.rows), Some(file.bytes)),
        (_, Outcome::Shaped(shaped)) => {
            let sum = |of: fn(&FileMeta) -> u64| Some(shaped.files.iter().map(|file| of(&file.meta)).sum());
            (sum(|meta| meta.rows), sum(|meta| meta.bytes))
        }
        _ => (None, None),
    }
}

/// Returns a description of what an action works on.
pub(super) fn label(work: &Work) -> String {
    match work {
        Work::Scan(scan) => scan.file.path.clone(),
        Work::List(archive) => archive.path.clone(),
        Work::Output { outputs, .. } | Work::Quarantine { outputs, .. } => outputs.stem().to_owned(),
        Work::Shaped { outputs, target, .. } => outputs.folder(target),
        Work::Select { chunks, .. } => {
            chunks.first().map(|chunk| chunk.chunk.file.origin.name().to_owned()).unwrap_or_default()
        }
        Work::Group { sources, .. } | Work::Arrange { sources, .. } | Work::Tally { sources, .. } => {
            sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ")
        }
        Work::Convert(chunk, ..) | Work::Score(chunk, ..) | Work::Render(chunk, ..) => chunk.file.path.clone(),
        Work::RenderStored(_, path, _) => path.clone(),
        Work::ReadModel(model) => model.origin.name().to_owned(),
    }
}
