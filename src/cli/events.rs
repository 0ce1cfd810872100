//! `--events` and `--profile`: machine-readable events of a run.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    integrations::Integrations,
    profile::{Profile, Span},
};
use crate::{
    event::{Event, Observer},
    system::{self, FileError, Stopwatch},
    workspace::{BuildEvent, BuildEvents, BuildReport, EVENTS_SCHEMA, EventLine, RecipeEnd, RecipeStatus, rfc3339},
};

/// Writes `--events` and `--profile`; empty unless they were requested.
#[derive(Clone, Default)]
pub(super) struct Listener {
    log: Option<Arc<Log>>,
}

struct Log {
    watch: Stopwatch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Writer of event lines; `None` after the reader has closed its end.
    lines: Option<Box<dyn Write + Send>>,
    profile: Option<Profile>,
    /// What was told of the build.
    told: BuildEvents,
}

impl Listener {
    /// Opens the files that the options name.
    pub(super) fn open(options: &Integrations, paths: &[String]) -> Result<Self, FileError> {
        if options.events.is_none() && options.profile.is_none() {
            return Ok(Self::default());
        }
        let lines: Option<Box<dyn Write + Send>> = match &options.events {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Box::new(io::stdout())),
            Some(path) => Some(Box::new(system::create(path)?)),
        };
        let profile = options.profile.clone().map(Profile::new);
        let state = State { lines, profile, ..State::default() };
        let log = Log { watch: Stopwatch::start(), state: Mutex::new(state) };
        log.tell(BuildEvent::RunStarted {
            datac: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: rfc3339(system::now_ns()),
            paths: paths.to_vec(),
        });
        Ok(Self { log: Some(Arc::new(log)) })
    }

    /// Returns an observer that passes events to this listener and then to `other`.
    pub(super) fn before(&self, other: Observer) -> Observer {
        match self.log.clone() {
            None => other,
            Some(log) => Arc::new(move |event| {
                log.see(&event);
                other(event);
            }),
        }
    }

    /// Writes the event of a recipe that was only inspected.
    pub(super) fn planned(&self, status: &RecipeStatus) {
        if let Some(log) = &self.log {
            log.tell(BuildEvent::RecipePlanned {
                recipe: status.path.clone(),
                state: status.state.word(),
                reasons: status.reasons.iter().map(ToString::to_string).collect(),
            });
        }
    }

    /// Writes the last event, and the profile.
    pub(super) fn finish(&self, report: Option<&BuildReport>, exit: u8) -> Result<(), FileError> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut counts = BTreeMap::new();
        for recipe in report.iter().flat_map(|report| &report.recipes) {
            let problems = recipe.before.problems.iter().map(ToString::to_string);
            let failure = recipe.failure.iter().map(ToString::to_string).chain(problems).next();
            let is_ended = log.state().told.has_ended(&recipe.before.path);
            let end = match (&failure, is_ended) {
                (Some(_), _) => RecipeEnd::Failed,
                (None, true) => RecipeEnd::Built,
                (None, false) => RecipeEnd::Fresh,
            };
            *counts.entry(end.word()).or_default() += 1;
            if !is_ended {
                let recipe = recipe.before.path.clone();
                log.tell(BuildEvent::RecipeFinished { recipe, state: end, outputs: Vec::new(), failure });
            }
        }
        let actions = report.map(|report| report.actions.clone()).unwrap_or_default();
        log.tell(BuildEvent::RunFinished { exit, counts, actions, ms: ms(log.watch.elapsed()) });
        let profile = log.state().profile.take();
        profile.map_or(Ok(()), |profile| profile.write(log.watch.elapsed()))
    }
}

impl Log {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: BuildEvent) {
        let mut state = self.state();
        let line = EventLine { schema: EVENTS_SCHEMA, at_ms: ms(self.watch.elapsed()), event };
        let Some(lines) = &mut state.lines else { return };
        let mut text = serde_json::to_vec(&line).expect("an event is plain data");
        text.push(b'\n');
        // If the reader has gone away, the build goes on.
        if lines.write_all(&text).and_then(|()| lines.flush()).is_err() {
            state.lines = None;
        }
    }

    fn see(&self, event: &Event) {
        match event {
            Event::Finished { kind, label, recipes, took, rows, bytes, .. } => {
                let (rows, bytes) = (*rows, *bytes);
                self.span(Span { kind: kind.word(), label, recipes, took: *took, rows, bytes });
            }
            Event::Chunk { stage, label, took, rows, bytes, .. } => {
                let (rows, bytes) = (Some(*rows), Some(*bytes));
                self.span(Span { kind: stage.word(), label, recipes: &[], took: *took, rows, bytes });
            }
            _ => {}
        }
        let told = self.state().told.tell(event);
        told.into_iter().for_each(|event| self.tell(event));
    }

    fn span(&self, span: Span<'_>) {
        let until = self.watch.elapsed();
        if let Some(profile) = &mut self.state().profile {
            profile.add(&span, until);
        }
    }
}

/// Converts a duration to milliseconds, rounded to microseconds.
fn ms(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}
