//! The scores of a chunk's samples, one column per scorer, and their encoding.

use std::{collections::HashMap, fmt};

use super::{Language, ScoreKind, filter::BoundSpec};

/// Version of the encoding, to be raised when the same scores are stored differently. Columns of other versions are
/// made again.
pub const SCORES_VERSION: u8 = 3;

/// Size of the header in bytes: format, scale, number of scores.
const HEADER: usize = 1 + 1 + 8;

/// Type of scores. The numbers are stored, and must never be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scale {
    /// Whole numbers of four bytes each; `u32::MAX` means that many or more.
    Count = 1,
    /// Numbers from 0 to 1, of eight bytes each.
    Fraction = 2,
    /// Languages, of three bytes each; see [`Language::to_bytes`].
    Language = 5,
    /// Identities of texts, of sixteen bytes each.
    Identity = 4,
    /// Values of columns: numbers of four bytes each, then the texts that they number.
    Value = 6,
    /// Numbers that functions gave, of eight bytes each, NaN where there is none; then, for those samples of which the function
    /// failed, their number and why, and of rows that it refuses where they stand.
    Number = 8,
}

impl Scale {
    const ALL: [Self; 6] = [Self::Count, Self::Fraction, Self::Language, Self::Identity, Self::Value, Self::Number];

    /// Returns the size of a stored score in bytes; of a value that of its number.
    fn width(self) -> usize {
        match self {
            Self::Count | Self::Value => 4,
            Self::Fraction | Self::Number => 8,
            Self::Language => 3,
            Self::Identity => 16,
        }
    }

    /// Returns whether texts may stand behind the scores.
    fn has_texts(self) -> bool {
        matches!(self, Self::Value | Self::Number)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "counts",
            Self::Fraction => "fractions",
            Self::Language => "languages",
            Self::Identity => "identities",
            Self::Value => "values",
            Self::Number => "numbers",
        })
    }
}

impl From<BoundSpec> for Scale {
    fn from(spec: BoundSpec) -> Self {
        match spec {
            BoundSpec::Count(_) => Self::Count,
            BoundSpec::Fraction(_) => Self::Fraction,
            BoundSpec::Language(_) => Self::Language,
            BoundSpec::Identity(..) => Self::Identity,
            BoundSpec::Value(_) => Self::Value,
            BoundSpec::Function(_) => Self::Number,
        }
    }
}

/// The score of one text.
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// A whole number.
    Count(u64),
    /// A number from 0 to 1.
    Fraction(f64),
    /// A language, possibly unknown.
    Language(Language),
    /// The identity of a text. Equal texts have equal identities.
    Identity(u128),
    /// The value of a column as JSON, if there is one.
    Value(Option<String>),
    /// The number that a function gave, if it gave one.
    Number(Option<f64>),
    /// Why a function gave none.
    Failed(String),
}

/// As a number, a language code or `unknown`, 32 hexadecimal digits, the value of a column, or why there is no score.
impl From<Score> for serde_json::Value {
    fn from(score: Score) -> Self {
        match score {
            Score::Count(score) => score.into(),
            Score::Fraction(score) => score.into(),
            Score::Language(language) => language.code().unwrap_or("unknown").into(),
            Score::Identity(hash) => format!("{hash:032x}").into(),
            Score::Value(None) | Score::Number(None) => Self::Null,
            Score::Number(Some(score)) => score.into(),
            Score::Failed(why) => why.into(),
            Score::Value(Some(json)) => serde_json::from_str(&json).unwrap_or(Self::String(json)),
        }
    }
}

/// The scores of consecutive samples by one scorer.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreColumn {
    kind: ScoreKind,
    scores: Scores,
}

/// The values of scores.
#[derive(Clone, Debug, PartialEq)]
pub enum Scores {
    /// See [`Scale::Count`].
    Count(Vec<u32>),
    /// See [`Scale::Fraction`].
    Fraction(Vec<f64>),
    /// See [`Scale::Language`].
    Language(Vec<[u8; 3]>),
    /// See [`Scale::Identity`].
    Identity(Vec<u128>),
    /// See [`Scale::Value`].
    Value(Values),
    /// See [`Scale::Number`].
    Number(Numbers),
}

/// The values of a column, each different one once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// The different values as JSON, in the order in which they first occur.
    texts: Vec<String>,
    /// For each sample the number of its value in `texts`, from 1; 0: it has none.
    numbers: Vec<u32>,
    places: HashMap<String, u32>,
}

impl Values {
    /// Returns the different values as JSON.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Returns where the value of a sample stands in [`Values::texts`], if it has one.
    pub fn place(&self, sample: usize) -> Option<usize> {
        (self.numbers[sample] as usize).checked_sub(1)
    }

    fn push(&mut self, json: &str) {
        let number = match self.places.get(json) {
            Some(number) => *number,
            None if json.is_empty() => 0,
            None => self.add(json.to_owned()),
        };
        self.numbers.push(number);
    }

    /// Adds a value that is not there, and returns its number.
    fn add(&mut self, json: String) -> u32 {
        self.texts.push(json.clone());
        let number = self.texts.len() as u32;
        self.places.insert(json, number);
        number
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        for text in &self.texts {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Reads `count` numbers and the texts behind them.
    fn decode(count: usize, body: &[u8]) -> Result<Self, ColumnError> {
        let (numbers, mut rest) = body.split_at(4 * count);
        let mut values = Self { numbers: read(numbers, |bytes| Some(u32::from_le_bytes(bytes)))?, ..Self::default() };
        let mut known = 0;
        for (at, number) in values.numbers.iter().enumerate() {
            // Values are numbered as they occur, so that equal columns have equal bytes.
            if *number > known + 1 {
                return Err(ColumnError::Value(at as u64));
            }
            known = known.max(*number);
        }
        for _ in 0..known {
            let end = |expected: u64| ColumnError::Length { expected, found: body.len() as u64 };
            let (length, after) = rest.split_first_chunk().ok_or_else(|| end(body.len() as u64 + 8))?;
            let length = u64::from_le_bytes(*length);
            let text = usize::try_from(length).ok().and_then(|length| after.split_at_checked(length));
            let (text, after) = text.ok_or_else(|| end(length))?;
            let text = std::str::from_utf8(text).map_err(|_| ColumnError::Value(values.texts.len() as u64))?;
            if text.is_empty() || values.places.contains_key(text) {
                return Err(ColumnError::Value(values.texts.len() as u64));
            }
            values.add(text.to_owned());
            rest = after;
        }
        let found = body.len() as u64;
        if rest.is_empty() {
            Ok(values)
        } else {
            Err(ColumnError::Length { expected: found - rest.len() as u64, found })
        }
    }
}

/// What a function said of samples.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// The scores, NaN where there is none.
    numbers: Vec<f64>,
    /// Why there is none, by sample, in order.
    failures: Vec<(u32, NoScore)>,
}

/// Why a function gave a sample no score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoScore {
    /// In words.
    pub why: String,
    /// The row that the sample was made of, if the function refuses it; otherwise the filter says what becomes of the sample.
    pub refused: Option<RefusedRow>,
}

/// A row that a function refuses, as it stands in its chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// Lines before it.
    pub line: u32,
    /// Bytes before it.
    pub offset: u64,
    /// The row as it is in the source.
    pub raw: String,
}

/// Samples without a score are alike.
impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        bits(&self.numbers) == bits(&other.numbers) && self.failures == other.failures
    }
}

impl Numbers {
    /// Returns the score of a sample, if it has one.
    pub fn get(&self, sample: usize) -> Option<f64> {
        Some(self.numbers[sample]).filter(|number| !number.is_nan())
    }

    /// Returns why a sample has no score, if the function failed.
    pub fn failure(&self, sample: usize) -> Option<&NoScore> {
        let at = self.failures.binary_search_by_key(&(sample as u64), |(failed, _)| u64::from(*failed)).ok()?;
        Some(&self.failures[at].1)
    }

    /// Returns whether the function refuses the row of any sample.
    pub fn refuses(&self) -> bool {
        self.failures.iter().any(|(_, failure)| failure.refused.is_some())
    }

    fn push(&mut self, score: Option<f64>) {
        self.numbers.push(score.unwrap_or(f64::NAN));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out.extend_from_slice(&(self.failures.len() as u64).to_le_bytes());
        let text = |text: &str, out: &mut Vec<u8>| {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        for (sample, NoScore { why, refused }) in &self.failures {
            out.extend_from_slice(&sample.to_le_bytes());
            out.push(u8::from(refused.is_some()));
            text(why, out);
            if let Some(RefusedRow { line, offset, raw }) = refused {
                out.extend_from_slice(&line.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                text(raw, out);
            }
        }
    }

    /// Reads `count` numbers and the failures behind them.
    fn decode(count: usize, body: &[u8]) -> Result<Self, ColumnError> {
        let (numbers, rest) = body.split_at(8 * count);
        let number = |bytes| {
            let number = f64::from_le_bytes(bytes);
            // Equal columns have equal bytes, and functions give no infinite numbers.
            (number.is_finite() || number.to_bits() == f64::NAN.to_bits()).then_some(number)
        };
        let mut found = Self { numbers: read(numbers, number)?, failures: Vec::new() };
        let length = body.len() as u64;
        let mut rest = Rest { bytes: rest, of: length };
        for _ in 0..rest.number()? {
            let sample = rest.short()?;
            let out_of_range = ColumnError::Value(u64::from(sample));
            let is_next = found.failures.last().is_none_or(|(last, _)| *last < sample);
            let lacks_score = found.numbers.get(sample as usize).is_some_and(|number| number.is_nan());
            if !is_next || !lacks_score {
                return Err(out_of_range);
            }
            let [flag] = rest.take()?;
            let why = rest.text()?.ok_or(out_of_range)?;
            let refused = match flag {
                0 => None,
                1 => {
                    let (line, offset) = (rest.short()?, rest.number()?);
                    Some(RefusedRow { line, offset, raw: rest.text()?.ok_or(out_of_range)? })
                }
                _ => return Err(out_of_range),
            };
            found.failures.push((sample, NoScore { why, refused }));
        }
        match rest.bytes {
            [] => Ok(found),
            left => Err(ColumnError::Length { expected: length - left.len() as u64, found: length }),
        }
    }
}

/// What is left of the bytes of a column.
struct Rest<'b> {
    bytes: &'b [u8],
    /// Number of bytes of which it is the rest.
    of: u64,
}

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ColumnError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or_else(|| self.too_short(N as u64))?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn short(&mut self) -> Result<u32, ColumnError> {
        self.take().map(u32::from_le_bytes)
    }

    fn number(&mut self) -> Result<u64, ColumnError> {
        self.take().map(u64::from_le_bytes)
    }

    /// Returns a text behind its length; `None` if it is not UTF-8.
    fn text(&mut self) -> Result<Option<String>, ColumnError> {
        let length = self.number()?;
        let split = usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
        let (text, rest) = split.ok_or_else(|| self.too_short(length))?;
        self.bytes = rest;
        Ok(std::str::from_utf8(text).ok().map(str::to_owned))
    }

    /// Returns the error of bytes that end although `more` are to come.
    fn too_short(&self, more: u64) -> ColumnError {
        let read = self.of - self.bytes.len() as u64;
        ColumnError::Length { expected: read.saturating_add(more), found: self.of }
    }
}

impl Scores {
    /// Returns the type of the scores.
    pub fn scale(&self) -> Scale {
        match self {
            Self::Count(_) => Scale::Count,
            Self::Fraction(_) => Scale::Fraction,
            Self::Language(_) => Scale::Language,
            Self::Identity(_) => Scale::Identity,
            Self::Value(_) => Scale::Value,
            Self::Number(_) => Scale::Number,
        }
    }
}

/// Why stored scores cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// The bytes end too early, or continue after the last score.
    #[error("read scores: {found} bytes instead of {expected}")]
    Length {
        /// Number of bytes that the header states.
        expected: u64,
        /// Number of bytes found.
        found: u64,
    },
    /// The scores have a format that this program does not write.
    #[error("read scores of format {0}, expected {SCORES_VERSION}")]
    Format(u8),
    /// The number of the scale is unknown.
    #[error("read scores of unknown scale {0}")]
    Number(u8),
    /// The scores have another scale than the scorer's.
    #[error("read scores: {0} are not what the scorer gives")]
    Scale(Scale),
    /// The score at this position is outside the range of its scale.
    #[error("read scores: the one at {0} is out of range")]
    Value(u64),
}

impl ScoreColumn {
    /// Creates an empty column for scores by `kind`.
    pub fn new(kind: ScoreKind) -> Self {
        let scores = match Scale::from(kind.bound()) {
            Scale::Count => Scores::Count(Vec::new()),
            Scale::Fraction => Scores::Fraction(Vec::new()),
            Scale::Language => Scores::Language(Vec::new()),
            Scale::Identity => Scores::Identity(Vec::new()),
            Scale::Value => Scores::Value(Values::default()),
            Scale::Number => Scores::Number(Numbers::default()),
        };
        Self { kind, scores }
    }

    /// Creates a column of these counts by `kind`, for tests.
    #[cfg(test)]
    pub fn of_counts(kind: ScoreKind, counts: Vec<u32>) -> Self {
        Self { kind, scores: Scores::Count(counts) }
    }

    /// Creates a column of these identities by `kind`, for tests.
    #[cfg(test)]
    pub fn of_identities(kind: ScoreKind, identities: Vec<u128>) -> Self {
        Self { kind, scores: Scores::Identity(identities) }
    }

    /// Returns the scorer.
    pub fn kind(&self) -> ScoreKind {
        self.kind
    }

    /// Returns the scores.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// Returns the scores, consuming the column.
    pub fn into_scores(self) -> Scores {
        self.scores
    }

    /// Returns the number of scores.
    pub fn len(&self) -> usize {
        match &self.scores {
            Scores::Count(scores) => scores.len(),
            Scores::Fraction(scores) => scores.len(),
            Scores::Language(scores) => scores.len(),
            Scores::Identity(scores) => scores.len(),
            Scores::Value(values) => values.numbers.len(),
            Scores::Number(numbers) => numbers.numbers.len(),
        }
    }

    /// Returns whether the column has no scores.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the column of samples that are parts of the texts that were scored, given for each of them the number of its
    /// text; see [`SampleIndex::wholes`](crate::sample::SampleIndex::wholes). Tokens are counted of each part, so their columns
    /// stay as they are. `None` if there are not as many scores as texts.
    pub fn of_parts(self, wholes: Option<&[u32]>) -> Option<Self> {
        let Some(wholes) = wholes.filter(|_| ![ScoreKind::TOKENS, ScoreKind::TRAINED_TOKENS].contains(&self.kind))
        else {
            return Some(self);
        };
        fn each<T: Copy>(scores: &[T], wholes: &[u32]) -> Vec<T> {
            wholes.iter().map(|whole| scores[*whole as usize]).collect()
        }
        if self.len() != wholes.last().map_or(0, |last| *last as usize + 1) {
            return None;
        }
        let scores = match self.scores {
            Scores::Count(scores) => Scores::Count(each(&scores, wholes)),
            Scores::Fraction(scores) => Scores::Fraction(each(&scores, wholes)),
            Scores::Language(scores) => Scores::Language(each(&scores, wholes)),
            Scores::Identity(scores) => Scores::Identity(each(&scores, wholes)),
            Scores::Value(values) => Scores::Value(Values { numbers: each(&values.numbers, wholes), ..values }),
            Scores::Number(numbers) => {
                let why = |(part, whole): (u32, &u32)| Some((part, numbers.failure(*whole as usize)?.clone()));
                let failures = (0..).zip(wholes).filter_map(why).collect();
                Scores::Number(Numbers { numbers: each(&numbers.numbers, wholes), failures })
            }
        };
        Some(Self { kind: self.kind, scores })
    }

    /// Returns the score of a sample.
    pub fn score(&self, sample: usize) -> Score {
        match &self.scores {
            Scores::Count(scores) => Score::Count(scores[sample].into()),
            Scores::Fraction(scores) => Score::Fraction(scores[sample]),
            Scores::Language(scores) => {
                Score::Language(Language::from_bytes(scores[sample]).unwrap_or(Language::UNKNOWN))
            }
            Scores::Identity(scores) => Score::Identity(scores[sample]),
            Scores::Value(values) => Score::Value(values.place(sample).map(|place| values.texts[place].clone())),
            Scores::Number(numbers) => match numbers.failure(sample) {
                Some(failure) => Score::Failed(failure.why.clone()),
                None => Score::Number(numbers.get(sample)),
            },
        }
    }

    /// Scores a text and appends the score.
    pub fn push(&mut self, text: &str) {
        // Most values occur again and again.
        if let Scores::Value(values) = &mut self.scores {
            return values.push(text);
        }
        match (&mut self.scores, self.kind.score(text)) {
            (Scores::Count(scores), Score::Count(score)) => scores.push(u32::try_from(score).unwrap_or(u32::MAX)),
            (Scores::Fraction(scores), Score::Fraction(score)) => scores.push(score),
            (Scores::Language(scores), Score::Language(language)) => scores.push(language.to_bytes()),
            (Scores::Identity(scores), Score::Identity(identity)) => scores.push(identity),
            (Scores::Number(numbers), Score::Number(score)) => numbers.push(score),
            // A test checks this for every scorer.
            (scores, _) => unreachable!("`{}` says that its scores are {}", self.kind.name(), scores.scale()),
        }
    }

    /// Adds a count that was found otherwise than by the scorer, whose scores are counts.
    pub fn push_count(&mut self, count: u64) {
        match &mut self.scores {
            Scores::Count(scores) => scores.push(u32::try_from(count).unwrap_or(u32::MAX)),
            scores => unreachable!("`{}` says that its scores are {}", self.kind.name(), scores.scale()),
        }
    }

    /// Adds the score that a function gave, if it gave one: a finite number.
    pub fn push_number(&mut self, score: Option<f64>) {
        match &mut self.scores {
            Scores::Number(numbers) => numbers.push(score),
            scores => unreachable!("`{}` says that its scores are {}", self.kind.name(), scores.scale()),
        }
    }

    /// Adds that a function failed to give a score, and why.
    pub fn push_failure(&mut self, failure: NoScore) {
        if let Scores::Number(numbers) = &mut self.scores {
            numbers.failures.push((numbers.numbers.len() as u32, failure));
        }
        self.push_number(None);
    }

    /// Encodes the column: format, scale, number of scores, scores; whole numbers are little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let scale = self.scores.scale();
        let mut out = Vec::with_capacity(HEADER + self.len() * scale.width());
        out.push(SCORES_VERSION);
        out.push(scale as u8);
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        match &self.scores {
            Scores::Count(scores) => scores.iter().for_each(|score| out.extend_from_slice(&score.to_le_bytes())),
            Scores::Fraction(scores) => scores.iter().for_each(|score| out.extend_from_slice(&score.to_le_bytes())),
            Scores::Language(scores) => scores.iter().for_each(|score| out.extend_from_slice(score)),
            Scores::Identity(scores) => scores.iter().for_each(|score| out.extend_from_slice(&score.to_le_bytes())),
            Scores::Value(values) => values.encode(&mut out),
            Scores::Number(numbers) => numbers.encode(&mut out),
        }
        out
    }

    /// Decodes a column that [`ScoreColumn::encode`] wrote for scores by `kind`.
    pub fn decode(kind: ScoreKind, bytes: &[u8]) -> Result<Self, ColumnError> {
        let found = bytes.len() as u64;
        let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(ColumnError::Length { expected: HEADER as u64, found });
        };
        let [format, number, count @ ..] = *header;
        if format != SCORES_VERSION {
            return Err(ColumnError::Format(format));
        }
        let scale = Scale::ALL.into_iter().find(|scale| *scale as u8 == number).ok_or(ColumnError::Number(number))?;
        if scale != Scale::from(kind.bound()) {
            return Err(ColumnError::Scale(scale));
        }
        let expected = u64::from_le_bytes(count).saturating_mul(scale.width() as u64).saturating_add(HEADER as u64);
        if if scale.has_texts() { expected > found } else { expected != found } {
            return Err(ColumnError::Length { expected, found });
        }
        let scores = match scale {
            Scale::Count => Scores::Count(read(body, |bytes| Some(u32::from_le_bytes(bytes)))?),
            Scale::Fraction => Scores::Fraction(read(body, fraction)?),
            Scale::Language => {
                Scores::Language(read(body, |bytes| Language::from_bytes(bytes).map(Language::to_bytes))?)
            }
            Scale::Identity => Scores::Identity(read(body, |bytes| Some(u128::from_le_bytes(bytes)))?),
            Scale::Value => Scores::Value(Values::decode(u64::from_le_bytes(count) as usize, body)?),
            Scale::Number => Scores::Number(Numbers::decode(u64::from_le_bytes(count) as usize, body)?),
        };
        Ok(Self { kind, scores })
    }
}

fn fraction(bytes: [u8; 8]) -> Option<f64> {
    Some(f64::from_le_bytes(bytes)).filter(|score| (0.0..=1.0).contains(score))
}

/// Decodes the scores in `body`, whose length must be a multiple of `N`.
fn read<const N: usize, S>(body: &[u8], score: impl Fn([u8; N]) -> Option<S>) -> Result<Vec<S>, ColumnError> {
    let (pieces, _) = body.as_chunks::<N>();
    let score = |(at, piece): (usize, &[u8; N])| score(*piece).ok_or(ColumnError::Value(at as u64));
    pieces.iter().enumerate().map(score).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{SCORERS, by_name},
        *,
    };

    const TEXTS: [&str; 4] = [
        "",
        "A sentence that says what it means.",
        "def f():\n    return 1\n",
        "Une phrase en français, tout simplement.",
    ];

    fn kind(name: &str) -> ScoreKind {
        by_name(name).unwrap()
    }

    fn columns() -> Vec<ScoreColumn> {
        let column = |&kind| {
            let mut column = ScoreColumn::new(kind);
            TEXTS.iter().for_each(|text| column.push(text));
            column
        };
        let mut of_function = ScoreColumn::new(ScoreKind::PYTHON);
        [Some(0.5), None, Some(-2.0)].into_iter().for_each(|score| of_function.push_number(score));
        let row = RefusedRow { line: 1, offset: 9, raw: "{}".to_owned() };
        of_function.push_failure(NoScore { why: "KeyError: 'x'".to_owned(), refused: Some(row) });
        SCORERS.iter().map(column).chain([of_function]).collect()
    }

    #[test]
    fn scores_are_those_of_the_scorers() {
        for column in columns() {
            assert_eq!(column.len(), TEXTS.len());
            assert!(!column.is_empty() && ScoreColumn::new(column.kind()).is_empty());
            for (at, text) in TEXTS.iter().enumerate().filter(|_| column.kind() != ScoreKind::PYTHON) {
                assert_eq!(column.score(at), column.kind().score(text));
            }
        }
    }

    #[test]
    fn columns_round_trip() {
        for column in columns() {
            let kind = column.kind();
            assert_eq!(ScoreColumn::decode(kind, &column.encode()), Ok(column.clone()));
            let empty = ScoreColumn::new(kind);
            assert_eq!(ScoreColumn::decode(kind, &empty.encode()), Ok(empty));
        }
    }

    #[test]
    fn the_stored_form_is_fixed() {
        let lengths = ScoreColumn::of_counts(kind("length"), vec![258]);
        assert_eq!(lengths.encode(), [3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0]);
        let mut values = ScoreColumn::new(kind("column"));
        ["7", "", "7"].iter().for_each(|value| values.push(value));
        let expected = b"\x03\x06\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\x007";
        assert_eq!(values.encode(), expected);
        let languages = ScoreColumn { kind: kind("language"), scores: Scores::Language(vec![*b"en\x07", [0; 3]]) };
        assert_eq!(languages.encode(), *b"\x03\x05\x02\0\0\0\0\0\0\0en\x07\0\0\0");
        let mut numbers = ScoreColumn::new(ScoreKind::PYTHON);
        numbers.push_number(Some(0.5));
        let row = RefusedRow { line: 2, offset: 5, raw: "{}".to_owned() };
        numbers.push_failure(NoScore { why: "x".to_owned(), refused: Some(row) });
        numbers.push_failure(NoScore { why: "y".to_owned(), refused: None });
        let expected = b"\x03\x08\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\xe0\x3f\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\xf8\x7f\
            \x02\0\0\0\0\0\0\0\x01\0\0\0\x01\x01\0\0\0\0\0\0\0x\x02\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0{}\
            \x02\0\0\0\0\x01\0\0\0\0\0\0\0y";
        assert_eq!(numbers.encode(), expected);
        // A text in two parts, between two of one part.
        let parts = numbers.clone().of_parts(Some(&[0, 1, 1, 2])).unwrap();
        let [x, y] = ["x", "y"].map(|why| Score::Failed(why.to_owned()));
        assert_eq!([0, 1, 2, 3].map(|at| parts.score(at)), [Score::Number(Some(0.5)), x.clone(), x, y]);
        assert_eq!(ScoreColumn::decode(ScoreKind::PYTHON, &parts.encode()), Ok(parts));
    }

    #[test]
    fn damage_is_an_error() {
        for column in columns() {
            let (kind, bytes) = (column.kind(), column.encode());
            for end in 0..bytes.len() {
                assert!(matches!(ScoreColumn::decode(kind, &bytes[..end]), Err(ColumnError::Length { .. })));
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(matches!(ScoreColumn::decode(kind, &longer), Err(ColumnError::Length { .. })));
        }
        let quality = kind("quality");
        let mut bytes = ScoreColumn { kind: quality, scores: Scores::Fraction(vec![0.5, 1.0]) }.encode();
        assert_eq!(ScoreColumn::decode(kind("length"), &bytes), Err(ColumnError::Scale(Scale::Fraction)));
        bytes[HEADER + 8..].copy_from_slice(&f64::NAN.to_le_bytes());
        assert_eq!(ScoreColumn::decode(quality, &bytes), Err(ColumnError::Value(1)));
        bytes[HEADER..HEADER + 8].copy_from_slice(&1.5_f64.to_le_bytes());
        assert_eq!(ScoreColumn::decode(quality, &bytes), Err(ColumnError::Value(0)));
        bytes[1] = 99;
        assert_eq!(ScoreColumn::decode(quality, &bytes), Err(ColumnError::Number(99)));
        bytes[0] = 1;
        assert_eq!(ScoreColumn::decode(quality, &bytes), Err(ColumnError::Format(1)));
        let huge = [&[SCORES_VERSION, Scale::Identity as u8][..], &u64::MAX.to_le_bytes()].concat();
        let decoded = ScoreColumn::decode(kind("deduplication"), &huge);
        assert!(matches!(decoded, Err(ColumnError::Length { expected: u64::MAX, .. })));
        let upper = ScoreColumn { kind: kind("language"), scores: Scores::Language(vec![*b"EN\0"]) };
        assert_eq!(ScoreColumn::decode(upper.kind, &upper.encode()), Err(ColumnError::Value(0)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..64), format in prop::bool::ANY) {
            if let (true, Some(first)) = (format, bytes.first_mut()) {
                *first = SCORES_VERSION;
            }
            for kind in SCORERS {
                if let Ok(column) = ScoreColumn::decode(*kind, &bytes) {
                    prop_assert_eq!(column.encode(), bytes.clone());
                }
            }
        }
    }
}
