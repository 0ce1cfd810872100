//! The `length` scorer: the number of characters of a text.

use super::{BoundSpec, Ends, Key, Score, Scorer};

/// Keeps texts of some length.
pub(super) struct Length;

impl Scorer for Length {
    fn name(&self) -> &'static str {
        "length"
    }

    fn version(&self) -> u32 {
        1
    }

    fn explain(&self) -> &'static str {
        "keeps texts of some length"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Count(Ends {
            min: Some(Key { name: "min_length", about: "characters or tokens at least" }),
            max: Some(Key { name: "max_length", about: "characters or tokens at most" }),
        })
    }

    fn units(&self) -> &'static [(&'static str, &'static str)] {
        &[("characters", "length"), ("tokens", "tokens"), ("trained_tokens", "trained_tokens")]
    }

    fn score(&self, text: &str) -> Score {
        Score::Count(length(text))
    }
}

/// Counts the characters of a text (Unicode scalar values, as in Python's `len`).
pub fn length(text: &str) -> u64 {
    text.chars().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_scalar_values() {
        assert_eq!(length(""), 0);
        assert_eq!(length("aé“\u{1F600}\n"), 5);
        assert_eq!(length("e\u{301}"), 2, "a combining accent counts");
    }
}
