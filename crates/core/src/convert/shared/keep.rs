//! Columns that a sample keeps: the one way to add one, so that no key stands in a row twice.

use std::borrow::Cow;

use super::beside;
use crate::{
    row::{Reason, Reject, Value},
    sample::{Body, Json, Sample, SampleKind},
};

/// Adds a value to a sample under `name`, in the sample's place of that name or as a column; returns whether there was room.
///
/// There is none where the row has a key of that name already, unless it says the same. `known` is the number of columns that
/// are compared: a caller that adds many, which have different names, gives those that stood there before.
pub(in crate::convert) fn keep<'a>(
    sample: &mut Sample<'a>,
    known: usize,
    name: Cow<'a, str>,
    value: &Value<'_>,
) -> Result<bool, Reject> {
    let not_json = || Reject::new(Reason::InvalidJson, format!("`{name}` is to be kept and is not JSON"));
    if let Some((_, there)) = sample.columns.iter().take(known).find(|(of, _)| *of == name) {
        return Ok(Json::of(value).is_some_and(|json| json == *there));
    }
    let is_prompt = matches!(sample.body, Body::Prompt { .. });
    match (&*name, value) {
        ("tools", _) if sample.kind() != SampleKind::Text => {
            return Ok(beside::tools_of(&name, value)?.is_none_or(|tools| put(&mut sample.tools, tools)));
        }
        ("answer", Value::String(text)) if is_prompt => {
            return Ok(put(&mut sample.answer, Cow::Owned(text.clone().into_owned())));
        }
        ("label", Value::Bool(label)) => return Ok(put(&mut sample.label, *label)),
        ("margin", Value::Number(_)) => return Ok(put(&mut sample.margin, Json::of(value).ok_or_else(not_json)?)),
        // Another type is a column, unless the place of its name is taken.
        ("answer", _) if is_prompt && sample.answer.is_some() => return Ok(false),
        ("label", _) if sample.label.is_some() => return Ok(false),
        ("margin", _) if sample.margin.is_some() => return Ok(false),
        _ => {}
    }
    if sample.kind().keys().contains(&&*name) {
        return Ok(false);
    }
    let json = Json::of(value).ok_or_else(not_json)?;
    sample.columns.push((name, json));
    Ok(true)
}

/// Fills a place unless something else stands there.
fn put<T: PartialEq>(place: &mut Option<T>, value: T) -> bool {
    match place {
        Some(there) => *there == value,
        None => {
            *place = Some(value);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        json,
        sample::{Message, Role},
        shape,
    };

    #[test]
    fn no_key_stands_in_a_row_twice() {
        let prompt = || Sample {
            answer: Some("4".into()),
            columns: vec![("images".into(), Json::new("[1]").unwrap())],
            ..Sample::prompt(vec![Message::new(Role::User, "q")])
        };
        for (name, value, is_kept) in [
            ("id", "7", true),
            ("answer", "7", false),
            ("answer", r#""4""#, true),
            ("answer", r#""5""#, false),
            ("images", "[1]", true),
            ("images", "[2]", false),
            ("source", r#""web""#, false),
            ("conversations", "[]", false),
            ("margin", "0.5", true),
            ("margin", r#""much""#, true),
            ("label", "true", true),
            ("label", r#""good""#, true),
            ("tools", r#"[{"name":"f"}]"#, true),
            ("tools", r#""[{\"name\":\"f\"}]""#, true),
        ] {
            let mut sample = prompt();
            assert_eq!(keep(&mut sample, 1, name.into(), &json::value(value).unwrap()), Ok(is_kept), "{name}: {value}");
            let row = shape::row_of(shape::DEFAULT, &sample, "s").unwrap();
            assert!(json::row(&row).is_ok(), "{row}");
        }
        let mut sample = prompt();
        let tools = json::value(r#""[{\"name\":\"f\"}]""#).unwrap();
        assert_eq!(keep(&mut sample, 1, "tools".into(), &tools), Ok(true));
        assert_eq!(sample.tools.unwrap().as_str(), r#"[{"name":"f"}]"#, "tools are a list");
        let wrong = keep(&mut prompt(), 1, "tools".into(), &json::value(r#""none""#).unwrap());
        assert_eq!(wrong.unwrap_err().reason, Reason::WrongType);
    }
}
