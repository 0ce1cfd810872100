//! The cache of outcomes as one build sees it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    cache::{Actions, Blobs, Record, Store},
    graph::Outcome,
};
use datac_core::id::ActionKey;

/// Outcomes of the cache. With `force`, only those that this build has recorded.
pub(crate) struct OutcomeCache {
    record: Arc<Record>,
    /// The store of blobs.
    pub(crate) store: Store,
    force: bool,
    /// Keys of recorded actions of which blobs are missing.
    hollow: Mutex<HashSet<ActionKey>>,
}

impl OutcomeCache {
    /// Creates the cache of the outcomes in `record`.
    pub(crate) fn new(record: Arc<Record>, store: Store, force: bool) -> Self {
        Self { record, store, force, hollow: Mutex::default() }
    }

    /// Returns the outcome of an action, if all its blobs exist.
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

    /// Returns the number of recorded actions that were looked up and found to lack blobs.
    pub(crate) fn hollow(&self) -> usize {
        self.hollow.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Looks up an action; `None` if it has no outcome or lacks blobs.
pub(crate) fn lookup(actions: &dyn Actions, blobs: &dyn Blobs, key: &ActionKey) -> Option<Outcome> {
    recorded(actions, key).filter(|outcome| is_whole(blobs, outcome))
}

/// Returns the recorded outcome of an action; `None` if it was recorded by another version.
fn recorded(actions: &dyn Actions, key: &ActionKey) -> Option<Outcome> {
    postcard::from_bytes(&actions.get(key)?).ok()
}

/// Returns whether all blobs of an outcome exist.
pub(super) fn is_whole(blobs: &dyn Blobs, outcome: &Outcome) -> bool {
    blobs.has(&outcome.blobs()).into_iter().all(|has| has)
}
