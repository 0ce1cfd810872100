//! The index of a shared cache: where the parts of each scope are.
//!
//! It lies in 256 objects by the first byte of the scope, each small, each replaced as a whole. It is not signed, since it
//! decides nothing: a wrong entry leads to a part that is refused, and a lost one costs work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FORMAT, keys::PublicKey};
use datac_core::hash::Digest;

const MAGIC: &[u8] = b"datac-index/1\n";

/// Maximum number of entries in one object; the oldest leave.
const MOST: usize = 20_000;

/// Maximum number of publications of one scope, such as those of several recipes that score one file differently; the oldest
/// leave.
const MOST_OF_SCOPE: usize = 64;

/// A part of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The scope.
    pub(crate) scope: Digest,
    /// The pack that holds the part.
    pub(crate) pack: Digest,
    /// Place of the part in the pack.
    pub(crate) offset: u32,
    /// Size of the part in bytes.
    pub(crate) length: u32,
    /// First bytes of the key that signed it.
    pub(crate) signer: [u8; 8],
    /// Which keys its publication holds; parts with the same value belong together.
    pub(crate) content: u64,
    /// When it was published, in days since 1970.
    pub(crate) day: u32,
}

/// Returns the first bytes of a key, by which entries name it.
pub(crate) fn signer(key: &PublicKey) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Returns the number of the object that has the entries of a scope.
pub(crate) fn bucket(scope: &Digest) -> u8 {
    scope.as_bytes()[0]
}

/// Returns the name of an object of the index.
pub(crate) fn name(bucket: u8) -> String {
    format!("{FORMAT}/index/{bucket:02x}")
}

/// Returns the name of a pack.
pub(crate) fn pack_name(pack: &Digest) -> String {
    let digits = pack.to_string();
    format!("{FORMAT}/pack/{}/{digits}", &digits[..2])
}

/// Decodes an object of the index; one that is damaged or of another version is empty.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Entry> {
    let entries = bytes.strip_prefix(MAGIC).and_then(|rest| postcard::from_bytes::<Vec<Entry>>(rest).ok());
    entries.unwrap_or_default()
}

/// Encodes an object of the index.
pub(crate) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(postcard::to_stdvec(entries).expect("an index is plain data"));
    bytes
}

/// Adds entries to an object of the index. An entry replaces those of the same scope, signer and content.
pub(crate) fn merge(old: Vec<Entry>, new: &[Entry]) -> Vec<Entry> {
    let of = |entry: &Entry| (entry.scope, entry.signer, entry.content);
    let mut publications: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    for entry in old {
        publications.entry(of(&entry)).or_default().push(entry);
    }
    for entry in new {
        publications.remove(&of(entry));
    }
    for entry in new {
        publications.entry(of(entry)).or_default().push(entry.clone());
    }
    let mut scopes: BTreeMap<Digest, Vec<Vec<Entry>>> = BTreeMap::new();
    for ((scope, ..), parts) in publications {
        scopes.entry(scope).or_default().push(parts);
    }
    for publications in scopes.values_mut() {
        publications.sort_by_key(|parts| std::cmp::Reverse(parts.iter().map(|part| part.day).max()));
        publications.truncate(MOST_OF_SCOPE);
    }
    let mut kept: Vec<Entry> = scopes.into_values().flatten().flatten().collect();
    if kept.len() > MOST {
        kept.sort_by_key(|entry| std::cmp::Reverse(entry.day));
        kept.truncate(MOST);
        kept.sort_by_key(|entry| (entry.scope, entry.pack, entry.offset));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(scope: &str, pack: &str, content: u64, day: u32) -> Entry {
        let (scope, pack) = (Digest::of(scope.as_bytes()), Digest::of(pack.as_bytes()));
        Entry { scope, pack, offset: 0, length: 9, signer: [7; 8], content, day }
    }

    #[test]
    fn an_entry_replaces_the_one_it_repeats_and_no_other() {
        let old = vec![entry("a", "1", 1, 1), entry("a", "2", 1, 1), entry("a", "3", 2, 1), entry("b", "4", 1, 1)];
        let mut merged = merge(old, &[entry("a", "5", 1, 2), entry("a", "6", 1, 2)]);
        let packs = |entries: &[Entry]| -> Vec<Digest> { entries.iter().map(|entry| entry.pack).collect() };
        merged.sort_by_key(|entry| entry.pack);
        let mut wanted: Vec<Digest> = ["3", "4", "5", "6"].map(|pack| Digest::of(pack.as_bytes())).to_vec();
        wanted.sort();
        assert_eq!(packs(&merged), wanted);
        assert_eq!(decode(&encode(&merged)), merged);
        assert_eq!(decode(b"datac-index/2\n"), []);
    }

    #[test]
    fn the_oldest_publications_leave_first() {
        let old: Vec<Entry> = (0..100).map(|number| entry("a", &number.to_string(), number, number as u32)).collect();
        let merged = merge(old, &[entry("a", "new", 1000, 5)]);
        assert_eq!(merged.len(), MOST_OF_SCOPE);
        assert!(merged.iter().all(|entry| entry.day >= 36), "{:?}", merged.iter().map(|e| e.day).min());
    }
}
