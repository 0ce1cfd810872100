//! Turns shares into counts, by largest remainder in integers.

use serde::{Deserialize, Serialize};

use crate::config::Strategy;

/// Version of the allotment, to be raised when the same shares give other counts.
pub const ALLOT_VERSION: u32 = 1;

/// How much each source contributes to the mixture, in the unit that the recipe counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Allotment {
    /// Size of the mixture.
    pub total: u64,
    /// Contribution of each source. The sum is `total`.
    pub counts: Vec<u64>,
}

/// Shares are multiplied by this once and rounded to integers. Recipes give shares with far fewer digits.
const GRAIN: f64 = 1e9;

/// Divides a mixture among sources of the given sizes.
///
/// With `repeat`, the total is the sum of the sizes, and a source whose share is larger than its size is repeated.
/// With `cut`, the total is what the scarcest source allows, so that none is repeated. An explicit `total` takes
/// precedence, but `cut` still never repeats.
pub fn allot(sizes: &[u64], shares: &[f64], strategy: Strategy, total: Option<u64>) -> Allotment {
    let weights: Vec<u128> = shares.iter().map(|share| ((share * GRAIN).round() as u128).max(1)).collect();
    let whole: u128 = weights.iter().sum();
    let wanted = match strategy {
        Strategy::Repeat => total.unwrap_or_else(|| sizes.iter().sum()),
        Strategy::Cut => {
            let scarcest = sizes.iter().zip(&weights).map(|(size, weight)| u128::from(*size) * whole / weight).min();
            let possible = u64::try_from(scarcest.unwrap_or(0)).unwrap_or(u64::MAX);
            total.map_or(possible, |total| total.min(possible))
        }
    };
    // A source without samples cannot contribute, whatever its share.
    if sizes.iter().all(|size| *size == 0) {
        return Allotment { total: 0, counts: vec![0; sizes.len()] };
    }
    let mut allotment = divide(wanted, &weights, whole);
    // Rounding up may ask the scarcest source for one row more than it has. A total that is smaller by one avoids
    // that.
    while strategy == Strategy::Cut && allotment.counts.iter().zip(sizes).any(|(count, size)| count > size) {
        allotment = divide(allotment.total - 1, &weights, whole);
    }
    allotment
}

/// Divides by largest remainder; if remainders are equal, the earlier source gets the unit.
fn divide(total: u64, weights: &[u128], whole: u128) -> Allotment {
    let mut counts: Vec<u64> = weights.iter().map(|weight| (u128::from(total) * weight / whole) as u64).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|i| std::cmp::Reverse(u128::from(total) * weights[*i] % whole));
    let missing = total - counts.iter().sum::<u64>();
    for i in by_remainder.into_iter().take(missing as usize) {
        counts[i] += 1;
    }
    Allotment { total, counts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn strategies_differ_in_the_total() {
        let counts = |strategy, total| allot(&[100, 1000], &[0.7, 0.3], strategy, total).counts;
        assert_eq!(counts(Strategy::Repeat, None), [770, 330]);
        assert_eq!(counts(Strategy::Cut, None), [99, 43]);
        assert_eq!(counts(Strategy::Repeat, Some(10)), [7, 3]);
        assert_eq!(counts(Strategy::Cut, Some(5000)), [99, 43]);
        assert_eq!(allot(&[7], &[1.0], Strategy::Repeat, None).counts, [7]);
        assert_eq!(allot(&[1, 1, 1], &[0.333, 0.333, 0.333], Strategy::Repeat, Some(100)).counts, [34, 33, 33]);
    }

    proptest! {
        #[test]
        fn shares_are_within_one_row_and_add_up(
            sources in prop::collection::vec((1_u64..100_000, 1_u32..1000), 1..6),
            cut: bool,
            total in prop::option::of(1_u64..1_000_000),
        ) {
            let sizes: Vec<u64> = sources.iter().map(|source| source.0).collect();
            let sum: u32 = sources.iter().map(|source| source.1).sum();
            let shares: Vec<f64> = sources.iter().map(|source| f64::from(source.1) / f64::from(sum)).collect();
            let strategy = if cut { Strategy::Cut } else { Strategy::Repeat };
            let allotment = allot(&sizes, &shares, strategy, total);
            prop_assert_eq!(allotment.counts.iter().sum::<u64>(), allotment.total);
            for i in 0..sizes.len() {
                let asked = shares[i] * allotment.total as f64;
                prop_assert!((allotment.counts[i] as f64 - asked).abs() < 1.001);
                prop_assert!(!cut || allotment.counts[i] <= sizes[i]);
            }
        }
    }
}
