//! What this machine has published to which shared cache, so that it is not looked for again. Losing it costs requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    cache::SHARED,
    system::{self, FileError},
};
use datac_core::{hash::Digest, id::BlobId};

const MAGIC: &[u8] = b"datac-published/1\n";

/// What was published, by the name of the shared cache.
#[derive(Debug, Default)]
pub(crate) struct Published {
    remotes: BTreeMap<String, OfRemote>,
    has_changed: bool,
}

/// What was published to one shared cache.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OfRemote {
    /// The generation of the shared cache; in another one, objects may have been removed.
    generation: String,
    /// Scopes, with what was published of them.
    scopes: BTreeSet<(Digest, u64)>,
    /// First bytes of the names of large blobs.
    blobs: BTreeSet<u64>,
}

impl Published {
    /// Reads what was published by users of the cache at `cache`. A damaged file counts as none.
    pub(crate) fn read(cache: &Path) -> Self {
        let read = || {
            let bytes = system::read(&cache.join(SHARED)).ok()?;
            let (rest, hash) = bytes.strip_prefix(MAGIC)?.split_last_chunk()?;
            (xxh3_64(rest) == u64::from_le_bytes(*hash)).then(|| postcard::from_bytes(rest).ok())?
        };
        Self { remotes: read().unwrap_or_default(), has_changed: false }
    }

    /// Writes what was published, if that has changed.
    pub(crate) fn write(&self, cache: &Path) -> Result<(), FileError> {
        if !self.has_changed {
            return Ok(());
        }
        let body = postcard::to_stdvec(&self.remotes).expect("it is plain data");
        let hash = xxh3_64(&body).to_le_bytes();
        system::replace_if_other(&cache.join(SHARED), &[MAGIC, &body, &hash].concat())
    }

    /// Forgets what was published in other generations of a shared cache.
    pub(crate) fn begin(&mut self, remote: &str, generation: &str) {
        let known = self.remotes.entry(remote.to_owned()).or_default();
        if known.generation != generation {
            *known = OfRemote { generation: generation.to_owned(), ..OfRemote::default() };
            self.has_changed = true;
        }
    }

    /// Returns whether a publication is known to be there.
    pub(crate) fn has_scope(&self, remote: &str, scope: &Digest, content: u64) -> bool {
        self.remotes.get(remote).is_some_and(|known| known.scopes.contains(&(*scope, content)))
    }

    /// Returns whether a large blob is known to be there.
    pub(crate) fn has_blob(&self, remote: &str, id: &BlobId) -> bool {
        self.remotes.get(remote).is_some_and(|known| known.blobs.contains(&short(id)))
    }

    /// Notes a publication.
    pub(crate) fn note_scope(&mut self, remote: &str, scope: Digest, content: u64) {
        let known = self.remotes.entry(remote.to_owned()).or_default();
        self.has_changed |= known.scopes.insert((scope, content));
    }

    /// Notes a large blob.
    pub(crate) fn note_blob(&mut self, remote: &str, id: &BlobId) {
        let known = self.remotes.entry(remote.to_owned()).or_default();
        self.has_changed |= known.blobs.insert(short(id));
    }
}

fn short(id: &BlobId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_is_kept_until_the_shared_cache_begins_another_generation() {
        let folder = tempfile::tempdir().unwrap();
        let (scope, blob) = (Digest::of(b"scope"), BlobId::of(b"blob"));
        let mut published = Published::read(folder.path());
        published.begin("/team", "1");
        published.note_scope("/team", scope, 7);
        published.note_blob("/team", &blob);
        published.write(folder.path()).unwrap();
        let mut again = Published::read(folder.path());
        again.begin("/team", "1");
        assert!(again.has_scope("/team", &scope, 7) && again.has_blob("/team", &blob));
        assert!(!again.has_scope("/team", &scope, 8) && !again.has_scope("/other", &scope, 7));
        again.begin("/team", "2");
        assert!(!again.has_scope("/team", &scope, 7) && !again.has_blob("/team", &blob));
        let path = folder.path().join(SHARED);
        let mut bytes = system::read(&path).unwrap();
        bytes[30] ^= 1;
        system::replace(&path, &bytes).unwrap();
        assert!(!Published::read(folder.path()).has_scope("/team", &scope, 7));
    }
}
