//! A workspace: the handle to its recipes, lock, cache and outputs, and the commands that work on them.

mod add;
mod check;
mod clean;
mod doctor;
mod fetch;
mod forecast;
mod handles;
mod init;
mod inspect;
mod inventory;
mod lock;
mod pulled;
mod push;
mod recipe_graph;
mod release;
#[cfg(test)]
mod several;
mod show;
mod stats;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod token_stats;
mod validate;
mod watch;
mod why;

pub use crate::build::depfile::{Dependencies, Depfile};
pub use crate::build::events::{
    BuildEvent, BuildEvents, EVENTS_SCHEMA, EventLine, EventOutput, RecipeEnd, events_schema,
};
pub use crate::build::notes::{Note, NoteKind};
pub use crate::build::worker::{LeftSource, SliceFile, WorkOptions, WorkReport};
pub use crate::graph::Slice;
pub use add::{Add, Added};
pub use check::{FoundRow, Level, ModelCheck, ModelChecks, ModelFinding, Unchecked};
pub use clean::{CleanOptions, Cleaned, CleanedCache, CleanedFile, KeptFile};
pub use doctor::{Finding, Health};
pub use fetch::{FetchFailure, Fetched, FetchedFile};
pub use forecast::Forecast;
pub use handles::{Cache, History, Outputs, Recipes};
pub use init::{InitFile, Placed, SCHEMA_PATH, WORKFLOW, recipe_schema};
pub use inspect::{Inspect, InspectedColumn, InspectedFile, InspectedKind, InspectedReject, Inspection};
pub use inventory::{Inventory, ListedOutput, ListedRecipe, ListedSource};
pub use lock::{LockChange, LockReport, Upgrade};
pub use pulled::{Placement, PullOptions, PullReport, PulledFile};
pub use push::{PulledOutputs, PushOptions, PushReport, Pushed, PushedFile, PushedOutputs, PushedRecipe};
pub use recipe_graph::{Edge, Node, NodeKind, RecipeGraph};
pub use release::{ListedRelease, Pulled, ReleaseList, Released, RemovedReleases};
pub use show::{Condition, Pick, Shown, ShownRow};
pub use stats::{FileStats, Lengths, Numbers, RecipeStats, Stats};
pub use table::OutputTable;
pub use template::NewRecipe;
pub use token_stats::{RoleNumbers, SideTokens, TokenNumbers};
pub use validate::{Checked, CheckedRecipe, STDIN};
pub use watch::{Round, WatchOptions};
pub use why::{Explanation, Step};

pub use crate::{
    build::{BuildOptions, BuildReport, Done, RecipeReport},
    cache::{Build, Run, RunId, RunOutcome},
    driver::{Make, makes_nothing},
    gc::{CacheBounds, CachePart, CacheSize, Collected, Damaged, PartSize, Removed, Verified},
    provenance::{
        blame::{Blame, BlamedRow, MadeOf},
        diff::{DiffRow, DiffSide, RowPair, RowsDiff, SourceRows, TokenPair},
        history::{
            log::{FileDiff, RecipeDiff, RunDiff, RunEntry, RunFile, RunRecipe, rfc3339},
            why_run::{CacheMiss, MissKind, PastBuild, PastExplanation, PastReason},
        },
        manifest::{BuildManifest, MadeChunk, MadeFrom, MadeSource, ManifestError},
        summary::{SourceSummary, Summary},
        trace::{
            DroppedRow, DroppedRows, Fate, FateOf, FileAsBuilt, Findings, Identified, Journey, Mixed, Origin,
            OutputLine, OutputRow, OutputRows, Passed, Rejected, Repairs, SampleOf, SeenPart, SeenRow, SeenRun,
            SeenSequence, SourcePlace, SourceText, Split, Twin, split_place,
        },
    },
    selector::{Pattern, Selector, Term, asks_for_state},
    site::{
        Configuration, Discovered, EffectiveSetting, Found, Given, RecipeText, SettingOrigin, Settings, WorkspaceError,
        discover,
    },
    source::lock::{LOCK_SCHEMA, schema as lock_schema},
    status::{Assessment, FileState, FileStatus, RecipeStatus, State, plan_cache::PlanCache},
};
use crate::{
    build::{order, worker},
    cache::Access,
    selector::assess_selected,
    site::Site,
    status::assess::Looks,
};
pub use datac_core::{
    config::{
        FORMATS, MAX_BYTES, Page, Part, Problem, RECIPE_SCHEMA, SETTINGS_FILE, SETTINGS_SCHEMA, SettingKey,
        SettingValue, Taken, pages, settings_schema,
    },
    id::FileHash,
};

/// A folder with recipes, and the operations on it.
///
/// Operations on one part of the workspace are methods of that part: [`recipes`](Self::recipes),
/// [`cache`](Self::cache), [`history`](Self::history), [`outputs`](Self::outputs).
pub struct Workspace {
    settings: Settings,
    site: Site,
}

impl Workspace {
    /// Opens a workspace. Reads and writes nothing.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::workspace::{Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings::new(folder.path()));
    /// assert!(workspace.recipes().find(&[]).unwrap().recipes.is_empty());
    /// ```
    pub fn open(settings: Settings) -> Self {
        Self { site: Site::new(&settings), settings }
    }

    /// Returns the settings that the workspace was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the recipes: finds, checks, lists and writes them.
    pub fn recipes(&self) -> Recipes<'_> {
        Recipes::of(&self.site)
    }

    /// Returns the cache: measures it and removes entries.
    pub fn cache(&self) -> Cache<'_> {
        Cache::of(&self.site)
    }

    /// Returns the history: runs, their builds, and the differences between them.
    pub fn history(&self) -> History<'_> {
        History::of(&self.site)
    }

    /// Returns the outputs: shows, measures, traces, compares and removes them.
    pub fn outputs(&self) -> Outputs<'_> {
        Outputs::of(&self.site)
    }

    /// Returns the states of the recipes that `selectors` match. Runs no actions, writes nothing and needs no
    /// network.
    pub fn status(&self, selectors: &[String]) -> Result<Assessment, WorkspaceError> {
        let record = self.site.cache.record(Access::Read)?;
        let session = assess_selected(&self.site, record, selectors, Looks::default())?;
        Ok(session.into_assessment())
    }

    /// Returns the states of the recipes that `selectors` match, and what a build of them would take from the shared cache. Asks the
    /// shared cache; runs no actions and writes nothing.
    pub fn forecast(&self, selectors: &[String]) -> Result<(Assessment, Forecast), WorkspaceError> {
        forecast::forecast(&self.site, selectors)
    }

    /// Explains the state of a recipe, given by path, by name or by one of its outputs.
    pub fn why(&self, target: &str) -> Result<Explanation, WorkspaceError> {
        why::why(&self.site, target)
    }

    /// Builds the recipes that `selectors` match. A recipe that reads what another one writes is built after it.
    ///
    /// If a recipe cannot be built, only the recipes that read from it are skipped. The report has the result of each
    /// recipe.
    pub fn build(&self, selectors: &[String], options: &BuildOptions) -> Result<BuildReport, WorkspaceError> {
        order::build(&self.site, selectors, options)
    }

    /// Works on a slice of the source files that the recipes which `selectors` match read, and adds what was made of them to the
    /// shared cache, from where a build takes it. What of it is there already is not made again.
    pub fn work(&self, selectors: &[String], options: &WorkOptions) -> Result<WorkReport, WorkspaceError> {
        worker::work(&self.site, selectors, options)
    }

    /// Builds the recipes that `selectors` match, and builds again whenever one of their files, their sources, their
    /// outputs or `datac.lock` changes, until the workspace is interrupted or `each` returns false.
    pub fn watch(
        &self,
        selectors: &[String],
        options: WatchOptions,
        each: impl FnMut(Round) -> bool,
    ) -> Result<(), WorkspaceError> {
        watch::watch(&self.site, selectors, options, each)
    }

    /// Pins the sources of the selected recipes, and moves pins as `upgrade` says.
    ///
    /// With `check`, nothing is written, and the report says what would change. Without selectors, pins that no
    /// recipe uses are removed.
    pub fn lock(&self, selectors: &[String], upgrade: &Upgrade, check: bool) -> Result<LockReport, WorkspaceError> {
        lock::lock(&self.site, selectors, upgrade, check)
    }

    /// Adds missing pins to datac.lock, and downloads every file that the selected recipes read.
    ///
    /// With `locked`, a source that is not in the lock is a failure. Failures do not stop the other downloads.
    pub fn fetch(&self, selectors: &[String], locked: bool) -> Result<Fetched, WorkspaceError> {
        fetch::fetch(&self.site, selectors, locked)
    }

    /// Puts the outputs of the selected recipes, all of which must be up to date, under a name (`NAME@VERSION`) in the shared cache,
    /// from which [`pull`](Self::pull) gets them back. A name stands for the same bytes for ever.
    pub fn release(&self, name: &str, selectors: &[String]) -> Result<Released, WorkspaceError> {
        release::release(&self.site, name, selectors)
    }

    /// Lists the releases in the shared cache: all of them, those of a name, or the one that `NAME@VERSION` names.
    pub fn releases(&self, wanted: Option<&str>) -> Result<ReleaseList, WorkspaceError> {
        release::list(&self.site, wanted)
    }

    /// Removes releases (`NAME@VERSION`), and the pieces that no other one needs. Without names, only the latter, which killed releases have
    /// left behind.
    pub fn remove_releases(&self, names: &[String], dry_run: bool) -> Result<RemovedReleases, WorkspaceError> {
        release::remove(&self.site, names, dry_run)
    }

    /// Puts files in place, each whole, with every byte checked: those of a release (`NAME@VERSION`), or of the current version of a
    /// recipe that was pushed to a folder or a bucket (`s3://bucket/folder/sft/general`).
    ///
    /// Files that are there with the same bytes stay as they are. If any has other bytes, nothing is written, unless that is forced.
    pub fn pull(&self, from: &str, options: &PullOptions) -> Result<PullReport, WorkspaceError> {
        if push::is_place(from) {
            return push::pull(&self.site, from, options).map(PullReport::Outputs);
        }
        release::pull(&self.site, from, options).map(PullReport::Release)
    }

    /// Writes outputs of recipes that are up to date to where others read them. Files that are there are not sent.
    ///
    /// `hf://ORG/NAME` is a dataset repository of the Hub, which gets the files of one target in one commit. `s3://bucket/folder`, `gs://…`,
    /// `az://…` and paths of folders get all outputs of each recipe, as a version that never changes, beside a document that says which
    /// version is current.
    pub fn push(&self, to: &str, selectors: &[String], options: &PushOptions) -> Result<PushReport, WorkspaceError> {
        push::push(&self.site, to, selectors, options)
    }

    /// Checks what the models of the selected recipes see: rows that are refused, turns that do not end, what templates drop.
    /// The recipes must be up to date: nothing is rendered. Writes nothing.
    pub fn check(&self, selectors: &[String]) -> Result<ModelChecks, WorkspaceError> {
        check::check(&self.site, selectors)
    }

    /// Looks at a source that no recipe need name: its files, columns and rows, and what a recipe would make of the first
    /// rows. Nothing is written but downloads.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::workspace::{Inspect, Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings { hub: Some("sample".into()), ..Settings::new(folder.path()) });
    /// let asked = Inspect { rows: 100, ..Inspect::of("openai/gsm8k") };
    /// let found = workspace.inspect(&asked).unwrap();
    /// assert_eq!((found.kinds[0].phase.as_str(), found.kinds[0].converter.as_deref()), ("sft", Some("gsm8k")));
    /// ```
    pub fn inspect(&self, asked: &Inspect) -> Result<Inspection, WorkspaceError> {
        inspect::inspect(&self.site, asked)
    }

    /// Adds a source to a recipe, or makes a recipe of it, if rows of it can be used. The rest of the recipe's text stays as
    /// it is, but for the shares of the other datasets.
    pub fn add(&self, what: &Add) -> Result<Added, WorkspaceError> {
        add::add(&self.site, what)
    }

    /// Checks everything that a build depends on. Contacts the hub once, unless the network is disabled. Writes
    /// nothing except a temporary file, which is removed.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac_engine::workspace::{Health, Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings { hub: Some("sample".into()), ..Settings::new(folder.path()) });
    /// let findings = workspace.doctor();
    /// assert_eq!(findings.iter().find(|finding| finding.name == "hub").unwrap().health, Health::Ok);
    /// ```
    pub fn doctor(&self) -> Vec<Finding> {
        doctor::doctor(&self.site)
    }
}
