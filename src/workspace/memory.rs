//! What a build knows of actions that ran before it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    artifact::{Record, Store},
    driver,
    graph::Outcome,
    hash::Digest,
};

/// What the cache is known to hold; with `force`, only what this build has put there.
pub(super) struct Memory {
    record: Arc<Record>,
    pub(super) store: Store,
    force: bool,
    /// What actions came upon that the planner has not asked for yet.
    met: Mutex<HashMap<Digest, Outcome>>,
}

impl Memory {
    /// A memory of what is recorded.
    pub(super) fn new(record: Arc<Record>, store: Store, force: bool) -> Self {
        Self { record, store, force, met: Mutex::default() }
    }

    /// What is known of an action, for the planner, which asks once.
    pub(super) fn lookup(&self, key: &Digest) -> Option<Outcome> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        met.or_else(|| self.read(key))
    }

    /// What is known of an action, for other actions: they ask from many threads, and the planner, which is alone, is soon
    /// to ask for the same.
    pub(super) fn lookup_ahead(&self, key: &Digest) -> Option<Outcome> {
        let outcome = self.read(key)?;
        self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, outcome.clone());
        Some(outcome)
    }

    fn read(&self, key: &Digest) -> Option<Outcome> {
        if self.force && !self.record.was_noted(key) {
            return None;
        }
        driver::lookup(&self.record, &self.store, key)
    }
}
