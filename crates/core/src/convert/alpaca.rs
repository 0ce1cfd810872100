//! Stanford Alpaca: `instruction`, `input` and `output` make one exchange.

use super::{Converter, Options, shared::instruction};
use crate::{
    row::{RawRow, Reject},
    sample::{Converted, SampleKind},
};

/// Makes one exchange of `instruction`, `input` and `output`.
#[derive(Debug)]
pub struct Alpaca;

impl Converter for Alpaca {
    fn name(&self) -> &'static str {
        "alpaca"
    }

    fn version(&self) -> u32 {
        5
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn repos(&self) -> &'static [&'static str] {
        &["tatsu-lab/alpaca"]
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["instruction", "output"]]
    }

    fn rank(&self) -> u8 {
        2
    }

    fn redundant(&self) -> &'static [&'static str] {
        // The prompt and the answer, put into Alpaca's own template.
        &["text"]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        instruction::exchange(row, options)
    }
}
