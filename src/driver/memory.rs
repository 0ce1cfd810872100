//! What a build knows of actions that ran before it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::step::{is_whole, recorded};
use crate::{
    artifact::{Record, Store},
    graph::Outcome,
    id::ActionKey,
};

/// Known contents of the cache; with `force`, only entries that this build has written.
pub(crate) struct Memory {
    record: Arc<Record>,
    /// The blobs.
    pub(crate) store: Store,
    force: bool,
    /// The keys of what is recorded and cannot be had.
    hollow: Mutex<HashSet<ActionKey>>,
}

impl Memory {
    /// Creates a memory of what is recorded.
    pub(crate) fn new(record: Arc<Record>, store: Store, force: bool) -> Self {
        Self { record, store, force, hollow: Mutex::default() }
    }

    /// Returns the outcome of an action, if its blobs still exist.
    pub(crate) fn lookup(&self, key: &ActionKey) -> Option<Outcome> {
        let may_be = !self.force || self.record.was_noted(key);
        let outcome = may_be.then(|| recorded(&self.record, key)).flatten()?;
        if is_whole(&self.store, &outcome) {
            return Some(outcome);
        }
        self.hollow.lock().unwrap_or_else(PoisonError::into_inner).insert(*key);
        None
    }

    /// Returns the number of recorded actions whose blobs are partly gone.
    pub(crate) fn hollow(&self) -> usize {
        self.hollow.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
