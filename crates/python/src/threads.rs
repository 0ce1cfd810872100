//! The threads that work outside of builds runs on.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;

/// The threads, with the process that they belong to.
static THREADS: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Returns the threads of this process.
///
/// Threads do not survive a fork, and whoever asked those of the parent for something would wait forever: so rayon's global threads,
/// which cannot be replaced, are never started, and a child starts its own. The lock is never held while anything else is done.
fn threads() -> Arc<ThreadPool> {
    let lock = || THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let own = std::process::id();
    let known = lock().as_ref().filter(|(process, _)| *process == own).map(|(_, threads)| threads.clone());
    if let Some(known) = known {
        return known;
    }
    let started = Arc::new(rayon::ThreadPoolBuilder::new().build().expect("the system has room for threads"));
    let former = lock().replace((own, started.clone()));
    // Whoever frees the threads of a parent would wait for them, too.
    std::mem::forget(former);
    started
}

/// Runs work on the threads of this process.
pub(crate) fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    threads().install(work)
}
