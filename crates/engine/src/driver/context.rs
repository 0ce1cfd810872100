//! The handles that actions work with.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{error::ActionError, indexes::Indexes, outcomes::OutcomeCache, scan::Chunks, sources::Sources};
use crate::{
    cache::{Record, Store},
    event::{Event, Observer},
    graph::{Outcome, ScanOutcome},
    writer::Budget,
};
use datac_core::{code::CodeVersions, id::ActionKey};

/// The handles that actions work with.
pub(crate) struct Context {
    /// The blobs.
    pub(crate) store: Store,
    /// The indexes among the blobs.
    pub(crate) indexes: Indexes,
    /// The database of the cache.
    pub(crate) record: Arc<Record>,
    /// What is known of actions that ran before.
    pub(crate) outcomes: Arc<OutcomeCache>,
    /// The version of every component, which keys hold.
    pub(crate) versions: CodeVersions,
    /// Where source files are read from.
    pub(crate) sources: Sources,
    /// Where outputs go, and with what means.
    pub(crate) outputs: OutputSettings,
    /// Who is told, and who may stop a build.
    pub(crate) control: Control,
    /// Files of which enough has been read for now, to go on with should more be needed.
    pub(crate) parked: Mutex<HashMap<ActionKey, (Chunks, ScanOutcome)>>,
}

/// Where outputs go, and with what means.
pub(crate) struct OutputSettings {
    /// The folder of outputs.
    pub(crate) dir: PathBuf,
    /// The folder for files too large for memory while they are sorted.
    pub(crate) scratch: PathBuf,
    /// Bytes that all outputs may hold together beyond chunks in flight.
    pub(crate) memory: Budget,
}

/// Who is told of events, and who may stop a build.
pub(crate) struct Control {
    /// Told of everything.
    pub(crate) observer: Observer,
    /// Set when the user wants to stop.
    pub(crate) interrupt: Arc<AtomicBool>,
}

impl Context {
    /// Fails if the user wants to stop.
    pub(crate) fn check(&self) -> Result<(), ActionError> {
        if self.control.interrupt.load(Ordering::Relaxed) { Err(ActionError::Interrupted) } else { Ok(()) }
    }

    /// Tells the observer.
    pub(crate) fn tell(&self, event: Event) {
        (self.control.observer)(event);
    }

    /// Returns what an action yielded before, if its blobs are still there.
    pub(crate) fn lookup(&self, key: &ActionKey) -> Option<Outcome> {
        self.outcomes.lookup(key)
    }
}
