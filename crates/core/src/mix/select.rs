//! The samples of a source that pass its filters: all of them, the first, or those of lowest hash; in source order.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrange::{Purpose, SortMemory, key};
use crate::{
    config::{Sampling, Take},
    failure::FileError,
    quality::{ColumnError, Comparison, Filter, RefusedRow, ScoreColumn},
    row::Reason,
    sort::{Sorter, halves},
};

/// Raised when the same scores select other samples.
pub const SELECT_VERSION: u32 = 8;

/// One chunk as selection sees it.
pub struct ChunkScores<'a> {
    /// How many rows the chunk has: each yields samples, none or several, or is rejected.
    pub count: u32,
    /// For each sample, the row of the chunk it was made of.
    pub rows: &'a [u32],
    /// For each sample, the characters of its text.
    pub characters: &'a [u32],
    /// For each sample, the hash of its row.
    pub row_hash: &'a [u64],
    /// Rows that were rejected, by their place in the chunk, with the reason.
    pub rejects: &'a [(u32, Reason)],
    /// Samples that the model refuses, in order; their rows are among the rejects.
    pub refused: &'a [u32],
    /// For each filter, the scores of the samples.
    pub scores: &'a [ScoreColumn],
    /// For each sample the number of its text, where texts stand in parts.
    pub wholes: Option<&'a [u32]>,
    /// For each sample its tokens, where the mixture counts them.
    pub tokens: Option<&'a [u32]>,
}

/// How many samples came to a filter and how many it let through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FilterCount {
    /// The filter's `type`; of one by the value of a column `column:` and the column; of a function in Python its name.
    pub filter: String,
    /// Samples that came to it.
    pub rows_in: u64,
    /// Samples that passed it.
    pub rows_out: u64,
    /// Number of those that came to it and that it could not judge, such as texts of no certain language, rows without the
    /// column, or samples that a function gave no score.
    pub unknown: u64,
    /// Rows that the function refuses: those of which it raised an exception. They are rejects, not among the samples that came.
    pub failed: u64,
    /// Why it refuses the first.
    pub failure: Option<String>,
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
    /// Rows looked at of which the converter made no sample, without a reason.
    pub rows_without_samples: u64,
    /// For each chunk, how many of its rows were looked at.
    pub rows_looked_at: Vec<u32>,
    /// Whether `max_samples` was reached, so that rows further on make no difference.
    pub reached_max: bool,
    /// The rows looked at that functions of filters refuse, by chunk; they are among the rejects. They are stored as such, and not with
    /// the selection.
    #[serde(skip)]
    pub refused: Vec<(usize, Vec<RowRefused>)>,
}

/// A row that the function of a filter refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRefused {
    /// Its place in the chunk.
    pub row: u32,
    /// Why, in words.
    pub why: String,
    /// Where it stands.
    pub place: RefusedRow,
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

    /// Keeps those of the samples for which `keep` returns the characters and tokens, given chunk and sample, in order.
    pub fn retain<E>(&mut self, mut keep: impl FnMut(usize, u32) -> Result<Option<(u32, u32)>, E>) -> Result<(), E> {
        (self.kept, self.characters, self.tokens) = (0, 0, 0);
        for chunk in 0..self.runs.len() {
            let (mut runs, mut end) = (Vec::new(), 0);
            for sample in self.samples(chunk).collect::<Vec<_>>() {
                if let Some((characters, tokens)) = keep(chunk, sample)? {
                    push_kept(&mut runs, &mut end, sample as usize);
                    self.kept += 1;
                    self.characters += u64::from(characters);
                    self.tokens += u64::from(tokens);
                }
            }
            self.runs[chunk] = runs;
        }
        Ok(())
    }

    /// The number of chunks selected from.
    pub fn chunks(&self) -> usize {
        self.runs.len()
    }
}

/// Why samples could not be selected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Scores that a filter cannot use.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A file that is needed for sorting.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A selection under way: chunks come one after another, and nothing of them is held.
pub struct Selecting<'f> {
    filters: &'f [Filter],
    max: Option<u64>,
    sampling: Option<(Sampling, Sorter<5>)>,
    selection: Selection,
    /// For each filter, what it has seen.
    seen: Vec<HashSet<u128>>,
    rejects: BTreeMap<Reason, u64>,
}

impl<'f> Selecting<'f> {
    /// Begins to select samples that pass `filters`; `memory` is for the hashes of those that may be taken.
    pub fn new(filters: &'f [Filter], take: Take, memory: SortMemory<'_>) -> Self {
        let count = |filter: &Filter| FilterCount { filter: filter.name().into(), ..Default::default() };
        Self {
            filters,
            max: take.first(),
            sampling: take.sampling().map(|sampling| (sampling, Sorter::new(memory.scratch, memory.bytes, 1 << 32))),
            selection: Selection { filters: filters.iter().map(count).collect(), ..Default::default() },
            seen: filters.iter().map(|_| HashSet::new()).collect(),
            rejects: BTreeMap::new(),
        }
    }

    fn has_enough(&self) -> bool {
        self.max.is_some_and(|max| self.selection.kept >= max)
    }

    /// Selects from the next chunk. Scores of another scale than a filter's are an error.
    pub fn add(&mut self, chunk: &ChunkScores<'_>) -> Result<(), SelectError> {
        let comparisons = comparisons(chunk, self.filters)?;
        let refusals = refusals(chunk, &comparisons);
        let mut refused: Vec<RowRefused> = Vec::new();
        let (mut runs, mut end) = (Vec::new(), 0);
        let mut looked_at = if self.has_enough() { 0 } else { chunk.count };
        // For each filter, what it decided of the text that the sample is a part of.
        let mut decided = vec![None; self.filters.len()];
        for sample in 0..chunk.rows.len() {
            if self.has_enough() {
                break;
            }
            if chunk.refused.binary_search(&(sample as u32)).is_ok() {
                continue;
            }
            let selection = &mut self.selection;
            if let Some((filter, first)) = refusals.get(&chunk.rows[sample]) {
                // All samples of a row are refused if one is.
                if refused.last().is_none_or(|last| last.row != chunk.rows[sample]) {
                    let (why, place) = comparisons[*filter].refusal(*first).expect("it refuses this one");
                    selection.filters[*filter].failed += 1;
                    selection.filters[*filter].failure.get_or_insert_with(|| why.to_owned());
                    *self.rejects.entry(Reason::Refused).or_default() += 1;
                    let why = format!("{}: {why}", self.filters[*filter].name());
                    refused.push(RowRefused { row: chunk.rows[sample], why, place: place.clone() });
                }
                continue;
            }
            if chunk.wholes.is_some_and(|wholes| sample > 0 && wholes[sample] != wholes[sample - 1]) {
                decided.fill(None);
            }
            let passes = comparisons.iter().enumerate().all(|(i, comparison)| {
                selection.filters[i].rows_in += 1;
                let passes = match chunk.wholes {
                    None => comparison.passes(sample, &mut self.seen[i]),
                    Some(_) => comparison.passes_in_parts(sample, &mut self.seen[i], &mut decided[i]),
                };
                selection.filters[i].rows_out += u64::from(passes);
                selection.filters[i].unknown += u64::from(comparison.is_unknown(sample));
                passes
            });
            if passes {
                let (characters, tokens) = (chunk.characters[sample], chunk.tokens.map_or(0, |tokens| tokens[sample]));
                if let Some((sampling, ranked)) = &mut self.sampling {
                    let [high, low] = halves(key(chunk.row_hash[sample], 0, sampling.seed, Purpose::Sample));
                    // Selections number samples as orders do: by 32 bits.
                    ranked.push([high, low, selection.kept as u32, characters, tokens])?;
                }
                push_kept(&mut runs, &mut end, sample);
                selection.kept += 1;
                selection.characters += u64::from(characters);
                selection.tokens += u64::from(tokens);
                // What stands behind the last row that is needed makes no difference, wherever chunks end.
                if self.has_enough() {
                    looked_at = chunk.rows[sample] + 1;
                }
            }
        }
        for (row, reason) in chunk.rejects {
            if *row < looked_at {
                *self.rejects.entry(*reason).or_default() += 1;
            }
        }
        self.selection.rows_read += u64::from(looked_at);
        self.selection.rows_without_samples += u64::from(looked_at) - rows_accounted_for(chunk, looked_at);
        runs.shrink_to_fit();
        if !refused.is_empty() {
            self.selection.refused.push((self.selection.runs.len(), refused));
        }
        self.selection.runs.push(runs);
        self.selection.rows_looked_at.push(looked_at);
        Ok(())
    }

    /// What was selected.
    pub fn finish(self) -> Result<Selection, SelectError> {
        let reached_max = self.has_enough();
        let selection = Selection { rejects: self.rejects.into_iter().collect(), reached_max, ..self.selection };
        match self.sampling {
            Some((sampling, ranked)) if selection.kept > sampling.rows => sampled(selection, sampling.rows, ranked),
            _ => Ok(selection),
        }
    }
}

/// Returns the rows of a chunk that functions refuse, each with the first filter and the first sample for which one does. A function is
/// not heard of samples that a bound before it drops; whether a text is a duplicate makes no difference.
fn refusals(chunk: &ChunkScores<'_>, comparisons: &[Comparison<'_>]) -> BTreeMap<u32, (usize, usize)> {
    let mut found = BTreeMap::new();
    if !comparisons.iter().any(Comparison::refuses) {
        return found;
    }
    let nothing_seen = &mut HashSet::new();
    for sample in 0..chunk.rows.len() {
        if chunk.refused.binary_search(&(sample as u32)).is_ok() {
            continue;
        }
        for (filter, comparison) in comparisons.iter().enumerate() {
            if comparison.refusal(sample).is_some() {
                found.entry(chunk.rows[sample]).or_insert((filter, sample));
                break;
            }
            if comparison.identity(sample).is_none() && !comparison.passes(sample, nothing_seen) {
                break;
            }
        }
    }
    found
}

/// Returns how many of the first rows of a chunk have samples, or a reason to have none.
fn rows_accounted_for(chunk: &ChunkScores<'_>, rows: u32) -> u64 {
    let with_samples = chunk.rows.chunk_by(|a, b| a == b).filter(|of_row| of_row[0] < rows).count();
    // A row whose samples are refused has both.
    let is_bare = |(row, _): &&(u32, Reason)| *row < rows && chunk.rows.binary_search(row).is_err();
    (with_samples + chunk.rejects.iter().filter(is_bare).count()) as u64
}

/// Notes sample `sample` of a chunk in its `runs`, which end before sample `end`.
fn push_kept(runs: &mut Vec<u32>, end: &mut usize, sample: usize) {
    match runs.last_mut() {
        Some(kept) if *end == sample => *kept += 1,
        _ => runs.extend([(sample - *end) as u32, 1]),
    }
    *end = sample + 1;
}

/// Keeps the `rows` samples of a selection whose ranks are lowest; of equal ranks, which equal rows have, the first.
fn sampled(mut selection: Selection, rows: u64, ranked: Sorter<5>) -> Result<Selection, SelectError> {
    let mut marks = vec![0_u64; selection.kept.div_ceil(64) as usize];
    (selection.kept, selection.characters, selection.tokens) = (0, 0, 0);
    ranked.finish()?.each(|&[_, _, number, characters, tokens]| {
        if selection.kept < rows {
            marks[number as usize / 64] |= 1 << (number % 64);
            selection.kept += 1;
            selection.characters += u64::from(characters);
            selection.tokens += u64::from(tokens);
        }
        Ok::<_, FileError>(())
    })?;
    let mut number = 0_usize;
    for chunk in 0..selection.runs.len() {
        let (mut runs, mut end) = (Vec::new(), 0);
        for sample in selection.samples(chunk) {
            if marks[number / 64] >> (number % 64) & 1 == 1 {
                push_kept(&mut runs, &mut end, sample as usize);
            }
            number += 1;
        }
        selection.runs[chunk] = runs;
    }
    Ok(selection)
}

/// Selects samples that pass `filters`, in order.
pub fn select(
    chunks: &[ChunkScores<'_>],
    filters: &[Filter],
    take: Take,
    memory: SortMemory<'_>,
) -> Result<Selection, SelectError> {
    let mut selecting = Selecting::new(filters, take, memory);
    chunks.iter().try_for_each(|chunk| selecting.add(chunk))?;
    selecting.finish()
}

/// Pairs each filter with its scores of a chunk.
fn comparisons<'a>(chunk: &ChunkScores<'a>, filters: &'a [Filter]) -> Result<Vec<Comparison<'a>>, ColumnError> {
    filters.iter().zip(chunk.scores).map(|(filter, scores)| filter.compare(scores)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::{
        quality::{Bound, by_name},
        sort::InMemory,
    };

    fn chunk<'a>(rows: &'a [u32], rejects: &'a [(u32, Reason)], scores: &'a [ScoreColumn]) -> ChunkScores<'a> {
        let last = rows.iter().copied().chain(rejects.iter().map(|(row, _)| *row)).max();
        let count = last.map_or(0, |last| last + 1);
        let (characters, row_hash, tokens) = (&[1; 16], &[5; 16], Some(&[3; 16][..]));
        ChunkScores { count, rows, characters, row_hash, rejects, refused: &[], scores, wholes: None, tokens }
    }

    fn select(chunks: &[ChunkScores<'_>], filters: &[Filter], take: Take) -> Result<Selection, SelectError> {
        let memory = SortMemory { scratch: &InMemory::scratch(), bytes: 64 };
        super::select(chunks, filters, take, memory)
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

        let all = select(&chunks, &filters, Take::All).unwrap();
        assert_eq!(kept(&all), [vec![1, 2], vec![2, 3]]);
        assert_eq!((all.rows_read, all.rejects.clone(), all.reached_max), (9, vec![(Reason::EmptyOutput, 2)], false));
        assert_eq!(all.rows_without_samples, 0);
        // Of a row a converter may make nothing, which is no reject.
        let rejects = [(3, Reason::EmptyOutput), (4, Reason::NotRendered)];
        let barren = ChunkScores { count: 8, refused: &[2], ..chunk(&[0, 0, 4], &rejects, &[]) };
        assert_eq!(select(&[barren], &[], Take::All).unwrap().rows_without_samples, 5);
        let counts: Vec<_> = all.filters.iter().map(|count| (count.rows_in, count.rows_out)).collect();
        assert_eq!(counts, [(7, 5), (5, 4)]);

        let three = select(&chunks, &filters, Take::First(3)).unwrap();
        assert_eq!(kept(&three), [vec![1, 2], vec![2]]);
        assert!(three.reached_max);
        assert_eq!(
            (three.rows_read, three.rejects.clone()),
            (7, vec![(Reason::EmptyOutput, 1)]),
            "rows behind the last one needed do not count"
        );

        assert_eq!((three.characters, three.tokens), (3, 9));

        let swapped = scores(&[2], &[1]);
        let swapped = [chunk(&[0], &[], &[swapped[1].clone(), swapped[0].clone()])]
            .map(|chunk| select(&[chunk], &filters, Take::All));
        assert!(matches!(swapped, [Err(SelectError::Column(ColumnError::Scale(_)))]));

        let two = select(&chunks, &filters, Take::First(2)).unwrap();
        assert_eq!((kept(&two), two.rows_read, two.rejects.len()), (vec![vec![1, 2], vec![]], 3, 0));
    }

    #[test]
    fn a_text_in_parts_is_no_duplicate_of_itself() {
        let (length, deduplication) = (by_name("length").unwrap(), by_name("deduplication").unwrap());
        let filters = [
            Filter { scorer: length, bound: Bound::Count { min: Some(3), max: None } },
            Filter { scorer: deduplication, bound: Bound::Identity("exact".into()) },
        ];
        // Four texts, of which the second and the last are the same, in one, three, one and two parts.
        let wholes = [0, 1, 1, 1, 2, 3, 3];
        let spread = |column: ScoreColumn| column.of_parts(Some(&wholes)).unwrap();
        let identities = spread(ScoreColumn::of_identities(deduplication, vec![1, 2, 3, 2]));
        // The first part of the second text is too short.
        let lengths = ScoreColumn::of_counts(length, vec![9, 1, 9, 9, 9, 9, 9]);
        let scores = [lengths, identities];
        let chunk = ChunkScores { wholes: Some(&wholes), ..chunk(&[0, 1, 1, 1, 2, 3, 3], &[], &scores) };
        let selection = select(&[chunk], &filters, Take::All).unwrap();
        assert_eq!(kept(&selection), [vec![0, 2, 3, 4]]);
        let counts: Vec<_> = selection.filters.iter().map(|count| (count.rows_in, count.rows_out)).collect();
        assert_eq!(counts, [(7, 6), (6, 4)]);
        let few = ScoreColumn::of_identities(deduplication, vec![1, 2, 3]);
        assert!(few.of_parts(Some(&wholes)).is_none());
    }

    #[test]
    fn rejects_behind_the_last_row_needed_do_not_count_wherever_chunks_end() {
        let reject = Reason::EmptyOutput;
        let looked_at = |chunks: &[ChunkScores<'_>]| {
            let two = select(chunks, &[], Take::First(2)).unwrap();
            assert!(two.reached_max);
            (two.rows_read, two.rejects)
        };
        let (enough, rejected) = ([0, 1], [(2, reject)]);
        assert_eq!(looked_at(&[chunk(&enough, &rejected, &[])]), (2, vec![]), "the chunk ends with a reject");
        assert_eq!(looked_at(&[chunk(&[0, 1, 3], &rejected, &[])]), (2, vec![]), "a good row follows");
        let first = [(0, reject)];
        let chunks = [chunk(&enough, &[], &[]), chunk(&[], &first, &[])];
        assert_eq!(looked_at(&chunks), (2, vec![]), "the reject is a chunk of its own");
        assert_eq!(looked_at(&[chunk(&[0, 2], &[(1, reject)], &[])]), (3, vec![(reject, 1)]));
    }

    /// Samples `rows` of rows with these hashes, in chunks of three; returns the numbers of those that are kept.
    fn sample(hashes: &[u64], rows: u64) -> Vec<usize> {
        let (numbers, ones) = ([0, 1, 2], [1; 3]);
        let chunks: Vec<ChunkScores<'_>> = hashes
            .chunks(3)
            .map(|row_hash| ChunkScores {
                count: row_hash.len() as u32,
                rows: &numbers[..row_hash.len()],
                characters: &ones,
                row_hash,
                rejects: &[],
                refused: &[],
                scores: &[],
                wholes: None,
                tokens: None,
            })
            .collect();
        let selection = select(&chunks, &[], Take::Sample(Sampling { rows, seed: 7 })).unwrap();
        let samples = |chunk| selection.samples(chunk).map(move |sample| 3 * chunk + sample as usize);
        let kept: Vec<usize> = (0..selection.chunks()).flat_map(samples).collect();
        assert_eq!((selection.kept, selection.characters), (kept.len() as u64, kept.len() as u64));
        kept
    }

    proptest! {
        #[test]
        fn a_sample_is_stable_under_growth(
            hashes in prop::collection::hash_set(0_u64..1_000_000, 1..60),
            more in prop::collection::hash_set(1_000_000_u64..2_000_000, 0..30),
            rows in 1_u64..40,
        ) {
            let hashes: Vec<u64> = hashes.into_iter().collect();
            let grown: Vec<u64> = hashes.iter().copied().chain(more).collect();
            let before = sample(&hashes, rows);
            prop_assert_eq!(before.len() as u64, rows.min(hashes.len() as u64));
            let mut ranks: Vec<u64> = hashes.iter().map(|hash| key(*hash, 0, 7, Purpose::Sample)).collect();
            ranks.sort_unstable();
            let last = ranks[before.len() - 1];
            prop_assert!(before.iter().all(|at| key(hashes[*at], 0, 7, Purpose::Sample) <= last));
            // What the grown source keeps of the old rows was kept before.
            let after = sample(&grown, rows);
            prop_assert!(after.iter().filter(|at| **at < hashes.len()).all(|at| before.contains(at)));
        }
    }
}
