//! Filters: the bounds that a scorer allows, the bounds of a recipe, and the comparison with scores.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Language, ScoreKind,
    column::{ColumnError, ScoreColumn, Scores},
};

/// The bounds that recipes may set on a scorer's scores, and their keys. The variant also gives the type of the
/// scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundSpec {
    /// Scores are whole numbers. If there are no keys, recipes cannot filter by them.
    Count(Ends),
    /// Scores are numbers from 0 to 1.
    Fraction(Ends),
    /// Scores are languages; the key lists those that pass.
    Language(LanguageKeys),
    /// Scores are identities, of which only the first row passes; the key names the method of comparison.
    Identity(Key, &'static [&'static str]),
}

/// The keys for the lowest and the highest score that pass, both inclusive.
///
/// If there is one key, a recipe must give it; if there are two, at least one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Key for the lowest score that passes.
    pub min: Option<Key>,
    /// Key for the highest score that passes.
    pub max: Option<Key>,
}

/// The keys of a filter by language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanguageKeys {
    /// The key for the languages that pass.
    pub languages: Key,
    /// The key for the certainty below which a language is unknown.
    pub min_certainty: Key,
    /// The key for what becomes of unknown languages.
    pub unknown: Key,
}

/// A key of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name in recipes.
    pub name: &'static str,
    /// Meaning, in a few words for the schema.
    pub about: &'static str,
}

impl BoundSpec {
    /// Returns the names of the keys, in the order of the documentation; none if recipes cannot filter by the score.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        let keys = match *self {
            Self::Count(Ends { min, max }) | Self::Fraction(Ends { min, max }) => [min, max, None],
            Self::Language(keys) => [keys.languages, keys.min_certainty, keys.unknown].map(Some),
            Self::Identity(key, _) => [Some(key), None, None],
        };
        keys.into_iter().flatten().map(|key| key.name)
    }
}

/// A filter of a dataset: a scorer and the scores that pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The scorer, whose name is the filter's `type`.
    pub scorer: ScoreKind,
    /// The scores that pass.
    pub bound: Bound,
}

/// The scores that pass a filter. Limits are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// Whole numbers within these limits.
    Count {
        /// Lowest score that passes.
        min: Option<u64>,
        /// Highest score that passes.
        max: Option<u64>,
    },
    /// Numbers from 0 to 1 within these limits.
    Fraction {
        /// Lowest score that passes.
        min: Option<f64>,
        /// Highest score that passes.
        max: Option<f64>,
    },
    /// These languages, as ISO 639-1 codes.
    Language {
        /// The languages that pass, by their ISO 639-1 codes.
        languages: Vec<String>,
        /// The certainty below which another language is unknown; one that is written in other scripts than these is certain.
        min_certainty: f64,
        /// What becomes of texts whose language is unknown.
        unknown: Unknown,
    },
    /// The first row with each identity, by this method of comparison.
    Identity(String),
}

/// What becomes of texts whose language is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unknown {
    /// They pass.
    #[default]
    Keep,
    /// They do not.
    Drop,
}

impl Unknown {
    /// Both by the word recipes use.
    pub const ALL: &[(&str, Unknown)] = &[("keep", Self::Keep), ("drop", Self::Drop)];

    /// Returns the word that recipes use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
        }
    }
}

/// The certainty below which a language is unknown, unless a recipe says otherwise. Of 300 short English instructions, the
/// model takes 63 for another language: with 0 all of these are dropped, with 0.2 24, with 0.5 5. Of 32 short sentences in
/// 12 other languages, 21 reach 0.2, and 10 reach 0.5.
pub const MIN_CERTAINTY: f64 = 0.2;

impl Filter {
    /// Returns the `type` that recipes use.
    pub fn type_name(&self) -> &'static str {
        self.scorer.name()
    }

    /// Combines the bound with scores, which must be those of this filter's scorer.
    pub fn compare<'a>(&'a self, column: &'a ScoreColumn) -> Result<Comparison<'a>, ColumnError> {
        match (&self.bound, column.scores()) {
            (Bound::Count { min, max }, Scores::Count(scores)) => Ok(Comparison::Count(scores, *min, *max)),
            (Bound::Fraction { min, max }, Scores::Fraction(scores)) => Ok(Comparison::Fraction(scores, *min, *max)),
            (Bound::Language { languages, min_certainty, unknown }, Scores::Language(scores)) => {
                Ok(Comparison::Language(scores, languages, *min_certainty, *unknown))
            }
            (Bound::Identity(_), Scores::Identity(scores)) => Ok(Comparison::Identity(scores)),
            (_, scores) => Err(ColumnError::Scale(scores.scale())),
        }
    }
}

/// The bound of a filter with the scores of a chunk.
#[derive(Clone, Copy, Debug)]
pub enum Comparison<'a> {
    /// See [`Bound::Count`].
    Count(&'a [u32], Option<u64>, Option<u64>),
    /// See [`Bound::Fraction`].
    Fraction(&'a [f64], Option<f64>, Option<f64>),
    /// See [`Bound::Language`].
    Language(&'a [[u8; 3]], &'a [String], f64, Unknown),
    /// See [`Bound::Identity`].
    Identity(&'a [u128]),
}

impl Comparison<'_> {
    /// Returns whether a sample passes. `seen` holds the identities of the samples that passed before.
    pub fn passes(&self, sample: usize, seen: &mut HashSet<u128>) -> bool {
        match *self {
            Self::Count(scores, min, max) => is_between(u64::from(scores[sample]), min, max),
            Self::Fraction(scores, min, max) => is_between(scores[sample], min, max),
            Self::Language(scores, languages, min_certainty, unknown) => {
                match kept(scores[sample], languages, min_certainty) {
                    Some(is_kept) => is_kept,
                    None => unknown == Unknown::Keep,
                }
            }
            Self::Identity(scores) => seen.insert(scores[sample]),
        }
    }

    /// Returns whether a sample is neither one that the filter asks for nor certainly another.
    pub fn is_unknown(&self, sample: usize) -> bool {
        match *self {
            Self::Language(scores, languages, min_certainty, _) => {
                kept(scores[sample], languages, min_certainty).is_none()
            }
            _ => false,
        }
    }

    /// Returns the identity of a sample, if the filter compares samples.
    pub fn identity(&self, sample: usize) -> Option<u128> {
        match *self {
            Self::Identity(scores) => Some(scores[sample]),
            _ => None,
        }
    }
}

/// Returns whether a text in this language is kept; `None`: its language is unknown.
fn kept(score: [u8; 3], languages: &[String], min_certainty: f64) -> Option<bool> {
    let found = Language::from_bytes(score)?;
    let code = found.code()?;
    if languages.iter().any(|language| language == code) {
        return Some(true);
    }
    let may_be_one = found.certainty() < min_certainty && languages.iter().any(|code| found.shares_script_with(code));
    (!may_be_one).then_some(false)
}

fn is_between<T: PartialOrd>(score: T, min: Option<T>, max: Option<T>) -> bool {
    min.is_none_or(|min| score >= min) && max.is_none_or(|max| score <= max)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.type_name(), self.bound)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { min, max } => ends(f, min.as_ref(), max.as_ref()),
            Self::Fraction { min, max } => ends(f, min.as_ref(), max.as_ref()),
            Self::Language { languages, min_certainty, unknown } => {
                f.write_str(&languages.join(", "))?;
                if *min_certainty != MIN_CERTAINTY {
                    write!(f, " certainty {min_certainty}")?;
                }
                if *unknown != Unknown::default() { write!(f, " unknown {}", unknown.word()) } else { Ok(()) }
            }
            Self::Identity(method) => f.write_str(method),
        }
    }
}

/// Writes limits as in `min 0.2 max 1.0`. `Debug` gives the shortest decimal that reads back as the same number, and
/// `1.0` for one.
fn ends<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, min: Option<T>, max: Option<T>) -> fmt::Result {
    let given = [("min", min), ("max", max)];
    let mut given = given.iter().filter_map(|(word, end)| Some((word, end.as_ref()?)));
    if let Some((word, end)) = given.next() {
        write!(f, "{word} {end:?}")?;
    }
    given.try_for_each(|(word, end)| write!(f, " {word} {end:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str, bound: Bound) -> Filter {
        Filter { scorer: super::super::by_name(name).unwrap(), bound }
    }

    #[test]
    fn ends_are_inclusive_and_may_be_open() {
        let passing = |bound, scores: &[u32]| -> Vec<u32> {
            let column = ScoreColumn::of_counts(super::super::by_name("length").unwrap(), scores.to_vec());
            let filter = filter("length", bound);
            let comparison = filter.compare(&column).unwrap();
            (0..scores.len()).filter(|at| comparison.passes(*at, &mut HashSet::new())).map(|at| scores[at]).collect()
        };
        let scores = [2, 3, 5, 6];
        assert_eq!(passing(Bound::Count { min: Some(3), max: Some(5) }, &scores), [3, 5]);
        assert_eq!(passing(Bound::Count { min: Some(3), max: None }, &scores), [3, 5, 6]);
        assert_eq!(passing(Bound::Count { min: None, max: Some(5) }, &scores), [2, 3, 5]);
    }

    #[test]
    fn scores_of_another_scale_are_an_error() {
        let column = ScoreColumn::of_counts(super::super::by_name("length").unwrap(), vec![1]);
        let quality = filter("quality", Bound::Fraction { min: Some(0.5), max: None });
        assert!(matches!(quality.compare(&column), Err(ColumnError::Scale(_))));
    }

    #[test]
    fn filters_are_said_in_words() {
        let said = [
            filter("length", Bound::Count { min: Some(20), max: Some(30) }),
            filter("length", Bound::Count { min: None, max: Some(30) }),
            filter("quality", Bound::Fraction { min: Some(1.0), max: None }),
            filter(
                "language",
                Bound::Language {
                    languages: vec!["en".into(), "de".into()],
                    min_certainty: MIN_CERTAINTY,
                    unknown: Unknown::Keep,
                },
            ),
            filter("deduplication", Bound::Identity("exact".into())),
        ];
        let said = said.map(|filter| filter.to_string());
        let expected =
            ["length min 20 max 30", "length max 30", "quality min 1.0", "language en, de", "deduplication exact"];
        assert_eq!(said, expected);
    }
}
