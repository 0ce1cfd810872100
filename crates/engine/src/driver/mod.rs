//! Runs what the plan misses, asks again, and puts files in place.
//!
//! The planner is asked about every recipe; whatever is missing runs on rayon, each key once; when all that a recipe
//! waits for is done, it is asked about again. Actions hold no database, the planner holds no rows. An action that finds
//! a blob missing or damaged makes the planner forget whatever made it, and the next ask mends it.

mod arrange;
mod chunk;
mod context;
mod error;
mod indexes;
mod job;
mod job_span;
mod outcomes;
mod output;
mod queue;
mod report;
mod scan;
mod select;
mod sources;
pub(crate) mod threads;
mod work_queue;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

pub(crate) use chunk::StoredReject;
pub(crate) use context::{Context, Control, OutputSettings};
pub(crate) use error::{ActionError, FREE_SOME_SPACE, failure_of, file_failure};
pub(crate) use indexes::Indexes;
use job::{Job, JobEnv, PoolSlot, Ran};
pub(crate) use outcomes::{OutcomeCache, lookup};
pub(crate) use output::{QuarantinePlace, quarantine_line};
use queue::{Queue, Reading};
pub(crate) use report::{Ending, RunReport};
use report::{Outbox, Report};
pub(crate) use sources::Sources;
pub use threads::{Make, makes_nothing};

use rayon::Scope;

use chunk::ChunkOutcome;

use crate::{
    cache::{Actions, stat_cache},
    event::Event,
    graph::{Action, Known, Node, Outcome, Planner, RecipeFile, RecipePlan, Rejects, Work, plan, rejects},
    system::{self, Stopwatch},
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::ActionKey,
    outputs::{FileMeta, OutputKind},
};

/// How often one key may be made again because what it made was gone.
const MAX_REPEATS: u32 = 3;

/// Threads that put files in place. Each waits for the disk, and a disk takes what several wait for in one go.
const PLACING_THREADS: usize = 8;

/// How often what was finished is written to the record.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Where more bytes than this of small blobs wait for it, it is written at once.
const FLUSH_BYTES: usize = 1 << 20;

/// How often it is where there is nothing else to do but to wait for the disk; and how often whether it should be.
const FLUSH_SOON: Duration = Duration::from_millis(200);

/// Builds `recipes`; each ends with its plan, all files in place, or with what kept it from that.
///
/// The driver itself is no thread of the pool: it waits for reports while the pool works. Files are put in place on
/// other threads still, which wait for the disk most of the time.
pub(crate) fn run(
    planner: &mut Planner,
    recipes: &[RecipeFile],
    context: &Context,
    pool: &rayon::ThreadPool,
    fail_fast: bool,
) -> RunReport {
    let (reports, inbox) = mpsc::channel();
    let mut driver = Driver {
        planner,
        recipes,
        context,
        endings: recipes.iter().map(|_| None).collect(),
        waiting: vec![0; recipes.len()],
        waiters: HashMap::new(),
        running: HashSet::new(),
        repeats: HashMap::new(),
        queue: Queue::new(pool.current_num_threads()),
        fail_fast,
        flushed: Stopwatch::start(),
        can_flush: true,
        report: RunReport::default(),
    };
    thread::scope(|threads| {
        let (to_place, placing) = mpsc::channel::<Ran<'_>>();
        let placing = Arc::new(Mutex::new(placing));
        for _ in 0..PLACING_THREADS.min(recipes.len()) {
            let (placing, placed) = (placing.clone(), reports.clone());
            threads.spawn(move || {
                let next = || placing.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(Ran { files, end }) = next() {
                    let seat = PoolSlot::new(placed.clone());
                    let mut in_place = Vec::with_capacity(files.len());
                    let result = output::put_in_place(files, context, &mut in_place);
                    // It took up no seat of the pool; only a panic is told.
                    std::mem::forget(seat);
                    placed.send(Report::Placed(in_place)).ok();
                    placed.send(end(result)).ok();
                }
            });
        }
        pool.in_place_scope(|scope| driver.drive(scope, &inbox, &reports, &to_place));
        drop(to_place);
    });
    match context.outcomes.hollow() {
        0 => {}
        1 => context.tell(Event::Warning("a cache entry was missing; rebuilding it".to_owned())),
        many => context.tell(Event::Warning(format!("{many} cache entries were missing; rebuilding them"))),
    }
    let unfinished = || match context.check() {
        Err(_) => Err(Failure::plain(FailureKind::Interrupted, "interrupted")
            .hint("finished steps are kept; run datac build again to continue")),
        Ok(()) => Err(Failure::plain(FailureKind::Action, "skipped, because another recipe failed first")),
    };
    let Driver { endings, mut report, .. } = driver;
    report.endings = endings.into_iter().map(|ending| ending.unwrap_or_else(unfinished)).collect();
    report
}

struct Driver<'a> {
    planner: &'a mut Planner,
    recipes: &'a [RecipeFile],
    context: &'a Context,
    endings: Vec<Option<Ending>>,
    /// For each recipe, how many keys it waits for.
    waiting: Vec<usize>,
    /// For each key, the recipes that wait for it.
    waiters: HashMap<ActionKey, Vec<usize>>,
    running: HashSet<ActionKey>,
    repeats: HashMap<ActionKey, u32>,
    queue: Queue,
    /// Whether nothing more is started once a recipe has failed.
    fail_fast: bool,
    /// Since the record was written last.
    flushed: Stopwatch,
    /// Whether it could be.
    can_flush: bool,
    report: RunReport,
}

impl<'a> Driver<'a> {
    /// Starts jobs and takes in reports until there is nothing left to do.
    fn drive<'scope>(
        &mut self,
        scope: &Scope<'scope>,
        inbox: &Receiver<Report>,
        reports: &Sender<Report>,
        to_place: &Sender<Ran<'a>>,
    ) where
        'a: 'scope,
    {
        let context = self.context;
        self.ask((0..self.recipes.len()).collect());
        loop {
            if self.is_over() {
                self.queue.clear();
            }
            while let Some((job, reads)) = self.queue.next() {
                let mut reading = reads.then(|| Reading::new(reports.clone()));
                let (seat, reports, to_place) = (PoolSlot::new(reports.clone()), reports.clone(), to_place.clone());
                let key = job.key();
                scope.spawn(move |scope| {
                    let outbox = Outbox::new(reports.clone());
                    let ran = job.run(context, JobEnv { context, outbox: &outbox, scope }, &mut reading);
                    drop(seat);
                    // A closed channel means the driver has ended; there is no one left to tell.
                    match ran.files.is_empty() {
                        true => drop(reports.send((ran.end)(Ok(())))),
                        false => {
                            reports.send(Report::Written(key)).ok();
                            to_place.send(ran).ok();
                        }
                    }
                    // If it still reads, what is asked for now comes before what others want.
                    drop(reading);
                });
            }
            if self.queue.is_done() {
                break;
            }
            if self.queue.is_placing() {
                // The system takes a while to take memory back: now, beside the rest, and not when the process ends.
                scope.spawn(|_| {
                    context.store.let_go();
                    context.indexes.let_go();
                });
                // And there is little left to record then.
                self.flush_after(FLUSH_SOON);
            }
            match inbox.recv_timeout(FLUSH_SOON) {
                // The panic goes on once the pool has ended.
                Ok(Report::Panicked) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(report) => self.receive(report),
                // One file may take minutes, and what comes of it is not to pile up meanwhile.
                Err(RecvTimeoutError::Timeout) => self.flush_after(FLUSH_EVERY),
            }
        }
    }

    /// Asks the planner about recipes and starts what they miss.
    fn ask(&mut self, numbers: Vec<usize>) {
        let mut missing: BTreeMap<ActionKey, Arc<Action>> = BTreeMap::new();
        for number in numbers {
            if self.endings[number].is_some() || self.is_over() {
                continue;
            }
            match plan(self.planner, self.recipes[number]) {
                Node::Failed(failure) => {
                    let failure = failure.clone();
                    self.refuse(number, failure);
                }
                Node::Ready(plan) => {
                    let plan = plan.clone();
                    self.settle(number, plan);
                }
                Node::Needs(actions) => {
                    for action in actions {
                        let waiters = self.waiters.entry(action.key).or_default();
                        // Recipes are asked one by one, so one that needs a key twice stands last.
                        if waiters.last() != Some(&number) {
                            waiters.push(number);
                            self.waiting[number] += 1;
                        }
                        merge(&mut missing, action);
                    }
                }
            }
        }
        missing.retain(|key, _| !self.running.contains(key));
        self.running.extend(missing.keys().copied());
        let (single, whole): (Vec<_>, Vec<_>) =
            missing.into_values().partition(|action| matches!(action.work, Work::Convert(..) | Work::Score(..)));
        for group in scan::group(single.iter().map(|action| &**action)) {
            let own: Vec<_> = single.iter().filter(|action| group.holds(action)).cloned().collect();
            let recipes = self.names(own.iter().flat_map(|action| &self.waiters[&action.key]));
            self.queue.push(Job::Again(Arc::new(group), own, recipes));
        }
        for action in whole {
            let recipes = self.names(self.waiters[&action.key].iter());
            self.queue.push(Job::Action(action, recipes));
        }
    }

    /// Whether nothing more is to be started.
    fn is_over(&self) -> bool {
        let has_failed = || self.endings.iter().flatten().any(Result::is_err);
        self.context.check().is_err() || (self.fail_fast && has_failed())
    }

    /// The paths of recipes, each once.
    fn names<'n>(&self, numbers: impl Iterator<Item = &'n usize>) -> Arc<[String]> {
        let numbers: BTreeSet<usize> = numbers.copied().collect();
        numbers.into_iter().map(|number| self.recipes[number].path(self.planner).to_owned()).collect()
    }

    /// Notes what became of a recipe, and tells.
    fn end(&mut self, number: usize, ending: Ending) {
        let files = |plan: &RecipePlan| {
            let path = |name: String| self.context.outputs.dir.join(name).to_string_lossy().into_owned();
            plan.named().filter_map(|(name, file)| Some((path(name), file?))).collect()
        };
        self.context.tell(Event::Ended {
            recipe: self.recipes[number].path(self.planner).to_owned(),
            failure: ending.as_ref().err().map(ToString::to_string),
            files: ending.as_ref().map(files).unwrap_or_default(),
        });
        self.endings[number] = Some(ending);
    }

    /// Ends a recipe whose plan is known, or first has its files put in place.
    fn settle(&mut self, number: usize, plan: RecipePlan) {
        let in_place: Vec<bool> = plan.named().map(|(name, wanted)| self.is_in_place(&name, wanted)).collect();
        if in_place.iter().all(|is| *is) {
            self.end(number, Ok(plan));
        } else {
            let names = self.names([number].iter());
            self.queue.push(Job::Restore(number, Box::new(plan), in_place, names));
        }
    }

    /// Ends a recipe that cannot be built; one that is refused first has its rejects put in place, to be looked at.
    fn refuse(&mut self, number: usize, failure: Failure) {
        let rejects = rejects(self.planner, self.recipes[number]).filter(|_| failure.kind == FailureKind::Policy);
        let name = |rejects: &Rejects| rejects.outputs.name(OutputKind::Quarantine);
        match rejects.filter(|rejects| !self.is_in_place(&name(rejects), Some(rejects.file))) {
            Some(rejects) => self.queue.push(Job::Show(number, rejects)),
            None => self.end(number, Err(failure)),
        }
    }

    fn receive(&mut self, report: Report) {
        let mut again = BTreeSet::new();
        match report {
            Report::Chunks(outcomes) => {
                for outcome in outcomes {
                    self.learn(outcome);
                }
                return self.flush_after(FLUSH_EVERY);
            }
            Report::Placed(files) => {
                for file in files {
                    // The digest was taken while writing; noting it saves the next run the reading.
                    let path = file.path.to_string_lossy();
                    self.context.record.note_digest(&path, &file.stat, &file.digest, file.placed_ns);
                    self.report.add_placed(file);
                }
                return self.queue.placed();
            }
            Report::Read => return self.queue.read(),
            Report::Left | Report::Panicked => return self.queue.left(),
            Report::Written(key) => {
                self.queue.written();
                // Whatever else their recipes need can go on beside the disk.
                key.iter().for_each(|key| self.release(key, &mut again));
            }
            Report::Action(action, Ok(outcome)) => {
                self.queue.reported();
                self.note(action.key, outcome);
                self.done(&action.key, &mut again);
            }
            Report::Action(action, Err(stop)) => {
                self.queue.reported();
                self.stopped(&[action], stop, &mut again);
            }
            Report::Again(actions, Ok(())) => {
                self.queue.reported();
                for action in actions {
                    self.done(&action.key, &mut again);
                }
            }
            Report::Again(actions, Err(stop)) => {
                self.queue.reported();
                self.stopped(&actions, stop, &mut again);
            }
            Report::Restored(number, restored) => {
                self.queue.reported();
                match restored {
                    Ok(()) => drop(again.insert(number)),
                    Err(ActionError::Missing(miss)) => {
                        self.forget(&miss);
                        again.insert(number);
                    }
                    Err(ActionError::Failure(failure)) => self.end(number, Err(failure)),
                    Err(ActionError::Interrupted) => {}
                }
            }
        }
        // A build that is killed loses what was finished since the last flush, and no more.
        self.flush_after(FLUSH_EVERY);
        self.ask(again.into_iter().collect());
    }

    /// Records what an action that ran yielded, and tells the planner.
    fn note(&mut self, key: ActionKey, outcome: Outcome) {
        self.report.count(outcome.stage());
        if let Ok(bytes) = postcard::to_stdvec(&outcome) {
            self.context.record.put(key, outcome.stage(), bytes);
        }
        self.planner.learn(&key, Known::Outcome(outcome));
    }

    /// Takes in what converting or scoring a chunk yielded.
    fn learn(&mut self, ChunkOutcome { key, outcome, is_new }: ChunkOutcome) {
        // Two files may hold the same chunk, and may be read at the same time.
        if is_new && !self.context.record.was_noted(&key) {
            if let Outcome::Convert(converted) = &outcome {
                self.report.add_converted(converted.index);
            }
            self.note(key, outcome);
        } else {
            self.planner.learn(&key, Known::Outcome(outcome));
        }
    }

    /// Whether the file of this name stands in the output folder with the right bytes; `None`: whether there is none.
    fn is_in_place(&self, name: &str, wanted: Option<FileMeta>) -> bool {
        let path = self.context.outputs.dir.join(name);
        match (wanted, system::stat(&path)) {
            (None, found) => found.is_err(),
            // The stat cache would not trust a file as young as one that this build has put there.
            (Some(wanted), Ok(stat)) if self.report.placed(name) == Some((stat, wanted.digest)) => true,
            (Some(wanted), Ok(stat)) => {
                stat.size == wanted.bytes
                    && stat_cache::digest(&self.context.record, &path).is_ok_and(|digest| digest == wanted.digest)
            }
            (Some(_), Err(_)) => false,
        }
    }

    /// Writes to the record what was finished, unless that was done so short a while ago and little has come since.
    fn flush_after(&mut self, pause: Duration) {
        let much_waits = self.can_flush && self.context.record.unrecorded_bytes() > FLUSH_BYTES;
        if self.flushed.elapsed() > pause || much_waits {
            let flushed = self.context.record.flush();
            self.can_flush = flushed.is_ok();
            if let Err(error) = flushed {
                self.context.tell(Event::Warning(error.to_string()));
            }
            self.flushed = Stopwatch::start();
        }
    }

    /// Notes that keys ended without an outcome.
    fn stopped(&mut self, actions: &[Arc<Action>], stop: ActionError, again: &mut BTreeSet<usize>) {
        match stop {
            ActionError::Missing(miss) => self.forget(&miss),
            ActionError::Failure(failure) => {
                for action in actions {
                    self.planner.learn(&action.key, Known::Failure(failure.clone()));
                }
            }
            ActionError::Interrupted => return,
        }
        for action in actions {
            self.done(&action.key, again);
        }
    }

    /// Notes that a key is known.
    fn done(&mut self, key: &ActionKey, again: &mut BTreeSet<usize>) {
        self.running.remove(key);
        self.release(key, again);
    }

    /// Recipes that waited for `key` and now for nothing are to be asked about again.
    fn release(&mut self, key: &ActionKey, again: &mut BTreeSet<usize>) {
        for number in self.waiters.remove(key).unwrap_or_default() {
            self.waiting[number] -= 1;
            if self.waiting[number] == 0 {
                again.insert(number);
            }
        }
    }

    /// Makes the planner forget whatever made a blob that is gone.
    fn forget(&mut self, miss: &crate::cache::Miss) {
        self.context.tell(Event::Warning(error::describe(miss)));
        // Damage seldom comes alone, and a damaged blob that was read is gone: whatever else lacks one is made again at the
        // same time, not one after another.
        let is_hollow = |outcome: &Outcome| !outcomes::is_whole(&self.context.store, outcome);
        let keys = self.planner.known_keys(|outcome| outcome.blobs().contains(&miss.digest) || is_hollow(outcome));
        for key in keys {
            let repeats = self.repeats.entry(key).or_default();
            *repeats += 1;
            let known = if *repeats > MAX_REPEATS {
                let message = format!(
                    "keep artifact {}: it was rebuilt {repeats} times and is missing again",
                    miss.digest.short()
                );
                let hint = "check the disk of the cache folder, or remove the folder and rebuild";
                Known::Failure(Failure::new(FailureKind::Cache, message).hint(hint))
            } else {
                Known::Nothing
            };
            // If the record cannot forget, the blob's absence makes the entry worthless all the same.
            self.context.record.forget(&key).ok();
            self.planner.learn(&key, known);
        }
    }
}

/// One action per key; scans for several recipes become one that serves them all.
fn merge(missing: &mut BTreeMap<ActionKey, Arc<Action>>, action: &Arc<Action>) {
    let Some(known) = missing.get_mut(&action.key) else {
        missing.insert(action.key, action.clone());
        return;
    };
    if let (Work::Scan(own), Work::Scan(other)) = (&mut Arc::make_mut(known).work, &action.work) {
        for follower in &other.followers {
            if !own.followers.contains(follower) {
                own.followers.push(follower.clone());
            }
        }
    }
}
