//! The bytes of chunks. Buffers are reused for later chunks, because the system would have to zero new ones each
//! time.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes in a buffer that is returned to its pool on drop.
pub struct ChunkBytes {
    bytes: Vec<u8>,
    home: Option<Room>,
}

/// The pool of unused buffers for a file that is being cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Vec<Vec<u8>>>>);

/// Maximum number of unused buffers: more than there are chunks in flight on a few threads.
const MOST: usize = 8;

/// Maximum capacity of an unused buffer in bytes; that of a chunk with an unusually long row is freed.
const MOST_BYTES: usize = 8 << 20;

impl Room {
    /// Returns an empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Returns bytes whose buffer comes back to this pool.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> ChunkBytes {
        ChunkBytes { bytes, home: Some(self.clone()) }
    }
}

impl Drop for ChunkBytes {
    fn drop(&mut self) {
        let Some(Room(home)) = &self.home else { return };
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut home = home.lock().unwrap_or_else(PoisonError::into_inner);
        if home.len() < MOST && bytes.capacity() <= MOST_BYTES {
            home.push(bytes);
        }
    }
}

impl From<Vec<u8>> for ChunkBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl Deref for ChunkBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Clone for ChunkBytes {
    fn clone(&self) -> Self {
        self.bytes.clone().into()
    }
}

impl PartialEq for ChunkBytes {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for ChunkBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_and_holds_nothing_of_what_was_there() {
        let room = Room::default();
        let first = room.lend(b"a chunk".to_vec());
        let (place, copy) = (first.as_ptr(), first.clone());
        drop(first);
        let next = room.take();
        assert!(next.is_empty() && next.as_ptr() == place);
        assert_eq!(*copy, *b"a chunk", "a copy has room of its own");
        drop(room.lend(Vec::with_capacity(MOST_BYTES + 1)));
        assert_eq!(room.take().capacity(), 0, "what is too large is let go");
        (0..=MOST).map(|_| room.lend(vec![1])).collect::<Vec<_>>().clear();
        assert_eq!(room.0.lock().unwrap().len(), MOST);
    }
}
