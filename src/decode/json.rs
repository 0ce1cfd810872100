//! JSON text: cutting it into rows, and reading one row value-exactly.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{chunk::Span, object};
use crate::row::{self, RawRow, Reason, Reject, Value};

/// The lines that hold something; a trailing carriage return is not part of a row.
pub(super) fn line_spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(bytes.len() / 512 + 1);
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).chain((bytes.last() != Some(&b'\n')).then_some(bytes.len()));
    for (line, end) in (0..).zip(ends) {
        let row = bytes[start..end].trim_ascii();
        if !row.is_empty() {
            let start = start + (bytes[start..end].len() - bytes[start..end].trim_ascii_start().len());
            spans.push(Span { start, end: start + row.len(), line });
        }
        start = end + 1;
    }
    spans
}

/// The elements of an array whose brackets were taken off.
pub(super) fn element_spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(bytes.len() / 512 + 1);
    let mut scanner = ElementScanner::default();
    let (mut at, mut line, mut counted) = (0, 0, 0);
    while let Some(start) = bytes[at..].iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b',') {
        let start = at + start;
        let end = scanner.end_of_element(&bytes[start..]).map_or(bytes.len(), |length| start + length);
        line += memchr::memchr_iter(b'\n', &bytes[counted..start]).count() as u32;
        counted = start;
        let end = start + bytes[start..end].trim_ascii_end().len();
        spans.push(Span { start, end, line });
        // A stray bracket is an element of no length; stepping over it keeps a damaged chunk from holding the loop.
        at = end.max(start + 1);
        scanner = ElementScanner::default();
    }
    spans
}

/// Finds where array elements end, across as many blocks as it takes, without looking at anything but structure.
#[derive(Clone, Debug, Default)]
pub(super) struct ElementScanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl ElementScanner {
    /// The length of `block` up to the comma or bracket that ends the element, which is not counted; `None` if the
    /// element goes on beyond the block: call again with what follows.
    pub(super) fn end_of_element(&mut self, block: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < block.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                match memchr::memchr2(b'"', b'\\', &block[at..]) {
                    None => return None,
                    Some(found) => {
                        at += found + 1;
                        if block[at - 1] == b'"' {
                            self.in_string = false;
                        } else {
                            self.escaped = true;
                        }
                    }
                }
                continue;
            }
            match block[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b',' if self.depth == 0 => return Some(at),
                b']' if self.depth == 0 => return Some(at),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Parses one row, which must be a JSON object, keeping each value as the source wrote it.
pub fn row(text: &str) -> Result<RawRow<'_>, Reject> {
    let fields = match object::read(text) {
        Some(fields) => fields,
        None => read(text).map_err(|error| Reject::new(Reason::InvalidJson, shorten(&error.to_string())))?,
    };
    match repeated(&fields) {
        Some(name) => Err(Reject::new(Reason::DuplicateKey, format!("`{name}` occurs twice"))),
        None => Ok(RawRow { fields }),
    }
}

/// Reads an object by serde_json alone.
pub(super) fn read(text: &str) -> serde_json::Result<Vec<Field<'_>>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields)?;
    deserializer.end()?;
    fields.into_iter().map(|(name, raw)| Ok((name, value(raw.get())?))).collect()
}

/// A field's name and value.
pub(super) type Field<'a> = (Cow<'a, str>, Value<'a>);

fn repeated<'f>(fields: &'f [Field<'_>]) -> Option<&'f str> {
    const FEW: usize = 16;
    let mut names = fields.iter().map(|(name, _)| name.as_ref());
    if fields.len() <= FEW {
        return names.enumerate().find(|(i, name)| fields[..*i].iter().any(|(other, _)| other == name)).map(|(_, n)| n);
    }
    // A row within the limit has room for millions of names, too many to compare each with each.
    let mut seen = HashSet::with_capacity(fields.len());
    names.find(|name| !seen.insert(*name))
}

fn value(raw: &str) -> serde_json::Result<Value<'_>> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => {
            let inner = &raw[1..raw.len() - 1];
            if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
                Value::String(Cow::Borrowed(inner))
            } else {
                Value::String(Cow::Owned(serde_json::from_str(raw)?))
            }
        }
        Some(b'{' | b'[') => Value::Json(Cow::Borrowed(raw)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(Cow::Borrowed(raw)),
    })
}

/// serde_json ends its messages with a position within the row; on line 1 that is just the column.
fn shorten(message: &str) -> String {
    message.replace(" at line 1 column ", " at character ")
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

/// Writes a row as one JSON object.
pub(super) fn write_row(row: &RawRow<'_>) -> String {
    let mut out = vec![b'{'];
    for (i, (name, value)) in row.fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        row::write_string(name, &mut out);
        out.push(b':');
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Number(text) | Value::Json(text) => out.extend_from_slice(text.as_bytes()),
            Value::String(text) => row::write_string(text, &mut out),
        }
    }
    out.push(b'}');
    String::from_utf8(out).expect("every part written is UTF-8")
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
            ("{\"a\":NaN}", Reason::InvalidJson),
            ("{\"a\":\"\\ud800\"}", Reason::InvalidJson),
            ("[1]", Reason::InvalidJson),
            ("{\"a\":1} x", Reason::InvalidJson),
            ("{\"a\":", Reason::InvalidJson),
            ("{\"a\":\"\u{1}\"}", Reason::InvalidJson),
        ] {
            assert_eq!(row(text).unwrap_err().reason, reason, "{text}");
        }
    }

    #[test]
    fn lines_are_found_whatever_ends_them() {
        let spans =
            |text: &str| line_spans(text.as_bytes()).iter().map(|s| (s.start, s.end, s.line)).collect::<Vec<_>>();
        assert_eq!(spans("{}\r\n\n {} \n{}"), [(0, 2, 0), (6, 8, 2), (10, 12, 3)]);
        assert_eq!(spans("\n\n"), []);
        assert_eq!(spans(""), []);
    }

    #[test]
    fn elements_are_found_through_strings_and_nesting() {
        let text = " {\"a\":\"},]\\\"\"},\n [1,2] ,3,\n{\"b\":{\"c\":[]}}";
        let found: Vec<_> = element_spans(text.as_bytes()).iter().map(|s| (&text[s.start..s.end], s.line)).collect();
        assert_eq!(found, [("{\"a\":\"},]\\\"\"}", 0), ("[1,2]", 1), ("3", 1), ("{\"b\":{\"c\":[]}}", 2)]);
    }

    #[test]
    fn scanner_goes_on_across_blocks() {
        let text = b"{\"a\":\"x\\\"},\",\"b\":[1,{}]},rest";
        for cut in 1..text.len() {
            let mut scanner = ElementScanner::default();
            let end = match scanner.end_of_element(&text[..cut]) {
                Some(end) => end,
                None => cut + scanner.end_of_element(&text[cut..]).unwrap(),
            };
            assert_eq!(end, 24, "cut at {cut}");
        }
    }
}
