//! Versions of the code that decides bytes.
//!
//! A version is raised by hand when the same input yields something else. Golden outputs guard it (`tests/build/golden.rs`): a
//! result that changed under an unchanged version fails the tests. Comments, tests and refactorings change no version, so
//! they empty nobody's cache.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// A piece of code whose results the cache holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Component {
    /// Cuts source files into chunks.
    Cutter,
    /// Reads the rows of chunks, by the family of formats.
    Decoder(Cow<'static, str>),
    /// Makes samples of rows, by the converter's name.
    Converter(Cow<'static, str>),
    /// Encodes samples and their index.
    Samples,
    /// Encodes rejected rows.
    Rejects,
    /// Measures samples, by the scorer's name.
    Scorer(Cow<'static, str>),
    /// Encodes scores.
    Scores,
    /// Chooses the samples of a source.
    Selection,
    /// Turns shares into counts.
    Allotment,
    /// Divides and orders samples.
    Arrangement,
    /// Writes the rows of outputs.
    RowWriter,
    /// Writes quarantine files.
    QuarantineWriter,
}

/// The version of every component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeVersions(BTreeMap<Component, u32>);

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cutter => f.write_str("cutter"),
            Self::Decoder(family) => write!(f, "decoder {family}"),
            Self::Converter(name) => write!(f, "converter {name}"),
            Self::Samples => f.write_str("sample encoding"),
            Self::Rejects => f.write_str("reject encoding"),
            Self::Scorer(name) => write!(f, "scorer {name}"),
            Self::Scores => f.write_str("score encoding"),
            Self::Selection => f.write_str("selection"),
            Self::Allotment => f.write_str("allotment"),
            Self::Arrangement => f.write_str("arrangement"),
            Self::RowWriter => f.write_str("row writer"),
            Self::QuarantineWriter => f.write_str("quarantine writer"),
        }
    }
}

impl CodeVersions {
    /// Returns the version of a component.
    ///
    /// # Panics
    ///
    /// If the component is not in the table: a key without a version would never go stale.
    pub fn of(&self, component: &Component) -> u32 {
        let version = self.0.get(component).copied();
        version.unwrap_or_else(|| panic!("{component} has no version in the table of components"))
    }

    /// Raises the version of a component by one, as an edit to its constant would.
    pub fn raise(&mut self, component: Component) {
        *self.0.entry(component).or_default() += 1;
    }

    /// Returns every component with its version, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Component, u32)> {
        self.0.iter().map(|(component, version)| (component, *version))
    }
}

impl FromIterator<(Component, u32)> for CodeVersions {
    fn from_iter<I: IntoIterator<Item = (Component, u32)>>(components: I) -> Self {
        Self(components.into_iter().collect())
    }
}
