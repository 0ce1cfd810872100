//! Adds to a shared cache what a build looked up: large blobs first, then packs, then the index, so that nothing names what is
//! not there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    FORMAT, PACK, PACKED, PART, Published, Remote,
    index::{self, Entry},
    keys::{PrivateKey, PublicKey},
    objects::{Fault, Go, How, Put, Wanted},
    part::Body,
    reader::{Known, blob_name},
    today,
};
use crate::cache::Store;
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
};

/// Size of blobs, in bytes, that are gathered before they are written together.
const AT_ONCE: usize = 32 << 20;

/// Adds outcomes and blobs to a shared cache.
pub(crate) struct Writer<'w> {
    remote: Arc<Remote>,
    key: &'w PrivateKey,
    trusted: &'w HashSet<PublicKey>,
    store: &'w Store,
    published: &'w mut Published,
    known: &'w Known,
    /// Returns whether to stop.
    is_interrupted: &'w dyn Fn() -> bool,
    /// Number of outcomes that were added.
    pub(crate) results: u64,
    /// Number of large blobs that were added.
    pub(crate) artifacts: u64,
    /// Large blobs that wait to be written.
    blobs: Vec<(BlobId, Put)>,
    blob_bytes: usize,
    /// Large blobs that are written or wait to be.
    seen: HashSet<BlobId>,
    pack: Vec<u8>,
    /// Parts of the pack that is being filled.
    parts: Vec<Entry>,
    /// Entries whose packs have been written.
    entries: Vec<Entry>,
}

/// An outcome with its blobs.
pub(crate) struct Gathered {
    pub(crate) outcome: Vec<u8>,
    pub(crate) blobs: Vec<BlobId>,
}

impl<'w> Writer<'w> {
    /// Creates a writer that signs with `key`.
    pub(crate) fn new(
        remote: Arc<Remote>,
        key: &'w PrivateKey,
        trusted: &'w HashSet<PublicKey>,
        store: &'w Store,
        published: &'w mut Published,
        known: &'w Known,
        is_interrupted: &'w dyn Fn() -> bool,
    ) -> Self {
        Self {
            remote,
            key,
            trusted,
            store,
            published,
            known,
            is_interrupted,
            results: 0,
            artifacts: 0,
            blobs: Vec::new(),
            blob_bytes: 0,
            seen: HashSet::new(),
            pack: Vec::new(),
            parts: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Adds the outcomes of scopes, unless they are there. `gather` returns an outcome with its blobs, if there is one.
    pub(crate) fn publish(
        &mut self,
        scopes: &BTreeMap<Digest, Vec<ActionKey>>,
        gather: &dyn Fn(&ActionKey) -> Option<Gathered>,
    ) -> Result<(), Fault> {
        let name = self.remote.name.clone();
        let mut wanted: Vec<(Digest, u64, &[ActionKey])> =
            scopes.iter().map(|(scope, keys)| (*scope, content_of(keys), keys.as_slice())).collect();
        let is_read = |scope: &Digest, content: u64| {
            self.known.publications.contains(&(*scope, content)) && self.known.broken.is_empty()
        };
        // If everything is as it was, not even the generation is asked for.
        let is_known = |scope: &Digest, content: u64| self.published.has_scope(&name, scope, content);
        let is_settled = wanted.iter().all(|(scope, content, _)| is_known(scope, *content) || is_read(scope, *content));
        if is_settled && self.known.broken.is_empty() {
            return Ok(());
        }
        let generation = self.generation()?;
        self.published.begin(&name, &generation);
        if self.known.broken.is_empty() {
            let buckets = self.buckets(&wanted.iter().map(|(scope, ..)| index::bucket(scope)).collect())?;
            let trusted: HashSet<[u8; 8]> = self.trusted.iter().map(index::signer).collect();
            let there: HashSet<(Digest, u64)> = buckets
                .values()
                .flatten()
                .filter(|entry| trusted.contains(&entry.signer))
                .map(|entry| (entry.scope, entry.content))
                .collect();
            for (scope, content, _) in &wanted {
                if there.contains(&(*scope, *content)) || self.known.publications.contains(&(*scope, *content)) {
                    self.published.note_scope(&name, *scope, *content);
                }
            }
            wanted.retain(|(scope, content, _)| !self.published.has_scope(&name, scope, *content));
        }
        let mut done = Vec::new();
        for (scope, content, keys) in wanted {
            if (self.is_interrupted)() {
                // What is in packs that nothing names is as if it were not there.
                return Ok(());
            }
            if self.add(scope, content, keys, gather)? {
                done.push((scope, content));
            }
        }
        self.write_blobs()?;
        self.write_pack()?;
        self.write_index()?;
        for (scope, content) in done {
            self.published.note_scope(&name, scope, content);
        }
        Ok(())
    }

    /// Returns the generation of the shared cache, and begins one if there is none.
    fn generation(&self) -> Result<String, Fault> {
        let name = state_name();
        if let Some(generation) = read_one(&self.remote, &name)? {
            return Ok(generation);
        }
        let begun = new_generation();
        self.remote.objects.write(vec![Put { name: name.clone(), bytes: begun.into_bytes(), how: How::IfAbsent }])?;
        // Somebody else may have begun it at the same moment.
        read_one(&self.remote, &name)?.ok_or_else(|| Fault(format!("`{name}` was written and is not there")))
    }

    /// Returns objects of the index, as they were read a moment ago or as they are.
    fn buckets(&self, numbers: &BTreeSet<u8>) -> Result<HashMap<u8, Vec<Entry>>, Fault> {
        let known = |number: &u8| Some((*number, self.known.buckets.get(number)?.clone()));
        let mut found: HashMap<u8, Vec<Entry>> = numbers.iter().filter_map(known).collect();
        let numbers: Vec<u8> = numbers.iter().copied().filter(|number| !found.contains_key(number)).collect();
        let wanted: Vec<Wanted> =
            numbers.iter().map(|number| Wanted { name: index::name(*number), range: None }).collect();
        let mut fault = None;
        self.remote.objects.read(&wanted, &mut |number, read| match read {
            Ok(bytes) => {
                found.insert(numbers[number], bytes.map(|bytes| index::decode(&bytes)).unwrap_or_default());
                Go::On
            }
            Err(error) => {
                fault = Some(error);
                Go::Stop
            }
        });
        fault.map_or(Ok(found), Err)
    }

    /// Adds the outcomes of a scope to the pack. Returns whether there were any.
    fn add(
        &mut self,
        scope: Digest,
        content: u64,
        keys: &[ActionKey],
        gather: &dyn Fn(&ActionKey) -> Option<Gathered>,
    ) -> Result<bool, Fault> {
        let mut body = Body::new(scope);
        let (mut has_any, mut framed) = (false, HashSet::new());
        'keys: for key in keys {
            let Some(Gathered { outcome, blobs }) = gather(key) else { continue };
            let (mut frames, mut large) = (Vec::new(), Vec::new());
            for id in blobs.iter().filter(|id| !framed.contains(*id)) {
                let is_there = self.known.blobs.contains(id) || self.published.has_blob(&self.remote.name, id);
                let is_there = is_there && !self.known.broken.contains(&blob_name(id));
                if is_there || self.seen.contains(id) {
                    large.push(*id);
                    continue;
                }
                match self.store.frame(id) {
                    Some(frame) => frames.push((*id, frame)),
                    // Without all of its blobs an outcome is of no use to others.
                    None => continue 'keys,
                }
            }
            for (id, frame) in frames {
                if frame.len() <= PACKED {
                    framed.insert(id);
                    body.frames.push((id, frame));
                } else if (frame.len() as u64) < super::LARGEST {
                    self.add_blob(id, frame)?;
                    large.push(id);
                } else {
                    continue 'keys;
                }
            }
            body.large.extend(large);
            body.outcomes.push((*key, outcome));
            self.results += 1;
            has_any = true;
            if body.bytes() >= PART {
                self.add_part(std::mem::replace(&mut body, Body::new(scope)), content)?;
            }
        }
        if !body.outcomes.is_empty() {
            self.add_part(body, content)?;
        }
        Ok(has_any)
    }

    fn add_blob(&mut self, id: BlobId, frame: Vec<u8>) -> Result<(), Fault> {
        let name = blob_name(&id);
        let how = if self.known.broken.contains(&name) { How::Replace } else { How::IfAbsent };
        self.seen.insert(id);
        self.blob_bytes += frame.len();
        self.blobs.push((id, Put { name, bytes: frame, how }));
        if self.blob_bytes >= AT_ONCE { self.write_blobs() } else { Ok(()) }
    }

    fn write_blobs(&mut self) -> Result<(), Fault> {
        self.blob_bytes = 0;
        if self.blobs.is_empty() {
            return Ok(());
        }
        let (ids, blobs): (Vec<BlobId>, Vec<Put>) = self.blobs.drain(..).unzip();
        self.remote.objects.write(blobs)?;
        self.artifacts += ids.len() as u64;
        ids.iter().for_each(|id| self.published.note_blob(&self.remote.name, id));
        Ok(())
    }

    fn add_part(&mut self, body: Body, content: u64) -> Result<(), Fault> {
        let scope = body.scope;
        let part = body.signed(self.key);
        let place = |bytes: usize| u32::try_from(bytes).map_err(|_| Fault("a part is too large".to_owned()));
        self.parts.push(Entry {
            scope,
            pack: Digest::of(b""),
            offset: place(self.pack.len())?,
            length: place(part.len())?,
            signer: index::signer(&self.key.public()),
            content,
            day: today(),
        });
        self.pack.extend_from_slice(&part);
        if self.pack.len() >= PACK { self.write_pack() } else { Ok(()) }
    }

    fn write_pack(&mut self) -> Result<(), Fault> {
        let bytes = std::mem::take(&mut self.pack);
        if bytes.is_empty() {
            return Ok(());
        }
        let pack = Digest::of(&bytes);
        let name = index::pack_name(&pack);
        let how = if self.known.broken.contains(&name) { How::Replace } else { How::IfAbsent };
        self.remote.objects.write(vec![Put { name, bytes, how }])?;
        self.entries.extend(self.parts.drain(..).map(|part| Entry { pack, ..part }));
        Ok(())
    }

    /// Adds the entries to the index.
    fn write_index(&mut self) -> Result<(), Fault> {
        let mut new: BTreeMap<u8, Vec<Entry>> = BTreeMap::new();
        for entry in std::mem::take(&mut self.entries) {
            new.entry(index::bucket(&entry.scope)).or_default().push(entry);
        }
        let (names, new): (Vec<String>, Vec<Vec<Entry>>) =
            new.into_iter().map(|(number, entries)| (index::name(number), entries)).unzip();
        self.remote.objects.update_all(&names, &mut |number, old| {
            let mut old = old.map(|bytes| index::decode(&bytes)).unwrap_or_default();
            // What was refused is named no more.
            old.retain(|entry| !self.known.broken.contains(&index::pack_name(&entry.pack)));
            Some(index::encode(&index::merge(old, &new[number])))
        })
    }
}

/// Returns the name of the object that holds the generation.
pub(super) fn state_name() -> String {
    format!("{FORMAT}/state")
}

/// Returns a generation that there has not been.
pub(super) fn new_generation() -> String {
    format!("{:x}-{}\n", crate::system::now_ns(), std::process::id())
}

pub(super) fn read_one(remote: &Remote, name: &str) -> Result<Option<String>, Fault> {
    let mut found = Ok(None);
    remote.objects.read(&[Wanted { name: name.to_owned(), range: None }], &mut |_, read| {
        found = read;
        Go::On
    });
    Ok(found?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// Returns what stands for a set of keys.
pub(super) fn content_of(keys: &[ActionKey]) -> u64 {
    let mut sorted: Vec<&ActionKey> = keys.iter().collect();
    sorted.sort_unstable();
    let mut hasher = datac_core::hash::Hasher::default();
    sorted.iter().for_each(|key| hasher.update(key.as_bytes()));
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finish().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
