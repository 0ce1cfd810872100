//! Under ninja: `restat = 1` and a depfile, both as a file that ninja reads and as `deps = gcc`.

use std::time::Duration;

use super::place::{Place, has, recipe, rows};

fn manifest(deps: &str) -> String {
    format!(
        "rule datac\n  command = echo datac >> ran && datac build --locked --depfile $out.d --stamp $out\n  depfile = $out.d\n{deps}\
         rule files\n  command = echo files >> ran\n  restat = 1\n\
         rule train\n  command = echo train >> ran && touch $out\n\
         build data.stamp: datac\n\
         build dataset/sft_one_train.jsonl: files data.stamp\n\
         build trained: train dataset/sft_one_train.jsonl\n"
    )
}

/// One edge for one recipe: its outputs are the edge's, and those that keep their bytes keep their time.
const OUTPUTS: &str = "\
rule datac
  command = echo datac >> ran && datac build --locked sft/one --depfile $out.d
  depfile = $out.d
  deps = gcc
  restat = 1
rule train
  command = echo train >> ran && touch $out
build dataset/sft_one_train.jsonl | dataset/sft_one_val.jsonl: datac
build trained: train dataset/sft_one_train.jsonl
default trained
";

fn ninja(place: &Place) -> Vec<String> {
    place.write("ran", "");
    place.sh("ninja");
    std::thread::sleep(Duration::from_millis(20));
    place.read("ran").lines().filter(|line| *line != "files").map(str::to_owned).collect()
}

#[test]
fn what_changed_is_built_and_nothing_else() {
    if !has("ninja") {
        return;
    }
    for deps in ["", "  deps = gcc\n"] {
        let place = Place::new();
        place.write("build.ninja", manifest(deps));
        assert_eq!(ninja(&place), ["datac", "train"], "{deps}");
        assert_eq!(ninja(&place), [""; 0], "nothing changed");
        place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
        assert_eq!(ninja(&place), ["datac", "train"]);
        place.edit("config/sft/two.yaml", "seed: 1", "seed: 2");
        assert_eq!(ninja(&place), ["datac"], "no output that training reads has changed");
        place.write("data/two/b.jsonl", rows("more", 0..3));
        assert_eq!(ninja(&place), ["datac"], "a file that comes to a folder");
        std::fs::remove_file(place.path("data/two/b.jsonl")).unwrap();
        assert_eq!(ninja(&place), ["datac"], "and one that goes");
        place.write("config/sft/three.yaml", recipe("three", "data/one.jsonl"));
        assert_eq!(ninja(&place), ["datac"], "a new recipe");
        assert_eq!(ninja(&place), [""; 0]);
    }
}

#[test]
fn an_edge_of_outputs_stops_where_bytes_stay() {
    if !has("ninja") {
        return;
    }
    let place = Place::new();
    place.write("build.ninja", OUTPUTS);
    assert_eq!(ninja(&place), ["datac", "train"]);
    assert_eq!(ninja(&place), [""; 0]);
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    assert_eq!(ninja(&place), ["datac", "train"]);
    place.edit("config/sft/one.yaml", "ratio: 0.1", "ratio: 0.1000");
    assert_eq!(ninja(&place), ["datac"], "the same bytes stop the chain");
    assert_eq!(ninja(&place), [""; 0]);
    place.edit("config/sft/two.yaml", "seed: 1", "seed: 2");
    assert_eq!(ninja(&place), [""; 0], "another recipe");
}

/// Every name that can be written is read back by ninja as it is.
#[test]
fn odd_names_are_watched() {
    if !has("ninja") {
        return;
    }
    let place = Place::new();
    place.write("build.ninja", manifest("  deps = gcc\n"));
    let names = ["a b", "c#d", "e$f", "split=train", "g%h", "i(1)", "j[1]", "k{l}", "m,n+o@p", "zürich", "q~r", "s:t"];
    for name in names {
        place.write(&format!("data/two/{name}/x.jsonl"), rows(name, 0..2));
    }
    assert_eq!(ninja(&place), ["datac", "train"]);
    assert_eq!(ninja(&place), [""; 0]);
    for name in names {
        place.write(&format!("data/two/{name}/x.jsonl"), rows(name, 0..3));
        assert_eq!(ninja(&place), ["datac"], "an edit in `{name}`");
        place.write(&format!("data/two/{name}/y.jsonl"), rows(name, 9..11));
        assert_eq!(ninja(&place), ["datac"], "a new file in `{name}`");
        std::fs::remove_file(place.path(&format!("data/two/{name}/x.jsonl"))).unwrap();
        assert_eq!(ninja(&place), ["datac"], "a file that went from `{name}`");
    }
}
