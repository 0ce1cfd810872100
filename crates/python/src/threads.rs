//! The threads that work runs on.

use rayon::ThreadPoolBuilder;

/// Runs work on threads of its own, one for each core, which end with it.
///
/// A thread of rayon that waits takes up other work of its pool meanwhile. In a pool that calls share, this may be the work of another
/// call, such as a build that waits for the lock that the waiting thread holds. Nor do threads survive a fork, and whoever asked those
/// of the parent for something would wait forever: so rayon's global threads, which cannot be replaced, are never started.
pub(crate) fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    ThreadPoolBuilder::new().build().expect("the system has room for threads").install(work)
}
