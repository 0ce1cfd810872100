//! Reads and writes the history of builds: runs, and the manifests of their builds.

pub(crate) mod log;
pub(crate) mod why_run;

use std::{
    collections::{BTreeMap, HashSet},
    hash::Hash,
};

use super::manifest::BuildManifest;
use crate::{
    cache::{Blobs, Build, Record, Run, RunId, RunOutcome, Store},
    driver,
    event::Event,
    graph::RecipePlan,
    site::WorkspaceError,
    status::RecipeStatus,
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::BlobId,
    stage::Stage,
};

/// Reads the manifest of a build. Never writes, even if the blob is damaged.
pub(crate) fn read_manifest(store: &Store, build: &Build) -> Result<BuildManifest, WorkspaceError> {
    let unknown = |why: String| {
        Failure::new(FailureKind::Cache, format!("trace the rows of `{}`: {why}", build.path))
            .hint(format!("`datac build --force {}` recreates it", build.path))
    };
    let Some(digest) = &build.manifest else {
        return Err(unknown("the build left no manifest".into()).into());
    };
    let bytes = store.peek(digest).map_err(|miss| unknown(format!("the manifest is unavailable: {}", miss.reason)))?;
    Ok(BuildManifest::decode(&bytes).map_err(|error| unknown(error.to_string()))?)
}

/// What is known about a run when it ends.
pub(crate) struct Ended<'a> {
    pub(crate) started_ns: i64,
    pub(crate) command: &'a [String],
    pub(crate) hub: String,
    pub(crate) ran: &'a BTreeMap<Stage, u64>,
    pub(crate) plans: &'a [RecipePlan],
    pub(crate) failures: &'a [FailureKind],
}

/// Returns the ledger's entry for a run.
pub(crate) fn run(ended: &Ended<'_>) -> Run {
    let outcome = match ended.failures.iter().max() {
        None => RunOutcome::Built,
        Some(FailureKind::Interrupted) => RunOutcome::Interrupted,
        Some(_) => RunOutcome::Failed,
    };
    let reused = actions(ended.plans)
        .into_iter()
        .map(|(stage, all)| (stage, all.saturating_sub(ended.ran.get(&stage).copied().unwrap_or(0))))
        .filter(|(_, reused)| *reused > 0);
    Run {
        started_ns: ended.started_ns,
        ended_ns: system::now_ns(),
        command: ended.command.iter().map(|word| without_secrets(word)).collect(),
        hub: without_secrets(&ended.hub),
        datac: env!("CARGO_PKG_VERSION").to_owned(),
        outcome,
        ran: ended.ran.clone(),
        reused: reused.collect(),
    }
}

/// Counts the distinct actions, by stage, that several plans depend on.
fn actions(plans: &[RecipePlan]) -> BTreeMap<Stage, u64> {
    fn distinct<T: Hash + Eq>(all: impl Iterator<Item = T>) -> u64 {
        all.collect::<HashSet<T>>().len() as u64
    }
    let sources = || plans.iter().flat_map(|plan| plan.sources.iter());
    let chunks = || sources().flat_map(|source| source.chunks.iter());
    let columns = |chunk: &'_ crate::graph::ConvertedChunk| {
        let columns = chunk.scores.iter().copied().chain(chunk.tokens);
        let of_model = chunk.encoded.map(|encoded| encoded.tokens);
        let scores = columns.filter(|column| Some(*column) != of_model);
        scores.map(|column| (chunk.chunk.digest, column)).collect::<Vec<_>>()
    };
    let rendered = |chunk: &'_ crate::graph::ConvertedChunk| Some((chunk.chunk.digest, chunk.encoded?.index));
    let rendered_stored = |plan: &'_ RecipePlan| {
        let chunks =
            plan.own.iter().flatten().flat_map(|own| own.sources.iter()).flat_map(|source| source.chunks.iter());
        let rendered = chunks.filter_map(|chunk| Some((chunk.converted.index, chunk.encoded?.index)));
        rendered.collect::<Vec<_>>()
    };
    BTreeMap::from([
        (
            Stage::Scan,
            distinct(chunks().map(|chunk| &*chunk.chunk.file).map(|file| (&file.digest, file.kind, &file.inside))),
        ),
        (Stage::Convert, distinct(chunks().map(|chunk| (chunk.chunk.digest, chunk.converted.index)))),
        (Stage::Score, distinct(chunks().flat_map(columns))),
        (Stage::Render, distinct(chunks().filter_map(rendered)) + distinct(plans.iter().flat_map(rendered_stored))),
        (Stage::Select, distinct(sources().map(|source| source.selected.selection))),
        (Stage::Group, distinct(sources().filter_map(|source| Some((source.ungrouped?, source.selected.selection))))),
        (Stage::Arrange, distinct(plans.iter().map(|plan| plan.arranged.lists))),
        (Stage::Tally, distinct(plans.iter().filter(|plan| plan.tallied.is_some()).map(|plan| plan.arranged.lists))),
        (Stage::Output, distinct(plans.iter().map(|plan| (plan.files, &plan.shaped)))),
        (Stage::Quarantine, distinct(plans.iter().filter_map(|plan| plan.quarantine).map(|file| file.digest))),
    ])
}

/// Returns the ledger's entry for one recipe of a run.
pub(crate) fn build(
    before: &RecipeStatus,
    made: Option<(Option<BlobId>, &RecipePlan)>,
    why: Option<&Failure>,
) -> Build {
    let files = made.iter().flat_map(|(_, plan)| plan.written().map(|file| file.digest));
    Build {
        path: before.path.clone(),
        files: files.collect(),
        manifest: made.and_then(|(manifest, _)| manifest),
        state: before.state.word().to_owned(),
        reasons: before.reasons.clone(),
        failure: why.map(ToString::to_string),
    }
}

/// Removes passwords in URLs and Hub tokens from a word of the command line.
fn without_secrets(word: &str) -> String {
    const TOKEN: &str = "hf_";
    let word = match word.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            match rest[..end].rfind('@') {
                Some(at) => format!("{scheme}://…{}", &rest[at..]),
                None => word.to_owned(),
            }
        }
        None => word.to_owned(),
    };
    let mut out = String::with_capacity(word.len());
    let mut rest = word.as_str();
    while let Some(at) = rest.find(TOKEN) {
        let (before, token) = rest.split_at(at);
        let end = token[TOKEN.len()..].find(|c: char| !c.is_ascii_alphanumeric());
        let length = TOKEN.len() + end.unwrap_or(token.len() - TOKEN.len());
        out.push_str(before);
        // A shorter word, such as the name `hf_data`, is not a token.
        out.push_str(if length >= 20 { "hf_…" } else { &token[..length] });
        rest = &token[length..];
    }
    out + rest
}

/// Stores a manifest. If that fails, provenance is lost and a warning is given, but the build does not fail.
pub(crate) fn store(context: &driver::Context, manifest: &BuildManifest) -> Option<BlobId> {
    let bytes = manifest.encode();
    let stored = context.store.put(&bytes).and_then(|digest| match context.store.get(&digest) {
        Ok(_) => Ok(digest),
        // The same manifest was already stored but damaged; the read has removed it.
        Err(miss) => {
            context.tell(Event::Warning(format!("{miss}; rebuilding it")));
            context.store.put(&bytes)
        }
    });
    match stored {
        Ok(digest) => Some(digest),
        Err(error) => {
            let text = format!("the origin of the rows of {} could not be stored: {error}", manifest.name);
            context.tell(Event::Warning(text));
            None
        }
    }
}

/// Records a run and the new state of its recipes, and removes the manifests that no entry names any more.
pub(crate) fn note(
    record: &Record,
    context: &driver::Context,
    run: &Run,
    builds: &[Build],
    recipes: &[(String, crate::cache::FreshRecipe, crate::cache::BuiltDetail)],
) -> Result<RunId, WorkspaceError> {
    let noted = record.note_run(run, builds, recipes)?;
    for manifest in noted.dropped {
        // A manifest that cannot be removed does no harm: no entry names it.
        system::remove(&context.store.path(&manifest)).ok();
    }
    Ok(noted.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let words = [
            ("build", "build"),
            ("--hub=https://me:secret@hub.example/x?y=z@w", "--hub=https://…@hub.example/x?y=z@w"),
            ("https://hub.example/a@b", "https://hub.example/a@b"),
            ("hf_AbCdEfGhIjKlMnOpQrStUvWx,hf_data/é", "hf_…,hf_data/é"),
            ("x=hf_AbCdEfGhIjKlMnOpQrStUvWx", "x=hf_…"),
        ];
        for (word, kept) in words {
            assert_eq!(without_secrets(word), kept);
        }
    }
}
