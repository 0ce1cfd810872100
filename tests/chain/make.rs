//! Under GNU make.

use std::time::Duration;

use super::place::{Place, has, recipe, rows};

/// One stamp for all, and a rule behind one of the outputs: what runs is counted in `ran`.
const MAKEFILE: &str = "\
all: trained
data.stamp:
\techo datac >> ran
\t+datac build --locked --stamp $@ --depfile $@.d
-include data.stamp.d
dataset/sft_one_train.jsonl: data.stamp ;
trained: dataset/sft_one_train.jsonl
\techo train >> ran
\ttouch $@
";

/// Runs make; returns which rules ran.
fn make(place: &Place) -> Vec<String> {
    place.write("ran", "");
    place.sh("make");
    // make compares times, and two edits within one tick of the clock are one to it.
    for path in ["data.stamp", "trained"] {
        place.age(path, Duration::ZERO);
    }
    std::thread::sleep(Duration::from_millis(20));
    place.read("ran").lines().map(str::to_owned).collect()
}

#[test]
fn what_changed_is_built_and_nothing_else() {
    if !has("make") {
        return;
    }
    let place = Place::new();
    place.write("Makefile", MAKEFILE);
    assert_eq!(make(&place), ["datac", "train"]);
    assert_eq!(make(&place), [""; 0], "nothing changed");

    let other = place.modified("dataset/sft_two_train.jsonl");
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    assert_eq!(make(&place), ["datac", "train"]);
    assert_eq!(place.modified("dataset/sft_two_train.jsonl"), other, "the other recipe's output stays");

    place.edit("config/sft/two.yaml", "seed: 1", "seed: 2");
    assert_eq!(make(&place), ["datac"], "no output that training reads has changed");
    place.edit("config/sft/one.yaml", "ratio: 0.1", "ratio: 0.1000");
    assert_eq!(make(&place), ["datac"], "the same bytes stop the chain");
    assert_eq!(make(&place), [""; 0]);

    place.write("data/one.jsonl", rows("one", 0..41));
    assert_eq!(make(&place), ["datac", "train"], "a local source");
    place.write("data/two/b.jsonl", rows("more", 0..3));
    assert_eq!(make(&place), ["datac"], "a file that comes to a folder");
    std::fs::remove_file(place.path("data/two/b.jsonl")).unwrap();
    assert_eq!(make(&place), ["datac"], "and one that goes");
    place.write("config/sft/three.yaml", recipe("three", "data/one.jsonl"));
    assert_eq!(make(&place), ["datac"], "a new recipe");
    assert!(place.path("dataset/sft_three_train.jsonl").exists());
    std::fs::remove_file(place.path("config/sft/three.yaml")).unwrap();
    assert_eq!(make(&place), ["datac"]);
    assert_eq!(make(&place), [""; 0]);
}

#[test]
fn a_failed_build_leaves_no_stamp() {
    if !has("make") {
        return;
    }
    let place = Place::new();
    place.write("Makefile", MAKEFILE);
    place.edit("config/sft/two.yaml", "ratio: 0.1", "ratoi: 0.1");
    let (printed, code) = place.try_sh("make");
    assert_eq!(code, 2, "{printed}");
    assert!(!place.path("data.stamp").exists() && !place.path("data.stamp.d").exists());
    place.edit("config/sft/two.yaml", "ratoi: 0.1", "ratio: 0.1");
    assert_eq!(make(&place), ["datac", "train"]);
}

/// Every name that can be written is read back by make as it is.
#[test]
fn odd_names_are_watched() {
    if !has("make") {
        return;
    }
    let place = Place::new();
    place.write("Makefile", MAKEFILE);
    let names = ["a b", "c#d", "e$f", "split=train", "g%h", "i(1)", "j[1]", "k{l}", "m,n+o@p", "zürich", "q~r", "s:t"];
    for name in names {
        place.write(&format!("data/two/{name}/x.jsonl"), rows(name, 0..2));
    }
    assert_eq!(make(&place), ["datac", "train"]);
    assert_eq!(make(&place), [""; 0]);
    for name in names {
        place.write(&format!("data/two/{name}/x.jsonl"), rows(name, 0..3));
        assert_eq!(make(&place), ["datac"], "an edit in `{name}`");
        place.write(&format!("data/two/{name}/y.jsonl"), rows(name, 9..11));
        assert_eq!(make(&place), ["datac"], "a new file in `{name}`");
    }
    for name in names.iter().filter(|name| !name.contains(['%', '='])) {
        std::fs::remove_file(place.path(&format!("data/two/{name}/x.jsonl"))).unwrap();
        assert_eq!(make(&place), ["datac"], "a file that went from `{name}`");
    }
    place.write("data/two/u;v.jsonl", rows("u", 0..2));
    place.write("ran", "");
    let printed = place.sh("make");
    assert!(printed.contains("cannot be named to make or ninja"), "{printed}");
}
