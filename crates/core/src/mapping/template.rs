//! Templates, the one place that knows minijinja: a text that is put together of a row's columns.
//!
//! A template sees the columns it names and nothing else: no files, no clock, no other templates. What it may do is bounded.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use minijinja::{
    Environment, UndefinedBehavior, Value as Jinja,
    value::{Enumerator, Object, ObjectRepr, ValueKind},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    json,
    row::{RawRow, Reason, Reject, Value},
};

/// Steps that rendering one row may take: enough for any dialogue, and for no endless loop.
const FUEL: u64 = 200_000;

/// The name that the only template of an environment has.
const NAME: &str = "template";

/// A template that was found to be one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Template {
    text: Arc<str>,
    columns: Vec<String>,
    /// Names that are columns where a row has them, and else functions of the language, such as `range`.
    functions: Vec<String>,
}

impl Template {
    /// Reads a template; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let environment = environment(text)?;
        let template = environment.get_template(NAME).map_err(|error| words(&error))?;
        let mut columns: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        columns.sort_unstable();
        let is_function = |name: &String| environment.globals().any(|(global, _)| global == name);
        let (functions, columns) = columns.into_iter().partition(is_function);
        unknown_name(text)?;
        Ok(Self { text: text.into(), columns, functions })
    }

    /// Returns the template as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the columns that it names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Puts the text together for a row.
    pub fn render(&self, row: &RawRow<'_>) -> Result<String, Reject> {
        thread_local! {
            // The last one is nearly always the next one: a chunk has one mapping.
            static PARSED: RefCell<Vec<(Arc<str>, Environment<'static>)>> = const { RefCell::new(Vec::new()) };
        }
        let mut context = BTreeMap::new();
        for name in self.columns.iter().chain(&self.functions) {
            if let Some(value) = row.get(name) {
                context.insert(name.as_str(), jinja(value));
            }
        }
        let rendered = PARSED.with_borrow_mut(|parsed| {
            let at = match parsed.iter().position(|(text, _)| *text == self.text) {
                Some(at) => at,
                None => {
                    const KEPT: usize = 16;
                    parsed.truncate(KEPT);
                    parsed.insert(0, (self.text.clone(), environment(&self.text)?));
                    0
                }
            };
            let template = parsed[at].1.get_template(NAME).map_err(|error| words(&error))?;
            template.render(context).map_err(|error| words(&error))
        });
        rendered.map_err(|why| Reject::new(Reason::WrongType, format!("the template cannot be filled: {why}")))
    }
}

fn environment(text: &str) -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_keep_trailing_newline(true);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_formatter(|out, state, value| match value.kind() {
        // `null` would be written as `none`, which nobody wants to train on. Lists and objects are written much as in JSON.
        ValueKind::None | ValueKind::Undefined => {
            Err(minijinja::Error::new(minijinja::ErrorKind::UndefinedError, "a value that is null or missing"))
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_template_owned(NAME, text.to_owned()).map_err(|error| words(&error))?;
    Ok(environment)
}

/// Returns an error if a template uses a filter, a test or a function that there is none of, as far as it is seen without a row:
/// what stands where only some rows come to is told of those.
fn unknown_name(text: &str) -> Result<(), String> {
    let mut environment = environment(text)?;
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_formatter(|_, _, _| Ok(()));
    let rendered = environment.get_template(NAME).and_then(|template| template.render(()));
    use minijinja::ErrorKind::{UnknownFilter, UnknownTest};
    match rendered {
        Err(error) if matches!(error.kind(), UnknownFilter | UnknownTest) => Err(words(&error)),
        _ => Ok(()),
    }
}

/// What an error says on one line, without the name of the template.
fn words(error: &minijinja::Error) -> String {
    let detail = error.detail().map(str::to_owned).unwrap_or_else(|| error.kind().to_string());
    match error.line() {
        Some(line) => format!("{detail} (line {line})"),
        None => detail,
    }
}

/// A value as templates see it; numbers that no machine number holds are texts.
fn jinja(value: &Value<'_>) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(text) => match text.parse::<i64>() {
            Ok(number) => Jinja::from(number),
            // Printed as it is written: `1.0` stays `1.0`, and 1e400 does not become infinite.
            Err(_) => match text.parse::<f64>() {
                Ok(number) if Jinja::from(number).to_string() == **text => Jinja::from(number),
                _ => Jinja::from(text.as_ref()),
            },
        },
        Value::String(text) | Value::Printed { text, .. } => Jinja::from(text.as_ref()),
        Value::Json(text) => inside(text, 0),
    }
}

/// A list or an object as templates see it: numbers as they are written, keys in their order.
fn inside(json: &str, depth: usize) -> Jinja {
    /// Lists within lists may be as deep as a row is long, the stack is not.
    const DEEPEST: usize = 64;
    let value = |raw: &RawValue| match json::value(raw.get()) {
        Ok(Value::Json(text)) if depth < DEEPEST => inside(&text, depth + 1),
        Ok(Value::Json(text)) => Jinja::from(text.as_ref()),
        Ok(value) => jinja(&value),
        Err(_) => Jinja::from(raw.get()),
    };
    if let Some(fields) = json::members(json) {
        return Jinja::from_object(Ordered(
            fields.into_iter().map(|(name, raw)| (Jinja::from(name.as_ref()), value(raw))).collect(),
        ));
    }
    match serde_json::from_str::<Vec<&RawValue>>(json) {
        Ok(items) => Jinja::from(items.into_iter().map(value).collect::<Vec<_>>()),
        Err(_) => Jinja::from(json),
    }
}

/// An object whose keys keep their order.
#[derive(Debug)]
struct Ordered(Vec<(Jinja, Jinja)>);

impl Object for Ordered {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        // Of a key that stands there twice the last counts, as in most readers of JSON.
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, row: &str) -> Result<String, String> {
        let row = json::row(row).unwrap();
        Template::parse(template).unwrap().render(&row).map_err(|reject| reject.detail)
    }

    #[test]
    fn texts_are_put_together() {
        let row = r#"{"q":"Which?\n","c":["a","<b>"],"n":7,"x":1.0,"o":{"k":"v"}}"#;
        assert_eq!(
            rendered("{{ q }}{% for c in c %}\n{{ \"ABCD\"[loop.index0] }}. {{ c }}\n{% endfor %}", row).unwrap(),
            "Which?\nA. a\nB. <b>\n"
        );
        assert_eq!(rendered("{{ n }} {{ x }} {{ o.k }} {{ q | trim | upper }}", row).unwrap(), "7 1.0 v WHICH?");
    }

    #[test]
    fn filters_and_tests_that_there_are_none_of_are_found_without_a_row() {
        for (template, told) in [
            ("{{ q | tojson }}", "tojson"),
            ("{{ q | trim | uper }}", "uper"),
            ("{% if q is odd_one %}{{ q }}{% endif %}", "odd_one"),
        ] {
            let why = Template::parse(template).unwrap_err();
            assert!(why.contains(told), "{template}: {why}");
        }
        for template in
            ["{{ q.a.b | join(', ') }}", "{{ q + 1 }}", "{{ q() }}", "{% for k in q | items %}{{ k }}{% endfor %}"]
        {
            assert!(Template::parse(template).is_ok(), "{template}: rows may well have what it needs");
        }
    }

    #[test]
    fn values_inside_columns_are_as_they_are_written() {
        let row = r#"{"o":{"z":12345678901234567890123,"b":[1.0,"x",{"y":null}],"a":1e400}}"#;
        assert_eq!(
            rendered("{{ o.z }} {{ o.b[0] }} {{ o.a }} {{ o.b[1] }}", row).unwrap(),
            "12345678901234567890123 1.0 1e400 x"
        );
        assert_eq!(rendered("{% for k, v in o | items %}{{ k }}{% endfor %}", row).unwrap(), "zba");
        assert_eq!(rendered("{% for k in o %}{{ k }}{% endfor %}{{ o.b | length }}", row).unwrap(), "zba3");
        assert!(rendered("{{ o.b[2].y }}", row).is_err(), "null has no text");
        let deep = format!(r#"{{"o":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(rendered("{{ o | length }}", &deep).unwrap(), "1");
    }

    #[test]
    fn a_column_may_have_the_name_of_a_function() {
        let row = r#"{"range":"7 km","dict":"d"}"#;
        assert_eq!(rendered("{{ range }} {{ dict }}", row).unwrap(), "7 km d");
        assert_eq!(rendered("{% for i in range(2) %}{{ i }}{% endfor %}", "{}").unwrap(), "01");
        assert_eq!(Template::parse("{{ range(2) }}{{ q }}").unwrap().columns(), ["q"]);
    }

    #[test]
    fn a_template_names_its_columns() {
        let template =
            Template::parse("{% set y = a %}{{ a }}{{ y }}{% for c in b.list %}{{ c }}{% endfor %}").unwrap();
        assert_eq!(template.columns(), ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_filled_is_a_reject() {
        for (template, row) in [
            ("{{ q }}", r#"{"x":1}"#),
            ("{{ q }}", r#"{"q":null}"#),
            ("{{ q.x }}", r#"{"q":{}}"#),
            ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "{}"),
        ] {
            assert!(rendered(template, row).unwrap_err().starts_with("the template cannot be filled"), "{template}");
        }
    }

    #[test]
    fn templates_that_are_none_are_refused() {
        for text in ["{{ q", "{% for %}", "{% include 'x' %}{% endif %}", "{{ q | nosuch }}"] {
            let parsed = Template::parse(text);
            assert!(parsed.is_err() || text.contains("nosuch"), "{text}: {parsed:?}");
        }
    }
}
