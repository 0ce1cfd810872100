//! Source row to sample, one file a format.
//!
//! A converter is a pure function with a name and a version. To add one: a file here, a line in [`CONVERTERS`], and a
//! fixture under `tests/fixtures/formats/`; `CONTRIBUTING.md` walks through it. What several converters need stands in
//! `shared/`: converters do not call each other, so that whoever edits one changes no other.

pub mod alpaca;
mod choose;
pub mod code_alpaca;
pub mod external;
pub mod gsm8k;
pub mod hh_rlhf;
pub mod labelled;
pub mod mapped;
mod meaning;
#[cfg(test)]
mod message_tests;
pub mod messages;
pub mod preference;
pub mod prompts;
pub mod qa;
pub mod rankings;
pub mod rlvr;
mod shared;
pub mod stepwise;
pub mod text;
pub mod threads;
pub mod transcript;
pub mod turns;
mod whole;
#[cfg(test)]
mod whole_tests;

use std::sync::OnceLock;

pub use crate::config::Options;
pub use choose::{ChooseError, choose};
pub use external::{EXTERNAL, answers, external};
pub use mapped::{MAPPED, mapped};
pub use shared::spelling::Doubt;
pub use whole::{Tally, broken, convert};

use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind},
    survey::Survey,
};

/// Every converter, in the order of the documentation.
pub static CONVERTERS: &[&dyn Converter] = &[
    &alpaca::Alpaca,
    &code_alpaca::CodeAlpaca,
    &gsm8k::Gsm8k,
    &messages::Messages,
    &qa::QA,
    &turns::Turns,
    &threads::Threads,
    &transcript::Transcript,
    &hh_rlhf::HhRlhf,
    &preference::Preference,
    &rankings::Rankings,
    &labelled::LABELLED,
    &stepwise::STEPWISE,
    &prompts::Prompts,
    &rlvr::Rlvr,
    &text::Text,
];

/// One more converter, which tests of other crates may set before they use any; users never have it.
#[doc(hidden)]
pub static ONE_MORE: OnceLock<&'static dyn Converter> = OnceLock::new();

/// Returns every converter that recipes can name.
pub fn all() -> impl Iterator<Item = &'static dyn Converter> {
    CONVERTERS.iter().copied().chain(ONE_MORE.get().copied())
}

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
    /// The name recipes use, which is also the name of its source file.
    fn name(&self) -> &'static str;

    /// Raised by hand whenever the same row yields another sample or reject.
    fn version(&self) -> u32;

    /// The kind of every sample it makes.
    fn kind(&self) -> SampleKind;

    /// The Hub repositories it is the default for, under every name they have had.
    fn repos(&self) -> &'static [&'static str] {
        &[]
    }

    /// The sets of columns that rows of its format have, the usual names first; any of them will do. None: no columns choose it.
    fn wants(&self) -> Vec<Vec<&'static str>> {
        Vec::new()
    }

    /// How many of the surveyed rows are its own; 0 if it never is the default for a source that no name decides. It is asked of
    /// rows that have values of the same types in the same columns.
    fn reads(&self, survey: &Survey) -> u32 {
        survey.count(|columns| self.wants().iter().any(|set| set.iter().all(|name| columns.contains(name))))
    }

    /// How much it makes of a row: of several converters that read a source, the one that makes most of it is chosen.
    fn rank(&self) -> u8 {
        1
    }

    /// What is not clear about rows that it reads: a slot that several of their columns could fill.
    fn doubt(&self, _: &Survey) -> Option<Doubt> {
        None
    }

    /// Columns that say again what others say, or that its samples leave out by their nature: they go unused without a word.
    fn redundant(&self) -> &'static [&'static str] {
        &[]
    }

    /// The options it understands.
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    /// Converts one row; a row that cannot be used is a reject, never an error.
    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject>;
}

/// The converter that recipes call `name`.
pub fn by_name(name: &str) -> Option<&'static dyn Converter> {
    all().find(|converter| converter.name() == name)
}

/// Returns every converter that there is: those that recipes can name, those of `columns`, and those of programs.
pub fn every() -> impl Iterator<Item = &'static dyn Converter> {
    let mapped = MAPPED.iter().map(|mapped| mapped as &dyn Converter);
    all().chain(mapped).chain(EXTERNAL.iter().map(|external| external as &dyn Converter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_converter_is_found_by_its_name() {
        for converter in CONVERTERS {
            let name = converter.name();
            assert_eq!(by_name(name).map(Converter::name), Some(name), "names are unique");
        }
        assert!(by_name("alpacca").is_none());
    }

    #[test]
    fn every_option_has_a_default_and_help() {
        for option in CONVERTERS.iter().flat_map(|converter| converter.options()) {
            assert!(!option.values.is_empty() && !option.help.is_empty(), "{}", option.name);
        }
    }
}
