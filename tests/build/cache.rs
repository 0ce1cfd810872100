//! The life of the cache: what is removed, what never is, and that removing costs work and never a byte.

mod clean;
mod collect;
mod verify;

use datac::workspace::CacheBounds;

use crate::space::{Space, entry, recipe, rows};

const FILTERS: &str = "filters: [{ type: length, min_length: 10 }, { type: deduplication }]";
const SPLIT: &str = "validation: { ratio: 0.1, seed: 1 }\n";

/// No bound at all lets anything through that is not in use.
pub(crate) const NOTHING: CacheBounds = CacheBounds { max_bytes: 0, max_age: std::time::Duration::ZERO };

/// Two recipes over local files, one of which both read.
pub(crate) fn space() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", format!("{}{{broken\n{}", rows(0..2000, 40), rows(0..20, 40)));
    space.write("data/b.jsonl", rows(9000..9100, 12));
    let entries = [entry("a", "data/a.jsonl", 0.8, &[FILTERS]), entry("b", "data/b.jsonl", 0.2, &[])];
    space.write("config/sft/one.yaml", recipe(&entries, SPLIT));
    space.write("config/sft/two.yaml", recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], SPLIT));
    space
}
