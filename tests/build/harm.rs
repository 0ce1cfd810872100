//! What lies in a cache, and what disks do to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use datac::{
    cache::{Access, CacheContents, Record},
    id::BlobId,
};
use rusqlite::{Connection, OptionalExtension};

/// A blob, in a file of its own or in the record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blob {
    cache: PathBuf,
    pub(crate) digest: BlobId,
}

/// The blobs of a cache, in the order of their names.
pub(crate) fn blobs(cache: &Path) -> Vec<Blob> {
    let mut found = CacheContents::take(cache).unwrap();
    found.add_recorded(&Record::open(cache, Access::Read, std::sync::Arc::new(|_| {})).unwrap()).unwrap();
    found.blobs.into_keys().map(|digest| Blob { cache: cache.to_owned(), digest }).collect()
}

impl Blob {
    fn file(&self) -> PathBuf {
        let name = self.digest.to_string();
        self.cache.join(format!("cas/{}/{name}.zst", &name[..2]))
    }

    fn record(&self) -> Connection {
        Connection::open(self.cache.join("record.sqlite")).unwrap()
    }

    /// Its bytes as they are stored, if it is there.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let recorded = || {
            let select = "SELECT frame FROM frames WHERE digest = ?1";
            self.record().query_row(select, [self.digest.as_bytes()], |row| row.get(0)).optional().unwrap()
        };
        fs::read(self.file()).ok().or_else(recorded)
    }

    /// Stores other bytes in its place.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let update = "UPDATE frames SET frame = ?2 WHERE digest = ?1";
        match self.file().exists() {
            true => fs::write(self.file(), bytes).unwrap(),
            false => assert_eq!(self.record().execute(update, (self.digest.as_bytes(), bytes)).unwrap(), 1),
        }
    }
}

/// Turns one bit in the middle.
pub(crate) fn flip(blob: &Blob) {
    let mut bytes = blob.read().unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    blob.write(&bytes);
}

/// Takes the second half away.
pub(crate) fn truncate(blob: &Blob) {
    let bytes = blob.read().unwrap();
    blob.write(&bytes[..bytes.len() / 2]);
}

/// Takes all of it away.
pub(crate) fn delete(blob: &Blob) {
    if fs::remove_file(blob.file()).is_err() {
        let delete = "DELETE FROM frames WHERE digest = ?1";
        assert_eq!(blob.record().execute(delete, [blob.digest.as_bytes()]).unwrap(), 1);
    }
}
