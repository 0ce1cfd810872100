//! The texts of a sample that are measured.

use crate::graph::{Measure, Measured};
use datac_core::{
    mapping::{Path, borrowed},
    row::{BINARY, LONE_SURROGATE, NO_NUMBER, RawRow, Value},
    sample::Sample,
};

/// Returns what decides the text that is scored: whether it is the value of a column, and the field or column.
pub(super) fn text_of(measure: &Measure) -> (bool, &str) {
    let field = match &measure.of {
        Measured::Field(field) => field,
        Measured::Sample(_) => unreachable!("functions are given samples, and no text"),
    };
    (measure.kind.is_value(), field)
}

/// Calls `take` with the value of a column as JSON: one that the sample keeps, a part of it, or else a column of the source row or
/// a value inside one. Of a row without a value that can be compared the text is empty.
pub(super) fn compared(sample: &Sample<'_>, raw: &RawRow<'_>, column: &str, take: impl FnOnce(&str)) {
    let string = |text: &str| {
        if text.trim().is_empty() {
            String::new()
        } else {
            serde_json::to_string(text).expect("a string is always JSON")
        }
    };
    // A list or an object is no value that can be compared.
    let scalar = |json: &str| match json.as_bytes().first() {
        Some(b'[' | b'{') | None => String::new(),
        Some(b'"') => serde_json::from_str::<String>(json).map_or_else(|_| String::new(), |text| string(&text)),
        Some(_) if json == "null" => String::new(),
        Some(_) => json.to_owned(),
    };
    let of_sample = match column {
        "answer" => sample.answer.as_ref().map(|text| string(text)),
        "label" => sample.label.map(|label| label.to_string()),
        "margin" => sample.margin.as_ref().map(|json| scalar(json.as_str())),
        _ => sample.columns.iter().find(|(name, _)| name == column).map(|(_, json)| scalar(json.as_str())),
    };
    if let Some(json) = of_sample {
        return take(&json);
    }
    let path;
    let value = match raw.peek(column) {
        Some(value) => Some(borrowed(value)),
        None if column.contains(['.', '[']) => {
            path = Path::parse(column);
            path.as_ref().ok().and_then(|path| path.value(raw).ok().flatten())
        }
        None => None,
    };
    match value {
        Some(Value::Number(text)) => take(&text),
        Some(Value::String(text)) => take(&string(&text)),
        Some(Value::Bool(value)) => take(if value { "true" } else { "false" }),
        Some(Value::Printed { kind, text }) if !NO_VALUES.contains(&&*kind) => take(&string(&text)),
        Some(Value::Json(_) | Value::Printed { .. } | Value::Null) | None => take(""),
    }
}

/// Kinds of printed values that are nothing to be compared.
const NO_VALUES: [&str; 3] = [BINARY, NO_NUMBER, LONE_SURROGATE];

/// Calls `take` with the text that a filter measures: a field of the sample, or else a column of the source row. If
/// the row has no such column, the text is empty.
pub(super) fn measured(sample: &Sample<'_>, raw: &RawRow<'_>, field: &str, take: impl FnOnce(&str)) {
    if let Some(text) = sample.field_text(field) {
        return take(&text);
    }
    match raw.peek(field) {
        Some(Value::String(text) | Value::Number(text) | Value::Json(text) | Value::Printed { text, .. }) => take(text),
        Some(Value::Bool(value)) => take(if *value { "true" } else { "false" }),
        Some(Value::Null) | None => take(""),
    }
}
