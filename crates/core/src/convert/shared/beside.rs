//! What stands in a row beside its messages: the system's words, tools, media, arguments of chat templates.

use std::borrow::Cow;

use super::{is_blank, not_json};
use crate::{
    row::{RawRow, Reason, Reject, Value},
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

/// Makes a conversation of messages and what stands beside them.
pub(in crate::convert) fn conversation<'a>(
    row: &'a RawRow<'_>,
    messages: Vec<Message<'a>>,
) -> Result<Sample<'a>, Reject> {
    let messages = with_system(row, messages)?;
    Ok(Sample { tools: tools(row)?, columns: carried(row)?, ..Sample::conversation(messages) })
}

/// Puts the words of the row's column `system` or `system_prompt` before the messages.
pub(in crate::convert) fn with_system<'a>(
    row: &'a RawRow<'_>,
    mut messages: Vec<Message<'a>>,
) -> Result<Vec<Message<'a>>, Reject> {
    let Some((column, system)) = system(row)? else { return Ok(messages) };
    let has_own = messages.iter().any(|message| matches!(message.role, Role::System | Role::Developer));
    match messages.first() {
        Some(first) if has_own && first.content == Content::Text(Cow::Borrowed(system)) => {}
        _ if has_own => {
            let detail = format!("the row has `{column}`, and its messages have another system message");
            return Err(Reject::new(Reason::Conflict, detail));
        }
        _ => messages.insert(0, Message::new(Role::System, system)),
    }
    Ok(messages)
}

/// Returns the words of the row's system column, and its name.
pub(in crate::convert) fn system<'a>(row: &'a RawRow<'_>) -> Result<Option<(&'static str, &'a str)>, Reject> {
    let mut found: Option<(&'static str, &'a str)> = None;
    for column in ["system", "system_prompt"] {
        let text = row.text_or_empty(column)?;
        if is_blank(text) {
            continue;
        }
        match found {
            Some((first, said)) if said != text => {
                return Err(Reject::new(Reason::Conflict, format!("`{first}` and `{column}` differ")));
            }
            _ => found = Some((column, text)),
        }
    }
    Ok(found)
}

/// Returns the tools that the model may call: a list, or a string that holds one. An empty list is no tools.
pub(in crate::convert) fn tools<'a>(row: &'a RawRow<'_>) -> Result<Option<Json<'a>>, Reject> {
    // OpenAI's first interface called them functions.
    let Some(column) = ["tools", "functions"].into_iter().find(|column| row.has(column)) else { return Ok(None) };
    row.get(column).map_or(Ok(None), |value| tools_of(column, value))
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
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(error) => Err(wrong(format!("is not a list of tools: {}", not_json(text, &error)))),
        Ok(_) => Ok(Json::new(text)),
    }
}

/// Returns the columns of a row that are kept as they are.
pub(in crate::convert) fn carried<'a>(row: &'a RawRow<'_>) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, Reject> {
    let mut columns = Vec::new();
    for (name, _) in &row.fields {
        // In the order of the row.
        if CARRIED.contains(&name.as_ref()) && row.has(name) {
            let value = row.get(name).and_then(Json::of);
            let value = value.ok_or_else(|| Reject::new(Reason::WrongType, format!("`{name}` is not JSON")))?;
            columns.push((Cow::Borrowed(name.as_ref()), value));
        }
    }
    Ok(columns)
}

/// Returns a value that is kept exactly, or what is wrong with it.
pub(super) fn json(text: &str, wrong: impl FnOnce() -> Reject) -> Result<Json<'static>, Reject> {
    Json::new(text).ok_or_else(wrong)
}
