//! Encodes columnar rows (Parquet, Arrow) as bytes, so that chunks of all file formats are alike.
//!
//! A row is encoded column by column: a tag byte and, for numbers, strings and nested values, a length (4 bytes,
//! little-endian) and the text. Decoding borrows the text and parses nothing. Each row is preceded by its length (4
//! bytes), so that rows can be located without decoding them. An over-long row is a single tag byte.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};

use super::{
    chunk::{self, MAX_ROW_BYTES, Span},
    print::{dictionary_key, integer, print},
};
use datac_core::{
    json,
    row::{self, RawRow, Reject, Value},
};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const JSON: u8 = 5;
const OVERLONG: u8 = 6;
/// The name of a type, a zero byte, and the value as text.
const PRINTED: u8 = 7;

/// Bytes up to this many are printed digit by digit, longer ones by their length and digest.
const MOST_PRINTED: usize = 64;

/// Where JSON texts stand in a column and in the columns within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Whether strings of this column are JSON texts.
    is_json: bool,
    /// The same of the columns within it, in their order; none if there is no JSON in any.
    within: Vec<Meaning>,
}

impl Meaning {
    /// Returns the meaning of a column; `is_json` is asked of each innermost column in order, whether its strings are JSON texts.
    pub(super) fn of(field: &Field, is_json: &mut impl FnMut(&Field) -> bool) -> Self {
        let within: Vec<Self> = match field.data_type() {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => vec![Self::of(item, is_json)],
            DataType::Struct(fields) => fields.iter().map(|field| Self::of(field, is_json)).collect(),
            _ => return Self { is_json: is_json(field), within: Vec::new() },
        };
        Self { is_json: false, within: if within.iter().any(Self::has_json) { within } else { Vec::new() } }
    }

    fn has_json(&self) -> bool {
        self.is_json || !self.within.is_empty()
    }

    fn inner(&self, k: usize) -> &Self {
        static PLAIN: Meaning = Meaning { is_json: false, within: Vec::new() };
        self.within.get(k).unwrap_or(&PLAIN)
    }
}

/// Returns the header of a chunk: the column names, each preceded by its length (4 bytes). Fails if there are no
/// columns or two have the same name.
pub(super) fn header(schema: &Schema) -> Result<Arc<[u8]>, String> {
    // Rows without columns take no space in a file, so its footer could claim any number of them.
    if schema.fields().is_empty() {
        return Err("it has no columns".into());
    }
    let mut seen = HashSet::new();
    let mut bytes = Vec::new();
    for field in schema.fields() {
        if !seen.insert(field.name()) {
            return Err(format!("it has two columns named `{}`", field.name()));
        }
        bytes.extend_from_slice(&(field.name().len() as u32).to_le_bytes());
        bytes.extend_from_slice(field.name().as_bytes());
    }
    Ok(bytes.into())
}

/// Returns the column names of a header.
pub(super) fn names(header: &[u8]) -> Vec<String> {
    let names = spans(header).into_iter();
    names.map(|name| String::from_utf8_lossy(&header[name.start..name.end]).into_owned()).collect()
}

/// Returns the rows of a chunk, without their lengths.
pub(super) fn spans(bytes: &[u8]) -> Vec<Span> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while let Some((length, _)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk()) {
        let start = at + 4;
        let end = (start + u32::from_le_bytes(*length) as usize).min(bytes.len());
        spans.push(Span { start, end, line: 0 });
        at = end;
    }
    spans
}

/// Decodes a row; `bytes` is one span of a chunk.
pub(super) fn row<'a>(names: &'a [String], mut bytes: &'a [u8]) -> Result<RawRow<'a>, Reject> {
    if bytes == [OVERLONG] {
        return Err(chunk::overlong());
    }
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let Some((tag, rest)) = bytes.split_first() else { break };
        bytes = rest;
        let value = match *tag {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            tag => {
                let Some((length, rest)) = bytes.split_first_chunk() else { break };
                let Some((text, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
                bytes = rest;
                // The bytes were valid UTF-8 when encoded, so this check usually succeeds; it is faster than a lossy
                // conversion.
                let text = std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed);
                match tag {
                    NUMBER => Value::Number(text),
                    STRING => Value::String(text),
                    PRINTED => printed(text),
                    _ => Value::Json(text),
                }
            }
        };
        fields.push((Cow::Borrowed(name.as_str()), value));
    }
    Ok(RawRow::new(fields))
}

fn printed(text: Cow<'_, str>) -> Value<'_> {
    let end = text.find('\0').unwrap_or(0);
    match text {
        Cow::Borrowed(text) => {
            Value::Printed { kind: text[..end].into(), text: text[(end + 1).min(text.len())..].into() }
        }
        Cow::Owned(text) => Value::Printed {
            kind: text[..end].to_owned().into(),
            text: text[(end + 1).min(text.len())..].to_owned().into(),
        },
    }
}

/// Calls `each` with every encoded row of a batch, until it returns false.
pub(super) fn for_each_row(
    batch: &RecordBatch,
    meanings: &[Meaning],
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<(), ArrowError> {
    let columns = batch.columns().iter().zip(meanings).map(|(array, meaning)| Column::new(array, meaning));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut bytes = Vec::new();
    for i in 0..batch.num_rows() {
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        for (k, column) in columns.iter().enumerate() {
            let fits = column.encode(i, &mut bytes).map_err(|error| {
                ArrowError::ComputeError(format!("a value of column `{}`: {error}", batch.schema_ref().field(k).name()))
            })?;
            if !fits {
                bytes.truncate(4);
                bytes.push(OVERLONG);
                break;
            }
        }
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        if !each(&bytes) {
            break;
        }
    }
    Ok(())
}

/// A column whose type has been looked up once, rather than for every row.
enum Column<'a> {
    Utf8(&'a arrow_array::StringArray),
    LargeUtf8(&'a arrow_array::LargeStringArray),
    Utf8View(&'a arrow_array::StringViewArray),
    Integer(&'a ArrayRef),
    /// The values, and the index of each row's value. They are not expanded, since one long value may be shared by
    /// millions of rows.
    Dictionary(Box<Column<'a>>, Vec<Option<usize>>),
    Other(&'a ArrayRef, &'a Meaning),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef, meaning: &'a Meaning) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            _ if meaning.is_json => Self::Other(array, meaning),
            DataType::Utf8 => Self::Utf8(array.as_string()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string()),
            DataType::Utf8View => Self::Utf8View(array.as_string_view()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let values = Self::new(dictionary.values(), meaning)?;
                let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
                let key = |i: usize| if array.is_valid(i) { keys.get(i).copied() } else { None };
                Self::Dictionary(Box::new(values), (0..array.len()).map(key).collect())
            }
            data_type if data_type.is_integer() => Self::Integer(array),
            _ => Self::Other(array, meaning),
        })
    }

    /// Appends a value; returns false if that would make the row over-long.
    fn encode(&self, i: usize, out: &mut Vec<u8>) -> Result<bool, ArrowError> {
        Ok(match self {
            Self::Utf8(array) if array.is_valid(i) => put(out, STRING, array.value(i).as_bytes()),
            Self::LargeUtf8(array) if array.is_valid(i) => put(out, STRING, array.value(i).as_bytes()),
            Self::Utf8View(array) if array.is_valid(i) => put(out, STRING, array.value(i).as_bytes()),
            Self::Integer(array) if array.is_valid(i) => {
                let text = integer(array, i).map(|number| number.to_string()).unwrap_or_default();
                put(out, NUMBER, text.as_bytes())
            }
            Self::Dictionary(values, keys) => match keys[i] {
                Some(key) => values.encode(key, out)?,
                None => put(out, NULL, b""),
            },
            Self::Other(array, meaning) if array.is_valid(i) => match scalar(array, i, meaning)? {
                Scalar::Text(text) => put(out, STRING, text.as_bytes()),
                Scalar::Printed(kind, text) => put(out, PRINTED, format!("{kind}\0{text}").as_bytes()),
                Scalar::Json => {
                    let mut json = Vec::new();
                    write_json(array, i, meaning, &mut json)?;
                    match json[0] {
                        b'n' => put(out, NULL, b""),
                        b't' => put(out, TRUE, b""),
                        b'f' => put(out, FALSE, b""),
                        b'{' | b'[' => put(out, JSON, &json),
                        b'"' => {
                            let text: String = serde_json::from_slice(&json)
                                .map_err(|error| ArrowError::JsonError(error.to_string()))?;
                            put(out, STRING, text.as_bytes())
                        }
                        _ => put(out, NUMBER, &json),
                    }
                }
            },
            _ => put(out, NULL, b""),
        })
    }
}

fn put(out: &mut Vec<u8>, tag: u8, text: &[u8]) -> bool {
    if out.len() + text.len() > MAX_ROW_BYTES {
        return false;
    }
    out.push(tag);
    if let NUMBER | STRING | JSON | PRINTED = tag {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
    true
}

/// What a value that is not null is, before it is written.
enum Scalar<'a> {
    /// Bytes that are UTF-8.
    Text(&'a str),
    /// Something that JSON has no type for: its type, and the value as text.
    Printed(Cow<'a, str>, String),
    /// What JSON has a type for.
    Json,
}

/// Returns what a value is. One rule holds for all types: what JSON has a type for is a value of that type; bytes that are UTF-8
/// are a text; a column of JSON texts holds the values that these write; anything else is printed and says which type it has.
fn scalar<'a>(array: &'a ArrayRef, i: usize, meaning: &Meaning) -> Result<Scalar<'a>, ArrowError> {
    let printed = |kind: Cow<'a, str>| Ok(Scalar::Printed(kind, print(array, i)?));
    if meaning.is_json {
        let is_valid = json_text(array, i).is_some_and(|text| json::any(text).is_some());
        return if is_valid { Ok(Scalar::Json) } else { printed("invalid JSON".into()) };
    }
    let bytes = match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(i),
        DataType::LargeBinary => array.as_binary::<i64>().value(i),
        DataType::BinaryView => array.as_binary_view().value(i),
        // Sixteen bytes are a UUID, which by chance is UTF-8 in one row and not in the next.
        DataType::FixedSizeBinary(length) if *length != 16 => array.as_fixed_size_binary().value(i),
        DataType::Float64 if !array.as_primitive::<types::Float64Type>().value(i).is_finite() => {
            return printed(row::NO_NUMBER.into());
        }
        DataType::Float32 if !array.as_primitive::<types::Float32Type>().value(i).is_finite() => {
            return printed(row::NO_NUMBER.into());
        }
        DataType::Float16 if !array.as_primitive::<types::Float16Type>().value(i).is_finite() => {
            return printed(row::NO_NUMBER.into());
        }
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..)
        | DataType::Struct(_)
        | DataType::Map(..)
        | DataType::Dictionary(..) => return Ok(Scalar::Json),
        data_type if data_type.is_integer() => return Ok(Scalar::Json),
        data_type => return printed(format!("a value of type {}", type_name(data_type)).into()),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Scalar::Text(text)),
        Err(_) if bytes.len() <= MOST_PRINTED => printed(row::BINARY.into()),
        Err(_) => {
            let digest = blake3::hash(bytes).to_hex();
            Ok(Scalar::Printed(row::BINARY.into(), format!("{} bytes, BLAKE3 {}", bytes.len(), &digest[..32])))
        }
    }
}

/// Returns the text of a string or of bytes that are UTF-8.
fn json_text(array: &ArrayRef, i: usize) -> Option<&str> {
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(i),
        DataType::LargeUtf8 => array.as_string::<i64>().value(i),
        DataType::Utf8View => array.as_string_view().value(i),
        DataType::Binary => std::str::from_utf8(array.as_binary::<i32>().value(i)).ok()?,
        DataType::LargeBinary => std::str::from_utf8(array.as_binary::<i64>().value(i)).ok()?,
        DataType::BinaryView => std::str::from_utf8(array.as_binary_view().value(i)).ok()?,
        _ => return None,
    })
}

/// Returns the name of a type, as pyarrow has it where both have one.
fn type_name(data_type: &DataType) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    match data_type {
        DataType::Date32 => "date32".to_owned(),
        DataType::Date64 => "date64".to_owned(),
        DataType::Time32(of) => format!("time32[{}]", unit(of)),
        DataType::Time64(of) => format!("time64[{}]", unit(of)),
        DataType::Timestamp(of, None) => format!("timestamp[{}]", unit(of)),
        DataType::Timestamp(of, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit(of)),
        DataType::Duration(of) => format!("duration[{}]", unit(of)),
        DataType::Interval(_) => "interval".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::FixedSizeBinary(length) => format!("fixed_size_binary[{length}]"),
        DataType::Union(..) => "union".to_owned(),
        DataType::RunEndEncoded(..) => "run_end_encoded".to_owned(),
        other => other.to_string(),
    }
}

/// Writes a value as JSON, as [`json::write_printed`] does what JSON has no type for. Floats are written shortest; a map is an
/// object, whatever its keys. Beyond the limit for rows it may stop midway.
fn write_json(array: &ArrayRef, i: usize, meaning: &Meaning, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    // Arrays of the null type have no nulls that they know of.
    if array.is_null(i) || *array.data_type() == DataType::Null {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match scalar(array, i, meaning)? {
        Scalar::Text(text) => {
            row::write_string(text, out);
            return Ok(());
        }
        Scalar::Printed(kind, text) => {
            json::write_printed(&kind, &text, out);
            return Ok(());
        }
        Scalar::Json => {}
    }
    if meaning.is_json {
        out.extend_from_slice(json_text(array, i).unwrap_or("null").trim().as_bytes());
        return Ok(());
    }
    match array.data_type() {
        DataType::Utf8 => row::write_string(array.as_string::<i32>().value(i), out),
        DataType::LargeUtf8 => row::write_string(array.as_string::<i64>().value(i), out),
        DataType::Utf8View => row::write_string(array.as_string_view().value(i), out),
        DataType::Boolean => out.extend_from_slice(array.as_boolean().value(i).to_string().as_bytes()),
        DataType::Float64 => write_float(array.as_primitive::<types::Float64Type>().value(i), out),
        DataType::Float32 => write_narrow_float(array.as_primitive::<types::Float32Type>().value(i), out),
        DataType::Float16 => write_narrow_float(array.as_primitive::<types::Float16Type>().value(i), out),
        DataType::List(_) => write_list(&array.as_list::<i32>().value(i), meaning, out)?,
        DataType::LargeList(_) => write_list(&array.as_list::<i64>().value(i), meaning, out)?,
        DataType::ListView(_) => write_list(&array.as_list_view::<i32>().value(i), meaning, out)?,
        DataType::LargeListView(_) => write_list(&array.as_list_view::<i64>().value(i), meaning, out)?,
        DataType::FixedSizeList(..) => write_list(&array.as_fixed_size_list().value(i), meaning, out)?,
        DataType::Struct(fields) => {
            out.push(b'{');
            for (k, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if k > 0 {
                    out.push(b',');
                }
                row::write_string(field.name(), out);
                out.push(b':');
                write_json(column, i, meaning.inner(k), out)?;
            }
            out.push(b'}');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(i);
            out.push(b'{');
            for k in 0..entries.len() {
                if k > 0 {
                    out.push(b',');
                }
                row::write_string(&print(entries.column(0), k)?, out);
                out.push(b':');
                write_json(entries.column(1), k, meaning.inner(0).inner(1), out)?;
                if out.len() > MAX_ROW_BYTES {
                    break;
                }
            }
            out.push(b'}');
        }
        DataType::Dictionary(..) => {
            write_json(array.as_any_dictionary().values(), dictionary_key(array, i), meaning, out)?;
        }
        _ => out.extend_from_slice(print(array, i)?.as_bytes()),
    }
    Ok(())
}

fn write_list(items: &ArrayRef, meaning: &Meaning, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'[');
    for k in 0..items.len() {
        if k > 0 {
            out.push(b',');
        }
        write_json(items, k, meaning.inner(0), out)?;
        // A few bytes of a file can stand for billions of equal items.
        if out.len() > MAX_ROW_BYTES {
            break;
        }
    }
    out.push(b']');
    Ok(())
}

/// Writes the shortest text that reads back as the same narrow float, not the longer one of the `f64` that equals it.
fn write_narrow_float(value: impl Into<f64> + ToString, out: &mut Vec<u8>) {
    match value.to_string().parse() {
        Ok(value) => write_float(value, out),
        Err(_) => write_float(value.into(), out),
    }
}

/// Writes a finite float.
fn write_float(value: f64, out: &mut Vec<u8>) {
    let number = serde_json::Number::from_f64(value).map_or_else(|| "null".to_owned(), |number| number.to_string());
    out.extend_from_slice(number.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, StringArray, StructArray};

    #[test]
    fn rows_read_back_as_they_were() {
        let turn = StructArray::from(vec![
            (
                Arc::new(Field::new("role", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["user", "x"])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("content", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["a\nb", "y"])) as _,
            ),
        ]);
        let batch = RecordBatch::try_from_iter([
            ("text", Arc::new(StringArray::from(vec![Some("007"), None])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![9_007_199_254_740_993, -1]))),
            ("x", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
            ("turn", Arc::new(turn)),
        ])
        .unwrap();
        let mut bytes = Vec::new();
        let meanings = vec![Meaning::default(); 4];
        for_each_row(&batch, &meanings, |row| {
            bytes.extend_from_slice(row);
            true
        })
        .unwrap();
        let names = names(&header(&batch.schema()).unwrap());
        let rows: Vec<_> =
            spans(&bytes).iter().map(|span| row(&names, &bytes[span.start..span.end]).unwrap()).collect();
        assert_eq!(rows[0].get("text"), Some(&Value::String("007".into())));
        assert_eq!(rows[0].get("n"), Some(&Value::Number("9007199254740993".into())));
        assert_eq!(rows[0].get("x"), Some(&Value::Number("1.0".into())));
        assert_eq!(rows[0].get("turn"), Some(&Value::Json(r#"{"role":"user","content":"a\nb"}"#.into())));
        assert_eq!(rows[1].get("text"), Some(&Value::Null));
        let nan = Value::Printed { kind: "a float that is no number".into(), text: "NaN".into() };
        assert_eq!(rows[1].get("x"), Some(&nan));
    }
}
