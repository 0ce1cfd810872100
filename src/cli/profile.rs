//! `--profile`: a trace of actions and threads that chrome://tracing and <https://ui.perfetto.dev> show.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::system::{self, FileError};

/// A span of time on the thread that reports it.
pub(super) struct Span<'a> {
    pub(super) kind: &'a str,
    pub(super) label: &'a str,
    pub(super) recipes: &'a [String],
    pub(super) took: Duration,
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
}

/// A trace that is being recorded.
pub(super) struct Profile {
    path: PathBuf,
    events: Vec<Value>,
    threads: BTreeSet<usize>,
}

impl Profile {
    /// Creates a trace that will be written to `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, events: Vec::new(), threads: BTreeSet::new() }
    }

    /// Adds a span that ended on this thread at `until`.
    pub(super) fn add(&mut self, span: &Span<'_>, until: Duration) {
        // The thread that asks the planner does not belong to the pool.
        let thread = rayon::current_thread_index().map_or(0, |index| index + 1);
        self.threads.insert(thread);
        self.events.push(json!({
            "name": if span.label.is_empty() { span.kind.to_owned() } else { format!("{} {}", span.kind, span.label) },
            "cat": span.kind,
            "ph": "X",
            "ts": micros(until.saturating_sub(span.took)),
            "dur": micros(span.took),
            "pid": 1,
            "tid": thread,
            "args": { "recipes": span.recipes, "rows": span.rows, "bytes": span.bytes },
        }));
    }

    /// Writes the trace of a run that took `took`.
    pub(super) fn write(mut self, took: Duration) -> Result<(), FileError> {
        self.threads.insert(0);
        let name = |what: &str, tid: usize, name: String| json!({ "name": what, "ph": "M", "pid": 1, "tid": tid, "args": { "name": name } });
        let mut all = vec![name("process_name", 0, "datac build".to_owned())];
        all.extend(self.threads.iter().map(|thread| {
            let title = if *thread == 0 { "run".to_owned() } else { format!("thread {thread}") };
            name("thread_name", *thread, title)
        }));
        all.push(json!({ "name": "build", "cat": "run", "ph": "X", "ts": 0, "dur": micros(took), "pid": 1, "tid": 0, "args": {} }));
        all.append(&mut self.events);
        let text = json!({ "displayTimeUnit": "ms", "traceEvents": all });
        let mut bytes = serde_json::to_vec(&text).expect("a trace is plain data");
        bytes.push(b'\n');
        system::replace_if_other(&self.path, &bytes)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
