//! Instructions with an optional input, as Alpaca and its many relatives write them.

use std::borrow::Cow;

use super::{
    beside,
    filled::{borrowed, history},
    is_blank,
};
use crate::{
    row::{RawRow, Reason, Reject},
    sample::{Converted, Message, Role, Sample},
};

/// What the user says: `instruction`, then on a new line `input` unless that is empty.
///
/// Nothing is trimmed. An input of whitespace alone counts as empty, and so does `<noinput>` in any case: Alpaca's
/// generator wrote that word for "none" and did not always take it out again.
pub(in crate::convert) fn request<'a>(row: &'a RawRow<'_>) -> Result<Cow<'a, str>, Reject> {
    let instruction = row.text_or_empty("instruction")?;
    let input = row.text_or_empty("input")?;
    let has_input = !is_blank(input) && !input.trim().eq_ignore_ascii_case("<noinput>");
    match (is_blank(instruction), has_input) {
        (true, false) => Err(Reject::new(Reason::EmptyPrompt, "`instruction` and `input` are empty")),
        (true, true) => Ok(Cow::Borrowed(input)),
        (false, false) => Ok(Cow::Borrowed(instruction)),
        (false, true) => Ok(Cow::Owned([instruction, "\n", input].concat())),
    }
}

/// What stands before the request: the row's `system` as a message, and the exchanges of its `history`.
pub(in crate::convert) fn before<'a>(row: &'a RawRow<'_>) -> Result<Vec<Message<'a>>, Reject> {
    let mut messages = Vec::with_capacity(2);
    if let Some((_, system)) = beside::system(row)? {
        messages.push(Message::new(Role::System, system));
    }
    if let Some(value) = row.get("history").filter(|value| !value.is_nothing()) {
        history("history", borrowed(value), &mut messages)?;
    }
    Ok(messages)
}

/// One exchange: the request, answered by `output`.
pub(in crate::convert) fn exchange<'a>(row: &'a RawRow<'_>) -> Result<Converted<'a>, Reject> {
    let output = row.text("output")?;
    if row.peek("instruction").is_none() {
        // A row without the column is another format's row, not one whose instruction is empty.
        row.text("instruction")?;
    }
    let user = request(row)?;
    if is_blank(output) {
        return Err(Reject::new(Reason::EmptyOutput, "`output` is empty"));
    }
    let mut messages = before(row)?;
    messages.extend([Message::new(Role::User, user), Message::new(Role::Assistant, output)]);
    Ok(Sample::conversation(messages).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Value;

    fn row(fields: &[(&'static str, &'static str)]) -> RawRow<'static> {
        RawRow::new(fields.iter().map(|&(name, text)| (name.into(), Value::String(text.into()))).collect())
    }

    fn user_of(instruction: &'static str, input: &'static str) -> Result<String, Reason> {
        let row = row(&[("instruction", instruction), ("input", input), ("output", "o")]);
        let converted = exchange(&row).map_err(|reject| reject.reason)?;
        let text = converted.only().field_text("text").unwrap();
        Ok(text.strip_suffix("\no").unwrap().to_owned())
    }

    #[test]
    fn input_follows_on_a_new_line_and_nothing_is_trimmed() {
        assert_eq!(user_of(" Add. ", "1 \n").unwrap(), " Add. \n1 \n");
        assert_eq!(user_of("Go", "j").unwrap(), "Go\nj", "short inputs are real");
        assert_eq!(user_of("Go", "No input").unwrap(), "Go\nNo input", "words of a person are not a sentinel");
    }

    #[test]
    fn empty_inputs_leave_no_line() {
        for input in ["", " \n\u{a0}", "<noinput>", "<NoInput>", " <noinput>\n"] {
            assert_eq!(user_of("Go", input).unwrap(), "Go", "{input:?}");
        }
        assert_eq!(user_of("Go", "<noinput> please").unwrap(), "Go\n<noinput> please");
    }

    #[test]
    fn an_instruction_may_be_empty_if_there_is_input() {
        assert_eq!(user_of(" ", "What is 2+2?").unwrap(), "What is 2+2?");
        assert_eq!(user_of("", "<noinput>"), Err(Reason::EmptyPrompt));
    }

    #[test]
    fn what_cannot_be_learned_from_is_rejected() {
        let reason = |fields| exchange(&row(fields)).unwrap_err().reason;
        assert_eq!(reason(&[("instruction", "i"), ("output", " \n")]), Reason::EmptyOutput);
        assert_eq!(reason(&[("instruction", "i")]), Reason::MissingField);
        assert_eq!(reason(&[("output", "o")]), Reason::MissingField);
        let number = RawRow::new(vec![
            ("instruction".into(), Value::String("i".into())),
            ("output".into(), Value::Number("7".into())),
        ]);
        assert_eq!(exchange(&number).unwrap_err().reason, Reason::WrongType);
    }

    #[test]
    fn system_and_history_stand_before_the_request() {
        let mut row = row(&[("instruction", "And in winter?"), ("output", "It freezes."), ("system", "Be short.")]);
        let history = r#"[["Is it warm?","In July."],["How warm?","22."]]"#;
        row.fields.push(("history".into(), Value::Json(history.into())));
        let converted = exchange(&row).unwrap();
        let text = converted.only().field_text("text").unwrap();
        assert_eq!(text, "Be short.\nIs it warm?\nIn July.\nHow warm?\n22.\nAnd in winter?\nIt freezes.");
        for wrong in [r#"[["one"]]"#, r#"{"a":1}"#, "[1]"] {
            row.fields[3].1 = Value::Json(wrong.into());
            assert_eq!(exchange(&row).unwrap_err().reason, Reason::WrongType, "{wrong}");
        }
    }

    #[test]
    fn a_null_input_is_an_empty_one() {
        let mut row = row(&[("instruction", "i"), ("output", "o")]);
        row.fields.push(("input".into(), Value::Null));
        assert!(exchange(&row).is_ok());
    }
}
