//! Running text in one column.

use std::borrow::Cow;

use super::{
    Converter, Options,
    shared::{chat, is_blank},
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Body, Content, Converted, Message, Role, Sample, SampleKind},
    survey::{Survey, Types},
};

/// Makes a text of the column `text`, as it stands.
///
/// Without one, `messages` may hold a single message of the assistant, which is how ms-swift writes a text.
#[derive(Debug)]
pub struct Text;

const TEXT: &str = "text";
const MESSAGES: &str = "messages";

impl Converter for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn version(&self) -> u32 {
        4
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Text
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["text"], vec!["messages"]]
    }

    /// Rows with a text, or with a message that is one.
    fn reads(&self, survey: &Survey) -> u32 {
        let texts = survey.called(TEXT).chain(survey.called(MESSAGES).filter(|of| of.types.has(Types::ANSWER_ALONE)));
        let names: Vec<&str> = texts.map(|column| &*column.name).collect();
        survey.count(|columns| columns.iter().any(|column| names.contains(column)))
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let column = |name: &str| row.spelled(name, |value| *value != Value::Null).map(|(column, _)| column);
        let (column, text) = match (column(TEXT), column(MESSAGES)) {
            (Some(column), _) => (column, Cow::Borrowed(row.text(column)?)),
            (None, Some(column)) => (column, answer_alone(row, column, options)?),
            (None, None) => return Err(Reject::new(Reason::MissingField, "no `text`")),
        };
        if is_blank(&text) {
            return Err(Reject::new(Reason::EmptyOutput, format!("`{column}` is empty")));
        }
        Ok(Sample::from(Body::Text { text }).into())
    }
}

/// Returns the text of a list that is one message of the assistant and nothing else.
fn answer_alone<'a>(row: &'a RawRow<'_>, column: &str, options: &Options) -> Result<Cow<'a, str>, Reject> {
    let refused =
        || Reject::new(Reason::WrongType, format!("`{column}` is no text: that is one message of the assistant"));
    let Some(Value::Json(json)) = row.get(column) else { return Err(refused()) };
    match <[Message<'a>; 1]>::try_from(chat::messages(json, column, options)?) {
        Ok([Message { role: Role::Assistant, content: Content::Text(text), extras: None }]) => Ok(text),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

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

    #[test]
    fn one_message_of_the_assistant_is_a_text() {
        let convert = |row: &str| {
            let row = json::row(row).unwrap();
            let converted = Text.convert(&row, &Options::new());
            converted.map(|c| c.only().field_text("text").unwrap().into_owned()).map_err(|reject| reject.reason)
        };
        let said = r#"{"role":"assistant","content":" a "}"#;
        assert_eq!(convert(&format!(r#"{{"messages":[{said}]}}"#)), Ok(" a ".to_owned()));
        assert_eq!(convert(&format!(r#"{{"text":null,"messages":[{said}]}}"#)), Ok(" a ".to_owned()));
        assert_eq!(convert(&format!(r#"{{"text":"t","messages":[{said}]}}"#)), Ok("t".to_owned()));
        for row in [
            format!(r#"{{"messages":[{said},{said}]}}"#),
            r#"{"messages":[{"role":"user","content":"a"}]}"#.to_owned(),
            r#"{"messages":[{"role":"assistant","content":"a","reasoning_content":"r"}]}"#.to_owned(),
        ] {
            assert_eq!(convert(&row), Err(Reason::WrongType), "{row}");
        }
        assert_eq!(convert(r#"{"messages":[{"role":"assistant","content":" "}]}"#), Err(Reason::EmptyOutput));
        assert_eq!(convert(r#"{"messages":null}"#), Err(Reason::MissingField));
    }
}
