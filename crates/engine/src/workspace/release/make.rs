//! Makes a release of recipes that are up to date.

use std::{io::Read as _, sync::atomic::Ordering};

use schemars::JsonSchema;
use serde::Serialize;

use super::{failure_of, fresh, pins_of, rows_of};
use crate::{
    build::shared::Shared,
    cache::{Access, OutputFile},
    event::Event,
    provenance::history::{log::rfc3339, read_manifest},
    remote::{
        Release, ReleaseError, ReleaseName, ReleasedFile, ReleasedRecipe, Requests, Stored,
        keys::PublicKey,
        release::{self, PieceWriter, check_paths},
    },
    selector::assess_selected,
    site::{Site, WorkspaceError},
    status::assess::{Assessed, Depth, Looks, Session},
    system::{self, FileError},
};
use datac_core::failure::{Failure, FailureKind};

/// A release that was made, or that was there with the same content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Released {
    /// Name and version of the release.
    pub release: String,
    /// The shared cache.
    pub remote: String,
    /// Whether it was made now; otherwise it was there, with the same content.
    pub is_new: bool,
    /// Time at which it was made: RFC 3339, UTC.
    pub created: String,
    /// The key that signed it.
    pub key: String,
    /// Whether `datac.keys` names that key, so that others can pull the release.
    pub is_key_shared: bool,
    /// Names of the recipes, by path.
    pub recipes: Vec<String>,
    /// Number of files.
    pub files: u64,
    /// Number of rows, in however many formats they are written.
    pub rows: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
    /// Number of pieces that were added to the shared cache.
    pub added_pieces: u64,
    /// Number of pieces that were there.
    pub shared_pieces: u64,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// Makes a release of the recipes that `selectors` match, all of which must be up to date.
pub(in crate::workspace) fn release(site: &Site, name: &str, selectors: &[String]) -> Result<Released, WorkspaceError> {
    let name = ReleaseName::parse(name).map_err(|error| failure_of(&error, "", ""))?;
    let shared = Shared::named(site)?;
    let key = shared.signer()?;
    let remote = shared.remote();
    let failed = |error: &ReleaseError, what: &str| failure_of(error, &remote.name, what);
    let operation = format!("release `{name}`");
    let record = site.cache.record(Access::Read)?;
    let looks = Looks { depth: Depth::Close, ..Looks::default() };
    let session = assess_selected(site, record, selectors, looks)?;
    let recipes = fresh(&session, selectors, "released")?;

    // A name that is taken by something that nobody could pull is not to be noticed after hours.
    let is_trusted = |key: &PublicKey| shared.trusts(key);
    let before = release::find(remote, &name, is_trusted).map_err(|error| failed(&error, &operation))?;

    let total: u64 = recipes.iter().flat_map(|(_, outputs)| outputs.iter()).map(|output| output.meta.bytes).sum();
    let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
    let mut done = 0;
    let mut on_bytes = |bytes: u64| {
        done += bytes;
        (site.observer)(Event::Checked { done: done.min(total), total });
    };
    let mut pieces = PieceWriter::new(remote, &is_interrupted, &mut on_bytes);
    let mut made = Release {
        name: name.name().to_owned(),
        version: name.version().to_owned(),
        created: rfc3339(system::now_ns()),
        datac: env!("CARGO_PKG_VERSION").to_owned(),
        recipes: Vec::new(),
    };
    for (assessed, outputs) in &recipes {
        let own = Own { site, session: &session, assessed };
        made.recipes.push(own.stored(outputs, &mut pieces, &|error| failed(&error, &operation))?);
    }
    made.recipes.sort_by(|a, b| a.path.cmp(&b.path));
    check_paths(&made, &name).map_err(|error| failed(&error, &operation))?;
    let (added_pieces, shared_pieces) = (pieces.added, pieces.shared);

    let is_new = match &before {
        Some(_) => false,
        None => release::create(remote, &made, key).map_err(|error| failed(&error, &operation))?,
    };
    let (release, signer) = if is_new {
        (made, key.public())
    } else {
        // Somebody else may have made it at the same moment.
        let there = match before {
            Some(there) => Some(there),
            None => release::find(remote, &name, is_trusted).map_err(|error| failed(&error, &operation))?,
        };
        let there =
            there.ok_or_else(|| failed(&ReleaseError::Fault(format!("`{name}` comes and goes")), &operation))?;
        let differences = made.differences(&there.release);
        if !differences.is_empty() {
            return Err(taken(&name, &there.release.created, &differences).into());
        }
        (there.release, there.key)
    };
    Ok(Released {
        release: name.to_string(),
        remote: remote.name.clone(),
        is_new,
        created: release.created.clone(),
        key: signer.to_string(),
        is_key_shared: shared.is_named(site, &signer)?,
        recipes: release.recipes.iter().map(|recipe| recipe.name.clone()).collect(),
        files: release.files().count() as u64,
        rows: rows_of(&release),
        bytes: release.files().map(|file| file.stored.bytes).sum(),
        added_pieces,
        shared_pieces,
        requests: shared.requests(),
    })
}

/// Returns the failure of a release whose name stands for something else.
fn taken(name: &ReleaseName, created: &str, differences: &[String]) -> Failure {
    const SHOWN: usize = 5;
    let mut shown: Vec<String> = differences.iter().take(SHOWN).cloned().collect();
    if let Some(more) = differences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown.push(format!("and {more} more"));
    }
    let day = created.get(..10).unwrap_or(created);
    let text = format!("`{name}` was released on {day} with another content: {}", shown.join("; "));
    Failure::plain(FailureKind::Lock, text).hint("a release never changes: choose another version")
}

/// A recipe that is being released.
struct Own<'o> {
    site: &'o Site,
    session: &'o Session,
    assessed: &'o Assessed,
}

impl Own<'_> {
    /// Stores everything that belongs to the recipe.
    fn stored(
        &self,
        outputs: &[OutputFile],
        pieces: &mut PieceWriter<'_>,
        failed: &dyn Fn(ReleaseError) -> Failure,
    ) -> Result<ReleasedRecipe, WorkspaceError> {
        let name = &self.assessed.status.name;
        let text = String::from_utf8(self.assessed.text.text.clone())
            .map_err(|_| Failure::plain(FailureKind::Config, format!("`{name}` is not UTF-8")))?;
        let bytes = |bytes: &[u8], pieces: &mut PieceWriter<'_>| {
            pieces.put(bytes, |_| unreachable!("memory can be read")).map_err(failed)
        };
        let manifest = self.manifest(outputs)?;
        let (lock, manifest) =
            (bytes(pins_of(self.session, self.assessed).as_bytes(), pieces)?, bytes(&manifest, pieces)?);
        let mut files = Vec::with_capacity(outputs.len());
        for output in outputs {
            let stored = self.file(output, pieces).map_err(failed)?;
            if (stored.bytes, stored.blake3) != (output.meta.bytes, output.meta.digest) {
                let path = self.site.outputs.relative(&output.name);
                let text = format!("`{}` has changed since it was looked at", path.display());
                return Err(Failure::plain(FailureKind::Action, text)
                    .hint(format!("`datac build {}` first", self.assessed.text.path))
                    .into());
            }
            files.push(ReleasedFile { path: output.name.clone(), rows: output.meta.rows, stored });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(ReleasedRecipe { name: name.clone(), path: self.assessed.text.path.clone(), text, lock, manifest, files })
    }

    fn file(&self, output: &OutputFile, pieces: &mut PieceWriter<'_>) -> Result<Stored, ReleaseError> {
        let path = self.site.outputs.file(&output.name);
        let file = system::open(&path)?;
        // What has grown is noticed by its digest; what grows without end is not read without end.
        let source = file.take(output.meta.bytes.saturating_add(1));
        pieces.put(source, |source| FileError { verb: "read", path: path.clone(), source }.into())
    }

    /// Returns the manifest of the build that made these files, as it is stored.
    fn manifest(&self, outputs: &[OutputFile]) -> Result<Vec<u8>, WorkspaceError> {
        let path = &self.assessed.text.path;
        let unknown = || {
            Failure::new(FailureKind::Cache, format!("release `{path}`: its cache does not say how it was built"))
                .hint(format!("`datac build --force {path}` builds it again, to the same bytes"))
        };
        let (_, build) = self.session.record.latest_build(path)?.ok_or_else(unknown)?;
        let manifest = read_manifest(&self.site.cache.store(&self.session.record), &build)?;
        let is_own = |output: &OutputFile| {
            manifest.files.iter().any(|file| (&file.name, file.meta) == (&output.name, output.meta))
        };
        if outputs.iter().all(is_own) { Ok(manifest.encode()) } else { Err(unknown().into()) }
    }
}
