//! The threads of a build: as many as configured, or as GNU make has job slots for.
//!
//! make's protocol: every recipe line may run one thread. For each further thread, a token is taken from a pipe, and
//! given back when the thread ends. <https://www.gnu.org/software/make/manual/html_node/POSIX-Jobserver.html>

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use jobserver::{Acquired, Client, FromEnvErrorKind, HelperThread};
use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

use crate::system;

/// The make that this process runs under.
#[derive(Debug)]
pub struct Make {
    /// Client of the jobserver; `None` if make has a jobserver but does not share it with this process.
    tokens: Option<Client>,
}

impl Make {
    /// Returns the make that this process runs under, if make has a jobserver.
    ///
    /// This must be called before any file is opened: make names its pipe by file descriptor numbers, and passes the
    /// pipe only to recipe lines that begin with `+`.
    pub fn inherited() -> Option<Arc<Self>> {
        #[expect(unsafe_code, reason = "taking over files by their numbers is what make's protocol asks for")]
        // SAFETY: no file has been opened yet, so the numbers are either inherited from make or unused, and files
        // that are not pipes are refused.
        let found = unsafe { Client::from_env_ext(true) };
        let tokens = match found.client {
            Ok(client) => Some(client),
            Err(error) => match error.kind() {
                FromEnvErrorKind::NoEnvVar | FromEnvErrorKind::NoJobserver => return None,
                _ => None,
            },
        };
        Some(Arc::new(Self { tokens }))
    }

    /// Limits the work outside of a build's own pool to one more thread, which runs while the first one waits.
    pub fn confine(&self) {
        if self.tokens.is_some() {
            // If a global pool exists already, the caller is responsible for it.
            ThreadPoolBuilder::new().num_threads(1).build_global().ok();
        }
    }

    /// Returns whether make has a jobserver that it does not share with this process.
    pub fn is_withheld(&self) -> bool {
        self.tokens.is_none()
    }
}

/// Returns whether make only prints commands, or only asks or touches: `-n`, `-q` or `-t`.
///
/// make still runs recipe lines that begin with `+`, which must then do nothing themselves.
pub fn makes_nothing() -> bool {
    system::env("MAKEFLAGS").is_some_and(|flags| has_letter(&flags, &['n', 'q', 't']))
}

/// Returns whether one of make's single-letter options is set. They are in the first word, without a dash.
fn has_letter(flags: &str, letters: &[char]) -> bool {
    let first = flags.split(' ').next().unwrap_or_default();
    !first.starts_with('-') && !first.contains('=') && first.contains(letters)
}

/// A thread pool whose threads start when make has tokens for them. The first thread needs no token.
pub(crate) struct Crew {
    pool: Option<ThreadPool>,
    /// Waits for tokens, until it is dropped.
    usher: Option<HelperThread>,
    begun: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Crew {
    /// Creates a pool of `threads` threads. Under a make with a jobserver, all but the first wait for a token.
    pub(crate) fn start(threads: usize, make: Option<&Arc<Make>>) -> io::Result<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let begun = Arc::<Mutex<Vec<JoinHandle<()>>>>::default();
        let Some(tokens) = make.and_then(|make| make.tokens.clone()) else {
            let pool = builder.build().map_err(io::Error::other)?;
            return Ok(Self { pool: Some(pool), usher: None, begun });
        };
        // rayon does not depend on threads that have not started: like busy threads, they simply take no work.
        let mut waiting = VecDeque::new();
        let pool = builder
            .spawn_handler(|thread| {
                waiting.push_back(thread);
                Ok(())
            })
            .build()
            .map_err(io::Error::other)?;
        let begin = {
            let begun = begun.clone();
            move |thread, token| -> io::Result<()> {
                let handle = begin(thread, token)?;
                begun.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
                Ok(())
            }
        };
        if let Some(first) = waiting.pop_front() {
            begin(first, None)?;
        }
        let missing = waiting.len();
        let usher = tokens.into_helper_thread(move |token| {
            // If a thread cannot be started, its token goes back and the other threads do the work. An error means
            // that make has ended and no more tokens will come.
            if let (Ok(token), Some(thread)) = (token, waiting.pop_front()) {
                begin(thread, Some(token)).ok();
            }
        })?;
        (0..missing).for_each(|_| usher.request_token());
        Ok(Self { pool: Some(pool), usher: Some(usher), begun })
    }

    /// Returns the thread pool.
    pub(crate) fn pool(&self) -> &ThreadPool {
        self.pool.as_ref().expect("it is taken only when the crew is dropped")
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        drop(self.usher.take());
        drop(self.pool.take());
        // All tokens must be returned before the process ends, because make counts them.
        for thread in std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner)) {
            thread.join().ok();
        }
    }
}

fn begin(thread: ThreadBuilder, token: Option<Acquired>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().spawn(move || {
        thread.run();
        drop(token);
    })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[test]
    fn flags_are_read_as_make_writes_them() {
        for (flags, wanted) in [("n", true), ("kn -j2", true), (" -j2", false), ("-n", false), ("NAME=n", false)] {
            assert_eq!(has_letter(flags, &['n']), wanted, "{flags}");
        }
    }

    /// Returns a make with this many tokens.
    fn make_of(tokens: usize) -> (Client, Arc<Make>) {
        let client = Client::new(tokens).unwrap();
        (client.clone(), Arc::new(Make { tokens: Some(client) }))
    }

    /// Returns the largest number of jobs, out of many, that ran at once.
    fn width(crew: &Crew) -> usize {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        crew.pool().in_place_scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|_| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(2));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        most.into_inner()
    }

    #[test]
    fn threads_are_never_more_than_tokens_and_one() {
        for tokens in [0, 1, 2, 9] {
            let (client, make) = make_of(tokens);
            let crew = Crew::start(4, Some(&make)).unwrap();
            let width = width(&crew);
            assert!((1..=(tokens + 1).min(4)).contains(&width), "{width} at once with {tokens} tokens");
            drop(crew);
            assert_eq!(client.available().unwrap(), tokens, "all are given back");
        }
    }

    #[test]
    fn a_token_that_comes_late_is_used() {
        let (client, make) = make_of(0);
        let crew = Crew::start(2, Some(&make)).unwrap();
        assert_eq!(width(&crew), 1);
        client.release_raw().unwrap();
        // Waits as long as the thread takes to start.
        while width(&crew) < 2 {}
        drop(crew);
        assert_eq!(client.available().unwrap(), 1);
    }
}
