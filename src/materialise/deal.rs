//! Rows without room in memory: dealt into buckets block by block, by all threads, and put in order there.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use super::{
    buckets::Buckets,
    gather::{Block, Fails, GatherError, Order, Place, Rows},
    share::share,
};
use crate::{
    artifact::Blobs,
    id::BlobId,
    sort::{Sorted, Sorter},
};

/// Bytes of memory that sorting may take.
const SORTED_BYTES: usize = 32 << 20;

/// Blocks whose rows are dealt before more are looked up: enough for threads to end at about the same time.
const WAVE: usize = 64;

/// A row that is wanted, and where.
struct WantedRow {
    place: Place,
    position: u32,
}

/// The rows that are wanted of a block.
struct WantedOf {
    blob: BlobId,
    source: u32,
    rows: Vec<WantedRow>,
}

impl<E: Fails> Rows<'_, E> {
    /// Deals all rows into buckets, reading each block once, then puts each bucket in order.
    pub(super) fn through_buckets(
        &self,
        candidates: u64,
        orders: &[Order],
        mut buckets: Buckets,
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
        let wanted = wanted.finish()?;
        self.each_wanted(&wanted, |block, row| {
            Ok(buckets.measure(row.position, self.blocks[block].source, row.place.length())?)
        })?;
        buckets.lay_out()?;
        let buckets = Arc::new(buckets);
        let (mut wave, mut last) = (Vec::new(), None);
        self.each_wanted(&wanted, |block, row| {
            if last.replace(block) != Some(block) {
                if wave.len() == WAVE {
                    self.deal(&buckets, std::mem::take(&mut wave))?;
                }
                let Block { rows, source, .. } = self.blocks[block];
                wave.push(WantedOf { blob: rows, source, rows: Vec::new() });
            }
            wave.last_mut().expect("one was added").rows.push(row);
            Ok(())
        })?;
        self.deal(&buckets, wave)?;
        buckets.all_dealt()?;
        // What was made a moment ago is dealt: the buckets need the room.
        self.store.let_go();
        let numbers = buckets.len();
        self.on_all_threads(numbers, move |number| buckets.put_in_order(number))
    }

    /// Calls `take` with the block, the place and the position of each row that is wanted, block by block.
    fn each_wanted(
        &self,
        wanted: &Sorted<2>,
        mut take: impl FnMut(usize, WantedRow) -> Result<(), E>,
    ) -> Result<(), E> {
        // The block, the numbers of its candidates, and where they stand, once one is asked for.
        let first = self.blocks.first().map_or(0, |block| u64::from(block.candidates));
        let (mut block, mut end, mut places) = (0, first, None);
        wanted.each(|&[candidate, position]| {
            let candidate = u64::from(candidate);
            while candidate >= end {
                block += 1;
                end += u64::from(self.blocks.get(block).ok_or(GatherError::Mismatch)?.candidates);
                places = None;
            }
            let places = match &mut places {
                Some(places) => places,
                none => none.insert((self.places)(block)?),
            };
            let of_block = candidate + u64::from(self.blocks[block].candidates) - end;
            let place = *places.get(of_block as usize).ok_or(GatherError::Mismatch)?;
            take(block, WantedRow { place, position })
        })
    }

    /// Deals the rows that are wanted of some blocks.
    fn deal(&self, buckets: &Arc<Buckets>, wave: Vec<WantedOf>) -> Result<(), E> {
        let (store, buckets) = (self.store.clone(), buckets.clone());
        self.on_all_threads(wave.len(), move |number| {
            let WantedOf { blob, source, rows } = &wave[number];
            let bytes = store.get(blob)?;
            rows.iter().try_for_each(|wanted| {
                let row = bytes.get(wanted.place.range()).ok_or(GatherError::Mismatch)?;
                buckets.deal(wanted.position, *source, row)
            })
        })
    }

    /// Does `work` for every number below `count` with whatever threads are free, unless it is to stop; the first error.
    fn on_all_threads(
        &self,
        count: usize,
        work: impl Fn(usize) -> Result<(), GatherError> + Send + Sync + 'static,
    ) -> Result<(), E> {
        let (interrupt, met) = (self.interrupt.clone(), Arc::new(Mutex::new(None)));
        let met_by_all = met.clone();
        share(count, move |number| {
            let met = || met_by_all.lock().unwrap_or_else(PoisonError::into_inner);
            if interrupt.load(Ordering::Relaxed) || met().is_some() {
                return;
            }
            if let Err(error) = work(number) {
                met().get_or_insert(error);
            }
        });
        (self.check)()?;
        let met = met.lock().unwrap_or_else(PoisonError::into_inner).take();
        met.map_or(Ok(()), |error| Err(error.into()))
    }
}
