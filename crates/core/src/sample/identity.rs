//! What makes a sample the sample it is: order, deduplicated rows and the side of the split depend on nothing else.
//!
//! The identity text of a sample is a JSON object that is still open. Its hash is the row hash, which decides the order:
//!
//! | kind | identity text |
//! |---|---|
//! | conversation | `{"conversations":[…],"text":"…"`, the text being the contents joined by newlines |
//! | preference | `{"chosen":[…],"rejected":[…]`, each dialogue from its first turn; `,"ranked":[[…],…]` with those behind the second |
//! | prompt | `{"conversations":[…]` |
//! | text | `{"text":"…"` |
//! | labelled | `{"conversations":[…]`, with the label behind it |
//! | stepwise | `{"prompt":[…],"completions":["…",…],"labels":[…]` |
//!
//! A message is `{"role":"…","content":"…"}`. Whatever else there is follows in the order of the fields, if it is there:
//! behind the content of a message its extras, behind the body `tools`, `answer`, `label`, `margin` and the columns by their
//! names. The answer counts for prompts alone: the messages of a conversation hold the answer already.
//!
//! These are the beginnings of the rows of [`crate::shape::native`], the first that datac wrote, so their order stays.

use std::borrow::Cow;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    Arguments, Body, Content, Json, Message, MessageExtras, Quoted, Role, SampleView, ToolCall, fold, parts_text,
};
use crate::row::write_string as escape;

/// Returns the hash of the identity text of a sample; `scratch` is room to be used again.
pub(super) fn row_hash(sample: &SampleView<'_>, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    write_identity(sample, scratch);
    xxh3_64(scratch)
}

/// Returns the hash of the identity text of a sample, each string of it [folded](fold).
pub fn folded_row_hash(sample: &SampleView<'_>) -> u64 {
    let (mut identity, mut folded) = (Vec::new(), Vec::new());
    write_identity(sample, &mut identity);
    let mut rest = identity.as_slice();
    while let Some(start) = memchr::memchr(b'"', rest) {
        folded.extend_from_slice(&rest[..start]);
        let length = string_length(&rest[start..]);
        let text = Quoted::new(&rest[start..start + length]).and_then(Quoted::unescape);
        folded.push(b'"');
        match text {
            Some(text) => fold(&text, &mut folded),
            None => folded.extend_from_slice(&rest[start..start + length]),
        }
        folded.push(b'"');
        rest = &rest[start + length..];
    }
    folded.extend_from_slice(rest);
    xxh3_64(&folded)
}

/// Returns the length of the JSON string that `text` begins with.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Appends the identity text of a sample.
pub fn write_identity(sample: &SampleView<'_>, out: &mut Vec<u8>) {
    let answer = matches!(sample.body, Body::Prompt { .. }).then_some(sample.answer).flatten();
    match &sample.body {
        Body::Conversation { messages } => {
            out.extend_from_slice(b"{\"conversations\":");
            write_messages(messages, &[], out);
            out.extend_from_slice(b",\"text\":\"");
            write_text(messages, out);
            out.push(b'"');
        }
        Body::Preference { prompt, ranked } => {
            for (name, turns) in [&b"{\"chosen\":"[..], b",\"rejected\":"].into_iter().zip(ranked) {
                out.extend_from_slice(name);
                write_messages(prompt, turns, out);
            }
            for (at, turns) in ranked.iter().skip(2).enumerate() {
                out.extend_from_slice(if at == 0 { b",\"ranked\":[" } else { b"," });
                write_messages(prompt, turns, out);
            }
            if ranked.len() > 2 {
                out.push(b']');
            }
        }
        Body::Stepwise { prompt, steps } => {
            out.extend_from_slice(b"{\"prompt\":");
            write_messages(prompt, &[], out);
            out.extend_from_slice(b",\"completions\":");
            write_list(steps, |step| step.text.with_quotes(), out);
            out.extend_from_slice(b",\"labels\":");
            write_list(steps, |step| step.label.as_str().as_bytes(), out);
        }
        Body::Prompt { messages } | Body::Labelled { messages } => {
            out.extend_from_slice(b"{\"conversations\":");
            write_messages(messages, &[], out);
        }
        Body::Text { text } => {
            out.extend_from_slice(b"{\"text\":");
            out.extend_from_slice(text.with_quotes());
        }
    }
    write_json("tools", sample.tools.as_ref(), out);
    write_string("answer", answer, out);
    write_boolean("label", sample.label, out);
    write_json("margin", sample.margin.as_ref(), out);
    write_other(&sample.columns, out);
}

/// Appends the contents of messages joined by newlines, as a JSON string without its quotes.
fn write_text(messages: &[Message<'_, Quoted<'_>>], out: &mut Vec<u8>) {
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\\n");
        }
        match &message.content {
            Content::Text(text) => out.extend_from_slice(text.inner()),
            Content::Parts(parts) => {
                let mut text = Vec::new();
                escape(&parts_text(parts), &mut text);
                out.extend_from_slice(&text[1..text.len() - 1]);
            }
            Content::Null | Content::Absent => {}
        }
    }
}

/// Appends a JSON list of what `written` says of each item.
fn write_list<'i, I>(items: &'i [I], written: impl Fn(&'i I) -> &'i [u8], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(written(item));
    }
    out.push(b']');
}

fn write_messages(first: &[Message<'_, Quoted<'_>>], then: &[Message<'_, Quoted<'_>>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, message) in first.iter().chain(then).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let head: &[u8] = match message.role {
            Role::System => b"{\"role\":\"system\"",
            Role::User => b"{\"role\":\"user\"",
            Role::Assistant => b"{\"role\":\"assistant\"",
            Role::Developer => b"{\"role\":\"developer\"",
            Role::Tool => b"{\"role\":\"tool\"",
        };
        out.extend_from_slice(head);
        let content: &[u8] = match &message.content {
            Content::Text(text) => text.with_quotes(),
            Content::Parts(json) => json.as_str().as_bytes(),
            Content::Null => b"null",
            Content::Absent => b"",
        };
        if !content.is_empty() {
            out.extend_from_slice(b",\"content\":");
            out.extend_from_slice(content);
        }
        if let Some(extras) = &message.extras {
            write_extras(extras, out);
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn write_extras(extras: &MessageExtras<'_, Quoted<'_>>, out: &mut Vec<u8>) {
    write_string("reasoning_content", extras.reasoning, out);
    if let Some(calls) = &extras.tool_calls {
        out.extend_from_slice(b",\"tool_calls\":[");
        for (at, call) in calls.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b",{" } else { b"{" });
            write_call(call, out);
        }
        out.push(b']');
    }
    write_string("tool_call_id", extras.tool_call_id, out);
    write_string("name", extras.name, out);
    write_json("weight", extras.weight.as_ref(), out);
    write_boolean("train", extras.train, out);
    write_other(&extras.other, out);
}

/// Appends a call behind its opening brace.
fn write_call(call: &ToolCall<'_, Quoted<'_>>, out: &mut Vec<u8>) {
    let start = out.len();
    write_string("id", call.id, out);
    write_string("type", call.kind, out);
    out.extend_from_slice(b",\"function\":{\"name\":");
    out.extend_from_slice(call.name.with_quotes());
    match &call.arguments {
        Some(Arguments::Text(text)) => write_string("arguments", Some(*text), out),
        Some(Arguments::Json(json)) => write_json("arguments", Some(json), out),
        None => {}
    }
    out.push(b'}');
    write_other(&call.other, out);
    out.push(b'}');
    // Each key begins with a comma, and so does the first.
    out.remove(start);
}

fn write_other(other: &[(Quoted<'_>, Json<'_>)], out: &mut Vec<u8>) {
    for (key, value) in other {
        out.push(b',');
        write_key(key, value, out);
    }
}

fn write_key(key: &Quoted<'_>, value: &Json<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(key.with_quotes());
    out.push(b':');
    out.extend_from_slice(value.as_str().as_bytes());
}

fn write_named(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

fn write_string(name: &str, text: Option<Quoted<'_>>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        write_named(name, text.with_quotes(), out);
    }
}

fn write_json(name: &str, json: Option<&Json<'_>>, out: &mut Vec<u8>) {
    if let Some(json) = json {
        write_named(name, json.as_str().as_bytes(), out);
    }
}

fn write_boolean(name: &str, value: Option<bool>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        write_named(name, if value { b"true" } else { b"false" }, out);
    }
}

/// See [`super::Sample::prompt_hash`].
pub(super) fn prompt_hash(body: &Body<'_, Cow<'_, str>>) -> u64 {
    match body {
        Body::Text { text } => xxh3_64(text.as_bytes()),
        body => messages_hash(prompt(body), |text, hasher| hasher.update(text.as_bytes())),
    }
}

/// See [`super::Sample::folded_hash`].
pub(super) fn folded_hash(body: &Body<'_, Cow<'_, str>>, scratch: &mut Vec<u8>) -> u64 {
    let mut folded = |text: &str, hasher: &mut Xxh3| {
        scratch.clear();
        fold(text, scratch);
        hasher.update(scratch);
    };
    match body {
        Body::Text { text } => {
            let mut hasher = Xxh3::new();
            folded(text, &mut hasher);
            hasher.digest()
        }
        body => messages_hash(prompt(body), folded),
    }
}

/// Returns the messages before the answer.
fn prompt<'b, 't>(body: &'b Body<'t, Cow<'t, str>>) -> &'b [Message<'t, Cow<'t, str>>] {
    match body {
        Body::Conversation { messages } | Body::Labelled { messages } => {
            let end = messages.iter().position(|message| message.role == Role::Assistant).unwrap_or(messages.len());
            &messages[..end]
        }
        Body::Preference { prompt, .. } | Body::Stepwise { prompt, .. } => prompt,
        Body::Prompt { messages } => messages,
        Body::Text { .. } => &[],
    }
}

/// Hashes the roles and contents of messages; `update` takes a text in.
fn messages_hash(messages: &[Message<'_, Cow<'_, str>>], mut update: impl FnMut(&str, &mut Xxh3)) -> u64 {
    let mut hasher = Xxh3::new();
    for message in messages {
        let number = Role::ALL.iter().position(|role| *role == message.role).expect("`ALL` has every role");
        hasher.update(&[number as u8]);
        match &message.content {
            Content::Text(text) => update(text, &mut hasher),
            Content::Parts(json) => hasher.update(json.as_str().as_bytes()),
            Content::Null | Content::Absent => {}
        }
        hasher.update(&[0]);
    }
    hasher.digest()
}
