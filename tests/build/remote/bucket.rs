//! A shared cache in a bucket, by the command as people call it: a server in the test process, which also drops, delays, garbles,
//! forgets and refuses.

use std::{
    collections::BTreeMap,
    process::Output,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use datac::{
    remote::{Trusted, keys::PrivateKey},
    system,
};
use serde_json::Value;

use super::space;
use crate::server::{self, BucketServer};
use crate::space::{Dice, Space, assert_same, entry, recipe, rows};

/// A bucket, and the key that results in it are signed with.
struct Team {
    server: BucketServer,
    key: PrivateKey,
    /// The key's text, for the environment.
    text: String,
}

/// What one `datac build` did.
struct Built {
    report: Value,
    warnings: Vec<String>,
}

impl Team {
    fn new() -> Self {
        let (key, folder) = (PrivateKey::generate("team").unwrap(), tempfile::tempdir().unwrap());
        key.store(&folder.path().join("key")).unwrap();
        let text = String::from_utf8(system::read(&folder.path().join("key")).unwrap()).unwrap();
        Self { server: BucketServer::start(), key, text }
    }

    /// Returns another machine with the same recipes and lock, which trusts the team.
    fn machine(&self, space: &Space) -> Space {
        let twin = space.twin();
        Trusted::read(twin.root()).unwrap().add("team", self.key.public()).unwrap();
        twin
    }

    /// Runs `datac` with the bucket as its shared cache. Whoever `signs` has the key.
    fn datac(&self, space: &Space, signs: bool, more: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = space.command(arguments);
        for name in ["AWS_", "GOOGLE_", "AZURE_"].iter().flat_map(|prefix| system::env_names(prefix)) {
            command.env_remove(name);
        }
        command.envs(self.server.variables()).env("HOME", space.root());
        command
            .env("DATAC_REMOTE", "s3://team/cache/")
            .env("DATAC_CACHE_KEY", if signs { self.text.trim() } else { "" });
        let output = command.envs(more.iter().copied()).output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(text).contains("CANARY"), "a secret is printed");
        }
        output
    }

    fn build_with(&self, space: &Space, signs: bool, more: &[(&str, &str)]) -> Built {
        let output = self.datac(space, signs, more, &["build", "--json"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let warnings = said.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect();
        Built { report: serde_json::from_slice(&output.stdout).unwrap(), warnings }
    }

    fn build(&self, space: &Space, signs: bool) -> Built {
        self.build_with(space, signs, &[])
    }

    /// The names of the objects of a kind.
    fn names(&self, kind: &str) -> Vec<String> {
        let prefix = format!("cache/datac-cache-1/{kind}/");
        self.server.objects().into_keys().filter(|name| name.starts_with(&prefix)).collect()
    }
}

impl Built {
    /// The actions that ran, by stage.
    fn ran(&self) -> &Value {
        &self.report["actions"]
    }

    fn shared(&self, pointer: &str) -> u64 {
        self.report["shared"]
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer}: {}", self.report["shared"]))
    }

    fn requests(&self) -> u64 {
        ["reads", "writes", "lists", "removals"].iter().map(|kind| self.shared(&format!("/requests/{kind}"))).sum()
    }

    fn refused(&self) -> u64 {
        ["artifacts", "unsigned", "untrusted", "misplaced"]
            .iter()
            .map(|kind| self.shared(&format!("/refused/{kind}")))
            .sum()
    }
}

fn nothing() -> Value {
    serde_json::json!({})
}

#[test]
fn a_second_machine_runs_nothing_and_writes_the_same_bytes() {
    let (team, first) = (Team::new(), space());
    let published = team.build(&first, true);
    assert!(published.shared("/published_results") > 10 && published.shared("/published_artifacts") > 0);
    assert_eq!(published.requests(), team.server.log().len() as u64, "every request is counted");
    assert_eq!((published.refused(), published.warnings), (0, Vec::new()));
    assert!(!team.names("index").is_empty() && !team.names("pack").is_empty() && !team.names("blob").is_empty());

    team.server.forget_log();
    let second = team.machine(&first);
    let taken = team.build(&second, false);
    assert_eq!(*taken.ran(), nothing());
    assert_same(&first.outputs(), &second.outputs());
    assert_eq!((taken.refused(), taken.shared("/requests/writes"), &taken.warnings[..]), (0, 0, &[][..]));
    assert_eq!(taken.requests(), team.server.log().len() as u64);
    assert!(taken.report["shared"]["read_only"].is_string(), "without a key");

    // What is there is not asked for again.
    team.server.forget_log();
    first.remove("dataset");
    assert_eq!(*team.build(&first, true).ran(), nothing());
    assert_eq!(team.server.log(), [] as [&str; 0]);
}

#[test]
fn poisoned_objects_are_refused_counted_and_replaced() {
    let (team, first) = (Team::new(), space());
    team.build(&first, true);
    for (kind, seed) in [("blob", 1), ("pack", 2)] {
        let mut dice = Dice(seed);
        for name in team.names(kind) {
            let mut bytes = team.server.objects()[&name].clone();
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            team.server.set(&name, bytes);
        }
        let second = team.machine(&first);
        let built = team.build(&second, false);
        assert_same(&first.outputs(), &second.outputs());
        assert!(*built.ran() != nothing() && built.refused() > 0, "{kind}: {}", built.report["shared"]);
        assert_eq!(built.warnings.len(), 1, "{:?}", built.warnings);
        // Whoever may write replaces what was refused.
        team.build(&team.machine(&first), true);
        let third = team.machine(&first);
        let built = team.build(&third, false);
        assert_eq!((built.ran(), built.refused()), (&nothing(), 0), "{kind}");
        assert_same(&first.outputs(), &third.outputs());
    }
}

#[test]
fn whatever_a_bucket_does_the_bytes_are_right() {
    let runs: u64 = system::env("PROPTEST_CASES").and_then(|cases| cases.parse().ok()).unwrap_or(8);
    let first = space();
    first.build();
    let (next, seen) = (AtomicU64::new(0), Mutex::new((0, BTreeMap::new())));
    // Much of the time is waits between attempts.
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= runs {
                        return;
                    }
                    let (refused, given) = one_machine_after_the_other(&first, seed);
                    let mut seen = seen.lock().unwrap();
                    seen.0 += refused;
                    given.into_iter().for_each(|(kind, count)| *seen.1.entry(kind).or_insert(0) += count);
                }
            });
        }
    });
    let (refused, given) = seen.into_inner().unwrap();
    println!("{runs} runs: {refused} refused; wrong answers of the bucket: {given:?}");
    assert!(refused > 0, "some of it was wrong");
}

/// One machine publishes while the bucket does wrong, another one reads so, a third one once it does right again. All must have
/// the same bytes. Returns how much was refused, and the wrong answers.
fn one_machine_after_the_other(first: &Space, seed: u64) -> (u64, BTreeMap<&'static str, u64>) {
    let team = Team::new();
    team.server.go_wrong([5, 20, 50, 100][seed as usize % 4], seed);
    let mut refused = 0;
    for (signs, is_sound) in [(true, false), (false, false), (false, true)] {
        if is_sound {
            team.server.go_wrong(0, 0);
        }
        let machine = team.machine(first);
        let Built { report, warnings } = &team.build(&machine, signs);
        assert_same(&first.outputs(), &machine.outputs());
        assert!(
            warnings.len() <= 2 && warnings.iter().all(|text| text.contains("shared cache")),
            "{seed}: {warnings:?}"
        );
        refused += ["artifacts", "unsigned", "untrusted", "misplaced"]
            .iter()
            .filter_map(|kind| report["shared"]["refused"][kind].as_u64())
            .sum::<u64>();
    }
    (refused, team.server.given())
}

#[test]
fn machines_that_publish_at_once_lose_nothing_of_each_other() {
    let team = Team::new();
    let spaces: Vec<Space> = (0..3_u64)
        .map(|machine| {
            let space = Space::new();
            for number in 0..12 {
                let path = format!("data/{machine}-{number}.jsonl");
                let first = machine * 1000 + number * 10;
                space.write(&path, rows(first..first + 5, 20));
                let entries = [entry("own", &path, 1.0, &[])];
                let more = "validation: { ratio: 0.2, seed: 1 }\n";
                space.write(&format!("config/sft/r{number}.yaml"), recipe(&entries, more));
            }
            space
        })
        .collect();
    thread::scope(|threads| {
        for space in &spaces {
            threads.spawn(|| team.build(space, true));
        }
    });
    for space in &spaces {
        let machine = team.machine(space);
        assert_eq!(*team.build(&machine, false).ran(), nothing());
        assert_same(&space.outputs(), &machine.outputs());
    }
}

#[test]
fn a_bucket_that_cannot_be_used_costs_one_warning() {
    let (team, first) = (Team::new(), space());
    first.build();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for (more, word) in [
        (("AWS_ENDPOINT_URL", dead.as_str()), "cannot connect"),
        (("DATAC_REMOTE", "s3://gone/cache"), "there is no such bucket"),
        (("AWS_ACCESS_KEY_ID", "AKIASTRANGER"), "the credentials are not accepted (InvalidAccessKeyId)"),
    ] {
        let second = team.machine(&first);
        let built = team.build_with(&second, true, &[more]);
        assert_same(&first.outputs(), &second.outputs());
        assert!(built.warnings.len() == 1 && built.warnings[0].contains(word), "{word}: {:?}", built.warnings);
    }
    // Reading is permitted, writing is not.
    let second = team.machine(&first);
    let built = team.build_with(&second, true, &[("AWS_ACCESS_KEY_ID", server::READER)]);
    assert!(
        built.warnings.len() == 1 && built.warnings[0].contains("access denied (AccessDenied)"),
        "{:?}",
        built.warnings
    );
    // Variables that are empty are as if they were not there.
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let built = team.build_with(&team.machine(&first), true, &none);
    let word = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    assert!(built.warnings.len() == 1 && built.warnings[0].contains(word), "{:?}", built.warnings);
}

#[test]
fn what_is_wrong_with_the_settings_is_said_before_a_build() {
    let (team, space) = (Team::new(), space());
    for (more, error) in [
        (
            ("DATAC_REMOTE", "s3://me:CANARY@team/cache"),
            "error: `s3://team/cache` is not a shared cache: it holds a user name or password; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead\nhint: ",
        ),
        (
            ("AWS_ENDPOINT_URL", "http://198.51.100.1:9000"),
            "error: `s3://team/cache/` is not a shared cache: AWS_ENDPOINT_URL: plain http would show the data and the credentials to the network; use https\n",
        ),
        (
            ("AWS_SECRET_ACCESS_KEY", ""),
            "error: `s3://team/cache/` is not a shared cache: the variables AWS_… are not as they should be: Missing SecretAccessKey\n",
        ),
    ] {
        let output = team.datac(&space, true, &[more], &["build"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let said = said.replace('\u{a0}', " ");
        assert!(said.starts_with(error), "{said}");
    }
    assert_eq!(team.server.log(), [] as [&str; 0]);
}

#[test]
fn a_bucket_is_measured_verified_and_collected() {
    let (team, first) = (Team::new(), space());
    team.build(&first, true);
    team.server.page(2);
    let run = |arguments: &[&str], code: i32| -> Value {
        let arguments = [&["cache"], arguments, &["--remote", "s3://team/cache", "--json"]].concat();
        let output = team.datac(&first, true, &[], &arguments);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let size = run(&["size"], 0);
    let count = |kind: &str| team.names(kind).len() as u64;
    assert_eq!((&size["packs"]["count"], &size["artifacts"]["count"]), (&count("pack").into(), &count("blob").into()));
    assert_eq!(run(&["verify"], 0)["damaged"], serde_json::json!([]));
    team.server.set(&team.names("blob")[0], "rubbish");
    assert_eq!(run(&["verify"], 1)["damaged"].as_array().unwrap().len(), 1);
    assert_eq!(count("blob") + 1, size["artifacts"]["count"].as_u64().unwrap(), "what is damaged is removed");
    run(&["gc", "--max-age", "0"], 0);
    assert_eq!((count("pack"), count("blob")), (0, 0));
    // It comes back.
    first.remove("dataset");
    first.remove("cache");
    team.build(&first, true);
    assert_eq!(*team.build(&team.machine(&first), false).ran(), nothing());
}

/// What `datac` prints, to both.
fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap().replace('\u{a0}', " ")
}

/// The names of the objects of releases.
fn of_releases(team: &Team) -> Vec<String> {
    team.server.objects().into_keys().filter(|name| name.starts_with("cache/datac-releases-1/")).collect()
}

#[test]
fn a_release_is_pulled_with_the_same_bytes_and_removed() {
    let (team, first) = (Team::new(), space());
    team.server.page(3);
    let run = |space: &Space, signs: bool, code: i32, arguments: &[&str]| -> String {
        let output = team.datac(space, signs, &[], arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    first.build();
    let released: Value = serde_json::from_str(&run(&first, true, 0, &["release", "a@1", "--json"])).unwrap();
    let counted: u64 =
        ["reads", "writes", "lists", "removals"].iter().map(|kind| released["requests"][kind].as_u64().unwrap()).sum();
    assert_eq!(counted, team.server.log().len() as u64, "every request is counted");
    assert_eq!(released["is_new"], true);
    let second = team.machine(&Space::new());
    run(&second, false, 0, &["pull", "a@1"]);
    assert_same(&first.outputs(), &second.outputs());
    team.server.forget_log();
    assert!(run(&second, false, 0, &["pull", "a@1"]).starts_with("already there"));
    assert_eq!(team.server.log(), ["GET /team/cache/datac-releases-1/named/a/1.release"]);

    // The same name stands for the same bytes.
    let before = team.server.objects();
    team.server.forget_log();
    assert!(run(&first, true, 0, &["release", "a@1"]).starts_with("released already"));
    assert!(!team.server.log().iter().any(|line| line.starts_with("PUT")), "{:?}", team.server.log());
    let outputs = first.outputs();
    first.edit("config/sft/three.yaml", "seed: 1", "seed: 2");
    first.build();
    assert!(run(&first, true, 4, &["release", "a@1"]).contains("with another content"));
    let is_kept = |(name, bytes): (&String, &Vec<u8>)| team.server.objects()[name] == *bytes;
    assert!(before.iter().all(is_kept));
    run(&first, true, 0, &["release", "a@2"]);
    assert!(run(&second, false, 0, &["releases"]).contains("a@2"));
    run(&first, true, 0, &["cache", "gc", "--remote", "--max-age", "0"]);

    // A piece with other bytes is named, and put back by whoever releases the same again.
    let piece = of_releases(&team).into_iter().find(|name| name.contains("/piece/")).unwrap();
    let sound = team.server.objects()[&piece].clone();
    team.server.set(&piece, "rubbish");
    assert!(run(&first, true, 1, &["cache", "verify", "--remote"]).contains("damaged"));
    run(&first, true, 0, &["release", "a@2"]);
    let third = team.machine(&Space::new());
    let is_of_first =
        run(&first, true, 0, &["releases"]).contains("a@1") && !team.server.objects().contains_key(&piece);
    if is_of_first {
        // Only the first release has it.
        team.server.set(&piece, sound);
    }
    run(&third, false, 0, &["pull", "a@1"]);
    assert_same(&outputs, &third.outputs());

    run(&first, false, 0, &["release", "remove", "a@1"]);
    run(&third, false, 0, &["pull", "a@2", "--force"]);
    assert_same(&first.outputs(), &third.outputs());
    assert!(run(&second, false, 3, &["pull", "a@1"]).contains("the last of 1 is `a@2`"));
    run(&first, false, 0, &["release", "remove", "a@2"]);
    assert_eq!(of_releases(&team), [] as [&str; 0]);
}

#[test]
fn whatever_the_network_does_a_release_is_there_whole_or_not_at_all() {
    let (team, first) = (Team::new(), space());
    team.server.is_checking();
    first.build();
    let (mut released, mut pulled, mut refused) = (0, 0, 0);
    for seed in 0..12 {
        let name = format!("a@{seed}");
        team.server.go_wrong(20, seed);
        let made = team.datac(&first, true, &[], &["release", &name]);
        team.server.go_wrong(0, 0);
        let second = team.machine(&Space::new());
        let plain = team.datac(&second, false, &[], &["pull", &name]);
        match made.status.code() {
            Some(0) => {
                // What the server has forgotten although it said that it was done is named, and put back.
                if !plain.status.success() {
                    assert_eq!(plain.status.code(), Some(3), "{}", said(&plain));
                }
                released += 1;
            }
            code => {
                assert!(matches!(code, Some(3 | 4)), "{}", said(&made));
                refused += 1;
            }
        }
        for (path, bytes) in second.outputs() {
            assert!(first.outputs()[&path] == bytes, "{path} is whole, or not there");
        }
        let again = team.datac(&first, true, &[], &["release", &name]);
        assert!(again.status.success(), "{}", said(&again));
        team.server.go_wrong(20, seed + 100);
        let faulty = team.datac(&team.machine(&Space::new()), false, &[], &["pull", &name]);
        team.server.go_wrong(0, 0);
        pulled += u64::from(faulty.status.success());
        let third = team.machine(&Space::new());
        let plain = team.datac(&third, false, &[], &["pull", &name]);
        assert!(plain.status.success(), "{}", said(&plain));
        assert_same(&first.outputs(), &third.outputs());
    }
    println!("{released} released, {refused} refused, {pulled} pulled at once");
    assert!(released > 0 && pulled > 0, "{released} released, {refused} refused, {pulled} pulled");
}

#[test]
fn of_those_who_release_a_name_at_once_one_has_it() {
    let team = Team::new();
    let spaces: Vec<Space> = (0..4)
        .map(|number| {
            let space = space();
            space.edit("config/sft/three.yaml", "seed: 1", &format!("seed: {}", 10 + number));
            space.build();
            space
        })
        .collect();
    let codes: Mutex<Vec<i32>> = Mutex::default();
    thread::scope(|threads| {
        for space in &spaces {
            let (team, codes) = (&team, &codes);
            threads.spawn(move || {
                let output = team.datac(space, true, &[], &["release", "a@1"]);
                codes.lock().unwrap().push(output.status.code().unwrap());
            });
        }
    });
    let mut codes = codes.into_inner().unwrap();
    codes.sort_unstable();
    assert_eq!(codes, [0, 4, 4, 4]);
    let second = team.machine(&Space::new());
    assert!(team.datac(&second, false, &[], &["pull", "a@1"]).status.success());
    assert!(spaces.iter().any(|space| space.outputs() == second.outputs()));
}
