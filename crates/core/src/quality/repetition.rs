//! The `repetition` scorer: how much a text repeats itself.

use std::collections::HashSet;

use super::{BoundSpec, Ends, Key, Score, Scorer};

/// Drops texts that repeat themselves.
pub(super) struct Repetition;

impl Scorer for Repetition {
    fn name(&self) -> &'static str {
        "repetition"
    }

    fn version(&self) -> u32 {
        1
    }

    fn explain(&self) -> &'static str {
        "drops texts that repeat themselves"
    }

    fn bound(&self) -> BoundSpec {
        let max = Key { name: "max_repetition", about: "the share of repeated runs of three words, at most" };
        BoundSpec::Fraction(Ends { min: None, max: Some(max) })
    }

    fn score(&self, text: &str) -> Score {
        Score::Fraction(repetition(text))
    }
}

/// Returns the share of a text's runs of three words that occurred earlier in the text: 1 − distinct runs / runs.
///
/// Zero if there are fewer than three words. Words are separated by Unicode white space, and compared as written.
/// This is `seq-rep-3` of Welleck et al., "Neural Text Generation with Unlikelihood Training" (2019), over words.
fn repetition(text: &str) -> f64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let runs = words.windows(3);
    let total = runs.len();
    if total == 0 {
        return 0.0;
    }
    let distinct = runs.collect::<HashSet<_>>().len();
    (total - distinct) as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loops_score_high_and_prose_low() {
        assert_eq!(repetition("one two"), 0.0);
        assert_eq!(repetition("all of these words are different ones"), 0.0);
        assert_eq!(repetition("no no no no no"), 2.0 / 3.0);
        assert!(repetition(&"I am sorry, I cannot help with that. ".repeat(20)) > 0.9);
    }

    proptest! {
        #[test]
        fn scores_are_shares_and_saying_all_twice_scores_more(text in "[ab ]{0,40}") {
            let score = repetition(&text);
            prop_assert!((0.0..=1.0).contains(&score));
            let twice = repetition(&[text.as_str(), &text].join(" "));
            prop_assert!(twice >= score);
        }
    }
}
