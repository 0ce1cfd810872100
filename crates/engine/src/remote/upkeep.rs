//! Maintenance of a shared cache: measures it, removes what was published long ago, and checks every byte.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    FORMAT, Remote,
    index::{self, Entry},
    keys::PublicKey,
    objects::{Fault, Go, How, Listed, Put, Wanted},
    part::{Body, Doubt},
    reader::blob_name,
    release::{self, ReleaseError, ReleaseName},
    report::{Refused, Requests},
    today,
    writer::{new_generation, state_name},
};
use crate::{cache, system};
use datac_core::{hash::Digest, id::BlobId};

/// Objects that are younger than this are never removed: their index may still be on its way.
const YOUNG_NS: i64 = 24 * 3600 * 1_000_000_000;

/// Number of objects that are read at a time.
const AT_ONCE: usize = 64;

/// What a shared cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedSize {
    /// The shared cache.
    pub remote: String,
    /// Packs of results, with small artifacts.
    pub packs: SharedPart,
    /// Large artifacts.
    pub artifacts: SharedPart,
    /// The index.
    pub index: SharedPart,
    /// Releases: their documents and pieces, which are never removed.
    pub releases: SharedPart,
    /// Anything else.
    pub others: SharedPart,
    /// Requests.
    pub requests: Requests,
}

/// Objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedPart {
    /// Number of objects.
    pub count: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

/// What was removed from a shared cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedCollected {
    /// The shared cache.
    pub remote: String,
    /// Whether this was a dry run, which removes nothing.
    pub dry_run: bool,
    /// Packs that nothing names any more.
    pub packs: SharedPart,
    /// Large artifacts that nothing names any more.
    pub artifacts: SharedPart,
    /// Files that killed processes left behind.
    pub temporary: SharedPart,
    /// Number of entries of the index that were published too long ago.
    pub entries: u64,
    /// Size of the shared cache before.
    pub before_bytes: u64,
    /// Size of the shared cache after.
    pub after_bytes: u64,
    /// Requests.
    pub requests: Requests,
}

/// Result of checking a shared cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedVerified {
    /// The shared cache.
    pub remote: String,
    /// Number of packs that were read.
    pub packs: u64,
    /// Number of large artifacts that were read.
    pub artifacts: u64,
    /// Number of documents of releases that were read.
    pub releases: u64,
    /// Number of pieces of releases that were read.
    pub pieces: u64,
    /// Total size in bytes.
    pub bytes: u64,
    /// What is not as it should be. Results of keys that this workspace does not trust are counted, and are no damage.
    pub refused: Refused,
    /// Names of damaged objects.
    pub damaged: Vec<String>,
    /// Releases whose documents are damaged. These stay, since a name must not stand for anything else.
    pub damaged_releases: Vec<String>,
    /// Whether damaged objects were removed; if not, why.
    pub kept: Option<String>,
    /// Requests.
    pub requests: Requests,
}

impl SharedPart {
    /// Counts an object.
    pub(super) fn add(&mut self, object: &Listed) {
        self.count += 1;
        self.bytes += object.bytes;
    }
}

/// Lists the objects of a shared cache in one of its folders, by name.
fn objects(remote: &Remote, folder: &str) -> Result<BTreeMap<String, Listed>, Fault> {
    let mut found = BTreeMap::new();
    remote.objects.list(folder, &mut |object| drop(found.insert(object.name.clone(), object)))?;
    Ok(found)
}

fn folder(name: &str) -> &str {
    name.strip_prefix(FORMAT).and_then(|rest| rest.split('/').nth(1)).unwrap_or_default()
}

fn is_left_over(name: &str) -> bool {
    system::Replacement::is_left_over(name.rsplit('/').next().unwrap_or_default())
}

/// Measures a shared cache.
pub(crate) fn size(remote: &Remote) -> Result<SharedSize, Fault> {
    let mut size = SharedSize { remote: remote.name.clone(), ..SharedSize::default() };
    objects(remote, release::FOLDER)?.values().for_each(|object| size.releases.add(object));
    for (name, object) in &objects(remote, FORMAT)? {
        let part = match folder(name) {
            _ if is_left_over(name) => &mut size.others,
            "pack" => &mut size.packs,
            "blob" => &mut size.artifacts,
            "index" => &mut size.index,
            _ => &mut size.others,
        };
        part.add(object);
    }
    size.requests = remote.counters.requests();
    Ok(size)
}

/// Reads objects, a few at a time.
fn each_object(remote: &Remote, names: &[String], mut each: impl FnMut(&str, Option<Vec<u8>>)) -> Result<(), Fault> {
    for some in names.chunks(AT_ONCE) {
        let wanted: Vec<Wanted> = some.iter().map(|name| Wanted { name: name.clone(), range: None }).collect();
        let mut fault = None;
        remote.objects.read(&wanted, &mut |number, read| match read {
            Ok(bytes) => {
                each(&some[number], bytes);
                Go::On
            }
            Err(error) => {
                fault = Some(error);
                Go::Stop
            }
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
    }
    Ok(())
}

/// Reads the index.
fn entries(remote: &Remote) -> Result<Vec<Entry>, Fault> {
    let names: Vec<String> = (0..=255).map(index::name).collect();
    let mut found = Vec::new();
    each_object(remote, &names, |_, bytes| found.extend(bytes.map(|bytes| index::decode(&bytes)).unwrap_or_default()))?;
    Ok(found)
}

/// Removes what was published longer than `max_age` ago, and what nothing names. A dry run removes nothing.
///
/// Releases lie in another folder, which is not looked at: nothing in it is ever removed.
pub(crate) fn collect(remote: &Remote, max_age: Duration, dry_run: bool) -> Result<SharedCollected, Fault> {
    let days = u32::try_from(max_age.as_secs() / (24 * 3600)).unwrap_or(u32::MAX);
    let is_old = |entry: &Entry| today().saturating_sub(entry.day) >= days.max(1) || max_age.is_zero();
    let objects = objects(remote, FORMAT)?;
    let (old, kept): (Vec<Entry>, Vec<Entry>) = entries(remote)?.into_iter().partition(is_old);
    let packs: BTreeSet<String> = kept.iter().map(|entry| index::pack_name(&entry.pack)).collect();
    let mut blobs: HashSet<String> = HashSet::new();
    let mut places: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    kept.iter().for_each(|entry| places.entry(index::pack_name(&entry.pack)).or_default().push(entry));
    each_object(remote, &packs.iter().cloned().collect::<Vec<_>>(), |name, bytes| {
        let bytes = bytes.unwrap_or_default();
        for entry in places.get(name).into_iter().flatten() {
            // Whoever trusts the key may use it.
            if let Ok(body) = part_of(&bytes, entry).and_then(|part| Body::checked(part, |_| true)) {
                blobs.extend(body.large.iter().map(blob_name));
            }
        }
    })?;
    let before_bytes = objects.values().map(|object| object.bytes).sum();
    let mut collected = SharedCollected {
        remote: remote.name.clone(),
        dry_run,
        entries: old.len() as u64,
        before_bytes,
        ..SharedCollected::default()
    };
    let now = system::now_ns();
    let mut removed = Vec::new();
    for (name, object) in objects.iter().filter(|(_, object)| max_age.is_zero() || now - object.changed_ns > YOUNG_NS) {
        let part = match folder(name) {
            _ if is_left_over(name) => &mut collected.temporary,
            "pack" if !packs.contains(name) => &mut collected.packs,
            "blob" if !blobs.contains(name) => &mut collected.artifacts,
            _ => continue,
        };
        part.add(object);
        removed.push(name.clone());
    }
    let gone: u64 = removed.iter().map(|name| objects[name].bytes).sum();
    collected.after_bytes = before_bytes - gone;
    let has_any = !removed.is_empty() || !old.is_empty();
    if has_any && !dry_run {
        // First nothing names what is to go; then nobody believes to have published it; then it goes.
        let numbers: BTreeSet<u8> = old.iter().map(|entry| index::bucket(&entry.scope)).collect();
        let names: Vec<String> = numbers.into_iter().map(index::name).collect();
        remote.objects.update_all(&names, &mut |_, bytes| {
            let mut entries = bytes.map(|bytes| index::decode(&bytes)).unwrap_or_default();
            entries.retain(|entry| !is_old(entry));
            Some(index::encode(&entries))
        })?;
        let state = Put { name: state_name(), bytes: new_generation().into_bytes(), how: How::Replace };
        remote.objects.write(vec![state])?;
        remote.objects.remove(&removed)?;
    }
    collected.requests = remote.counters.requests();
    Ok(collected)
}

/// Checks every pack and every large artifact, and removes those that are damaged, if objects can be removed.
pub(crate) fn verify(
    remote: &Arc<Remote>,
    trusted: &HashSet<PublicKey>,
    is_interrupted: &dyn Fn() -> bool,
) -> Result<SharedVerified, Fault> {
    let mut verified = SharedVerified { remote: remote.name.clone(), ..SharedVerified::default() };
    let objects = objects(remote, FORMAT)?;
    let of = |kind: &str| -> Vec<String> {
        objects.keys().filter(|name| folder(name) == kind && !is_left_over(name)).cloned().collect()
    };
    let mut places: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in entries(remote)? {
        places.entry(index::pack_name(&entry.pack)).or_default().push(entry);
    }
    let mut damaged = BTreeSet::new();
    let SharedVerified { refused, packs, artifacts, releases, pieces, bytes: total, damaged_releases, .. } =
        &mut verified;
    each_object(remote, &of("pack"), |name, bytes| {
        let bytes = bytes.unwrap_or_default();
        *packs += 1;
        *total += bytes.len() as u64;
        if !name.ends_with(&Digest::of(&bytes).to_string()) {
            damaged.insert(name.to_owned());
            refused.unsigned += 1;
            return;
        }
        for entry in places.get(name).into_iter().flatten() {
            let body = part_of(&bytes, entry);
            match body.and_then(|part| Body::verified(part, &entry.scope, |key| trusted.contains(key))) {
                Ok(_) => {}
                Err(Doubt::Untrusted) => refused.untrusted += 1,
                Err(Doubt::Unsigned) => refused.unsigned += 1,
                Err(Doubt::Misplaced) => refused.misplaced += 1,
            }
        }
    })?;
    if !is_interrupted() {
        each_object(remote, &of("blob"), |name, bytes| {
            let bytes = bytes.unwrap_or_default();
            *artifacts += 1;
            *total += bytes.len() as u64;
            let digits = name.rsplit('/').next().and_then(|file| file.strip_suffix(".zst"));
            let id = digits.and_then(BlobId::from_hex);
            if !id.is_some_and(|id| cache::is_frame_of(&id, &bytes)) {
                damaged.insert(name.to_owned());
                refused.artifacts += 1;
            }
        })?;
    }
    if !is_interrupted() {
        let names: Vec<String> = self::objects(remote, release::FOLDER)?.into_keys().collect();
        each_object(remote, &names, |name, bytes| {
            let bytes = bytes.unwrap_or_default();
            *total += bytes.len() as u64;
            match (release::is_piece(name, &bytes), ReleaseName::of_object(name)) {
                (Some(is_sound), _) => {
                    *pieces += 1;
                    if !is_sound && !is_left_over(name) {
                        damaged.insert(name.to_owned());
                        refused.artifacts += 1;
                    }
                }
                (None, Some(release)) => {
                    *releases += 1;
                    match release::decode(&bytes, &release, |key| trusted.contains(key)) {
                        Ok(_) => {}
                        Err(ReleaseError::Untrusted { .. } | ReleaseError::Unknown(_)) => refused.untrusted += 1,
                        Err(_) => {
                            refused.unsigned += 1;
                            damaged_releases.push(release.to_string());
                        }
                    }
                }
                (None, None) => {}
            }
        })?;
    }
    verified.damaged = damaged.into_iter().collect();
    if !verified.damaged.is_empty() {
        // Without another generation, whoever has published them would not do so again.
        let state = Put { name: state_name(), bytes: new_generation().into_bytes(), how: How::Replace };
        let removed = remote.objects.write(vec![state]).and_then(|()| remote.objects.remove(&verified.damaged));
        verified.kept = removed.err().map(|fault| fault.to_string());
    }
    verified.requests = remote.counters.requests();
    Ok(verified)
}

fn part_of<'b>(pack: &'b [u8], entry: &Entry) -> Result<&'b [u8], Doubt> {
    let start = entry.offset as usize;
    pack.get(start..start.saturating_add(entry.length as usize)).ok_or(Doubt::Unsigned)
}
