//! The interface of an object store: names to bytes. Everything above it is the same for a folder, a web server and a bucket.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use super::report::Requests;

/// An object to read, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Name of the object: folders and a file name, separated by `/`.
    pub(crate) name: String,
    /// The bytes that are wanted; `None` for all.
    pub(crate) range: Option<Range<u64>>,
}

/// How an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Only if there is none of that name: the name is the digest of the content.
    IfAbsent,
    /// In place of what is there.
    Replace,
}

/// An object to write.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) how: How,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub(crate) changed_ns: i64,
}

/// Why a shared cache cannot be used: repeated requests failed, or trying again would not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

/// Receives the bytes of an object by its number in the request; `None` if there is no such object.
pub(crate) type EachRead<'a> = dyn FnMut(usize, Result<Option<Vec<u8>>, Fault>) -> Go + 'a;

/// Makes the new bytes of an object from the old ones; `None` leaves the object as it is.
pub(crate) type Edit<'a> = dyn FnMut(Option<Vec<u8>>) -> Option<Vec<u8>> + 'a;

/// Returns up to so many of the next bytes of an object, none at its end, or fails if they are not those that were expected.
pub(crate) type Parts<'a> = dyn FnMut(usize) -> Result<Vec<u8>, Fault> + 'a;

/// Whether to go on with the objects that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    Stop,
}

/// A store of objects. Implementations repeat failed requests, and bound the time that each takes.
pub(crate) trait Objects: Send + Sync {
    /// Returns whether objects can be written.
    fn is_writable(&self) -> bool;

    /// Reads objects, several at a time, in any order. Bytes behind [`super::LARGEST`] are a fault.
    fn read(&self, wanted: &[Wanted], each: &mut EachRead<'_>);

    /// Writes objects, several at a time. A reader sees an object whole or not at all. Returns the first fault; other
    /// objects may have been written.
    fn write(&self, objects: Vec<Put>) -> Result<(), Fault>;

    /// Writes an object of `bytes` bytes that need not fit into memory, in place of what is there. A reader sees the object whole or
    /// not at all. If `parts` fails, nothing is written.
    fn send(&self, name: &str, bytes: u64, parts: &mut Parts<'_>) -> Result<(), Fault>;

    /// Copies an object without its bytes passing through this machine. Returns false if that cannot be done, whatever the reason.
    fn copy(&self, from: &str, to: &str) -> bool {
        let _ = (from, to);
        false
    }

    /// Replaces an object by what `edit` makes of it, which is asked with `None` if there is no such object, and leaves the object as it
    /// is by returning `None`. Nobody else changes the object meanwhile.
    fn update(&self, name: &str, edit: &mut Edit<'_>) -> Result<(), Fault>;

    /// Replaces objects as [`Objects::update`] does each, by their numbers; several at a time where each takes long.
    fn update_all(
        &self,
        names: &[String],
        edit: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> Result<(), Fault> {
        names.iter().enumerate().try_for_each(|(number, name)| self.update(name, &mut |old| edit(number, old)))
    }

    /// Writes an object unless there is one of that name, which then stays as it is. Returns whether it was written. An object that
    /// was survives a power cut.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
        let mut is_new = false;
        self.update(name, &mut |old| {
            is_new = old.is_none();
            is_new.then(|| bytes.clone())
        })?;
        Ok(is_new)
    }

    /// Returns once objects that were written survive a power cut. Most stores answer a write no sooner.
    fn settle(&self, names: &[String]) -> Result<(), Fault> {
        let _ = names;
        Ok(())
    }

    /// Calls `each` with every object whose name begins with the folder `prefix`.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), Fault>;

    /// Removes objects. It is no fault if some do not exist.
    fn remove(&self, names: &[String]) -> Result<(), Fault>;
}

/// Counts of requests and bytes, which implementations add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    lists: AtomicU64,
    removals: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    /// Counts a request that reads.
    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes that were received.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a request that writes so many bytes.
    pub(crate) fn write(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a request that lists.
    pub(crate) fn list(&self) {
        self.lists.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that removes.
    pub(crate) fn remove(&self) {
        self.removals.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts so far.
    pub(crate) fn requests(&self) -> Requests {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Requests {
            reads: of(&self.reads),
            writes: of(&self.writes),
            lists: of(&self.lists),
            removals: of(&self.removals),
            received_bytes: of(&self.received),
            sent_bytes: of(&self.sent),
        }
    }
}
