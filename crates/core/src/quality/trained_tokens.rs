//! The `trained_tokens` scorer: the number of tokens of a sample that the recipe's model is trained on.

use super::{BoundSpec, Ends, Score, Scorer};

/// Counts tokens for `length` filters with `unit: trained_tokens`.
///
/// The counts are made where samples are rendered and encoded: no text says what is trained on.
pub(super) struct TrainedTokens;

impl Scorer for TrainedTokens {
    fn name(&self) -> &'static str {
        "trained_tokens"
    }

    fn version(&self) -> u32 {
        1
    }

    fn explain(&self) -> &'static str {
        "counts the tokens that are trained on"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Count(Ends { min: None, max: None })
    }

    fn score(&self, _: &str) -> Score {
        Score::Count(0)
    }
}
