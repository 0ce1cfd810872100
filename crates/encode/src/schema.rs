//! The Arrow schema of a file, with what `datasets` wants to know about it.

use std::collections::HashMap;

use arrow_schema::{DataType, Field, Fields, Schema};
use serde_json::{Value, json};

use datac_core::shape::facts::{Column, Type};

/// Arrow's name for strings that hold JSON.
const JSON: [(&str, &str); 2] = [("ARROW:extension:name", "arrow.json"), ("ARROW:extension:metadata", "")];

/// Returns the schema of a file, whose metadata holds the features of `datasets`.
pub(crate) fn schema(columns: &[Column]) -> Schema {
    let fields: Vec<Field> = columns.iter().map(|column| field(&column.name, &column.of)).collect();
    let features: serde_json::Map<String, Value> =
        columns.iter().map(|column| (column.name.to_string(), feature(&column.of))).collect();
    let info = json!({ "info": { "features": features } });
    Schema::new_with_metadata(fields, HashMap::from([("huggingface".to_owned(), info.to_string())]))
}

/// Returns a column, or an item or key within one. All of them may be null.
pub(crate) fn field(name: &str, of: &Type) -> Field {
    let field = Field::new(name, data_type(of), true);
    match of {
        Type::Json => field.with_metadata(HashMap::from(JSON.map(|(key, value)| (key.to_owned(), value.to_owned())))),
        _ => field,
    }
}

pub(crate) fn data_type(of: &Type) -> DataType {
    match of {
        Type::Text | Type::Json => DataType::Utf8,
        Type::Bool => DataType::Boolean,
        Type::Integer => DataType::Int64,
        Type::Int32 => DataType::Int32,
        Type::Int8 => DataType::Int8,
        Type::Number => DataType::Float64,
        Type::List(item) => DataType::List(field("item", item).into()),
        Type::Struct(keys) => DataType::Struct(fields(keys)),
    }
}

pub(crate) fn fields(keys: &[(&'static str, Type)]) -> Fields {
    keys.iter().map(|(name, of)| field(name, of)).collect()
}

fn feature(of: &Type) -> Value {
    let value = |dtype: &str| json!({ "dtype": dtype, "_type": "Value" });
    match of {
        Type::Text => value("string"),
        Type::Json => json!({ "_type": "Json" }),
        Type::Bool => value("bool"),
        Type::Integer => value("int64"),
        Type::Int32 => value("int32"),
        Type::Int8 => value("int8"),
        Type::Number => value("float64"),
        Type::List(item) => json!({ "feature": feature(item), "_type": "List" }),
        Type::Struct(keys) => keys.iter().map(|(name, of)| ((*name).to_owned(), feature(of))).collect(),
    }
}
