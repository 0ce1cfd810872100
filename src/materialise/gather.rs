//! Rows in output order out of blobs in source order.
//!
//! If the rows fit into memory they are copied from the decompressed blobs. If not, the blobs are gone through once, and
//! [`Buckets`] on disk take the rows. Both ways write the same bytes.

use std::{ops::Range, path::Path, sync::Arc};

use super::{buckets::Buckets, budget::Budget, load::load, walk::Walk};
use crate::{
    artifact::{Miss, Store},
    hash::Digest,
    sort::Sorter,
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
    /// How many of its rows are candidates.
    pub candidates: u32,
}

/// Everything an output can be gathered from. Its candidates are numbered block by block.
pub struct Rows<'a, E> {
    /// Where blobs are.
    pub store: &'a Store,
    /// The blobs.
    pub blocks: Vec<Block>,
    /// For each source, what closes its rows: `,"source":"…"}` and a newline.
    pub endings: Vec<Vec<u8>>,
    /// Where the candidates of a block stand in it.
    pub places: &'a dyn Fn(usize) -> Result<Vec<Range<u32>>, E>,
}

/// The rows of one output in order: a blob of the numbers of candidates, 4 bytes each, little-endian.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The blob.
    pub list: Digest,
    /// How many rows there are.
    pub rows: u64,
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
}

/// What is to be had of blobs, files and whoever takes the rows.
pub trait Fails: From<GatherError> + From<FileError> + From<Miss> {}

impl<E: From<GatherError> + From<FileError> + From<Miss>> Fails for E {}

/// Receives the rows of one output in order.
pub(super) type Out<'o, E> = &'o mut dyn FnMut(&[u8]) -> Result<(), E>;

/// Bytes of memory that sorting may take where rows have no room in it.
const SORTED_BYTES: usize = 32 << 20;

/// Where one candidate's row stands.
struct Piece {
    block: u32,
    place: Range<u32>,
}

impl<E: Fails> Rows<'_, E> {
    /// Writes several outputs; holds their rows if the budget has room for them.
    pub fn gather(&self, orders: &[Order], outs: &mut [Out<'_, E>], budget: &Budget, scratch: &Path) -> Result<(), E> {
        let of_use = || self.blocks.iter().filter(|block| block.candidates > 0);
        let candidates: u64 = of_use().map(|block| u64::from(block.candidates)).sum();
        let rows: u64 = orders.iter().map(|order| order.rows).sum();
        let bytes: u64 = of_use().map(|block| block.bytes).sum();
        let beside = size_of::<Piece>() as u64 * candidates + size_of::<u32>() as u64 * rows;
        if let Some(_lease) = budget.take(bytes + beside) {
            return self.through_memory(orders, outs);
        }
        // As many rows of average length as a processor's cache holds are put in order at a time.
        let (mean, bucket) = (bytes / candidates.max(1), (budget.whole() / 64).max(1 << 20));
        self.through_buckets(candidates, orders, outs, Buckets::new(orders, mean, bucket, scratch)?, scratch)
    }

    /// The bytes of blocks.
    pub(super) fn load(&self, blocks: &[usize]) -> Result<Vec<Arc<Vec<u8>>>, Miss> {
        load(self.store, blocks.iter().map(|block| self.blocks[*block].rows).collect())
    }

    /// What closes the rows of a source.
    fn ending(&self, source: u32) -> Option<&[u8]> {
        self.endings.get(source as usize).map(Vec::as_slice)
    }

    /// Calls `take` with the candidates of an order.
    fn each(&self, order: &Order, mut take: impl FnMut(u32) -> Result<(), E>) -> Result<(), E> {
        let mut rows = 0;
        self.store.each_part(&order.list, |part| {
            rows += part.len() as u64 / 4;
            part.as_chunks().0.iter().try_for_each(|candidate| take(u32::from_le_bytes(*candidate)))
        })?;
        if rows == order.rows { Ok(()) } else { Err(GatherError::Mismatch.into()) }
    }

    fn through_memory(&self, orders: &[Order], outs: &mut [Out<'_, E>]) -> Result<(), E> {
        let mut pieces = Vec::new();
        for block in (0..self.blocks.len()).filter(|block| self.blocks[*block].candidates > 0) {
            pieces.extend((self.places)(block)?.into_iter().map(|place| Piece { block: block as u32, place }));
        }
        let piece = |candidate: &u32| pieces.get(*candidate as usize).ok_or(GatherError::Mismatch);
        let mut lists = Vec::with_capacity(orders.len());
        let mut is_needed = vec![false; self.blocks.len()];
        for order in orders {
            let mut list = Vec::with_capacity(order.rows as usize);
            self.each(order, |candidate| {
                is_needed[piece(&candidate)?.block as usize] = true;
                list.push(candidate);
                Ok(())
            })?;
            lists.push(list);
        }
        let needed: Vec<usize> = (0..self.blocks.len()).filter(|block| is_needed[*block]).collect();
        let mut loaded = vec![Arc::default(); self.blocks.len()];
        needed.iter().zip(self.load(&needed)?).for_each(|(block, bytes)| loaded[*block] = bytes);
        for (list, out) in lists.iter().zip(outs) {
            for candidate in list {
                let Piece { block, place } = piece(candidate)?;
                out(row(&loaded[*block as usize], place)?)?;
                out(self.ending(self.blocks[*block as usize].source).ok_or(GatherError::Mismatch)?)?;
            }
        }
        Ok(())
    }

    /// Deals all rows into buckets, reading each block once, then puts each bucket in order.
    fn through_buckets(
        &self,
        candidates: u64,
        orders: &[Order],
        outs: &mut [Out<'_, E>],
        mut buckets: Buckets<'_>,
        scratch: &Path,
    ) -> Result<(), E> {
        // Positions by candidate, and so by block: those of the second output follow those of the first.
        let (mut wanted, mut position) = (Sorter::new(scratch, SORTED_BYTES, candidates), 0_u32);
        for order in orders {
            self.each(order, |candidate| {
                wanted.push([candidate, position])?;
                position = position.checked_add(1).ok_or(GatherError::Mismatch)?;
                Ok(())
            })?;
        }
        let mut walk = Walk::new(self);
        wanted.finish()?.each(|&[candidate, position]| {
            let (source, row) = walk.find(candidate)?;
            Ok::<_, E>(buckets.take(position, source, row)?)
        })?;
        buckets.give(outs, |source| self.ending(source))
    }
}

/// A row of a block.
pub(super) fn row<'b>(block: &'b [u8], place: &Range<u32>) -> Result<&'b [u8], GatherError> {
    block.get(place.start as usize..place.end as usize).ok_or(GatherError::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    enum Problem {
        Gather(#[from] GatherError),
        File(#[from] FileError),
        Miss(#[from] Miss),
    }

    #[test]
    fn memory_and_buckets_write_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (mut blocks, mut places) = (Vec::new(), Vec::new());
        for block in 0..40_u32 {
            let (mut bytes, mut own) = (Vec::new(), Vec::new());
            // Some blocks have no candidates.
            for row in 0..if block % 7 == 3 { 0 } else { 100_u32 } {
                let text = format!("{{\"text\":\"{block} {row} {}\"", "x".repeat((row as usize * 37) % 2000));
                let start = bytes.len() as u32;
                bytes.extend_from_slice(text.as_bytes());
                own.push(start..bytes.len() as u32);
            }
            let rows = store.put(&bytes).unwrap();
            blocks.push(Block { rows, bytes: bytes.len() as u64, source: block % 2, candidates: own.len() as u32 });
            places.push(own);
        }
        let candidates: u32 = blocks.iter().map(|block| block.candidates).sum();
        let rows = Rows {
            store: &store,
            blocks,
            endings: vec![b",\"source\":\"a\"}\n".to_vec(), b",\"source\":\"b\"}\n".to_vec()],
            places: &|block| Ok::<_, Problem>(places[block].clone()),
        };
        // Every third row twice, in an order that jumps about.
        let order: Vec<u32> = (0..5000_u32).map(|i| i.wrapping_mul(2_654_435_761) % candidates).collect();
        let order_of = |rows: &[u32]| {
            let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
            Order { list: store.put(&bytes).unwrap(), rows: rows.len() as u64 }
        };
        let gathered = |memory| {
            let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
            rows.gather(
                &[order_of(&order), order_of(&order[..17]), order_of(&[])],
                &mut [
                    &mut |bytes: &[u8]| {
                        first.extend_from_slice(bytes);
                        Ok(())
                    },
                    &mut |bytes: &[u8]| {
                        second.extend_from_slice(bytes);
                        Ok(())
                    },
                    &mut |bytes: &[u8]| {
                        third.extend_from_slice(bytes);
                        Ok(())
                    },
                ],
                &Budget::new(memory),
                folder.path(),
            )
            .unwrap();
            assert!(third.is_empty());
            (first, second)
        };
        let whole = gathered(u64::MAX);
        assert_eq!(whole.1.iter().filter(|byte| **byte == b'\n').count(), 17);
        assert_eq!(whole.0.iter().filter(|byte| **byte == b'\n').count(), 5000);
        assert!(whole == gathered(0), "through buckets");
    }
}
