//! What was built before: `log`, `why` for the past, and `diff`.

use serde_json::{Value, json};

use super::{
    harm::{blobs, delete, flip},
    place::{Place, recipe, rows},
};

fn json_of(place: &Place, line: &str) -> Value {
    let printed = place.sh(line);
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}\n{printed}"))
}

/// Built three times: as it is, with another seed, and with an answer, a question and a row changed.
fn built() -> Place {
    let place = Place::new();
    place.sh("datac build");
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 7");
    place.sh("datac build");
    place.edit("data/one.jsonl", "\"answer 3\"", "\"another answer\"");
    place.edit("data/one.jsonl", "one question 5\"", "one other question\"");
    let text = place.read("data/one.jsonl");
    let kept: String =
        text.lines().filter(|line| !line.contains("question 8\"")).map(|line| format!("{line}\n")).collect();
    place.write("data/one.jsonl", kept + &rows("fresh", 0..2));
    place.sh("datac build");
    place
}

#[test]
fn runs_are_listed_shown_and_compared() {
    let place = built();
    let log = json_of(&place, "datac log --json");
    let runs = log["runs"].as_array().unwrap();
    let numbers: Vec<_> = runs.iter().map(|run| run["run"].as_i64().unwrap()).collect();
    assert_eq!((log["schema"].as_str(), numbers), (Some("datac.log/1"), vec![3, 2, 1]));
    assert_eq!(runs[1]["recipes"].as_array().unwrap().len(), 1, "a fresh recipe is none of a run's");
    assert_eq!(runs[1]["recipes"][0]["reasons"], json!(["validation.seed 1 -> 7"]));
    assert_eq!(runs[1]["ran"], json!({ "arrange": 1, "output": 1 }));
    assert_eq!(runs[1]["reused"]["convert"], 1);
    assert_eq!(runs[0]["recipes"][0]["files"][0]["name"], "sft_one_train.jsonl");
    assert_eq!(json_of(&place, "datac log -n 1 --json")["runs"].as_array().unwrap().len(), 1);

    assert_eq!(json_of(&place, "datac log last --json")["run"], 3);
    let printed = place.sh("datac log 2");
    assert!(printed.contains("validation.seed 1 -> 7") && printed.contains("datac build\n"), "{printed}");
    let diff = json_of(&place, "datac log diff 1 2 --json");
    assert_eq!((diff["recipes"].as_array().unwrap().len(), diff["same"].as_i64()), (1, Some(1)));
    assert_eq!(diff["recipes"][0]["changes"][0]["text"], "validation.seed 1 -> 7");
    let same = json_of(&place, "datac log diff 2 2 --json");
    assert_eq!((same["recipes"].as_array().unwrap().len(), same["same"].as_i64()), (0, Some(2)));
    let back = json_of(&place, "datac log diff last 1 --json");
    assert_eq!((back["old"].as_i64(), back["recipes"][0]["built_new"].as_i64()), (Some(3), Some(1)));

    for line in ["datac log 9", "datac log 0", "datac log x", "datac log diff 1 9", "datac log diff 1"] {
        let (printed, code) = place.try_sh(line);
        assert_eq!(code, 2, "{line}: {printed}");
    }
    assert!(place.try_sh("datac log 9").0.contains("runs 1 to 3 are recorded"));
}

#[test]
fn nothing_is_known_of_a_workspace_that_was_never_built() {
    let place = Place::new();
    let before = place.sh("find . | sort");
    assert!(place.sh("datac log").starts_with("nothing has been built yet\n"));
    assert_eq!(json_of(&place, "datac log --json")["runs"], json!([]));
    for line in ["datac log last", "datac diff sft/one", "datac why sft/one --run 1", "datac diff nothing.jsonl"] {
        let (printed, code) = place.try_sh(line);
        assert_eq!(code, 2, "{line}: {printed}");
    }
    assert_eq!(place.sh("find . | sort"), before, "looking back writes nothing");
}

#[test]
fn the_last_build_is_explained_and_any_other() {
    let place = built();
    let why = json_of(&place, "datac why sft/one --json");
    assert_eq!(why["status"]["state"], "fresh");
    let past = &why["past"];
    assert_eq!((past["run"].as_i64(), past["since"].as_i64()), (Some(3), Some(2)));
    let text = past["reasons"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("file data/one.jsonl of "), "{text}");

    let printed = place.sh("datac why dataset/sft_one_train.jsonl --run 2");
    assert!(printed.contains("built in run 2, just now, because"), "{printed}");
    assert!(printed.contains("validation.seed 1 -> 7\n    at config/sft/one.yaml:4:27"), "{printed}");
    let first = json_of(&place, "datac why sft/one --run 1 --json");
    assert_eq!((first["schema"].as_str(), first["build"]["since"].as_i64()), (Some("datac.why.run/1"), None));
    let (printed, code) = place.try_sh("datac why sft/two --run 2");
    assert!(code == 2 && printed.contains("runs that built it: 1"), "{printed}");
}

#[test]
fn a_miss_says_which() {
    let place = Place::new();
    place.sh("datac build sft/one");
    let misses = |place: &Place| json_of(place, "datac why sft/one --json")["misses"].clone();
    assert_eq!(misses(&place), json!([]));
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    assert_eq!(misses(&place), json!([{ "stage": "arrange", "reason": "no_entry", "count": 1 }]));
    blobs(&place.path("cache/v1")).iter().for_each(delete);
    let evicted = misses(&place);
    assert!(evicted.as_array().unwrap().iter().any(|miss| miss["reason"] == "evicted"), "{evicted}");
    assert!(place.sh("datac why sft/one").contains("evicted from the cache"));
}

#[test]
fn why_says_where_reading_stops() {
    let place = Place::new();
    place.edit("config/sft/one.yaml", "mix_ratio: 1.0", "mix_ratio: 1.0, max_samples: 10");
    let printed = place.sh("datac why sft/one");
    assert!(printed.contains("scan     1 to run, until 10 samples are found"), "{printed}");
}

#[test]
fn a_miss_after_a_collection_or_a_check_says_which() {
    let place = Place::new();
    place.sh("datac build sft/one");
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    place.sh("datac build sft/one && datac cache gc --max-age 0");
    let misses = |place: &Place| json_of(place, "datac why sft/one --json")["misses"].clone();
    let arrange = |reason: &str| json!([{ "stage": "arrange", "reason": reason, "count": 1 }]);
    place.edit("config/sft/one.yaml", "seed: 2", "seed: 1");
    assert_eq!(misses(&place), arrange("evicted"));
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 3");
    assert_eq!(misses(&place), arrange("no_entry"));
    blobs(&place.path("cache/v1")).iter().for_each(flip);
    place.sh("datac cache verify || true");
    assert!(place.sh("datac why sft/one").contains("damaged in the cache"));
}

fn counts(diff: &Value) -> Vec<(String, [i64; 5])> {
    let source = |source: &Value| {
        let count = |name: &str| source[name].as_i64().unwrap();
        let counts = ["added", "removed", "changed", "moved", "same"].map(count);
        (source["name"].as_str().unwrap().to_owned(), counts)
    };
    diff["sources"].as_array().unwrap().iter().map(source).collect()
}

#[test]
fn rows_are_compared_by_content_prompt_and_place() {
    let place = built();
    place.sh("cp -r dataset kept");
    let diff = json_of(&place, "datac diff dataset/sft_one_train.jsonl --json");
    assert_eq!((diff["old"]["run"].as_i64(), diff["new"]["run"].as_i64()), (Some(2), Some(3)));
    // Questions 3 and 5 have other answers and another wording, 8 is gone, two came.
    assert_eq!(counts(&diff), [("one".to_owned(), [2, 1, 2, 0, 37])]);
    assert!(diff["removed"][0]["row"]["conversations"][0]["content"].as_str().unwrap().ends_with("question 8"));
    // The rows are where it says they are.
    for added in diff["added"].as_array().unwrap() {
        let name = format!("dataset/sft_one_{}.jsonl", added["split"].as_str().unwrap());
        let line = added["line"].as_u64().unwrap() as usize;
        let text = place.read(&name);
        let row: Value = serde_json::from_str(text.lines().nth(line - 1).unwrap()).unwrap();
        assert_eq!(row, added["row"]);
    }
    let moved = json_of(&place, "datac diff sft/one --vs 1 --json");
    let [(_, [added, removed, changed, moved_rows, same])] = &counts(&moved)[..] else { panic!("one source") };
    assert_eq!((*added, *removed, *changed, moved_rows + same), (2, 1, 2, 37));
    assert!(*moved_rows > 0, "another seed divides otherwise");
    assert!(place.sh("datac diff sft/one --vs 3").contains("no differences"));

    // Files are compared as they are, whatever the cache holds.
    place.sh("rm -r cache");
    let diff = json_of(&place, "datac diff kept/sft_one_train.jsonl --vs dataset/sft_two_train.jsonl --json");
    assert_eq!(counts(&diff).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let same = place.sh("datac diff sft_one_train.jsonl --vs kept/sft_one_train.jsonl");
    assert!(same.contains("no differences"), "{same}");
}

#[test]
fn rows_that_are_gone_are_said_to_be() {
    let place = built();
    blobs(&place.path("cache/v1")).iter().for_each(delete);
    let (printed, code) = place.try_sh("datac diff sft/one");
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("--vs FILE") && printed.contains("failed to find the rows of run"), "{printed}");
    place.write("bad.jsonl", "{\"text\": 1}\n");
    for line in [
        "datac diff sft/one --vs bad.jsonl",
        "datac diff sft_one_val.jsonl --vs bad.jsonl",
        "datac diff sft/one --vs gone",
    ] {
        let (printed, code) = place.try_sh(line);
        assert_eq!(code, 2, "{line}: {printed}");
    }
}

/// Rows of every width are laid out for the terminal there is.
#[test]
fn texts_fit_the_terminal() {
    let place = built();
    place.write("config/sft/a_longer_name.yaml", recipe("a_longer_source", "data/one.jsonl"));
    place.sh("datac build");
    for width in [40, 80, 200] {
        for line in ["datac log", "datac log 3", "datac log diff 1 last", "datac why sft/one", "datac diff sft/one"] {
            let printed = place.sh(&format!("COLUMNS={width} {line}"));
            let widest = printed.lines().filter(|line| line.contains(' ')).map(|line| line.chars().count()).max();
            // A table of numbers and names is as wide as it is.
            let limit = if line.contains("diff sft") { width.max(60) } else { width };
            assert!(widest <= Some(limit), "{line} at {width}:\n{printed}");
        }
    }
}
