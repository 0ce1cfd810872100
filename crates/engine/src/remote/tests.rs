//! Tests reader and writer against objects in memory, with whatever may happen to them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Gathered, Published, Reader, Remote, Writer,
    index::{self, Entry},
    keys::{PrivateKey, PublicKey},
    objects::{Counters, EachRead, Edit, Fault, Go, How, Listed, Objects, Parts, Put, Wanted},
    part::Body,
    reader::{Known, blob_name},
};
use crate::cache::{Blobs, Store};
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
};

/// Objects in memory. After `writes_left` writes, every write fails.
pub(super) struct Memory {
    pub(super) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    counters: Arc<Counters>,
    pub(super) writes_left: AtomicUsize,
}

impl Memory {
    /// Returns a shared cache in memory, and what it holds.
    pub(super) fn remote() -> (Arc<Remote>, Arc<Self>) {
        let counters = Arc::<Counters>::default();
        let (objects, writes_left) = (Mutex::default(), AtomicUsize::new(usize::MAX));
        let memory = Arc::new(Self { objects, counters: counters.clone(), writes_left });
        (Arc::new(Remote { name: "memory".to_owned(), objects: memory.clone(), counters }), memory)
    }
}

impl Objects for Memory {
    fn is_writable(&self) -> bool {
        true
    }

    fn read(&self, wanted: &[Wanted], each: &mut EachRead<'_>) {
        for (number, one) in wanted.iter().enumerate() {
            self.counters.read();
            let found = self.objects.lock().unwrap().get(&one.name).cloned();
            let part = |bytes: Vec<u8>| match &one.range {
                Some(range) => {
                    let place = |at: u64| (at as usize).min(bytes.len());
                    bytes[place(range.start)..place(range.end)].to_vec()
                }
                None => bytes,
            };
            if each(number, Ok(found.map(part))) == Go::Stop {
                return;
            }
        }
    }

    fn write(&self, objects: Vec<Put>) -> Result<(), Fault> {
        for Put { name, bytes, how } in objects {
            self.counters.write(bytes.len());
            let left = self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.map_err(|_| Fault("full".to_owned()))?;
            let mut there = self.objects.lock().unwrap();
            match how {
                How::IfAbsent => drop(there.entry(name).or_insert(bytes)),
                How::Replace => drop(there.insert(name, bytes)),
            }
        }
        Ok(())
    }

    fn send(&self, name: &str, bytes: u64, parts: &mut Parts<'_>) -> Result<(), Fault> {
        let bytes = parts(bytes as usize)?;
        self.write(vec![Put { name: name.to_owned(), bytes, how: How::Replace }])
    }

    fn update(&self, name: &str, edit: &mut Edit<'_>) -> Result<(), Fault> {
        self.counters.read();
        let old = self.objects.lock().unwrap().get(name).cloned();
        let puts = edit(old).map(|bytes| Put { name: name.to_owned(), bytes, how: How::Replace });
        self.write(puts.into_iter().collect())
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), Fault> {
        for (name, bytes) in self.objects.lock().unwrap().iter().filter(|(name, _)| name.starts_with(prefix)) {
            each(Listed { name: name.clone(), bytes: bytes.len() as u64, changed_ns: 0 });
        }
        Ok(())
    }

    fn remove(&self, names: &[String]) -> Result<(), Fault> {
        names.iter().for_each(|name| drop(self.objects.lock().unwrap().remove(name)));
        Ok(())
    }
}

/// A shared cache in memory, and the machine that publishes to it.
struct Team {
    memory: Arc<Memory>,
    remote: Arc<Remote>,
    key: PrivateKey,
    store: Store,
    folder: tempfile::TempDir,
}

impl Team {
    fn new() -> Self {
        let (remote, memory) = Memory::remote();
        Self::of(memory.clone(), memory, remote.counters.clone())
    }

    /// A team whose shared cache is not in `memory`.
    fn of(objects: Arc<dyn Objects>, memory: Arc<Memory>, counters: Arc<Counters>) -> Self {
        let remote = Arc::new(Remote { name: "memory".to_owned(), objects, counters });
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        Self { memory, remote, key: PrivateKey::generate("team").unwrap(), store, folder }
    }

    fn trusted(&self) -> HashSet<PublicKey> {
        HashSet::from([self.key.public()])
    }

    /// Publishes scopes, each with one action whose outcome names one small and one large blob.
    fn publish(&self, names: &[&str], is_interrupted: &dyn Fn() -> bool) -> Result<(), Fault> {
        let scopes = names.iter().map(|name| (scope(name), vec![key(name)])).collect();
        let outcomes: BTreeMap<ActionKey, Gathered> = names
            .iter()
            .map(|name| {
                let blobs = blobs(name).map(|bytes| self.store.put(&bytes).unwrap()).to_vec();
                (key(name), Gathered { outcome: name.as_bytes().to_vec(), blobs })
            })
            .collect();
        let (trusted, known) = (self.trusted(), Known::default());
        let mut published = Published::read(self.folder.path());
        let (remote, key) = (self.remote.clone(), &self.key);
        let mut writer = Writer::new(remote, key, &trusted, &self.store, &mut published, &known, is_interrupted);
        writer.publish(&scopes, &|key| {
            let Gathered { outcome, blobs } = outcomes.get(key)?;
            Some(Gathered { outcome: outcome.clone(), blobs: blobs.clone() })
        })
    }

    fn reader(&self) -> (Reader, Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::alone(folder.path());
        (Reader::new(self.remote.clone(), self.trusted(), Some(store.clone())), store, folder)
    }

    /// Returns whether a machine without anything finds an outcome with both blobs. What it finds must be right.
    fn finds(&self, name: &str) -> bool {
        let (mut reader, store, _folder) = self.reader();
        reader.find(&[(key(name), scope(name))], &[]);
        let Some(outcome) = reader.outcome(&key(name)) else { return false };
        assert_eq!(outcome, name.as_bytes());
        let ids = blobs(name).map(|bytes| BlobId::of(&bytes));
        let absent: Vec<BlobId> = ids.iter().zip(store.has(&ids)).filter(|(_, has)| !has).map(|(id, _)| *id).collect();
        let got = reader.fetch(&absent);
        let is_whole = absent.iter().all(|id| got.contains(id));
        for bytes in blobs(name).iter().filter(|_| is_whole) {
            assert_eq!(*store.get(&BlobId::of(bytes)).unwrap(), *bytes);
        }
        is_whole
    }

    fn edit_index(&self, scope: &Digest, edit: impl FnOnce(&mut Vec<Entry>)) {
        let name = index::name(index::bucket(scope));
        let mut entries = index::decode(&self.object(&name));
        edit(&mut entries);
        self.set(name, index::encode(&entries));
    }

    fn entry(&self, scope: &Digest) -> Entry {
        let entries = index::decode(&self.object(&index::name(index::bucket(scope))));
        entries.into_iter().find(|entry| entry.scope == *scope).unwrap()
    }

    fn object(&self, name: &str) -> Vec<u8> {
        let mut found = None;
        self.remote.objects.read(&[Wanted { name: name.to_owned(), range: None }], &mut |_, read| {
            found = read.unwrap();
            Go::On
        });
        found.unwrap()
    }

    fn set(&self, name: String, bytes: Vec<u8>) {
        self.remote.objects.write(vec![Put { name, bytes, how: How::Replace }]).unwrap();
    }
}

fn scope(name: &str) -> Digest {
    Digest::of(format!("scope {name}").as_bytes())
}

fn key(name: &str) -> ActionKey {
    ActionKey::of(name.as_bytes())
}

/// A small blob, and one that does not compress and so travels alone.
fn blobs(name: &str) -> [Vec<u8>; 2] {
    let noise = (0..3000_u32).flat_map(|at| *Digest::of(format!("{name} {at}").as_bytes()).as_bytes());
    [format!("small {name}").into_bytes(), noise.collect()]
}

#[test]
fn what_is_published_is_found() {
    let team = Team::new();
    team.publish(&["a", "b"], &|| false).unwrap();
    assert!(team.finds("a") && team.finds("b") && !team.finds("c"));
    let before = team.remote.counters.requests();
    team.publish(&["a", "b"], &|| false).unwrap();
    assert_eq!(team.remote.counters.requests().writes, before.writes, "it is there");
    team.publish(&["c"], &|| false).unwrap();
    assert!(team.finds("a") && team.finds("b") && team.finds("c"));
}

#[test]
fn a_signed_result_is_not_taken_for_another_one() {
    a_replayed_result_is_refused(&Team::new());
}

/// Fails unless a team's shared cache refuses a result that is signed, in the place of another one, and counts it.
fn a_replayed_result_is_refused(team: &Team) {
    team.publish(&["a", "b"], &|| false).unwrap();
    // Whoever may write leads those who look for `b` to the signed part of `a`.
    let of_a = team.entry(&scope("a"));
    team.edit_index(&scope("b"), |entries| {
        entries.iter_mut().filter(|entry| entry.scope == scope("b")).for_each(|entry| {
            (entry.pack, entry.offset, entry.length) = (of_a.pack, of_a.offset, of_a.length);
        });
    });
    let (mut reader, _store, _folder) = team.reader();
    reader.find(&[(key("b"), scope("b")), (key("a"), scope("a"))], &[]);
    assert_eq!((reader.outcome(&key("b")), reader.outcome(&key("a"))), (None, Some(&b"a"[..])));
    assert_eq!((reader.refused().misplaced, reader.refused().all()), (1, 1));
}

#[test]
fn parts_that_others_have_signed_or_changed_are_refused() {
    let stranger = PrivateKey::generate("stranger").unwrap();
    let forged = |name: &str, signed_by: &PrivateKey| {
        let mut body = Body::new(scope(name));
        body.outcomes.push((key(name), b"wrong".to_vec()));
        body.signed(signed_by)
    };
    let team = Team::new();
    let own_name_on_it = {
        let mut part = forged("a", &stranger);
        let at = part.len() - 96;
        part[at..at + 32].copy_from_slice(team.key.public().as_bytes());
        part
    };
    let altered = {
        let mut part = forged("a", &team.key);
        let at = part.windows(5).position(|window| window == b"wrong").unwrap();
        part[at..at + 5].copy_from_slice(b"right");
        part
    };
    for (part, counts) in [
        (forged("a", &stranger), (0, 1, 0)),
        (own_name_on_it, (1, 0, 0)),
        (altered, (1, 0, 0)),
        (b"rubbish".to_vec(), (1, 0, 0)),
        (forged("b", &team.key), (0, 0, 1)),
    ] {
        let team = Team { key: PrivateKey::parse(&text_of(&team)).unwrap(), ..Team::new() };
        team.publish(&["a"], &|| false).unwrap();
        let pack = Digest::of(&part);
        let length = part.len() as u32;
        team.set(index::pack_name(&pack), part);
        team.edit_index(&scope("a"), |entries| {
            entries.iter_mut().for_each(|entry| (entry.pack, entry.offset, entry.length) = (pack, 0, length));
        });
        let (mut reader, _store, _folder) = team.reader();
        reader.find(&[(key("a"), scope("a"))], &[]);
        assert_eq!(reader.outcome(&key("a")), None);
        let refused = reader.refused();
        assert_eq!((refused.unsigned, refused.untrusted, refused.misplaced), counts);
    }
}

/// The text of a team's private key, so that another team can have it.
fn text_of(team: &Team) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    team.key.store(&path).unwrap();
    String::from_utf8(crate::system::read(&path).unwrap()).unwrap()
}

#[test]
fn a_writer_that_stops_anywhere_leaves_nothing_half_published() {
    for writes in 0.. {
        let team = Team::new();
        team.publish(&["a"], &|| false).unwrap();
        team.memory.writes_left.store(writes, Ordering::SeqCst);
        let ended = team.publish(&["a", "b", "c"], &|| false);
        team.memory.writes_left.store(usize::MAX, Ordering::SeqCst);
        assert!(team.finds("a"), "after {writes} writes");
        let found = [team.finds("b"), team.finds("c")];
        // The next one publishes the rest.
        team.publish(&["a", "b", "c"], &|| false).unwrap();
        assert!(team.finds("a") && team.finds("b") && team.finds("c"), "after {writes} writes");
        if ended.is_ok() {
            assert_eq!(found, [true, true]);
            break;
        }
    }
    let team = Team::new();
    team.publish(&["a"], &|| true).unwrap();
    assert!(!team.finds("a"), "interrupted before it began");
}

#[test]
fn ten_thousand_scopes_take_hundreds_of_requests() {
    let team = Team::new();
    let names: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let scopes: BTreeMap<Digest, Vec<ActionKey>> = names.iter().map(|name| (scope(name), vec![key(name)])).collect();
    let (trusted, known) = (team.trusted(), Known::default());
    let mut published = Published::default();
    let mut writer =
        Writer::new(team.remote.clone(), &team.key, &trusted, &team.store, &mut published, &known, &|| false);
    let outcome = vec![7; 200];
    writer.publish(&scopes, &|_| Some(Gathered { outcome: outcome.clone(), blobs: Vec::new() })).unwrap();
    let written = team.remote.counters.requests();
    assert!(written.all() < 800, "{written:?}");
    let (mut reader, _store, _folder) = team.reader();
    let wanted: Vec<_> = names.iter().map(|name| (key(name), scope(name))).collect();
    reader.find(&wanted, &[]);
    assert!(names.iter().all(|name| reader.outcome(&key(name)).is_some()));
    let read = team.remote.counters.requests().reads - written.reads;
    assert!(read < 270, "{read} requests");
    let (mut reader, _store, _folder) = team.reader();
    let before = team.remote.counters.requests().reads;
    reader.find(&wanted[..1], &[]);
    assert_eq!(team.remote.counters.requests().reads - before, 2, "an object of the index, and a part");
}

#[test]
fn a_damaged_large_blob_is_refused_and_replaced_by_the_next_writer() {
    let team = Team::new();
    team.publish(&["a"], &|| false).unwrap();
    let large = BlobId::of(&blobs("a")[1]);
    team.memory.objects.lock().unwrap().insert(blob_name(&large), b"rubbish".to_vec());
    assert!(!team.finds("a"));
    let (mut reader, _store, _folder) = team.reader();
    reader.find(&[(key("a"), scope("a"))], &[]);
    assert!(reader.fetch(&[large]).is_empty());
    let read = reader.finish();
    assert_eq!(read.refused.artifacts, 1);
    let trusted = team.trusted();
    let mut published = Published::read(team.folder.path());
    let mut writer =
        Writer::new(team.remote.clone(), &team.key, &trusted, &team.store, &mut published, &read.known, &|| false);
    let blobs = blobs("a").map(|bytes| team.store.put(&bytes).unwrap()).to_vec();
    let gather = |_: &ActionKey| Some(Gathered { outcome: b"a".to_vec(), blobs: blobs.clone() });
    writer.publish(&BTreeMap::from([(scope("a"), vec![key("a")])]), &gather).unwrap();
    assert!(team.finds("a"));
}

#[test]
#[cfg(feature = "bucket")]
fn what_is_published_in_a_bucket_is_found_and_a_replayed_result_refused() {
    let server = crate::source::bucket::server::BucketServer::start();
    let variables = server.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let counters = Arc::<Counters>::default();
    let objects = super::bucket::open_with("s3://team/cache", &variables, counters.clone());
    let team = Team::of(objects, Team::new().memory, counters);
    team.publish(&["c"], &|| false).unwrap();
    assert!(team.finds("c") && !team.finds("d"));
    a_replayed_result_is_refused(&team);
    assert!(server.objects().keys().all(|name| name.starts_with("cache/datac-cache-1/")));
}
