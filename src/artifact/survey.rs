//! What the last survey of the cache found: when the next is due, and since when things are of no use to anyone.
//!
//! A small file beside the record. Losing it costs nothing but that clocks begin again.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::system::{self, FileError};

/// The file's name.
pub(super) const SURVEY: &str = "survey.json";

/// Raised when what is below changes its meaning.
const VERSION: u32 = 1;

/// The longest file that is read.
const LONGEST: u64 = 16 << 20;

/// A day: the most that passes between two surveys while something is built.
const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// What is noted of a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    version: u32,
    /// When it was, nanoseconds since 1970.
    pub surveyed_ns: i64,
    /// The size of the cache afterwards.
    pub bytes: u64,
    /// What was written since.
    pub written: u64,
    /// What was found to be of no use any more, by name, and when that was first seen: paths of recipes that are gone,
    /// names of downloads that no lock pins.
    pub unused: BTreeMap<String, i64>,
}

impl Survey {
    /// The last survey of the cache below `root`, if there was one.
    pub fn read(root: &Path) -> Option<Self> {
        let text = system::read_up_to(&root.join(SURVEY), LONGEST).ok()?;
        serde_json::from_slice(&text).ok().filter(|survey: &Self| survey.version == VERSION)
    }

    /// A survey of a cache that begins now.
    pub fn begun(now_ns: i64) -> Self {
        Self { version: VERSION, surveyed_ns: now_ns, ..Self::default() }
    }

    /// Writes it.
    pub fn write(&self, root: &Path) -> Result<(), FileError> {
        let text = serde_json::to_vec(&Self { version: VERSION, ..self.clone() }).expect("it is plain data");
        system::replace_if_other(&root.join(SURVEY), &text)
    }

    /// Whether the cache should be surveyed again: once a day, and when what was written since may have carried it past
    /// `max_bytes`. One that is past it for good, because all of it is in use, is surveyed only when it has grown.
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
    fn surveys_are_due_once_a_day_and_when_the_bound_may_be_passed() {
        let survey = Survey { surveyed_ns: 1000, bytes: 90, written: 10, ..Survey::default() };
        assert!(!survey.is_due(2000, 100));
        assert!(survey.is_due(1000 + DAY_NS, 100));
        assert!(survey.is_due(999, 100), "the clock was set back");
        assert!(Survey { written: 11, ..survey.clone() }.is_due(2000, 100));
        let full = Survey { bytes: 200, written: 6, ..survey };
        assert!(!full.is_due(2000, 100), "all of it is in use");
        assert!(Survey { written: 7, ..full }.is_due(2000, 100));
    }

    #[test]
    fn clocks_run_from_when_something_was_first_seen_unused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Survey::read(folder.path()), None);
        let mut survey = Survey::begun(5);
        survey.note_unused(["a".into(), "b".into()], 10);
        survey.note_unused(["b".into(), "c".into()], 20);
        assert_eq!(survey.unused, BTreeMap::from([("b".into(), 10), ("c".into(), 20)]));
        survey.write(folder.path()).unwrap();
        assert_eq!(Survey::read(folder.path()), Some(survey));
    }
}
