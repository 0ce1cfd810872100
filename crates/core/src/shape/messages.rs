//! Conversations in one column `messages`, as OpenAI's fine-tuning and most trainers of chat models read them.

use super::{
    Shape, Unfit, WrittenRow,
    read::{self, Fields},
};
use crate::sample::{
    Arguments, Body, Content, Json, Message, MessageExtras, Quoted, Sample, SampleKind, SampleView, ToolCall,
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

    fn write(&self, sample: &SampleView<'_>, source: Quoted<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let Body::Conversation { messages } = &sample.body else { return Err(Unfit("anything but conversations")) };
        if sample.label.is_some() || sample.margin.is_some() {
            return Err(Unfit("a label or a margin"));
        }
        let mut object = Object::begin(out);
        object.list("messages", messages, message);
        object.json("tools", sample.tools.as_ref());
        object.string("answer", sample.answer);
        for (name, value) in &sample.columns {
            if matches!(name.inner(), b"messages" | b"tools" | b"answer" | b"source") {
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

/// A JSON object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    before: u8,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        Self { out, before: b'{' }
    }

    fn end(self) {
        if self.before == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    fn key(&mut self, key: &[u8]) {
        self.out.push(std::mem::replace(&mut self.before, b','));
        self.out.push(b'"');
        self.out.extend_from_slice(key);
        self.out.extend_from_slice(b"\":");
    }

    fn named(&mut self, key: &str, value: &[u8]) {
        self.key(key.as_bytes());
        self.out.extend_from_slice(value);
    }

    fn string(&mut self, key: &str, text: Option<Quoted<'_>>) {
        text.iter().for_each(|text| self.named(key, text.with_quotes()));
    }

    fn json(&mut self, key: &str, json: Option<&Json<'_>>) {
        json.iter().for_each(|json| self.named(key, json.as_str().as_bytes()));
    }

    fn boolean(&mut self, key: &str, value: Option<bool>) {
        value.iter().for_each(|value| self.named(key, if *value { b"true" } else { b"false" }));
    }

    fn other(&mut self, key: &Quoted<'_>, value: &Json<'_>) {
        self.key(key.inner());
        self.out.extend_from_slice(value.as_str().as_bytes());
    }

    fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
        self.named(key, b"[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write(item, self.out);
        }
        self.out.push(b']');
    }
}
