//! Candidates to two ordered lists: which rows, on which side, in which order.
//!
//! Everything here is decided by hashes of content and the seed, never by position or by a random stream, so a new row
//! slots in and no old row moves.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::allot::Allotment;
use crate::config::{SplitMethod, Validation};

/// Raised when the same candidates are arranged otherwise.
pub const ARRANGE_VERSION: u32 = 1;

/// A selected sample, known by its place in the list of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which source it is from.
    pub source: u32,
    /// The hash of its row.
    pub row_hash: u64,
    /// The hash of its prompt.
    pub prompt_hash: u64,
    /// What it counts towards its source's allotment: 1, or its characters or tokens.
    pub units: u32,
}

/// The rows of both sides as places in the list of candidates, in output order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// Rows for training.
    pub train: Vec<u32>,
    /// Rows for validation.
    pub validation: Vec<u32>,
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

/// Chooses, splits and orders.
///
/// `allotment` counts in the candidates' units; each source's candidates stand together, in the order of sources.
pub fn arrange(candidates: &[Candidate], allotment: &Allotment, validation: &Validation) -> Arrangement {
    let seed = validation.seed;
    let chosen = choose(candidates, allotment, seed);
    let on_validation = match validation.method {
        SplitMethod::Hash => by_hash(candidates, &chosen, validation),
        SplitMethod::Exact => by_rank(candidates, &chosen, validation, allotment.counts.len()),
    };
    let mut keyed: Vec<(u64, u32, bool)> = chosen
        .iter()
        .zip(&on_validation)
        .map(|(row, side)| (order_key(candidates[row.0 as usize].row_hash, row.1, seed), row.0, *side))
        .collect();
    keyed.sort_unstable();
    let mut arrangement = Arrangement::default();
    for (_, candidate, on_validation) in keyed {
        if on_validation { &mut arrangement.validation } else { &mut arrangement.train }.push(candidate);
    }
    arrangement
}

/// The rows of the mixture: a candidate and which repeat of it this is.
///
/// A source gives all its rows as often as they fit, then those of lowest rank until its allotment is met as nearly as
/// whole rows allow.
fn choose(candidates: &[Candidate], allotment: &Allotment, seed: u64) -> Vec<(u32, u32)> {
    let mut chosen = Vec::with_capacity(candidates.len());
    let mut start = 0;
    for (source, target) in allotment.counts.iter().enumerate() {
        let own = candidates[start..].iter().take_while(|candidate| candidate.source as usize == source).count();
        let range = start..start + own;
        start = range.end;
        let whole: u64 = candidates[range.clone()].iter().map(|candidate| u64::from(candidate.units)).sum();
        if whole == 0 {
            continue;
        }
        let passes = (target / whole) as u32;
        for repeat in 0..passes {
            chosen.extend(range.clone().map(|i| (i as u32, repeat)));
        }
        let mut missing = target % whole;
        if missing == 0 {
            continue;
        }
        let mut ranked: Vec<(u64, u32)> =
            range.map(|i| (key(candidates[i].row_hash, passes, seed, Purpose::Choice), i as u32)).collect();
        ranked.sort_unstable();
        for (_, i) in ranked {
            let units = u64::from(candidates[i as usize].units);
            // The row that straddles the target is taken if that comes nearer to it than leaving it out.
            if units > missing.saturating_mul(2) {
                break;
            }
            chosen.push((i, passes));
            missing = missing.saturating_sub(units);
            if missing == 0 {
                break;
            }
        }
    }
    chosen
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

/// A prompt's side by its own hash alone.
fn by_hash(candidates: &[Candidate], chosen: &[(u32, u32)], validation: &Validation) -> Vec<bool> {
    let threshold = split_threshold(validation.ratio);
    let ranks: Vec<u64> =
        chosen.iter().map(|row| split_rank(candidates[row.0 as usize].prompt_hash, validation.seed)).collect();
    let mut sides: Vec<bool> = ranks.iter().map(|rank| u128::from(*rank) < threshold).collect();
    if let (Some(lowest), Some(highest)) = (ranks.iter().min(), ranks.iter().max())
        && validation.ratio > 0.0
    {
        if lowest == highest {
            // One prompt cannot be on both sides, and a trainer needs rows before it needs validation.
            sides.fill(false);
        } else if !sides.contains(&true) {
            sides = ranks.iter().map(|rank| rank == lowest).collect();
        } else if !sides.contains(&false) {
            sides = ranks.iter().map(|rank| rank != highest).collect();
        }
    }
    sides
}

/// Exactly floor(rows × ratio) rows where whole prompts allow it: prompts by rank, each that still fits.
fn by_rank(candidates: &[Candidate], chosen: &[(u32, u32)], validation: &Validation, sources: usize) -> Vec<bool> {
    struct Group {
        rank: u64,
        rows: u64,
        /// The source its first row is from, whose quota it counts against.
        owner: usize,
        on_validation: bool,
    }
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of = Vec::with_capacity(chosen.len());
    for (i, _) in chosen {
        let candidate = candidates[*i as usize];
        let place = *places.entry(candidate.prompt_hash).or_insert_with(|| {
            let rank = split_rank(candidate.prompt_hash, validation.seed);
            groups.push(Group { rank, rows: 0, owner: candidate.source as usize, on_validation: false });
            groups.len() - 1
        });
        groups[place].rows += 1;
        group_of.push(place);
    }
    let take = |rows: u64| (rows as f64 * validation.ratio).floor() as u64;
    let mut quotas = if validation.stratified {
        let mut rows = vec![0; sources];
        groups.iter().for_each(|group| rows[group.owner] += group.rows);
        // Floors of the parts may add up to less than the floor of the whole; the largest remainders get what is left.
        let mut quotas: Vec<u64> = rows.iter().map(|rows| take(*rows)).collect();
        let mut by_remainder: Vec<usize> = (0..sources).collect();
        by_remainder.sort_by(|a, b| {
            let remainder = |i: usize| rows[i] as f64 * validation.ratio - quotas[i] as f64;
            remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
        });
        let missing = take(chosen.len() as u64).saturating_sub(quotas.iter().sum());
        by_remainder.iter().take(missing as usize).for_each(|i| quotas[*i] += 1);
        quotas
    } else {
        vec![take(chosen.len() as u64)]
    };
    let mut ranked: Vec<usize> = (0..groups.len()).collect();
    ranked.sort_by_key(|place| groups[*place].rank);
    for place in &ranked {
        let group = &mut groups[*place];
        let quota = &mut quotas[if validation.stratified { group.owner } else { 0 }];
        if group.rows <= *quota {
            *quota -= group.rows;
            group.on_validation = true;
        }
    }
    if groups.len() == 1 {
        groups[0].on_validation = false;
    } else if validation.ratio > 0.0
        && groups.iter().all(|group| !group.on_validation)
        && let Some(lowest) = ranked.first()
    {
        groups[*lowest].on_validation = true;
    }
    group_of.into_iter().map(|place| groups[place].on_validation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Strategy, mix::allot};
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use std::collections::{BTreeMap, BTreeSet};

    fn validation(ratio: f64, method: SplitMethod, stratified: bool) -> Validation {
        Validation { ratio, seed: 42, stratified, method }
    }

    fn candidates(prompts: &[(u32, u64)]) -> Vec<Candidate> {
        let mut made: Vec<Candidate> = prompts
            .iter()
            .enumerate()
            .map(|(i, (source, prompt))| Candidate {
                source: *source,
                row_hash: xxh3_64_with_seed(&(i as u64).to_le_bytes(), 7),
                prompt_hash: *prompt,
                units: 1,
            })
            .collect();
        made.sort_by_key(|candidate| candidate.source);
        made
    }

    fn all_of(candidates: &[Candidate]) -> Allotment {
        let sources = candidates.iter().map(|candidate| candidate.source).max().map_or(0, |last| last as usize + 1);
        let counts: Vec<u64> = (0..sources)
            .map(|source| candidates.iter().filter(|c| c.source as usize == source).count() as u64)
            .collect();
        Allotment { total: counts.iter().sum(), counts }
    }

    fn prompts_of(candidates: &[Candidate], side: &[u32]) -> BTreeSet<u64> {
        side.iter().map(|i| candidates[*i as usize].prompt_hash).collect()
    }

    proptest! {
        #[test]
        fn a_split_partitions_and_keeps_prompts_whole(
            prompts in prop::collection::vec((0_u32..3, 0_u64..200), 0..400),
            ratio in 0.0_f64..0.9,
            exact: bool,
            stratified: bool,
        ) {
            let candidates = candidates(&prompts);
            let method = if exact { SplitMethod::Exact } else { SplitMethod::Hash };
            let arranged = arrange(&candidates, &all_of(&candidates), &validation(ratio, method, stratified));
            let mut rows: Vec<u32> = arranged.train.iter().chain(&arranged.validation).copied().collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..candidates.len() as u32).collect::<Vec<_>>());
            let (train, val) = (prompts_of(&candidates, &arranged.train), prompts_of(&candidates, &arranged.validation));
            prop_assert!(train.is_disjoint(&val));
            if ratio > 0.0 && train.len() + val.len() > 1 {
                prop_assert!(!val.is_empty() && !train.is_empty());
            }
        }

        #[test]
        fn appending_rows_moves_no_row(
            prompts in prop::collection::vec((0_u32..1, any::<u64>()), 50..300),
            more in prop::collection::vec((0_u32..1, any::<u64>()), 1..50),
        ) {
            let before = candidates(&prompts);
            let after = candidates(&[prompts.clone(), more].concat());
            let settings = validation(0.2, SplitMethod::Hash, true);
            let old = arrange(&before, &all_of(&before), &settings);
            let new = arrange(&after, &all_of(&after), &settings);
            let kept = |side: &[u32]| side.iter().copied().filter(|i| (*i as usize) < before.len()).collect::<Vec<_>>();
            prop_assert_eq!(kept(&new.train), old.train, "side and order of the old rows stay");
            prop_assert_eq!(kept(&new.validation), old.validation);
        }
    }

    #[test]
    fn exact_takes_exactly_the_floor_and_stratified_takes_it_of_each_source() {
        let prompts: Vec<(u32, u64)> = (0..1003).map(|i| (u32::from(i >= 803), i)).collect();
        let candidates = candidates(&prompts);
        for stratified in [false, true] {
            let arranged =
                arrange(&candidates, &all_of(&candidates), &validation(0.05, SplitMethod::Exact, stratified));
            assert_eq!(arranged.validation.len(), 50);
            if stratified {
                let second = arranged.validation.iter().filter(|i| candidates[**i as usize].source == 1).count();
                assert_eq!(second, 10);
            }
        }
    }

    #[test]
    fn a_short_source_repeats_evenly_and_repeats_stay_on_one_side() {
        let prompts: Vec<(u32, u64)> = (0..110).map(|i| (u32::from(i >= 10), i * 7919)).collect();
        let candidates = candidates(&prompts);
        let allotment = allot(&[10, 100], &[0.5, 0.5], Strategy::Repeat, None);
        assert_eq!(allotment.counts, [55, 55]);
        let arranged = arrange(&candidates, &allotment, &validation(0.3, SplitMethod::Hash, true));
        let mut times: BTreeMap<u32, u32> = BTreeMap::new();
        arranged.train.iter().chain(&arranged.validation).for_each(|i| *times.entry(*i).or_default() += 1);
        assert!((0..10).all(|i| (5..=6).contains(&times[&i])));
        assert_eq!(times.iter().filter(|(i, _)| **i >= 10).count(), 55);
        assert!(prompts_of(&candidates, &arranged.train).is_disjoint(&prompts_of(&candidates, &arranged.validation)));
    }

    #[test]
    fn a_single_prompt_is_for_training() {
        for method in [SplitMethod::Hash, SplitMethod::Exact] {
            for prompt in 0..20 {
                let candidates = candidates(&[(0, prompt), (0, prompt)]);
                let arranged = arrange(&candidates, &all_of(&candidates), &validation(0.5, method, false));
                let sides = (arranged.train.len(), arranged.validation.len());
                assert_eq!(sides, (2, 0));
            }
        }
    }

    #[test]
    fn units_are_met_as_nearly_as_rows_allow() {
        let mut candidates = candidates(&(0..100).map(|i| (0, i)).collect::<Vec<_>>());
        candidates.iter_mut().enumerate().for_each(|(i, candidate)| candidate.units = 10 + i as u32 % 5);
        let allotment = Allotment { total: 500, counts: vec![500] };
        let arranged = arrange(&candidates, &allotment, &validation(0.1, SplitMethod::Hash, true));
        let units: u32 = arranged.train.iter().chain(&arranged.validation).map(|i| candidates[*i as usize].units).sum();
        assert!((493..=507).contains(&units), "{units}");
    }
}
