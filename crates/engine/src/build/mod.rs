//! Builds recipes: assess, run what is missing, put files in place, record what they stood on.

pub(crate) mod depfile;
pub(crate) mod events;
pub(crate) mod order;
mod output_stats;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use schemars::JsonSchema;
use serde::Serialize;

use self::{
    order::{WaitingRecipe, set_aside},
    output_stats::{note_digests, outputs_in_place, restat, youngest, youngest_proven},
};
use crate::{
    cache::{Access, BuiltDetail, FreshRecipe, OutputFile, Record, RunId, SCRATCH},
    driver::{self, Context, Control, OutputSettings, RunReport, Sources},
    event::{Event, Observer},
    gc::{CacheBounds, Collected, collect_if_due},
    graph::{OnExecute, RecipePlan, SnapshotKey, conversion_of, leaves, snapshot_key},
    provenance::{
        history,
        manifest::{BuildManifest, Made},
        summary::{Summary, summarise},
    },
    selector::{asks_for_state, assess_selected},
    site::{IfHeld, Site, WorkspaceError},
    status::{
        RecipeStatus, State,
        assess::{Assessed, Depth, Detail, Looks, Orphans, Session},
        pins::{Pinning, Snapshots},
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

/// How to build.
#[derive(Default)]
pub struct BuildOptions {
    /// Threads; 0: one a core.
    pub jobs: usize,
    /// The make that has tokens for threads, if there is one.
    pub make: Option<Arc<driver::Make>>,
    /// Whether everything selected is built again whatever the cache holds.
    pub force: bool,
    /// Whether a source that the lock lacks is an error.
    pub locked: bool,
    /// Whether to fail rather than wait for another process.
    pub no_wait: bool,
    /// Whether to stop at the first recipe that fails.
    pub fail_fast: bool,
    /// Whether the report tells what fresh recipes hold, too.
    pub detailed: bool,
    /// Bytes that actions may hold together beyond their chunks in flight; 0: the default.
    pub memory: u64,
    /// The words this was called with, for the ledger; secrets are taken out.
    pub command: Vec<String>,
    /// The bounds that the cache is kept within after a build that did something; `None`: it is left to grow.
    pub bounds: Option<CacheBounds>,
    /// The plan of the build before this one, for whoever builds again and again; not used with `force`.
    pub kept: Option<Arc<PlanCache>>,
    /// Told the name of every planner query that runs.
    #[doc(hidden)]
    pub on_query: Option<Arc<dyn Fn(String) + Send + Sync>>,
}

/// What a build did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BuildReport {
    /// Each recipe, by path.
    pub recipes: Vec<RecipeReport>,
    /// How often each kind of action ran.
    pub actions: BTreeMap<Stage, u64>,
    /// YAML files that are no recipes.
    pub others: Vec<String>,
    /// The run's number in the ledger; `None`: there was nothing to do.
    pub run: Option<RunId>,
    /// What was removed from the cache because no current recipe reaches it, if anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected: Option<Collected>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// What became of one recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RecipeReport {
    /// Its state before the build, and why.
    #[serde(flatten)]
    pub before: RecipeStatus,
    /// Its outputs as they are now; `None` if it could not be built, or is fresh and no one asked.
    pub summary: Option<Summary>,
    /// What kept it from being built.
    #[serde(serialize_with = "failure_text")]
    #[schemars(with = "Option<String>")]
    pub failure: Option<Failure>,
    /// Files that were written, by name in the output folder.
    pub written: Vec<String>,
    /// Chunks of its sources that were converted, and all of them.
    pub chunks: (u64, u64),
}

fn failure_text<S: serde::Serializer>(failure: &Option<Failure>, serializer: S) -> Result<S::Ok, S::Error> {
    failure.as_ref().map(ToString::to_string).serialize(serializer)
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
    /// Hands the plan on to the build after this one.
    fn keep(self, cache: &Path) {
        if let Some(kept) = &self.kept {
            kept.put(self.planner, cache);
        }
    }
}

impl BuildReport {
    /// The worst of what happened, if anything went wrong.
    pub fn failure(&self) -> Option<FailureKind> {
        let invalid =
            self.recipes.iter().filter(|recipe| !recipe.before.problems.is_empty()).map(|_| FailureKind::Config);
        self.recipes.iter().filter_map(|recipe| Some(recipe.failure.as_ref()?.kind)).chain(invalid).max()
    }
}

/// Bytes that actions may hold unless told otherwise, for each thread. With two threads and chunks in flight, a build of
/// the eight recipes stays below 256 MiB, and one of whatever size below 512 MiB.
pub(crate) const MEMORY_A_THREAD: u64 = 96 << 20;

/// What is said under a make whose tokens were not handed on.
const WITHHELD: &str = "make shares its job slots only with recipe lines that begin with `+`; this line does not";

/// Builds those of the recipes that `selectors` name which read nothing that others of them are to write; the
/// others wait.
pub(crate) fn build_first(
    site: &Site,
    selectors: &[String],
    options: &BuildOptions,
) -> Result<(BuildReport, Vec<WaitingRecipe>), WorkspaceError> {
    let (watch, started_ns) = (Stopwatch::start(), system::now_ns());
    // Whether all is fresh can be said without the lock and without writing.
    if !options.force
        && let Some(report) = all_fresh(site, selectors, options, watch)?
    {
        return Ok((report, Vec::new()));
    }
    let _guard = site.cache.acquire(if options.no_wait { IfHeld::Fail } else { IfHeld::Wait })?;
    site.outputs.sweep();
    let record = site.cache.record(Access::Write)?;
    let outcomes = Arc::new(driver::OutcomeCache::new(record.clone(), site.cache.store(&record), options.force));
    let looked_up = outcomes.clone();
    let looks = Looks {
        pinning: if options.locked { Pinning::Locked } else { Pinning::Resolve },
        depth: if options.force { Depth::Close } else { Depth::AsNeeded },
        detail: detail(options),
        orphans: Orphans::Ignored,
        lookup: Some(Arc::new(move |key: &ActionKey| looked_up.lookup(key))),
        on_execute: options.on_query.clone().map(query_names),
        kept: options.kept_plan(),
    };
    let mut session = assess_selected(site, record.clone(), selectors, looks)?;
    let wanted = |assessed: &Assessed| {
        // Fresh, though other leaves are recorded, or none: its files came from elsewhere. Nothing has to run, but
        // what they stand on is to be recorded.
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
    if !files.is_empty() {
        let threads = if options.jobs == 0 { num_threads() } else { options.jobs };
        if options.make.as_ref().is_some_and(|make| make.is_withheld()) {
            (site.observer)(Event::Warning(WITHHELD.to_owned()));
        }
        let crew = driver::threads::Crew::start(threads, options.make.as_ref())
            .map_err(|error| Failure::new(FailureKind::Action, format!("start {threads} threads: {error}")))?;
        let made = action_context(site, &session, outcomes, options, threads)?;
        let mut report = driver::run(&mut session.planner, &files, &made, crew.pool(), options.fail_fast);
        endings = numbers.iter().copied().zip(std::mem::take(&mut report.endings)).collect();
        ran = Some((made, report));
    }
    let begun =
        ran.as_ref().map(|(context, report)| StartedRun { context, report, started_ns, command: &options.command });
    let finished = finish(site, session, endings, begun, options.detailed, watch);
    // It is written with what is recorded at the end, or without that.
    let mut report = finished.inspect_err(|_| drop(record.flush()))?;
    if let (Some(bounds), Some((context, _)), Some(_)) = (&options.bounds, &ran, report.run)
        && context.check().is_ok()
    {
        report.collected = collect_if_due(site, &record, bounds, context.store.written());
    }
    Ok((report, waiting))
}

fn tell_planned(observer: &Observer, status: &RecipeStatus) {
    observer(Event::Planned {
        recipe: status.path.clone(),
        state: status.state.word(),
        reasons: status.reasons.clone(),
    });
}

/// The report of a build that has nothing to do, if there is nothing to do.
fn all_fresh(
    site: &Site,
    selectors: &[String],
    options: &BuildOptions,
    watch: Stopwatch,
) -> Result<Option<BuildReport>, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let kept = options.kept_plan();
    // A plan that is kept tells its queries to whoever it was made for.
    let on_execute = kept.as_ref().and(options.on_query.clone()).map(query_names);
    let session = assess_selected(
        site,
        record.clone(),
        selectors,
        Looks { kept, on_execute, depth: Depth::FirstLook, detail: detail(options), ..Looks::default() },
    )?;
    let settled = |assessed: &Assessed| assessed.status.state == State::Fresh;
    let may_be_none = || asks_for_state(selectors).is_some();
    if session.recipes.iter().all(settled) && (!session.recipes.is_empty() || may_be_none()) {
        session.recipes.iter().for_each(|assessed| tell_planned(&site.observer, &assessed.status));
        return finish(site, session, BTreeMap::new(), None, options.detailed, watch).map(Some);
    }
    session.keep(&site.cache);
    Ok(None)
}

fn action_context(
    site: &Site,
    session: &Session,
    outcomes: Arc<driver::OutcomeCache>,
    options: &BuildOptions,
    threads: usize,
) -> Result<Context, WorkspaceError> {
    let scratch = site.cache.join(SCRATCH);
    system::create_private_dir(&scratch)?;
    let bytes = if options.memory == 0 { MEMORY_A_THREAD * threads.max(2) as u64 } else { options.memory };
    let is_hub = |key: &SnapshotKey| matches!(key, SnapshotKey::Hub { .. });
    // A build from local files alone needs no hub, and must not fail for want of one.
    let hub = if session.snapshots.states.keys().any(is_hub) {
        Some(site.hub.open(&site.cache, &session.record)?)
    } else {
        None
    };
    // The planner is to know at once what an action has put.
    let store = outcomes.store.clone();
    Ok(Context {
        indexes: driver::Indexes::new(store.clone()),
        store,
        record: session.record.clone(),
        outcomes,
        sources: Sources { hub, root: site.root().to_owned(), local_stats: session.snapshots.local_stats.clone() },
        outputs: OutputSettings { dir: site.outputs.dir().to_owned(), scratch, memory: Budget::new(bytes) },
        control: Control { observer: site.observer.clone(), interrupt: site.interrupt.clone() },
        parked: Mutex::default(),
        versions: site.versions.clone(),
    })
}

/// Records what recipes stand on now, and reports.
fn finish(
    site: &Site,
    mut session: Session,
    mut endings: BTreeMap<usize, driver::Ending>,
    begun: Option<StartedRun<'_>>,
    detailed: bool,
    watch: Stopwatch,
) -> Result<BuildReport, WorkspaceError> {
    let mut recipes = Vec::with_capacity(session.recipes.len());
    let mut built = Vec::new();
    let (mut builds, mut plans) = (Vec::new(), Vec::new());
    let mut newest = 0;
    for (number, assessed) in std::mem::take(&mut session.recipes).into_iter().enumerate() {
        let is_of_interest = detailed || assessed.file.is_some();
        let mut report = RecipeReport {
            summary: if is_of_interest { last_summary(&session.record, &assessed)? } else { None },
            failure: assessed.status.failure.clone(),
            before: assessed.status,
            written: Vec::new(),
            chunks: (0, 0),
        };
        match (endings.remove(&number), &assessed.recipe) {
            (Some(Ok(plan)), Some(recipe)) => {
                let shares: Vec<f64> = recipe.datasets.iter().map(|dataset| dataset.mix_ratio).collect();
                let summary = summarise(&plan, &shares);
                let outputs = outputs_in_place(&site.outputs, &plan, begun.map(|begun| begun.report))?;
                newest = newest.max(youngest(&outputs));
                report.failure = None;
                let locals = locals(recipe, &session.snapshots);
                let file = assessed.file.expect("what was planned has an input to the planner");
                let leaves = leaves(&session.planner, file).clone();
                if let Some(StartedRun { context, report: ran, .. }) = begun {
                    report.chunks = chunks(&plan, ran);
                    report.written = written(&outputs, ran);
                    let conversions = 0..recipe.datasets.len();
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
            }
            // Fresh after all: what changed does not matter, so the next first look need not see it.
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
        }
        recipes.push(report);
    }
    // Files are on the disk before it is recorded that recipes stand on them. Their names follow while the record is
    // written: after a power cut that comes between, another file is there, with another stat.
    let synced = begun.map(|begun| begun.report.sync_folders());
    // Past the grain of the file system's clock, later writes show in a stat, and the first look can trust it. Until
    // then this process does not end.
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
        elapsed_ms: u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// A build that had something to run.
#[derive(Clone, Copy)]
struct StartedRun<'a> {
    context: &'a Context,
    report: &'a RunReport,
    started_ns: i64,
    command: &'a [String],
}

fn query_names(tell: Arc<dyn Fn(String) + Send + Sync>) -> OnExecute {
    Box::new(move |key| tell(format!("{key:?}")))
}

fn num_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The stats of a recipe's local files when they were hashed, and of the folders they were found in.
fn locals(recipe: &Recipe, snapshots: &Snapshots) -> Vec<(String, system::Stat)> {
    let mut found = Vec::new();
    for dataset in &recipe.datasets {
        let key = snapshot_key(dataset);
        found.extend(snapshots.local_folders.get(&key).into_iter().flatten().cloned());
        if let Some(Some(Ok(snapshot))) = snapshots.states.get(&key)
            && let crate::graph::Snapshot::Local(files) = &**snapshot
        {
            found.extend(
                files.iter().filter_map(|file| Some((file.path.clone(), *snapshots.local_stats.get(&file.path)?))),
            );
        }
    }
    found
}

/// How many chunks of a recipe's sources this build converted, and how many there are.
fn chunks(plan: &RecipePlan, ran: &RunReport) -> (u64, u64) {
    let all = || plan.sources.iter().flat_map(|source| source.chunks.iter());
    let converted = all().filter(|chunk| ran.has_converted(&chunk.converted.index)).count();
    (converted as u64, all().count() as u64)
}

/// The files of a recipe that this build wrote.
fn written(outputs: &[OutputFile], ran: &RunReport) -> Vec<String> {
    outputs.iter().map(|output| output.name.clone()).filter(|name| ran.placed(name).is_some()).collect()
}

/// What a recipe's outputs held when they were last built.
fn last_summary(record: &Record, assessed: &Assessed) -> Result<Option<Summary>, WorkspaceError> {
    let detail = record.detail(&assessed.text.path)?;
    Ok(detail.and_then(|detail| postcard::from_bytes(&detail.summary).ok()))
}
