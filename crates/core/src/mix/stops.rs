//! Which filter drops each sample of a source.

use std::collections::{HashMap, HashSet};

use super::select::Stopped;
use crate::quality::{ColumnError, Filter, ScoreColumn};

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
    /// of the filters.
    pub fn add(
        &mut self,
        scores: &[ScoreColumn],
        samples: usize,
        mut each: impl FnMut(usize, Stopped),
    ) -> Result<(), ColumnError> {
        let comparisons = self
            .filters
            .iter()
            .zip(scores)
            .map(|(filter, scores)| filter.compare(scores))
            .collect::<Result<Vec<_>, _>>()?;
        for sample in 0..samples {
            for (filter, comparison) in comparisons.iter().enumerate() {
                let hash = comparison.identity(sample);
                if !comparison.passes(sample, &mut self.seen[filter]) {
                    let twin = hash.and_then(|hash| self.first[filter].get(&hash).copied());
                    each(sample, Stopped { filter, twin });
                    break;
                }
                hash.map(|hash| self.first[filter].insert(hash, (self.chunk, sample)));
            }
        }
        self.chunk += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mix::select::{ChunkScores, stopped_by},
        quality::{Bound, by_name},
    };

    #[test]
    fn samples_are_dropped_by_what_selection_says_of_each() {
        let (length, deduplication) = (by_name("length").unwrap(), by_name("deduplication").unwrap());
        let filters = [
            Filter { scorer: length, bound: Bound::Count { min: Some(3), max: Some(5) } },
            Filter { scorer: deduplication, bound: Bound::Identity("exact".into()) },
        ];
        let scores = |lengths: &[u32], hashes: &[u128]| {
            [
                ScoreColumn::of_counts(length, lengths.to_vec()),
                ScoreColumn::of_identities(deduplication, hashes.to_vec()),
            ]
        };
        let chunks = [scores(&[2, 3, 5], &[1, 2, 3]), scores(&[6, 4, 4, 4], &[9, 2, 4, 5])];
        let rows: Vec<Vec<u32>> = chunks.iter().map(|scores| (0..scores[0].len() as u32).collect()).collect();
        let views: Vec<ChunkScores<'_>> = chunks
            .iter()
            .zip(&rows)
            .map(|(scores, rows)| ChunkScores {
                count: rows.len() as u32,
                rows,
                characters: &[1; 8],
                row_hash: &[1; 8],
                rejects: &[],
                scores,
                tokens: None,
            })
            .collect();
        let mut stops = Stops::new(&filters);
        for (number, scores) in chunks.iter().enumerate() {
            let mut dropped = vec![None; rows[number].len()];
            stops.add(scores, rows[number].len(), |sample, stopped| dropped[sample] = Some(stopped)).unwrap();
            for (sample, dropped) in dropped.into_iter().enumerate() {
                assert_eq!(dropped, stopped_by(&views[..=number], &filters, sample).unwrap(), "{number}, {sample}");
            }
        }
    }
}
