//! A converter for tests, whose rows yield any number of samples.

use datac_core::{
    convert::{Converter, Options},
    row::{RawRow, Reason, Reject},
    sample::{Converted, Message, Role, Sample, SampleKind},
    survey::Survey,
};

/// Makes a prompt of each part of the column `parts`. Parts are separated by `|`, an empty column has none, and `!`
/// is rejected.
#[derive(Debug)]
pub(super) struct Several;

impl Converter for Several {
    fn name(&self) -> &'static str {
        "several"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Prompt
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["parts"]]
    }

    fn reads(&self, _: &Survey) -> u32 {
        0
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, _: &Options) -> Result<Converted<'a>, Reject> {
        let parts = row.text("parts")?;
        if parts == "!" {
            return Err(Reject::new(Reason::EmptyOutput, ""));
        }
        let samples = parts.split('|').filter(|part| !part.is_empty());
        let samples: Vec<Sample<'_>> =
            samples.map(|part| Sample::prompt(vec![Message::new(Role::User, part)])).collect();
        Ok(samples.into())
    }
}
