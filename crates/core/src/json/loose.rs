//! Reads objects that are not JSON for the sake of single values: `NaN` and the infinities, which Python's `json.dumps` writes, and
//! strings with half of a surrogate pair, which no text can hold.
//!
//! Only who uses such a value misses it: the value is [`Value::Printed`], which converters that need text refuse, and the rest of
//! the row is read as ever.

use std::{borrow::Cow, ops::Range};

use serde::Deserializer as _;
use serde_json::{Deserializer, value::RawValue};

use super::{Field, Fields, printed::write_printed, value};
use crate::row::{LONE_SURROGATE, NO_NUMBER, Value};

/// The words for floats that are no numbers.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Returns the fields of an object that has such values; `None` if it has none, or is wrong for another reason as well.
pub(super) fn read(text: &str) -> Option<Vec<Field<'_>>> {
    let (masked, places) = mask(text)?;
    let mut deserializer = Deserializer::from_str(&masked);
    let fields = deserializer.deserialize_map(Fields).ok()?;
    deserializer.end().ok()?;
    let mut read = Vec::with_capacity(fields.len());
    let mut rest = &places[..];
    for (name, raw) in fields {
        let start = raw.get().as_ptr() as usize - masked.as_ptr() as usize;
        let span = start..start + raw.get().len();
        // A place before the value is in its name, and a name cannot be read without all of its characters.
        if rest.first().is_some_and(|place| place.start < span.start) {
            return None;
        }
        let inside = rest.iter().take_while(|place| place.start < span.end).count();
        let (places, behind) = rest.split_at(inside);
        rest = behind;
        read.push((Cow::Owned(name.into_owned()), loose_value(text, span, places)?));
    }
    Some(read)
}

/// Returns whether a text is one JSON value, or would be without the values that this module reads.
pub fn is_value(text: &str) -> bool {
    let is_json = |text: &str| serde_json::from_str::<&RawValue>(text).is_ok();
    is_json(text) || mask(text).is_some_and(|(masked, _)| is_json(&masked))
}

fn loose_value<'a>(text: &'a str, span: Range<usize>, places: &[Range<usize>]) -> Option<Value<'a>> {
    let raw = &text[span.clone()];
    if places.is_empty() {
        return value(raw).ok();
    }
    if places[0] == span {
        return Some(Value::Printed { kind: NO_NUMBER.into(), text: raw.into() });
    }
    if raw.starts_with('"') {
        return Some(Value::Printed { kind: LONE_SURROGATE.into(), text: raw[1..raw.len() - 1].into() });
    }
    // Within a list or an object, as such floats of columnar files are written. Strings keep their spelling.
    let (mut json, mut at) = (Vec::with_capacity(raw.len() + 64), span.start);
    for place in places.iter().filter(|place| !text[place.start..].starts_with('\\')) {
        json.extend_from_slice(&text.as_bytes()[at..place.start]);
        write_printed(NO_NUMBER, &text[place.clone()], &mut json);
        at = place.end;
    }
    json.extend_from_slice(&text.as_bytes()[at..span.end]);
    String::from_utf8(json).ok().map(|json| Value::Json(json.into()))
}

/// Returns a text of the same length that has valid values in these places, with the places; `None` if there is none.
fn mask(text: &str) -> Option<(String, Vec<Range<usize>>)> {
    let bytes = text.as_bytes();
    let mut places = Vec::new();
    let (mut at, mut in_string) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                let unit = |at: usize| {
                    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
                    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
                    u16::from_str_radix(digits, 16).ok()
                };
                match (unit(at), unit(at + 6)) {
                    (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 11,
                    (Some(0xD800..=0xDFFF), _) => {
                        places.push(at..at + 6);
                        at += 5;
                    }
                    _ => at += 1,
                }
            }
            b'N' | b'I' | b'-' if !in_string => {
                let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| b" \t\r\n,:[]}".contains(byte));
                let is_alone = |end: usize| is_end(at.checked_sub(1).map(|at| &bytes[at])) && is_end(bytes.get(end));
                let found = NO_NUMBERS.iter().find(|word| text[at..].starts_with(**word));
                if let Some(word) = found.filter(|word| is_alone(at + word.len())) {
                    places.push(at..at + word.len());
                    at += word.len() - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if places.is_empty() {
        return None;
    }
    let mut masked = bytes.to_vec();
    for place in &places {
        let masked = &mut masked[place.clone()];
        match masked[0] {
            b'\\' => masked.copy_from_slice(b"\\u0030"),
            // A number as long as the word, so that places stay what they were.
            first => {
                masked.fill(b'1');
                masked[0] = if first == b'-' { first } else { b'1' };
            }
        }
    }
    // Whole characters were replaced by as many bytes of ASCII.
    Some((String::from_utf8(masked).ok()?, places))
}

#[cfg(test)]
mod tests {
    use super::{super::row, *};

    fn fields(text: &str) -> Vec<(String, String)> {
        let row = row(text).unwrap();
        row.fields.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
    }

    #[test]
    fn what_json_lacks_is_printed() {
        let read = fields(r#"{"a": "NaN, \"x", "b" : NaN, "c":-Infinity,"d": [1, NaN , Infinity],"e":1.50}"#);
        assert_eq!(read[0].1, "String(\"NaN, \\\"x\")");
        assert_eq!(read[1].1, format!("Printed {{ kind: {NO_NUMBER:?}, text: \"NaN\" }}"));
        assert_eq!(read[2].1, format!("Printed {{ kind: {NO_NUMBER:?}, text: \"-Infinity\" }}"));
        let nested = format!(r#"[1, {{"\u0000{NO_NUMBER}":"NaN"}} , {{"\u0000{NO_NUMBER}":"Infinity"}}]"#);
        assert_eq!(read[3].1, format!("Json({nested:?})"));
        assert_eq!(read[4].1, "Number(\"1.50\")");
    }

    #[test]
    fn lone_surrogates_are_printed_and_pairs_are_read() {
        let read = fields(r#"{"a":"x \ud83d y","b":"\ud83d\ude00","c":"\\ud83d","d":"\ude00\ud83d"}"#);
        assert_eq!(read[0].1, format!("Printed {{ kind: {LONE_SURROGATE:?}, text: \"x \\\\ud83d y\" }}"));
        assert_eq!(read[1].1, "String(\"😀\")");
        assert_eq!(read[2].1, "String(\"\\\\ud83d\")");
        assert!(read[3].1.starts_with("Printed"), "{}", read[3].1);
    }

    #[test]
    fn anything_else_that_is_wrong_stays_wrong() {
        for text in [
            r#"{"a":NaN,}"#,
            r#"{"a":NaNs}"#,
            r#"{"a":-NaN}"#,
            r#"{"a":nan}"#,
            r#"{"a":Infinit}"#,
            r#"{NaN:1}"#,
            r#"{"\ud83d":1}"#,
            r#"{"a":NaN} x"#,
            r#"[NaN]"#,
            r#"{"a":"\ud83"}"#,
            "{\"a\":NaN,\"b\":\"\u{1}\"}",
            "",
        ] {
            assert!(row(text).is_err(), "{text}");
        }
        assert!(row(r#"{"a":NaN,"a":1}"#).unwrap_err().detail.contains("occurs twice"));
        assert!(is_value("{\n\"a\": NaN}") && is_value("[1]") && !is_value("{\"a\": nan}"));
    }
}
