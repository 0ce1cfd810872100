//! What a build knows of actions that ran before it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    cache::{Actions, Blobs, Record, Store},
    graph::Outcome,
};
use datac_core::id::ActionKey;

/// Known contents of the cache; with `force`, only entries that this build has written.
pub(crate) struct OutcomeCache {
    record: Arc<Record>,
    /// The blobs.
    pub(crate) store: Store,
    force: bool,
    /// The keys of what is recorded and cannot be had.
    hollow: Mutex<HashSet<ActionKey>>,
}

impl OutcomeCache {
    /// Creates a cache of the outcomes that are recorded.
    pub(crate) fn new(record: Arc<Record>, store: Store, force: bool) -> Self {
        Self { record, store, force, hollow: Mutex::default() }
    }

    /// Returns the outcome of an action, if its blobs still exist.
    pub(crate) fn lookup(&self, key: &ActionKey) -> Option<Outcome> {
        if self.force && !self.record.was_noted(key) {
            return None;
        }
        let outcome = recorded(&*self.record, key)?;
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

/// Looks an action up in a cache.
pub(crate) fn lookup(actions: &dyn Actions, blobs: &dyn Blobs, key: &ActionKey) -> Option<Outcome> {
    recorded(actions, key).filter(|outcome| is_whole(blobs, outcome))
}

/// Returns what is recorded of an action; an outcome of another version counts as none.
fn recorded(actions: &dyn Actions, key: &ActionKey) -> Option<Outcome> {
    postcard::from_bytes(&actions.get(key)?).ok()
}

/// Returns whether all blobs of an outcome are there.
pub(super) fn is_whole(blobs: &dyn Blobs, outcome: &Outcome) -> bool {
    blobs.has(&outcome.blobs()).into_iter().all(|has| has)
}
