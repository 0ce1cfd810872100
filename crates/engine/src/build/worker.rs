//! Does one worker's part of a build that many machines share: what is made of the source files of its slice, added to the shared
//! cache. Selecting, ordering and writing are left to the build that comes after.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{action_context, crew, order::chained, shared::Shared, threads};
use crate::{
    cache::Access,
    driver::{self, RunReport, Shares},
    event::Event,
    graph::{
        RecipeFile, Slice, SourceFile, scope,
        slice::{Share, files_of_share, read_by, unlisted},
    },
    remote::SharedReport,
    selector::{assess_selected, find},
    site::{IfHeld, Site, WorkspaceError},
    status::{
        assess::{Depth, Looks, Orphans, Session},
        pins::{Hashing, PinSources, Pinning},
    },
    system::Stopwatch,
};
use datac_core::{
    config::Problem,
    failure::{Failure, FailureKind},
    id::ActionKey,
    stage::Stage,
};

/// Options of a worker.
#[derive(Clone, Debug)]
pub struct WorkOptions {
    /// The slice that it works on.
    pub slice: Slice,
    /// Number of threads; 0 for one per core.
    pub jobs: usize,
    /// Whether to fail instead of waiting for another process.
    pub no_wait: bool,
    /// Whether to say what the slice has, and to do nothing.
    pub dry_run: bool,
}

/// What a worker did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkReport {
    /// The slice, such as `0/4`.
    #[serde(serialize_with = "in_words")]
    #[schemars(with = "String")]
    pub slice: Slice,
    /// Number of selected recipes.
    pub recipes: usize,
    /// The files of the slice, the largest first.
    pub files: Vec<SliceFile>,
    /// Number of files of all slices together.
    pub of_files: usize,
    /// Sources that are left to the build, since other recipes write them.
    pub left: Vec<LeftSource>,
    /// Number of actions that ran, by stage.
    pub actions: BTreeMap<Stage, u64>,
    /// What was taken from the shared cache and added to it; `None` if nothing was to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedReport>,
    /// Files and sources that could not be worked on.
    #[serde(serialize_with = "messages")]
    #[schemars(with = "Vec<String>")]
    pub failures: Vec<Failure>,
    /// Problems of invalid recipes.
    #[serde(serialize_with = "problems")]
    #[schemars(with = "Vec<String>")]
    pub problems: Vec<Problem>,
    /// Elapsed time in milliseconds.
    pub elapsed_ms: u64,
}

/// A file of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SliceFile {
    /// Name of its source: the repository, or the local path as a recipe gives it.
    pub source: String,
    /// Path in the repository or the workspace.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A source that another recipe writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftSource {
    /// Path of the recipe that reads it.
    pub recipe: String,
    /// Name of the dataset entry.
    pub dataset: String,
}

fn in_words<S: serde::Serializer>(slice: &Slice, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(slice)
}

fn messages<S: serde::Serializer>(failures: &[Failure], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(failures.iter().map(ToString::to_string))
}

fn problems<S: serde::Serializer>(problems: &[Problem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(ToString::to_string))
}

impl WorkReport {
    fn new(slice: Slice) -> Self {
        Self {
            slice,
            recipes: 0,
            files: Vec::new(),
            of_files: 0,
            left: Vec::new(),
            actions: BTreeMap::new(),
            shared: None,
            failures: Vec::new(),
            problems: Vec::new(),
            elapsed_ms: 0,
        }
    }

    /// Adds failures. Many recipes may read the same file, so each is told once.
    fn tell(&mut self, failures: impl IntoIterator<Item = Failure>) {
        for failure in failures {
            if self.failures.iter().all(|known| known.message != failure.message) {
                self.failures.push(failure);
            }
        }
    }

    /// Returns the size of the slice's files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Returns the kind of the worst failure, if there was any.
    pub fn failure(&self) -> Option<FailureKind> {
        let invalid = self.problems.first().map(|_| FailureKind::Config);
        self.failures.iter().map(|failure| failure.kind).chain(invalid).max()
    }
}

/// Works on a slice of the files that the selected recipes read.
pub(crate) fn work(site: &Site, selectors: &[String], options: &WorkOptions) -> Result<WorkReport, WorkspaceError> {
    let watch = Stopwatch::start();
    let mut report = WorkReport::new(options.slice);
    // Where there is no recipe, nothing is made.
    if find(site, selectors)?.recipes.is_empty() {
        return Ok(report);
    }
    let shared = if options.dry_run { None } else { Some(opened(site)?) };
    let access = if options.dry_run { Access::Read } else { Access::Write };
    let _guard = match options.dry_run {
        true => None,
        false => Some(site.cache.acquire(if options.no_wait { IfHeld::Fail } else { IfHeld::Wait })?),
    };
    let record = site.cache.record(access)?;
    let outcomes = Arc::new(driver::OutcomeCache::new(record.clone(), site.cache.store(&record), false));
    let looked_up = outcomes.clone();
    // Which files there are is known before any is read. Those of the workspace are hashed once it is known whose they are: they
    // may lie on a disk of a network, and there may be a thousand workers.
    let looks = Looks {
        hashing: Hashing::Only(Arc::default()),
        depth: Depth::Pinned,
        orphans: Orphans::Ignored,
        lookup: Some(Arc::new(move |key: &ActionKey| looked_up.lookup(key))),
        ..Looks::default()
    };
    let mut session = assess_selected(site, record.clone(), selectors, looks)?;
    report.recipes = session.recipes.len();
    report.problems = session.recipes.iter().flat_map(|assessed| assessed.status.problems.iter().cloned()).collect();
    let chained = chained(site, &session);
    let valid: Vec<(usize, RecipeFile)> = (0..)
        .zip(&session.recipes)
        .filter(|(_, assessed)| assessed.status.problems.is_empty() && assessed.recipe.is_some())
        .filter_map(|(at, assessed)| Some((at, assessed.file?)))
        .collect();
    let recipes: Vec<RecipeFile> = valid.iter().map(|(_, file)| *file).collect();
    let mut left = HashSet::new();
    for (at, file) in &valid {
        let datasets = session.recipes[*at].recipe.iter().flat_map(|recipe| &recipe.datasets).zip(0..);
        for (dataset, number) in datasets.filter(|(_, number)| chained.contains(&(*at, *number))) {
            left.insert((*file, number));
            let (recipe, dataset) = (session.recipes[*at].text.path.clone(), dataset.name.clone());
            report.left.push(LeftSource { recipe, dataset });
        }
    }
    let share = Share::new(&session.planner, &recipes, left, options.slice);
    let files = files_of_share(&session.planner, &recipes, &share);
    report.of_files = share.of();
    report.files = files.iter().map(|file| slice_file(file)).collect();
    report.files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| (&a.source, &a.path).cmp(&(&b.source, &b.path))));
    let Some(shared) = shared else {
        pin(site, &mut session, &[])?;
        report.tell(unlisted(&session.planner, &recipes, &share));
        report.elapsed_ms = elapsed(watch);
        return Ok(report);
    };
    let read = read_by(&session.planner, &recipes, &share);
    pin(site, &mut session, &read)?;
    let threads = threads(options.jobs);
    let crew = crew(threads, None)?;
    let context = action_context(site, &session, outcomes, 0, threads)?;
    let reader = shared.reader(Some(context.store.clone()));
    let ran: RunReport<Vec<Failure>> =
        driver::run(Shares(&share), &mut session.planner, &recipes, &context, crew.pool(), false, Some(reader));
    report.tell(ran.endings.into_iter().flat_map(|ending| ending.unwrap_or_else(|failure| vec![failure])));
    report.actions = ran.actions;
    record.flush()?;
    let scopes = shared.scopes(recipes.iter().flat_map(|file| scope::worked(&session.planner, *file, &share)));
    let told = shared.finish(site, &context, &record, &scopes, ran.read, &ran.shared);
    // Without that nobody gains anything from what was done.
    if let Some(reason) = &told.given_up {
        let failure = Failure::new(FailureKind::Source, format!("add to the shared cache `{}`: {reason}", told.remote));
        report.failures.push(failure.hint("what was made is in the cache of this machine: run the worker again"));
    }
    report.shared = Some(told);
    report.elapsed_ms = elapsed(watch);
    Ok(report)
}

/// Opens the shared cache. Fails if nothing can be added to it.
fn opened(site: &Site) -> Result<Shared, WorkspaceError> {
    let shared = Shared::named(site)?;
    if let Some(why) = shared.read_only() {
        let failure = Failure::plain(FailureKind::Config, format!("a worker would add nothing, since {why}"));
        let hint = "a worker needs a folder or a bucket, and a key: the file that `datac cache key new` makes, or DATAC_CACHE_KEY";
        return Err(failure.hint(hint).into());
    }
    shared.reach()?;
    if let Some((_, key)) = shared.own()
        && !shared.is_named(site, &key)?
    {
        let words = "datac.keys does not have the key of this worker: builds with another key will not use what it makes; \
                     see `datac cache key trust`";
        (site.observer)(Event::Warning(words.to_owned()));
    }
    Ok(shared)
}

/// Pins what recipes read, as a build with `--locked` does. Of the files of the workspace, only those in `read` are hashed.
fn pin(site: &Site, session: &mut Session, read: &[Arc<SourceFile>]) -> Result<(), WorkspaceError> {
    let own = read.iter().filter(|file| file.origin.is_local()).map(|file| site.root().join(file.remote().path));
    let hashing = Hashing::Only(Arc::new(own.collect()));
    let valid = session.recipes.iter().filter(|assessed| assessed.status.problems.is_empty());
    let recipes: Vec<_> = valid.filter_map(|assessed| assessed.recipe.clone()).collect();
    let sources = PinSources { hashing, ..PinSources::of(site, &session.record) };
    session.snapshots = sources.pin(&recipes, Pinning::Fixed, &mut session.lock)?;
    session.planner.pin(session.snapshots.states.iter(), &session.snapshots.here);
    Ok(())
}

fn slice_file(file: &SourceFile) -> SliceFile {
    let remote = file.remote();
    SliceFile { source: file.origin.name().to_owned(), path: remote.path, bytes: remote.size }
}

fn elapsed(watch: Stopwatch) -> u64 {
    u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX)
}
