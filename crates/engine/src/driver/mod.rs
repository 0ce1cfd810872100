//! Runs the actions that the plan lacks, asks the planner again, and puts files in place.
//!
//! The planner is asked about every recipe, and missing actions run on rayon, each key once. When everything that a
//! recipe waits for is done, the planner is asked about it again. Actions do not access the planner, and the planner
//! holds no rows. If an action finds a blob missing or damaged, the planner forgets the action that made it, so that
//! it runs again.

mod arrange;
mod chunk;
mod context;
mod error;
mod external;
mod first_reject;
mod goal;
mod group;
mod indexes;
mod job;
mod job_span;
mod models;
mod outcomes;
mod output;
mod packing;
mod placing;
mod python;
mod queue;
mod render;
mod report;
mod scan;
mod select;
mod shaped;
mod shared;
mod sources;
mod tally;
pub(crate) mod threads;
pub(crate) mod unexpected;
mod unpack;
mod unseen;
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
pub(crate) use first_reject::with_first_reject;
pub(crate) use goal::{Goal, Outputs, Shares};
pub(crate) use indexes::Indexes;
use job::{Job, JobEnv, PoolSlot, Ran, ToDisk};
pub(crate) use models::{ModelSinks, Models, read_model};
pub(crate) use outcomes::{OutcomeCache, lookup};
use output::Held;
pub(crate) use output::{QuarantinePlace, quarantine_line, quarantine_place};
pub(crate) use python::Functions;
use queue::{Queue, Reading};
pub(crate) use report::{Ending, RunReport};
use report::{Outbox, Report};
pub(crate) use sources::Sources;
pub use threads::{Make, makes_nothing};
pub(crate) use unpack::{OpenTars, input_of};

use rayon::Scope;

use chunk::ChunkOutcome;
use shared::{Seek, Sought};

use crate::{
    cache::Actions,
    event::Event,
    graph::{Action, Known, Outcome, Planner, RecipeFile, Work, scope},
    remote::Reader,
    system::Stopwatch,
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::ActionKey,
};

/// Number of times that an action may run again because its blobs were gone.
const MAX_REPEATS: u32 = 3;

/// Number of threads that sync files and put them in place. They wait for the disk, which handles several waiting files together.
const DISK_THREADS: usize = 8;

/// Interval at which finished work is written to the record.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Size of unwritten small blobs, in bytes, above which the record is written at once.
const FLUSH_BYTES: usize = 1 << 20;

/// Interval at which the record is written when only the disk is waited for; also the longest time between checks
/// whether it is due.
const FLUSH_SOON: Duration = Duration::from_millis(200);

/// Runs what `goal` needs of `recipes`. The report has a result for each: what the goal comes to, or a failure.
///
/// The driver runs on the caller's thread, not in the pool, and waits for reports while the pool works. Files are put
/// in place on further threads, which mostly wait for the disk.
///
/// What the local cache lacks is looked up with `shared`, on one more thread, before it runs.
pub(crate) fn run<G: Goal>(
    goal: G,
    planner: &mut Planner,
    recipes: &[RecipeFile],
    context: &Context,
    pool: &rayon::ThreadPool,
    fail_fast: bool,
    shared: Option<Reader>,
) -> RunReport<G::End> {
    let (reports, inbox) = mpsc::channel();
    let (to_shared, asked) = mpsc::channel::<Seek>();
    let (to_disk, disk) = mpsc::channel::<ToDisk<'_>>();
    let mut driver = Driver {
        goal,
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
        owners: HashMap::new(),
        held: HashMap::new(),
        to_disk,
        to_shared: shared.is_some().then_some(to_shared),
        sought: HashSet::new(),
        report: RunReport::default(),
    };
    thread::scope(|threads| {
        let seeker = shared.map(|reader| {
            let reports = reports.clone();
            threads.spawn(move || {
                let seat = PoolSlot::new(reports.clone());
                let read = shared::serve(reader, &asked, context, &reports);
                // As below: the slot only reports panics.
                std::mem::forget(seat);
                read
            })
        });
        let disk = Arc::new(Mutex::new(disk));
        for _ in 0..DISK_THREADS.min(recipes.len()) {
            let (disk, reports) = (disk.clone(), reports.clone());
            threads.spawn(move || {
                let next = || disk.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(todo) = next() {
                    let seat = PoolSlot::new(reports.clone());
                    let report = match todo {
                        ToDisk::Sync(Ran { files, end }) => {
                            let synced = output::sync(files);
                            reports.send(Report::Synced).ok();
                            end(synced)
                        }
                        ToDisk::Place(number, files) => {
                            let mut in_place = Vec::with_capacity(files.len());
                            let result = output::put_in_place(files, context, &mut in_place);
                            Report::Placed(number, in_place, result)
                        }
                    };
                    // This thread is not part of the pool, so the slot must not report that one is free; it only
                    // reports panics.
                    std::mem::forget(seat);
                    reports.send(report).ok();
                }
            });
        }
        pool.in_place_scope(|scope| driver.drive(scope, &inbox, &reports));
        // The threads end when there is nobody left to send them anything.
        driver.to_disk = mpsc::channel().0;
        driver.to_shared = None;
        let read = seeker.map(|seeker| seeker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        driver.report.read = read;
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

/// The state of a run.
pub(crate) struct Driver<'a, G: Goal> {
    goal: G,
    planner: &'a mut Planner,
    recipes: &'a [RecipeFile],
    context: &'a Context,
    endings: Vec<Option<Result<G::End, Failure>>>,
    /// For each recipe, the number of keys that it waits for.
    waiting: Vec<usize>,
    /// For each key, the recipes that wait for it.
    waiters: HashMap<ActionKey, Vec<usize>>,
    running: HashSet<ActionKey>,
    repeats: HashMap<ActionKey, u32>,
    queue: Queue,
    /// Whether to start nothing more once a recipe has failed.
    fail_fast: bool,
    /// Time since the record was last written.
    flushed: Stopwatch,
    /// Whether the last write succeeded.
    can_flush: bool,
    /// The recipes whose files running actions have written.
    owners: HashMap<ActionKey, usize>,
    /// The files of recipes that wait for the other files of their recipe: a recipe that fails leaves all of its files as they
    /// were.
    held: HashMap<usize, Vec<Held>>,
    to_disk: Sender<ToDisk<'a>>,
    /// Looks up actions in the shared cache; `None` if there is none.
    to_shared: Option<Sender<Seek>>,
    /// Actions that have been looked up there.
    sought: HashSet<ActionKey>,
    report: RunReport<G::End>,
}

impl<'a, G: Goal> Driver<'a, G> {
    /// Starts jobs and receives reports until there is nothing left to do.
    fn drive<'scope>(&mut self, scope: &Scope<'scope>, inbox: &Receiver<Report>, reports: &Sender<Report>)
    where
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
                let (seat, reports, to_disk) = (PoolSlot::new(reports.clone()), reports.clone(), self.to_disk.clone());
                let key = job.key();
                scope.spawn(move |scope| {
                    let outbox = Outbox::new(reports.clone());
                    let ran = job.run(context, JobEnv { context, outbox: &outbox, scope }, &mut reading);
                    drop(seat);
                    // A closed channel means that the driver has ended and needs no report.
                    match ran.files.is_empty() {
                        true => drop(reports.send((ran.end)(Ok(Vec::new())))),
                        false => {
                            reports.send(Report::Written(key)).ok();
                            to_disk.send(ToDisk::Sync(ran)).ok();
                        }
                    }
                    // Dropped after the report: if the job still holds the token, the driver first queues the
                    // recipe's next file, which then comes before files of other recipes.
                    drop(reading);
                });
            }
            if self.queue.is_done() {
                break;
            }
            if self.queue.is_placing() {
                // Freeing memory takes the system a while, so it is done now, while the disk is waited for, rather
                // than when the process ends.
                scope.spawn(|_| {
                    context.store.let_go();
                    context.indexes.let_go();
                });
                // Writing the record now leaves little to write at the end.
                self.flush_after(FLUSH_SOON);
            }
            match inbox.recv_timeout(FLUSH_SOON) {
                // The panic continues once the pool has ended.
                Ok(Report::Panicked) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(report) => self.receive(report),
                // A single file may take minutes, and its results should not pile up unwritten.
                Err(RecvTimeoutError::Timeout) => self.flush_after(FLUSH_EVERY),
            }
        }
    }

    /// Asks the planner about recipes, and queues the actions that they lack.
    fn ask(&mut self, numbers: Vec<usize>) {
        let mut missing: BTreeMap<ActionKey, Arc<Action>> = BTreeMap::new();
        for number in numbers {
            if self.endings[number].is_some() || self.is_over() {
                continue;
            }
            for action in G::ask(self, number) {
                let waiters = self.waiters.entry(action.key).or_default();
                // Recipes are asked one by one, so a recipe that already waits for the key is the last in the list.
                if waiters.last() != Some(&number) {
                    waiters.push(number);
                    self.waiting[number] += 1;
                }
                merge(&mut missing, &action);
            }
        }
        missing.retain(|key, _| !self.running.contains(key));
        self.running.extend(missing.keys().copied());
        let missing = self.seek(missing.into_values().collect());
        self.start(missing);
    }

    /// Has those of the actions looked up in the shared cache that have not been; returns the others.
    fn seek(&mut self, missing: Vec<Arc<Action>>) -> Vec<Arc<Action>> {
        let Some(to_shared) = &self.to_shared else { return missing };
        let (new, known): (Vec<_>, Vec<_>) = missing.into_iter().partition(|action| !self.sought.contains(&action.key));
        let mut seek = Seek { actions: Vec::new(), also: Vec::new() };
        let mut left = known;
        for action in new {
            self.sought.insert(action.key);
            let waiters = self.waiters.get(&action.key).into_iter().flatten();
            let mut of_recipes = waiters.filter_map(|number| *scope::of_recipe(self.planner, self.recipes[*number]));
            match scope::of_action(&action, &self.context.versions) {
                Some((own, next)) => {
                    seek.also.extend(next.into_iter().chain(of_recipes));
                    seek.actions.push((action, own));
                }
                None => match of_recipes.next() {
                    Some(own) => {
                        seek.also.extend(of_recipes);
                        seek.actions.push((action, own));
                    }
                    None => left.push(action),
                },
            }
        }
        if !seek.actions.is_empty() {
            seek.also.sort_unstable();
            seek.also.dedup();
            self.queue.seek();
            // A closed channel means that a thread has panicked, which is reported.
            to_shared.send(seek).ok();
        }
        left
    }

    /// Queues actions.
    fn start(&mut self, actions: Vec<Arc<Action>>) {
        let (single, whole): (Vec<_>, Vec<_>) = actions
            .into_iter()
            .partition(|action| matches!(action.work, Work::Convert(..) | Work::Score(..) | Work::Render(..)));
        for (group, own) in scan::group(single) {
            let recipes = self.names(own.iter().flat_map(|action| &self.waiters[&action.key]));
            self.queue.push(Job::Again(Arc::new(group), own, recipes));
        }
        for action in whole {
            if let Work::Scan(scan) = &action.work {
                self.context.tell(Event::ToRead { label: scan.file.path.clone(), bytes: scan.file.size });
            }
            let recipes = self.names(self.waiters[&action.key].iter());
            self.queue.push(Job::Action(action, recipes));
        }
    }

    /// Returns whether no more jobs are to be started.
    fn is_over(&self) -> bool {
        let has_failed = || self.endings.iter().flatten().any(Result::is_err);
        self.context.check().is_err() || (self.fail_fast && has_failed())
    }

    /// Returns the paths of recipes, without duplicates.
    fn names<'n>(&self, numbers: impl Iterator<Item = &'n usize>) -> Arc<[String]> {
        let numbers: BTreeSet<usize> = numbers.copied().collect();
        numbers.into_iter().map(|number| self.recipes[number].path(self.planner).to_owned()).collect()
    }

    /// Records the result of a recipe, and sends its event.
    fn end(&mut self, number: usize, ending: Result<G::End, Failure>) {
        let path = |(name, file)| (self.context.outputs.dir.join::<String>(name).to_string_lossy().into_owned(), file);
        let files = ending.as_ref().map_or(Some(Vec::new()), G::files);
        if let Some(files) = files {
            self.context.tell(Event::Ended {
                recipe: self.recipes[number].path(self.planner).to_owned(),
                failure: ending.as_ref().err().map(ToString::to_string),
                files: files.into_iter().map(path).collect(),
            });
        }
        self.held.remove(&number);
        self.endings[number] = Some(ending);
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
            Report::Synced => return self.queue.synced(),
            Report::Placed(number, files, result) => {
                self.queue.placed();
                for file in files {
                    // The digest was computed while writing; noting it saves the next run from reading the file.
                    let path = file.path.to_string_lossy();
                    self.context.record.note_digest(&path, &file.stat, &file.digest, file.placed_ns);
                    self.report.add_placed(file);
                }
                self.ended_or_again(number, result, &mut again);
            }
            Report::Read => return self.queue.read(),
            Report::Left | Report::Panicked => return self.queue.left(),
            Report::Written(key) => {
                self.queue.written();
                if let Some(key) = key {
                    // Files are those of one recipe.
                    let owner = self.waiters.get(&key).and_then(|waiters| waiters.first());
                    owner.map(|owner| self.owners.insert(key, *owner));
                    // Everything else that its recipes need can go on while the disk is waited for.
                    self.release(&key, &mut again);
                }
            }
            Report::Action(action, Ok((outcome, files))) => {
                self.queue.reported();
                if let Some(owner) = self.owners.remove(&action.key) {
                    self.held.entry(owner).or_default().extend(files);
                }
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
            Report::Sought { found, missing, is_last } => {
                if is_last {
                    self.queue.reported();
                }
                for Sought { action, outcome, bytes } in found {
                    let (key, stage) = (action.key, outcome.stage());
                    self.report.count_shared(stage);
                    self.context.record.put(key, stage, bytes);
                    self.planner.learn(&key, Known::Outcome(outcome));
                    self.done(&key, &mut again);
                }
                if !self.is_over() {
                    self.start(missing);
                }
            }
            Report::Restored(number, restored) => {
                self.queue.reported();
                let held = |files| self.held.entry(number).or_default().extend(files);
                let result = restored.map(held);
                self.ended_or_again(number, result, &mut again);
            }
        }
        // A killed build only loses what was finished since the last flush.
        self.flush_after(FLUSH_EVERY);
        self.ask(again.into_iter().collect());
    }

    /// Ends a recipe for which files could not be written or put in place; otherwise adds it to `again`.
    fn ended_or_again(&mut self, number: usize, result: Result<(), ActionError>, again: &mut BTreeSet<usize>) {
        match result {
            Ok(()) => drop(again.insert(number)),
            Err(ActionError::Missing(miss)) => {
                self.forget(&miss);
                again.insert(number);
            }
            Err(ActionError::Failure(failure)) => self.end(number, Err(failure)),
            Err(ActionError::Interrupted) => {}
        }
    }

    /// Records the outcome of an action that ran, and tells the planner.
    fn note(&mut self, key: ActionKey, outcome: Outcome) {
        self.report.count(outcome.stage());
        if let Ok(bytes) = postcard::to_stdvec(&outcome) {
            self.context.record.put(key, outcome.stage(), bytes);
        }
        self.planner.learn(&key, Known::Outcome(outcome));
    }

    /// Takes in the outcome of converting or scoring a chunk, or that it failed.
    fn learn(&mut self, ChunkOutcome { key, result, is_new }: ChunkOutcome) {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(failure) => return self.planner.learn(&key, Known::Failure(failure)),
        };
        // Two files that are read at the same time may contain the same chunk.
        if is_new && !self.context.record.was_noted(&key) {
            if let Outcome::Convert(converted) = &outcome {
                self.report.add_converted(converted.index);
            }
            self.note(key, outcome);
        } else {
            self.planner.learn(&key, Known::Outcome(outcome));
        }
    }

    /// Writes finished work to the record, unless that was done within `pause` and little has been added since.
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

    /// Handles the error of a job: each of its actions ended without an outcome.
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

    /// Marks an action as no longer running.
    fn done(&mut self, key: &ActionKey, again: &mut BTreeSet<usize>) {
        self.running.remove(key);
        self.release(key, again);
    }

    /// Adds to `again` the recipes that waited for `key` and now wait for nothing.
    fn release(&mut self, key: &ActionKey, again: &mut BTreeSet<usize>) {
        for number in self.waiters.remove(key).unwrap_or_default() {
            self.waiting[number] -= 1;
            if self.waiting[number] == 0 {
                again.insert(number);
            }
        }
    }

    /// Makes the planner forget the action that made a missing blob.
    fn forget(&mut self, miss: &crate::cache::Miss) {
        self.context.tell(Event::Warning(error::describe(miss)));
        // Damage is rarely limited to one blob, and a damaged blob is removed when read. All actions that lack a blob
        // are forgotten together, so that they do not run again one after another.
        let is_hollow = |outcome: &Outcome| !outcomes::is_whole(&self.context.store, outcome);
        let keys = self.planner.known_keys(|outcome| outcome.blobs().contains(&miss.digest) || is_hollow(outcome));
        for key in keys {
            let repeats = self.repeats.entry(key).or_default();
            *repeats += 1;
            // What was lost here may still be in the shared cache.
            if *repeats == 1 {
                self.sought.remove(&key);
            }
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
            // If the record cannot forget the entry, the missing blob still makes it a miss.
            self.context.record.forget(&key).ok();
            self.planner.learn(&key, known);
        }
    }
}

/// Adds an action, once per key. Scans of one file for several recipes are merged into one.
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
