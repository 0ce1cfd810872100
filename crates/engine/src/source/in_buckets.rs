//! Sources that are objects of buckets: `s3://bucket/folder/*.jsonl.zst`, `gs://…` and `az://…`.
//!
//! An address stands for the objects that a path of the workspace would stand for as files. `datac.lock` pins those that a dataset
//! entry reads, each by its entity tag and its digest. Only who has read an object knows its digest, so pinning fills the store of
//! downloads, and the build that follows reads nothing twice.

use super::{Asked, Bytes, Listing, Opening, RemoteFile, Source, SourceError};

/// What locks record as the hub of objects in buckets.
pub(crate) const BUCKET: &str = "bucket";

/// The objects of all buckets.
pub(crate) struct InBuckets {
    #[cfg(feature = "bucket")]
    reading: reading::Reading,
}

impl InBuckets {
    /// Creates the source, without a request.
    #[cfg_attr(not(feature = "bucket"), expect(unused_variables, reason = "nothing is opened"))]
    pub(crate) fn new(with: &Opening) -> Self {
        Self {
            #[cfg(feature = "bucket")]
            reading: reading::Reading::new(with),
        }
    }
}

#[cfg(feature = "bucket")]
impl Source for InBuckets {
    fn name(&self) -> String {
        BUCKET.to_owned()
    }

    /// Finds the objects that the selection wants, and reads those whose digests are not known.
    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        self.reading.resolve(asked)
    }

    fn open(&self, id: &str, _: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        self.reading.open(id, file)
    }
}

#[cfg(not(feature = "bucket"))]
impl Source for InBuckets {
    fn name(&self) -> String {
        BUCKET.to_owned()
    }

    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        Err(SourceError::NoBuckets { address: asked.source.to_owned() })
    }

    fn open(&self, _: &str, _: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        Err(SourceError::NoBuckets { address: file.path.clone() })
    }
}

#[cfg(feature = "bucket")]
mod reading {
    use std::{
        collections::{HashMap, HashSet},
        fs::File,
        io::{Seek, SeekFrom, Write},
        path::{Path, PathBuf},
        sync::{
            Arc, Mutex, PoisonError,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use crate::{
        event::{Event, Observer},
        source::{
            Asked, Bytes, FileDigest, Listing, Opening, RemoteFile, Selection, SourceError,
            bucket::{Bucket, BucketAddress, BucketError, BucketObject, PART, Variables},
            folder::commit_of,
            glob::{Glob, has_magic},
            http::event_of,
            hub::{DownloadEvent, Limits, MOST_RESTARTS, Store, matches},
            kind::{FileKind, is_data},
            local::{self, fixed_part, is_description},
        },
        system::{self, FileError},
    };
    use datac_core::{failure::SourceFault, id::FileHash};

    /// Number of objects that are read at once.
    const AT_ONCE: usize = 4;

    /// Bytes of objects that are read for a look at a source.
    const LOOKED_AT: u64 = 32 << 20;

    /// Reads objects of buckets.
    pub(super) struct Reading {
        /// The folder for downloads.
        store: PathBuf,
        offline: bool,
        is_look: bool,
        observer: Observer,
        /// Buckets by their addresses; each is opened once.
        buckets: Mutex<HashMap<String, Arc<Bucket>>>,
        /// What objects have been found to hold, by their names as long as that is not known. Several sources may share some.
        held: Mutex<HashMap<FileHash, Arc<Mutex<Option<FileDigest>>>>>,
    }

    /// An object that a dataset entry reads.
    struct Found {
        address: String,
        kind: FileKind,
        size: u64,
        etag: Option<Arc<str>>,
    }

    impl Reading {
        pub(super) fn new(with: &Opening) -> Self {
            let (store, observer) = (with.store.clone(), with.observer.clone());
            Self {
                store,
                offline: with.offline,
                is_look: with.is_look,
                observer,
                buckets: Mutex::default(),
                held: Mutex::default(),
            }
        }

        pub(super) fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
            let everything = Selection { paths: vec![asked.source.to_owned()], ..Selection::default() };
            let selection = asked.selection.unwrap_or(&everything);
            if self.offline {
                return Err(SourceError::Offline { what: format!("the names of the objects of `{}`", asked.source) });
            }
            let (mut found, mut passed_over) = (Vec::new(), Vec::new());
            for address in &selection.paths {
                self.select(address, selection, &mut found, &mut passed_over)?;
            }
            // An object that several addresses stand for is read once.
            let mut known = HashSet::new();
            found.retain(|object| known.insert(object.address.clone()));
            if self.is_look {
                self.keep_first(asked.source, &mut found);
            }
            let files = self.pin(&found, asked.known)?;
            Ok(Listing {
                id: asked.source.to_owned(),
                commit: Some(commit_of(&files)),
                files,
                selected: Some(found.into_iter().map(|object| object.kind).collect()),
                passed_over,
                ..Listing::default()
            })
        }

        pub(super) fn open(&self, source: &str, file: &RemoteFile) -> Result<Bytes, SourceError> {
            let tell = |event| (self.observer)(event_of(event));
            let store = Store { folder: &self.store, tell: &tell };
            let (bytes, path) = match store.trusted(file)? {
                Some(stored) => stored,
                None if self.offline => return Err(SourceError::Offline { what: format!("`{}`", file.path) }),
                None => store.admit(file, |part, path| self.fetch(Some(source), file, part, path))?,
            };
            Ok(Bytes::File(bytes, path))
        }

        /// Finds what an address stands for, in reading order, and what lies beside it.
        fn select(
            &self,
            address: &str,
            selection: &Selection,
            found: &mut Vec<Found>,
            passed_over: &mut Vec<String>,
        ) -> Result<(), SourceError> {
            let Selection { format, splits, data_dir, .. } = selection;
            let (root, path) = parts(address);
            let bucket = self.bucket(root)?;
            let failed = |error| refused(address, &error);
            let of = |object: &BucketObject, kind| Found {
                address: format!("{root}/{}", object.name),
                kind,
                size: object.size,
                etag: object.etag.as_deref().map(Into::into),
            };
            let is_pattern = has_magic(path);
            if !is_pattern && !path.is_empty() {
                // Without a body, a refusal does not say why; that of a listing does.
                let there = bucket.find(path).or_else(|error| bucket.list(path, &mut |_| {}).and(Err(error)));
                if let Some(object) = there.map_err(failed)? {
                    found.push(of(&object, local::named(address, *format, splits, data_dir)?));
                    return Ok(());
                }
            }
            let folder = if is_pattern { fixed_part(path) } else { path };
            let mut objects: Vec<BucketObject> = Vec::new();
            bucket.list(folder, &mut |object| objects.push(object)).map_err(failed)?;
            // As in a folder, hidden files are none. What tools leave in place of a folder is empty and has its name.
            let is_folder = |object: &BucketObject| object.size == 0 && !is_data(&object.name);
            let below = |object: &BucketObject| {
                let within = object.name.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
                (!within.is_empty() && !within.split('/').any(|part| part.starts_with('.'))).then(|| within.to_owned())
            };
            objects.retain(|object| !is_folder(object));
            let mut objects: Vec<(String, BucketObject)> =
                objects.into_iter().filter_map(|object| Some((below(&object)?, object))).collect();
            objects.sort_by(|(a, _), (b, _)| a.cmp(b));
            if is_pattern {
                if !data_dir.is_empty() {
                    let reason = format!("`{address}` is a pattern, so `data_dir:` cannot be used");
                    return Err(local::layout_fault_of(SourceFault::NoFolder, reason));
                }
                let glob = Glob::new(path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/'));
                let before = found.len();
                for (_, object) in objects.iter().filter(|(within, _)| glob.matches(within)) {
                    let whole = format!("{root}/{}", object.name);
                    found.push(of(object, local::named(&whole, *format, splits, &[])?));
                }
                if found.len() == before {
                    let reason = format!("no object matches `{address}`");
                    return Err(local::layout_fault_of(SourceFault::NotFound, reason));
                }
                return Ok(());
            }
            if objects.is_empty() {
                let reason = format!("`{address}` does not exist: there is no object of that name, and none below it");
                return Err(local::layout_fault_of(SourceFault::NotFound, reason));
            }
            let names: Vec<String> = objects.iter().map(|(within, _)| within.clone()).collect();
            let by_name: HashMap<&str, &BucketObject> =
                objects.iter().map(|(within, object)| (within.as_str(), object)).collect();
            let selected = local::within(&names, address, *format, splits, data_dir)?;
            let read: HashSet<&str> = selected.iter().map(|(within, _)| within.as_str()).collect();
            let beside = names.iter().filter(|within| !read.contains(within.as_str()) && !is_description(within));
            passed_over.extend(beside.map(|within| format!("{address}/{within}")));
            let object = |(within, kind): &(String, FileKind)| Some(of(by_name.get(within.as_str())?, *kind));
            found.extend(selected.iter().filter_map(object));
            Ok(())
        }

        /// Keeps the first objects, as far as a look at a source reads.
        fn keep_first(&self, source: &str, found: &mut Vec<Found>) {
            let mut bytes = 0;
            let all = found.len();
            found.retain(|object| {
                let is_kept = bytes < LOOKED_AT;
                bytes += object.size;
                is_kept
            });
            if found.len() < all {
                let words = format!("`{source}`: the first {} of {all} objects are looked at", found.len());
                (self.observer)(Event::Warning(words));
            }
        }

        /// Returns objects with their digests, and reads those of which none is known.
        fn pin(&self, found: &[Found], known: &[RemoteFile]) -> Result<Vec<RemoteFile>, SourceError> {
            let known: HashMap<(&str, u64, &str), FileDigest> = known
                .iter()
                .filter_map(|file| Some(((file.path.as_str(), file.size, file.etag.as_deref()?), file.digest)))
                .collect();
            let noted = Notes::read(&self.store);
            let one = |object: &Found| {
                let Found { address, size, etag, .. } = object;
                let as_known = || known.get(&(address.as_str(), *size, etag.as_deref()?)).copied();
                let file = |digest| RemoteFile { path: address.clone(), size: *size, digest, etag: etag.clone() };
                if let Some(digest) = as_known().or_else(|| noted.digest(object)) {
                    return Ok(file(digest));
                }
                // What is read in part is found again by this name.
                let name = name_of(object);
                let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone();
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(digest) = *held {
                    return Ok(file(digest));
                }
                let file = file(FileDigest::Blake3(name));
                let tell = |event| (self.observer)(event_of(event));
                let store = Store { folder: &self.store, tell: &tell };
                let pinned = store.admit_unknown(file.clone(), |part, path| self.fetch(None, &file, part, path))?;
                noted.add(object, &pinned);
                *held = Some(pinned.digest);
                Ok(pinned)
            };
            let (next, pinned) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(found.len())));
            thread::scope(|threads| {
                let work = || {
                    while let Some(object) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result: Result<RemoteFile, SourceError> = one(object);
                        if result.is_err() {
                            next.store(found.len(), Ordering::Relaxed);
                        }
                        pinned.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                };
                (0..AT_ONCE.min(found.len())).for_each(|_| drop(threads.spawn(work)));
            });
            let pinned = pinned.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut pinned: Vec<RemoteFile> = pinned.into_iter().collect::<Result<_, _>>()?;
            let places: HashMap<&str, usize> =
                found.iter().enumerate().map(|(at, object)| (object.address.as_str(), at)).collect();
            pinned.sort_by_key(|file| places.get(file.path.as_str()).copied());
            Ok(pinned)
        }

        /// Reads an object into a partial file, until that has its bytes: of one that is pinned for a source, those of its digest.
        fn fetch(
            &self,
            pinned_for: Option<&str>,
            file: &RemoteFile,
            part: &mut File,
            path: &Path,
        ) -> Result<(), SourceError> {
            let failed = |verb| move |source| FileError { verb, path: path.to_owned(), source };
            let tell = |event| (self.observer)(event_of(event));
            let (root, name) = parts(&file.path);
            let bucket = self.bucket(root)?;
            let mut restarts = 0;
            loop {
                // What a kill has left of a part may not be on the disk in order.
                let mut kept = system::stat_file(part, path)?.size / PART * PART;
                if kept > file.size {
                    kept = 0;
                }
                part.set_len(kept).and_then(|()| part.seek(SeekFrom::Start(kept))).map_err(failed("write"))?;
                tell(DownloadEvent::Started { path: file.path.clone(), size: file.size, kept });
                let (mut received, mut written) = (kept, Ok(()));
                let read = bucket.download(name, file.etag.as_deref(), kept..file.size, &mut |bytes| {
                    written = part.write_all(bytes);
                    received += bytes.len() as u64;
                    tell(DownloadEvent::Progress { path: file.path.clone(), size: file.size, received });
                    written.is_ok()
                });
                written.map_err(failed("write"))?;
                let become_of = match read {
                    Ok(()) if received == file.size => None,
                    Ok(()) | Err(BucketError::Conflict | BucketError::EndsBefore) => {
                        Some("the bucket has another object of this name")
                    }
                    Err(BucketError::Absent) => Some("the bucket has no object of this name"),
                    Err(error) => return Err(refused(&file.path, &error)),
                };
                match (become_of, pinned_for) {
                    (Some(reason), Some(source)) => {
                        part.set_len(0).map_err(failed("write"))?;
                        let (address, source) = (file.path.clone(), source.to_owned());
                        return Err(SourceError::NotThePinned { address, pinned_for: source, reason });
                    }
                    (Some(_), None) => {
                        part.set_len(0).map_err(failed("write"))?;
                        let reason = "the object was replaced while it was read".to_owned();
                        return Err(SourceError::Bucket { address: file.path.clone(), reason });
                    }
                    (None, None) => return Ok(()),
                    (None, Some(_)) if matches(part, file).map_err(failed("read"))? => return Ok(()),
                    (None, Some(source)) => {
                        part.set_len(0).map_err(failed("write"))?;
                        if restarts == MOST_RESTARTS {
                            let (repo, path, expected) =
                                (source.to_owned(), file.path.clone(), file.digest.to_string());
                            return Err(SourceError::Changed { repo, path, expected });
                        }
                        restarts += 1;
                        let reason = "its bytes are not the pinned ones".to_owned();
                        tell(DownloadEvent::Restarted { path: file.path.clone(), reason });
                    }
                }
            }
        }

        fn bucket(&self, root: &str) -> Result<Arc<Bucket>, SourceError> {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(bucket) = buckets.get(root) {
                return Ok(bucket.clone());
            }
            let bad = |reason: String| SourceError::Bucket { address: root.to_owned(), reason };
            let address = BucketAddress::parse(root).map_err(bad)?;
            let variables = Variables::of_process(address.service);
            // Objects are read in parts, and no part is larger.
            let bucket = Bucket::open(address, &variables, Limits::default(), PART, Arc::new(|_| {})).map_err(bad)?;
            let bucket = Arc::new(bucket);
            buckets.insert(root.to_owned(), bucket.clone());
            Ok(bucket)
        }
    }

    /// Returns the bucket of an address, and the name of what is meant in it.
    fn parts(address: &str) -> (&str, &str) {
        let begin = address.find("://").map_or(0, |at| at + 3);
        match address[begin..].find('/') {
            Some(end) => (&address[..begin + end], address[begin + end..].trim_matches('/')),
            None => (address, ""),
        }
    }

    fn refused(address: &str, error: &BucketError) -> SourceError {
        SourceError::Bucket { address: address.to_owned(), reason: error.to_string() }
    }

    /// Returns a name for what an object holds, as long as no digest is known.
    fn name_of(object: &Found) -> FileHash {
        let Found { address, size, etag, .. } = object;
        FileHash::of(format!("{address}\0{size}\0{}", etag.as_deref().unwrap_or_default()).as_bytes())
    }

    /// What the store of downloads knows of objects: empty files beside the downloads, whose names say which object each was.
    struct Notes<'s> {
        store: &'s Path,
        digests: HashMap<String, FileDigest>,
    }

    impl<'s> Notes<'s> {
        fn read(store: &'s Path) -> Self {
            let mut digests = HashMap::new();
            let names = system::names(store);
            for name in names.iter().filter_map(|name| name.to_str()) {
                if let Some((digest, object)) = name.strip_suffix(".etag").and_then(|name| name.split_once('.'))
                    && names.contains(std::ffi::OsStr::new(digest))
                    && let Ok(digest) = digest.replacen('-', ":", 1).parse()
                {
                    digests.insert(object.to_owned(), digest);
                }
            }
            Self { store, digests }
        }

        fn digest(&self, object: &Found) -> Option<FileDigest> {
            object.etag.as_ref().and_then(|_| self.digests.get(&name_of(object).to_string())).copied()
        }

        /// Notes what an object holds. An error is ignored: the object is then read again.
        fn add(&self, object: &Found, pinned: &RemoteFile) {
            let digest = pinned.digest.to_string().replace(':', "-");
            system::open_or_create(&self.store.join(format!("{digest}.{}.etag", name_of(object)))).ok();
        }
    }
}
