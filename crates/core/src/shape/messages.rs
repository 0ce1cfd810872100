//! Conversations in one column `messages`, as OpenAI's fine-tuning and most trainers of chat models read them.

use super::{
    Shape, Unfit, WrittenRow,
    facts::{Column, Facts, Type},
    read::{self, Fields},
    write::Object,
};
use crate::sample::{
    Arguments, Body, Content, Features, Message, MessageExtras, Quoted, Sample, SampleKind, SampleView, ToolCall,
};

/// Writes `{"messages":[{"role":"…","content":"…"},…],"source":"…"}`, with all that a message has and the tools of the row.
#[derive(Debug)]
pub struct Messages;

impl Shape for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation]
    }

    fn columns(&self, _: SampleKind, facts: &Facts) -> Vec<Column> {
        let messages = facts.messages();
        let own = [
            (true, "messages", messages),
            (facts.some.has(Features::TOOLS_KEY), "tools", Type::Json),
            (facts.some.has(Features::ANSWER), "answer", Type::Text),
        ];
        facts.with_kept(&[], own)
    }

    fn write(&self, sample: &SampleView<'_>, source: Quoted<'_>, _: &Facts, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let Body::Conversation { messages } = &sample.body else { return Err(Unfit("anything but conversations")) };
        if sample.label.is_some() || sample.margin.is_some() {
            return Err(Unfit("a label or a margin"));
        }
        let mut object = Object::begin(out);
        object.list("messages", messages, message);
        object.json("tools", sample.tools.as_ref());
        object.string("answer", sample.answer);
        for (name, value) in &sample.columns {
            let is_own = |own: &[u8]| name.inner() == own;
            if [&b"messages"[..], b"tools", b"source"].into_iter().any(is_own)
                || (sample.answer.is_some() && is_own(b"answer"))
            {
                return Err(Unfit("a column of the same name as its own"));
            }
            object.other(name, value);
        }
        object.string("source", Some(source));
        object.end();
        Ok(())
    }

    fn read(&self, row: &str) -> Option<WrittenRow> {
        let mut fields = Fields::of(row)?;
        let messages = read::messages(&fields.take("messages")?)?;
        let answer = fields.text("answer");
        let WrittenRow { sample, source } = fields.row(Body::Conversation { messages })?;
        Some(WrittenRow { sample: Sample { answer, ..sample }, source })
    }
}

fn message(message: &Message<'_, Quoted<'_>>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.named("role", &[b"\"", message.role.name().as_bytes(), b"\""].concat());
    match &message.content {
        Content::Text(text) => object.string("content", Some(*text)),
        Content::Parts(parts) => object.json("content", Some(parts)),
        Content::Null => object.named("content", b"null"),
        Content::Absent => {}
    }
    if let Some(extras) = &message.extras {
        let MessageExtras { reasoning, tool_calls, tool_call_id, name, weight, train, other } = &**extras;
        object.string("reasoning_content", *reasoning);
        if let Some(calls) = tool_calls {
            object.list("tool_calls", calls, call);
        }
        object.string("tool_call_id", *tool_call_id);
        object.string("name", *name);
        object.json("weight", weight.as_ref());
        object.boolean("train", *train);
        other.iter().for_each(|(key, value)| object.other(key, value));
    }
    object.end();
}

fn call(call: &ToolCall<'_, Quoted<'_>>, out: &mut Vec<u8>) {
    let ToolCall { id, kind, name, arguments, other } = call;
    let mut object = Object::begin(out);
    object.string("id", *id);
    object.string("type", *kind);
    let mut function = Vec::new();
    let mut inner = Object::begin(&mut function);
    inner.string("name", Some(*name));
    match arguments {
        Some(Arguments::Text(text)) => inner.string("arguments", Some(*text)),
        Some(Arguments::Json(json)) => inner.json("arguments", Some(json)),
        None => {}
    }
    inner.end();
    object.named("function", &function);
    other.iter().for_each(|(key, value)| object.other(key, value));
    object.end();
}
