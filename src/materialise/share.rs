//! Shares items of work among whatever threads are free, without taking up other work while it waits.
//!
//! A thread that waits inside rayon steals any job it finds, whole files of other recipes among them: what it was
//! waiting for would wait for those, and hold its memory beside theirs.

use std::sync::{
    Arc, Condvar, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// What is to be done.
struct Work<W, C> {
    /// Does an item.
    item: W,
    /// Whether whoever does an item now would have to wait for others.
    is_crowded: C,
}

struct Sharing<W, C> {
    /// `None` once all is done: a thread that comes late finds nothing, and holds nothing.
    work: Mutex<Option<Arc<Work<W, C>>>>,
    count: usize,
    /// The first item that no one has taken on.
    next: AtomicUsize,
    /// How many are done.
    done: Mutex<usize>,
    all_done: Condvar,
}

/// Does `work` for every number below `count`; returns when all is done.
pub fn share(count: usize, work: impl Fn(usize) + Send + Sync + 'static) {
    share_unless(|| false, count, work);
}

/// As [`share`] does; where it `is_crowded`, so that one more thread would wait and not work, whoever helps looks for other
/// work first.
pub(super) fn share_unless(
    is_crowded: impl Fn() -> bool + Send + Sync + 'static,
    count: usize,
    item: impl Fn(usize) + Send + Sync + 'static,
) {
    let work = Arc::new(Work { item, is_crowded });
    let sharing = Arc::new(Sharing {
        work: Mutex::new(Some(work.clone())),
        count,
        next: AtomicUsize::new(0),
        done: Mutex::new(0),
        all_done: Condvar::new(),
    });
    for _ in 1..rayon::current_num_threads().min(count) {
        let sharing = sharing.clone();
        rayon::spawn(move || sharing.help());
    }
    while sharing.one(&work) {}
    let mut done = sharing.done.lock().unwrap_or_else(PoisonError::into_inner);
    // What others have taken on is an item each, and they are at it.
    while *done < count {
        done = sharing.all_done.wait(done).unwrap_or_else(PoisonError::into_inner);
    }
    sharing.work.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl<W: Fn(usize), C: Fn() -> bool> Sharing<W, C> {
    /// Does items until there are none left that no one has taken on.
    fn help(&self) {
        loop {
            let Some(is_crowded) = self.work().map(|work| (work.is_crowded)()) else { return };
            // Other work may take long, and this may be done meanwhile: nothing of it is held.
            if is_crowded && rayon::yield_now() == Some(rayon::Yield::Executed) {
                continue;
            }
            if !self.work().is_some_and(|work| self.one(&work)) {
                return;
            }
        }
    }

    fn work(&self) -> Option<Arc<Work<W, C>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does the first item that no one has taken on; false if there is none.
    fn one(&self, work: &Work<W, C>) -> bool {
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        if item >= self.count {
            return false;
        }
        (work.item)(item);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        if *done == self.count {
            self.all_done.notify_all();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_nothing_is_held_afterwards() {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let done: Arc<Vec<AtomicUsize>> = Arc::new((0..1000).map(|_| AtomicUsize::new(0)).collect());
            let held = done.clone();
            pool.install(move || {
                share(1000, move |item| held[item].store(held[item].load(Ordering::Relaxed) + 1, Ordering::Relaxed))
            });
            assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1));
            pool.install(|| share(0, |_| unreachable!()));
            drop(pool);
            assert_eq!(Arc::strong_count(&done), 1);
        }
    }

    #[test]
    fn whoever_would_wait_does_other_work_first() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let [queued, freed, done]: [Arc<AtomicUsize>; 3] = Default::default();
        let wait_for = |flag: &Arc<AtomicUsize>| {
            let flag = flag.clone();
            move || {
                while flag.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
            }
        };
        let (until_queued, until_freed) = (wait_for(&queued), wait_for(&freed));
        let (still, counted) = (freed.clone(), done.clone());
        let is_crowded = move || {
            until_queued();
            still.load(Ordering::SeqCst) == 0
        };
        let item = move |item| {
            if item == 0 {
                let freed = freed.clone();
                rayon::spawn(move || freed.store(1, Ordering::SeqCst));
                queued.store(1, Ordering::SeqCst);
            }
            // Without the other work no item ends.
            until_freed();
            counted.fetch_add(1, Ordering::SeqCst);
        };
        pool.install(|| share_unless(is_crowded, 100, item));
        assert_eq!(done.load(Ordering::SeqCst), 100);
    }
}
