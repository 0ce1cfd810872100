//! Arranges candidates in two ordered lists: which rows are chosen, on which side and in which order.
//!
//! Everything is decided by hashes of the content and by the seed, never by position or by a random stream, so a new
//! row does not move old ones. There may be hundreds of millions of candidates: each pass reads them one by one, and
//! keeps twelve bytes of each in a [`Sorter`].

mod choose;
#[cfg(test)]
mod plain;
mod split;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::{
    choose::{Share, shares},
    split::{Rule, marks},
};
use super::allot::Allotment;
use crate::{
    config::{SplitMethod, Validation},
    failure::FileError,
    outputs::{BySide, Side},
    sort::{Scratch, Sorted, Sorter, halves},
};

/// Version of the arrangement, to be raised when the same candidates are arranged differently.
pub const ARRANGE_VERSION: u32 = 1;

/// A selected sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index of the source.
    pub source: usize,
    /// Number of the sample among the samples of all sources.
    pub number: u32,
    /// Hash of the row.
    pub row_hash: u64,
    /// Hash of the prompt.
    pub prompt_hash: u64,
    /// Hash of the prompt regardless of case and white space.
    pub folded_hash: u64,
    /// What the sample counts towards its source's allotment: 1, or its characters or tokens.
    pub units: u32,
    /// Whether it is a part of the text that the sample before it is a part of.
    pub continues: bool,
}

/// The selected samples of all sources, which can be read any number of times.
pub trait Candidates {
    /// Why the samples could not be read.
    type Error: From<FileError>;

    /// Returns the number of samples.
    fn count(&self) -> u64;

    /// Returns what the samples of each source count in total.
    fn sizes(&self) -> Vec<u64>;

    /// Returns the side that all samples of a source are on, if they are not divided.
    fn side(&self, source: usize) -> Option<Side>;

    /// Calls `take` with each sample, source by source, in the order of their numbers, which begin at 0 and are
    /// contiguous.
    fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), Self::Error>) -> Result<(), Self::Error>;
}

/// The part of a source in the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Realised {
    /// Number of its rows on each side.
    pub rows: BySide<u64>,
    /// Number of its units on each side: rows, characters or tokens.
    pub units: BySide<u64>,
    /// Number of its rows that are repeats.
    pub repeats: u64,
}

impl Realised {
    /// Returns the number of rows on all sides.
    pub fn all_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Returns the number of units on all sides.
    pub fn all_units(&self) -> u64 {
        self.units.values().sum()
    }
}

/// The rows of each side in output order, each as the two halves of its order key and the number of its sample.
#[derive(Debug)]
pub struct Arrangement {
    /// The rows of each side.
    pub rows: BySide<Sorted<3>>,
    /// The part of each source.
    pub realised: Vec<Realised>,
    /// Number of prompts on several sides that differ in case and white space alone; `None` if too many prompts are held
    /// out for that to be counted.
    pub mingled: Option<u64>,
}

/// Memory and temporary files for sorting.
#[derive(Clone, Copy, Debug)]
pub struct SortMemory<'r> {
    /// Temporary files for what does not fit in memory.
    pub scratch: &'r Arc<dyn Scratch>,
    /// Memory in bytes.
    pub bytes: usize,
}

/// Use of a hash. The uses of one seed are independent.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Split,
    Choice,
    Order,
    Sample,
    Test,
}

/// Returns the XXH3-64 of the hash's 8 bytes (and the repeat's 4), little-endian, seeded with the seed plus the
/// number of the purpose.
pub(super) fn key(hash: u64, repeat: u32, seed: u64, purpose: Purpose) -> u64 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&hash.to_le_bytes());
    bytes[8..].copy_from_slice(&repeat.to_le_bytes());
    let bytes = if let Purpose::Split | Purpose::Sample | Purpose::Test = purpose { &bytes[..8] } else { &bytes[..] };
    xxh3_64_with_seed(bytes, seed.wrapping_add(purpose as u64))
}

/// Returns the rank of a prompt in the draw for a side. Prompts of low rank are held out.
///
/// The draws are independent, so a recipe that adds a test side takes rows from train and validation alike, and moves
/// none between them.
pub fn split_rank(prompt_hash: u64, seed: u64, side: Side) -> u64 {
    key(prompt_hash, 0, seed, if side == Side::Test { Purpose::Test } else { Purpose::Split })
}

/// Returns the threshold of the hash method: prompts with lower ranks are held out. The product 2^64 × ratio is
/// exact, since it only changes the exponent.
pub fn split_threshold(ratio: f64) -> u128 {
    (ratio * 18_446_744_073_709_551_616.0) as u128
}

/// Returns the key that rows are ordered by, from the hash of a row and the number of the repeat.
pub fn order_key(row_hash: u64, repeat: u32, seed: u64) -> u64 {
    key(row_hash, repeat, seed, Purpose::Order)
}

/// Chooses, splits and orders samples. `allotment` is in the candidates' units.
pub fn arrange<C: Candidates>(
    candidates: &C,
    allotment: &Allotment,
    validation: &Validation,
    memory: SortMemory<'_>,
) -> Result<Arrangement, C::Error> {
    let mixture = Mixture { candidates, shares: shares(candidates, allotment, validation.seed, memory)?, validation };
    let mut draws: Vec<Draw> = Vec::new();
    for (side, ratio) in [(Side::Test, validation.test_ratio), (Side::Validation, validation.ratio)] {
        let rule = match validation.method {
            SplitMethod::Hash => Rule::Below(split_threshold(ratio)),
            SplitMethod::Exact => Rule::Marked(marks(&mixture, &draws, side, ratio, memory)?),
        };
        // Of nothing, nothing is drawn; and a recipe without a test side is spared the hashing.
        if ratio > 0.0 {
            draws.push(Draw { side, rule });
        }
    }
    loop {
        let (arrangement, seen) = mixture.deal(&draws, memory)?;
        // Prompts that an earlier draw takes do not come to the next one, so the first is settled first.
        match (0..draws.len()).find_map(|at| Some((at, draws[at].rule.instead(&seen[at])?))) {
            Some((at, rule)) => draws[at].rule = rule,
            None => {
                let mingled = mixture.mingled(&draws)?;
                return Ok(Arrangement { mingled, ..arrangement });
            }
        }
    }
}

/// A draw of prompts for one side, of those that earlier draws left.
pub(super) struct Draw {
    side: Side,
    rule: Rule,
}

/// What a draw saw of the mixture.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// The lowest and the highest rank of all prompts.
    ranks: (u64, u64),
    /// Number of rows that were drawn.
    drawn: u64,
    /// Number of rows that were left.
    left: u64,
}

/// Samples with the number of times that each is used, and how they are divided.
pub(super) struct Mixture<'m, C> {
    candidates: &'m C,
    shares: Vec<Share>,
    validation: &'m Validation,
}

impl<C: Candidates> Mixture<'_, C> {
    /// Returns the rank of a sample's prompt in the draw for a side.
    fn rank(&self, candidate: &Candidate, side: Side) -> u64 {
        split_rank(self.prompt(candidate), self.validation.seed, side)
    }

    /// Returns the hash that stands for the prompt of a sample.
    fn prompt(&self, candidate: &Candidate) -> u64 {
        if self.validation.normalise { candidate.folded_hash } else { candidate.prompt_hash }
    }

    /// Returns the side of a sample of the mixture.
    fn side(&self, candidate: &Candidate, draws: &[Draw]) -> Side {
        let drawn = draws.iter().find(|draw| draw.rule.holds_out(candidate, self.rank(candidate, draw.side)));
        drawn.map_or(Side::Train, |draw| draw.side)
    }

    /// Puts every row on its side.
    fn deal(&self, draws: &[Draw], memory: SortMemory<'_>) -> Result<(Arrangement, Vec<Seen>), C::Error> {
        let seed = self.validation.seed;
        let sorter = || Sorter::new(memory.scratch, memory.bytes / 2, 1 << 32);
        // Nearly all rows are for training.
        let mut sides = BySide { train: sorter().with_room_for(self.candidates.count()), ..BySide::new(|_| sorter()) };
        let held: Vec<Option<Side>> = (0..self.shares.len()).map(|source| self.candidates.side(source)).collect();
        let mut realised = vec![Realised::default(); self.shares.len()];
        let mut seen = vec![Seen { ranks: (u64::MAX, 0), drawn: 0, left: 0 }; draws.len()];
        self.candidates.each(&mut |candidate| {
            let times = self.shares[candidate.source].times(candidate, seed);
            if times == 0 {
                return Ok(());
            }
            let side = held[candidate.source].unwrap_or_else(|| {
                for (draw, seen) in draws.iter().zip(&mut seen) {
                    let rank = self.rank(candidate, draw.side);
                    seen.ranks = (seen.ranks.0.min(rank), seen.ranks.1.max(rank));
                    if draw.rule.holds_out(candidate, rank) {
                        seen.drawn += u64::from(times);
                        return draw.side;
                    }
                    seen.left += u64::from(times);
                }
                Side::Train
            });
            let own = &mut realised[candidate.source];
            *own.rows.get_mut(side) += u64::from(times);
            *own.units.get_mut(side) += u64::from(times) * u64::from(candidate.units);
            own.repeats += u64::from(times - 1);
            for repeat in 0..times {
                let [high, low] = halves(order_key(candidate.row_hash, repeat, seed));
                sides.get_mut(side).push([high, low, candidate.number])?;
            }
            Ok(())
        })?;
        let rows =
            BySide { train: sides.train.finish()?, validation: sides.validation.finish()?, test: sides.test.finish()? };
        Ok((Arrangement { rows, realised, mingled: None }, seen))
    }

    /// Counts the prompts that are on several sides but for case and white space.
    fn mingled(&self, draws: &[Draw]) -> Result<Option<u64>, C::Error> {
        let held: Vec<Option<Side>> = (0..self.shares.len()).map(|source| self.candidates.side(source)).collect();
        let side = |candidate: &Candidate| held[candidate.source].unwrap_or_else(|| self.side(candidate, draws));
        let is_used = |candidate: &Candidate| self.shares[candidate.source].times(candidate, self.validation.seed) > 0;
        // For each prompt that is held out, the sides it is on, a bit each.
        let mut prompts: HashMap<u64, u8, BuildHasherDefault<AsIs>> = HashMap::default();
        let mut is_too_much = false;
        self.candidates.each(&mut |candidate| {
            if !is_too_much && is_used(candidate) {
                let side = side(candidate);
                if side != Side::Train {
                    *prompts.entry(candidate.folded_hash).or_default() |= 1 << side as u8;
                    is_too_much = prompts.len() > COUNTED;
                }
            }
            Ok(())
        })?;
        if is_too_much {
            return Ok(None);
        }
        if !prompts.is_empty() {
            self.candidates.each(&mut |candidate| {
                if let Some(sides) = prompts.get_mut(&candidate.folded_hash)
                    && is_used(candidate)
                {
                    *sides |= 1 << side(candidate) as u8;
                }
                Ok(())
            })?;
        }
        Ok(Some(prompts.values().filter(|sides| sides.count_ones() > 1).count() as u64))
    }
}

/// Most prompts that are held in memory to find those that are on several sides.
const COUNTED: usize = 1 << 20;

/// Takes a hash for what it is.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Counts rows of a list in order that are also rows of an earlier source: equal rows have equal order keys.
#[derive(Debug)]
pub struct AcrossSources {
    /// For each source one past the number of its last sample.
    ends: Vec<u32>,
    /// The order key of the row before, and the source of the first row with it.
    before: Option<([u32; 2], usize)>,
    /// Number of such rows.
    pub count: u64,
}

impl AcrossSources {
    /// Begins a list of samples of sources that have so many samples each.
    pub fn new(samples: impl IntoIterator<Item = u64>) -> Self {
        let ends = samples.into_iter().scan(0_u64, |end, samples| {
            *end += samples;
            Some(*end as u32)
        });
        Self { ends: ends.collect(), before: None, count: 0 }
    }

    /// Takes the next row of the list.
    pub fn see(&mut self, [high, low, number]: [u32; 3]) {
        let source = |number: u32| self.ends.partition_point(|end| *end <= number);
        match self.before {
            Some((key, first)) if key == [high, low] => self.count += u64::from(source(number) != first),
            _ => self.before = Some(([high, low], source(number))),
        }
    }
}
