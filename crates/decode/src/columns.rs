//! Encodes columnar rows (Parquet, Arrow) as bytes, so that chunks of all file formats are alike.
//!
//! A row is encoded column by column: a tag byte and, for numbers, strings and nested values, a length (4 bytes,
//! little-endian) and the text. Decoding borrows the text and parses nothing. Each row is preceded by its length (4
//! bytes), so that rows can be located without decoding them. An over-long row is a single tag byte.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types};
use arrow_schema::{ArrowError, DataType, Schema};

use super::{
    chunk::{self, MAX_ROW_BYTES, Span},
    print::{dictionary_key, integer, print},
};
use datac_core::row::{self, RawRow, Reject, Value};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const JSON: u8 = 5;
const OVERLONG: u8 = 6;

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
                    _ => Value::Json(text),
                }
            }
        };
        fields.push((Cow::Borrowed(name.as_str()), value));
    }
    Ok(RawRow { fields })
}

/// Calls `each` with every encoded row of a batch, until it returns false.
pub(super) fn for_each_row(batch: &RecordBatch, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ArrowError> {
    let columns = batch.columns().iter().map(Column::new).collect::<Result<Vec<_>, _>>()?;
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
    Other(&'a ArrayRef),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Utf8(array.as_string()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string()),
            DataType::Utf8View => Self::Utf8View(array.as_string_view()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let values = Self::new(dictionary.values())?;
                let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
                let key = |i: usize| if array.is_valid(i) { keys.get(i).copied() } else { None };
                Self::Dictionary(Box::new(values), (0..array.len()).map(key).collect())
            }
            data_type if data_type.is_integer() => Self::Integer(array),
            _ => Self::Other(array),
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
            Self::Other(array) if array.is_valid(i) => {
                let mut json = Vec::new();
                write_json(array, i, &mut json)?;
                match json[0] {
                    b'n' => put(out, NULL, b""),
                    b't' => put(out, TRUE, b""),
                    b'f' => put(out, FALSE, b""),
                    b'{' | b'[' => put(out, JSON, &json),
                    b'"' => {
                        let text: String =
                            serde_json::from_slice(&json).map_err(|error| ArrowError::JsonError(error.to_string()))?;
                        put(out, STRING, text.as_bytes())
                    }
                    _ => put(out, NUMBER, &json),
                }
            }
            _ => put(out, NULL, b""),
        })
    }
}

fn put(out: &mut Vec<u8>, tag: u8, text: &[u8]) -> bool {
    if out.len() + text.len() > MAX_ROW_BYTES {
        return false;
    }
    out.push(tag);
    if let NUMBER | STRING | JSON = tag {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
    true
}

/// Writes a value as JSON. Floats are written in their shortest form. Values that JSON has no type for (dates,
/// decimals, binary, NaN) are strings, as Arrow prints them. A map is an object, whatever its keys. If the row
/// becomes over-long, the text may be incomplete.
fn write_json(array: &ArrayRef, i: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    // Arrays of the null type report no nulls.
    if array.is_null(i) || *array.data_type() == DataType::Null {
        out.extend_from_slice(b"null");
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
        DataType::List(_) => write_list(&array.as_list::<i32>().value(i), out)?,
        DataType::LargeList(_) => write_list(&array.as_list::<i64>().value(i), out)?,
        DataType::ListView(_) => write_list(&array.as_list_view::<i32>().value(i), out)?,
        DataType::LargeListView(_) => write_list(&array.as_list_view::<i64>().value(i), out)?,
        DataType::FixedSizeList(..) => write_list(&array.as_fixed_size_list().value(i), out)?,
        DataType::Struct(fields) => {
            out.push(b'{');
            for (k, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if k > 0 {
                    out.push(b',');
                }
                row::write_string(field.name(), out);
                out.push(b':');
                write_json(column, i, out)?;
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
                write_json(entries.column(1), k, out)?;
                if out.len() > MAX_ROW_BYTES {
                    break;
                }
            }
            out.push(b'}');
        }
        DataType::Dictionary(..) => write_json(array.as_any_dictionary().values(), dictionary_key(array, i), out)?,
        data_type => {
            let text = print(array, i)?;
            if data_type.is_integer() {
                out.extend_from_slice(text.as_bytes());
            } else {
                row::write_string(&text, out);
            }
        }
    }
    Ok(())
}

fn write_list(items: &ArrayRef, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'[');
    for k in 0..items.len() {
        if k > 0 {
            out.push(b',');
        }
        write_json(items, k, out)?;
        // A few bytes of a file can represent billions of equal items.
        if out.len() > MAX_ROW_BYTES {
            break;
        }
    }
    out.push(b']');
    Ok(())
}

/// Writes the shortest text that reads back as the same narrow float, rather than the longer text of the equal `f64`.
fn write_narrow_float(value: impl Into<f64> + ToString, out: &mut Vec<u8>) {
    match value.to_string().parse() {
        Ok(value) => write_float(value, out),
        Err(_) => write_float(value.into(), out),
    }
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    match serde_json::Number::from_f64(value) {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => row::write_string(&value.to_string(), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, StringArray, StructArray};
    use arrow_schema::Field;

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
        for_each_row(&batch, |row| {
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
        assert_eq!(rows[1].get("x"), Some(&Value::String("NaN".into())));
    }
}
