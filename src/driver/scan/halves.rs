//! A chunk that two threads convert, half of its rows each: where few chunks have changed, threads would stand idle.

use std::sync::{Mutex, PoisonError};

use super::{Context, Job, Stop, chunk};
use crate::{decode::Chunk, graph::ConvertOutcome, id::ChunkId};

/// The rows of a smaller chunk are converted before another thread has woken up.
const LEAST_BYTES: usize = 64 << 10;

/// A chunk and what is missing of it.
pub(super) struct Shared {
    pub(super) chunk: Chunk,
    pub(super) digest: ChunkId,
    missing: chunk::Missing,
    /// What came of the half that was done first.
    done: Mutex<Option<Vec<chunk::Part>>>,
}

impl Shared {
    /// A chunk to be shared; gives it back where that is of no use.
    pub(super) fn new(context: &Context, chunk: Chunk, jobs: &[Job]) -> Result<Self, Chunk> {
        if rayon::current_num_threads() < 2 || chunk.bytes.len() < LEAST_BYTES {
            return Err(chunk);
        }
        let digest = chunk.digest();
        let missing = chunk::Missing::of(context, &digest, jobs);
        if missing.is_any() { Ok(Self { chunk, digest, missing, done: Mutex::default() }) } else { Err(chunk) }
    }

    /// Converts the first half of its rows, or the other; after the second call for a chunk there is an outcome.
    pub(super) fn convert(&self, context: &Context, is_first: bool) -> Option<Result<Vec<ConvertOutcome>, Stop>> {
        let (half, all) = (self.chunk.rows / 2, self.chunk.rows);
        let own = self.missing.convert(&self.chunk, if is_first { 0..half } else { half..all });
        let other = {
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(other) = done.take() else {
                *done = Some(own);
                return None;
            };
            other
        };
        let (mut parts, behind) = if is_first { (own, other) } else { (other, own) };
        parts.iter_mut().zip(behind).for_each(|(part, behind)| part.append(behind));
        Some(self.missing.finish(context, &self.digest, parts, chunk::Saved::Beside))
    }
}
