//! Questions without their answers, for reinforcement learning.

use super::{
    Converter, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        checks::{TRUTH, keep_checks},
        spelling::{INPUT, Spellings},
    },
};
use crate::{
    row::{RawRow, Reject, is_called},
    sample::{Converted, SampleKind, Slot},
    survey::Survey,
};

/// Makes a prompt of what a row asks: its `instruction`, else its `question`, else its `prompt`, each with its input.
///
/// Answers are not looked at, so a row without one is as good as any; what can only be the right one is kept. The text is the
/// same as that of the row's conversation, and so both fall on the same side of a split. A prompt, and in its place `messages` or
/// `conversations`, may be a list of messages that ends with the user's.
#[derive(Debug)]
pub struct Prompts;

const COLUMNS: [&str; 5] = ["instruction", "question", "prompt", "messages", "conversations"];

const SPELLINGS: Spellings = Spellings {
    names: &[
        (Slot::User, &["instruction", "question", "prompt"]),
        (Slot::Messages, &["messages", "conversations"]),
        (Slot::Input, INPUT),
        (Slot::System, SYSTEM),
        (Slot::History, &["history"]),
        (Slot::Answer, TRUTH),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::User], &[Slot::Messages], &[Slot::Input]],
};

impl Converter for Prompts {
    fn name(&self) -> &'static str {
        "prompts"
    }

    fn version(&self) -> u32 {
        10
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Prompt
    }

    fn repos(&self) -> &'static [&'static str] {
        &["tatsu-lab/alpaca", "sahil2801/CodeAlpaca-20k", "openai/gsm8k", "gsm8k"]
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        COLUMNS.iter().map(|column| vec![*column]).collect()
    }

    fn reads(&self, survey: &Survey) -> u32 {
        survey.count(|columns| columns.iter().any(|column| COLUMNS.iter().any(|name| is_called(column, name))))
    }

    fn redundant(&self) -> &'static [&'static str] {
        // Alpaca's text says the same as its other columns. An answer that is left out is named.
        &["text"]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let mut sample = SPELLINGS.fill(row, options)?.sample(self.kind())?;
        keep_checks(&mut sample, row, TRUTH)?;
        Ok(sample.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{alpaca::Alpaca, gsm8k::Gsm8k};
    use crate::row::{Reason, Value};

    fn row(fields: &[(&'static str, Value<'static>)]) -> RawRow<'static> {
        RawRow::new(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    }

    fn text(text: &'static str) -> Value<'static> {
        Value::String(text.into())
    }

    fn prompt(fields: &[(&'static str, Value<'static>)]) -> Result<String, Reason> {
        let row = row(fields);
        let converted = Prompts.convert(&row, &Options::new()).map_err(|reject| reject.reason)?;
        Ok(converted.only().field_text("conversations").unwrap().into_owned())
    }

    #[test]
    fn the_first_column_that_is_there_asks() {
        let all = [("prompt", text("p")), ("question", text("q")), ("input", text("i")), ("instruction", text("n"))];
        assert_eq!(prompt(&all).unwrap(), "n\ni");
        assert_eq!(prompt(&all[..3]).unwrap(), "q\ni");
        assert_eq!(prompt(&all[..1]).unwrap(), "p");
        assert_eq!(prompt(&[("instruction", Value::Null), ("question", text("q"))]).unwrap(), "q");
        assert_eq!(prompt(&[("instruction", text("n")), ("output", text(""))]).unwrap(), "n", "answers do not matter");
    }

    #[test]
    fn a_prompt_may_be_a_dialogue() {
        let list = |json: &'static str| prompt(&[("prompt", Value::Json(json.into()))]);
        assert_eq!(list(r#"[{"role":"system","content":"s"},{"role":"user","content":"q"}]"#).unwrap(), "s\nq");
        assert_eq!(
            list(r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#),
            Err(Reason::EmptyPrompt)
        );
        assert_eq!(list("[]"), Err(Reason::EmptyPrompt));
        assert_eq!(list("{}"), Err(Reason::WrongType));
    }

    #[test]
    fn what_checks_an_answer_goes_with_the_question() {
        let row = row(&[
            ("question", text("q")),
            ("answer", text("so\n#### 4")),
            ("ground_truth", text("4")),
            ("test_cases", Value::Json("[1]".into())),
        ]);
        let sample = Prompts.convert(&row, &Options::new()).unwrap();
        let sample = sample.only();
        let columns: Vec<(&str, &str)> =
            sample.columns.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
        assert_eq!((sample.answer.as_deref(), columns), (Some("4"), vec![("test_cases", "[1]")]));
        assert!(row.unused().map(|(name, _)| name).eq(["answer"]), "it may be the model's own");
    }

    #[test]
    fn rows_that_ask_nothing_are_rejected() {
        assert_eq!(prompt(&[("question", text(" "))]), Err(Reason::EmptyPrompt));
        assert_eq!(prompt(&[("instruction", text("")), ("input", text("<noinput>"))]), Err(Reason::EmptyPrompt));
        assert_eq!(prompt(&[("question", Value::Number("1".into()))]), Err(Reason::WrongType));
        assert_eq!(prompt(&[("chosen", text("x"))]), Err(Reason::MissingField));
    }

    #[test]
    fn a_question_falls_on_one_side_in_every_recipe() {
        let alpaca = row(&[("instruction", text("n")), ("input", text("i")), ("output", text("o"))]);
        let gsm8k = row(&[("question", text("q")), ("answer", text("#### 1"))]);
        let none = Options::new();
        for (row, converter) in [(&alpaca, &Alpaca as &dyn Converter), (&gsm8k, &Gsm8k)] {
            assert_eq!(
                converter.convert(row, &none).unwrap().only().prompt_hash(),
                Prompts.convert(row, &none).unwrap().only().prompt_hash()
            );
        }
    }
}
