//! Contents that are lists of parts.

use serde_json::value::RawValue;

use super::chat::{Place, kind_of};
use crate::{
    json,
    row::{RawRow, Reject, Value},
    sample::{Content, Json},
};

/// Reads a list of parts.
///
/// Parts that are nothing but text are one text, put together as chat templates do: without anything between them. Parts of
/// which one is an image, a video, a sound or a file are kept exactly; what they refer to is never read.
pub(super) fn content<'a>(raw: &'a RawValue, key: &str, place: &Place<'_>) -> Result<Content<'a>, Reject> {
    let is_no_list = |_| place.wrong(key, "is not a list of parts");
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(is_no_list)?;
    let (mut text, mut is_text) = (String::new(), true);
    for (at, item) in items.iter().enumerate() {
        let at = format_args!("{key}[{at}]");
        if !item.get().starts_with('{') {
            return Err(place.wrong(at, format_args!("is not a part but {}", kind_of(item.get()))));
        }
        let part =
            json::row(item.get()).map_err(|reject| place.wrong(at, format_args!("is no part: {}", reject.detail)))?;
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
    if is_text {
        return Ok(Content::Text(text.into()));
    }
    if let Some(what) = json::no_type(raw.get()) {
        return Err(place.wrong(key, what));
    }
    Json::new(raw.get()).map(Content::Parts).ok_or_else(|| place.wrong(key, "is not JSON"))
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
