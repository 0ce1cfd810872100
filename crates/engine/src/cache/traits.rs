//! What a cache has to offer: blobs by the digest of their bytes, and outcomes by the key of their action.
//!
//! A read has two outcomes: what was put, or a miss. A miss is normal: whoever meets with one makes the thing again.

use std::sync::Arc;

use super::store::Miss;
use crate::system::FileError;
use datac_core::{
    id::{ActionKey, BlobId},
    stage::Stage,
};

/// Blobs, each named by the BLAKE3 of its bytes.
pub trait Blobs: Send + Sync {
    /// Reads a blob and checks every byte of it; a damaged one is removed, so that it is made again.
    fn get(&self, id: &BlobId) -> Result<Arc<Vec<u8>>, Miss>;

    /// Stores bytes and returns their name. They can be read at once.
    fn put(&self, bytes: &[u8]) -> Result<BlobId, FileError>;

    /// Says of each name whether there is a blob of it; only [`Blobs::get`] tells whether it is sound.
    fn has(&self, ids: &[BlobId]) -> Vec<bool>;
}

/// Outcomes of actions.
pub trait Actions: Send + Sync {
    /// Returns what the action of this key yielded, if that is known.
    fn get(&self, key: &ActionKey) -> Option<Vec<u8>>;

    /// Notes what an action of a stage yielded. The blobs that it names were put before.
    fn put(&self, key: ActionKey, stage: Stage, outcome: Vec<u8>);
}
