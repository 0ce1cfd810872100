//! The obvious way to arrange, for tests to compare with: every row of the mixture in a list.

use std::collections::HashMap;

use super::{
    Allotment, BySide, Candidates, Purpose, Side, SplitMethod, Validation, key, order_key, split_rank, split_threshold,
    tests::Held,
};

/// A row of the mixture: a sample, and the number of the repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    sample: u32,
    repeat: u32,
}

/// Chooses, splits and orders, with everything in memory.
pub(super) fn arrange(candidates: &Held, allotment: &Allotment, validation: &Validation) -> [Vec<u32>; 3] {
    let seed = validation.seed;
    let chosen = choose(candidates, allotment, seed);
    let mut sides: Vec<Option<Side>> =
        chosen.iter().map(|row| candidates.side(candidates.source(row.sample))).collect();
    for (side, ratio) in [(Side::Test, validation.test_ratio), (Side::Validation, validation.ratio)] {
        let left: Vec<usize> = (0..chosen.len()).filter(|at| sides[*at].is_none()).collect();
        let rows: Vec<Chosen> = left.iter().map(|at| chosen[*at]).collect();
        let prompt = |row: &Chosen| {
            let hash = candidates.prompt_hash[row.sample as usize];
            if validation.normalise { hash / 2 } else { hash }
        };
        let ranks: Vec<u64> = rows.iter().map(|row| split_rank(prompt(row), seed, side)).collect();
        let is_drawn = match validation.method {
            _ if ratio <= 0.0 => continue,
            SplitMethod::Hash => by_hash(&ranks, ratio),
            SplitMethod::Exact => by_rank(candidates, &rows, &ranks, ratio, validation),
        };
        left.iter().zip(is_drawn).filter(|(_, is)| *is).for_each(|(at, _)| sides[*at] = Some(side));
    }
    let mut lists = BySide::new(|_| Vec::new());
    for (row, side) in chosen.iter().zip(sides) {
        let key = order_key(candidates.row_hash[row.sample as usize], row.repeat, seed);
        lists.get_mut(side.unwrap_or(Side::Train)).push((key, row.sample));
    }
    Side::ALL.map(|side| in_order(std::mem::take(lists.get_mut(side))))
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
/// Returns whether each row is drawn, by the rank of its prompt alone.
fn by_hash(ranks: &[u64], ratio: f64) -> Vec<bool> {
    let mut drawn: Vec<bool> = ranks.iter().map(|rank| u128::from(*rank) < split_threshold(ratio)).collect();
    if let (Some(lowest), Some(highest)) = (ranks.iter().min(), ranks.iter().max()) {
        if lowest == highest {
            // One prompt cannot be on both sides, and training rows matter more than others.
            drawn.fill(false);
        } else if !drawn.contains(&true) {
            drawn = ranks.iter().map(|rank| rank == lowest).collect();
        } else if !drawn.contains(&false) {
            drawn = ranks.iter().map(|rank| rank != highest).collect();
        }
    }
    drawn
}

/// by rank as long as they fit.
fn by_rank(candidates: &Held, chosen: &[Chosen], ranks: &[u64], ratio: f64, validation: &Validation) -> Vec<bool> {
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
    for (row, &rank) in chosen.iter().zip(ranks) {
        let place = *places.entry(rank).or_insert_with(|| {
            groups.push(Group { rank, rows: 0, owner: candidates.source(row.sample), on_validation: false });
            groups.len() - 1
        });
        groups[place].rows += 1;
        group_of.push(place);
    }
    let take = |rows: u64| (rows as f64 * ratio).floor() as u64;
    let mut quotas = if validation.stratified {
        let sources = candidates.ends.len();
        let mut rows = vec![0; sources];
        groups.iter().for_each(|group| rows[group.owner] += group.rows);
        // The floors of the parts may add up to less than the floor of the whole; the largest remainders get the
        // rest.
        let mut quotas: Vec<u64> = rows.iter().map(|rows| take(*rows)).collect();
        let mut by_remainder: Vec<usize> = (0..sources).collect();
        by_remainder.sort_by(|a, b| {
            let remainder = |i: usize| rows[i] as f64 * ratio - quotas[i] as f64;
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
    } else if !groups.is_empty()
        && groups.iter().all(|group| !group.on_validation)
        && let Some(lowest) = ranked.first()
    {
        groups[*lowest].on_validation = true;
    }
    group_of.into_iter().map(|place| groups[place].on_validation).collect()
}
