//! The schema of `model`.

use serde_json::{Value, json};

use super::{
    super::{
        check::SET_BY_DATAC,
        model::{Overlong, SpecialTokens, TrainOn},
    },
    parts::{boolean, integer, object, or_null, text, with_default, words},
    patterns::{NAME, REVISION, SOURCE},
};

/// Describes the model of a recipe.
pub(super) fn model() -> Value {
    with_overlong(
        &Overlong::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>(),
        "the model that rows are rendered and encoded for",
    )
}

/// Describes the model of an output, which makes no rows of its own.
pub(super) fn model_of_output() -> Value {
    with_overlong(&[Overlong::Reject.word()], "the model of this output alone: its own `model` instead of the recipe's")
}

fn with_overlong(overlong: &[&'static str], description: &str) -> Value {
    let source =
        || text("a repository of a model (`org/name`), or a folder of the workspace with its `tokenizer.json`", SOURCE);
    let mut revision = with_default(text("branch, tag or commit; pinned in datac.lock", REVISION), json!("main"));
    revision["minimum"] = json!(0);
    let whole = json!({
        "type": "object",
        "required": ["source"],
        "additionalProperties": false,
        "properties": object(&[
            ("source", source()),
            ("revision", or_null(revision)),
            ("template", or_null(text(
                "one of the model's chat templates by its name, or a file of the workspace that ends with `.jinja`", NAME,
            ))),
            ("arguments", json!({
                "description": "what the template is given, such as `enable_thinking: false`", "type": ["object", "null"],
                "propertyNames": { "not": { "enum": SET_BY_DATAC } },
            })),
            ("now", or_null(text(
                "the time that the template is told, where it asks for it: `2026-01-31`, or `2026-01-31T12:00:00`",
                r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2})?$",
            ))),
            ("train_on", or_null(with_default(
                words("which messages are trained on", TrainOn::ALL.iter().map(|(word, _)| *word)), json!("assistant"),
            ))),
            ("reasoning", boolean("whether reasoning is trained on", true)),
            ("end_of_turn", boolean("whether the token that ends a turn is trained on", true)),
            ("special_tokens", or_null(with_default(
                words("what is done with texts that hold control tokens", SpecialTokens::ALL.iter().map(|(word, _)| *word)),
                json!("reject"),
            ))),
            ("max_tokens", or_null(integer("the largest number of tokens of a sample; see `overlong`", 1))),
            ("overlong", or_null(with_default(
                words(
                    "what is done with samples of more than `max_tokens`: left out, shortened, or split",
                    overlong.iter().copied(),
                ),
                json!("reject"),
            ))),
        ]),
    });
    json!({
        "description": description,
        "anyOf": [source(), whole],
    })
}
