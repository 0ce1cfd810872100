//! `cache verify` finds every damage, removes it, and the next build makes it again.

use std::{fs, path::Path};

use datac::workspace::{CachePart, Verified};
use rusqlite::Connection;

use super::space;
use crate::{
    harm::{Blob, delete, flip, truncate},
    space::{Space, assert_same, changed, copy, ran},
};

fn verify(space: &Space) -> Verified {
    space.workspace().cache().verify().unwrap()
}

#[test]
fn a_sound_cache_is_left_as_it_is() {
    let space = space();
    assert_eq!(verify(&space), Verified::default(), "there is none yet");
    assert!(!space.path("cache").exists());
    space.build();
    let before = space.stats();
    let verified = verify(&space);
    assert_eq!(verified.damaged, []);
    assert_eq!(verified.blobs as usize, space.blobs().len());
    assert!(verified.entries > 6);
    let record = ["cache/v1/build.lock", "cache/v1/record.sqlite"].map(|name| space.path(name));
    let after = space.stats();
    let written: Vec<&Path> =
        changed(&before, &after).into_iter().filter(|path| !record.iter().any(|record| record == path)).collect();
    assert_eq!(written, [] as [&Path; 0]);
    assert_eq!(ran(&space.build()), "");
}

#[test]
fn any_damage_is_named_and_the_next_build_is_as_before() {
    let space = space();
    space.build();
    let before = space.outputs();
    let backup = tempfile::tempdir().unwrap();
    copy(&space.path("cache"), backup.path());
    let blobs = space.blobs();
    let ways: [(&str, fn(&Blob)); 3] = [("flipped", flip), ("truncated", truncate), ("deleted", delete)];
    let mut parts = Vec::new();
    for blob in &blobs {
        for (how, damage) in ways {
            space.remove("cache");
            copy(backup.path(), &space.path("cache"));
            damage(blob);
            let verified = verify(&space);
            let name = blob.digest.to_string();
            if let [damaged] = &verified.damaged[..] {
                assert_eq!(damaged.name, name, "{how}");
                assert!(damaged.stuck.is_none());
                assert!(!damaged.used_by.is_empty() || damaged.part == CachePart::Manifests, "{how} {damaged:?}");
                parts.push(damaged.part);
            } else {
                // A manifest that is gone costs provenance and nothing else.
                assert!(verified.damaged.is_empty() && how == "deleted", "{how} {}: {verified:?}", blob.digest);
            }
            assert_eq!(blob.read(), None);
            assert_eq!(verify(&space).damaged, [], "what was found is mended");
            assert_eq!(space.workspace().cache().size().unwrap().hollow_entries, 0);
            space.remove("dataset");
            space.build();
            assert_same(&space.outputs(), &before);
        }
    }
    parts.sort();
    parts.dedup();
    use CachePart::{Indexes, Manifests, Orders, Rejects, Rows, Scores, Selections};
    assert_eq!(parts, [Rows, Indexes, Rejects, Scores, Selections, Orders, Manifests], "each kind was damaged");
    space.assert_clean();
}

#[test]
fn damage_everywhere_at_once_is_mended_too() {
    let space = space();
    space.build();
    let before = space.outputs();
    for damage in [flip, truncate, delete] {
        let blobs = space.blobs();
        blobs.iter().for_each(damage);
        let verified = verify(&space);
        assert!(verified.damaged.len() >= blobs.len() - 2, "all but manifests that are gone");
        assert_eq!(space.blobs(), []);
        space.remove("dataset");
        space.build();
        assert_same(&space.outputs(), &before);
        assert_eq!(verify(&space).damaged, []);
    }
}

#[test]
fn damaged_downloads_and_entries_are_removed() {
    let space = space();
    space.build();
    let before = space.outputs();
    let download = format!("cache/v1/sources/sha256-{}", "a".repeat(64));
    space.write(&download, "other bytes");
    space.write(&format!("{download}.ok"), "{}");
    let record = space.path("cache/v1/record.sqlite");
    let damage = |sql: &str| {
        let rows = Connection::open(&record).unwrap().execute(sql, []).unwrap();
        assert!(rows > 0, "{sql}");
    };
    damage("UPDATE actions SET outcome = randomblob(40) WHERE kind = 'select'");
    damage("UPDATE recipes SET fresh = randomblob(40)");
    damage("UPDATE files SET hashed = randomblob(40)");
    let verified = verify(&space);
    let found: Vec<(CachePart, &str)> =
        verified.damaged.iter().map(|damaged| (damaged.part, damaged.name.as_str())).collect();
    let aaa = format!("sha256-{}", "a".repeat(64));
    let expected = [
        (CachePart::Record, "the dependencies of a recipe (2 in the record)"),
        (CachePart::Record, "the digest of a file (6 in the record)"),
        (CachePart::Record, "the outcome of an action (2 in the record)"),
        (CachePart::Downloads, aaa.as_str()),
    ];
    assert_eq!((found[0], &found[2..]), (expected[0], &expected[2..]));
    assert!(found[1].1.starts_with("the digest of a file"), "{found:?}");
    assert!(!space.path(&download).exists() && !space.path(&format!("{download}.ok")).exists());
    assert_eq!(verify(&space).damaged, []);
    space.build();
    assert_same(&space.outputs(), &before);
    space.assert_settled();

    // A database that is none is set aside.
    fs::write(&record, b"no database at all, but long enough to look at. ".repeat(200)).unwrap();
    verify(&space);
    space.build();
    assert_same(&space.outputs(), &before);
}

#[test]
fn what_cannot_be_removed_is_told_by_the_exit_code() {
    let space = space();
    space.build();
    assert_eq!(space.datac(&["cache", "verify"]).status.code(), Some(0));
    let blob = space.blobs().remove(0);
    flip(&blob);
    assert_eq!(space.datac(&["cache", "verify"]).status.code(), Some(1));
    assert_eq!(space.datac(&["cache", "verify"]).status.code(), Some(0));
    // A folder under the name of a download is not of datac's making.
    let download = format!("cache/v1/sources/sha256-{}", "a".repeat(64));
    space.write(&format!("{download}/inside"), "x");
    assert_eq!(space.datac(&["cache", "verify"]).status.code(), Some(0), "strangers are left alone");
    space.write("cache/v1/sources/git-0000000000000000000000000000000000000000", "bytes");
    // Its note is a folder, which no file removal removes.
    space.write("cache/v1/sources/git-0000000000000000000000000000000000000000.ok/inside", "x");
    let stuck = space.datac(&["cache", "verify"]);
    assert_eq!(stuck.status.code(), Some(6), "{stuck:?}");
}
