//! Looks up in a shared cache what the local one lacks, on a thread of its own: the driver asks for the actions that are missing,
//! goes on, and is told which of them need not run.
//!
//! An outcome is only passed on once all of its blobs are in the local store, so that nothing that comes later depends on the
//! shared cache.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
};

use super::{context::Context, report::Report};
use crate::{
    cache::Blobs,
    event::Event,
    graph::{Action, Outcome, Work},
    remote::{Read, Reader},
};
use datac_core::{hash::Digest, id::BlobId};

/// Actions to look up.
pub(super) struct Seek {
    /// The actions, each with the scope that it belongs to.
    pub(super) actions: Vec<(Arc<Action>, Digest)>,
    /// Scopes that will be asked for next.
    pub(super) also: Vec<Digest>,
}

/// An action that need not run.
pub(super) struct Sought {
    pub(super) action: Arc<Action>,
    pub(super) outcome: Outcome,
    /// The outcome as it is recorded.
    pub(super) bytes: Vec<u8>,
}

/// Number of outcomes whose blobs are fetched before the driver is told of them.
const AT_ONCE: usize = 256;

/// Answers what is asked through `inbox`, until nobody can ask any more.
pub(super) fn serve(mut reader: Reader, inbox: &Receiver<Seek>, context: &Context, reports: &Sender<Report>) -> Read {
    let mut has_told = false;
    while let Ok(seek) = inbox.recv() {
        answer(&mut reader, seek, context, reports);
        if let (Some(reason), false) = (reader.given_up(), has_told) {
            has_told = true;
            let name = reader.name();
            context.tell(Event::Warning(format!("the shared cache `{name}` is not used any further: {reason}")));
        }
    }
    if let Some(refused) = reader.refused().in_words() {
        context.tell(Event::Warning(format!("the shared cache `{}` has {refused}; ignored", reader.name())));
    }
    reader.finish()
}

fn answer(reader: &mut Reader, seek: Seek, context: &Context, reports: &Sender<Report>) {
    // A closed channel means that the driver has ended and needs no report.
    let tell = |found, missing, is_last| drop(reports.send(Report::Sought { found, missing, is_last }));
    let wanted: Vec<_> = seek.actions.iter().map(|(action, scope)| (action.key, *scope)).collect();
    if context.check().is_ok() {
        reader.find(&wanted, &seek.also);
    }
    let (mut found, mut missing, mut incomplete) = (Vec::new(), Vec::new(), Vec::new());
    for (action, _) in seek.actions {
        let Some(sought) = usable(reader, &action) else {
            missing.push(action);
            continue;
        };
        let absent = absent(context, &sought);
        if absent.is_empty() { found.push(sought) } else { incomplete.push((sought, absent)) }
    }
    // What is settled need not wait for blobs.
    tell(found, missing, incomplete.is_empty());
    let mut left = incomplete.into_iter();
    while !left.as_slice().is_empty() {
        let group: Vec<_> = left.by_ref().take(AT_ONCE).collect();
        let mut ids: Vec<BlobId> = Vec::new();
        let mut seen = HashSet::new();
        ids.extend(group.iter().flat_map(|(_, absent)| absent).filter(|id| seen.insert(**id)));
        let got = if context.check().is_ok() { reader.fetch(&ids) } else { HashSet::new() };
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (sought, absent) in group {
            if absent.iter().all(|id| got.contains(id)) { found.push(sought) } else { missing.push(sought.action) }
        }
        tell(found, missing, left.as_slice().is_empty());
    }
}

/// Returns the outcome of an action, if there is one that tells more than is known.
fn usable(reader: &Reader, action: &Arc<Action>) -> Option<Sought> {
    let bytes = reader.outcome(&action.key)?;
    let outcome: Outcome = postcard::from_bytes(bytes).ok()?;
    let is_usable = match (&action.work, &outcome) {
        (Work::Scan(work), Outcome::Scan(scan)) => scan.complete || scan.chunks.len() > work.known as usize,
        (work, outcome) => work.stage() == outcome.stage(),
    };
    is_usable.then(|| Sought { action: action.clone(), bytes: bytes.to_vec(), outcome })
}

/// Returns the blobs of an outcome that the local store lacks.
fn absent(context: &Context, sought: &Sought) -> Vec<BlobId> {
    let blobs = sought.outcome.blobs();
    let has = context.store.has(&blobs);
    blobs.into_iter().zip(has).filter(|(_, has)| !has).map(|(id, _)| id).collect()
}
