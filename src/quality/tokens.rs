//! How many tokens a text has: what `mix.unit: tokens` counts.

/// Raised by hand whenever the same text yields another count.
pub(super) const VERSION: u32 = 1;

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

#[cfg(all(test, feature = "tokens"))]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_published_encoding() {
        // As `tiktoken.get_encoding("o200k_base").encode(text)` counts them.
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("hello world"), 2);
        assert_eq!(tokens("tiktoken is great!"), 6);
    }
}
