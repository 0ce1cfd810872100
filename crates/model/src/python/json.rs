//! JSON in as `json.loads` reads it, and out as `json.dumps` writes it.

use std::fmt::{self, Write as _};

use minijinja3::{
    Error, ErrorKind,
    value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs},
};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::{
    text::{MAX_DEPTH, float_repr},
    value::{LongInteger, as_float, is_long_integer, is_none},
};

/// Reads a JSON text. `1` is an integer of any size, `1.0` and `1e3` are floats; of a key that stands twice the last value
/// counts, at the place of the first.
pub(crate) fn read(text: &str) -> Result<Value, serde_json::Error> {
    read_at(text, 0)
}

/// The pairs of a JSON object in order, their values unread.
struct Pairs<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Pairs<'t> {
    fn deserialize<D: de::Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'t> de::Visitor<'t> for Visitor {
            type Value = Pairs<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'t>>(self, mut map: A) -> Result<Pairs<'t>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

// One level at a time: numbers must be seen as they are written, since serde_json makes 2**70 a float.
fn read_at(text: &str, depth: usize) -> Result<Value, serde_json::Error> {
    if depth > MAX_DEPTH {
        return Err(de::Error::custom(format!("nested more than {MAX_DEPTH} levels deep")));
    }
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Pairs(pairs) = serde_json::from_str(text)?;
            let pairs = pairs.into_iter().map(|(key, value)| Ok((key, read_at(value.get(), depth + 1)?)));
            Value::from_pairs(pairs.collect::<Result<Vec<_>, serde_json::Error>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.into_iter().map(|item| read_at(item.get(), depth + 1));
            Value::from(items.collect::<Result<Vec<_>, _>>()?)
        }
        Some(b'"') => Value::from(serde_json::from_str::<String>(text)?),
        Some(b't' | b'f') => Value::from(serde_json::from_str::<bool>(text)?),
        Some(b'n') => serde_json::from_str::<()>(text).map(|()| Value::from(()))?,
        _ => read_number(serde_json::from_str::<&RawValue>(text)?.get()),
    })
}

/// Reads a number that is valid JSON.
fn read_number(digits: &str) -> Value {
    if digits.contains(['.', 'e', 'E']) {
        // Overflow makes an infinity, as in Python.
        return Value::from(digits.parse::<f64>().unwrap_or(f64::NAN));
    }
    if let Ok(number) = digits.parse::<i64>() {
        Value::from(number)
    } else if let Ok(number) = digits.parse::<i128>() {
        Value::from(number)
    } else {
        Value::from_object(LongInteger(digits.to_owned()))
    }
}

/// The filter `tojson` as transformers replaces it: `json.dumps` with `ensure_ascii=False, indent=None, separators=None,
/// sort_keys=False`, all of which may also be given by place, in this order.
pub(crate) fn tojson(value: Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut placed = arguments.into_values();
    let named = match placed.last() {
        Some(last) if last.is_kwargs() => Kwargs::try_from(placed.pop().unwrap_or_default())?,
        _ => std::iter::empty::<(String, Value)>().collect(),
    };
    let argument = |place: usize, name: &str| match placed.get(place) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let given = |value: Option<Value>| value.filter(|value| !is_none(value) && !value.is_undefined());
    let ascii = argument(0, "ensure_ascii")?.is_some_and(|value| value.is_true());
    let indent = match given(argument(1, "indent")?) {
        None => None,
        Some(indent) => Some(match indent.as_str() {
            Some(indent) => indent.to_owned(),
            None => " ".repeat(usize::try_from(i64::try_from(indent)?.clamp(0, 1024)).unwrap_or(0)),
        }),
    };
    let between = if indent.is_some() { "," } else { ", " };
    let (item, key) = match given(argument(2, "separators")?) {
        None => (between.to_owned(), ": ".to_owned()),
        Some(both) => (both.get_item_by_index(0)?.to_string(), both.get_item_by_index(1)?.to_string()),
    };
    let sort = argument(3, "sort_keys")?.is_some_and(|value| value.is_true());
    named.assert_all_used()?;
    let mut writer = Writer { out: String::with_capacity(64), ascii, indent, item, key, sort };
    writer.write(&value, 0)?;
    Ok(Value::from(writer.out))
}

struct Writer {
    out: String,
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort: bool,
}

impl Writer {
    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(refused(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        if is_none(value) {
            self.out.push_str("null");
        } else if let Some(number) = as_float(value) {
            self.out.push_str(&number_text(number));
        } else if is_long_integer(value) {
            self.out.push_str(&value.to_string());
        } else {
            match value.kind() {
                ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
                ValueKind::String => self.string(value.as_str().unwrap_or_default()),
                ValueKind::Number => self.out.push_str(&value.to_string()),
                ValueKind::Seq => self.list(value, depth)?,
                ValueKind::Map => self.object(value, depth)?,
                kind => return Err(refused(format!("Object of type {kind} is not JSON serializable"))),
            }
        }
        Ok(())
    }

    fn list(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.out.push('[');
        let mut is_empty = true;
        for item in value.try_iter()? {
            if !is_empty {
                self.out.push_str(&self.item);
            }
            is_empty = false;
            self.new_line(depth + 1);
            self.write(&item, depth + 1)?;
        }
        if !is_empty {
            self.new_line(depth);
        }
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort {
            keys.sort();
        }
        self.out.push('{');
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                self.out.push_str(&self.item);
            }
            self.new_line(depth + 1);
            let name = if is_none(key) {
                "null".to_owned()
            } else if let Some(number) = as_float(key) {
                number_text(number)
            } else {
                match key.kind() {
                    ValueKind::String | ValueKind::Number => key.to_string(),
                    ValueKind::Bool => key.is_true().to_string(),
                    _ => return Err(refused("keys must be str, int, float, bool or None")),
                }
            };
            self.string(&name);
            self.out.push_str(&self.key);
            self.write(&value.get_item(key)?, depth + 1)?;
        }
        if !keys.is_empty() {
            self.new_line(depth);
        }
        self.out.push('}');
        Ok(())
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}").expect("strings take everything");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

fn number_text(number: f64) -> String {
    if number.is_finite() {
        float_repr(number)
    } else if number.is_nan() {
        "NaN".to_owned()
    } else if number > 0.0 {
        "Infinity".to_owned()
    } else {
        "-Infinity".to_owned()
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumps(text: &str) -> String {
        tojson(read(text).expect("it is JSON"), Rest(Vec::new())).expect("it can be written").to_string()
    }

    #[test]
    fn what_is_read_is_written_as_json_dumps_writes_it() {
        // json.dumps(json.loads(text), ensure_ascii=False) of CPython 3.11.
        let pairs = [
            (r#"{"b":1,"a":[true,null,{}],"b":2}"#, r#"{"b": 2, "a": [true, null, {}]}"#),
            ("[1.0,1e3,1E-7,-0,-0.0,1e400]", "[1.0, 1000.0, 1e-07, 0, -0.0, Infinity]"),
            (
                "[9007199254740993,1180591620717411303424,340282366920938463463374607431768211456]",
                "[9007199254740993, 1180591620717411303424, 340282366920938463463374607431768211456]",
            ),
            (r#""<é\u00e9\u2028\u0000\/'&>""#, "\"<éé\u{2028}\\u0000/'&>\""),
            (" [ ] ", "[]"),
        ];
        for (text, written) in pairs {
            assert_eq!(dumps(text), written);
        }
    }

    #[test]
    fn deep_and_bad_texts_are_refused() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for text in [deep.as_str(), "", "{", "nul", "01", "+1", "1 2", "\"\\ud800\"", "{1:2}"] {
            assert!(read(text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
