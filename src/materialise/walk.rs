//! Goes through blocks in order, a few loaded at a time with whatever threads are free.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use super::gather::{Fails, GatherError, Place, Rows, row};
use crate::artifact::Miss;

/// The bytes of a block, and where its candidates stand in them.
type Loaded = (Arc<Vec<u8>>, Vec<Place>);

/// A walk through the blocks that rows are asked of.
pub(super) struct Walk<'r, 'a, E> {
    rows: &'r Rows<'a, E>,
    /// The block it is at, and the numbers of its candidates.
    block: usize,
    numbers: Range<u32>,
    /// That block's bytes and where its candidates stand, once a row of it is asked for.
    current: Option<Loaded>,
    /// Blocks behind it that were loaded with it.
    ahead: VecDeque<(usize, Arc<Vec<u8>>)>,
}

impl<'r, 'a, E: Fails> Walk<'r, 'a, E> {
    /// A walk that begins at the first block.
    pub(super) fn new(rows: &'r Rows<'a, E>) -> Self {
        let numbers = 0..rows.blocks.first().map_or(0, |block| block.candidates);
        Self { rows, block: 0, numbers, current: None, ahead: VecDeque::new() }
    }

    /// A candidate's source and row; each candidate asked for is at or behind the one before.
    pub(super) fn find(&mut self, candidate: u32) -> Result<(u32, &[u8]), E> {
        while candidate >= self.numbers.end {
            self.block += 1;
            let block = self.rows.blocks.get(self.block).ok_or(GatherError::Mismatch)?;
            self.numbers = self.numbers.end..self.numbers.end + block.candidates;
            self.current = None;
        }
        let (bytes, places) = match self.current.take() {
            Some(current) => current,
            None => (self.load()?, (self.rows.places)(self.block)?),
        };
        let (bytes, places) = self.current.insert((bytes, places));
        let place = places.get((candidate - self.numbers.start) as usize).ok_or(GatherError::Mismatch)?;
        Ok((self.rows.blocks[self.block].source, row(bytes, place)?))
    }

    fn load(&mut self) -> Result<Arc<Vec<u8>>, Miss> {
        self.ahead.retain(|(block, _)| *block >= self.block);
        if self.ahead.front().is_none_or(|(block, _)| *block != self.block) {
            let blocks = &self.rows.blocks;
            let of_use = (self.block..blocks.len()).filter(|block| blocks[*block].candidates > 0);
            let group: Vec<usize> = of_use.take(rayon::current_num_threads().max(1)).collect();
            let loaded = self.rows.load(&group)?;
            self.ahead = group.into_iter().zip(loaded).collect();
        }
        let (_, bytes) = self.ahead.pop_front().expect("the block was loaded a moment ago");
        Ok(bytes)
    }
}
