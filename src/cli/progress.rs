//! Progress output: what is going on, redrawn in a terminal, and lines as things happen elsewhere.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
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
    outputs::{Container, FileMeta, UNFIT},
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
    ticker: Arc<OnceLock<Mutex<Option<Ticker>>>>,
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
        let progress = Self { shown: Arc::new(shown), ticker: Arc::default() };
        if progress.shown.bar.is_some() {
            progress.start();
        }
        progress
    }

    /// Starts the thread that draws, once, if anything is to be drawn.
    fn start(&self) {
        let is_wanted = matches!(self.shown.show, Show::All(_)) && !self.shown.screen.is_quiet();
        self.ticker.get_or_init(|| Mutex::new(is_wanted.then(|| tick(&self.shown)).flatten()));
    }

    /// Returns the observer for a workspace.
    pub(super) fn observer(&self) -> Observer {
        let progress = self.clone();
        Arc::new(move |event| {
            // Without a terminal there is nothing to say before: a build that has nothing to do is over sooner than a thread is
            // made and joined.
            progress.start();
            progress.shown.show(event);
        })
    }

    /// Removes the moving lines, and returns the facts collected.
    pub(super) fn finish(&self) -> Seen {
        let ticker = self.ticker.get().map(|ticker| ticker.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some((stop, ticker)) = ticker.flatten() {
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

/// Formats the line about a recipe that was built: its rows by file, and the size of all. Where it was written in several shapes, the
/// rows are those of one, as the others have no more.
fn built(recipe: &str, files: &[(String, FileMeta)]) -> String {
    let outputs: Vec<&(String, FileMeta)> = files.iter().filter(|(path, _)| !path.contains("/quarantine/")).collect();
    let mut folders: BTreeMap<&Path, Vec<u64>> = BTreeMap::new();
    for (path, file) in outputs.iter().map(|(path, file)| (Path::new(path), file)) {
        // Cards, settings of trainers and lists of what does not fit have no rows for a trainer.
        if Container::of(path).is_some() && !path.ends_with(UNFIT) {
            folders.entry(path.parent().unwrap_or(path)).or_default().push(file.rows);
        }
    }
    let shapes = match folders.len() {
        0 | 1 => String::new(),
        several => format!(" in {several} shapes"),
    };
    let most = folders.into_values().max_by_key(|files| files.iter().sum::<u64>()).unwrap_or_default();
    let rows = match most[..] {
        [one] => counted_rows(one),
        _ => format!("{} rows", most.into_iter().map(rows).collect::<Vec<_>>().join(" + ")),
    };
    let size = bytes(outputs.iter().map(|(_, file)| file.bytes).sum());
    format!("{VERB}       Built{VERB:#} {} {FAINT}({rows}{shapes}, {size}){FAINT:#}", shown_file(recipe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FileHash;

    #[test]
    fn rows_are_those_of_one_shape_and_nothing_else_has_any() {
        let told = |files: &[(&str, u64)]| {
            let meta = |rows: u64| FileMeta { rows, bytes: 1000, digest: FileHash::of(b"") };
            let files: Vec<_> = files.iter().map(|(path, rows)| ((*path).to_owned(), meta(*rows))).collect();
            plain(&built("config/a.yaml", &files))
        };
        let native = [("dataset/sft_a_train.jsonl", 9500), ("dataset/sft_a_val.jsonl", 500)];
        assert_eq!(told(&native), "       Built config/a (9,500 + 500 rows, 2.0 kB)");
        let quarantined = [native[0], ("dataset/quarantine/sft_a.jsonl", 3)];
        assert_eq!(told(&quarantined), "       Built config/a (9,500 rows, 1.0 kB)");
        let beside = [
            ("dataset/sft_a/trl/README.md", 60),
            ("dataset/sft_a/trl/train.parquet", 9400),
            ("dataset/sft_a/trl/unfit.jsonl", 100),
        ];
        assert_eq!(told(&beside), "       Built config/a (9,400 rows, 3.0 kB)");
        assert_eq!(
            told(&[&native[..], &beside].concat()),
            "       Built config/a (9,500 + 500 rows in 2 shapes, 5.0 kB)"
        );
    }
}
