//! Sources in buckets, by the command as people call it: a server in the test process, which also drops, delays, garbles and refuses.

use std::{fmt::Write as _, fs, process::Output};

use datac::system;
use serde_json::Value;

use crate::{
    server::{self, BucketServer},
    space::{Space, assert_same, files, recipe, rows},
    zip::zip,
};

/// A workspace whose recipes read from a bucket.
struct Team {
    server: BucketServer,
    /// What addresses begin with.
    scheme: &'static str,
    space: Space,
}

/// A `datasets` entry without a format, with more keys, one a line.
fn entry(name: &str, source: &str, more: &[&str]) -> String {
    let mut text = format!("  - name: {name}\n    source: {source}\n    mix_ratio: 1.0\n");
    more.iter().for_each(|line| writeln!(text, "    {line}").unwrap());
    text
}

impl Team {
    fn new(objects: &[(&str, Vec<u8>)], recipes: &[(&str, String)]) -> Self {
        Self::of("s3", objects, recipes)
    }

    fn of(scheme: &'static str, objects: &[(&str, Vec<u8>)], recipes: &[(&str, String)]) -> Self {
        let (server, space) = (BucketServer::start(), Space::new());
        objects.iter().for_each(|(name, bytes)| server.set(name, bytes.clone()));
        recipes.iter().for_each(|(name, entry)| {
            space.write(&format!("config/sft/{name}.yaml"), recipe(std::slice::from_ref(entry), ""));
        });
        Self { server, scheme, space }
    }

    /// Runs `datac`, which must not print a secret.
    fn run_in(&self, space: &Space, more: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = space.command(arguments);
        for name in ["AWS_", "GOOGLE_", "AZURE_"].iter().flat_map(|prefix| system::env_names(prefix)) {
            command.env_remove(name);
        }
        command.envs(self.server.variables_of(self.scheme)).env("HOME", space.root()).envs(more.iter().copied());
        let output = command.output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(text).contains("CANARY"), "a secret is printed");
        }
        output
    }

    /// Runs `datac` and returns what it printed, to both.
    #[track_caller]
    fn ends_in(&self, space: &Space, code: i32, arguments: &[&str]) -> String {
        let output = self.run_in(space, &[], arguments);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    #[track_caller]
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        self.ends_in(&self.space, code, arguments)
    }

    /// The requests since the last call, sorted.
    fn asked(&self) -> Vec<String> {
        let mut log = self.server.log();
        self.server.forget_log();
        log.sort();
        log
    }

    /// What the lock says of each object: its address, with what pins it.
    fn pinned(&self) -> Vec<(String, String, String)> {
        let lock: Value = serde_yaml::from_str(&self.space.text("datac.lock")).unwrap();
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let sources = lock["sources"].as_array().unwrap();
        let files = sources.iter().flat_map(|pin| pin["files"].as_array().unwrap());
        files.map(|file| (text(file, "path"), text(file, "digest"), text(file, "etag"))).collect()
    }
}

/// The objects that a folder of the workspace would be: every container in which rows lie.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let lines = |numbers| rows(numbers, 12).into_bytes();
    let csv = "instruction,input,output\nWhat is a river?,,A river is water that flows.\n";
    let array = format!("[{}]", rows(40..44, 12).trim_end().replace('\n', ","));
    vec![
        ("in/plain.jsonl", lines(0..10)),
        ("in/b/packed.jsonl.zst", zstd::encode_all(&*lines(10..30), 1).unwrap()),
        ("in/b/table.csv", csv.into()),
        ("in/c.zip", zip(&[("inner/x.jsonl", &lines(30..40), 8)])),
        ("in/d.json", array.into_bytes()),
        ("in/.hidden.jsonl", lines(900..910)),
        ("in/notes.md", b"What this is.".to_vec()),
        ("in2/other.jsonl", lines(910..920)),
    ]
}

#[test]
fn a_folder_of_a_bucket_yields_what_a_folder_of_the_workspace_does() {
    let recipes = |root: &str| {
        [("a", "in/"), ("b", "in/b/table.csv"), ("c", "in/c.zip"), ("d", "in/**/*.z*")]
            .map(|(name, path)| (name, entry("own", &format!("{root}{path}"), &[])))
    };
    let team = Team::new(&kinds(), &recipes("s3://team/"));
    // As tools for buckets leave in place of a folder.
    team.server.set("in/b/", "");
    let said = team.ends(0, &["build"]);
    assert!(said.contains("s3://team/in at "), "{said}");
    let local = Space::new();
    kinds().iter().for_each(|(name, bytes)| local.write(&format!("data/{name}"), bytes));
    for (name, entry) in recipes("data/") {
        local.write(&format!("config/sft/{name}.yaml"), recipe(&[entry], ""));
    }
    local.build();
    assert_same(&team.space.outputs(), &local.outputs());

    let pinned = team.pinned();
    assert_eq!(pinned.len(), 7, "{pinned:?}");
    for (path, digest, etag) in &pinned {
        let bytes = &team.server.objects()[path.strip_prefix("s3://team/").unwrap()];
        assert_eq!(*digest, format!("blake3:{}", blake3::hash(bytes).to_hex()), "{path}");
        assert!(!etag.is_empty(), "{path}");
    }
    let asked = team.asked();
    for (path, ..) in &pinned {
        let line = format!("GET /{}", path.strip_prefix("s3://").unwrap());
        assert_eq!(asked.iter().filter(|asked| **asked == line).count(), 1, "{line}, once for all recipes: {asked:?}");
    }
    assert!(!asked.iter().any(|line| line.contains("notes") || line.contains("in2") || line.contains("hidden")));

    // What is pinned and there is not asked about again, also not by a build from nothing but downloads.
    for arguments in [&["build"][..], &["status"], &["build", "--force", "--locked"], &["fetch"]] {
        team.ends(0, arguments);
        assert_eq!(team.asked(), [] as [&str; 0], "{arguments:?}");
    }
    let traced = team.ends(0, &["trace", "dataset/sft_a_train.jsonl:1"]);
    assert!(traced.contains("s3://team/in/"), "{traced}");
    assert!(team.ends(0, &["ls", "--json"]).contains("s3://team/in"));
    team.ends(0, &["cache", "verify"]);
}

#[test]
fn only_the_objects_that_an_entry_reads_are_read() {
    let lines = |numbers| rows(numbers, 12).into_bytes();
    let objects = [
        ("set/train.jsonl", lines(0..20)),
        ("set/test.jsonl", lines(20..30)),
        ("set/validation.jsonl", lines(30..40)),
        ("more/2024-01.jsonl", lines(40..50)),
        ("more/2024-02.jsonl", lines(50..60)),
        ("more/2025-01.jsonl", lines(60..70)),
    ];
    let recipes = [
        ("train", entry("own", "s3://team/set", &[])),
        ("test", entry("own", "s3://team/set", &["splits: [test]"])),
        ("some", entry("own", "[s3://team/more/2024-*.jsonl, s3://team/more/2024-02.jsonl]", &[])),
    ];
    let team = Team::new(&objects, &recipes);
    let read = |asked: Vec<String>| -> Vec<String> {
        asked.into_iter().filter(|line| line.starts_with("GET") && line.ends_with(".jsonl")).collect()
    };
    team.ends(0, &["build", "train"]);
    assert_eq!(read(team.asked()), ["GET /team/set/train.jsonl"]);
    team.ends(0, &["build", "test"]);
    assert_eq!(read(team.asked()), ["GET /team/set/test.jsonl"]);
    team.ends(0, &["build", "some"]);
    assert_eq!(read(team.asked()), ["GET /team/more/2024-01.jsonl", "GET /team/more/2024-02.jsonl"]);
    let lock = team.space.text("datac.lock");
    assert!(lock.contains("  splits:\n  - test\n") && !lock.contains("validation"), "{lock}");
    team.ends(0, &["lock", "--check"]);

    // Another reading of the same objects is pinned without reading them.
    team.space
        .write("config/sft/more.yaml", recipe(&[entry("own", "s3://team/set/t*.jsonl", &["splits: [test]"])], ""));
    team.asked();
    let said = team.ends(2, &["build", "more"]);
    assert!(said.contains("no split `test` in `s3://team/set/train.jsonl`"), "{said}");
    team.space.write("config/sft/more.yaml", recipe(&[entry("own", "s3://team/set/tr*.jsonl", &[])], ""));
    team.ends(0, &["build", "more"]);
    assert_eq!(read(team.asked()), [] as [&str; 0]);
}

#[test]
fn another_machine_has_the_same_bytes_or_none_whatever_the_network_does() {
    let team = Team::new(&kinds(), &[("a", entry("own", "s3://team/in/", &[]))]);
    let large = rows(1000..16_000, 40);
    assert!(large.len() > 4 << 20, "of several parts: {}", large.len());
    team.server.set("in/large.jsonl", large);
    team.ends(0, &["build"]);
    let (mut built, mut refused) = (0, 0);
    for seed in 0..4 {
        let twin = team.space.twin();
        team.server.go_wrong(20, seed);
        let output = team.run_in(&twin, &[], &["build", "--locked"]);
        team.server.go_wrong(0, 0);
        match output.status.code() {
            Some(0) => built += 1,
            code => {
                let said = String::from_utf8(output.stderr).unwrap();
                assert!(matches!(code, Some(3 | 4)), "{code:?}: {said}");
                assert!(twin.outputs().is_empty(), "nothing is half-written");
                refused += 1;
                // What has come is kept, and checked all the same.
                team.ends_in(&twin, 0, &["build", "--locked"]);
            }
        }
        assert_same(&team.space.outputs(), &twin.outputs());
    }
    assert!(built > 0, "{built} built, {refused} refused");
    assert!(team.server.given().len() >= 3, "{:?}", team.server.given());
}

#[test]
fn a_download_goes_on_where_it_was_interrupted_and_damage_is_fetched_again() {
    const PART: usize = 4 << 20;
    let large = rows(0..16_000, 40).into_bytes();
    let team = Team::new(&[("x/large.jsonl", large.clone())], &[("a", entry("own", "s3://team/x/large.jsonl", &[]))]);
    team.ends(0, &["build"]);
    let parts = large.len().div_ceil(PART);
    assert_eq!(team.asked().iter().filter(|line| line.starts_with("GET /team/x/large")).count(), parts);
    let name = team.pinned()[0].1.replace(':', "-");

    let twin = team.space.twin();
    twin.write(&format!("cache/v1/sources/{name}.part"), &large[..PART + 77]);
    team.ends_in(&twin, 0, &["fetch"]);
    assert_eq!(team.asked().iter().filter(|line| line.starts_with("GET /team/x/large")).count(), parts - 1);
    assert_eq!(twin.read(&format!("cache/v1/sources/{name}")), large);

    // Bytes of another object, and bytes that have gone bad.
    let other = team.space.twin();
    other.write(&format!("cache/v1/sources/{name}.part"), vec![b'x'; PART]);
    let said = team.ends_in(&other, 0, &["fetch"]);
    assert!(said.contains("its bytes are not the pinned ones"), "{said}");
    assert_eq!(other.read(&format!("cache/v1/sources/{name}")), large);
    let mut bad = large.clone();
    bad[99] ^= 1;
    other.write(&format!("cache/v1/sources/{name}"), &bad);
    let said = team.ends_in(&other, 0, &["build"]);
    assert!(said.contains("the downloaded copy was damaged"), "{said}");
    assert_same(&other.outputs(), &team.space.outputs());
    assert!(files(&other.path("cache/v1/sources")).iter().all(|path| !path.to_string_lossy().ends_with(".part")));
}

#[test]
fn an_object_that_changes_is_named_and_never_taken_in_silence() {
    let lines = |numbers| rows(numbers, 12).into_bytes();
    let objects = [("in/a.jsonl", lines(0..20)), ("in/b.jsonl", lines(20..40))];
    let team = Team::new(&objects, &[("a", entry("own", "s3://team/in/*.jsonl", &[]))]);
    team.ends(0, &["build"]);
    let before = team.space.outputs();
    team.asked();

    // The pin holds on the machine that has the bytes.
    team.server.set("in/b.jsonl", lines(60..81));
    team.ends(0, &["build", "--locked"]);
    team.ends(0, &["status"]);
    assert_eq!(team.asked(), [] as [&str; 0]);
    assert_same(&before, &team.space.outputs());

    // Elsewhere they cannot be had any more.
    let twin = team.space.twin();
    for arguments in [&["build"][..], &["build", "--locked"], &["fetch"]] {
        let said = team.ends_in(&twin, 4, arguments);
        assert!(said.contains("`s3://team/in/b.jsonl`: the bucket has another object of this name"), "{said}");
        assert!(said.contains("datac lock --upgrade 's3://team/in/*.jsonl'"), "{said}");
        assert!(twin.outputs().is_empty());
    }
    let said = team.ends_in(&twin, 4, &["build"]);
    assert!(said.contains("E0215") && said.contains("config/sft/a.yaml:4:"), "{said}");
    team.asked();

    // Moving the pin reads what has changed, and no more.
    team.ends(1, &["lock", "--upgrade", "--check"]);
    let asked = team.asked();
    assert!(!asked.contains(&"GET /team/in/a.jsonl".to_owned()), "{asked:?}");
    team.ends(0, &["lock", "--upgrade", "s3://team/in/*.jsonl"]);
    assert!(!team.asked().iter().any(|line| line.ends_with(".jsonl")), "what has been read is known");
    let said = team.ends(0, &["status"]);
    assert!(said.contains("s3://team/in/b.jsonl") && !said.contains("in/a.jsonl"), "{said}");
    assert!(team.ends(0, &["why", "a"]).contains("s3://team/in/b.jsonl"));
    team.ends(0, &["build"]);
    let clean = team.space.twin();
    team.ends_in(&clean, 0, &["build", "--locked"]);
    assert_same(&clean.outputs(), &team.space.outputs());
    assert!(team.space.outputs() != before);

    // The same bytes under a new tag change nothing but the tag.
    team.server.set("in/a.jsonl", lines(0..20));
    team.ends(0, &["lock", "--upgrade"]);
    assert!(team.ends(0, &["status"]).contains("up to date"));
    team.server.remove("in/a.jsonl");
    let said = team.ends_in(&team.space.twin(), 4, &["build", "--locked"]);
    assert!(said.contains("`s3://team/in/a.jsonl`: the bucket has no object of this name"), "{said}");

    // A pin that is missing is an error where none may be made.
    team.space.remove("datac.lock");
    assert!(team.ends(4, &["build", "--locked"]).contains("`--locked` was given"));
}

#[test]
fn refusals_say_what_and_where() {
    let lines = rows(0..20, 12).into_bytes();
    let team = Team::new(&[("in/a.jsonl", lines)], &[("a", entry("own", "s3://team/in/a.jsonl", &[]))]);
    for (source, more, code, words) in [
        ("s3://team/gone.jsonl", "", 2, "E0201"),
        ("s3://team/in/*.csv", "", 2, "no object matches"),
        ("s3://nobody/in", "", 3, "there is no such bucket"),
        ("s3://team/in/a.jsonl", "splits: [test]", 2, "E0204"),
        ("s3://team/in/a.jsonl", "format: csv", 2, "E0207"),
        ("s3://team/in/a.jsonl", "format: huggingface", 2, "which is not `huggingface`"),
        ("s3://team/in/a.jsonl", "revision: v1", 2, "`revision` is of a repository"),
        ("[s3://team/in/a.jsonl, data/a.jsonl]", "", 2, "is not in a bucket"),
        ("s3://team/in/../a.jsonl", "", 2, "stands for another folder"),
        ("s3://", "", 2, "names no bucket"),
        ("s3://AKIA:CANARY@team/in/a.jsonl", "", 2, "an address with credentials"),
        ("az://team/in/a.jsonl?sv=1&sig=CANARY", "", 2, "an address with credentials"),
    ] {
        let more: Vec<&str> = [more].into_iter().filter(|more| !more.is_empty()).collect();
        team.space.write("config/sft/a.yaml", recipe(&[entry("own", source, &more)], ""));
        for arguments in [&["build"][..], &["build", "--json"], &["validate"]] {
            if arguments != ["validate"] || words == "an address with credentials" {
                let said = team.ends(code, arguments);
                assert!(said.contains(words), "{source}: {said}");
                assert!(said.contains("config/sft/a.yaml"), "{source}: {said}");
            }
        }
    }
    team.space.write("config/sft/a.yaml", recipe(&[entry("own", "s3://team/in/a.jsonl", &[])], ""));
    for (name, value, words) in [
        ("AWS_ACCESS_KEY_ID", "", "Missing AccessKeyId"),
        ("AWS_ACCESS_KEY_ID", "AKIASTRANGER", "the credentials are not accepted (InvalidAccessKeyId)"),
        ("AWS_ENDPOINT_URL", "http://bucket.example.org", "plain http would show"),
    ] {
        let output = team.run_in(&team.space, &[(name, value)], &["build"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("E0223") && said.contains("config/sft/a.yaml:4:"), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let said = team.ends(3, &["build", "--offline"]);
    assert!(said.contains("offline"), "{said}");
    team.ends(0, &["build"]);
    assert!(server::KEY.1.contains("CANARY"), "what is looked for is a secret");
}

#[test]
fn inspect_and_add_take_addresses() {
    let objects: Vec<(&str, Vec<u8>)> = kinds();
    let team = Team::new(&objects, &[]);
    let said = team.ends(0, &["inspect", "s3://team/in/b/packed.jsonl.zst"]);
    assert!(
        said.contains("bucket")
            && said.contains("instruction")
            && said.contains("s3://team/in/b/packed.jsonl.zst\"\n    format: jsonl"),
        "{said}"
    );
    let inspected: Value = serde_json::from_str(&team.ends(0, &["inspect", "s3://team/in/*.jsonl", "--json"])).unwrap();
    assert_eq!(inspected["place"], "bucket");
    team.ends(0, &["add", "s3://team/in/*.jsonl"]);
    let added = files(&team.space.path("config"));
    let text = fs::read_to_string(&added[0]).unwrap();
    assert!(text.contains("s3://team/in/*.jsonl"), "{text}");
    team.ends(0, &["build"]);
    assert_eq!(team.pinned().len(), 1);
}

#[test]
fn every_service_yields_the_same_and_pins_what_it_has() {
    let recipes = |root: &str| {
        [("a", "in/"), ("b", "in/b/table.csv"), ("c", "in/c.zip"), ("d", "in/**/*.z*")]
            .map(|(name, path)| (name, entry("own", &format!("{root}{path}"), &[])))
    };
    let local = Space::new();
    let large = rows(1000..16_000, 40).into_bytes();
    let mut objects = kinds();
    objects.push(("in/large é b+c.jsonl", large.clone()));
    objects.iter().for_each(|(name, bytes)| local.write(&format!("data/{name}"), bytes));
    for (name, entry) in recipes("data/") {
        local.write(&format!("config/sft/{name}.yaml"), recipe(&[entry], ""));
    }
    local.build();
    for scheme in ["s3", "gs", "az"] {
        let root = format!("{scheme}://team/");
        let team = Team::of(scheme, &objects, &recipes(&root));
        team.server.page(2);
        team.ends(0, &["build"]);
        assert_same(&team.space.outputs(), &local.outputs());
        let pinned = team.pinned();
        assert_eq!(pinned.len(), 8, "{pinned:?}");
        for (path, digest, etag) in &pinned {
            let bytes = &team.server.objects()[path.strip_prefix(&root).unwrap()];
            assert_eq!(*digest, format!("blake3:{}", blake3::hash(bytes).to_hex()), "{path}");
            assert!(!etag.is_empty(), "{path}");
        }
        team.asked();
        team.ends(0, &["build"]);
        team.ends(0, &["status"]);
        assert_eq!(team.asked(), [] as [&str; 0]);

        // Another machine has the same, also from a service that goes wrong, or nothing.
        let (mut built, mut refused) = (0, 0);
        for seed in 0..4 {
            let twin = team.space.twin();
            team.server.go_wrong(if seed == 0 { 0 } else { 20 }, seed);
            let output = team.run_in(&twin, &[], &["build", "--locked"]);
            team.server.go_wrong(0, 0);
            match output.status.code() {
                Some(0) => built += 1,
                code => {
                    assert!(matches!(code, Some(3 | 4)), "{}", String::from_utf8_lossy(&output.stderr));
                    refused += 1;
                    team.ends_in(&twin, 0, &["build", "--locked"]);
                }
            }
            assert_same(&twin.outputs(), &team.space.outputs());
        }
        assert!(built > 0, "{scheme}: {built} built, {refused} refused");

        // An object that has changed is named.
        team.server.set("in/b/table.csv", "instruction,input,output\nWhat is a lake?,,Water that stays.\n");
        team.ends(0, &["build", "--locked"]);
        let said = team.ends_in(&team.space.twin(), 4, &["build", "--locked"]);
        assert!(
            said.contains(&format!("`{root}in/b/table.csv`: the bucket has another object of this name")),
            "{said}"
        );
        team.ends(0, &["lock", "--upgrade"]);
        team.ends(0, &["build"]);
        assert!(team.space.outputs() != local.outputs());
        team.server.remove("in/c.zip");
        let said = team.ends_in(&team.space.twin(), 4, &["build", "--locked"]);
        assert!(said.contains(&format!("`{root}in/c.zip`: the bucket has no object of this name")), "{said}");
        let said = team.ends(0, &["inspect", &format!("{root}in/b/packed.jsonl.zst")]);
        assert!(said.contains("instruction"), "{said}");
    }
}
