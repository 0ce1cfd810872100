//! Pieces that schemas of keys are made of.

use serde_json::{Map, Value, json};

use super::patterns::{GROUPED, PERCENT};

pub(super) fn object(entries: &[(&str, Value)]) -> Value {
    Value::Object(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Map<_, _>>())
}

/// Allows null as well, since a key without a value counts as absent.
pub(super) fn or_null(mut schema: Value) -> Value {
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.push(json!({ "type": "null" }));
    } else if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    } else if let Some(kind) = schema.get_mut("type") {
        let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        kinds.push(json!("null"));
        *kind = Value::Array(kinds);
    }
    schema
}

/// Returns the schema of a text. YAML may read it as a number or a boolean, but it is used as spelled.
pub(super) fn text(description: &str, pattern: &str) -> Value {
    json!({ "description": description, "type": ["string", "number", "boolean"], "pattern": pattern })
}

pub(super) fn integer(description: &str, minimum: u64) -> Value {
    json!({
        "description": description,
        "anyOf": [
            { "type": "integer", "minimum": minimum, "maximum": u64::MAX },
            { "type": "string", "pattern": GROUPED },
        ],
    })
}

pub(super) fn words<'w>(description: &str, words: impl Iterator<Item = &'w str>) -> Value {
    json!({ "description": description, "enum": words.collect::<Vec<_>>() })
}

/// Returns the schema of a name or a list of names.
pub(super) fn names(description: &str, name: &Value) -> Value {
    json!({
        "description": description,
        "anyOf": [name, { "type": "array", "minItems": 1, "uniqueItems": true, "items": name }],
    })
}

pub(super) fn with_default(mut schema: Value, default: Value) -> Value {
    schema["default"] = default;
    schema
}

pub(super) fn share(description: &str) -> Value {
    json!({
        "description": description, "default": 0.05,
        "type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1,
    })
}

pub(super) fn boolean(description: &str, default: bool) -> Value {
    json!({ "description": description, "default": default, "type": ["boolean", "null"] })
}

/// Admits what has a value under `key`.
pub(super) fn given(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "not": { "type": "null" } } } })
}

/// Returns the schema of a count of rows, or a share of them.
pub(super) fn amount(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            { "type": "number", "minimum": 0, "exclusiveMaximum": 1 },
            { "type": "string", "pattern": PERCENT },
            { "type": "string", "pattern": GROUPED },
        ],
    })
}
