//! The interface of a cache: blobs by the digest of their bytes, and outcomes by the key of their action.
//!
//! A read has two outcomes: what was stored, or a miss. A miss is normal, and its caller makes the thing again.

use std::sync::Arc;

use super::store::Miss;
use crate::system::FileError;
use datac_core::{
    id::{ActionKey, BlobId},
    stage::Stage,
};

/// Blobs, named by the BLAKE3 of their bytes.
pub trait Blobs: Send + Sync {
    /// Reads a blob and checks every byte. A damaged blob is removed, so that it is made again.
    fn get(&self, id: &BlobId) -> Result<Arc<Vec<u8>>, Miss>;

    /// Stores bytes and returns their digest. They can be read at once.
    fn put(&self, bytes: &[u8]) -> Result<BlobId, FileError>;

    /// Returns, for each digest, whether there is a blob. Only [`Blobs::get`] checks its bytes.
    fn has(&self, ids: &[BlobId]) -> Vec<bool>;
}

/// Outcomes of actions.
pub trait Actions: Send + Sync {
    /// Returns the outcome of an action, if it is known.
    fn get(&self, key: &ActionKey) -> Option<Vec<u8>>;

    /// Stores the outcome of an action. The blobs that it names must have been stored before.
    fn put(&self, key: ActionKey, stage: Stage, outcome: Vec<u8>);
}
