//! Keeps what was made or read recently and will soon be needed again.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use datac_core::id::BlobId;

/// Values by the digest of the blob they were made from, limited to a total size; the oldest are dropped first.
#[derive(Debug)]
pub struct Recent<T> {
    kept: HashMap<BlobId, (Arc<T>, usize)>,
    order: VecDeque<BlobId>,
    bytes: usize,
    limit: usize,
}

impl<T> Recent<T> {
    /// Creates an empty cache of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { kept: HashMap::new(), order: VecDeque::new(), bytes: 0, limit }
    }

    /// Keeps a value that takes `bytes` bytes.
    pub fn keep(&mut self, digest: BlobId, thing: Arc<T>, bytes: usize) {
        if bytes > self.limit || self.kept.contains_key(&digest) {
            return;
        }
        self.bytes += bytes;
        self.order.push_back(digest);
        self.kept.insert(digest, (thing, bytes));
        while self.bytes > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.kept.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
    }

    /// Returns the kept value of a blob, if still present.
    pub fn get(&self, digest: &BlobId) -> Option<Arc<T>> {
        self.kept.get(digest).map(|(thing, _)| thing.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_up_to_a_number_of_bytes() {
        let mut recent = Recent::new(10);
        let digest = |number: u8| BlobId::of(&[number]);
        let mut keep = |number: u8, bytes| recent.keep(digest(number), Arc::new(number), bytes);
        (1..=4).for_each(|number| keep(number, 3));
        keep(4, 3);
        keep(5, 11);
        let kept: Vec<u8> = (1..=5).filter(|number| recent.get(&digest(*number)).is_some()).collect();
        assert_eq!(kept, [2, 3, 4], "the oldest is gone, one too large never was there, one kept twice counts once");
    }
}
