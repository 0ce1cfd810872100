//! A workspace: recipes, lock, cache and outputs, and what can be asked of them.

mod assess;
mod build;
mod cache;
mod chain;
mod choose;
mod clean;
mod collect;
mod depfile;
mod diff;
mod doctor;
mod events;
mod fetch;
mod find;
mod first_look;
mod guard;
mod history;
mod init;
mod kept;
mod log;
mod manifest;
mod past;
mod picture;
mod pins;
mod placed;
mod reach;
mod report;
mod select;
mod show;
mod stats;
mod status;
mod survey;
mod template;
mod trace;
mod validate;
mod verify;
mod watch;
mod why;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

pub use build::{BuildOptions, BuildReport, RecipeReport};
pub use cache::{CachePart, CacheSize, PartSize};
pub use clean::{CleanOptions, Cleaned, CleanedCache, CleanedFile, KeptFile};
pub use collect::{CacheBounds, Collected, Removed};
pub use depfile::{Dependencies, Depfile};
pub use diff::{DiffRow, DiffSide, RowPair, RowsDiff, SourceRows};
pub use doctor::{Finding, Health};
pub use events::{BuildEvent, EVENTS_SCHEMA, EventLine, EventOutput, RecipeEnd, events_schema};
pub use fetch::{FetchFailure, Fetched, FetchedFile};
pub use find::{Found, RecipeText};
pub use init::{InitFile, Placed, SCHEMA_PATH, WORKFLOW, recipe_schema};
pub use kept::KeptPlan;
pub use log::{FileDiff, RecipeDiff, RunDiff, RunEntry, RunFile, RunRecipe, rfc3339};
pub use manifest::{BuildManifest, MadeChunk, MadeFile, MadeFrom, MadeSource, ManifestError};
pub use past::{CacheMiss, MissKind, PastBuild, PastExplanation, PastReason};
pub use picture::{Edge, Node, NodeKind, Picture};
pub use pins::{LockChange, LockReport, Upgrade};
pub use report::{SourceSummary, Summary};
pub use select::{Pattern, Selector, Term, asks_for_state};
pub use show::{Condition, Pick, Shown, ShownRow};
pub use stats::{FileStats, Numbers, RecipeStats, Stats};
pub use status::{Assessment, FileState, FileStatus, Reason, RecipeStatus, State};
pub use survey::{Survey, SurveyedOutput, SurveyedRecipe, SurveyedSource};
pub use template::NewRecipe;
use trace::Located;
pub use trace::{
    Fate, FateOf, FileAsBuilt, Journey, Mixed, Origin, OutputLine, OutputRow, OutputRows, Passed, Rejected,
    SourcePlace, SourceText, Split, Twin, split_place,
};
pub use validate::{Checked, CheckedRecipe, STDIN};
pub use verify::{Damaged, Verified};
pub use watch::{Round, WatchOptions};
pub use why::{Explanation, Step};

use crate::{
    artifact::{Access, CACHE_VERSION, Record, Store},
    config::{ConverterWord, Problem, Vocabulary},
    convert,
    driver::files,
    event::{Event, Observer},
    failure::{Failure, FailureKind},
    source::{Hub, SourceError, folder::FolderHub, sample::SampleHub},
    system,
};
pub use crate::{
    artifact::{Build, Run, RunId, RunOutcome},
    config::RECIPE_SCHEMA,
    source::lock::{LOCK_SCHEMA, schema as lock_schema},
};

/// Where everything is and how it may be reached.
#[derive(Clone)]
pub struct Settings {
    /// The workspace's folder.
    pub root: PathBuf,
    /// The cache; default `cache` in the workspace.
    pub cache_dir: Option<PathBuf>,
    /// Where outputs go; default `dataset` in the workspace.
    pub output_dir: Option<PathBuf>,
    /// A URL, a folder or `sample`; default: the public Hub.
    pub hub: Option<String>,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Set when the user wants to stop.
    pub interrupt: Arc<AtomicBool>,
    /// Told of everything that happens.
    pub observer: Observer,
}

impl Settings {
    /// The defaults for a workspace at `root`, with no one watching.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cache_dir: None,
            output_dir: None,
            hub: None,
            offline: false,
            interrupt: Arc::default(),
            observer: Arc::new(|_| {}),
        }
    }
}

/// What keeps a command from doing anything at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// Something failed, with what to do about it.
    #[error("{0}")]
    Failure(Failure),
    /// Recipes are broken.
    #[error("{} problems in recipes", .0.len())]
    Problems(Vec<Problem>),
    /// Another process builds, and waiting was not wanted.
    #[error("take the workspace's lock: {holder} holds it")]
    Locked {
        /// What the other process left about itself.
        holder: String,
    },
}

impl From<Failure> for WorkspaceError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<system::FileError> for WorkspaceError {
    fn from(error: system::FileError) -> Self {
        Self::Failure(crate::driver::file_failure(&error))
    }
}

impl From<crate::artifact::RecordError> for WorkspaceError {
    fn from(error: crate::artifact::RecordError) -> Self {
        let failure = Failure::new(FailureKind::Cache, error.to_string());
        Self::Failure(if error.is_full { failure.hint(crate::driver::FREE_SOME_SPACE) } else { failure })
    }
}

/// A folder with recipes.
pub struct Workspace {
    settings: Settings,
    cache: PathBuf,
    output_dir: PathBuf,
    vocabulary: Arc<Vocabulary>,
    /// Broken recipes that selectors passed over, told once.
    left_out: Mutex<BTreeSet<PathBuf>>,
}

impl Workspace {
    /// Opens a workspace; nothing is read or written yet.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use datac::workspace::{Settings, Workspace};
    ///
    /// let workspace = Workspace::open(Settings::new(folder.path()));
    /// assert!(workspace.find(&[]).unwrap().recipes.is_empty());
    /// ```
    pub fn open(settings: Settings) -> Self {
        let within = |chosen: &Option<PathBuf>, default: &str| {
            settings.root.join(chosen.as_deref().unwrap_or(Path::new(default)))
        };
        let cache = within(&settings.cache_dir, "cache").join(CACHE_VERSION);
        let output_dir = within(&settings.output_dir, "dataset");
        Self { cache, output_dir, vocabulary: Arc::new(vocabulary()), settings, left_out: Mutex::default() }
    }

    /// The output folder.
    pub fn output_dir(&self) -> &Path {
        &self.output_dir
    }

    /// The workspace's folder.
    pub fn root(&self) -> &Path {
        &self.settings.root
    }

    /// Whether datasets come from the sample inside the binary.
    pub fn is_on_sample(&self) -> bool {
        matches!(self.hub_choice(), HubChoice::Sample)
    }

    fn store(&self, record: &Arc<Record>) -> Store {
        Store::new(&self.cache, record.clone())
    }

    fn record(&self, access: Access) -> Result<Arc<Record>, WorkspaceError> {
        let observer = self.settings.observer.clone();
        let record = Record::open(&self.cache, access, Arc::new(move |warning| observer(Event::Warning(warning))))?;
        Ok(Arc::new(record))
    }

    /// The name of the hub in force, as locks record it.
    fn hub_name(&self) -> Result<String, WorkspaceError> {
        Ok(match self.hub_choice() {
            HubChoice::Sample => "sample".to_owned(),
            HubChoice::Folder(_) => "folder".to_owned(),
            HubChoice::Http(url) => url.trim_end_matches('/').to_owned(),
        })
    }

    fn hub_choice(&self) -> HubChoice {
        match self.settings.hub.as_deref() {
            Some("sample") => HubChoice::Sample,
            Some(url) if url.contains("://") => HubChoice::Http(url.to_owned()),
            Some(folder) => HubChoice::Folder(self.settings.root.join(folder)),
            None => HubChoice::Http(default_endpoint()),
        }
    }

    fn hub(&self, record: &Arc<Record>) -> Result<Arc<dyn Hub>, WorkspaceError> {
        match self.hub_choice() {
            HubChoice::Sample => Ok(Arc::new(SampleHub)),
            HubChoice::Folder(folder) => {
                if !system::is_dir(&folder) {
                    let given = self.settings.hub.as_deref().unwrap_or_default();
                    let failure = Failure::new(FailureKind::Source, format!("use hub `{given}`: no such folder"));
                    return Err(failure
                        .hint("`--hub` takes a URL, a folder laid out <org>/<name>/…, or `sample`")
                        .into());
                }
                let record = record.clone();
                Ok(Arc::new(FolderHub::new(folder, Arc::new(move |path| files::digest(&record, path)))))
            }
            HubChoice::Http(url) => self.http_hub(url).map_err(|error| crate::driver::failure_of(&error).into()),
        }
    }

    #[cfg(feature = "hub")]
    fn http_hub(&self, url: String) -> Result<Arc<dyn Hub>, SourceError> {
        use crate::source::hub::{self, HttpHub, HubConfig, Limits};
        let observer = self.settings.observer.clone();
        let config = HubConfig {
            endpoint: url,
            token: hub::find_token(),
            offline: self.settings.offline || hub::env_offline(),
            store: self.cache.join(crate::artifact::DOWNLOADS),
            progress: Arc::new(move |event| observer(download_event(event))),
            limits: Limits::default(),
        };
        Ok(Arc::new(HttpHub::new(config)?))
    }

    #[cfg(not(feature = "hub"))]
    fn http_hub(&self, url: String) -> Result<Arc<dyn Hub>, SourceError> {
        Err(SourceError::BadHub { hub: url, reason: "this datac was built without the `hub` feature".into() })
    }
}

/// Returns what a download tells as an event of the build.
#[cfg(feature = "hub")]
fn download_event(event: crate::source::hub::DownloadEvent) -> Event {
    use crate::source::hub::DownloadEvent as D;
    match event {
        D::Started { path, size, kept } => Event::Download { path, done: kept, total: size },
        D::Progress { path, size, received } => Event::Download { path, done: received, total: size },
        D::Finished { path, size } => Event::Download { path, done: size, total: size },
        D::Locked { path } => Event::Waiting { holder: format!("another process that downloads {path}") },
        D::Restarted { path, reason } => Event::Warning(format!("{path}: {reason}; downloading it again")),
        D::Damaged { path, .. } => {
            Event::Warning(format!("{path}: the downloaded copy was damaged; downloading it again"))
        }
        D::Waiting { what, reason, wait, .. } => {
            Event::Warning(format!("{what}: {reason}; trying again in {:.1} s", wait.as_secs_f64()))
        }
    }
}

enum HubChoice {
    Sample,
    Folder(PathBuf),
    Http(String),
}

fn default_endpoint() -> String {
    system::env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned())
}

/// The words recipes may use.
fn vocabulary() -> Vocabulary {
    let converters = convert::CONVERTERS.iter().map(|converter| ConverterWord {
        name: converter.name().to_owned(),
        kind: converter.kind(),
        options: converter
            .options()
            .iter()
            .map(|option| (option.name.to_owned(), option.values.iter().map(|value| (*value).to_owned()).collect()))
            .collect(),
    });
    Vocabulary { converters: converters.collect() }
}
