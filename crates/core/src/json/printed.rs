//! Values that JSON has no type for, such as dates and NaN, inside of lists and objects.
//!
//! They are written as an object of one key, a NUL and the type: `{"\u0000date32":"2024-01-01"}`. So nothing takes them for a
//! text, and no object of a source has such a key. What is kept of a row has their text in their place.

use std::borrow::Cow;

use memchr::memmem;

use crate::row::write_string;

/// How such a value begins. A quote inside of a string is escaped, so the bytes stand nowhere else in valid JSON.
const MARK: &str = "{\"\\u0000";

/// Appends a value of the type `kind` that is `text` for people.
pub fn write_printed(kind: &str, text: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    write_string(&format!("\0{kind}"), out);
    out.push(b':');
    write_string(text, out);
    out.push(b'}');
}

/// Returns the type and the text of a value that [`write_printed`] wrote, and of nothing else.
pub(super) fn read_printed(json: &str) -> Option<(String, String)> {
    let (kind, text) = parts(json)?;
    let string = |quoted: &str| serde_json::from_str::<String>(quoted).ok();
    let kind = string(kind)?;
    Some((kind.strip_prefix('\0')?.to_owned(), string(text)?))
}

/// Returns what is wrong with a JSON text that a model is to see: that it holds such a value; `None` if it does not.
pub fn no_type(json: &str) -> Option<String> {
    let start = memmem::find(json.as_bytes(), MARK.as_bytes())?;
    read_printed(&json[start..]).map(|(kind, _)| format!("holds {kind}, which JSON has no type for"))
}

/// Returns a JSON text with the texts of such values in their places.
pub fn plain(json: &str) -> Cow<'_, str> {
    let (mut out, mut at) = (String::new(), 0);
    for start in memmem::find_iter(json.as_bytes(), MARK.as_bytes()) {
        let Some((kind, text)) = parts(&json[start..]) else { continue };
        out.push_str(&json[at..start]);
        out.push_str(text);
        // Its brackets and its colon.
        at = start + kind.len() + text.len() + 3;
    }
    if at == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(&json[at..]);
    Cow::Owned(out)
}

/// Returns the strings of type and text, with their quotes, of a value at the beginning of a JSON text.
fn parts(json: &str) -> Option<(&str, &str)> {
    let inside = json.starts_with(MARK).then(|| &json[1..])?;
    let (kind, rest) = inside.split_at(string_end(inside)?);
    let rest = rest.strip_prefix(':')?;
    let (text, rest) = rest.split_at(string_end(rest)?);
    rest.starts_with('}').then_some((kind, text))
}

/// One past the closing quote of the string that a text begins with.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.filter(|_| text.starts_with('"')).map(|end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_values_are_read_back_and_made_plain() {
        for (kind, text) in [("date32", "2024-01-01"), ("binary", "ff"), ("a \"kind\"", "a \\ \"text\" \u{0} }")] {
            let mut json = Vec::new();
            write_printed(kind, text, &mut json);
            let json = String::from_utf8(json).unwrap();
            assert_eq!(read_printed(&json), Some((kind.to_owned(), text.to_owned())));
            let whole = format!("[1,{json},{{\"a\":{json}}}]");
            assert!(no_type(&whole).unwrap().contains(kind));
            let plain: serde_json::Value = serde_json::from_str(&plain(&whole)).unwrap();
            assert_eq!(plain, serde_json::json!([1, text, { "a": text }]));
        }
    }

    #[test]
    fn objects_of_sources_stay_what_they_are() {
        for json in [
            r#"{"$date":"2024-01-01"}"#,
            r#"{"\u0001a":"b"}"#,
            r#"{"\u0000a":1}"#,
            r#"{"\u0000a":"b","c":"d"}"#,
            r#"["{\"\\u0000a\":\"b\"}"]"#,
        ] {
            assert_eq!((plain(json), read_printed(json)), (Cow::Borrowed(json), None), "{json}");
        }
    }
}
