//! The handles that actions work with.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    error::ActionError, indexes::Indexes, models::Models, outcomes::OutcomeCache, python::Functions, scan::Chunks,
    sources::Sources,
};
use crate::{
    cache::{Record, Store},
    event::{Event, Observer},
    graph::{Outcome, ScanOutcome},
    writer::Budget,
};
use datac_core::{code::CodeVersions, id::ActionKey};

/// The handles that actions work with.
pub(crate) struct Context {
    /// The store of blobs.
    pub(crate) store: Store,
    /// The indexes in the store.
    pub(crate) indexes: Indexes,
    /// The record of the cache.
    pub(crate) record: Arc<Record>,
    /// Outcomes of actions that ran before.
    pub(crate) outcomes: Arc<OutcomeCache>,
    /// Versions of all components, which keys hold.
    pub(crate) versions: CodeVersions,
    /// The source files.
    pub(crate) sources: Sources,
    /// Destination of outputs, and resources for writing them.
    pub(crate) outputs: OutputSettings,
    /// Observer and interrupt.
    pub(crate) control: Control,
    /// The processes that call functions in Python.
    pub(crate) functions: Functions,
    /// The models that have been read.
    pub(crate) models: Models,
    /// Files of which enough has been read for now, to continue with if more is needed.
    pub(crate) parked: Mutex<HashMap<ActionKey, (Chunks, ScanOutcome)>>,
}

/// Destination of outputs, and resources for writing them.
pub(crate) struct OutputSettings {
    /// The output folder.
    pub(crate) dir: PathBuf,
    /// The folder for temporary files that hold what does not fit in memory.
    pub(crate) scratch: PathBuf,
    /// Memory that all outputs may use together, besides the chunks in flight.
    pub(crate) memory: Budget,
}

/// Observer and interrupt of a build.
pub(crate) struct Control {
    /// Receives all events.
    pub(crate) observer: Observer,
    /// Set when the user interrupts the build.
    pub(crate) interrupt: Arc<AtomicBool>,
}

impl Context {
    /// Fails if the user has interrupted the build.
    pub(crate) fn check(&self) -> Result<(), ActionError> {
        if self.control.interrupt.load(Ordering::Relaxed) { Err(ActionError::Interrupted) } else { Ok(()) }
    }

    /// Sends an event to the observer.
    pub(crate) fn tell(&self, event: Event) {
        (self.control.observer)(event);
    }

    /// Returns the outcome of an action, if it is cached with all its blobs.
    pub(crate) fn lookup(&self, key: &ActionKey) -> Option<Outcome> {
        self.outcomes.lookup(key)
    }
}
