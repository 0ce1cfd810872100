//! `--events` and `--profile`: machine-readable events of a run.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    integrations::Integrations,
    profile::{Profile, Span},
};
use crate::{
    event::{Event, JobKind, Observer},
    outputs::{FileMeta, OutputSet},
    system::{self, FileError, Stopwatch},
    workspace::{BuildEvent, BuildReport, EVENTS_SCHEMA, EventLine, EventOutput, RecipeEnd, RecipeStatus, rfc3339},
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
    /// Stems of recipes whose files are being restored.
    restoring: BTreeSet<String>,
    /// Paths of files that were written.
    written: HashSet<String>,
    /// Downloaded files with their sizes, because the end of a download is reported twice.
    downloaded: HashSet<(String, u64)>,
    /// Recipes that have finished.
    ended: HashSet<String>,
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
            let is_ended = log.state().ended.contains(&recipe.before.path);
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
        let told = match event {
            Event::Planned { recipe, state, reasons } => BuildEvent::RecipePlanned {
                recipe: recipe.clone(),
                state,
                reasons: reasons.iter().map(ToString::to_string).collect(),
            },
            Event::Waiting { holder } => BuildEvent::Waiting { holder: holder.clone() },
            Event::Warning(text) => BuildEvent::Warning { text: text.clone() },
            Event::Locked(text) => BuildEvent::Pinned { text: text.clone() },
            Event::Download { path, done, total }
                if done == total && self.state().downloaded.insert((path.clone(), *total)) =>
            {
                BuildEvent::Downloaded { path: path.clone(), bytes: *total }
            }
            Event::Started { kind, key, label, recipes } => {
                if *kind == JobKind::Restore {
                    self.state().restoring.insert(label.clone());
                }
                let (kind, key, label, recipes) = (kind.word(), key.to_string(), label.clone(), recipes.to_vec());
                BuildEvent::ActionStarted { kind, key, label, recipes }
            }
            Event::Finished { kind, key, label, recipes, took, rows, bytes, is_done } => {
                let (rows, bytes) = (*rows, *bytes);
                self.span(Span { kind: kind.word(), label, recipes, took: *took, rows, bytes });
                let (kind, key, label, recipes) = (kind.word(), key.to_string(), label.clone(), recipes.to_vec());
                BuildEvent::ActionFinished { kind, key, label, recipes, ms: ms(*took), rows, bytes, done: *is_done }
            }
            Event::Chunk { stage, key, label, took, rows, bytes } => {
                let (rows, bytes) = (Some(*rows), Some(*bytes));
                self.span(Span { kind: stage.word(), label, recipes: &[], took: *took, rows, bytes });
                BuildEvent::ActionFinished {
                    kind: stage.word(),
                    key: key.to_string(),
                    label: (*label).to_owned(),
                    recipes: Vec::new(),
                    ms: ms(*took),
                    rows,
                    bytes,
                    done: true,
                }
            }
            Event::Wrote { path, rows, bytes } => {
                let (rows, bytes) = (*rows, *bytes);
                let mut state = self.state();
                state.written.insert(path.clone());
                let path = from_here(path);
                match state.restoring.iter().any(|stem| is_of(&path, stem)) {
                    true => BuildEvent::OutputRestored { path, rows, bytes },
                    false => BuildEvent::OutputWritten { path, rows, bytes },
                }
            }
            Event::Ended { recipe, failure, files } => return self.ended(recipe, failure.as_deref(), files),
            _ => return,
        };
        self.tell(told);
    }

    fn ended(&self, recipe: &str, failure: Option<&str>, files: &[(String, FileMeta)]) {
        let unchanged: Vec<_> = {
            let mut state = self.state();
            state.ended.insert(recipe.to_owned());
            files.iter().filter(|(path, _)| !state.written.contains(path)).collect()
        };
        for (path, file) in unchanged {
            self.tell(BuildEvent::OutputUnchanged { path: from_here(path), rows: file.rows, bytes: file.bytes });
        }
        let output = |(path, file): &(String, FileMeta)| EventOutput { path: from_here(path), meta: *file };
        self.tell(BuildEvent::RecipeFinished {
            recipe: recipe.to_owned(),
            state: if failure.is_some() { RecipeEnd::Failed } else { RecipeEnd::Built },
            outputs: files.iter().map(output).collect(),
            failure: failure.map(str::to_owned),
        });
    }

    fn span(&self, span: Span<'_>) {
        let until = self.watch.elapsed();
        if let Some(profile) = &mut self.state().profile {
            profile.add(&span, until);
        }
    }
}

/// Removes the `./` from a path if the workspace is the current folder.
fn from_here(path: &str) -> String {
    path.strip_prefix("./").unwrap_or(path).to_owned()
}

/// Returns whether a file belongs to the recipe with this stem.
fn is_of(path: &str, stem: &str) -> bool {
    OutputSet::new(stem).has(Path::new(path))
}

/// Converts a duration to milliseconds, rounded to microseconds.
fn ms(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}
