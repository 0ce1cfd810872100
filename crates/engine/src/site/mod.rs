//! The parts of a workspace on disk: recipes, `datac.lock`, cache, outputs and hub.
//!
//! Each part has its own handle. A function takes the handles that it needs; one that needs all of them takes the
//! whole [`Site`].

mod cache_folder;
mod error;
mod hub;
mod lock_store;
mod output_folder;
mod recipe_folder;
mod settings;

pub(crate) use cache_folder::{CacheFolder, IfHeld};
pub use error::WorkspaceError;
pub(crate) use hub::{HubAccess, HubChoice};
pub(crate) use lock_store::{LockStore, short};
pub(crate) use output_folder::OutputFolder;
pub use recipe_folder::{Found, RecipeText};
pub(crate) use recipe_folder::{NamedPath, RecipeFolder, local_sources, name_of, relative, walk};
pub use settings::Settings;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use crate::{cache::CACHE_VERSION, event::Observer};
use datac_core::{
    code::CodeVersions,
    config::{ConverterWord, Vocabulary},
    convert,
};

/// The parts of a workspace.
pub(crate) struct Site {
    pub(crate) recipes: RecipeFolder,
    pub(crate) lock: LockStore,
    pub(crate) cache: CacheFolder,
    pub(crate) outputs: OutputFolder,
    pub(crate) hub: HubAccess,
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
        let within =
            |chosen: &Option<PathBuf>, default: &str| root.join(chosen.as_deref().unwrap_or(Path::new(default)));
        let observer = settings.observer.clone();
        let cache = within(&settings.cache_dir, "cache").join(CACHE_VERSION);
        Self {
            recipes: RecipeFolder::new(root.clone(), Arc::new(vocabulary()), observer.clone()),
            lock: LockStore::new(root.join("datac.lock")),
            cache: CacheFolder::new(cache, observer.clone()),
            outputs: OutputFolder::new(root.clone(), within(&settings.output_dir, "dataset")),
            hub: HubAccess::new(settings.hub.clone(), root, settings.offline, observer.clone()),
            observer,
            interrupt: settings.interrupt.clone(),
            versions: settings.versions.clone(),
        }
    }

    /// Returns the folder of the workspace.
    pub(crate) fn root(&self) -> &Path {
        self.recipes.root()
    }
}

/// Returns the words that recipes may use: converters with their options.
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
    Vocabulary { converters: converters.collect() }
}
