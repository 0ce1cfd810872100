//! `clean` removes what datac wrote, and nothing else.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread::{self, ScopedJoinHandle},
};

use datac::workspace::{BuildOptions, CleanOptions, Cleaned, Settings, Workspace};

use super::space;
use crate::space::{Space, assert_same, changed, files, ran};

const OUTPUTS: CleanOptions = CleanOptions { dry_run: false, force: false, cache: false };
const ALL: CleanOptions = CleanOptions { cache: true, ..OUTPUTS };

fn clean(space: &Space, selectors: &[&str], options: &CleanOptions) -> Cleaned {
    let selectors: Vec<String> = selectors.iter().map(|selector| (*selector).to_owned()).collect();
    space.workspace().outputs().clean(&selectors, options).unwrap()
}

fn removed(cleaned: &Cleaned) -> Vec<&str> {
    cleaned.removed.iter().map(|file| file.name.as_str()).collect()
}

fn kept(cleaned: &Cleaned) -> Vec<&str> {
    cleaned.kept.iter().map(|file| file.name.as_str()).collect()
}

/// Every path below the workspace.
fn paths(space: &Space) -> BTreeSet<String> {
    let root = space.root();
    files(root).iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
}

#[test]
fn what_was_written_goes_and_what_was_there_before_is_there_after() {
    let space = space();
    space.write("dataset/notes.md", "mine");
    space.write("cache/notes.md", "mine");
    space.write("README.md", "mine");
    let before = paths(&space);
    space.build();
    let outputs = space.outputs();

    let stats = space.stats();
    let planned = clean(&space, &[], &CleanOptions { dry_run: true, ..ALL });
    assert_eq!(changed(&stats, &space.stats()), [] as [&Path; 0], "a dry run writes nothing");
    let cleaned = clean(&space, &[], &OUTPUTS);
    assert_eq!(removed(&cleaned).len(), outputs.len() - 1);
    assert_eq!(planned.removed, cleaned.removed);
    assert!(!space.path("dataset/quarantine").exists(), "an empty folder goes, too");
    assert_eq!(ran(&space.build()), "", "the cache has them");
    assert_same(&space.outputs(), &outputs);

    let cleaned = clean(&space, &[], &ALL);
    let cache = cleaned.cache.unwrap();
    assert_eq!(cache.kept, [space.path("cache/notes.md")]);
    assert_eq!(paths(&space), before);
    space.remove("cache");
    assert_eq!(clean(&space, &[], &ALL).cache.unwrap().files, 0, "what is gone cannot go");
    assert!(!space.path("cache").exists(), "and none is begun for that");
    space.build();
    assert_same(&space.outputs(), &outputs);
    clean(&space, &[], &ALL);
    assert!(!space.path("cache").exists());
}

#[test]
fn what_was_changed_by_hand_or_is_not_known_is_kept_and_named() {
    let space = space();
    space.build();
    let path = "dataset/sft_one_val.jsonl";
    space.write(path, space.text(path) + "{}\n");
    std::os::unix::fs::symlink(space.path("data/b.jsonl"), space.path("dataset/link")).unwrap();
    fs::remove_file(space.path("dataset/sft_two_val.jsonl")).unwrap();
    std::os::unix::fs::symlink(space.path("dataset/link"), space.path("dataset/sft_two_val.jsonl")).unwrap();
    let cleaned = clean(&space, &[], &OUTPUTS);
    assert_eq!(kept(&cleaned), ["sft_one_val.jsonl", "sft_two_val.jsonl"]);
    assert!(space.path(path).exists() && space.path("data/b.jsonl").exists());
    assert_eq!(removed(&clean(&space, &[], &CleanOptions { force: true, ..OUTPUTS })), ["sft_one_val.jsonl"]);

    // Under the name of an output, but of no build.
    fs::remove_file(space.path("dataset/sft_two_val.jsonl")).unwrap();
    space.write("config/sft/three.yaml", space.text("config/sft/two.yaml"));
    space.write("dataset/sft_three_train.jsonl", "mine\n");
    let cleaned = clean(&space, &["sft/three"], &CleanOptions { force: true, ..OUTPUTS });
    assert_eq!((removed(&cleaned).len(), kept(&cleaned)), (0, vec!["sft_three_train.jsonl"]));
}

#[test]
fn selected_recipes_those_that_are_gone_and_those_that_were_refused() {
    let space = space();
    space.build();
    let names = |cleaned: &Cleaned| removed(cleaned).join(" ");
    let two = "sft_two_train.jsonl sft_two_val.jsonl";
    assert_eq!(names(&clean(&space, &["sft/two"], &OUTPUTS)), two);
    assert!(space.path("dataset/sft_one_train.jsonl").exists());
    space.build();
    space.remove("config/sft/two.yaml");
    assert_eq!(
        names(&clean(&space, &["sft/one"], &CleanOptions { dry_run: true, ..OUTPUTS })).matches("two").count(),
        0
    );
    assert_eq!(names(&clean(&space, &["sft/two"], &CleanOptions { dry_run: true, ..OUTPUTS })), two);
    let all = clean(&space, &[], &OUTPUTS);
    assert_eq!(removed(&all).len(), 5, "{all:?}");
    assert!(space.status().recipes.iter().all(|recipe| recipe.name == "sft/one"), "nothing is left behind");

    // A build that is refused leaves its rejects to be looked at.
    space.edit("config/sft/one.yaml", "validation:", "max_rejects: 0\nvalidation:");
    space.try_build(&BuildOptions::default()).unwrap();
    assert_eq!(names(&clean(&space, &[], &OUTPUTS)), "quarantine/sft_one.jsonl");
    assert!(!space.path("dataset").exists());
}

#[test]
fn a_folder_that_is_no_cache_loses_nothing() {
    let space = space();
    space.build();
    let elsewhere = tempfile::tempdir().unwrap();
    let mine = ["thesis.txt", "v1/record.txt", "v1/cas/00/photo.jpg", "v1/sources/sha256-short", "v2x/a"];
    for name in mine {
        let path = elsewhere.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    // What a link leads to is not looked at.
    std::os::unix::fs::symlink(space.path("cache/v1"), elsewhere.path().join("v3")).unwrap();
    std::os::unix::fs::symlink(space.path("cache/v1/cas"), elsewhere.path().join("v1/tmp")).unwrap();
    let blobs = space.blobs();
    let settings = Settings { cache_dir: Some(elsewhere.path().to_owned()), ..Settings::new(space.root()) };
    let cleaned = Workspace::open(settings).outputs().clean(&[], &ALL).unwrap().cache.unwrap();
    assert_eq!((cleaned.files, cleaned.kept.len()), (0, 0), "it was never a cache");
    assert!(!elsewhere.path().join("v1/build.lock").exists(), "and none is begun in it");
    // Nor does datac's own, beside all that, take anything with it.
    let settings = Settings { cache_dir: Some(elsewhere.path().to_owned()), ..Settings::new(space.root()) };
    fs::write(elsewhere.path().join("v1/build.lock"), "").unwrap();
    let cleaned = Workspace::open(settings).outputs().clean(&[], &ALL).unwrap().cache.unwrap();
    assert_eq!((cleaned.files, cleaned.kept.len()), (3, mine.len() + 2), "the lock and the record: {cleaned:?}");
    mine.iter().for_each(|name| assert_eq!(fs::read(elsewhere.path().join(name)).unwrap(), b"mine"));
    assert_eq!(space.blobs(), blobs);
    space.assert_settled();
}

#[test]
fn a_cache_behind_a_link_is_emptied_and_the_link_stays() {
    let space = space();
    let disk = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(disk.path(), space.path("cache")).unwrap();
    space.build();
    assert!(clean(&space, &[], &ALL).cache.unwrap().files > 3);
    assert_eq!(files(disk.path()), [] as [&Path; 0]);
    space.build();
    space.assert_clean();
}

/// The lock goes with the cache: whoever waited for it must not build beside one that has made a new one.
#[test]
fn removing_the_cache_beside_builds_costs_work_alone() {
    let space = space();
    space.build();
    let wanted = space.outputs();
    let space = &space;
    thread::scope(|threads| {
        let builders = [0, 1].map(|_| {
            threads.spawn(|| {
                for round in 0..8 {
                    // One that is not forced begins with a look that takes no lock.
                    let report = space.build_with(&BuildOptions { force: round % 2 == 0, ..BuildOptions::default() });
                    assert!(report.failure().is_none());
                }
            })
        });
        while !builders.iter().all(ScopedJoinHandle::is_finished) {
            clean(space, &[], &ALL);
        }
    });
    space.build();
    assert_same(&space.outputs(), &wanted);
    space.assert_settled();
}
