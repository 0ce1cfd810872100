//! Work that takes long: with events, progress and interruption.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use pyo3::prelude::*;

use crate::{
    errors::{Fault, caught},
    threads::on_threads,
};
use datac::{
    Event, Settings, Workspace,
    cli::Display,
    system::Stopwatch,
    workspace::{BuildEvent, BuildEvents},
};

/// How long nobody looks whether the user interrupts.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long work takes before its progress is shown: what is over sooner needs none.
const SOON: Duration = Duration::from_millis(500);

/// How often progress is shown.
const FRAME: Duration = Duration::from_millis(125);

enum Message<T> {
    Event(Event),
    Ended(Box<Result<T, Fault>>),
}

/// Whoever is told how work goes on.
pub(crate) struct Listener<'l, 'py> {
    /// What is done, in a word: `Building`.
    pub(crate) verb: &'static str,
    /// Called with each event, a line of JSON.
    pub(crate) on_event: Option<&'l Bound<'py, PyAny>>,
    /// Called now and then with lines of text that say how far things are; given the number of columns that it asks for.
    pub(crate) on_progress: Option<(&'l Bound<'py, PyAny>, usize)>,
}

/// Does something with the library's handle on another thread, and meanwhile calls the listener and the interpreter's signal
/// handlers on this one.
///
/// If any of these raises, the work is asked to stop, and the exception is raised once it has: steps that were finished are kept.
/// Callbacks never run on the threads of the work, so that none of these ever waits for the interpreter.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    settings: &Settings,
    listener: &Listener<'_, '_>,
    work: impl FnOnce(&Workspace) -> Result<T, Fault> + Send + 'static,
) -> PyResult<T> {
    let (send, receive) = mpsc::channel();
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut own = Settings { interrupt: interrupt.clone(), ..settings.clone() };
    let listened = send.clone();
    // If nobody listens any more, the work was left to itself.
    own.observer = Arc::new(move |event| drop(listened.send(Message::Event(event))));
    let work = move || {
        let done = caught(|| on_threads(|| work(&Workspace::open(own))));
        send.send(Message::Ended(Box::new(done))).ok();
    };
    thread::Builder::new()
        .name("datac".to_owned())
        .spawn(work)
        .map_err(|error| Fault::action(format!("start a thread: {error}")).exception(py, settings))?;
    let receive = Mutex::new(receive);
    let (display, begun) = (Display::new(listener.verb), Stopwatch::start());
    let mut told = Told { listener, events: BuildEvents::default(), display, begun, next: SOON };
    let (mut raised, mut is_waiting) = (None, false);
    loop {
        let message = py.detach(|| receive.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE));
        let went_on = match message {
            Ok(Message::Ended(ended)) => {
                return match raised {
                    Some(raised) => Err(raised),
                    None => (*ended).map_err(|fault| fault.exception(py, settings)),
                };
            }
            Ok(Message::Event(event)) if raised.is_none() => {
                is_waiting = matches!(event, Event::Waiting { .. });
                told.tell(py, &event)
            }
            Ok(Message::Event(_)) => Ok(()),
            Err(RecvTimeoutError::Timeout) if raised.is_none() => told.show(),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Fault::Bug("work ended without a result".to_owned()).exception(py, settings));
            }
        };
        if let Err(error) = went_on.and_then(|()| py.check_signals()) {
            interrupt.store(true, Ordering::Relaxed);
            // What waits for another process has done nothing yet. It learns that it is to stop when it has the lock.
            if is_waiting {
                return Err(error);
            }
            raised.get_or_insert(error);
        }
    }
}

/// What the listener has been told.
struct Told<'l, 'py> {
    listener: &'l Listener<'l, 'py>,
    events: BuildEvents,
    display: Display,
    begun: Stopwatch,
    /// How long after the beginning progress is shown next.
    next: Duration,
}

impl Told<'_, '_> {
    fn tell(&mut self, py: Python<'_>, event: &Event) -> PyResult<()> {
        if let Some(on_event) = self.listener.on_event {
            self.events.tell(event).iter().try_for_each(|event| call(event, on_event))?;
        } else if let Event::Warning(text) = event {
            // Who takes events has it among them.
            let log = py.import("logging")?.call_method1("getLogger", ("datac",))?;
            log.call_method1("warning", ("%s", text))?;
        }
        if self.listener.on_progress.is_some() {
            self.display.see(event);
        }
        self.show()
    }

    /// Shows how far things are, if it is time to.
    fn show(&mut self) -> PyResult<()> {
        let Some((on_progress, width)) = self.listener.on_progress else { return Ok(()) };
        let at = self.begun.elapsed();
        if at < self.next {
            return Ok(());
        }
        self.next = at + FRAME;
        on_progress.call1((self.display.lines(width),)).map(drop)
    }
}

fn call(event: &BuildEvent, on_event: &Bound<'_, PyAny>) -> PyResult<()> {
    let text = serde_json::to_string(event).expect("an event is plain data");
    on_event.call1((text,)).map(drop)
}
