//! What runs after which edit, counted.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    sync::{Arc, Mutex},
};

use datac::{
    code::Component,
    id::FileHash,
    leaf::{Leaf, Value},
    stale::StaleReason,
    workspace::{BuildOptions, State},
};

use crate::space::{Space, assert_same, count, entry, of, ran, recipe, row, rows, states};

const FILTERS: &str = "filters: [{ type: length, min_length: 10 }, { type: quality, min_score: 0.1 }]";

/// Three recipes: two over one local source, of which one mixes in a second, and one over the sample hub.
fn three() -> Space {
    let space = Space::new();
    let broken = format!("{}{{\"instruction\": broken\n{}", rows(0..150, 12), rows(150..300, 12));
    space.write("data/a.jsonl", broken);
    space.write("data/b.jsonl", rows(1000..1100, 12));
    space.write(
        "config/sft/one.yaml",
        recipe(&[entry("alpaca", "data/a.jsonl", 1.0, &[FILTERS])], "validation: { ratio: 0.1, seed: 42 }\n"),
    );
    space.write(
        "config/sft/two.yaml",
        recipe(
            &[entry("alpaca", "data/a.jsonl", 0.7, &[FILTERS]), entry("other", "data/b.jsonl", 0.3, &[])],
            "validation: { ratio: 0.1, seed: 42 }\n",
        ),
    );
    space.write(
        "config/dpo/safety.yaml",
        "metadata: { phase: dpo }\ndatasets:\n  - name: hh\n    source: Anthropic/hh-rlhf\n    format: huggingface\n    \
         data_dir: harmless-base\n    mix_ratio: 1.0\n",
    );
    space
}

/// The same, built.
fn built() -> Space {
    let space = three();
    space.build();
    space
}

/// The names of the queries a build runs.
fn queries(space: &Space) -> (BTreeMap<String, usize>, String) {
    let told: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let names = told.clone();
    let options = BuildOptions {
        on_query: Some(Arc::new(move |name: String| {
            let name = name.split('(').next().unwrap_or_default().to_owned();
            *names.lock().unwrap().entry(name).or_default() += 1;
        })),
        ..BuildOptions::default()
    };
    let report = space.build_with(&options);
    let told = told.lock().unwrap().clone();
    (told, ran(&report))
}

#[test]
fn a_source_that_two_recipes_share_is_converted_once() {
    let space = three();
    let report = space.build();
    // One chunk each of a, b and the hub's file; quality and length of a, once for both recipes. Both of a's selections
    // are one action.
    assert_eq!(ran(&report), "3 arrange, 3 convert, 3 output, 3 quarantine, 3 scan, 2 score, 3 select");
    assert_eq!(space.warnings(), [] as [&str; 0]);
    space.assert_clean();
}

#[test]
fn without_a_change_nothing_runs_and_nothing_is_written() {
    let space = built();
    let before = space.stats();
    let (asked, ran) = queries(&space);
    assert_eq!(ran, "");
    assert_eq!(asked, BTreeMap::new(), "the first look asks the planner nothing");
    assert_eq!(space.stats(), before);
    assert!(space.status().recipes.iter().all(|recipe| recipe.state == State::Fresh));
    assert_eq!(space.stats(), before, "status writes nothing");
}

#[test]
fn spelling_of_a_recipe_changes_nothing() {
    let space = built();
    let outputs = space.stats().into_iter().filter(|(path, _)| path.starts_with(space.path("dataset")));
    let before: BTreeMap<_, _> = outputs.collect();
    let edits: [(&str, &str); 5] = [
        ("metadata:", "# a comment\nmetadata:"),
        ("validation: { ratio: 0.1, seed: 42 }", "validation: { seed: 42, ratio: 0.1 }"),
        ("mix_ratio: 1.0", "mix_ratio:   1.0   # all of it"),
        ("{ type: length, min_length: 10 }", "{min_length: 10,   type: length}"),
        ("phase: sft", "phase: sft, description: what it is for, total_tokens: 10_000_000"),
    ];
    for (from, to) in edits {
        space.edit("config/sft/one.yaml", from, to);
        assert_eq!(space.state("sft/one"), "fresh", "{to}");
        let (asked, ran) = queries(&space);
        assert_eq!(ran, "", "{to}");
        for query in ["selected", "mixed", "arranged", "output", "quarantine", "plan"] {
            assert!(!asked.contains_key(query), "{query} ran after {to}: {asked:?}");
        }
        assert_eq!(asked.get("parse"), Some(&1), "only the recipe that changed is parsed");
        let (asked, _) = queries(&space);
        assert_eq!(asked, BTreeMap::new(), "what the second look settled, the first settles next time");
    }
    let after: BTreeMap<_, _> = space.stats().into_iter().filter(|(path, _)| before.contains_key(path)).collect();
    assert_eq!(after, before, "outputs were not touched");
}

#[test]
fn a_seed_arranges_one_recipe_anew() {
    let space = built();
    let others: Vec<String> = vec!["sft_two_train.jsonl".into(), "dpo_safety_train.jsonl".into()];
    let before = space.stats();
    space.edit("config/sft/one.yaml", "seed: 42", "seed: 43");
    assert_eq!(space.state("sft/one"), "stale: validation.seed 42 -> 43");
    let report = space.build();
    assert_eq!(ran(&report), "1 arrange, 1 output");
    assert_eq!(of(&report, "sft/one").written, ["sft_one_train.jsonl", "sft_one_val.jsonl"]);
    let after = space.stats();
    for name in others.iter().chain([&"quarantine/sft_one.jsonl".to_owned()]) {
        let path = space.path("dataset").join(name);
        assert_eq!(before[&path], after[&path], "{name} was touched");
    }
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn thresholds_ratios_and_limits_convert_and_score_nothing() {
    let space = built();
    let edits = [
        ("one", "min_length: 10", "min_length: 120", "stale: filters[0] of alpaca length min 10 -> length min 120"),
        ("one", "min_score: 0.1", "min_score: 0.3", "stale: filters[1] of alpaca quality min 0.1 -> quality min 0.3"),
        ("one", "mix_ratio: 1.0", "mix_ratio: 1.0\n    max_samples: 40", "stale: max_samples of alpaca added: 40"),
        ("one", "max_samples: 40", "max_samples: 20", "stale: max_samples of alpaca 40 -> 20"),
        ("one", "max_samples: 20", "max_samples: 90", "stale: max_samples of alpaca 20 -> 90"),
        ("one", "    max_samples: 90\n", "", "stale: max_samples of alpaca removed (was 90)"),
        ("one", "ratio: 0.1", "ratio: 0.2", "stale: validation.ratio 0.1 -> 0.2"),
        (
            "one",
            "seed: 42",
            "seed: 42, method: exact",
            "stale: validation.method hash -> exact; validation.stratified added: true",
        ),
        ("two", "mix_ratio: 0.7", "mix_ratio: 0.6", ""),
    ];
    for (name, from, to, reason) in edits {
        let path = format!("config/sft/{name}.yaml");
        space.edit(&path, from, to);
        if reason.is_empty() {
            space.edit(&path, "mix_ratio: 0.3", "mix_ratio: 0.4");
            assert_eq!(space.state("sft/two"), "stale: mix_ratio of alpaca 0.7 -> 0.6; mix_ratio of other 0.3 -> 0.4");
        } else {
            assert_eq!(space.state("sft/one"), reason);
        }
        let report = space.build();
        for kind in ["scan", "convert", "score"] {
            assert_eq!(count(&report, kind), 0, "{to}: {}", ran(&report));
        }
        for kind in ["select", "arrange", "output", "quarantine"] {
            assert!(count(&report, kind) <= 1, "{to}: {}", ran(&report));
        }
        let is_other = |other: &&(&str, &str)| other.0 != format!("sft/{name}");
        assert!(states(&report).iter().filter(is_other).all(|(_, state)| *state == "fresh"), "{:?}", states(&report));
        space.assert_settled();
        space.assert_clean();
    }
}

#[test]
fn a_second_source_changes_the_ratio_of_the_first_in_words() {
    let space = built();
    space.write(
        "config/sft/one.yaml",
        recipe(
            &[entry("alpaca", "data/a.jsonl", 0.7, &[FILTERS]), entry("other", "data/b.jsonl", 0.3, &[])],
            "validation: { ratio: 0.1, seed: 42 }\n",
        ),
    );
    let reason = space.state("sft/one");
    assert!(reason.contains("mix_ratio of alpaca 1.0 -> 0.7"), "{reason}");
    let report = space.build();
    assert_eq!(ran(&report), "", "the other recipe has built the same");
    assert_eq!(space.read("dataset/sft_one_train.jsonl"), space.read("dataset/sft_two_train.jsonl"));
    space.assert_clean();
}

#[test]
fn a_new_filter_scores_and_converts_nothing() {
    let space = built();
    space.edit("config/sft/one.yaml", "filters: [", "filters: [{ type: deduplication }, ");
    let report = space.build();
    assert_eq!((count(&report, "convert"), count(&report, "scan")), (0, 0), "{}", ran(&report));
    assert_eq!(count(&report, "score"), 1, "{}", ran(&report));
    space.assert_settled();
    space.assert_clean();
}

#[test]
fn a_converter_that_writes_the_same_bytes_stops_there() {
    let space = built();
    let before = space.outputs();
    let converter = Component::Converter("alpaca".into());
    let raised = space.with_raised(&converter);
    let report = raised.build(&[], &BuildOptions::default()).unwrap();
    assert_eq!(ran(&report), "2 convert");
    let [StaleReason::Changed(change)] = &of(&report, "sft/one").before.reasons[..] else { panic!("one change") };
    assert_eq!(change.name, Leaf::Converter { dataset: "alpaca".to_owned() });
    let version = |version| Some(Value::Code { name: "alpaca".to_owned(), version });
    let now = datac::convert::by_name("alpaca").unwrap().version();
    assert_eq!((&change.old, &change.new), (&version(now), &version(now + 1)));
    assert_same(&space.outputs(), &before);
    let report = space.build();
    assert_eq!(ran(&report), "", "back to the version before: the cache has it");
    assert_eq!(ran(&raised.build(&[], &BuildOptions::default()).unwrap()), "");
}

/// A version that is raised and forgotten somewhere would leave stale bytes in place; one that names too much would empty
/// caches for nothing.
#[test]
fn a_raised_version_shows_in_status_and_build_and_runs_its_stage() {
    let space = built();
    let before = space.outputs();
    let named = |name: &'static str| name.into();
    let stages = [
        (Component::Cutter, "scan"),
        (Component::Decoder(named("json")), "scan"),
        (Component::Converter(named("alpaca")), "convert"),
        (Component::Samples, "convert"),
        (Component::Rejects, "convert"),
        (Component::Scorer(named("length")), "score"),
        (Component::Scores, "score"),
        (Component::Selection, "select"),
        (Component::Allotment, "arrange"),
        (Component::Arrangement, "arrange"),
        (Component::RowWriter, "output"),
        (Component::QuarantineWriter, "quarantine"),
    ];
    for (component, stage) in stages {
        let raised = space.with_raised(&component);
        let assessment = raised.status(&[]).unwrap();
        let stale = |recipe: &&datac::RecipeStatus| recipe.name == "sft/one";
        let status = assessment.recipes.iter().find(stale).unwrap();
        assert_eq!(status.state, State::Stale, "{component}");
        assert!(!status.reasons.is_empty(), "{component}");
        let is_named = |reason: &StaleReason| match (reason.change().map(|change| &change.name), &component) {
            (Some(Leaf::Converter { .. }), Component::Converter(_)) => true,
            (Some(Leaf::Code(changed)), component) => changed == component,
            _ => false,
        };
        assert!(status.reasons.iter().all(is_named), "{component}: {:?}", status.reasons);
        let report = raised.build(&[], &BuildOptions::default()).unwrap();
        assert!(report.failure().is_none(), "{component}");
        assert!(count(&report, stage) > 0, "{component}: {}", ran(&report));
        assert_same(&space.outputs(), &before);
        let after = raised.status(&[]).unwrap();
        assert!(after.recipes.iter().all(|recipe| recipe.state == State::Fresh), "{component}: settled by the build");
        // Back to how it was, for the next one.
        space.build();
    }
    // A version of something that no recipe uses empties no cache and makes nothing stale.
    for component in [Component::Converter(named("text")), Component::Decoder(named("delimited"))] {
        let raised = space.with_raised(&component);
        assert_eq!(ran(&raised.build(&[], &BuildOptions::default()).unwrap()), "", "{component}");
    }
}

/// About 5 MB in about 10 chunks.
fn large() -> (Space, Vec<String>) {
    let space = Space::new();
    let lines: Vec<String> = (0..8000).map(|number| row(number, 80) + "\n").collect();
    space.write("data/large.jsonl", lines.concat());
    space.write("data/b.jsonl", rows(100_000..100_100, 12));
    let filters = "filters: [{ type: length, min_length: 10 }]";
    space.write("config/sft/large.yaml", recipe(&[entry("large", "data/large.jsonl", 1.0, &[filters])], ""));
    space.write("config/sft/other.yaml", recipe(&[entry("other", "data/b.jsonl", 1.0, &[])], ""));
    (space, lines)
}

#[test]
fn an_edited_row_converts_its_chunk_alone() {
    let (space, mut lines) = large();
    let report = space.build();
    let all = of(&report, "sft/large").chunks;
    assert!(all.0 == all.1 && (6..=20).contains(&all.1), "{all:?}");
    let mut changes: Vec<(&str, Box<dyn Fn(&mut Vec<String>)>)> = vec![
        ("edited", Box::new(|lines| lines[4000] = row(900_000, 80) + "\n")),
        ("appended", Box::new(|lines| lines.push(row(900_001, 80) + "\n"))),
        ("deleted", Box::new(|lines| drop(lines.remove(3000)))),
        ("inserted", Box::new(|lines| lines.insert(100, row(900_002, 80) + "\n"))),
        ("prepended", Box::new(|lines| lines.insert(0, row(900_003, 80) + "\n"))),
        ("broken", Box::new(|lines| lines[5000] = "{\"instruction\": \n".into())),
        ("cut off at the end", Box::new(|lines| drop(lines.pop()))),
    ];
    // Rows that happen to be boundaries touch two chunks, others one.
    for i in 0..4 {
        changes.push(("edited", Box::new(move |lines| lines[700 + i * 1777] = row(910_000 + i as u64, 80) + "\n")));
    }
    for (what, change) in changes {
        change(&mut lines);
        space.write("data/large.jsonl", lines.concat());
        let reason = space.state("sft/large");
        assert!(reason.starts_with("stale: file data/large.jsonl of data/large.jsonl "), "{what}: {reason}");
        let report = space.build();
        let (converted, chunks) = of(&report, "sft/large").chunks;
        assert!(converted <= 2 && chunks > 5, "{what}: {converted} of {chunks}");
        assert_eq!(count(&report, "convert"), converted, "{what}");
        assert!(count(&report, "score") <= 2, "{what}: {}", ran(&report));
        for kind in ["scan", "select", "arrange", "output"] {
            assert!(count(&report, kind) <= 1, "{what}: {}", ran(&report));
        }
        assert_eq!(of(&report, "sft/other").before.state, State::Fresh, "{what}");
        space.assert_settled();
    }
    space.assert_clean();
}

#[test]
fn a_file_that_is_compressed_under_its_old_name_is_read_anew() {
    let (space, mut lines) = large();
    space.build();
    for change in 0..2 {
        // Once the file was lines before, once it was compressed like this.
        lines[4000 + change] = row(900_000 + change as u64, 80) + "\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(lines.concat().as_bytes()).unwrap();
        space.write("data/large.jsonl", gzip.finish().unwrap());
        space.build();
        space.assert_clean();
    }
    space.write("data/large.jsonl", lines.concat());
    space.build();
    space.assert_clean();
}

#[test]
fn a_touched_source_is_hashed_and_nothing_more() {
    let space = built();
    let text = space.read("data/a.jsonl");
    space.remove("data/a.jsonl");
    space.write("data/a.jsonl", text);
    assert_eq!(space.state("sft/one"), "fresh");
    assert_eq!(ran(&space.build()), "");
    space.assert_settled();
}

#[test]
fn fewer_samples_read_less_and_more_read_on() {
    let (space, _) = large();
    let until = || space.workspace().why("sft/large").unwrap().steps.iter().find_map(|step| step.until_samples);
    space.remove("cache");
    space.remove("dataset");
    assert_eq!(until(), None, "all of it is read");
    space.edit("config/sft/large.yaml", "mix_ratio: 1.0", "mix_ratio: 1.0\n    max_samples: 500");
    assert_eq!(until(), Some(500), "the plan says where reading stops");
    let report = space.build();
    assert_eq!(until(), None, "nothing is to be read");
    assert!(of(&report, "sft/large").chunks.1 <= 3, "{:?}", of(&report, "sft/large").chunks);
    space.assert_settled();
    let mut converted = count(&report, "convert");
    for (from, to) in [(500, 3000), (3000, 7999)] {
        space.edit("config/sft/large.yaml", &format!("max_samples: {from}"), &format!("max_samples: {to}"));
        let report = space.build();
        converted += count(&report, "convert");
        space.assert_clean();
    }
    let twin = space.twin();
    assert_eq!(converted, count(&twin.build(), "convert"), "reading on repeats no conversion");
    space.edit("config/sft/large.yaml", "max_samples: 7999", "max_samples: 500");
    assert_eq!(ran(&space.build()), "", "all of it is in the cache");
    space.assert_clean();
}

#[test]
fn recipes_come_and_go_without_the_others() {
    let space = built();
    let before = space.stats();
    space.write("config/sft/three.yaml", recipe(&[entry("again", "data/b.jsonl", 1.0, &[])], ""));
    assert_eq!(space.state("sft/three"), "new: never built");
    let report = space.build();
    assert_eq!(ran(&report), "1 arrange, 1 output", "its source is converted and selected already");
    let path = space.path("dataset/sft_one_train.jsonl");
    assert_eq!(space.stats()[&path], before[&path]);

    space.remove("config/sft/three.yaml");
    let assessment = space.status();
    let orphan = assessment.recipes.iter().find(|recipe| recipe.state == State::Orphan).expect("what it left behind");
    assert_eq!(orphan.path, "config/sft/three.yaml");
    let report = space.build();
    assert_eq!(ran(&report), "");
    assert_eq!(states(&report).len(), 3);
    assert!(space.path("dataset/sft_three_train.jsonl").exists(), "a build removes no one's files");
}

#[test]
fn a_renamed_recipe_is_the_new_owner_of_its_files() {
    let space = built();
    let before = space.outputs();
    space.write("config/sft/more/one.yaml", space.read("config/sft/one.yaml"));
    space.remove("config/sft/one.yaml");
    let report = space.build();
    assert_eq!(ran(&report), "");
    assert_same(&space.outputs(), &before);
    assert_eq!(of(&report, "more/one").summary.as_ref().map(|summary| summary.rejects), Some(1));
    assert!(space.status().recipes.iter().all(|recipe| recipe.state == State::Fresh), "nothing is left behind");
    space.assert_settled();
}

#[test]
fn a_deleted_output_comes_back_from_the_cache() {
    let space = built();
    let before = space.outputs();
    for name in ["sft_one_train.jsonl", "sft_one_val.jsonl", "quarantine/sft_one.jsonl"] {
        space.remove(&format!("dataset/{name}"));
        assert_eq!(space.state("sft/one"), format!("cached: {name} is missing; can be restored from the cache"));
        let report = space.build();
        assert_eq!(ran(&report), "");
        assert_eq!(of(&report, "sft/one").written, [name]);
        assert_same(&space.outputs(), &before);
    }
    space.remove("dataset");
    assert_eq!(ran(&space.build()), "");
    assert_same(&space.outputs(), &before);
    space.assert_settled();
}

#[test]
fn an_output_edited_by_hand_is_restored() {
    let space = built();
    let before = space.outputs();
    for name in before.keys().filter(|name| name.contains("sft_one")) {
        let mut bytes = before[name].clone();
        let last = bytes.len() - 2;
        // The same size, so that only the content tells.
        bytes[last] = bytes[last].wrapping_add(1);
        space.write(&format!("dataset/{name}"), bytes);
        assert_eq!(space.state("sft/one"), format!("edited: {name} was edited by hand"));
        assert_eq!(ran(&space.build()), "");
        assert_same(&space.outputs(), &before);
    }
    space.assert_settled();
}

#[test]
fn a_deleted_cache_costs_nothing_while_outputs_are_fresh() {
    let space = built();
    let before = space.outputs();
    space.remove("cache/v1/cas");
    assert_eq!(space.state("sft/one"), "fresh");
    assert_eq!(ran(&space.build()), "");
    // With the record goes what outputs stood on; they are made again and found to be in place.
    let stats = space.stats();
    space.remove("cache");
    let report = space.build();
    assert_eq!(count(&report, "convert"), 3);
    assert!(report.recipes.iter().all(|recipe| recipe.written.is_empty()), "the same bytes are not written again");
    assert_same(&space.outputs(), &before);
    let path = space.path("dataset/sft_one_train.jsonl");
    assert_eq!(space.stats()[&path], stats[&path]);
    space.assert_settled();
}

#[test]
fn an_earlier_recipe_is_restored_from_the_cache() {
    let space = built();
    let (first, text) = (space.outputs(), space.text("config/sft/two.yaml"));
    for (from, to) in [("seed: 42", "seed: 7"), ("min_length: 10", "min_length: 90"), ("ratio: 0.1", "ratio: 0.3")] {
        space.edit("config/sft/two.yaml", from, to);
        space.build();
    }
    space.write("config/sft/two.yaml", &text);
    let report = space.build();
    assert_eq!(ran(&report), "");
    assert_same(&space.outputs(), &first);
    space.assert_settled();

    let source = space.read("data/a.jsonl");
    space.write("data/a.jsonl", rows(0..20, 12));
    space.build();
    assert!(!space.path("dataset/quarantine/sft_one.jsonl").exists(), "no rejects, no quarantine file");
    space.write("data/a.jsonl", source);
    assert_eq!(ran(&space.build()), "");
    assert_same(&space.outputs(), &first);
    space.assert_settled();
}

#[test]
fn a_recipe_that_has_begun_to_read_goes_on_with_its_files() {
    let space = Space::new();
    space.write("data/one/long.jsonl", rows(0..900, 12));
    space.write("data/two/middle.jsonl", rows(1000..1500, 12));
    space.write("data/two/long.jsonl", rows(2000..2800, 12));
    space.write("data/one/short.jsonl", rows(3000..3100, 12));
    for name in ["one", "two"] {
        let entry = entry(name, &format!("data/{name}"), 1.0, &[]);
        space.write(&format!("config/sft/{name}.yaml"), recipe(&[entry], ""));
    }
    space.build_with(&BuildOptions { jobs: 1, ..BuildOptions::default() });
    assert_eq!(
        space.scanned(),
        ["data/one/long.jsonl", "data/one/short.jsonl", "data/two/long.jsonl", "data/two/middle.jsonl"]
    );
}

#[test]
fn a_recipe_that_finds_too_few_samples_in_a_file_reads_the_next_before_others_begin() {
    let space = Space::new();
    space.write("data/one/1.jsonl", rows(0..900, 12));
    space.write("data/one/2.jsonl", rows(1000..1200, 12));
    space.write("data/two.jsonl", rows(2000..2800, 12));
    space.write("config/sft/one.yaml", recipe(&[entry("one", "data/one", 1.0, &["max_samples: 950"])], ""));
    space.write("config/sft/two.yaml", recipe(&[entry("two", "data/two.jsonl", 1.0, &[])], ""));
    for jobs in [1, 2] {
        space.remove("cache");
        space.build_with(&BuildOptions { jobs, ..BuildOptions::default() });
        assert_eq!(space.scanned(), ["data/one/1.jsonl", "data/one/2.jsonl", "data/two.jsonl"], "{jobs} threads");
    }
}

#[test]
fn force_runs_everything_and_changes_nothing() {
    let space = built();
    let (before, stats) = (space.outputs(), space.stats());
    let report = space.build_with(&BuildOptions { force: true, ..BuildOptions::default() });
    assert_eq!(ran(&report), "3 arrange, 3 convert, 3 output, 3 quarantine, 3 scan, 2 score, 3 select");
    assert_same(&space.outputs(), &before);
    for (path, stat) in stats.iter().filter(|(path, _)| path.starts_with(space.path("dataset"))) {
        assert_eq!(fs::metadata(path).map(|_| space.stats()[path]).unwrap(), *stat);
    }
    space.assert_settled();
}

#[test]
fn outputs_from_elsewhere_are_known_for_what_they_are() {
    let space = built();
    let (first, text) = (space.outputs(), space.text("config/sft/one.yaml"));
    space.edit("config/sft/one.yaml", "seed: 42", "seed: 43");
    space.build();
    let second = space.outputs();
    space.write("config/sft/one.yaml", &text);
    space.build();
    // The recipe and its outputs of another day, as a checkout of both would put them there.
    space.edit("config/sft/one.yaml", "seed: 42", "seed: 43");
    second.iter().for_each(|(name, bytes)| space.write(&format!("dataset/{name}"), bytes));
    assert_eq!(ran(&space.build()), "");
    assert_same(&space.outputs(), &second);
    let status = space.status().recipes.into_iter().find(|recipe| recipe.name == "sft/one").unwrap();
    for file in &status.files {
        let digest = FileHash::of(&second[&file.name]);
        assert_eq!(file.meta.digest, digest, "{} is told by what it holds now", file.name);
    }
    assert_ne!(first["sft_one_train.jsonl"], second["sft_one_train.jsonl"]);
    space.assert_settled();
}
