//! The queue of jobs, and which job is started next.
//!
//! Jobs that read no file come first: their inputs were just made and are still in memory. Jobs that read a file
//! follow, and only as many at once as keep the threads busy: all threads convert the rows of one file, and the rows
//! of too many files would push each other out of memory before they are written. For the same reason, a recipe that
//! has begun to read continues with its next file before other recipes begin.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::mpsc::Sender,
};

use super::{Report, job::Job};
use crate::graph::Work;

/// Queued jobs, and counts of those that were started.
pub(super) struct Queue {
    waiting: BinaryHeap<Place>,
    /// Queued jobs by number. A job whose recipe has begun since it was queued has two places, of which the better
    /// one counts.
    jobs: HashMap<u64, Job>,
    /// Number of jobs queued so far. Jobs are numbered so that otherwise equal ones keep their order.
    pushed: u64,
    /// Number of jobs that were started and have not reported.
    unreported: usize,
    /// Number of jobs that occupy a thread of the pool.
    running: usize,
    /// Number of running jobs that still read a file.
    reading: usize,
    /// Number of unreported jobs that only wait for the disk; also of recipes whose files are being put in place.
    placing: usize,
    threads: usize,
    /// Recipes that have begun to read.
    begun: HashSet<String>,
    /// Numbers of the jobs that read files, for each recipe that has not begun to read.
    readers: HashMap<String, Vec<u64>>,
}

/// Priority of a job: jobs that do not read files first, then jobs of recipes that have begun, then long jobs, then
/// early ones. The last element is the job's number.
type Place = (Reverse<bool>, bool, u64, Reverse<u64>);

/// Held by a job while it reads a file. Dropping it allows the next file to be read.
pub(super) struct Reading(Sender<Report>);

impl Reading {
    /// Creates a token that reports its end to `reports`.
    pub(super) fn new(reports: Sender<Report>) -> Self {
        Self(reports)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // A closed channel means that the driver has ended and needs no report.
        self.0.send(Report::Read).ok();
    }
}

impl Queue {
    /// Creates an empty queue for a pool of `threads` threads.
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

    /// Returns the next job to start, and whether it reads a file; `None` if no job may be started now.
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

    /// Gives a recipe's remaining files priority over those of recipes that have not begun.
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

    /// Counts that a job has reported.
    pub(super) fn reported(&mut self) {
        self.unreported -= 1;
    }

    /// Counts that a job has left the pool.
    pub(super) fn left(&mut self) {
        self.running -= 1;
    }

    /// Counts that a job has read its file.
    pub(super) fn read(&mut self) {
        self.reading -= 1;
    }

    /// Drops all queued jobs.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.jobs.clear();
        self.readers.clear();
    }

    /// Counts actions that are looked up together in the shared cache.
    pub(super) fn seek(&mut self) {
        self.unreported += 1;
    }

    /// Counts a job whose files are written and wait for the disk.
    pub(super) fn written(&mut self) {
        self.placing += 1;
    }

    /// Counts a job whose files the disk has.
    pub(super) fn synced(&mut self) {
        self.placing -= 1;
    }

    /// Counts a recipe whose files are to be put in place.
    pub(super) fn place(&mut self) {
        self.placing += 1;
        self.unreported += 1;
    }

    /// Counts a recipe whose files have been put in place.
    pub(super) fn placed(&mut self) {
        self.placing -= 1;
        self.unreported -= 1;
    }

    /// Returns whether nothing is queued and all started jobs only wait for the disk.
    pub(super) fn is_placing(&self) -> bool {
        self.jobs.is_empty() && self.placing > 0 && self.placing == self.unreported
    }

    /// Returns whether nothing is queued and all jobs have reported.
    pub(super) fn is_done(&self) -> bool {
        self.jobs.is_empty() && self.unreported == 0
    }
}

/// Returns whether a job reads a source file.
fn reads(job: &Job) -> bool {
    match job {
        Job::Action(action, _) => matches!(action.work, Work::Scan(_) | Work::List(_)),
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

/// Estimates the length of a job, in bytes. Long jobs are started first, since the last one to end decides when all
/// is done.
fn weight(job: &Job) -> u64 {
    let rows = |sources: &[crate::graph::SelectedSource]| {
        sources.iter().flat_map(|source| source.chunks.iter()).map(|chunk| chunk.converted.bytes).sum()
    };
    match job {
        Job::Action(action, _) => match &action.work {
            Work::Scan(scan) => scan.file.kind.unpacked(scan.file.size),
            Work::Output { sources, .. } | Work::Shaped { sources, .. } => rows(sources),
            // Other jobs wait for these.
            Work::List(_) | Work::ReadModel(_) | Work::Select { .. } | Work::Arrange { .. } | Work::Tally { .. } => {
                u64::MAX
            }
            _ => 0,
        },
        Job::Restore(_, plan, ..) => rows(&plan.sources),
        Job::Again(..) | Job::Show(..) => 0,
    }
}
