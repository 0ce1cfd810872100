//! What is shown while something runs: one moving line in a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen::{FAINT, Screen, VERB, bytes, rows};
use crate::driver::{Event, Observer};

/// Shows events.
#[derive(Clone)]
pub(super) struct Progress {
    shown: Arc<Shown>,
}

struct Shown {
    screen: Screen,
    /// Only warnings are shown: stdout has the whole story.
    terse: bool,
    bar: Option<ProgressBar>,
    running: Mutex<BTreeMap<String, String>>,
}

impl Progress {
    /// Shows events on `screen`; `terse` shows warnings alone.
    pub(super) fn new(screen: Screen, terse: bool) -> Self {
        let bar = (screen.is_live() && !terse).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(15));
            let style = ProgressStyle::with_template("{spinner:.green} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar
        });
        Self { shown: Arc::new(Shown { screen, terse, bar, running: Mutex::default() }) }
    }

    /// The observer to hand to a workspace.
    pub(super) fn observer(&self) -> Observer {
        let shown = self.shown.clone();
        Arc::new(move |event| shown.show(event))
    }

    /// Takes the moving line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.shown.bar {
            bar.finish_and_clear();
        }
    }
}

impl Shown {
    fn show(&self, event: Event) {
        match event {
            Event::Waiting { holder } => {
                self.line(|| self.screen.say(&format!("{VERB}     Waiting{VERB:#} for {holder}")))
            }
            Event::Warning(text) => self.line(|| self.screen.warn(&text)),
            Event::Locked(text) => self.line(|| self.screen.say(&format!("{VERB}      Locked{VERB:#} {text}"))),
            Event::Wrote { path, rows: count, bytes: size } if !self.terse => self.line(|| {
                let detail = format!("{FAINT}({} rows, {}){FAINT:#}", rows(count), bytes(size));
                self.screen.say(&format!("{VERB}       Wrote{VERB:#} {path} {detail}"));
            }),
            Event::Started { kind, label } => self.note(&label, kind.to_owned()),
            Event::Reading { label, rows: count } => self.note(&label, format!("{} rows", rows(count))),
            Event::Download { path, done, total } => self.note(&path, format!("{} of {}", bytes(done), bytes(total))),
            Event::Finished { label, .. } => {
                self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&label);
            }
            Event::Wrote { .. } => {}
        }
    }

    /// Prints a line above the moving one.
    fn line(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn note(&self, label: &str, state: String) {
        let Some(bar) = &self.bar else { return };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(label.to_owned(), state);
        let parts: Vec<String> = running.iter().map(|(label, state)| format!("{label}: {state}")).collect();
        bar.set_message(parts.join(" · "));
        bar.enable_steady_tick(Duration::from_millis(100));
    }
}
