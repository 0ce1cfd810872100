//! Outputs that are pushed to a bucket, by the command as people call it: a server in the test process, which also drops, delays, forgets
//! and refuses.

use std::{
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use datac::system;
use serde_json::Value;

use super::{ALL, Objects, assert_pushed, published, read, said, sent, space, two};
use crate::{
    server::{self, BucketServer},
    space::{Dice, Space, assert_same},
};

/// A bucket, reached as one of the services.
struct Team {
    server: BucketServer,
    scheme: &'static str,
}

impl Team {
    fn new(scheme: &'static str) -> Self {
        Self { server: BucketServer::start(), scheme }
    }

    fn address(&self) -> String {
        format!("{}://team/out", self.scheme)
    }

    fn command(&self, space: &Space, arguments: &[&str]) -> Command {
        let mut command = space.command(arguments);
        for name in ["AWS_", "GOOGLE_", "AZURE_"].iter().flat_map(|prefix| system::env_names(prefix)) {
            command.env_remove(name);
        }
        command.envs(self.server.variables_of(self.scheme)).env("HOME", space.root());
        command
    }

    /// Runs `datac`, which must not print a secret.
    fn run(&self, space: &Space, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        let output = self.command(space, arguments).envs(more.iter().copied()).output().unwrap();
        assert!(!said(&output).contains("CANARY"), "a secret is printed");
        output
    }

    #[track_caller]
    fn ends(&self, space: &Space, code: i32, arguments: &[&str]) -> String {
        let output = self.run(space, arguments, &[]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{}: {arguments:?}: {said}", self.scheme);
        said
    }

    #[track_caller]
    fn push(&self, space: &Space) -> String {
        self.server.forget_log();
        let report = self.ends(space, 0, &["push", &self.address(), "--json"]);
        let parsed: Value = serde_json::from_str(&report).unwrap();
        let counted: u64 = ["reads", "writes", "lists", "removals"]
            .iter()
            .map(|kind| parsed["requests"][kind].as_u64().unwrap())
            .sum();
        // On a busy machine, an attempt may end before the server has seen it.
        assert!(counted >= self.server.log().len() as u64, "every request is counted: {:?}", self.server.log());
        report
    }

    /// The objects below the address.
    fn objects(&self) -> Objects {
        let own = |(name, bytes): (String, Vec<u8>)| Some((name.strip_prefix("out/")?.to_owned(), bytes));
        self.server.objects().into_iter().filter_map(own).collect()
    }
}

const SCHEMES: [&str; 3] = ["s3", "gs", "az"];

#[test]
fn each_service_has_whole_recipes_and_is_sent_nothing_twice() {
    let first = space();
    first.build();
    for scheme in SCHEMES {
        let team = Team::new(scheme);
        team.server.page(3);
        let space = first.twin();
        space.build();
        assert_eq!(sent(&team.ends(&space, 0, &["push", &team.address(), "-n", "--json"])), ALL);
        assert_eq!(team.objects(), Objects::new());
        assert_eq!(sent(&team.push(&space)), ALL);
        assert_pushed(&team.objects(), &space);
        let before = team.objects();

        // Of each recipe the document is read, and its files are listed.
        assert_eq!(sent(&team.push(&space)), [] as [&str; 0]);
        let asked = team.server.log();
        assert!(asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");
        let lists = asked.iter().filter(|line| !line.contains("current.json")).count();
        assert_eq!((asked.len() - lists, lists), (2, 4), "pages of three: {asked:?}");

        space.edit("data/a.jsonl", "Question 7:", "Question seven:");
        space.build();
        // The validation side is as it was, and is copied where the service does that.
        let report = team.push(&space);
        assert_eq!(sent(&report), ALL[..7]);
        let report: Value = serde_json::from_str(&report).unwrap();
        let copied = report["recipes"][0]["copied"].as_array().unwrap();
        let ends = |end: &str| copied.iter().any(|path| path.as_str().unwrap().ends_with(end));
        assert_eq!(ends("/val.jsonl") && ends("validation-00000-of-00001.parquet"), scheme != "az", "{copied:?}");
        assert!(!ends("/train.jsonl"));
        let after = team.objects();
        assert_pushed(&after, &space);
        assert!(before.iter().all(|(name, bytes)| name == "sft/large/current.json" || after[name] == *bytes));

        let elsewhere = Space::new();
        team.ends(&elsewhere, 0, &["pull", &format!("{}/sft/large", team.address())]);
        assert_same(&elsewhere.outputs(), &published(&space, "sft_large"));
        // Warm equals clean.
        let clean = Team::new(scheme);
        clean.push(&space);
        assert!(clean.objects().iter().all(|(name, bytes)| after[name] == *bytes));
    }
}

#[test]
fn whatever_the_network_does_the_old_recipe_is_there_or_the_new_one() {
    let [(first, old), (second, new)] = two(35_000);
    assert!(new["sft_large_train.jsonl"].len() > 8 << 20, "it is sent in parts");
    let (mut pushed, mut refused) = (0, 0);
    for (seed, scheme) in (0..).zip(SCHEMES.iter().cycle().take(9)) {
        let team = Team::new(scheme);
        team.server.is_checking();
        team.push(&first);
        team.server.go_wrong(20, seed);
        let output = team.run(&second, &["push", &team.address()], &[]);
        team.server.go_wrong(0, 0);
        let there = read(&team.objects(), "sft/large").unwrap();
        match output.status.code() {
            Some(0) => {
                assert!(there == new);
                pushed += 1;
            }
            // A flipped bit may make the document look like that of somebody else.
            Some(1 | 3 | 4) => {
                assert!(there == old || there == new, "{}", said(&output));
                refused += 1;
                team.push(&second);
                assert!(read(&team.objects(), "sft/large").unwrap() == new);
            }
            code => panic!("{code:?}: {}", said(&output)),
        }
        let elsewhere = Space::new();
        team.server.go_wrong(20, seed + 100);
        let output = team.run(&elsewhere, &["pull", &format!("{}/sft/large", team.address())], &[]);
        assert!(elsewhere.outputs().iter().all(|(name, bytes)| new[name] == *bytes), "{}", said(&output));
        assert!(!output.status.success() || elsewhere.outputs() == new);
    }
    println!("{pushed} pushed, {refused} refused");
    assert!(pushed > 0, "{refused} refused");
}

#[test]
fn killed_at_any_time_the_old_recipe_is_there_or_the_new_one() {
    let (two, team) = (two(35_000), Team::new("s3"));
    let begin = |space: &Space| -> Child {
        let mut command = team.command(space, &["push", &team.address()]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (mut dice, mut new, mut old) = (Dice(9), 0, 0);
    for number in 0..12 {
        if number % 4 == 0 {
            // From the first file on.
            team.server.objects().keys().for_each(|name| team.server.remove(name));
        }
        let ((space, made), (_, before)) = (&two[number % 2], &two[(number + 1) % 2]);
        let mut child = begin(space);
        thread::sleep(Duration::from_millis(dice.below(400) as u64));
        child.kill().ok();
        child.wait().unwrap();
        match read(&team.objects(), "sft/large") {
            Some(there) if there == *made => new += 1,
            Some(there) => {
                assert!(number % 4 > 0 && there == *before, "what was there before");
                old += 1;
            }
            None => assert!(number % 4 == 0, "{number}: it was there"),
        }
        assert!(begin(space).wait().unwrap().success(), "the next one goes on");
        assert!(read(&team.objects(), "sft/large").as_ref() == Some(made));
    }
    println!("{new} were through before they were killed, {old} were not");
}

#[test]
fn a_lost_race_is_told_and_a_lost_answer_is_not_one() {
    for scheme in SCHEMES {
        let (space, team) = (space(), Team::new(scheme));
        space.build();
        team.push(&space);
        space.edit("data/a.jsonl", "Question 7:", "Question seven:");
        space.build();
        let before = team.objects();
        // As if the document had not been there when it was read first.
        team.server.plan("GET /team/out/sft/large/current.json", 404, "", 1);
        let text = team.ends(&space, 1, &["push", &team.address()]);
        assert!(text.contains("somebody else has pushed it meanwhile: the version there is "), "{text}");
        assert!(text.contains("`datac push` again replaces it"), "{text}");
        assert_eq!(team.objects()["sft/large/current.json"], before["sft/large/current.json"]);
        team.server.forget_plans();

        // A condition that does not hold, though the document is as it was.
        team.server.plan("PUT /team/out/sft/large/current.json", 412, "", 2);
        team.push(&space);
        assert_pushed(&team.objects(), &space);
    }
}

#[test]
fn a_service_without_conditions_is_written_to_all_the_same() {
    let (space, team) = (space(), Team::new("s3"));
    team.server.is_simple();
    space.build();
    team.push(&space);
    space.edit("data/a.jsonl", "Question 7:", "Question seven:");
    space.build();
    team.push(&space);
    assert_pushed(&team.objects(), &space);
}

#[test]
fn refusals_say_what_and_where() {
    let (space, team) = (space(), Team::new("s3"));
    space.build();
    for (arguments, more, code, words) in [
        (&["s3://gone/x"][..], &[][..], 3, "there is no such bucket"),
        (&["s3://team/x"], &[("AWS_ACCESS_KEY_ID", server::READER)], 3, "access denied (AccessDenied)"),
        (
            &["s3://team/x"],
            &[("AWS_ACCESS_KEY_ID", "AKIASTRANGER")],
            3,
            "the credentials are not accepted (InvalidAccessKeyId)",
        ),
        (&["s3://team/x"], &[("AWS_ENDPOINT_URL", "http://bucket.example.org")], 3, "plain http would show"),
        (&["s3://"], &[], 2, "it names no bucket"),
        (&["s3://AKIA:CANARY@team/x"], &[], 2, "it holds a user name or password"),
        (&["s3://team/a?versionId=1"], &[], 2, "its folder is not a plain path"),
        (&["az://team/x"], &[], 3, "AZURE_STORAGE_ACCOUNT_NAME"),
        (&["s3://team/x", "--offline"], &[], 3, "the network is disabled"),
        (&["https://bucket.example.org/x"], &[], 2, "it is behind a web server"),
        (&["s3://team/x", "--target", "trl"], &[], 2, "are for repositories of the Hub"),
    ] {
        let output = team.run(&space, &[&["push"], arguments].concat(), more);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(team.objects(), Objects::new());
    // Whatever else is in the bucket stays.
    team.server.set("out/sft/large/notes.txt", "mine");
    team.server.set("out/other/current.json", "mine");
    team.push(&space);
    team.server.set("out/sft/large/current.json", "mine");
    space.edit("data/b.jsonl", "Question 20007:", "Question twenty thousand and seven:");
    space.build();
    let before = team.objects();
    let text = team.ends(&space, 4, &["push", &team.address()]);
    assert!(text.contains("`sft/large/current.json` was not written by datac"), "{text}");
    assert!(text.contains("choose another folder, or remove `s3://team/out/sft/large/current.json`"), "{text}");
    assert_eq!(team.objects(), before);
}
