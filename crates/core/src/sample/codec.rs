//! Samples as canonical bytes: equal samples are equal bytes, and every string lies there ready to be copied into JSON.
//!
//! A blob of samples begins with [`SAMPLES_VERSION`]; samples follow one behind another, and an index says where each ends
//! (`index.rs`). Numbers are little-endian. Of a sample:
//!
//! | part | bytes |
//! |---|---|
//! | sample | kind (1), flags (1: tools, answer, label, margin, columns), body, then each part that a flag announces |
//! | kind | 0 conversation, 1 preference, 2 prompt, 3 text, 4 labelled, 5 stepwise |
//! | body | messages; of a preference the shared ones, the number of dialogues (4), and the messages of each; of a text the string; of a stepwise sample the messages, the number of steps (4), and string and JSON of each |
//! | messages | their number (4), then each |
//! | message | head (1: role in bits 0 to 2, content in bits 3 and 4, extras in bit 5), content unless `null` or absent, extras |
//! | extras | flags (1: reasoning, tool calls, call id, name, weight, train, other keys), then each part |
//! | tool call | flags (1: id, type, arguments, arguments are a string, other keys), name, then each part |
//! | string | length (4), the JSON string with its quotes |
//! | JSON | length (4), the value |
//! | keys | their number (4), then string and JSON of each |
//! | boolean | 1 byte |

use std::{borrow::Cow, ops::Range};

use super::{
    Arguments, Body, Content, Json, Message, MessageExtras, Quoted, Role, SAMPLES_VERSION, Sample, SampleView, Step,
    ToolCall,
};
use crate::row::write_string;

/// Bytes that are no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a sample: its bytes are malformed")]
pub struct BadSample;

/// Begins a blob of samples.
pub fn begin(blob: &mut Vec<u8>) {
    blob.push(SAMPLES_VERSION);
}

/// Appends a sample to a blob.
pub fn append(sample: &Sample<'_>, blob: &mut Vec<u8>) {
    let Sample { body, tools, answer, label, margin, columns } = sample;
    let kind = match body {
        Body::Conversation { .. } => 0,
        Body::Preference { .. } => 1,
        Body::Prompt { .. } => 2,
        Body::Text { .. } => 3,
        Body::Labelled { .. } => 4,
        Body::Stepwise { .. } => 5,
    };
    blob.push(kind);
    blob.push(flags([tools.is_some(), answer.is_some(), label.is_some(), margin.is_some(), !columns.is_empty()]));
    match body {
        Body::Conversation { messages } | Body::Prompt { messages } | Body::Labelled { messages } => {
            put_messages(messages, blob);
        }
        Body::Stepwise { prompt, steps } => {
            put_messages(prompt, blob);
            put_count(steps.len(), blob);
            for Step { text, label } in steps {
                put_text(text, blob);
                put_json(label, blob);
            }
        }
        Body::Preference { prompt, ranked } => {
            put_messages(prompt, blob);
            put_count(ranked.len(), blob);
            ranked.iter().for_each(|messages| put_messages(messages, blob));
        }
        Body::Text { text } => put_text(text, blob),
    }
    tools.iter().for_each(|tools| put_json(tools, blob));
    answer.iter().for_each(|answer| put_text(answer, blob));
    label.iter().for_each(|label| blob.push(u8::from(*label)));
    margin.iter().for_each(|margin| put_json(margin, blob));
    put_keys(columns, blob);
}

/// Reads the sample that stands at `place` of a blob, see [`SampleIndex::range`](super::SampleIndex::range).
pub fn at(blob: &[u8], place: Range<usize>) -> Result<SampleView<'_>, BadSample> {
    let is_known = blob.first() == Some(&SAMPLES_VERSION);
    read(blob.get(place).filter(|_| is_known).ok_or(BadSample)?)
}

/// Reads a sample: all of the bytes.
pub fn read(bytes: &[u8]) -> Result<SampleView<'_>, BadSample> {
    let mut reader = Reader { bytes };
    let sample = reader.sample().ok_or(BadSample)?;
    if reader.bytes.is_empty() { Ok(sample) } else { Err(BadSample) }
}

fn flags<const N: usize>(bits: [bool; N]) -> u8 {
    bits.iter().rev().fold(0, |flags, bit| flags << 1 | u8::from(*bit))
}

fn put_count(count: usize, blob: &mut Vec<u8>) {
    blob.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put_text(text: &str, blob: &mut Vec<u8>) {
    // The length of the escaped string is known only afterwards.
    let start = blob.len() + 4;
    blob.extend_from_slice(&[0; 4]);
    write_string(text, blob);
    let length = (blob.len() - start) as u32;
    blob[start - 4..start].copy_from_slice(&length.to_le_bytes());
}

fn put_json(json: &Json<'_>, blob: &mut Vec<u8>) {
    put_count(json.as_str().len(), blob);
    blob.extend_from_slice(json.as_str().as_bytes());
}

/// Puts nothing where there are no keys: a flag says so.
fn put_keys(keys: &[(Cow<'_, str>, Json<'_>)], blob: &mut Vec<u8>) {
    if !keys.is_empty() {
        put_count(keys.len(), blob);
    }
    for (key, value) in keys {
        put_text(key, blob);
        put_json(value, blob);
    }
}

fn put_messages(messages: &[Message<'_>], blob: &mut Vec<u8>) {
    put_count(messages.len(), blob);
    for Message { role, content, extras } in messages {
        let (form, content) = match content {
            Content::Text(text) => (0, Some(Ok(text))),
            Content::Parts(json) => (1, Some(Err(json))),
            Content::Null => (2, None),
            Content::Absent => (3, None),
        };
        let number = match role {
            Role::System => 0,
            Role::User => 1,
            Role::Assistant => 2,
            Role::Developer => 3,
            Role::Tool => 4,
        };
        blob.push(number | form << 3 | u8::from(extras.is_some()) << 5);
        match content {
            Some(Ok(text)) => put_text(text, blob),
            Some(Err(json)) => put_json(json, blob),
            None => {}
        }
        if let Some(extras) = extras {
            put_extras(extras, blob);
        }
    }
}

fn put_extras(extras: &MessageExtras<'_>, blob: &mut Vec<u8>) {
    let MessageExtras { reasoning, tool_calls, tool_call_id, name, weight, train, other } = extras;
    blob.push(flags([
        reasoning.is_some(),
        tool_calls.is_some(),
        tool_call_id.is_some(),
        name.is_some(),
        weight.is_some(),
        train.is_some(),
        !other.is_empty(),
    ]));
    reasoning.iter().for_each(|reasoning| put_text(reasoning, blob));
    if let Some(calls) = tool_calls {
        put_count(calls.len(), blob);
        calls.iter().for_each(|call| put_call(call, blob));
    }
    tool_call_id.iter().for_each(|id| put_text(id, blob));
    name.iter().for_each(|name| put_text(name, blob));
    weight.iter().for_each(|weight| put_json(weight, blob));
    train.iter().for_each(|train| blob.push(u8::from(*train)));
    put_keys(other, blob);
}

fn put_call(call: &ToolCall<'_>, blob: &mut Vec<u8>) {
    let ToolCall { id, kind, name, arguments, other } = call;
    let is_text = matches!(arguments, Some(Arguments::Text(_)));
    blob.push(flags([id.is_some(), kind.is_some(), arguments.is_some(), is_text, !other.is_empty()]));
    put_text(name, blob);
    id.iter().for_each(|id| put_text(id, blob));
    kind.iter().for_each(|kind| put_text(kind, blob));
    match arguments {
        Some(Arguments::Text(text)) => put_text(text, blob),
        Some(Arguments::Json(json)) => put_json(json, blob),
        None => {}
    }
    put_keys(other, blob);
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    /// The flags of `N` parts; others are not known here.
    fn flags<const N: usize>(&mut self) -> Option<[bool; N]> {
        let flags = self.byte()?;
        (u32::from(flags) < 1 << N).then(|| std::array::from_fn(|bit| flags >> bit & 1 == 1))
    }

    fn boolean(&mut self) -> Option<bool> {
        self.flags::<1>().map(|[value]| value)
    }

    fn count(&mut self) -> Option<usize> {
        let (count, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_le_bytes(*count) as usize)
    }

    fn slice(&mut self) -> Option<&'b [u8]> {
        let length = self.count()?;
        let (slice, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(slice)
    }

    fn text(&mut self) -> Option<Quoted<'b>> {
        self.slice().and_then(Quoted::new)
    }

    fn json(&mut self) -> Option<Json<'b>> {
        self.slice().and_then(Json::stored)
    }

    /// A part that may be missing.
    fn maybe<T>(&mut self, is_there: bool, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if is_there { read(self).map(Some) } else { Some(None) }
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        // Nothing takes less than a byte: a count that is too high takes no memory.
        let mut list = Vec::with_capacity(count.min(self.bytes.len()));
        for _ in 0..count {
            list.push(read(self)?);
        }
        Some(list)
    }

    fn keys(&mut self, are_there: bool) -> Option<Vec<(Quoted<'b>, Json<'b>)>> {
        if are_there { self.list(|reader| Some((reader.text()?, reader.json()?))) } else { Some(Vec::new()) }
    }

    fn sample(&mut self) -> Option<SampleView<'b>> {
        let kind = self.byte()?;
        let [tools, answer, label, margin, columns] = self.flags()?;
        let body = match kind {
            0 => Body::Conversation { messages: self.messages()? },
            1 => Body::Preference { prompt: self.messages()?, ranked: self.list(Self::messages)? },
            2 => Body::Prompt { messages: self.messages()? },
            3 => Body::Text { text: self.text()? },
            4 => Body::Labelled { messages: self.messages()? },
            5 => Body::Stepwise { prompt: self.messages()?, steps: self.list(Self::step)? },
            _ => return None,
        };
        Some(Sample {
            body,
            tools: self.maybe(tools, Self::json)?,
            answer: self.maybe(answer, Self::text)?,
            label: self.maybe(label, Self::boolean)?,
            margin: self.maybe(margin, Self::json)?,
            columns: self.keys(columns)?,
        })
    }

    fn step(&mut self) -> Option<Step<'b, Quoted<'b>>> {
        Some(Step { text: self.text()?, label: self.json()? })
    }

    fn messages(&mut self) -> Option<Vec<Message<'b, Quoted<'b>>>> {
        self.list(Self::message)
    }

    fn message(&mut self) -> Option<Message<'b, Quoted<'b>>> {
        let head = self.byte()?;
        let role = *Role::ALL.get(usize::from(head & 7))?;
        let content = match head >> 3 & 3 {
            0 => Content::Text(self.text()?),
            1 => Content::Parts(self.json()?),
            2 => Content::Null,
            _ => Content::Absent,
        };
        let extras = match head >> 5 {
            0 => None,
            1 => Some(Box::new(self.extras()?)),
            _ => return None,
        };
        Some(Message { role, content, extras })
    }

    fn extras(&mut self) -> Option<MessageExtras<'b, Quoted<'b>>> {
        let [reasoning, tool_calls, tool_call_id, name, weight, train, other] = self.flags()?;
        Some(MessageExtras {
            reasoning: self.maybe(reasoning, Self::text)?,
            tool_calls: self.maybe(tool_calls, |reader| reader.list(Self::call))?,
            tool_call_id: self.maybe(tool_call_id, Self::text)?,
            name: self.maybe(name, Self::text)?,
            weight: self.maybe(weight, Self::json)?,
            train: self.maybe(train, Self::boolean)?,
            other: self.keys(other)?,
        })
    }

    fn call(&mut self) -> Option<ToolCall<'b, Quoted<'b>>> {
        let [id, kind, arguments, is_text, other] = self.flags()?;
        let name = self.text()?;
        let id = self.maybe(id, Self::text)?;
        let kind = self.maybe(kind, Self::text)?;
        let arguments = match (arguments, is_text) {
            (false, false) => None,
            (true, true) => Some(Arguments::Text(self.text()?)),
            (true, false) => Some(Arguments::Json(self.json()?)),
            (false, true) => return None,
        };
        Some(ToolCall { id, kind, name, arguments, other: self.keys(other)? })
    }
}

/// The sample with its strings as text, as a converter makes it.
impl<'b> TryFrom<SampleView<'b>> for Sample<'b> {
    type Error = BadSample;

    fn try_from(view: SampleView<'b>) -> Result<Self, BadSample> {
        unescaped(view).ok_or(BadSample)
    }
}

type Keys<'b, T> = Vec<(T, Json<'b>)>;

fn unescaped(view: SampleView<'_>) -> Option<Sample<'_>> {
    let messages = |messages: Vec<_>| messages.into_iter().map(unescaped_message).collect::<Option<Vec<_>>>();
    let body = match view.body {
        Body::Conversation { messages: of } => Body::Conversation { messages: messages(of)? },
        Body::Prompt { messages: of } => Body::Prompt { messages: messages(of)? },
        Body::Preference { prompt, ranked } => {
            let ranked = ranked.into_iter().map(messages).collect::<Option<_>>()?;
            Body::Preference { prompt: messages(prompt)?, ranked }
        }
        Body::Text { text } => Body::Text { text: text.unescape()? },
        Body::Labelled { messages: of } => Body::Labelled { messages: messages(of)? },
        Body::Stepwise { prompt, steps } => {
            let steps = steps.into_iter().map(|step| Some(Step { text: step.text.unescape()?, label: step.label }));
            Body::Stepwise { prompt: messages(prompt)?, steps: steps.collect::<Option<_>>()? }
        }
    };
    let (tools, answer, columns) = (view.tools, unescaped_text(view.answer)?, unescaped_keys(view.columns)?);
    Some(Sample { body, tools, answer, label: view.label, margin: view.margin, columns })
}

fn unescaped_text(text: Option<Quoted<'_>>) -> Option<Option<Cow<'_, str>>> {
    match text {
        Some(text) => text.unescape().map(Some),
        None => Some(None),
    }
}

fn unescaped_keys<'b>(keys: Keys<'b, Quoted<'b>>) -> Option<Keys<'b, Cow<'b, str>>> {
    keys.into_iter().map(|(key, value)| Some((key.unescape()?, value))).collect()
}

fn unescaped_message<'b>(message: Message<'b, Quoted<'b>>) -> Option<Message<'b>> {
    let content = match message.content {
        Content::Text(text) => Content::Text(text.unescape()?),
        Content::Parts(json) => Content::Parts(json),
        Content::Null => Content::Null,
        Content::Absent => Content::Absent,
    };
    let extras = match message.extras {
        None => None,
        Some(extras) => {
            let calls =
                extras.tool_calls.map(|calls| calls.into_iter().map(unescaped_call).collect::<Option<Vec<_>>>());
            Some(Box::new(MessageExtras {
                reasoning: unescaped_text(extras.reasoning)?,
                tool_calls: match calls {
                    Some(calls) => Some(calls?),
                    None => None,
                },
                tool_call_id: unescaped_text(extras.tool_call_id)?,
                name: unescaped_text(extras.name)?,
                weight: extras.weight,
                train: extras.train,
                other: unescaped_keys(extras.other)?,
            }))
        }
    };
    Some(Message { role: message.role, content, extras })
}

fn unescaped_call<'b>(call: ToolCall<'b, Quoted<'b>>) -> Option<ToolCall<'b>> {
    Some(ToolCall {
        id: unescaped_text(call.id)?,
        kind: unescaped_text(call.kind)?,
        name: call.name.unescape()?,
        arguments: match call.arguments {
            Some(Arguments::Text(text)) => Some(Arguments::Text(text.unescape()?)),
            Some(Arguments::Json(json)) => Some(Arguments::Json(json)),
            None => None,
        },
        other: unescaped_keys(call.other)?,
    })
}
