//! What a [`Workspace`](super::Workspace) hands out: its recipes, its cache, its history and its outputs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    clean::{self, CleanOptions, Cleaned},
    init::{self, InitFile},
    inventory::{self, Inventory},
    show::{self, Pick, Shown, ShownRow},
    stats::{self, Stats},
    template::{self, NewRecipe},
    validate::{self, Checked},
};
use crate::{
    build::{
        BuildReport,
        depfile::{self, Dependencies},
    },
    cache::{Access, Build, Record, Run, RunId},
    gc::{self, CacheBounds, CacheSize, Collected, Verified},
    provenance::{
        diff::{self, RowsDiff},
        history::{
            log::{self, RunDiff, RunEntry},
            read_manifest,
            why_run::{self, PastExplanation},
        },
        manifest::BuildManifest,
        trace::{self, Journey, Origin, OutputRows},
    },
    selector,
    site::{Found, Site, WorkspaceError},
};
use datac_core::id::FileHash;

/// The recipes of a workspace.
#[derive(Clone, Copy)]
pub struct Recipes<'w> {
    site: &'w Site,
}

impl<'w> Recipes<'w> {
    pub(super) fn of(site: &'w Site) -> Self {
        Self { site }
    }

    /// Reads the recipes that `selectors` name; none: all below `config/`.
    ///
    /// [`Selector`](super::Selector) tells how selectors are written.
    pub fn find(&self, selectors: &[String]) -> Result<Found, WorkspaceError> {
        selector::find(self.site, selectors)
    }

    /// Reads the recipes that `selectors` name and checks them, all of each and each against the others.
    ///
    /// `stdin` is the text of one more recipe, whose path is [`STDIN`](super::STDIN).
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::workspace::{Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings::new(folder.path()));
    /// let text = b"metadata: { phase: sft }\ndatasets: [{ name: a, source: org/name, mix_ratio: 2 }]\n";
    /// let checked = workspace.recipes().validate(&[], Some(text.to_vec())).unwrap();
    /// assert_eq!(checked.recipes[0].problems[0].code, "E0114");
    /// ```
    pub fn validate(&self, selectors: &[String], stdin: Option<Vec<u8>>) -> Result<Checked, WorkspaceError> {
        validate::validate(self.site, selectors, stdin)
    }

    /// Lists the recipes that `selectors` name, what they read and what they write, each with its state; starts no work,
    /// writes nothing, needs no network.
    pub fn inventory(&self, selectors: &[String]) -> Result<Inventory, WorkspaceError> {
        inventory::inventory(self.site, selectors)
    }

    /// Writes the files of a new workspace, with its folder; those that are there stay as they are.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::workspace::{Placed, Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings::new(folder.path().join("new")));
    /// assert!(workspace.recipes().init().unwrap().iter().all(|file| file.outcome == Placed::Written));
    /// assert_eq!(workspace.recipes().find(&[]).unwrap().recipes.len(), 8);
    /// ```
    pub fn init(&self) -> Result<Vec<InitFile>, WorkspaceError> {
        init::init(self.site.root())
    }

    /// Writes a recipe, and the schema that it names for editors where there is none.
    ///
    /// Nothing is written if its name or what it names is wrong, if its outputs would be another recipe's, or if the
    /// file exists.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::workspace::{NewRecipe, Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings::new(folder.path()));
    /// let (name, source) = ("math".to_owned(), "openai/gsm8k".to_owned());
    /// let recipe = NewRecipe { name, source, phase: "sft".into(), format: None, converter: None };
    /// let files = workspace.recipes().create(&recipe).unwrap();
    /// assert_eq!(files[0].path, "config/data/posttrain/sft/math.yaml");
    /// assert!(workspace.recipes().create(&recipe).is_err(), "it is there");
    /// ```
    pub fn create(&self, new: &NewRecipe) -> Result<Vec<InitFile>, WorkspaceError> {
        template::create(self.site, new)
    }
}

/// The cache of a workspace.
#[derive(Clone, Copy)]
pub struct Cache<'w> {
    site: &'w Site,
}

impl<'w> Cache<'w> {
    pub(super) fn of(site: &'w Site) -> Self {
        Self { site }
    }

    /// Returns the folder of the cache, from the root of the file system on; it need not be there yet.
    pub fn dir(&self) -> PathBuf {
        self.site.cache.dir()
    }

    /// Measures how much each part of the cache takes. Writes nothing.
    pub fn size(&self) -> Result<CacheSize, WorkspaceError> {
        gc::cache_size(self.site)
    }

    /// Removes what no current recipe reaches and is beyond the bounds; with `dry_run` says what would be removed, and
    /// writes nothing.
    pub fn collect(&self, bounds: &CacheBounds, dry_run: bool) -> Result<Collected, WorkspaceError> {
        gc::collect(self.site, bounds, dry_run)
    }

    /// Checks every byte of the cache, and removes what is damaged.
    pub fn verify(&self) -> Result<Verified, WorkspaceError> {
        gc::verify(self.site)
    }
}

/// What was built before.
#[derive(Clone, Copy)]
pub struct History<'w> {
    site: &'w Site,
}

impl<'w> History<'w> {
    pub(super) fn of(site: &'w Site) -> Self {
        Self { site }
    }

    /// Returns the runs that are remembered, newest first.
    pub fn runs(&self) -> Result<Vec<(RunId, Run)>, WorkspaceError> {
        Ok(self.record()?.runs()?)
    }

    /// Returns what a run did for each recipe, by path.
    pub fn builds(&self, run: RunId) -> Result<Vec<Build>, WorkspaceError> {
        Ok(self.record()?.builds(run)?)
    }

    /// Returns the builds of a recipe, newest first, by the recipe's path.
    pub fn builds_of(&self, path: &str) -> Result<Vec<(RunId, Build)>, WorkspaceError> {
        Ok(self.record()?.builds_of(path)?)
    }

    /// Returns the last build of a recipe that came to files, by the recipe's path.
    pub fn latest_build(&self, path: &str) -> Result<Option<(RunId, Build)>, WorkspaceError> {
        Ok(self.record()?.latest_build(path)?)
    }

    /// Returns the builds that came to a file of these bytes, newest first.
    pub fn builds_of_file(&self, digest: &FileHash) -> Result<Vec<(RunId, Build)>, WorkspaceError> {
        Ok(self.record()?.builds_of_file(digest)?)
    }

    /// Returns what the files of a build are made of. Reading it writes nothing, however damaged it is.
    pub fn manifest(&self, build: &Build) -> Result<BuildManifest, WorkspaceError> {
        read_manifest(&self.site.cache.store(&self.record()?), build)
    }

    /// Returns the last `limit` runs with what they did, newest first.
    pub fn entries(&self, limit: usize) -> Result<Vec<RunEntry>, WorkspaceError> {
        log::entries(&self.site.cache, limit)
    }

    /// Returns one run, named by its number or as `last`, with what it did.
    pub fn entry(&self, name: &str) -> Result<RunEntry, WorkspaceError> {
        log::entry(&self.site.cache, name)
    }

    /// Returns what differs between what stood after two runs, each named by its number or as `last`.
    ///
    /// A run builds what is stale; what stood after it is the last build of each recipe up to then.
    pub fn diff(&self, old: &str, new: &str) -> Result<RunDiff, WorkspaceError> {
        log::diff(&self.site.cache, old, new)
    }

    /// Explains what a run, named by its number or as `last`, built of a recipe.
    pub fn why(&self, target: &str, run: &str) -> Result<PastExplanation, WorkspaceError> {
        why_run::why_run(self.site, target, run)
    }

    fn record(&self) -> Result<Arc<Record>, WorkspaceError> {
        self.site.cache.record(Access::Read)
    }
}

/// The outputs of a workspace.
#[derive(Clone, Copy)]
pub struct Outputs<'w> {
    site: &'w Site,
}

impl<'w> Outputs<'w> {
    pub(super) fn of(site: &'w Site) -> Self {
        Self { site }
    }

    /// Returns the folder of the outputs; it need not be there yet.
    pub fn dir(&self) -> &'w Path {
        self.site.outputs.dir()
    }

    /// Returns whether `path`, relative to the workspace, is that of an output rather than of something that recipes
    /// read.
    pub fn contains(&self, path: &Path) -> bool {
        path.starts_with(self.site.outputs.relative(""))
    }

    /// Returns the rows of an output, in its order, each with the place it comes from.
    ///
    /// `output` is an output by its path or name, or a recipe for its training file.
    pub fn rows(&self, output: &str) -> Result<OutputRows, WorkspaceError> {
        trace::rows(self.site, output)
    }

    /// Hands `each` the rows of an output, one after another, from the line that `target` names or the first; stops
    /// when `each` returns false.
    ///
    /// `target` is an output by its path or name, or a recipe for its training file, with `:LINE` or without.
    pub fn show(&self, target: &str, pick: &Pick, each: impl FnMut(ShownRow) -> bool) -> Result<Shown, WorkspaceError> {
        show::show(self.site, target, pick, each)
    }

    /// Measures the outputs of the recipes that `selectors` name.
    pub fn stats(&self, selectors: &[String]) -> Result<Stats, WorkspaceError> {
        stats::stats(self.site, selectors)
    }

    /// Tells where a line of an output comes from; lines are counted from 1.
    pub fn trace(&self, output: &str, line: u64) -> Result<Origin, WorkspaceError> {
        trace::trace(self.site, output, line)
    }

    /// Tells where a row of a source went, in every recipe that read it; rows are counted from 0.
    pub fn trace_source(&self, source: &str, file: &str, row: u64) -> Result<Journey, WorkspaceError> {
        trace::trace_source(self.site, source, file, row)
    }

    /// Compares the rows of a recipe's last two builds, or with `versus` an earlier run or a file; at most `limit` rows
    /// of each kind are read.
    pub fn diff(&self, target: &str, versus: Option<&str>, limit: usize) -> Result<RowsDiff, WorkspaceError> {
        diff::diff(self.site, target, versus, limit)
    }

    /// Removes the outputs of the recipes that `selectors` name; none: of all, and of those that are gone.
    pub fn clean(&self, selectors: &[String], options: &CleanOptions) -> Result<Cleaned, WorkspaceError> {
        clean::clean(self.site, selectors, options)
    }

    /// Returns what `make` and `ninja` have to watch to know when the recipes of `report` must be built again.
    ///
    /// `selectors` are those that the build was asked for. Folders are listed because a file that comes or goes changes
    /// nothing but its folder.
    pub fn dependencies(&self, selectors: &[String], report: &BuildReport) -> Result<Dependencies, WorkspaceError> {
        depfile::dependencies(self.site, selectors, report)
    }
}
