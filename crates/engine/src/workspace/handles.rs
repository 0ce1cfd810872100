//! The handles that a [`Workspace`](super::Workspace) provides: its recipes, its cache, its history and its outputs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    clean::{self, CleanOptions, Cleaned},
    init::{self, InitFile},
    inventory::{self, Inventory},
    show::{self, Pick, Shown, ShownRow},
    stats::{self, Stats},
    table::{self, OutputTable},
    template::{self, NewRecipe},
    validate::{self, Checked},
};
use crate::{
    build::{
        BuildReport,
        depfile::{self, Dependencies},
        shared::Shared,
    },
    cache::{Access, Build, Record, Run, RunId},
    gc::{self, CacheBounds, CacheSize, Collected, Verified},
    provenance::{
        blame::{self, Blame},
        diff::{self, RowsDiff},
        history::{
            log::{self, RunDiff, RunEntry},
            read_manifest,
            why_run::{self, PastExplanation},
        },
        manifest::BuildManifest,
        trace::{self, DroppedRow, DroppedRows, Identified, Journey, Origin, OutputRows, SeenRow},
    },
    remote::{SharedCollected, SharedSize, SharedVerified},
    selector,
    site::{Found, Site, WorkspaceError},
};
use datac_core::{id::FileHash, shape::facts::Column};

/// The recipes of a workspace.
#[derive(Clone, Copy)]
pub struct Recipes<'w> {
    site: &'w Site,
}

impl<'w> Recipes<'w> {
    pub(super) fn of(site: &'w Site) -> Self {
        Self { site }
    }

    /// Reads the recipes that `selectors` match; without selectors, all recipes below `config/`.
    ///
    /// [`Selector`](super::Selector) describes the syntax.
    pub fn find(&self, selectors: &[String]) -> Result<Found, WorkspaceError> {
        selector::find(self.site, selectors)
    }

    /// Reads the recipes that `selectors` match and checks them, individually and against each other.
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

    /// Lists the recipes that `selectors` match, what they read and write, and their states. Runs no actions, writes
    /// nothing and needs no network.
    pub fn inventory(&self, selectors: &[String]) -> Result<Inventory, WorkspaceError> {
        inventory::inventory(self.site, selectors)
    }

    /// Writes the files of a new workspace, and creates its folder. Existing files are not changed.
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

    /// Writes a new recipe, and the schema that it names for editors if that does not exist.
    ///
    /// Nothing is written if the recipe would be invalid, if another recipe writes the same outputs, or if the file
    /// exists.
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

    /// Returns the absolute path of the cache folder, which may not exist yet.
    pub fn dir(&self) -> PathBuf {
        self.site.cache.dir()
    }

    /// Measures how much each part of the cache takes. Writes nothing.
    pub fn size(&self) -> Result<CacheSize, WorkspaceError> {
        gc::cache_size(self.site)
    }

    /// Removes unreachable entries beyond the bounds. With `dry_run`, returns what would be removed, and writes
    /// nothing.
    pub fn collect(&self, bounds: &CacheBounds, dry_run: bool) -> Result<Collected, WorkspaceError> {
        gc::collect(self.site, bounds, dry_run)
    }

    /// Checks every byte of the cache, and removes damaged entries.
    pub fn verify(&self) -> Result<Verified, WorkspaceError> {
        gc::verify(self.site)
    }

    /// Measures the shared cache.
    pub fn shared_size(&self) -> Result<SharedSize, WorkspaceError> {
        Shared::named(self.site)?.size()
    }

    /// Removes from the shared cache what was published longer than `max_age` ago, and what nothing names.
    pub fn shared_collect(&self, max_age: Duration, dry_run: bool) -> Result<SharedCollected, WorkspaceError> {
        Shared::named(self.site)?.collect(max_age, dry_run)
    }

    /// Checks every byte of the shared cache, and removes damaged objects.
    pub fn shared_verify(&self) -> Result<SharedVerified, WorkspaceError> {
        Shared::named(self.site)?.verify(self.site)
    }
}

/// The history of builds.
#[derive(Clone, Copy)]
pub struct History<'w> {
    site: &'w Site,
}

impl<'w> History<'w> {
    pub(super) fn of(site: &'w Site) -> Self {
        Self { site }
    }

    /// Returns all recorded runs, newest first.
    pub fn runs(&self) -> Result<Vec<(RunId, Run)>, WorkspaceError> {
        Ok(self.record()?.runs()?)
    }

    /// Returns the builds of a run, ordered by path.
    pub fn builds(&self, run: RunId) -> Result<Vec<Build>, WorkspaceError> {
        Ok(self.record()?.builds(run)?)
    }

    /// Returns the builds of the recipe at `path`, newest first.
    pub fn builds_of(&self, path: &str) -> Result<Vec<(RunId, Build)>, WorkspaceError> {
        Ok(self.record()?.builds_of(path)?)
    }

    /// Returns the last build of the recipe at `path` that has a manifest.
    pub fn latest_build(&self, path: &str) -> Result<Option<(RunId, Build)>, WorkspaceError> {
        Ok(self.record()?.latest_build(path)?)
    }

    /// Returns the builds that produced a file with this digest, newest first.
    pub fn builds_of_file(&self, digest: &FileHash) -> Result<Vec<(RunId, Build)>, WorkspaceError> {
        Ok(self.record()?.builds_of_file(digest)?)
    }

    /// Returns the manifest of a build. Never writes, even if the manifest is damaged.
    pub fn manifest(&self, build: &Build) -> Result<BuildManifest, WorkspaceError> {
        read_manifest(&self.site.cache.store(&self.record()?), build)
    }

    /// Returns the last `limit` runs and what they did, newest first.
    pub fn entries(&self, limit: usize) -> Result<Vec<RunEntry>, WorkspaceError> {
        log::entries(&self.site.cache, limit)
    }

    /// Returns a run, named by its number or as `last`, and what it did.
    pub fn entry(&self, name: &str) -> Result<RunEntry, WorkspaceError> {
        log::entry(&self.site.cache, name)
    }

    /// Compares the outputs after two runs, each named by its number or as `last`.
    ///
    /// A run only builds recipes that are out of date, so the outputs after a run are those of each recipe's last
    /// build up to that run.
    pub fn diff(&self, old: &str, new: &str) -> Result<RunDiff, WorkspaceError> {
        log::diff(&self.site.cache, old, new)
    }

    /// Explains why a run, named by its number or as `last`, built a recipe.
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

    /// Returns the folder of the outputs, which may not exist yet.
    pub fn dir(&self) -> &'w Path {
        self.site.outputs.dir()
    }

    /// Returns whether `path`, relative to the workspace, is inside the output folder.
    pub fn contains(&self, path: &Path) -> bool {
        path.starts_with(self.site.outputs.relative(""))
    }

    /// Returns the rows of an output in order, each with its origin.
    ///
    /// `output` is an output by its path or name, or a recipe for its training file.
    pub fn rows(&self, output: &str) -> Result<OutputRows, WorkspaceError> {
        trace::rows(self.site, output)
    }

    /// Finds an output, for programs that read its file. The file must be as it was built.
    ///
    /// `output` is an output by its path or name, or a recipe for its training file.
    pub fn table(&self, output: &str) -> Result<OutputTable, WorkspaceError> {
        table::table(self.site, output)
    }

    /// Returns the columns of the rows of an output: those that any sample of the recipe needs, on whatever side.
    ///
    /// `output` as for [`table`](Self::table). The cache must hold what the output was made of.
    pub fn columns(&self, output: &str) -> Result<Vec<Column>, WorkspaceError> {
        table::columns(self.site, output)
    }

    /// Calls `each` with the rows of an output, beginning at the line that `target` names or at the first, until
    /// `each` returns false.
    ///
    /// `target` is an output by its path or name, or a recipe for its training file, optionally followed by `:LINE`.
    pub fn show(&self, target: &str, pick: &Pick, each: impl FnMut(ShownRow) -> bool) -> Result<Shown, WorkspaceError> {
        show::show(self.site, target, pick, each)
    }

    /// Calls `each` with the rejected rows of a recipe as its quarantine file has them, until `each` returns false.
    ///
    /// `target` is a recipe or one of its outputs; with `reason`, only rows that were rejected for that are shown.
    pub fn show_rejected(
        &self,
        target: &str,
        reason: Option<&str>,
        pick: &Pick,
        each: impl FnMut(ShownRow) -> bool,
    ) -> Result<Shown, WorkspaceError> {
        show::show_rejected(self.site, target, reason, pick, each)
    }

    /// Calls `each` with up to `limit` rows that a filter of a recipe drops, until `each` returns false.
    ///
    /// `target` is a recipe or one of its outputs, `filter` the `type` of one of its filters, or
    /// `column:` with the column.
    pub fn dropped(
        &self,
        target: &str,
        filter: &str,
        limit: u64,
        each: impl FnMut(DroppedRow) -> bool,
    ) -> Result<DroppedRows, WorkspaceError> {
        trace::dropped(self.site, target, filter, limit, each)
    }

    /// Calls `each` with up to `limit` rows of an output as the recipe's model sees them, from line `first` on (from 1), until
    /// `each` returns false.
    ///
    /// `output` is an output by its path or name, or a recipe for its training file.
    pub fn seen(
        &self,
        output: &str,
        first: u64,
        limit: u64,
        each: impl FnMut(SeenRow) -> bool,
    ) -> Result<(), WorkspaceError> {
        trace::seen(self.site, output, first, limit, each)
    }

    /// Measures the outputs of the recipes that `selectors` match.
    pub fn stats(&self, selectors: &[String]) -> Result<Stats, WorkspaceError> {
        stats::stats(self.site, selectors)
    }

    /// Traces a line of an output, counted from 1, back to its source row.
    pub fn trace(&self, output: &str, line: u64) -> Result<Origin, WorkspaceError> {
        trace::trace(self.site, output, line)
    }

    /// Traces a source row, counted from 0, through every recipe that has been built.
    pub fn trace_source(&self, source: &str, file: &str, row: u64) -> Result<Journey, WorkspaceError> {
        trace::trace_source(self.site, source, file, row)
    }

    /// Traces the `id` of a row to the source rows that it was made of, and those through every recipe that has been built.
    pub fn trace_id(&self, id: &str) -> Result<Identified, WorkspaceError> {
        trace::trace_id(self.site, id)
    }

    /// Names the rows that a model was trained on in a step, by the `id`s in logs of training: JSON lines with `step` and `ids`.
    pub fn blame(&self, logs: &[PathBuf], step: u64) -> Result<Blame, WorkspaceError> {
        blame::blame(self.site, logs, step)
    }

    /// Compares the rows of a recipe's last two builds, or of its last build with `versus`, an earlier run or a file.
    /// At most `limit` rows of each kind are returned.
    pub fn diff(&self, target: &str, versus: Option<&str>, limit: usize) -> Result<RowsDiff, WorkspaceError> {
        diff::diff(self.site, target, versus, limit)
    }

    /// Removes the outputs of the recipes that `selectors` match; without selectors, of all recipes, including
    /// deleted ones.
    pub fn clean(&self, selectors: &[String], options: &CleanOptions) -> Result<Cleaned, WorkspaceError> {
        clean::clean(self.site, selectors, options)
    }

    /// Returns the files that `make` and `ninja` must watch to know when the recipes of `report` are out of date.
    ///
    /// `selectors` are the arguments of the build. Folders are listed because adding or removing a file changes only
    /// its folder.
    pub fn dependencies(&self, selectors: &[String], report: &BuildReport) -> Result<Dependencies, WorkspaceError> {
        depfile::dependencies(self.site, selectors, report)
    }
}
