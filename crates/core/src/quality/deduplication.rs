//! The `deduplication` scorer: identities of texts.

use xxhash_rust::xxh3::xxh3_128;

use super::{BoundSpec, Key, Score, Scorer};

/// Drops texts that were seen before in their source.
pub(super) struct Deduplication;

impl Scorer for Deduplication {
    fn name(&self) -> &'static str {
        "deduplication"
    }

    fn version(&self) -> u32 {
        1
    }

    fn explain(&self) -> &'static str {
        "drops texts that were seen before in this source"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Identity(Key { name: "method", about: "how texts are compared" }, &["exact"])
    }

    fn score(&self, text: &str) -> Score {
        Score::Identity(exact(text))
    }
}

/// Returns the identity of a text: XXH3-128 of its bytes.
///
/// Equal texts have equal identities. Among a billion different texts, two share an identity with a probability of
/// about 10^-21. The hash does not withstand deliberate collisions.
pub fn exact(text: &str) -> u128 {
    xxh3_128(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_texts_are_the_same() {
        assert_eq!(exact("a b"), exact("a b"));
        for other in ["a  b", "A b", "a b ", "a b\n", ""] {
            assert_ne!(exact("a b"), exact(other), "{other:?}");
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // From the test vectors of xxHash: XXH3-128 of no bytes, seed 0.
        assert_eq!(exact(""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }
}
