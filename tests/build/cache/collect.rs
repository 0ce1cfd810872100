//! What `cache gc` removes.

use std::{collections::BTreeSet, fs, io::Read, path::Path, process::Stdio, thread, time::Duration};

use datac::workspace::{BuildOptions, CacheBounds, Collected, RecipeStatus};

use super::{NOTHING, space};
use crate::space::{Dice, Space, assert_same, changed, entry, ran, recipe, row, rows};

fn collect(space: &Space, bounds: &CacheBounds) -> Collected {
    space.workspace().cache().collect(bounds, false).unwrap()
}

/// Fails unless everything that is current comes out of the cache alone, with the bytes of a clean build.
#[track_caller]
fn assert_whole(space: &Space) {
    let size = space.workspace().cache().size().unwrap();
    assert_eq!(size.hollow_entries, 0, "no entry points at nothing");
    space.remove("dataset");
    assert_eq!(ran(&space.build()), "", "all of it is in the cache");
    space.assert_clean();
}

/// For each recipe, what would have to run if its files were gone.
fn missing(space: &Space) -> Vec<String> {
    let (here, away) = (space.path("dataset"), space.path("away"));
    let is_there = here.exists();
    if is_there {
        fs::rename(&here, &away).unwrap();
    }
    let recipes = space.status().recipes;
    if is_there {
        fs::rename(&away, &here).unwrap();
    }
    let told = |recipe: &RecipeStatus| format!("{} {:?} {:?}", recipe.name, recipe.state, recipe.missing);
    recipes.iter().map(told).collect()
}

fn names(space: &Space) -> BTreeSet<String> {
    space.blobs().iter().map(|blob| blob.digest.to_string()).collect()
}

#[test]
fn what_a_current_recipe_reaches_is_never_removed() {
    let space = space();
    space.build();
    let before = space.blobs();
    let collected = collect(&space, &NOTHING);
    assert_eq!((collected.count(), collected.entries), (0, 0), "{collected:?}");
    assert_eq!(collected.reached_bytes, collected.after_bytes);
    assert_eq!(space.blobs(), before);
    space.assert_settled();
    assert_whole(&space);

    // A recipe that is broken, or asks for what is not there, keeps what it was built from.
    let text = space.text("config/sft/one.yaml");
    for broken in ["metadata: {".to_owned(), text.replace("data/a.jsonl", "data/none.jsonl")] {
        space.write("config/sft/one.yaml", broken);
        assert_eq!(collect(&space, &NOTHING).blobs.count, 0);
        space.write("config/sft/one.yaml", &text);
        assert_whole(&space);
    }
    // So does one that was edited and is edited back before it is built.
    space.edit("config/sft/one.yaml", "min_length: 10", "min_length: 150");
    assert_eq!(collect(&space, &NOTHING).blobs.count, 0);
    space.write("config/sft/one.yaml", &text);
    assert_whole(&space);
}

#[test]
fn what_earlier_versions_of_recipes_stood_on_is_removed() {
    let space = space();
    space.build();
    space.edit("config/sft/one.yaml", "min_length: 10", "min_length: 150");
    space.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    space.write("data/b.jsonl", rows(9000..9101, 12));
    space.build();
    let size = space.workspace().cache().size().unwrap();
    assert!(size.unreached_count >= 4, "{size:?}");

    let before = space.stats();
    let planned = space.workspace().cache().collect(&NOTHING, true).unwrap();
    assert_eq!(changed(&before, &space.stats()), [] as [&Path; 0], "a dry run writes nothing");
    let month = collect(&space, &CacheBounds::default());
    assert_eq!(month.count(), 0, "it was in use a moment ago: {month:?}");

    let collected = collect(&space, &CacheBounds { max_bytes: u64::MAX, ..NOTHING });
    assert!(planned.blobs.count > collected.blobs.count, "want of space takes the history of builds too");
    assert_eq!(collected.blobs.count, size.unreached_count, "{size:?}");
    assert!(collected.entries >= collected.blobs.count / 2);
    let after = space.workspace().cache().size().unwrap();
    assert_eq!((after.unreached_count, after.hollow_entries), (0, 0));
    assert_eq!(after.bytes, collected.after_bytes, "what is left was counted");
    assert_whole(&space);

    // What is left is what a clean build makes, and the manifests of the runs that are remembered.
    let twin = space.twin();
    twin.build();
    let more: Vec<String> = names(&space).difference(&names(&twin)).cloned().collect();
    let runs = space.workspace().history().runs().unwrap().len();
    assert!(more.len() <= 2 * runs, "{more:?}");
    assert!(names(&twin).is_subset(&names(&space)));

    // The history of builds goes for want of space alone.
    assert!(collect(&space, &NOTHING).blobs.count > 0);
    assert_eq!(names(&space), names(&twin));
    assert_whole(&space);
}

#[test]
fn recipes_that_are_gone_leave_after_a_while_and_those_elsewhere_stay() {
    let space = space();
    space.write(
        "elsewhere/three.yaml",
        recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], "validation: { ratio: 0.2, seed: 9 }\n"),
    );
    space.build();
    space.workspace().build(&["elsewhere/three.yaml".into()], &BuildOptions::default()).unwrap();
    let two = space.text("config/sft/two.yaml");
    space.remove("config/sft/two.yaml");
    assert_eq!(collect(&space, &CacheBounds::default()).count(), 0, "it was there until now");
    space.write("config/sft/two.yaml", two);
    assert_whole(&space);
    space.remove("config/sft/two.yaml");
    let collected = collect(&space, &NOTHING);
    assert!(collected.blobs.count > 0, "{collected:?}");
    space.remove("dataset");
    let report = space.workspace().build(&["elsewhere/three.yaml".into()], &BuildOptions::default()).unwrap();
    assert_eq!(ran(&report), "");
    assert_whole(&space);
}

#[test]
fn the_oldest_of_what_is_of_no_use_goes_first() {
    let space = space();
    space.build();
    let mut sizes = Vec::new();
    for seed in 2..6 {
        space.edit("config/sft/one.yaml", &format!("seed: {}", seed - 1), &format!("seed: {seed}"));
        space.build();
        sizes.push(space.workspace().cache().size().unwrap().bytes);
    }
    let whole = *sizes.last().unwrap();
    let collected = collect(&space, &CacheBounds { max_bytes: whole - 1, ..CacheBounds::default() });
    assert_eq!(collected.blobs.count, 1, "{collected:?}");
    // The lists of the first seed were done without first.
    space.edit("config/sft/one.yaml", "seed: 5", "seed: 4");
    assert_eq!(ran(&space.build()), "");
    space.edit("config/sft/one.yaml", "seed: 4", "seed: 1");
    assert_eq!(ran(&space.build()), "1 arrange", "and the files that the same lists come to are known");
}

#[test]
fn leftovers_and_downloads_that_no_lock_pins_are_removed() {
    let space = space();
    space.build();
    let download = format!("cache/v1/sources/sha256-{}", "a".repeat(64));
    let left = ["cache/v1/tmp/sorted", "cache/v1/cas/00/.datac-abc.part", "cache/v1/record.damaged"];
    left.iter().for_each(|path| space.write(path, "left"));
    space.write(&download, "bytes");
    space.write(&format!("{download}.ok"), "{}");
    space.write(&format!("cache/v1/sources/git-{}.part", "b".repeat(40)), "half");
    space.write("cache/v1/sources/notes.txt", "mine");
    let collected = collect(&space, &CacheBounds::default());
    assert_eq!((collected.temporary.count, collected.downloads.count), (4, 0), "{collected:?}");
    assert!(left.iter().all(|path| !space.path(path).exists()));
    assert_eq!(collect(&space, &NOTHING).downloads.count, 2);
    assert!(!space.path(&download).exists());
    assert_eq!(space.text("cache/v1/sources/notes.txt"), "mine", "what is not of datac's making stays");
    let size = space.workspace().cache().size().unwrap();
    assert_eq!(size.strangers, [space.path("cache/v1/sources/notes.txt")]);
    assert_whole(&space);
}

#[test]
fn a_replaced_output_leaves_nothing_behind_and_its_readers_go_on() {
    let space = Space::new();
    let name = "sft_one_train.jsonl".to_owned();
    let line = |number: u32| format!("{{\"instruction\":\"ask {number}\",\"output\":\"{}\"}}\n", "word ".repeat(1000));
    let source: String = (0..1000).map(line).collect();
    space.write("data/a.jsonl", &source);
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], ""));
    space.build();
    let mut read = Vec::new();
    for number in 1000..1005 {
        let former = space.outputs().remove(&name).unwrap();
        if number % 2 == 0 {
            read.push((fs::File::open(space.path(&format!("dataset/{name}"))).unwrap(), former));
        }
        space.write("data/a.jsonl", format!("{source}{}", line(number)));
        assert_eq!(ran(&space.build()), "1 arrange, 1 convert, 1 output, 1 scan, 1 select");
        assert_eq!(fs::read_dir(space.path("cache/v1/tmp")).unwrap().count(), 0);
        space.assert_clean();
    }
    for (mut file, bytes) in read {
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).unwrap();
        assert!(whole == bytes);
    }
    assert_whole(&space);
}

#[test]
fn builds_tidy_up_when_a_survey_is_due_and_no_change_writes_nothing() {
    let space = space();
    let bounded =
        |max_bytes| BuildOptions { bounds: Some(CacheBounds { max_bytes, ..NOTHING }), ..BuildOptions::default() };
    let report = space.build_with(&bounded(u64::MAX));
    assert_eq!(report.collected, None, "a cache that was begun now");
    space.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    assert_eq!(space.build_with(&bounded(u64::MAX)).collected, None, "nothing is due");
    space.edit("config/sft/one.yaml", "seed: 2", "seed: 3");
    let collected = space.build_with(&bounded(1000)).collected.expect("it has outgrown its size");
    assert!(collected.blobs.count >= 4, "the lists of two seeds: {collected:?}");
    let before = space.stats();
    assert_eq!(ran(&space.build_with(&bounded(1000))), "");
    assert_eq!(changed(&before, &space.stats()), [] as [&Path; 0]);
    assert_whole(&space);
}

/// How many histories are tried.
const SEEDS: u64 = 8;

#[test]
fn whatever_is_edited_built_and_removed_a_warm_build_is_a_clean_one() {
    for seed in 0..SEEDS {
        let space = space();
        let mut dice = Dice(77 + seed);
        let texts = ["config/sft/one.yaml", "config/sft/two.yaml"].map(|path| (path, space.text(path)));
        let mut next = 20_000;
        for _ in 0..14 {
            let (path, text) = &texts[dice.below(2)];
            match dice.below(8) {
                7 => space.write(
                    path,
                    text.replacen(
                        "format: jsonl",
                        &format!("format: jsonl\n    max_samples: {}", 1 + dice.below(900)),
                        1,
                    ),
                ),
                0 => space.write(path, text.replace("seed: 1", &format!("seed: {}", dice.below(5)))),
                1 => {
                    space.write(path, text.replace("min_length: 10", &format!("min_length: {}", 100 + dice.below(99))))
                }
                2 => {
                    let source = ["data/a.jsonl", "data/b.jsonl"][dice.below(2)];
                    let more = row(next, 20) + "\n";
                    next += 1;
                    space.write(source, space.text(source) + &more);
                }
                3 => space.remove(path),
                4 => space.write(path, text),
                _ => {}
            }
            if dice.below(3) > 0 {
                space.try_build(&BuildOptions::default()).unwrap();
            }
            if dice.below(2) > 0 {
                let max_bytes = [0, 20_000, 200_000, u64::MAX][dice.below(4)];
                let max_age = [Duration::ZERO, Duration::from_secs(3600)][dice.below(2)];
                let before = missing(&space);
                collect(&space, &CacheBounds { max_bytes, max_age });
                assert_eq!(missing(&space), before, "what current recipes have they keep");
                assert_eq!(space.workspace().cache().size().unwrap().hollow_entries, 0);
            }
        }
        texts.iter().for_each(|(path, text)| space.write(path, text));
        // A recipe that was gone for a while is fresh again as soon as it is back, whatever the cache lost meanwhile.
        space.remove("dataset");
        space.build();
        collect(&space, &NOTHING);
        assert_whole(&space);
    }
}

#[test]
fn collecting_beside_builds_costs_no_one_a_byte() {
    let space = space();
    space.build();
    let space = &space;
    thread::scope(|threads| {
        let builder = threads.spawn(|| {
            for seed in 1..9 {
                space.edit(
                    "config/sft/one.yaml",
                    &format!("seed: {seed}\n").replace('\n', " }"),
                    &format!("seed: {} }}", seed + 1),
                );
                space.build();
            }
        });
        let reader = threads.spawn(move || {
            while !builder.is_finished() {
                // Whoever only looks needs no lock: what it misses is a miss.
                space.status();
                space.workspace().cache().size().unwrap();
            }
        });
        while !reader.is_finished() {
            collect(space, &NOTHING);
        }
    });
    assert_same(&space.outputs(), &{
        let twin = space.twin();
        twin.build();
        twin.outputs()
    });
    collect(space, &NOTHING);
    assert_whole(space);
}

#[test]
fn processes_that_are_killed_leave_no_entry_that_points_at_nothing() {
    let space = space();
    space.build();
    for round in 1..13 {
        space.edit("config/sft/one.yaml", &format!("seed: {round} }}"), &format!("seed: {} }}", round + 1));
        let spawn = |arguments: &[&str]| space.command(arguments).stderr(Stdio::null()).spawn().unwrap();
        let mut children = [spawn(&["build"]), spawn(&["cache", "gc", "--max-age", "0", "--max-size", "0"])];
        thread::sleep(Duration::from_millis(2 * round));
        children[usize::from(round % 3 > 0)].kill().unwrap();
        for child in &mut children {
            child.wait().unwrap();
        }
        assert_eq!(space.workspace().cache().size().unwrap().hollow_entries, 0, "round {round}");
    }
    space.build();
    collect(&space, &NOTHING);
    assert_whole(&space);
}
