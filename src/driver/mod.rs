//! Runs what the plan misses, asks again, and puts files in place.
//!
//! The planner is asked about every recipe; whatever is missing runs on rayon, each key once; when all that a recipe
//! waits for is done, it is asked about again. Actions hold no database, the planner holds no rows. An action that finds
//! a blob missing or damaged makes the planner forget whatever made it, and the next ask mends it.

mod arrange;
mod chunk;
pub(crate) mod files;
mod output;
mod scan;
mod select;
mod step;
pub(crate) mod threads;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError, mpsc},
    time::Duration,
};

pub(crate) use chunk::StoredReject;
pub(crate) use output::{QuarantinePlace, file_names, is_quarantine, quarantine_line};
pub(crate) use step::{Context, Stop, failure_of, lookup};
pub use step::{Event, Observer};
pub use threads::{Make, makes_nothing};
use told::{Told, label, size};

use crate::{
    graph::{
        Action, Failure, FailureKind, FileOutcome, Known, Node, Outcome, Planner, RecipeFile, RecipePlan, Rejects,
        Work, plan, rejects,
    },
    hash::Digest,
    system::{self, Stopwatch},
};

/// How often one key may be made again because what it made was gone.
const MAX_REPEATS: u32 = 3;

/// How often what was finished is written to the record.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// What became of one recipe.
pub(crate) type Ending = Result<RecipePlan, Failure>;

/// What a finished job reports.
enum Report {
    /// An action with its outcome.
    Action(Arc<Action>, Result<Outcome, Stop>),
    /// Single conversions and scorings of one file, by key.
    Again(Vec<Arc<Action>>, Result<(), Stop>),
    /// A recipe's files were put in place.
    Restored(usize, Result<(), Stop>),
}

/// Builds `recipes`; each ends with its plan, all files in place, or with what kept it from that.
///
/// The driver itself is no thread of the pool: it waits for reports while the pool works.
pub(crate) fn run(
    planner: &mut Planner,
    recipes: &[RecipeFile],
    context: &Context,
    pool: &rayon::ThreadPool,
    fail_fast: bool,
) -> Vec<Ending> {
    let (reports, inbox) = mpsc::channel();
    pool.in_place_scope(|scope| {
        let mut driver = Driver {
            planner,
            recipes,
            context,
            endings: recipes.iter().map(|_| None).collect(),
            waiting: vec![BTreeSet::new(); recipes.len()],
            running: HashSet::new(),
            repeats: HashMap::new(),
            jobs: 0,
            fail_fast,
            flushed: Stopwatch::start(),
        };
        let spawn = |job: Job| {
            let reports = reports.clone();
            // A closed channel means the driver has ended; there is no one left to tell.
            scope.spawn(move |_| drop(reports.send(job.run(context))));
        };
        driver.ask((0..recipes.len()).collect(), &spawn);
        while driver.jobs > 0 {
            let Ok(report) = inbox.recv() else { break };
            driver.jobs -= 1;
            driver.receive(report, &spawn);
        }
        let unfinished = || match context.check() {
            Err(_) => Err(Failure::new(FailureKind::Interrupted, "finish the build: interrupted")
                .hint("what was finished is kept; build again to go on")),
            Ok(()) => Err(Failure::new(FailureKind::Action, "build: another recipe failed first")),
        };
        driver.endings.into_iter().map(|ending| ending.unwrap_or_else(unfinished)).collect()
    })
}

struct Driver<'a> {
    planner: &'a mut Planner,
    recipes: &'a [RecipeFile],
    context: &'a Context,
    endings: Vec<Option<Ending>>,
    /// For each recipe, the keys it waits for.
    waiting: Vec<BTreeSet<Digest>>,
    running: HashSet<Digest>,
    repeats: HashMap<Digest, u32>,
    /// Jobs that have not reported.
    jobs: usize,
    /// Whether nothing more is started once a recipe has failed.
    fail_fast: bool,
    /// Since the record was written last.
    flushed: Stopwatch,
}

/// Something to run.
enum Job {
    Action(Arc<Action>, Arc<[String]>),
    Again(scan::Again, Vec<Arc<Action>>, Arc<[String]>),
    Restore(usize, Box<RecipePlan>, Vec<bool>, Arc<[String]>),
    Show(usize, Rejects),
}

impl Driver<'_> {
    /// Asks the planner about recipes and starts what they miss.
    fn ask(&mut self, numbers: Vec<usize>, spawn: &dyn Fn(Job)) {
        let mut missing: BTreeMap<Digest, Arc<Action>> = BTreeMap::new();
        let mut askers: HashMap<Digest, Vec<usize>> = HashMap::new();
        for number in numbers {
            let has_failed = || self.endings.iter().flatten().any(Result::is_err);
            if self.endings[number].is_some() || self.context.check().is_err() || (self.fail_fast && has_failed()) {
                continue;
            }
            match plan(self.planner, self.recipes[number]) {
                Node::Failed(failure) => {
                    let failure = failure.clone();
                    self.refuse(number, failure, spawn);
                }
                Node::Ready(plan) => {
                    let plan = plan.clone();
                    self.settle(number, plan, spawn);
                }
                Node::Needs(actions) => {
                    for action in actions {
                        self.waiting[number].insert(action.key);
                        askers.entry(action.key).or_default().push(number);
                        merge(&mut missing, action);
                    }
                }
            }
        }
        missing.retain(|key, _| !self.running.contains(key));
        self.running.extend(missing.keys().copied());
        let (single, mut whole): (Vec<_>, Vec<_>) =
            missing.into_values().partition(|action| matches!(action.work, Work::Convert(..) | Work::Score(..)));
        // The longest first: what is started last decides when all is done.
        whole.sort_by_key(|action| std::cmp::Reverse(weight(&action.work)));
        for group in scan::group(single.iter().map(|action| &**action)) {
            let own: Vec<_> = single.iter().filter(|action| group.holds(action)).cloned().collect();
            self.jobs += 1;
            let recipes = self.names(own.iter().flat_map(|action| &askers[&action.key]));
            spawn(Job::Again(group, own, recipes));
        }
        for action in whole {
            self.jobs += 1;
            let recipes = self.names(askers[&action.key].iter());
            spawn(Job::Action(action, recipes));
        }
    }

    /// The paths of recipes, each once.
    fn names<'n>(&self, numbers: impl Iterator<Item = &'n usize>) -> Arc<[String]> {
        let numbers: BTreeSet<usize> = numbers.copied().collect();
        numbers.into_iter().map(|number| self.recipes[number].path(self.planner).to_owned()).collect()
    }

    /// Notes what became of a recipe, and tells.
    fn end(&mut self, number: usize, ending: Ending) {
        let files = |plan: &RecipePlan| {
            let outcomes = [Some(plan.train), Some(plan.validation), plan.quarantine];
            let files = file_names(&plan.stem).into_iter().zip(outcomes);
            let path = |name: String| self.context.output_dir.join(name).to_string_lossy().into_owned();
            files.filter_map(|(name, outcome)| Some((path(name), outcome?))).collect()
        };
        self.context.tell(Event::Ended {
            recipe: self.recipes[number].path(self.planner).to_owned(),
            failure: ending.as_ref().err().map(ToString::to_string),
            files: ending.as_ref().map(files).unwrap_or_default(),
        });
        self.endings[number] = Some(ending);
    }

    /// Ends a recipe whose plan is known, or first has its files put in place.
    fn settle(&mut self, number: usize, plan: RecipePlan, spawn: &dyn Fn(Job)) {
        let in_place = in_place(self.context, &plan);
        if in_place.iter().all(|is| *is) {
            self.end(number, Ok(plan));
        } else {
            self.jobs += 1;
            spawn(Job::Restore(number, Box::new(plan), in_place, self.names([number].iter())));
        }
    }

    /// Ends a recipe that cannot be built; one that is refused first has its rejects put in place, to be looked at.
    fn refuse(&mut self, number: usize, failure: Failure, spawn: &dyn Fn(Job)) {
        let rejects = rejects(self.planner, self.recipes[number]).filter(|_| failure.kind == FailureKind::Policy);
        let name = |rejects: &Rejects| file_names(&rejects.stem)[2].clone();
        match rejects.filter(|rejects| !is_in_place(self.context, &name(rejects), Some(rejects.file))) {
            Some(rejects) => {
                self.jobs += 1;
                spawn(Job::Show(number, rejects));
            }
            None => self.end(number, Err(failure)),
        }
    }

    fn receive(&mut self, report: Report, spawn: &dyn Fn(Job)) {
        let mut again = BTreeSet::new();
        match report {
            Report::Action(action, Ok(outcome)) => {
                self.context.note(action.key, action.work.kind(), &outcome);
                self.planner.learn(&action.key, Known::Outcome(outcome));
                self.done(&action.key, &mut again);
            }
            Report::Action(action, Err(stop)) => self.stopped(&[action], stop, &mut again),
            Report::Again(actions, Ok(())) => {
                for action in actions {
                    // The record was written beside the work; this reads it back into the cell.
                    let outcome = self.context.lookup(&action.key);
                    self.planner.learn(&action.key, outcome.map_or(Known::Nothing, Known::Outcome));
                    self.done(&action.key, &mut again);
                }
            }
            Report::Again(actions, Err(stop)) => self.stopped(&actions, stop, &mut again),
            Report::Restored(number, Ok(())) => drop(again.insert(number)),
            Report::Restored(number, Err(stop)) => match stop {
                Stop::Missing(miss) => {
                    self.forget(&miss);
                    again.insert(number);
                }
                Stop::Failure(failure) => self.end(number, Err(failure)),
                Stop::Interrupted => {}
            },
        }
        // A build that is killed loses what was finished since the last flush, and no more.
        if self.flushed.elapsed() > FLUSH_EVERY {
            if let Err(error) = self.context.record.flush() {
                self.context.tell(Event::Warning(error.to_string()));
            }
            self.flushed = Stopwatch::start();
        }
        self.ask(again.into_iter().collect(), spawn);
    }

    /// Notes that keys ended without an outcome.
    fn stopped(&mut self, actions: &[Arc<Action>], stop: Stop, again: &mut BTreeSet<usize>) {
        match stop {
            Stop::Missing(miss) => self.forget(&miss),
            Stop::Failure(failure) => {
                for action in actions {
                    self.planner.learn(&action.key, Known::Failure(failure.clone()));
                }
            }
            Stop::Interrupted => return,
        }
        for action in actions {
            self.done(&action.key, again);
        }
    }

    /// Recipes that waited for `key` and now for nothing are to be asked about again.
    fn done(&mut self, key: &Digest, again: &mut BTreeSet<usize>) {
        self.running.remove(key);
        for (number, waiting) in self.waiting.iter_mut().enumerate() {
            if waiting.remove(key) && waiting.is_empty() {
                again.insert(number);
            }
        }
    }

    /// Makes the planner forget whatever made a blob that is gone.
    fn forget(&mut self, miss: &crate::artifact::Miss) {
        self.context.tell(Event::Warning(step::describe(miss)));
        for key in self.planner.makers(&miss.digest) {
            let repeats = self.repeats.entry(key).or_default();
            *repeats += 1;
            let known = if *repeats > MAX_REPEATS {
                let message =
                    format!("keep artifact {}: it was made {repeats} times and is gone again", miss.digest.short());
                let hint = "check the disk below the cache folder, or remove the folder and build again";
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
fn merge(missing: &mut BTreeMap<Digest, Arc<Action>>, action: &Arc<Action>) {
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

/// Roughly how long an action takes, in bytes.
fn weight(work: &Work) -> u64 {
    match work {
        Work::Scan(scan) => scan.file.file.size,
        Work::Output { sources, .. } => {
            sources.iter().flat_map(|source| source.chunks.iter()).map(|chunk| chunk.converted.bytes).sum()
        }
        _ => 0,
    }
}

/// Which of a recipe's files stand in the output folder with the right bytes.
pub(crate) fn in_place(context: &Context, plan: &RecipePlan) -> Vec<bool> {
    let names = file_names(&plan.stem);
    let wanted = [Some(plan.train), Some(plan.validation), plan.quarantine];
    names.iter().zip(wanted).map(|(name, wanted)| is_in_place(context, name, wanted)).collect()
}

fn is_in_place(context: &Context, name: &str, wanted: Option<FileOutcome>) -> bool {
    let path = context.output_dir.join(name);
    match (wanted, system::stat(&path)) {
        (None, found) => found.is_err(),
        (Some(wanted), Ok(stat)) => {
            stat.size == wanted.bytes
                && files::digest(&context.record, &path).is_ok_and(|digest| digest == wanted.digest)
        }
        (Some(_), Err(_)) => false,
    }
}

impl Job {
    fn run(self, context: &Context) -> Report {
        match self {
            Self::Action(action, recipes) => {
                let kind = action.work.kind();
                let told = Told { kind, key: action.key, label: label(&action.work), recipes };
                let result = told.run(context, |outcome| size(&action.work, outcome), || execute(context, &action));
                if result.is_ok() {
                    context.count(kind);
                }
                Report::Action(action, result)
            }
            Self::Again(group, actions, recipes) => {
                let key = actions.first().map_or(Digest::of(b""), |action| action.key);
                let told = Told { kind: "reread", key, label: group.label(), recipes };
                let result = told.run(context, |()| (None, None), || group.run(context));
                Report::Again(actions, result)
            }
            Self::Restore(number, plan, in_place, recipes) => {
                let told = Told { kind: "restore", key: plan.train.digest, label: plan.stem.clone(), recipes };
                let result = told.run(context, |()| (None, None), || restore(context, &plan, &in_place));
                Report::Restored(number, result)
            }
            Self::Show(number, Rejects { stem, sources, file }) => {
                let written = context.check().and_then(|()| output::quarantine(context, &stem, &sources));
                let is_same = |written| if written == file { Ok(()) } else { Err(differs(&stem)) };
                Report::Restored(number, written.and_then(is_same))
            }
        }
    }
}

fn execute(context: &Context, action: &Action) -> Result<Outcome, Stop> {
    Ok(match &action.work {
        Work::Scan(work) => Outcome::Scan(Arc::new(scan::scan(context, &action.key, work)?)),
        Work::Select { chunks, filters, max } => Outcome::Select(select::select(context, chunks, filters, *max)?),
        Work::Arrange { sources, allotment, unit, validation } => {
            Outcome::Arrange(arrange::arrange(context, sources, allotment, *unit, validation)?)
        }
        Work::Output { stem, sources, arranged } => {
            let (train, validation) = output::output(context, stem, sources, arranged)?;
            Outcome::Output(train, validation)
        }
        Work::Quarantine { stem, sources } => Outcome::Quarantine(output::quarantine(context, stem, sources)?),
        Work::Convert(..) | Work::Score(..) => unreachable!("single conversions run grouped by file"),
    })
}

/// Puts the files of a known plan in place, out of the cache.
fn restore(context: &Context, plan: &RecipePlan, in_place: &[bool]) -> Result<(), Stop> {
    if !in_place[0] || !in_place[1] {
        let written = output::output(context, &plan.stem, &plan.sources, &plan.arranged)?;
        if written != (plan.train, plan.validation) {
            return Err(differs(&plan.stem));
        }
    }
    if !in_place[2] {
        match plan.quarantine {
            Some(wanted) if output::quarantine(context, &plan.stem, &plan.sources)? != wanted => {
                return Err(differs(&plan.stem));
            }
            Some(_) => {}
            None => system::remove(&context.output_dir.join(&file_names(&plan.stem)[2]))?,
        }
    }
    Ok(())
}

fn differs(stem: &str) -> Stop {
    let message = format!("restore `{stem}`: the cache yields other bytes than it recorded");
    Stop::Failure(
        Failure::new(FailureKind::Cache, message).hint("build with `--force`, and report this with your recipe"),
    )
}

impl Context {
    /// How often each kind of action ran.
    pub(crate) fn ran(&self) -> BTreeMap<&'static str, u64> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(kind, count)| (*kind, *count)).collect()
    }
}
