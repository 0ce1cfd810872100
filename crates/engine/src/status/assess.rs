//! Determines the state of every recipe, and why it is in that state.
//!
//! There are three looks; each is only taken if the one before does not suffice. The first compares digests and stats
//! with those recorded at the last build, and parses nothing. The second parses the recipe and compares its leaves.
//! The third asks the planner. `build` takes the same looks, so it and `status` cannot disagree.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    Assessment, FileState, FileStatus, RecipeStatus, State,
    first_look::{Strays, first_look, local_stats},
    pins::{Hashing, PinSources, Pinning, Snapshots},
    plan_cache::PlanCache,
};
use crate::{
    cache::{BuiltDetail, FreshRecipe, OutputFile, Record, stat_cache},
    driver,
    graph::{
        Node, Planner, RecipeFile, RecipePlan, environment, leaves, model_key, parse, plan, snapshot_key, sources_of,
        unexpected,
    },
    site::{Found, OutputFolder, RecipeText, Site, WorkspaceError, name_of},
    source::lock::LockFile,
    system,
};
use datac_core::{
    config::{self, Recipe},
    failure::Failure,
    id::{ActionKey, EnvironmentId},
    leaf::Leaves,
    outputs::{FileMeta, OutputSet},
    stale::{Recovery, StaleReason},
};

/// A recipe under assessment.
pub(crate) struct Assessed {
    pub(crate) text: RecipeText,
    pub(crate) status: RecipeStatus,
    /// Input of the planner, set by the second look.
    pub(crate) file: Option<RecipeFile>,
    pub(crate) recipe: Option<Arc<Recipe>>,
    pub(crate) last: Option<FreshRecipe>,
    /// Details of the last build, set by the second look.
    pub(crate) detail: BuiltDetail,
    /// Current leaves, set by the second look.
    pub(crate) leaves: Leaves,
}

/// An assessment with everything needed to build or to explain.
pub(crate) struct Session {
    pub(crate) record: Arc<Record>,
    pub(crate) planner: Planner,
    pub(crate) recipes: Vec<Assessed>,
    pub(crate) orphans: Vec<RecipeStatus>,
    pub(crate) others: Vec<String>,
    /// What failed builds have left.
    pub(crate) strays: Strays,
    pub(crate) snapshots: Snapshots,
    pub(crate) environment: EnvironmentId,
    pub(crate) lock: LockFile,
    /// Where the planner is kept for the next build.
    pub(crate) kept: Option<Arc<PlanCache>>,
}

/// How closely recipes are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Each look is only taken if needed.
    #[default]
    AsNeeded,
    /// Only the first look is taken. If it does not find all recipes fresh, the assessment ends there.
    FirstLook,
    /// Every recipe is parsed and planned, even if the first look finds it fresh.
    Close,
    /// Every recipe is parsed and its sources are pinned. No state is determined.
    Pinned,
}

/// What is needed of a fresh recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Only its state.
    #[default]
    State,
    /// Also the details of its last build. A recipe without them is looked at closely.
    LastBuild,
}

/// Whether to look for files of deleted recipes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// Deleted recipes are ignored.
    #[default]
    Ignored,
    /// Files of deleted recipes are looked for, which requires assessing all recipes.
    Wanted,
}

/// Options of an assessment.
#[derive(Default)]
pub(crate) struct Looks {
    pub(crate) pinning: Pinning,
    pub(crate) hashing: Hashing,
    pub(crate) depth: Depth,
    pub(crate) detail: Detail,
    pub(crate) orphans: Orphans,
    /// Lookup of outcomes for the planner; `None` for the record.
    pub(crate) lookup: Option<crate::graph::Lookup>,
    /// Called with every query that runs.
    pub(crate) on_execute: Option<crate::graph::OnExecute>,
    /// The plan of the previous assessment, to continue with.
    pub(crate) kept: Option<Arc<PlanCache>>,
}

/// Determines the states of recipes with as few of the three looks as possible.
pub(crate) fn assess(
    site: &Site,
    record: Arc<Record>,
    found: impl FnOnce() -> Result<Found, WorkspaceError> + Send,
    looks: Looks,
) -> Result<Session, WorkspaceError> {
    // Both are independent, and slow with thousands of recipes.
    let (found, last) = rayon::join(found, || record.recipes());
    let (Found { recipes: texts, others }, mut last) = (found?, last?);
    let defaults = &site.recipes.vocabulary().defaults;
    let now = environment(&site.lock.digest()?, &site.hub.name(), defaults, &site.versions);
    let store = site.cache.store(&record);
    let lookup = looks.lookup.unwrap_or_else(|| {
        let record = record.clone();
        Arc::new(move |key: &ActionKey| driver::lookup(&*record, &store, key))
    });
    let mut session = Session {
        planner: match looks.kept.as_ref().and_then(|kept| kept.take(&site.cache)) {
            Some(mut planner) => {
                planner.renew(lookup);
                planner
            }
            None => Planner::new(lookup, looks.on_execute),
        },
        kept: looks.kept,
        recipes: Vec::with_capacity(texts.len()),
        orphans: Vec::new(),
        others,
        strays: Strays {
            quarantined: site.outputs.quarantined(),
            unexpected: driver::unexpected::stems(site.outputs.dir()),
        },
        snapshots: Snapshots::default(),
        environment: now,
        lock: LockFile::default(),
        record,
    };
    let texts: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let last = last.remove(&text.path);
            (text, last)
        })
        .collect();
    let strays = &session.strays;
    let locals = local_stats(site.root(), texts.iter().filter_map(|(_, last)| last.as_ref()));
    session.recipes = texts
        .into_par_iter()
        .with_min_len(64)
        .map(|(text, last)| {
            let recorded = last.as_ref().filter(|_| !matches!(looks.depth, Depth::Close | Depth::Pinned));
            let is_fresh = recorded.is_some_and(|last| first_look(&site.outputs, &text, last, now, &locals, strays));
            let is_told = || looks.detail == Detail::State || matches!(session.record.detail(&text.path), Ok(Some(_)));
            let is_fresh = is_fresh && is_told();
            Assessed::new(text, last, is_fresh)
        })
        .collect();
    if looks.depth == Depth::FirstLook && session.recipes.iter().any(|assessed| assessed.status.state != State::Fresh) {
        return Ok(session);
    }
    second_look(site, &mut session, looks.pinning, looks.hashing, &last)?;
    if looks.depth == Depth::Pinned {
        return Ok(session);
    }
    let record = &session.record;
    session.recipes.par_iter_mut().with_min_len(64).for_each(|assessed| {
        if let Some(last) = &assessed.last {
            let fresh = assessed.status.state == State::Fresh;
            assessed.status.files = file_states(&site.outputs, record, &last.outputs, fresh);
        }
    });
    third_look(site, &mut session);
    if looks.orphans == Orphans::Wanted {
        session.orphans = orphans(site.root(), &site.outputs, &last, &session.recipes);
    }
    Ok(session)
}

/// Parses the remaining recipes, pins their sources and collects their leaves.
fn second_look(
    site: &Site,
    session: &mut Session,
    pinning: Pinning,
    hashing: Hashing,
    elsewhere: &HashMap<String, FreshRecipe>,
) -> Result<(), WorkspaceError> {
    session.planner.begin(site.recipes.vocabulary(), &site.versions);
    if session.recipes.iter().all(|assessed| assessed.status.state == State::Fresh) {
        return Ok(());
    }
    for assessed in session.recipes.iter_mut().filter(|assessed| assessed.status.state != State::Fresh) {
        let file = session.planner.file(&assessed.text.path, &assessed.text.text);
        assessed.file = Some(file);
        if assessed.last.is_some() {
            assessed.detail = session.record.detail(&assessed.text.path)?.unwrap_or_default();
        }
        match parse(&session.planner, file) {
            Ok(recipe) => assessed.recipe = Some(recipe.clone()),
            Err(problems) => {
                assessed.status.state = State::Invalid;
                assessed.status.problems = problems.clone();
            }
        }
    }
    let elsewhere = elsewhere
        .iter()
        .filter(|(path, _)| system::exists(&site.root().join(path)))
        .map(|(path, last)| (path.as_str(), last))
        .collect();
    collisions(&mut session.recipes, &elsewhere);
    let recipes: Vec<Arc<Recipe>> = session
        .recipes
        .iter()
        .filter(|assessed| assessed.status.state != State::Invalid)
        .filter_map(|assessed| assessed.recipe.clone())
        .collect();
    (session.lock, _) = site.lock.read()?;
    let before = session.lock.clone();
    let sources = PinSources { hashing, ..PinSources::of(site, &session.record) };
    session.snapshots = sources.pin(&recipes, pinning, &mut session.lock)?;
    if session.lock != before && pinning == Pinning::Resolve {
        let lock = site.lock.write(&session.lock)?;
        let defaults = &site.recipes.vocabulary().defaults;
        session.environment = environment(&lock, &site.hub.name(), defaults, &site.versions);
    }
    session.planner.pin(session.snapshots.states.iter(), &session.snapshots.here);
    for assessed in &mut session.recipes {
        if let (Some(file), Some(_)) = (assessed.file, &assessed.recipe) {
            assessed.leaves = leaves(&session.planner, file).clone();
        }
    }
    Ok(())
}

/// Compares outputs and leaves with the last build, and asks the planner if they differ.
fn third_look(site: &Site, session: &mut Session) {
    let folder = &site.outputs;
    let (planner, snapshots, record) = (&session.planner, &session.snapshots, &session.record);
    let strays = &session.strays;
    for assessed in &mut session.recipes {
        if assessed.status.state == State::Fresh || assessed.status.state == State::Invalid {
            continue;
        }
        let (Some(file), Some(recipe)) = (assessed.file, &assessed.recipe) else { continue };
        let status = &mut assessed.status;
        let unpinned: Vec<StaleReason> = recipe
            .datasets
            .iter()
            .map(|dataset| snapshot_key(dataset, &snapshots.here))
            .chain(recipe.all_models().flat_map(|model| model_key(model, &snapshots.here)))
            .filter_map(|key| snapshots.unpinned.get(&key).cloned())
            .collect();
        let changes: Vec<StaleReason> = match &assessed.last {
            Some(_) => {
                assessed.leaves.changes_since(&assessed.detail.leaves).into_iter().map(StaleReason::Changed).collect()
            }
            None => Vec::new(),
        };
        if !unpinned.is_empty() {
            // Without a snapshot, leaves of files and converters are missing; that is not a change.
            let changes =
                changes.into_iter().filter(|reason| reason.change().is_some_and(|change| change.new.is_some()));
            status.state = if assessed.last.is_some() { State::Stale } else { State::New };
            status.reasons = unpinned.into_iter().chain(changes).collect();
            continue;
        }
        let edited = || status.files.iter().filter(|file| file.state == FileState::Edited);
        let missing = || status.files.iter().filter(|file| file.state == FileState::Missing);
        let stray = assessed.last.as_ref().and_then(|last| strays.of(&last.outputs));
        let is_same = changes.is_empty() && edited().next().is_none() && missing().next().is_none();
        if assessed.last.is_some() && is_same && stray.is_none() {
            status.state = State::Fresh;
            continue;
        }
        let reads = record.together();
        let planned = plan(planner, file);
        drop(reads);
        match planned {
            Node::Failed(failure) => {
                let sources = sources_of(planner, file).unwrap_or_default();
                let failure = driver::with_first_reject(&site.cache.store(record), &sources, failure.clone());
                let failure = match unexpected(planner, file) {
                    Some(plan) => driver::unexpected::with_files(failure, folder.dir(), site.root(), &plan),
                    None => failure,
                };
                status.state = State::Invalid;
                let parts = if failure.parts.is_empty() { std::slice::from_ref(&failure) } else { &failure.parts };
                let told = |part: &Failure| StaleReason::Impossible { message: told(part, &assessed.text.text) };
                status.reasons = parts.iter().map(told).collect();
                status.failure = Some(failure);
            }
            Node::Ready(plan) => {
                let is_alone = !strays.unexpected.contains(plan.outputs.stem());
                let in_place = is_alone && in_place(folder, record, plan);
                if edited().next().is_some() && changes.is_empty() {
                    status.reasons = edited().map(edited_by_hand).collect();
                    status.state = State::Edited;
                } else if in_place {
                    status.state = State::Fresh;
                } else if changes.is_empty() {
                    let gone = missing().map(|file| is_missing(file, Recovery::Cache));
                    let stray = stray.map(|file| StaleReason::LeftByRefusal { file });
                    status.reasons = gone.chain(stray).collect();
                    status.state = State::Cached;
                } else {
                    status.reasons = changes;
                    status.state = State::Stale;
                }
                if status.state == State::Cached && status.reasons.is_empty() {
                    status.reasons = vec![StaleReason::NeverWritten];
                }
            }
            Node::Needs(actions) => {
                for action in actions {
                    *status.missing.entry(action.work.stage()).or_default() += 1;
                }
                let hand = edited().map(edited_by_hand);
                let gone = missing().map(|file| is_missing(file, Recovery::Build));
                status.state = match (&assessed.last, changes.is_empty(), edited().next()) {
                    (None, ..) => State::New,
                    (Some(_), true, Some(_)) => State::Edited,
                    _ => State::Stale,
                };
                let files: Vec<StaleReason> = hand.chain(gone).collect();
                status.reasons = changes.into_iter().chain(files).collect();
                if status.state == State::New {
                    status.reasons = vec![StaleReason::NeverBuilt];
                }
            }
        }
    }
}

/// Returns a failure in words, with its place in the recipe where it has one. Nothing was tried, so nothing has failed yet.
fn told(failure: &Failure, text: &[u8]) -> String {
    let cannot = |message: &str| match message.strip_prefix("failed to ") {
        Some(operation) => format!("cannot {operation}"),
        None => message.to_owned(),
    };
    match config::problem_of(failure, text) {
        Some(problem) => {
            let config::Problem { path, line, column, message, code, .. } = &problem;
            format!("{path}:{line}:{column}: {} [{code}]", cannot(message))
        }
        None => cannot(&failure.message),
    }
}

/// Returns whether the output folder has all files of a plan, with the right bytes.
fn in_place(folder: &OutputFolder, record: &Record, plan: &RecipePlan) -> bool {
    plan.named().all(|(_, name, wanted)| is_in_place(folder, record, &name, wanted))
}

fn is_in_place(folder: &OutputFolder, record: &Record, name: &str, wanted: Option<FileMeta>) -> bool {
    let path = folder.file(name);
    match wanted {
        None => !system::exists(&path),
        Some(wanted) => {
            system::stat(&path).is_ok_and(|stat| stat.size == wanted.bytes)
                && stat_cache::digest(record, &path).is_ok_and(|digest| digest == wanted.digest)
        }
    }
}

fn file_states(folder: &OutputFolder, record: &Record, outputs: &[OutputFile], known_same: bool) -> Vec<FileStatus> {
    let state = |output: &OutputFile| {
        if known_same {
            return FileState::Same;
        }
        let path = folder.file(&output.name);
        match system::stat(&path) {
            Err(_) => FileState::Missing,
            Ok(stat) if stat.size != output.meta.bytes => FileState::Edited,
            Ok(_) => match stat_cache::digest(record, &path) {
                Ok(digest) if digest == output.meta.digest => FileState::Same,
                _ => FileState::Edited,
            },
        }
    };
    let status =
        |output: &OutputFile| FileStatus { name: output.name.clone(), state: state(output), meta: output.meta };
    outputs.iter().map(status).collect()
}

/// Returns deleted recipes whose outputs still exist.
fn orphans(
    root: &Path,
    folder: &OutputFolder,
    last: &HashMap<String, FreshRecipe>,
    present: &[Assessed],
) -> Vec<RecipeStatus> {
    let mut gone: Vec<(&String, &FreshRecipe)> =
        last.iter().filter(|(path, _)| !system::exists(&root.join(path))).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    gone.sort_by_key(|(path, _)| *path);
    // Files that another recipe writes now, such as the same recipe under a new name, are not left behind.
    let owned: HashSet<String> = present.iter().flat_map(Assessed::file_names).collect();
    gone.into_iter()
        .filter_map(|(path, last)| {
            let left: Vec<OutputFile> = last
                .outputs
                .iter()
                .filter(|output| !owned.contains(&output.name))
                .filter(|output| system::exists(&folder.file(&output.name)))
                .cloned()
                .collect();
            let names: Vec<String> = left.iter().map(|output| output.name.clone()).collect();
            (!left.is_empty()).then(|| RecipeStatus {
                name: name_of(Path::new(path)),
                path: path.clone(),
                state: State::Orphan,
                reasons: vec![StaleReason::RecipeGone { left: names }],
                problems: Vec::new(),
                failure: None,
                files: left
                    .iter()
                    .map(|output| FileStatus { name: output.name.clone(), state: FileState::Same, meta: output.meta })
                    .collect(),
                missing: BTreeMap::new(),
            })
        })
        .collect()
}

fn edited_by_hand(file: &FileStatus) -> StaleReason {
    StaleReason::EditedByHand { file: file.name.clone() }
}

fn is_missing(file: &FileStatus, from: Recovery) -> StaleReason {
    StaleReason::Missing { file: file.name.clone(), from }
}

impl Assessed {
    /// Creates the result of the first look.
    fn new(text: RecipeText, last: Option<FreshRecipe>, is_fresh: bool) -> Self {
        let status = RecipeStatus {
            name: text.name.clone(),
            path: text.path.clone(),
            state: if is_fresh { State::Fresh } else { State::New },
            reasons: Vec::new(),
            problems: Vec::new(),
            failure: None,
            files: Vec::new(),
            missing: BTreeMap::new(),
        };
        Self { text, status, file: None, recipe: None, last, detail: BuiltDetail::default(), leaves: Leaves::default() }
    }

    /// Returns the names of the recipe's outputs, as far as known without parsing the recipe.
    fn file_names(&self) -> Vec<String> {
        match (&self.recipe, &self.last) {
            (Some(recipe), _) => recipe.output_names(&self.text.path),
            (None, Some(last)) => last.outputs.iter().map(|output| output.name.clone()).collect(),
            (None, None) => Vec::new(),
        }
    }
}

impl Session {
    /// Returns the public part of the assessment.
    pub(crate) fn into_assessment(self) -> Assessment {
        let recipes = self.recipes.into_iter().map(|assessed| assessed.status).chain(self.orphans).collect();
        Assessment { recipes, others: self.others }
    }
}

/// Marks recipes that would write the files of another recipe. The other one may be parsed now, settled by the first
/// look, or built before and not selected now.
fn collisions(recipes: &mut [Assessed], elsewhere: &HashMap<&str, &FreshRecipe>) {
    let parsed: Vec<(&str, &Recipe, &[u8])> = recipes
        .iter()
        .filter_map(|assessed| {
            Some((assessed.text.path.as_str(), &**assessed.recipe.as_ref()?, assessed.text.text.as_slice()))
        })
        .collect();
    let mut problems = config::check_collisions(&parsed);
    let settled = recipes.iter().filter(|assessed| assessed.recipe.is_none() && assessed.status.state == State::Fresh);
    let writers: HashMap<String, &str> = settled
        .filter_map(|assessed| Some((assessed.text.path.as_str(), assessed.last.as_ref()?)))
        .chain(elsewhere.iter().map(|(path, last)| (*path, *last)))
        .filter_map(|(path, last)| Some((OutputSet::parse(&last.outputs.first()?.name)?.0.stem().to_owned(), path)))
        .collect();
    for (path, recipe, text) in &parsed {
        if let Some(other) = writers.get(recipe.outputs(path).stem()) {
            problems.push(config::collision(path, recipe, text, other));
        }
    }
    for problem in problems {
        if let Some(assessed) = recipes.iter_mut().find(|assessed| assessed.text.path == problem.path) {
            assessed.status.state = State::Invalid;
            assessed.status.problems.push(problem);
        }
    }
}
