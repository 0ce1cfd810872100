//! Rows in output order out of blobs in source order.
//!
//! If the rows fit into memory they are copied from the decompressed blobs. If not, they are first dealt into buckets,
//! each a stretch of the output, in one pass over the blobs; then each bucket is put in order. Both ways write the same
//! bytes.

use std::{
    io::{BufReader, BufWriter, Read, Seek, Write},
    path::Path,
    sync::Arc,
};

use rayon::prelude::*;

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

/// Receives the rows of one output in order.
type Out<'o> = &'o mut dyn FnMut(&[u8]) -> Result<(), GatherError>;

impl Rows<'_> {
    /// Writes several outputs, each an order of candidates; holds no more than about `memory` bytes.
    pub fn gather(
        &self,
        orders: &[&[u32]],
        outs: &mut [Out<'_>],
        memory: u64,
        scratch: &Path,
    ) -> Result<(), GatherError> {
        let needed = self.needed(orders)?;
        let whole: u64 = needed.iter().map(|block| self.blocks[*block].bytes).sum();
        if whole <= memory {
            return self.through_memory(&needed, orders, outs);
        }
        let mut by_block = vec![Vec::new(); self.blocks.len()];
        for (order, out) in orders.iter().zip(outs) {
            self.through_buckets(&needed, &mut by_block, order, out, memory, scratch)?;
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

    fn through_memory(&self, needed: &[usize], orders: &[&[u32]], outs: &mut [Out<'_>]) -> Result<(), GatherError> {
        let mut loaded = vec![Arc::default(); self.blocks.len()];
        let read: Vec<Arc<Vec<u8>>> =
            needed.par_iter().map(|block| self.store.get(&self.blocks[*block].rows)).collect::<Result<_, _>>()?;
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

    fn through_buckets(
        &self,
        needed: &[usize],
        by_block: &mut [Vec<(u32, u32)>],
        order: &[u32],
        out: Out<'_>,
        memory: u64,
        scratch: &Path,
    ) -> Result<(), GatherError> {
        // A bucket is a stretch of the output of at most this many bytes, so that one fits into memory with room to spare.
        let bucket_bytes = (memory / 4).max(1 << 20);
        let mut bucket_ends = Vec::new();
        let mut filled = 0;
        for (position, candidate) in order.iter().enumerate() {
            let piece = self.piece(*candidate)?;
            filled += u64::from(piece.length);
            by_block[piece.block as usize].push((position as u32, *candidate));
            if filled >= bucket_bytes || position + 1 == order.len() {
                bucket_ends.push(position as u32 + 1);
                filled = 0;
            }
        }
        let fail = |source| GatherError::File(FileError { verb: "write", path: scratch.to_owned(), source });
        let mut buckets = Vec::with_capacity(bucket_ends.len());
        for _ in &bucket_ends {
            buckets.push(BufWriter::with_capacity(64 << 10, tempfile::tempfile_in(scratch).map_err(fail)?));
        }
        for group in needed.chunks(rayon::current_num_threads().max(1)) {
            let read: Vec<Arc<Vec<u8>>> =
                group.par_iter().map(|block| self.store.get(&self.blocks[*block].rows)).collect::<Result<_, _>>()?;
            for (block, bytes) in group.iter().zip(read) {
                for (position, candidate) in std::mem::take(&mut by_block[*block]) {
                    let piece = self.piece(candidate)?;
                    let start = piece.start as usize;
                    let row = bytes.get(start..start + piece.length as usize).ok_or(GatherError::Mismatch)?;
                    let bucket = bucket_ends.partition_point(|end| *end <= position);
                    let head =
                        [position.to_le_bytes(), piece.length.to_le_bytes(), self.blocks[*block].source.to_le_bytes()];
                    buckets[bucket]
                        .write_all(&head.concat())
                        .and_then(|()| buckets[bucket].write_all(row))
                        .map_err(fail)?;
                }
            }
        }
        for bucket in buckets {
            let mut file = bucket.into_inner().map_err(|error| fail(error.into_error()))?;
            file.rewind().map_err(fail)?;
            let mut bytes = Vec::new();
            BufReader::new(file).read_to_end(&mut bytes).map_err(fail)?;
            let mut rows = Vec::new();
            let mut rest = &bytes[..];
            while let Some((head, after)) = rest.split_first_chunk::<12>() {
                let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
                let (row, after) = after.split_at_checked(number(4) as usize).ok_or(GatherError::Mismatch)?;
                rows.push((number(0), number(8), row));
                rest = after;
            }
            rows.sort_unstable_by_key(|(position, _, _)| *position);
            for (_, source, row) in rows {
                out(row)?;
                out(&self.endings[source as usize])?;
            }
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
                memory,
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
