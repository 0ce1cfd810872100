//! Parses a JSON object in one pass over its bytes, or leaves it to serde_json.
//!
//! Most rows are an object of strings on one line. Parsing them exactly with serde_json takes three passes: to find
//! each value, to look for escapes, and to resolve them. What this parser accepts, it parses as serde_json does,
//! which tests check; anything invalid or unusual it does not accept.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::row::Value;

/// Returns the fields of an object; `None` if serde_json must parse it.
pub(super) fn read(text: &str) -> Option<Vec<(Cow<'_, str>, Value<'_>)>> {
    // Strings must not contain control characters. Checking for them once, without a branch, costs almost nothing;
    // without them, a string ends at a quote and white space is only spaces.
    if text.bytes().fold(false, |any, byte| any | (byte < b' ')) {
        return None;
    }
    let mut reader = Reader { text, at: 0 };
    let mut fields = Vec::with_capacity(8);
    reader.expect(b'{')?;
    loop {
        reader.expect(b'"')?;
        let name = reader.string()?;
        reader.expect(b':')?;
        fields.push((name, reader.value()?));
        match reader.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    reader.peek().is_none().then_some(fields)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Returns the next byte that is not white space, without consuming it.
    fn peek(&mut self) -> Option<u8> {
        while self.text.as_bytes().get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn value(&mut self) -> Option<Value<'a>> {
        Some(match self.peek()? {
            b'"' => {
                self.at += 1;
                Value::String(self.string()?)
            }
            b't' => self.literal("true", Value::Bool(true))?,
            b'f' => self.literal("false", Value::Bool(false))?,
            b'n' => self.literal("null", Value::Null)?,
            first => {
                let rest = &self.text[self.at..];
                let raw: &RawValue = serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()?;
                self.at += raw.get().len();
                if matches!(first, b'{' | b'[') { super::composite(raw.get()) } else { Value::Number(raw.get().into()) }
            }
        })
    }

    fn literal(&mut self, text: &str, value: Value<'a>) -> Option<Value<'a>> {
        let is = self.text[self.at..].starts_with(text);
        self.at += text.len();
        is.then_some(value)
    }

    /// Returns the position of the next quote or backslash.
    fn stop(&self) -> Option<usize> {
        memchr::memchr2(b'"', b'\\', &self.text.as_bytes()[self.at..]).map(|length| self.at + length)
    }

    /// Parses a string after its opening quote.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let stop = self.stop()?;
        self.at = stop + 1;
        if self.text.as_bytes()[stop] == b'"' {
            return Some(Cow::Borrowed(&self.text[start..stop]));
        }
        // This is nearly always the end of the string, so the text is allocated once.
        let length = memchr::memchr(b'"', &self.text.as_bytes()[stop..])? + stop - start;
        let mut text = String::with_capacity(length);
        text.push_str(&self.text[start..stop]);
        loop {
            text.push(self.escape()?);
            let start = self.at;
            let stop = self.stop()?;
            text.push_str(&self.text[start..stop]);
            self.at = stop + 1;
            if self.text.as_bytes()[stop] == b'"' {
                return Some(Cow::Owned(text));
            }
        }
    }

    /// Parses an escape after its backslash.
    fn escape(&mut self) -> Option<char> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(match byte {
            b'n' => '\n',
            b'"' | b'\\' | b'/' => char::from(byte),
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let mut units = [self.unit()?, 0];
                let is_pair = (0xD800..0xDC00).contains(&units[0]);
                if is_pair {
                    self.text[self.at..].starts_with("\\u").then_some(())?;
                    self.at += 2;
                    units[1] = self.unit()?;
                }
                let units = &units[..1 + usize::from(is_pair)];
                char::decode_utf16(units.iter().copied()).next()?.ok()?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        // `from_str_radix` would accept a sign.
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    }
}
