//! Progress output: one updated line in a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen::{Screen, VERB, bytes, rows};

use crate::event::{Event, Observer};

/// Amount of progress output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Everything, with a moving line in a terminal.
    All,
    /// Only what a report on stdout does not contain: new pins, waiting, warnings.
    Beside,
    /// Only waiting and warnings; the report contains the rest.
    Warnings,
}

/// Files that were written, by path, each with its rows and bytes.
pub(super) type Wrote = BTreeMap<String, (u64, u64)>;

/// Facts collected from events for the final report.
#[derive(Default)]
pub(super) struct Seen {
    /// The files that were written.
    pub(super) wrote: Wrote,
    /// Whether a source was pinned.
    pub(super) pinned: bool,
}

/// Shows events of a build on stderr.
#[derive(Clone)]
pub(super) struct Progress {
    shown: Arc<Shown>,
}

struct Shown {
    screen: Screen,
    show: Show,
    bar: Option<ProgressBar>,
    /// Running work: label to state.
    running: Mutex<BTreeMap<String, String>>,
    seen: Mutex<Seen>,
}

impl Progress {
    /// Shows events on `screen`.
    pub(super) fn new(screen: Screen, show: Show) -> Self {
        let bar = (screen.is_live() && show == Show::All).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(15));
            let style = ProgressStyle::with_template("{spinner:.green} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar
        });
        Self { shown: Arc::new(Shown { screen, show, bar, running: Mutex::default(), seen: Mutex::default() }) }
    }

    /// Returns the observer for a workspace.
    pub(super) fn observer(&self) -> Observer {
        let shown = self.shown.clone();
        Arc::new(move |event| shown.show(event))
    }

    /// Removes the moving line, and returns the facts collected.
    pub(super) fn finish(&self) -> Seen {
        if let Some(bar) = &self.shown.bar {
            bar.finish_and_clear();
        }
        std::mem::take(&mut *self.shown.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shown {
    fn show(&self, event: Event) {
        match event {
            Event::Waiting { holder } => {
                self.line(|| self.screen.say(&format!("{VERB}     Waiting{VERB:#} for {holder}")))
            }
            Event::Warning(text) => self.line(|| self.screen.warn(&text)),
            Event::Locked(text) => {
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).pinned = true;
                if self.show != Show::Warnings {
                    self.line(|| self.screen.say(&format!("{VERB}      Locked{VERB:#} {text}")));
                }
            }
            // Printed at the end in the order of recipes, because the order of these events is random.
            Event::Wrote { path, rows, bytes } => {
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).wrote.insert(path, (rows, bytes));
            }
            Event::Started { kind, label, .. } => self.note(label, kind.word().to_owned()),
            Event::Reading { label, rows: count } => self.note(label, format!("{} rows", rows(count))),
            Event::Download { path, done, total } if done >= total => self.forget(&path),
            Event::Download { path, done, total } => self.note(path, format!("{} of {}", bytes(done), bytes(total))),
            Event::Checked { done, total } => {
                self.note("checking".to_owned(), format!("{} of {}", bytes(done), bytes(total)));
            }
            Event::Finished { label, .. } => self.forget(&label),
            // Other events are only for programs, through `--events` and `--profile`.
            _ => {}
        }
    }

    /// Prints a line above the moving one.
    fn line(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn note(&self, label: String, state: String) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(label, state);
        self.draw(running);
    }

    fn forget(&self, label: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(label);
        self.draw(running);
    }

    fn draw(&self, running: MutexGuard<'_, BTreeMap<String, String>>) {
        let Some(bar) = &self.bar else { return };
        let parts: Vec<String> = running.iter().map(|(label, state)| format!("{label}: {state}")).collect();
        drop(running);
        bar.set_message(parts.join(" · "));
        bar.enable_steady_tick(Duration::from_millis(100));
    }
}
