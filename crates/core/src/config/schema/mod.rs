//! The JSON Schema of recipes, for editors and other programs: what `check` accepts, as far as a schema can express
//! it.
//!
//! The schema never refuses what `check` accepts. What it cannot express (that shares sum to 1.0, that names are
//! unique) it allows. Keys, words and converters come from the tables that `check` uses; tests compare the two.

mod dataset;
mod filter;
mod model;
mod output;
mod parts;
pub(super) mod patterns;
mod sides;

use serde_json::{Value, json};

use super::{
    Vocabulary,
    check::PHASES,
    recipe::{Strategy, Unique, Unit},
};
use crate::{sample::SampleKind, shape::SHAPES};
use dataset::{converters_of, dataset, kinds, unmixed};
use filter::filters;
use model::model;
use output::{expect, outputs};
use parts::{amount, boolean, given, integer, object, or_null, text, with_default, words};
use patterns::{NAME, PROSE};
use sides::{test, validation};

/// Name of the schema of recipes. The number changes if the schema would refuse a recipe that was valid before.
pub const RECIPE_SCHEMA: &str = "datac.recipe/1";

/// Returns the JSON Schema (draft 7, which all editors support) of a recipe.
///
/// ```
/// let schema = datac_core::config::schema(&datac_core::config::Vocabulary::default());
/// assert_eq!(schema["required"], serde_json::json!(["metadata", "datasets"]));
/// ```
pub fn schema(vocabulary: &Vocabulary) -> Value {
    let mut of_kinds: Vec<Value> = kinds().map(|kind| converters_of(kind, vocabulary)).collect();
    // A single dataset is the whole mixture; with several, each needs its share.
    of_kinds.push(json!({
        "if": { "properties": { "datasets": { "type": "array", "minItems": 2 } } },
        "then": { "properties": { "datasets": { "items": {
            "required": ["mix_ratio"], "properties": { "mix_ratio": { "type": "number" } },
        } } } },
    }));
    // Ids are those of a model.
    let shapes: Vec<&str> = SHAPES.iter().filter(|shape| shape.is_of_tokens()).map(|shape| shape.name()).collect();
    let is_of_tokens = json!({ "anyOf": [
        { "enum": shapes },
        {
            "type": "object", "required": ["shape"],
            "properties": { "shape": { "enum": shapes }, "model": { "type": "null" } },
        },
    ] });
    of_kinds.push(json!({
        "if": { "required": ["output"], "properties": { "output": { "anyOf": [
            is_of_tokens, { "type": "array", "contains": is_of_tokens },
        ] } } },
        "then": { "required": ["model"], "properties": { "model": { "not": { "type": "null" } } } },
    }));
    // Texts are cut, and dialogues are not.
    let texts: Vec<&str> = PHASES.iter().filter(|(_, of)| *of == SampleKind::Text).map(|(word, _)| *word).collect();
    let (of_texts, of_dialogues) = (json!(["truncate_end", "truncate_start", "split"]), json!(["drop_turns"]));
    of_kinds.push(json!({
        "if": { "required": ["metadata"], "properties": { "metadata": {
            "type": "object", "required": ["phase"],
            "properties": { "phase": { "type": "string", "pattern": format!("^({})", texts.join("|")) } },
        } } },
        "then": { "properties": { "model": { "properties": { "overlong": { "not": { "enum": of_dialogues } } } } } },
        "else": { "properties": { "model": { "properties": { "overlong": { "not": { "enum": of_texts } } } } } },
    }));
    // What is too long has a length.
    let shortens = json!({ "required": ["overlong"], "properties": { "overlong": { "type": "string", "not": { "enum": ["reject"] } } } });
    let is_number = json!({ "not": { "type": "null" } });
    of_kinds.push(json!({
        "if": { "required": ["model"], "properties": { "model": { "type": "object", "allOf": [shortens] } } },
        "then": { "anyOf": [
            { "properties": { "model": { "required": ["max_tokens"], "properties": { "max_tokens": is_number } } } },
            { "properties": { "metadata": { "required": ["max_seq_length"], "properties": { "max_seq_length": is_number } } } },
        ] },
    }));
    // What is trained on is so by a model.
    let of_model = json!({ "properties": { "filters": { "type": "array", "contains": {
        "type": "object", "required": ["unit"], "properties": { "unit": { "enum": ["trained_tokens"] } },
    } } }, "required": ["filters"] });
    of_kinds.push(json!({
        "if": { "properties": { "datasets": { "type": "array", "contains": of_model } } },
        "then": { "required": ["model"], "properties": { "model": { "not": { "type": "null" } } } },
    }));
    let properties = object(&[
        ("metadata", metadata()),
        (
            "datasets",
            json!({
                "description": "the sources, at least one", "type": "array", "minItems": 1,
                "items": dataset(vocabulary),
            }),
        ),
        ("validation", validation(vocabulary)),
        ("test", test(vocabulary)),
        (
            "exclude",
            or_null(json!({
                "description": "sources whose prompts are left out of the mixture", "type": "array", "items": unmixed(vocabulary),
            })),
        ),
        ("mix", or_null(mix())),
        (
            "max_rejects",
            or_null(amount(
                "how many rows may be rejected before the build is refused: a count (`100`), or a share of the rows read (`0.01`, `1%`); \
                 default: any number",
            )),
        ),
        ("model", or_null(model())),
        ("output", or_null(outputs())),
        ("expect", or_null(expect())),
    ]);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": RECIPE_SCHEMA,
        "description": "A recipe of datac: which datasets go into one set of files for training, validation and tests.",
        "definitions": { "filter": { "oneOf": filters() } },
        "type": "object",
        "required": ["metadata", "datasets"],
        "additionalProperties": false,
        "properties": properties,
        "allOf": of_kinds,
    })
}

fn metadata() -> Value {
    let phases: Vec<&str> = PHASES.iter().map(|(word, _)| *word).collect();
    let begins = format!("^({})[A-Za-z0-9._-]*$", phases.join("|"));
    json!({
        "description": "what the recipe is for",
        "type": "object",
        "required": ["phase"],
        "additionalProperties": false,
        "properties": object(&[
            ("phase", json!({
                "description": "begins with `sft` (conversations), `dpo` or `reward` (preference pairs), `kto` (labelled answers), `prm` \
                    (labelled steps), `rlaif` (prompts), `pretrain` or `midtrain` (text); the outputs' names begin with it",
                "type": "string",
                "maxLength": 64,
                "anyOf": [{ "enum": phases }, { "pattern": begins }],
            })),
            ("description", or_null(text("a note", PROSE))),
            ("total_tokens", or_null(integer("a note for the trainer", 0))),
            ("max_seq_length", or_null(integer("the `max_tokens` of a `model` that names none; without a model, a note for the trainer", 0))),
            ("version", or_null(text("a note", NAME))),
        ]),
    })
}

fn mix() -> Value {
    json!({
        "description": "how sources are combined",
        "type": "object",
        "additionalProperties": false,
        "if": given("normalise"),
        "then": given("deduplicate"),
        "properties": object(&[
            ("strategy", or_null(with_default(
                words("`repeat`: a short source repeats; `cut`: no row repeats", Strategy::ALL.iter().map(|(word, _)| *word)),
                json!("repeat"),
            ))),
            ("total", or_null(integer("how much the mixture holds, in `unit`; default: as `strategy` says", 1))),
            ("unit", or_null(with_default(
                words("what shares count", Unit::ALL.iter().map(|(word, _)| *word)), json!("rows"),
            ))),
            ("deduplicate", or_null(words(
                "`prompt`: each prompt once in the whole mixture; `row`: each row once; the first source's stays",
                Unique::ALL.iter().map(|(word, _)| *word),
            ))),
            ("normalise", boolean("with `deduplicate`: texts that differ in case and white space alone are the same", false)),
        ]),
    })
}
