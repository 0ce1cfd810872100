//! The configured hub, and how it is opened.

use std::{path::PathBuf, sync::Arc};

use super::{CacheFolder, WorkspaceError};
use crate::{
    cache::{Record, stat_cache},
    event::Observer,
    source::{Hub, SourceError, folder::FolderHub, sample::SampleHub},
    system,
};
use datac_core::failure::{Failure, FailureKind};

/// The configured hub, not yet opened.
pub(crate) struct HubAccess {
    /// The hub named in the settings, if any.
    given: Option<String>,
    choice: HubChoice,
    /// Whether the settings forbid the network.
    pub(crate) offline: bool,
    observer: Observer,
}

/// A kind of hub.
#[derive(Clone)]
pub(crate) enum HubChoice {
    /// The sample data inside the binary.
    Sample,
    /// A folder laid out `<org>/<name>/…`.
    Folder(PathBuf),
    /// A server, given by its URL.
    Http(String),
}

impl HubAccess {
    /// Chooses the hub that `given` names: `sample`, a URL, or a folder relative to `root`; by default, the public
    /// Hub.
    pub(crate) fn new(given: Option<String>, root: &std::path::Path, offline: bool, observer: Observer) -> Self {
        let choice = match given.as_deref() {
            Some("sample") => HubChoice::Sample,
            Some(url) if url.contains("://") => HubChoice::Http(url.to_owned()),
            Some(folder) => HubChoice::Folder(root.join(folder)),
            None => HubChoice::Http(default_endpoint()),
        };
        Self { given, choice, offline, observer }
    }

    /// Returns the same hub, with the network disabled.
    pub(crate) fn without_network(&self) -> Self {
        let (given, choice, observer) = (self.given.clone(), self.choice.clone(), self.observer.clone());
        Self { given, choice, offline: true, observer }
    }

    /// Returns the kind of hub.
    pub(crate) fn choice(&self) -> &HubChoice {
        &self.choice
    }

    /// Returns the name of the hub, as recorded in locks.
    pub(crate) fn name(&self) -> String {
        match &self.choice {
            HubChoice::Sample => "sample".to_owned(),
            HubChoice::Folder(_) => "folder".to_owned(),
            HubChoice::Http(url) => url.trim_end_matches('/').to_owned(),
        }
    }

    /// Opens the hub. Downloads go to `cache`; digests of a folder's files are kept in `record`.
    pub(crate) fn open(&self, cache: &CacheFolder, record: &Arc<Record>) -> Result<Arc<dyn Hub>, WorkspaceError> {
        match &self.choice {
            HubChoice::Sample => Ok(Arc::new(SampleHub)),
            HubChoice::Folder(folder) => {
                if !system::is_dir(folder) {
                    let given = self.given.as_deref().unwrap_or_default();
                    let failure =
                        Failure::plain(FailureKind::Source, format!("the hub folder `{given}` does not exist"));
                    return Err(failure
                        .hint("`--hub` takes a URL, a folder laid out <org>/<name>/…, or `sample`")
                        .into());
                }
                let record = record.clone();
                Ok(Arc::new(FolderHub::new(folder.clone(), Arc::new(move |path| stat_cache::digest(&record, path)))))
            }
            HubChoice::Http(url) => {
                self.over_http(url, cache).map_err(|error| crate::driver::failure_of(&error).into())
            }
        }
    }

    #[cfg(feature = "hub")]
    fn over_http(&self, url: &str, cache: &CacheFolder) -> Result<Arc<dyn Hub>, SourceError> {
        use crate::source::hub::{self, HttpHub, HubConfig, Limits};
        let observer = self.observer.clone();
        let config = HubConfig {
            endpoint: url.to_owned(),
            token: hub::find_token(),
            offline: self.offline || hub::env_offline(),
            store: cache.join(crate::cache::DOWNLOADS),
            progress: Arc::new(move |event| observer(event_of(event))),
            limits: Limits::default(),
        };
        Ok(Arc::new(HttpHub::new(config)?))
    }

    #[cfg(not(feature = "hub"))]
    fn over_http(&self, url: &str, _: &CacheFolder) -> Result<Arc<dyn Hub>, SourceError> {
        let _ = &self.observer;
        let reason = "this datac was built without the `hub` feature".into();
        Err(SourceError::BadHub { hub: url.to_owned(), reason })
    }
}

fn default_endpoint() -> String {
    system::env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned())
}

/// Converts a download event to an event of the build.
#[cfg(feature = "hub")]
fn event_of(event: crate::source::hub::DownloadEvent) -> crate::event::Event {
    use crate::{event::Event, source::hub::DownloadEvent as D};
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
