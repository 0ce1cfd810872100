//! Builds recipes: assesses them, runs missing actions, puts files in place, and records what the recipes depend on.

pub(crate) mod depfile;
pub(crate) mod events;
mod former;
pub(crate) mod notes;
pub(crate) mod order;
mod output_stats;
pub(crate) mod shared;
pub(crate) mod worker;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::{Arc, Mutex},
};

use schemars::JsonSchema;
use serde::Serialize;

use self::{
    notes::{Note, notes, unknown_columns},
    order::{WaitingRecipe, set_aside},
    output_stats::{note_digests, outputs_in_place, restat, youngest, youngest_proven},
    shared::{Scopes, Shared},
};
use crate::{
    cache::{Access, BuiltDetail, FreshRecipe, OutputFile, Record, RunId, SCRATCH},
    driver::{self, Context, Control, Models, OutputSettings, RunReport, Sources},
    event::{Event, Observer},
    gc::{CacheBounds, Collected, collect_if_due},
    graph::{
        OnExecute, RecipePlan, conversion_of, leaves, license, model_key, model_of, partly_read, scope, snapshot_keys,
        survey_of,
    },
    provenance::{
        history,
        manifest::{BuildManifest, Made},
        summary::{Summary, summarise},
    },
    remote::SharedReport,
    selector::{assess_selected, find},
    site::{IfHeld, Site, WorkspaceError},
    status::{
        RecipeStatus, State,
        assess::{Assessed, Depth, Detail, Looks, Orphans, Session},
        pins::{Hashing, Pinning, Snapshots, passed_over_of},
        plan_cache::PlanCache,
    },
    system::{self, Stopwatch},
    writer::Budget,
};
use datac_core::{
    config::Recipe,
    failure::{Failure, FailureKind},
    id::ActionKey,
    stage::Stage,
};

/// Options of a build.
#[derive(Default)]
pub struct BuildOptions {
    /// Number of threads; 0 for one per core.
    pub jobs: usize,
    /// The make that hands out job slots, if datac runs under one.
    pub make: Option<Arc<driver::Make>>,
    /// Whether to build everything selected again, ignoring the cache.
    pub force: bool,
    /// Whether a source that the lock lacks is an error.
    pub locked: bool,
    /// Whether to fail instead of waiting for another process.
    pub no_wait: bool,
    /// Whether to stop after the first recipe that fails.
    pub fail_fast: bool,
    /// Whether the report has a summary of fresh recipes too.
    pub detailed: bool,
    /// Memory that outputs may use besides the chunks in flight, in bytes; 0 for the default.
    pub memory: u64,
    /// The command line, for the ledger. Secrets are removed before it is stored.
    pub command: Vec<String>,
    /// Bounds that the cache is kept within after a build that ran actions; `None` to let it grow.
    pub bounds: Option<CacheBounds>,
    /// The plan of the previous build, for callers that build repeatedly; not used with `force`.
    pub kept: Option<Arc<PlanCache>>,
    /// Called with the name of every planner query that runs.
    #[doc(hidden)]
    pub on_query: Option<Arc<dyn Fn(String) + Send + Sync>>,
}

/// Result of a build.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct BuildReport {
    /// The recipes, by path.
    pub recipes: Vec<RecipeReport>,
    /// Number of actions that ran, by stage.
    pub actions: BTreeMap<Stage, u64>,
    /// YAML files that are not recipes.
    pub others: Vec<String>,
    /// Number of the run in the ledger; `None` if there was nothing to do.
    pub run: Option<RunId>,
    /// What was removed from the cache because no current recipe reaches it, if anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected: Option<Collected>,
    /// What was done with the shared cache; `None` if there is none, or if there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedReport>,
    /// Elapsed time in milliseconds.
    pub elapsed_ms: u64,
}

/// Result for one recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RecipeReport {
    /// State of the recipe before the build, and the reasons.
    #[serde(flatten)]
    pub before: RecipeStatus,
    /// Summary of the outputs; `None` if the recipe could not be built, or is fresh and [`BuildOptions::detailed`] is
    /// not set.
    pub summary: Option<Summary>,
    /// Failure that kept the recipe from being built.
    #[serde(serialize_with = "failure_text")]
    #[schemars(with = "Option<String>")]
    pub failure: Option<Failure>,
    /// Where the outputs differ from what the recipe asks for; empty if the recipe was up to date.
    pub notes: Vec<Note>,
    /// What the build did with it.
    pub done: Done,
    /// Names, in the output folder, of the files that were written.
    pub written: Vec<String>,
    /// Number of chunks that were converted, and number of all chunks.
    pub chunks: (u64, u64),
}

/// What a build did with a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Nothing: it was up to date.
    Nothing,
    /// It was built: something of it was out of date.
    Built,
    /// It was built whatever the cache holds, as was asked for, and came to the bytes that are in place.
    Rebuilt,
    /// Its files were put in place from the cache; nothing had to run.
    Restored,
    /// It could not be built.
    Failed,
}

impl Done {
    /// Says what was done with a recipe that was built: `before` is its state then, `written` what was put in place.
    fn of(before: &RecipeStatus, written: &[String], is_forced: bool) -> Self {
        if is_forced {
            return if written.is_empty() { Self::Rebuilt } else { Self::Built };
        }
        let is_restored = matches!(before.state, State::Cached | State::Edited) && before.missing.is_empty();
        if is_restored && !written.is_empty() { Self::Restored } else { Self::Built }
    }
}

fn failure_text<S: serde::Serializer>(failure: &Option<Failure>, serializer: S) -> Result<S::Ok, S::Error> {
    failure.as_ref().map(ToString::to_string).serialize(serializer)
}

impl RecipeReport {
    /// Creates the report of a recipe with which nothing was done.
    fn up_to_date(before: RecipeStatus, summary: Option<Summary>) -> Self {
        Self {
            before,
            summary,
            failure: None,
            notes: Vec::new(),
            done: Done::Nothing,
            written: Vec::new(),
            chunks: (0, 0),
        }
    }
}

impl BuildOptions {
    fn kept_plan(&self) -> Option<Arc<PlanCache>> {
        self.kept.clone().filter(|_| !self.force)
    }
}

fn detail(options: &BuildOptions) -> Detail {
    if options.detailed { Detail::LastBuild } else { Detail::State }
}

impl Session {
    /// Keeps the plan for the next build.
    fn keep(self, cache: &Path) {
        if let Some(kept) = &self.kept {
            kept.put(self.planner, cache);
        }
    }
}

impl BuildReport {
    /// Returns the kind of the worst failure, if there was any.
    pub fn failure(&self) -> Option<FailureKind> {
        let invalid =
            self.recipes.iter().filter(|recipe| !recipe.before.problems.is_empty()).map(|_| FailureKind::Config);
        self.recipes.iter().filter_map(|recipe| Some(recipe.failure.as_ref()?.kind)).chain(invalid).max()
    }
}

/// Default memory for outputs, in bytes per thread. With two threads and the chunks in flight, a build of the eight
/// recipes stays below 256 MiB, and a build of any size below 512 MiB.
pub(crate) const MEMORY_A_THREAD: u64 = 96 << 20;

/// Warning given if make does not share its job slots with datac.
const WITHHELD: &str = "make shares its job slots only with recipe lines that begin with `+`; this line does not";

/// Builds the selected recipes, except those that read what another selected recipe is yet to write. These are
/// returned, to be built later.
pub(crate) fn build_first(
    site: &Site,
    selectors: &[String],
    options: &BuildOptions,
) -> Result<(BuildReport, Vec<WaitingRecipe>), WorkspaceError> {
    let (watch, started_ns) = (Stopwatch::start(), system::now_ns());
    // If all recipes are fresh, that can be determined without taking the lock or writing.
    if !options.force
        && let Some(report) = all_fresh(site, selectors, options, watch)?
    {
        return Ok((report, Vec::new()));
    }
    // Where there is nothing to build, nothing is made.
    if options.force && find(site, selectors)?.recipes.is_empty() {
        return Ok((BuildReport::default(), Vec::new()));
    }
    let _guard = match site.cache.acquire(if options.no_wait { IfHeld::Fail } else { IfHeld::Wait }) {
        Ok(guard) => guard,
        Err(error) => return read_only(site, selectors, options, watch, error),
    };
    site.outputs.sweep();
    let record = site.cache.record(Access::Write)?;
    let outcomes = Arc::new(driver::OutcomeCache::new(record.clone(), site.cache.store(&record), options.force));
    let looked_up = outcomes.clone();
    let looks = Looks {
        pinning: if options.locked { Pinning::Locked } else { Pinning::Resolve },
        hashing: Hashing::All,
        depth: if options.force { Depth::Close } else { Depth::AsNeeded },
        detail: detail(options),
        orphans: Orphans::Ignored,
        lookup: Some(Arc::new(move |key: &ActionKey| looked_up.lookup(key))),
        on_execute: options.on_query.clone().map(query_names),
        kept: options.kept_plan(),
    };
    let mut session = assess_selected(site, record.clone(), selectors, looks)?;
    let wanted = |assessed: &Assessed| {
        // A fresh recipe whose recorded leaves differ, or were never recorded, has outputs that came from elsewhere.
        // No action has to run for it, but its dependencies have to be recorded.
        let is_recorded = assessed.file.is_none() || assessed.leaves == assessed.detail.leaves;
        let is_settled = assessed.status.state == State::Fresh && assessed.last.is_some() && is_recorded;
        assessed.status.problems.is_empty() && assessed.recipe.is_some() && (options.force || !is_settled)
    };
    let waiting = set_aside(site, &mut session, wanted);
    session.recipes.iter().for_each(|assessed| tell_planned(&site.observer, &assessed.status));
    let numbers: Vec<usize> = (0..session.recipes.len()).filter(|number| wanted(&session.recipes[*number])).collect();
    let files: Vec<_> = numbers.iter().filter_map(|number| session.recipes[*number].file).collect();
    let mut ran = None;
    let mut endings = BTreeMap::new();
    let (mut shared, mut scopes) = (None, Scopes::new());
    if !files.is_empty() {
        shared = Shared::open(site)?;
        let threads = threads(options.jobs);
        if options.make.as_ref().is_some_and(|make| make.is_withheld()) {
            (site.observer)(Event::Warning(WITHHELD.to_owned()));
        }
        let crew = crew(threads, options.make.as_ref())?;
        let made = action_context(site, &session, outcomes, options.memory, threads)?;
        // Whoever wants everything built again wants nothing that others have built.
        let reader = shared.as_ref().filter(|_| !options.force).map(|shared| shared.reader(Some(made.store.clone())));
        let planner = &mut session.planner;
        let mut report = driver::run(driver::Outputs, planner, &files, &made, crew.pool(), options.fail_fast, reader);
        if let Some(shared) = &shared {
            let built = files.iter().zip(&report.endings).filter(|(_, ending)| ending.is_ok()).map(|(file, _)| *file);
            scopes = shared.scopes(built.flat_map(|file| scope::reached(&session.planner, file)));
        }
        tell_passed_over(&site.observer, &session, &numbers);
        endings = numbers.iter().copied().zip(std::mem::take(&mut report.endings)).collect();
        ran = Some((made, report));
    }
    let begun = ran.as_ref().map(|(context, report)| StartedRun {
        context,
        report,
        started_ns,
        command: &options.command,
        is_forced: options.force,
    });
    let finished = finish(site, session, endings, begun, options.detailed, watch);
    // What actions made is normally written together with the final record; after an error it is written here.
    let mut report = finished.inspect_err(|_| drop(record.flush()))?;
    // The outputs are in place and the record is written: this delays nothing but the end of the command.
    if let (Some(shared), Some((context, ran))) = (&shared, &mut ran) {
        report.shared = Some(shared.finish(site, context, &record, &scopes, ran.read.take(), &ran.shared));
    }
    if let (Some(bounds), Some((context, _)), Some(_)) = (&options.bounds, &ran, report.run)
        && context.check().is_ok()
    {
        report.collected = collect_if_due(site, &record, bounds, context.store.written());
    }
    Ok((report, waiting))
}

/// Returns the report of a build in a workspace that cannot be written, if everything turns out to be up to date; else the
/// error, with what to do about it.
fn read_only(
    site: &Site,
    selectors: &[String],
    options: &BuildOptions,
    watch: Stopwatch,
    error: WorkspaceError,
) -> Result<(BuildReport, Vec<WaitingRecipe>), WorkspaceError> {
    let WorkspaceError::Failure(failure) = error else { return Err(error) };
    if failure.kind != FailureKind::Action || options.force {
        return Err(failure.into());
    }
    let looks = Looks { detail: detail(options), ..Looks::default() };
    let session = assess_selected(site, site.cache.record(Access::Read)?, selectors, looks)?;
    if session.recipes.iter().all(|assessed| assessed.status.state == State::Fresh) && !session.recipes.is_empty() {
        let recipes = session.recipes.iter().map(|assessed| {
            let summary = if options.detailed { last_summary(&session.record, assessed)? } else { None };
            Ok(RecipeReport::up_to_date(assessed.status.clone(), summary))
        });
        let recipes = recipes.collect::<Result<Vec<_>, WorkspaceError>>()?;
        let elapsed_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        return Ok((BuildReport { recipes, elapsed_ms, ..BuildReport::default() }, Vec::new()));
    }
    Err(failure.into())
}

fn tell_planned(observer: &Observer, status: &RecipeStatus) {
    observer(Event::Planned {
        recipe: status.path.clone(),
        state: status.state.word(),
        reasons: status.reasons.clone(),
    });
}

/// Says which files of archives the recipes with these numbers do not read, each archive once. Those of folders are known, and
/// told, before anything is read.
fn tell_passed_over(observer: &Observer, session: &Session, numbers: &[usize]) {
    let built = numbers.iter().map(|number| &session.recipes[*number]);
    let built = built.filter_map(|assessed| Some((assessed.file?, assessed.recipe.as_ref()?.datasets.len())));
    let archives = built
        .flat_map(|(file, datasets)| (0..datasets).flat_map(move |number| partly_read(&session.planner, file, number)));
    let words: BTreeSet<String> =
        archives.map(|archive| passed_over_of(&archive.archive, archive.read, &archive.passed_over)).collect();
    words.into_iter().for_each(|words| observer(Event::Warning(words)));
}

/// Returns the report of a build if no recipe has anything to do.
fn all_fresh(
    site: &Site,
    selectors: &[String],
    options: &BuildOptions,
    watch: Stopwatch,
) -> Result<Option<BuildReport>, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let kept = options.kept_plan();
    // A kept plan reports queries to the callback it was created with.
    let on_execute = kept.as_ref().and(options.on_query.clone()).map(query_names);
    let session = assess_selected(
        site,
        record.clone(),
        selectors,
        Looks { kept, on_execute, depth: Depth::FirstLook, detail: detail(options), ..Looks::default() },
    )?;
    let settled = |assessed: &Assessed| assessed.status.state == State::Fresh;
    // Where there is nothing to build, there is nothing to do either.
    if session.recipes.iter().all(settled) {
        session.recipes.iter().for_each(|assessed| tell_planned(&site.observer, &assessed.status));
        return finish(site, session, BTreeMap::new(), None, options.detailed, watch).map(Some);
    }
    session.keep(&site.cache);
    Ok(None)
}

/// Returns the access to the source files of a session.
pub(crate) fn sources(site: &Site, session: &Session) -> Result<Sources, WorkspaceError> {
    // A build from local files alone needs no hub, and must not fail for want of one.
    let pinned: Vec<&str> =
        session.snapshots.states.keys().filter(|key| key.is_pinned()).map(|key| key.source.as_str()).collect();
    let hub = match pinned[..] {
        [] => None,
        [..] => Some(site.hub.open_for(pinned, &site.cache, &session.record)?),
    };
    Ok(Sources {
        hub,
        workspace: site.workspace(&session.record),
        root: site.root().to_owned(),
        local_stats: session.snapshots.stood_on.values().flatten().cloned().collect(),
        tars: driver::OpenTars::new(site.cache.join(SCRATCH)),
    })
}

fn action_context(
    site: &Site,
    session: &Session,
    outcomes: Arc<driver::OutcomeCache>,
    memory: u64,
    threads: usize,
) -> Result<Context, WorkspaceError> {
    let scratch = site.cache.join(SCRATCH);
    system::create_private_dir(&scratch)?;
    let bytes = if memory == 0 { MEMORY_A_THREAD * threads.max(2) as u64 } else { memory };
    // The planner must see at once what an action has stored.
    let store = outcomes.store.clone();
    Ok(Context {
        indexes: driver::Indexes::new(store.clone()),
        store,
        record: session.record.clone(),
        outcomes,
        sources: sources(site, session)?,
        outputs: OutputSettings { dir: site.outputs.dir().to_owned(), scratch, memory: Budget::new(bytes) },
        control: Control { observer: site.observer.clone(), interrupt: site.interrupt.clone() },
        parked: Mutex::default(),
        models: Models::default(),
        functions: driver::Functions::new(site.python.clone()),
        versions: site.versions.clone(),
    })
}

/// Records the new state of recipes, and returns the report.
fn finish(
    site: &Site,
    mut session: Session,
    mut endings: BTreeMap<usize, driver::Ending>,
    begun: Option<StartedRun<'_>>,
    detailed: bool,
    watch: Stopwatch,
) -> Result<BuildReport, WorkspaceError> {
    let mut recipes: Vec<RecipeReport> = Vec::with_capacity(session.recipes.len());
    let mut rebuilt = Vec::new();
    let mut built = Vec::new();
    let (mut builds, mut plans) = (Vec::new(), Vec::new());
    let mut newest = 0;
    for (number, assessed) in std::mem::take(&mut session.recipes).into_iter().enumerate() {
        let is_of_interest = detailed || assessed.file.is_some();
        let mut report = RecipeReport {
            summary: if is_of_interest { last_summary(&session.record, &assessed)? } else { None },
            failure: assessed.status.failure.clone(),
            done: Done::Nothing,
            before: assessed.status,
            notes: Vec::new(),
            written: Vec::new(),
            chunks: (0, 0),
        };
        match (endings.remove(&number), &assessed.recipe) {
            (Some(Ok(plan)), Some(recipe)) => {
                let summary = summarise(&plan, &recipe.datasets);
                let outputs = outputs_in_place(&site.outputs, &plan, begun.map(|begun| begun.report))?;
                newest = newest.max(youngest(&outputs));
                if session.strays.unexpected.contains(plan.outputs.stem()) {
                    driver::unexpected::clear(site.outputs.dir(), &plan.outputs, &HashSet::new());
                    driver::unexpected::clear_folder(site.outputs.dir());
                }
                report.failure = None;
                report.notes = notes(&assessed.text.name, recipe, &plan);
                if let Some(file) = assessed.file {
                    let surveys = (0..recipe.datasets.len()).map(|number| survey_of(&session.planner, file, number));
                    report.notes.extend(unknown_columns(recipe, surveys));
                }
                let last = assessed.last.as_ref().map(|last| last.outputs.clone()).unwrap_or_default();
                rebuilt.push(former::Rebuilt { number: recipes.len(), last, set: plan.outputs.clone() });
                let locals = locals(recipe, &session.snapshots);
                let file = assessed.file.expect("what was planned has an input to the planner");
                let leaves = leaves(&session.planner, file).clone();
                if let Some(StartedRun { context, report: ran, .. }) = begun {
                    report.chunks = chunks(&plan, ran);
                    report.written = written(&outputs, ran);
                    report.done = Done::of(&report.before, &report.written, begun.is_some_and(|begun| begun.is_forced));
                    let (conversions, licenses) = (0..recipe.datasets.len(), 0..recipe.datasets.len());
                    let manifest = BuildManifest::new(&Made {
                        name: &assessed.text.name,
                        path: &assessed.text.path,
                        text: assessed.text.digest,
                        recipe,
                        plan: &plan,
                        leaves: &leaves,
                        summary: &summary,
                        outputs: &outputs,
                        conversions: conversions.map(|i| conversion_of(&session.planner, file, i)).collect(),
                        licenses: licenses.map(|i| license(&session.planner, file, i)).collect(),
                        model: model_of(&session.planner, file),
                    });
                    let manifest = history::store(context, &manifest);
                    builds.push(history::build(&report.before, Some((manifest, &plan)), None));
                }
                let summary_bytes = postcard::to_stdvec(&summary).expect("a summary is plain data");
                let fresh = FreshRecipe {
                    text: assessed.text.digest,
                    environment: session.environment,
                    locals,
                    outputs,
                    built_ns: 0,
                };
                let detail = BuiltDetail { leaves, summary: summary_bytes };
                plans.push(plan);
                built.push((assessed.text.path.clone(), fresh, detail));
                report.summary = Some(summary);
            }
            (Some(Err(failure)), _) => {
                builds.push(history::build(&report.before, None, Some(&failure)));
                report.failure = Some(failure);
                report.summary = None;
                report.done = Done::Failed;
            }
            // Only irrelevant changes: record the new stats so that the next first look finds the recipe fresh.
            (None, Some(recipe)) if report.before.state == State::Fresh => {
                if let Some(last) = assessed.last {
                    let outputs = restat(&site.outputs, last.outputs);
                    let locals = locals(recipe, &session.snapshots);
                    newest = newest.max(youngest(&outputs));
                    let fresh = FreshRecipe {
                        text: assessed.text.digest,
                        environment: session.environment,
                        locals,
                        outputs,
                        built_ns: 0,
                    };
                    let detail = BuiltDetail { leaves: assessed.leaves, summary: assessed.detail.summary };
                    built.push((assessed.text.path.clone(), fresh, detail));
                }
            }
            _ => {}
        }
        if !report.before.problems.is_empty() {
            report.summary = None;
            report.done = Done::Failed;
        }
        recipes.push(report);
    }
    for (number, note) in former::tidy(site, &session.record, &rebuilt, &built)? {
        recipes[number].notes.push(note);
    }
    // Outputs are synced before the record says that recipes are up to date. Folders are synced while the record is
    // written: after a power cut in between, a folder may still name the old file, which has another stat.
    let synced = begun.map(|begun| begun.report.sync_folders());
    // A stat can only be trusted if the file system's clock has ticked since the file was written, so that later
    // writes show. The process does not end before that.
    let built_ns = system::soon_past_grain(
        youngest_proven(site.root(), &site.cache, built.iter().map(|(_, fresh, _)| fresh)).max(newest),
    );
    built.iter_mut().for_each(|(_, fresh, _)| fresh.built_ns = built_ns);
    built.iter().for_each(|(_, fresh, _)| note_digests(&site.outputs, &session.record, &fresh.outputs, built_ns));
    let actions = begun.map(|begun| begun.report.actions.clone()).unwrap_or_default();
    let mut run = None;
    if let Some(StartedRun { context, started_ns, command, .. }) = begun {
        let failures: Vec<FailureKind> =
            recipes.iter().filter_map(|recipe| Some(recipe.failure.as_ref()?.kind)).collect();
        let hub = site.hub.name();
        let ended = history::Ended { started_ns, command, hub, ran: &actions, plans: &plans, failures: &failures };
        run = Some(history::note(&session.record, context, &history::run(&ended), &builds, &built)?);
    } else if !built.is_empty() {
        session.record.set_recipes(&built)?;
    }
    if let Some(synced) = synced {
        synced().map_err(|error| driver::file_failure(&error))?;
    }
    if !built.is_empty() {
        system::wait_past_grain(newest, site.outputs.dir(), &site.cache);
    }
    let others = std::mem::take(&mut session.others);
    session.keep(&site.cache);
    Ok(BuildReport {
        run,
        recipes,
        actions,
        others,
        collected: None,
        shared: None,
        elapsed_ms: u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// A build that had actions to run.
#[derive(Clone, Copy)]
struct StartedRun<'a> {
    context: &'a Context,
    report: &'a RunReport,
    started_ns: i64,
    command: &'a [String],
    is_forced: bool,
}

fn query_names(tell: Arc<dyn Fn(String) + Send + Sync>) -> OnExecute {
    Box::new(move |key| tell(format!("{key:?}")))
}

/// Returns the number of threads that `jobs` asks for; 0 is one per core.
fn threads(jobs: usize) -> usize {
    if jobs == 0 { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) } else { jobs }
}

fn crew(threads: usize, make: Option<&Arc<driver::Make>>) -> Result<driver::threads::Crew, Failure> {
    driver::threads::Crew::start(threads, make)
        .map_err(|error| Failure::new(FailureKind::Action, format!("start {threads} threads: {error}")))
}

/// Returns the stats that a recipe's local files had when they were hashed, and those of their folders.
fn locals(recipe: &Recipe, snapshots: &Snapshots) -> Vec<(String, system::Stat)> {
    let of_datasets = recipe.datasets.iter().flat_map(|dataset| snapshot_keys(dataset, &snapshots.here));
    let of_model = recipe.all_models().flat_map(|model| model_key(model, &snapshots.here));
    let keys = of_datasets.chain(of_model);
    keys.filter_map(|key| snapshots.stood_on.get(&key)).flatten().cloned().collect()
}

/// Returns how many chunks of a recipe's sources this build converted, and how many there are.
fn chunks(plan: &RecipePlan, ran: &RunReport) -> (u64, u64) {
    let all = || plan.sources.iter().flat_map(|source| source.chunks.iter());
    let converted = all().filter(|chunk| ran.has_converted(&chunk.converted.index)).count();
    (converted as u64, all().count() as u64)
}

/// Returns the names of a recipe's files that this build wrote.
fn written(outputs: &[OutputFile], ran: &RunReport) -> Vec<String> {
    outputs.iter().map(|output| output.name.clone()).filter(|name| ran.placed(name).is_some()).collect()
}

/// Returns the summary of a recipe's last build.
fn last_summary(record: &Record, assessed: &Assessed) -> Result<Option<Summary>, WorkspaceError> {
    let detail = record.detail(&assessed.text.path)?;
    Ok(detail.and_then(|detail| postcard::from_bytes(&detail.summary).ok()))
}
