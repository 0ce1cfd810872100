//! Rows in output order out of blobs in source order.
//!
//! If the rows fit into memory they are copied from the decompressed blobs. If not, they are first dealt into buckets,
//! each a stretch of the output, in one pass over the blobs; then each bucket is put in order. Both ways write the same
//! bytes.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
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
        self.through_buckets(&needed, orders, outs, bucket_bytes, scratch)
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

    /// Deals the rows of all orders into buckets, reading each block once, then puts each bucket in order.
    fn through_buckets(
        &self,
        needed: &[usize],
        orders: &[&[u32]],
        outs: &mut [Out<'_>],
        bucket_bytes: u64,
        scratch: &Path,
    ) -> Result<(), GatherError> {
        let mut whole = 0;
        for candidate in orders.iter().copied().flatten() {
            whole += u64::from(self.piece(*candidate)?.length);
        }
        let bucket_bytes = bucket_bytes.max(whole / MOST_BUCKETS + 1);
        let deals = orders.iter().map(|order| Deal::new(self, order, bucket_bytes, scratch));
        let mut deals = deals.collect::<Result<Vec<_>, _>>()?;
        for group in needed.chunks(rayon::current_num_threads().max(1)) {
            for (block, bytes) in group.iter().zip(self.load(group)?) {
                deals.iter_mut().try_for_each(|deal| deal.take(*block, &bytes))?;
            }
        }
        deals.into_iter().zip(outs).try_for_each(|(deal, out)| deal.give(out))
    }
}

/// One order whose rows are dealt into buckets on disk, each a stretch of the order.
struct Deal<'r, 'a> {
    rows: &'r Rows<'a>,
    order: &'r [u32],
    /// For each block where its rows begin in `positions`, and where the last one's end.
    starts: Vec<usize>,
    /// Positions in the order, block by block.
    positions: Vec<u32>,
    buckets: Vec<BufWriter<File>>,
    /// For each bucket the first position after it.
    ends: Vec<u32>,
    scratch: &'r Path,
}

impl<'r, 'a> Deal<'r, 'a> {
    fn new(rows: &'r Rows<'a>, order: &'r [u32], bucket_bytes: u64, scratch: &'r Path) -> Result<Self, GatherError> {
        let mut starts = vec![0; rows.blocks.len() + 1];
        let (mut ends, mut filled) = (Vec::new(), 0);
        for (position, candidate) in (1..).zip(order) {
            let piece = rows.piece(*candidate)?;
            starts[piece.block as usize + 1] += 1;
            filled += u64::from(piece.length);
            if filled >= bucket_bytes || position as usize == order.len() {
                ends.push(position);
                filled = 0;
            }
        }
        for block in 1..starts.len() {
            starts[block] += starts[block - 1];
        }
        let (mut next, mut positions) = (starts.clone(), vec![0; order.len()]);
        for (position, candidate) in (0..).zip(order) {
            let next = &mut next[rows.piece(*candidate)?.block as usize];
            positions[*next] = position;
            *next += 1;
        }
        let mut deal = Self { rows, order, starts, positions, buckets: Vec::with_capacity(ends.len()), ends, scratch };
        for _ in 0..deal.ends.len() {
            let file = tempfile::tempfile_in(scratch).map_err(|error| deal.failed(error))?;
            deal.buckets.push(BufWriter::with_capacity(64 << 10, file));
        }
        Ok(deal)
    }

    fn failed(&self, source: io::Error) -> GatherError {
        GatherError::File(FileError { verb: "write", path: self.scratch.to_owned(), source })
    }

    /// Deals the rows of a block.
    fn take(&mut self, block: usize, bytes: &[u8]) -> Result<(), GatherError> {
        for position in &self.positions[self.starts[block]..self.starts[block + 1]] {
            let piece = self.rows.piece(self.order[*position as usize])?;
            let start = piece.start as usize;
            let row = bytes.get(start..start + piece.length as usize).ok_or(GatherError::Mismatch)?;
            let bucket = &mut self.buckets[self.ends.partition_point(|end| *end <= *position)];
            let written = bucket.write_all(&position.to_le_bytes()).and_then(|()| bucket.write_all(row));
            written.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Gives the rows in order.
    fn give(mut self, out: Out<'_>) -> Result<(), GatherError> {
        let mut begin = 0;
        for (bucket, end) in std::mem::take(&mut self.buckets).into_iter().zip(self.ends.clone()) {
            let mut bytes = Vec::new();
            let read = bucket.into_inner().map_err(io::IntoInnerError::into_error).and_then(|mut file| {
                bytes.reserve_exact(file.stream_position()? as usize + 1);
                file.rewind()?;
                file.read_to_end(&mut bytes)
            });
            read.map_err(|error| self.failed(error))?;
            // A bucket has every position of its stretch, each once.
            let mut rows: Vec<&[u8]> = vec![&[]; (end - begin) as usize];
            let mut rest = &bytes[..];
            while let Some((position, after)) = rest.split_first_chunk() {
                let position = u32::from_le_bytes(*position);
                let candidate = *self.order.get(position as usize).ok_or(GatherError::Mismatch)?;
                let length = self.rows.piece(candidate)?.length as usize;
                let (row, after) = after.split_at_checked(length).ok_or(GatherError::Mismatch)?;
                let place = position.checked_sub(begin).and_then(|at| rows.get_mut(at as usize));
                *place.ok_or(GatherError::Mismatch)? = row;
                rest = after;
            }
            for (position, row) in (begin..end).zip(rows) {
                out(row)?;
                let block = self.rows.piece(self.order[position as usize])?.block;
                out(&self.rows.endings[self.rows.blocks[block as usize].source as usize])?;
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
