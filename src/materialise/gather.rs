//! Rows in output order out of blobs in source order.
//!
//! Rows that an earlier build left in the output are copied from there. If the others fit into memory they are copied from
//! the decompressed blobs. If not, the blobs are gone through once, and [`Buckets`] take the rows. All ways write the same bytes.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    buckets::Buckets,
    budget::Budget,
    fill::{Filled, Plan},
    former::{Former, Stands},
    load::load,
    sink::Sink,
};
use crate::{
    artifact::{Miss, Store},
    id::BlobId,
    system::FileError,
};

/// A blob of rows.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its digest.
    pub rows: BlobId,
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
    pub places: &'a dyn Fn(usize) -> Result<Vec<Place>, E>,
    /// Set when it is to stop;
    pub interrupt: &'a Arc<AtomicBool>,
    /// and then this says why.
    pub check: &'a dyn Fn() -> Result<(), E>,
}

/// Where a candidate's row stands in its block.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its first byte.
    pub start: u32,
    /// One past its last byte.
    pub end: u32,
    /// XXH3-64 of its bytes.
    pub hash: u64,
}

impl Place {
    /// Where its bytes are.
    pub(super) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// How many there are.
    pub(super) fn length(&self) -> usize {
        self.range().len()
    }
}

/// The rows of one output in order: a blob of the numbers of candidates, 4 bytes each, little-endian.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The blob.
    pub list: BlobId,
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

/// Bytes that are held of each candidate and of each row of an output where rows are in memory.
const A_CANDIDATE: u64 = 12;
const A_ROW: u64 = 4;

/// Bytes that are held besides where rows stand in a former file: of each candidate and of each row of that file.
const A_KEPT_CANDIDATE: u64 = 8 + 4;
const A_FORMER_ROW: u64 = 8;

impl<E: Fails> Rows<'_, E> {
    /// Writes several outputs. What stands in a former file, one for each output, is copied from there; for the rest it
    /// holds rows in memory if the budget has room for them. An output that its former file holds already is not written;
    /// returns those.
    pub fn gather(
        &self,
        orders: &[Order],
        sinks: &mut [Sink],
        formers: Vec<Option<Former>>,
        budget: &Budget,
        scratch: &Path,
    ) -> Result<Vec<Option<Stands>>, E> {
        let of_use = || self.blocks.iter().filter(|block| block.candidates > 0);
        let candidates: u64 = of_use().map(|block| u64::from(block.candidates)).sum();
        let rows: u64 = orders.iter().map(|order| order.rows).sum();
        let bytes: u64 = of_use().map(|block| block.bytes).sum();
        let former: u64 = formers.iter().flatten().map(|former| former.rows.len() as u64).sum();
        let beside = A_CANDIDATE * candidates + A_ROW * rows;
        if former > 0
            && let Some(_lease) = budget.take(beside + A_KEPT_CANDIDATE * candidates + A_FORMER_ROW * former)
        {
            let mut plan = Plan::new(self, orders, true)?;
            plan.keep(formers);
            let needed = plan.needed();
            let bytes = needed.iter().map(|block| self.blocks[*block].bytes).sum();
            if let Some(_lease) = budget.take(bytes) {
                let stands = plan.stands();
                if plan.fill(self, &needed, sinks)? == Filled::All {
                    return Ok(stands);
                }
                sinks.iter().for_each(|sink| sink.target().restart());
            }
        }
        let none = vec![None; orders.len()];
        if let Some(_lease) = budget.take(bytes + beside) {
            let plan = Plan::new(self, orders, false)?;
            let needed = plan.needed();
            return match plan.fill(self, &needed, sinks)? {
                Filled::All => Ok(none),
                Filled::Stale => Err(GatherError::Mismatch.into()),
            };
        }
        // As many rows of average length as a processor's cache holds are put in order at a time.
        let (mean, bucket) = (bytes / candidates.max(1), (budget.whole() / 64).max(1 << 20));
        let targets = sinks.iter().map(|sink| sink.target().clone()).collect();
        let buckets = Buckets::new(orders, targets, self.endings.clone(), mean, bucket)?;
        self.through_buckets(candidates, orders, buckets, scratch)?;
        sinks.iter().try_for_each(|sink| sink.target().check())?;
        Ok(none)
    }

    /// The bytes of blocks.
    pub(super) fn load(&self, blocks: &[usize]) -> Result<Vec<Arc<Vec<u8>>>, Miss> {
        load(self.store, blocks.iter().map(|block| self.blocks[*block].rows).collect())
    }

    /// Calls `take` with the candidates of an order.
    pub(super) fn each(&self, order: &Order, mut take: impl FnMut(u32) -> Result<(), E>) -> Result<(), E> {
        let mut rows = 0;
        self.store.each_part(&order.list, |part| {
            rows += part.len() as u64 / 4;
            part.as_chunks().0.iter().try_for_each(|candidate| take(u32::from_le_bytes(*candidate)))
        })?;
        if rows == order.rows { Ok(()) } else { Err(GatherError::Mismatch.into()) }
    }
}

#[cfg(test)]
mod tests;
