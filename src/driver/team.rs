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
pub(super) struct Team<'t, 'scope, T> {
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
    /// Items for threads that would stand idle.
    idle: VecDeque<T>,
    /// Items that are being worked on; how many of them were for idle threads.
    busy: usize,
    busy_idle: usize,
    /// Whether work on one has panicked.
    panicked: bool,
}

impl<'t, 'scope, T: Send + 'scope> Team<'t, 'scope, T> {
    /// A team that does `work` on every item.
    pub(super) fn new(scope: &'t Scope<'scope>, work: impl Fn(T) + Send + Sync + 'scope) -> Self {
        let state = Mutex::new(State {
            waiting: VecDeque::new(),
            idle: VecDeque::new(),
            busy: 0,
            busy_idle: 0,
            panicked: false,
        });
        let shared = Shared { work: Box::new(work), state, ended: Condvar::new() };
        Self { scope, shared: Arc::new(shared), limit: rayon::current_num_threads() }
    }

    /// Brings an item.
    pub(super) fn give(&self, item: T) {
        self.shared.state().waiting.push_back(item);
        self.call();
        // The newest: one that takes long and was left to the others stays theirs, while this thread goes on.
        while self.shared.state().waiting.len() > self.limit {
            self.shared.work_on(VecDeque::pop_back);
        }
    }

    /// Brings an item for whoever has nothing else to do.
    pub(super) fn give_idle(&self, item: T) {
        self.shared.state().idle.push_back(item);
        self.call();
    }

    /// Has a thread look for an item.
    fn call(&self) {
        let shared = self.shared.clone();
        self.scope.spawn(move |_| {
            shared.work_on(VecDeque::pop_front);
        });
    }

    /// Returns when there has been work on every item; panics if that has panicked.
    pub(super) fn finish(self) {
        self.wait(|state| state.waiting.len() + state.idle.len() + state.busy == 0);
    }

    /// Returns when there has been work on every item so far, but for those for idle threads; panics if that has panicked.
    pub(super) fn settle(&self) {
        self.wait(|state| state.waiting.is_empty() && state.busy == state.busy_idle);
    }

    /// Works, and waits for what others are at, until it is `enough`.
    fn wait(&self, enough: impl Fn(&State<T>) -> bool) {
        loop {
            let state = self.shared.state();
            if enough(&state) {
                // Rows would be missing: whoever brought the items must not go on as if there had been work on all.
                assert!(!state.panicked, "work on a chunk has panicked");
                return;
            }
            if state.waiting.is_empty() && state.idle.is_empty() {
                drop(self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner));
            } else {
                drop(state);
                self.shared.work_on(VecDeque::pop_front);
            }
        }
    }
}

impl<T> Shared<'_, T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Items are moved, and a panic ends the build.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the item that `take` takes of those that wait, else on one for idle threads, if there is any.
    fn work_on(&self, take: fn(&mut VecDeque<T>) -> Option<T>) {
        let (item, is_idle) = {
            let mut state = self.state();
            let (item, is_idle) = match take(&mut state.waiting) {
                Some(item) => (item, false),
                None => match state.idle.pop_front() {
                    Some(item) => (item, true),
                    None => return,
                },
            };
            state.busy += 1;
            state.busy_idle += usize::from(is_idle);
            (item, is_idle)
        };
        let _ended = Ended(self, is_idle);
        (self.work)(item);
    }
}

/// Notes the end of the work on one item, also when it panics; whether it was for idle threads.
struct Ended<'s, 'scope, T>(&'s Shared<'scope, T>, bool);

impl<T> Drop for Ended<'_, '_, T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        state.busy_idle -= usize::from(self.1);
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
                    let team = Team::new(scope, move |item: usize| {
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
    fn items_for_idle_threads_come_last_and_hold_nothing_up() {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (done, let_go) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
            pool.scope(|scope| {
                let (done, let_go) = (&done, &let_go);
                scope.spawn(move |scope| {
                    let team = Team::new(scope, move |item: usize| {
                        // The first of them lasts until the others have been worked on, if there is a thread for it.
                        while item == 1000 && threads > 1 && let_go.load(Ordering::SeqCst) == 0 {
                            std::hint::spin_loop();
                        }
                        done.lock().unwrap().push(item);
                    });
                    if threads > 1 {
                        team.give_idle(1000);
                        // Until a thread has taken it on.
                        while team.shared.state().busy_idle == 0 {}
                    }
                    (1..=50).for_each(|item| team.give(item));
                    team.give_idle(1001);
                    team.settle();
                    assert!((1..=50).all(|item| done.lock().unwrap().contains(&item)));
                    let_go.store(1, Ordering::SeqCst);
                    team.finish();
                    assert_eq!(done.lock().unwrap().len(), if threads > 1 { 52 } else { 51 });
                });
            });
        }
    }

    #[test]
    fn a_panic_on_any_thread_is_one_for_whoever_waits() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let went_on = AtomicUsize::new(0);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.scope(|scope| {
                scope.spawn(|scope| {
                    let team = Team::new(scope, |item: usize| assert!(item != 7, "as the test wants it"));
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
