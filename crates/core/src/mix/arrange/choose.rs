//! Determines how often each sample is in the mixture.
//!
//! All rows of a source are used as often as its allotment has room for all of them; then those of lowest rank are
//! used once more, until the allotment is met as closely as whole rows allow.

use super::{Allotment, Candidate, Candidates, Purpose, SortMemory, key};
use crate::sort::{Sorted, Sorter, halves, whole};

/// Contribution of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Number of times that each row is used.
    passes: u32,
    /// Rank and number of the last row that is used once more; `None` if none is.
    last: Option<(u64, u32)>,
}

impl Share {
    /// Returns how often a sample is in the mixture.
    pub(super) fn times(&self, candidate: &Candidate, seed: u64) -> u32 {
        let is_given = |last| (rank(candidate, self.passes, seed), candidate.number) <= last;
        self.passes + u32::from(self.last.is_some_and(is_given))
    }
}

fn rank(candidate: &Candidate, passes: u32, seed: u64) -> u64 {
    key(candidate.row_hash, passes, seed, Purpose::Choice)
}

/// Returns the contribution of each source.
pub(super) fn shares<C: Candidates>(
    candidates: &C,
    allotment: &Allotment,
    seed: u64,
    memory: SortMemory<'_>,
) -> Result<Vec<Share>, C::Error> {
    let (mut shares, mut missing) = (Vec::new(), Vec::new());
    for (target, size) in allotment.counts.iter().zip(candidates.sizes()) {
        shares.push(Share { passes: target.checked_div(size).unwrap_or(0) as u32, last: None });
        missing.push(target.checked_rem(size).unwrap_or(0));
    }
    if missing.iter().all(|missing| *missing == 0) {
        return Ok(shares);
    }
    let sorter = || Sorter::new(memory.scratch, memory.bytes, 1 << 32);
    let (mut source, mut ranked) = (0, sorter());
    candidates.each(&mut |candidate| {
        if candidate.source != source {
            shares[source].last = last(&std::mem::replace(&mut ranked, sorter()).finish()?, missing[source])?;
            source = candidate.source;
        }
        if missing[source] > 0 {
            let [high, low] = halves(rank(candidate, shares[source].passes, seed));
            ranked.push([high, low, candidate.number, candidate.units])?;
        }
        Ok(())
    })?;
    if let Some(share) = shares.get_mut(source) {
        share.last = last(&ranked.finish()?, missing[source])?;
    }
    Ok(shares)
}

/// Returns the rank and number of the last row that is needed to reach `missing` units.
fn last<E: From<crate::failure::FileError>>(ranked: &Sorted<4>, mut missing: u64) -> Result<Option<(u64, u32)>, E> {
    let (mut last, mut is_met) = (None, missing == 0);
    ranked.each(|&[high, low, number, units]| {
        let units = u64::from(units);
        // The row that crosses the target is taken if that is closer to the target than leaving it out.
        is_met |= units > missing.saturating_mul(2);
        if !is_met {
            last = Some((whole([high, low]), number));
            missing = missing.saturating_sub(units);
            is_met = missing == 0;
        }
        Ok::<_, E>(())
    })?;
    Ok(last)
}
