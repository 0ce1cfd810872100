//! Builds that are stopped, run into each other or run out of disk: the next one gives the same bytes.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use datac::system;

use super::small;
use crate::space::{Outputs, Space, assert_same, entry, recipe, rows};

/// Enough work to be stopped in the middle of.
fn large() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..5000, 70));
    space.write("data/b.jsonl", rows(20_000..22_500, 70));
    let filters = "filters: [{ type: quality, min_score: 0.1 }, { type: language, languages: [en, de, fr] }]";
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], ""));
    space.write(
        "config/sft/two.yaml",
        recipe(&[entry("a", "data/a.jsonl", 0.6, &[]), entry("b", "data/b.jsonl", 0.4, &[filters])], ""),
    );
    space
}

/// The outputs anyone who lists the folder takes for outputs.
fn visible(space: &Space) -> Outputs {
    let is_hidden = |name: &str| name.split('/').any(|part| part.starts_with('.'));
    space.outputs().into_iter().filter(|(name, _)| !is_hidden(name)).collect()
}

/// Fails unless every output that is there is whole.
fn assert_whole(space: &Space, wanted: &Outputs) {
    for (name, bytes) in visible(space) {
        assert!(wanted.get(&name) == Some(&bytes), "{name} was left half written");
    }
}

fn spawn(space: &Space, arguments: &[&str]) -> Child {
    space.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How long a build takes here, by its own account.
fn wanted_and_duration(space: &Space) -> (Outputs, u64) {
    let twin = space.twin();
    let report = twin.build();
    (twin.outputs(), report.elapsed_ms.max(50))
}

#[test]
fn a_killed_build_is_taken_up_again() {
    let space = large();
    let (wanted, duration) = wanted_and_duration(&space);
    for kill in 0..15 {
        let mut child = spawn(&space, &["build"]);
        thread::sleep(Duration::from_millis(1 + duration * kill / 14));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_whole(&space, &wanted);
        // Now and then it is finished and begun again, else the next one is killed in what this one left.
        if kill % 3 == 2 {
            let finished = space.datac(&["build"]);
            assert_eq!(finished.status.code(), Some(0), "after kill {kill}: {finished:?}");
            assert_same(&visible(&space), &wanted);
            space.assert_settled();
            space.remove("cache");
            space.remove("dataset");
        }
    }
}

#[test]
fn an_interrupted_build_ends_cleanly_and_is_taken_up_again() {
    let space = large();
    let (wanted, duration) = wanted_and_duration(&space);
    let mut interrupted = 0;
    for delay in [duration / 8, duration / 3, duration / 2, duration * 3 / 4] {
        let child = spawn(&space, &["build"]);
        thread::sleep(Duration::from_millis(delay));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        // Before its handler is in place the signal ends the process as it ends any other.
        let is_early = ended.status.signal() == Some(2);
        assert!(is_early || matches!(ended.status.code(), Some(0 | 130)), "{ended:?}");
        interrupted += usize::from(ended.status.code() == Some(130));
        assert_whole(&space, &wanted);
        let is_hidden = |(name, _): &(String, Vec<u8>)| name.contains(".datac-");
        assert_eq!(space.outputs().into_iter().filter(is_hidden).count(), 0, "it takes away what it had begun");
        let finished = space.datac(&["build"]);
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert_same(&visible(&space), &wanted);
        space.remove("cache");
        space.remove("dataset");
    }
    println!("{interrupted} of 4 builds were interrupted");
}

#[test]
fn builds_at_once_wait_for_each_other() {
    let space = large();
    let (wanted, _) = wanted_and_duration(&space);
    for round in ["from nothing", "with nothing to do", "after an edit"] {
        if round == "after an edit" {
            space.write("config/sft/three.yaml", recipe(&[entry("b", "data/b.jsonl", 1.0, &["max_samples: 900"])], ""));
        }
        let children: Vec<Child> = (0..4).map(|_| spawn(&space, &["build"])).collect();
        for child in children {
            let ended = child.wait_with_output().unwrap();
            assert_eq!(ended.status.code(), Some(0), "{round}: {ended:?}");
            let told = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(!told.contains("warning"), "{round}: {told}");
        }
        let outputs = visible(&space);
        assert!(wanted.iter().all(|(name, bytes)| outputs.get(name) == Some(bytes)), "{round}");
        space.assert_settled();
    }
}

#[test]
fn no_wait_fails_while_another_builds() {
    let space = small();
    space.write("cache/v1/build.lock", "datac, pid 7");
    let lock = fs::File::options().read(true).write(true).open(space.path("cache/v1/build.lock")).unwrap();
    lock.lock().unwrap();
    let ended = space.datac(&["build", "--no-wait"]);
    assert_eq!(ended.status.code(), Some(9), "{ended:?}");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.contains("pid 7") && told.contains("--no-wait"), "{told}");
    assert!(!space.path("dataset").exists());
    assert_eq!(space.datac(&["status"]).status.code(), Some(0), "readers take no lock");

    let waiting = spawn(&space, &["build"]);
    thread::sleep(Duration::from_millis(100));
    lock.unlock().unwrap();
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    space.assert_settled();
    lock.lock().unwrap();
    let fresh = space.datac(&["build", "--no-wait"]);
    assert_eq!(fresh.status.code(), Some(0), "a build with nothing to do needs no lock: {fresh:?}");
}

/// The library that fails the nth write, fsync or rename, if its source and a compiler are here.
fn failing_calls(folder: &Path) -> Option<PathBuf> {
    let shared = system::env("DATAC_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let source = shared.parent()?.join("tools/enospc.c");
    if !cfg!(target_os = "linux") || !source.exists() {
        println!("skipped: no {}; set DATAC_SHARED", source.display());
        return None;
    }
    let library = folder.join("enospc.so");
    let compiled = Command::new("cc")
        .args(["-w", "-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("skipped: no C compiler");
        return None;
    }
    Some(library)
}

#[test]
fn a_full_disk_is_a_clean_error() {
    let space = small();
    // Blobs that are no longer small.
    space.write("data/a.jsonl", rows(0..20_000, 70));
    space.write("config/sft/one.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], ""));
    let Some(library) = failing_calls(space.root()) else { return };
    let wanted = {
        let twin = space.twin();
        twin.build();
        twin.outputs()
    };
    let (mut failed, mut silent) = (0, Vec::new());
    let cases = [("write", 1..=30), ("fsync", 1..=8), ("rename", 1..=20)];
    for (call, numbers) in cases {
        for number in numbers {
            space.remove("cache");
            space.remove("dataset");
            let ended = space
                .command(&["build", "-j", "2"])
                .env("LD_PRELOAD", &library)
                .env("FI_OP", call)
                .env("FI_N", number.to_string())
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&ended.stderr).into_owned();
            let what = format!("{call} {number}: {:?}: {told}", ended.status);
            assert!(matches!(ended.status.code(), Some(0 | 1 | 6)), "{what}");
            assert!(!told.contains("panicked"), "{what}");
            if ended.status.code() == Some(0) {
                assert_same(&visible(&space), &wanted);
                silent.push(format!("{call} {number}"));
            } else {
                failed += 1;
                assert!(told.contains("error"), "{what}");
            }
            assert_whole(&space, &wanted);
            let again = space.datac(&["build"]);
            assert_eq!(again.status.code(), Some(0), "after {what}: {again:?}");
            assert_same(&visible(&space), &wanted);
            space.assert_settled();
        }
    }
    assert!(failed > 20, "{failed} calls failed the build; it survived {silent:?}");
}
