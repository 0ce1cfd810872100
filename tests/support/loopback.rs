//! A Hub in the test process: repositories in memory behind 127.0.0.1, a second port that plays the storage servers,
//! a log of every request, and faults on demand.
//!
//! It answers as the live Hub does where the Python and Rust clients agree on what they need.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A dataset repository with one branch, `main`.
#[derive(Clone, Debug, Default)]
pub struct Repo {
    id: String,
    files: BTreeMap<String, Content>,
    private: bool,
    gated: bool,
    old_names: Vec<String>,
}

#[derive(Clone, Debug)]
struct Content {
    bytes: Vec<u8>,
    is_lfs: bool,
}

impl Repo {
    /// An empty repository.
    pub fn new(id: &str) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Adds a small file, kept in git and served by the Hub itself.
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), Content { bytes: bytes.into(), is_lfs: false });
        self
    }

    /// Adds a large file, kept in LFS and served by the storage port.
    pub fn lfs(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), Content { bytes: bytes.into(), is_lfs: true });
        self
    }

    /// Hides it from requests without a token.
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Lets everyone see it and only [`Loopback::GRANTED`] read its files.
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// Redirects another name to this one.
    pub fn once_called(mut self, name: &str) -> Self {
        self.old_names.push(name.into());
        self
    }

    /// The commit of the files as they are.
    pub fn commit(&self) -> String {
        let mut hasher = Sha1::new();
        hasher.update(&self.id);
        for (path, content) in &self.files {
            hasher.update(format!("{path}\0{}\0", content.git_oid()));
        }
        hex(&hasher.finalize())
    }
}

impl Content {
    fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.bytes))
    }

    fn git_oid(&self) -> String {
        if self.is_lfs { git_blob(self.pointer().as_bytes()) } else { git_blob(&self.bytes) }
    }

    fn pointer(&self) -> String {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", self.sha256(), self.bytes.len())
    }
}

/// The SHA-1 git gives a blob.
pub fn git_blob(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// A way to answer wrongly.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status and an error body.
    Status(u16),
    /// This status with this `X-Error-Code`.
    Coded(u16, &'static str),
    /// 429 (or another status) with this `Retry-After`.
    RetryAfter(u16, String),
    /// Half of what `Content-Length` promises, then the connection closes.
    Short,
    /// Half of the body, and a `Content-Length` that agrees.
    Truncated,
    /// One bit of the first byte flipped.
    Flip,
    /// More bytes than there are.
    Longer,
    /// The whole body with 200, whatever range was asked for.
    IgnoreRange,
    /// A few bytes of the body at a time, for ever too slow.
    Drip,
    /// No answer until the server goes down.
    Stall,
    /// The connection closes without an answer.
    Reset,
    /// The right answer, but only once the flag is up.
    Hold(Arc<AtomicBool>),
    /// This body with 200.
    Body(String),
    /// A header more than there would be.
    Header(&'static str, String),
    /// 302 to this address.
    Redirect(String),
    /// The error text repeats the request's `Authorization`.
    Echo(u16),
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD`, `POST` or `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it came to the storage port.
    pub to_storage: bool,
}

impl Request {
    /// What a fault's pattern is looked for in: `GET hub /path` or `GET storage /path`.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.method, if self.to_storage { "storage" } else { "hub" }, self.path)
    }
}

struct Planned {
    pattern: String,
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct State {
    /// Every commit there has been, by id and commit.
    commits: HashMap<(String, String), Repo>,
    /// The newest commit by id.
    main: HashMap<String, String>,
    renames: HashMap<String, String>,
    blobs: HashMap<String, Vec<u8>>,
    faults: Vec<Planned>,
    log: Vec<Request>,
    page: usize,
    /// The size of the parts that files are sent in; 0: as a whole.
    part: usize,
    /// The parts that were sent, by the name of the file.
    parts: HashMap<String, BTreeMap<usize, Vec<u8>>>,
}

/// A running Hub; it goes down when it is dropped.
pub struct Loopback {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    stop: AtomicBool,
    hub: SocketAddr,
    storage: SocketAddr,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panicked with the state")
    }
}

impl Loopback {
    /// The token that may read gated repositories; every other one but [`Loopback::REFUSED`] may read private ones.
    pub const GRANTED: &str = "hf_granted";
    /// A token the Hub does not know.
    pub const REFUSED: &str = "hf_refused";

    /// Starts a Hub with these repositories.
    pub fn start(repos: impl IntoIterator<Item = Repo>) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port on this machine");
        let (hub, storage) = (listen(), listen());
        let address = |listener: &TcpListener| listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            state: Mutex::new(State { page: 1000, ..State::default() }),
            stop: AtomicBool::new(false),
            hub: address(&hub),
            storage: address(&storage),
        });
        for (listener, to_storage) in [(hub, false), (storage, true)] {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    if let Ok(stream) = stream {
                        thread::spawn(move || _ = serve(&shared, &stream, to_storage));
                    }
                }
            });
        }
        let this = Self { shared };
        repos.into_iter().for_each(|repo| this.push(repo));
        this
    }

    /// The Hub's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// The address of the storage port.
    pub fn storage_url(&self) -> String {
        format!("http://{}", self.shared.storage)
    }

    /// Makes `repo` what `main` is; earlier commits stay.
    pub fn push(&self, repo: Repo) {
        let mut state = self.shared.state();
        for content in repo.files.values().filter(|content| content.is_lfs) {
            state.blobs.insert(content.sha256(), content.bytes.clone());
        }
        for name in &repo.old_names {
            state.renames.insert(name.clone(), repo.id.clone());
        }
        state.main.insert(repo.id.clone(), repo.commit());
        state.commits.insert((repo.id.clone(), repo.commit()), repo);
    }

    /// Takes a repository away.
    pub fn delete(&self, id: &str) {
        self.shared.state().main.remove(id);
    }

    /// Sets how many entries a page of a file list has.
    pub fn page_size(&self, entries: usize) {
        self.shared.state().page = entries;
    }

    /// Has files sent in parts of so many bytes; 0: as a whole.
    pub fn part_size(&self, bytes: usize) {
        self.shared.state().part = bytes;
    }

    /// The files of a repository as `main` has them, and its commit.
    pub fn files(&self, id: &str) -> (BTreeMap<String, Vec<u8>>, String) {
        let state = self.shared.state();
        let commit = state.main[id].clone();
        let repo = &state.commits[&(id.to_owned(), commit.clone())];
        (repo.files.iter().map(|(path, content)| (path.clone(), content.bytes.clone())).collect(), commit)
    }

    /// Answers the next `times` requests whose [`Request::line`] contains `pattern` wrongly.
    pub fn fault(&self, pattern: &str, fault: Fault, times: usize) {
        self.shared.state().faults.push(Planned { pattern: pattern.into(), fault, times });
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// How many requests so far have `pattern` in their line.
    pub fn count(&self, pattern: &str) -> usize {
        self.log().iter().filter(|request| request.line().contains(pattern)).count()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for address in [self.shared.hub, self.shared.storage] {
            let _ = TcpStream::connect(address);
        }
    }
}

/// An answer before faults and before HEAD takes its body.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the body is a file's, which knows ranges.
    is_file: bool,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), is_file: false }
    }

    fn error(status: u16, code: Option<&str>, message: &str) -> Self {
        let mut answer = Self::new(status, format!("{{\"error\":{}}}", quoted(message)));
        answer.headers.extend(code.map(|code| ("X-Error-Code", code.to_owned())));
        answer.with("X-Error-Message", message)
    }

    fn file(bytes: Vec<u8>) -> Self {
        Self { is_file: true, ..Self::new(200, bytes) }.with("Accept-Ranges", "bytes")
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Serves one connection until it closes.
fn serve(shared: &Shared, stream: &TcpStream, to_storage: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let Some(request) = read_request(&mut reader, to_storage)? else { return Ok(()) };
        let fault = {
            let mut state = shared.state();
            state.log.push(request.clone());
            let line = request.line();
            let planned = state.faults.iter_mut().find(|p| p.times > 0 && line.contains(&p.pattern));
            planned.map(|planned| {
                planned.times -= 1;
                planned.fault.clone()
            })
        };
        if let Some(Fault::Stall) = fault {
            while !shared.stop.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            return Ok(());
        }
        if let Some(Fault::Reset) = fault {
            return Ok(());
        }
        if let Some(Fault::Hold(flag)) = &fault {
            while !flag.load(Ordering::SeqCst) && !shared.stop.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let mut answer = match &fault {
            Some(Fault::Status(status)) => Answer::error(*status, None, &format!("injected {status}")),
            Some(Fault::Coded(status, code)) => Answer::error(*status, Some(code), "injected"),
            Some(Fault::RetryAfter(status, after)) => {
                Answer::error(*status, None, "injected").with("Retry-After", after.as_str())
            }
            Some(Fault::Echo(status)) => {
                let told = format!("you sent {}", request.authorization.as_deref().unwrap_or_default());
                Answer::error(*status, None, &told)
            }
            Some(Fault::Body(body)) => Answer::new(200, body.as_str()),
            Some(Fault::Redirect(to)) => Answer::new(302, "Found").with("Location", to.as_str()),
            _ if to_storage && request.method != "GET" && request.method != "HEAD" => stored_answer(shared, &request),
            _ if to_storage => storage_answer(shared, &request),
            _ => hub_answer(shared, &request),
        };
        if let Some(Fault::Header(name, value)) = &fault {
            answer.headers.push((name, value.clone()));
        }
        let is_get = request.method == "GET";
        if answer.is_file && is_get {
            if !matches!(fault, Some(Fault::IgnoreRange)) {
                cut_to_range(&mut answer, request.range.as_deref());
            }
            match fault {
                Some(Fault::Truncated) => answer.body.truncate(answer.body.len() / 2),
                Some(Fault::Longer) => answer.body.push(b'!'),
                Some(Fault::Flip) => answer.body[0] ^= 1,
                _ => {}
            }
        }
        let mut head = format!("HTTP/1.1 {} Status\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            write!(head, "{name}: {value}\r\n").expect("a String takes every write");
        }
        out.write_all(format!("{head}X-Request-Id: loopback\r\n\r\n").as_bytes())?;
        match fault {
            _ if request.method == "HEAD" => {}
            Some(Fault::Short) => return out.write_all(&answer.body[..answer.body.len() / 2]),
            Some(Fault::Drip) => {
                for byte in answer.body.chunks(1) {
                    if shared.stop.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                    out.write_all(byte)?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            _ => out.write_all(&answer.body)?,
        }
    }
}

fn read_request(reader: &mut impl BufRead, to_storage: bool) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = Request { method, path, authorization: None, range: None, body: Vec::new(), to_storage };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            request.body = vec![0; length];
            reader.read_exact(&mut request.body)?;
            return Ok(Some(request));
        };
        let value = Some(value.trim().to_owned());
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.and_then(|value| value.parse().ok()).unwrap_or(0),
            "authorization" => request.authorization = value,
            "range" => request.range = value,
            _ => {}
        }
    }
}

fn cut_to_range(answer: &mut Answer, range: Option<&str>) {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else { return };
    let size = answer.body.len();
    let first: usize = first.parse().expect("the clients here send plain ranges");
    if first >= size {
        *answer = Answer::new(416, "").with("Content-Range", format!("bytes */{size}"));
        return;
    }
    let end = last.parse::<usize>().map_or(size, |last| (last + 1).min(size));
    answer.body = answer.body[first..end].to_vec();
    answer.status = 206;
    answer.headers.push(("Content-Range", format!("bytes {first}-{}/{size}", end - 1)));
}

fn storage_answer(shared: &Shared, request: &Request) -> Answer {
    let name = request.path.rsplit('/').next().unwrap_or_default();
    match shared.state().blobs.get(name) {
        Some(bytes) => Answer::file(bytes.clone()).with("ETag", "\"storage\""),
        None => Answer::new(404, "<Error>NoSuchKey</Error>"),
    }
}

fn hub_answer(shared: &Shared, request: &Request) -> Answer {
    let mut state = shared.state();
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let ["api", "whoami-v2"] = segments.as_slice() {
        return match request.authorization.as_deref() {
            Some(shown) if shown != format!("Bearer {}", Loopback::REFUSED) => {
                Answer::new(200, "{\"name\":\"someone\"}")
            }
            _ => Answer::error(401, None, "Invalid username or password."),
        };
    }
    let (is_api, rest) = match segments.as_slice() {
        ["api", "datasets", rest @ ..] => (true, rest),
        ["datasets", rest @ ..] => (false, rest),
        _ => return Answer::error(404, None, "Not Found"),
    };
    let is_verb = |word: &&str| {
        matches!(*word, "revision" | "tree" | "resolve" | "xet-read-token" | "preupload" | "commit" | "info")
    };
    let at = rest.iter().position(is_verb).unwrap_or(rest.len());
    let (id, rest) = (rest[..at].join("/"), &rest[at..]);
    let id = id.strip_suffix(".git").unwrap_or(&id).to_owned();
    if let Some(new) = state.renames.get(&id) {
        let to = request.path.replacen(&format!("/{id}"), &format!("/{new}"), 1);
        return Answer::new(307, format!("Temporary Redirect. Redirecting to {to}")).with("Location", to);
    }
    let token = request.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
    if token == Some(Loopback::REFUSED) {
        return Answer::error(401, None, "Invalid credentials in Authorization header");
    }
    let main = state.main.get(&id);
    let visible = |commit: &String| state.commits.get(&(id.clone(), commit.clone()));
    let is_hidden = main.and_then(visible).is_none_or(|repo| repo.private && token.is_none());
    let Some(main) = main.filter(|_| !is_hidden) else {
        return match token {
            Some(_) => Answer::error(404, Some("RepoNotFound"), "Repository not found"),
            None => Answer::error(401, Some("RepoNotFound"), "Invalid username or password."),
        };
    };
    let revision = rest.get(1).copied().filter(|_| rest[0] != "info").unwrap_or("main");
    if request.method == "POST" {
        if token.is_none() {
            return Answer::error(401, None, "Invalid username or password.");
        }
        let (main, storage) = (main.clone(), shared.storage);
        return match (is_api, rest) {
            (true, ["preupload", "main"]) => preupload(&request.body),
            (false, ["info", "lfs", "objects", "batch"]) => batch(&state, &request.body, storage),
            (true, ["commit", "main"]) => commit_answer(&mut state, &id, &main, &request.body),
            _ => Answer::error(404, None, "Not Found"),
        };
    }
    let commit = if revision == "main" { main.clone() } else { revision.to_owned() };
    let Some(repo) = visible(&commit) else {
        return Answer::error(404, Some("RevisionNotFound"), &format!("Invalid rev id: {revision}"));
    };
    match (is_api, rest) {
        (true, [] | ["revision", _]) => info(repo, &commit),
        (true, ["tree", _]) => tree(repo, &commit, path, query, state.page, shared.hub),
        (false, ["resolve", _, file @ ..]) => resolve(repo, &commit, &file.join("/"), token, shared.storage),
        _ => Answer::error(404, None, "Not Found"),
    }
}

/// What goes to the storage: Parquet, as `.gitattributes` of new repositories says, and what is large.
fn preupload(body: &[u8]) -> Answer {
    let asked: serde_json::Value = serde_json::from_slice(body).expect("a question is JSON");
    let files = asked["files"].as_array().expect("a list of files").iter().map(|file| {
        let path = file["path"].as_str().expect("a path");
        assert!(file["sample"].is_string(), "{file}");
        let is_lfs = path.ends_with(".parquet") || file["size"].as_u64().expect("a size") > 10 << 20;
        serde_json::json!({
            "path": path, "uploadMode": if is_lfs { "lfs" } else { "regular" }, "shouldIgnore": path.starts_with("ignored"),
        })
    });
    Answer::new(200, serde_json::json!({ "files": files.collect::<Vec<_>>() }).to_string())
}

/// Where the storage wants files that it lacks.
fn batch(state: &State, body: &[u8], storage: SocketAddr) -> Answer {
    let asked: serde_json::Value = serde_json::from_slice(body).expect("a question is JSON");
    assert_eq!((&asked["operation"], &asked["hash_algo"]), (&"upload".into(), &"sha256".into()), "{asked}");
    let objects = asked["objects"].as_array().expect("a list of objects").iter().map(|object| {
        let (oid, size) = (object["oid"].as_str().expect("a digest"), object["size"].as_u64().expect("a size"));
        if state.blobs.contains_key(oid) {
            return serde_json::json!({ "oid": oid, "size": size });
        }
        let verify = serde_json::json!({ "href": format!("http://{storage}/verify/{oid}"), "header": {} });
        let upload = match state.part {
            0 => serde_json::json!({ "href": format!("http://{storage}/whole/{oid}"), "header": { "x-asked": "yes" } }),
            part => {
                let count = size.div_ceil(part as u64);
                let mut header = serde_json::json!({ "chunk_size": part.to_string() });
                for number in 1..=count {
                    header[format!("{number:05}")] = format!("http://{storage}/part/{number}/{oid}").into();
                }
                serde_json::json!({ "href": format!("http://{storage}/complete/{oid}"), "header": header })
            }
        };
        serde_json::json!({ "oid": oid, "size": size, "actions": { "upload": upload, "verify": verify } })
    });
    let transfer = if state.part == 0 { "basic" } else { "multipart" };
    Answer::new(200, serde_json::json!({ "transfer": transfer, "objects": objects.collect::<Vec<_>>() }).to_string())
}

/// Makes a commit of its lines, if it follows what `main` is.
fn commit_answer(state: &mut State, id: &str, main: &str, body: &[u8]) -> Answer {
    let text = std::str::from_utf8(body).expect("lines are text");
    let mut repo = state.commits[&(id.to_owned(), main.to_owned())].clone();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        let value = &line["value"];
        let path = value["path"].as_str().unwrap_or_default().to_owned();
        match line["key"].as_str().expect("a line has a key") {
            "header" if value["parentCommit"] != main => {
                return Answer::error(412, None, "A commit has happened since. Please refresh and try again.");
            }
            "header" => assert!(value["summary"].is_string(), "{line}"),
            "file" => {
                assert_eq!(value["encoding"], "base64");
                let bytes = base64(value["content"].as_str().expect("a text"));
                repo.files.insert(path, Content { bytes, is_lfs: false });
            }
            "lfsFile" => {
                let Some(bytes) = value["oid"].as_str().and_then(|oid| state.blobs.get(oid)) else {
                    return Answer::error(400, None, "LFS pointer pointed to a file that does not exist");
                };
                assert_eq!((&value["algo"], value["size"].as_u64()), (&"sha256".into(), Some(bytes.len() as u64)));
                repo.files.insert(path, Content { bytes: bytes.clone(), is_lfs: true });
            }
            other => panic!("a line of an unknown kind: {other}"),
        }
    }
    let commit = repo.commit();
    state.main.insert(id.to_owned(), commit.clone());
    state.commits.insert((id.to_owned(), commit.clone()), repo);
    Answer::new(200, serde_json::json!({ "success": true, "commitOid": commit, "commitUrl": "" }).to_string())
}

/// Takes files, parts of files, and what ends them.
fn stored_answer(shared: &Shared, request: &Request) -> Answer {
    assert!(request.authorization.is_none(), "the storage is not shown the token");
    let mut state = shared.state();
    let words: Vec<&str> = request.path.split('/').skip(1).collect();
    let sha256 = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    match (request.method.as_str(), &words[..]) {
        ("PUT", ["whole", oid]) if sha256(&request.body) == *oid => {
            state.blobs.insert((*oid).to_owned(), request.body.clone());
            Answer::new(200, "")
        }
        ("PUT", ["part", number, oid]) => {
            let number = number.parse().expect("a number");
            state.parts.entry((*oid).to_owned()).or_default().insert(number, request.body.clone());
            Answer::new(200, "").with("ETag", format!("\"{number}\""))
        }
        ("POST", ["complete", oid]) => {
            let told: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            let parts = state.parts.remove(*oid).unwrap_or_default();
            let tags = |number: &usize| serde_json::json!({ "partNumber": number, "etag": format!("\"{number}\"") });
            assert_eq!(told["parts"], serde_json::Value::Array(parts.keys().map(tags).collect()));
            let bytes = parts.into_values().flatten().collect::<Vec<u8>>();
            if sha256(&bytes) != *oid {
                return Answer::new(400, "InvalidDigest");
            }
            state.blobs.insert((*oid).to_owned(), bytes);
            Answer::new(200, "{}")
        }
        ("POST", ["verify", oid]) if state.blobs.contains_key(*oid) => Answer::new(200, "{}"),
        _ => Answer::new(400, "<Error>BadDigest</Error>"),
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |c: u8| DIGITS.iter().position(|digit| *digit == c).expect("base64") as u32;
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0, |bits, c| bits << 6 | value(*c)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

fn info(repo: &Repo, commit: &str) -> Answer {
    let siblings: Vec<_> = repo.files.keys().map(|path| format!("{{\"rfilename\":{}}}", quoted(path))).collect();
    let gated = if repo.gated { "\"auto\"" } else { "false" };
    let (id, private, siblings) = (quoted(&repo.id), repo.private, siblings.join(","));
    Answer::new(
        200,
        format!(
            "{{\"_id\":\"0\",\"id\":{id},\"sha\":\"{commit}\",\"private\":{private},\"gated\":{gated},\
             \"disabled\":false,\"tags\":[],\"downloads\":1,\"likes\":1,\"siblings\":[{siblings}]}}"
        ),
    )
}

fn tree(repo: &Repo, commit: &str, path: &str, query: &str, page: usize, hub: SocketAddr) -> Answer {
    let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor=")?.parse().ok()).unwrap_or(0);
    let mut entries = Vec::new();
    let mut folders = Vec::new();
    for (path, content) in &repo.files {
        if let Some((folder, _)) = path.rsplit_once('/')
            && !folders.contains(&folder)
        {
            folders.push(folder);
            entries.push(format!(
                "{{\"type\":\"directory\",\"oid\":\"{}\",\"size\":0,\"path\":{}}}",
                "0".repeat(40),
                quoted(folder)
            ));
        }
        let size = content.bytes.len();
        let lfs = if content.is_lfs {
            let (sha256, pointer) = (content.sha256(), content.pointer().len());
            format!(",\"lfs\":{{\"oid\":\"{sha256}\",\"size\":{size},\"pointerSize\":{pointer}}}")
        } else {
            String::new()
        };
        let (oid, path) = (content.git_oid(), quoted(path));
        entries.push(format!("{{\"type\":\"file\",\"oid\":\"{oid}\",\"size\":{size},\"path\":{path}{lfs}}}"));
    }
    let end = (cursor + page).min(entries.len());
    let answer = Answer::new(200, format!("[{}]", entries[cursor.min(end)..end].join(",")));
    let answer = answer.with("X-Repo-Commit", commit);
    if end == entries.len() {
        return answer;
    }
    answer.with("Link", format!("<http://{hub}{path}?recursive=true&expand=false&cursor={end}>; rel=\"next\""))
}

fn resolve(repo: &Repo, commit: &str, path: &str, token: Option<&str>, storage: SocketAddr) -> Answer {
    if repo.gated && token != Some(Loopback::GRANTED) {
        let status = if token.is_none() { 401 } else { 403 };
        return Answer::error(status, Some("GatedRepo"), &format!("Access to dataset {} is restricted.", repo.id));
    }
    let Some(content) = repo.files.get(path) else {
        return Answer::error(404, Some("EntryNotFound"), "Entry not found").with("X-Repo-Commit", commit);
    };
    if !content.is_lfs {
        let answer = Answer::file(content.bytes.clone()).with("ETag", format!("\"{}\"", content.git_oid()));
        return answer.with("X-Repo-Commit", commit);
    }
    let sha256 = content.sha256();
    Answer::new(302, "Found. Redirecting")
        .with("Location", format!("http://{storage}/signed/{sha256}"))
        .with("X-Linked-Etag", format!("\"{sha256}\""))
        .with("X-Linked-Size", content.bytes.len().to_string())
        .with("X-Repo-Commit", commit)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn decoded(segment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), segment.as_bytes());
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let pair = [*high, *low];
                let pair = std::str::from_utf8(&pair).expect("escapes are ASCII");
                bytes.push(u8::from_str_radix(pair, 16).expect("escapes are hexadecimal"));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("paths are UTF-8")
}
