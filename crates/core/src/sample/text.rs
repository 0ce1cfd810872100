//! JSON text inside samples: strings as they are written, and values kept exactly.

use std::borrow::Cow;

use crate::{
    json,
    row::{LONE_SURROGATE, Value, write_string},
};

/// A JSON string as it is written, with its quotes and in [our own spelling](write_string): to write it is to copy it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<'b>(&'b [u8]);

impl<'b> Quoted<'b> {
    /// Takes bytes that [`write_string`] wrote; `None` if they have no quotes.
    pub fn new(bytes: &'b [u8]) -> Option<Self> {
        (bytes.len() >= 2 && bytes.first() == Some(&b'"') && bytes.last() == Some(&b'"')).then_some(Self(bytes))
    }

    /// The string with its quotes.
    pub fn with_quotes(self) -> &'b [u8] {
        self.0
    }

    /// The string without its quotes.
    ///
    /// Characters are escaped one by one, so the escape of several strings put together is their escapes put together.
    pub fn inner(self) -> &'b [u8] {
        &self.0[1..self.0.len() - 1]
    }

    /// Returns the text; `None` if it is not what [`write_string`] wrote.
    pub fn unescape(self) -> Option<Cow<'b, str>> {
        if memchr::memchr(b'\\', self.0).is_none() {
            return std::str::from_utf8(self.inner()).ok().map(Cow::Borrowed);
        }
        serde_json::from_slice::<String>(self.0).ok().map(Cow::Owned)
    }
}

/// A JSON value on one line, without blanks between its parts, strings in [our own spelling](write_string); order of
/// keys and spelling of numbers as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// Takes a value as a source has it; `None` if it is no JSON. What JSON has no type for is kept as its text.
    pub fn new(text: &str) -> Option<Json<'static>> {
        let checked: &serde_json::value::RawValue = serde_json::from_str(text).ok()?;
        Some(Json(Cow::Owned(compact(&json::plain(checked.get())))))
    }

    /// Takes a value of a source row; `None` if it is no JSON.
    pub fn of(value: &Value<'_>) -> Option<Json<'static>> {
        Some(Json(match value {
            Value::Null => Cow::Borrowed("null"),
            Value::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Value::Number(text) | Value::Json(text) => return Json::new(text),
            // What is printed of it is its JSON, which such a string keeps.
            Value::Printed { kind, text } if kind == LONE_SURROGATE => return Json::new(&format!("\"{text}\"")),
            Value::String(text) | Value::Printed { text, .. } => {
                let mut quoted = Vec::with_capacity(text.len() + 2);
                write_string(text, &mut quoted);
                Cow::Owned(String::from_utf8(quoted).expect("a string is written as UTF-8"))
            }
        }))
    }

    /// Takes the value out of what it was borrowed from.
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }

    /// Takes a value that is stored, and so was made by [`Json::new`].
    pub(super) fn stored(bytes: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(|text| Self(Cow::Borrowed(text)))
    }

    /// The value as JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the text of a content of parts: that of its parts that have one, with nothing between them.
pub(super) fn parts_text(parts: &Json<'_>) -> String {
    #[derive(serde::Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow)]
        value: Option<&'a serde_json::value::RawValue>,
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(parts.as_str()).unwrap_or_default();
    let texts = parts.iter().filter_map(|part| part.text.or(part.value));
    texts.filter_map(|text| serde_json::from_str::<String>(text.get()).ok()).collect()
}

/// Takes the blanks out of valid JSON and spells its strings as [`write_string`] does.
fn compact(json: &str) -> String {
    let bytes = json.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at);
                match serde_json::from_str::<Cow<'_, str>>(&json[at..end]) {
                    Ok(text) => write_string(&text, &mut out),
                    // A lone surrogate is no text: such a string keeps its spelling.
                    Err(_) => {
                        let kept = json[at..end].replace('\u{85}', "\\u0085");
                        let kept = kept.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
                        out.extend_from_slice(kept.as_bytes());
                    }
                }
                at = end;
            }
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).expect("strings of JSON are cut at their quotes")
}

/// One past the closing quote of the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}
