//! Filters and tests of Jinja2 that answer otherwise in minijinja.

use minijinja3::{
    Environment, Error, ErrorKind, State, filters,
    functions::Function,
    value::{FunctionArgs, FunctionResult, Kwargs, Rest, Value, ValueKind, ValueOrKwargs},
};

use super::{
    json, methods,
    text::{is_space, to_str},
    value::is_none,
};

/// Puts the filters and tests into an environment.
pub(crate) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("string", |value: Value| text_of(&value));
    environment.add_filter("trim", trim);
    environment.add_filter("indent", indent);
    generator(environment, "map", "__map", filters::map);
    generator(environment, "select", "__select", filters::select);
    generator(environment, "reject", "__reject", filters::reject);
    generator(environment, "selectattr", "__selectattr", filters::selectattr);
    generator(environment, "rejectattr", "__rejectattr", filters::rejectattr);
    environment.add_test("none", |value: Value| is_none(&value));
    environment.add_test("callable", |value: Value| value.kind() == ValueKind::Plain && !is_none(&value));
    environment.add_test("iterable", |value: Value| is_iterable(&value));
    // Jinja2: whatever has a length and items.
    environment.add_test("sequence", |value: Value| match value.kind() {
        ValueKind::Iterable => value.len().is_some(),
        _ => is_iterable(&value),
    });
}

fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), Seq | Map | String | Iterable | Undefined)
}

fn text_of(value: &Value) -> Result<String, Error> {
    to_str(value).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the value cannot be printed"))
}

/// Replaces a filter by one that returns a generator: gone once read, always true, without a length, nothing that `tojson`
/// writes. `None` counts as empty.
fn generator<F, R, A>(environment: &mut Environment<'static>, name: &'static str, original: &'static str, filter: F)
where
    F: Function<R, A>,
    R: FunctionResult,
    A: for<'a> FunctionArgs<'a>,
{
    environment.add_filter(original, filter);
    environment.add_filter(name, move |state: &mut State, value: Value, arguments: Rest<ValueOrKwargs>| {
        let mut all = vec![if is_none(&value) { Value::from(()) } else { value }];
        all.extend(arguments.into_values());
        let items: Vec<Value> = state.apply_filter(original, &all)?.try_iter()?.collect();
        Ok::<_, Error>(Value::make_one_shot_iterator(items.into_iter()))
    });
}

fn trim(value: Value, characters: Option<Value>) -> Result<String, Error> {
    let text = text_of(&value)?;
    let characters = characters.filter(|characters| !is_none(characters)).map(|characters| characters.to_string());
    let is_trimmed = |c: char| characters.as_ref().map_or_else(|| is_space(c), |characters| characters.contains(c));
    Ok(text.trim_matches(is_trimmed).to_owned())
}

/// `indent(text, width=4, first=False, blank=False)`; keeps a final newline, which minijinja drops.
fn indent(
    value: Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    named: Kwargs,
) -> Result<String, Error> {
    let flag = |placed: Option<bool>, name: &str| match placed {
        Some(flag) => Ok(flag),
        None => named.get::<Option<bool>>(name).map(Option::unwrap_or_default),
    };
    let width = match width {
        Some(width) => Some(width),
        None => named.get::<Option<Value>>("width")?,
    };
    let (first, blank) = (flag(first, "first")?, flag(blank, "blank")?);
    named.assert_all_used()?;
    let pad = match width {
        None => "    ".to_owned(),
        Some(width) => match width.as_str() {
            Some(pad) => pad.to_owned(),
            None => " ".repeat(usize::try_from(i64::try_from(width)?.clamp(0, 1024)).unwrap_or(0)),
        },
    };
    let text = value.to_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "indent needs a string"))?;
    // Jinja2 adds a newline, so that an empty last line is one.
    let text = format!("{text}\n");
    let mut out = String::with_capacity(text.len());
    if first {
        out.push_str(&pad);
    }
    for (index, line) in methods::lines(&text, false).into_iter().enumerate() {
        if index > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&pad);
            }
        }
        out.push_str(line);
    }
    Ok(out)
}
