//! The kind of hub that a URL names. It speaks to the Hub over HTTP if datac was built with support for it.

use std::sync::Arc;

#[cfg(feature = "hub")]
use super::hub::{self, DownloadEvent, Greeting, HttpHub, HubConfig, Limits};
use super::{Checked, HubKind, Opening, Source, SourceError};

/// The kind of hub that a URL names.
pub(super) struct HttpKind;

impl HubKind for HttpKind {
    fn is_meant(&self, given: &str) -> bool {
        given.contains("://")
    }

    fn name(&self, given: &str) -> String {
        given.trim_end_matches('/').to_owned()
    }

    fn is_remote(&self) -> bool {
        true
    }

    #[cfg(feature = "hub")]
    fn open(&self, given: &str, with: &Opening) -> Result<Arc<dyn Source>, SourceError> {
        let observer = with.observer.clone();
        let config = HubConfig {
            endpoint: given.to_owned(),
            token: hub::find_token().filter(|_| with.sends_token),
            offline: with.offline || hub::env_offline(),
            store: with.store.clone(),
            progress: Arc::new(move |event| observer(event_of(event))),
            limits: Limits::default(),
        };
        Ok(Arc::new(HttpHub::new(config)?))
    }

    #[cfg(not(feature = "hub"))]
    fn open(&self, given: &str, _: &Opening) -> Result<Arc<dyn Source>, SourceError> {
        let reason = "this datac was built without the `hub` feature".into();
        Err(SourceError::BadHub { hub: given.to_owned(), reason })
    }

    #[cfg(feature = "hub")]
    fn check(&self, given: &str, with: &Opening) -> Checked {
        let shown = self.name(given);
        if with.offline || hub::env_offline() {
            return Checked::Skipped(format!("{shown} not contacted: offline"));
        }
        let patience = std::time::Duration::from_secs(10);
        let opened = HttpHub::new(HubConfig {
            endpoint: given.to_owned(),
            token: hub::find_token().filter(|_| with.sends_token),
            offline: false,
            store: with.store.clone(),
            progress: Arc::new(|_| {}),
            limits: Limits { connect: patience, idle: patience, answer: patience, ..Limits::default() },
        });
        let hint = "without network: --hub sample, or --offline to use downloaded files";
        match opened.and_then(|hub| hub.greet()) {
            Ok(Greeting::Answered) => Checked::Usable(format!("{shown} responds")),
            Ok(Greeting::Known) => Checked::Usable(format!("{shown} responds and accepts the token")),
            Ok(Greeting::Refused) => Checked::Unusable {
                text: format!("{shown} rejects the token"),
                hint: "set HF_TOKEN to a valid token, or unset it for public datasets",
            },
            Ok(Greeting::Troubled(status)) => {
                Checked::Troubled { text: format!("{shown} responds with status {status}"), hint: "try again later" }
            }
            Err(SourceError::Unavailable { hub, reason, .. }) => {
                Checked::Unusable { text: format!("{hub}: {reason}"), hint }
            }
            Err(error) => Checked::Unusable { text: format!("failed to {error}"), hint },
        }
    }

    #[cfg(not(feature = "hub"))]
    fn check(&self, given: &str, _: &Opening) -> Checked {
        Checked::Unusable {
            text: format!("{given}: this datac was built without the `hub` feature"),
            hint: "`--hub` takes a folder laid out <org>/<name>/…, or `sample`",
        }
    }
}

/// Converts a report of a download to an event of the build.
#[cfg(feature = "hub")]
pub(super) fn event_of(event: DownloadEvent) -> crate::event::Event {
    use crate::event::Event;
    use DownloadEvent as D;
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
