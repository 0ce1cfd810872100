//! Code Alpaca: rows of Alpaca's shape about programs.

use super::{Converter, Options, shared::instruction};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind},
    survey::Survey,
};

/// Makes one exchange of `instruction`, `input` and `output`, as [`Alpaca`](super::alpaca::Alpaca) does.
///
/// A converter of its own so that its repository, its version and its fixtures can part from Alpaca's.
#[derive(Debug)]
pub struct CodeAlpaca;

impl Converter for CodeAlpaca {
    fn name(&self) -> &'static str {
        "code_alpaca"
    }

    fn version(&self) -> u32 {
        5
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn repos(&self) -> &'static [&'static str] {
        &["sahil2801/CodeAlpaca-20k"]
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["instruction", "output"]]
    }

    /// Only by name: its rows look like Alpaca's.
    fn reads(&self, _: &Survey) -> u32 {
        0
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        instruction::exchange(row, options)
    }
}
