//! The shared cache as one build uses it: who is trusted, what is read first, and what is added at the end.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    cache::{Record, Store},
    driver::Context,
    event::Event,
    graph::Outcome,
    remote::{
        Fault, Gathered, Published, Read, Reader, Remote, Requests, SharedCollected, SharedReport, SharedSize,
        SharedVerified, Trusted, Writer,
        keys::{PrivateKey, PublicKey},
        upkeep,
    },
    site::{Site, WorkspaceError},
};
use datac_core::{
    failure::{Failure, FailureKind},
    hash::Digest,
    id::ActionKey,
    stage::Stage,
};

/// The shared cache of a build.
pub(crate) struct Shared {
    remote: Arc<Remote>,
    key: Option<Arc<PrivateKey>>,
    trusted: HashSet<PublicKey>,
    /// Why nothing is added; `None` if there is a key and objects can be written.
    read_only: Option<String>,
}

/// What recipes look up, by scope.
pub(super) type Scopes = BTreeMap<Digest, Vec<ActionKey>>;

impl Shared {
    /// Opens the shared cache of the workspace without a request; `None` if there is none.
    pub(crate) fn open(site: &Site) -> Result<Option<Self>, WorkspaceError> {
        let opened = site.remote.open().map_err(|error| {
            let failure = Failure::plain(FailureKind::Config, error.to_string());
            match error.hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
        let Some(remote) = opened else { return Ok(None) };
        let mut trusted: HashSet<PublicKey> = trusted(site)?.keys().iter().map(|(_, key)| *key).collect();
        let found = site.remote.signing.key();
        let mut read_only = match &found {
            Ok(Some(_)) => None,
            Ok(None) => Some("there is no key to sign with; `datac cache key new` makes one".to_owned()),
            Err(error) => {
                (site.observer)(Event::Warning(format!("the key for the shared cache is not used: {error}")));
                Some(error.to_string())
            }
        };
        let key = found.ok().flatten();
        trusted.extend(key.iter().map(|key| key.public()));
        if !remote.objects.is_writable() {
            read_only = Some("it is behind a web server".to_owned());
        }
        Ok(Some(Self { remote: Arc::new(remote), key, trusted, read_only }))
    }

    /// Opens the shared cache of the workspace, for a command that is about it: without one it fails.
    pub(crate) fn named(site: &Site) -> Result<Self, WorkspaceError> {
        let none = || {
            Failure::plain(FailureKind::Config, "no shared cache is named, or the network is disabled")
                .hint("name it with `--remote URL`, DATAC_REMOTE, or `remote` below `[cache]` in datac.toml")
        };
        Ok(Self::open(site)?.ok_or_else(none)?)
    }

    /// Returns the place itself.
    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Returns whether what a key has signed is used.
    pub(crate) fn trusts(&self, key: &PublicKey) -> bool {
        self.trusted.contains(key)
    }

    /// Returns the name and the public part of the user's key, if there is one.
    pub(crate) fn own(&self) -> Option<(String, PublicKey)> {
        self.key.as_ref().map(|key| (key.name().to_owned(), key.public()))
    }

    /// Returns the key that releases are signed with. Fails if there is none, or if nothing can be added.
    pub(crate) fn signer(&self) -> Result<&PrivateKey, WorkspaceError> {
        match (&self.read_only, &self.key) {
            (None, Some(key)) => Ok(key),
            (why, _) => {
                let why = why.as_deref().unwrap_or("there is no key");
                let text = format!("nothing can be added to the shared cache `{}`: {why}", self.remote.name);
                Err(Failure::plain(FailureKind::Config, text).into())
            }
        }
    }

    /// Returns whether the workspace names a key, so that others trust it.
    pub(crate) fn is_named(&self, site: &Site, key: &PublicKey) -> Result<bool, WorkspaceError> {
        Ok(trusted(site)?.keys().iter().any(|(_, known)| known == key))
    }

    /// Returns the number of requests so far.
    pub(crate) fn requests(&self) -> Requests {
        self.remote.counters.requests()
    }

    /// Measures the shared cache.
    pub(crate) fn size(&self) -> Result<SharedSize, WorkspaceError> {
        upkeep::size(&self.remote).map_err(|fault| self.unusable(&fault))
    }

    /// Removes what was published longer than `max_age` ago, and what nothing names.
    pub(crate) fn collect(&self, max_age: Duration, dry_run: bool) -> Result<SharedCollected, WorkspaceError> {
        upkeep::collect(&self.remote, max_age, dry_run).map_err(|fault| self.unusable(&fault))
    }

    /// Checks every byte of the shared cache.
    pub(crate) fn verify(&self, site: &Site) -> Result<SharedVerified, WorkspaceError> {
        let is_interrupted = || site.interrupt.load(Ordering::Relaxed);
        upkeep::verify(&self.remote, &self.trusted, &is_interrupted).map_err(|fault| self.unusable(&fault))
    }

    fn unusable(&self, fault: &Fault) -> WorkspaceError {
        Failure::new(FailureKind::Source, format!("use the shared cache `{}`: {fault}", self.remote.name)).into()
    }

    /// Returns a reader that puts blobs into `store`, or none.
    pub(crate) fn reader(&self, store: Option<Store>) -> Reader {
        Reader::new(self.remote.clone(), self.trusted.clone(), store)
    }

    /// Returns why nothing can be added to the shared cache, if that is so.
    pub(super) fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }

    /// Fails if the shared cache cannot be read now.
    pub(super) fn reach(&self) -> Result<(), WorkspaceError> {
        self.remote.reach().map_err(|fault| self.unusable(&fault))
    }

    /// Puts together what recipes look up, if it is to be added to the shared cache.
    pub(super) fn scopes(&self, looked_up: impl Iterator<Item = (Digest, Vec<ActionKey>)>) -> Scopes {
        let mut scopes = Scopes::new();
        if self.read_only.is_some() {
            return scopes;
        }
        let mut seen: HashSet<(Digest, ActionKey)> = HashSet::new();
        for (scope, keys) in looked_up {
            let known = scopes.entry(scope).or_default();
            known.extend(keys.into_iter().filter(|key| seen.insert((scope, *key))));
        }
        scopes
    }

    /// Adds what is in `scopes` to the shared cache, and returns what was done with it: `read` is what was read, `taken` the number of
    /// results by stage that were used.
    pub(super) fn finish(
        &self,
        site: &Site,
        context: &Context,
        record: &Arc<Record>,
        scopes: &Scopes,
        read: Option<Read>,
        taken: &BTreeMap<Stage, u64>,
    ) -> SharedReport {
        let Read { known, refused, artifacts, given_up } = read.unwrap_or_default();
        let mut report = SharedReport {
            remote: self.remote.name.clone(),
            results: taken.clone(),
            artifacts,
            refused,
            read_only: self.read_only.clone(),
            given_up,
            ..SharedReport::default()
        };
        let is_wanted = report.given_up.is_none() && !scopes.is_empty() && context.check().is_ok();
        if let (true, Some(key)) = (is_wanted, &self.key) {
            let mut published = Published::read(&site.cache);
            let is_interrupted = || context.check().is_err();
            let mut writer = Writer::new(
                self.remote.clone(),
                key,
                &self.trusted,
                &context.store,
                &mut published,
                &known,
                &is_interrupted,
            );
            let added = writer.publish(scopes, &|key| gathered(record, key));
            (report.published_results, report.published_artifacts) = (writer.results, writer.artifacts);
            if let Err(fault) = added {
                let name = &self.remote.name;
                (site.observer)(Event::Warning(format!("nothing more is added to the shared cache `{name}`: {fault}")));
                report.given_up = Some(fault.to_string());
            }
            if let Err(error) = published.write(&site.cache) {
                (site.observer)(Event::Warning(format!("failed to {error}")));
            }
        }
        report.requests = self.remote.counters.requests();
        report
    }
}

/// Returns the keys that the workspace names.
pub(crate) fn trusted(site: &Site) -> Result<Trusted, WorkspaceError> {
    let read = Trusted::read(site.root());
    Ok(read.map_err(|error| Failure::plain(FailureKind::Config, error.to_string()).hint("mend or remove the line"))?)
}

/// Returns the outcome of an action with its blobs.
fn gathered(record: &Record, key: &ActionKey) -> Option<Gathered> {
    let outcome = record.outcome(key).ok()??;
    let blobs = postcard::from_bytes::<Outcome>(&outcome).ok()?.blobs();
    Some(Gathered { outcome, blobs })
}
