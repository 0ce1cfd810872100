//! The Hub over HTTP against a Hub in this process: what it finds, what it admits, what it survives.
#![cfg(feature = "hub")]
#![expect(clippy::disallowed_methods, reason = "a test looks at the store from outside")]

#[path = "hub/fetch.rs"]
mod fetch;
#[path = "hub/push.rs"]
mod push;
mod support;

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use datac::source::{
    Asked, Bytes, FileDigest, Listing, RemoteFile, Source, SourceError,
    hub::{DownloadEvent, HttpHub, HubConfig, Limits, Token},
};
use support::loopback::{Fault, Loopback, Repo, git_blob};

use datac::id::FileHash;

const CANARY: &str = "hf_CANARY0123456789";

/// A hub under test, its store and what it told.
struct Client {
    hub: HttpHub,
    store: PathBuf,
    events: Arc<Mutex<Vec<DownloadEvent>>>,
    _folder: Option<tempfile::TempDir>,
}

/// What a test changes about a client.
struct Setup<'a> {
    token: Option<&'a str>,
    offline: bool,
    store: Option<&'a Path>,
    idle: Duration,
    slowest: u64,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { token: None, offline: false, store: None, idle: Duration::from_secs(60), slowest: 0 }
    }
}

impl Client {
    fn new(url: &str) -> Self {
        Self::with(url, Setup::default())
    }

    fn with(url: &str, setup: Setup<'_>) -> Self {
        let folder = setup.store.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        let store = setup.store.map_or_else(|| folder.as_ref().expect("made above").path().join("sources"), Into::into);
        let events: Arc<Mutex<Vec<DownloadEvent>>> = Arc::default();
        let told = Arc::clone(&events);
        let hub = HttpHub::new(HubConfig {
            endpoint: url.to_owned(),
            token: setup.token.map(|text| Token::new(text).expect("a token")),
            offline: setup.offline,
            store: store.clone(),
            progress: Arc::new(move |event| told.lock().expect("no panic").push(event)),
            limits: Limits {
                idle: setup.idle,
                slowest: setup.slowest,
                attempts: 4,
                base_delay: Duration::from_millis(1),
                max_wait: Duration::from_millis(5),
                ..Limits::default()
            },
        });
        Self { hub: hub.expect("a usable address"), store, events, _folder: folder }
    }

    fn listing(&self, repo: &str) -> Listing {
        self.hub.resolve(&Asked::of(repo, None)).expect("the repository resolves")
    }

    fn read(&self, listing: &Listing, path: &str) -> Result<Vec<u8>, SourceError> {
        let file = listing.files.iter().find(|file| file.path == path).expect("the file is listed");
        read(&self.hub, &listing.id, commit_of(listing), file)
    }

    fn events(&self) -> Vec<DownloadEvent> {
        self.events.lock().expect("no panic").clone()
    }

    /// The failures that were waited out: reason, and what the server asked for in seconds.
    fn waits(&self) -> Vec<(String, Option<u64>)> {
        let waits = self.events().into_iter().filter_map(|event| match event {
            DownloadEvent::Waiting { reason, asked, .. } => Some((reason, asked.map(|asked| asked.as_secs()))),
            _ => None,
        });
        waits.collect()
    }

    fn restarts(&self) -> Vec<String> {
        let restarts = self.events().into_iter().filter_map(|event| match event {
            DownloadEvent::Restarted { reason, .. } => Some(reason),
            _ => None,
        });
        restarts.collect()
    }

    /// The names in the store, without the records of hashing.
    fn stored(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.store) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".ok")).collect();
        names.sort();
        names
    }
}

fn read(hub: &HttpHub, repo: &str, commit: &str, file: &RemoteFile) -> Result<Vec<u8>, SourceError> {
    match hub.open(repo, Some(commit), file)? {
        Bytes::File(mut bytes, _) => {
            let mut all = Vec::new();
            bytes.read_to_end(&mut all).expect("a stored file reads");
            Ok(all)
        }
        Bytes::Static(_) => panic!("a hub over HTTP stores files"),
    }
}

fn commit_of(listing: &Listing) -> &str {
    listing.commit.as_deref().expect("a hub pins a commit")
}

/// Bytes that repeat at no small distance.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

const SMALL: &str = "README.md";
const LARGE: &str = "data/train.parquet";

/// A repository with a small and a large file.
fn demo() -> Repo {
    Repo::new("acme/demo").file(SMALL, noise(5_000)).lfs(LARGE, noise(300_000))
}

/// Where the bytes of each file come from, in the words of the request log.
const KINDS: [(&str, &str, usize); 2] =
    [(SMALL, "GET hub /datasets/acme/demo/resolve", 5_000), (LARGE, "GET storage /signed", 300_000)];

#[test]
fn a_listing_is_complete_checked_and_sorted_over_several_pages() {
    let mut repo = demo().file("näme with #?.json", "{}");
    for index in 0..25 {
        repo = repo.file(&format!("data/{index:02}.json"), format!("{index}"));
    }
    let commit = repo.commit();
    let server = Loopback::start([repo]);
    server.page_size(7);
    let client = Client::new(&server.url());
    let listing = client.hub.resolve(&Asked::of("acme/demo", Some("main"))).expect("it resolves");
    assert_eq!((listing.id.as_str(), commit_of(&listing)), ("acme/demo", commit.as_str()));
    assert_eq!(listing.files.len(), 28);
    assert!(listing.files.is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(server.count("/tree/"), 5);
    let small = listing.files.iter().find(|file| file.path == SMALL).expect("listed");
    assert_eq!(small.digest.to_string(), format!("git:{}", git_blob(&noise(5_000))));
    let large = listing.files.iter().find(|file| file.path == LARGE).expect("listed");
    assert!(matches!(large.digest, FileDigest::Sha256(_)) && large.size == 300_000);
    assert_eq!(client.read(&listing, "näme with #?.json").expect("readable"), b"{}");
    assert_eq!(client.hub.resolve(&Asked::of("acme/demo", Some(&commit))).expect("a commit resolves"), listing);
    assert_eq!(client.hub.name(), server.url());
}

#[test]
fn a_renamed_repository_gives_its_own_name() {
    let server = Loopback::start([Repo::new("openai/gsm8k").lfs("main/t.parquet", "rows").once_called("gsm8k")]);
    let client = Client::new(&server.url());
    let listing = client.listing("gsm8k");
    assert_eq!(listing.id, "openai/gsm8k");
    assert_eq!(client.read(&listing, "main/t.parquet").expect("readable"), b"rows");
    let file = &listing.files[0];
    let second = Client::new(&server.url());
    assert_eq!(read(&second.hub, "gsm8k", commit_of(&listing), file).expect("by its old name"), b"rows");
}

#[test]
fn bytes_are_stored_once_under_their_digest() {
    let server = Loopback::start([demo().file("copy.md", noise(5_000)).file("empty", "")]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    for (path, len) in [(SMALL, 5_000), (LARGE, 300_000), ("copy.md", 5_000), (SMALL, 5_000)] {
        assert_eq!(client.read(&listing, path).expect("readable"), noise(len));
    }
    assert_eq!(client.read(&listing, "empty").expect("readable"), b"");
    assert_eq!(server.count("GET hub /datasets"), 2, "one for each file: the large one's is redirected");
    assert_eq!(server.count("GET storage"), 1);
    let mut names: Vec<_> = listing.files.iter().map(|file| file.digest.to_string().replace(':', "-")).collect();
    names.sort();
    names.dedup();
    assert_eq!(client.stored(), names);
}

#[test]
fn faults_that_pass_are_outlasted() {
    let faults: &[(Fault, usize)] = &[
        (Fault::Status(503), 2),
        (Fault::Status(500), 3),
        (Fault::RetryAfter(429, "1".into()), 1),
        (Fault::Short, 2),
        (Fault::Truncated, 1),
        (Fault::Reset, 2),
        (Fault::Flip, 2),
        (Fault::Longer, 2),
    ];
    for (path, pattern, len) in KINDS {
        for (fault, times) in faults {
            let server = Loopback::start([demo()]);
            let client = Client::new(&server.url());
            let listing = client.listing("acme/demo");
            server.fault(pattern, fault.clone(), *times);
            let bytes = client.read(&listing, path).unwrap_or_else(|error| panic!("{path} {fault:?}: {error}"));
            assert!(bytes == noise(len), "{path} {fault:?}");
            let told = client.waits().len() + client.restarts().len();
            assert_eq!(told, *times, "{path} {fault:?}: {:?}", client.events());
            assert_eq!(client.stored().len(), 1, "{path} {fault:?}: {:?}", client.stored());
        }
    }
}

#[test]
fn faults_that_stay_are_errors_and_admit_nothing() {
    let faults: &[(Fault, &str)] = &[
        (Fault::Status(503), "503"),
        (Fault::RetryAfter(429, "1".into()), "429"),
        (Fault::Reset, "tried 4 times"),
        (Fault::Flip, "do not match the pinned digest"),
        (Fault::Longer, "do not match the pinned digest"),
        (Fault::Status(404), ""),
        (Fault::Status(403), "403"),
        (Fault::Status(416), "do not match the pinned digest"),
    ];
    for (path, pattern, _) in KINDS {
        for (fault, word) in faults {
            let server = Loopback::start([demo()]);
            let client = Client::new(&server.url());
            let listing = client.listing("acme/demo");
            server.fault(pattern, fault.clone(), usize::MAX);
            let error = client.read(&listing, path).expect_err("no good bytes were sent").to_string();
            assert!(error.contains(word), "{path} {fault:?}: {error}");
            assert_eq!(client.stored(), [""; 0], "{path} {fault:?}");
        }
    }
}

#[test]
fn a_file_that_is_refused_is_a_clear_error() {
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    server.fault("GET hub /datasets", Fault::Status(403), 1);
    let error = client.read(&listing, SMALL).expect_err("refused").to_string();
    assert!(error.contains("the hub answered 403: injected 403"), "{error}");
    server.fault("GET hub /datasets", Fault::Status(502), 1);
    assert_eq!(client.read(&listing, SMALL).expect("passes"), noise(5_000));
}

#[test]
fn an_interrupted_download_resumes_where_it_stopped() {
    for (path, pattern, len) in KINDS {
        let server = Loopback::start([demo()]);
        let client = Client::new(&server.url());
        let listing = client.listing("acme/demo");
        server.fault(pattern, Fault::Short, 1);
        assert!(client.read(&listing, path).expect("resumes") == noise(len));
        let kept: Vec<_> = client
            .events()
            .into_iter()
            .filter_map(|event| match event {
                DownloadEvent::Started { kept, .. } => Some(kept),
                _ => None,
            })
            .collect();
        assert_eq!(kept.len(), 2);
        assert!(kept[0] == 0 && kept[1] > 0 && kept[1] <= len as u64 / 2, "{kept:?}");
        let log = server.log();
        let ranges: Vec<_> =
            log.iter().filter(|r| r.line().contains(pattern)).map(|request| request.range.clone()).collect();
        assert_eq!(ranges, [None, Some(format!("bytes={}-{}", kept[1], len - 1))]);
    }
}

#[test]
fn a_part_left_by_a_killed_process_is_resumed_or_given_up() {
    let parts: [(Vec<u8>, usize); 3] = [
        (noise(100_000), 0),
        // Bytes of something else.
        (vec![7; 100_000], 1),
        // Longer than the file.
        (vec![7; 400_000], 0),
    ];
    for (part, restarts) in parts {
        let server = Loopback::start([demo()]);
        let client = Client::new(&server.url());
        let listing = client.listing("acme/demo");
        let file = listing.files.iter().find(|file| file.path == LARGE).expect("listed");
        let name = file.digest.to_string().replace(':', "-");
        std::fs::create_dir_all(&client.store).expect("a folder");
        std::fs::write(client.store.join(format!("{name}.part")), &part).expect("a part");
        assert!(client.read(&listing, LARGE).expect("readable") == noise(300_000));
        assert_eq!(client.restarts().len(), restarts);
        assert_eq!(client.stored(), [name]);
    }
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning() {
    for (path, pattern, len) in KINDS {
        let server = Loopback::start([demo()]);
        let client = Client::new(&server.url());
        let listing = client.listing("acme/demo");
        server.fault(pattern, Fault::Short, 1);
        server.fault(pattern, Fault::IgnoreRange, 1);
        assert!(client.read(&listing, path).expect("readable") == noise(len));
        assert_eq!(client.restarts(), [""; 0]);
    }
}

#[test]
fn a_range_that_is_refused_starts_over() {
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    server.fault("GET storage", Fault::Short, 1);
    server.fault("GET storage", Fault::Status(416), 1);
    assert!(client.read(&listing, LARGE).expect("readable") == noise(300_000));
    assert_eq!(client.restarts().len(), 1);
    assert_eq!(server.log().last().expect("requests").range, None);
}

#[test]
fn a_silent_or_dripping_server_is_left() {
    for fault in [Fault::Stall, Fault::Drip] {
        for (path, pattern, len) in KINDS {
            let server = Loopback::start([demo()]);
            let setup = Setup { idle: Duration::from_millis(150), slowest: 10_000, ..Setup::default() };
            let client = Client::with(&server.url(), setup);
            let listing = client.listing("acme/demo");
            server.fault(pattern, fault.clone(), 1);
            assert!(client.read(&listing, path).expect("the second attempt") == noise(len));
            let reason = &client.waits()[0].0;
            let expected =
                if matches!(fault, Fault::Stall) { "no answer in time" } else { "the server sends too slowly" };
            assert_eq!(reason, expected, "{path}");
        }
    }
}

#[test]
fn the_server_says_how_long_to_wait() {
    let date = |ahead: u64| httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(ahead));
    for (pattern, status) in [
        ("GET hub /api/datasets/acme/demo/revision", 429),
        ("GET hub /api/datasets/acme/demo/revision", 503),
        ("GET hub /api/datasets/acme/demo/tree", 429),
        ("GET hub /api/datasets/acme/demo/tree", 503),
        ("GET hub /datasets", 429),
        ("GET hub /datasets", 503),
        ("GET storage", 429),
        ("GET storage", 503),
    ] {
        for (after, low, high) in [("7".to_owned(), 7, 7), (date(100), 30, 101)] {
            let server = Loopback::start([demo()]);
            let client = Client::new(&server.url());
            server.fault(pattern, Fault::RetryAfter(status, after), 1);
            client.read(&client.listing("acme/demo"), LARGE).expect("passes");
            let waits = client.waits();
            assert_eq!(waits.len(), 1, "{pattern} {status}");
            let asked = waits[0].1.expect("the server asked");
            assert!((low..=high).contains(&asked), "{pattern} {status}: {asked}");
        }
    }
}

#[test]
fn waits_are_capped() {
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    server.fault("GET hub /api", Fault::RetryAfter(429, "86400".into()), 1);
    client.listing("acme/demo");
    let waited = client.events().into_iter().find_map(|event| match event {
        DownloadEvent::Waiting { wait, asked, .. } => Some((wait, asked)),
        _ => None,
    });
    assert_eq!(waited, Some((Duration::from_millis(5), Some(Duration::from_secs(86_400)))));
}

#[test]
fn missing_things_are_named() {
    let server = Loopback::start([
        demo(),
        Repo::new("acme/secret").file("a", "1").private(),
        Repo::new("acme/g").gated().file("a", "2"),
    ]);
    let anyone = Client::new(&server.url());
    let known = Client::with(&server.url(), Setup { token: Some("hf_other"), ..Setup::default() });
    let refused = Client::with(&server.url(), Setup { token: Some(Loopback::REFUSED), ..Setup::default() });
    let granted = Client::with(&server.url(), Setup { token: Some(Loopback::GRANTED), ..Setup::default() });
    let fails = |client: &Client, repo: &str, revision: Option<&str>| {
        client.hub.resolve(&Asked::of(repo, revision)).expect_err("it cannot be had").to_string()
    };
    let url = server.url();
    for repo in ["acme/none", "acme/secret"] {
        assert_eq!(
            fails(&anyone, repo, None),
            format!("find dataset `{repo}` on {url}: not found, or private (set HF_TOKEN)")
        );
    }
    assert_eq!(fails(&known, "acme/none", None), format!("find dataset `acme/none` on {url}"));
    assert_eq!(fails(&known, "acme/demo", Some("v9")), "find revision `v9` of `acme/demo`");
    assert_eq!(fails(&anyone, "acme/demo", Some("..")), "find revision `..` of `acme/demo`");
    assert_eq!(fails(&refused, "acme/demo", None), "read `acme/demo`: the token was rejected");
    assert!(fails(&anyone, "../api", None).starts_with("find dataset `../api`"));
    let secret = known.listing("acme/secret");
    assert_eq!(known.read(&secret, "a").expect("readable"), b"1");

    for client in [&anyone, &known] {
        let listing = client.listing("acme/g");
        let error = client.read(&listing, "a").expect_err("gated");
        assert_eq!(error.to_string(), "read `acme/g`: access must be requested from its owner");
    }
    assert_eq!(granted.read(&granted.listing("acme/g"), "a").expect("granted"), b"2");

    let listing = anyone.listing("acme/demo");
    let gone = RemoteFile { path: "gone.json".into(), ..listing.files[0].clone() };
    let error = read(&anyone.hub, &listing.id, commit_of(&listing), &gone).expect_err("no such file");
    assert_eq!(error.to_string(), "find `gone.json` in `acme/demo`");
    let error = read(&anyone.hub, &listing.id, &"0".repeat(40), &gone).expect_err("no such commit");
    assert_eq!(error.to_string(), format!("find revision `{}` of `acme/demo`", "0".repeat(40)));
}

#[test]
fn a_pinned_commit_outlives_the_branch_and_the_store_the_repository() {
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    server.fault("GET storage", Fault::Short, 1);
    server.fault("GET storage", Fault::Status(500), usize::MAX);
    client.read(&listing, LARGE).expect_err("the server is down");
    server.push(demo().lfs(LARGE, vec![1; 300_000]));
    assert_ne!(client.listing("acme/demo").commit, listing.commit);
    let server = Loopback::start([demo()]);
    let again = Client::with(&server.url(), Setup { store: Some(&client.store), ..Setup::default() });
    assert!(again.read(&listing, LARGE).expect("the old bytes, resumed") == noise(300_000));
    assert!(server.log().last().expect("requests").range.is_some());
    server.delete("acme/demo");
    assert!(again.read(&listing, LARGE).expect("from the store") == noise(300_000));
    assert!(again.read(&listing, SMALL).is_err());
}

#[test]
fn offline_serves_the_store_and_asks_nobody() {
    let server = Loopback::start([demo()]);
    let online = Client::new(&server.url());
    let listing = online.listing("acme/demo");
    online.read(&listing, LARGE).expect("readable");
    let asked = server.log().len();
    let offline = Client::with(&server.url(), Setup { offline: true, store: Some(&online.store), ..Setup::default() });
    assert!(offline.read(&listing, LARGE).expect("stored") == noise(300_000));
    let error = offline.read(&listing, SMALL).expect_err("not stored").to_string();
    assert_eq!(error, format!("read `{SMALL}` of `acme/demo` offline: not downloaded yet"));
    let error = offline.hub.resolve(&Asked::of("acme/demo", None)).expect_err("offline").to_string();
    assert_eq!(error, "read the file list of `acme/demo` offline: not downloaded yet");
    assert_eq!(server.log().len(), asked);
}

#[test]
fn a_damaged_stored_file_is_fetched_again() {
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    client.read(&listing, LARGE).expect("readable");
    let [name] = client.stored().try_into().expect("one file");
    let name: String = name;
    let stored = client.store.join(&name);
    let good = std::fs::read(&stored).expect("stored");
    let mut flipped = good.clone();
    flipped[150_000] ^= 4;
    for damaged in [flipped, good[..299_999].to_vec(), Vec::new()] {
        std::fs::write(&stored, damaged).expect("damaged");
        let offline = Setup { offline: true, store: Some(&client.store), ..Setup::default() };
        assert!(matches!(Client::with(&server.url(), offline).read(&listing, LARGE), Err(SourceError::Offline { .. })));
        assert!(client.read(&listing, LARGE).expect("fetched again") == good);
        assert_eq!(client.stored(), [name.as_str()]);
    }
    let damaged = client.events().iter().filter(|event| matches!(event, DownloadEvent::Damaged { .. })).count();
    assert_eq!((damaged, server.count("GET storage")), (3, 4));
}

#[test]
fn two_hubs_fetch_one_file_once() {
    let server = Loopback::start([demo()]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listing = Client::new(&server.url()).listing("acme/demo");
    let file = listing.files.iter().find(|file| file.path == LARGE).expect("listed");
    let flag = Arc::new(AtomicBool::new(false));
    server.fault("GET storage", Fault::Hold(Arc::clone(&flag)), 1);
    let hub = |progress: Arc<dyn Fn(DownloadEvent) + Send + Sync>| {
        HttpHub::new(HubConfig {
            endpoint: server.url(),
            token: None,
            offline: false,
            store: folder.path().to_owned(),
            progress,
            limits: Limits { idle: Duration::from_secs(60), ..Limits::default() },
        })
        .expect("a usable address")
    };
    let (started, has_started) = mpsc::channel();
    let first = hub(Arc::new(move |event| {
        if let DownloadEvent::Started { .. } = event {
            started.send(()).expect("someone waits for this");
        }
    }));
    // The server holds the bytes back until the second one says it is waiting for the first.
    let second = hub(Arc::new(move |event| {
        if let DownloadEvent::Locked { .. } = event {
            flag.store(true, Ordering::SeqCst);
        }
    }));
    thread::scope(|scope| {
        let first = scope.spawn(|| read(&first, &listing.id, commit_of(&listing), file));
        has_started.recv().expect("the first one starts");
        assert!(read(&second, &listing.id, commit_of(&listing), file).expect("after the first") == noise(300_000));
        assert!(first.join().expect("no panic").expect("readable") == noise(300_000));
    });
    assert_eq!(server.count("GET storage"), 1);
}

#[test]
fn one_hub_serves_many_threads() {
    let mut repo = demo();
    for index in 0..12 {
        repo = repo.lfs(&format!("data/{index}.bin"), vec![index; 50_000 + usize::from(index)]);
    }
    let server = Loopback::start([repo]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in 0..12_u8 {
                    let bytes = client.read(&listing, &format!("data/{index}.bin")).expect("readable");
                    assert!(bytes == vec![index; 50_000 + usize::from(index)]);
                }
            });
        }
    });
    assert_eq!(server.count("GET storage"), 12);
}

#[test]
fn hostile_listings_are_refused_before_anything_is_written() {
    let entry = |path: &str| format!(r#"{{"type":"file","oid":"{}","size":3,"path":"{path}"}}"#, "ab".repeat(20));
    let bodies = [
        format!("[{}]", entry("../../../../x")),
        format!("[{}]", entry("/abs/x")),
        format!("[{}]", entry("a\\\\b")),
        format!("[{}]", entry("a\\u0000b")),
        format!("[{}]", entry(&"x".repeat(300))),
        format!("[{},{}]", entry("a.json"), entry("A.json")),
        format!("[{}]", entry("a").replace(&"ab".repeat(20), "../../../pwned")),
        "{\"error\":1}".into(),
        "[".into(),
    ];
    for body in bodies {
        let server = Loopback::start([demo()]);
        let client = Client::new(&server.url());
        server.fault("/tree/", Fault::Body(body.clone()), 1);
        let error = client.hub.resolve(&Asked::of("acme/demo", None)).expect_err(&body);
        assert!(matches!(error, SourceError::Malformed { .. }), "{body}: {error}");
        assert!(!client.store.exists());
    }
    for (id, sha) in [("acme/demo", "../../../pwned"), ("acme/demo", "main"), ("../x", ""), ("demo", "")] {
        let server = Loopback::start([demo()]);
        let client = Client::new(&server.url());
        let sha = if sha.is_empty() { "ab".repeat(20) } else { sha.to_owned() };
        server.fault("/revision/", Fault::Body(format!(r#"{{"id":"{id}","sha":"{sha}"}}"#)), 1);
        let error = client.hub.resolve(&Asked::of("acme/demo", None)).expect_err("hostile");
        assert!(matches!(error, SourceError::Malformed { .. }), "{id} {sha}: {error}");
    }
    // A lock file is text that anyone may have edited.
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    let listing = client.listing("acme/demo");
    let asked = server.log().len();
    let file = &listing.files[0];
    let evil = RemoteFile { path: "../../../api/whoami".into(), ..file.clone() };
    for (repo, commit, file) in
        [("acme/demo", commit_of(&listing), &evil), ("acme/demo", "main", file), ("../x", commit_of(&listing), file)]
    {
        assert!(matches!(read(&client.hub, repo, commit, file), Err(SourceError::NoFile { .. })));
    }
    assert_eq!(server.log().len(), asked);
}

#[test]
fn the_token_goes_to_the_configured_address_alone() {
    let elsewhere = Loopback::start([demo()]);
    let server = Loopback::start([demo()]);
    let client = Client::with(&server.url(), Setup { token: Some(CANARY), ..Setup::default() });
    let listing = client.listing("acme/demo");
    client.read(&listing, LARGE).expect("readable");
    let bearer = format!("Bearer {CANARY}");
    for request in server.log() {
        let expected = (!request.to_storage).then_some(bearer.as_str());
        assert_eq!(request.authorization.as_deref(), expected, "{}", request.line());
    }
    assert_eq!((server.count("HEAD"), server.count("GET storage")), (0, 1));

    // The next page, elsewhere.
    let link = format!("<{}/api/datasets/acme/demo/tree/main>; rel=\"next\"", elsewhere.url());
    server.fault("/tree/", Fault::Header("Link", link), 1);
    let error = client.hub.resolve(&Asked::of("acme/demo", None)).expect_err("elsewhere").to_string();
    assert!(error.contains("its next page is on another host"), "{error}");
    assert_eq!(elsewhere.log().len(), 0);

    // A redirect elsewhere, of each request there is.
    for pattern in ["/revision/", "/tree/", "GET hub /datasets"] {
        let path = server.log().iter().rev().find(|r| r.line().contains(pattern)).expect("asked before").path.clone();
        server.fault(pattern, Fault::Redirect(format!("{}{path}", elsewhere.url())), 1);
        let fresh = Client::with(&server.url(), Setup { token: Some(CANARY), ..Setup::default() });
        fresh.read(&fresh.listing("acme/demo"), SMALL).expect("the same bytes are there");
    }
    assert_eq!(elsewhere.log().len(), 3);
    assert!(elsewhere.log().iter().all(|request| request.authorization.is_none()));
}

#[test]
fn redirects_stay_on_safe_ground() {
    for to in ["http://192.0.2.1/x", "http://huggingface.co.evil.invalid/x", "ftp://127.0.0.1/x", "file:///etc/passwd"]
    {
        for pattern in ["/revision/", "/tree/", "GET hub /datasets"] {
            let server = Loopback::start([demo()]);
            let client = Client::new(&server.url());
            server.fault(pattern, Fault::Redirect(to.into()), usize::MAX);
            let outcome =
                client.hub.resolve(&Asked::of("acme/demo", None)).and_then(|listing| client.read(&listing, SMALL));
            let error = outcome.expect_err("a redirect off safe ground").to_string();
            assert!(!error.contains("tried"), "{pattern} {to}: {error}");
        }
    }
    let server = Loopback::start([demo()]);
    let client = Client::new(&server.url());
    server.fault("/revision/", Fault::Redirect("/api/datasets/acme/demo/revision/main".into()), usize::MAX);
    let error = client.hub.resolve(&Asked::of("acme/demo", None)).expect_err("a loop").to_string();
    assert!(error.contains("too many redirects"), "{error}");
    assert!(server.log().len() < 20);
}

#[test]
fn the_token_is_written_and_printed_nowhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut printed = String::new();
    let faults = [
        ("/revision/", Fault::Echo(500)),
        ("/revision/", Fault::Echo(400)),
        ("/tree/", Fault::Echo(400)),
        ("GET hub /datasets", Fault::Echo(500)),
        ("GET hub /datasets", Fault::Echo(400)),
        ("/revision/", Fault::Body(CANARY.to_owned())),
        ("/tree/", Fault::Body(format!("[{{\"type\":\"file\",\"path\":\"../{CANARY}\"}}]"))),
        ("GET storage", Fault::Short),
    ];
    for (pattern, fault) in faults {
        let server = Loopback::start([demo()]);
        let setup = Setup { token: Some(CANARY), store: Some(folder.path()), ..Setup::default() };
        let client = Client::with(&server.url(), setup);
        server.fault(pattern, fault, usize::MAX);
        let outcome = client.hub.resolve(&Asked::of("acme/demo", None)).and_then(|listing| {
            client.read(&listing, LARGE)?;
            client.read(&listing, SMALL)
        });
        let error = outcome.expect_err("a fault that stays");
        printed += &format!("{error} {error:?} {:?} {:?}\n", client.hub, client.events());
    }
    assert!(printed.contains("***") && !printed.contains(CANARY), "{printed}");
    for entry in std::fs::read_dir(folder.path()).expect("the store") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a stored file");
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
    }
}

/// An address where nothing listens.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("a bound socket has an address"))
}

#[test]
fn a_hub_that_is_not_there_is_tried_twice_and_for_one_source_only() {
    let client = Client::new(&closed());
    let refused = |repo: &str| client.hub.resolve(&Asked::of(repo, None)).expect_err("nothing listens").to_string();
    let first = refused("acme/one");
    assert!(first.contains("cannot connect") && first.contains("refused"), "{first}");
    assert_eq!(client.waits().len(), 1, "one wait, so two attempts");
    let second = refused("acme/two");
    assert_eq!(second, first.replace("acme/one", "acme/two"));
    let file =
        RemoteFile { path: "a.jsonl".into(), size: 3, digest: FileDigest::Blake3(FileHash::of(b"abc")), etag: None };
    let third = read(&client.hub, "acme/one", &"0a".repeat(20), &file).expect_err("nothing listens").to_string();
    assert!(third.contains("cannot connect"), "{third}");
    assert_eq!(client.waits().len(), 1, "nothing was tried again");
    assert_eq!(client.stored(), [] as [&str; 0]);
}

#[test]
fn files_of_a_hub_that_is_not_there_are_tried_twice() {
    let client = Client::new(&closed());
    let file =
        RemoteFile { path: "a.jsonl".into(), size: 3, digest: FileDigest::Blake3(FileHash::of(b"abc")), etag: None };
    for _ in 0..2 {
        let error = read(&client.hub, "acme/one", &"0a".repeat(20), &file).expect_err("nothing listens").to_string();
        assert!(error.contains("cannot connect"), "{error}");
        assert_eq!(client.waits().len(), 1);
    }
}

#[test]
fn xet_is_never_used() {
    // On the redirect, on the Hub's own answer, on the storage server's.
    for (path, pattern, len) in
        [(LARGE, "GET hub /datasets", 300_000), (SMALL, "GET hub /datasets", 5_000), (LARGE, "GET storage", 300_000)]
    {
        for interrupted in [false, true] {
            let server = Loopback::start([demo()]);
            let client = Client::new(&server.url());
            let listing = client.listing("acme/demo");
            if interrupted {
                server.fault(if path == LARGE { "GET storage" } else { "GET hub /datasets" }, Fault::Short, 1);
            }
            server.fault(pattern, Fault::Header("X-Xet-Hash", "ab".repeat(32)), usize::MAX);
            assert!(client.read(&listing, path).expect("over plain HTTP") == noise(len), "{path} {pattern}");
            assert_eq!(server.count("xet"), 0, "{path} {pattern}");
        }
    }
}

#[test]
fn a_token_in_the_environment_is_not_picked_up_behind_the_callers_back() {
    const CHILD: &str = "DATAC_TEST_LOOPBACK";
    if let Ok(url) = std::env::var(CHILD) {
        let client = Client::new(&url);
        client.read(&client.listing("acme/demo"), LARGE).expect("readable");
        return;
    }
    let server = Loopback::start([demo()]);
    let name = "a_token_in_the_environment_is_not_picked_up_behind_the_callers_back";
    let status = std::process::Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", name])
        .env(CHILD, server.url())
        .env("HF_TOKEN", CANARY)
        .env("HF_ENDPOINT", "http://192.0.2.1")
        .output()
        .expect("this binary runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    assert!(server.count("GET storage") == 1);
    assert!(server.log().iter().all(|request| request.authorization.is_none()));
}

#[test]
fn a_hub_that_is_not_there_is_named() {
    let client = Client::new("http://127.0.0.1:9");
    let error = client.hub.resolve(&Asked::of("acme/demo", None)).expect_err("nobody listens").to_string();
    assert!(error.starts_with("read `acme/demo` from http://127.0.0.1:9: cannot connect: "), "{error}");
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let server = Loopback::start([demo()]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "in the way").expect("a file");
    let client = Client::with(&server.url(), Setup { store: Some(&blocked), ..Setup::default() });
    let error = client.read(&client.listing("acme/demo"), SMALL).expect_err("no folder can be there").to_string();
    assert!(error.contains(&*blocked.to_string_lossy()), "{error}");
}

/// What `datac doctor` says of a hub with a token: its line, and the exit code.
fn doctor(url: &str, token: Option<&str>) -> (String, i32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_datac"));
    command.args(["doctor", "--hub", url]).current_dir(folder.path()).env_clear().env("HOME", folder.path());
    token.map(|token| command.env("HF_TOKEN", token));
    let output = command.output().expect("datac runs");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(token.is_none_or(|token| !printed.contains(token)), "{printed}");
    let line = printed.lines().find(|line| line.contains("hub      ")).unwrap_or_else(|| panic!("{printed}"));
    (line.to_owned(), output.status.code().unwrap_or(-1))
}

#[test]
fn the_doctor_asks_the_hub_once() {
    let hub = Loopback::start([]);
    let (line, code) = doctor(&hub.url(), None);
    assert!(code == 0 && line.starts_with("ok ") && line.ends_with("responds"), "{line}");
    let (line, code) = doctor(&hub.url(), Some(CANARY));
    assert!(code == 0 && line.contains("accepts the token"), "{line}");
    let (line, code) = doctor(&hub.url(), Some(Loopback::REFUSED));
    assert!(code == 1 && line.starts_with("fail") && line.contains("rejects the token"), "{line}");
    hub.fault("datasets", Fault::Status(503), 1);
    let (line, code) = doctor(&hub.url(), None);
    assert!(code == 0 && line.starts_with("warn") && line.contains("503"), "{line}");
    hub.fault("whoami", Fault::Echo(500), 1);
    let (line, _) = doctor(&hub.url(), Some(CANARY));
    assert!(line.starts_with("warn"), "{line}");
    hub.fault("datasets", Fault::Reset, 1);
    let (line, code) = doctor(&hub.url(), None);
    assert!(code == 1 && line.contains("the connection broke"), "{line}");
    assert_eq!(hub.log().len(), 6, "one request each: {:?}", hub.log());
    // The token goes to the hub alone: a redirect to elsewhere does not take it along.
    hub.fault("whoami", Fault::Redirect(format!("{}/x", hub.storage_url())), 1);
    doctor(&hub.url(), Some(CANARY));
    let to_storage: Vec<_> = hub.log().into_iter().filter(|request| request.to_storage).collect();
    assert!(to_storage.iter().all(|request| request.authorization.is_none()), "{to_storage:?}");
    let url = hub.url();
    drop(hub);
    let (line, code) = doctor(&url, None);
    assert!(code == 1 && line.contains("cannot connect"), "{line}");
    let (line, code) = doctor("http://hub.example", None);
    assert!(code == 1 && line.contains("https"), "{line}");
}
