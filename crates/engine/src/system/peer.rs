//! Programs that answer requests for as long as a build has some.
//!
//! Requests and answers are frames: a length of 8 bytes, little-endian, and so many bytes. A program reads a whole request before it
//! answers, so neither side waits for the other to make room in a pipe.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use super::{
    FileError,
    program::{LOOK, Running, keep_end, watch},
};

/// How a program is started.
pub struct PeerOptions<'a> {
    /// The program and its arguments.
    pub command: &'a [OsString],
    /// Variables of its environment, beside those of this process.
    pub environment: &'a [(&'a str, &'a str)],
    /// The folder that it runs in.
    pub folder: &'a Path,
    /// The folder for the file in which it tells how far it has come.
    pub scratch: &'a Path,
    /// How long it may show the same progress before it is stopped.
    pub patience: Duration,
    /// Set when the user interrupts the build.
    pub interrupt: &'a Arc<AtomicBool>,
}

/// A program that answers requests.
pub struct Peer {
    running: Running,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
    /// The end of what it says on its standard error, and the thread that listens.
    said: Arc<Mutex<Vec<u8>>>,
    listening: Option<JoinHandle<()>>,
    /// The thread that watches it, which ends when the other end is dropped.
    watching: Option<(Sender<()>, JoinHandle<()>)>,
    progress: NamedTempFile,
    is_overdue: Arc<AtomicBool>,
}

/// How far a program has come: two numbers that it writes into a file, so that they outlive it. It begins with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The request that it works on.
    pub request: u32,
    /// The item of the request, from 1; 0 while it works on none.
    pub item: u32,
}

/// A program that has ended before its time.
#[derive(Debug)]
pub struct Gone {
    /// Its status, or why there is none.
    pub status: io::Result<ExitStatus>,
    /// The end of what it said on its standard error.
    pub said: Vec<u8>,
    /// How far it had come.
    pub progress: Progress,
    /// Whether it was stopped because it came no further.
    pub is_overdue: bool,
}

fn progress_in(file: &File) -> Progress {
    let mut bytes = [0; 8];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Progress::default();
    }
    let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Progress { request: number(0), item: number(4) }
}

impl Peer {
    /// Creates the file in which a program tells how far it has come.
    fn progress_file(scratch: &Path) -> Result<NamedTempFile, FileError> {
        let error = |source| FileError { verb: "write", path: scratch.to_owned(), source };
        let mut file = NamedTempFile::new_in(scratch).map_err(error)?;
        file.write_all(&[0; 8]).map_err(error)?;
        Ok(file)
    }

    /// Starts a program.
    pub fn start(options: &PeerOptions<'_>) -> io::Result<Self> {
        let (program, arguments) = options.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let progress = Self::progress_file(options.scratch).map_err(io::Error::other)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(options.folder).envs(options.environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let Child { stdin, stdout, stderr, .. } = &mut running.child;
        let (requests, answers, stderr) = (stdin.take(), stdout.take(), stderr.take());
        let answers = answers.ok_or(io::ErrorKind::BrokenPipe)?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let listening = {
            let said = said.clone();
            stderr.map(|stderr| std::thread::spawn(move || keep_end(stderr, &said)))
        };
        let is_overdue = Arc::new(AtomicBool::new(false));
        let (ended, has_ended) = mpsc::channel();
        let watching = {
            let (group, interrupt, patience) = (running.group, options.interrupt.clone(), options.patience);
            let (file, is_overdue) = (progress.reopen()?, is_overdue.clone());
            std::thread::spawn(move || {
                let mut overdue = Overdue { last: Progress::default(), since: Instant::now(), patience };
                watch(group, &interrupt, &has_ended, || {
                    let is_it = overdue.look(progress_in(&file), Instant::now());
                    is_overdue.fetch_or(is_it, Ordering::Relaxed);
                    is_it
                });
            })
        };
        let watching = Some((ended, watching));
        Ok(Self { running, requests, answers, said, listening, watching, progress, is_overdue })
    }

    /// Returns the absolute path of the file in which the program is to tell how far it has come.
    pub fn progress_path(&self) -> PathBuf {
        std::path::absolute(self.progress.path()).unwrap_or_else(|_| self.progress.path().to_owned())
    }

    /// Sends a request. If the program is gone, the answer says so.
    pub fn ask(&mut self, request: &[u8]) {
        if let Some(requests) = &mut self.requests {
            let length = (request.len() as u64).to_le_bytes();
            requests.write_all(&length).and_then(|()| requests.write_all(request)).ok();
        }
    }

    /// Waits for an answer of at most `limit` bytes. Returns its length as the error if it is longer; the program is of no use then.
    /// `None`: the program has ended.
    pub fn answer(&mut self, limit: usize) -> Option<Result<Vec<u8>, u64>> {
        let mut length = [0; 8];
        self.answers.read_exact(&mut length).ok()?;
        let length = u64::from_le_bytes(length);
        if length > limit as u64 {
            return Some(Err(length));
        }
        let mut answer = Vec::with_capacity(length as usize);
        (&mut self.answers).take(length).read_to_end(&mut answer).ok()?;
        (answer.len() as u64 == length).then_some(Ok(answer))
    }

    /// Ends a program that no longer answers, and says what became of it.
    pub fn gone(mut self) -> Gone {
        self.requests = None;
        // It may have closed its pipes and go on.
        let status = self.wait(Instant::now() + PATIENCE);
        self.running.stop();
        let status = status.map_or_else(|| self.running.child.wait(), Ok);
        if let Some((ended, watching)) = self.watching.take() {
            drop(ended);
            watching.join().ok();
        }
        // What left its group may hold the pipe for as long as it likes.
        let listening = self.listening.take();
        let until = Instant::now() + PATIENCE;
        while listening.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let is_overdue = self.is_overdue.load(Ordering::Relaxed);
        Gone { status, said, progress: progress_in(self.progress.as_file()), is_overdue }
    }

    fn wait(&mut self, until: Instant) -> Option<ExitStatus> {
        loop {
            match self.running.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < until => std::thread::sleep(PAUSE),
                _ => return None,
            }
        }
    }
}

const PAUSE: Duration = Duration::from_millis(2);

/// How long a program may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Without requests a program ends; one that does not is stopped, with all that it started.
impl Drop for Peer {
    fn drop(&mut self) {
        self.requests = None;
        if self.wait(Instant::now() + PATIENCE).is_none() {
            self.running.stop();
            self.running.child.wait().ok();
        }
        if let Some((ended, watching)) = self.watching.take() {
            drop(ended);
            watching.join().ok();
        }
    }
}

/// Finds out whether a program comes no further.
struct Overdue {
    last: Progress,
    since: Instant,
    patience: Duration,
}

impl Overdue {
    fn look(&mut self, progress: Progress, now: Instant) -> bool {
        if progress != self.last || progress.item == 0 {
            (self.last, self.since) = (progress, now);
        }
        // What happens between two looks has happened at either.
        now.duration_since(self.since) >= self.patience + LOOK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_overdue_that_shows_the_same_item_for_too_long() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let item = |request, item| Progress { request, item };
        let mut overdue = Overdue { last: Progress::default(), since: begun, patience: Duration::from_secs(5) };
        assert!(!overdue.look(item(1, 1), at(1)));
        assert!(!overdue.look(item(1, 1), at(6)));
        assert!(overdue.look(item(1, 1), at(7)));
        assert!(!overdue.look(item(1, 2), at(8)));
        assert!(!overdue.look(item(2, 2), at(14)));
        assert!(!overdue.look(item(2, 0), at(15)), "it works on nothing");
        assert!(!overdue.look(item(2, 0), at(99)), "however long that takes");
        assert!(!overdue.look(item(3, 1), at(100)));
    }
}
