//! The rows that datac writes by default: `conversations` and `text`, `chosen` and `rejected`, and the source's name.

use super::{
    Shape, Unfit, WrittenRow,
    read::{self, Fields},
};
use crate::sample::{Body, Content, Message, Quoted, Sample, SampleKind, SampleView};

/// Writes `{"conversations":[…],"text":"…","source":"…"}` and its like, see `docs/rows.md`.
///
/// A final answer that is kept beside a sample is not written: it is the end of the last message.
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

    fn write(&self, sample: &SampleView<'_>, source: Quoted<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        if sample.tools.is_some() {
            return Err(Unfit("tools"));
        }
        let is_labelled = matches!(sample.body, Body::Labelled { .. });
        if sample.label.is_some() != is_labelled || sample.margin.is_some() {
            return Err(Unfit("a label or a margin"));
        }
        if !sample.columns.is_empty() {
            return Err(Unfit("columns of the source row"));
        }
        match &sample.body {
            Body::Conversation { messages } => {
                out.extend_from_slice(b"{\"conversations\":");
                dialogue(messages, &[], out)?;
                out.extend_from_slice(b",\"text\":\"");
                for (at, message) in messages.iter().enumerate() {
                    if at > 0 {
                        out.extend_from_slice(b"\\n");
                    }
                    out.extend_from_slice(text(message)?.inner());
                }
                out.push(b'"');
            }
            Body::Preference { prompt, ranked } => {
                let [chosen, rejected] = &ranked[..] else { return Err(Unfit("more than two ranked dialogues")) };
                out.extend_from_slice(b"{\"chosen\":");
                dialogue(prompt, chosen, out)?;
                out.extend_from_slice(b",\"rejected\":");
                dialogue(prompt, rejected, out)?;
            }
            Body::Labelled { messages } => {
                out.extend_from_slice(b"{\"conversations\":");
                dialogue(messages, &[], out)?;
                let is_good = sample.label == Some(true);
                out.extend_from_slice(if is_good { b",\"label\":true" } else { b",\"label\":false" });
            }
            Body::Stepwise { prompt, steps } => {
                out.extend_from_slice(b"{\"prompt\":");
                dialogue(prompt, &[], out)?;
                out.extend_from_slice(b",\"completions\":");
                list(steps, |step| step.text.with_quotes(), out);
                out.extend_from_slice(b",\"labels\":");
                list(steps, |step| step.label.as_str().as_bytes(), out);
            }
            Body::Prompt { messages } => {
                if sample.answer.is_some() {
                    return Err(Unfit("the answer of a prompt"));
                }
                out.extend_from_slice(b"{\"conversations\":");
                dialogue(messages, &[], out)?;
            }
            Body::Text { text } => {
                out.extend_from_slice(b"{\"text\":");
                out.extend_from_slice(text.with_quotes());
            }
        }
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
        let source = fields.string("source");
        let mut label = None;
        let body = if ["prompt", "completions", "labels"].iter().all(|name| fields.has(name)) {
            let prompt = read::messages(&fields.take("prompt")?)?;
            Body::Stepwise { prompt, steps: read::steps(&fields.take("completions")?, &fields.take("labels")?)? }
        } else if let Some(chosen) = fields.take("chosen") {
            let (mut prompt, rejected) = (read::messages(&chosen)?, read::messages(&fields.take("rejected")?)?);
            let shared = prompt.iter().zip(&rejected).take_while(|(chosen, rejected)| chosen == rejected).count();
            // An answer is left on both sides, even if it is the same.
            let shared = shared.min(prompt.len().saturating_sub(1)).min(rejected.len().saturating_sub(1));
            let chosen = prompt.split_off(shared);
            Body::Preference { prompt, ranked: vec![chosen, rejected[shared..].to_vec()] }
        } else if let Some(messages) = fields.take("conversations") {
            let messages = read::messages(&messages)?;
            let contents: Vec<&str> = messages.iter().map(Message::text).collect();
            // Another text, which someone wrote by hand, is left as a column.
            match fields.string_if("text", |text| text == contents.join("\n")) {
                Some(_) => Body::Conversation { messages },
                None => {
                    label = fields.boolean("label");
                    if label.is_some() { Body::Labelled { messages } } else { Body::Prompt { messages } }
                }
            }
        } else {
            Body::Text { text: fields.string("text")?.into() }
        };
        let row = fields.row(body, source)?;
        Some(WrittenRow { sample: Sample { label, ..row.sample }, ..row })
    }
}

/// What stands before the name of the source.
const SOURCE: &[u8] = b",\"source\":";

/// Appends a JSON list of what `written` says of each item.
fn list<'i, I>(items: &'i [I], written: impl Fn(&'i I) -> &'i [u8], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(written(item));
    }
    out.push(b']');
}

/// Appends a dialogue.
fn dialogue(
    first: &[Message<'_, Quoted<'_>>],
    then: &[Message<'_, Quoted<'_>>],
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let mut before = b'[';
    for message in first.iter().chain(then) {
        out.push(before);
        out.extend_from_slice(b"{\"role\":\"");
        out.extend_from_slice(message.role.name().as_bytes());
        out.extend_from_slice(b"\",\"content\":");
        out.extend_from_slice(text(message)?.with_quotes());
        out.push(b'}');
        before = b',';
    }
    if before == b'[' {
        out.push(b'[');
    }
    out.push(b']');
    Ok(())
}

/// The text of a message that has nothing else.
fn text<'b>(message: &Message<'b, Quoted<'b>>) -> Result<Quoted<'b>, Unfit> {
    match (&message.content, &message.extras) {
        (Content::Text(text), None) => Ok(*text),
        (_, None) => Err(Unfit("a content that is no text")),
        (_, Some(_)) => Err(Unfit("what a message has besides role and content")),
    }
}
