//! Sends what recipes name to the place that has it: addresses of buckets to these, all other names to the hub.

use std::sync::{Arc, OnceLock};

use super::{
    Asked, Bytes, HubKind, Listing, Opening, PushedCommit, Pushing, RemoteFile, Source, SourceError,
    in_buckets::InBuckets,
};
use datac_core::config::is_in_bucket;

/// The hub and the buckets.
pub(crate) struct Places {
    given: String,
    kind: &'static dyn HubKind,
    with: Opening,
    /// Opened once something of it is asked for: what lies in buckets needs no hub.
    hub: OnceLock<Arc<dyn Source>>,
    buckets: InBuckets,
}

impl Places {
    /// Creates the places, of which the hub is the one that `given` names. Nothing is opened.
    pub(crate) fn new(given: String, kind: &'static dyn HubKind, with: Opening) -> Self {
        let buckets = InBuckets::new(&with);
        Self { given, kind, with, hub: OnceLock::new(), buckets }
    }

    /// Opens the hub.
    pub(crate) fn hub(&self) -> Result<&dyn Source, SourceError> {
        if let Some(hub) = self.hub.get() {
            return Ok(&**hub);
        }
        let opened = self.kind.open(&self.given, &self.with)?;
        Ok(&**self.hub.get_or_init(|| opened))
    }

    fn of(&self, name: &str) -> Result<&dyn Source, SourceError> {
        if is_in_bucket(name) { Ok(&self.buckets) } else { self.hub() }
    }
}

impl Source for Places {
    fn name(&self) -> String {
        self.kind.name(&self.given)
    }

    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        self.of(asked.source)?.resolve(asked)
    }

    fn open(&self, id: &str, commit: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        self.of(id)?.open(id, commit, file)
    }

    fn push(&self, asked: &Pushing<'_>) -> Result<PushedCommit, SourceError> {
        self.hub()?.push(asked)
    }
}
