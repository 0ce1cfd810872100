//! Writes files to a repository of the Hub, in one commit.
//!
//! ```text
//! tree        which files are there, with their digests: only others are sent
//! preupload   which of these go to the storage, and which into the commit itself
//! batch       where the storage wants them (git LFS); nowhere, if it has them
//! PUT         the bytes: as a whole, or in parts
//! commit      one line for each file; only now anything can be seen
//! ```
//!
//! A commit names the one before, so nothing that somebody else has pushed meanwhile is lost. Xet is not used; the Hub takes
//! files by git LFS from those who do not speak it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{Client, Url, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    DATASETS, DownloadEvent, HttpHub,
    endpoint::authorization,
    errors::{About, Fault, read_body},
    listing, verify,
};
use crate::{
    source::{Asked, FileDigest, Listing, PushFile, PushedCommit, Pushing, Source, SourceError},
    system::{self, FileError},
};

/// Number of files that are asked about at once.
const AT_ONCE: usize = 256;

/// Number of bytes by which the Hub guesses what a file is.
const SAMPLE: u64 = 512;

/// Maximum size of all files that go into a commit itself, in bytes.
const MOST_IN_COMMIT: u64 = 64 << 20;

/// Maximum size of a response in bytes.
const LONGEST_ANSWER: usize = 32 << 20;

/// Maximum size of a part, in bytes.
const LARGEST_PART: u64 = 5 << 30;

/// How often an upload is looked after.
const TICK: Duration = Duration::from_millis(500);

/// What git LFS asks to be sent and answered.
const LFS: &str = "application/vnd.git-lfs+json";

/// A file that is not there yet.
struct New<'f> {
    file: &'f PushFile,
    sha256: [u8; 32],
}

/// A part of a file on its way to the storage.
struct Sending<'s> {
    about: &'s About<'s>,
    asked: &'s Pushing<'s>,
    file: &'s PushFile,
    range: std::ops::Range<u64>,
    url: Url,
    headers: header::HeaderMap,
}

/// A question before the upload.
#[derive(Serialize)]
struct Preupload<'a> {
    files: Vec<AskedFile<'a>>,
}

#[derive(Serialize)]
struct AskedFile<'a> {
    path: &'a str,
    size: u64,
    sample: String,
}

#[derive(Deserialize)]
struct Modes {
    files: Vec<Mode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    path: String,
    upload_mode: String,
    #[serde(default)]
    should_ignore: bool,
}

/// A question to the storage.
#[derive(Serialize)]
struct Batch<'a> {
    operation: &'a str,
    transfers: [&'a str; 2],
    hash_algo: &'a str,
    r#ref: Ref<'a>,
    objects: Vec<Object>,
}

#[derive(Serialize)]
struct Ref<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Object {
    oid: String,
    size: u64,
}

#[derive(Deserialize)]
struct Batched {
    objects: Vec<Answered>,
}

#[derive(Deserialize)]
struct Answered {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<LfsError>,
}

#[derive(Deserialize)]
struct LfsError {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, serde_json::Value>,
}

/// A line of a commit.
#[derive(Serialize)]
#[serde(tag = "key", content = "value", rename_all = "camelCase")]
enum Line<'a> {
    #[serde(rename_all = "camelCase")]
    Header {
        summary: &'a str,
        description: &'a str,
        parent_commit: &'a str,
    },
    File {
        content: String,
        path: &'a str,
        encoding: &'a str,
    },
    LfsFile {
        path: &'a str,
        algo: &'a str,
        oid: String,
        size: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    commit_oid: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl HttpHub {
    /// Writes files in one commit, but those that are there.
    pub(super) fn commit(&self, asked: &Pushing<'_>) -> Result<PushedCommit, SourceError> {
        let Pushing { repo, revision, files, .. } = *asked;
        let refused = |reason: &str| self.refused(repo, reason);
        if self.offline {
            return Err(refused("the network is disabled"));
        }
        if !listing::is_repo_id(repo, false) {
            return Err(SourceError::NoRepo { repo: repo.to_owned(), hub: self.name() });
        }
        if self.token.is_none() {
            return Err(SourceError::NoToken { repo: repo.to_owned(), hub: self.name() });
        }
        let there = self.resolve(&Asked::of(repo, Some(revision)))?;
        let parent = there.commit.clone().ok_or_else(|| refused("it has no commit to follow"))?;
        let new = lacking(&there, files)?;
        let sent: Vec<String> = new.iter().map(|new| new.file.path.clone()).collect();
        let mut pushed =
            PushedCommit { repo: there.id.clone(), commit: parent.clone(), is_new: false, sent, uploaded_bytes: 0 };
        if new.is_empty() || asked.dry_run {
            return Ok(pushed);
        }
        let id = there.id.as_str();
        let about = About { revision: Some(revision), ..self.about(id) };
        let (in_commit, in_storage) = self.modes(&about, revision, new).map_err(|error| self.writing(error))?;
        pushed.uploaded_bytes = self.store(&about, asked, &in_storage).map_err(|error| self.writing(error))?;
        let lines = lines(asked, &parent, &in_commit, &in_storage).map_err(|error| match error {
            Some(error) => error.into(),
            None => refused("a file has changed meanwhile"),
        })?;
        if (asked.is_interrupted)() {
            return Err(SourceError::Interrupted);
        }
        pushed.uploaded_bytes += in_commit.iter().map(|new| new.file.bytes).sum::<u64>();
        let url = self.endpoint.join(["api", DATASETS].into_iter().chain(id.split('/')).chain(["commit", revision]));
        let done: Result<Committed, SourceError> = self.post(&about, &url, "application/x-ndjson", None, &lines);
        match done {
            Ok(Committed { commit_oid }) if listing::is_commit(&commit_oid) => {
                Ok(PushedCommit { commit: commit_oid, is_new: true, ..pushed })
            }
            Ok(_) => Err(self.writing(malformed(&about, "what it names as the commit is none"))),
            Err(error @ SourceError::Conflict { .. }) => {
                // The answer to a commit that was made may have been lost, and a repeated one comes too late.
                let now = self.resolve(&Asked::of(repo, Some(revision)))?;
                match (lacking(&now, files)?.is_empty(), now.commit) {
                    (true, Some(commit)) => Ok(PushedCommit { commit, is_new: true, ..pushed }),
                    _ => Err(error),
                }
            }
            Err(error) => Err(self.writing(error)),
        }
    }

    fn refused(&self, repo: &str, reason: &str) -> SourceError {
        SourceError::Refused { repo: repo.to_owned(), hub: self.endpoint.name().to_owned(), reason: reason.to_owned() }
    }

    /// Returns an error of reading as one of writing.
    fn writing(&self, error: SourceError) -> SourceError {
        match error {
            SourceError::Unavailable { repo, hub, reason } | SourceError::Malformed { repo, hub, reason } => {
                SourceError::Refused { repo, hub, reason }
            }
            SourceError::BadToken { repo } => self.refused(&repo, "the token was rejected"),
            SourceError::Gated { repo } => self.refused(&repo, "access must be requested from its owner"),
            other => other,
        }
    }

    /// Sends a body and reads the JSON that answers it.
    fn post<T: DeserializeOwned>(
        &self,
        about: &About<'_>,
        url: &Url,
        kind: &'static str,
        accept: Option<&'static str>,
        body: &[u8],
    ) -> Result<T, SourceError> {
        let body = Bytes::copy_from_slice(body);
        self.persist(about, async || {
            let mut request = self.client.post(url.clone()).headers(authorization(about.token));
            request = request.header(header::CONTENT_TYPE, kind).body(body.clone());
            if let Some(accept) = accept {
                request = request.header(header::ACCEPT, accept);
            }
            let response = request.send().await.map_err(|error| about.transport(&error))?;
            if matches!(response.status().as_u16(), 409 | 412) {
                return Err(Fault::Final(SourceError::Conflict { repo: about.repo.to_owned() }));
            }
            let answer = about.success(response).await?;
            let answer = read_body(answer, LONGEST_ANSWER).await.map_err(|error| match error {
                Some(error) => about.transport(&error),
                None => about.malformed("its answer is too long"),
            })?;
            serde_json::from_slice(&answer)
                .map_err(|error| about.malformed(&format!("its answer is not as expected: {error}")))
        })
    }

    /// Asks which files go into the commit itself, and which to the storage.
    fn modes<'f>(
        &self,
        about: &About<'_>,
        revision: &str,
        new: Vec<New<'f>>,
    ) -> Result<(Vec<New<'f>>, Vec<New<'f>>), SourceError> {
        let path = ["api", DATASETS].into_iter().chain(about.repo.split('/')).chain(["preupload", revision]);
        let url = self.endpoint.join(path);
        let mut modes: BTreeMap<String, Mode> = BTreeMap::new();
        for some in new.chunks(AT_ONCE) {
            let mut files = Vec::with_capacity(some.len());
            for new in some {
                let sample = STANDARD.encode(part(new.file, 0..SAMPLE.min(new.file.bytes))?);
                files.push(AskedFile { path: &new.file.path, size: new.file.bytes, sample });
            }
            let asked = serde_json::to_vec(&Preupload { files }).expect("a question is plain data");
            let answer: Modes = self.post(about, &url, "application/json", None, &asked)?;
            modes.extend(answer.files.into_iter().map(|mode| (mode.path.clone(), mode)));
        }
        let (mut in_commit, mut in_storage) = (Vec::new(), Vec::new());
        for new in new {
            let path = &new.file.path;
            match modes.get(path) {
                Some(mode) if mode.should_ignore => {
                    return Err(self.refused(about.repo, &format!("its `.gitignore` leaves out `{path}`")));
                }
                // What is empty cannot be stored.
                Some(mode) if mode.upload_mode == "regular" || new.file.bytes == 0 => in_commit.push(new),
                Some(mode) if mode.upload_mode == "lfs" => in_storage.push(new),
                _ => return Err(malformed(about, &format!("it does not say how to send `{path}`"))),
            }
        }
        let sum: u64 = in_commit.iter().map(|new| new.file.bytes).sum();
        if sum > MOST_IN_COMMIT {
            return Err(malformed(about, &format!("it wants {sum} bytes in a commit")));
        }
        Ok((in_commit, in_storage))
    }

    /// Stores files, but those that the storage has. Returns the number of bytes that were sent.
    fn store(&self, about: &About<'_>, asked: &Pushing<'_>, files: &[New<'_>]) -> Result<u64, SourceError> {
        let mut uploaded = 0;
        let whole = about.repo.rsplit_once('/');
        let (owner, name) = whole.ok_or_else(|| malformed(about, "it names a repository without an owner"))?;
        let name = format!("{name}.git");
        let url = self.endpoint.join([DATASETS, owner, &name, "info", "lfs", "objects", "batch"]);
        for some in files.chunks(AT_ONCE) {
            let objects = some.iter().map(|new| Object { oid: hex(&new.sha256), size: new.file.bytes }).collect();
            let (transfers, r#ref) = (["basic", "multipart"], Ref { name: asked.revision });
            let batch = Batch { operation: "upload", transfers, hash_algo: "sha256", r#ref, objects };
            let batch = serde_json::to_vec(&batch).expect("a question is plain data");
            let answer: Batched = self.post(about, &url, LFS, Some(LFS), &batch)?;
            let answers: BTreeMap<String, Answered> =
                answer.objects.into_iter().map(|object| (object.oid.clone(), object)).collect();
            for new in some {
                let path = &new.file.path;
                let answer = answers.get(&hex(&new.sha256));
                let answer =
                    answer.ok_or_else(|| malformed(about, &format!("it does not say where to send `{path}`")))?;
                if let Some(error) = &answer.error {
                    let reason = format!("the storage does not take `{path}`: {}", error.message);
                    return Err(about.unavailable(&reason));
                }
                let Some(actions) = &answer.actions else { continue };
                if let Some(upload) = &actions.upload {
                    self.upload(about, asked, new, upload)?;
                    uploaded += new.file.bytes;
                }
                if let Some(verify) = &actions.verify {
                    let object = Object { oid: hex(&new.sha256), size: new.file.bytes };
                    let object = serde_json::to_vec(&object).expect("a question is plain data");
                    self.tell_storage(about, verify, &object)?;
                }
            }
        }
        Ok(uploaded)
    }

    /// Sends a file to where the storage wants it, as a whole or in parts.
    fn upload(
        &self,
        about: &About<'_>,
        asked: &Pushing<'_>,
        new: &New<'_>,
        upload: &Action,
    ) -> Result<(), SourceError> {
        let size = new.file.bytes;
        let number = |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let Some(chunk) = upload.header.get("chunk_size") else {
            let url = self.address(about, &upload.href)?;
            let headers = self.headers(about, &url, &upload.header);
            self.put(&Sending { about, asked, file: new.file, range: 0..size, url, headers })?;
            return Ok(());
        };
        let wrong = || malformed(about, "its addresses for the parts of a file are not as expected");
        let chunk = number(chunk).filter(|chunk| (1..=LARGEST_PART).contains(chunk)).ok_or_else(wrong)?;
        let parts: BTreeMap<u64, &str> =
            upload.header.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.as_str()?))).collect();
        if parts.len() as u64 != size.div_ceil(chunk) {
            return Err(wrong());
        }
        let mut done = Vec::with_capacity(parts.len());
        for (at, (number, href)) in parts.into_iter().enumerate() {
            let start = at as u64 * chunk;
            let range = start..size.min(start + chunk);
            // The address of a part is signed, and wants nothing else.
            let (url, headers) = (self.address(about, href)?, header::HeaderMap::new());
            let etag = self.put(&Sending { about, asked, file: new.file, range, url, headers })?;
            let etag = etag.ok_or_else(|| malformed(about, "the storage does not say what it has stored"))?;
            done.push(serde_json::json!({ "partNumber": number, "etag": etag }));
        }
        let complete = serde_json::json!({ "oid": hex(&new.sha256), "parts": done }).to_string();
        let upload = Action { href: upload.href.clone(), header: BTreeMap::new() };
        self.tell_storage(about, &upload, complete.as_bytes())
    }

    /// Parses an address that the storage gave: https, or on this machine if the hub is.
    fn address(&self, about: &About<'_>, href: &str) -> Result<Url, SourceError> {
        let url = Url::parse(href).ok().filter(|url| self.endpoint.may_lead_to(url));
        url.ok_or_else(|| malformed(about, "it names an address for files that is not https"))
    }

    /// Returns the headers that the storage asks for. Only the hub itself is shown the token.
    fn headers(&self, about: &About<'_>, url: &Url, asked: &BTreeMap<String, serde_json::Value>) -> header::HeaderMap {
        let token = about.token.filter(|_| self.endpoint.is_origin_of(url));
        let mut headers = authorization(token);
        for (name, value) in asked {
            let name = header::HeaderName::from_bytes(name.as_bytes());
            let value = value.as_str().and_then(|value| header::HeaderValue::from_str(value).ok());
            if let (Ok(name), Some(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Tells the storage something about an object, and reads no more than whether it agrees.
    fn tell_storage(&self, about: &About<'_>, action: &Action, body: &[u8]) -> Result<(), SourceError> {
        let url = self.address(about, &action.href)?;
        let mut headers = self.headers(about, &url, &action.header);
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(LFS));
        headers.insert(header::ACCEPT, header::HeaderValue::from_static(LFS));
        let body = Bytes::copy_from_slice(body);
        self.persist(about, async || {
            let request = self.client.post(url.clone()).headers(headers.clone()).body(body.clone());
            let response = request.send().await.map_err(|error| about.transport(&error))?;
            about.success(response).await.map(drop)
        })
    }

    /// Sends a part of a file, and returns the tag that it was stored under.
    fn put(&self, sending: &Sending<'_>) -> Result<Option<String>, SourceError> {
        let Sending { about, asked, file, .. } = *sending;
        // How long a body may take depends on its size: what is waited for is progress.
        let limits = super::Limits { idle: Duration::from_secs(24 * 3600), ..self.limits };
        let client = self.endpoint.client(&limits).map_err(|error| about.unavailable(&error.to_string()))?;
        let mut pauses = self.limits.pauses();
        loop {
            if (asked.is_interrupted)() {
                return Err(SourceError::Interrupted);
            }
            match self.runtime.block_on(self.try_put(sending, &client)) {
                Ok(etag) => return Ok(etag),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Transient { reason, after }) => {
                    self.pause(&mut pauses, about, &file.path, reason, after)?;
                }
                Err(Fault::Unreachable { reason } | Fault::Spoiled { reason }) => {
                    self.pause(&mut pauses, about, &file.path, reason, None)?;
                }
            }
        }
    }

    async fn try_put(&self, sending: &Sending<'_>, client: &Client) -> Result<Option<String>, Fault> {
        let Sending { about, asked, file, range, url, headers } = sending;
        let failed = |error: FileError| Fault::Final(error.into());
        let (sent, length) = (Arc::<AtomicU64>::default(), range.end - range.start);
        let mut source = system::open(&file.local).map_err(failed)?;
        let seek = source.seek(SeekFrom::Start(range.start));
        seek.map_err(|source| failed(FileError { verb: "read", path: file.local.clone(), source }))?;
        let body = FilePart { source, left: length, sent: sent.clone() };
        let request = client.put(url.clone()).headers(headers.clone()).header(header::CONTENT_LENGTH, length);
        let mut answer = pin!(request.body(reqwest::Body::wrap(body)).send());
        let (mut before, mut quiet) = (0, Duration::ZERO);
        let response = loop {
            match tokio::time::timeout(TICK, answer.as_mut()).await {
                Ok(answer) => break answer.map_err(|error| about.transport(&error))?,
                Err(_) if (asked.is_interrupted)() => return Err(Fault::Final(SourceError::Interrupted)),
                Err(_) => quiet += TICK,
            }
            let now = sent.load(Ordering::Relaxed);
            if now != before {
                (before, quiet) = (now, Duration::ZERO);
                let (path, size, received) = (file.path.clone(), file.bytes, range.start + now);
                (self.progress)(DownloadEvent::Progress { path, size, received });
            }
            // Once all is sent, the storage may have to put it together.
            if quiet >= if now == length { self.limits.answer } else { self.limits.idle } {
                return Err(Fault::transient("no answer in time"));
            }
        };
        let response = about.success(response).await?;
        Ok(response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned))
    }
}

/// A part of a file as the body of a request.
struct FilePart {
    source: File,
    left: u64,
    sent: Arc<AtomicU64>,
}

impl http_body::Body for FilePart {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        const AT_A_TIME: u64 = 256 << 10;
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = vec![0; self.left.min(AT_A_TIME) as usize];
        // Nothing else runs on this thread.
        if let Err(error) = self.source.read_exact(&mut bytes) {
            return Poll::Ready(Some(Err(error)));
        }
        self.left -= bytes.len() as u64;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(http_body::Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}

fn malformed(about: &About<'_>, reason: &str) -> SourceError {
    match about.malformed(reason) {
        Fault::Final(error) => error,
        _ => about.unavailable(reason),
    }
}

/// Returns the files that a listing lacks, or has with other bytes.
fn lacking<'f>(there: &Listing, files: &'f [PushFile]) -> Result<Vec<New<'f>>, SourceError> {
    let mut new = Vec::new();
    for file in files {
        let known = there.files.iter().find(|known| known.path == file.path && known.size == file.bytes);
        if let Some(known) = known
            && verify::digest_of(&file.local, known.digest)? == known.digest
        {
            continue;
        }
        let FileDigest::Sha256(sha256) = verify::digest_of(&file.local, FileDigest::Sha256([0; 32]))? else {
            unreachable!("a digest is of the kind that was asked for")
        };
        new.push(New { file, sha256 });
    }
    Ok(new)
}

fn part(file: &PushFile, range: std::ops::Range<u64>) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError { verb: "read", path: file.local.clone(), source };
    let mut source = system::open(&file.local)?;
    source.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    let mut bytes = Vec::new();
    source.take(range.end - range.start).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Returns the lines of a commit; the error is `None` if a file has changed since it was hashed.
fn lines(
    asked: &Pushing<'_>,
    parent: &str,
    in_commit: &[New<'_>],
    in_storage: &[New<'_>],
) -> Result<Vec<u8>, Option<FileError>> {
    let mut lines = Vec::new();
    let mut add = |line: &Line<'_>| {
        serde_json::to_writer(&mut lines, line).expect("a line is plain data");
        lines.push(b'\n');
    };
    add(&Line::Header { summary: asked.summary, description: "", parent_commit: parent });
    for new in in_commit {
        let bytes = part(new.file, 0..new.file.bytes)?;
        if verify::sha256(&bytes) != new.sha256 {
            return Err(None);
        }
        add(&Line::File { content: STANDARD.encode(bytes), path: &new.file.path, encoding: "base64" });
    }
    for new in in_storage {
        add(&Line::LfsFile { path: &new.file.path, algo: "sha256", oid: hex(&new.sha256), size: new.file.bytes });
    }
    Ok(lines)
}
