//! What stands in a row beside its messages: the system's words, tools, media, arguments of chat templates.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

use super::{is_blank, keep::keep, not_json};
use crate::{
    json as json_text,
    row::{RawRow, Reason, Reject, Value, is_called},
    sample::{Content, Json, Message, Role, Sample},
};

/// Columns that go with a dialogue and are kept as they are: what media its markers and parts stand for, and what chat
/// templates are given.
const CARRIED: &[&str] = &[
    "images",
    "image",
    "videos",
    "video",
    "audios",
    "audio",
    "objects",
    "documents",
    "chat_template_kwargs",
    "parallel_tool_calls",
];

/// What the column with the words of the system is called.
pub(in crate::convert) const SYSTEM: &[&str] =
    &["system", "system_prompt", "system_message", "sys_prompt", "system_instruction", "system_instructions", "sys"];
/// What the column with the tools is called; OpenAI's first interface called them functions.
pub(in crate::convert) const TOOLS: &[&str] =
    &["tools", "functions", "tool_defs", "tool_definitions", "available_tools"];

/// Returns the words of the system that stand in columns of these names, with the name of the first; two that differ are
/// refused. A list of texts is one text, as in requests to the interfaces of Anthropic and Amazon.
pub(in crate::convert) fn system<'a>(
    row: &'a RawRow<'_>,
    names: &[&str],
) -> Result<Option<(&'a str, Cow<'a, str>)>, Reject> {
    let mut found: Option<(&'a str, Cow<'a, str>)> = None;
    for (column, value) in &row.fields {
        if !names.iter().any(|name| is_called(column, name)) || *value == Value::Null {
            continue;
        }
        row.get(column);
        let text = match value {
            Value::String(text) => Cow::Borrowed(&**text),
            Value::Json(list) => Cow::Owned(texts_of(list).ok_or_else(|| value.not_text(column))?),
            _ => return Err(value.not_text(column)),
        };
        match &found {
            _ if is_blank(&text) => {}
            Some((first, said)) if *said != text => {
                return Err(Reject::new(Reason::Conflict, format!("`{first}` and `{column}` differ")));
            }
            Some(_) => {}
            None => found = Some((column, text)),
        }
    }
    Ok(found)
}

/// Returns the texts of a list of parts that are nothing but text, put together.
fn texts_of(list: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        text: String,
        #[serde(rename = "type")]
        kind: Option<String>,
        // Says where a prompt may be cut for a cache.
        #[serde(rename = "cache_control")]
        _cache_control: Option<IgnoredAny>,
    }
    let parts: Vec<Part> = serde_json::from_str(list).ok()?;
    let are_texts = parts.iter().all(|part| part.kind.as_deref().is_none_or(|kind| kind == "text"));
    are_texts.then(|| parts.into_iter().map(|part| part.text).collect())
}

/// Puts the words of the system that stand beside a list of messages before it: returns both. The list may say the same, but
/// nothing else. `words` is the name of the column and what it says, `list` is called `name`.
pub(super) fn with_system<'a>(
    words: Option<(&str, Cow<'a, str>)>,
    mut list: Vec<Message<'a>>,
    name: &str,
) -> Result<(Vec<Message<'a>>, Vec<Message<'a>>), Reject> {
    let own = list.iter().find(|message| is_system(message));
    let mut system = Vec::new();
    match (words, own) {
        (Some((column, words)), Some(own)) if own.content != Content::Text(words.clone()) => {
            let detail = format!("the row has `{column}`, and `{name}` has another system message");
            return Err(Reject::new(Reason::Conflict, detail));
        }
        (Some((_, words)), None) => system.push(Message::new(Role::System, words)),
        _ => {}
    }
    if system.is_empty() {
        let leading = list.iter().take_while(|message| is_system(message)).count();
        let rest = list.split_off(leading);
        return Ok((list, rest));
    }
    Ok((system, list))
}

pub(super) fn is_system(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// Returns the tools of a value: a list, or a string that holds one.
pub(in crate::convert) fn tools_of(column: &str, value: &Value<'_>) -> Result<Option<Json<'static>>, Reject> {
    if value.is_nothing() {
        return Ok(None);
    }
    let wrong = |what: String| Reject::new(Reason::WrongType, format!("`{column}` {what}"));
    let text: &str = match value {
        Value::Json(text) | Value::String(text) => text.trim(),
        _ => return Err(wrong("is not a list of tools".to_owned())),
    };
    if !text.starts_with('[') {
        return Err(wrong("is not a list of tools".to_owned()));
    }
    if let Some(what) = json_text::no_type(text) {
        return Err(wrong(what));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => Err(wrong(format!("is not a list of tools: {}", not_json(text, &error)))),
        Ok(_) => Ok(Json::new(text)),
    }
}

/// Adds the columns of a row that go with a dialogue, by the names that trainers know and as far as no column of these stands
/// there already.
pub(super) fn carry<'a>(row: &'a RawRow<'_>, sample: &mut Sample<'a>) -> Result<(), Reject> {
    let known = sample.columns.len();
    // In the order of the row.
    for (column, value) in row.fields.iter().filter(|(_, value)| !value.is_nothing()) {
        let Some(name) = CARRIED.iter().find(|name| is_called(column, name)) else { continue };
        if keep(sample, known, Cow::Borrowed(name), value)? {
            row.get(column);
        }
    }
    Ok(())
}

/// Returns a value that is kept exactly, or what is wrong with it.
pub(super) fn json(text: &str, wrong: impl FnOnce() -> Reject) -> Result<Json<'static>, Reject> {
    Json::new(text).ok_or_else(wrong)
}
