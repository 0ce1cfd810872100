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
        7
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
        let mut filled = Filled::given(row, options);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Keep,
        convert::{Tally, convert},
        json,
        mapping::Mapping,
        shape,
    };

    #[test]
    fn what_fills_a_slot_has_its_name_and_stands_there_once() {
        let entries = [(Slot::User, "q"), (Slot::Assistant, "a"), (Slot::Images, "pics"), (Slot::Answer, "gold")];
        let entries = entries.into_iter().flat_map(|(slot, column)| Mapping::column(slot, column).entries).collect();
        let mut options = Options { columns: Mapping { entries }, ..Options::new() };
        let made = |row: &str, options: &Options| {
            let row = json::row(row).unwrap();
            let converted = convert(mapped(SampleKind::Conversation), &row, options, &mut Tally::default());
            converted
                .map(|converted| shape::row_of(shape::DEFAULT, converted.only(), "s").unwrap())
                .map_err(|reject| reject.reason)
        };
        let row = |rest: &str| format!(r#"{{"q":"q","a":"a","pics":["p"],"gold":"42"{rest}}}"#);
        let beside = r#""text":"q\na","answer":"42","images":["p"],"source":"s"}"#;
        assert!(made(&row(""), &options).unwrap().ends_with(beside));
        assert_eq!(made(&row(r#","images":["other"]"#), &options), Err(Reason::UnusedColumn));
        options.ignore.insert("images".to_owned());
        assert!(made(&row(r#","images":["other"]"#), &options).unwrap().ends_with(beside));
        options.keep = Keep { all: false, columns: [("images".to_owned(), "more".to_owned())].into() };
        assert!(made(&row(r#","images":["other"]"#), &options).unwrap().contains(r#""more":["other"]"#));
    }
}
