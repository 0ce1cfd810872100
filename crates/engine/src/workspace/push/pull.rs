//! Gets the outputs of a recipe back from where they were pushed to.

use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Serialize;

use super::outputs::{failure_of, open};
use crate::{
    remote::{
        Requests,
        pushed::{self, PushError},
    },
    site::{Site, WorkspaceError},
    workspace::pulled::{PullOptions, PulledFile, Wanted, place},
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::FileHash,
};

/// Outputs of a recipe that were pulled from a folder or a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PulledOutputs {
    /// The folder of the recipe, or its address.
    pub place: String,
    /// Name of the recipe.
    pub recipe: String,
    /// The version.
    pub version: FileHash,
    /// Whether this was a dry run, which writes nothing.
    pub dry_run: bool,
    /// The files, by path.
    pub files: Vec<PulledFile>,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// Puts the files of the current version of a recipe in place, where a build would put them. `from` is the folder that has its
/// `current.json`.
pub(in crate::workspace) fn pull(
    site: &Site,
    from: &str,
    options: &PullOptions,
) -> Result<PulledOutputs, WorkspaceError> {
    let remote = open(site, from)?;
    let failed = |error: &PushError| failure_of(error, &remote.name, "");
    let document = pushed::read(&remote, &[""]).map_err(|error| failed(&error))?.pop().flatten();
    let document = document.ok_or_else(|| {
        let text = format!("there is no `current.json` in `{}`", remote.name);
        let hint = format!("name the folder of one recipe, as in `{}/sft/general`", remote.name);
        Failure::plain(FailureKind::Source, text).hint(hint)
    })?;
    let current = pushed::decode(None, &document).map_err(|error| failed(&error))?;
    let wanted = current.files.iter().map(|file| Wanted {
        path: file.output.clone(),
        rows: file.rows,
        bytes: file.bytes,
        blake3: file.blake3,
    });
    let wanted: Vec<Wanted> = wanted.collect();
    let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
    let files = place(site, &remote.name, &wanted, options, &mut |number, replacement, on_bytes| {
        let mut done = 0;
        pushed::each_part(&remote, &current.files[number], &is_interrupted, &mut |bytes| {
            replacement.write_all(bytes)?;
            done += bytes.len() as u64;
            on_bytes(done);
            Ok(())
        })
        .map_err(|error| failure_of(&error, &remote.name, &current.recipe))
    })?;
    Ok(PulledOutputs {
        place: remote.name.clone(),
        recipe: current.recipe,
        version: current.version,
        dry_run: options.dry_run,
        files,
        requests: remote.counters.requests(),
    })
}
