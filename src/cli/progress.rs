//! Progress output: what is going on, redrawn in a terminal, and lines as things happen elsewhere.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    screen::{FAINT, Screen, VERB, bytes, counted_rows, rows},
    work::{Work, shown_file},
};

use crate::{
    event::{Event, Observer},
    outputs::FileMeta,
    system::Stopwatch,
};

/// Amount of progress output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Everything, with moving lines in a terminal; the verb says what is done: `Building`.
    All(&'static str),
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

/// How long a command runs before recipes are reported one by one: until then, the report at the end says it all.
const LONG: Duration = Duration::from_secs(5);

/// How often a line says how far things are where no terminal shows it.
const BEAT: Duration = Duration::from_secs(10);

/// How often the moving lines are drawn.
const FRAME: Duration = Duration::from_millis(125);

/// The thread that draws; it ends once the sender is dropped.
type Ticker = (Sender<()>, JoinHandle<()>);

/// Shows events of a build on stderr.
#[derive(Clone)]
pub(super) struct Progress {
    shown: Arc<Shown>,
    ticker: Arc<Mutex<Option<Ticker>>>,
}

struct Shown {
    screen: Screen,
    show: Show,
    bar: Option<ProgressBar>,
    begun: Stopwatch,
    work: Mutex<Work>,
    seen: Mutex<Seen>,
}

impl Progress {
    /// Shows events on `screen`.
    pub(super) fn new(screen: Screen, show: Show) -> Self {
        let bar = (screen.is_live() && matches!(show, Show::All(_))).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(15));
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        let shown =
            Shown { screen, show, bar, begun: Stopwatch::start(), work: Mutex::default(), seen: Mutex::default() };
        let shown = Arc::new(shown);
        let ticker = matches!(show, Show::All(_)).then(|| tick(&shown)).flatten();
        Self { shown, ticker: Arc::new(Mutex::new(ticker)) }
    }

    /// Returns the observer for a workspace.
    pub(super) fn observer(&self) -> Observer {
        let shown = self.shown.clone();
        Arc::new(move |event| shown.show(event))
    }

    /// Removes the moving lines, and returns the facts collected.
    pub(super) fn finish(&self) -> Seen {
        if let Some((stop, ticker)) = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(stop);
            ticker.join().ok();
        }
        if let Some(bar) = &self.shown.bar {
            bar.finish_and_clear();
        }
        std::mem::take(&mut *self.shown.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts the thread that draws, or reports every ten seconds, until the sender is dropped.
fn tick(shown: &Arc<Shown>) -> Option<Ticker> {
    let (stop, stopped) = mpsc::channel::<()>();
    let shown = shown.clone();
    let pause = if shown.bar.is_some() { FRAME } else { BEAT };
    let draw = move || {
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            shown.beat();
        }
    };
    // Without the thread there is less to see, and the work goes on.
    let ticker = thread::Builder::new().name("progress".to_owned()).spawn(draw).ok()?;
    Some((stop, ticker))
}

impl Shown {
    fn show(&self, event: Event) {
        self.work().see(&event, self.begun.elapsed());
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
            Event::Ended { recipe, failure: None, files }
                if matches!(self.show, Show::All(_)) && self.begun.elapsed() >= LONG =>
            {
                self.line(|| self.screen.say(&built(&recipe, &files)));
            }
            // The rest is for programs: `--events` and `--profile` have it.
            _ => {}
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the moving lines, or prints a line where no terminal shows them.
    fn beat(&self) {
        let Show::All(verb) = self.show else { return };
        let (at, mut work) = (self.begun.elapsed(), self.work());
        work.measure(at);
        match &self.bar {
            Some(bar) => {
                let lines = work.lines(verb, at, self.screen.width());
                drop(work);
                let text = lines.join("\n");
                let text = if self.screen.has_color() { text } else { plain(&text) };
                bar.set_message(text);
                bar.tick();
            }
            None => {
                let line = work.line(verb);
                drop(work);
                if let Some(line) = line {
                    self.screen.say(&line);
                }
            }
        }
    }

    /// Prints a line above the moving ones.
    fn line(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Formats the line about a recipe that was built: its rows by file, and their size.
fn built(recipe: &str, files: &[(String, FileMeta)]) -> String {
    let outputs: Vec<&FileMeta> =
        files.iter().filter(|(path, _)| !path.contains("/quarantine/")).map(|(_, file)| file).collect();
    let rows = match outputs[..] {
        [one] => counted_rows(one.rows),
        _ => {
            let counts: Vec<String> = outputs.iter().map(|file| rows(file.rows)).collect();
            format!("{} rows", counts.join(" + "))
        }
    };
    let size = bytes(outputs.iter().map(|file| file.bytes).sum());
    format!("{VERB}       Built{VERB:#} {} {FAINT}({rows}, {size}){FAINT:#}", shown_file(recipe))
}
