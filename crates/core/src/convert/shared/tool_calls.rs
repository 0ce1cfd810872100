//! Calls of tools in their usual spellings.
//!
//! `{"id":…,"type":"function","function":{"name":…,"arguments":…}}` is OpenAI's; `{"name":…,"arguments":…}` stands in
//! ShareGPT's turns, in OpenAI's first interface (`function_call`) and in many collections. Arguments stay what they are: a
//! string, or the object itself.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    chat::{Place, kind_of, string},
    not_json,
};
use crate::{
    json,
    row::{Reject, Value},
    sample::{Arguments, Json, ToolCall},
};

/// Reads the calls of a message: a list, one call, or a string that holds either.
pub(super) fn list<'a>(raw: &'a RawValue, key: &str, place: &Place<'_>) -> Result<Vec<ToolCall<'a>>, Reject> {
    match raw.get().as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&'a RawValue> =
                serde_json::from_str(raw.get()).map_err(|error| place.wrong(key, not_json(raw.get(), &error)))?;
            let calls = items.into_iter().enumerate();
            let read = |(at, item): (usize, &'a RawValue)| {
                let key = format!("{key}[{at}]");
                match string(item) {
                    // A call that was written down as a text.
                    Some(text) => Ok(owned(call(&text, &key, place)?)),
                    None => call(item.get(), &key, place),
                }
            };
            calls.map(read).collect()
        }
        Some(b'{') => Ok(vec![call(raw.get(), key, place)?]),
        Some(b'"') => match of_turn(raw, key, place)? {
            (None, calls) => Ok(calls),
            (Some(_), _) => Err(place.wrong(key, "is no call: a text stands before it")),
        },
        _ => Err(place.wrong(key, format_args!("is not a list of calls but {}", kind_of(raw.get())))),
    }
}

/// The marks around calls that follow a text, as LLaMA-Factory writes them.
const MARKS: (&str, &str) = ("<tool_call>", "</tool_call>");

/// Reads a turn of calls, nearly always a string that holds them as JSON. Returns the text before them, if there is one.
pub(super) fn of_turn<'a>(
    raw: &'a RawValue,
    key: &str,
    place: &Place<'_>,
) -> Result<(Option<String>, Vec<ToolCall<'a>>), Reject> {
    let Some(text) = string(raw) else { return Ok((None, list(raw, key, place)?)) };
    let marked = text.strip_suffix(MARKS.1).and_then(|text| text.split_once(MARKS.0));
    let (before, calls) = marked.map_or((None, &*text), |(before, calls)| (Some(before.to_owned()), calls));
    let inner: &RawValue = serde_json::from_str(calls)
        .map_err(|error| place.wrong(key, format_args!("is no call: {}", not_json(calls, &error))))?;
    match inner.get().as_bytes().first() {
        Some(b'[' | b'{') => {
            let calls = list(inner, key, place)?;
            if calls.is_empty() {
                return Err(place.wrong(key, "calls nothing"));
            }
            let before = before.filter(|text| !text.is_empty());
            Ok((before, calls.into_iter().map(owned).collect()))
        }
        _ => Err(place.wrong(key, format_args!("is no call but {}", kind_of(inner.get())))),
    }
}

pub(super) fn call<'a>(json: &'a str, key: &str, place: &Place<'_>) -> Result<ToolCall<'a>, Reject> {
    let fields = json::row(json).map_err(|reject| place.wrong(key, format_args!("is no call: {}", reject.detail)))?;
    let (mut id, mut kind, mut function, mut name, mut arguments) = (None, None, None, None, None);
    let mut other = Vec::new();
    for (field, value) in fields.fields.into_iter().filter(|(_, value)| *value != Value::Null) {
        match &*field {
            "id" => id = Some(text(value, "id", key, place)?),
            "type" => kind = Some(text(value, "type", key, place)?),
            "function" => function = Some(value),
            "name" => name = Some(value),
            "arguments" => arguments = Some(value),
            _ => other.push((field, exact(&value, key, place)?)),
        }
    }
    match function {
        None => {}
        Some(Value::String(function)) if name.is_none() => name = Some(Value::String(function)),
        Some(function) => {
            // What stands beside the function is a key like any other.
            for (field, value) in [("name", name.take()), ("arguments", arguments.take())] {
                if let Some(value) = value {
                    other.push((field.into(), exact(&value, key, place)?));
                }
            }
            let Value::Json(Cow::Borrowed(function)) = function else {
                return Err(place.wrong(format_args!("{key}.function"), "is not an object"));
            };
            let function = json::row(function);
            let function = function.map_err(|_| place.wrong(format_args!("{key}.function"), "is not an object"))?;
            for (field, value) in function.fields.into_iter().filter(|(_, value)| *value != Value::Null) {
                match &*field {
                    "name" => name = Some(value),
                    "arguments" => arguments = Some(value),
                    field => {
                        let field = format_args!("{key}.function.{}", field.escape_debug());
                        return Err(place.wrong(field, "has no place in a call"));
                    }
                }
            }
        }
    }
    let Some(name) = name else { return Err(place.wrong(key, "names no tool")) };
    let arguments = match arguments {
        None => None,
        Some(Value::String(text)) => Some(Arguments::Text(text)),
        Some(value) => Some(Arguments::Json(exact(&value, key, place)?)),
    };
    Ok(ToolCall { id, kind, name: text(name, "name", key, place)?, arguments, other })
}

fn text<'a>(value: Value<'a>, field: &str, key: &str, place: &Place<'_>) -> Result<Cow<'a, str>, Reject> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(place.wrong(format_args!("{key}.{field}"), "is not a string")),
    }
}

/// Returns a value of a call, all of which is read: nothing in it may be what JSON has no type for.
fn exact(value: &Value<'_>, key: &str, place: &Place<'_>) -> Result<Json<'static>, Reject> {
    let wrong = match value {
        Value::Printed { kind, .. } => Some(format!("holds {kind}, which JSON has no type for")),
        Value::Json(json) => json::no_type(json),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(place.wrong(key, wrong));
    }
    Json::of(value).ok_or_else(|| place.wrong(key, "is not JSON"))
}

pub(super) fn owned(call: ToolCall<'_>) -> ToolCall<'static> {
    let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    ToolCall {
        id: call.id.map(text),
        kind: call.kind.map(text),
        name: text(call.name),
        arguments: call.arguments.map(|arguments| match arguments {
            Arguments::Text(arguments) => Arguments::Text(text(arguments)),
            Arguments::Json(json) => Arguments::Json(json.into_owned()),
        }),
        other: call.other.into_iter().map(|(key, value)| (text(key), value.into_owned())).collect(),
    }
}
