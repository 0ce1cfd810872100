//! A bucket in the test process: objects in memory behind 127.0.0.1, a log of every request, and faults by dice.
//!
//! It speaks as much of the protocol of S3 as datac uses, and those of the others where they differ: on Google's, conditions on writes
//! are headers of another name, and versions are generations; on Azure's, listings and removals are other texts. Standard library alone,
//! so that any crate's tests can have it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::{
    collections::BTreeMap,
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

/// Name of the only bucket.
pub const BUCKET: &str = "team";

/// The key that requests must be signed with, and its secret.
pub const KEY: (&str, &str) = ("AKIATEST", "secret+CANARY/secret");

/// A key that may read and not write.
pub const READER: &str = "AKIAREADER";

/// The only token that is accepted in place of a signature.
pub const TOKEN: &str = "ya29.CANARY";

/// The storage account on Azure, and its key.
pub const ACCOUNT: (&str, &str) = ("account", "Q0FOQVJZ");

/// A running bucket; it goes down when it is dropped.
pub struct BucketServer {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Clone)]
struct Stored {
    bytes: Vec<u8>,
    version: u64,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    version: u64,
    /// Uploads in parts that are not complete, by their ids: the name of the object, and the parts by their numbers or names.
    uploads: BTreeMap<String, (String, BTreeMap<String, Vec<u8>>)>,
    /// Number of objects that a page of a listing has.
    page: usize,
    /// Of a hundred requests, so many are answered wrongly, as the dice say.
    faulty: u64,
    dice: u64,
    /// Answers of the next requests whose line contains the text: status and body.
    planned: Vec<(String, u16, String, usize)>,
    /// Whether conditions are not understood (501).
    is_simple: bool,
    /// Whether bodies are compared with the digests that come with them.
    is_checking: bool,
    log: Vec<String>,
    /// Wrong answers given so far, by kind.
    given: BTreeMap<&'static str, u64>,
}

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Drop,
    DropAfterwards,
    Delay,
    Unavailable,
    Flip,
    Cut,
    Short,
    Forget,
    Garble,
    Busy,
}

impl BucketServer {
    /// Starts an empty bucket.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it has an address");
        let state = Mutex::new(State { page: 1000, ..State::default() });
        let shared = Arc::new(Shared { address, stop: AtomicBool::new(false), state });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stop.load(Ordering::SeqCst) {
                    return;
                }
                let served = served.clone();
                // A connection that breaks is the client's to deal with.
                thread::spawn(move || serve(&stream.ok()?, &served).ok());
            }
        });
        Self { shared }
    }

    /// The address of the server.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// What the environment of a client must have to reach it as S3.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", KEY.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY.1.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// What the environment of a client must have to reach it as the service that addresses beginning with `scheme` name.
    pub fn variables_of(&self, scheme: &str) -> Vec<(&'static str, String)> {
        match scheme {
            "gs" => vec![("GOOGLE_BASE_URL", self.endpoint()), ("GOOGLE_BEARER_TOKEN", TOKEN.to_owned())],
            "az" => vec![
                ("AZURE_STORAGE_ENDPOINT", self.endpoint()),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.0.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT.1.to_owned()),
            ],
            _ => self.variables(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no request panics")
    }

    /// Answers so many of a hundred requests wrongly from now on, as the seed says.
    pub fn go_wrong(&self, faulty: u64, seed: u64) {
        let mut state = self.state();
        (state.faulty, state.dice) = (faulty, seed);
    }

    /// Answers the next `times` requests whose line (`GET /team/name`) contains a text with this status and body.
    pub fn plan(&self, line: &str, status: u16, body: &str, times: usize) {
        self.state().planned.push((line.to_owned(), status, body.to_owned(), times));
    }

    /// Sets how many objects a page of a listing has.
    pub fn page(&self, objects: usize) {
        self.state().page = objects;
    }

    /// Understands no conditions from now on.
    pub fn is_simple(&self) {
        self.state().is_simple = true;
    }

    /// Notices from now on if a body is damaged on its way, as services do.
    pub fn is_checking(&self) {
        self.state().is_checking = true;
    }

    /// The number of uploads that were begun and neither completed nor given up.
    pub fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    /// The objects by name.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().objects.iter().map(|(name, stored)| (name.clone(), stored.bytes.clone())).collect()
    }

    /// Puts an object in place.
    pub fn set(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.state().set(name, bytes.into());
    }

    /// Takes an object away.
    pub fn remove(&self, name: &str) {
        self.state().objects.remove(name);
    }

    /// The lines of all requests so far.
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Forgets the requests so far.
    pub fn forget_log(&self) {
        self.state().log.clear();
    }

    /// Forgets the answers that are planned.
    pub fn forget_plans(&self) {
        self.state().planned.clear();
    }

    /// How many wrong answers of each kind were given.
    pub fn given(&self) -> BTreeMap<&'static str, u64> {
        self.state().given.clone()
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.shared.address).ok();
    }
}

impl State {
    fn set(&mut self, name: &str, bytes: Vec<u8>) {
        self.version += 1;
        self.objects.insert(name.to_owned(), Stored { bytes, version: self.version });
    }

    /// A number below `end` (SplitMix64).
    fn throw(&mut self, end: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end.max(1)
    }

    fn wrong(&mut self, asked: &Asked) -> Option<Wrong> {
        if self.throw(100) >= self.faulty {
            return None;
        }
        let kinds: &[(Wrong, &'static str)] = match asked.method.as_str() {
            "HEAD" => &[(Wrong::Drop, "dropped"), (Wrong::Delay, "delayed"), (Wrong::Unavailable, "503")],
            "GET" => &[
                (Wrong::Drop, "dropped"),
                (Wrong::Delay, "delayed"),
                (Wrong::Unavailable, "503"),
                (Wrong::Flip, "bit flipped"),
                (Wrong::Cut, "broken off"),
                (Wrong::Short, "cut short"),
            ],
            _ => &[
                (Wrong::Drop, "dropped"),
                (Wrong::DropAfterwards, "done and dropped"),
                (Wrong::Delay, "delayed"),
                (Wrong::Unavailable, "503"),
                (Wrong::Forget, "said to be done"),
                (Wrong::Garble, "garbled"),
                (Wrong::Busy, "409"),
            ],
        };
        let (wrong, name) = kinds[self.throw(kinds.len() as u64) as usize];
        *self.given.entry(name).or_default() += 1;
        Some(wrong)
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        let shown = asked.headers.get("authorization").map_or("", String::as_str);
        let (is_google, is_azure) = (shown.starts_with("Bearer "), shown.starts_with("SharedKey "));
        if let Some(refusal) = refusal(asked) {
            return refusal;
        }
        let Some(rest) = asked.path.strip_prefix('/') else { return Answer::error(400, "InvalidURI") };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket != BUCKET {
            return Answer::error(404, if is_azure { "ContainerNotFound" } else { "NoSuchBucket" });
        }
        match asked.method.as_str() {
            "GET" if key.is_empty() && is_azure => self.list_azure(asked),
            "GET" if key.is_empty() => self.list(asked),
            "GET" | "HEAD" => self.get(asked, key),
            "PUT" if asked.query.contains_key("comp") => self.put_block(asked, key),
            "PUT" if asked.query.contains_key("uploadId") => self.put_part(asked),
            "PUT" => self.put(asked, key, is_google),
            "POST" if asked.query.contains_key("uploads") => {
                self.version += 1;
                let id = format!("upload-{}", self.version);
                self.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
                Answer::new(
                    200,
                    format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
                )
            }
            "POST" if asked.query.contains_key("uploadId") => self.complete(asked),
            "DELETE" if asked.query.contains_key("uploadId") => {
                self.uploads.remove(&asked.query["uploadId"]);
                Answer::new(204, "")
            }
            "DELETE" if self.objects.remove(key).is_none() && is_google => Answer::error(404, "NoSuchKey"),
            "DELETE" => Answer::new(204, ""),
            "POST" if is_azure => self.remove_azure(asked),
            "POST" if asked.query.contains_key("delete") => {
                let body = String::from_utf8_lossy(&asked.body).into_owned();
                let mut deleted = String::new();
                for key in body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>")).map(|(key, _)| key)
                {
                    self.objects.remove(key);
                    write!(deleted, "<Deleted><Key>{key}</Key></Deleted>").expect("a String takes every write");
                }
                Answer::new(200, format!("<DeleteResult>{deleted}</DeleteResult>"))
            }
            _ => Answer::error(405, "MethodNotAllowed"),
        }
    }

    fn get(&self, asked: &Asked, key: &str) -> Answer {
        let Some(stored) = self.objects.get(key) else { return Answer::error(404, "NoSuchKey") };
        if asked.headers.get("if-match").is_some_and(|wanted| *wanted != stored.tag()) {
            return Answer::error(412, "PreconditionFailed");
        }
        let size = stored.bytes.len();
        let mut answer = Answer::new(200, stored.bytes.clone()).about(stored);
        let range = asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        if let Some((first, last)) = range {
            let first: usize = first.parse().expect("plain ranges");
            if first >= size {
                return Answer::error(416, "InvalidRange");
            }
            let end = last.parse::<usize>().map_or(size, |last| (last + 1).min(size));
            answer.status = 206;
            answer.body = stored.bytes[first..end].to_vec();
            answer.headers.push(("Content-Range", format!("bytes {first}-{}/{size}", end - 1)));
        }
        answer
    }

    fn put(&mut self, asked: &Asked, key: &str, is_google: bool) -> Answer {
        let there = self.objects.get(key);
        let (only_new, only_this) = if is_google {
            let generation = asked.headers.get("x-goog-if-generation-match");
            (generation.is_some_and(|own| own == "0"), generation.filter(|own| *own != "0").cloned())
        } else {
            (asked.headers.contains_key("if-none-match"), asked.headers.get("if-match").cloned())
        };
        let source = ["x-amz-copy-source", "x-goog-copy-source"].iter().find_map(|name| asked.headers.get(*name));
        if let Some(source) = source {
            let source = decoded(source);
            let source = source.strip_prefix(BUCKET).and_then(|key| key.strip_prefix('/')).unwrap_or_default();
            let Some(copied) = self.objects.get(source).map(|stored| stored.bytes.clone()) else {
                return Answer::error(404, "NoSuchKey");
            };
            self.set(key, copied);
            let tag = self.objects[key].tag();
            return Answer::new(200, format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>"));
        }
        if self.is_simple && (only_new || only_this.is_some()) {
            return Answer::error(501, "NotImplemented");
        }
        let is_this = |stored: &Stored, wanted: &String| {
            *wanted == if is_google { stored.version.to_string() } else { stored.tag() }
        };
        match (there, only_this) {
            (Some(_), _) if only_new => return Answer::error(412, "PreconditionFailed"),
            (None, Some(_)) if !is_google => return Answer::error(404, "NoSuchKey"),
            (Some(stored), Some(wanted)) if !is_this(stored, &wanted) => {
                return Answer::error(412, "PreconditionFailed");
            }
            (None, Some(_)) => return Answer::error(412, "PreconditionFailed"),
            _ => {}
        }
        self.set(key, asked.body.clone());
        Answer::new(200, "").about(&self.objects[key])
    }

    fn put_part(&mut self, asked: &Asked) -> Answer {
        let number = asked.query["partNumber"].clone();
        let Some((_, parts)) = self.uploads.get_mut(&asked.query["uploadId"]) else {
            return Answer::error(404, "NoSuchUpload");
        };
        let mut answer = Answer::new(200, "");
        answer.headers.push(("ETag", format!("\"part-{number}\"")));
        parts.insert(number, asked.body.clone());
        answer
    }

    fn complete(&mut self, asked: &Asked) -> Answer {
        let Some((key, parts)) = self.uploads.remove(&asked.query["uploadId"]) else {
            return Answer::error(404, "NoSuchUpload");
        };
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        let numbers = body.split("<PartNumber>").skip(1).filter_map(|rest| rest.split_once("</PartNumber>"));
        let wanted: Option<Vec<Vec<u8>>> = numbers.map(|(number, _)| parts.get(number).cloned()).collect();
        let Some(wanted) = wanted else { return Answer::error(400, "InvalidPart") };
        // As services do, but for the last one.
        if wanted.iter().rev().skip(1).any(|part| part.len() < 5 << 20) {
            return Answer::error(400, "EntityTooSmall");
        }
        self.set(&key, wanted.concat());
        let tag = self.objects[&key].tag();
        Answer::new(200, format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
            .about(&self.objects[&key])
    }

    /// Azure has no uploads that begin: blocks wait beside a name until a list says which make the object.
    fn put_block(&mut self, asked: &Asked, key: &str) -> Answer {
        let blocks = &mut self.uploads.entry(format!("blocks of {key}")).or_default().1;
        if asked.query["comp"] == "block" {
            blocks.insert(asked.query["blockid"].clone(), asked.body.clone());
            return Answer::new(201, "");
        }
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        let ids = body.split("<Uncommitted>").skip(1).filter_map(|rest| rest.split_once("</Uncommitted>"));
        let wanted: Option<Vec<Vec<u8>>> = ids.map(|(id, _)| blocks.get(id).cloned()).collect();
        let Some(wanted) = wanted else { return Answer::error(400, "InvalidBlockList") };
        self.uploads.remove(&format!("blocks of {key}"));
        self.set(key, wanted.concat());
        Answer::new(201, "").about(&self.objects[key])
    }

    fn list_azure(&self, asked: &Asked) -> Answer {
        let of = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (of("prefix"), of("marker"));
        let mut found = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after).peekable();
        let (mut text, mut last) = (String::new(), String::new());
        for (key, stored) in found.by_ref().take(self.page) {
            let (size, tag) = (stored.bytes.len(), stored.tag().replace('"', "&quot;"));
            write!(
                text,
                "<Blob><Name>{key}</Name><Properties><Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Content-Length>{size}</Content-Length><Content-Type>x</Content-Type><Etag>{tag}</Etag></Properties></Blob>"
            )
            .expect("a String takes every write");
            last.clone_from(key);
        }
        let next = if found.peek().is_some() { last.as_str() } else { "" };
        Answer::new(
            200,
            format!("<EnumerationResults><Blobs>{text}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"),
        )
    }

    fn remove_azure(&mut self, asked: &Asked) -> Answer {
        let (body, mut parts) = (String::from_utf8_lossy(&asked.body).into_owned(), String::new());
        let lines = body.lines().filter_map(|line| line.strip_prefix("DELETE /")?.strip_suffix(" HTTP/1.1"));
        for (number, path) in lines.enumerate() {
            let path = decoded(path);
            let key = path.strip_prefix(BUCKET).and_then(|key| key.strip_prefix('/')).unwrap_or_default();
            let status = if self.objects.remove(key).is_some() { "202 Accepted" } else { "404 Not Found" };
            write!(
                parts,
                "--part\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status}\r\nx-ms-version: 1\r\n\r\n\r\n"
            )
            .expect("a String takes every write");
        }
        let mut answer = Answer::new(202, format!("{parts}--part--\r\n"));
        answer.headers.push(("Content-Type", "multipart/mixed; boundary=part".to_owned()));
        answer
    }

    fn list(&self, asked: &Asked) -> Answer {
        let of = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (of("prefix"), of("continuation-token"));
        let mut found = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after).peekable();
        let (mut text, mut last) = (String::new(), String::new());
        for (key, stored) in found.by_ref().take(self.page) {
            let (size, tag) = (stored.bytes.len(), stored.tag().replace('"', "&quot;"));
            let escaped = key.replace('&', "&amp;").replace('<', "&lt;");
            write!(
                text,
                "<Contents><Key>{escaped}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>{tag}</ETag><Size>{size}</Size></Contents>"
            )
            .expect("a String takes every write");
            last.clone_from(key);
        }
        if found.peek().is_some() {
            write!(text, "<NextContinuationToken>{last}</NextContinuationToken>").expect("a String takes every write");
        }
        Answer::new(200, format!("<ListBucketResult><Name>{BUCKET}</Name>{text}</ListBucketResult>"))
    }
}

impl Stored {
    fn tag(&self) -> String {
        format!("\"{:032x}\"", u128::from(self.version) * 0x1_0000_0001_0000_0001)
    }
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::new(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>"))
    }

    fn about(mut self, stored: &Stored) -> Self {
        self.headers.push(("ETag", stored.tag()));
        self.headers.push(("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT".to_owned()));
        self.headers.push(("x-goog-generation", stored.version.to_string()));
        self
    }
}

/// Refuses requests that are not signed by one who may.
fn refusal(asked: &Asked) -> Option<Answer> {
    let Some(shown) = asked.headers.get("authorization") else { return Some(Answer::error(403, "AccessDenied")) };
    if let Some(token) = shown.strip_prefix("Bearer ") {
        return (token != TOKEN).then(|| Answer::error(401, "AuthenticationRequired"));
    }
    if let Some(signed) = shown.strip_prefix("SharedKey ") {
        let is_known = signed.strip_prefix(ACCOUNT.0).is_some_and(|rest| rest.starts_with(':') && rest.len() == 45);
        return (!is_known).then(|| Answer::error(403, "AuthenticationFailed"));
    }
    let Some(rest) = shown.strip_prefix("AWS4-HMAC-SHA256 Credential=") else {
        return Some(Answer::error(400, "AuthorizationHeaderMalformed"));
    };
    let (key, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let signature = rest.rsplit_once("Signature=").map_or("", |(_, signature)| signature);
    let is_signed = rest.contains("/s3/aws4_request") && signature.len() == 64 && rest.contains("x-amz-content-sha256");
    match key {
        _ if !is_signed => Some(Answer::error(403, "SignatureDoesNotMatch")),
        READER if !matches!(asked.method.as_str(), "GET" | "HEAD") => Some(Answer::error(403, "AccessDenied")),
        READER => None,
        key if key == KEY.0 => None,
        _ => Some(Answer::error(403, "InvalidAccessKeyId")),
    }
}

/// Serves one connection until it closes.
fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (mut reader, mut out) = (BufReader::new(stream), stream);
    loop {
        let Some(asked) = read(&mut reader)? else { return Ok(()) };
        let line = format!("{} {}", asked.method, asked.path);
        let (wrong, mut answer) = {
            let mut state = shared.state.lock().expect("no request panics");
            state.log.push(line.clone());
            let planned = state.planned.iter_mut().find(|(text, .., times)| *times > 0 && line.contains(text.as_str()));
            let planned = planned.map(|(_, status, body, times)| {
                *times -= 1;
                Answer::new(*status, body.as_bytes())
            });
            let wrong = state.wrong(&asked).filter(|_| planned.is_none());
            let answer = match (planned, wrong) {
                (Some(planned), _) => planned,
                (_, Some(Wrong::Drop)) => return Ok(()),
                (_, Some(Wrong::Unavailable)) => Answer::error(503, "SlowDown"),
                (_, Some(Wrong::Busy)) => Answer::error(409, "ConditionalRequestConflict"),
                (_, Some(Wrong::Forget)) => Answer::new(200, "").about(&Stored { bytes: Vec::new(), version: 7 }),
                (_, Some(Wrong::Garble)) if state.is_checking => Answer::error(400, "XAmzContentSHA256Mismatch"),
                (_, Some(Wrong::Garble)) => {
                    let at = state.throw(asked.body.len() as u64) as usize;
                    let mut garbled = Asked { body: asked.body.clone(), ..asked };
                    garbled.body.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x10);
                    state.answer(&garbled)
                }
                (_, Some(wrong)) => {
                    let mut answer = state.answer(&asked);
                    let length = answer.body.len();
                    if wrong == Wrong::Flip && length > 0 {
                        let at = state.throw(length as u64) as usize;
                        answer.body[at] ^= 0x20;
                    }
                    answer
                }
                (None, None) => state.answer(&asked),
            };
            (wrong, answer)
        };
        let announced = answer.body.len();
        match wrong {
            Some(Wrong::DropAfterwards) => return Ok(()),
            Some(Wrong::Delay) => thread::sleep(Duration::from_millis(30)),
            Some(Wrong::Cut | Wrong::Short) => answer.body.truncate(announced / 2),
            _ => {}
        }
        let announced = if wrong == Some(Wrong::Short) { answer.body.len() } else { announced };
        let mut head = format!("HTTP/1.1 {} Status\r\nContent-Length: {announced}\r\n", answer.status);
        for (name, value) in &answer.headers {
            write!(head, "{name}: {value}\r\n").expect("a String takes every write");
        }
        out.write_all(format!("{head}\r\n").as_bytes())?;
        if line.starts_with("HEAD ") {
            continue;
        }
        out.write_all(&answer.body)?;
        if announced != answer.body.len() {
            return Ok(());
        }
    }
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect();
    let (method, path) = (method.to_owned(), decoded(path));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length: &String| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Asked { method, path, query, headers, body }))
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
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
    String::from_utf8(bytes).expect("names are UTF-8")
}
