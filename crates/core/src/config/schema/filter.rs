//! The schemas of filters, from the keys that scorers declare.

use serde_json::{Value, json};

use super::{
    super::{Function, check::language_codes},
    parts::{given, integer, names, object, or_null, text, with_default, words},
    patterns::{COLUMN, FUNCTION, NAME, PATH},
};
use crate::quality::{
    self, BoundSpec, Ends, FunctionKeys, Key, LanguageKeys, MIN_CERTAINTY, ScoreKind, Unknown, ValueKeys,
};

pub(super) fn filters() -> Vec<Value> {
    quality::filters().map(filter).collect()
}

/// Returns the schema of a filter, from the keys that its scorer declares.
pub(super) fn filter(scorer: ScoreKind) -> Value {
    let (mut keys, mut required, mut any_of) = (vec![("type", json!({ "const": scorer.name() }))], vec!["type"], None);
    match scorer.bound() {
        BoundSpec::Count(ends) => any_of = with_ends(&mut keys, &mut required, ends, |about| integer(about, 0)),
        BoundSpec::Fraction(ends) => {
            let score = |about: &str| json!({ "description": about, "type": "number", "minimum": 0, "maximum": 1 });
            any_of = with_ends(&mut keys, &mut required, ends, score);
        }
        BoundSpec::Language(LanguageKeys { languages, min_certainty, unknown }) => {
            keys.push((languages.name, names(languages.about, &json!({ "enum": language_codes() }))));
            required.push(languages.name);
            keys.push((
                min_certainty.name,
                json!({
                    "description": min_certainty.about, "default": MIN_CERTAINTY,
                    "type": ["number", "null"], "minimum": 0, "maximum": 1,
                }),
            ));
            let policies = words(unknown.about, Unknown::ALL.iter().map(|(word, _)| *word));
            keys.push((unknown.name, or_null(with_default(policies, json!("keep")))));
        }
        BoundSpec::Function(FunctionKeys { python, min, max, missing, files, timeout }) => {
            // The function says what the filter does.
            keys[0].1 = json!({ "enum": [scorer.name(), null] });
            required = vec![python.name];
            keys.push((python.name, json!({ "description": python.about, "type": "string", "pattern": FUNCTION })));
            keys.extend(
                [min, max].map(|key| (key.name, json!({ "description": key.about, "type": ["number", "null"] }))),
            );
            let policies = words(missing.about, Unknown::ALL.iter().map(|(word, _)| *word));
            keys.push((missing.name, or_null(with_default(policies, json!("drop")))));
            let file = text("a file of the workspace, or several by wildcards", PATH);
            keys.push((files.name, or_null(names(files.about, &file))));
            keys.push((timeout.name, or_null(with_default(integer(timeout.about, 1), json!(Function::TIMEOUT)))));
        }
        BoundSpec::Identity(key, methods) => {
            let methods = with_default(words(key.about, methods.iter().copied()), json!(methods[0]));
            keys.push((key.name, or_null(methods)));
        }
        BoundSpec::Value(ValueKeys { column, min, max, is, one_of, missing }) => {
            let number = |about: &str| json!({ "description": about, "type": ["number", "null"] });
            keys.push((column.name, text(column.about, COLUMN)));
            required.push(column.name);
            keys.extend([min, max].map(|key| (key.name, number(key.about))));
            keys.push((is.name, or_null(text(is.about, NAME))));
            keys.push((one_of.name, or_null(names(one_of.about, &text("a value", NAME)))));
            let policies = words(missing.about, Unknown::ALL.iter().map(|(word, _)| *word));
            keys.push((missing.name, or_null(with_default(policies, json!("drop")))));
            let without =
                |other: &[Key]| -> Value { other.iter().map(|key| json!({ "not": given(key.name) })).collect() };
            any_of = Some(json!([
                { "anyOf": [given(min.name), given(max.name)], "allOf": without(&[is, one_of]) },
                { "allOf": [given(is.name), { "allOf": without(&[min, max, one_of]) }] },
                { "allOf": [given(one_of.name), { "allOf": without(&[min, max, is]) }] },
            ]));
        }
    }
    if !scorer.units().is_empty() {
        let units = words("what is counted", scorer.units().iter().map(|(word, _)| *word));
        keys.push(("unit", or_null(with_default(units, json!(scorer.units()[0].0)))));
    }
    let mut filter = json!({
        "title": scorer.name(), "description": scorer.explain(),
        "type": "object", "required": required, "additionalProperties": false, "properties": object(&keys),
    });
    if let Some(any_of) = any_of {
        filter["anyOf"] = any_of;
    }
    filter
}

/// Adds the keys of `ends`. A single key is required; of two, at least one is, as the returned `anyOf` says.
pub(super) fn with_ends(
    keys: &mut Vec<(&'static str, Value)>,
    required: &mut Vec<&'static str>,
    ends: Ends,
    value: impl Fn(&str) -> Value,
) -> Option<Value> {
    let keys_given: Vec<Key> = [ends.min, ends.max].into_iter().flatten().collect();
    if let [key] = keys_given[..] {
        keys.push((key.name, value(key.about)));
        required.push(key.name);
        return None;
    }
    keys.extend(keys_given.iter().map(|key| (key.name, or_null(value(key.about)))));
    Some(keys_given.iter().map(|key| given(key.name)).collect())
}
