//! Workers: each makes what belongs to the files of its slice, and a build takes that and makes the rest.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use datac::{
    FailureKind,
    remote::{
        Trusted,
        keys::{PrivateKey, Signing},
    },
    workspace::{BuildOptions, Slice, Upgrade, WorkOptions, WorkReport, WorkspaceError},
};

use super::{Team, shared};
use crate::{
    sources::one,
    space::{Space, assert_same, count, entry, ran, recipe, rows},
    zip::zip,
};

const SPLIT: &str = "validation: { ratio: 0.1, seed: 7 }\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn texts(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|number| format!("{{\"body\":\"Text {number}, of a few words.\",\"n\":{number}}}\n")).collect()
}

fn dialogues(numbers: std::ops::Range<u64>) -> String {
    let row = |number: u64| {
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"What is {number}?\"}},\
             {{\"role\":\"assistant\",\"content\":\"A number: {number}.\"}}]}}\n"
        )
    };
    numbers.map(row).collect()
}

/// A workspace with a folder of files, archives, columns that decide the converter, a model, limits, scores and rejects.
fn space() -> Space {
    let space = Space::new();
    for number in 0..7_u64 {
        let own = rows(number * 1000..number * 1000 + 40 * number + 3, 25);
        space.write(&format!("data/many/{number}.jsonl"), own);
    }
    space.write("data/broken.jsonl", format!("{}{{broken\n{}", rows(20_000..20_900, 30), rows(21_000..21_020, 30)));
    space.write("data/packed.jsonl.gz", gzip(rows(30_000..30_200, 20).as_bytes()));
    let (a, b) = (rows(40_000..40_090, 20), rows(41_000..41_030, 20));
    space.write("data/archive.zip", zip(&[("x/a.jsonl", a.as_bytes(), 8), ("x/b.jsonl", b.as_bytes(), 0)]));
    (0..3).for_each(|n| space.write(&format!("data/texts/{n}.jsonl"), texts(n * 500..n * 500 + 120)));
    (0..3).for_each(|n| space.write(&format!("data/chat/{n}.jsonl"), dialogues(n * 500..n * 500 + 120)));
    let filters = "filters: [{ type: length, min_length: 90 }, { type: language, languages: [en] }]";
    let entries = [
        "  - { name: many, source: data/many, mix_ratio: 0.6 }\n".to_owned(),
        entry("broken", "data/broken.jsonl", 0.4, &[filters]),
    ];
    space.write(
        "config/sft/mixed.yaml",
        recipe(&entries, "mix: { deduplicate: row }\nvalidation: { ratio: 0.1, seed: 7 }\n"),
    );
    // The same files again, read otherwise; of one source only so much as is needed.
    let entries = [
        "  - { name: many, source: data/many, mix_ratio: 0.5, max_samples: 300, filters: [{ type: length, min_length: 120 }] }\n".to_owned(),
        "  - { name: packed, source: data/packed.jsonl.gz, mix_ratio: 0.25 }\n".to_owned(),
        "  - { name: archive, source: data/archive.zip, mix_ratio: 0.25 }\n".to_owned(),
    ];
    space.write("config/sft/some.yaml", recipe(&entries, SPLIT));
    space.write(
        "config/pretrain/texts.yaml",
        format!("metadata: {{ phase: pretrain }}\ndatasets:\n  - {{ name: t, source: data/texts, text_field: body }}\n{SPLIT}"),
    );
    space.write(
        "config/sft/chat.yaml",
        recipe(
            &["  - { name: chat, source: data/chat }\n".to_owned()],
            "model: datac/sample\noutput: [native, { shape: tokens }]\nvalidation: { ratio: 0.1, seed: 7 }\n",
        ),
    );
    // From a hub: pinned, and not of the workspace.
    one(&space, "hub", "source: tatsu-lab/alpaca");
    space.workspace().lock(&[], &Upgrade::None, false).unwrap();
    space
}

impl Team {
    /// Returns another machine that adds to the shared cache.
    fn worker(&self, space: &Space) -> Space {
        let mut machine = self.machine(space);
        machine.signing = Signing::With(self.key.clone());
        machine
    }
}

fn options(number: u32, of: u32) -> WorkOptions {
    WorkOptions { slice: Slice::new(number, of).unwrap(), jobs: 2, no_wait: false, dry_run: false }
}

fn try_work(space: &Space, number: u32, of: u32) -> Result<WorkReport, WorkspaceError> {
    space.workspace().work(&[], &options(number, of))
}

fn work(space: &Space, number: u32, of: u32) -> WorkReport {
    let report = try_work(space, number, of).unwrap();
    assert_eq!((report.failures.clone(), report.problems.clone()), (Vec::new(), Vec::new()));
    report
}

fn paths(report: &WorkReport) -> Vec<String> {
    report.files.iter().map(|file| file.path.clone()).collect()
}

/// Fails unless a build on another machine reads nothing and writes what `plain` has.
#[track_caller]
fn assert_taken(team: &Team, plain: &Space) {
    let machine = team.machine(plain);
    let report = machine.build();
    for stage in ["scan", "convert", "score", "render"] {
        assert_eq!(count(&report, stage), 0, "{stage}: {}", ran(&report));
    }
    assert_eq!((shared(&report).refused.all(), shared(&report).given_up.clone()), (0, None));
    assert_same(&plain.outputs(), &machine.outputs());
    assert_eq!(machine.warnings().iter().filter(|text| text.contains("shared")).count(), 0);
    machine.assert_settled();
}

#[test]
fn a_build_takes_what_the_slices_have_made_and_writes_the_same_bytes() {
    let plain = space();
    plain.build();
    let mut all = None;
    for slices in [1, 2, 5, 30] {
        let team = Team::new();
        let (mut seen, mut total) = (Vec::new(), 0);
        for number in 0..slices {
            let machine = team.worker(&plain);
            let report = work(&machine, number, slices);
            seen.extend(paths(&report));
            total = report.of_files;
            assert_eq!(report.files.is_empty(), report.actions.is_empty(), "{report:?}");
            let taken = report.shared.as_ref().unwrap();
            assert!(report.actions.is_empty() || taken.published_results > 0, "{report:?}");
            assert!(machine.outputs().is_empty(), "a worker writes no outputs");
            assert_eq!(machine.warnings(), [] as [&str; 0]);
        }
        seen.sort();
        assert_eq!(seen.len(), total);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), total, "each file is in one slice: {seen:?}");
        assert_eq!(all.get_or_insert_with(|| seen.clone()), &seen);
        assert_taken(&team, &plain);
    }
}

#[test]
fn a_worker_reads_its_own_files_and_the_rows_that_decide_the_converter() {
    let (team, plain) = (Team::new(), Space::new());
    (0..6_u64).for_each(|n| plain.write(&format!("data/many/{n}.jsonl"), rows(n * 9000..n * 9000 + 3000, 40)));
    one(&plain, "chosen", "source: data/many");
    plain.build();
    let mut chunks = 0;
    for number in 0..6 {
        let machine = team.worker(&plain);
        let report = work(&machine, number, 6);
        let own = paths(&report);
        assert_eq!(own.len(), 1);
        let read: BTreeSet<String> = machine.scanned().into_iter().collect();
        let wanted: BTreeSet<String> = own.iter().cloned().chain(["data/many/0.jsonl".to_owned()]).collect();
        assert_eq!(read, wanted);
        let converted = |report: &WorkReport| {
            report.actions.iter().filter(|(stage, _)| stage.word() == "convert").map(|(_, count)| *count).sum::<u64>()
        };
        assert!(converted(&report) > 0, "{report:?}");
        chunks += converted(&report);
        // What is known already is not read again, by this machine or another one.
        assert_eq!(work(&machine, number, 6).actions.len(), 0);
        let again = work(&team.worker(&plain), number, 6);
        let ran: Vec<&str> = again.actions.keys().map(|stage| stage.word()).collect();
        // But for the few rows that decide the converter, if they are those of another slice.
        let decides = if own == ["data/many/0.jsonl"] { Vec::new() } else { vec!["scan"] };
        assert_eq!(ran, decides, "{again:?}");
        assert_eq!(again.shared.unwrap().published_results, 0);
    }
    let twin = plain.twin();
    assert_eq!(count(&twin.build(), "convert"), chunks, "each chunk is converted once");
    assert_taken(&team, &plain);
}

#[test]
fn what_a_recipe_writes_is_left_to_the_build() {
    let (team, plain) = (Team::new(), Space::new());
    plain.write("data/a.jsonl", rows(0..200, 12));
    plain.write("config/sft/a.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], SPLIT));
    let entries = [entry("made", "dataset/sft_a_train.jsonl", 0.5, &[]), entry("a", "data/a.jsonl", 0.5, &[])];
    plain.write("config/sft/b.yaml", recipe(&entries, SPLIT));
    plain.build();
    for number in 0..2 {
        let report = work(&team.worker(&plain), number, 2);
        let left: Vec<(&str, &str)> =
            report.left.iter().map(|left| (left.recipe.as_str(), left.dataset.as_str())).collect();
        assert_eq!((left, report.of_files), (vec![("config/sft/b.yaml", "made")], 1));
    }
    // Where it has been written, it is left all the same: the build may write it anew.
    assert_eq!(
        work(
            &{
                let mut own = team.worker(&plain);
                own.remote = team.remote();
                own.build();
                own
            },
            0,
            1
        )
        .left
        .len(),
        1
    );
    let machine = team.machine(&plain);
    let report = machine.build();
    assert_same(&plain.outputs(), &machine.outputs());
    assert_eq!(count(&report, "scan"), 0, "{}", ran(&report));
}

#[test]
fn what_fails_is_told_and_holds_up_nothing_else() {
    let (team, plain) = (Team::new(), Space::new());
    (0..3_u64).for_each(|n| plain.write(&format!("data/good/{n}.jsonl"), rows(n * 900..n * 900 + 50, 12)));
    plain.write("data/bad.jsonl.gz", "this is no gzip");
    one(&plain, "good", "source: data/good");
    one(&plain, "bad", "source: data/bad.jsonl.gz");
    one(&plain, "gone", "source: data/gone.jsonl");
    one(&plain, "unpinned", "source: tatsu-lab/alpaca");
    let failing = plain.try_build(&BuildOptions { locked: true, ..BuildOptions::default() }).unwrap();
    let mut told: Vec<String> =
        failing.recipes.iter().filter_map(|recipe| Some(recipe.failure.as_ref()?.message.clone())).collect();
    told.sort();
    assert_eq!(told.len(), 3, "{told:?}");
    let mut all = BTreeSet::new();
    for number in 0..2 {
        let report = try_work(&team.worker(&plain), number, 2).unwrap();
        all.extend(report.failures.iter().map(|failure| failure.message.clone()));
        assert_eq!(report.failure(), Some(FailureKind::Lock), "the worst, as of a build");
        assert!(!report.actions.is_empty());
    }
    let mut all: Vec<String> =
        all.into_iter().map(|text| text.replace("a worker adds no pins", "`--locked` was given")).collect();
    all.sort();
    assert_eq!(all, told, "the words of a build");
    let machine = team.machine(&plain);
    ["bad", "gone", "unpinned"].iter().for_each(|name| machine.remove(&format!("config/sft/{name}.yaml")));
    let report = machine.build();
    assert_eq!(count(&report, "convert") + count(&report, "scan"), 0, "{}", ran(&report));
    // What cannot be listed is known before anything is done.
    let planned = plain.workspace().work(&[], &WorkOptions { dry_run: true, ..options(0, 2) }).unwrap();
    assert_eq!((planned.failures.len(), planned.failure()), (2, Some(FailureKind::Lock)), "{planned:?}");
    // A recipe that is invalid is told by each.
    plain.write("config/sft/odd.yaml", "metadata: { phase: sft }\ndatasets: 3\n");
    let report = try_work(&team.worker(&plain), 1, 2).unwrap();
    assert!(!report.problems.is_empty() && !report.files.is_empty(), "{report:?}");
}

#[test]
fn a_worker_that_could_add_nothing_does_not_begin() {
    let (team, plain) = (Team::new(), Space::new());
    plain.write("data/a.jsonl", rows(0..20, 12));
    one(&plain, "a", "source: data/a.jsonl");
    let refused = |space: &Space| {
        let Err(WorkspaceError::Failure(failure)) = try_work(space, 0, 1) else { panic!("it began") };
        assert!(!space.path("cache").exists());
        (failure.kind, failure.message)
    };
    let mut machine = team.machine(&plain);
    assert_eq!(refused(&machine).0, FailureKind::Config, "there is no key");
    machine.signing = Signing::With(team.key.clone());
    machine.remote = None;
    assert_eq!(refused(&machine).0, FailureKind::Config, "there is no shared cache");
    machine.remote = Some(team.root().join("gone").to_str().unwrap().to_owned());
    assert_eq!(refused(&machine).0, FailureKind::Source, "it cannot be reached");
    // A key that nobody trusts is of use to those who have it.
    machine.remote = team.remote();
    machine.signing = Signing::With(std::sync::Arc::new(PrivateKey::generate("other").unwrap()));
    work(&machine, 0, 1);
    assert!(machine.warnings().iter().any(|text| text.contains("datac.keys")), "but it is said");
    // What there is to do is said without any of that, and without a trace.
    let bare = plain.twin();
    let planned = bare.workspace().work(&[], &WorkOptions { dry_run: true, ..options(0, 1) }).unwrap();
    assert_eq!(paths(&planned), ["data/a.jsonl"]);
    assert!(!bare.path("cache").exists());
}

/// A worker as a process of its own on a machine of its own.
fn process(machine: &Space, key: &Path, slice: &str) -> Command {
    let remote = machine.remote.clone().unwrap();
    let mut command = machine.command(&["worker", "--slice", slice, "--remote", &remote, "--jobs", "1", "--json"]);
    command.env("DATAC_CACHE_KEY", fs::read_to_string(key).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn processes_that_are_killed_repeated_and_run_twice_lose_nothing() {
    let plain = space();
    (0..12_u64)
        .for_each(|n| plain.write(&format!("data/many/more-{n}.jsonl"), rows(n * 90_000..n * 90_000 + 2500, 60)));
    plain.build();
    let team = Team::new();
    let key = team.root().join("key");
    // The key of the team in the form in which people keep it.
    let kept = PrivateKey::generate("workers").unwrap();
    kept.store(&key).unwrap();
    let machine = || {
        let machine = team.machine(&plain);
        Trusted::read(plain.root()).unwrap().add("workers", kept.public()).ok();
        Trusted::read(machine.root()).unwrap().add("workers", kept.public()).unwrap();
        machine
    };
    // The first is killed as soon as it has begun to keep what it makes.
    let first = machine();
    let mut child = process(&first, &key, "0/3").spawn().unwrap();
    let begun = Instant::now();
    while first.blobs().is_empty() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it keeps nothing");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it was at work");
    // All at once, one of them twice, and the one that was killed once more on the same machine and on another one.
    let (second, third, twin, other) = (machine(), machine(), machine(), machine());
    let at_once = [(&first, "0/3"), (&second, "1/3"), (&third, "2/3"), (&twin, "1/3"), (&other, "0/3")];
    let running: Vec<_> = at_once.map(|(space, slice)| process(space, &key, slice).spawn().unwrap()).into();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["schema"], "datac.worker/1");
    }
    let machine = machine();
    let report = machine.build();
    for stage in ["scan", "convert", "score", "render"] {
        assert_eq!(count(&report, stage), 0, "{stage}: {}", ran(&report));
    }
    assert_same(&plain.outputs(), &machine.outputs());
}
