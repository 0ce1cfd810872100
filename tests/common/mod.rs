//! Rows for tests: a JSON line to a [`RawRow`], independent of the decoders.

use std::{borrow::Cow, fmt};

use datac::row::{RawRow, Value};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Reads a JSON object, its fields in their order and its values as they are written.
pub(crate) fn row(line: &str) -> RawRow<'static> {
    let Fields(fields) = serde_json::from_str(line).expect("a test row is a JSON object");
    RawRow::new(fields)
}

struct Fields(Vec<(Cow<'static, str>, Value<'static>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.push((name.into(), value(&raw)));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn value(raw: &RawValue) -> Value<'static> {
    let json = raw.get();
    match json.as_bytes()[0] {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'"' => Value::String(serde_json::from_str::<String>(json).expect("a JSON string").into()),
        b'[' | b'{' => Value::Json(json.to_owned().into()),
        _ => Value::Number(json.to_owned().into()),
    }
}
