//! Parts of a content that are more than content: reasoning, calls of tools and their results, as Anthropic's interface, tinker and
//! LLaMA-Factory write them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    super::{chat::Place, not_json, tool_calls},
    content,
};
use crate::{
    json,
    row::{RawRow, Reject, Value},
    sample::{Content, Json, Message, MessageExtras, Role, ToolCall},
};

/// What the parts of one content say besides it.
#[derive(Default)]
pub(in crate::convert::shared) struct Blocks {
    reasoning: Option<String>,
    pub(super) calls: Vec<ToolCall<'static>>,
    /// Messages of the role `tool`.
    pub(in crate::convert::shared) results: Vec<Message<'static>>,
    /// Keys of the reasoning that have no place of their own.
    other: Vec<(Cow<'static, str>, Json<'static>)>,
}

/// What a part is that has a place of its own.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Reasoning,
    Call,
    Result,
}

/// Returns what a part is, if it has a place of its own.
pub(super) fn kind(part: &RawRow<'_>) -> Option<Kind> {
    let Some(Value::String(kind)) = part.peek("type") else { return None };
    match &**kind {
        "thinking" | "reasoning" => Some(Kind::Reasoning),
        "tool_use" | "tool_call" => Some(Kind::Call),
        "tool_result" => Some(Kind::Result),
        _ => None,
    }
}

impl Blocks {
    /// Adds a part, of which `at` says where it stands, and `is_first` that nothing is said before it.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        part: &RawRow<'_>,
        is_first: bool,
        at: &str,
        place: &Place<'_>,
    ) -> Result<(), Reject> {
        match kind {
            Kind::Reasoning if !is_first || self.reasoning.is_some() || !self.calls.is_empty() => {
                Err(place.wrong(at, "is reasoning behind other parts, where a message has no place for it"))
            }
            Kind::Reasoning => self.reasoning(part, at, place),
            Kind::Call => self.call(part, at, place),
            Kind::Result if !is_first => {
                Err(place.wrong(at, "is the result of a tool behind other parts, where a dialogue has no place for it"))
            }
            Kind::Result => self.result(part, at, place),
        }
    }

    fn reasoning(&mut self, part: &RawRow<'_>, at: &str, place: &Place<'_>) -> Result<(), Reject> {
        for (key, value) in there(part) {
            match (key, value) {
                ("thinking" | "reasoning" | "text" | "value", Value::String(text)) if self.reasoning.is_none() => {
                    self.reasoning = Some(text.clone().into_owned());
                }
                // What proves to Anthropic's interface that the text is its own says nothing to a model.
                ("signature", _) => {}
                _ => self.other.push((key.to_owned().into(), exact(value, key, at, place)?)),
            }
        }
        if self.reasoning.is_some() { Ok(()) } else { Err(place.wrong(at, "is reasoning without a text")) }
    }

    /// A call: Anthropic's, whose arguments are an object under another name, or LLaMA-Factory's, which is a text of JSON.
    fn call(&mut self, part: &RawRow<'_>, at: &str, place: &Place<'_>) -> Result<(), Reject> {
        if let Some(Value::String(text)) = part.peek("value")
            && there(part).count() == 1
        {
            let is_none = |error| place.wrong(at, format_args!("is no call: {}", not_json(text, &error)));
            let raw: &RawValue = serde_json::from_str(text).map_err(is_none)?;
            let calls = tool_calls::list(raw, at, place)?;
            self.calls.extend(calls.into_iter().map(tool_calls::owned));
            return Ok(());
        }
        let mut call = String::from("{\"type\":\"function\"");
        for (key, value) in there(part) {
            let key = if key == "input" { "arguments" } else { key };
            let name = serde_json::to_string(key).map_err(|_| place.wrong(at, "is not JSON"))?;
            call.extend([",", &name, ":", exact(value, key, at, place)?.as_str()]);
        }
        call.push('}');
        self.calls.push(tool_calls::owned(tool_calls::call(&call, at, place)?));
        Ok(())
    }

    fn result(&mut self, part: &RawRow<'_>, at: &str, place: &Place<'_>) -> Result<(), Reject> {
        let mut message = Message::new(Role::Tool, "");
        let extras = message.extras.get_or_insert_with(Box::default);
        for (key, value) in there(part) {
            match (key, value) {
                ("tool_use_id", Value::String(id)) => extras.tool_call_id = Some(id.clone().into_owned().into()),
                ("content", Value::String(text)) => message.content = Content::Text(text.clone().into_owned().into()),
                ("content", Value::Json(list)) if list.starts_with('[') => {
                    let raw = serde_json::from_str(list).map_err(|_| place.wrong(at, "is not JSON"))?;
                    let within = content(raw, &format!("{at}.content"), place)?;
                    if within.blocks.is_some() {
                        return Err(place.wrong(at, "holds a part that has no place in a result"));
                    }
                    message.content =
                        Message { role: Role::Tool, content: within.content, extras: None }.into_owned().content;
                }
                _ => extras.other.push((key.to_owned().into(), exact(value, key, at, place)?)),
            }
        }
        self.results.push(message);
        Ok(())
    }

    /// Puts the reasoning and the calls into the keys of the message, and returns the results.
    pub(in crate::convert::shared) fn put<'a>(
        self,
        role: Role,
        key: &str,
        extras: &mut MessageExtras<'a>,
        place: &Place<'_>,
    ) -> Result<Vec<Message<'a>>, Reject> {
        let Self { reasoning, calls, results, other } = self;
        let is_answer = reasoning.is_some() || !calls.is_empty();
        if is_answer && role != Role::Assistant {
            return Err(place.wrong(
                key,
                format_args!("has calls or reasoning, and is not the assistant's but of the role `{}`", role.name()),
            ));
        }
        if !results.is_empty() && (is_answer || !matches!(role, Role::User | Role::Tool)) {
            return Err(place.wrong(key, "has results of tools among the words of the assistant"));
        }
        if let Some(reasoning) = reasoning {
            if extras.reasoning.as_ref().is_some_and(|own| *own != reasoning) {
                return Err(place.conflict(["reasoning_content", key]));
            }
            extras.reasoning = Some(reasoning.into());
        }
        if !calls.is_empty() && extras.tool_calls.replace(calls).is_some() {
            return Err(place.conflict(["tool_calls", key]));
        }
        extras.other.extend(other);
        Ok(results)
    }
}

/// The keys of a part that say something, but its type.
fn there<'p>(part: &'p RawRow<'_>) -> impl Iterator<Item = (&'p str, &'p Value<'p>)> {
    let fields = part.fields.iter().filter(|(key, value)| key != "type" && *value != Value::Null);
    fields.map(|(key, value)| (&**key, value))
}

fn exact(value: &Value<'_>, key: &str, at: &str, place: &Place<'_>) -> Result<Json<'static>, Reject> {
    let wrong = match value {
        Value::Json(text) => json::no_type(text),
        Value::Printed { kind, .. } => Some(format!("holds {kind}, which JSON has no type for")),
        _ => None,
    };
    match wrong {
        Some(wrong) => Err(place.wrong(format_args!("{at}.{}", key.escape_debug()), wrong)),
        None => Json::of(value).ok_or_else(|| place.wrong(at, "is not JSON")),
    }
}
