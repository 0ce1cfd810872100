//! Explains why a past run built a recipe, and why missing actions are not in the cache.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    log::{RunFile, changes, files, find_run, rfc3339},
    read_manifest,
};
use crate::{
    cache::{Access, Blobs, Gone, Record, RunId, Store},
    graph::{Action, Outcome},
    selector::one_recipe,
    site::{CacheFolder, Site, WorkspaceError, name_of},
    system,
};
use datac_core::{
    config,
    failure::{Failure, FailureKind},
    stage::Stage,
    stale::StaleReason,
};

/// Explanation of why a run built a recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PastBuild {
    /// The run.
    pub run: RunId,
    /// Start time: RFC 3339, UTC.
    pub started: String,
    /// Start time in nanoseconds since 1970.
    #[serde(skip)]
    pub started_ns: i64,
    /// State of the recipe before the run.
    pub state: String,
    /// The previous build, which this one is compared with.
    pub since: Option<RunId>,
    /// Changes since the previous build, or other reasons for the build.
    pub reasons: Vec<PastReason>,
    /// Failure that kept the recipe from being built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The files after the build.
    pub files: Vec<RunFile>,
}

/// One reason of a past build.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PastReason {
    /// The reason.
    #[serde(flatten)]
    pub reason: StaleReason,
    /// Location of the value in the current recipe: line and column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<(usize, usize)>,
}

/// Explanation of a past build of a recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PastExplanation {
    /// Name of the recipe.
    pub name: String,
    /// Path of the recipe.
    pub path: String,
    /// The build in question.
    pub build: PastBuild,
}

/// Actions of one stage that the cache does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CacheMiss {
    /// The stage.
    pub stage: Stage,
    /// Reason.
    pub reason: MissKind,
    /// Number of actions.
    pub count: u64,
}

/// Reason why an action is not in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissKind {
    /// The action never ran with these inputs, this code and these parameters.
    NoEntry,
    /// The action ran, but its result has been evicted.
    Evicted,
    /// The entry or result of the action is or was damaged.
    Corrupt,
    /// The entry, or the whole record, was written by another version of datac.
    OtherVersion,
}

impl MissKind {
    /// Returns the reason in words, as in `1 to run, no entry in the cache`.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoEntry => "no entry in the cache",
            Self::Evicted => "evicted from the cache",
            Self::Corrupt => "damaged in the cache",
            Self::OtherVersion => "cached by another version of datac",
        }
    }
}

/// Explains why a run, named by its number or as `last`, built a recipe.
pub(crate) fn why_run(site: &Site, target: &str, run: &str) -> Result<PastExplanation, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let path = one_recipe(site, target, &record)?;
    let (id, _) = find_run(&record, run)?;
    let text = system::read(&site.root().join(&path)).unwrap_or_default();
    let name = name_of(path.as_ref());
    let build = past(&site.cache, &record, &path, &text, Some(id))?.ok_or_else(|| {
        let builds = record.builds_of(&path).unwrap_or_default();
        let ids: Vec<String> = builds.iter().map(|(id, _)| id.to_string()).collect();
        let failure = Failure::plain(FailureKind::Config, format!("run {id} did not build `{name}`"));
        failure.hint(match ids.is_empty() {
            true => "no recorded run built it".to_owned(),
            false => format!("runs that built it: {}", ids.join(", ")),
        })
    })?;
    Ok(PastExplanation { name, path, build })
}

/// Explains why `run` built a recipe, or, if `run` is `None`, the last build that has a manifest.
pub(crate) fn past(
    cache: &CacheFolder,
    record: &Arc<Record>,
    path: &str,
    text: &[u8],
    run: Option<RunId>,
) -> Result<Option<PastBuild>, WorkspaceError> {
    let builds = record.builds_of(path)?;
    let is_meant = |(id, build): &(RunId, crate::cache::Build)| match run {
        Some(run) => *id == run,
        None => build.manifest.is_some(),
    };
    let Some(at) = builds.iter().position(is_meant) else { return Ok(None) };
    let (id, build) = &builds[at];
    let before = builds[at + 1..].iter().find(|(_, build)| build.manifest.is_some());
    // Without manifests to compare, the reasons recorded at the time still apply.
    let changed = match before {
        Some((_, before)) => {
            match (read_manifest(&cache.store(record), before), read_manifest(&cache.store(record), build)) {
                (Ok(old), Ok(new)) => changes(&old, &new),
                _ => Vec::new(),
            }
        }
        None => Vec::new(),
    };
    let said: Vec<StaleReason> = build.reasons.iter().filter(|said| !changed.contains(said)).cloned().collect();
    let place = |reason: &StaleReason| config::locate(text, &reason.change()?.name);
    let reasons = changed.into_iter().chain(said);
    let started_ns = record.runs()?.into_iter().find(|(run, _)| run == id).map_or(0, |(_, run)| run.started_ns);
    Ok(Some(PastBuild {
        run: *id,
        started: rfc3339(started_ns),
        started_ns,
        state: build.state.clone(),
        since: before.map(|(id, _)| *id),
        reasons: reasons.map(|reason| PastReason { place: place(&reason), reason }).collect(),
        failure: build.failure.clone(),
        files: files(cache, record, build),
    }))
}

/// Counts missing actions by stage and reason.
pub(crate) fn misses(
    record: &Record,
    store: &Store,
    actions: &[std::sync::Arc<Action>],
) -> Result<Vec<CacheMiss>, WorkspaceError> {
    let mut counts: BTreeMap<(Stage, MissKind), u64> = BTreeMap::new();
    for action in actions {
        let kind = match record.outcome(&action.key)? {
            _ if record.is_unreadable() => MissKind::OtherVersion,
            None if record.has_entry(&action.key)? => MissKind::Corrupt,
            None => match record.gone(&action.key)? {
                Some(Gone::Evicted) => MissKind::Evicted,
                Some(Gone::Damaged) => MissKind::Corrupt,
                None => MissKind::NoEntry,
            },
            Some(bytes) => match postcard::from_bytes::<Outcome>(&bytes) {
                Err(_) => MissKind::OtherVersion,
                Ok(outcome) if store.has(&outcome.blobs()).contains(&false) => MissKind::Evicted,
                // The scan is cached, but more of the file has to be read than before.
                Ok(_) => MissKind::NoEntry,
            },
        };
        *counts.entry((action.work.stage(), kind)).or_default() += 1;
    }
    Ok(counts.into_iter().map(|((stage, reason), count)| CacheMiss { stage, reason, count }).collect())
}
