//! Pulls a release: puts its files in place.

use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Serialize;

use super::{failure_of, names_of_keys};
use crate::{
    build::shared::Shared,
    remote::{
        ReleaseError, ReleaseName, ReleasedFile, Remote, Requests,
        release::{self, each_part},
    },
    site::{Site, WorkspaceError},
    workspace::pulled::{PullOptions, PulledFile, Wanted, place},
};
use datac_core::failure::{Failure, FailureKind};

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pulled {
    /// Name and version of the release.
    pub release: String,
    /// The shared cache.
    pub remote: String,
    /// Whether this was a dry run, which writes nothing.
    pub dry_run: bool,
    /// Time at which the release was made: RFC 3339, UTC.
    pub created: String,
    /// Name of the key that signed it.
    pub key: Option<String>,
    /// The files, by recipe and path.
    pub files: Vec<PulledFile>,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// Puts the files of a release in place. Those that are there with the same bytes stay as they are; if any has other bytes, nothing
/// is written unless that is forced.
pub(in crate::workspace) fn pull(site: &Site, name: &str, options: &PullOptions) -> Result<Pulled, WorkspaceError> {
    let name = ReleaseName::parse(name).map_err(|error| failure_of(&error, "", ""))?;
    let shared = Shared::named(site)?;
    let remote = shared.remote();
    let failed = |error: &ReleaseError, what: &str| failure_of(error, &remote.name, what);
    let found = release::find(remote, &name, |key| shared.trusts(key));
    let found = found.map_err(|error| failed(&error, &format!("pull `{name}`")))?;
    let signed = found.ok_or_else(|| absent(remote, &name))?;
    let keys = names_of_keys(site, shared.own())?;
    let files: Vec<&ReleasedFile> = signed.release.files().collect();
    let wanted = |file: &&ReleasedFile| Wanted {
        path: file.path.clone(),
        rows: file.rows,
        bytes: file.stored.bytes,
        blake3: file.stored.blake3,
    };
    let wanted: Vec<Wanted> = files.iter().map(wanted).collect();
    let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
    let pulled = place(site, &name.to_string(), &wanted, options, &mut |number, replacement, on_bytes| {
        let mut done = 0;
        each_part(remote, &files[number].stored, &is_interrupted, &mut |bytes| {
            replacement.write_all(bytes)?;
            done += bytes.len() as u64;
            on_bytes(done);
            Ok(())
        })
        .map_err(|error| failed(&error, &format!("get `{}` of `{name}`", files[number].path)))
    })?;
    Ok(Pulled {
        release: name.to_string(),
        remote: remote.name.clone(),
        dry_run: options.dry_run,
        created: signed.release.created.clone(),
        key: keys.get(&signed.key).cloned(),
        files: pulled,
        requests: shared.requests(),
    })
}

/// Returns the failure of a release that is not there.
pub(super) fn absent(remote: &Remote, name: &ReleaseName) -> Failure {
    let failure = Failure::plain(
        FailureKind::Source,
        format!("there is no release `{name}` in the shared cache `{}`", remote.name),
    );
    // A place that cannot be listed gives no hint.
    let known = release::list(remote).unwrap_or_default();
    let of_name: Vec<String> =
        known.iter().filter(|known| known.name() == name.name()).map(ToString::to_string).collect();
    match of_name.last() {
        Some(newest) => {
            failure.hint(format!("the last of {} is `{newest}`; `datac releases` lists all", of_name.len()))
        }
        None if known.is_empty() => failure,
        None => failure.hint("`datac releases` lists those that are there"),
    }
}
