//! Reads a JSON object as a row, keeping values exactly, and writes it back.

mod loose;
mod object;
mod printed;

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use loose::is_value;
pub use printed::{no_type, plain, write_printed};

use crate::row::{self, RawRow, Reason, Reject, Value};

/// Parses a row, which must be a JSON object. Every value is kept as the source wrote it.
pub fn row(text: &str) -> Result<RawRow<'_>, Reject> {
    let fields = match object::read(text) {
        Some(fields) => fields,
        None => match read(text) {
            Ok(fields) => fields,
            Err(error) => loose::read(text).ok_or_else(|| Reject::new(Reason::InvalidJson, words(&error)))?,
        },
    };
    match repeated(&fields) {
        Some(name) => Err(Reject::new(Reason::DuplicateKey, format!("`{name}` occurs twice"))),
        None => Ok(RawRow::new(fields)),
    }
}

/// Parses an object with serde_json alone.
pub fn read(text: &str) -> serde_json::Result<Vec<Field<'_>>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields)?;
    deserializer.end()?;
    fields.into_iter().map(|(name, raw)| Ok((name, value(raw.get())?))).collect()
}

/// Name and value of a field.
pub type Field<'a> = (Cow<'a, str>, Value<'a>);

fn repeated<'f>(fields: &'f [Field<'_>]) -> Option<&'f str> {
    const FEW: usize = 16;
    let mut names = fields.iter().map(|(name, _)| name.as_ref());
    if fields.len() <= FEW {
        return names.enumerate().find(|(i, name)| fields[..*i].iter().any(|(other, _)| other == name)).map(|(_, n)| n);
    }
    // A row within the size limit can have millions of names, too many to compare all pairs.
    let mut seen = HashSet::with_capacity(fields.len());
    names.find(|name| !seen.insert(*name))
}

/// Reads any JSON value; `None` if `text` is not one.
pub fn any(text: &str) -> Option<Value<'_>> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    value(raw.get()).ok()
}

/// Parses the JSON of one value, keeping it as the source wrote it.
pub fn value(raw: &str) -> serde_json::Result<Value<'_>> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => {
            let inner = &raw[1..raw.len() - 1];
            if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
                Value::String(Cow::Borrowed(inner))
            } else {
                Value::String(Cow::Owned(serde_json::from_str(raw)?))
            }
        }
        Some(b'{' | b'[') => composite(raw),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(Cow::Borrowed(raw)),
    })
}

/// Returns the value of a list or an object.
fn composite(raw: &str) -> Value<'_> {
    match printed::read_printed(raw) {
        Some((kind, text)) => Value::Printed { kind: kind.into(), text: text.into() },
        None => Value::Json(Cow::Borrowed(raw)),
    }
}

/// Puts an error of serde_json in words. A row is one line, so only the column matters of its place.
pub fn words(error: &serde_json::Error) -> String {
    let said = error.to_string().replace(" at line 1 column ", " at character ");
    let surrogate = "half of a surrogate pair, which is no character,";
    ["unexpected end of hex escape", "lone leading surrogate in hex escape"]
        .into_iter()
        .fold(said, |said, of_serde| said.replace(of_serde, surrogate))
}

/// Returns the JSON of a key's value in an object; `None` if the text is no object, or has no such key.
pub fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    members(object)?.into_iter().find(|(name, _)| name == key).map(|(_, raw)| raw.get())
}

/// Returns the keys of an object with the JSON of their values, in order; `None` if the text is no object.
pub fn members(object: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::Deserializer::from_str(object).deserialize_map(Fields).ok()
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some(Name(name)) = map.next_key()? {
            fields.push((name, map.next_value()?));
        }
        Ok(fields)
    }
}

/// A key, borrowed unless it has escapes. (`Cow` alone would always be owned.)
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Writes a row as one JSON object; what JSON has no type for is a text.
pub fn write_row(row: &RawRow<'_>) -> String {
    let mut out = Vec::new();
    write_row_to(row, &mut out);
    String::from_utf8(out).expect("every part written is UTF-8")
}

/// Writes a row as [`write_row`] does, behind what is there.
pub fn write_row_to(row: &RawRow<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in row.fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        row::write_string(name, out);
        out.push(b':');
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Number(text) => out.extend_from_slice(text.as_bytes()),
            Value::Json(text) => out.extend_from_slice(plain(text).as_bytes()),
            Value::String(text) | Value::Printed { text, .. } => row::write_string(text, out),
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_as_written() {
        let text = r#"{"a":"2024-01-01","b":007e,"c":1}"#;
        assert_eq!(row(text).unwrap_err().reason, Reason::InvalidJson);
        let text =
            r#"{"z":"007","big":9007199254740993,"one":1.0,"nested":{"k":[1,  2]},"t":true,"n":null,"e":"a\nb\u2028"}"#;
        let parsed = row(text).unwrap();
        assert_eq!(parsed.get("z"), Some(&Value::String("007".into())));
        assert_eq!(parsed.get("big"), Some(&Value::Number("9007199254740993".into())));
        assert_eq!(parsed.get("one"), Some(&Value::Number("1.0".into())));
        assert_eq!(parsed.get("nested"), Some(&Value::Json(r#"{"k":[1,  2]}"#.into())));
        assert_eq!(parsed.get("e"), Some(&Value::String("a\nb\u{2028}".into())));
        assert_eq!(parsed.fields[0].0, "z", "key order is the source's");
    }

    #[test]
    fn broken_rows_are_rejects() {
        for (text, reason) in [
            ("{\"a\":1,\"a\":2}", Reason::DuplicateKey),
            ("{\"a\":NaN,}", Reason::InvalidJson),
            ("{\"\\ud800\":1}", Reason::InvalidJson),
            ("[1]", Reason::InvalidJson),
            ("{\"a\":1} x", Reason::InvalidJson),
            ("{\"a\":", Reason::InvalidJson),
            ("{\"a\":\"\u{1}\"}", Reason::InvalidJson),
        ] {
            assert_eq!(row(text).unwrap_err().reason, reason, "{text}");
        }
        let surrogate = row("{\"\\ud800\":1}").unwrap_err().detail;
        assert_eq!(surrogate, "half of a surrogate pair, which is no character, at character 9");
    }
}
