//! How many tokens a text has: what `mix.unit: tokens` counts.

use super::{BoundSpec, Ends, Score, Scorer};

/// Raised by hand whenever the same text yields another count: also when [`ENCODING`] changes.
const VERSION: u32 = 1;

/// Counts tokens; no filter asks for them, mixtures do.
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

/// The crate that holds the vocabulary. Kept here so that another release of it changes this file's digest.
#[cfg_attr(not(test), expect(dead_code, reason = "its place in this file is its use"))]
const ENCODING: (&str, &str) = ("bpe-openai", "0.3.2");

/// The number of tokens of OpenAI's `o200k_base` encoding, special tokens counted as ordinary text.
///
/// Shares of a mixture hardly depend on which byte-pair encoding counts; this one is public and its vocabulary comes
/// with the crate. A datac built without the `tokens` feature counts nothing and refuses recipes that ask for it.
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
        // As `tiktoken.get_encoding("o200k_base").encode(text)` counts them.
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("hello world"), 2);
        assert_eq!(tokens("tiktoken is great!"), 6);
    }
}
