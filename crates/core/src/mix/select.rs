//! The first N samples of a source that pass its filters, in source order.

use std::collections::{BTreeMap, HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    quality::{ColumnError, Comparison, Filter, ScoreColumn},
    row::Reason,
};

/// Raised when the same scores select other samples.
pub const SELECT_VERSION: u32 = 2;

/// One chunk as selection sees it.
pub struct ChunkScores<'a> {
    /// How many rows the chunk has: each yields samples, none or several, or is rejected.
    pub count: u32,
    /// For each sample, the row of the chunk it was made of.
    pub rows: &'a [u32],
    /// For each sample, the characters of its text.
    pub characters: &'a [u32],
    /// Rows that were rejected, by their place in the chunk, with the reason.
    pub rejects: &'a [(u32, Reason)],
    /// For each filter, the scores of the samples.
    pub scores: &'a [ScoreColumn],
    /// For each sample its tokens, where the mixture counts them.
    pub tokens: Option<&'a [u32]>,
}

/// How many samples came to a filter and how many it let through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FilterCount {
    /// The filter's `type`.
    pub filter: String,
    /// Samples that came to it.
    pub rows_in: u64,
    /// Samples that passed it.
    pub rows_out: u64,
}

/// What was selected of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// For each chunk, how many of its samples in a row are left out, kept, left out, kept and so on, the last ones left
    /// out aside: mostly all are kept.
    runs: Vec<Vec<u32>>,
    /// Samples kept.
    pub kept: u64,
    /// Characters of the samples kept.
    pub characters: u64,
    /// Tokens of the samples kept; 0 where they are not counted.
    pub tokens: u64,
    /// Rows looked at: up to the last one needed.
    pub rows_read: u64,
    /// What each filter did.
    pub filters: Vec<FilterCount>,
    /// Rows looked at that were rejected, by reason.
    pub rejects: Vec<(Reason, u64)>,
    /// For each chunk, how many of its rows were looked at.
    pub rows_looked_at: Vec<u32>,
    /// Whether `max_samples` was reached, so that rows further on make no difference.
    pub reached_max: bool,
}

impl Selection {
    /// The samples kept of a chunk, in order.
    pub fn samples(&self, chunk: usize) -> impl Iterator<Item = u32> + '_ {
        let mut at = 0;
        self.runs[chunk].as_chunks().0.iter().flat_map(move |&[left_out, kept]| {
            let start = at + left_out;
            at = start + kept;
            start..at
        })
    }

    /// The number of samples kept of a chunk.
    pub fn count(&self, chunk: usize) -> usize {
        self.runs[chunk].iter().skip(1).step_by(2).map(|kept| *kept as usize).sum()
    }

    /// The number of chunks selected from.
    pub fn chunks(&self) -> usize {
        self.runs.len()
    }
}

/// A selection under way: chunks come one after another, and nothing of them is held.
#[derive(Debug)]
pub struct Selecting<'f> {
    filters: &'f [Filter],
    max: Option<u64>,
    selection: Selection,
    /// For each filter, what it has seen.
    seen: Vec<HashSet<u128>>,
    rejects: BTreeMap<Reason, u64>,
}

impl<'f> Selecting<'f> {
    /// Begins to select the first `max` samples that pass `filters`.
    pub fn new(filters: &'f [Filter], max: Option<u64>) -> Self {
        let count = |filter: &Filter| FilterCount { filter: filter.type_name().into(), ..Default::default() };
        Self {
            filters,
            max,
            selection: Selection { filters: filters.iter().map(count).collect(), ..Default::default() },
            seen: filters.iter().map(|_| HashSet::new()).collect(),
            rejects: BTreeMap::new(),
        }
    }

    fn has_enough(&self) -> bool {
        self.max.is_some_and(|max| self.selection.kept >= max)
    }

    /// Selects from the next chunk. Scores of another scale than a filter's are an error.
    pub fn add(&mut self, chunk: &ChunkScores<'_>) -> Result<(), ColumnError> {
        let comparisons = comparisons(chunk, self.filters)?;
        let (mut runs, mut end) = (Vec::new(), 0);
        let mut looked_at = chunk.count;
        for sample in 0..chunk.rows.len() {
            if self.has_enough() {
                looked_at = last_row_of(chunk, sample);
                break;
            }
            let selection = &mut self.selection;
            let passes = comparisons.iter().enumerate().all(|(i, comparison)| {
                selection.filters[i].rows_in += 1;
                let passes = comparison.passes(sample, &mut self.seen[i]);
                selection.filters[i].rows_out += u64::from(passes);
                passes
            });
            if passes {
                match runs.last_mut() {
                    Some(kept) if end == sample => *kept += 1,
                    _ => runs.extend([(sample - end) as u32, 1]),
                }
                end = sample + 1;
                selection.kept += 1;
                selection.characters += u64::from(chunk.characters[sample]);
                selection.tokens += chunk.tokens.map_or(0, |tokens| u64::from(tokens[sample]));
            }
        }
        for (row, reason) in chunk.rejects {
            if *row < looked_at {
                *self.rejects.entry(*reason).or_default() += 1;
            }
        }
        self.selection.rows_read += u64::from(looked_at);
        runs.shrink_to_fit();
        self.selection.runs.push(runs);
        self.selection.rows_looked_at.push(looked_at);
        Ok(())
    }

    /// What was selected.
    pub fn finish(self) -> Selection {
        let reached_max = self.has_enough();
        Selection { rejects: self.rejects.into_iter().collect(), reached_max, ..self.selection }
    }
}

/// Selects the first `max` samples that pass `filters`, in order.
pub fn select(chunks: &[ChunkScores<'_>], filters: &[Filter], max: Option<u64>) -> Result<Selection, ColumnError> {
    let mut selecting = Selecting::new(filters, max);
    chunks.iter().try_for_each(|chunk| selecting.add(chunk))?;
    Ok(selecting.finish())
}

/// Pairs each filter with its scores of a chunk.
fn comparisons<'a>(chunk: &ChunkScores<'a>, filters: &'a [Filter]) -> Result<Vec<Comparison<'a>>, ColumnError> {
    filters.iter().zip(chunk.scores).map(|(filter, scores)| filter.compare(scores)).collect()
}

/// What kept a sample out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The number of the filter.
    pub filter: usize,
    /// The sample before it that has the same text, as chunk and sample, where the filter looks for that.
    pub twin: Option<(usize, usize)>,
}

/// The filter that keeps sample `sample` of the last of `chunks` out; `None`: it passes all of them.
///
/// Goes through the samples before it as [`select`] does, for what a filter has seen; `max_samples` aside.
pub fn stopped_by(
    chunks: &[ChunkScores<'_>],
    filters: &[Filter],
    sample: usize,
) -> Result<Option<Stopped>, ColumnError> {
    let Some(last) = chunks.len().checked_sub(1) else { return Ok(None) };
    let mut seen: Vec<HashSet<u128>> = filters.iter().map(|_| HashSet::new()).collect();
    let mut first: Vec<HashMap<u128, (usize, usize)>> = filters.iter().map(|_| HashMap::new()).collect();
    // Without a filter that remembers, the samples before it make no difference.
    let remembers = filters.iter().any(Filter::remembers);
    for (number, chunk) in chunks.iter().enumerate() {
        let comparisons = comparisons(chunk, filters)?;
        let samples = if number == last { sample + 1 } else { chunk.rows.len() };
        let begin = if remembers { 0 } else { samples.saturating_sub(1) };
        for at in begin..samples {
            for (i, comparison) in comparisons.iter().enumerate() {
                let is_kept = comparison.passes(at, &mut seen[i]);
                let hash = comparison.identity(at);
                if is_kept {
                    hash.map(|hash| first[i].insert(hash, (number, at)));
                    continue;
                }
                if (number, at) == (last, sample) {
                    return Ok(Some(Stopped { filter: i, twin: hash.and_then(|hash| first[i].get(&hash).copied()) }));
                }
                break;
            }
        }
    }
    Ok(None)
}

/// How many rows of a chunk were needed when its samples before `sample` were: none if there are none.
fn last_row_of(chunk: &ChunkScores<'_>, sample: usize) -> u32 {
    sample.checked_sub(1).map_or(0, |last| chunk.rows[last] + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Bound, by_name};

    fn chunk<'a>(rows: &'a [u32], rejects: &'a [(u32, Reason)], scores: &'a [ScoreColumn]) -> ChunkScores<'a> {
        let last = rows.iter().copied().chain(rejects.iter().map(|(row, _)| *row)).max();
        let count = last.map_or(0, |last| last + 1);
        ChunkScores { count, rows, characters: &[1; 16], rejects, scores, tokens: Some(&[3; 16]) }
    }

    fn kept(selection: &Selection) -> Vec<Vec<u32>> {
        let of_chunk = |chunk| {
            let samples: Vec<u32> = selection.samples(chunk).collect();
            assert_eq!(samples.len(), selection.count(chunk));
            samples
        };
        (0..selection.chunks()).map(of_chunk).collect()
    }

    #[test]
    fn filters_count_what_they_see_and_max_stops_the_count() {
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
        let (first, second) = (scores(&[2, 3, 5], &[1, 2, 3]), scores(&[6, 4, 4, 4], &[9, 2, 4, 5]));
        let rejects = [(1, Reason::EmptyOutput), (5, Reason::EmptyOutput)];
        let chunks = [chunk(&[0, 1, 2], &[], &first), chunk(&[0, 2, 3, 4], &rejects, &second)];

        let all = select(&chunks, &filters, None).unwrap();
        assert_eq!(kept(&all), [vec![1, 2], vec![2, 3]]);
        assert_eq!((all.rows_read, all.rejects.clone(), all.reached_max), (9, vec![(Reason::EmptyOutput, 2)], false));
        let counts: Vec<_> = all.filters.iter().map(|count| (count.rows_in, count.rows_out)).collect();
        assert_eq!(counts, [(7, 5), (5, 4)]);

        let three = select(&chunks, &filters, Some(3)).unwrap();
        assert_eq!(kept(&three), [vec![1, 2], vec![2]]);
        assert!(three.reached_max);
        assert_eq!(
            (three.rows_read, three.rejects.clone()),
            (7, vec![(Reason::EmptyOutput, 1)]),
            "rows behind the last one needed do not count"
        );

        assert_eq!((three.characters, three.tokens), (3, 9));

        let stopped = |chunk: usize, sample| stopped_by(&chunks[..=chunk], &filters, sample).unwrap();
        assert_eq!(stopped(0, 0), Some(Stopped { filter: 0, twin: None }));
        assert_eq!((stopped(0, 1), stopped(1, 2)), (None, None));
        assert_eq!(stopped(1, 1), Some(Stopped { filter: 1, twin: Some((0, 1)) }));

        let swapped = scores(&[2], &[1]);
        let swapped =
            [chunk(&[0], &[], &[swapped[1].clone(), swapped[0].clone()])].map(|chunk| select(&[chunk], &filters, None));
        assert!(matches!(swapped, [Err(ColumnError::Scale(_))]));

        let two = select(&chunks, &filters, Some(2)).unwrap();
        assert_eq!((kept(&two), two.rows_read, two.rejects.len()), (vec![vec![1, 2], vec![]], 3, 0));
    }
}
