//! Work on the chunks of one file, shared among whatever threads are free.
//!
//! A thread that waits inside rayon steals any job it finds, other files among them, and comes back to its own when
//! that is done. Whoever reads a file therefore waits here instead: it works on its own chunks, and only what others
//! have begun is waited for.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rayon::Scope;

/// Items for all threads of a scope; at most a few wait, and whoever brings more works on them.
pub(super) struct WorkQueue<'t, 'scope, T> {
    scope: &'t Scope<'scope>,
    shared: Arc<Shared<'scope, T>>,
    /// Items that may wait.
    limit: usize,
}

struct Shared<'scope, T> {
    work: Box<dyn Fn(T) + Send + Sync + 'scope>,
    state: Mutex<State<T>>,
    ended: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Items that are being worked on.
    busy: usize,
    /// Whether work on one has panicked.
    panicked: bool,
}

impl<'t, 'scope, T: Send + 'scope> WorkQueue<'t, 'scope, T> {
    /// Creates a team that does `work` on every item.
    pub(super) fn new(scope: &'t Scope<'scope>, work: impl Fn(T) + Send + Sync + 'scope) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), busy: 0, panicked: false });
        let shared = Shared { work: Box::new(work), state, ended: Condvar::new() };
        Self { scope, shared: Arc::new(shared), limit: rayon::current_num_threads() }
    }

    /// Passes an item to the workers.
    pub(super) fn give(&self, item: T) {
        self.shared.state().waiting.push_back(item);
        let shared = self.shared.clone();
        self.scope.spawn(move |_| {
            shared.work_on(VecDeque::pop_front);
        });
        // The newest: one that takes long and was left to the others stays theirs, while this thread goes on.
        while self.shared.state().waiting.len() > self.limit {
            self.shared.work_on(VecDeque::pop_back);
        }
    }

    /// Returns when there has been work on every item; panics if that has panicked.
    pub(super) fn finish(self) {
        self.settle();
    }

    /// Returns when there has been work on every item so far; panics if that has panicked.
    pub(super) fn settle(&self) {
        while self.shared.work_on(VecDeque::pop_front) {}
        let mut state = self.shared.state();
        while state.busy > 0 {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Rows would be missing: whoever brought the items must not go on as if there had been work on all.
        assert!(!state.panicked, "work on a chunk has panicked");
    }
}

impl<T> Shared<'_, T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Items are moved, and a panic ends the build.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the item that `take` takes of those that wait; false if none does.
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

/// Notes the end of the work on one item, also when it panics.
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
