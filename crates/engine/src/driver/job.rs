//! Jobs: what a thread of the pool runs, and the files that a job leaves to be put in place.

use std::sync::{Arc, mpsc::Sender};

use rayon::Scope;

use super::{
    arrange,
    context::Context,
    error::ActionError,
    group,
    job_span::{Told, label, size},
    output::{self, Held, Unplaced},
    queue::Reading,
    render,
    report::{Outbox, Report},
    scan, select, shaped, tally,
};
use crate::{
    event::JobKind,
    graph::{Action, Outcome, RecipePlan, Rejects, Work},
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    hash::Digest,
    id::ActionKey,
    outputs::{Destination, OutputKind, OutputSet, Target},
};

/// Which files of a recipe are where they belong with the right bytes.
#[derive(Clone)]
pub(super) struct InPlace {
    /// Where they belong.
    pub(super) destination: Destination,
    /// The files of all sides.
    pub(super) rows: bool,
    /// The quarantine file.
    pub(super) quarantine: bool,
    /// The targets of which files are not.
    pub(super) gone: Vec<Target>,
}

/// A unit of work for a thread of the pool.
pub(super) enum Job {
    /// An action, with the paths of the recipes that need it.
    Action(Arc<Action>, Arc<[String]>),
    /// Known chunks of one file that have to be converted or scored.
    Again(Arc<scan::Again>, Vec<Arc<Action>>, Arc<[String]>),
    /// Files of a recipe whose plan is known, with whether each is in place.
    Restore(usize, Box<RecipePlan>, InPlace, Arc<[String]>),
    /// The rejects of a recipe that is refused.
    Show(usize, Rejects),
}

/// What a running job works with.
#[derive(Clone, Copy)]
pub(super) struct JobEnv<'e, 'scope> {
    pub(super) context: &'scope Context,
    /// Receives the outcomes of chunks.
    pub(super) outbox: &'e Outbox,
    /// Spawns work on other threads.
    pub(super) scope: &'e Scope<'scope>,
}

/// A job that no longer needs the pool.
pub(super) struct Ran<'c> {
    /// Files that have been written but are not synced.
    pub(super) files: Vec<Unplaced>,
    /// Makes the report, given the synced files.
    pub(super) end: Box<dyn FnOnce(Result<Vec<Held>, ActionError>) -> Report + Send + 'c>,
}

/// What is left to do on the disk.
pub(super) enum ToDisk<'c> {
    /// The files of a job are to be synced.
    Sync(Ran<'c>),
    /// The files of a recipe, given by its number, are to be put in place.
    Place(usize, Vec<Held>),
}

/// A thread of the pool that a job occupies. Dropping the slot frees the thread for the next job.
pub(super) struct PoolSlot(Sender<Report>);

impl PoolSlot {
    /// Creates a slot that reports its end to `reports`.
    pub(super) fn new(reports: Sender<Report>) -> Self {
        Self(reports)
    }
}

impl Drop for PoolSlot {
    fn drop(&mut self) {
        // A closed channel means that the driver has ended and needs no report.
        self.0.send(if std::thread::panicking() { Report::Panicked } else { Report::Left }).ok();
    }
}

impl Job {
    /// Returns the key of the action, if the job runs a single one.
    pub(super) fn key(&self) -> Option<ActionKey> {
        match self {
            Self::Action(action, _) => Some(action.key),
            Self::Again(..) | Self::Restore(..) | Self::Show(..) => None,
        }
    }

    /// Runs the job. `context` outlives the scope, because the end of the job needs it.
    pub(super) fn run<'c>(self, context: &'c Context, env: JobEnv<'_, '_>, reading: &mut Option<Reading>) -> Ran<'c> {
        match self {
            Self::Action(action, recipes) => {
                let kind = JobKind::Stage(action.work.stage());
                let told = Told { kind, key: action.key.digest(), label: label(&action.work), recipes }.begin(context);
                let run = context.check().and_then(|()| execute(env, &action, reading));
                let (outcome, files) = split(run);
                let end = move |synced: Result<Vec<Held>, ActionError>| {
                    let result = outcome.and_then(|outcome| Ok((outcome, synced?)));
                    told.end(context, result.as_ref().ok().map(|(outcome, _)| size(&action.work, outcome)));
                    Report::Action(action, result)
                };
                Ran { files, end: Box::new(end) }
            }
            Self::Again(group, actions, recipes) => {
                let key = actions.first().map_or(Digest::of(b""), |action| action.key.digest());
                let told = Told { kind: JobKind::Reread, key, label: group.label(), recipes }.begin(context);
                let result = context.check().and_then(|()| group.run(env, reading.take()));
                let end = move |_| {
                    told.end(context, result.as_ref().ok().map(|()| (None, None)));
                    Report::Again(actions, result)
                };
                Ran { files: Vec::new(), end: Box::new(end) }
            }
            Self::Restore(number, plan, in_place, recipes) => {
                let told = Told {
                    kind: JobKind::Restore,
                    key: plan.files.train.map_or(Digest::of(b""), |file| file.digest.digest()),
                    label: plan.outputs.stem().to_owned(),
                    recipes,
                }
                .begin(context);
                let (result, files) = split(context.check().and_then(|()| restore(context, &plan, &in_place)));
                let end = move |synced: Result<Vec<Held>, ActionError>| {
                    let result = result.and(synced);
                    told.end(context, result.as_ref().ok().map(|_| (None, None)));
                    Report::Restored(number, result)
                };
                Ran { files, end: Box::new(end) }
            }
            Self::Show(number, Rejects { outputs, sources, file }) => {
                let written =
                    context.check().and_then(|()| output::quarantine(context, &outputs, Destination::Place, &sources));
                let is_same = |(written, files)| if written == file { Ok(((), files)) } else { Err(differs(&outputs)) };
                let (result, files) = split(written.and_then(is_same));
                Ran { files, end: Box::new(move |synced| Report::Restored(number, result.and(synced))) }
            }
        }
    }
}

fn split<T>(run: Result<(T, Vec<Unplaced>), ActionError>) -> (Result<T, ActionError>, Vec<Unplaced>) {
    match run {
        Ok((outcome, files)) => (Ok(outcome), files),
        Err(stop) => (Err(stop), Vec::new()),
    }
}

fn execute<'scope>(
    env: JobEnv<'_, 'scope>,
    action: &Action,
    reading: &mut Option<Reading>,
) -> Result<(Outcome, Vec<Unplaced>), ActionError> {
    let context = env.context;
    let outcome = match &action.work {
        Work::Scan(work) => Outcome::Scan(Arc::new(scan::scan(env, &action.key, work, reading)?)),
        Work::List(archive) => Outcome::List(Arc::new(scan::list(context, archive)?)),
        Work::Select { chunks, filters, take } => select::select(context, chunks, filters, *take)?,
        Work::Group { sources, grouping } => Outcome::Group(group::group(context, sources, grouping)?),
        Work::Arrange { sources, allotment, unit, validation, sides } => {
            Outcome::Arrange(arrange::arrange(context, sources, allotment, *unit, validation, *sides)?)
        }
        Work::Tally { sources, arranged, normalise, tokens } => {
            Outcome::Tally(tally::run(context, sources, arranged, *normalise, *tokens)?)
        }
        Work::Output { outputs, destination, sources, arranged } => {
            let (written, files) = output::output(context, outputs, *destination, sources, arranged)?;
            return Ok((Outcome::Output(written), files));
        }
        Work::Shaped { outputs, destination, target, kind, sources, arranged, about, max_tokens } => {
            let (destination, kind, max_tokens) = (*destination, *kind, *max_tokens);
            let of = shaped::Of { outputs, destination, target, kind, sources, arranged, about, max_tokens };
            let (outcome, files) = shaped::shaped(context, &of)?;
            return Ok((Outcome::Shaped(Arc::new(outcome)), files));
        }
        Work::Quarantine { outputs, destination, sources } => {
            let (outcome, files) = output::quarantine(context, outputs, *destination, sources)?;
            return Ok((Outcome::Quarantine(outcome), files));
        }
        Work::ReadModel(model) => Outcome::ReadModel(context.models.of(context, model)?.outcome()),
        Work::RenderStored(samples, _, model) => Outcome::RenderStored(render::render(context, samples, model)?),
        Work::Convert(..) | Work::Score(..) | Work::Render(..) => {
            unreachable!("single conversions run grouped by file")
        }
    };
    Ok((outcome, Vec::new()))
}

/// Writes the files of a plan that are not where they belong, using only the cache.
fn restore(context: &Context, plan: &RecipePlan, in_place: &InPlace) -> Result<((), Vec<Unplaced>), ActionError> {
    let (mut files, to) = (Vec::new(), in_place.destination);
    if !in_place.rows {
        let (written, unplaced) = output::output(context, &plan.outputs, to, &plan.sources, &plan.arranged)?;
        if written != plan.files {
            return Err(differs(&plan.outputs));
        }
        files.extend(unplaced);
    }
    let RecipePlan { outputs, kind, arranged, .. } = plan;
    for ((target, wanted), own) in plan.shaped.iter().zip(&plan.own) {
        if !in_place.gone.contains(target) {
            continue;
        }
        let about = own.as_ref().map(|own| &own.about).or(plan.about.as_ref());
        let about = about.expect("a plan with targets says what their cards say");
        let sources = own.as_ref().map_or(&plan.sources, |own| &own.sources);
        let max_tokens = own.as_ref().and_then(|own| own.pinned.model.max_tokens);
        let of = shaped::Of { outputs, destination: to, target, kind: *kind, sources, arranged, about, max_tokens };
        let (written, unplaced) = shaped::shaped(context, &of)?;
        if written != **wanted {
            return Err(differs(&plan.outputs));
        }
        files.extend(unplaced);
    }
    if !in_place.quarantine {
        match plan.quarantine {
            Some(wanted) => {
                let (written, unplaced) = output::quarantine(context, &plan.outputs, to, &plan.sources)?;
                if written != wanted {
                    return Err(differs(&plan.outputs));
                }
                files.extend(unplaced);
            }
            None => {
                let name = plan.outputs.name(OutputKind::Quarantine);
                system::remove(&to.folder(&context.outputs.dir).join(name))?;
            }
        }
    }
    Ok(((), files))
}

fn differs(outputs: &OutputSet) -> ActionError {
    let message = format!("restore `{}`: the cached rows do not match the recorded digest", outputs.stem());
    ActionError::Failure(
        Failure::new(FailureKind::Cache, message).hint("build with `--force`, and report this bug with your recipe"),
    )
}
