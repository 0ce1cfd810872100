//! The indexes of converted chunks. Selecting, arranging and writing each need all indexes of a recipe, so the newest
//! ones are kept decoded in memory.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::error::ActionError;
use crate::{
    cache::{Blobs, Miss, MissReason, Recent, Store},
    graph::ConvertedChunk,
    writer::share,
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::BlobId,
    sample::{IndexError, SampleIndex},
};

/// Maximum size of the indexes in memory, in bytes: enough for some 900,000 samples.
const KEPT_BYTES: usize = 48 << 20;

/// The indexes in a store.
#[derive(Clone)]
pub(crate) struct Indexes {
    store: Store,
    recent: Arc<Mutex<Recent<SampleIndex>>>,
    /// Indexes that this build made.
    new: Arc<Mutex<HashSet<BlobId>>>,
}

impl Indexes {
    /// Returns the indexes in `store`.
    pub(crate) fn new(store: Store) -> Self {
        Self { store, recent: Arc::new(Mutex::new(Recent::new(KEPT_BYTES))), new: Arc::default() }
    }

    /// Keeps an index that this build made and stored.
    pub(super) fn keep_new(&self, digest: BlobId, index: Arc<SampleIndex>) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
        self.keep(digest, index);
    }

    /// Returns whether this build made an index.
    pub(super) fn is_new(&self, digest: &BlobId) -> bool {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    fn keep(&self, digest: BlobId, index: Arc<SampleIndex>) {
        let bytes = index.bytes();
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(digest, index, bytes);
    }

    /// Returns an index by its digest.
    pub(super) fn get(&self, digest: &BlobId) -> Result<Arc<SampleIndex>, ActionError> {
        if let Some(index) = self.recent.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            return Ok(index);
        }
        // An index of another version counts as damaged, so that it is made again.
        let miss = |error: IndexError| Miss { digest: *digest, reason: MissReason::Damaged(error.to_string()) };
        let index = Arc::new(SampleIndex::decode(&self.store.get(digest)?).map_err(miss)?);
        self.keep(*digest, index.clone());
        Ok(index)
    }

    /// Drops the indexes held in memory.
    pub(super) fn let_go(&self) {
        let held = std::mem::replace(
            &mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner),
            Recent::new(KEPT_BYTES),
        );
        drop(held);
    }

    /// Returns the index of a converted chunk.
    pub(super) fn of(&self, chunk: &ConvertedChunk) -> Result<Arc<SampleIndex>, ActionError> {
        let index = self.get(&chunk.converted.index)?;
        if index.len() == chunk.converted.samples as usize {
            return Ok(index);
        }
        let message = "match an index to its chunk: the numbers of samples differ";
        Err(ActionError::Failure(Failure::new(FailureKind::Cache, message)))
    }

    /// Reads indexes that will soon be needed on all threads. Errors are ignored here; the later read reports them.
    pub(super) fn warm(&self, digests: Vec<BlobId>) {
        let indexes = self.clone();
        share(digests.len(), move |at| drop(indexes.get(&digests[at])));
    }
}
