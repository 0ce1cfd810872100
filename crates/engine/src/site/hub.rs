//! The configured hub, and how it is opened.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{CacheFolder, Settings, WorkspaceError};
use crate::{
    cache::{DOWNLOADS, Record, stat_cache},
    event::Observer,
    source::{Checked, HUBS, HubKind, Opening, Source, places::Places},
    system::{self, FileError},
};
use datac_core::{config::is_in_bucket, id::FileHash};

/// The hub that the settings choose, not yet opened.
#[derive(Clone)]
pub(crate) struct HubAccess {
    /// The hub as the settings name it, or the address of the public hub.
    given: String,
    kind: &'static dyn HubKind,
    root: PathBuf,
    /// Whether the settings forbid the network.
    pub(crate) offline: bool,
    /// Whether the access token may be sent to it.
    is_trusted: bool,
    /// Whether some of the objects in a bucket are enough.
    is_look: bool,
    observer: Observer,
}

/// Address of the public hub.
const PUBLIC: &str = "https://huggingface.co";

impl HubAccess {
    /// Chooses the hub that the settings name, or the public hub. Folders are relative to the workspace.
    pub(crate) fn new(settings: &Settings, observer: Observer) -> Self {
        let given = &settings.hub;
        let is_meant = |kind: &&&dyn HubKind| given.as_ref().map_or(kind.is_remote(), |given| kind.is_meant(given));
        let kind = *HUBS.iter().find(is_meant).expect("the last kind of hub takes every word");
        let given = given.clone().unwrap_or_else(default_endpoint);
        let is_known =
            || [default_endpoint().as_str(), PUBLIC].map(|known| kind.name(known)).contains(&kind.name(&given));
        let is_trusted = !settings.is_hub_from_file || is_known();
        Self {
            given,
            kind,
            root: settings.root.clone(),
            offline: settings.offline,
            is_trusted,
            is_look: false,
            observer,
        }
    }

    /// Returns whether the access token may be sent to the hub.
    #[cfg(feature = "hub")]
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// Returns the same hub, with the network disabled.
    pub(crate) fn without_network(&self) -> Self {
        Self { offline: true, ..self.clone() }
    }

    /// Returns the same hub for a look at a source, for which some of the objects in a bucket are enough.
    pub(crate) fn for_a_look(&self) -> Self {
        Self { is_look: true, ..self.clone() }
    }

    /// Returns the name of the hub, as recorded in locks.
    pub(crate) fn name(&self) -> String {
        self.kind.name(&self.given)
    }

    /// Returns whether the hub's files come over a network.
    pub(crate) fn is_remote(&self) -> bool {
        self.kind.is_remote()
    }

    /// Opens the hub, and the buckets. Downloads go to `cache`; digests of a folder's files are kept in `record`.
    pub(crate) fn open(&self, cache: &CacheFolder, record: &Arc<Record>) -> Result<Arc<dyn Source>, WorkspaceError> {
        self.open_for([""], cache, record)
    }

    /// Opens what has the sources of these names: what lies in buckets needs no hub.
    pub(crate) fn open_for<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        cache: &CacheFolder,
        record: &Arc<Record>,
    ) -> Result<Arc<dyn Source>, WorkspaceError> {
        let record = record.clone();
        let with = self.opening(cache, move |path| stat_cache::digest(&record, path));
        let places = Places::new(self.given.clone(), self.kind, with);
        if !names.into_iter().all(is_in_bucket) {
            places.hub().map_err(|error| WorkspaceError::from(crate::driver::failure_of(&error)))?;
        }
        Ok(Arc::new(places))
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
            sends_token: self.is_trusted,
            digest: Arc::new(digest),
            observer: self.observer.clone(),
            is_look: self.is_look,
        }
    }
}

fn default_endpoint() -> String {
    system::env("HF_ENDPOINT").unwrap_or_else(|| PUBLIC.to_owned())
}

#[cfg(all(test, feature = "hub"))]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_for_hubs_that_a_person_names() {
        let is_trusted = |hub: Option<&str>, is_hub_from_file| {
            let settings = Settings { hub: hub.map(str::to_owned), is_hub_from_file, ..Settings::new("/w") };
            HubAccess::new(&settings, Arc::new(|_| {})).is_trusted()
        };
        assert!(is_trusted(None, false));
        assert!(is_trusted(Some("https://hub.example.org"), false));
        assert!(!is_trusted(Some("https://hub.example.org"), true));
        assert!(!is_trusted(Some("https://huggingface.co.example.org"), true));
        assert!(is_trusted(Some("https://huggingface.co/"), true));
    }
}
