//! The JSON Schema of `datac.toml`, for editors.

use serde_json::{Map, Value, json};

use super::{
    super::{defaults, schema::patterns::NAME},
    Described, MAX_JOBS, SETTINGS, SettingKind,
};

/// Name of the schema of `datac.toml`. The number changes if the schema would refuse a file that was valid before.
pub const SETTINGS_SCHEMA: &str = "datac.settings/1";

const SIZE: &str = r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([KkMmGgTt]([Ii]?[Bb])?|[Bb])?\s*$";
const AGE: &str = r"^\s*(0|([0-9]+\.?[0-9]*|\.[0-9]+)\s*[SsMmHhDdWw])\s*$";

/// Returns the JSON Schema (draft 7, which all editors support) of `datac.toml`.
///
/// ```
/// let schema = datac_core::config::settings_schema();
/// assert_eq!(schema["properties"]["cache"]["properties"]["gc"]["type"], "boolean");
/// ```
pub fn settings_schema() -> Value {
    let mut properties = Map::new();
    for described in SETTINGS {
        let keys = match described.table {
            None => &mut properties,
            Some(table) => {
                let table = properties
                    .entry(table)
                    .or_insert_with(|| json!({ "type": "object", "additionalProperties": false, "properties": {} }));
                table["properties"].as_object_mut().expect("it was made as an object")
            }
        };
        keys.insert(described.key.to_owned(), schema_of(described));
    }
    properties.insert(defaults::TABLE.to_owned(), defaults::schema());
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "datac.toml",
        "description": "Settings of a datac workspace. Options of the command line and environment variables override them.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn schema_of(described: &Described) -> Value {
    let mut schema = match described.kind {
        SettingKind::Text => {
            json!({ "type": "string", "pattern": NAME })
        }
        SettingKind::Switch => json!({ "type": "boolean" }),
        SettingKind::Threads => json!({ "type": "integer", "minimum": 1, "maximum": MAX_JOBS }),
        SettingKind::Size => json!({ "type": ["string", "integer"], "pattern": SIZE, "minimum": 0 }),
        SettingKind::Age => json!({ "type": ["string", "integer"], "pattern": AGE, "minimum": 0, "maximum": 0 }),
    };
    let text = format!(
        "{} Default: {}. Overridden by {} and {}.",
        described.explain, described.default, described.variable, described.option
    );
    schema["description"] = text.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_settings;

    #[test]
    fn the_schema_refuses_what_the_checker_refuses() {
        let validator = jsonschema::validator_for(&settings_schema()).unwrap();
        let settings = [
            json!({ "hub": "sample", "offline": true, "build": { "jobs": 8, "locked": false } }),
            json!({ "cache": { "dir": "a", "gc": true, "max_size": "10GB", "max_age": "30d" }, "outputs": { "dir": "b" } }),
            json!({ "cache": { "max_size": 4096, "max_age": 0 } }),
            json!({ "cache": { "max_size": "2GiB", "max_age": "0" } }),
            json!({ "defaults": { "max_rejects": "1%", "validation": { "seed": 7 }, "rules": { "no_user": "fail" } } }),
            json!({ "defaults": { "output": ["trl"], "mix": { "deduplicate": "row" } } }),
            json!({}),
            json!({ "hub": "" }),
            json!({ "hub": 1 }),
            json!({ "hubb": "x" }),
            json!({ "offline": "true" }),
            json!({ "build": { "jobs": 0 } }),
            json!({ "build": { "jobs": 1025 } }),
            json!({ "build": 1 }),
            json!({ "cache": { "max_size": "10 QB" } }),
            json!({ "cache": { "max_size": -1 } }),
            json!({ "cache": { "max_age": 30 } }),
            json!({ "cache": { "max_age": "30" } }),
            json!({ "cache": { "hub": "x" } }),
            json!({ "defaults": { "seed": 7 } }),
            json!({ "defaults": { "validation": { "seed": "x" } } }),
            json!({ "defaults": { "validation": { "split": "test" } } }),
            json!({ "defaults": { "rules": { "no_user": "repair" } } }),
        ];
        for (number, value) in settings.iter().enumerate() {
            let is_sound = load_settings("datac.toml", toml_of(value).as_bytes()).is_ok();
            assert_eq!(is_sound, number < 7, "{value}");
            assert_eq!(validator.is_valid(value), is_sound, "{value}");
        }
    }

    /// Writes settings as TOML: JSON is TOML but for the colons of objects.
    fn toml_of(value: &Value) -> String {
        fn inline(value: &Value) -> String {
            match value {
                Value::Object(entries) => {
                    let entries: Vec<String> =
                        entries.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
                    format!("{{ {} }}", entries.join(", "))
                }
                other => other.to_string(),
            }
        }
        let entries = value.as_object().unwrap().iter();
        entries.map(|(key, value)| format!("{key} = {}\n", inline(value))).collect()
    }
}
