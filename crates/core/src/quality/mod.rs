//! Scorers, which measure samples, and filters, which compare scores with bounds.
//!
//! A score is a pure function of one text. It is computed once per sample and stored in a [`ScoreColumn`] for each
//! chunk. Bounds are applied later, so a recipe with a changed bound reuses all scores.
//!
//! To add a filter: a file here that implements [`Scorer`], a line in [`SCORERS`], and a fixture under
//! `tests/fixtures/scores/`; `CONTRIBUTING.md` has the steps. The keys of recipes, their checks, the schema, the
//! comparison and the words of `trace` follow from [`Scorer::bound`].

mod code_quality;
mod column;
mod deduplication;
mod filter;
pub mod iso;
mod language;
mod length;
mod python;
#[expect(clippy::module_inception, reason = "the file carries the name of the filter, as its siblings do")]
mod quality;
mod repetition;
mod scores;
mod tokens;
mod trained_tokens;

use std::{cmp::Ordering, fmt, hash, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use code_quality::code_quality;
pub use deduplication::exact;
pub use filter::{
    Bound, BoundSpec, Comparison, Ends, Filter, FunctionKeys, Key, LanguageKeys, MIN_CERTAINTY, Passing, Unknown,
    ValueKeys,
};
pub use language::{Language, language};
pub use length::length;
pub use quality::quality;
pub use scores::{
    ColumnError, NoScore, Numbers, RefusedRow, SCORES_VERSION, Scale, Score, ScoreColumn, Scores, Values,
};
pub use tokens::tokens;

/// All scorers, in the order of the documentation.
pub static SCORERS: &[ScoreKind] = &[
    ScoreKind(&length::Length),
    ScoreKind(&quality::Quality),
    ScoreKind(&code_quality::CodeQuality),
    ScoreKind(&language::Detector),
    ScoreKind(&repetition::Repetition),
    ScoreKind(&deduplication::Deduplication),
    ScoreKind(&column::Column),
    ScoreKind::PYTHON,
    ScoreKind::TOKENS,
    ScoreKind::TRAINED_TOKENS,
];

/// Scores texts, and defines the bounds that recipes may set on the scores.
pub trait Scorer: Sync {
    /// Returns the filter's `type` in recipes, which is also the name of the scorer's source file.
    fn name(&self) -> &'static str;

    /// Returns a number that must be raised when the same text gives another score.
    fn version(&self) -> u32;

    /// Returns what the filter does, in one line.
    fn explain(&self) -> &'static str;

    /// Returns the units that a filter can count in, each with the scorer that counts them; the first is the default, and
    /// is this scorer. The key is `unit`.
    fn units(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Returns the type of the scores, and the keys for the scores that pass.
    fn bound(&self) -> BoundSpec;

    /// Scores a text. The score must be of the type that [`Scorer::bound`] gives.
    fn score(&self, text: &str) -> Score;
}

/// A registered scorer, identified by its name.
#[derive(Clone, Copy)]
pub struct ScoreKind(&'static dyn Scorer);

impl ScoreKind {
    /// The scorer for functions in Python.
    pub const PYTHON: Self = Self(&python::Python);

    /// The scorer for mixtures that count tokens.
    pub const TOKENS: Self = Self(&tokens::Tokens);

    /// The scorer for the tokens that are trained on.
    pub const TRAINED_TOKENS: Self = Self(&trained_tokens::TrainedTokens);

    /// Returns whether there are no such scores without a model.
    pub fn needs_model(self) -> bool {
        self == Self::TRAINED_TOKENS
    }

    /// Returns whether a model makes these scores, in a recipe that has one.
    pub fn is_of_model(self) -> bool {
        self == Self::TOKENS || self.needs_model()
    }

    /// Returns whether the scores are values of columns, and not measures of a text.
    pub fn is_value(self) -> bool {
        matches!(self.bound(), BoundSpec::Value(_))
    }

    /// Returns whether recipes may filter by these scores.
    pub fn is_filter(self) -> bool {
        self.bound().keys().next().is_some()
    }
}

/// Returns the scorer of this name.
pub fn by_name(name: &str) -> Option<ScoreKind> {
    SCORERS.iter().copied().find(|kind| kind.name() == name)
}

/// Returns the scorers that recipes may filter by.
pub fn filters() -> impl Iterator<Item = ScoreKind> + Clone {
    SCORERS.iter().copied().filter(|kind| kind.is_filter())
}

impl Deref for ScoreKind {
    type Target = dyn Scorer;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for ScoreKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for ScoreKind {}

impl hash::Hash for ScoreKind {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl PartialOrd for ScoreKind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ScoreKind {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Serialize for ScoreKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ScoreKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        by_name(&name).ok_or_else(|| D::Error::custom(format!("no scorer is called `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scorer_is_found_by_its_name() {
        for kind in SCORERS {
            assert_eq!(by_name(kind.name()), Some(*kind), "names are unique");
        }
        assert_eq!(by_name("qualty"), None);
    }

    #[test]
    fn scorers_explain_themselves_and_their_keys() {
        for kind in SCORERS {
            assert!(!kind.explain().is_empty(), "{kind:?}");
            let keys: BTreeSet<&str> = kind.bound().keys().collect();
            assert_eq!(keys.len(), kind.bound().keys().count(), "{kind:?} names a key twice");
            assert!(!keys.contains("type"), "{kind:?}");
        }
        let others: Vec<&str> = SCORERS.iter().filter(|kind| !kind.is_filter()).map(|kind| kind.name()).collect();
        assert_eq!(others, ["tokens", "trained_tokens"]);
    }

    #[test]
    fn kinds_are_stored_by_name() {
        let stored = serde_json::to_string(&SCORERS[0]).unwrap();
        assert_eq!(stored, "\"length\"");
        assert_eq!(serde_json::from_str::<ScoreKind>(&stored).unwrap(), SCORERS[0]);
        assert!(serde_json::from_str::<ScoreKind>("\"qualty\"").is_err());
    }

    /// A line of a fixture.
    #[derive(Deserialize)]
    struct Scored {
        text: String,
        score: serde_json::Value,
    }

    #[test]
    fn every_scorer_has_a_fixture_and_scores_as_it_says() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/scores");
        // What a model or a function says of a text is nowhere here.
        let is_own = |kind: ScoreKind| !kind.needs_model() && kind != ScoreKind::PYTHON;
        let has_scores =
            |kind: &&ScoreKind| is_own(**kind) && (cfg!(feature = "tokens") || **kind != ScoreKind::TOKENS);
        for kind in SCORERS.iter().filter(has_scores) {
            let path = folder.join(format!("{}.jsonl", kind.name()));
            #[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
            assert!(text.lines().count() >= 4, "{}: a few texts", path.display());
            let mut different = BTreeSet::new();
            for line in text.lines() {
                let expected: Scored = serde_json::from_str(line).expect(line);
                let score = serde_json::Value::from(kind.score(&expected.text));
                assert_eq!(score, expected.score, "{}: {:?}", path.display(), expected.text);
                different.insert(score.to_string());
            }
            assert!(different.len() > 2, "{}: texts that differ in score", path.display());
        }
    }
}
