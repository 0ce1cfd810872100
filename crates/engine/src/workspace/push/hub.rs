//! Pushes the files of a target to a dataset repository of the Hub.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use schemars::JsonSchema;
use serde::Serialize;

use super::{PushOptions, PushedFile};
use crate::{
    cache::{Access, OutputFile},
    driver,
    selector::assess_selected,
    site::{Site, WorkspaceError},
    source::{PushFile, PushedCommit, Pushing},
    status::assess::{Depth, Looks},
    workspace::release::fresh,
};
use datac_core::{
    failure::{Failure, FailureKind},
    outputs::{OutputKind, OutputSet, UNFIT},
};

/// What was pushed to a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pushed {
    /// The repository, as the hub names it.
    pub repo: String,
    /// The branch.
    pub revision: String,
    /// The hub.
    pub hub: String,
    /// The commit; if there was nothing to push, the one that is there.
    pub commit: String,
    /// Whether the commit was made now.
    pub is_new: bool,
    /// Whether this was a dry run, which sends nothing.
    pub dry_run: bool,
    /// The folder of the target, in the output folder.
    pub target: String,
    /// Its files.
    pub files: Vec<PushedFile>,
    /// Number of bytes of files that were sent.
    pub uploaded_bytes: u64,
}

/// A target: the name of its recipe, and its files with their paths in its folder.
type Target<'s> = (&'s str, Vec<(String, &'s OutputFile)>);

/// Writes the files of one target to a dataset repository, in one commit.
pub(super) fn push(
    site: &Site,
    to: &str,
    selectors: &[String],
    options: &PushOptions,
) -> Result<Pushed, WorkspaceError> {
    let repo = repository(to)?;
    let record = site.cache.record(Access::Read)?;
    let looks = Looks { depth: Depth::Close, ..Looks::default() };
    let session = assess_selected(site, record.clone(), selectors, looks)?;
    let recipes = fresh(&session, selectors, "pushed")?;
    let mut targets: BTreeMap<String, Target<'_>> = BTreeMap::new();
    for (assessed, outputs) in &recipes {
        for output in outputs.iter() {
            let kind = OutputSet::parse(&output.name).map(|(_, kind)| kind);
            if let (Some((folder, path)), Some(OutputKind::Shard(_) | OutputKind::Beside)) =
                (in_target(&output.name), kind)
            {
                let target = targets.entry(folder.to_owned()).or_insert((assessed.status.name.as_str(), Vec::new()));
                target.1.push((path.to_owned(), output));
            }
        }
    }
    let (target, (recipe, outputs)) = chosen(targets, options.target.as_deref())?;
    // What no row could be made of is for the authors of the recipe.
    let outputs: Vec<(String, &OutputFile)> = outputs.into_iter().filter(|(path, _)| path != UNFIT).collect();
    let file = |(path, output): &(String, &OutputFile)| PushFile {
        path: path.clone(),
        bytes: output.meta.bytes,
        local: site.outputs.file(&output.name),
    };
    let files: Vec<PushFile> = outputs.iter().map(file).collect();
    let revision = options.revision.clone().unwrap_or_else(|| "main".to_owned());
    let summary = options.message.clone().unwrap_or_else(|| format!("datac: {recipe}"));
    let hub = site.hub.open(&site.cache, &record)?;
    let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
    let asked = Pushing {
        repo,
        revision: &revision,
        summary: &summary,
        files: &files,
        dry_run: options.dry_run,
        is_interrupted: &is_interrupted,
    };
    let pushed = hub.push(&asked).map_err(|error| driver::failure_of(&error))?;
    let PushedCommit { repo, commit, is_new, sent, uploaded_bytes } = pushed;
    Ok(Pushed {
        repo,
        revision,
        hub: site.hub.name(),
        commit,
        is_new,
        dry_run: options.dry_run,
        target,
        files: outputs
            .iter()
            .map(|(path, output)| PushedFile {
                path: path.clone(),
                bytes: output.meta.bytes,
                rows: output.meta.rows,
                is_new: sent.contains(path),
            })
            .collect(),
        uploaded_bytes,
    })
}

/// Returns the name of the repository that an address of the Hub's tools means: `hf://ORG/NAME`, `hf://datasets/ORG/NAME`.
fn repository(to: &str) -> Result<&str, Failure> {
    let name = to.strip_prefix("hf://").map(|rest| rest.strip_prefix("datasets/").unwrap_or(rest));
    name.filter(|name| name.split('/').count() == 2 && name.split('/').all(|part| !part.is_empty())).ok_or_else(|| {
        Failure::plain(FailureKind::Config, format!("`{to}` is not a dataset repository")).hint("write hf://ORG/NAME")
    })
}

/// Splits the name of an output into the folder of its target and the path in it.
fn in_target(name: &str) -> Option<(&str, &str)> {
    let (at, _) = name.match_indices('/').nth(1)?;
    Some((&name[..at], &name[at + 1..]))
}

/// Chooses the one target that is meant: the named one, else the one that is laid out for the Hub, else the only one.
fn chosen<'s>(targets: BTreeMap<String, Target<'s>>, wanted: Option<&str>) -> Result<(String, Target<'s>), Failure> {
    let names: Vec<String> = targets.keys().map(|name| format!("`{name}`")).collect();
    let is_meant = |name: &str| wanted.is_some_and(|wanted| name == wanted || name.rsplit('/').next() == Some(wanted));
    let is_for_hub = |files: &[(String, &OutputFile)]| files.iter().any(|(path, _)| path.starts_with("data/"));
    let (for_hub, others): (Vec<_>, Vec<_>) = targets
        .into_iter()
        .filter(|(name, _)| wanted.is_none() || is_meant(name))
        .partition(|(_, (_, files))| is_for_hub(files));
    let mut left = if for_hub.is_empty() { others } else { for_hub };
    let config = |text: String| Failure::plain(FailureKind::Config, text);
    match (left.len(), left.pop()) {
        (1, Some(target)) => Ok(target),
        (0, _) if names.is_empty() => Err(config("no recipe has a folder that could be pushed".to_owned())
            .hint("`output: { shape: trl, container: parquet, layout: hub }` in the recipe makes one")),
        (0, _) => Err(config(format!("no target is called `{}`", wanted.unwrap_or_default()))
            .hint(format!("available: {}", names.join(", ")))),
        _ => Err(config("a repository holds one target, and several are meant".to_owned())
            .hint(format!("choose one with `--target`: {}", names.join(", ")))),
    }
}
