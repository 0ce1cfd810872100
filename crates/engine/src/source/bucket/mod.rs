//! Buckets of S3, Google Cloud Storage and Azure Blob Storage, by the crate `object_store`.
//!
//! The crate knows how each service signs requests, finds credentials and lists objects. How requests are sent is ours
//! (`transport.rs`): by the client that the Hub has, with its rules for addresses, its timeouts and its retries. Only this folder
//! names the crate.

mod address;
mod error;
mod transport;

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::StreamExt;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion, path::Path,
};
use tokio::{
    runtime::{self, Runtime},
    task::JoinSet,
};

use self::transport::Connector;
pub(crate) use self::{
    address::{BucketAddress, Service, Variables},
    error::BucketError,
};
use super::hub::{AskedObject, Limits};
use crate::system;

/// Number of requests at once.
const AT_ONCE: usize = 32;

/// Size of the pieces in which a body is sent, in bytes: whether a connection has stalled is seen by their number.
const PIECE: usize = 64 << 10;

/// Size of the parts in which large objects are read, in bytes.
pub(crate) const PART: u64 = 4 << 20;

/// Number of parts of one object that are read at once.
const PARTS_AT_ONCE: usize = 4;

/// Size of the parts in which large objects are sent, in bytes. Services ask for 5 MiB at least.
const SENT_PART: u64 = 8 << 20;

/// Number of parts of an object that is sent, of which services take 10,000 at most.
const MOST_PARTS: u64 = 9000;

/// Number of times that an object is read and changed before whoever changes it all the time is left alone.
const MOST_ROUNDS: u32 = 24;

/// A request to a bucket, for whoever counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BucketRequest {
    /// Reads an object or a part of one.
    Read,
    /// Writes an object of so many bytes.
    Write(usize),
    /// Lists objects.
    List,
    /// Removes objects.
    Remove,
}

/// Receives every attempt of a request, from the thread that waits for it.
pub(crate) type CountRequest = Arc<dyn Fn(BucketRequest) + Send + Sync>;

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketObject {
    /// Name below the address.
    pub(crate) name: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub(crate) changed_ns: i64,
    /// Entity tag, which another object of this name does not have.
    pub(crate) etag: Option<String>,
}

/// A bucket, or a folder in one.
pub(crate) struct Bucket {
    address: BucketAddress,
    store: Arc<dyn ObjectStore>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Otherwise a lookup of a host's name would be waited for, for as long as the system's resolver tries.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Bucket {
    /// Opens a bucket without a request. Objects of more than `most` bytes are not read. The error says in words what is wrong
    /// with the address or with the environment.
    pub(crate) fn open(
        address: BucketAddress,
        variables: &Variables,
        limits: Limits,
        most: u64,
        count: CountRequest,
    ) -> Result<Self, String> {
        let connector = Connector::new(address.service, variables, limits, most, count)?;
        let store = address.connect(variables, connector)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(Self { address, store, runtime: Some(runtime) })
    }

    /// Reads objects, several at a time, and calls `each` with the number of each and what came of it, until that returns false.
    pub(crate) fn get(
        &self,
        asked: &[AskedObject],
        each: &mut dyn FnMut(usize, Result<Option<Vec<u8>>, BucketError>) -> bool,
    ) {
        let task = |AskedObject { path, range }: &AskedObject| {
            let (store, path, range) = (self.store.clone(), self.path(path), range.clone());
            async move { Ok(read(&*store, &path?, range).await?.map(|(bytes, _)| bytes)) }
        };
        self.side_by_side(asked.iter().map(task), each);
    }

    /// Writes objects, several at a time, each only if there is none of that name, or in place of what is there. Returns the
    /// first error; other objects may have been written.
    pub(crate) fn put(&self, objects: Vec<(String, Vec<u8>)>, only_if_absent: bool) -> Result<(), BucketError> {
        let task = |(name, bytes): (String, Vec<u8>)| {
            let (store, path, payload) = (self.store.clone(), self.path(&name), in_pieces(bytes));
            async move {
                let path = path?;
                if only_if_absent {
                    match write(&*store, &path, payload.clone(), PutMode::Create).await {
                        // It is there, or another writer is about to write the same bytes.
                        Err(BucketError::Conflict) => return Ok(()),
                        // The name says what the bytes are, so writing them again changes nothing.
                        Err(BucketError::Unsupported) => {}
                        written => return written,
                    }
                }
                write(&*store, &path, payload, PutMode::Overwrite).await
            }
        };
        let mut first = Ok(());
        self.side_by_side(objects.into_iter().map(task), &mut |_, written| {
            first = written;
            first.is_ok()
        });
        first
    }

    /// Writes an object of `bytes` bytes in place of what is there: at once, or in parts if it is large. `parts` returns up to so many of
    /// the next bytes, none at the end; if it returns `None`, nothing is written.
    pub(crate) fn send(
        &self,
        name: &str,
        bytes: u64,
        parts: &mut dyn FnMut(usize) -> Option<Vec<u8>>,
    ) -> Result<(), BucketError> {
        let path = self.path(name)?;
        let size = SENT_PART.max(bytes.div_ceil(MOST_PARTS));
        // Of no part but the last the size may differ.
        let size = usize::try_from(size.next_multiple_of(PIECE as u64)).unwrap_or(usize::MAX);
        let mut next = || {
            let mut part = Vec::new();
            while part.len() < size {
                match parts(size - part.len())? {
                    more if more.is_empty() => break,
                    more if part.is_empty() => part = more,
                    more => part.extend_from_slice(&more),
                }
            }
            Some(part)
        };
        self.runtime().block_on(async {
            if bytes <= size as u64 {
                let Some(whole) = next() else { return Ok(()) };
                return write(&*self.store, &path, in_pieces(whole), PutMode::Overwrite).await;
            }
            let mut upload = self.store.put_multipart(&path).await.map_err(BucketError::of)?;
            match send_parts(&mut *upload, &mut next).await {
                // If an answer was lost, the upload may be done: the service then knows it no longer.
                Ok(true) => match upload.complete().await.map_err(BucketError::of) {
                    Ok(_) | Err(BucketError::Absent) => Ok(()),
                    Err(error) => Err(error),
                },
                // What is left of it costs storage, and can be seen by nobody.
                stopped => {
                    upload.abort().await.ok();
                    stopped.map(drop)
                }
            }
        })
    }

    /// Copies an object within the bucket. Returns false if the service does not do that, or not at once.
    pub(crate) fn copy(&self, from: &str, to: &str) -> bool {
        // Azure may answer before it has copied anything.
        if self.address.service == Service::Azure {
            return false;
        }
        let (Ok(from), Ok(to)) = (self.path(from), self.path(to)) else { return false };
        self.runtime().block_on(self.store.copy(&from, &to)).is_ok()
    }

    /// Replaces objects by what `edit` makes of them, by their numbers, several at a time. `edit` is asked with `None` if there is no
    /// such object, and leaves the object as it is by returning `None`. If another writer was faster, `edit` is asked again. Returns the
    /// number of bytes that were read.
    ///
    /// A service that cannot compare before it writes is written to all the same: what is lost then is found to be missing.
    pub(crate) fn update(
        &self,
        names: &[String],
        edit: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> Result<usize, BucketError> {
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect::<Result<_, _>>()?;
        self.runtime().block_on(async {
            let look = |number: usize, round: u32| look(self.store.clone(), paths[number].clone(), number, round);
            let (mut running, mut begun, mut received) = (JoinSet::new(), 0, 0);
            loop {
                while running.len() < AT_ONCE && begun < paths.len() {
                    running.spawn(look(begun, 0));
                    begun += 1;
                }
                let Some(ended) = running.join_next().await else { return Ok(received) };
                match ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))? {
                    Step::Read { number, round, old, mode } => {
                        received += old.as_ref().map_or(0, Vec::len);
                        let Some(new) = edit(number, old) else { continue };
                        let (store, path) = (self.store.clone(), paths[number].clone());
                        running.spawn(replace(store, path, number, round, in_pieces(new), mode));
                    }
                    Step::Late { number, round } if round == MOST_ROUNDS => {
                        let reason = format!("others change `{}` all the time (tried {round} times)", names[number]);
                        return Err(BucketError::Other(reason));
                    }
                    Step::Late { number, round } => drop(running.spawn(look(number, round))),
                    Step::Done => {}
                }
            }
        })
    }

    /// Calls `each` with every object below a folder.
    pub(crate) fn list(&self, folder: &str, each: &mut dyn FnMut(BucketObject)) -> Result<(), BucketError> {
        let (path, above) = (self.path(folder)?, self.path("")?);
        self.runtime().block_on(async {
            let mut objects = self.store.list(Some(&path));
            while let Some(object) = objects.next().await {
                let object = object.map_err(BucketError::of)?;
                let name = object.location.as_ref();
                let below = if above.is_root() { Some(name) } else { name.strip_prefix(above.as_ref()) };
                let Some(name) = below.map(|name| name.trim_start_matches('/').to_owned()) else { continue };
                let changed_ns = object.last_modified.timestamp_nanos_opt().unwrap_or(0);
                each(BucketObject { name, size: object.size, changed_ns, etag: object.e_tag });
            }
            Ok(())
        })
    }

    /// Looks for one object; `None` if there is none of that name.
    pub(crate) fn find(&self, name: &str) -> Result<Option<BucketObject>, BucketError> {
        let path = self.path(name)?;
        let found = self.runtime().block_on(self.store.head(&path)).map_err(BucketError::of);
        let object = match found {
            Err(BucketError::Absent) => return Ok(None),
            found => found?,
        };
        let changed_ns = object.last_modified.timestamp_nanos_opt().unwrap_or(0);
        Ok(Some(BucketObject { name: name.to_owned(), size: object.size, changed_ns, etag: object.e_tag }))
    }

    /// Reads an object of `size` bytes from `start` on in pieces, several at a time, and calls `each` with one after another, until
    /// that returns false. If the object does not have the entity tag, that is a conflict.
    pub(crate) fn download(
        &self,
        name: &str,
        etag: Option<&str>,
        bytes: Range<u64>,
        each: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), BucketError> {
        let path = self.path(name)?;
        let starts = (bytes.start..bytes.end).step_by(usize::try_from(PART).unwrap_or(usize::MAX));
        let pieces = starts.map(|start| {
            let (store, path, range) = (self.store.clone(), path.clone(), start..bytes.end.min(start + PART));
            let range = Some(GetRange::Bounded(range));
            let options = GetOptions { if_match: etag.map(str::to_owned), range, ..GetOptions::default() };
            async move { store.get_opts(&path, options).await?.bytes().await }
        });
        self.runtime().block_on(async {
            let mut pieces = futures_util::stream::iter(pieces).buffered(PARTS_AT_ONCE);
            while let Some(piece) = pieces.next().await {
                if !each(&piece.map_err(BucketError::of)?) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Removes objects; it is no error if some do not exist.
    pub(crate) fn remove(&self, names: &[String]) -> Result<(), BucketError> {
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect::<Result<_, _>>()?;
        self.runtime().block_on(async {
            let paths = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
            let mut removed = self.store.delete_stream(paths);
            let mut first = Ok(());
            while let Some(one) = removed.next().await {
                match one.map_err(BucketError::of) {
                    Err(error) if error != BucketError::Absent && first.is_ok() => first = Err(error),
                    _ => {}
                }
            }
            first
        })
    }

    fn path(&self, name: &str) -> Result<Path, BucketError> {
        let whole = [self.address.folder.as_str(), name].into_iter().filter(|part| !part.is_empty());
        let whole = whole.collect::<Vec<_>>().join("/");
        Path::parse(&whole).map_err(|error| BucketError::Other(format!("`{whole}` is no name of an object: {error}")))
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("a bucket has its runtime until it is dropped")
    }

    /// Runs tasks, several at a time, and calls `each` with the number of each and its result, until that returns false.
    fn side_by_side<T: Send + 'static>(
        &self,
        tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
        each: &mut dyn FnMut(usize, T) -> bool,
    ) {
        self.runtime().block_on(async {
            let (mut running, mut tasks) = (JoinSet::new(), tasks.enumerate());
            loop {
                while running.len() < AT_ONCE
                    && let Some((number, task)) = tasks.next()
                {
                    running.spawn(async move { (number, task.await) });
                }
                let Some(ended) = running.join_next().await else { return };
                let (number, result) = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                if !each(number, result) {
                    // Dropping the rest closes their connections.
                    return;
                }
            }
        });
    }
}

/// Reads an object or a part of one, with the version that it has; `None` if there is no such object.
async fn read(
    store: &dyn ObjectStore,
    path: &Path,
    range: Option<Range<u64>>,
) -> Result<Option<(Vec<u8>, UpdateVersion)>, BucketError> {
    let no_version = UpdateVersion { e_tag: None, version: None };
    if range.as_ref().is_some_and(|range| range.is_empty()) {
        return Ok(Some((Vec::new(), no_version)));
    }
    let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
    let found = match store.get_opts(path, options).await.map_err(BucketError::of) {
        Err(BucketError::Absent) => return Ok(None),
        Err(BucketError::EndsBefore) => return Ok(Some((Vec::new(), no_version))),
        found => found?,
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let bytes = found.bytes().await.map_err(BucketError::of)?;
    Ok(Some((bytes.into(), version)))
}

/// What has come of one request for an object that is updated. Rounds count the attempts that another writer has frustrated.
enum Step {
    /// It was read, and is to be written so.
    Read { number: usize, round: u32, old: Option<Vec<u8>>, mode: PutMode },
    /// Another writer was faster.
    Late { number: usize, round: u32 },
    /// It was written.
    Done,
}

async fn look(store: Arc<dyn ObjectStore>, path: Path, number: usize, round: u32) -> Result<Step, BucketError> {
    if round > 0 {
        tokio::time::sleep(pause(round)).await;
    }
    Ok(match read(&*store, &path, None).await? {
        Some((bytes, version)) => Step::Read { number, round, old: Some(bytes), mode: PutMode::Update(version) },
        None => Step::Read { number, round, old: None, mode: PutMode::Create },
    })
}

async fn replace(
    store: Arc<dyn ObjectStore>,
    path: Path,
    number: usize,
    round: u32,
    payload: PutPayload,
    mode: PutMode,
) -> Result<Step, BucketError> {
    let written = match write(&*store, &path, payload.clone(), mode).await {
        Err(BucketError::Unsupported) => write(&*store, &path, payload, PutMode::Overwrite).await,
        written => written,
    };
    match written {
        Err(BucketError::Conflict) => Ok(Step::Late { number, round: round + 1 }),
        written => written.map(|()| Step::Done),
    }
}

/// Sends all that `next` returns, several parts at once. Returns false if it returns `None`.
async fn send_parts(
    upload: &mut dyn MultipartUpload,
    next: &mut dyn FnMut() -> Option<Vec<u8>>,
) -> Result<bool, BucketError> {
    let (mut running, mut is_left) = (JoinSet::new(), true);
    loop {
        while is_left && running.len() < PARTS_AT_ONCE {
            let Some(part) = next() else { return Ok(false) };
            is_left = !part.is_empty();
            if is_left {
                running.spawn(upload.put_part(in_pieces(part)));
            }
        }
        let Some(ended) = running.join_next().await else { return Ok(true) };
        ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map_err(BucketError::of)?;
    }
}

async fn write(store: &dyn ObjectStore, path: &Path, payload: PutPayload, mode: PutMode) -> Result<(), BucketError> {
    store.put_opts(path, payload, mode.into()).await.map(|_| ()).map_err(BucketError::of)
}

fn in_pieces(bytes: Vec<u8>) -> PutPayload {
    let whole = PutPayload::from(bytes);
    whole
        .iter()
        .flat_map(|bytes| (0..bytes.len()).step_by(PIECE).map(|at| bytes.slice(at..bytes.len().min(at + PIECE))))
        .collect()
}

/// Returns the wait before an object is read again that another writer has changed. Writers that wait equally long would meet
/// again, so each waits a time of its own.
fn pause(round: u32) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 20 });
    let own = (system::now_ns() as u64 ^ u64::from(std::process::id())).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    SHORTEST.saturating_mul(1 << round.min(5)).mul_f64(0.5 + own as f64 / 1024.0)
}

/// A bucket in the test process.
#[cfg(test)]
#[path = "../../../../../tests/support/bucket.rs"]
pub(crate) mod server;
#[cfg(test)]
mod tests;
