//! Instructions with an optional input, as Alpaca and its many relatives write them.

use super::{
    beside::{SYSTEM, TOOLS},
    spelling::{INPUT, REASONING, Spellings},
};
use crate::{
    convert::Options,
    row::{RawRow, Reason, Reject},
    sample::{Converted, SampleKind, Slot},
};

/// An instruction may be empty, if there is an input.
const SPELLINGS: Spellings = Spellings {
    names: &[
        (Slot::User, &["instruction"]),
        (Slot::Input, INPUT),
        (Slot::Assistant, &["output"]),
        (Slot::Reasoning, REASONING),
        (Slot::System, SYSTEM),
        (Slot::History, &["history"]),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::User, Slot::Assistant], &[Slot::Input, Slot::Assistant]],
};

/// One exchange: `instruction`, followed by its input on a new line, is answered by `output`. Nothing is trimmed.
pub(in crate::convert) fn exchange<'a>(row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
    row.text("output")?;
    if row.peek("instruction").is_none() {
        // A row without the column is another format's row, not one whose instruction is empty.
        row.text("instruction")?;
    }
    let sample = SPELLINGS.fill(row, options)?.of_texts().sample(SampleKind::Conversation);
    let sample = sample.map_err(|reject| match reject.reason {
        // Either would do.
        Reason::EmptyPrompt => Reject::new(reject.reason, "`instruction` and `input` are empty"),
        _ => reject,
    });
    Ok(sample?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        convert::{Tally, alpaca::Alpaca, convert},
        row::Value,
    };

    fn exchange<'a>(row: &'a RawRow<'_>) -> Result<Converted<'a>, Reject> {
        let options = Box::leak(Box::default());
        convert(&Alpaca, row, options, &mut Tally::default())
    }

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
