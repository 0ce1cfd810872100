//! Running text in one column.

use std::borrow::Cow;

use super::{Converter, Options, shared::is_blank};
use crate::{
    row::{RawRow, Reason, Reject},
    sample::{Body, Converted, Sample, SampleKind},
};

/// Makes a text of the column `text`, as it stands.
#[derive(Debug)]
pub struct Text;

impl Converter for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Text
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["text"]]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, _: &Options) -> Result<Converted<'a>, Reject> {
        let text = row.text("text")?;
        if is_blank(text) {
            return Err(Reject::new(Reason::EmptyOutput, "`text` is empty"));
        }
        Ok(Sample::from(Body::Text { text: Cow::Borrowed(text) }).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Value;

    #[test]
    fn text_stays_as_it_is() {
        let convert = |value| {
            let row = RawRow::new(vec![("text".into(), value)]);
            let converted = Text.convert(&row, &Options::new());
            converted.map(|c| c.only().field_text("text").unwrap().into_owned()).map_err(|reject| reject.reason)
        };
        assert_eq!(convert(Value::String(" a \n".into())), Ok(" a \n".to_owned()));
        assert_eq!(convert(Value::String(" \n".into())), Err(Reason::EmptyOutput));
        assert_eq!(convert(Value::Null), Err(Reason::MissingField));
        assert_eq!(convert(Value::Bool(true)), Err(Reason::WrongType));
    }
}
