//! Candidates to two ordered lists: which rows, on which side, in which order.
//!
//! Everything here is decided by hashes of content and the seed, never by position or by a random stream, so a new row
//! slots in and no old row moves. Candidates are gone through one by one, as often as needed, and what is kept of each is
//! twelve bytes on their way through a [`Sorter`]: there may be hundreds of millions.

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

/// Raised when the same candidates are arranged otherwise.
pub const ARRANGE_VERSION: u32 = 1;

/// A selected sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which source it is from.
    pub source: usize,
    /// Its number among the samples of all sources.
    pub number: u32,
    /// The hash of its row.
    pub row_hash: u64,
    /// The hash of its prompt.
    pub prompt_hash: u64,
    /// What it counts towards its source's allotment: 1, its characters or its tokens.
    pub units: u32,
}

/// The selected samples of all sources.
pub trait Candidates {
    /// Why they could not be gone through.
    type Error: From<FileError>;

    /// How many there are.
    fn count(&self) -> u64;

    /// For each source what its samples count together.
    fn sizes(&self) -> Vec<u64>;

    /// Calls `take` with each: source by source, in the order of their numbers, which begin at 0 and leave none out.
    fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), Self::Error>) -> Result<(), Self::Error>;
}

/// What a source came to in the mixture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Realised {
    /// Its rows in training.
    pub train: u64,
    /// Its rows in validation.
    pub validation: u64,
    /// Its units on both sides: rows, characters or tokens.
    pub units: u64,
    /// How many of its rows are repeats.
    pub repeats: u64,
}

/// The rows of both sides in output order: the two halves of what each is ordered by, and its sample's number.
#[derive(Debug)]
pub struct Arrangement {
    /// Rows for training.
    pub train: Sorted<3>,
    /// Rows for validation.
    pub validation: Sorted<3>,
    /// What each source came to.
    pub realised: Vec<Realised>,
}

/// Where arranging may hold what it sorts.
#[derive(Clone, Copy, Debug)]
pub struct SortMemory<'r> {
    /// Gives files for what memory has no room for.
    pub scratch: &'r Arc<dyn Scratch>,
    /// Bytes of memory.
    pub bytes: usize,
}

/// What a hash is mixed with, so that the three uses of one seed are independent.
#[derive(Clone, Copy)]
enum Purpose {
    Split,
    Choice,
    Order,
}

/// XXH3-64 of the hash's 8 bytes (and the repeat's 4), little-endian, with the seed plus the purpose's number.
fn key(hash: u64, repeat: u32, seed: u64, purpose: Purpose) -> u64 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&hash.to_le_bytes());
    bytes[8..].copy_from_slice(&repeat.to_le_bytes());
    let bytes = if let Purpose::Split = purpose { &bytes[..8] } else { &bytes[..] };
    xxh3_64_with_seed(bytes, seed.wrapping_add(purpose as u64))
}

/// The rank of a prompt: those of low rank are held out for validation.
pub fn split_rank(prompt_hash: u64, seed: u64) -> u64 {
    key(prompt_hash, 0, seed, Purpose::Split)
}

/// With the hash method, prompts whose rank is below this are held out; 2^64 × ratio is exact, since it only moves the
/// exponent.
pub fn split_threshold(ratio: f64) -> u128 {
    (ratio * 18_446_744_073_709_551_616.0) as u128
}

/// What rows are ordered by: the hash of a row and which repeat of it this is.
pub fn order_key(row_hash: u64, repeat: u32, seed: u64) -> u64 {
    key(row_hash, repeat, seed, Purpose::Order)
}

/// Chooses, splits and orders; `allotment` counts in the candidates' units.
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

/// The lowest and the highest rank of a prompt in the mixture.
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
    // Nearly all of them are for training.
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
