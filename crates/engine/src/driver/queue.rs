//! Which job is started next.
//!
//! Jobs of the last stages first: what they need was made a moment ago and is still in memory. Files after them, and
//! only so many at once as keep the threads busy: rows of one file are converted by all threads, and those of many at
//! once would push each other out of memory before they are written. For the same reason a recipe that has begun to
//! read goes on with its next file before others begin.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::mpsc::Sender,
};

use super::{Report, job::Job};
use crate::graph::Work;

/// Jobs that are to be started, and how many there are of those that were.
pub(super) struct Queue {
    waiting: BinaryHeap<Place>,
    /// The jobs that wait, by number. One whose recipe has begun since has two places, the better of which counts.
    jobs: HashMap<u64, Job>,
    /// Numbers jobs, so that equal ones keep their order.
    pushed: u64,
    /// Jobs that were started and have not reported.
    unreported: usize,
    /// Number of jobs that occupy a thread of the pool.
    running: usize,
    /// Number of running jobs that still read a file.
    reading: usize,
    /// Number of unreported jobs that only wait for the disk.
    placing: usize,
    threads: usize,
    /// The recipes that have begun to read.
    begun: HashSet<String>,
    /// The numbers of jobs that read, for each recipe that has not.
    readers: HashMap<String, Vec<u64>>,
}

/// A job's place in the queue, best first: no reader before a reader, of a recipe that has begun before others, long
/// before short, early before late. The last is its number.
type Place = (Reverse<bool>, bool, u64, Reverse<u64>);

/// Held by a job as long as it reads a file; dropped, the next may be read.
pub(super) struct Reading(Sender<Report>);

impl Reading {
    /// Creates a token whose end is told to `reports`.
    pub(super) fn new(reports: Sender<Report>) -> Self {
        Self(reports)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // A closed channel means the driver has ended; there is no one left to tell.
        self.0.send(Report::Read).ok();
    }
}

impl Queue {
    /// Creates an empty queue for a pool of so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            jobs: HashMap::new(),
            pushed: 0,
            unreported: 0,
            running: 0,
            reading: 0,
            placing: 0,
            threads: threads.max(1),
            begun: HashSet::new(),
            readers: HashMap::new(),
        }
    }

    /// Adds a job to the queue.
    pub(super) fn push(&mut self, job: Job) {
        let (number, reads) = (self.pushed, reads(&job));
        let has_begun = reads && recipes(&job).iter().any(|recipe| self.begun.contains(recipe));
        self.waiting.push((Reverse(reads), has_begun, weight(&job), Reverse(number)));
        if reads && !has_begun {
            for recipe in recipes(&job) {
                self.readers.entry(recipe.clone()).or_default().push(number);
            }
        }
        self.pushed += 1;
        self.jobs.insert(number, job);
    }

    /// Returns the next job to start, with whether it reads a file; `None` until another one makes room for it.
    pub(super) fn next(&mut self) -> Option<(Job, bool)> {
        loop {
            let (Reverse(reads), _, _, Reverse(number)) = *self.waiting.peek()?;
            if self.running >= self.threads || (reads && self.reading >= self.threads.div_ceil(2)) {
                return None;
            }
            self.waiting.pop();
            let Some(job) = self.jobs.remove(&number) else { continue };
            self.unreported += 1;
            self.running += 1;
            self.reading += usize::from(reads);
            if reads {
                recipes(&job).iter().for_each(|recipe| self.begin(recipe));
            }
            return Some((job, reads));
        }
    }

    /// Has a recipe's other files read before those of recipes that have not begun.
    fn begin(&mut self, recipe: &str) {
        if !self.begun.insert(recipe.to_owned()) {
            return;
        }
        for number in self.readers.remove(recipe).unwrap_or_default() {
            if let Some(job) = self.jobs.get(&number) {
                self.waiting.push((Reverse(true), true, weight(job), Reverse(number)));
            }
        }
    }

    /// Notes that a job has reported.
    pub(super) fn reported(&mut self) {
        self.unreported -= 1;
    }

    /// Notes that a job has left the pool.
    pub(super) fn left(&mut self) {
        self.running -= 1;
    }

    /// Notes that a job has read its file.
    pub(super) fn read(&mut self) {
        self.reading -= 1;
    }

    /// Lets go of all that was not started.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.jobs.clear();
        self.readers.clear();
    }

    /// Notes that a job's files are written, and wait for the disk.
    pub(super) fn written(&mut self) {
        self.placing += 1;
    }

    /// Notes that they are in place.
    pub(super) fn placed(&mut self) {
        self.placing -= 1;
    }

    /// Returns whether nothing is left to start, and what was started only waits for the disk.
    pub(super) fn is_placing(&self) -> bool {
        self.jobs.is_empty() && self.placing > 0 && self.placing == self.unreported
    }

    /// Returns whether nothing waits and everything has reported.
    pub(super) fn is_done(&self) -> bool {
        self.jobs.is_empty() && self.unreported == 0
    }
}

/// Returns whether a job reads a source file.
fn reads(job: &Job) -> bool {
    match job {
        Job::Action(action, _) => matches!(action.work, Work::Scan(_)),
        Job::Again(..) => true,
        Job::Restore(..) | Job::Show(..) => false,
    }
}

/// Returns the paths of the recipes that wait for a job.
fn recipes(job: &Job) -> &[String] {
    match job {
        Job::Action(_, recipes) | Job::Again(_, _, recipes) | Job::Restore(.., recipes) => recipes,
        Job::Show(..) => &[],
    }
}

/// Roughly how long a job takes, in bytes: what is started last decides when all is done.
fn weight(job: &Job) -> u64 {
    let rows = |sources: &[crate::graph::SelectedSource]| {
        sources.iter().flat_map(|source| source.chunks.iter()).map(|chunk| chunk.converted.bytes).sum()
    };
    match job {
        Job::Action(action, _) => match &action.work {
            Work::Scan(scan) => scan.file.kind.unpacked(scan.file.size),
            Work::Output { sources, .. } => rows(sources),
            // What others wait for.
            Work::Select { .. } | Work::Arrange { .. } => u64::MAX,
            _ => 0,
        },
        Job::Restore(_, plan, ..) => rows(&plan.sources),
        Job::Again(..) | Job::Show(..) => 0,
    }
}
