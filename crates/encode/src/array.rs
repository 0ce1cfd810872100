//! Rows to Arrow arrays, column by column.

use std::{borrow::Cow, fmt, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, StructArray,
    builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder},
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::schema::{field, fields};
use datac_core::shape::facts::Type;

/// The values of a column so far.
pub(crate) enum Builder {
    Text(StringBuilder),
    Json(StringBuilder),
    Bool(BooleanBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    List { of: Type, items: Box<Builder>, ends: Vec<i32>, nulls: NullBufferBuilder, length: i32 },
    Struct { keys: Vec<(&'static str, Type)>, values: Vec<Builder>, nulls: NullBufferBuilder },
}

impl Builder {
    pub(crate) fn new(of: &Type) -> Self {
        match of {
            Type::Text => Self::Text(StringBuilder::new()),
            Type::Json => Self::Json(StringBuilder::new()),
            Type::Bool => Self::Bool(BooleanBuilder::new()),
            Type::Integer => Self::Integer(Int64Builder::new()),
            Type::Number => Self::Number(Float64Builder::new()),
            Type::List(item) => Self::List {
                of: (**item).clone(),
                items: Box::new(Self::new(item)),
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
                length: 0,
            },
            Type::Struct(keys) => Self::Struct {
                keys: keys.clone(),
                values: keys.iter().map(|(_, of)| Self::new(of)).collect(),
                nulls: NullBufferBuilder::new(0),
            },
        }
    }

    /// Adds a value, or none.
    fn push(&mut self, json: Option<&str>) -> Result<(), String> {
        let json = json.filter(|json| *json != "null");
        let wrong = |json: &str, wanted: &str| format!("{} is not {wanted}", shortened(json));
        match (self, json) {
            (Self::Text(builder), None) | (Self::Json(builder), None) => builder.append_null(),
            (Self::Bool(builder), None) => builder.append_null(),
            (Self::Integer(builder), None) => builder.append_null(),
            (Self::Number(builder), None) => builder.append_null(),
            (Self::List { ends, nulls, length, .. }, None) => {
                ends.push(*length);
                nulls.append_null();
            }
            (Self::Struct { values, nulls, .. }, None) => {
                values.iter_mut().try_for_each(|value| value.push(None))?;
                nulls.append_null();
            }
            (Self::Text(builder), Some(json)) => {
                builder.append_value(text(json).ok_or_else(|| wrong(json, "a string"))?);
            }
            (Self::Json(builder), Some(json)) => builder.append_value(json),
            (Self::Bool(builder), Some(json)) => {
                builder.append_value(json.parse().map_err(|_| wrong(json, "a boolean"))?);
            }
            (Self::Integer(builder), Some(json)) => {
                builder.append_value(json.parse().map_err(|_| wrong(json, "an integer"))?);
            }
            (Self::Number(builder), Some(json)) => {
                builder.append_value(json.parse().map_err(|_| wrong(json, "a number"))?);
            }
            (Self::List { items, ends, nulls, length, .. }, Some(json)) => {
                let all: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| wrong(json, "a list"))?;
                all.iter().try_for_each(|item| items.push(Some(item.get())))?;
                *length = i32::try_from(all.len()).ok().and_then(|more| length.checked_add(more)).ok_or("too long")?;
                ends.push(*length);
                nulls.append_non_null();
            }
            (Self::Struct { keys, values, nulls }, Some(json)) => {
                let entries = entries(json).map_err(|_| wrong(json, "an object"))?;
                if let Some((name, _)) = entries.iter().find(|(name, _)| keys.iter().all(|(key, _)| key != name)) {
                    return Err(format!("an object has the key `{name}` that others have not"));
                }
                for ((key, _), value) in keys.iter().zip(values) {
                    let found = entries.iter().find(|(name, _)| name == key);
                    value.push(found.map(|(_, value)| value.get()))?;
                }
                nulls.append_non_null();
            }
        }
        Ok(())
    }

    /// Takes the values.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) | Self::Json(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::List { of, items, ends, nulls, length } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                *length = 0;
                let item = field("item", of).into();
                Arc::new(ListArray::new(item, offsets, items.finish(), nulls.finish()))
            }
            Self::Struct { keys, values, nulls } => {
                let nulls = nulls.finish();
                let values = values.iter_mut().map(Self::finish).collect();
                Arc::new(StructArray::new(fields(keys), values, nulls))
            }
        }
    }
}

/// Adds a row. A column that the row lacks is null; a key that is no column is an error.
pub(crate) fn row(line: &[u8], names: &[String], builders: &mut [Builder]) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let entries = entries(line).map_err(|error| error.to_string())?;
    let (mut next, mut used) = (0, 0);
    for (name, builder) in names.iter().zip(builders) {
        // Most keys stand in the order of the columns.
        let at = match entries.get(next) {
            Some((key, _)) if key == name => Some(next),
            _ => entries.iter().position(|(key, _)| key == name),
        };
        let value = at.map(|at| {
            (next, used) = (at + 1, used + 1);
            entries[at].1.get()
        });
        builder.push(value).map_err(|reason| format!("`{name}`: {reason}"))?;
    }
    match entries.iter().find(|(key, _)| !names.iter().any(|name| name == key)) {
        Some((key, _)) if used < entries.len() => Err(format!("`{key}` is no column")),
        None if used < entries.len() => Err("a key twice".to_owned()),
        _ => Ok(()),
    }
}

type Entries<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Returns the keys and values of an object, in order.
fn entries(json: &str) -> serde_json::Result<Entries<'_>> {
    struct Object<'a>(Entries<'a>);

    impl<'a> Deserialize<'a> for Object<'a> {
        fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
            struct Walk;

            impl<'a> Visitor<'a> for Walk {
                type Value = Entries<'a>;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                    let mut entries = Vec::new();
                    while let Some((Text(name), value)) = map.next_entry()? {
                        entries.push((name, value));
                    }
                    Ok(entries)
                }
            }
            deserializer.deserialize_map(Walk).map(Self)
        }
    }
    serde_json::from_str::<Object<'_>>(json).map(|object| object.0)
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

fn shortened(json: &str) -> String {
    let short: String = json.chars().take(40).collect();
    if short.len() < json.len() { format!("`{short}…`") } else { format!("`{short}`") }
}
