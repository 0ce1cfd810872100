//! What fills the slots of a sample, as a recipe says it: columns by their names, values inside them by paths, and templates
//! where a value has to be put together.

mod template;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    json,
    key::{Deciding, Encode, Encoder},
    leaf,
    row::{RawRow, Reason, Reject, Value},
    sample::Slot,
};

pub use template::Template;

/// What fills the slots, in the order of the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mapping {
    /// One entry a slot.
    pub entries: Vec<Entry>,
}

/// What fills one slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The slot.
    pub slot: Slot,
    /// The word that the recipe has for it.
    pub word: String,
    /// Where the value comes from.
    pub from: Origin,
}

/// Where the value of a slot comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A column, or a value inside it.
    Path(Path),
    /// A text that is put together.
    Template(Template),
}

/// A column, or a value inside it: `answers[0].text`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// The path as it is written, which a column of this very name comes before.
    text: String,
    /// The column.
    column: String,
    steps: Vec<Step>,
}

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list, from the end if it is negative.
    Item(i64),
}

impl Mapping {
    /// Whether the recipe says nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Maps one slot to a column.
    pub fn column(slot: Slot, column: &str) -> Self {
        let path = Path { text: column.to_owned(), column: column.to_owned(), steps: Vec::new() };
        Self { entries: vec![Entry { slot, word: slot.name().to_owned(), from: Origin::Path(path) }] }
    }
}

impl Entry {
    /// Returns the value for a row; `None` if the row has none.
    pub fn value<'a>(&self, row: &'a RawRow<'_>) -> Result<Option<Value<'a>>, Reject> {
        match &self.from {
            Origin::Path(path) => path.value(row),
            Origin::Template(template) => template.render(row).map(|text| Some(Value::String(Cow::Owned(text)))),
        }
    }

    /// Returns what rejects call the value.
    pub fn name(&self) -> &str {
        match &self.from {
            Origin::Path(path) => &path.text,
            Origin::Template(_) => &self.word,
        }
    }

    /// Returns a column that it needs and a source has not; a template may ask itself whether a column is there.
    pub fn lacks(&self, is_there: impl Fn(&str) -> bool) -> Option<&str> {
        match &self.from {
            Origin::Path(path) => (!path.is_in(is_there)).then_some(&path.column),
            Origin::Template(template) if template.text().contains("defined") => None,
            Origin::Template(template) => {
                template.columns().iter().map(String::as_str).find(|column| !is_there(column))
            }
        }
    }
}

/// A template is a list, so that it is never taken for a column of the same spelling.
impl Encode for Origin {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Path(path) => encoder.text(&path.text),
            Self::Template(template) => {
                encoder.list(2);
                encoder.text("template");
                encoder.text(template.text());
            }
        }
    }
}

/// Spells it as a recipe would: `answers[0].text`, `{ template: "Q: {{ q }}" }`. The two never look alike.
impl Deciding for Origin {
    fn shown(&self) -> Option<leaf::Value> {
        let quoted = |text: &str| serde_json::to_string(text).expect("a string is always JSON");
        Some(leaf::Value::Text(match self {
            Self::Path(path) if path.text.starts_with(['{', '"']) => quoted(&path.text),
            Self::Path(path) => path.text.clone(),
            Self::Template(template) => format!("{{ template: {} }}", quoted(template.text())),
        }))
    }
}

impl Path {
    /// Reads a path; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['.', '[']).unwrap_or(text.len());
        let (column, mut rest) = text.split_at(at);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                if end == 0 {
                    return Err("has an empty part".to_owned());
                }
                steps.push(Step::Key(after[..end].to_owned()));
                rest = &after[end..];
            } else {
                let after = &rest[1..];
                let Some((number, after)) = after.split_once(']') else {
                    return Err("has a `[` without a `]`".to_owned());
                };
                let number =
                    number.trim().parse().map_err(|_| format!("has `[{number}]`, which is no number of an item"))?;
                steps.push(Step::Item(number));
                if !after.is_empty() && !after.starts_with(['.', '[']) {
                    return Err("goes on behind a `]` without a `.`".to_owned());
                }
                rest = after;
            }
        }
        match column {
            "" => Err("has no column".to_owned()),
            column => Ok(Self { text: text.to_owned(), column: column.to_owned(), steps }),
        }
    }

    /// Returns whether a source whose rows have these columns may have the value.
    pub fn is_in(&self, is_there: impl Fn(&str) -> bool) -> bool {
        is_there(&self.text) || is_there(&self.column)
    }

    /// Returns the value for a row; `None` if the row has none.
    pub fn value<'a>(&self, row: &'a RawRow<'_>) -> Result<Option<Value<'a>>, Reject> {
        if let Some(value) = row.get(&self.text) {
            return Ok(Some(borrowed(value)));
        }
        // A string may hold JSON, as in CSV.
        let Some(Value::Json(text) | Value::String(text)) = row.get(&self.column).filter(|_| !self.steps.is_empty())
        else {
            return Ok(None);
        };
        let mut json: &'a str = text;
        for step in &self.steps {
            let Some(inside) = step.of(json) else { return Ok(None) };
            json = inside;
        }
        let not_text =
            |_| Reject::new(Reason::InvalidJson, format!("`{}` has an escape that is no character", self.text));
        json::value(json).map(Some).map_err(not_text)
    }
}

impl Step {
    fn of<'a>(&self, json: &'a str) -> Option<&'a str> {
        match self {
            Self::Key(key) => json::member(json, key),
            Self::Item(number) => {
                let items: Vec<&'a RawValue> = serde_json::from_str(json).ok()?;
                let at = if *number < 0 { items.len() as i64 + number } else { *number };
                usize::try_from(at).ok().and_then(|at| items.get(at)).map(|item| item.get())
            }
        }
    }
}

/// Returns a value that borrows from another.
pub fn borrowed<'a>(value: &'a Value<'_>) -> Value<'a> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Number(text) => Value::Number(Cow::Borrowed(text)),
        Value::String(text) => Value::String(Cow::Borrowed(text)),
        Value::Json(text) => Value::Json(Cow::Borrowed(text)),
        Value::Printed { kind, text } => Value::Printed { kind: Cow::Borrowed(kind), text: Cow::Borrowed(text) },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(path: &str, row: &str) -> Option<String> {
        let row = json::row(row).unwrap();
        let value = Path::parse(path).unwrap().value(&row).unwrap();
        value.map(|value| format!("{value:?}"))
    }

    #[test]
    fn paths_lead_into_values() {
        let row = r#"{"q":"a","r":{"g":"4","n":007},"l":[{"t":"x"},{"t":"y"}],"s":"[1, {\"k\":null}]","a.b":true}"#;
        let row = row.replace("007", "7.0");
        for (path, value) in [
            ("q", Some(r#"String("a")"#)),
            ("r.g", Some(r#"String("4")"#)),
            ("r.n", Some(r#"Number("7.0")"#)),
            ("r", Some(r#"Json("{\"g\":\"4\",\"n\":7.0}")"#)),
            ("l[0].t", Some(r#"String("x")"#)),
            ("l[-1].t", Some(r#"String("y")"#)),
            ("s[1].k", Some("Null")),
            ("a.b", Some("Bool(true)")),
            ("l[2].t", None),
            ("l[-3]", None),
            ("r.x", None),
            ("q.x", None),
            ("x", None),
        ] {
            assert_eq!(at(path, &row).as_deref(), value, "{path}");
        }
    }

    #[test]
    fn a_text_that_is_none_is_refused() {
        let row = json::row("{\"meta\":{\"sys\":\"\\ud800\"}}").unwrap();
        let value = Path::parse("meta.sys").unwrap();
        assert_eq!(value.value(&row).unwrap_err().reason, Reason::InvalidJson);
    }

    #[test]
    fn a_column_and_a_template_of_one_spelling_are_two_settings() {
        let path = |text| Origin::Path(Path::parse(text).unwrap());
        let template = |text| Origin::Template(Template::parse(text).unwrap());
        let all = [path("q"), template("q"), template("{{ q }}"), path(r#"{ template: "q" }"#), path("template q")];
        let encoded: BTreeSet<_> = all
            .iter()
            .map(|origin| {
                let mut encoder = Encoder::default();
                origin.encode(&mut encoder);
                encoder.finish()
            })
            .collect();
        let shown: BTreeSet<String> = all.iter().map(|origin| format!("{:?}", origin.shown())).collect();
        assert_eq!((encoded.len(), shown.len()), (all.len(), all.len()), "{shown:?}");
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        for (path, fault) in [
            ("", "has no column"),
            (".a", "has no column"),
            ("[0]", "has no column"),
            ("a..b", "has an empty part"),
            ("a.", "has an empty part"),
            ("a[", "has a `[` without a `]`"),
            ("a[x]", "has `[x]`, which is no number of an item"),
            ("a[0]b", "goes on behind a `]` without a `.`"),
        ] {
            assert_eq!(Path::parse(path).unwrap_err(), fault, "{path}");
        }
    }
}
