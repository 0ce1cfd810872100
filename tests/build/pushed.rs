//! Outputs that are pushed: whoever begins with `current.json` sees the old recipe or the new one, whatever happens meanwhile.

#[cfg(feature = "bucket")]
mod bucket;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::space::{Dice, Outputs, Space, assert_same, changed, entry, files, recipe, rows};

/// A workspace with two recipes, one of them in two formats and with rows that are rejected.
fn space() -> Space {
    let space = Space::new();
    space.write("data/a.jsonl", rows(0..3_000, 30) + "{\"instruction\": 3}\n");
    space.write("data/b.jsonl", rows(20_000..20_100, 20));
    let more =
        "validation: { ratio: 0.1, seed: 1 }\noutput: [native, { shape: trl, container: parquet, layout: hub }]\n";
    space.write("config/sft/large.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], more));
    space.write("config/sft/small.yaml", recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], ""));
    space
}

/// Objects below a place, by name.
type Objects = BTreeMap<String, Vec<u8>>;

/// The files below a folder, without those that coordinate who writes.
fn objects(folder: &Path) -> Objects {
    let below = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (!name.ends_with("/lock")).then(|| (name, fs::read(&path).unwrap()))
    };
    files(folder).into_iter().filter_map(below).collect()
}

/// Reads what a recipe is, as a program elsewhere does: `current.json`, then the files that it names, each by its digest. Returns them by
/// their names in the output folder; `None` if there is no such recipe.
fn read(objects: &Objects, recipe: &str) -> Option<Outputs> {
    let current: Value = serde_json::from_slice(objects.get(&format!("{recipe}/current.json"))?).unwrap();
    assert_eq!((&current["format"], &current["recipe"]), (&"datac-outputs/1".into(), &recipe.into()));
    let version = current["version"].as_str().unwrap();
    let (mut outputs, mut lines) = (Outputs::new(), "datac-outputs/1\n".to_owned());
    for file in current["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let bytes = objects.get(&format!("{recipe}/{path}")).unwrap_or_else(|| panic!("{recipe}/{path} is missing"));
        let digest = blake3::hash(bytes).to_hex();
        assert_eq!(file["bytes"], bytes.len(), "{path}");
        assert_eq!(file["blake3"], digest.as_str(), "{path}");
        let within = path.strip_prefix(version).unwrap().strip_prefix('/').unwrap();
        lines.push_str(&format!("{digest} {} {within}\n", bytes.len()));
        outputs.insert(file["output"].as_str().unwrap().to_owned(), bytes.clone());
    }
    assert_eq!(version, blake3::hash(lines.as_bytes()).to_hex().as_str(), "a version is what its files are");
    Some(outputs)
}

/// The outputs of a recipe that are for others: all but what was rejected or does not fit.
fn published(space: &Space, stem: &str) -> Outputs {
    let is_own = |name: &str| name.starts_with(stem) && !name.ends_with("unfit.jsonl");
    space.outputs().into_iter().filter(|(name, _)| is_own(name)).collect()
}

/// Fails unless both recipes are there as they are built.
#[track_caller]
fn assert_pushed(objects: &Objects, space: &Space) {
    assert_same(&read(objects, "sft/large").unwrap(), &published(space, "sft_large"));
    assert_same(&read(objects, "sft/small").unwrap(), &published(space, "sft_small"));
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap().replace('\u{a0}', " ")
}

/// Runs `datac` and returns what it says.
#[track_caller]
fn ends(space: &Space, code: i32, arguments: &[&str]) -> String {
    let output = space.datac(arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// A folder that outputs are pushed to.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn objects(&self) -> Objects {
        objects(self.0.path())
    }
}

/// The sizes of what was sent, by path, as the report says.
fn sent(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap();
    let recipes = report["recipes"].as_array().unwrap();
    let files = recipes.iter().flat_map(|recipe| recipe["files"].as_array().unwrap());
    let new = files.filter(|file| file["is_new"] == true).map(|file| file["path"].as_str().unwrap());
    new.map(|path| path.split_once('/').unwrap().1.to_owned()).collect()
}

const ALL: [&str; 9] = [
    "train.jsonl",
    "trl/README.md",
    "trl/croissant.json",
    "trl/data/train-00000-of-00001.parquet",
    "trl/data/validation-00000-of-00001.parquet",
    "trl/trl.yaml",
    "val.jsonl",
    "train.jsonl",
    "val.jsonl",
];

#[test]
fn outputs_are_there_whole_and_what_is_there_is_not_sent() {
    let (space, place) = (space(), Place::new());
    space.build();
    assert!(space.outputs().contains_key("quarantine/sft_large.jsonl"));
    let dry = ends(&space, 0, &["push", place.path(), "-n", "--json"]);
    assert_eq!(sent(&dry), ALL);
    assert_eq!(place.objects(), Objects::new(), "a dry run writes nothing");

    assert_eq!(sent(&ends(&space, 0, &["push", place.path(), "--json"])), ALL);
    assert_pushed(&place.objects(), &space);
    assert_eq!(place.objects().len(), ALL.len() + 2, "{:?}", place.objects().keys());
    let current: Value = serde_json::from_slice(&place.objects()["sft/large/current.json"]).unwrap();
    let sides: Vec<(&str, Option<&str>)> = current["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["target"].as_str().unwrap(), file["side"].as_str()))
        .collect();
    let (train, validation) = (Some("train"), Some("validation"));
    assert_eq!(
        sides,
        [
            ("native", train),
            ("trl", None),
            ("trl", None),
            ("trl", train),
            ("trl", validation),
            ("trl", None),
            ("native", validation)
        ]
    );

    // Nothing has changed: nothing is sent, and no file is touched.
    let stats = |place: &Place| -> BTreeMap<PathBuf, std::time::SystemTime> {
        files(place.0.path())
            .into_iter()
            .map(|path| (path.clone(), fs::metadata(path).unwrap().modified().unwrap()))
            .collect()
    };
    let before = stats(&place);
    let text = ends(&space, 0, &["push", place.path()]);
    assert!(text.starts_with("already there: 2 recipes in ") && text.contains("requests)"), "{text}");
    assert_eq!(stats(&place), before);

    // Another machine that builds the same has nothing to send either, and writes the same elsewhere.
    let twin = space.twin();
    twin.build();
    assert_eq!(sent(&ends(&twin, 0, &["push", place.path(), "--json"])), [] as [&str; 0]);
    assert_eq!(stats(&place), before);
    let other = Place::new();
    ends(&twin, 0, &["push", other.path()]);
    assert!(other.objects() == place.objects(), "the same bytes under the same names");
}

#[test]
fn an_edit_is_a_new_version_and_the_old_one_stays() {
    let (space, place) = (space(), Place::new());
    space.build();
    ends(&space, 0, &["push", place.path()]);
    let before = place.objects();
    space.edit("data/a.jsonl", "Question 7:", "Question seven:");
    let text = ends(&space, 1, &["push", place.path()]);
    assert!(text.contains("only what is up to date can be pushed: `sft/large` is stale"), "{text}");
    assert!(place.objects() == before);
    space.build();
    let report = ends(&space, 0, &["push", place.path(), "--json"]);
    assert_eq!(sent(&report), ALL[..7], "the other recipe is as it was");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["recipes"][0]["is_new"], true);
    assert_eq!(report["recipes"][1]["is_new"], false);
    assert!(report["recipes"][0]["before"].is_string());
    let after = place.objects();
    assert_pushed(&after, &space);
    for (name, bytes) in &before {
        assert!(name == "sft/large/current.json" || after[name] == *bytes, "{name} never changes");
    }

    // Back again: the files are there, and it is a clean push of the same.
    space.edit("data/a.jsonl", "Question seven:", "Question 7:");
    space.build();
    assert_eq!(sent(&ends(&space, 0, &["push", place.path(), "--json"])), [] as [&str; 0]);
    assert!(place.objects()["sft/large/current.json"] == before["sft/large/current.json"], "warm equals clean");

    // A comment changes no file, but what the recipe is known to be.
    space.edit("config/sft/large.yaml", "validation:", "# A note.\nvalidation:");
    space.build();
    let text = ends(&space, 0, &["push", place.path()]);
    assert!(text.contains("as before, from a changed recipe or lock"), "{text}");
    assert_pushed(&place.objects(), &space);
}

#[test]
fn what_is_lost_or_cut_off_is_put_back() {
    let (space, place) = (space(), Place::new());
    space.build();
    ends(&space, 0, &["push", place.path()]);
    let whole = place.objects();
    for name in whole.keys().filter(|name| !name.ends_with("current.json")) {
        let path = place.0.path().join(name);
        fs::remove_file(&path).unwrap();
        let text = ends(&space, 0, &["push", place.path()]);
        assert!(text.contains("put back what version"), "{text}");
        fs::write(&path, &whole[name][..whole[name].len() / 2]).unwrap();
        ends(&space, 0, &["push", place.path()]);
        assert!(place.objects() == whole, "{name}");
    }
}

#[test]
fn what_was_pushed_is_pulled_with_every_byte_checked() {
    let (space, place) = (space(), Place::new());
    space.build();
    ends(&space, 0, &["push", place.path()]);
    let elsewhere = Space::new();
    let from = format!("{}/sft/large", place.path());
    let text = ends(&elsewhere, 0, &["pull", &from, "-n"]);
    assert!(text.contains("would pull sft/large, version "), "{text}");
    assert_eq!(elsewhere.outputs(), Outputs::new());
    ends(&elsewhere, 0, &["pull", &format!("file://{from}")]);
    assert_same(&elsewhere.outputs(), &published(&space, "sft_large"));
    let before = elsewhere.stats();
    let text = ends(&elsewhere, 0, &["pull", &from]);
    assert!(text.starts_with("already there: sft/large, version "), "{text}");
    assert_eq!(changed(&before, &elsewhere.stats()), [] as [&Path; 0]);
    elsewhere.write("dataset/sft_large_val.jsonl", "mine\n");
    assert!(ends(&elsewhere, 1, &["pull", &from]).contains("nothing was written"));
    ends(&elsewhere, 0, &["pull", &from, "--force"]);
    assert_same(&elsewhere.outputs(), &published(&space, "sft_large"));

    // What is damaged is noticed, and is not in place.
    for name in place.objects().keys().filter(|name| name.starts_with("sft/large/") && !name.ends_with("current.json"))
    {
        let path = place.0.path().join(name);
        let whole = fs::read(&path).unwrap();
        let mut bad = whole.clone();
        bad[whole.len() / 2] ^= 1;
        for (bad, how) in [(Some(bad), "damaged"), (None, "missing"), (Some(whole[1..].to_vec()), "damaged")] {
            match bad {
                Some(bad) => fs::write(&path, bad).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let other = Space::new();
            let text = ends(&other, 3, &["pull", &from, "--to", other.path("rows").to_str().unwrap()]);
            assert!(text.contains(how) && text.contains("`datac push` where the recipe is built"), "{text}");
            assert!(text.contains(&format!("remove `{}` first", path.display())), "{text}");
            let there = files(&other.path("rows"));
            let is_bad = |path: &PathBuf| {
                !published(&space, "sft_large").values().any(|bytes| *bytes == fs::read(path).unwrap())
            };
            assert!(!there.iter().any(is_bad), "{there:?}");
        }
        // What the hint says mends it.
        fs::remove_file(&path).unwrap();
        ends(&space, 0, &["push", place.path(), "sft/large"]);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    let text = ends(&elsewhere, 3, &["pull", place.path()]);
    assert!(text.contains("there is no `current.json` in") && text.contains("/sft/general`"), "{text}");
}

#[test]
fn whatever_is_in_its_place_is_left_alone() {
    let (space, place) = (space(), Place::new());
    space.build();
    ends(&space, 0, &["push", place.path()]);
    let document = place.0.path().join("sft/large/current.json");
    let own = fs::read_to_string(&document).unwrap();
    space.edit("data/a.jsonl", "Question 7:", "Question seven:");
    space.edit("data/b.jsonl", "Question 20007:", "Question twenty thousand and seven:");
    space.build();
    for (text, words) in [
        ("rubbish".to_owned(), "`sft/large/current.json` was not written by datac"),
        (r#"{"version": "1"}"#.to_owned(), "was not written by datac"),
        (own.replacen("outputs/1", "outputs/2", 1), "another version of datac"),
        (own.replacen("sft/large", "sft/other", 1), "is that of the recipe `sft/other`"),
        (own.replacen("sft_large_train", "../train", 1), "which is hidden or outside of the folder"),
        (own.replacen("sft_large_train", "sft_large_val", 1), "which it has twice"),
        (own.replacen("\"path\": \"", "\"path\": \"x", 1), "not in the folder of its version"),
    ] {
        assert_ne!(text, own);
        fs::write(&document, &text).unwrap();
        let before = place.objects();
        assert!(ends(&space, 4, &["push", place.path()]).contains(words), "{words}");
        assert!(place.objects() == before, "also the other recipe");
        if !words.contains("recipe `") {
            let said = ends(&Space::new(), 4, &["pull", &format!("{}/sft/large", place.path())]);
            assert!(said.contains(words.trim_start_matches("`sft/large/")), "{said}");
        }
    }
    fs::write(&document, own).unwrap();
    ends(&space, 0, &["push", place.path()]);
    assert_pushed(&place.objects(), &space);
}

#[test]
fn refusals_say_what_and_where() {
    let (space, place) = (space(), Place::new());
    let text = ends(&space, 1, &["push", place.path()]);
    assert!(text.contains("`sft/large` is new") && text.contains("datac build sft/large sft/small"), "{text}");
    space.build();
    let gone = format!("{}/gone", place.path());
    let file = format!("{}/file", place.path());
    fs::write(&file, "").unwrap();
    for (arguments, code, words) in [
        (&[gone.as_str()][..], 3, "does not exist"),
        (&[file.as_str()], 3, "does not exist"),
        (&["datasets/x"], 2, "write hf://datasets/x for a dataset repository, or ./datasets/x for a folder"),
        (&[""], 2, "neither an address nor the path of a folder"),
        (&["ftp://host/x"], 2, "`ftp://host/x` cannot be used"),
        (&["file://x"], 2, "write it as /folder or file:///folder"),
        (&[place.path(), "--revision", "next"], 2, "are for repositories of the Hub"),
        (&[place.path(), "nothing"], 2, "nothing"),
    ] {
        let text = ends(&space, code, &[&["push"], arguments].concat());
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
    // Something that is no folder is in the way.
    fs::write(place.0.path().join("sft"), "").unwrap();
    let text = ends(&space, 3, &["push", place.path()]);
    assert!(text.contains("failed to use") && text.contains("sft/large"), "{text}");
    // Two recipes would have the same folder.
    space.write(
        "config/more/sft/small.yaml",
        recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], "").replace("phase: sft", "phase: sft_more"),
    );
    space.build();
    let text = ends(&space, 2, &["push", place.path()]);
    assert!(
        text.contains("`config/more/sft/small.yaml` and `config/sft/small.yaml` are both called `sft/small`"),
        "{text}"
    );
    space.remove("config/more");
    // A result that is not as expected is not pushed.
    space.edit("config/sft/large.yaml", "validation:", "expect: { rows: { min: 1000000 } }\nvalidation:");
    space.datac(&["build"]);
    ends(&space, 1, &["push", place.path(), "sft/large"]);
}

/// Two workspaces whose outputs differ in a row.
fn two(rows_of_each: u64) -> [(Space, Outputs); 2] {
    [0, 1].map(|number| {
        let space = space();
        space.write("data/a.jsonl", rows(0..rows_of_each, 40) + &rows(100_000 + number..100_001 + number, 40));
        space.build();
        let made = published(&space, "sft_large");
        (space, made)
    })
}

#[test]
fn killed_at_any_time_the_old_recipe_is_there_or_the_new_one() {
    let (two, place) = (two(12_000), Place::new());
    let (mut dice, mut new, mut old) = (Dice(5), 0, 0);
    for number in 0..16 {
        if number % 4 == 0 {
            // From the first file on.
            fs::remove_dir_all(place.0.path().join("sft")).ok();
        }
        let ((space, made), (_, before)) = (&two[number % 2], &two[(number + 1) % 2]);
        let mut child: std::process::Child = begin(space, &place);
        thread::sleep(Duration::from_millis(dice.below(300) as u64));
        child.kill().ok();
        child.wait().unwrap();
        match read(&place.objects(), "sft/large") {
            Some(there) if there == *made => new += 1,
            Some(there) => {
                assert!(number % 4 > 0 && there == *before, "{number}: what was there before");
                old += 1;
            }
            None => assert!(number % 4 == 0, "{number}: it was there"),
        }
        assert!(begin(space, &place).wait().unwrap().success(), "the next one goes on");
        assert!(read(&place.objects(), "sft/large").as_ref() == Some(made));
    }
    println!("{new} were through before they were killed, {old} were not");
}

fn begin(space: &Space, place: &Place) -> std::process::Child {
    let mut command: Command = space.command(&["push", place.path()]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn of_those_who_push_at_once_one_is_there_and_the_others_are_told() {
    let place = Place::new();
    let spaces: Vec<Space> = (0..4_u64)
        .map(|number| {
            let space = space();
            let text = space.text("data/a.jsonl");
            space.write("data/a.jsonl", text + &rows(100_000 + number..100_001 + number, 40));
            space.build();
            space
        })
        .collect();
    let mut late = 0;
    for _ in 0..4 {
        let children: Vec<std::process::Child> = spaces
            .iter()
            .map(|space| {
                let mut command = space.command(&["push", place.path(), "sft/large"]);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ended: Vec<Output> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for output in &ended {
            match output.status.code() {
                Some(0) => {}
                Some(1) => {
                    let said = said(output);
                    assert!(said.contains("somebody else has pushed it meanwhile: the version there is "), "{said}");
                    late += 1;
                }
                code => panic!("{code:?}: {}", said(output)),
            }
        }
        assert!(ended.iter().any(|output| output.status.success()));
        let there = read(&place.objects(), "sft/large").unwrap();
        assert!(spaces.iter().any(|space| published(space, "sft_large") == there), "it is that of one of them");
    }
    println!("{late} of 16 were late");
}
