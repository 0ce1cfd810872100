//! Decides which side a row is on. Rows with the same prompt are always on the same side.

use super::{Candidate, Candidates, Draw, Mixture, Seen, SortMemory};
use crate::{
    config::Validation,
    failure::FileError,
    outputs::Side,
    sort::{Sorted, Sorter, halves},
};

/// Which rows are held out for validation.
#[derive(Debug)]
pub(super) enum Rule {
    /// Those whose prompt has a rank below this.
    Below(u128),
    /// Those whose prompt has this rank.
    Only(u64),
    /// All except those whose prompt has this rank.
    AllBut(u64),
    /// None.
    Nothing,
    /// Those whose samples are marked, with one bit per sample number.
    Marked(Vec<u64>),
}

impl Rule {
    /// Returns whether a sample is held out; `rank` is the rank of its prompt.
    pub(super) fn holds_out(&self, candidate: &Candidate, rank: u64) -> bool {
        match self {
            Self::Below(threshold) => u128::from(rank) < *threshold,
            Self::Only(only) => rank == *only,
            Self::AllBut(rest) => rank != *rest,
            Self::Nothing => false,
            Self::Marked(marks) => marks[candidate.number as usize / 64] >> (candidate.number % 64) & 1 == 1,
        }
    }

    /// Returns the rule to use if hashes leave a side empty; `None` if neither side is empty.
    pub(super) fn instead(&self, seen: &Seen) -> Option<Self> {
        let (lowest, highest) = seen.ranks;
        if !matches!(self, Self::Below(_)) || (seen.left > 0 && seen.drawn > 0) || seen.left + seen.drawn == 0 {
            None
        } else if lowest == highest {
            // One prompt cannot be on both sides, and training rows matter more than validation rows.
            (seen.drawn > 0).then_some(Self::Nothing)
        } else if seen.drawn == 0 {
            Some(Self::Only(lowest))
        } else {
            Some(Self::AllBut(highest))
        }
    }
}

/// The rows with one prompt.
struct Group {
    rows: u64,
    /// Source of its first row, whose quota it counts against.
    owner: usize,
}

/// Marks exactly floor(rows × ratio) of the rows that earlier draws left, if whole prompts allow that, taking prompts by
/// rank as long as they fit.
pub(super) fn marks<C: Candidates>(
    mixture: &Mixture<'_, C>,
    earlier: &[Draw],
    side: Side,
    ratio: f64,
    memory: SortMemory<'_>,
) -> Result<Vec<u64>, C::Error> {
    let Mixture { candidates, shares, validation } = mixture;
    let mut marks = vec![0_u64; candidates.count().div_ceil(64) as usize];
    if ratio <= 0.0 {
        return Ok(marks);
    }
    let mut ranked = Sorter::new(memory.scratch, memory.bytes, 1 << 32);
    let mut ends = vec![0; shares.len()];
    candidates.each(&mut |candidate| {
        ends[candidate.source] = candidate.number + 1;
        let times = shares[candidate.source].times(candidate, validation.seed);
        let is_left = || mixture.side(candidate, earlier) == Side::Train;
        if times > 0 && candidates.side(candidate.source).is_none() && is_left() {
            let [high, low] = halves(mixture.rank(candidate, side));
            ranked.push([high, low, candidate.number, times])?;
        }
        Ok(())
    })?;
    // Sources without a candidate end where the one before does.
    (1..ends.len()).for_each(|source| ends[source] = ends[source].max(ends[source - 1]));
    let ranked = ranked.finish()?;
    let (mut groups, mut rows) = (0_u64, vec![0; shares.len()]);
    each_group(&ranked, &ends, |group, _| {
        groups += 1;
        rows[group.owner] += group.rows;
        Ok::<_, C::Error>(())
    })?;
    let mut quotas = quotas(&rows, ratio, validation);
    let mut is_marked = groups < 2;
    let mut first: Option<Vec<u32>> = None;
    each_group(&ranked, &ends, |group, samples| {
        let quota = &mut quotas[if validation.stratified { group.owner } else { 0 }];
        // A single prompt is never held out.
        if groups > 1 && group.rows <= *quota {
            *quota -= group.rows;
            mark(&mut marks, samples);
            is_marked = true;
        }
        first.get_or_insert_with(|| samples.to_vec());
        Ok::<_, C::Error>(())
    })?;
    // If validation would be empty, it gets the prompt of lowest rank.
    if !is_marked {
        mark(&mut marks, &first.unwrap_or_default());
    }
    Ok(marks)
}

fn mark(marks: &mut [u64], samples: &[u32]) {
    samples.iter().for_each(|sample| marks[*sample as usize / 64] |= 1 << (sample % 64));
}

/// Returns how many rows to hold out, per source or in total.
fn quotas(rows: &[u64], ratio: f64, validation: &Validation) -> Vec<u64> {
    let take = |rows: u64| (rows as f64 * ratio).floor() as u64;
    let whole: u64 = rows.iter().sum();
    if !validation.stratified {
        return vec![take(whole)];
    }
    // The floors of the parts may add up to less than the floor of the whole; the largest remainders get the rest.
    let mut quotas: Vec<u64> = rows.iter().map(|rows| take(*rows)).collect();
    let mut by_remainder: Vec<usize> = (0..rows.len()).collect();
    by_remainder.sort_by(|a, b| {
        let remainder = |i: usize| rows[i] as f64 * ratio - quotas[i] as f64;
        remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
    });
    let missing = take(whole).saturating_sub(quotas.iter().sum());
    by_remainder.iter().take(missing as usize).for_each(|i| quotas[*i] += 1);
    quotas
}

/// Calls `take` with every prompt, in the order of ranks, and its samples.
fn each_group<E: From<FileError>>(
    ranked: &Sorted<4>,
    ends: &[u32],
    mut take: impl FnMut(&Group, &[u32]) -> Result<(), E>,
) -> Result<(), E> {
    let (mut group, mut samples, mut rank) = (Group { rows: 0, owner: 0 }, Vec::new(), None);
    ranked.each(|&[high, low, number, times]| {
        if rank != Some([high, low]) {
            if !samples.is_empty() {
                take(&group, &samples)?;
            }
            samples.clear();
            rank = Some([high, low]);
            group = Group { rows: 0, owner: ends.partition_point(|end| *end <= number) };
        }
        group.rows += u64::from(times);
        samples.push(number);
        Ok::<_, E>(())
    })?;
    if samples.is_empty() { Ok(()) } else { take(&group, &samples) }
}
