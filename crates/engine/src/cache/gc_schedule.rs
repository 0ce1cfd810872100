//! When the cache is collected next, and since when things in it have been unused.
//!
//! A small file beside the record. Losing it costs nothing but that clocks begin again.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::system::{self, FileError};

/// Name of the file.
pub(super) const SCHEDULE: &str = "schedule.json";

/// Raised when what is below changes its meaning.
const VERSION: u32 = 1;

/// The longest file that is read.
const LONGEST: u64 = 16 << 20;

/// A day: the most that passes between two collections while something is built.
const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// What the last collection noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcSchedule {
    version: u32,
    /// When the last collection was, nanoseconds since 1970.
    pub surveyed_ns: i64,
    /// The size of the cache afterwards.
    pub bytes: u64,
    /// Bytes written since the survey.
    pub written: u64,
    /// What was found to be of no use any more, by name, and when that was first seen: paths of recipes that are gone,
    /// names of downloads that no lock pins.
    pub unused: BTreeMap<String, i64>,
}

impl GcSchedule {
    /// Reads the schedule of the cache below `root`; `None`: there is none that can be read.
    pub fn read(root: &Path) -> Option<Self> {
        let text = system::read_up_to(&root.join(SCHEDULE), LONGEST).ok()?;
        serde_json::from_slice(&text).ok().filter(|schedule: &Self| schedule.version == VERSION)
    }

    /// Returns the schedule of a cache that begins now.
    pub fn begun(now_ns: i64) -> Self {
        Self { version: VERSION, surveyed_ns: now_ns, ..Self::default() }
    }

    /// Writes the schedule to the cache below `root`.
    pub fn write(&self, root: &Path) -> Result<(), FileError> {
        let text = serde_json::to_vec(&Self { version: VERSION, ..self.clone() }).expect("it is plain data");
        system::replace_if_other(&root.join(SCHEDULE), &text)
    }

    /// Returns whether the cache should be collected: once a day, and when what was written since may have carried it past
    /// `max_bytes`. One that is past it for good, because all of it is in use, is collected only when it has grown.
    pub fn is_due(&self, now_ns: i64, max_bytes: u64) -> bool {
        let is_old = now_ns.saturating_sub(self.surveyed_ns) >= DAY_NS || now_ns < self.surveyed_ns;
        let has_grown = self.bytes <= max_bytes || self.written > max_bytes / 16;
        is_old || (self.bytes.saturating_add(self.written) > max_bytes && self.written > 0 && has_grown)
    }

    /// Notes which names are of no use now; returns since when each is.
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
