//! GSM8K: school maths with worked answers.

use std::borrow::Cow;

use super::{
    Converter, OptionSpec, Options,
    shared::{
        beside::{SYSTEM, TOOLS},
        final_answer::final_answer,
        is_blank,
        spelling::{INPUT, REASONING, Spellings},
    },
};
use crate::{
    row::{RawRow, Reason, Reject, Value},
    sample::{Converted, Sample, SampleKind, Slot},
    survey::{Survey, Types},
};

/// Makes one exchange of `question` and `answer`, and keeps the final answer beside it.
///
/// The final answer is what follows the last `####`: digits with thousands commas, maybe a minus sign, maybe
/// decimals. The last `<<…>>` annotation is not asked, since it often holds another value.
#[derive(Debug)]
pub struct Gsm8k;

const CALCULATOR: OptionSpec = OptionSpec {
    name: "calculator",
    values: &["keep", "strip"],
    help: "keep the calculator annotations `<<48/2=24>>`, or strip them",
};

impl Converter for Gsm8k {
    fn name(&self) -> &'static str {
        "gsm8k"
    }

    fn version(&self) -> u32 {
        4
    }

    fn kind(&self) -> SampleKind {
        SampleKind::Conversation
    }

    fn repos(&self) -> &'static [&'static str] {
        &["openai/gsm8k", "gsm8k"]
    }

    fn wants(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["question", "answer"]]
    }

    fn rank(&self) -> u8 {
        2
    }

    /// Rows whose answers end with `####` and a number; other answers are [`QA`](super::qa::QA)'s.
    fn reads(&self, survey: &Survey) -> u32 {
        let is_own = survey.column("answer").is_some_and(|column| column.types.has(Types::FINAL_ANSWER));
        if is_own { survey.rows_with(&["question", "answer"]) } else { 0 }
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[CALCULATOR]
    }

    fn convert<'a>(&self, row: &'a RawRow<'_>, options: &Options) -> Result<Converted<'a>, Reject> {
        let (question, answer) = (row.text("question")?, row.text("answer")?);
        if is_blank(question) {
            return Err(Reject::new(Reason::EmptyPrompt, "`question` is empty"));
        }
        if is_blank(answer) {
            return Err(Reject::new(Reason::EmptyOutput, "`answer` is empty"));
        }
        let last = final_answer(answer)?;
        let mut filled = SPELLINGS.fill(row, options)?.of_texts();
        if options.get(CALCULATOR.name).is_some_and(|value| value == "strip") {
            filled.fill(Slot::Assistant, "answer", Value::String(without_annotations(answer)));
        }
        Ok(Sample { answer: Some(last), ..filled.sample(self.kind())? }.into())
    }
}

/// A question and its answer, and what may stand beside them.
const SPELLINGS: Spellings = Spellings {
    names: &[
        (Slot::User, &["question"]),
        (Slot::Input, INPUT),
        (Slot::Assistant, &["answer"]),
        (Slot::Reasoning, REASONING),
        (Slot::System, SYSTEM),
        (Slot::History, &["history"]),
        (Slot::Tools, TOOLS),
    ],
    needs: &[&[Slot::User, Slot::Assistant]],
};

/// The answer without its `<<…=…>>`; the words around them, which often repeat the value, stay.
///
/// An annotation stands on one line and holds a `=`: shift operators of a program are not annotations.
fn without_annotations(answer: &str) -> Cow<'_, str> {
    if !answer.contains("<<") {
        return Cow::Borrowed(answer);
    }
    let mut kept = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(open) = rest.find("<<") {
        let inside = &rest[open + 2..];
        let annotation =
            inside.find(">>").filter(|&close| inside[..close].contains('=') && !inside[..close].contains(['\n', '<']));
        let next = match annotation {
            Some(close) => {
                kept.push_str(&rest[..open]);
                open + 2 + close + 2
            }
            None => {
                // One byte, not two: `<<<48/2=24>>` has an annotation that begins at its second byte.
                kept.push_str(&rest[..=open]);
                open + 1
            }
        };
        rest = &rest[next..];
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(
        question: &'static str,
        answer: &'static str,
        calculator: Option<&str>,
    ) -> Result<(String, String), Reason> {
        let field = |name: &'static str, text: &'static str| (name.into(), Value::String(text.into()));
        let row = RawRow::new(vec![field("question", question), field("answer", answer)]);
        let options = calculator.map(|value| ("calculator".to_owned(), value.to_owned())).into_iter().collect();
        let converted = Gsm8k.convert(&row, &options).map_err(|reject| reject.reason)?;
        let sample = converted.only();
        let text = sample.field_text("text").unwrap().into_owned();
        Ok((text, sample.answer.clone().unwrap().into_owned()))
    }

    fn last(answer: &'static str) -> Result<String, Reason> {
        convert("q", answer, None).map(|(_, last)| last)
    }

    #[test]
    fn the_final_answer_is_kept_beside_the_text() {
        let answer = "3*4 = <<3*4=12>>12.\n\n#### 12";
        assert_eq!(convert("3 bags?", answer, None).unwrap(), (format!("3 bags?\n{answer}"), "12".to_owned()));
        assert_eq!(convert("3 bags?", answer, Some("keep")), convert("3 bags?", answer, None));
        assert_eq!(last("a #### b\n#### -1,234,567").unwrap(), "-1234567", "the last marker counts");
        assert_eq!(last("#### 0.50 ").unwrap(), "0.50");
        assert_eq!(last("####7").unwrap(), "7");
    }

    #[test]
    fn the_last_annotation_is_not_the_answer() {
        assert_eq!(last("<<2*3=6>>6, so 6-1 = five\n#### 5").unwrap(), "5");
    }

    #[test]
    fn malformed_final_answers_are_rejected() {
        for answer in [
            "12",
            "#### ",
            "#### twelve",
            "#### $5",
            "#### 5 apples",
            "#### ,",
            "#### -",
            "#### 1.",
            "#### .5",
            "#### 1.2.3",
            "#### --1",
            "#### ٣",
            "#### 12\nbye",
        ] {
            assert_eq!(last(answer), Err(Reason::NoFinalAnswer), "{answer:?}");
        }
        assert_eq!(convert(" ", "#### 1", None), Err(Reason::EmptyPrompt));
        assert_eq!(convert("q", "\n", None), Err(Reason::EmptyOutput));
    }

    #[test]
    fn only_annotations_are_stripped() {
        let strip = |answer| convert("q", answer, Some("strip")).unwrap().0;
        assert_eq!(strip("48/2 = <<48/2=24>>24 and <<1+1=2>>2.\n#### 24"), "q\n48/2 = 24 and 2.\n#### 24");
        for untouched in ["1 << 2 >> 3\n#### 1", "<<48/2=24\n>>\n#### 1", "<<1=1\n#### 1", "no marks\n#### 1"] {
            assert_eq!(strip(untouched), format!("q\n{untouched}"));
        }
        assert_eq!(strip("<<<1=1>> x << y <<2=2>>z\n#### 1"), "q\n< x << y z\n#### 1");
        assert_eq!(strip("é<<1=1>>é\n#### 1"), "q\néé\n#### 1");
    }
}
