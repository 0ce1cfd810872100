//! Rows in output order out of blobs in source order.
//!
//! If the rows fit into memory they are copied from the decompressed blobs. If not, they are first dealt into buckets,
//! each a stretch of the output, in one pass over the blobs; then each bucket is put in order. Both ways write the same
//! bytes.

use std::{
    io::{BufWriter, Read, Seek, Write},
    path::Path,
    sync::Arc,
};

use super::{budget::Budget, load::load};
use crate::{
    artifact::{Miss, Store},
    hash::Digest,
    system::FileError,
};

/// A blob of rows.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its digest.
    pub rows: Digest,
    /// Its size, decompressed.
    pub bytes: u64,
    /// Which source its rows are of.
    pub source: u32,
}

/// Where one candidate's row stands.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// In which block.
    pub block: u32,
    /// Its first byte there.
    pub start: u32,
    /// Its length.
    pub length: u32,
}

/// Everything an output can be gathered from.
pub struct Rows<'a> {
    /// Where blobs are.
    pub store: &'a Store,
    /// The blobs.
    pub blocks: Vec<Block>,
    /// The candidates, in the order arrangements count them.
    pub pieces: Vec<Piece>,
    /// For each source, what closes its rows: `,"source":"…"}` and a newline.
    pub endings: Vec<Vec<u8>>,
}

/// Why rows could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A blob is not to be had.
    #[error(transparent)]
    Missing(#[from] Miss),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob is shorter than its index says, or an arrangement names a row there is none of.
    #[error("gather rows: the index and the rows of a chunk do not match")]
    Mismatch,
    /// The caller said stop.
    #[error("gather rows: interrupted")]
    Interrupted,
}

/// Each bucket is an open file, and a process may have 1,024. Beyond some gigabytes buckets are larger instead.
const MOST_BUCKETS: u64 = 256;

/// Receives the rows of one output in order.
type Out<'o> = &'o mut dyn FnMut(&[u8]) -> Result<(), GatherError>;

impl Rows<'_> {
    /// Writes several outputs, each an order of candidates; holds its rows if the budget has room for them.
    pub fn gather(
        &self,
        orders: &[&[u32]],
        outs: &mut [Out<'_>],
        budget: &Budget,
        scratch: &Path,
    ) -> Result<(), GatherError> {
        let needed = self.needed(orders)?;
        let whole: u64 = needed.iter().map(|block| self.blocks[*block].bytes).sum();
        if let Some(_lease) = budget.take(whole) {
            return self.through_memory(&needed, orders, outs);
        }
        // A stretch of the output of at most this many bytes is put in order at a time: what a processor's cache holds, if
        // that makes no more files than may be open.
        let bucket_bytes = (budget.whole() / 64).max(1 << 20);
        for (order, out) in orders.iter().zip(outs) {
            self.through_buckets(&needed, order, out, bucket_bytes, scratch)?;
        }
        Ok(())
    }

    fn piece(&self, candidate: u32) -> Result<Piece, GatherError> {
        self.pieces.get(candidate as usize).copied().ok_or(GatherError::Mismatch)
    }

    /// The blocks that any row is taken from.
    fn needed(&self, orders: &[&[u32]]) -> Result<Vec<usize>, GatherError> {
        let mut is_needed = vec![false; self.blocks.len()];
        for candidate in orders.iter().copied().flatten() {
            is_needed[self.piece(*candidate)?.block as usize] = true;
        }
        Ok((0..self.blocks.len()).filter(|block| is_needed[*block]).collect())
    }

    fn load(&self, blocks: &[usize]) -> Result<Vec<Arc<Vec<u8>>>, Miss> {
        load(self.store, blocks.iter().map(|block| self.blocks[*block].rows).collect())
    }

    fn through_memory(&self, needed: &[usize], orders: &[&[u32]], outs: &mut [Out<'_>]) -> Result<(), GatherError> {
        let mut loaded = vec![Arc::default(); self.blocks.len()];
        let read = self.load(needed)?;
        needed.iter().zip(read).for_each(|(block, bytes)| loaded[*block] = bytes);
        for (order, out) in orders.iter().zip(outs) {
            for candidate in *order {
                let piece = self.piece(*candidate)?;
                let block = piece.block as usize;
                let start = piece.start as usize;
                let row = loaded[block].get(start..start + piece.length as usize).ok_or(GatherError::Mismatch)?;
                out(row)?;
                out(&self.endings[self.blocks[block].source as usize])?;
            }
        }
        Ok(())
    }

    /// For each block where its rows begin among the second list, which has the positions in `order` block by block.
    fn by_block(&self, order: &[u32]) -> Result<(Vec<usize>, Vec<u32>), GatherError> {
        let mut starts = vec![0; self.blocks.len() + 1];
        for candidate in order {
            starts[self.piece(*candidate)?.block as usize + 1] += 1;
        }
        for block in 1..starts.len() {
            starts[block] += starts[block - 1];
        }
        let (mut next, mut positions) = (starts.clone(), vec![0; order.len()]);
        for (position, candidate) in (0..).zip(order) {
            let next = &mut next[self.piece(*candidate)?.block as usize];
            positions[*next] = position;
            *next += 1;
        }
        Ok((starts, positions))
    }

    fn through_buckets(
        &self,
        needed: &[usize],
        order: &[u32],
        out: Out<'_>,
        bucket_bytes: u64,
        scratch: &Path,
    ) -> Result<(), GatherError> {
        let (starts, positions) = self.by_block(order)?;
        let mut whole = 0;
        for candidate in order {
            whole += u64::from(self.piece(*candidate)?.length);
        }
        let bucket_bytes = bucket_bytes.max(whole / MOST_BUCKETS + 1);
        let mut bucket_ends = Vec::new();
        let mut filled = 0;
        for (position, candidate) in (1..).zip(order) {
            filled += u64::from(self.piece(*candidate)?.length);
            if filled >= bucket_bytes || position as usize == order.len() {
                bucket_ends.push(position);
                filled = 0;
            }
        }
        let fail = |source| GatherError::File(FileError { verb: "write", path: scratch.to_owned(), source });
        let mut buckets = Vec::with_capacity(bucket_ends.len());
        for _ in &bucket_ends {
            buckets.push(BufWriter::with_capacity(64 << 10, tempfile::tempfile_in(scratch).map_err(fail)?));
        }
        for group in needed.chunks(rayon::current_num_threads().max(1)) {
            for (block, bytes) in group.iter().zip(self.load(group)?) {
                for position in &positions[starts[*block]..starts[*block + 1]] {
                    let piece = self.piece(order[*position as usize])?;
                    let start = piece.start as usize;
                    let row = bytes.get(start..start + piece.length as usize).ok_or(GatherError::Mismatch)?;
                    let bucket = &mut buckets[bucket_ends.partition_point(|end| *end <= *position)];
                    bucket.write_all(&position.to_le_bytes()).and_then(|()| bucket.write_all(row)).map_err(fail)?;
                }
            }
        }
        let mut begin = 0;
        for (bucket, end) in buckets.into_iter().zip(bucket_ends) {
            let mut file = bucket.into_inner().map_err(|error| fail(error.into_error()))?;
            let size = file.stream_position().map_err(fail)?;
            file.rewind().map_err(fail)?;
            let mut bytes = Vec::with_capacity(size as usize + 1);
            file.read_to_end(&mut bytes).map_err(fail)?;
            // A bucket has every position of its stretch, each once.
            let mut rows: Vec<&[u8]> = vec![&[]; (end - begin) as usize];
            let mut rest = &bytes[..];
            while let Some((position, after)) = rest.split_first_chunk() {
                let position = u32::from_le_bytes(*position);
                let candidate = *order.get(position as usize).ok_or(GatherError::Mismatch)?;
                let length = self.piece(candidate)?.length as usize;
                let (row, after) = after.split_at_checked(length).ok_or(GatherError::Mismatch)?;
                *position.checked_sub(begin).and_then(|at| rows.get_mut(at as usize)).ok_or(GatherError::Mismatch)? =
                    row;
                rest = after;
            }
            for (position, row) in (begin..end).zip(rows) {
                out(row)?;
                let block = self.piece(order[position as usize])?.block;
                out(&self.endings[self.blocks[block as usize].source as usize])?;
            }
            begin = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_buckets_write_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (mut blocks, mut pieces) = (Vec::new(), Vec::new());
        for block in 0..40_u32 {
            let mut bytes = Vec::new();
            for row in 0..100_u32 {
                let text = format!("{{\"text\":\"{block} {row} {}\"", "x".repeat((row as usize * 37) % 2000));
                pieces.push(Piece { block, start: bytes.len() as u32, length: text.len() as u32 });
                bytes.extend_from_slice(text.as_bytes());
            }
            blocks.push(Block { rows: store.put(&bytes).unwrap(), bytes: bytes.len() as u64, source: block % 2 });
        }
        let rows = Rows {
            store: &store,
            blocks,
            pieces,
            endings: vec![b",\"source\":\"a\"}\n".to_vec(), b",\"source\":\"b\"}\n".to_vec()],
        };
        // Every third row twice, in an order that jumps about.
        let order: Vec<u32> = (0..5000_u32).map(|i| i.wrapping_mul(2_654_435_761) % 4000).collect();
        let gathered = |memory| {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            rows.gather(
                &[&order, &order[..17]],
                &mut [
                    &mut |bytes: &[u8]| {
                        first.extend_from_slice(bytes);
                        Ok(())
                    },
                    &mut |bytes: &[u8]| {
                        second.extend_from_slice(bytes);
                        Ok(())
                    },
                ],
                &Budget::new(memory),
                folder.path(),
            )
            .unwrap();
            (first, second)
        };
        let whole = gathered(u64::MAX);
        assert_eq!(whole.0.iter().filter(|byte| **byte == b'\n').count(), 5000);
        assert!(whole == gathered(0), "through buckets");
    }
}
