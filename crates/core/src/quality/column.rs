//! The `column` scorer: the value of a column, which is compared as it is.

use super::{BoundSpec, Key, Score, Scorer, ValueKeys};

/// Keeps rows by the value of one of their columns.
pub(super) struct Column;

impl Scorer for Column {
    fn name(&self) -> &'static str {
        "column"
    }

    fn version(&self) -> u32 {
        1
    }

    fn explain(&self) -> &'static str {
        "keeps rows by the value of a column"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Value(ValueKeys {
            column: Key { name: "column", about: "a column of the sample or of the source row, or a value inside it" },
            min: Key { name: "min", about: "the lowest number that is kept" },
            max: Key { name: "max", about: "the highest number that is kept" },
            is: Key { name: "is", about: "the value that is kept" },
            one_of: Key { name: "in", about: "the values that are kept" },
            missing: Key { name: "missing", about: "what becomes of rows without such a value" },
        })
    }

    /// Takes the value as JSON; of a row without one the text is empty.
    fn score(&self, json: &str) -> Score {
        Score::Value((!json.is_empty()).then(|| json.to_owned()))
    }
}
