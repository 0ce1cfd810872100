//! Source row to sample, one file a format.
//!
//! A converter is a pure function with a name and a version. To add one: a file here, a line in [`CONVERTERS`], and a
//! fixture under `tests/fixtures/formats/`; `CONTRIBUTING.md` walks through it.

use std::collections::BTreeMap;

use crate::row::{Converted, RawRow, Reject, SampleKind};

/// Option names and values of one dataset entry, already checked against [`Converter::options`].
pub type Options = BTreeMap<String, String>;

/// An option a converter understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its key under `options:`.
    pub name: &'static str,
    /// The values it takes; the first is the default.
    pub values: &'static [&'static str],
    /// What it does, one line.
    pub help: &'static str,
}

/// Makes samples of rows.
pub trait Converter: Sync {
    /// The name recipes use.
    fn name(&self) -> &'static str;

    /// Raised by hand whenever the same row yields another sample or reject.
    fn version(&self) -> u32;

    /// The kind of every sample it makes.
    fn kind(&self) -> SampleKind;

    /// The Hub repositories it is the default for, under every name they have had.
    fn repos(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether rows with these columns are its own: the default for a source that no repository name decides.
    fn accepts(&self, columns: &[&str]) -> bool;

    /// The options it understands.
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    /// Converts one row; a row that cannot be used is a reject, never an error.
    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject>;
}
