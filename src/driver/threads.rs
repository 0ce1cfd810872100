//! The threads of a build: as many as are wanted, or as GNU make has tokens for.
//!
//! make's protocol: every recipe line may run one thread; for each thread more a byte is read from a pipe, and written
//! back when the thread ends. <https://www.gnu.org/software/make/manual/html_node/POSIX-Jobserver.html>

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

use crate::system::{self, TokenPipe};

/// How long to wait before looking for a token again.
const PATIENCE: Duration = Duration::from_millis(5);

/// The make that this process runs under.
#[derive(Debug)]
pub struct Make {
    /// Where its tokens are; `None`: it shares them out, but not with this process.
    tokens: Option<TokenPipe>,
}

impl Make {
    /// The make that shares out jobs, if there is one.
    ///
    /// To be called before anything is opened: make names its pipe by the numbers of open files, and hands it on only to
    /// recipe lines that begin with `+`.
    pub fn inherited() -> Option<Arc<Self>> {
        let flags = system::env("MAKEFLAGS")?;
        let auth = jobserver(&flags)?;
        Some(Arc::new(Self { tokens: open(auth) }))
    }

    /// Keeps what this process does outside of a build's own threads to one more thread, which runs while the first waits.
    pub fn confine(&self) {
        if self.tokens.is_some() {
            // A pool that has been started already is the caller's affair.
            ThreadPoolBuilder::new().num_threads(1).build_global().ok();
        }
    }

    /// Whether make has a pipe of tokens that this process was not given.
    pub fn is_withheld(&self) -> bool {
        self.tokens.is_none()
    }
}

/// Whether this process runs under a make that only prints what it would do, or only asks: `-n`, `-q` or `-t`.
///
/// make runs lines that begin with `+` all the same, and leaves it to them to do nothing.
pub fn makes_nothing() -> bool {
    system::env("MAKEFLAGS").is_some_and(|flags| has_letter(&flags, &['n', 'q', 't']))
}

/// Whether one of make's options of one letter is set: they stand together in the first word, without a dash.
fn has_letter(flags: &str, letters: &[char]) -> bool {
    let first = flags.split(' ').next().unwrap_or_default();
    !first.starts_with('-') && !first.contains('=') && first.contains(letters)
}

/// What make says of its tokens: the last word that does counts.
fn jobserver(flags: &str) -> Option<&str> {
    let options = ["--jobserver-auth=", "--jobserver-fds="];
    flags.split(' ').rev().find_map(|word| options.iter().find_map(|option| word.strip_prefix(option)))
}

fn open(auth: &str) -> Option<TokenPipe> {
    match auth.strip_prefix("fifo:") {
        Some(path) => TokenPipe::named(Path::new(path)),
        None => {
            let (read, write) = auth.split_once(',')?;
            TokenPipe::inherited(read.parse().ok()?, write.parse().ok()?)
        }
    }
}

/// A token that is held; dropped, it goes back.
struct Token {
    make: Arc<Make>,
    byte: u8,
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(tokens) = &self.make.tokens {
            tokens.give(self.byte);
        }
    }
}

/// A pool whose threads begin when there is a token for them; the first needs none.
pub(crate) struct Crew {
    pool: Option<ThreadPool>,
    usher: Option<JoinHandle<Vec<JoinHandle<()>>>>,
    ended: Arc<(Mutex<bool>, Condvar)>,
}

impl Crew {
    /// Starts at most `threads`, of which all but one wait for a token where make shares them out.
    pub(crate) fn start(threads: usize, make: Option<&Arc<Make>>) -> io::Result<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let ended = Arc::<(Mutex<bool>, Condvar)>::default();
        let Some(make) = make.filter(|make| make.tokens.is_some()) else {
            let pool = builder.build().map_err(io::Error::other)?;
            return Ok(Self { pool: Some(pool), usher: None, ended });
        };
        // rayon counts on threads that have not begun no more than on those that are busy: work waits for whoever is free.
        let mut waiting = VecDeque::new();
        let pool = builder
            .spawn_handler(|thread| {
                waiting.push_back(thread);
                Ok(())
            })
            .build()
            .map_err(io::Error::other)?;
        let (make, until) = (make.clone(), ended.clone());
        let first = waiting.pop_front().map(|thread| begin(thread, None)).transpose()?;
        let usher = thread::Builder::new().spawn(move || {
            let mut begun: Vec<JoinHandle<()>> = first.into_iter().collect();
            while let Some(token) = wait(&make, &until, waiting.is_empty())
                && let Some(thread) = waiting.pop_front()
            {
                // A thread that cannot be started leaves the work to the others, and its token goes back.
                begun.extend(begin(thread, Some(token)));
            }
            begun
        })?;
        Ok(Self { pool: Some(pool), usher: Some(usher), ended })
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &ThreadPool {
        self.pool.as_ref().expect("it is taken only when the crew is dropped")
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let (ended, wake) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        drop(self.pool.take());
        // All tokens are back before the process ends: make counts them.
        for thread in self.usher.take().map(JoinHandle::join).into_iter().flatten().flatten() {
            thread.join().ok();
        }
    }
}

fn begin(thread: ThreadBuilder, token: Option<Token>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().spawn(move || {
        thread.run();
        drop(token);
    })
}

/// Waits for a token; `None` once the crew has ended, or make is gone.
fn wait(make: &Arc<Make>, until: &(Mutex<bool>, Condvar), is_enough: bool) -> Option<Token> {
    let tokens = make.tokens.as_ref().filter(|_| !is_enough)?;
    let (ended, wake) = until;
    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
    while !*ended {
        if let Some(byte) = tokens.take().ok()? {
            return Some(Token { make: make.clone(), byte });
        }
        ended = wake.wait_timeout(ended, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn flags_are_read_as_make_writes_them() {
        assert_eq!(jobserver(" -j2 --jobserver-auth=3,4"), Some("3,4"));
        assert_eq!(
            jobserver("n -j2 --jobserver-fds=3,4 --jobserver-auth=fifo:/tmp/GMfifo1"),
            Some("fifo:/tmp/GMfifo1")
        );
        assert_eq!(jobserver("k"), None);
        for (flags, wanted) in [("n", true), ("kn -j2", true), (" -j2", false), ("-n", false), ("NAME=n", false)] {
            assert_eq!(has_letter(flags, &['n']), wanted, "{flags}");
        }
        for auth in ["", "3", "-2,-2", "x,y", "3,", "fifo:", "fifo:/nonexistent", "4294967296,1", "999,998"] {
            assert!(open(auth).is_none(), "{auth}");
        }
    }

    /// A pipe with this many tokens.
    fn make_of(tokens: usize) -> (tempfile::TempDir, Arc<Make>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let make = Make { tokens: open(&format!("fifo:{}", path.display())) };
        (0..tokens).for_each(|_| make.tokens.as_ref().unwrap().give(b'+'));
        (folder, Arc::new(make))
    }

    /// The most jobs that ran at once, of many.
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
            let (_folder, make) = make_of(tokens);
            let crew = Crew::start(4, Some(&make)).unwrap();
            let width = width(&crew);
            assert!((1..=(tokens + 1).min(4)).contains(&width), "{width} at once with {tokens} tokens");
            drop(crew);
            let left = std::iter::from_fn(|| make.tokens.as_ref().unwrap().take().unwrap()).count();
            assert_eq!(left, tokens, "all are given back");
        }
    }

    #[test]
    fn a_token_that_comes_late_is_used() {
        let (_folder, make) = make_of(0);
        let crew = Crew::start(2, Some(&make)).unwrap();
        assert_eq!(width(&crew), 1);
        make.tokens.as_ref().unwrap().give(b'x');
        thread::sleep(Duration::from_millis(50));
        assert_eq!(width(&crew), 2);
        drop(crew);
        assert_eq!(make.tokens.as_ref().unwrap().take().unwrap(), Some(b'x'), "the same byte");
    }
}
