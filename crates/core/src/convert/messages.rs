//! Whole dialogues in one column: OpenAI's `messages`, ShareGPT's `conversations`.

use super::{
    Converter, Options,
    shared::{beside, chat},
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, SampleKind},
};

/// Makes a conversation of a list of messages.
///
/// The list stands in `messages`, else in `conversations`; a string holding it, as in CSV, will do. What stands beside it in
/// the row (`system`, `tools`, images, …) is kept too. Whether a dialogue can be trained on, [`crate::rules`] say.
#[derive(Debug)]
pub struct Messages;

const COLUMNS: [&str; 2] = ["messages", "conversations"];

impl Converter for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        COLUMNS.iter().map(|column| vec![*column]).collect()
    }

    fn rank(&self) -> u8 {
        3
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        // A list that is empty gives way to one that is not.
        let is_there = |column: &&str| !matches!(row.peek(column), None | Some(Value::Null));
        let column = COLUMNS.into_iter().find(|column| row.has(column)).or(COLUMNS.into_iter().find(is_there));
        let found = column.and_then(|column| Some((column, row.get(column)?)));
        let messages = match found {
            Some((column, Value::Json(json) | Value::String(json))) => chat::messages(json, column, options)?,
            Some((column, _)) => {
                return Err(Reject::new(Reason::WrongType, format!("`{column}` is not a list of messages")));
            }
            None => return Err(Reject::new(Reason::MissingField, "no `messages` or `conversations`")),
        };
        Ok(beside::conversation(row, messages)?.into())
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
