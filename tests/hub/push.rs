//! `datac push`: the files of a target become a repository in one commit, or nothing is there.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::support::loopback::{Fault, Loopback, Repo};

const TOKEN: &str = "hf_CANARY0123456789";

struct Place {
    folder: tempfile::TempDir,
}

/// Exit code and what was told.
type Ended = (Option<i32>, String);

impl Place {
    /// A workspace that has been built, with one target for the Hub.
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let row = |number: u32| {
            format!(
                "{{\"instruction\":\"Question {number}?\",\"input\":\"\",\"output\":\"Answer {}.\"}}\n",
                number * 77
            )
        };
        fs::create_dir_all(place.path("config/sft")).expect("a folder");
        fs::write(place.path("rows.jsonl"), (0..3000).map(row).collect::<String>()).expect("a file");
        place.recipe(1);
        let (code, told) = place.datac("http://127.0.0.1:9", Some(TOKEN), &["build", "--quiet"]);
        assert_eq!(code, Some(0), "{told}");
        place
    }

    fn recipe(&self, seed: u32) {
        let text = format!(
            "metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: own, source: rows.jsonl }}\nvalidation: {{ ratio: 0.1, seed: {seed} }}\n\
             output: [native, {{ shape: trl, container: parquet, layout: hub }}]\n"
        );
        fs::write(self.path("config/sft/one.yaml"), text).expect("a file");
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn datac(&self, url: &str, token: Option<&str>, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_datac"));
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        if let Some(token) = token {
            command.env("HF_TOKEN", token);
        }
        let output = command.args(["--hub", url]).args(arguments).output().expect("it can be run");
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!told.contains(TOKEN), "{told}");
        (output.status.code(), told)
    }

    fn push(&self, hub: &Loopback) -> Ended {
        self.datac(&hub.url(), Some(TOKEN), &["push", "hf://org/data", "sft/one"])
    }

    /// The files that are to be there.
    fn target(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.path("dataset/sft_one/trl");
        let name = |path: &Path| path.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned();
        walkdir::WalkDir::new(&root)
            .into_iter()
            .map(|entry| entry.expect("it can be listed").into_path())
            .filter(|path| path.is_file())
            .map(|path| (name(&path), fs::read(&path).expect("it can be read")))
            .collect()
    }
}

fn hub() -> Loopback {
    Loopback::start([Repo::new("org/data").file(".gitattributes", "*.parquet filter=lfs\n").file("own.txt", "mine")])
}

/// Fails unless the repository has the target and what was there.
#[track_caller]
fn assert_pushed(hub: &Loopback, place: &Place) {
    let (mut files, _) = hub.files("org/data");
    assert_eq!(files.remove("own.txt"), Some(b"mine".to_vec()));
    assert!(files.remove(".gitattributes").is_some());
    let target = place.target();
    assert_eq!(files.keys().collect::<Vec<_>>(), target.keys().collect::<Vec<_>>());
    assert!(files == target);
    assert!(files.contains_key("README.md") && files.keys().any(|path| path.ends_with(".parquet")));
}

#[test]
fn a_target_becomes_a_repository_in_one_commit_and_what_is_there_is_not_sent() {
    let (hub, place) = (hub(), Place::new());
    let (code, told) = place.datac(&hub.url(), Some(TOKEN), &["push", "hf://datasets/org/data", "-n"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("Would send data/train-00000-of-00001.parquet"), "{told}");
    assert_eq!(hub.count("POST") + hub.count("PUT"), 0);
    let (code, told) = place.push(&hub);
    assert_eq!(code, Some(0), "{told}");
    assert_pushed(&hub, &place);
    assert_eq!(hub.count("/commit/"), 1);
    let shown = |request: &crate::support::loopback::Request| request.authorization.is_some();
    assert!(hub.log().iter().all(|request| shown(request) != request.to_storage), "the hub alone is shown the token");

    // Nothing changed: no commit, and nothing is asked but the list.
    let (before, posts) = (hub.files("org/data"), hub.count("POST"));
    let (code, told) = place.push(&hub);
    assert!(code == Some(0) && told.starts_with("already there: "), "{told}");
    assert_eq!((hub.files("org/data"), hub.count("POST")), (before, posts));

    // What changed is sent, in parts if the storage wants that.
    hub.part_size(5_000);
    place.recipe(2);
    place.datac(&hub.url(), Some(TOKEN), &["build", "--quiet"]);
    let (code, told) = place.push(&hub);
    assert_eq!(code, Some(0), "{told}");
    assert!(hub.count("PUT storage /part/") > 2 && hub.count("storage /complete/") == 2, "{told}");
    assert_pushed(&hub, &place);
    // `datasets` and `datac` read what is there as any other.
    let read = place.datac(&hub.url(), Some(TOKEN), &["inspect", "org/data"]);
    assert_eq!(read.0, Some(0), "{}", read.1);
}

#[test]
fn until_the_commit_nothing_can_be_seen_and_the_next_push_goes_on() {
    let place = Place::new();
    for (pattern, fault, word) in [
        ("/commit/", Fault::Status(403), "the hub answered 403"),
        ("/commit/", Fault::Status(400), "the hub answered 400"),
        ("/preupload/", Fault::Status(401), "the token was rejected"),
        ("/preupload/", Fault::Body("[]".to_owned()), "not as expected"),
        ("/preupload/", Fault::Body("{\"files\":[]}".to_owned()), "does not say how to send"),
        ("/objects/batch", Fault::Body("{\"objects\":[]}".to_owned()), "does not say where to send"),
        ("/objects/batch", Fault::Status(404), "find "),
        ("PUT storage", Fault::Status(400), "the storage server answered 400"),
        ("storage /verify/", Fault::Status(404), "the storage server answered 404"),
        ("/commit/", Fault::Body("{\"commitOid\":\"main\"}".to_owned()), "names as the commit is none"),
        ("/commit/", Fault::Body("{\"commitOid\":".to_owned()), "not as expected"),
        ("/revision/", Fault::Coded(404, "RepoNotFound"), "find dataset `org/data`"),
    ] {
        let hub = hub();
        let before = hub.files("org/data");
        hub.fault(pattern, fault.clone(), 1);
        let (code, told) = place.push(&hub);
        assert_eq!(code, Some(3), "{pattern} {fault:?}: {told}");
        assert!(told.contains(word), "{pattern} {fault:?}: {told}");
        assert_eq!(hub.files("org/data"), before, "{pattern} {fault:?}");
        let (code, told) = place.push(&hub);
        assert_eq!(code, Some(0), "{pattern} {fault:?}: {told}");
        assert_pushed(&hub, &place);
    }
}

#[test]
fn what_passes_is_waited_out() {
    let place = Place::new();
    for (pattern, fault) in [
        ("/commit/", Fault::Status(503)),
        ("/preupload/", Fault::RetryAfter(429, "0".to_owned())),
        ("/objects/batch", Fault::Status(500)),
        ("/commit/", Fault::Reset),
        ("PUT storage", Fault::Status(503)),
        ("PUT storage", Fault::Reset),
        ("storage /verify/", Fault::Status(500)),
        ("/preupload/", Fault::Short),
        // The commit was made, and its answer was lost: the next one finds it there.
        ("/commit/", Fault::Short),
    ] {
        let hub = hub();
        hub.fault(pattern, fault.clone(), 1);
        let (code, told) = place.push(&hub);
        assert_eq!(code, Some(0), "{pattern} {fault:?}: {told}");
        assert!(told.contains("trying again"), "{pattern} {fault:?}: {told}");
        assert_pushed(&hub, &place);
    }
}

#[test]
fn killed_or_interrupted_while_it_sends_nothing_is_there() {
    let place = Place::new();
    for signal in ["-KILL", "-INT"] {
        let hub = hub();
        let before = hub.files("org/data");
        hub.fault("PUT storage", Fault::Stall, 1);
        let mut command = Command::new(env!("CARGO_BIN_EXE_datac"));
        command.env_clear().env("HOME", place.folder.path()).env("HF_TOKEN", TOKEN).current_dir(place.folder.path());
        let mut child = command.args(["--hub", &hub.url(), "push", "hf://org/data"]).spawn().expect("it can be run");
        while hub.count("PUT storage") == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("there is a kill");
        assert!(kill.success());
        let ended = child.wait().expect("it ends").code();
        assert_eq!(ended, if signal == "-INT" { Some(130) } else { None });
        assert_eq!(hub.files("org/data"), before);
        assert_eq!(hub.count("/commit/"), 0);
        assert_eq!(place.push(&hub).0, Some(0));
        assert_pushed(&hub, &place);
    }
}

#[test]
fn what_is_printed_as_json_is_as_its_schema_says() {
    let (hub, place) = (hub(), Place::new());
    let (_, schema) = place.datac(&hub.url(), None, &["schema", "push"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for is_new in [true, false] {
        let (code, printed) = place.datac(&hub.url(), Some(TOKEN), &["push", "hf://org/data", "--json"]);
        assert_eq!(code, Some(0), "{printed}");
        let document: serde_json::Value = serde_json::from_str(&printed).expect("a document is JSON");
        let faults: Vec<String> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!((&document["schema"], &document["is_new"]), (&"datac.push/1".into(), &is_new.into()));
        assert_eq!(document["commit"], hub.files("org/data").1);
    }
    assert!(!validator.is_valid(&serde_json::json!({})));
}

#[test]
fn what_somebody_else_has_pushed_meanwhile_is_not_lost() {
    let (hub, place) = (hub(), Place::new());
    let before = hub.files("org/data");
    hub.fault("/commit/", Fault::Status(412), 1);
    let (code, told) = place.push(&hub);
    assert!(code == Some(3) && told.contains("it has another commit meanwhile"), "{told}");
    assert_eq!(hub.files("org/data"), before);
}

#[test]
fn addresses_that_would_show_the_files_to_the_network_are_refused() {
    let (hub, place) = (hub(), Place::new());
    let target = place.target();
    let parquet = target.iter().find(|(path, _)| path.ends_with(".parquet")).expect("there is one").1;
    let oid = {
        use sha2::{Digest as _, Sha256};
        Sha256::digest(parquet).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let answer = format!(
        "{{\"objects\":[{{\"oid\":\"{oid}\",\"actions\":{{\"upload\":{{\"href\":\"http://storage.example/x\",\"header\":{{}}}}}}}}]}}"
    );
    hub.fault("/objects/batch", Fault::Body(answer), 1);
    let (code, told) = place.push(&hub);
    assert!(code == Some(3) && told.contains("an address for files that is not https"), "{told}");
}

#[test]
fn what_cannot_be_pushed_says_why() {
    let (hub, place) = (hub(), Place::new());
    let before = hub.files("org/data");
    let url = hub.url();
    for (arguments, token, code, word) in [
        (&["push", "org/data"][..], Some(TOKEN), 2, "write hf://org/data for a dataset repository, or ./org/data"),
        (&["push", "hf://org"], Some(TOKEN), 2, "write hf://ORG/NAME"),
        (&["push", "hf://spaces/org/data"], Some(TOKEN), 2, "is not a dataset repository"),
        (&["push", "hf://org/../data"], Some(TOKEN), 2, "is not a dataset repository"),
        (&["push", "hf://org/data", "--target", "verl"], Some(TOKEN), 2, "available: `sft_one/trl`"),
        (&["push", "hf://org/data"], None, 3, "there is no token"),
        (&["push", "hf://org/other"], Some(TOKEN), 3, "find dataset `org/other`"),
        (&["push", "hf://org/data", "--revision", "next"], Some(TOKEN), 3, "find revision `next`"),
        (&["push", "hf://org/data"], Some(Loopback::REFUSED), 3, "the token was rejected"),
        (&["push", "hf://org/data", "--offline"], Some(TOKEN), 3, "the network is disabled"),
    ] {
        let (ended, told) = place.datac(&url, token, arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(word), "{arguments:?}: {told}");
    }
    let (code, told) = place.datac("sample", Some(TOKEN), &["push", "hf://org/data"]);
    assert!(code == Some(3) && told.contains("nothing can be pushed to this kind of hub"), "{told}");
    place.recipe(3);
    let (code, told) = place.push(&hub);
    assert!(code == Some(1) && told.contains("only what is up to date can be pushed"), "{told}");
    fs::write(
        place.path("config/sft/one.yaml"),
        "metadata: { phase: sft }\ndatasets: [{ name: own, source: rows.jsonl }]\n",
    )
    .expect("a file");
    place.datac(&url, Some(TOKEN), &["build", "--quiet"]);
    let (code, told) = place.push(&hub);
    assert!(code == Some(2) && told.contains("layout: hub"), "{told}");
    assert_eq!(hub.files("org/data"), before);
    assert_eq!(hub.count("POST") + hub.count("PUT"), 0);
}
