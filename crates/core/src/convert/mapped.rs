//! Samples of columns that the recipe names itself.

use super::{
    Converter, OptionSpec, Options,
    shared::{filled::Filled, pair::Diverge},
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, SampleKind, Slot},
};

/// Makes a sample of what the recipe's `columns` say fills its slots.
#[derive(Debug)]
pub struct Mapped(SampleKind);

/// One for each kind of sample; no recipe names them.
pub static MAPPED: [Mapped; 6] = [
    Mapped(SampleKind::Conversation),
    Mapped(SampleKind::Preference),
    Mapped(SampleKind::Labelled),
    Mapped(SampleKind::Stepwise),
    Mapped(SampleKind::Prompt),
    Mapped(SampleKind::Text),
];

/// Returns the one that makes samples of `kind`.
pub fn mapped(kind: SampleKind) -> &'static dyn Converter {
    MAPPED.iter().find(|mapped| mapped.0 == kind).expect("there is one for each kind")
}

impl Converter for Mapped {
    fn name(&self) -> &'static str {
        match self.0 {
            SampleKind::Conversation => "columns (conversation)",
            SampleKind::Preference => "columns (preference)",
            SampleKind::Labelled => "columns (labelled)",
            SampleKind::Stepwise => "columns (stepwise)",
            SampleKind::Prompt => "columns (prompt)",
            SampleKind::Text => "columns (text)",
        }
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        self.0
    }

    fn options(&self) -> &'static [OptionSpec] {
        match self.0 {
            SampleKind::Preference => &[Diverge::OPTION],
            _ => &[],
        }
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let mut filled = Filled::of(row, options)?;
        for entry in &options.columns.entries {
            match entry.value(row)? {
                None | Some(Value::Null) if Slot::needed_by(self.0).contains(&entry.slot) => {
                    let detail = format!("no `{}`, which is the `{}`", entry.name(), entry.word);
                    return Err(Reject::new(Reason::MissingField, detail));
                }
                None => {}
                Some(value) => filled.fill(entry.slot, entry.name(), value),
            }
        }
        Ok(filled.sample(self.0)?.into())
    }
}
