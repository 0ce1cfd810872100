//! A shared cache: what one machine has built, others need not; what it gives wrongly costs work and never a byte.

#[cfg(feature = "bucket")]
mod bucket;
mod faults;
mod releases;
#[cfg(feature = "hub")]
mod served;
mod workers;

use std::{fs, path::Path, sync::Arc};

use datac::{
    remote::{
        SharedReport, Trusted,
        keys::{PrivateKey, Signing},
    },
    workspace::BuildReport,
};

use crate::{
    cache,
    space::{Space, assert_same, entry, files, ran, recipe, rows},
};

/// A shared cache in a folder, and the key that results in it are signed with.
struct Team {
    folder: tempfile::TempDir,
    key: Arc<PrivateKey>,
}

impl Team {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: Arc::new(PrivateKey::generate("team").unwrap()) }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn remote(&self) -> Option<String> {
        Some(self.root().to_str().unwrap().to_owned())
    }

    /// Has a workspace publish what it builds.
    fn join(&self, space: &mut Space) {
        space.remote = self.remote();
        space.signing = Signing::With(self.key.clone());
    }

    /// Returns another machine with the same recipes and lock, which trusts the team and only reads.
    fn machine(&self, space: &Space) -> Space {
        let mut twin = space.twin();
        twin.remote = self.remote();
        Trusted::read(twin.root()).unwrap().add("team", self.key.public()).unwrap();
        twin
    }

    /// The objects whose names begin so.
    fn objects(&self, kind: &str) -> Vec<std::path::PathBuf> {
        files(&self.root().join("datac-cache-1").join(kind))
    }
}

fn shared(report: &BuildReport) -> &SharedReport {
    report.shared.as_ref().expect("there is a shared cache")
}

/// The fixture of the cache, with a model, other shapes, a side of its own, and rows that are rejected.
fn space() -> Space {
    let mut space = cache::space();
    space.write("data/c.jsonl", rows(500..900, 30));
    let entries =
        [entry("c", "data/c.jsonl", 1.0, &["max_samples: 150", "filters: [{ type: length, min_length: 60 }]"])];
    let more = "validation: { ratio: 0.1, seed: 1 }\nmix: { deduplicate: row }\noutput: [native, { shape: trl, container: parquet }]\n";
    space.write("config/sft/three.yaml", recipe(&entries, more));
    space.signing = Signing::Nothing;
    space
}

#[test]
fn a_second_machine_runs_nothing_and_writes_the_same_bytes() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    let report = first.build();
    assert_ne!(ran(&report), "");
    let published = shared(&report);
    assert!(published.published_results > 10 && published.published_artifacts > 0, "{published:?}");
    assert_eq!((published.taken(), published.refused.all(), published.given_up.clone()), (0, 0, None));

    let second = team.machine(&first);
    let report = second.build();
    assert_eq!(ran(&report), "", "everything is in the shared cache");
    assert_same(&first.outputs(), &second.outputs());
    let taken = shared(&report);
    assert!((10..=published.published_results).contains(&taken.taken()), "{taken:?}");
    assert_eq!((taken.refused.all(), taken.requests.writes), (0, 0), "{taken:?}");
    assert_eq!(second.warnings(), [] as [&str; 0]);
    second.assert_settled();

    // What was taken is in the local cache: it is not asked for again, nor missed.
    fs::remove_dir_all(team.root()).unwrap();
    second.remove("dataset");
    let report = second.build();
    assert_eq!(ran(&report), "");
    assert_same(&first.outputs(), &second.outputs());
    assert_eq!(second.warnings(), [] as [&str; 0]);
    let digests = |space: &Space| space.blobs().into_iter().map(|blob| blob.digest).collect::<Vec<_>>();
    assert_eq!(digests(&second), digests(&first));
}

#[test]
fn an_edit_reuses_what_did_not_change() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let second = team.machine(&first);
    second.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    let report = second.build();
    assert_eq!(
        ran(&report),
        "1 arrange, 1 output, 1 quarantine, 1 select",
        "no file is read, and `b` is selected as in `two`"
    );
    second.assert_clean();
}

#[test]
fn what_is_there_is_not_published_again() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let before: Vec<_> = team.objects("");
    // The same machine has nothing to say, and does not even ask.
    first.remove("dataset");
    let again = shared(&first.build()).clone();
    assert_eq!((again.published_results, again.taken(), again.requests.all()), (0, 0, 0), "{again:?}");
    // Another machine that has built the same looks, and finds it there.
    let mut second = first.twin();
    second.build();
    second.remove("dataset");
    team.join(&mut second);
    let again = shared(&second.build()).clone();
    assert_eq!((again.published_results, again.requests.writes), (0, 0), "{again:?}");
    assert_eq!(team.objects(""), before);
}

#[test]
fn a_warm_cache_is_published_as_a_cold_one_is() {
    let (team, mut first) = (Team::new(), space());
    first.build();
    first.remove("dataset");
    team.join(&mut first);
    let report = first.build();
    assert_eq!(ran(&report), "", "restored");
    assert!(shared(&report).published_results > 10);
    assert_eq!(ran(&team.machine(&first).build()), "");
}

#[test]
fn results_of_strangers_are_not_used() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    let ours = ran(&first.build());
    let mut second = first.twin();
    second.remote = team.remote();
    let report = second.build();
    assert_eq!(ran(&report), ours, "nobody said that the key may be trusted");
    assert!(shared(&report).refused.untrusted > 0);
    assert_eq!(shared(&report).taken(), 0);
    assert!(second.warnings().iter().any(|text| text.contains("signed with unknown keys; ignored")));
    assert_same(&first.outputs(), &second.outputs());
    // Nor does a build without a key add anything.
    assert!(shared(&report).read_only.is_some() && shared(&report).requests.writes == 0);
    // With a key of its own it does, beside what is there; whoever trusts either finds both.
    second.remove("dataset");
    second.signing = Signing::With(Arc::new(PrivateKey::generate("other").unwrap()));
    assert!(shared(&second.build()).published_results > 10);
    assert_eq!(ran(&team.machine(&first).build()), "");
}

#[test]
fn many_small_recipes_take_few_requests() {
    const RECIPES: u64 = 400;
    let (team, mut first) = (Team::new(), Space::new());
    for number in 0..RECIPES {
        let path = format!("data/{number}.jsonl");
        first.write(&path, rows(number * 10..number * 10 + 8, 20));
        let filters = "filters: [{ type: length, min_length: 10 }]";
        let entries = [entry("own", &path, 1.0, &[filters])];
        first.write(&format!("config/sft/r{number}.yaml"), recipe(&entries, "validation: { ratio: 0.2, seed: 1 }\n"));
    }
    team.join(&mut first);
    let published = shared(&first.build()).clone();
    let second = team.machine(&first);
    let report = second.build();
    assert_eq!(ran(&report), "");
    assert_same(&first.outputs(), &second.outputs());
    let taken = shared(&report);
    assert!(taken.taken() >= RECIPES * 6, "{taken:?}");
    // 256 objects of the index and the packs, however many recipes there are.
    assert!(taken.requests.all() < 300, "{taken:?}");
    assert!(published.requests.all() < 3 * 256 + 20, "{published:?}");
    // One recipe alone reads a part of a pack, not all of it.
    let third = team.machine(&first);
    for number in 1..RECIPES {
        third.remove(&format!("config/sft/r{number}.yaml"));
    }
    let report = third.build();
    assert_eq!(ran(&report), "");
    let taken = shared(&report);
    assert!(taken.requests.all() <= 8, "{taken:?}");
    assert!(taken.requests.received_bytes < published.requests.sent_bytes / 10, "{taken:?} of {published:?}");
}

#[test]
fn machines_that_publish_at_once_lose_nothing_of_each_other() {
    let team = Team::new();
    let spaces: Vec<Space> = (0..4_u64)
        .map(|machine| {
            let mut space = Space::new();
            for number in 0..20 {
                let path = format!("data/{machine}-{number}.jsonl");
                space.write(&path, rows(machine * 1000 + number * 10..machine * 1000 + number * 10 + 5, 20));
                let entries = [entry("own", &path, 1.0, &[])];
                space.write(
                    &format!("config/sft/r{number}.yaml"),
                    recipe(&entries, "validation: { ratio: 0.2, seed: 1 }\n"),
                );
            }
            team.join(&mut space);
            space
        })
        .collect();
    std::thread::scope(|threads| {
        for space in &spaces {
            threads.spawn(|| space.build());
        }
    });
    for space in &spaces {
        assert_eq!(ran(&team.machine(space).build()), "");
    }
}

#[test]
fn what_a_build_would_take_is_told_without_a_trace() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let second = team.machine(&first);
    let before = second.stats();
    let (assessment, forecast) = second.workspace().forecast(&[]).unwrap();
    assert_eq!(second.stats(), before, "nothing is written");
    assert!(forecast.missing.is_empty() && forecast.artifacts > 0, "{forecast:?}");
    assert_eq!(assessment.recipes.len(), 3);
    let taken = shared(&second.build()).clone();
    assert_eq!((forecast.results, forecast.artifacts), (taken.results, taken.artifacts), "a build does as was told");
    let third = team.machine(&first);
    third.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    let (_, forecast) = third.workspace().forecast(&[]).unwrap();
    let missing: Vec<String> = forecast.missing.iter().map(|(stage, count)| format!("{count} {stage}")).collect();
    assert_eq!(missing, ["1 select"], "{forecast:?}");
}

#[test]
fn a_shared_cache_is_measured_verified_and_collected() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let (workspace, age) = (first.workspace(), |days: u64| std::time::Duration::from_secs(days * 24 * 3600));
    let size = workspace.cache().shared_size().unwrap();
    assert!(size.packs.count > 0 && size.artifacts.count > 0 && size.index.count > 0, "{size:?}");
    let sound = workspace.cache().shared_verify().unwrap();
    assert_eq!((sound.damaged.len(), sound.refused.all(), sound.packs), (0, 0, size.packs.count));
    let kept = workspace.cache().shared_collect(age(30), false).unwrap();
    assert_eq!((kept.entries, kept.packs.count, kept.artifacts.count), (0, 0, 0), "what was just published is kept");

    // Damage is found and removed, and what is gone is published again.
    let blob = &team.objects("blob")[0];
    fs::write(blob, "rubbish").unwrap();
    let found = workspace.cache().shared_verify().unwrap();
    assert_eq!((found.damaged.len(), found.kept), (1, None));
    assert!(!blob.exists());
    first.remove("dataset");
    first.remove("cache");
    first.build();
    assert_eq!(ran(&team.machine(&first).build()), "");

    // A dry run says what goes; then it goes, and comes back.
    let would = workspace.cache().shared_collect(age(0), true).unwrap();
    assert_eq!(workspace.cache().shared_collect(age(0), false).unwrap().packs, would.packs);
    assert_eq!((team.objects("pack").len(), team.objects("blob").len()), (0, 0));
    assert_ne!(ran(&team.machine(&first).build()), "");
    first.edit("config/sft/one.yaml", "seed: 1", "seed: 3");
    first.build();
    let second = team.machine(&first);
    second.remove("config/sft/two.yaml");
    second.remove("config/sft/three.yaml");
    assert_eq!(ran(&second.build()), "");
}
