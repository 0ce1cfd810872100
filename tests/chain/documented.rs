//! The rules that `docs/make-ninja-ci.md` tells people to copy, run as they stand there.

use std::time::Duration;

use super::place::{Place, has};

/// The blocks of the document in a language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/make-ninja-ci.md")).unwrap();
    let start = format!("```{language}\n");
    // The recipe of the examples is one of the sample's; here it is `sft/one`.
    let block = |rest: &str| {
        rest.split("```").next().unwrap().replace("sft_general", "sft_one").replace("sft/general", "sft/one")
    };
    text.split(&start).skip(1).map(block).collect()
}

fn place() -> Place {
    let place = Place::new();
    place.write("train", "#!/bin/sh\necho train >> ran\ncp \"$1\" \"$3\"\n");
    place.sh("chmod +x train");
    place
}

/// Runs a program; returns how often it came to training.
fn trainings(place: &Place, line: &str) -> usize {
    place.write("ran", "");
    let printed = place.sh(line);
    assert!(!printed.contains("warning"), "{line}: {printed}");
    std::thread::sleep(Duration::from_millis(20));
    place.read("ran").lines().count()
}

#[test]
fn the_makefiles_work() {
    if !has("make") {
        return;
    }
    let [always, stamped] = &blocks("make")[..] else { panic!("two makefiles") };
    let place = place();
    place.write("Makefile", always);
    place.sh("make -j2 data && datac build --check");
    place.write("Makefile", stamped);
    place.sh("make check");
    let make = "make -j2 model.bin";
    assert_eq!(trainings(&place, make), 1);
    assert_eq!(trainings(&place, make), 0);
    place.edit("config/sft/two.yaml", "seed: 1", "seed: 2");
    assert_eq!(place.try_sh("make check").1, 2, "something is stale");
    assert_eq!(trainings(&place, make), 0, "data that training does not read");
    place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    assert_eq!(trainings(&place, make), 1);
}

#[test]
fn the_ninja_files_work() {
    if !has("ninja") {
        return;
    }
    let [stamped, single] = &blocks("ninja")[..] else { panic!("two ninja files") };
    let rule = "rule train\n  command = ./train $in -o $out\nbuild model.bin: train dataset/sft_one_train.jsonl\n";
    for manifest in [stamped.clone(), format!("{single}{rule}")] {
        let place = place();
        place.write("build.ninja", &manifest);
        assert_eq!(trainings(&place, "ninja"), 1, "{manifest}");
        assert!(place.sh("ninja -n").contains("no work to do"), "{manifest}");
        place.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
        assert_eq!(trainings(&place, "ninja"), 1, "{manifest}");
        place.edit("config/sft/one.yaml", "ratio: 0.1", "ratio: 0.100");
        assert_eq!(trainings(&place, "ninja"), 0, "the same bytes: {manifest}");
        assert_eq!(trainings(&place, "ninja"), 0, "{manifest}");
    }
}
