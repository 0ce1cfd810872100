//! Contents that are lists of parts.

mod blocks;

use serde_json::value::RawValue;

pub(super) use self::blocks::Blocks;
use super::chat::{Place, kind_of};
use crate::{
    json,
    row::{RawRow, Reject, Value},
    sample::{Content, Json},
};

/// A content, and the blocks of it that have a place of their own in a dialogue.
pub(super) struct Parted<'a> {
    pub(super) content: Content<'a>,
    pub(super) blocks: Option<Box<Blocks>>,
}

impl<'a> From<Content<'a>> for Parted<'a> {
    fn from(content: Content<'a>) -> Self {
        Self { content, blocks: None }
    }
}

/// Reads a list of parts.
///
/// Parts that are nothing but text are one text, put together as chat templates do: without anything between them. Parts of
/// which one is an image, a video, a sound or a file are kept exactly; what they refer to is never read. Reasoning, calls and
/// results that stand among the parts, as Anthropic writes them, come apart ([`Blocks`]).
pub(super) fn content<'a>(raw: &'a RawValue, key: &str, place: &Place<'_>) -> Result<Parted<'a>, Reject> {
    let is_no_list = |_| place.wrong(key, "is not a list of parts");
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(is_no_list)?;
    let (mut text, mut is_text, mut blocks) = (String::new(), true, None::<Box<Blocks>>);
    let mut rest: Vec<&RawValue> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let at = format!("{key}[{at}]");
        if !item.get().starts_with('{') {
            return Err(place.wrong(at, format_args!("is not a part but {}", kind_of(item.get()))));
        }
        let part =
            json::row(item.get()).map_err(|reject| place.wrong(&at, format_args!("is no part: {}", reject.detail)))?;
        if let Some(kind) = blocks::kind(&part) {
            let is_first = rest.is_empty();
            blocks.get_or_insert_default().add(kind, &part, is_first, &at, place)?;
            continue;
        }
        if blocks.as_ref().is_some_and(|blocks| !blocks.calls.is_empty()) {
            return Err(place.wrong(at, "stands behind a call, where a message has no place for it"));
        }
        rest.push(item);
        match plain_text(&part) {
            Some(plain) => text.push_str(plain),
            None => {
                is_text = false;
                if let Some(kind) = unknown_kind(&part) {
                    return Err(
                        place.wrong(at, format_args!("is a part of the unknown type `{}`", kind.escape_debug()))
                    );
                }
            }
        }
    }
    if rest.is_empty() && blocks.as_ref().is_some_and(|blocks| !(blocks.calls.is_empty() && blocks.results.is_empty()))
    {
        return Ok(Parted { content: Content::Absent, blocks });
    }
    if is_text {
        return Ok(Parted { content: Content::Text(text.into()), blocks });
    }
    if let Some(what) = json::no_type(raw.get()) {
        return Err(place.wrong(key, what));
    }
    let is_no_json = || place.wrong(key, "is not JSON");
    let content = match &blocks {
        None => Json::new(raw.get()),
        Some(_) => {
            let parts: Vec<&str> = rest.iter().map(|part| part.get()).collect();
            Json::new(&format!("[{}]", parts.join(",")))
        }
    };
    Ok(Parted { content: content.map(Content::Parts).ok_or_else(is_no_json)?, blocks })
}

/// Returns the text of a part that has nothing else.
fn plain_text<'p>(part: &'p RawRow<'_>) -> Option<&'p str> {
    let mut text = None;
    for (key, value) in part.fields.iter().filter(|(_, value)| *value != Value::Null) {
        match (&**key, value) {
            ("type", Value::String(kind)) if is_text(kind) => {}
            ("text" | "value", Value::String(said)) if text.is_none() => text = Some(&**said),
            _ => return None,
        }
    }
    text
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "text" | "input_text" | "output_text")
}

/// Returns the type of a part that trainers do not know as media.
fn unknown_kind<'p>(part: &'p RawRow<'_>) -> Option<&'p str> {
    const MEDIA: [&str; 4] = ["image", "video", "audio", "file"];
    match part.peek("type") {
        Some(Value::String(kind)) => {
            let is_media = |word: &&str| kind.strip_prefix("input_").unwrap_or(kind).starts_with(*word);
            (!is_text(kind) && !MEDIA.iter().any(is_media)).then_some(kind)
        }
        // Without a type, what a part is follows from its keys.
        _ => part
            .fields
            .iter()
            .map(|(key, _)| &**key)
            .find(|key| !MEDIA.iter().any(|word| key.starts_with(word)) && *key != "text"),
    }
}
