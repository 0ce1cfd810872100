//! The JSON Schema of recipes, for editors and other programs: what `check` accepts, as far as a schema can express
//! it.
//!
//! The schema never refuses what `check` accepts. What it cannot express (that shares sum to 1.0, that names are
//! unique) it allows. Keys, words and converters come from the tables that `check` uses; tests compare the two.

use serde_json::{Map, Value, json};

use super::{
    Function, Vocabulary,
    check::{PHASES, SET_BY_DATAC, language_codes},
    model::{Overlong, SpecialTokens, TrainOn},
    recipe::{FORMATS, Overlap, SplitMethod, Strategy, Unique, Unit, format_word},
};
use crate::{
    format::DELIMITERS,
    outputs::{Container, Layout},
    quality::{self, BoundSpec, Ends, Key, LanguageKeys, MIN_CERTAINTY, ScoreKind, Unknown, ValueKeys},
    rules::{Mode, RULES},
    sample::{Role, SampleKind, Slot},
    shape::SHAPES,
};

/// Name of the schema of recipes. The number changes if the schema would refuse a recipe that was valid before.
pub const RECIPE_SCHEMA: &str = "datac.recipe/1";

/// Pattern for names: at least one visible character, and no control characters.
const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
const PROSE: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
const PLAIN: &str = r"^[A-Za-z0-9._-]+$";
/// A pattern for names of splits, whose letters are those of any script.
const SPLIT: &str = r"^[\p{L}\p{N}._-]+$";
/// Pattern for digits with underscores between them, which are an integer in YAML 1.1 and text in YAML 1.2.
const GROUPED: &str = r"^[0-9][0-9_]*_[0-9_]*[0-9]$";
const HUB_ID: &str =
    r"^(?!.*\.\.)[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?(/[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?)?$";
/// A pattern for a column, or a path into its values.
const COLUMN: &str =
    r"^(?=.*\S)[^.\[\u0000-\u001f\u007f-\u009f]+(\.[^.\[\u0000-\u001f\u007f-\u009f]+|\[\s*[+-]?[0-9]+\s*\])*$";
/// A pattern for a function in a Python file of the workspace.
const FUNCTION: &str =
    r"^(?!/|~|[A-Za-z]:)(?!.*://)(?!(.*/)?\.\./)[^\\\u0000-\u001f\u007f-\u009f]+\.py:[\p{L}_][\p{L}\p{N}_]*$";
/// A pattern for Hub ids and paths: no absolute paths and no URLs.
const SOURCE: &str = r"^(?!/|~|[A-Za-z]:|\.\./)(?!.*://)[^\\\u0000-\u001f\u007f-\u009f]*[^\s\\\u0000-\u001f\u007f-\u009f][^\\\u0000-\u001f\u007f-\u009f]*$";
/// A pattern for what a source without `format` must have to be a path: folders, wildcards, or an extension of rows.
const PATH_LIKE: &str = r"^\./|/$|[*?\[]|/.*/|\.([Jj][Ss][Oo][Nn][Ll]?|[Nn][Dd][Jj][Ss][Oo][Nn]|[Pp][Aa][Rr][Qq][Uu][Ee][Tt]|[Aa][Rr][Rr][Oo][Ww]|[CcTt][Ss][Vv]|[Tt][Xx][Tt])(\.|$)";
const PATH: &str = r"^(?!/|~|[A-Za-z]:)(?!.*://)(\./)*(?!\.{1,2}/*$)(?!\.{1,2}/)[^/\\]+(/(?!\.{1,2}(/|$))[^/\\]+)*/*$";
const REVISION: &str = r"^(?![-/.])(?!.*[/.]$)(?!.*(\.\.|//|@\{))[^\s\\?#%*\[^~:]+$";
const PERCENT: &str = r"^\s*[+-]?0*(100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+)\s*%+$";

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
        { "type": "object", "required": ["shape"], "properties": { "shape": { "enum": shapes } } },
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

fn object(entries: &[(&str, Value)]) -> Value {
    Value::Object(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Map<_, _>>())
}

/// Allows null as well, since a key without a value counts as absent.
fn or_null(mut schema: Value) -> Value {
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.push(json!({ "type": "null" }));
    } else if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    } else if let Some(kind) = schema.get_mut("type") {
        let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        kinds.push(json!("null"));
        *kind = Value::Array(kinds);
    }
    schema
}

/// Returns the schema of a text. YAML may read it as a number or a boolean, but it is used as spelled.
fn text(description: &str, pattern: &str) -> Value {
    json!({ "description": description, "type": ["string", "number", "boolean"], "pattern": pattern })
}

fn integer(description: &str, minimum: u64) -> Value {
    json!({
        "description": description,
        "anyOf": [
            { "type": "integer", "minimum": minimum, "maximum": u64::MAX },
            { "type": "string", "pattern": GROUPED },
        ],
    })
}

fn words<'w>(description: &str, words: impl Iterator<Item = &'w str>) -> Value {
    json!({ "description": description, "enum": words.collect::<Vec<_>>() })
}

/// Returns the schema of a name or a list of names.
fn names(description: &str, name: &Value) -> Value {
    json!({
        "description": description,
        "anyOf": [name, { "type": "array", "minItems": 1, "uniqueItems": true, "items": name }],
    })
}

fn with_default(mut schema: Value, default: Value) -> Value {
    schema["default"] = default;
    schema
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

fn dataset(vocabulary: &Vocabulary) -> Value {
    let converters = vocabulary.converters.iter().map(|word| word.name.as_str());
    let folder = text("a folder of the repository", PATH);
    // A number below zero is a text that begins with a hyphen.
    let mut revision = with_default(text("branch, tag or commit; pinned in datac.lock", REVISION), json!("main"));
    revision["minimum"] = json!(0);
    let ratio = json!({
        "description": "its share, above 0 and at most 1; shares sum to 1.0",
        "type": "number", "exclusiveMinimum": 0, "maximum": 1,
    });
    let is_given = |key: &str| json!({ "required": [key], "properties": { key: { "not": { "type": "null" } } } });
    let mut rules = vec![
        json!({ "not": { "allOf": [is_given("max_samples"), is_given("sample")] } }),
        json!({
            "if": { "required": ["format"], "properties": { "format": { "const": format_word(None) } } },
            "then": { "properties": { "source": {
                "type": ["string", "number", "boolean"], "pattern": HUB_ID, "minimum": 0,
            } } },
        }),
        json!({
            "if": { "properties": {
                "format": { "type": "null" }, "source": { "type": ["string", "number", "boolean"] },
            } },
            "then": { "properties": { "source": {
                "minimum": 0,
                "anyOf": [{ "not": { "type": "string" } }, { "pattern": HUB_ID }, { "pattern": PATH_LIKE }],
            } } },
        }),
        json!({
            "if": { "properties": { "source": { "type": "array" } } },
            "then": { "properties": { "revision": { "type": "null" }, "config_name": { "type": "null" } } },
        }),
    ];
    rules.push(json!({
        "if": { "required": ["converter"], "properties": { "converter": { "type": ["string", "object"] } } },
        "then": { "properties": { "columns": { "type": "null" } } },
    }));
    rules.extend(vocabulary.converters.iter().map(|word| {
        let values = |values: &[String]| match values {
            [] => json!({}),
            values => or_null(json!({ "enum": values })),
        };
        let options: Vec<(&str, Value)> =
            word.options.iter().map(|(name, allowed)| (name.as_str(), values(allowed))).collect();
        json!({
            "if": { "required": ["converter"], "properties": { "converter": { "const": word.name } } },
            "then": { "properties": { "options": {
                "properties": object(&options), "additionalProperties": { "type": "null" },
            } } },
        })
    }));
    json!({
        "type": "object",
        "required": ["name", "source"],
        "additionalProperties": false,
        "properties": object(&[
            ("name", text("the `source` written into each row; unique in the recipe", NAME)),
            ("source", names(
                "a Hub id (`org/name`), or a file or folder of the workspace; paths may be listed and have `*`",
                &text("a Hub id or a path", SOURCE),
            )),
            ("format", or_null(words(
                "`huggingface`: a dataset of the Hub; else the format of files of the workspace; default: what the source is",
                FORMATS.iter().map(|(word, _)| *word),
            ))),
            ("delimiter", or_null(words(
                "what is between the fields of CSV; default: as found in the header", DELIMITERS.iter().map(|(word, _)| *word),
            ))),
            ("field", or_null(text("the field of a JSON object that holds the rows; default: its only list", NAME))),
            ("mix_ratio", or_null(ratio)),
            ("splits", or_null(with_default(
                names("splits to read, concatenated in this order", &text("a split", SPLIT)), json!(["train"]),
            ))),
            ("max_samples", or_null(integer("the first N rows that pass the filters, in source order; default: all", 1))),
            ("sample", sample()),
            ("text_field", or_null(text(
                "what filters measure: a field of the converted sample, else a column of the source row; default: `text`, `chosen` or \
                 `conversations`, by phase", NAME,
            ))),
            ("config_name", or_null(text("the Hub config; gsm8k's is `main`", NAME))),
            ("data_dir", or_null(names("a folder of the repository, or a list of them; default: all", &folder))),
            ("revision", or_null(revision)),
            ("license", or_null(names(
                "the licence of the rows for cards, such as `cc-by-4.0`, or a list; default: as the source states it",
                &text("an identifier of the Hub, or a name", NAME),
            ))),
            ("converter", json!({
                "description": "what makes samples of rows: a name, a program, or a function in Python; default: by repository, then by the rows",
                "anyOf": [
                    { "enum": converters.collect::<Vec<_>>() },
                    {
                        "description": "a program that reads rows as JSON lines and writes a sample, a list of samples or a reject for each",
                        "type": "object", "required": ["command"], "additionalProperties": false,
                        "properties": {
                            "command": {
                                "description": "the program and its arguments", "type": "array", "minItems": 1,
                                "items": { "type": ["string", "number", "boolean"] },
                            },
                            "files": or_null(names("the files that decide what it does", &text("a file of the workspace", PATH))),
                        },
                    },
                    {
                        "description": "a function in Python that makes a sample, a list of samples or a reject of each row",
                        "type": "object", "required": ["python"], "additionalProperties": false,
                        "properties": {
                            "python": {
                                "description": "the file of its module in the workspace, and its name: `converters/chat.py:to_sample`",
                                "type": "string", "pattern": FUNCTION,
                            },
                            "files": or_null(names(
                                "the files that decide what it does, besides the module and what that imports from the workspace",
                                &text("a file of the workspace, or several by wildcards", PATH),
                            )),
                            "timeout": or_null(with_default(
                                integer("the seconds that it may take for one row", 1), json!(Function::TIMEOUT),
                            )),
                        },
                    },
                    { "type": "null" },
                ],
            })),
            ("options", json!({
                "description": "the converter's options, such as `calculator: strip`",
                "type": ["object", "null"],
                "propertyNames": { "pattern": PLAIN },
                "additionalProperties": or_null(text("an option's value", NAME)),
            })),
            ("columns", json!({
                "description": "the columns that are the parts of a sample, such as `user: question`; instead of a converter",
                "type": ["object", "null"],
                "propertyNames": { "enum": slots(&Slot::ALL) },
                "additionalProperties": {
                    "anyOf": [
                        text("a column, or a value inside it: `answers[0].text`", COLUMN),
                        {
                            "description": "a text that is put together of columns, by a Jinja template",
                            "type": "object", "required": ["template"], "additionalProperties": false,
                            "properties": { "template": { "type": ["string", "number", "boolean"] } },
                        },
                        { "type": "null" },
                    ],
                },
            })),
            ("roles", json!({
                "description": "who speaks under names that converters do not know, such as `customer: user`",
                "type": ["object", "null"],
                "additionalProperties": or_null(words("the role", Role::ALL.iter().map(|role| role.name()))),
            })),
            ("keep", {
                let column = text("a column of the source", NAME);
                let renamed = json!({ "type": "object", "additionalProperties": or_null(column.clone()) });
                or_null(json!({
                    "description": "columns of the source that rows keep: `all`, names, or names with those they are to have",
                    "anyOf": [column, renamed, { "type": "array", "items": { "anyOf": [column, renamed] } }],
                }))
            }),
            ("rules", json!({
                "description": "what is done where dialogues break a rule",
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": object(&RULES.iter().map(|rule| {
                    let modes = Mode::ALL.iter().filter(|(_, mode)| *mode != Mode::Repair || rule.mends());
                    (rule.name, or_null(words(rule.about, modes.map(|(word, _)| *word))))
                }).collect::<Vec<_>>()),
            })),
            ("ignore", or_null(names(
                "columns that may go unused without a word", &text("a column of the source", NAME),
            ))),
            ("filters", json!({
                "description": "which rows are kept; applied in this order",
                "type": ["array", "null"], "items": { "$ref": "#/definitions/filter" },
            })),
        ]),
        "allOf": rules,
    })
}

fn model() -> Value {
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
                    Overlong::ALL.iter().map(|(word, _)| *word),
                ),
                json!("reject"),
            ))),
        ]),
    });
    json!({
        "description": "the model that rows are rendered and encoded for",
        "anyOf": [source(), whole],
    })
}

fn sample() -> Value {
    json!({
        "description": "random rows of those that pass the filters, the same ones as long as the source keeps them; not beside \
            `max_samples`",
        "type": ["object", "null"],
        "required": ["rows"],
        "additionalProperties": false,
        "properties": object(&[
            ("rows", integer("how many rows are taken", 1)),
            ("seed", or_null(with_default(integer("decides which rows are taken", 0), json!(42)))),
        ]),
    })
}

fn filters() -> Vec<Value> {
    quality::filters().map(filter).collect()
}

/// Returns the schema of a filter, from the keys that its scorer declares.
fn filter(scorer: ScoreKind) -> Value {
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
fn with_ends(
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

fn validation(vocabulary: &Vocabulary) -> Value {
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

fn test(vocabulary: &Vocabulary) -> Value {
    let own = vec![("ratio", share("the share of rows for the test side, at least 0 and below 1"))];
    held(
        "a third side: a share of the mixture, a source of its own, another split of each dataset, or `none`",
        own,
        vocabulary,
    )
}

fn share(description: &str) -> Value {
    json!({
        "description": description, "default": 0.05,
        "type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1,
    })
}

fn boolean(description: &str, default: bool) -> Value {
    json!({ "description": description, "default": default, "type": ["boolean", "null"] })
}

/// Admits what has a value under `key`.
fn given(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "not": { "type": "null" } } } })
}

/// Describes a block that takes rows of the mixture or names a source of its own.
fn held(description: &str, mut own: Vec<(&str, Value)>, vocabulary: &Vocabulary) -> Value {
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

/// Describes a source that is not mixed.
fn unmixed(vocabulary: &Vocabulary) -> Value {
    let mut source = dataset(vocabulary);
    if let Some(properties) = source["properties"].as_object_mut() {
        properties.remove("mix_ratio");
    }
    source["properties"]["name"] = or_null(source["properties"]["name"].take());
    source["required"] = json!(["source"]);
    source
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

/// Describes what rows are written as: a shape, an entry, or a list of them.
/// Returns the schema of a count of rows, or a share of them.
fn amount(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            { "type": "number", "minimum": 0, "exclusiveMaximum": 1 },
            { "type": "string", "pattern": PERCENT },
            { "type": "string", "pattern": GROUPED },
        ],
    })
}

fn expect() -> Value {
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

fn outputs() -> Value {
    let shapes: Vec<&str> = SHAPES.iter().map(|shape| shape.name()).collect();
    let word = |description: &str, words: &mut dyn Iterator<Item = &'static str>| {
        or_null(json!({ "description": description, "enum": words.collect::<Vec<_>>() }))
    };
    let entry = json!({
        "type": "object",
        "required": ["shape"],
        "additionalProperties": false,
        "properties": object(&[
            ("shape", json!({ "description": "what a row looks like: for which trainer", "enum": shapes })),
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
    });
    let one = json!({ "enum": shapes });
    json!({
        "description": "what rows are written as: a shape such as `trl`, an entry, or a list of them; default: `native`",
        "anyOf": [one, entry, { "type": "array", "minItems": 1, "items": { "anyOf": [one, entry] } }],
    })
}

/// Returns the kinds of samples that phases have, without duplicates.
fn kinds() -> impl Iterator<Item = SampleKind> {
    let is_first = |at: usize| PHASES[..at].iter().all(|(_, kind)| *kind != PHASES[at].1);
    (0..PHASES.len()).filter(move |at| is_first(*at)).map(|at| PHASES[at].1)
}

/// Lists the words for slots, those of another name among them.
fn slots(slots: &[Slot]) -> Vec<&'static str> {
    let others = ["prompt", "completion"]
        .into_iter()
        .filter(|word| Slot::by_name(word).is_some_and(|slot| slots.contains(&slot)));
    slots.iter().map(|slot| slot.name()).chain(others).collect()
}

/// Returns a rule that only allows converters that make samples of the phase's kind.
fn converters_of(kind: SampleKind, vocabulary: &Vocabulary) -> Value {
    let phases: Vec<&str> = PHASES.iter().filter(|(_, of)| *of == kind).map(|(word, _)| *word).collect();
    let fitting = vocabulary.converters.iter().filter(|word| word.kind == kind).map(|word| json!(word.name));
    let fitting: Vec<Value> = fitting.chain([Value::Null]).collect();
    let phase = json!({ "type": "string", "pattern": format!("^({})", phases.join("|")) });
    json!({
        "if": { "required": ["metadata"], "properties": { "metadata": {
            "type": "object", "required": ["phase"], "properties": { "phase": phase },
        } } },
        "then": { "properties": { "datasets": { "items": { "properties": {
            "converter": { "anyOf": [{ "enum": fitting }, { "type": "object" }] },
            "columns": { "propertyNames": { "enum": slots(Slot::of(kind)) } },
        } } } } },
    })
}
