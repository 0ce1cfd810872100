//! The scores of a chunk's samples, one kind a column, and how they are stored.

use super::{Language, ScoreKind, code_quality, exact, language, length, quality, tokens};

/// Raised whenever the stored form changes.
const FORMAT: u8 = 1;

/// Format, score kind, number of scores.
const HEADER: usize = 1 + 1 + 8;

/// The scores of consecutive samples, all of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoreColumn {
    /// Characters; `u32::MAX` stands for that many or more.
    Length(Vec<u32>),
    /// Quality of prose, in [0, 1].
    Quality(Vec<f64>),
    /// Likeness to code, in [0, 1].
    CodeQuality(Vec<f64>),
    /// Languages, see [`Language::to_bytes`].
    Language(Vec<[u8; 2]>),
    /// Identities of texts.
    Exact(Vec<u128>),
    /// Tokens; `u32::MAX` stands for that many or more.
    Tokens(Vec<u32>),
}

/// Stored scores that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// The bytes end too early, or go on after the last score.
    #[error("read scores: {found} bytes instead of {expected}")]
    Length {
        /// How many there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Another format than this program writes.
    #[error("read scores of format {0}, expected {FORMAT}")]
    Format(u8),
    /// No score kind has this number.
    #[error("read scores of unknown kind {0}")]
    Kind(u8),
    /// A score that no text has.
    #[error("read scores: the one at {0} is out of range")]
    Value(u64),
}

impl ScoreColumn {
    /// An empty column of `kind`.
    pub fn new(kind: ScoreKind) -> Self {
        match kind {
            ScoreKind::Length => Self::Length(Vec::new()),
            ScoreKind::Quality => Self::Quality(Vec::new()),
            ScoreKind::CodeQuality => Self::CodeQuality(Vec::new()),
            ScoreKind::Language => Self::Language(Vec::new()),
            ScoreKind::Deduplication => Self::Exact(Vec::new()),
            ScoreKind::Tokens => Self::Tokens(Vec::new()),
        }
    }

    /// The kind of its scores.
    pub fn kind(&self) -> ScoreKind {
        match self {
            Self::Length(_) => ScoreKind::Length,
            Self::Quality(_) => ScoreKind::Quality,
            Self::CodeQuality(_) => ScoreKind::CodeQuality,
            Self::Language(_) => ScoreKind::Language,
            Self::Exact(_) => ScoreKind::Deduplication,
            Self::Tokens(_) => ScoreKind::Tokens,
        }
    }

    /// How many scores it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::Length(scores) => scores.len(),
            Self::Quality(scores) | Self::CodeQuality(scores) => scores.len(),
            Self::Language(scores) => scores.len(),
            Self::Exact(scores) => scores.len(),
            Self::Tokens(scores) => scores.len(),
        }
    }

    /// Whether it holds no score.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scores a text and appends the score.
    pub fn push(&mut self, text: &str) {
        match self {
            Self::Length(scores) => scores.push(u32::try_from(length(text)).unwrap_or(u32::MAX)),
            Self::Quality(scores) => scores.push(quality(text)),
            Self::CodeQuality(scores) => scores.push(code_quality(text)),
            Self::Language(scores) => scores.push(language(text).to_bytes()),
            Self::Exact(scores) => scores.push(exact(text)),
            Self::Tokens(scores) => scores.push(u32::try_from(tokens(text)).unwrap_or(u32::MAX)),
        }
    }

    /// The stored form: format, kind, number of scores, scores; whole numbers little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.len() * width(self.kind()));
        out.push(FORMAT);
        out.push(number(self.kind()));
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        match self {
            Self::Length(scores) | Self::Tokens(scores) => {
                scores.iter().for_each(|score| out.extend_from_slice(&score.to_le_bytes()));
            }
            Self::Quality(scores) | Self::CodeQuality(scores) => {
                scores.iter().for_each(|score| out.extend_from_slice(&score.to_le_bytes()));
            }
            Self::Language(scores) => scores.iter().for_each(|score| out.extend_from_slice(score)),
            Self::Exact(scores) => scores.iter().for_each(|score| out.extend_from_slice(&score.to_le_bytes())),
        }
        out
    }

    /// Reads what [`ScoreColumn::encode`] wrote; anything else is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, ColumnError> {
        let found = bytes.len() as u64;
        let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(ColumnError::Length { expected: HEADER as u64, found });
        };
        let [format, kind, count @ ..] = *header;
        if format != FORMAT {
            return Err(ColumnError::Format(format));
        }
        let kind =
            ScoreKind::ALL.iter().copied().find(|&known| number(known) == kind).ok_or(ColumnError::Kind(kind))?;
        let expected = u64::from_le_bytes(count).saturating_mul(width(kind) as u64).saturating_add(HEADER as u64);
        if expected != found {
            return Err(ColumnError::Length { expected, found });
        }
        Ok(match kind {
            ScoreKind::Length => Self::Length(scores(body, |bytes| Some(u32::from_le_bytes(bytes)))?),
            ScoreKind::Quality => Self::Quality(scores(body, unit)?),
            ScoreKind::CodeQuality => Self::CodeQuality(scores(body, unit)?),
            ScoreKind::Language => {
                Self::Language(scores(body, |bytes| Language::from_bytes(bytes).map(Language::to_bytes))?)
            }
            ScoreKind::Deduplication => Self::Exact(scores(body, |bytes| Some(u128::from_le_bytes(bytes)))?),
            ScoreKind::Tokens => Self::Tokens(scores(body, |bytes| Some(u32::from_le_bytes(bytes)))?),
        })
    }
}

/// The number a kind is stored as; never reused.
fn number(kind: ScoreKind) -> u8 {
    match kind {
        ScoreKind::Length => 1,
        ScoreKind::Quality => 2,
        ScoreKind::CodeQuality => 3,
        ScoreKind::Language => 4,
        ScoreKind::Deduplication => 5,
        ScoreKind::Tokens => 6,
    }
}

/// The bytes of one stored score.
fn width(kind: ScoreKind) -> usize {
    match kind {
        ScoreKind::Language => 2,
        ScoreKind::Length | ScoreKind::Tokens => 4,
        ScoreKind::Quality | ScoreKind::CodeQuality => 8,
        ScoreKind::Deduplication => 16,
    }
}

fn unit(bytes: [u8; 8]) -> Option<f64> {
    Some(f64::from_le_bytes(bytes)).filter(|score| (0.0..=1.0).contains(score))
}

/// The scores in `body`, whose length is a multiple of `N`.
fn scores<const N: usize, S>(body: &[u8], read: impl Fn([u8; N]) -> Option<S>) -> Result<Vec<S>, ColumnError> {
    let (pieces, _) = body.as_chunks::<N>();
    let read = |(at, piece): (usize, &[u8; N])| read(*piece).ok_or(ColumnError::Value(at as u64));
    pieces.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXTS: [&str; 4] = [
        "",
        "A sentence that says what it means.",
        "def f():\n    return 1\n",
        "Une phrase en français, tout simplement.",
    ];

    fn columns() -> Vec<ScoreColumn> {
        let column = |&kind| {
            let mut column = ScoreColumn::new(kind);
            TEXTS.iter().for_each(|text| column.push(text));
            column
        };
        ScoreKind::ALL.iter().map(column).collect()
    }

    #[test]
    fn scores_are_those_of_the_scorers() {
        for column in columns() {
            assert_eq!(column.len(), TEXTS.len());
            assert!(!column.is_empty() && ScoreColumn::new(column.kind()).is_empty());
            for (at, text) in TEXTS.iter().enumerate() {
                match &column {
                    ScoreColumn::Length(scores) => assert_eq!(u64::from(scores[at]), length(text)),
                    ScoreColumn::Quality(scores) => assert_eq!(scores[at], quality(text)),
                    ScoreColumn::CodeQuality(scores) => assert_eq!(scores[at], code_quality(text)),
                    ScoreColumn::Language(scores) => assert_eq!(scores[at], language(text).to_bytes()),
                    ScoreColumn::Exact(scores) => assert_eq!(scores[at], exact(text)),
                    ScoreColumn::Tokens(scores) => assert_eq!(u64::from(scores[at]), tokens(text)),
                }
            }
        }
    }

    #[test]
    fn columns_round_trip() {
        for column in columns() {
            assert_eq!(ScoreColumn::decode(&column.encode()), Ok(column.clone()));
            let empty = ScoreColumn::new(column.kind());
            assert_eq!(ScoreColumn::decode(&empty.encode()), Ok(empty));
        }
    }

    #[test]
    fn the_stored_form_is_fixed() {
        assert_eq!(ScoreColumn::Length(vec![258]).encode(), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0]);
        assert_eq!(ScoreColumn::Language(vec![*b"en", [0, 0]]).encode(), *b"\x01\x04\x02\0\0\0\0\0\0\0en\0\0");
    }

    #[test]
    fn damage_is_an_error() {
        for column in columns() {
            let bytes = column.encode();
            for end in 0..bytes.len() {
                assert!(matches!(ScoreColumn::decode(&bytes[..end]), Err(ColumnError::Length { .. })));
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(matches!(ScoreColumn::decode(&longer), Err(ColumnError::Length { .. })));
        }
        let mut bytes = ScoreColumn::Quality(vec![0.5, 1.0]).encode();
        bytes[HEADER + 8..].copy_from_slice(&f64::NAN.to_le_bytes());
        assert_eq!(ScoreColumn::decode(&bytes), Err(ColumnError::Value(1)));
        bytes[HEADER..HEADER + 8].copy_from_slice(&1.5_f64.to_le_bytes());
        assert_eq!(ScoreColumn::decode(&bytes), Err(ColumnError::Value(0)));
        bytes[1] = 99;
        assert_eq!(ScoreColumn::decode(&bytes), Err(ColumnError::Kind(99)));
        bytes[0] = 2;
        assert_eq!(ScoreColumn::decode(&bytes), Err(ColumnError::Format(2)));
        let huge = [&[1, 5][..], &u64::MAX.to_le_bytes()].concat();
        assert!(matches!(ScoreColumn::decode(&huge), Err(ColumnError::Length { expected: u64::MAX, .. })));
        assert_eq!(ScoreColumn::decode(&ScoreColumn::Language(vec![*b"EN"]).encode()), Err(ColumnError::Value(0)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..64), format in prop::bool::ANY) {
            if let (true, Some(first)) = (format, bytes.first_mut()) {
                *first = FORMAT;
            }
            if let Ok(column) = ScoreColumn::decode(&bytes) {
                prop_assert_eq!(column.encode(), bytes);
            }
        }
    }
}
