//! Shares items of work among free threads, without taking on other work while waiting.
//!
//! A thread that waits inside rayon steals any job it finds, even whole files of other recipes. The work it waited
//! for would then wait for those jobs, and keep its memory beside theirs.

use std::sync::{
    Arc, Condvar, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

struct Sharing<W> {
    /// `None` once all work is done, so that a helper that starts late finds nothing and keeps nothing alive.
    work: Mutex<Option<Arc<W>>>,
    count: usize,
    /// The first item that no thread has begun.
    next: AtomicUsize,
    /// Number of items that are done.
    done: Mutex<usize>,
    all_done: Condvar,
}

/// Calls `work` with every number below `count`, and returns when all calls have returned.
pub fn share(count: usize, work: impl Fn(usize) + Send + Sync + 'static) {
    let work = Arc::new(work);
    let sharing = Arc::new(Sharing {
        work: Mutex::new(Some(work.clone())),
        count,
        next: AtomicUsize::new(0),
        done: Mutex::new(0),
        all_done: Condvar::new(),
    });
    for _ in 1..rayon::current_num_threads().min(count) {
        let sharing = sharing.clone();
        rayon::spawn(move || {
            let work = sharing.work.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(work) = work {
                sharing.help(&work);
            }
        });
    }
    sharing.help(&work);
    let mut done = sharing.done.lock().unwrap_or_else(PoisonError::into_inner);
    // The remaining items have been begun by other threads, one each.
    while *done < count {
        done = sharing.all_done.wait(done).unwrap_or_else(PoisonError::into_inner);
    }
    sharing.work.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl<W: Fn(usize)> Sharing<W> {
    /// Works on items until none is left to begin.
    fn help(&self, work: &W) {
        loop {
            let item = self.next.fetch_add(1, Ordering::Relaxed);
            if item >= self.count {
                return;
            }
            work(item);
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += 1;
            if *done == self.count {
                self.all_done.notify_all();
            }
        }
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
            // A helper that found no items drops its reference slightly later.
            let is_alone = |_| {
                std::thread::yield_now();
                Arc::strong_count(&done) == 1
            };
            assert!((0..1_000_000).any(is_alone));
        }
    }
}
