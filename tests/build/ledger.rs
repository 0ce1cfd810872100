//! What builds leave behind about themselves: runs, and what files are made of.

use std::sync::Arc;

use datac::{
    cache::{Access, Record, Store},
    id::FileHash,
    stage::Stage,
    workspace::{BuildManifest, BuildOptions, RunId, RunOutcome},
};

use crate::{
    harm::flip,
    space::{Space, changed, entry, recipe, rows},
};

const FILTERS: &str = "filters: [{ type: length, min_length: 10 }, { type: deduplication }]";

fn space() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", format!("{}{{broken\n{}", rows(0..3000, 60), rows(0..20, 60)));
    space.write("data/b.jsonl", rows(9000..9100, 12));
    let entries = [entry("a", "data/a.jsonl", 0.8, &[FILTERS]), entry("b", "data/b.jsonl", 0.2, &[])];
    space.write("config/sft/one.yaml", recipe(&entries, ""));
    space.write("config/sft/two.yaml", recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], ""));
    space
}

fn runs(space: &Space) -> Vec<i64> {
    space.workspace().history().runs().unwrap().into_iter().map(|(id, _)| id.0).collect()
}

fn manifest(space: &Space, path: &str) -> BuildManifest {
    let workspace = space.workspace();
    let (_, build) = workspace.history().latest_build(path).unwrap().expect("it was built");
    workspace.history().manifest(&build).unwrap()
}

#[test]
fn what_was_done_is_noted_and_nothing_is_when_nothing_was() {
    let space = space();
    let secret = "--hub=https://me:secret@hub.example".to_owned();
    let report = space.build_with(&BuildOptions { command: vec!["build".into(), secret], ..Default::default() });
    assert_eq!(report.run, Some(RunId(1)));
    let workspace = space.workspace();
    let [(_, run)] = &workspace.history().runs().unwrap()[..] else { panic!("one run") };
    assert_eq!(run.command, ["build", "--hub=https://…@hub.example"]);
    assert_eq!((run.outcome, run.hub.as_str()), (RunOutcome::Built, "sample"));
    assert!(run.started_ns < run.ended_ns);
    assert_eq!(run.ran, report.actions);
    let builds = workspace.history().builds(RunId(1)).unwrap();
    let told: Vec<_> = builds.iter().map(|build| (build.path.as_str(), build.state.as_str())).collect();
    assert_eq!(told, [("config/sft/one.yaml", "new"), ("config/sft/two.yaml", "new")]);

    space.assert_settled();
    // A note for people changes no output.
    space.edit("config/sft/two.yaml", "phase: sft", "phase: sft, description: rows");
    assert_eq!(space.build().run, None);
    assert_eq!(runs(&space), [1]);

    space.edit("config/sft/one.yaml", "min_length: 10", "min_length: 200");
    assert_eq!(space.build().run, Some(RunId(2)));
    let builds = space.workspace().history().builds(RunId(2)).unwrap();
    let [build] = &builds[..] else { panic!("one recipe") };
    assert_eq!((build.path.as_str(), build.state.as_str()), ("config/sft/one.yaml", "stale"));
    let why: Vec<String> = build.reasons.iter().map(ToString::to_string).collect();
    assert_eq!(why, ["filters[0] of a length min 10 -> length min 200"]);
    let (_, run) = space.workspace().history().runs().unwrap().remove(0);
    assert_eq!((run.ran.get(&Stage::Convert), run.reused.get(&Stage::Scan)), (None, Some(&2)));

    let of_file = |name: &str| {
        let bytes = space.read(&format!("dataset/{name}"));
        let builds = space.workspace().history().builds_of_file(&FileHash::of(&bytes)).unwrap();
        builds.into_iter().map(|(run, build)| (run.0, build.path)).collect::<Vec<_>>()
    };
    let one = "config/sft/one.yaml".to_owned();
    assert_eq!(of_file("sft_one_train.jsonl"), [(2, one.clone()), (1, one)], "the bound kept no row out");
    assert_eq!(of_file("sft_two_val.jsonl"), [(1, "config/sft/two.yaml".to_owned())]);

    // Restoring a file is a build too, of the same manifest.
    let before = manifest(&space, "config/sft/one.yaml");
    space.remove("dataset/sft_one_train.jsonl");
    assert_eq!(space.build().run, Some(RunId(3)));
    assert_eq!(manifest(&space, "config/sft/one.yaml"), before);

    space.write("data/b.jsonl", "[]");
    space.try_build(&BuildOptions::default()).unwrap();
    let (id, run) = space.workspace().history().runs().unwrap().remove(0);
    assert_eq!((id, run.outcome), (RunId(4), RunOutcome::Failed));
    let builds = space.workspace().history().builds(id).unwrap();
    assert!(builds.iter().all(|build| build.failure.is_some() && build.manifest.is_none()), "{builds:?}");
    assert_eq!(manifest(&space, "config/sft/one.yaml"), before, "the last build that came to files");
}

#[test]
fn a_manifest_names_everything_and_is_small() {
    let space = space();
    space.build();
    let manifest = manifest(&space, "config/sft/one.yaml");
    let record = Record::open(&space.path("cache/v1"), Access::Read, Arc::new(|_| {})).unwrap();
    let store = Store::new(&space.path("cache/v1"), Arc::new(record));
    assert!(manifest.blobs().all(|blob| store.peek(&blob).is_ok()));
    assert_eq!(manifest.files.len(), 3);
    for file in &manifest.files {
        assert_eq!(file.meta.digest, FileHash::of(&space.read(&format!("dataset/{}", file.name))));
    }
    let [a, b] = &manifest.sources[..] else { panic!("two sources") };
    assert_eq!(
        (a.origin.name(), a.files[0].path.as_str(), a.converter.as_str()),
        ("data/a.jsonl", "data/a.jsonl", "alpaca")
    );
    assert_eq!(a.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum::<u64>(), 3021);
    assert_eq!((a.filters.len(), a.field.as_str(), b.filters.len()), (2, "text", 0));
    let mut longer = manifest.clone();
    let chunk = longer.sources[0].chunks[0].clone();
    longer.sources[0].chunks.extend(std::iter::repeat_n(chunk, 1000));
    let each = (longer.encode().len() - manifest.encode().len()) / 1000;
    assert!(each < 200, "{each} bytes a chunk");
    // A store holds no blob that nothing names.
    let named = manifest.blobs().count() + self::manifest(&space, "config/sft/two.yaml").blobs().count();
    assert!(space.blobs().len() <= named + 2);
}

#[test]
fn a_damaged_manifest_costs_provenance_and_no_build() {
    let space = space();
    space.build();
    let (_, build) = space.workspace().history().latest_build("config/sft/one.yaml").unwrap().unwrap();
    flip(space.blobs().iter().find(|blob| Some(blob.digest) == build.manifest).unwrap());
    let before = space.stats();
    let error = space.workspace().history().manifest(&build).unwrap_err();
    assert!(error.to_string().contains("trace the rows of `config/sft/one.yaml`"), "{error}");
    assert_eq!(changed(&before, &space.stats()), [] as [&std::path::Path; 0], "reading writes nothing");
    space.assert_settled();
    space.build_with(&BuildOptions { force: true, ..Default::default() });
    manifest(&space, "config/sft/one.yaml");
}
