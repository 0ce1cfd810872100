//! Writes an output file from its beginning to its end: in place only once it is whole.
//!
//! Whoever has rows for it fills pieces; threads that are free hash and write them meanwhile. Where none is free they
//! pile up to a few, and whoever fills them writes them.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::target::{Target, Written};
use crate::{hash::PIECE, system::FileError};

/// Pieces that may wait to be written.
const WAITING: usize = 4;

/// A file being written beside its destination.
pub struct Sink {
    line: Arc<Line>,
    piece: Vec<u8>,
    /// The number of that piece.
    number: usize,
}

/// Pieces on their way to the file.
struct Line {
    target: Arc<Target>,
    queue: Mutex<Queue>,
    /// Told when a piece was written.
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(usize, Vec<u8>)>,
    /// Pieces that are being written.
    busy: usize,
}

impl Sink {
    /// Starts a file for `destination`, whose folder must exist.
    pub fn new(destination: &Path) -> Result<Self, FileError> {
        let target = Arc::new(Target::new(destination)?);
        let line = Line { target, queue: Mutex::default(), written: Condvar::new() };
        Ok(Self { line: Arc::new(line), piece: Vec::new(), number: 0 })
    }

    /// The file itself, for those who have all of it and write its pieces in any order; nothing is appended then.
    pub(super) fn target(&self) -> &Arc<Target> {
        &self.line.target
    }

    /// Appends bytes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), FileError> {
        while self.piece.len() + bytes.len() >= PIECE {
            let (fitting, rest) = bytes.split_at(PIECE - self.piece.len());
            self.piece.extend_from_slice(fitting);
            bytes = rest;
            self.hand_over()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), FileError> {
        let waiting = {
            let mut room = self.line.target.room();
            room.clear();
            room.reserve_exact(PIECE);
            let piece = std::mem::replace(&mut self.piece, room);
            let mut queue = self.line.queue();
            queue.waiting.push_back((self.number, piece));
            queue.waiting.len()
        };
        self.number += 1;
        if waiting > WAITING || rayon::current_num_threads() == 1 {
            self.line.write_one();
        } else {
            let line = self.line.clone();
            rayon::spawn(move || {
                line.write_one();
            });
        }
        self.line.target.check()
    }

    /// Ends the file; `None` if a piece of it was never written.
    pub fn finish(mut self) -> Result<Option<Written>, FileError> {
        if !self.piece.is_empty() {
            self.line.queue().waiting.push_back((self.number, std::mem::take(&mut self.piece)));
        }
        while self.line.write_one() {}
        let mut queue = self.line.queue();
        while queue.busy > 0 {
            queue = self.line.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.line.target.finish()
    }
}

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Pieces are moved, and a file of an action that failed is dropped.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the piece that waits longest; false if none does.
    fn write_one(&self) -> bool {
        let (number, piece) = {
            let mut queue = self.queue();
            let Some(piece) = queue.waiting.pop_front() else { return false };
            queue.busy += 1;
            piece
        };
        self.target.put(number, piece);
        self.queue().busy -= 1;
        self.written.notify_all();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FileHash;

    #[test]
    fn bytes_arrive_in_order_whoever_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for rows in [0, 1, 200_000_u32] {
                let path = folder.path().join(format!("{threads} {rows}"));
                let mut wanted = Vec::new();
                let written = pool.install(|| {
                    let mut sink = Sink::new(&path).unwrap();
                    for i in 0..rows {
                        let row = format!("{i} {}\n", "x".repeat(i as usize % 90));
                        sink.write(row.as_bytes()).unwrap();
                        wanted.extend_from_slice(row.as_bytes());
                    }
                    sink.finish().unwrap().unwrap()
                });
                assert_eq!((written.bytes, written.digest), (wanted.len() as u64, FileHash::of(&wanted)));
                written.put_in_place().unwrap();
                assert!(crate::system::read(&path).unwrap() == wanted, "{threads} threads");
            }
            let path = folder.path().join("longer than a piece");
            let long = vec![b'x'; PIECE * 5 / 2];
            let mut sink = Sink::new(&path).unwrap();
            sink.write(&long).unwrap();
            assert_eq!(sink.finish().unwrap().unwrap().digest, FileHash::of(&long));
        }
    }
}
