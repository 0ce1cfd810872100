//! Digests, and the one walk that yields both a cache key and the words that explain it.

mod pieces;

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use pieces::{PIECE, PieceHash, PieceHasher, Pieces};

/// A BLAKE3 digest, 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes` with BLAKE3.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps 32 bytes that already are a digest.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 hexadecimal digits; anything else is `None`.
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The first eight hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "BLAKE3, in hexadecimal." })
    }
}

/// Text in readable formats, 32 bytes in binary ones.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// One named thing an action or an output depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// What it is, in the words of a recipe: `datasets[alpaca].mix_ratio`.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// An ordered list of named values: hashed it is a cache key, compared it says what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    entries: Vec<Entry>,
}

/// One difference between two manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The entry's name.
    pub name: String,
    /// Its value before, if it was there.
    pub old: Option<String>,
    /// Its value now, if it is there.
    pub new: Option<String>,
}

impl Manifest {
    /// An empty manifest.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry; order is part of the digest.
    pub fn push(&mut self, name: impl Into<String>, value: impl fmt::Display) -> &mut Self {
        self.entries.push(Entry { name: name.into(), value: value.to_string() });
        self
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.value.as_str())
    }

    /// BLAKE3 over every name and value, each preceded by its length as 8 bytes, little-endian.
    ///
    /// The lengths keep `("ab", "c")` and `("a", "bc")` apart.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for entry in &self.entries {
            for part in [entry.name.as_bytes(), entry.value.as_bytes()] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// What changed from `old` to `self`: entries of `self` first, in order, then what is gone.
    pub fn changes_since(&self, old: &Manifest) -> Vec<Change> {
        let mut changes = Vec::new();
        for entry in &self.entries {
            let before = old.get(&entry.name);
            if before != Some(entry.value.as_str()) {
                changes.push(Change {
                    name: entry.name.clone(),
                    old: before.map(str::to_owned),
                    new: Some(entry.value.clone()),
                });
            }
        }
        for entry in &old.entries {
            if self.get(&entry.name).is_none() {
                changes.push(Change { name: entry.name.clone(), old: Some(entry.value.clone()), new: None });
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(pairs: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::new();
        for (name, value) in pairs {
            manifest.push(*name, value);
        }
        manifest
    }

    #[test]
    fn boundaries_between_parts_count() {
        assert_ne!(manifest(&[("ab", "c")]).digest(), manifest(&[("a", "bc")]).digest());
        assert_ne!(manifest(&[("a", ""), ("b", "")]).digest(), manifest(&[("a", "b")]).digest());
    }

    #[test]
    fn changes_name_old_and_new() {
        let old = manifest(&[("seed", "42"), ("ratio", "0.05")]);
        let new = manifest(&[("seed", "43"), ("method", "exact")]);
        let words: Vec<_> = new.changes_since(&old).into_iter().map(|c| (c.name, c.old, c.new)).collect();
        assert_eq!(
            words,
            [
                ("seed".into(), Some("42".into()), Some("43".into())),
                ("method".into(), None, Some("exact".into())),
                ("ratio".into(), Some("0.05".into()), None),
            ]
        );
    }

    #[test]
    fn hex_round_trip() {
        let digest = Digest::of(b"row");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("zz"), None);
    }
}
