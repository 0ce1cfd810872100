//! Releases of a workspace: outputs that are put under a name in the shared cache, listed, pulled, and removed.

mod list;
mod make;
mod pull;
mod remove;

pub use list::{ListedRelease, ReleaseList};
pub use make::Released;
pub use pull::Pulled;
pub use remove::RemovedReleases;

pub(super) use list::list;
pub(super) use make::release;
pub(super) use pull::pull;
pub(super) use remove::remove;

use std::collections::BTreeMap;

use crate::{
    build::shared,
    cache::OutputFile,
    driver,
    graph::{model_key, snapshot_key},
    remote::{Release, ReleaseError, ReleasedRecipe, keys::PublicKey},
    site::{Site, WorkspaceError},
    source::lock::LockFile,
    status::{
        State,
        assess::{Assessed, Session},
    },
};
use datac_core::{
    failure::{Failure, FailureKind},
    outputs::{OutputKind, OutputSet},
};

/// Returns the failure of a command that has to do with the shared cache `remote`. `operation` completes "failed to …".
fn failure_of(error: &ReleaseError, remote: &str, operation: &str) -> Failure {
    let plain = |kind| Failure::plain(kind, error.to_string());
    match error {
        ReleaseError::BadName(_) => plain(FailureKind::Config).hint(
            "write NAME@VERSION, as in `posttrain@2026-12-01`: up to 64 letters, digits, `-`, `_` and `.` each, of which the \
             first is a letter or a digit",
        ),
        ReleaseError::Unsigned(_) | ReleaseError::Misplaced { .. } | ReleaseError::BadPath { .. } => {
            plain(FailureKind::Lock).hint("somebody has changed the shared cache: restore the document from a copy of it")
        }
        ReleaseError::Untrusted { key, .. } => plain(FailureKind::Lock)
            .hint(format!("if you know whose key it is: `datac cache key trust NAME {key}`")),
        ReleaseError::Unknown(_) => plain(FailureKind::Lock).hint("use the version of datac that made it, or a newer one"),
        ReleaseError::Piece { .. } | ReleaseError::Mixed => {
            Failure::new(FailureKind::Source, format!("{operation}: {error}"))
                .hint("releasing the same again, where its recipes are built, puts back what is missing or damaged")
        }
        ReleaseError::Fault(_) => {
            Failure::new(FailureKind::Source, format!("use the shared cache `{remote}`: {error}"))
        }
        ReleaseError::File(error) => driver::file_failure(error),
        ReleaseError::Interrupted => Failure::plain(FailureKind::Interrupted, "interrupted"),
    }
}

/// Returns the names of the keys that the workspace trusts, and of the user's own.
fn names_of_keys(site: &Site, own: Option<(String, PublicKey)>) -> Result<BTreeMap<PublicKey, String>, WorkspaceError> {
    let trusted = shared::trusted(site)?;
    let named = trusted.keys().iter().map(|(name, key)| (name.clone(), *key));
    Ok(own.into_iter().chain(named).map(|(name, key)| (key, name)).collect())
}

/// Returns the number of rows of a release: of each recipe those on all sides, once, in however many formats they are written.
fn rows_of(release: &Release) -> u64 {
    release.recipes.iter().map(rows_of_recipe).sum()
}

fn rows_of_recipe(recipe: &ReleasedRecipe) -> u64 {
    let mut targets: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for file in &recipe.files {
        let kind = OutputSet::parse(&file.path).map(|(_, kind)| kind);
        if let Some(OutputKind::Rows(_) | OutputKind::Shard(_)) = kind {
            // The folder of a target is the second one of a path.
            let target = file.path.split('/').nth(1).filter(|_| matches!(kind, Some(OutputKind::Shard(_))));
            *targets.entry(target).or_default() += file.rows;
        }
    }
    targets.into_values().max().unwrap_or(0)
}

/// Returns the text of a lock with the pins of one recipe alone.
pub(super) fn pins_of(session: &Session, assessed: &Assessed) -> String {
    let here = &session.snapshots.here;
    let Some(recipe) = &assessed.recipe else { return String::new() };
    let keys = recipe.datasets.iter().map(|dataset| snapshot_key(dataset, here));
    let keys = keys.chain(recipe.all_models().flat_map(|model| model_key(model, here)));
    let mut lock = LockFile::default();
    for key in keys.filter(|key| key.is_pinned()) {
        if let Some(pin) = session.lock.find_part(&key.source, key.revision.as_deref(), key.part().as_ref()) {
            lock.set(pin.clone());
        }
    }
    lock.write()
}

/// Returns the assessed recipes with their outputs; fails unless all are up to date. `verb` is what is to be done: `released`.
pub(super) fn fresh<'s>(
    session: &'s Session,
    selectors: &[String],
    verb: &str,
) -> Result<Vec<(&'s Assessed, &'s [OutputFile])>, WorkspaceError> {
    if session.recipes.is_empty() {
        let named = if selectors.is_empty() { "config/".to_owned() } else { selectors.join("`, `") };
        let none = Failure::plain(FailureKind::Config, format!("no recipes below `{named}`: nothing can be {verb}"));
        return Err(none.hint("`datac ls` lists the recipes").into());
    }
    let problems: Vec<_> = session.recipes.iter().flat_map(|assessed| assessed.status.problems.clone()).collect();
    if !problems.is_empty() {
        return Err(WorkspaceError::Problems(problems));
    }
    let is_fresh = |assessed: &&Assessed| assessed.status.state == State::Fresh && assessed.last.is_some();
    let (good, bad): (Vec<&Assessed>, Vec<&Assessed>) = session.recipes.iter().partition(is_fresh);
    if bad.is_empty() {
        return Ok(good.iter().filter_map(|own| Some((*own, own.last.as_ref()?.outputs.as_slice()))).collect());
    }
    const SHOWN: usize = 5;
    let named = |assessed: &&Assessed| format!("`{}` is {}", assessed.status.name, assessed.status.state.word());
    let mut words: Vec<String> = bad.iter().take(SHOWN).map(named).collect();
    let mut build: Vec<&str> = bad.iter().take(SHOWN).map(|assessed| assessed.status.name.as_str()).collect();
    if bad.len() > SHOWN {
        words.push(format!("and {} more are not up to date", bad.len() - SHOWN));
        build = selectors.iter().map(String::as_str).collect();
    }
    let failure =
        Failure::plain(FailureKind::Action, format!("only what is up to date can be {verb}: {}", words.join(", ")));
    Err(failure.hint(format!("`{}` first", [&["datac build"], &build[..]].concat().join(" "))).into())
}
