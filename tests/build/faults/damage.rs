//! Damage to the cache costs work, never a build and never a byte.

use std::{fs, path::Path, thread};

use rusqlite::Connection;

use super::small;
use crate::{
    harm::{Blob, delete, flip, truncate},
    space::{Space, assert_same, copy, entry, ran, recipe, rows},
};

use datac::{id::BlobId, stage::Stage};

/// Puts the cache back as it was.
fn restore(space: &Space, backup: &Path) {
    space.remove("cache");
    copy(backup, &space.path("cache"));
}

#[test]
fn any_damaged_blob_is_made_again() {
    let space = small();
    space.build();
    let before = space.outputs();
    let backup = tempfile::tempdir().unwrap();
    copy(&space.path("cache"), backup.path());
    let blobs = space.blobs();
    assert!(blobs.len() > 10, "{}", blobs.len());
    let built = |path| space.workspace().history().latest_build(path).unwrap().unwrap().1.manifest;
    let manifests: Vec<BlobId> =
        ["config/sft/general.yaml", "config/dpo/safety.yaml"].into_iter().filter_map(built).collect();
    let ways: [(&str, fn(&Blob)); 3] = [("flipped", flip), ("truncated", truncate), ("deleted", delete)];
    for blob in &blobs {
        let sound = blob.read();
        for (how, damage) in ways {
            restore(&space, backup.path());
            space.remove("dataset");
            damage(blob);
            let damaged = blob.read();
            space.warnings();
            space.build();
            assert_same(&space.outputs(), &before);
            let (warnings, now) = (space.warnings(), blob.read());
            if warnings.is_empty() && how != "deleted" {
                // A manifest is written again by each build, and is not read before.
                let is_as_it_was = now == damaged || (now == sound && manifests.contains(&blob.digest));
                assert!(is_as_it_was, "{how} {}: what was read and found damaged is told", blob.digest);
            } else {
                assert!(
                    !warnings.is_empty() || manifests.contains(&blob.digest),
                    "what was gone is told: {}",
                    blob.digest
                );
                assert_eq!(now, sound, "{how} {}: {warnings:?}", blob.digest);
            }
            space.assert_settled();
        }
    }
}

#[test]
fn damage_to_all_that_an_edit_would_keep_is_found_at_once() {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..20_000, 70));
    let filters = "filters: [{ type: quality, min_score: 0.1 }]";
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[filters])], ""));
    let chunks = space.build().recipes[0].chunks.1 as usize;
    assert!(chunks > 3, "{chunks}");
    space.blobs().iter().for_each(flip);
    space.warnings();
    space.write("data/a.jsonl", rows(0..20_001, 70));
    let report = space.build();
    assert_eq!(
        (report.recipes[0].chunks.0 as usize, report.actions[&Stage::Select]),
        (chunks, 1),
        "each is converted, once"
    );
    let warnings = space.warnings();
    assert!(warnings.len() < chunks, "not chunk by chunk: {warnings:?}");
    space.assert_clean();
}

#[test]
fn damaged_scores_and_indexes_are_made_again() {
    let space = small();
    space.build();
    let before = space.outputs();
    let (mut warned, mut threshold) = (0, "min_score: 0.2".to_owned());
    for (i, blob) in space.blobs().into_iter().enumerate() {
        flip(&blob);
        // Another threshold, although it lets the same rows pass, has every score and index read.
        let next = format!("min_score: 0.2{:06}", i + 1);
        space.edit("config/sft/general.yaml", &threshold, &next);
        threshold = next;
        space.remove("dataset");
        space.build();
        warned += usize::from(!space.warnings().is_empty());
        assert_same(&space.outputs(), &before);
    }
    assert!(warned > 8, "{warned}");
}

#[test]
fn a_cache_of_nothing_but_damage_is_made_again() {
    let space = small();
    space.build();
    let before = space.outputs();
    for damage in [flip, truncate, delete] {
        space.blobs().iter().for_each(damage);
        space.remove("dataset");
        space.build();
        assert_same(&space.outputs(), &before);
    }
    for blob in space.blobs() {
        blob.write(b"");
    }
    space.remove("dataset");
    space.build();
    assert_same(&space.outputs(), &before);
}

#[test]
fn swapped_blobs_are_found() {
    let space = small();
    space.build();
    let before = space.outputs();
    let blobs = space.blobs();
    let bytes: Vec<_> = blobs.iter().map(|blob| blob.read().unwrap()).collect();
    for (i, blob) in blobs.iter().enumerate() {
        blob.write(&bytes[(i + 1) % bytes.len()]);
    }
    space.remove("dataset");
    space.build();
    assert!(!space.warnings().is_empty());
    assert_same(&space.outputs(), &before);
}

/// Damages the record with `damage`, then builds with and without outputs in place.
fn survive(space: &Space, backup: &Path, what: &str, damage: impl Fn(&Path)) -> Vec<String> {
    let before = space.outputs();
    restore(space, backup);
    damage(&space.path("cache/v1/record.sqlite"));
    space.warnings();
    // `status` only looks, at whatever is there.
    space.status();
    space.warnings();
    space.remove("dataset");
    let report = space.build();
    let warnings = space.warnings();
    assert_same(&space.outputs(), &before);
    let settled = space.build();
    assert_eq!(ran(&settled), "", "{what}: {} before", ran(&report));
    assert_same(&space.outputs(), &before);
    space.assert_settled();
    warnings
}

#[test]
fn a_damaged_record_is_begun_again() {
    let space = small();
    space.build();
    let backup = tempfile::tempdir().unwrap();
    copy(&space.path("cache"), backup.path());
    let whole = space.read("cache/v1/record.sqlite");

    for length in [1, 15, 16, 50, 99, 100, 512, 4095, 4096, 4097, 8192, whole.len() / 2] {
        let what = format!("cut to {length} of {}", whole.len());
        let warnings = survive(&space, backup.path(), &what, |path| fs::write(path, &whole[..length]).unwrap());
        // What is shorter than a page is as good as empty.
        assert!(length < 512 || !warnings.is_empty(), "{what}");
    }
    let garbage = b"this is no database; it only looks as long as one. ".repeat(whole.len() / 50);
    let warnings = survive(&space, backup.path(), "garbage", |path| fs::write(path, &garbage).unwrap());
    assert!(!warnings.is_empty());
    survive(&space, backup.path(), "empty", |path| fs::write(path, b"").unwrap());
    survive(&space, backup.path(), "deleted", |path| fs::remove_file(path).unwrap());
    survive(&space, backup.path(), "a journal of garbage", |path| {
        fs::write(path.with_extension("sqlite-journal"), &garbage[..2000]).unwrap();
    });
    for page in 0..whole.len() / 4096 {
        let what = format!("page {page} is garbage");
        survive(&space, backup.path(), &what, |path| {
            let mut bytes = whole.clone();
            bytes[page * 4096..(page + 1) * 4096].copy_from_slice(&garbage[..4096]);
            fs::write(path, bytes).unwrap();
        });
    }
}

#[test]
fn a_flipped_byte_in_the_record_is_never_a_wrong_byte_in_an_output() {
    // Each thread has a workspace of its own: most of the time goes to waiting for the disk.
    const THREADS: usize = 4;
    let flip_some = |thread: usize| {
        let space = small();
        space.build();
        let backup = tempfile::tempdir().unwrap();
        copy(&space.path("cache"), backup.path());
        let whole = space.read("cache/v1/record.sqlite");
        let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        // Every byte of the header, and some hundred of what follows.
        let header = used.iter().take_while(|at| **at < 100);
        let rest = used.iter().skip_while(|at| **at < 100).step_by(used.len().div_ceil(150));
        let flips = header.chain(rest).flat_map(|at| [0x01, 0x80].map(|mask| (*at, mask)));
        for (at, mask) in flips.skip(thread).step_by(THREADS) {
            survive(&space, backup.path(), &format!("byte {at} ^ {mask:#x}"), |path| {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                fs::write(path, bytes).unwrap();
            });
        }
    };
    thread::scope(|scope| {
        (0..THREADS).for_each(|thread| drop(scope.spawn(move || flip_some(thread))));
    });
}

/// What is left of the record when a process is killed while it writes: pages half written, and a journal to undo them.
#[test]
fn a_journal_left_by_a_killed_process_is_rolled_back() {
    let space = small();
    space.build();
    let before = space.outputs();
    let record = space.path("cache/v1/record.sqlite");
    let journal = record.with_extension("sqlite-journal");
    let (pages, undo) = {
        let connection = Connection::open(&record).unwrap();
        connection
            .execute_batch(
                "PRAGMA cache_size = 2; PRAGMA cache_spill = 1; BEGIN IMMEDIATE;
                 CREATE TABLE filler (bytes BLOB);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
                 INSERT INTO filler SELECT randomblob(2000) FROM n;
                 UPDATE actions SET outcome = randomblob(3000);
                 UPDATE recipes SET fresh = randomblob(3000);",
            )
            .unwrap();
        let state = (fs::read(&record).unwrap(), fs::read(&journal).unwrap());
        connection.execute_batch("ROLLBACK").unwrap();
        state
    };
    assert!(undo.len() > 1000 && pages != fs::read(&record).unwrap(), "the transaction has reached the disk");
    for first in ["status", "build"] {
        fs::write(&record, &pages).unwrap();
        fs::write(&journal, &undo).unwrap();
        let looked = space.datac(&[first]);
        assert_eq!(looked.status.code(), Some(0), "{first}: {looked:?}");
        space.remove("dataset");
        assert_eq!(ran(&space.build()), "", "the record is as it was before");
        assert_same(&space.outputs(), &before);
        space.assert_settled();
    }
}

#[test]
fn what_is_told_of_a_build_is_found_out_anew_where_it_is_lost() {
    let space = small();
    space.build();
    let before = space.outputs();
    let record = Connection::open(space.path("cache/v1/record.sqlite")).unwrap();
    assert!(record.execute("UPDATE details SET detail = zeroblob(20)", []).unwrap() > 0);
    drop(record);
    // It insists on a summary of each recipe.
    let report = space.build();
    assert_eq!(ran(&report), "", "no action has to run for it");
    assert_same(&space.outputs(), &before);
    space.assert_settled();
}
