//! Tests that the schema of recipes and the checker agree.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    check::all_places,
    load, problem, schema,
    tests::{bad, good, vocabulary},
    tree, yaml,
};

/// Returns a recipe as a program sees it that reads YAML; `None` if it is invalid YAML.
fn as_json(text: &str) -> Option<Value> {
    let parsed = yaml::parse(text.strip_prefix('\u{feff}').unwrap_or(text));
    parsed.faults.is_empty().then_some(())?;
    value_of(&parsed.root?)
}

fn value_of(node: &tree::Node<'_>) -> Option<Value> {
    Some(match &node.value {
        tree::Value::Scalar(scalar, text) => match scalar {
            tree::Scalar::Null => Value::Null,
            tree::Scalar::Bool(value) => json!(value),
            tree::Scalar::Int(value) => match u64::try_from(*value) {
                Ok(value) => json!(value),
                Err(_) => json!(i64::try_from(*value).ok()?),
            },
            // JSON has no infinite numbers.
            tree::Scalar::Float(value) => serde_json::Number::from_f64(*value)?.into(),
            tree::Scalar::Date | tree::Scalar::Text => json!(text),
        },
        tree::Value::List(items) => items.iter().map(value_of).collect::<Option<Vec<_>>>()?.into(),
        tree::Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| Some((key.name.to_string(), value_of(node)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        tree::Value::Refused => return None,
    })
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema(&vocabulary())).unwrap()
}

#[test]
fn sound_recipes_are_as_the_schema_says() {
    let validator = validator();
    for (name, text, _) in good() {
        let recipe = as_json(&text).unwrap_or_else(|| panic!("{name}"));
        let faults: Vec<String> =
            validator.iter_errors(&recipe).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn bad_recipes_are_refused_by_the_schema_too() {
    // What no schema can express: sums, names that must differ, the order of two numbers, the meaning of `1.0`; and a
    // character that is refused for the sake of other parsers.
    // So is what a sample cannot do without, and what a template may say.
    let beyond = [problem::RATIO_SUM, problem::DUPLICATE_NAME, problem::COLUMNS, problem::SHAPE, problem::EXPECT];
    let names = [
        "length upside down",
        "numbers that cross",
        "scores that cross",
        "rejects of one",
        "rejects of one row or all",
        "grouped seed of 65 bits",
        "line separator",
        "two ids",
        "two ids by another name",
    ];
    let validator = validator();
    let (mut refused, mut passed) = (BTreeSet::new(), Vec::new());
    for (name, text, _) in bad() {
        let problems = load("config/r.yaml", text.as_bytes(), &vocabulary()).unwrap_err();
        if problems.iter().all(|problem| beyond.contains(&problem.code)) || names.contains(&name) {
            continue;
        }
        match as_json(&text) {
            Some(recipe) if validator.is_valid(&recipe) => passed.push(name),
            Some(_) => refused.extend(problems.iter().map(|problem| problem.code)),
            None => {}
        }
    }
    assert!(passed.is_empty(), "the schema lets these pass: {passed:?}");
    assert!(refused.len() > 15, "{refused:?}");
}

#[test]
fn every_key_stands_in_the_schema_and_no_other() {
    let schema = schema(&vocabulary());
    let dataset = &schema["properties"]["datasets"]["items"];
    let filter = |name: &str| {
        let all = schema["definitions"]["filter"]["oneOf"].as_array().unwrap();
        all.iter().find(|filter| filter["title"] == name).unwrap_or_else(|| panic!("no filter {name}"))
    };
    for (place, keys) in all_places() {
        let said = match &*place {
            "the recipe" => &schema,
            "a dataset" => dataset,
            "`sample`" => &dataset["properties"]["sample"],
            "an entry of `exclude`" => &schema["properties"]["exclude"]["items"],
            "`model`" => &schema["properties"]["model"]["anyOf"][1],
            "an entry of `output`" => &schema["properties"]["output"]["anyOf"][1],
            place => match place.strip_prefix("a `").and_then(|rest| rest.strip_suffix("` filter")) {
                Some(name) => filter(name),
                None => &schema["properties"][place.trim_matches('`')],
            },
        };
        let properties = said["properties"].as_object().unwrap();
        let known: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(known, keys.iter().copied().collect(), "{place}");
        assert_eq!(said["additionalProperties"], false, "{place}");
        for (key, property) in properties.iter().filter(|(key, _)| *key != "type") {
            assert!(property["description"].is_string(), "{place}: `{key}` is not described");
        }
    }
}

/// Returns variants of a valid recipe with one value removed or replaced.
fn changes(recipe: &Value) -> Vec<Value> {
    let others = [
        Value::Null,
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(7),
        json!(0.5),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("a/b"),
        json!("../b"),
        json!("1_000"),
        json!("5%"),
        json!("length"),
        json!([]),
        json!(["x"]),
        json!(["x", "x"]),
        json!({}),
        json!({ "a": "b" }),
        json!([{ "type": "deduplication" }]),
        json!([{ "type": "length" }]),
    ];
    let mut all: Vec<Value> = others.to_vec();
    match recipe {
        Value::Object(entries) => {
            for (key, value) in entries {
                let with = |value: Option<Value>| {
                    let mut entries = entries.clone();
                    match value {
                        Some(value) => drop(entries.insert(key.clone(), value)),
                        None => drop(entries.remove(key)),
                    }
                    Value::Object(entries)
                };
                all.push(with(None));
                all.extend(changes(value).into_iter().map(|value| with(Some(value))));
            }
            let mut more = entries.clone();
            more.insert("unknown".into(), json!(1));
            all.push(Value::Object(more));
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                all.extend(changes(item).into_iter().map(|item| {
                    let mut items = items.clone();
                    items[at] = item;
                    Value::Array(items)
                }));
            }
        }
        _ => {}
    }
    all
}

#[test]
fn whatever_is_changed_the_schema_refuses_nothing_sound_and_almost_everything_else() {
    let validator = validator();
    let (mut sound, mut refused) = (0, 0);
    let mut faults = Vec::new();
    let beyond = [
        problem::RATIO_SUM,
        problem::DUPLICATE_NAME,
        problem::BOUNDS,
        // What a sample cannot do without.
        problem::COLUMNS,
        // Which trainer has rows of a phase, and in which files.
        problem::SHAPE,
        // Which sources and sides a recipe has.
        problem::EXPECT,
        // `0_0` and the like, and `1.0`.
        problem::MAX_REJECTS,
    ];
    for (name, text, _) in good() {
        let Some(recipe) = as_json(&text) else { continue };
        for changed in changes(&recipe) {
            // JSON is YAML.
            let verdict = load("config/r.yaml", changed.to_string().as_bytes(), &vocabulary());
            match (verdict, validator.is_valid(&changed)) {
                (Ok(_), true) => sound += 1,
                (Ok(_), false) => faults.push(format!("{name}: sound, but refused by the schema: {changed}")),
                (Err(_), false) => refused += 1,
                (Err(problems), true) if problems.iter().all(|problem| beyond.contains(&problem.code)) => {}
                (Err(problems), true) => faults.push(format!("{name}: let pass: {changed}: {}", problems[0])),
            }
        }
    }
    assert!(faults.is_empty(), "{} of them:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
    assert!(sound > 500 && refused > 4000, "{sound} sound, {refused} refused");
}
