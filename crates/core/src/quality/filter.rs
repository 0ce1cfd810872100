//! Filters: the bounds that a scorer allows, the bounds of a recipe, and the comparison with scores.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Language, ScoreKind,
    scores::{ColumnError, Numbers, RefusedRow, Score, ScoreColumn, Scores, Values},
};
use crate::function::{Function, Judge};

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
    /// Scores are values of a column that the filter names; the keys say which pass.
    Value(ValueKeys),
    /// Scores are what a function says that the filter names; the keys say which pass.
    Function(FunctionKeys),
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

/// The keys of a filter by the value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueKeys {
    /// The key for the column.
    pub column: Key,
    /// The key for the lowest number that passes.
    pub min: Key,
    /// The key for the highest number that passes.
    pub max: Key,
    /// The key for the value that passes.
    pub is: Key,
    /// The key for the values that pass.
    pub one_of: Key,
    /// The key for what becomes of rows without such a value.
    pub missing: Key,
}

/// The keys of a filter by a function in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionKeys {
    /// The key for the function, which says by itself that the filter is of this type.
    pub python: Key,
    /// The key for the lowest score that passes.
    pub min: Key,
    /// The key for the highest score that passes.
    pub max: Key,
    /// The key for what becomes of samples without a score.
    pub missing: Key,
    /// The key for the files that decide what the function does.
    pub files: Key,
    /// The key for the seconds that it may take for a sample.
    pub timeout: Key,
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
            Self::Count(Ends { min, max }) | Self::Fraction(Ends { min, max }) => vec![min, max],
            Self::Language(keys) => [keys.languages, keys.min_certainty, keys.unknown].map(Some).to_vec(),
            Self::Identity(key, _) => vec![Some(key)],
            Self::Value(ValueKeys { column, min, max, is, one_of, missing }) => {
                [column, min, max, is, one_of, missing].map(Some).to_vec()
            }
            Self::Function(FunctionKeys { python, min, max, missing, files, timeout }) => {
                [python, min, max, missing, files, timeout].map(Some).to_vec()
            }
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
    /// These values of a column.
    Value {
        /// The column, or the path of a value inside it.
        column: String,
        /// The values that pass.
        passing: Passing,
        /// What becomes of rows without such a value: of numbers, where the column holds none.
        missing: Unknown,
    },
    /// What a function in Python says; without limits, that a sample is kept.
    Function {
        /// The function.
        function: Function,
        /// Lowest score that passes.
        min: Option<f64>,
        /// Highest score that passes.
        max: Option<f64>,
        /// What becomes of samples without a score.
        missing: Unknown,
    },
}

/// The values of a column that pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Passing {
    /// Numbers within these limits.
    Numbers {
        /// Lowest number that passes.
        min: Option<f64>,
        /// Highest number that passes.
        max: Option<f64>,
    },
    /// Texts, numbers and flags as recipes spell them.
    OneOf(Vec<String>),
}

impl Passing {
    /// Returns whether a value, as JSON, passes; `None`: it is not of the kind that is asked for.
    fn passes(&self, json: &str) -> Option<bool> {
        // Strings hold numbers and flags in CSV.
        let text: Cow<'_, str> =
            if json.starts_with('"') { serde_json::from_str::<String>(json).ok()?.into() } else { json.into() };
        match self {
            Self::Numbers { min, max } => Some(is_between(number(&text)?, *min, *max)),
            Self::OneOf(values) => Some(values.iter().any(|value| match value.as_str() {
                "true" | "false" => text.eq_ignore_ascii_case(value),
                value if value == text => true,
                // A number is the same whatever its spelling; a text is not.
                value => json == text && is_same_number(value, json),
            })),
        }
    }
}

/// Returns whether two texts are the same number; whole ones are compared digit by digit, as ids are longer than floats are exact.
fn is_same_number(one: &str, other: &str) -> bool {
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => number(one).is_some_and(|one| number(other) == Some(one)),
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// What becomes of samples that a filter cannot judge: of no certain language, or without a value or a score to be compared.
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

/// The certainty below which a language is unknown, unless a recipe says otherwise. Of 999 English instructions, 5 are
/// taken for another language with more than 0.2. Of 32 short sentences in 12 other languages, 21 reach 0.2, and 10 reach 0.5.
pub const MIN_CERTAINTY: f64 = 0.2;

/// The certainty below which a text that is taken for a near language may be one that is asked for. Of eight plain Dutch
/// sentences the model takes four for Afrikaans, with up to 0.49; an Afrikaans one that has its words reaches 1.
const NEAR_CERTAINTY: f64 = 0.9;

impl Filter {
    /// Returns the `type` that recipes use.
    pub fn type_name(&self) -> &'static str {
        self.scorer.name()
    }

    /// Returns the column whose values are compared, if those are.
    pub fn column(&self) -> Option<&str> {
        if let Bound::Value { column, .. } = &self.bound { Some(column) } else { None }
    }

    /// Returns the function that scores samples, if one does, and what it says of them.
    pub fn function(&self) -> Option<(&Function, Judge)> {
        let Bound::Function { function, min, max, .. } = &self.bound else { return None };
        Some((function, if min.or(*max).is_some() { Judge::Scorer } else { Judge::Filter }))
    }

    /// Returns the name of the filter in reports: its type, with the column if there may be several; or its function.
    pub fn name(&self) -> Cow<'_, str> {
        match (self.column(), self.function()) {
            (Some(column), _) => format!("{}:{column}", self.type_name()).into(),
            (None, Some((function, _))) => function.to_string().into(),
            (None, None) => self.type_name().into(),
        }
    }

    /// Returns whether a user who says `name` means the filter.
    pub fn is_called(&self, name: &str) -> bool {
        let is_function = || self.function().is_some_and(|(function, _)| function.name == name);
        self.type_name() == name || self.name() == name || is_function()
    }

    /// Returns a score of this filter as people read it: a number, a language, a value, or whether a function keeps the sample.
    pub fn shown(&self, score: Score) -> serde_json::Value {
        match (score, self.function()) {
            (Score::Number(Some(number)), Some((_, Judge::Filter))) => (number != 0.0).into(),
            (score, _) => score.into(),
        }
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
            (Bound::Value { passing, missing, .. }, Scores::Value(values)) => {
                let passes = values.texts().iter().map(|json| passing.passes(json)).collect();
                Ok(Comparison::Value(values, passes, *missing))
            }
            (Bound::Function { min, max, missing, .. }, Scores::Number(numbers)) => {
                // Without limits a function says 1 for `True` and 0 for `False`.
                let min = if min.or(*max).is_none() { Some(1.0) } else { *min };
                Ok(Comparison::Number(numbers, min, *max, *missing))
            }
            (_, scores) => Err(ColumnError::Scale(scores.scale())),
        }
    }
}

/// The bound of a filter with the scores of a chunk.
#[derive(Clone, Debug)]
pub enum Comparison<'a> {
    /// See [`Bound::Count`].
    Count(&'a [u32], Option<u64>, Option<u64>),
    /// See [`Bound::Fraction`].
    Fraction(&'a [f64], Option<f64>, Option<f64>),
    /// See [`Bound::Language`].
    Language(&'a [[u8; 3]], &'a [String], f64, Unknown),
    /// See [`Bound::Identity`].
    Identity(&'a [u128]),
    /// See [`Bound::Value`]: the values, whether each different one passes, and what becomes of rows without one.
    Value(&'a Values, Vec<Option<bool>>, Unknown),
    /// See [`Bound::Function`]: the scores, the limits, and what becomes of samples without a score.
    Number(&'a Numbers, Option<f64>, Option<f64>, Unknown),
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
            Self::Value(values, ref passes, missing) => {
                let passes = values.place(sample).and_then(|place| passes[place]);
                passes.unwrap_or(missing == Unknown::Keep)
            }
            Self::Number(numbers, min, max, missing) => match numbers.get(sample) {
                Some(score) => is_between(score, min, max),
                None => missing == Unknown::Keep,
            },
        }
    }

    /// Returns whether a sample passes that is a part of a text, given what was decided of a part of the text before: a text is
    /// no duplicate of itself.
    pub fn passes_in_parts(&self, sample: usize, seen: &mut HashSet<u128>, decided: &mut Option<bool>) -> bool {
        let known = decided.filter(|_| self.identity(sample).is_some());
        *decided.insert(known.unwrap_or_else(|| self.passes(sample, seen)))
    }

    /// Returns whether a sample is neither one that the filter asks for nor certainly another, or has no value or score to be
    /// compared.
    pub fn is_unknown(&self, sample: usize) -> bool {
        match *self {
            Self::Language(scores, languages, min_certainty, _) => {
                kept(scores[sample], languages, min_certainty).is_none()
            }
            Self::Value(values, ref passes, _) => values.place(sample).is_none_or(|place| passes[place].is_none()),
            Self::Number(numbers, ..) => numbers.get(sample).is_none(),
            _ => false,
        }
    }

    /// Returns why a function refuses the row that a sample was made of, and the row, if it does.
    pub fn refusal(&self, sample: usize) -> Option<(&str, &RefusedRow)> {
        match *self {
            Self::Number(numbers, ..) => {
                let failure = numbers.failure(sample)?;
                Some((failure.why.as_str(), failure.refused.as_ref()?))
            }
            _ => None,
        }
    }

    /// Returns whether there is any such row.
    pub fn refuses(&self) -> bool {
        matches!(*self, Self::Number(numbers, ..) if numbers.refuses())
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
    // Of a near language much is taken for the one that is asked for; `min_certainty: 0` takes every guess all the same.
    let certain_of = |code: &str| {
        if found.is_near(code) && min_certainty > 0.0 { NEAR_CERTAINTY.max(min_certainty) } else { min_certainty }
    };
    let may_be = |code: &String| found.certainty() < certain_of(code) && found.shares_script_with(code);
    (!languages.iter().any(may_be)).then_some(false)
}

fn is_between<T: PartialOrd>(score: T, min: Option<T>, max: Option<T>) -> bool {
    min.is_none_or(|min| score >= min) && max.is_none_or(|max| score <= max)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.column(), self.function()) {
            (Some(column), _) => write!(f, "{} {column} {}", self.type_name(), self.bound),
            (None, Some((function, _))) => write!(f, "{} {function} {}", self.type_name(), self.bound),
            (None, None) => write!(f, "{} {}", self.type_name(), self.bound),
        }
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
            Self::Value { passing, missing, .. } => {
                match passing {
                    Passing::Numbers { min, max } => ends(f, min.as_ref(), max.as_ref())?,
                    Passing::OneOf(values) if values.len() == 1 => write!(f, "is {}", values[0])?,
                    Passing::OneOf(values) => write!(f, "in {}", values.join(", "))?,
                }
                if *missing != Unknown::Drop { write!(f, " missing {}", missing.word()) } else { Ok(()) }
            }
            Self::Function { min, max, missing, .. } => {
                match (min, max) {
                    (None, None) => f.write_str("is true")?,
                    (min, max) => ends(f, min.as_ref(), max.as_ref())?,
                }
                if *missing != Unknown::Drop { write!(f, " missing {}", missing.word()) } else { Ok(()) }
            }
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
    use crate::quality::NoScore;

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
    fn near_languages_take_more_certainty() {
        let asked = |code: &str| vec![code.to_owned()];
        let af = |certainty| [b'a', b'f', certainty];
        assert_eq!(kept(af(49), &asked("nl"), MIN_CERTAINTY), None);
        assert_eq!(kept(af(95), &asked("nl"), MIN_CERTAINTY), Some(false));
        assert_eq!(kept(af(49), &asked("de"), MIN_CERTAINTY), Some(false));
        assert_eq!(kept(af(49), &asked("nl"), 0.0), Some(false));
        assert_eq!(kept(af(49), &asked("af"), MIN_CERTAINTY), Some(true));
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        let numbers = |min, max| Passing::Numbers { min, max };
        let one_of = |values: &[&str]| Passing::OneOf(values.iter().map(|value| (*value).to_owned()).collect());
        let (yes, no, other) = (Some(true), Some(false), None);
        for (passing, json, passes) in [
            (numbers(Some(4.0), None), "4", yes),
            (numbers(Some(4.0), None), "3.999", no),
            (numbers(Some(4.0), None), r#"" 4.5 ""#, yes),
            (numbers(None, Some(-1.0)), "-1e0", yes),
            (numbers(Some(0.0), Some(1.0)), "1.5", no),
            (numbers(Some(4.0), None), r#""high""#, other),
            (numbers(Some(4.0), None), r#""inf""#, other),
            (numbers(Some(0.0), None), "true", other),
            (one_of(&["en", "de"]), r#""de""#, yes),
            (one_of(&["en", "de"]), r#""DE""#, no),
            (one_of(&["true"]), "true", yes),
            (one_of(&["true"]), r#""True""#, yes),
            (one_of(&["false"]), "true", no),
            (one_of(&["1"]), "1.0", yes),
            (one_of(&["1"]), r#""1.0""#, no),
            (one_of(&["9007199254740993"]), "9007199254740993", yes),
            (one_of(&["9007199254740993"]), "9007199254740992", no),
            (one_of(&["007"]), r#""007""#, yes),
            (one_of(&["7"]), r#""007""#, no),
            (one_of(&["a\nb"]), r#""a\nb""#, yes),
        ] {
            assert_eq!(passing.passes(json), passes, "{passing:?} {json}");
        }
    }

    #[test]
    fn rows_without_the_column_are_dropped_or_kept_as_the_recipe_says() {
        let mut column = ScoreColumn::new(super::super::by_name("column").unwrap());
        ["5", "", r#""high""#, "3", ""].iter().for_each(|json| column.push(json));
        let passing = Passing::Numbers { min: Some(4.0), max: None };
        for (missing, expected) in
            [(Unknown::Drop, [true, false, false, false, false]), (Unknown::Keep, [true, true, true, false, true])]
        {
            let filter = filter("column", Bound::Value { column: "score".into(), passing: passing.clone(), missing });
            let comparison = filter.compare(&column).unwrap();
            let passes = [0, 1, 2, 3, 4].map(|at| comparison.passes(at, &mut HashSet::new()));
            assert_eq!(passes, expected, "{missing:?}");
            assert_eq!([0, 1, 2, 3, 4].map(|at| comparison.is_unknown(at)), [false, true, true, false, true]);
        }
    }

    fn by_function(min: Option<f64>, missing: Unknown) -> Filter {
        let function = Function { module: "py/tone.py".into(), name: "tone".into(), files: Vec::new(), timeout: 1 };
        filter("python", Bound::Function { function, min, max: None, missing })
    }

    #[test]
    fn what_a_function_says_is_compared_with_limits_or_is_the_verdict() {
        let mut column = ScoreColumn::new(ScoreKind::PYTHON);
        for score in [Some(1.0), Some(0.0), Some(0.25), None] {
            column.push_number(score);
        }
        let row = RefusedRow { line: 1, offset: 9, raw: "{}".to_owned() };
        column.push_failure(NoScore { why: "KeyError: 'x'".to_owned(), refused: Some(row.clone()) });
        let passing = |filter: &Filter| {
            let comparison = filter.compare(&column).unwrap();
            assert_eq!([0, 1, 2, 3, 4].map(|at| comparison.is_unknown(at)), [false, false, false, true, true]);
            assert!(comparison.refuses());
            assert_eq!([3, 4].map(|at| comparison.refusal(at)), [None, Some(("KeyError: 'x'", &row))]);
            (0..5).filter(|at| comparison.passes(*at, &mut HashSet::new())).collect::<Vec<usize>>()
        };
        let (scorer, judge) = (by_function(Some(0.25), Unknown::Drop), by_function(None, Unknown::Keep));
        assert_eq!(passing(&scorer), [0, 2]);
        assert_eq!(passing(&judge), [0, 3, 4]);
        assert_eq!([&scorer, &judge].map(|filter| filter.function().unwrap().1), [Judge::Scorer, Judge::Filter]);
        assert_eq!(
            [0, 3, 4].map(|at| scorer.shown(column.score(at)).to_string()),
            ["1.0", "null", "\"KeyError: 'x'\""]
        );
        assert_eq!([0, 1].map(|at| judge.shown(column.score(at)).to_string()), ["true", "false"]);
        for name in ["python", "tone", "py/tone.py:tone"] {
            assert!(scorer.is_called(name), "{name}");
        }
        assert_eq!(scorer.name(), "py/tone.py:tone");
        let said = [scorer.to_string(), judge.to_string()];
        assert_eq!(said, ["python py/tone.py:tone min 0.25", "python py/tone.py:tone is true missing keep"]);
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
            filter(
                "column",
                Bound::Value {
                    column: "meta.score".into(),
                    passing: Passing::Numbers { min: Some(4.0), max: None },
                    missing: Unknown::Keep,
                },
            ),
            filter(
                "column",
                Bound::Value {
                    column: "lang".into(),
                    passing: Passing::OneOf(vec!["en".into(), "de".into()]),
                    missing: Unknown::Drop,
                },
            ),
        ];
        let said = said.map(|filter| filter.to_string());
        let expected = [
            "length min 20 max 30",
            "length max 30",
            "quality min 1.0",
            "language en, de",
            "deduplication exact",
            "column meta.score min 4.0 missing keep",
            "column lang in en, de",
        ];
        assert_eq!(said, expected);
    }
}
