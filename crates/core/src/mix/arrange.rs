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

use std::sync::Arc;

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
    /// What the sample counts towards its source's allotment: 1, or its characters or tokens.
    pub units: u32,
}

/// The selected samples of all sources, which can be read any number of times.
pub trait Candidates {
    /// Why the samples could not be read.
    type Error: From<FileError>;

    /// Returns the number of samples.
    fn count(&self) -> u64;

    /// Returns what the samples of each source count in total.
    fn sizes(&self) -> Vec<u64>;

    /// Calls `take` with each sample, source by source, in the order of their numbers, which begin at 0 and are
    /// contiguous.
    fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), Self::Error>) -> Result<(), Self::Error>;
}

/// The part of a source in the mixture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Realised {
    /// Number of its training rows.
    pub train: u64,
    /// Number of its validation rows.
    pub validation: u64,
    /// Number of its units on both sides: rows, characters or tokens.
    pub units: u64,
    /// Number of its rows that are repeats.
    pub repeats: u64,
}

/// The rows of both sides in output order, each as the two halves of its order key and the number of its sample.
#[derive(Debug)]
pub struct Arrangement {
    /// Training rows.
    pub train: Sorted<3>,
    /// Validation rows.
    pub validation: Sorted<3>,
    /// The part of each source.
    pub realised: Vec<Realised>,
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
}

/// Returns the XXH3-64 of the hash's 8 bytes (and the repeat's 4), little-endian, seeded with the seed plus the
/// number of the purpose.
pub(super) fn key(hash: u64, repeat: u32, seed: u64, purpose: Purpose) -> u64 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&hash.to_le_bytes());
    bytes[8..].copy_from_slice(&repeat.to_le_bytes());
    let bytes = if let Purpose::Split | Purpose::Sample = purpose { &bytes[..8] } else { &bytes[..] };
    xxh3_64_with_seed(bytes, seed.wrapping_add(purpose as u64))
}

/// Returns the rank of a prompt. Prompts of low rank are held out for validation.
pub fn split_rank(prompt_hash: u64, seed: u64) -> u64 {
    key(prompt_hash, 0, seed, Purpose::Split)
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
    let shares = shares(candidates, allotment, validation.seed, memory)?;
    let rule = match validation.method {
        SplitMethod::Hash => Rule::Below(split_threshold(validation.ratio)),
        SplitMethod::Exact => Rule::Marked(marks(candidates, &shares, validation, memory)?),
    };
    let (arrangement, seen) = deal(candidates, &shares, &rule, validation.seed, memory)?;
    match rule.instead(&arrangement.realised, seen, validation.ratio) {
        None => Ok(arrangement),
        Some(rule) => deal(candidates, &shares, &rule, validation.seed, memory).map(|(arrangement, _)| arrangement),
    }
}

/// The lowest and the highest rank of all prompts in the mixture.
type Ranks = (u64, u64);

/// Puts every row of the mixture on its side.
fn deal<C: Candidates>(
    candidates: &C,
    shares: &[Share],
    rule: &Rule,
    seed: u64,
    memory: SortMemory<'_>,
) -> Result<(Arrangement, Ranks), C::Error> {
    let sorter = || Sorter::new(memory.scratch, memory.bytes / 2, 1 << 32);
    // Nearly all rows are for training.
    let (mut train, mut validation) = (sorter().with_room_for(candidates.count()), sorter());
    let mut realised = vec![Realised::default(); shares.len()];
    let (mut lowest, mut highest) = (u64::MAX, 0);
    candidates.each(&mut |candidate| {
        let times = shares[candidate.source].times(candidate, seed);
        if times == 0 {
            return Ok(());
        }
        let rank = split_rank(candidate.prompt_hash, seed);
        (lowest, highest) = (lowest.min(rank), highest.max(rank));
        let own = &mut realised[candidate.source];
        let (side, rows) = match rule.holds_out(candidate, rank) {
            true => (&mut validation, &mut own.validation),
            false => (&mut train, &mut own.train),
        };
        *rows += u64::from(times);
        own.units += u64::from(times) * u64::from(candidate.units);
        own.repeats += u64::from(times - 1);
        for repeat in 0..times {
            let [high, low] = halves(order_key(candidate.row_hash, repeat, seed));
            side.push([high, low, candidate.number])?;
        }
        Ok(())
    })?;
    let arrangement = Arrangement { train: train.finish()?, validation: validation.finish()?, realised };
    Ok((arrangement, (lowest, highest)))
}
