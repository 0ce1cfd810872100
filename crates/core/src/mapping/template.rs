//! Templates, the one place that knows minijinja: a text that is put together of a row's columns.
//!
//! A template sees the columns it names and nothing else: no files, no clock, no other templates. What it may do is bounded.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use minijinja::{Environment, UndefinedBehavior, Value as Jinja, value::ValueKind};
use serde::{Deserialize, Serialize};

use crate::row::{RawRow, Reason, Reject, Value};

/// Steps that rendering one row may take: enough for any dialogue, and for no endless loop.
const FUEL: u64 = 200_000;

/// The name that the only template of an environment has.
const NAME: &str = "template";

/// A template that was found to be one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Template {
    text: Arc<str>,
    columns: Vec<String>,
}

impl Template {
    /// Reads a template; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let environment = environment(text)?;
        let template = environment.get_template(NAME).map_err(|error| words(&error))?;
        let mut columns: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        columns.sort_unstable();
        columns.retain(|name| !environment.globals().any(|(global, _)| global == name));
        Ok(Self { text: text.into(), columns })
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
        for name in &self.columns {
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
        // `null` would be written as `none`, a list as its JSON: neither is what anyone wants to train on.
        ValueKind::None | ValueKind::Undefined => {
            Err(minijinja::Error::new(minijinja::ErrorKind::UndefinedError, "a value that is null or missing"))
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_template_owned(NAME, text.to_owned()).map_err(|error| words(&error))?;
    Ok(environment)
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
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Jinja::from(text.as_ref())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

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
