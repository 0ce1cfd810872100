//! The parts of a workspace on disk: recipes, `datac.lock`, cache, outputs and hub.
//!
//! Each part has its own handle. A function takes the handles that it needs; one that needs all of them takes the
//! whole [`Site`].

mod cache_folder;
mod configuration;
mod discover;
mod error;
mod hub;
mod id_rows;
mod lock_store;
mod output_folder;
mod output_rows;
mod recipe_folder;
mod settings;

pub(crate) use cache_folder::{CacheFolder, IfHeld};
pub use configuration::{Configuration, EffectiveSetting, Given, SettingOrigin};
pub use discover::{Discovered, discover};
pub use error::WorkspaceError;
pub(crate) use hub::HubAccess;
pub(crate) use lock_store::{LockStore, short};
pub(crate) use output_folder::OutputFolder;
pub(crate) use output_rows::lines_of;
pub use recipe_folder::{Found, RecipeText};
pub(crate) use recipe_folder::{NamedPath, RecipeFolder, local_sources, local_sources_of, name_of, relative, walk};
pub use settings::Settings;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use crate::{
    cache::{CACHE_VERSION, DOWNLOADS, Record, stat_cache},
    event::{Event, Observer},
    remote::RemoteAccess,
    source::{Source, local::LocalFiles},
    system::{self, FileError},
};
use datac_core::{
    code::CodeVersions,
    config::{ConverterWord, Vocabulary, is_in_bucket},
    convert,
    id::FileHash,
};

/// The parts of a workspace.
pub(crate) struct Site {
    pub(crate) recipes: RecipeFolder,
    pub(crate) lock: LockStore,
    pub(crate) cache: CacheFolder,
    pub(crate) outputs: OutputFolder,
    pub(crate) hub: HubAccess,
    /// The interpreter for functions in Python, if one was chosen.
    pub(crate) python: Option<PathBuf>,
    pub(crate) remote: RemoteAccess,
    /// Receives all events.
    pub(crate) observer: Observer,
    /// Set when the user interrupts datac.
    pub(crate) interrupt: Arc<AtomicBool>,
    /// Versions of the code that decides bytes.
    pub(crate) versions: CodeVersions,
}

impl Site {
    /// Creates handles to the parts that `settings` choose. Reads and writes nothing.
    pub(crate) fn new(settings: &Settings) -> Self {
        let root = &settings.root;
        let words = Vocabulary { defaults: settings.defaults.clone(), ..vocabulary() };
        let within =
            |chosen: &Option<PathBuf>, default: &str| root.join(chosen.as_deref().unwrap_or(Path::new(default)));
        let observer = settings.observer.clone();
        let cache = within(&settings.cache_dir, "cache").join(CACHE_VERSION);
        Self {
            recipes: RecipeFolder::new(root.clone(), Arc::new(words), observer.clone()),
            lock: LockStore::new(root.join("datac.lock")),
            cache: CacheFolder::new(cache, observer.clone()),
            outputs: OutputFolder::new(root.clone(), within(&settings.output_dir, "dataset")),
            hub: HubAccess::new(settings, observer.clone()),
            python: settings.python.clone(),
            remote: RemoteAccess::new(settings.remote.clone(), root, settings.offline, settings.signing.clone()),
            observer,
            interrupt: settings.interrupt.clone(),
            versions: settings.versions.clone(),
        }
    }

    /// Returns handles for a look at the sources of this workspace: cache, outputs and a copy of the lock are in `folder`.
    pub(crate) fn aside(&self, folder: &Path) -> Result<Self, FileError> {
        let silent: Observer = {
            let observer = self.observer.clone();
            Arc::new(move |event| {
                if matches!(event, Event::Waiting { .. } | Event::Warning(_) | Event::Download { .. }) {
                    observer(event);
                }
            })
        };
        let lock = folder.join("datac.lock");
        if let Ok(text) = self.lock.bytes() {
            system::replace(&lock, &text)?;
        }
        let cache = folder.join("cache").join(CACHE_VERSION);
        Ok(Self {
            recipes: RecipeFolder::new(self.root().to_owned(), self.recipes.vocabulary().clone(), silent.clone()),
            lock: LockStore::new(lock),
            cache: CacheFolder::new(cache, silent.clone()),
            outputs: OutputFolder::new(self.root().to_owned(), folder.join("dataset")),
            hub: self.hub.for_a_look(),
            python: self.python.clone(),
            // A look at a source makes nothing that others would need.
            remote: RemoteAccess::none(self.root()),
            observer: silent,
            interrupt: self.interrupt.clone(),
            versions: self.versions.clone(),
        })
    }

    /// Has downloads go to the cache of `other`, if there is one, where builds look for them: they may be large.
    pub(crate) fn share_downloads(&self, other: &Self, source: &str) -> Result<(), FileError> {
        let is_remote = self.hub.is_remote() || is_in_bucket(source);
        if !is_remote || !other.cache.is_begun() {
            return Ok(());
        }
        let downloads = other.cache.join(DOWNLOADS);
        system::create_private_dir(&downloads)?;
        system::create_private_dir(&self.cache)?;
        system::link(&downloads, &self.cache.join(DOWNLOADS))
    }

    /// Returns the files of the workspace as a place that rows come from; their digests are kept in `record`.
    pub(crate) fn workspace(&self, record: &Arc<Record>) -> Arc<dyn Source> {
        local_files(self.root(), &self.cache, record, |_| true)
    }

    /// Returns the workspace's folder.
    pub(crate) fn root(&self) -> &Path {
        self.recipes.root()
    }
}

/// Returns the files of the workspace at `root` as a place that rows come from. A file that is not `hashed`, by its whole path,
/// gets a digest of its name and stat, which is that of no bytes.
pub(crate) fn local_files(
    root: &Path,
    cache: &Path,
    record: &Arc<Record>,
    hashed: impl Fn(&Path) -> bool + Send + Sync + 'static,
) -> Arc<dyn Source> {
    let (record, cache) = (record.clone(), cache.to_owned());
    let hash = move |path: &Path| {
        let stat = system::stat(path)?;
        if !hashed(path) {
            return Ok((stat, FileHash::of(format!("not hashed: {} {stat:?}", path.display()).as_bytes())));
        }
        // A write within the tick of its stamp leaves the stat as it is. Past that tick, whatever is hashed is what this
        // stat stands for.
        let begun_ns = system::wait_past_grain(stat.stamp_ns(), path, &cache);
        Ok((stat, stat_cache::digest_of_source(&record, path, begun_ns)?))
    };
    Arc::new(LocalFiles::new(root.to_owned(), Arc::new(hash)))
}

/// Returns the words that recipes may use: converters with their options. No workspace has defaults here.
pub(crate) fn vocabulary() -> Vocabulary {
    let converters = convert::all().map(|converter| ConverterWord {
        name: converter.name().to_owned(),
        kind: converter.kind(),
        options: converter
            .options()
            .iter()
            .map(|option| (option.name.to_owned(), option.values.iter().map(|value| (*value).to_owned()).collect()))
            .collect(),
    });
    Vocabulary { converters: converters.collect(), ..Vocabulary::default() }
}
