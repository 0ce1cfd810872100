//! Reads a shared cache: finds outcomes by their scopes, and fetches blobs into the local store.
//!
//! Nothing is handed out unverified: outcomes come from parts that a trusted key has signed, blobs have the BLAKE3 that names
//! them. Whatever fails that is counted and is as if it were not there. After a fault, nothing more is asked.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    FORMAT, Remote,
    index::{self, Entry},
    keys::PublicKey,
    objects::{Fault, Go, Wanted},
    part::{Body, Doubt},
    report::Refused,
};
use crate::cache::Store;
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
};

/// Number of unwanted bytes between two parts of a pack that are read along rather than asking twice.
const GAP: u64 = 64 << 10;
/// Number of bytes of blobs that are checked and stored together.
const TOGETHER: usize = 4 << 20;

/// A reader of a shared cache, for one build.
pub(crate) struct Reader {
    remote: Arc<Remote>,
    trusted: HashSet<PublicKey>,
    /// Where blobs go; `None` if only outcomes are wanted.
    store: Option<Store>,
    buckets: HashMap<u8, Vec<Entry>>,
    /// The publications of each scope that have not been read, the newest first.
    left: HashMap<Digest, VecDeque<Vec<Entry>>>,
    outcomes: HashMap<ActionKey, Vec<u8>>,
    /// Small blobs that were in parts, if there is no store.
    small: HashSet<BlobId>,
    /// What is known to be there.
    known: Known,
    refused: Refused,
    artifacts: u64,
    given_up: Option<String>,
}

/// What a shared cache is known to hold, which need not be written again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Publications that were read and verified: scope and content.
    pub(crate) publications: HashSet<(Digest, u64)>,
    /// Large blobs that were read and verified.
    pub(crate) blobs: HashSet<BlobId>,
    /// Names of objects that were refused, which are to be replaced.
    pub(crate) broken: HashSet<String>,
    /// Objects of the index that were read.
    pub(crate) buckets: HashMap<u8, Vec<Entry>>,
}

/// What a reader found, once nothing more is asked of it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) known: Known,
    pub(crate) refused: Refused,
    pub(crate) artifacts: u64,
    pub(crate) given_up: Option<String>,
}

impl Reader {
    /// Creates a reader that believes what `trusted` keys have signed, and puts blobs into `store`.
    pub(crate) fn new(remote: Arc<Remote>, trusted: HashSet<PublicKey>, store: Option<Store>) -> Self {
        Self {
            remote,
            trusted,
            store,
            buckets: HashMap::new(),
            left: HashMap::new(),
            outcomes: HashMap::new(),
            small: HashSet::new(),
            known: Known::default(),
            refused: Refused::default(),
            artifacts: 0,
            given_up: None,
        }
    }

    /// Ends reading; returns what was found.
    pub(crate) fn finish(self) -> Read {
        let Self { known, buckets, refused, artifacts, given_up, .. } = self;
        Read { known: Known { buckets, ..known }, refused, artifacts, given_up }
    }

    /// Returns how people call the shared cache.
    pub(crate) fn name(&self) -> &str {
        &self.remote.name
    }

    /// Returns why nothing more is asked, if that is so.
    pub(crate) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// Returns what has been refused so far.
    pub(crate) fn refused(&self) -> Refused {
        self.refused
    }

    /// Returns the outcome of an action, if one has been read.
    pub(crate) fn outcome(&self, key: &ActionKey) -> Option<&[u8]> {
        self.outcomes.get(key).map(Vec::as_slice)
    }

    /// Returns whether a blob came with an outcome. Only a reader without a store knows.
    pub(crate) fn has_small(&self, id: &BlobId) -> bool {
        self.small.contains(id)
    }

    /// Looks for the outcomes of actions, each in its scope, and reads the newest publication of each scope in `also`, which
    /// will be asked for next.
    pub(crate) fn find(&mut self, wanted: &[(ActionKey, Digest)], also: &[Digest]) {
        let scopes: BTreeSet<Digest> = wanted.iter().map(|(_, scope)| *scope).chain(also.iter().copied()).collect();
        let new: BTreeSet<Digest> = scopes.into_iter().filter(|scope| !self.left.contains_key(scope)).collect();
        self.load(&new.iter().map(index::bucket).collect());
        for scope in &new {
            let publications = self.publications(scope);
            self.left.insert(*scope, publications);
        }
        // What is asked for next is read with what is asked for now.
        let mut next: BTreeSet<Digest> = also.iter().filter(|scope| new.contains(*scope)).copied().collect();
        loop {
            let lacking = wanted.iter().filter(|(key, _)| !self.outcomes.contains_key(key));
            next.extend(lacking.map(|(_, scope)| *scope));
            let parts: Vec<Entry> = std::mem::take(&mut next)
                .into_iter()
                .filter_map(|scope| self.left.get_mut(&scope)?.pop_front())
                .flatten()
                .collect();
            if parts.is_empty() || self.given_up.is_some() {
                return;
            }
            self.read_parts(parts);
        }
    }

    /// Reads objects of the index that have not been read.
    fn load(&mut self, buckets: &BTreeSet<u8>) {
        let missing: Vec<u8> = buckets.iter().filter(|bucket| !self.buckets.contains_key(bucket)).copied().collect();
        if missing.is_empty() || self.given_up.is_some() {
            return;
        }
        let wanted: Vec<Wanted> =
            missing.iter().map(|bucket| Wanted { name: index::name(*bucket), range: None }).collect();
        let (remote, buckets, mut fault) = (self.remote.clone(), &mut self.buckets, None);
        remote.objects.read(&wanted, &mut |number, read| match read {
            Ok(bytes) => {
                buckets.insert(missing[number], bytes.map(|bytes| index::decode(&bytes)).unwrap_or_default());
                Go::On
            }
            Err(error) => {
                fault = Some(error);
                Go::Stop
            }
        });
        self.give_up(fault);
    }

    /// Returns the publications of a scope by trusted keys, the newest first.
    fn publications(&mut self, scope: &Digest) -> VecDeque<Vec<Entry>> {
        let entries = self.buckets.get(&index::bucket(scope)).map(Vec::as_slice).unwrap_or_default();
        let trusted: HashSet<[u8; 8]> = self.trusted.iter().map(index::signer).collect();
        let mut found: BTreeMap<([u8; 8], u64), Vec<Entry>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.scope == *scope) {
            found.entry((entry.signer, entry.content)).or_default().push(entry.clone());
        }
        let (own, foreign): (Vec<_>, Vec<_>) = found.into_iter().partition(|((signer, _), _)| trusted.contains(signer));
        self.refused.untrusted += foreign.len() as u64;
        let mut own: Vec<Vec<Entry>> = own.into_iter().map(|(_, parts)| parts).collect();
        own.sort_by_key(|parts| Reverse(parts.iter().map(|part| part.day).max()));
        own.into()
    }

    /// Reads and verifies parts, those that lie together in a pack with one request.
    fn read_parts(&mut self, parts: Vec<Entry>) {
        let mut whole: HashMap<(Digest, u64), usize> = HashMap::new();
        let mut packs: BTreeMap<Digest, Vec<Entry>> = BTreeMap::new();
        for part in parts {
            *whole.entry((part.scope, part.content)).or_default() += 1;
            packs.entry(part.pack).or_default().push(part);
        }
        let (mut wanted, mut runs): (Vec<Wanted>, Vec<Vec<Entry>>) = (Vec::new(), Vec::new());
        for (pack, mut parts) in packs {
            parts.sort_by_key(|part| part.offset);
            for part in parts {
                let (start, end) = place(&part);
                let joins = |one: &&mut Wanted| {
                    let range = one.range.as_ref().expect("parts are ranges");
                    one.name == index::pack_name(&pack) && start <= range.end + GAP
                };
                match wanted.last_mut().filter(joins) {
                    Some(one) => {
                        let range = one.range.as_mut().expect("parts are ranges");
                        range.end = range.end.max(end);
                        runs.last_mut().expect("each request has its parts").push(part);
                    }
                    None => {
                        wanted.push(Wanted { name: index::pack_name(&pack), range: Some(start..end) });
                        runs.push(vec![part]);
                    }
                }
            }
        }
        let (remote, mut fault) = (self.remote.clone(), None);
        remote.objects.read(&wanted, &mut |number, read| {
            let bytes = match read {
                Ok(Some(bytes)) => bytes,
                // It was removed, or damaged and removed.
                Ok(None) => {
                    self.refused.artifacts += 1;
                    self.known.broken.insert(wanted[number].name.clone());
                    return Go::On;
                }
                Err(error) => {
                    fault = Some(error);
                    return Go::Stop;
                }
            };
            let first = wanted[number].range.as_ref().map_or(0, |range| range.start);
            for part in &runs[number] {
                let (start, end) = place(part);
                let own = usize::try_from(start - first).ok().zip(usize::try_from(end - first).ok());
                let own = own.and_then(|(start, end)| bytes.get(start..end));
                let verified = own.ok_or(Doubt::Unsigned);
                let verified =
                    verified.and_then(|own| Body::verified(own, &part.scope, |key| self.trusted.contains(key)));
                match verified {
                    Ok(body) => {
                        if let Err(error) = self.take_in(body) {
                            fault = Some(error);
                            return Go::Stop;
                        }
                        let left = whole.get_mut(&(part.scope, part.content)).expect("it was counted");
                        *left -= 1;
                        if *left == 0 {
                            self.known.publications.insert((part.scope, part.content));
                        }
                    }
                    Err(doubt) => {
                        let counter = match doubt {
                            Doubt::Unsigned => &mut self.refused.unsigned,
                            Doubt::Untrusted => &mut self.refused.untrusted,
                            Doubt::Misplaced => &mut self.refused.misplaced,
                        };
                        *counter += 1;
                        self.known.broken.insert(wanted[number].name.clone());
                    }
                }
            }
            Go::On
        });
        self.give_up(fault);
    }

    /// Takes in a verified part: its small blobs go to the store at once.
    fn take_in(&mut self, body: Body) -> Result<(), Fault> {
        for (id, frame) in body.frames {
            match &self.store {
                None => drop(self.small.insert(id)),
                Some(store) => match store.put_frame(&id, &frame) {
                    Ok(true) => {}
                    Ok(false) => self.refused.artifacts += 1,
                    Err(error) => return Err(Fault(format!("failed to {error}"))),
                },
            }
        }
        for (key, outcome) in body.outcomes {
            // A file that is read bit by bit has an outcome after each; the longest tells most.
            let known = self.outcomes.entry(key).or_default();
            if known.len() < outcome.len() {
                *known = outcome;
            }
        }
        Ok(())
    }

    /// Fetches large blobs into the store. Returns those that are there now.
    pub(crate) fn fetch(&mut self, ids: &[BlobId]) -> HashSet<BlobId> {
        let mut got = HashSet::new();
        let Some(store) = self.store.clone().filter(|_| self.given_up.is_none()) else { return got };
        let wanted: Vec<Wanted> = ids.iter().map(|id| Wanted { name: blob_name(id), range: None }).collect();
        let remote = self.remote.clone();
        let (mut frames, mut bytes, mut fault) = (Vec::new(), 0, None);
        remote.objects.read(&wanted, &mut |number, read| {
            match read {
                Ok(Some(frame)) => {
                    bytes += frame.len();
                    frames.push((ids[number], frame));
                    if bytes >= TOGETHER {
                        bytes = 0;
                        fault = self.take_frames(&store, std::mem::take(&mut frames), &mut got).err();
                    }
                }
                Ok(None) => self.refuse(&ids[number]),
                Err(error) => fault = Some(error),
            }
            if fault.is_some() { Go::Stop } else { Go::On }
        });
        let rest = self.take_frames(&store, frames, &mut got);
        let fault = fault.or(rest.err());
        self.give_up(fault);
        got
    }

    /// Checks frames and puts them into the store, several at a time: that takes longer than reading them from a disk.
    fn take_frames(
        &mut self,
        store: &Store,
        frames: Vec<(BlobId, Vec<u8>)>,
        got: &mut HashSet<BlobId>,
    ) -> Result<(), Fault> {
        let put = |(id, frame): (BlobId, Vec<u8>)| (id, store.put_frame(&id, &frame));
        let stored: Vec<_> = frames.into_par_iter().map(put).collect();
        let mut fault = None;
        for (id, stored) in stored {
            match stored {
                Ok(true) => {
                    got.insert(id);
                    self.artifacts += 1;
                    self.known.blobs.insert(id);
                }
                Ok(false) => self.refuse(&id),
                Err(error) => fault = Some(Fault(format!("failed to {error}"))),
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Notes that a blob is not there, or is another one.
    fn refuse(&mut self, id: &BlobId) {
        self.refused.artifacts += 1;
        self.known.broken.insert(blob_name(id));
    }

    fn give_up(&mut self, fault: Option<Fault>) {
        if let (Some(Fault(reason)), None) = (fault, &self.given_up) {
            self.given_up = Some(reason);
        }
    }
}

/// Returns the name of a large blob.
pub(super) fn blob_name(id: &BlobId) -> String {
    let digits = id.to_string();
    format!("{FORMAT}/blob/{}/{digits}.zst", &digits[..2])
}

/// Returns where a part begins and ends in its pack.
fn place(part: &Entry) -> (u64, u64) {
    (u64::from(part.offset), u64::from(part.offset) + u64::from(part.length))
}
