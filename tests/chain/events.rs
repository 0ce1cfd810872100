//! What a build tells other programs while it runs.

use std::collections::{BTreeMap, BTreeSet};

use datac::workspace::{EVENTS_SCHEMA, events_schema};
use serde_json::Value;

use super::place::Place;

/// The lines, each of which must be as the schema says.
fn lines(text: &str) -> Vec<Value> {
    let schema = jsonschema::validator_for(&events_schema()).unwrap();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(schema.is_valid(&line), "{line}");
            assert_eq!(line["schema"], EVENTS_SCHEMA);
            line
        })
        .collect()
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

fn count(lines: &[Value], name: &str) -> usize {
    names(lines).iter().filter(|event| **event == name).count()
}

#[test]
fn a_build_is_told_from_beginning_to_end() {
    let place = Place::new();
    place.sh("datac build --events log/events.ndjson --json > report.json");
    let told = lines(&place.read("log/events.ndjson"));
    assert_eq!(names(&told).first(), Some(&"run_started"));
    let last = told.last().unwrap();
    assert_eq!((last["event"].as_str(), last["exit"].as_u64()), (Some("run_finished"), Some(0)));
    assert_eq!(last["counts"], serde_json::json!({ "built": 2 }));
    let report: Value = serde_json::from_str(&place.read("report.json")).unwrap();
    assert_eq!(last["actions"], report["actions"]);

    // What began has ended, and every action that is counted is told of.
    let mut open = BTreeSet::new();
    let mut ended: BTreeMap<String, u64> = BTreeMap::new();
    for line in &told {
        let key = || (line["kind"].to_string(), line["key"].to_string());
        match line["event"].as_str().unwrap() {
            "action_started" => assert!(open.insert(key())),
            "action_finished" => {
                open.remove(&key());
                assert_eq!(line["done"], true);
                *ended.entry(line["kind"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(serde_json::to_value(ended).unwrap(), report["actions"]);
    assert_eq!(count(&told, "output_written"), 4);
    assert_eq!(count(&told, "recipe_planned"), 2);
    let finished: Vec<_> = told.iter().filter(|line| line["event"] == "recipe_finished").collect();
    assert!(finished.iter().all(|line| line["state"] == "built" && line["outputs"].as_array().unwrap().len() == 2));

    let again = |line: &str| lines(&place.sh(line));
    let told = again("datac build --events - 2>/dev/null");
    assert_eq!(
        names(&told)[1..],
        ["recipe_planned", "recipe_planned", "recipe_finished", "recipe_finished", "run_finished"]
    );
    assert_eq!(told.last().unwrap()["counts"], serde_json::json!({ "fresh": 2 }));
    let told = again("rm dataset/sft_one_val.jsonl; datac build --events - 2>/dev/null");
    assert_eq!((count(&told, "output_restored"), count(&told, "output_unchanged")), (1, 1));
    let told = again("rm dataset/sft_one_val.jsonl; datac build --check --events - 2>/dev/null; true");
    assert_eq!(names(&told), ["run_started", "recipe_planned", "recipe_planned", "run_finished"]);
    assert_eq!((told[1]["state"].as_str(), told[3]["exit"].as_u64()), (Some("cached"), Some(1)));
    let told = again(
        "echo broken > data/one.jsonl; echo datasets: > config/sft/three.yaml; datac build --events - 2>/dev/null; true",
    );
    assert_eq!(told.last().unwrap()["counts"], serde_json::json!({ "failed": 2, "fresh": 1 }));
}

#[test]
fn a_reader_that_leaves_stops_nothing() {
    let place = Place::new();
    place.sh("datac build --events - 2>/dev/null | head -n 1");
    place.sh("datac build --check");
    let (printed, code) = place.try_sh("datac build --force --events /dev/full");
    assert_eq!(code, 0, "{printed}");
    let (printed, code) = place.try_sh("datac build --events config");
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("failed to write `config`"), "{printed}");
    let (printed, code) = place.try_sh("datac build --events - --json");
    assert_eq!(code, 2, "{printed}");
}

#[test]
fn a_profile_is_a_trace_of_threads() {
    let place = Place::new();
    place.sh("datac build -j2 --profile trace.json");
    let trace: Value = serde_json::from_str(&place.read("trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    let run = spans.iter().find(|span| span["cat"] == "run").unwrap();
    for span in &spans {
        let (from, took) = (span["ts"].as_u64().unwrap(), span["dur"].as_u64().unwrap());
        assert!(from + took <= run["dur"].as_u64().unwrap() + 1, "{span}");
        assert!(span["tid"].as_u64().unwrap() <= 2);
    }
    for kind in ["scan", "convert", "select", "arrange", "output"] {
        assert_eq!(spans.iter().filter(|span| span["cat"] == kind).count(), 2, "{kind}");
    }
    let output = spans.iter().find(|span| span["name"] == "output sft_one").unwrap();
    assert_eq!(output["args"]["recipes"], serde_json::json!(["config/sft/one.yaml"]));
    assert_eq!(output["args"]["rows"], 40);
}

/// `--check` writes nothing at all, and fails when something is stale.
#[test]
fn a_check_writes_nothing() {
    let place = Place::new();
    let before = place.sh("find . | sort");
    assert_eq!(place.try_sh("datac build --check").1, 1);
    assert_eq!(place.sh("find . | sort"), before);
    place.sh("datac build && datac build --check");
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    let listing = "find . -type f -printf '%p %i %T@ %s\\n' | sort";
    let before = place.sh(listing);
    assert_eq!(place.try_sh("datac build --check").1, 1);
    assert_eq!(place.sh(listing), before);
    let (printed, code) = place.try_sh("datac build --check --stamp s");
    assert_eq!(code, 2, "{printed}");
}
