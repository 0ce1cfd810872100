//! The rows that datac writes by default: `conversations` and `text`, `chosen` and `rejected`, and the source's name.

use std::borrow::Cow;

use super::{
    Shape, Unfit, WrittenRow,
    facts::{Column, Facts, Type},
    read::{self, Fields},
};
use crate::row::Value;
use crate::sample::{Body, Features, Quoted, Sample, SampleKind, SampleView, write_identity};

/// Writes `{"conversations":[…],"text":"…","source":"…"}` and its like, see `docs/rows.md`: a sample's [identity
/// text](write_identity), which has everything that a sample has, and its source.
///
/// The final answer that is kept beside a conversation is not written: it is the end of the last message.
#[derive(Debug)]
pub struct Native;

impl Shape for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn version(&self) -> u32 {
        1
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &SampleKind::ALL
    }

    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column> {
        let (messages, is) = (facts.messages(), |kinds: &[SampleKind]| kinds.contains(&kind));
        let has = |features| facts.some.has(features);
        facts.with_kept(
            &[],
            [
                (
                    is(&[SampleKind::Conversation, SampleKind::Labelled, SampleKind::Prompt]),
                    "conversations",
                    messages.clone(),
                ),
                (is(&[SampleKind::Preference]), "chosen", messages.clone()),
                (is(&[SampleKind::Preference]), "rejected", messages.clone()),
                (has(Features::RANKED), "ranked", Type::Json),
                (is(&[SampleKind::Stepwise]), "prompt", messages),
                (is(&[SampleKind::Stepwise]), "completions", Type::Text.list()),
                (is(&[SampleKind::Stepwise]), "labels", Type::Json.list()),
                (!is(&[SampleKind::Preference, SampleKind::Prompt, SampleKind::Stepwise]), "text", Type::Text),
                (has(Features::TOOLS_KEY), "tools", Type::Json),
                (has(Features::ANSWER) && is(&[SampleKind::Prompt]), "answer", Type::Text),
                (has(Features::LABEL), "label", Type::Bool),
                (has(Features::MARGIN), "margin", Type::Json),
            ],
        )
    }

    fn write(&self, sample: &SampleView<'_>, source: Quoted<'_>, _: &Facts, out: &mut Vec<u8>) -> Result<(), Unfit> {
        write_identity(sample, out);
        out.extend_from_slice(SOURCE);
        out.extend_from_slice(source.with_quotes());
        out.push(b'}');
        Ok(())
    }

    fn identity<'r>(&self, row: &'r [u8], source: Quoted<'_>) -> Option<&'r [u8]> {
        row.strip_suffix(b"}")?.strip_suffix(source.with_quotes())?.strip_suffix(SOURCE)
    }

    fn source_of<'r>(&self, row: &'r [u8]) -> Option<Quoted<'r>> {
        // No string of JSON holds this: its quotes would be escaped.
        let at = memchr::memmem::rfind(row, SOURCE)?;
        Quoted::new(row[at + SOURCE.len()..].strip_suffix(b"}")?)
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        // Kept columns may have the names of other kinds' keys; those of the sample stand before them.
        let body = match fields.first(&["conversations", "chosen", "prompt", "text"])? {
            "chosen" => preference(&mut fields)?,
            "prompt" => {
                let prompt = read::messages(&fields.take("prompt")?)?;
                Body::Stepwise { prompt, steps: read::steps(&fields.take("completions")?, &fields.take("labels")?)? }
            }
            "conversations" => {
                let messages = read::messages(&fields.take("conversations")?)?;
                let conversation = Sample::conversation(messages);
                let text = conversation.field_text("text").map(Cow::into_owned);
                // Another text, which someone wrote by hand, is left as a column.
                let is_conversation = fields.string_if("text", |found| Some(found) == text.as_deref()).is_some();
                match conversation.body {
                    Body::Conversation { messages } if !is_conversation => {
                        // The label stands behind the messages, the answer of a prompt before it.
                        let is_labelled = fields.first(&["answer", "label"]) == Some("label")
                            && fields.has("label", |value| matches!(value, Value::Bool(_)));
                        if is_labelled { Body::Labelled { messages } } else { Body::Prompt { messages } }
                    }
                    body => body,
                }
            }
            _ => Body::Text { text: fields.string("text")?.into() },
        };
        fields.row(body)
    }
}

fn preference(fields: &mut Fields) -> Option<Body<'static>> {
    let mut dialogues = vec![read::messages(&fields.take("chosen")?)?, read::messages(&fields.take("rejected")?)?];
    if let Some(others) = fields.take("ranked") {
        dialogues.extend(read::dialogues(&others)?);
    }
    read::preference(dialogues)
}

/// What stands before the name of the source.
const SOURCE: &[u8] = b",\"source\":";
