//! Selectors, lists and the graph, over recipes that read what others write.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::place::{Place, recipe, rows};

/// `sft/one` and `sft/two`, `sft/three` over an output of `one`, `sft/four` over one of `three`.
fn chain() -> Place {
    let place = Place::new();
    place.sh("datac build");
    place.write("config/sft/three.yaml", recipe("three", "dataset/sft_one_train.jsonl"));
    place.sh("datac build sft/three");
    place.write("config/sft/four.yaml", recipe("four", "./dataset/sft_three_train.jsonl"));
    place.sh("datac build sft/four");
    place
}

/// The names of the recipes that selectors mean.
fn meant(place: &Place, selectors: &str) -> Vec<String> {
    let printed = place.sh(&format!("datac ls {selectors} --json 2>/dev/null"));
    let listed: Value =
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{selectors}: {error}\n{printed}"));
    let recipes = listed["recipes"].as_array().unwrap().iter();
    recipes.map(|recipe| recipe["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn selectors_mean_recipes() {
    let place = chain();
    for (selectors, names) in [
        ("sft/one", &["sft/one"][..]),
        ("'sft/t*'", &["sft/three", "sft/two"]),
        ("'config/**/{one,two}.yaml'", &["sft/one", "sft/two"]),
        ("dataset/sft_two_val.jsonl", &["sft/two"]),
        ("./dataset/sft_two_val.jsonl", &["sft/two"]),
        ("\"$PWD/dataset/sft_two_val.jsonl\" -C \"$PWD\"", &["sft/two"]),
        ("sft_two_train.jsonl sft/one", &["sft/one", "sft/two"]),
        ("'sft_t*_val.jsonl'", &["sft/three", "sft/two"]),
        ("source:data/one.jsonl", &["sft/one"]),
        ("source:./data/two/", &["sft/two"]),
        ("source:two", &["sft/two"]),
        ("'source:dataset/*'", &["sft/four", "sft/three"]),
        ("converter:alpaca", &["sft/one", "sft/two"]),
        ("converter:messages", &["sft/four", "sft/three"]),
        ("+sft/three", &["sft/one", "sft/three"]),
        ("+sft/four", &["sft/four", "sft/one", "sft/three"]),
        ("sft/one+", &["sft/four", "sft/one", "sft/three"]),
        ("+sft/three+", &["sft/four", "sft/one", "sft/three"]),
        ("source:one+", &["sft/four", "sft/one", "sft/three"]),
        ("+dataset/sft_three_val.jsonl", &["sft/one", "sft/three"]),
        ("config/sft+", &["sft/four", "sft/one", "sft/three", "sft/two"]),
        ("state:fresh", &["sft/four", "sft/one", "sft/three", "sft/two"]),
        ("state:stale,edited", &[]),
    ] {
        assert_eq!(meant(&place, selectors), names, "{selectors}");
    }
    place.edit("config/sft/two.yaml", "seed: 1", "seed: 2");
    assert_eq!(meant(&place, "state:stale"), ["sft/two"]);
    place.sh("datac build state:stale && test -z \"$(datac ls state:stale 2>/dev/null)\"");
    place.sh("rm config/sft/two.yaml");
    assert_eq!(meant(&place, "state:orphan"), ["sft/two"]);
    for line in
        ["datac why 'sft/th*'", "datac show source:three -n 1", "datac diff converter:messages --vs 1 || test $? = 2"]
    {
        place.sh(line);
    }
}

/// make is told of no target that hangs on itself.
#[test]
fn a_chain_has_a_depfile() {
    let place = chain();
    place.sh("datac build --depfile out.d && datac build --stamp out.stamp --depfile stamp.d");
    for (file, wanted) in [("out.d", "dataset/sft_four_val.jsonl"), ("stamp.d", "out.stamp")] {
        let depfile = place.read(file);
        let (targets, inputs) = depfile.split_once(": ").unwrap();
        assert!(targets.contains(wanted) && inputs.contains("data/one.jsonl"), "{depfile}");
        assert!(!inputs.contains("dataset/"), "{depfile}");
    }
}

#[test]
fn what_is_there_is_meant_whatever_it_is_called() {
    let place = Place::new();
    place.write("config/c++/a+.yaml", recipe("plus", "data/one.jsonl"));
    for selector in ["config/c++", "'config/c++/a+.yaml'", "'c++/a+.yaml'", "source:plus"] {
        assert_eq!(meant(&place, selector), ["c++/a+"], "{selector}");
    }
}

#[test]
fn what_means_nothing_is_an_error_that_names_what_does() {
    let place = Place::new();
    place.sh("datac build");
    for (selector, hint) in [
        ("sft/on", "did you mean `sft/one`?"),
        ("'sft/x*'", "sft/"),
        ("sft_one_trian.jsonl", "did you mean `sft_one_train.jsonl`?"),
        ("source:data/on.jsonl", "did you mean `data/one.jsonl`?"),
        ("converter:alpacca", "did you mean `alpaca`?"),
        ("converter:gsm8k", "recipes use alpaca"),
        ("state:frish", "did you mean `fresh`?"),
        ("sauce:one", "did you mean `source:`?"),
        ("'sft/[z'", "`sft/*`"),
        ("+", "`+sft/general`"),
    ] {
        for command in ["build", "status", "stats", "lock", "ls", "graph"] {
            let (printed, code) = place.try_sh(&format!("datac {command} {selector}"));
            assert_eq!(code, 2, "{command} {selector}: {printed}");
            assert!(printed.contains("error: ") && printed.contains(hint), "{command} {selector}: {printed}");
        }
    }
    // Without any recipe there is none in a state either, lest a check in the wrong folder pass for ever.
    let (printed, code) = place.try_sh("mkdir -p empty/config && datac -C empty build --check state:stale");
    assert!(code == 2 && printed.contains("no recipes below `config/`"), "{printed}");
    // Asked for one that must mean one.
    let (printed, code) = place.try_sh("datac why 'sft/*'");
    assert!(code == 2 && printed.contains("matches 2 recipes"), "{printed}");
}

/// A broken recipe is told of where selectors would have to look into it, and takes no part.
#[test]
fn broken_recipes_are_passed_over_aloud() {
    let place = Place::new();
    place.sh("datac build && echo datasets: > config/sft/broken.yaml");
    let (printed, code) = place.try_sh("datac build source:one");
    assert_eq!(code, 0, "{printed}");
    assert_eq!(printed.matches("`config/sft/broken.yaml` is invalid").count(), 1, "{printed}");
    assert!(!place.sh("datac build sft/one").contains("invalid"));
    assert_eq!(meant(&place, "state:invalid"), ["sft/broken"]);
}

#[test]
fn lists_have_stable_columns() {
    let place = chain();
    place.sh(
        "rm dataset/sft_two_val.jsonl; rm config/sft/one.yaml; sed -i.old 's/seed: 1/seed: 2/' config/sft/four.yaml",
    );
    place.write("config/sft/new.yaml", recipe("new", "data/one.jsonl"));
    place.write("config/sft/bad.yaml", "datasets:\n");
    let columns = |line: &str, wanted: &str| place.sh(&format!("datac {line} | cut -f {wanted}"));
    assert_eq!(
        columns("ls", "1-3,6-"),
        "sft/bad\tinvalid\t-\t-\tconfig/sft/bad.yaml\n\
         sft/four\tstale\tsft\tdataset/sft_three_train.jsonl\tconfig/sft/four.yaml\n\
         sft/new\tnew\tsft\tdata/one.jsonl\tconfig/sft/new.yaml\n\
         sft/three\tfresh\tsft\tdataset/sft_one_train.jsonl\tconfig/sft/three.yaml\n\
         sft/two\tcached\tsft\tdata/two\tconfig/sft/two.yaml\n\
         sft/one\torphan\t-\t-\tconfig/sft/one.yaml\n"
    );
    assert_eq!(
        columns("ls sources sft/new sft/two", "1-3,5"),
        "data/one.jsonl\t-\t1\tsft/new\ndata/two\t-\t1\tsft/two\n"
    );
    assert_eq!(
        columns("ls outputs sft/new sft/two", "1-3"),
        "dataset/sft_new_train.jsonl\tsft/new\tnew\ndataset/sft_new_val.jsonl\tsft/new\tnew\n\
         dataset/sft_two_train.jsonl\tsft/two\tfresh\ndataset/sft_two_val.jsonl\tsft/two\tmissing\n"
    );
    let before = place.sh("find . -type f -printf '%p %i %T@ %s\\n' | sort");
    place.sh(
        "datac ls outputs; datac ls sources; datac graph; datac graph --format dot --stages; datac graph --format json",
    );
    assert_eq!(place.sh("find . -type f -printf '%p %i %T@ %s\\n' | sort"), before, "looking writes nothing");
}

#[test]
fn the_graph_leads_from_sources_to_outputs() {
    let place = chain();
    let graph: Value = serde_json::from_str(&place.sh("datac graph --format json")).unwrap();
    let edges: Vec<(&str, &str)> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (edge["from"].as_str().unwrap(), edge["to"].as_str().unwrap()))
        .collect();
    // From the file of `one` all the way to a file of `four`.
    let mut reached = vec!["source:data/one.jsonl"];
    let mut at = 0;
    while at < reached.len() {
        let from = reached[at];
        reached.extend(edges.iter().filter(|edge| edge.0 == from).map(|edge| edge.1));
        at += 1;
    }
    assert!(reached.contains(&"output:dataset/sft_four_val.jsonl"), "{edges:?}");
    assert!(!reached.contains(&"output:dataset/sft_two_val.jsonl"), "{edges:?}");
    let nodes: Vec<&str> = graph["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert!(edges.iter().all(|(from, to)| nodes.contains(from) && nodes.contains(to)));

    let mermaid = place.sh("datac graph");
    assert!(mermaid.lines().all(is_mermaid), "{mermaid}");
    assert_eq!(mermaid.matches("[(").count(), 2, "an output that is read is drawn once: {mermaid}");
    let staged = place.sh("datac graph --stages");
    assert!(staged.lines().all(is_mermaid) && staged.contains("r1_scan --> r1_convert"), "{staged}");
}

/// Whether a line is one of those that a flowchart of Mermaid is made of here.
fn is_mermaid(line: &str) -> bool {
    let is_id = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let line = line.trim();
    let shapes = [("[(\"", "\")]"), ("([\"", "\"])"), ("[/\"", "\"/]"), ("[\"", "\"]")];
    let is_node = |text: &str| {
        shapes.iter().any(|(open, close)| {
            let parts = text.split_once(open).and_then(|(id, rest)| Some((id, rest.strip_suffix(close)?)));
            parts.is_some_and(|(id, label)| is_id(id) && !label.contains(['"', '`', '\\']))
        })
    };
    let words: Vec<&str> = line.split(' ').collect();
    match &words[..] {
        ["flowchart", "LR"] | ["direction", "LR"] | ["end"] => true,
        ["subgraph", rest @ ..] => is_node(&rest.join(" ")),
        ["classDef", state, style] => is_id(state) && style.starts_with("fill:#"),
        ["class", ids, state] => ids.split(',').all(is_id) && is_id(state),
        _ if line.contains(" --> ") => line.split(" --> ").all(is_id),
        _ => is_node(line),
    }
}

#[test]
fn graphviz_reads_what_is_written_for_it() {
    // Graphviz has no `--version`.
    let found = Command::new("dot").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: there is no `dot` here");
        return;
    }
    let place = chain();
    place.write("data/a \"quoted\" <name>.jsonl", rows("odd", 0..9));
    place.write("config/sft/odd.yaml", recipe("odd", "data/a \\\"quoted\\\" <name>.jsonl"));
    for line in ["datac graph --format dot", "datac graph --format dot --stages"] {
        let drawn = place.sh(&format!("{line} | dot -Tplain"));
        assert!(drawn.contains("quoted") && drawn.ends_with("stop\n"), "{drawn}");
    }
}
