//! Which filter drops each sample of a source.

use std::collections::{HashMap, HashSet};

use crate::quality::{ColumnError, Filter, ScoreColumn};

/// What kept a sample out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The number of the filter.
    pub filter: usize,
    /// The sample before it that has the same text, as chunk and sample, where the filter looks for that.
    pub twin: Option<(usize, usize)>,
}

/// Goes through the chunks of a source as [`super::select()`] does, and says of each sample which filter drops it.
pub struct Stops<'f> {
    filters: &'f [Filter],
    /// For each filter, what it has seen.
    seen: Vec<HashSet<u128>>,
    /// For each filter, the sample that was first to have a text, by chunk and sample.
    first: Vec<HashMap<u128, (usize, usize)>>,
    chunk: usize,
}

impl<'f> Stops<'f> {
    /// Begins with the first chunk of a source.
    pub fn new(filters: &'f [Filter]) -> Self {
        let (seen, first) = (vec![HashSet::new(); filters.len()], vec![HashMap::new(); filters.len()]);
        Self { filters, seen, first, chunk: 0 }
    }

    /// Calls `each` with the samples of the next chunk that a filter drops, among the first `samples`; `scores` are those
    /// of the filters, `wholes` the numbers of the samples' texts where texts stand in parts. Samples that are refused come to no
    /// filter.
    pub fn add(
        &mut self,
        scores: &[ScoreColumn],
        wholes: Option<&[u32]>,
        samples: usize,
        is_refused: impl Fn(usize) -> bool,
        mut each: impl FnMut(usize, Stopped),
    ) -> Result<(), ColumnError> {
        let comparisons = self
            .filters
            .iter()
            .zip(scores)
            .map(|(filter, scores)| filter.compare(scores))
            .collect::<Result<Vec<_>, _>>()?;
        let mut decided = vec![None; comparisons.len()];
        for sample in 0..samples {
            if wholes.is_none_or(|wholes| sample > 0 && wholes[sample] != wholes[sample - 1]) {
                decided.fill(None);
            }
            if is_refused(sample) {
                continue;
            }
            for (filter, comparison) in comparisons.iter().enumerate() {
                let hash = comparison.identity(sample);
                if !comparison.passes_in_parts(sample, &mut self.seen[filter], &mut decided[filter]) {
                    let twin = hash.and_then(|hash| self.first[filter].get(&hash).copied());
                    each(sample, Stopped { filter, twin });
                    break;
                }
                hash.map(|hash| self.first[filter].entry(hash).or_insert((self.chunk, sample)));
            }
        }
        self.chunk += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Bound, by_name};

    #[test]
    fn samples_are_dropped_by_the_first_filter_that_they_do_not_pass() {
        let (length, deduplication) = (by_name("length").unwrap(), by_name("deduplication").unwrap());
        let filters = [
            Filter { scorer: length, bound: Bound::Count { min: Some(3), max: Some(5) } },
            Filter { scorer: deduplication, bound: Bound::Identity("exact".into()) },
        ];
        let mut stops = Stops::new(&filters);
        let mut dropped = |lengths: &[u32], hashes: &[u128]| {
            let scores = [
                ScoreColumn::of_counts(length, lengths.to_vec()),
                ScoreColumn::of_identities(deduplication, hashes.to_vec()),
            ];
            let mut dropped = Vec::new();
            let is_refused = |sample| hashes[sample] == 0;
            stops.add(&scores, None, lengths.len(), is_refused, |sample, by| dropped.push((sample, by))).unwrap();
            dropped
        };
        let by_length = |sample| (sample, Stopped { filter: 0, twin: None });
        assert_eq!(dropped(&[2, 3, 5], &[1, 2, 3]), [by_length(0)]);
        // A text whose first occurrence was too long is no duplicate; one that passed in an earlier chunk is.
        let twin = (1, Stopped { filter: 1, twin: Some((0, 1)) });
        assert_eq!(dropped(&[6, 4, 4, 4], &[9, 2, 4, 9]), [by_length(0), twin]);
        // What is refused is neither dropped nor has it been seen.
        assert_eq!(dropped(&[9, 4, 4], &[0, 0, 77]), []);
        assert_eq!(dropped(&[2, 4], &[0, 77]), [(1, Stopped { filter: 1, twin: Some((2, 2)) })]);
    }
}
