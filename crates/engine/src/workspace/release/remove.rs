//! Removes releases from the shared cache.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use schemars::JsonSchema;
use serde::Serialize;

use super::{failure_of, pull::absent};
use crate::{
    build::shared::Shared,
    remote::{ReleaseError, ReleaseName, Requests, SharedPart, release},
    site::{Site, WorkspaceError},
};
use datac_core::failure::{Failure, FailureKind};

/// Releases that were removed, with what no other one needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RemovedReleases {
    /// The shared cache.
    pub remote: String,
    /// Whether this was a dry run, which removes nothing.
    pub dry_run: bool,
    /// The releases.
    pub releases: Vec<String>,
    /// Pieces that no other release needs, and those that killed releases have left.
    pub pieces: SharedPart,
    /// Pieces that stay.
    pub kept: SharedPart,
    /// Releases that others have made meanwhile. They may lack pieces, which whoever makes them again puts back.
    pub made_meanwhile: Vec<String>,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// Removes releases, and the pieces that no other one needs; without names, only pieces that no release needs.
pub(in crate::workspace) fn remove(
    site: &Site,
    names: &[String],
    dry_run: bool,
) -> Result<RemovedReleases, WorkspaceError> {
    let names = names.iter().map(|name| ReleaseName::parse(name)).collect::<Result<BTreeSet<_>, _>>();
    let names = names.map_err(|error| failure_of(&error, "", ""))?;
    let shared = Shared::named(site)?;
    let remote = shared.remote();
    if !remote.objects.is_writable() {
        let text = format!("nothing can be removed from the shared cache `{}`: it is behind a web server", remote.name);
        return Err(Failure::plain(FailureKind::Config, text).into());
    }
    let failed = |error: ReleaseError| match error {
        ReleaseError::Unsigned(ref name) | ReleaseError::Misplaced { ref name, .. } => {
            Failure::plain(FailureKind::Lock, format!("{error}; nobody knows which pieces it needs")).hint(format!(
                "restore it from a copy of the shared cache, or remove it too: `datac release remove {name}`"
            ))
        }
        error => failure_of(&error, &remote.name, "remove releases"),
    };
    let there: BTreeSet<ReleaseName> = release::list(remote).map_err(failed)?.into_iter().collect();
    if let Some(name) = names.iter().find(|name| !there.contains(name)) {
        return Err(absent(remote, name).into());
    }
    let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
    let removal = release::remove(remote, &names, dry_run, &is_interrupted).map_err(failed)?;
    Ok(RemovedReleases {
        remote: remote.name.clone(),
        dry_run,
        releases: names.iter().map(ToString::to_string).collect(),
        pieces: removal.pieces,
        kept: removal.kept,
        made_meanwhile: removal.made_meanwhile.iter().map(ToString::to_string).collect(),
        requests: shared.requests(),
    })
}
