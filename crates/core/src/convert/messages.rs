//! Whole dialogues in one column: OpenAI's `messages`, ShareGPT's `conversations`.

use super::{
    Converter, Options,
    shared::{chat, filled::Filled},
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, SampleKind},
    survey::{Survey, Types},
};

/// Makes a conversation of a list of messages.
///
/// The list stands in `messages`, else in `conversations`; a string holding it, as in CSV, will do. What stands beside it in
/// the row (`system`, `tools`, images, …) is kept too. Whether a dialogue can be trained on, [`crate::rules`] say.
#[derive(Debug)]
pub struct Messages;

/// The columns that may hold a dialogue.
pub(super) const COLUMNS: [&str; 2] = ["messages", "conversations"];

impl Converter for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn version(&self) -> u32 {
        7
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        COLUMNS.iter().map(|column| vec![*column]).collect()
    }

    /// Rows with a list of objects, which in CSV stands in a string.
    fn reads(&self, survey: &Survey) -> u32 {
        let lists = Types::OBJECTS.or(Types::MESSAGES).or(Types::UNZIPPED);
        let of = COLUMNS.iter().flat_map(|name| survey.called(name)).filter(|column| column.types.has(lists));
        let names: Vec<&str> = of.map(|column| &*column.name).collect();
        survey.count(|columns| columns.iter().any(|column| names.contains(column)))
    }

    fn rank(&self) -> u8 {
        3
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let Some((column, value)) = row.column(&COLUMNS).and_then(|column| Some((column, row.get(column)?))) else {
            return Err(Reject::new(Reason::MissingField, "no `messages` or `conversations`"));
        };
        let (Value::Json(json) | Value::String(json)) = value else {
            if let Value::Printed { .. } = value {
                return Err(value.not_text(column));
            }
            return Err(Reject::new(Reason::WrongType, format!("`{column}` is not a list of messages")));
        };
        let messages = chat::messages(json, column, options)?;
        Ok(Filled::of(row, options).conversation(column, messages)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Tally, convert as convert_row},
        *,
    };

    fn convert(column: &'static str, value: Value<'static>) -> Result<String, Reason> {
        let row = RawRow::new(vec![(column.into(), value)]);
        match convert_row(&Messages, &row, &Options::new(), &mut Tally::default()) {
            Ok(converted) => Ok(converted.only().field_text("text").unwrap().into_owned()),
            Err(reject) => Err(reject.reason),
        }
    }

    #[test]
    fn text_is_the_contents() {
        let list =
            r#"[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;
        assert_eq!(convert("messages", Value::Json(list.into())).unwrap(), "s\nq\na");
        assert_eq!(convert("conversations", Value::String(list.into())).unwrap(), "s\nq\na");
    }

    #[test]
    fn a_null_column_gives_way_to_the_other() {
        let list = r#"[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]"#;
        let row =
            RawRow::new(vec![("messages".into(), Value::Null), ("conversations".into(), Value::Json(list.into()))]);
        assert!(Messages.convert(&row, &Options::new()).is_ok());
    }

    #[test]
    fn dialogues_that_teach_nothing_are_rejected() {
        let reason = |list: &'static str| convert("messages", Value::Json(list.into())).unwrap_err();
        assert_eq!(reason("[]"), Reason::EmptyPrompt);
        assert_eq!(reason(r#"[{"from":"gpt","value":"a"}]"#), Reason::EmptyPrompt);
        assert_eq!(reason(r#"[{"from":"gpt","value":"a"},{"from":"human","value":"q"}]"#), Reason::EmptyPrompt);
        assert_eq!(reason(r#"[{"from":"human","value":" "},{"from":"gpt","value":"a"}]"#), Reason::EmptyPrompt);
        assert_eq!(reason(r#"[{"from":"human","value":"q"}]"#), Reason::NoFinalAssistantTurn);
        assert_eq!(reason(r#"[{"from":"human","value":"q"},{"from":"gpt","value":"\n"}]"#), Reason::EmptyOutput);
        assert_eq!(reason("{}"), Reason::WrongType);
        assert_eq!(convert("messages", Value::Number("1".into())), Err(Reason::WrongType));
        assert_eq!(convert("text", Value::String("x".into())), Err(Reason::MissingField));
    }
}
