//! The `tokens` scorer: the number of tokens of a text, which `mix.unit: tokens` counts.

use super::{BoundSpec, Ends, Score, Scorer};

/// Version of the scorer, to be raised when the same text gives another count, for instance when [`ENCODING`]
/// changes.
const VERSION: u32 = 1;

/// Counts tokens for mixtures; recipes cannot filter by them.
pub(super) struct Tokens;

impl Scorer for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn explain(&self) -> &'static str {
        "counts tokens"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Count(Ends { min: None, max: None })
    }

    fn score(&self, text: &str) -> Score {
        Score::Count(tokens(text))
    }
}

/// The crate with the vocabulary. A test compares this with Cargo.lock.
#[cfg_attr(not(test), expect(dead_code, reason = "its place in this file is its use"))]
const ENCODING: (&str, &str) = ("bpe-openai", "0.3.2");

/// Returns the number of tokens of OpenAI's `o200k_base` encoding, counting special tokens as ordinary text.
///
/// The shares of a mixture hardly depend on the choice of byte-pair encoding; this one is public, and its vocabulary
/// is part of the crate. A datac built without the `tokens` feature counts nothing, and refuses recipes that need it.
pub fn tokens(text: &str) -> u64 {
    #[cfg(feature = "tokens")]
    return bpe_openai::o200k_base().count(text) as u64;
    #[cfg(not(feature = "tokens"))]
    {
        let _ = text;
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_one_named_here() {
        let lock = include_str!("../../../../Cargo.lock");
        let (name, version) = ENCODING;
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
        assert!(lock.contains(&entry), "`{name}` is not {version}: change `ENCODING` and raise `VERSION`");
    }

    #[cfg(feature = "tokens")]
    #[test]
    fn counts_are_those_of_the_published_encoding() {
        // Counted by `tiktoken.get_encoding("o200k_base").encode(text)`.
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("hello world"), 2);
        assert_eq!(tokens("tiktoken is great!"), 6);
    }
}
