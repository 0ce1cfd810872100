//! Pins the sources of recipes in `datac.lock`, and moves pins.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cache::Access,
    graph::{SnapshotKey, model_key, snapshot_key},
    selector::find,
    site::{IfHeld, Site, WorkspaceError},
    source::lock::{LockFile, Pin},
    status::pins::{PinSources, Pinning, here, known_of},
};
use datac_core::{
    config::Recipe,
    failure::{Failure, FailureKind},
};

/// A pin that `datac lock` changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LockChange {
    /// The source, as given in recipes.
    pub source: String,
    /// The previous commit; `None` if the source was not pinned.
    pub old: Option<String>,
    /// The new commit; `None` if no recipe uses the source any more.
    pub new: Option<String>,
}

/// The changes that `datac lock` made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LockReport {
    /// Sources whose pin changed.
    pub changes: Vec<LockChange>,
    /// Number of sources whose pin did not change.
    pub unchanged: usize,
}

/// Which pins `datac lock` moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// None: only missing pins are added.
    None,
    /// All pins.
    All,
    /// The pins of these sources.
    Sources(Vec<String>),
}

/// Returns the recipes that `selectors` match, all of which must be valid.
fn parse_all(site: &Site, selectors: &[String]) -> Result<Vec<Arc<Recipe>>, WorkspaceError> {
    let (mut recipes, mut problems) = (Vec::new(), Vec::new());
    for text in find(site, selectors)?.recipes {
        match site.recipes.load(&text.path, &text.text) {
            Ok(recipe) => recipes.push(Arc::new(recipe)),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(recipes) } else { Err(WorkspaceError::Problems(problems)) }
}

/// Pins the sources of the selected recipes, and moves pins as `upgrade` says.
///
/// With `check`, nothing is written, and the report says what would change. Without selectors, pins that no recipe
/// uses are removed.
pub(super) fn lock(
    site: &Site,
    selectors: &[String],
    upgrade: &Upgrade,
    check: bool,
) -> Result<LockReport, WorkspaceError> {
    let _guard = if check { None } else { Some(site.cache.acquire(IfHeld::Wait)?) };
    let record = site.cache.record(if check { Access::Read } else { Access::Write })?;
    let recipes = parse_all(site, selectors)?;
    let (before, _) = site.lock.read()?;
    let mut lock = before.clone();
    lock.sources.retain(|pin| match upgrade {
        Upgrade::None => true,
        Upgrade::All => false,
        Upgrade::Sources(sources) => !sources.iter().any(|source| *source == pin.source || *source == pin.repo),
    });
    let here = here(site.root(), &recipes);
    let of_datasets = recipes.iter().flat_map(|recipe| &recipe.datasets).map(|dataset| snapshot_key(dataset, &here));
    let models = recipes.iter().flat_map(|recipe| recipe.all_models());
    let keys: BTreeSet<SnapshotKey> = of_datasets.chain(models.flat_map(|model| model_key(model, &here))).collect();
    let used: Vec<_> = keys.iter().map(|key| (key.source.as_str(), key.revision.as_deref(), key.part())).collect();
    let is_used =
        |pin: &Pin| used.iter().any(|(source, revision, part)| pin.key() == (*source, *revision, part.as_ref()));
    if selectors.is_empty() {
        lock.sources.retain(is_used);
    } else {
        // Pins of other recipes are kept, since this call does not resolve them again.
        let kept: Vec<Pin> = before.sources.iter().filter(|pin| !is_used(pin)).cloned().collect();
        kept.into_iter().for_each(|pin| lock.set(pin));
    }
    if let Upgrade::Sources(sources) = upgrade {
        let known = |source: &String| before.sources.iter().any(|pin| pin.source == *source || pin.repo == *source);
        if let Some(unknown) = sources.iter().find(|source| !known(source)) {
            let names: Vec<&str> = before.sources.iter().map(|pin| pin.source.as_str()).collect();
            let failure = Failure::plain(FailureKind::Config, format!("`{unknown}` is not in datac.lock"));
            return Err(failure.hint(format!("available: {}", names.join(", "))).into());
        }
    }
    let snapshots = PinSources { known: known_of(&before), ..PinSources::of(site, &record) }.pin(
        &recipes,
        Pinning::Resolve,
        &mut lock,
    )?;
    if let Some(failure) = snapshots.states.into_values().flatten().find_map(Result::err) {
        return Err(failure.into());
    }
    let report = compare(&before, &lock);
    if !check {
        site.lock.write(&lock)?;
        record.flush()?;
    }
    Ok(report)
}

fn compare(before: &LockFile, after: &LockFile) -> LockReport {
    let mut report = LockReport::default();
    for pin in &after.sources {
        match before.find_part(&pin.source, pin.revision.as_deref(), pin.part.as_ref()) {
            Some(old) if old == pin => report.unchanged += 1,
            old => report.changes.push(LockChange {
                source: pin.source.clone(),
                old: old.map(|old| old.commit.clone()),
                new: Some(pin.commit.clone()),
            }),
        }
    }
    for pin in &before.sources {
        if after.find_part(&pin.source, pin.revision.as_deref(), pin.part.as_ref()).is_none() {
            report.changes.push(LockChange { source: pin.source.clone(), old: Some(pin.commit.clone()), new: None });
        }
    }
    report
}
