//! Pushes the outputs of recipes to a folder or a bucket, each recipe at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::PathBuf,
    sync::atomic::Ordering,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{PushOptions, PushedFile};
use crate::{
    cache::{Access, OutputFile},
    driver,
    event::Event,
    remote::{
        CurrentFile, CurrentOutputs, Remote, Requests,
        pushed::{self, PushError, ReadOutput},
    },
    selector::assess_selected,
    site::{Site, WorkspaceError},
    status::assess::{Assessed, Depth, Looks},
    system::{self, FileError},
    workspace::release::{fresh, pins_of},
};
use datac_core::{
    failure::{Failure, FailureKind},
    hash::Hasher,
    id::FileHash,
    outputs::{OutputKind, UNFIT},
};

/// What was pushed to a folder or a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PushedOutputs {
    /// The folder or the bucket.
    pub to: String,
    /// Whether this was a dry run, which sends nothing.
    pub dry_run: bool,
    /// The recipes, by name.
    pub recipes: Vec<PushedRecipe>,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// A recipe that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PushedRecipe {
    /// Name of the recipe, which is the folder that it has there.
    pub recipe: String,
    /// The version: the folder of its files, in that of the recipe.
    pub version: FileHash,
    /// The version that was there before, if any.
    pub before: Option<FileHash>,
    /// Whether `current.json` was replaced; otherwise it said the same already.
    pub is_new: bool,
    /// Its files, by path.
    pub files: Vec<PushedFile>,
    /// Paths of the new files whose bytes the version before had: the bucket has copied them, and nothing was sent.
    pub copied: Vec<String>,
    /// Number of bytes of files that were sent.
    pub uploaded_bytes: u64,
}

/// A recipe that is to be pushed.
struct Own<'s> {
    /// Path of the recipe.
    path: &'s str,
    current: CurrentOutputs,
    /// The document that is there.
    before: Option<Vec<u8>>,
    /// What it says.
    there: Option<CurrentOutputs>,
    outputs: BTreeMap<&'s str, &'s OutputFile>,
}

/// Writes the outputs of recipes that are up to date to a folder or a bucket.
pub(super) fn push(
    site: &Site,
    to: &str,
    selectors: &[String],
    options: &PushOptions,
) -> Result<PushedOutputs, WorkspaceError> {
    if options.revision.is_some() || options.message.is_some() || options.target.is_some() {
        let text = "a revision, a message and a target are for repositories of the Hub";
        let hint = "a folder or a bucket gets all outputs of the recipes: leave these options out";
        return Err(Failure::plain(FailureKind::Config, text).hint(hint).into());
    }
    let remote = open(site, to)?;
    if !remote.objects.is_writable() {
        let text = format!("nothing can be pushed to `{}`: it is behind a web server", remote.name);
        return Err(Failure::plain(FailureKind::Config, text).hint(HINT).into());
    }
    let record = site.cache.record(Access::Read)?;
    let looks = Looks { depth: Depth::Close, ..Looks::default() };
    let session = assess_selected(site, record, selectors, looks)?;
    let mut own: Vec<Own<'_>> = Vec::new();
    for (assessed, outputs) in fresh(&session, selectors, "pushed")? {
        let lock = FileHash::of(pins_of(&session, assessed).as_bytes());
        own.push(Own::new(assessed, outputs, lock));
    }
    own.sort_by(|a, b| (&a.current.recipe, a.path).cmp(&(&b.current.recipe, b.path)));
    if let Some(alike) = own.windows(2).find(|two| two[0].current.recipe == two[1].current.recipe) {
        let [one, other] = [alike[0].path, alike[1].path];
        let text = format!("`{one}` and `{other}` are both called `{}`", alike[0].current.recipe);
        return Err(Failure::plain(FailureKind::Config, text).hint("push them to two places, each by its path").into());
    }

    // What stands in the way is not to be noticed after hours.
    let names: Vec<&str> = own.iter().map(|own| own.current.recipe.as_str()).collect();
    let failed = |error: &PushError, recipe: &str| failure_of(error, &remote.name, recipe);
    let documents = pushed::read(&remote, &names).map_err(|error| failed(&error, names[0]))?;
    for (own, document) in own.iter_mut().zip(documents) {
        let recipe = own.current.recipe.clone();
        let read = document.as_deref().map(|document| pushed::decode(Some(&recipe), document)).transpose();
        own.there = read.map_err(|error| failed(&error, &recipe))?;
        own.before = document;
    }
    let mut recipes = Vec::with_capacity(own.len());
    for own in &own {
        let done = own.push(site, &remote, options.dry_run);
        recipes.push(done.map_err(|error| failed(&error, &own.current.recipe))?);
    }
    Ok(PushedOutputs {
        to: remote.name.clone(),
        dry_run: options.dry_run,
        recipes,
        requests: remote.counters.requests(),
    })
}

/// What addresses there are.
const HINT: &str = "write hf://ORG/NAME, /folder, ./folder, file:///folder, or a bucket such as s3://bucket/folder";

/// Opens the place that an address names, without a request.
pub(in crate::workspace) fn open(site: &Site, to: &str) -> Result<Remote, Failure> {
    site.remote.open_outputs(to).map_err(|error| {
        let text = format!("`{}` cannot be used: {}", error.given, error.reason);
        match error.hint {
            Some(_) => Failure::plain(FailureKind::Config, text).hint(HINT),
            // Nothing is wrong with the address itself.
            None => Failure::plain(FailureKind::Source, text),
        }
    })
}

/// Returns the failure of a push or a pull of a recipe, whose name is empty as long as nobody knows it.
pub(in crate::workspace) fn failure_of(error: &PushError, place: &str, recipe: &str) -> Failure {
    let whole = |path: &str| format!("{place}/{path}");
    match error {
        PushError::Foreign(document) | PushError::Misplaced { document, .. } => {
            Failure::plain(FailureKind::Lock, error.to_string())
                .hint(format!("nothing was changed; choose another folder, or remove `{}`", whole(document)))
        }
        PushError::BadPath { document, .. } => Failure::plain(FailureKind::Lock, error.to_string())
            .hint(format!("somebody has changed `{}`: push the recipe again", whole(document))),
        PushError::Unknown(_) => Failure::plain(FailureKind::Lock, error.to_string())
            .hint("use the version of datac that has pushed it, or a newer one"),
        PushError::Late(_) => Failure::new(FailureKind::Action, format!("push `{recipe}` to `{place}`: {error}"))
            .hint("nothing of it was replaced; `datac push` again replaces it"),
        PushError::Changed(_) => {
            Failure::plain(FailureKind::Action, error.to_string()).hint(format!("`datac build {recipe}` first"))
        }
        PushError::Damaged { path, .. } => {
            // A push goes by sizes: it does not read what is there.
            Failure::new(FailureKind::Source, format!("get `{recipe}` from `{place}`: {error}")).hint(format!(
                "`datac push` where the recipe is built puts back what is missing; remove `{}` first if it is there",
                whole(path)
            ))
        }
        PushError::Fault(_) | PushError::Lost(_) => {
            let of = if recipe.is_empty() { String::new() } else { format!(" for `{recipe}`") };
            Failure::new(FailureKind::Source, format!("use `{place}`{of}: {error}"))
        }
        PushError::File(error) => driver::file_failure(error),
        PushError::Interrupted => Failure::plain(FailureKind::Interrupted, "interrupted"),
    }
}

impl<'s> Own<'s> {
    fn new(assessed: &'s Assessed, outputs: &'s [OutputFile], lock: FileHash) -> Self {
        let mut files = Vec::with_capacity(outputs.len());
        for output in outputs {
            let kind = OutputKind::of(&output.name);
            let Some((path, target)) = pushed::place_of(&output.name) else { continue };
            // What no row could be made of is for the authors of the recipe.
            if kind.is_none_or(|kind| kind == OutputKind::Quarantine) || path == format!("{target}/{UNFIT}") {
                continue;
            }
            files.push(CurrentFile {
                path: path.to_owned(),
                output: output.name.clone(),
                target: target.to_owned(),
                side: kind.and_then(OutputKind::side),
                rows: output.meta.rows,
                bytes: output.meta.bytes,
                blake3: output.meta.digest,
            });
        }
        let recipe = FileHash::of(&assessed.text.text);
        Self {
            path: &assessed.text.path,
            current: CurrentOutputs::new(&assessed.status.name, recipe, lock, files),
            before: None,
            there: None,
            outputs: outputs.iter().map(|output| (output.name.as_str(), output)).collect(),
        }
    }

    /// Sends what is not there, then the document.
    fn push(&self, site: &Site, remote: &Remote, dry_run: bool) -> Result<PushedRecipe, PushError> {
        let current = &self.current;
        let there = pushed::present(remote, current)?;
        let lacking = pushed::lacking(&current.files, &there);
        let is_new = |file: &CurrentFile| lacking.iter().any(|lacking| lacking.path == file.path);
        let files: Vec<PushedFile> = current
            .files
            .iter()
            .map(|file| PushedFile {
                path: file.path.clone(),
                bytes: file.bytes,
                rows: file.rows,
                is_new: is_new(file),
            })
            .collect();
        let is_replaced = self.before.as_deref() != Some(&*current.encode());
        let mut copied = BTreeSet::new();
        if !dry_run {
            let mut source = Source { site, outputs: &self.outputs, open: None };
            copied = pushed::send(remote, current, self.there.as_ref(), there, &mut source)?;
            if is_replaced {
                pushed::replace(remote, current, self.before.as_deref())?;
            }
        }
        Ok(PushedRecipe {
            recipe: current.recipe.clone(),
            version: current.version,
            before: self.there.as_ref().map(|there| there.version),
            is_new: is_replaced,
            uploaded_bytes: files
                .iter()
                .filter(|file| file.is_new && !copied.contains(&file.path))
                .map(|file| file.bytes)
                .sum(),
            files,
            copied: copied.into_iter().collect(),
        })
    }
}

/// Reads the output files of a recipe.
struct Source<'s> {
    site: &'s Site,
    outputs: &'s BTreeMap<&'s str, &'s OutputFile>,
    open: Option<Open>,
}

/// An output file that is being read.
struct Open {
    file: File,
    path: PathBuf,
    shown: String,
    hasher: Hasher,
    done: u64,
    bytes: u64,
    blake3: FileHash,
}

impl ReadOutput for Source<'_> {
    fn begin(&mut self, file: &CurrentFile) -> Result<(), PushError> {
        let output = self.outputs.get(file.output.as_str()).expect("a document names outputs of its recipe");
        let path = self.site.outputs.file(&output.name);
        self.open = Some(Open {
            file: system::open(&path)?,
            shown: self.site.outputs.relative(&output.name).to_string_lossy().into_owned(),
            path,
            hasher: Hasher::default(),
            done: 0,
            bytes: file.bytes,
            blake3: file.blake3,
        });
        Ok(())
    }

    fn next(&mut self, most: usize) -> Result<Vec<u8>, PushError> {
        let open = self.open.as_mut().expect("a file was begun");
        if self.site.interrupt.load(Ordering::Relaxed) {
            return Err(PushError::Interrupted);
        }
        // What has grown is noticed by its digest; what grows without end is not read without end.
        let left = open.bytes.saturating_add(1).saturating_sub(open.done);
        let mut part = Vec::new();
        let read = (&open.file).take(left.min(most as u64)).read_to_end(&mut part);
        read.map_err(|source| FileError { verb: "read", path: open.path.clone(), source })?;
        open.hasher.update(&part);
        open.done += part.len() as u64;
        let is_end = part.is_empty() || open.done >= open.bytes;
        if open.done > open.bytes || is_end && FileHash::new(open.hasher.clone().finish()) != open.blake3 {
            return Err(PushError::Changed(open.shown.clone()));
        }
        (self.site.observer)(Event::Upload { path: open.shown.clone(), done: open.done, total: open.bytes });
        Ok(part)
    }
}
