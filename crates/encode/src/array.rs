//! Rows to Arrow arrays, column by column.

use std::{borrow::Cow, fmt, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, StructArray,
    builder::{BooleanBuilder, Float64Builder, Int8Builder, Int32Builder, Int64Builder, StringBuilder},
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
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
    Int32(Int32Builder),
    Int8(Int8Builder),
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
            Type::Int32 => Self::Int32(Int32Builder::new()),
            Type::Int8 => Self::Int8(Int8Builder::new()),
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

    /// Adds no value.
    fn null(&mut self) {
        match self {
            Self::Text(builder) | Self::Json(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Number(builder) => builder.append_null(),
            Self::List { ends, nulls, length, .. } => {
                ends.push(*length);
                nulls.append_null();
            }
            Self::Struct { values, nulls, .. } => {
                values.iter_mut().for_each(Self::null);
                nulls.append_null();
            }
        }
    }

    /// Takes the values.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) | Self::Json(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
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
pub(crate) fn row(line: &[u8], names: &[String], columns: &mut [Builder]) -> Result<(), String> {
    struct Row<'b>(&'b [String], &'b mut [Builder]);

    impl<'de> Visitor<'de> for Row<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
            object(map, |at| self.0.get(at).map(String::as_str), self.1)
        }
    }
    let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let mut json = serde_json::Deserializer::from_str(line);
    json.deserialize_map(Row(names, columns)).and_then(|()| json.end()).map_err(|error| error.to_string())
}

/// Adds an object whose keys are those that `name` gives by number, in any order; one that it lacks is null.
fn object<'de, 'n, M: MapAccess<'de>>(
    mut map: M,
    name: impl Fn(usize) -> Option<&'n str>,
    values: &mut [Builder],
) -> Result<(), M::Error> {
    let mut has = vec![false; values.len()];
    let mut next = 0;
    while let Some(Key(key)) = map.next_key()? {
        // Most keys stand in the order of the columns.
        let is_next = name(next).is_some_and(|name| name == key);
        let at = if is_next { Some(next) } else { (0..values.len()).find(|at| name(*at) == Some(&*key)) };
        let at = at.ok_or_else(|| M::Error::custom(format!("`{key}` is no column, and no key that all have")))?;
        if std::mem::replace(&mut has[at], true) {
            return Err(M::Error::custom(format!("`{key}` is there twice")));
        }
        map.next_value_seed(Push(&mut values[at]))?;
        next = at + 1;
    }
    values.iter_mut().zip(has).filter(|(_, has)| !has).for_each(|(value, _)| value.null());
    Ok(())
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Adds the next value.
struct Push<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Push<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        // Numbers are parsed from their own text: how the reader would pass them on depends on its features.
        let raw = match self.0 {
            Builder::Text(_) | Builder::List { .. } | Builder::Struct { .. } => return json.deserialize_any(self),
            Builder::Json(_)
            | Builder::Bool(_)
            | Builder::Integer(_)
            | Builder::Int32(_)
            | Builder::Int8(_)
            | Builder::Number(_) => <&RawValue>::deserialize(json)?.get(),
        };
        if raw == "null" {
            self.0.null();
            return Ok(());
        }
        let wrong = |wanted: &str| D::Error::custom(format!("{} is not {wanted}", shortened(raw)));
        match self.0 {
            Builder::Bool(builder) => builder.append_value(raw.parse().map_err(|_| wrong("a boolean"))?),
            Builder::Integer(builder) => builder.append_value(raw.parse().map_err(|_| wrong("an integer"))?),
            Builder::Int32(builder) => builder.append_value(raw.parse().map_err(|_| wrong("an integer of 32 bits"))?),
            Builder::Int8(builder) => builder.append_value(raw.parse().map_err(|_| wrong("an integer of 8 bits"))?),
            Builder::Number(builder) => builder.append_value(raw.parse().map_err(|_| wrong("a number"))?),
            Builder::Json(builder) => builder.append_value(raw),
            Builder::Text(_) | Builder::List { .. } | Builder::Struct { .. } => {
                unreachable!("they are read as they come")
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Push<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Builder::List { .. } => "a list",
            Builder::Struct { .. } => "an object",
            _ => "a string",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Builder::Text(builder) = self.0 else { return Err(E::custom("a string in a column of another type")) };
        builder.append_value(text);
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        let Builder::List { items, ends, nulls, length, .. } = self.0 else {
            return Err(S::Error::custom("a list in a column of another type"));
        };
        while seq.next_element_seed(Push(items))?.is_some() {
            *length = length.checked_add(1).ok_or_else(|| S::Error::custom("a list is too long"))?;
        }
        ends.push(*length);
        nulls.append_non_null();
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        let Builder::Struct { keys, values, nulls } = self.0 else {
            return Err(M::Error::custom("an object in a column of another type"));
        };
        object(map, |at| keys.get(at).map(|(name, _)| *name), values)?;
        nulls.append_non_null();
        Ok(())
    }
}

fn shortened(json: &str) -> String {
    let short: String = json.chars().take(40).collect();
    if short.len() < json.len() { format!("`{short}…`") } else { format!("`{short}`") }
}
