//! The obvious way to arrange, for tests to compare with: every row of the mixture in a list.

use std::collections::HashMap;

use super::{Allotment, Purpose, SplitMethod, Validation, key, order_key, split_rank, split_threshold, tests::Held};

/// A row of the mixture: a sample, and the number of the repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    sample: u32,
    repeat: u32,
}

/// Chooses, splits and orders samples, with everything in memory.
pub(super) fn arrange(candidates: &Held, allotment: &Allotment, validation: &Validation) -> (Vec<u32>, Vec<u32>) {
    let seed = validation.seed;
    let chosen = choose(candidates, allotment, seed);
    let on_validation = match validation.method {
        SplitMethod::Hash => by_hash(candidates, &chosen, validation),
        SplitMethod::Exact => by_rank(candidates, &chosen, validation),
    };
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (row, on_validation) in chosen.iter().zip(on_validation) {
        let key = order_key(candidates.row_hash[row.sample as usize], row.repeat, seed);
        if on_validation { &mut validation } else { &mut train }.push((key, row.sample));
    }
    (in_order(train), in_order(validation))
}

fn in_order(mut keyed: Vec<(u64, u32)>) -> Vec<u32> {
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, sample)| sample).collect()
}

/// Returns the rows of the mixture.
///
/// All rows of a source are used as often as its allotment has room for all of them; then those of lowest rank are
/// used once more, until the allotment is met as closely as whole rows allow.
fn choose(candidates: &Held, allotment: &Allotment, seed: u64) -> Vec<Chosen> {
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
            // The row that crosses the target is taken if that is closer to the target than leaving it out.
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

/// Returns whether each row is held out, which only depends on its prompt's hash unless a side would be empty.
fn by_hash(candidates: &Held, chosen: &[Chosen], validation: &Validation) -> Vec<bool> {
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
            // One prompt cannot be on both sides, and training rows matter more than validation rows.
            sides.fill(false);
        } else if !sides.contains(&true) {
            sides = ranks().map(|rank| rank == lowest).collect();
        } else if !sides.contains(&false) {
            sides = ranks().map(|rank| rank != highest).collect();
        }
    }
    sides
}

/// Returns whether each row is held out: exactly floor(rows × ratio) rows if whole prompts allow that, taking prompts
/// by rank as long as they fit.
fn by_rank(candidates: &Held, chosen: &[Chosen], validation: &Validation) -> Vec<bool> {
    struct Group {
        rank: u64,
        rows: u64,
        /// Source of its first row, whose quota it counts against.
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
        // The floors of the parts may add up to less than the floor of the whole; the largest remainders get the
        // rest.
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
