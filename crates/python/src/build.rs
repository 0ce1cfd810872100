//! Builds, with events and interruption.

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
    BuildOptions, BuildReport, Event, Settings, Workspace,
    workspace::{BuildEvent, BuildEvents},
};

/// How long nobody looks whether the user interrupts.
const PATIENCE: Duration = Duration::from_millis(50);

enum Message {
    Event(Event),
    Ended(Box<Result<BuildReport, Fault>>),
}

/// Builds recipes on another thread, and meanwhile calls `on_event` and the interpreter's signal handlers on this one.
///
/// If either raises, the build is asked to stop, and the exception is raised once it has: steps that were finished are kept.
/// Callbacks never run on the threads of the build, so that none of these ever waits for the interpreter.
pub(crate) fn build(
    py: Python<'_>,
    settings: &Settings,
    selectors: Vec<String>,
    options: BuildOptions,
    on_event: Option<&Bound<'_, PyAny>>,
) -> PyResult<BuildReport> {
    let (send, receive) = mpsc::channel();
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut own = Settings { interrupt: interrupt.clone(), ..settings.clone() };
    let listened = send.clone();
    // If nobody listens any more, the build was left to itself.
    own.observer = Arc::new(move |event| drop(listened.send(Message::Event(event))));
    let work = move || {
        let built = caught(|| on_threads(|| Ok(Workspace::open(own).build(&selectors, &options)?)));
        send.send(Message::Ended(Box::new(built))).ok();
    };
    thread::Builder::new()
        .name("datac build".to_owned())
        .spawn(work)
        .map_err(|error| Fault::action(format!("start a thread: {error}")).exception(py, settings))?;
    let receive = Mutex::new(receive);
    let (mut events, mut raised, mut is_waiting) = (BuildEvents::default(), None, false);
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
                let told = events.tell(&event);
                on_event.map_or(Ok(()), |on_event| told.iter().try_for_each(|event| tell(event, on_event)))
            }
            Ok(Message::Event(_)) => Ok(()),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Fault::Bug("a build ended without a result".to_owned()).exception(py, settings));
            }
        };
        if let Err(error) = went_on.and_then(|()| py.check_signals()) {
            interrupt.store(true, Ordering::Relaxed);
            // A build that waits for another process has done nothing yet. It learns that it is to stop when it has the lock.
            if is_waiting {
                return Err(error);
            }
            raised.get_or_insert(error);
        }
    }
}

fn tell(event: &BuildEvent, on_event: &Bound<'_, PyAny>) -> PyResult<()> {
    let text = serde_json::to_string(event).expect("an event is plain data");
    on_event.call1((text,)).map(drop)
}
