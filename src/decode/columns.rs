//! Columnar rows (Parquet, Arrow) as bytes: what lets one kind of chunk serve every file type.
//!
//! A row is, for each column in order, one tag byte and, for numbers, strings and nested values, a length (4 bytes,
//! little-endian) and the text. Reading it back borrows everything and parses nothing. A row is preceded by its own
//! length (4 bytes), so rows can be found without looking inside.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Schema};

use super::chunk::Span;
use crate::row::{self, RawRow, Value};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const JSON: u8 = 5;

/// The header of a chunk: column names, each with a zero byte behind it.
pub(super) fn header(schema: &Schema) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    for field in schema.fields() {
        bytes.extend_from_slice(field.name().as_bytes());
        bytes.push(0);
    }
    bytes.into()
}

/// The column names of a header.
pub(super) fn names(header: &[u8]) -> Vec<String> {
    let mut names: Vec<_> =
        header.split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.pop();
    names
}

/// The rows of a chunk, lengths left out.
pub(super) fn spans(bytes: &[u8]) -> Vec<Span> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while let Some((length, _)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk()) {
        let start = at + 4;
        let end = start + u32::from_le_bytes(*length) as usize;
        spans.push(Span { start, end, line: 0 });
        at = end;
    }
    spans
}

/// Reads a row back; `bytes` is one span of a chunk.
pub(super) fn row<'a>(names: &'a [String], mut bytes: &'a [u8]) -> RawRow<'a> {
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
                let text = String::from_utf8_lossy(text);
                match tag {
                    NUMBER => Value::Number(text),
                    STRING => Value::String(text),
                    _ => Value::Json(text),
                }
            }
        };
        fields.push((Cow::Borrowed(name.as_str()), value));
    }
    RawRow { fields }
}

/// Calls `each` with the encoded form of every row of a batch, until it says stop.
pub(super) fn for_each_row(batch: &RecordBatch, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    let arrays = batch.columns().iter().map(undictionary).collect::<Result<Vec<_>, _>>()?;
    let columns = arrays.iter().map(|array| Column::new(array, &options)).collect::<Result<Vec<_>, _>>()?;
    let mut bytes = Vec::new();
    for i in 0..batch.num_rows() {
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        for column in &columns {
            column.encode(i, &mut bytes)?;
        }
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        if !each(&bytes) {
            break;
        }
    }
    Ok(())
}

fn undictionary(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => arrow_cast::cast(array, values),
        _ => Ok(array.clone()),
    }
}

/// A column with its type looked up once, not once a row.
enum Column<'a> {
    Utf8(&'a arrow_array::StringArray),
    LargeUtf8(&'a arrow_array::LargeStringArray),
    Utf8View(&'a arrow_array::StringViewArray),
    Integer(&'a ArrayRef, ArrayFormatter<'a>),
    Other(&'a ArrayRef),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef, options: &'a FormatOptions<'a>) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Utf8(array.as_string()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string()),
            DataType::Utf8View => Self::Utf8View(array.as_string_view()),
            data_type if data_type.is_integer() => Self::Integer(array, ArrayFormatter::try_new(array, options)?),
            _ => Self::Other(array),
        })
    }

    fn encode(&self, i: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Utf8(array) if array.is_valid(i) => put(out, STRING, array.value(i).as_bytes()),
            Self::LargeUtf8(array) if array.is_valid(i) => put(out, STRING, array.value(i).as_bytes()),
            Self::Utf8View(array) if array.is_valid(i) => put(out, STRING, array.value(i).as_bytes()),
            Self::Integer(array, formatter) if array.is_valid(i) => {
                put(out, NUMBER, formatter.value(i).try_to_string()?.as_bytes());
            }
            Self::Other(array) if array.is_valid(i) => {
                let mut json = Vec::new();
                write_json(array, i, &mut json)?;
                match json[0] {
                    b't' => out.push(TRUE),
                    b'f' => out.push(FALSE),
                    b'{' | b'[' => put(out, JSON, &json),
                    b'"' => {
                        let text: String =
                            serde_json::from_slice(&json).map_err(|error| ArrowError::JsonError(error.to_string()))?;
                        put(out, STRING, text.as_bytes());
                    }
                    _ => put(out, NUMBER, &json),
                }
            }
            _ => out.push(NULL),
        }
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, tag: u8, text: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// Writes a value as JSON. Floats are written shortest; what JSON has no type for (dates, decimals, binary, NaN) is a
/// string as Arrow prints it.
fn write_json(array: &ArrayRef, i: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    if array.is_null(i) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let list = |items: ArrayRef, out: &mut Vec<u8>| -> Result<(), ArrowError> {
        out.push(b'[');
        for k in 0..items.len() {
            if k > 0 {
                out.push(b',');
            }
            write_json(&items, k, out)?;
        }
        out.push(b']');
        Ok(())
    };
    match array.data_type() {
        DataType::Utf8 => row::write_string(array.as_string::<i32>().value(i), out),
        DataType::LargeUtf8 => row::write_string(array.as_string::<i64>().value(i), out),
        DataType::Utf8View => row::write_string(array.as_string_view().value(i), out),
        DataType::Boolean => out.extend_from_slice(array.as_boolean().value(i).to_string().as_bytes()),
        DataType::Float64 => write_float(array.as_primitive::<types::Float64Type>().value(i), out),
        DataType::Float32 => {
            // The shortest text that reads back as the same f32, not the longer one of the f64 that equals it.
            let value = array.as_primitive::<types::Float32Type>().value(i);
            write_float(value.to_string().parse().unwrap_or(f64::from(value)), out);
        }
        DataType::List(_) => list(array.as_list::<i32>().value(i), out)?,
        DataType::LargeList(_) => list(array.as_list::<i64>().value(i), out)?,
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list().value(i), out)?,
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
        DataType::Dictionary(..) => write_json(&undictionary(&array.slice(i, 1))?, 0, out)?,
        data_type => {
            let text = arrow_cast::display::array_value_to_string(array, i)?;
            if data_type.is_integer() {
                out.extend_from_slice(text.as_bytes());
            } else {
                row::write_string(&text, out);
            }
        }
    }
    Ok(())
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
        let names = names(&header(&batch.schema()));
        let rows: Vec<_> = spans(&bytes).iter().map(|span| row(&names, &bytes[span.start..span.end])).collect();
        assert_eq!(rows[0].get("text"), Some(&Value::String("007".into())));
        assert_eq!(rows[0].get("n"), Some(&Value::Number("9007199254740993".into())));
        assert_eq!(rows[0].get("x"), Some(&Value::Number("1.0".into())));
        assert_eq!(rows[0].get("turn"), Some(&Value::Json(r#"{"role":"user","content":"a\nb"}"#.into())));
        assert_eq!(rows[1].get("text"), Some(&Value::Null));
        assert_eq!(rows[1].get("x"), Some(&Value::String("NaN".into())));
    }
}
