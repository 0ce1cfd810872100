//! Schedule of garbage collection: when it last ran, and since when things have been unused.
//!
//! The schedule is a small file beside the record. If it is lost, the periods only begin again.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::system::{self, FileError};

/// Name of the schedule's file.
pub(super) const SCHEDULE: &str = "schedule.json";

/// Version of the file's format. Schedules of other versions are ignored.
const VERSION: u32 = 1;

/// Maximum size of the file, in bytes.
const LONGEST: u64 = 16 << 20;

/// Maximum time between two collections while recipes are built, in nanoseconds: one day.
const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// The schedule, as the last collection left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcSchedule {
    version: u32,
    /// Time of the last collection, in nanoseconds since 1970.
    pub surveyed_ns: i64,
    /// Size of the cache after the last collection, in bytes.
    pub bytes: u64,
    /// Number of bytes written since then.
    pub written: u64,
    /// Names that are no longer in use, with the time when that was first seen: paths of recipes that were deleted,
    /// and names of downloads that no lock pins.
    pub unused: BTreeMap<String, i64>,
}

impl GcSchedule {
    /// Reads the schedule of the cache below `root`; `None` if it is missing or unreadable.
    pub fn read(root: &Path) -> Option<Self> {
        let text = system::read_up_to(&root.join(SCHEDULE), LONGEST).ok()?;
        serde_json::from_slice(&text).ok().filter(|schedule: &Self| schedule.version == VERSION)
    }

    /// Returns the schedule of a new cache.
    pub fn begun(now_ns: i64) -> Self {
        Self { version: VERSION, surveyed_ns: now_ns, ..Self::default() }
    }

    /// Writes the schedule to the cache below `root`.
    pub fn write(&self, root: &Path) -> Result<(), FileError> {
        let text = serde_json::to_vec(&Self { version: VERSION, ..self.clone() }).expect("it is plain data");
        system::replace_if_other(&root.join(SCHEDULE), &text)
    }

    /// Returns whether a collection is due: once a day, and when the bytes written since the last one may have
    /// exceeded `max_bytes`. If the cache stays above `max_bytes` because everything in it is in use, a collection is
    /// only due after it has grown by one sixteenth of `max_bytes`.
    pub fn is_due(&self, now_ns: i64, max_bytes: u64) -> bool {
        let is_old = now_ns.saturating_sub(self.surveyed_ns) >= DAY_NS || now_ns < self.surveyed_ns;
        let has_grown = self.bytes <= max_bytes || self.written > max_bytes / 16;
        is_old || (self.bytes.saturating_add(self.written) > max_bytes && self.written > 0 && has_grown)
    }

    /// Replaces the unused names, keeping the times of those that were unused before.
    pub fn note_unused(&mut self, names: impl IntoIterator<Item = String>, now_ns: i64) {
        let known = std::mem::take(&mut self.unused);
        self.unused = names.into_iter().map(|name| (known.get(&name).copied().unwrap_or(now_ns), name)).fold(
            BTreeMap::new(),
            |mut unused, (since, name)| {
                unused.insert(name, since);
                unused
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_are_due_once_a_day_and_when_the_bound_may_be_passed() {
        let schedule = GcSchedule { surveyed_ns: 1000, bytes: 90, written: 10, ..GcSchedule::default() };
        assert!(!schedule.is_due(2000, 100));
        assert!(schedule.is_due(1000 + DAY_NS, 100));
        assert!(schedule.is_due(999, 100), "the clock was set back");
        assert!(GcSchedule { written: 11, ..schedule.clone() }.is_due(2000, 100));
        let full = GcSchedule { bytes: 200, written: 6, ..schedule };
        assert!(!full.is_due(2000, 100), "all of it is in use");
        assert!(GcSchedule { written: 7, ..full }.is_due(2000, 100));
    }

    #[test]
    fn clocks_run_from_when_something_was_first_seen_unused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(GcSchedule::read(folder.path()), None);
        let mut schedule = GcSchedule::begun(5);
        schedule.note_unused(["a".into(), "b".into()], 10);
        schedule.note_unused(["b".into(), "c".into()], 20);
        assert_eq!(schedule.unused, BTreeMap::from([("b".into(), 10), ("c".into(), 20)]));
        schedule.write(folder.path()).unwrap();
        assert_eq!(GcSchedule::read(folder.path()), Some(schedule));
    }
}
