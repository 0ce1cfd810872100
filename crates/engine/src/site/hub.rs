//! The configured hub, and how it is opened.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{CacheFolder, WorkspaceError};
use crate::{
    cache::{DOWNLOADS, Record, stat_cache},
    event::Observer,
    source::{Checked, HUBS, HubKind, Opening, Source},
    system::{self, FileError},
};
use datac_core::id::FileHash;

/// The hub that the settings choose, not yet opened.
#[derive(Clone)]
pub(crate) struct HubAccess {
    /// The hub as the settings name it, or the address of the public hub.
    given: String,
    kind: &'static dyn HubKind,
    root: PathBuf,
    /// Whether the settings forbid the network.
    pub(crate) offline: bool,
    observer: Observer,
}

impl HubAccess {
    /// Chooses the hub that `given` names, or the public hub for `None`. Folders are relative to `root`.
    pub(crate) fn new(given: Option<String>, root: &Path, offline: bool, observer: Observer) -> Self {
        let is_meant = |kind: &&&dyn HubKind| given.as_ref().map_or(kind.is_remote(), |given| kind.is_meant(given));
        let kind = *HUBS.iter().find(is_meant).expect("the last kind of hub takes every word");
        let given = given.unwrap_or_else(default_endpoint);
        Self { given, kind, root: root.to_owned(), offline, observer }
    }

    /// Returns the same hub, with the network disabled.
    pub(crate) fn without_network(&self) -> Self {
        Self { offline: true, ..self.clone() }
    }

    /// Returns the name of the hub, as recorded in locks.
    pub(crate) fn name(&self) -> String {
        self.kind.name(&self.given)
    }

    /// Returns whether the hub's files come over a network.
    pub(crate) fn is_remote(&self) -> bool {
        self.kind.is_remote()
    }

    /// Opens the hub. Downloads go to `cache`; digests of a folder's files are kept in `record`.
    pub(crate) fn open(&self, cache: &CacheFolder, record: &Arc<Record>) -> Result<Arc<dyn Source>, WorkspaceError> {
        let record = record.clone();
        let with = self.opening(cache, move |path| stat_cache::digest(&record, path));
        self.kind.open(&self.given, &with).map_err(|error| crate::driver::failure_of(&error).into())
    }

    /// Checks whether the hub can be used.
    pub(crate) fn check(&self, cache: &CacheFolder) -> Checked {
        // Checking a hub hashes none of its files.
        let with = self.opening(cache, |path| system::read(path).map(|bytes| FileHash::of(&bytes)));
        self.kind.check(&self.given, &with)
    }

    fn opening(
        &self,
        cache: &CacheFolder,
        digest: impl Fn(&Path) -> Result<FileHash, FileError> + Send + Sync + 'static,
    ) -> Opening {
        Opening {
            root: self.root.clone(),
            store: cache.join(DOWNLOADS),
            offline: self.offline,
            digest: Arc::new(digest),
            observer: self.observer.clone(),
        }
    }
}

fn default_endpoint() -> String {
    system::env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned())
}
