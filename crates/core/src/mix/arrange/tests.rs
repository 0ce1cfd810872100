use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::{
    config::Strategy,
    mix::allot,
    sort::{InMemory, Record},
};

/// Candidates in memory.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// For each source, the end of its samples.
    pub(super) ends: Vec<usize>,
    pub(super) row_hash: Vec<u64>,
    pub(super) prompt_hash: Vec<u64>,
    /// For each source the side that all of it is on.
    pub(super) held: Vec<Option<Side>>,
    /// `None` if every sample counts 1.
    pub(super) units: Option<Vec<u32>>,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.row_hash.len()
    }

    pub(super) fn of(&self, source: usize) -> Range<usize> {
        let start = source.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[source]
    }

    pub(super) fn source(&self, sample: u32) -> usize {
        self.ends.partition_point(|end| *end <= sample as usize)
    }

    pub(super) fn units(&self, sample: u32) -> u64 {
        self.units.as_ref().map_or(1, |units| u64::from(units[sample as usize]))
    }
}

impl Candidates for Held {
    type Error = FileError;

    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn sizes(&self) -> Vec<u64> {
        (0..self.ends.len()).map(|source| self.of(source).map(|sample| self.units(sample as u32)).sum()).collect()
    }

    fn side(&self, source: usize) -> Option<Side> {
        self.held.get(source).copied().flatten()
    }

    fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), FileError>) -> Result<(), FileError> {
        (0..self.len() as u32).try_for_each(|number| {
            take(&Candidate {
                source: self.source(number),
                number,
                row_hash: self.row_hash[number as usize],
                prompt_hash: self.prompt_hash[number as usize],
                // Two prompts in a row differ in case alone.
                folded_hash: self.prompt_hash[number as usize] / 2,
                units: self.units(number) as u32,
                continues: false,
            })
        })
    }
}

/// Both sides as lists.
struct Sides {
    train: Vec<u32>,
    validation: Vec<u32>,
    test: Vec<u32>,
    realised: Vec<Realised>,
    mingled: Option<u64>,
}

/// Arranges with this many bytes of memory.
fn arrange_within(bytes: usize, candidates: &Held, allotment: &Allotment, validation: &Validation) -> Sides {
    let scratch = InMemory::scratch();
    let memory = SortMemory { scratch: &scratch, bytes };
    let arrangement = super::arrange(candidates, allotment, validation, memory).unwrap();
    let list = |side: &Sorted<3>| {
        let mut list = Vec::new();
        let push = |[_, _, sample]: &Record<3>| {
            list.push(*sample);
            Ok::<_, FileError>(())
        };
        side.each(push).unwrap();
        list
    };
    let [train, validation, test] = Side::ALL.map(|side| list(arrangement.rows.get(side)));
    Sides { train, validation, test, realised: arrangement.realised, mingled: arrangement.mingled }
}

fn arrange(candidates: &Held, allotment: &Allotment, validation: &Validation) -> Sides {
    arrange_within(1 << 20, candidates, allotment, validation)
}

fn validation(ratio: f64, method: SplitMethod, stratified: bool) -> Validation {
    Validation { ratio, stratified, method, ..Validation::default() }
}

/// Returns candidates, each given by its source and its prompt hash, in the order of sources.
fn candidates(prompts: &[(u32, u64)]) -> Held {
    let mut sorted: Vec<(usize, (u32, u64))> = prompts.iter().copied().enumerate().collect();
    sorted.sort_by_key(|(_, (source, _))| *source);
    let sources = prompts.iter().map(|(source, _)| *source).max().map_or(0, |last| last + 1);
    let end = |source| sorted.iter().filter(|(_, (own, _))| *own <= source).count();
    Held {
        ends: (0..sources).map(end).collect(),
        row_hash: sorted.iter().map(|(i, _)| xxh3_64_with_seed(&(*i as u64).to_le_bytes(), 7)).collect(),
        prompt_hash: sorted.iter().map(|(_, (_, prompt))| *prompt).collect(),
        held: Vec::new(),
        units: None,
    }
}

fn all_of(candidates: &Held) -> Allotment {
    let counts = (0..candidates.ends.len()).map(|source| candidates.of(source).len() as u64).collect();
    Allotment { total: candidates.len() as u64, counts }
}

fn arranged(candidates: &Held, validation: &Validation) -> Sides {
    arrange(candidates, &all_of(candidates), validation)
}

/// Returns the part of each source, counted from the lists.
fn realised(candidates: &Held, sides: &Sides) -> Vec<Realised> {
    let mut realised = vec![Realised::default(); candidates.ends.len()];
    let mut seen = BTreeSet::new();
    for (side, samples) in Side::ALL.into_iter().zip([&sides.train, &sides.validation, &sides.test]) {
        for sample in samples {
            let own = &mut realised[candidates.source(*sample)];
            *own.rows.get_mut(side) += 1;
            *own.units.get_mut(side) += candidates.units(*sample);
            own.repeats += u64::from(!seen.insert(*sample));
        }
    }
    realised
}

/// Prompts that are on several sides but for their last bit, counted from the lists.
fn mingled(candidates: &Held, sides: &Sides) -> u64 {
    let mut found: BTreeMap<u64, BTreeSet<u8>> = BTreeMap::new();
    for (side, samples) in Side::ALL.into_iter().zip([&sides.train, &sides.validation, &sides.test]) {
        for sample in samples {
            found.entry(candidates.prompt_hash[*sample as usize] / 2).or_default().insert(side as u8);
        }
    }
    found.values().filter(|sides| sides.len() > 1).count() as u64
}

fn prompts_of(candidates: &Held, side: &[u32]) -> BTreeSet<u64> {
    side.iter().map(|i| candidates.prompt_hash[*i as usize]).collect()
}

proptest! {
    #[test]
    fn however_little_memory_there_is_rows_are_where_the_book_has_them(
        prompts in prop::collection::vec((0_u32..4, 0_u64..60), 0..300),
        // Few distinct rows, so that keys repeat.
        rows in prop::collection::vec(0_u64..250, 300),
        counted in prop::option::of(prop::collection::vec(0_u32..9, 300)),
        shares in prop::collection::vec(0.05_f64..1.0, 4),
        total in prop::option::of(0_u64..900),
        ratio in prop::sample::select(vec![0.0, 1e-9, 0.1, 0.5, 0.999]),
        test_ratio in prop::sample::select(vec![0.0, 0.0, 1e-9, 0.2, 0.999]),
        held in prop::sample::select(vec![vec![], vec![None, Some(Side::Validation)], vec![None, None, Some(Side::Test)]]),
        normalise: bool,
        exact: bool,
        stratified: bool,
        cut: bool,
    ) {
        let mut candidates = candidates(&prompts);
        let count = candidates.len();
        candidates.row_hash = rows[..count].iter().map(|row| xxh3_64_with_seed(&row.to_le_bytes(), 7)).collect();
        candidates.units = counted.map(|units| units[..count].to_vec());
        let sizes = candidates.sizes();
        let strategy = if cut { Strategy::Cut } else { Strategy::Repeat };
        let mut allotment = allot(&sizes, &shares[..sizes.len()], strategy, total);
        candidates.held = held;
        for source in (0..sizes.len()).filter(|source| candidates.side(*source).is_some()) {
            allotment.counts[source] = sizes[source];
        }
        let method = if exact { SplitMethod::Exact } else { SplitMethod::Hash };
        let settings = Validation { test_ratio, normalise, ..validation(ratio, method, stratified) };
        let by_the_book = plain::arrange(&candidates, &allotment, &settings);
        for bytes in [1 << 20, 500, 1] {
            let sides = arrange_within(bytes, &candidates, &allotment, &settings);
            prop_assert_eq!(&sides.realised, &realised(&candidates, &sides));
            prop_assert_eq!(sides.mingled, Some(mingled(&candidates, &sides)));
            prop_assert_eq!([&sides.train, &sides.validation, &sides.test], by_the_book.each_ref());
        }
    }

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
    let arranged = arrange(&candidates, &allotment, &validation(0.1, SplitMethod::Hash, true));
    let units: u64 = arranged.train.iter().chain(&arranged.validation).map(|i| candidates.units(*i)).sum();
    assert!((493..=507).contains(&units), "{units}");
}

#[test]
fn a_test_side_moves_no_row_between_train_and_validation() {
    let candidates = candidates(&(0..2000).map(|i| (0, i * 7919)).collect::<Vec<_>>());
    let without = validation(0.2, SplitMethod::Hash, true);
    let before = arranged(&candidates, &without);
    let after = arranged(&candidates, &Validation { test_ratio: 0.1, ..without });
    assert!((150..250).contains(&after.test.len()), "{}", after.test.len());
    let test: BTreeSet<u32> = after.test.iter().copied().collect();
    let left = |side: &[u32]| side.iter().copied().filter(|sample| !test.contains(sample)).collect::<Vec<_>>();
    assert_eq!((after.train, after.validation), (left(&before.train), left(&before.validation)));
    let few = |count: usize| (0..count as u32).filter(|sample| test.contains(sample)).count() > 0;
    assert!(few(100), "the test side is drawn from the whole");
}

#[test]
fn exact_counts_of_three_sides() {
    let candidates = candidates(&(0..1000).map(|i| (0, i * 7919)).collect::<Vec<_>>());
    let settings = Validation { test_ratio: 0.1, ..validation(0.05, SplitMethod::Exact, false) };
    let sides = arranged(&candidates, &settings);
    assert_eq!((sides.test.len(), sides.validation.len(), sides.train.len()), (100, 45, 855));
}

#[test]
fn rows_that_other_sources_have_are_counted() {
    let mut across = AcrossSources::new([2, 0, 3]);
    for row in [[1, 1, 0], [1, 1, 3], [1, 1, 4], [1, 2, 1], [2, 1, 2], [2, 1, 3]] {
        across.see(row);
    }
    assert_eq!(across.count, 2, "samples 3 and 4 are of the third source, as is what they repeat at the end");
}
