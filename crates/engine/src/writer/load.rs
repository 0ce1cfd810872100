//! Loads many blobs on all free threads.

use std::sync::{Arc, Mutex, PoisonError};

use super::share::share;
use crate::cache::{Blobs, Miss, Store};
use datac_core::id::BlobId;

/// A blob, once it is loaded.
type Slot = Option<Result<Arc<Vec<u8>>, Miss>>;

/// Loads blobs, in the order of `digests`.
pub(super) fn load(store: &Store, digests: Vec<BlobId>) -> Result<Vec<Arc<Vec<u8>>>, Miss> {
    let count = digests.len();
    let slots: Arc<Mutex<Vec<Slot>>> = Arc::new(Mutex::new(vec![None; count]));
    let (store, filled) = (store.clone(), slots.clone());
    share(count, move |at| {
        let blob = store.get(&digests[at]);
        filled.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(blob);
    });
    let slots = std::mem::take(&mut *slots.lock().unwrap_or_else(PoisonError::into_inner));
    slots.into_iter().map(|slot| slot.expect("all are there")).collect()
}

/// Reads blobs into memory that will soon be read one by one. Missing blobs are ignored here; the later read reports
/// them.
pub fn warm(store: &Store, digests: Vec<BlobId>) {
    let store = store.clone();
    share(digests.len(), move |at| drop(store.get_recent(&digests[at])));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_come_in_order_and_a_missing_one_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        let digests: Vec<BlobId> = (0..100_u32).map(|i| store.put(&i.to_le_bytes()).unwrap()).collect();
        let loaded = load(&store, digests.clone()).unwrap();
        assert!(loaded.iter().zip(0..100_u32).all(|(bytes, i)| ***bytes == i.to_le_bytes()));
        assert!(load(&store, Vec::new()).unwrap().is_empty());
        let miss = load(&store, [digests, vec![BlobId::of(b"never stored")]].concat()).unwrap_err();
        assert_eq!(miss.digest, BlobId::of(b"never stored"));
    }
}
