//! Runs whole processes in turn, A B A B …, and compares them pair by pair: a machine that slows down slows both.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use wait4::Wait4;

/// What one run of a process took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of all processors, user and system.
    pub(crate) cpu: f64,
    /// The most memory it held, in MiB.
    pub(crate) peak: f64,
}

/// A command, and what puts things as they were before each of its runs.
pub(crate) struct Candidate<'c> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Makes the command; not timed.
    pub(crate) command: Box<dyn Fn() -> Command + 'c>,
}

impl<'c> Candidate<'c> {
    /// A candidate that `command` prepares and makes.
    pub(crate) fn new(name: &'static str, command: impl Fn() -> Command + 'c) -> Self {
        Self { name, command: Box::new(command) }
    }

    /// Runs it and says what it took.
    pub(crate) fn run(&self) -> Cost {
        let mut command = (self.command)();
        // What an earlier run left to be written would slow this one down, whoever's it is.
        Command::new("sync").status().ok();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let watch = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("failed to start {}: {error}", self.name));
        let mut complaints = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut complaints).ok();
        }
        let used = child.wait4().unwrap_or_else(|error| panic!("failed to wait for {}: {error}", self.name));
        let wall = watch.elapsed();
        assert!(used.status.success(), "{} failed:\n{complaints}", self.name);
        Cost {
            wall: wall.as_secs_f64(),
            cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
            // The system counts it in KiB; wait4 gives bytes.
            peak: used.rusage.maxrss as f64 / f64::from(1 << 20),
        }
    }
}

/// Figures of two candidates over the same runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// The medians of the first.
    pub(crate) ours: Cost,
    /// The medians of the second.
    pub(crate) theirs: Cost,
    /// The median of first by second, wall time, pair by pair.
    pub(crate) ratio: f64,
}

/// Runs the two in turn, once unmeasured and then `runs` times.
pub(crate) fn compare(ours: &Candidate<'_>, theirs: &Candidate<'_>, runs: usize) -> Comparison {
    ours.run();
    theirs.run();
    let pairs: Vec<(Cost, Cost)> = (0..runs).map(|_| (ours.run(), theirs.run())).collect();
    let of = |pick: fn(&(Cost, Cost)) -> Cost| {
        let by = |figure: fn(&Cost) -> f64| median(pairs.iter().map(|pair| figure(&pick(pair))));
        Cost { wall: by(|cost| cost.wall), cpu: by(|cost| cost.cpu), peak: by(|cost| cost.peak) }
    };
    Comparison {
        ours: of(|pair| pair.0),
        theirs: of(|pair| pair.1),
        ratio: median(pairs.iter().map(|(ours, theirs)| ours.wall / theirs.wall)),
    }
}

/// Runs one candidate once unmeasured and then `runs` times; the medians.
pub(crate) fn measure(candidate: &Candidate<'_>, runs: usize) -> Cost {
    in_turn(std::slice::from_ref(candidate), runs)[0]
}

/// Runs candidates in turn, once unmeasured and then `runs` times; the medians of each.
pub(crate) fn in_turn(candidates: &[Candidate<'_>], runs: usize) -> Vec<Cost> {
    for candidate in candidates {
        candidate.run();
    }
    let rounds: Vec<Vec<Cost>> = (0..runs).map(|_| candidates.iter().map(Candidate::run).collect()).collect();
    let of = |number: usize| {
        let by = |figure: fn(&Cost) -> f64| median(rounds.iter().map(|round| figure(&round[number])));
        Cost { wall: by(|cost| cost.wall), cpu: by(|cost| cost.cpu), peak: by(|cost| cost.peak) }
    };
    (0..candidates.len()).map(of).collect()
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Whether `program` can be started at all; `arguments` ask it for nothing.
pub(crate) fn is_there(program: &str, arguments: &[&str]) -> bool {
    let asked = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// A time as people read it.
pub(crate) fn shown(seconds: f64) -> String {
    let time = Duration::from_secs_f64(seconds.max(0.0));
    if time < Duration::from_millis(100) { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// The bytes of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    files.filter_map(|entry| entry.metadata().ok()).filter(|meta| meta.is_file()).map(|meta| meta.len()).sum()
}
