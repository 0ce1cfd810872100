//! The memory budget that all outputs of a build share.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that may be held at once.
#[derive(Debug)]
pub struct Budget {
    whole: u64,
    free: AtomicU64,
}

/// A part of a budget, which is returned on drop.
#[derive(Debug)]
pub struct Lease<'b> {
    budget: &'b Budget,
    bytes: u64,
}

impl Budget {
    /// Creates a budget of `bytes`, all of them free.
    pub fn new(bytes: u64) -> Self {
        Self { whole: bytes, free: AtomicU64::new(bytes) }
    }

    /// Returns the size of the budget in bytes, free or not.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// Takes `bytes` from the budget; `None` if fewer are free.
    pub fn take(&self, bytes: u64) -> Option<Lease<'_>> {
        let rest = |free: u64| free.checked_sub(bytes);
        self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, rest).ok().map(|_| Lease { budget: self, bytes })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is() {
        let budget = Budget::new(10);
        let seven = budget.take(7).unwrap();
        assert!(budget.take(4).is_none());
        let three = budget.take(3).unwrap();
        assert!(budget.take(1).is_none() && budget.take(0).is_some());
        drop(seven);
        assert!(budget.take(7).is_some());
        drop(three);
        assert!(budget.take(10).is_some() && budget.take(11).is_none());
    }
}
