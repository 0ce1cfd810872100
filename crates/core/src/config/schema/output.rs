//! The schemas of `output` and `expect`: what is written, and what it is to be like.

use serde_json::{Value, json};

use super::{
    model::model_of_output,
    parts::{amount, boolean, integer, object, or_null, text, with_default},
    patterns::{GROUPED, OUTPUT, PERCENT},
};
use crate::{
    outputs::{Container, Layout},
    shape::SHAPES,
};

/// Describes what rows are written as: a shape, an entry, or a list of them.
pub(super) fn outputs() -> Value {
    let shapes: Vec<&str> = SHAPES.iter().map(|shape| shape.name()).collect();
    let of_tokens: Vec<&str> = SHAPES.iter().filter(|shape| shape.is_of_tokens()).map(|shape| shape.name()).collect();
    let word = |description: &str, words: &mut dyn Iterator<Item = &'static str>| {
        or_null(json!({ "description": description, "enum": words.collect::<Vec<_>>() }))
    };
    let entry = json!({
        "type": "object",
        "required": ["shape"],
        "additionalProperties": false,
        "properties": object(&[
            ("shape", json!({ "description": "what a row looks like: for which trainer", "enum": shapes })),
            ("name", or_null(text("what tells it from other outputs of its shape; part of the name of its folder", OUTPUT))),
            ("model", or_null(model_of_output())),
            (
                "container",
                word("the file format; default: what suits the trainer best", &mut Container::ALL.iter().map(|(word, _)| *word)),
            ),
            ("shards", or_null(with_default(
                json!({
                    "description": "how many files each side has", "anyOf": [
                        { "type": "integer", "minimum": 1, "maximum": 99_999 }, { "type": "string", "pattern": GROUPED },
                    ],
                }),
                json!(1),
            ))),
            (
                "layout",
                word("`hub`: a folder that `load_dataset` opens", &mut Layout::ALL.iter().map(|(word, _)| *word)),
            ),
            ("id", boolean("whether each row has an `id`, which `datac trace --id` takes", false)),
            ("pack", or_null(json!({
                "description": "packs several samples in a row of at most this many tokens; of the shape `tokens`",
                "anyOf": [
                    { "type": "integer", "minimum": 1, "maximum": 4_194_304 }, { "type": "string", "pattern": GROUPED },
                ],
            }))),
        ]),
        // Only ids are those of a model.
        "anyOf": [
            { "properties": { "shape": { "enum": of_tokens } } },
            { "properties": { "model": { "type": "null" } } },
        ],
    });
    let one = json!({ "enum": shapes });
    json!({
        "description": "what rows are written as: a shape such as `trl`, an entry, or a list of them; default: `native`",
        "anyOf": [one, entry, { "type": "array", "minItems": 1, "items": { "anyOf": [one, entry] } }],
    })
}

pub(super) fn expect() -> Value {
    let share = || {
        json!({ "description": "a share of the mixture", "anyOf": [
            { "type": "number", "minimum": 0, "maximum": 1 }, { "type": "string", "pattern": PERCENT },
        ] })
    };
    // A single value stands for both bounds.
    let limits = |description: &str, bound: Value| {
        let both = json!({
            "type": "object", "minProperties": 1, "additionalProperties": false,
            "properties": { "min": or_null(bound.clone()), "max": or_null(bound.clone()) },
        });
        let mut choices = bound["anyOf"].as_array().cloned().unwrap_or_default();
        choices.push(both);
        or_null(json!({ "description": description, "anyOf": choices }))
    };
    let count = || integer("a number", 0);
    let some = || amount("a count, or a share");
    json!({
        "description": "what the result is to be like: a number, or `min` and `max`; otherwise the build of the recipe fails",
        "type": "object",
        "additionalProperties": false,
        "properties": object(&[
            ("rows", limits("rows of all sides", count())),
            ("train_rows", limits("rows of the train side", count())),
            ("validation_rows", limits("rows of the validation side", count())),
            ("test_rows", limits("rows of the test side", count())),
            ("rejects", limits("rejected rows, or their share of the rows read", some())),
            ("characters", limits("characters of all rows, as `unit: characters` counts them", count())),
            ("tokens", limits("tokens of all rows, as `unit: tokens` counts them", count())),
            (
                "repeated_prompts",
                limits("rows of the train side with the prompt of an earlier row, or their share of that side", some()),
            ),
            ("shares", or_null(json!({
                "description": "shares of sources in the mixture, by their names", "type": "object",
                "additionalProperties": limits("the share of this source", share()),
            }))),
        ]),
    })
}
