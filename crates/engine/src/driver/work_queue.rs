//! A queue for work on the chunks of one file, shared among all free threads.
//!
//! A thread that waits inside rayon steals any job it finds, such as another file, and only returns to its own work
//! when that is done. A thread that reads a file therefore waits here: it works on its own chunks, and only waits for
//! chunks that other threads have begun.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rayon::Scope;

/// Items of work for all threads of a scope. Only a few may wait; beyond that, the thread that adds items works on
/// them itself.
pub(super) struct WorkQueue<'t, 'scope, T> {
    scope: &'t Scope<'scope>,
    shared: Arc<Shared<'scope, T>>,
    /// Number of items that may wait.
    limit: usize,
}

struct Shared<'scope, T> {
    work: Box<dyn Fn(T) + Send + Sync + 'scope>,
    state: Mutex<State<T>>,
    ended: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Number of items that are being worked on.
    busy: usize,
    /// Whether work on an item has panicked.
    panicked: bool,
}

impl<'t, 'scope, T: Send + 'scope> WorkQueue<'t, 'scope, T> {
    /// Creates a queue that calls `work` with every item.
    pub(super) fn new(scope: &'t Scope<'scope>, work: impl Fn(T) + Send + Sync + 'scope) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), busy: 0, panicked: false });
        let shared = Shared { work: Box::new(work), state, ended: Condvar::new() };
        Self { scope, shared: Arc::new(shared), limit: rayon::current_num_threads() }
    }

    /// Adds an item.
    pub(super) fn give(&self, item: T) {
        self.shared.state().waiting.push_back(item);
        let shared = self.shared.clone();
        self.scope.spawn(move |_| {
            shared.work_on(VecDeque::pop_front);
        });
        // This thread takes the newest item and leaves older ones to other threads, so that it does not get stuck
        // with an item that takes long.
        while self.shared.state().waiting.len() > self.limit {
            self.shared.work_on(VecDeque::pop_back);
        }
    }

    /// Waits until all items are done. Panics if work on one has panicked.
    pub(super) fn finish(self) {
        self.settle();
    }

    /// Waits until all items added so far are done. Panics if work on one has panicked.
    pub(super) fn settle(&self) {
        while self.shared.work_on(VecDeque::pop_front) {}
        let mut state = self.shared.state();
        while state.busy > 0 {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Rows would be missing, so the caller must not continue as if all items were done.
        assert!(!state.panicked, "work on a chunk has panicked");
    }
}

impl<T> Shared<'_, T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Items are moved as a whole, and a panic ends the build.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the waiting item that `take` chooses; returns false if there is none.
    fn work_on(&self, take: fn(&mut VecDeque<T>) -> Option<T>) -> bool {
        let item = {
            let mut state = self.state();
            let Some(item) = take(&mut state.waiting) else { return false };
            state.busy += 1;
            item
        };
        let _ended = Ended(self);
        (self.work)(item);
        true
    }
}

/// Counts the end of work on an item, even if the work panics.
struct Ended<'s, 'scope, T>(&'s Shared<'scope, T>);

impl<T> Drop for Ended<'_, '_, T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        state.panicked |= std::thread::panicking();
        drop(state);
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_few_wait() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (sum, at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            pool.scope(|scope| {
                let (sum, at_once, most) = (&sum, &at_once, &most);
                scope.spawn(move |scope| {
                    let team = WorkQueue::new(scope, move |item: usize| {
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        sum.fetch_add(item, Ordering::SeqCst);
                        at_once.fetch_sub(1, Ordering::SeqCst);
                    });
                    for item in 1..=1000 {
                        team.give(item);
                        assert!(team.shared.state().waiting.len() <= threads);
                    }
                    team.finish();
                    assert_eq!(sum.load(Ordering::SeqCst), 500_500, "all is done when it says so");
                });
            });
            assert!(most.into_inner() <= threads);
        }
    }

    #[test]
    fn a_panic_on_any_thread_is_one_for_whoever_waits() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let went_on = AtomicUsize::new(0);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.scope(|scope| {
                scope.spawn(|scope| {
                    let team = WorkQueue::new(scope, |item: usize| assert!(item != 7, "as the test wants it"));
                    (0..20).for_each(|item| team.give(item));
                    team.finish();
                    went_on.fetch_add(1, Ordering::SeqCst);
                });
            });
        }));
        assert!(ended.is_err());
        assert_eq!(went_on.into_inner(), 0);
    }
}
