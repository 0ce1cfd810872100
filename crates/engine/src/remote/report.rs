//! What a build did with a shared cache, in numbers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use datac_core::stage::Stage;

/// What a build did with a shared cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedReport {
    /// The shared cache, as `--remote` names it.
    pub remote: String,
    /// Number of results that were taken from it, by stage: actions that did not have to run.
    pub results: BTreeMap<Stage, u64>,
    /// Number of large artifacts that were fetched. Small ones come with the results.
    pub artifacts: u64,
    /// What it gave that was not used.
    pub refused: Refused,
    /// Number of results that were added to it.
    pub published_results: u64,
    /// Number of large artifacts that were added to it.
    pub published_artifacts: u64,
    /// Why nothing is added to it; `None` if this build adds what it makes.
    pub read_only: Option<String>,
    /// Why it was not used any further, if that is so.
    pub given_up: Option<String>,
    /// Requests, each attempt counted.
    pub requests: Requests,
}

/// What a shared cache gave that was not used. None of it has reached the local cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// Artifacts whose bytes are not those of their name, and those that the results named and that were not there.
    pub artifacts: u64,
    /// Results without a valid signature: unsigned, altered, cut off.
    pub unsigned: u64,
    /// Results signed with a key that this workspace does not trust.
    pub untrusted: u64,
    /// Results that are signed, but for something else than what was asked for.
    pub misplaced: u64,
}

/// Requests to a shared cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Requests {
    /// Number of requests that read an object or a part of one.
    pub reads: u64,
    /// Number of requests that write an object.
    pub writes: u64,
    /// Number of requests that list objects.
    pub lists: u64,
    /// Number of requests that remove objects.
    pub removals: u64,
    /// Bytes of objects that were received.
    pub received_bytes: u64,
    /// Bytes of objects that were sent.
    pub sent_bytes: u64,
}

impl Requests {
    /// Returns the number of all requests.
    pub fn all(&self) -> u64 {
        self.reads + self.writes + self.lists + self.removals
    }
}

impl Refused {
    /// Returns the number of everything that was refused.
    pub fn all(&self) -> u64 {
        self.artifacts + self.unsigned + self.untrusted + self.misplaced
    }

    /// Returns what was refused in words; `None` if nothing was.
    pub fn in_words(&self) -> Option<String> {
        let parts = [
            (self.artifacts, "missing or damaged artifact", "missing or damaged artifacts"),
            (self.unsigned, "result without a valid signature", "results without a valid signature"),
            (self.untrusted, "result signed with an unknown key", "results signed with unknown keys"),
            (
                self.misplaced,
                "result that was signed for something else",
                "results that were signed for something else",
            ),
        ];
        let named = parts.iter().filter(|(count, ..)| *count > 0);
        let named: Vec<String> =
            named.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many })).collect();
        (!named.is_empty()).then(|| named.join(", "))
    }
}

impl SharedReport {
    /// Returns the number of results that were taken from it.
    pub fn taken(&self) -> u64 {
        self.results.values().sum()
    }

    /// Adds what a later part of the same build did.
    pub fn add(&mut self, next: Self) {
        for (stage, count) in next.results {
            *self.results.entry(stage).or_default() += count;
        }
        self.artifacts += next.artifacts;
        let Refused { artifacts, unsigned, untrusted, misplaced } = next.refused;
        self.refused.artifacts += artifacts;
        self.refused.unsigned += unsigned;
        self.refused.untrusted += untrusted;
        self.refused.misplaced += misplaced;
        self.published_results += next.published_results;
        self.published_artifacts += next.published_artifacts;
        self.read_only = next.read_only;
        self.given_up = next.given_up.or_else(|| self.given_up.take());
        let Requests { reads, writes, lists, removals, received_bytes, sent_bytes } = next.requests;
        self.requests.reads += reads;
        self.requests.writes += writes;
        self.requests.lists += lists;
        self.requests.removals += removals;
        self.requests.received_bytes += received_bytes;
        self.requests.sent_bytes += sent_bytes;
    }
}
