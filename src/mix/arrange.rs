//! Candidates to two ordered lists: which rows, on which side, in which order.
//!
//! Everything here is decided by hashes of content and the seed, never by position or by a random stream, so a new row
//! slots in and no old row moves.

use std::{collections::HashMap, ops::Range};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::allot::Allotment;
use crate::config::{SplitMethod, Validation};

/// Raised when the same candidates are arranged otherwise.
pub const ARRANGE_VERSION: u32 = 1;

/// The selected samples, each known by its place in the list. A column for each thing that is asked of them: there may
/// be tens of millions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// For each source one past its last sample; its samples stand together, in the order of sources.
    pub ends: Vec<usize>,
    /// The hash of each sample's row.
    pub row_hash: Vec<u64>,
    /// The hash of each sample's prompt.
    pub prompt_hash: Vec<u64>,
    /// What each counts towards its source's allotment, its characters or tokens; `None`: 1.
    pub units: Option<Vec<u32>>,
}

impl Candidates {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.row_hash.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.row_hash.is_empty()
    }

    /// Where the samples of a source stand.
    pub fn of(&self, source: usize) -> Range<usize> {
        let start = source.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[source]
    }

    /// Which source a sample is from.
    pub fn source(&self, sample: u32) -> usize {
        self.ends.partition_point(|end| *end <= sample as usize)
    }

    /// What a sample counts.
    pub fn units(&self, sample: u32) -> u64 {
        self.units.as_ref().map_or(1, |units| u64::from(units[sample as usize]))
    }
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

/// A row of the mixture: a sample, and which repeat of it this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    sample: u32,
    repeat: u32,
}

/// Chooses, splits and orders; `allotment` counts in the candidates' units.
///
/// Takes the hashes out of `candidates` and lets go of them once nothing is asked of them any more: with the hash method
/// no more than 33 bytes a row are held at once.
pub fn arrange(candidates: &mut Candidates, allotment: &Allotment, validation: &Validation) -> Arrangement {
    let seed = validation.seed;
    let chosen = choose(candidates, allotment, seed);
    let on_validation = match validation.method {
        SplitMethod::Hash => by_hash(candidates, &chosen, validation),
        SplitMethod::Exact => by_rank(candidates, &chosen, validation),
    };
    candidates.prompt_hash = Vec::new();
    let held_out = on_validation.iter().filter(|side| **side).count();
    let (mut train, mut validation) = (Vec::with_capacity(chosen.len() - held_out), Vec::with_capacity(held_out));
    for (row, on_validation) in chosen.iter().zip(on_validation) {
        let key = order_key(candidates.row_hash[row.sample as usize], row.repeat, seed);
        if on_validation { &mut validation } else { &mut train }.push((key, row.sample));
    }
    drop((std::mem::take(&mut candidates.row_hash), chosen));
    Arrangement { train: in_order(train), validation: in_order(validation) }
}

fn in_order(mut keyed: Vec<(u64, u32)>) -> Vec<u32> {
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, sample)| sample).collect()
}

/// The rows of the mixture.
///
/// A source gives all its rows as often as they fit, then those of lowest rank until its allotment is met as nearly as
/// whole rows allow.
fn choose(candidates: &Candidates, allotment: &Allotment, seed: u64) -> Vec<Chosen> {
    let mut chosen = Vec::with_capacity(candidates.len());
    for (source, target) in allotment.counts.iter().enumerate() {
        let range = candidates.of(source);
        let samples = range.start as u32..range.end as u32;
        let whole: u64 = samples.clone().map(|sample| candidates.units(sample)).sum();
        if whole == 0 {
            continue;
        }
        let passes = (target / whole) as u32;
        for repeat in 0..passes {
            chosen.extend(samples.clone().map(|sample| Chosen { sample, repeat }));
        }
        let mut missing = target % whole;
        if missing == 0 {
            continue;
        }
        let rank = |sample: u32| key(candidates.row_hash[sample as usize], passes, seed, Purpose::Choice);
        let mut ranked: Vec<(u64, u32)> = samples.map(|sample| (rank(sample), sample)).collect();
        ranked.sort_unstable();
        for (_, sample) in ranked {
            let units = candidates.units(sample);
            // The row that straddles the target is taken if that comes nearer to it than leaving it out.
            if units > missing.saturating_mul(2) {
                break;
            }
            chosen.push(Chosen { sample, repeat: passes });
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
fn by_hash(candidates: &Candidates, chosen: &[Chosen], validation: &Validation) -> Vec<bool> {
    let threshold = split_threshold(validation.ratio);
    let ranks = || {
        let rank = |row: &Chosen| split_rank(candidates.prompt_hash[row.sample as usize], validation.seed);
        chosen.iter().map(rank)
    };
    let (mut lowest, mut highest) = (u64::MAX, 0);
    let mut sides: Vec<bool> = ranks()
        .map(|rank| {
            (lowest, highest) = (lowest.min(rank), highest.max(rank));
            u128::from(rank) < threshold
        })
        .collect();
    if !sides.is_empty() && validation.ratio > 0.0 {
        if lowest == highest {
            // One prompt cannot be on both sides, and a trainer needs rows before it needs validation.
            sides.fill(false);
        } else if !sides.contains(&true) {
            sides = ranks().map(|rank| rank == lowest).collect();
        } else if !sides.contains(&false) {
            sides = ranks().map(|rank| rank != highest).collect();
        }
    }
    sides
}

/// Exactly floor(rows × ratio) rows where whole prompts allow it: prompts by rank, each that still fits.
fn by_rank(candidates: &Candidates, chosen: &[Chosen], validation: &Validation) -> Vec<bool> {
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
    for row in chosen {
        let prompt_hash = candidates.prompt_hash[row.sample as usize];
        let place = *places.entry(prompt_hash).or_insert_with(|| {
            let rank = split_rank(prompt_hash, validation.seed);
            groups.push(Group { rank, rows: 0, owner: candidates.source(row.sample), on_validation: false });
            groups.len() - 1
        });
        groups[place].rows += 1;
        group_of.push(place);
    }
    let take = |rows: u64| (rows as f64 * validation.ratio).floor() as u64;
    let mut quotas = if validation.stratified {
        let sources = candidates.ends.len();
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

    /// Candidates of as many sources as the highest number says, in the order of sources.
    fn candidates(prompts: &[(u32, u64)]) -> Candidates {
        let mut sorted: Vec<(usize, (u32, u64))> = prompts.iter().copied().enumerate().collect();
        sorted.sort_by_key(|(_, (source, _))| *source);
        let sources = prompts.iter().map(|(source, _)| *source).max().map_or(0, |last| last + 1);
        let end = |source| sorted.iter().filter(|(_, (own, _))| *own <= source).count();
        Candidates {
            ends: (0..sources).map(end).collect(),
            row_hash: sorted.iter().map(|(i, _)| xxh3_64_with_seed(&(*i as u64).to_le_bytes(), 7)).collect(),
            prompt_hash: sorted.iter().map(|(_, (_, prompt))| *prompt).collect(),
            units: None,
        }
    }

    fn all_of(candidates: &Candidates) -> Allotment {
        let counts = (0..candidates.ends.len()).map(|source| candidates.of(source).len() as u64).collect();
        Allotment { total: candidates.len() as u64, counts }
    }

    fn arranged(candidates: &Candidates, validation: &Validation) -> Arrangement {
        arrange(&mut candidates.clone(), &all_of(candidates), validation)
    }

    fn prompts_of(candidates: &Candidates, side: &[u32]) -> BTreeSet<u64> {
        side.iter().map(|i| candidates.prompt_hash[*i as usize]).collect()
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
            let arranged = arranged(&candidates, &validation(ratio, method, stratified));
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
            let old = arranged(&before, &settings);
            let new = arranged(&after, &settings);
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
            let arranged = arranged(&candidates, &validation(0.05, SplitMethod::Exact, stratified));
            assert_eq!(arranged.validation.len(), 50);
            if stratified {
                let second = arranged.validation.iter().filter(|i| candidates.source(**i) == 1).count();
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
        let arranged = arrange(&mut candidates.clone(), &allotment, &validation(0.3, SplitMethod::Hash, true));
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
                let arranged = arranged(&candidates, &validation(0.5, method, false));
                let sides = (arranged.train.len(), arranged.validation.len());
                assert_eq!(sides, (2, 0));
            }
        }
    }

    #[test]
    fn units_are_met_as_nearly_as_rows_allow() {
        let mut candidates = candidates(&(0..100).map(|i| (0, i)).collect::<Vec<_>>());
        candidates.units = Some((0..100).map(|i| 10 + i % 5).collect());
        let allotment = Allotment { total: 500, counts: vec![500] };
        let arranged = arrange(&mut candidates.clone(), &allotment, &validation(0.1, SplitMethod::Hash, true));
        let units: u64 = arranged.train.iter().chain(&arranged.validation).map(|i| candidates.units(*i)).sum();
        assert!((493..=507).contains(&units), "{units}");
    }
}
