//! `datac fetch`: afterwards builds need no network; and what it brought is kept as long as datac.lock pins it.

use std::{fs, path::Path, process::Command, time::Duration};

use datac::workspace::{BuildOptions, CacheBounds, FetchedFile, Settings, State, Workspace, WorkspaceError};

use crate::support::loopback::{Loopback, Repo};

const NOTHING: CacheBounds = CacheBounds { max_bytes: 0, max_age: Duration::ZERO };

fn rows(numbers: std::ops::Range<u32>) -> String {
    let row =
        |number| format!("{{\"instruction\":\"Question {number}?\",\"input\":\"\",\"output\":\"Answer {number}.\"}}\n");
    numbers.map(row).collect()
}

fn repo(last: u32) -> Repo {
    Repo::new("org/data")
        .file("README.md", "# data")
        .file("train/small.jsonl", rows(0..20))
        .lfs("train/large.jsonl", rows(20..last))
        .lfs("test/other.jsonl", rows(0..900))
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let text = |seed| {
            format!(
                "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: data, source: org/data, format: huggingface, mix_ratio: 1.0 }}\n\
                 validation: {{ ratio: 0.1, seed: {seed} }}\n"
            )
        };
        fs::create_dir_all(place.path("config/sft")).expect("a folder");
        fs::write(place.path("config/sft/one.yaml"), text(1)).expect("a file");
        fs::write(place.path("config/sft/two.yaml"), text(2)).expect("a file");
        place
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn workspace(&self, url: &str, offline: bool) -> Workspace {
        Workspace::open(Settings { hub: Some(url.to_owned()), offline, ..Settings::new(self.folder.path()) })
    }

    fn stored(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("cache/v1/sources")).expect("the folder of downloads");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.ends_with(".ok"));
        names.sort();
        names
    }
}

fn told(files: &[FetchedFile]) -> Vec<(&str, bool)> {
    files.iter().map(|file| (file.path.as_str(), file.is_new)).collect()
}

#[test]
fn what_is_fetched_is_all_that_a_build_needs() {
    let hub = Loopback::start([repo(60)]);
    let (place, url) = (Place::new(), hub.url());
    let fetched = place.workspace(&url, false).fetch(&[], false).expect("the workspace can be used");
    assert!(fetched.failures.is_empty() && fetched.problems.is_empty(), "{fetched:?}");
    assert!(fetched.is_remote);
    assert_eq!(told(&fetched.files), [("train/large.jsonl", true), ("train/small.jsonl", true)]);
    assert!(place.path("datac.lock").exists());
    assert!(!place.path("dataset").exists(), "nothing is built");
    assert_eq!(hub.count("other.jsonl"), 0, "nothing that no recipe reads");

    let asked = hub.log().len();
    let again = place.workspace(&url, false).fetch(&["sft/one".into()], true).expect("the workspace can be used");
    assert_eq!(told(&again.files), [("train/large.jsonl", false), ("train/small.jsonl", false)]);
    assert_eq!(hub.log().len(), asked, "nobody was asked");

    // A stored file that is not what it was comes again.
    let large = place.stored().into_iter().find(|name| name.starts_with("sha256")).expect("the large file");
    let path = place.path(&format!("cache/v1/sources/{large}"));
    let sound = fs::read(&path).expect("it can be read");
    fs::write(&path, vec![b'x'; sound.len()]).expect("it can be written");
    let verified = place.workspace(&url, true).cache().verify().expect("the workspace can be used");
    let damaged: Vec<_> = verified.damaged.iter().map(|damaged| damaged.used_by.clone()).collect();
    assert_eq!(damaged, [["org/data/train/large.jsonl"]]);
    assert!(!path.exists());
    let mended = place.workspace(&url, false).fetch(&[], true).expect("the workspace can be used");
    assert_eq!(told(&mended.files), [("train/large.jsonl", true), ("train/small.jsonl", false)]);
    assert_eq!(fs::read(&path).expect("it can be read"), sound);

    drop(hub);
    let report = place.workspace(&url, true).build(&[], &BuildOptions::default()).expect("the workspace can be used");
    assert!(report.failure().is_none(), "{report:?}");
    assert!(report.recipes.iter().all(|recipe| recipe.before.state == State::New && recipe.summary.is_some()));
}

#[test]
fn people_and_programs_are_told_what_came() {
    let hub = Loopback::start([repo(60)]);
    let (place, url) = (Place::new(), hub.url());
    let datac = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_datac"));
        command.env_clear().env("HOME", place.folder.path()).current_dir(place.folder.path());
        let output = command.args(["--hub", &url]).args(arguments).output().expect("it can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, printed, told) = datac(&["fetch"]);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("      Locked org/data at "), "{told}");
    assert_eq!(lines[1], "     Fetched org/data train/large.jsonl (2.6 kB)");
    assert_eq!(lines[3..], ["fetched 2 files, 3.8 kB"]);
    assert_eq!(datac(&["fetch", "--locked"]).2, "already downloaded: 2 files, 3.8 kB\n");
    let (code, printed, told) = datac(&["fetch", "--json"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    let document: serde_json::Value = serde_json::from_str(&printed).expect("one document");
    assert_eq!((&document["is_remote"], document["files"].as_array().map(Vec::len)), (&true.into(), Some(2)));
    drop(hub);
    assert_eq!(datac(&["build", "--offline", "--quiet"]), (Some(0), String::new(), String::new()));
}

#[test]
fn what_cannot_be_fetched_is_named_and_the_rest_comes() {
    let hub = Loopback::start([repo(60)]);
    let place = Place::new();
    let text = fs::read_to_string(place.path("config/sft/two.yaml")).expect("the recipe");
    fs::write(place.path("config/sft/two.yaml"), text.replace("org/data", "org/none")).expect("a file");
    let locked = place.workspace(&hub.url(), false).fetch(&[], true).expect("the workspace can be used");
    assert_eq!((locked.files.len(), locked.failures.len()), (0, 2), "{locked:?}");
    assert!(!place.path("datac.lock").exists());
    let fetched = place.workspace(&hub.url(), false).fetch(&[], false).expect("the workspace can be used");
    assert_eq!(fetched.files.len(), 2);
    let sources: Vec<&str> = fetched.failures.iter().map(|failure| failure.source.as_str()).collect();
    assert_eq!(sources, ["org/none"]);
    assert_eq!(fetched.failure(), Some(datac::FailureKind::Source));
    let offline = Place::new().workspace(&hub.url(), true).fetch(&[], false).expect("the workspace can be used");
    assert_eq!(offline.failures.len(), 1, "one source, however many recipes: {offline:?}");
}

#[test]
fn pinned_downloads_stay_and_others_go_after_a_while() -> Result<(), WorkspaceError> {
    let hub = Loopback::start([repo(60)]);
    let (place, url) = (Place::new(), hub.url());
    let workspace = place.workspace(&url, false);
    workspace.fetch(&[], false)?;
    // The card was read to pin the source, and no lock pins it.
    assert_eq!(workspace.cache().collect(&CacheBounds::default(), false)?.count(), 0);
    assert_eq!(workspace.cache().collect(&NOTHING, false)?.downloads.count, 1);
    let first = place.stored();
    assert_eq!(first.len(), 2);
    assert_eq!(workspace.cache().collect(&NOTHING, false)?.count(), 0);

    hub.push(repo(70));
    workspace.lock(&[], &datac::workspace::Upgrade::All, false)?;
    workspace.fetch(&[], true)?;
    assert_eq!(place.stored().len(), 4, "two large files, the small one, which is the same, and the card");
    assert_eq!(workspace.cache().collect(&CacheBounds::default(), false)?.count(), 0, "it was pinned until now");
    let collected = workspace.cache().collect(&NOTHING, false)?;
    assert!(collected.downloads.count >= 2, "{collected:?}");
    let gone: Vec<String> = first.into_iter().filter(|name| !place.stored().contains(name)).collect();
    assert!(matches!(&gone[..], [name] if name.starts_with("sha256")), "{gone:?}");
    assert_eq!(place.stored().len(), 2);
    let report = place.workspace(&url, true).build(&[], &BuildOptions::default())?;
    assert!(report.failure().is_none());
    assert!(Path::new(&place.path("dataset/sft_one_train.jsonl")).exists());
    Ok(())
}
