//! The schemas of `validation` and `test`.

use serde_json::{Value, json};

use super::{
    super::{
        Vocabulary,
        recipe::{Overlap, SplitMethod},
    },
    dataset::unmixed,
    parts::{boolean, given, integer, names, object, or_null, share, text, with_default, words},
    patterns::SPLIT,
};

pub(super) fn validation(vocabulary: &Vocabulary) -> Value {
    let methods = SplitMethod::ALL.iter().map(|(word, _)| *word);
    let own = vec![
        ("ratio", share("the share of rows for validation, at least 0 and below 1")),
        ("seed", or_null(with_default(integer("seeds the split and the order", 0), json!(42)))),
        ("stratified", boolean("with `exact`, each source gives its own share", true)),
        (
            "method",
            or_null(with_default(
                words(
                    "`hash`: by the prompt's hash alone, so new rows move no old ones; `exact`: exactly floor(rows × ratio) rows",
                    methods,
                ),
                json!("hash"),
            )),
        ),
        ("normalise", boolean("prompts that differ in case and white space alone are on one side", false)),
    ];
    held(
        "how rows are divided: a share of the mixture, a source of its own, another split of each dataset, or `none`",
        own,
        vocabulary,
    )
}

pub(super) fn test(vocabulary: &Vocabulary) -> Value {
    let own = vec![("ratio", share("the share of rows for the test side, at least 0 and below 1"))];
    held(
        "a third side: a share of the mixture, a source of its own, another split of each dataset, or `none`",
        own,
        vocabulary,
    )
}

/// Describes a block that takes rows of the mixture or names a source of its own.
pub(super) fn held(description: &str, mut own: Vec<(&str, Value)>, vocabulary: &Vocabulary) -> Value {
    let overlap = Overlap::ALL.iter().map(|(word, _)| *word);
    own.push(("split", or_null(names("other splits of each dataset", &text("a split", SPLIT)))));
    own.push((
        "overlap",
        or_null(with_default(
            words("what becomes of rows of the mixture whose prompts are on this side", overlap),
            json!("remove"),
        )),
    ));
    let mut source = unmixed(vocabulary);
    source["properties"]["name"]["description"] =
        json!("the `source` written into each row; default: the name of the side");
    let of_source: Vec<Value> = source["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "splits")
        .map(|(key, _)| given(key))
        .collect();
    let mut rules = vec![
        json!({ "not": { "allOf": [given("ratio"), given("source")] } }),
        json!({ "not": { "allOf": [given("ratio"), given("split")] } }),
        json!({ "not": { "allOf": [given("source"), given("split")] } }),
        json!({ "not": { "allOf": [given("ratio"), given("splits")] } }),
        json!({ "not": { "allOf": [given("split"), given("splits")] } }),
        json!({ "if": { "not": given("source") }, "then": { "not": { "anyOf": of_source } } }),
        json!({ "if": given("overlap"), "then": { "anyOf": [given("source"), given("split"), given("splits")] } }),
    ];
    rules.extend(source["allOf"].as_array().cloned().unwrap_or_default());
    let mut properties = object(&own);
    if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), source["properties"].take()) {
        properties.extend(more);
    }
    let rules: Vec<Value> = rules.into_iter().map(|rule| json!({ "if": { "type": "object" }, "then": rule })).collect();
    json!({
        "description": description,
        "type": ["object", "string", "null"],
        "pattern": "^none$",
        "additionalProperties": false,
        "properties": properties,
        "allOf": rules,
    })
}
