//! Sample to scores: what filters compare with their bounds.
//!
//! A score is a pure function of one text, computed once per sample and kept in a [`ScoreColumn`] beside the chunk it
//! belongs to. Bounds are applied elsewhere, so a recipe that moves a bound scores nothing again.

mod code_quality;
mod column;
mod deduplication;
mod language;
mod length;
#[expect(clippy::module_inception, reason = "the file carries the name of the filter, as its siblings do")]
mod quality;
mod tokens;

pub use code_quality::code_quality;
pub use column::{ColumnError, ScoreColumn};
pub use deduplication::exact;
pub use language::{Language, language};
pub use length::length;
pub use quality::quality;
pub use tokens::tokens;

use crate::code;

/// What is measured of a text; one for each filter type of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScoreKind {
    /// Characters, see [`length`].
    Length,
    /// Quality of prose in [0, 1], see [`quality`].
    Quality,
    /// Likeness to code in [0, 1], see [`code_quality`].
    CodeQuality,
    /// The language, see [`language`].
    Language,
    /// The identity of the text, see [`exact`].
    Deduplication,
    /// Tokens, see [`tokens`]; no filter asks for them, mixtures do.
    Tokens,
}

impl ScoreKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: &[ScoreKind] =
        &[Self::Length, Self::Quality, Self::CodeQuality, Self::Language, Self::Deduplication, Self::Tokens];

    /// The `type` recipes use for the filter, which is also the name of the scorer's source file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Quality => "quality",
            Self::CodeQuality => "code_quality",
            Self::Language => "language",
            Self::Deduplication => "deduplication",
            Self::Tokens => "tokens",
        }
    }

    /// The kind a filter of this `type` needs.
    pub fn from_type_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Raised by hand whenever the same text yields another score.
    pub fn version(self) -> u32 {
        match self {
            Self::Length => length::VERSION,
            Self::Quality => quality::VERSION,
            Self::CodeQuality => code_quality::VERSION,
            Self::Language => language::VERSION,
            Self::Deduplication => deduplication::VERSION,
            Self::Tokens => tokens::VERSION,
        }
    }
}

/// What enters the key of every scoring: `<version>+<digest of the source>`.
///
/// The digest covers the scorer's own file and how columns are stored.
pub fn code_version(kind: ScoreKind) -> String {
    let own = code::hash_of(&format!("quality/{}.rs", kind.name()));
    format!("{}+{}", kind.version(), code::combine([own, code::hash_of("quality/column.rs")]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_has_a_source_file() {
        for &kind in ScoreKind::ALL {
            assert_eq!(ScoreKind::from_type_name(kind.name()), Some(kind));
            assert!(code_version(kind).starts_with(&format!("{}+", kind.version())));
        }
        assert_eq!(ScoreKind::from_type_name("qualty"), None);
        let versions: BTreeSet<_> = ScoreKind::ALL.iter().map(|&kind| code_version(kind)).collect();
        assert_eq!(versions.len(), ScoreKind::ALL.len());
    }
}
