//! JSON values as templates see them.

use std::fmt;

use minijinja3::value::{Value, ValueKind};

use crate::python;

/// A JSON value as a template sees it: numbers are what they were written as (`1` an integer of any size, `1.0` a float), and
/// keys of objects keep their order.
///
/// ```
/// let value = datac_model::Json::parse(r#"{"b": 1.0, "a": 1180591620717411303424}"#)?;
/// assert_eq!(value.to_string(), r#"{"b": 1.0, "a": 1180591620717411303424}"#);
/// # Ok::<(), datac_model::JsonError>(())
/// ```
///
/// Cloning is cheap: lists, objects and long strings are shared.
#[derive(Clone, Debug)]
pub struct Json(pub(crate) Value);

/// Why a text is no JSON value that templates can see.
#[derive(Debug, thiserror::Error)]
#[error("invalid JSON: {0}")]
pub struct JsonError(#[source] pub(crate) serde_json::Error);

impl Json {
    /// Reads a JSON text, as Python's `json.loads` reads it.
    ///
    /// # Errors
    /// If the text is not JSON, holds half of a surrogate pair, or is nested more than 200 levels deep.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        python::json::read(text).map(Self).map_err(JsonError)
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// Returns whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        (self.0.kind() == ValueKind::Bool).then(|| self.0.is_true())
    }

    /// Returns the value of a number, rounded to a float.
    pub fn as_f64(&self) -> Option<f64> {
        if self.0.is_number() { f64::try_from(self.0.clone()).ok() } else { None }
    }

    /// Returns the items of a list.
    pub fn items(&self) -> Option<Vec<Json>> {
        (self.0.kind() == ValueKind::Seq).then(|| self.0.try_iter().into_iter().flatten().map(Self).collect())
    }

    /// Returns the keys of an object with their values, in order.
    pub fn pairs(&self) -> Option<Vec<(String, Json)>> {
        if self.0.kind() != ValueKind::Map {
            return None;
        }
        let keys = self.0.try_iter().into_iter().flatten();
        Some(keys.map(|key| (key.to_string(), Self(self.0.get_item(&key).unwrap_or_default()))).collect())
    }

    /// Returns what an object has under a key.
    pub fn get(&self, key: &str) -> Option<Json> {
        if self.0.kind() != ValueKind::Map {
            return None;
        }
        self.0.get_attr(key).ok().filter(|value| !value.is_undefined()).map(Self)
    }

    /// An object of these keys.
    pub fn object(pairs: impl IntoIterator<Item = (String, Json)>) -> Self {
        Self(Value::from_pairs(pairs.into_iter().map(|(key, value)| (key, value.0))))
    }
}

impl fmt::Display for Json {
    /// Writes the value as `json.dumps` with `ensure_ascii=False` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = python::json::tojson(self.0.clone(), minijinja3::value::Rest(Vec::new()));
        f.write_str(written.map_err(|_| fmt::Error)?.as_str().unwrap_or_default())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self(Value::from(text))
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self(Value::from(text))
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self(Value::from(value))
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self(Value::from(value))
    }
}

impl From<Vec<Json>> for Json {
    fn from(items: Vec<Json>) -> Self {
        Self(Value::from(items.into_iter().map(|item| item.0).collect::<Vec<_>>()))
    }
}
