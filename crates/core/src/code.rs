//! Versions of the code that decides bytes.
//!
//! A version is raised by hand when the same input yields a different result. Golden outputs
//! (`tests/build/golden.rs`) fail the tests if a result changes under an unchanged version. Comments, tests and
//! refactorings change no version, so they invalidate no cache.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// A piece of code whose results are cached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Component {
    /// Cutting source files into chunks.
    Cutter,
    /// Reading the rows of chunks; one component per decoder.
    Decoder(Cow<'static, str>),
    /// Making samples of rows; one component per converter.
    Converter(Cow<'static, str>),
    /// Holds samples to the rules of dialogues.
    Rules,
    /// Encoding samples and their index.
    Samples,
    /// Encoding rejected rows.
    Rejects,
    /// Scoring samples; one component per scorer.
    Scorer(Cow<'static, str>),
    /// Encoding scores.
    Scores,
    /// Selecting the samples of a source.
    Selection,
    /// Comparing the samples of all sources.
    Grouping,
    /// Turning shares into counts.
    Allotment,
    /// Splitting and ordering samples.
    Arrangement,
    /// Writing the rows of outputs.
    RowWriter,
    /// Writing quarantine files.
    QuarantineWriter,
    /// Writing samples as rows of a trainer; one component per shape.
    Shape(Cow<'static, str>),
    /// Writing rows to files, in the folder of a target.
    Container,
    /// Packing samples in rows.
    Packing,
    /// Counting what recipes expect of their rows.
    Tally,
    /// Rendering, encoding and masking samples for a model.
    Rendering,
}

/// The versions of all components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeVersions(BTreeMap<Component, u32>);

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cutter => f.write_str("cutter"),
            Self::Decoder(family) => write!(f, "decoder {family}"),
            Self::Converter(name) => write!(f, "converter {name}"),
            Self::Rules => f.write_str("rules"),
            Self::Samples => f.write_str("sample encoding"),
            Self::Rejects => f.write_str("reject encoding"),
            Self::Scorer(name) => write!(f, "scorer {name}"),
            Self::Scores => f.write_str("score encoding"),
            Self::Selection => f.write_str("selection"),
            Self::Grouping => f.write_str("grouping"),
            Self::Allotment => f.write_str("allotment"),
            Self::Arrangement => f.write_str("arrangement"),
            Self::RowWriter => f.write_str("row writer"),
            Self::QuarantineWriter => f.write_str("quarantine writer"),
            Self::Shape(name) => write!(f, "shape {name}"),
            Self::Container => f.write_str("container"),
            Self::Packing => f.write_str("packing"),
            Self::Tally => f.write_str("tally"),
            Self::Rendering => f.write_str("rendering"),
        }
    }
}

impl CodeVersions {
    /// Returns the version of a component.
    ///
    /// # Panics
    ///
    /// If the component is not in the table: a key without a version would never become stale.
    pub fn of(&self, component: &Component) -> u32 {
        let version = self.0.get(component).copied();
        version.unwrap_or_else(|| panic!("{component} has no version in the table of components"))
    }

    /// Raises the version of a component by one, as an edit to its constant would.
    pub fn raise(&mut self, component: Component) {
        *self.0.entry(component).or_default() += 1;
    }

    /// Returns all components with their versions, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Component, u32)> {
        self.0.iter().map(|(component, version)| (component, *version))
    }
}

impl FromIterator<(Component, u32)> for CodeVersions {
    fn from_iter<I: IntoIterator<Item = (Component, u32)>>(components: I) -> Self {
        Self(components.into_iter().collect())
    }
}
