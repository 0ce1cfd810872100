//! Programs that a build runs, each in a process group of its own: whoever stops one stops all that it started.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

/// What came of a program.
#[derive(Debug)]
pub struct Piped {
    /// Its status; `None` if it wrote more than it may, and was stopped.
    pub status: Option<ExitStatus>,
    /// What it wrote, up to the limit and a little more.
    pub output: Vec<u8>,
    /// The end of what it said on its standard error.
    pub said: Vec<u8>,
}

/// How much a program may write before it is stopped.
#[derive(Clone, Copy, Debug)]
pub struct PipeLimit {
    /// Lines.
    pub lines: usize,
    /// Bytes.
    pub bytes: usize,
}

/// The process groups of the programs that run.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn running() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops all programs that run, with all that they started.
pub(super) fn stop_all() {
    for group in running().iter() {
        kill_process_group(*group, Signal::KILL).ok();
    }
}

/// A program that runs, and the group of processes that it leads.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) group: Pid,
}

impl Running {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let group = Pid::from_child(&child);
        running().push(group);
        Ok(Self { child, group })
    }

    pub(super) fn stop(&self) {
        kill_process_group(self.group, Signal::KILL).ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        running().retain(|group| *group != self.group);
    }
}

/// Runs a program with `input` on its standard input.
///
/// The input is a file and no pipe: who writes into a full pipe is woken whenever a little of it is read, which takes the processor
/// from the program. No more than the limit of the output is held in memory, and of the standard error its end. The terminal
/// interrupts its foreground group alone, so `interrupt` is watched for the program.
pub fn pipe(
    command: &[String],
    folder: &Path,
    input: File,
    limit: PipeLimit,
    interrupt: &Arc<AtomicBool>,
) -> io::Result<Piped> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command)?;
    let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
    // What left the group of a stopped program may hold the pipes for as long as it likes, so this thread cannot always be
    // waited for.
    let said = Arc::new(Mutex::new(Vec::new()));
    let listening = {
        let said = said.clone();
        std::thread::spawn(move || stderr.map(|stderr| keep_end(stderr, &said)))
    };
    let (ended, has_ended) = mpsc::channel();
    let watching = {
        let (group, interrupt) = (running.group, interrupt.clone());
        std::thread::spawn(move || watch(group, &interrupt, &has_ended, || false))
    };
    let read = stdout.map_or_else(|| Ok((Vec::new(), false)), |stdout| read_up_to(stdout, limit, || running.stop()));
    if read.is_err() {
        running.stop();
    }
    let status = running.child.wait();
    drop((ended, running));
    watching.join().ok();
    let ((output, is_stopped), status) = (read?, status?);
    if !is_stopped {
        listening.join().ok();
    }
    let said = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Piped { status: (!is_stopped).then_some(status), output, said })
}

/// How much has to be there for the next read to be made at once. Python writes 8 KiB at a time, and to be woken for each costs more
/// than what is done with it: 200,000 rows took 456,000 changes of threads with pipes on both sides, and take 18,000.
const ENOUGH: usize = 32 << 10;

/// How long is waited otherwise. A pipe holds 64 KiB, so the program is not kept waiting.
const LULL: Duration = Duration::from_millis(1);

/// Reads what a program writes; calls `stop` and reads no further where that is more than the limit. Returns what was read, and
/// whether the program was stopped.
fn read_up_to(mut stdout: impl Read, limit: PipeLimit, stop: impl Fn()) -> io::Result<(Vec<u8>, bool)> {
    let (mut output, mut lines, mut block) = (Vec::new(), 0, vec![0; 256 << 10]);
    loop {
        let read = match stdout.read(&mut block) {
            Ok(0) => return Ok((output, false)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        lines += memchr::memchr_iter(b'\n', &block[..read]).count();
        output.extend_from_slice(&block[..read]);
        if lines > limit.lines || output.len() > limit.bytes {
            stop();
            return Ok((output, true));
        }
        if read < ENOUGH {
            std::thread::sleep(LULL);
        }
    }
}

/// Reads what a program says, and keeps the end of it.
pub(super) fn keep_end(mut stderr: impl Read, said: &Mutex<Vec<u8>>) {
    const SAID: usize = 64 << 10;
    let mut block = vec![0; SAID];
    loop {
        let read = match stderr.read(&mut block) {
            Ok(read @ 1..) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return,
        };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&block[..read]);
        if said.len() > 2 * SAID {
            let from = said.len() - SAID;
            said.drain(..from);
        }
    }
}

/// How often a program is looked at that runs.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Ends a group of processes when the user interrupts: asks it to end, and stops it two seconds later. Stops it at once when
/// `is_overdue` says so, which is asked at each look. Returns when the program has ended, which is when the other end of `has_ended`
/// is gone.
pub(super) fn watch(
    group: Pid,
    interrupt: &AtomicBool,
    has_ended: &mpsc::Receiver<()>,
    mut is_overdue: impl FnMut() -> bool,
) {
    const PATIENCE: u32 = 20;
    let mut looks = 0;
    while let Err(RecvTimeoutError::Timeout) = has_ended.recv_timeout(LOOK) {
        if is_overdue() {
            kill_process_group(group, Signal::KILL).ok();
        }
        if interrupt.load(Ordering::Relaxed) {
            match looks {
                0 => drop(kill_process_group(group, Signal::TERM)),
                PATIENCE => drop(kill_process_group(group, Signal::KILL)),
                _ => {}
            }
            looks += 1;
        }
    }
}
