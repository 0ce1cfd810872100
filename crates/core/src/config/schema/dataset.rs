//! The schema of a source, and which converters suit which phase.

use serde_json::{Value, json};

use super::{
    super::{
        Function, Vocabulary,
        check::PHASES,
        recipe::{FORMATS, format_word},
    },
    parts::{given, integer, names, object, or_null, text, with_default, words},
    patterns::{COLUMN, FUNCTION, HUB_ID, NAME, PATH, PATH_LIKE, PLACE, PLAIN, REVISION, SPLIT},
};
use crate::{
    format::DELIMITERS,
    rules::{Mode, RULES},
    sample::{Role, SampleKind, Slot},
};

pub(super) fn dataset(vocabulary: &Vocabulary) -> Value {
    let converters = vocabulary.converters.iter().map(|word| word.name.as_str());
    let folder = text("a folder of the repository", PATH);
    // A number below zero is a text that begins with a hyphen.
    let mut revision = with_default(text("branch, tag or commit; pinned in datac.lock", REVISION), json!("main"));
    revision["minimum"] = json!(0);
    let ratio = json!({
        "description": "its share, above 0 and at most 1; shares sum to 1.0",
        "type": "number", "exclusiveMinimum": 0, "maximum": 1,
    });
    let mut rules = vec![
        json!({ "not": { "allOf": [given("max_samples"), given("sample")] } }),
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
                "a Hub id (`org/name`), a file or folder of the workspace, or the address of objects in a bucket (`s3://bucket/folder`); paths and addresses may be listed and have `*`",
                &text("a Hub id, a path or the address of a bucket", PLACE),
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
                "columns that the converter does not see", &text("a column of the source", NAME),
            ))),
            ("filters", json!({
                "description": "which rows are kept; applied in this order",
                "type": ["array", "null"], "items": { "$ref": "#/definitions/filter" },
            })),
        ]),
        "allOf": rules,
    })
}

pub(super) fn sample() -> Value {
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

/// Describes a source that is not mixed.
pub(super) fn unmixed(vocabulary: &Vocabulary) -> Value {
    let mut source = dataset(vocabulary);
    if let Some(properties) = source["properties"].as_object_mut() {
        properties.remove("mix_ratio");
    }
    source["properties"]["name"] = or_null(source["properties"]["name"].take());
    source["required"] = json!(["source"]);
    source
}

/// Returns the kinds of samples that phases have, without duplicates.
pub(super) fn kinds() -> impl Iterator<Item = SampleKind> {
    let is_first = |at: usize| PHASES[..at].iter().all(|(_, kind)| *kind != PHASES[at].1);
    (0..PHASES.len()).filter(move |at| is_first(*at)).map(|at| PHASES[at].1)
}

/// Lists the words for slots, those of another name among them.
pub(super) fn slots(slots: &[Slot]) -> Vec<&'static str> {
    let others = ["prompt", "completion"]
        .into_iter()
        .filter(|word| Slot::by_name(word).is_some_and(|slot| slots.contains(&slot)));
    slots.iter().map(|slot| slot.name()).chain(others).collect()
}

/// Returns a rule that only allows converters that make samples of the phase's kind.
pub(super) fn converters_of(kind: SampleKind, vocabulary: &Vocabulary) -> Value {
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
