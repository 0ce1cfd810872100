//! A process that calls one function.

use std::{ffi::OsString, ops::Range, time::Duration};

use serde::Deserialize;
use serde_json::json;

use super::{
    super::{context::Context, error::ActionError, external::last_lines},
    Call, CallRole,
    interpreter::interpreter,
};
use crate::system::{self, Gone, Peer, PeerOptions, Progress};
use datac_core::{
    config::{Function, kind_of},
    failure::{Failure, FailureKind, SourceFault},
};

/// What runs in the process, and what is the module `datac` there: the binary carries both.
const RUNNER: &str = include_str!("../../../../../python/datac/_runner.py");
const DEFINITIONS: &str = include_str!("../../../../../python/datac/_functions.py");

/// Bytes that a function may return for a request, beside a multiple of what it is given.
const ANSWER: usize = 64 << 20;

/// A process that calls one function.
pub(super) struct Worker {
    peer: Peer,
    call: Call,
    is_ready: bool,
}

/// Which order Python's sets have: a result that depends on it is another one in the other order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashSeed {
    First,
    Second,
}

/// Rows for a function, as JSON.
#[derive(Default)]
pub(super) struct Rows {
    /// The rows, separated by commas.
    pub(super) text: Vec<u8>,
    pub(super) places: Vec<Range<usize>>,
}

impl Rows {
    pub(super) fn push(&mut self, row: &[u8]) {
        if !self.text.is_empty() {
            self.text.push(b',');
        }
        let start = self.text.len();
        self.text.extend_from_slice(row);
        self.places.push(start..self.text.len());
    }

    pub(super) fn row(&self, number: usize) -> &[u8] {
        &self.text[self.places[number].clone()]
    }

    /// Returns the request as `_runner.py` reads it.
    fn request(&self) -> Vec<u8> {
        let mut request = Vec::with_capacity(self.text.len() + 4 * (self.places.len() + 1) + 2);
        request.extend_from_slice(&(self.places.len() as u32).to_le_bytes());
        for place in &self.places {
            request.extend_from_slice(&(place.len() as u32).to_le_bytes());
        }
        request.push(b'[');
        request.extend_from_slice(&self.text);
        request.push(b']');
        request
    }
}

/// The first line of an answer.
#[derive(Deserialize)]
struct Told {
    /// What the function says of itself.
    of: Option<Declared>,
    /// Why the function cannot be called, or failed.
    failed: Option<String>,
    /// The end of the traceback.
    #[serde(default)]
    seen: String,
    hint: Option<String>,
    /// The row that it failed at.
    row: Option<usize>,
    /// The files of the workspace that were read since the last answer.
    read: Vec<String>,
}

#[derive(Deserialize)]
struct Declared {
    kind: Option<String>,
}

/// Why there are no answers.
pub(super) enum Stop {
    /// The build was interrupted, or has failed otherwise.
    Action(ActionError),
    /// The function failed, at the row with this number of the request if it was working on one.
    Failed(Box<Failure>, Option<usize>),
}

impl From<ActionError> for Stop {
    fn from(error: ActionError) -> Self {
        Self::Action(error)
    }
}

/// Makes a failure of a function, which is shown where the recipe names it.
pub(super) fn failed(function: &Function, why: impl std::fmt::Display) -> Failure {
    let failure = Failure::new(FailureKind::Action, format!("call `{function}`: {why}"));
    failure.about(SourceFault::Python).at_word(function.to_string())
}

impl Worker {
    /// Starts a process and does not wait until it is ready.
    pub(super) fn start(context: &Context, call: &Call, seed: HashSeed) -> Result<Self, Stop> {
        let function = &call.function;
        let python = interpreter(context.functions.given.as_deref());
        // The module reads and writes UTF-8, wherever it runs. A crash is told with the line that it happened in.
        let words = ["-X", "utf8", "-X", "faulthandler", "-c", RUNNER].map(OsString::from);
        let command: Vec<OsString> = [python.clone()].into_iter().chain(words).collect();
        let seed = match seed {
            HashSeed::First => "0",
            HashSeed::Second => "1",
        };
        let options = PeerOptions {
            command: &command,
            environment: &[("PYTHONHASHSEED", seed)],
            folder: &context.sources.root,
            scratch: &context.outputs.scratch,
            patience: Duration::from_secs(function.timeout),
            interrupt: &context.control.interrupt,
        };
        let mut peer = Peer::start(&options).map_err(|error| {
            let why = format!("`{}` cannot be started: {error}", python.display());
            let hint = "install Python 3.10 or newer, activate a virtual environment, or name an interpreter in `DATAC_PYTHON`";
            Stop::Failed(Box::new(failed(function, why).hint(hint)), None)
        })?;
        let request = json!({
            "module": function.module,
            "function": function.name,
            "role": call.role.word(),
            "definitions": DEFINITIONS,
            "progress": peer.progress_path().to_string_lossy(),
        });
        peer.ask(request.to_string().as_bytes());
        Ok(Self { peer, call: call.clone(), is_ready: false })
    }

    /// Calls the function on rows, and returns a line for each. A process that gives none is of no more use.
    pub(super) fn call(mut self, context: &Context, rows: &Rows) -> Result<(Self, String), Stop> {
        if !self.is_ready {
            let told;
            (self, told, _) = self.answer(context, ANSWER, 0)?;
            self.check(&told)?;
            self.is_ready = true;
        }
        self.peer.ask(&rows.request());
        let (this, _, lines) = self.answer(context, ANSWER + 16 * rows.text.len(), rows.places.len())?;
        let found = memchr::memchr_iter(b'\n', lines.as_bytes()).count() + usize::from(!lines.is_empty());
        if found != rows.places.len() {
            let why = format!("the worker answered {found} lines for {} rows", rows.places.len());
            return Err(Stop::Failed(Box::new(failed(&this.call.function, why)), None));
        }
        Ok((this, lines))
    }

    /// Checks that a converter is of the kind that the recipe needs.
    fn check(&self, told: &Told) -> Result<(), Stop> {
        let CallRole::Converter(kind) = self.call.role else { return Ok(()) };
        let word = told.of.as_ref().and_then(|of| of.kind.as_deref()).unwrap_or_default();
        if kind_of(word) == Some(kind) {
            return Ok(());
        }
        let why = format!("it makes samples for `{word}`, but the phase needs {} samples", kind.name());
        let hint = "give the decorator the `kind` of the recipe's phase";
        Err(Stop::Failed(Box::new(failed(&self.call.function, why).hint(hint)), None))
    }

    /// Waits for an answer to a request of `rows` rows, and returns its first line and the others.
    fn answer(mut self, context: &Context, limit: usize, rows: usize) -> Result<(Self, Told, String), Stop> {
        let function = self.call.function.clone();
        let stop = |why: String| Stop::Failed(Box::new(failed(&function, why)), None);
        let answer = match self.peer.answer(limit) {
            None => return Err(self.gone(context, rows)),
            Some(Err(length)) => {
                let (length, limit, given) = (length >> 20, limit >> 20, self.call.role.given());
                let why = format!("it returned {length} MiB for {rows} {given}s; {limit} is the most");
                return Err(stop(why));
            }
            Some(Ok(answer)) => {
                String::from_utf8(answer).map_err(|_| stop("the worker answered no UTF-8".to_owned()))?
            }
        };
        let (first, lines) = answer.split_once('\n').unwrap_or((&answer, ""));
        let told: Told =
            serde_json::from_str(first).map_err(|error| stop(format!("the worker answered no JSON: {error}")))?;
        // What it depends on comes before what it did.
        self.call.check_files(context, &told.read).map_err(|failure| Stop::Failed(Box::new(failure), None))?;
        if let Some(why) = &told.failed {
            let mut failure = failed(&function, why);
            if let Some(hint) = &told.hint {
                failure = failure.hint(hint);
            }
            if !told.seen.is_empty() {
                failure = failure.note(&told.seen);
            }
            return Err(Stop::Failed(Box::new(failure), told.row));
        }
        let lines = lines.to_owned();
        Ok((self, told, lines))
    }

    /// Says why a process is gone.
    fn gone(self, context: &Context, rows: usize) -> Stop {
        let (function, timeout) = (self.call.function.clone(), self.call.function.timeout);
        let (is_ready, given) = (self.is_ready, self.call.role.given());
        let Gone { status, said, progress: Progress { item, .. }, is_overdue } = self.peer.gone();
        if let Err(stop) = context.check() {
            return Stop::Action(stop);
        }
        let row = (is_ready && item > 0).then(|| item as usize - 1).filter(|row| *row < rows);
        let doing = if is_ready { format!("for one {given}") } else { "to be imported".to_owned() };
        let said = last_lines(&String::from_utf8_lossy(&said));
        let failure = match status {
            _ if is_overdue => {
                let hint = "mend the function, or give it more seconds: `timeout:` beside `python:`";
                failed(&function, format!("it took more than {timeout} s {doing}, and was stopped{said}")).hint(hint)
            }
            Ok(status) => failed(&function, format!("its process ended: {status}{said}")),
            Err(error) => failed(&function, format!("its process ended: {error}{said}")),
        };
        Stop::Failed(Box::new(failure), row)
    }
}

impl Call {
    /// Checks that files that were read are among those that the key holds, and are as they were when it was made.
    fn check_files(&self, context: &Context, read: &[String]) -> Result<(), Failure> {
        for path in read {
            let function = &self.function;
            if !self.files.iter().any(|(known, _)| known == path) {
                let why = format!("it reads `{path}`, which the recipe does not name");
                let hint = format!(
                    "add it beside `python:`, as in `files: [{path}]`: {} to be made again when it changes",
                    self.role.makes()
                );
                return Err(failed(function, why).hint(hint));
            }
            let now = system::stat(&context.sources.root.join(path)).ok();
            if now.as_ref() != context.sources.local_stats.get(path) {
                let why = format!("`{path}` changed while the build went on");
                return Err(failed(function, why).hint("build again"));
            }
        }
        Ok(())
    }
}
