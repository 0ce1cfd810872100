//! Loads many blobs with whatever threads are free, without taking up other work while it waits.
//!
//! A thread that waits inside rayon steals any job it finds, whole files of other recipes among them: what it was
//! loading for would wait for those, and hold its memory beside theirs.

use std::sync::{
    Arc, Condvar, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    artifact::{Miss, Store},
    hash::Digest,
};

/// A blob, once it is there.
type Slot = Option<Result<Arc<Vec<u8>>, Miss>>;

struct Loading {
    store: Store,
    digests: Vec<Digest>,
    /// The first blob that no one has taken on.
    next: AtomicUsize,
    /// The blobs, and how many are there.
    loaded: Mutex<(Vec<Slot>, usize)>,
    all_there: Condvar,
}

/// Loads blobs, in the order of `digests`.
pub(super) fn load(store: &Store, digests: Vec<Digest>) -> Result<Vec<Arc<Vec<u8>>>, Miss> {
    let count = digests.len();
    let loading = Arc::new(Loading {
        store: store.clone(),
        digests,
        next: AtomicUsize::new(0),
        loaded: Mutex::new((vec![None; count], 0)),
        all_there: Condvar::new(),
    });
    for _ in 1..rayon::current_num_threads().min(count) {
        let loading = loading.clone();
        rayon::spawn(move || loading.work());
    }
    loading.work();
    let mut loaded = loading.loaded.lock().unwrap_or_else(PoisonError::into_inner);
    // What others have taken on is a blob each, and they are at it.
    while loaded.1 < count {
        loaded = loading.all_there.wait(loaded).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::take(&mut loaded.0).into_iter().map(|slot| slot.expect("all are there")).collect()
}

impl Loading {
    /// Loads until no blob is left that no one has taken on.
    fn work(&self) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(digest) = self.digests.get(at) else { return };
            let blob = self.store.get(digest);
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.0[at] = Some(blob);
            loaded.1 += 1;
            if loaded.1 == self.digests.len() {
                self.all_there.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_come_in_order_and_a_missing_one_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let digests: Vec<Digest> = (0..100_u32).map(|i| store.put(&i.to_le_bytes()).unwrap()).collect();
        let loaded = load(&store, digests.clone()).unwrap();
        assert!(loaded.iter().zip(0..100_u32).all(|(bytes, i)| ***bytes == i.to_le_bytes()));
        assert!(load(&store, Vec::new()).unwrap().is_empty());
        let miss = load(&store, [digests, vec![Digest::of(b"never stored")]].concat()).unwrap_err();
        assert_eq!(miss.digest, Digest::of(b"never stored"));
    }
}
