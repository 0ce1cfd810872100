//! Which samples of the mixture must leave because of samples of other sources: prompts that a source which makes up a side
//! has too, prompts that are excluded, and duplicates.

use serde::{Deserialize, Serialize};

use super::arrange::{Candidate, SortMemory};
use crate::{
    config::{Overlap, SourceRole},
    failure::FileError,
    outputs::{BySide, Side},
    sort::{Sorted, Sorter, halves},
};

/// Version of the grouping, to be raised when other samples of the same sources leave.
pub const GROUP_VERSION: u32 = 2;

/// Number of a source's samples that left, by the reason; and of those that stayed though their prompts are elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grouped {
    /// Samples whose prompt is excluded.
    pub excluded: u64,
    /// Samples whose prompt a source has that makes up a side.
    pub held: BySide<u64>,
    /// Samples that an earlier one equals.
    pub duplicates: u64,
    /// Samples that stayed although a source that makes up a side has their prompt.
    pub shared: BySide<u64>,
}

/// The samples that leave.
#[derive(Debug)]
pub struct Leaving {
    /// A bit for each sample by its number.
    marks: Vec<u64>,
    /// For each source, how many samples leave and why.
    pub grouped: Vec<Grouped>,
}

impl Leaving {
    /// Returns whether the sample of this number leaves.
    pub fn has(&self, number: u32) -> bool {
        self.marks[number as usize / 64] >> (number % 64) & 1 == 1
    }

    fn add(&mut self, number: u32) {
        self.marks[number as usize / 64] |= 1 << (number % 64);
    }
}

/// Takes a sample, and the hash by which duplicates are told; without one, a sample is a duplicate if the sample before it is one.
pub type TakeMember<'t, E> = dyn FnMut(&Candidate, Option<u64>) -> Result<(), E> + 't;

/// Calls a function with each sample of all sources, in the order of their numbers.
pub type EachMember<'e, E> = &'e dyn Fn(&mut TakeMember<'_, E>) -> Result<(), E>;

/// Finds the samples that leave, of `count` samples of sources with these roles. A candidate's `prompt_hash` is what
/// prompts are compared by; duplicates are looked for if `deduplicate`.
pub fn leaving<E: From<FileError>>(
    count: u64,
    roles: &[SourceRole],
    deduplicate: bool,
    each: EachMember<'_, E>,
    memory: SortMemory<'_>,
) -> Result<Leaving, E> {
    let marks = vec![0_u64; count.div_ceil(64) as usize];
    let mut leaving = Leaving { marks, grouped: vec![Grouped::default(); roles.len()] };
    if roles.iter().any(|role| *role != SourceRole::Mixed) {
        let mut prompts = Sorter::new(memory.scratch, memory.bytes, 1 << 32);
        each(&mut |member, _| {
            let [high, low] = halves(member.prompt_hash);
            Ok(prompts.push([high, low, member.number, member.source as u32])?)
        })?;
        overlaps(&prompts.finish()?, roles, &mut leaving)?;
    }
    if deduplicate {
        let mut rows = Sorter::new(memory.scratch, memory.bytes, 1 << 32);
        let mut some_follow = false;
        each(&mut |member, same| {
            some_follow |= same.is_none();
            if let (SourceRole::Mixed, Some(same), false) = (roles[member.source], same, leaving.has(member.number)) {
                let [high, low] = halves(same);
                rows.push([high, low, member.number, member.source as u32])?;
            }
            Ok(())
        })?;
        let mut before = None;
        rows.finish()?.each(|&[high, low, number, source]| {
            if before == Some([high, low]) {
                leaving.add(number);
                leaving.grouped[source as usize].duplicates += 1;
            }
            before = Some([high, low]);
            Ok::<_, E>(())
        })?;
        if some_follow {
            each(&mut |member, same| {
                let follows = same.is_none() && member.number > 0 && leaving.has(member.number - 1);
                if follows && !leaving.has(member.number) {
                    leaving.add(member.number);
                    leaving.grouped[member.source].duplicates += 1;
                }
                Ok(())
            })?;
        }
    }
    Ok(leaving)
}

/// Finds the samples whose prompts are on a side of their own, or excluded.
fn overlaps(prompts: &Sorted<4>, roles: &[SourceRole], leaving: &mut Leaving) -> Result<(), FileError> {
    let mut members: Vec<(u32, usize)> = Vec::new();
    let mut before = None;
    prompts.each(|&[high, low, number, source]| {
        if before != Some([high, low]) {
            overlap(&members, roles, leaving);
            members.clear();
            before = Some([high, low]);
        }
        members.push((number, source as usize));
        Ok::<_, FileError>(())
    })?;
    overlap(&members, roles, leaving);
    Ok(())
}

/// Decides about the samples of one prompt: what is excluded weighs most, then the test side, then validation.
fn overlap(members: &[(u32, usize)], roles: &[SourceRole], leaving: &mut Leaving) {
    let is_excluded = members.iter().any(|(_, source)| roles[*source] == SourceRole::Excluded);
    let policy = |side| {
        members.iter().find_map(|(_, source)| match roles[*source] {
            SourceRole::Held(held, overlap) if held == side => Some(overlap),
            _ => None,
        })
    };
    let (test, validation) = (policy(Side::Test), policy(Side::Validation));
    for (number, source) in members {
        let grouped = &mut leaving.grouped[*source];
        let (side, overlap) = match (roles[*source], test, validation) {
            (SourceRole::Mixed, ..) if is_excluded => {
                grouped.excluded += 1;
                leaving.add(*number);
                continue;
            }
            (SourceRole::Mixed | SourceRole::Held(Side::Validation, _), Some(overlap), _) => (Side::Test, overlap),
            (SourceRole::Mixed, None, Some(overlap)) => (Side::Validation, overlap),
            _ => continue,
        };
        if overlap == Overlap::Remove {
            *grouped.held.get_mut(side) += 1;
            leaving.add(*number);
        } else {
            *grouped.shared.get_mut(side) += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;
    use crate::sort::InMemory;

    /// The row of samples that leave with those before them.
    const FOLLOWS: u64 = u64::MAX;

    /// Finds what leaves of samples given as source, prompt and row; in the order of sources.
    fn found(samples: &[(usize, u64, u64)], roles: &[SourceRole], deduplicate: bool, bytes: usize) -> Leaving {
        let each = |take: &mut TakeMember<'_, FileError>| {
            (0..).zip(samples).try_for_each(|(number, &(source, prompt_hash, row_hash))| {
                let candidate = Candidate {
                    source,
                    number,
                    row_hash,
                    prompt_hash,
                    folded_hash: 0,
                    units: 1,
                    continues: row_hash == FOLLOWS,
                };
                take(&candidate, (row_hash != FOLLOWS).then_some(row_hash))
            })
        };
        let memory = SortMemory { scratch: &InMemory::scratch(), bytes };
        leaving(samples.len() as u64, roles, deduplicate, &each, memory).unwrap()
    }

    #[test]
    fn the_first_source_keeps_what_several_have() {
        let samples = [(0, 1, 1), (0, 1, 2), (0, 1, 1), (1, 1, 1), (1, 2, 3)];
        let leaving = found(&samples, &[SourceRole::Mixed; 2], true, 1 << 10);
        assert_eq!([0, 1, 2, 3, 4].map(|number| leaving.has(number)), [false, false, true, true, false]);
        assert_eq!((leaving.grouped[0].duplicates, leaving.grouped[1].duplicates), (1, 1));
    }

    #[test]
    fn parts_of_a_text_leave_with_it() {
        let samples = [(0, 1, 1), (0, 1, FOLLOWS), (0, 2, 2), (1, 1, 1), (1, 1, FOLLOWS), (1, 1, FOLLOWS), (1, 3, 3)];
        let leaving = found(&samples, &[SourceRole::Mixed; 2], true, 1 << 10);
        let left: Vec<u32> = (0..7).filter(|number| leaving.has(*number)).collect();
        assert_eq!((left, leaving.grouped[1].duplicates), (vec![3, 4, 5], 3));
    }

    #[test]
    fn prompts_of_other_sides_leave_the_mixture() {
        let held = |side, overlap| SourceRole::Held(side, overlap);
        let samples = [(0, 1, 0), (0, 2, 1), (0, 3, 2), (0, 4, 3), (1, 1, 4), (1, 2, 5), (2, 2, 6), (3, 3, 7)];
        let roles = |overlap| {
            [SourceRole::Mixed, held(Side::Validation, overlap), held(Side::Test, overlap), SourceRole::Excluded]
        };
        let removed = found(&samples, &roles(Overlap::Remove), false, 1 << 10);
        let leaving: Vec<u32> = (0..8).filter(|number| removed.has(*number)).collect();
        assert_eq!(leaving, [0, 1, 2, 5], "prompt 2 of validation is a test prompt");
        let of_mixture = &removed.grouped[0];
        assert_eq!((of_mixture.held.validation, of_mixture.held.test, of_mixture.excluded), (1, 1, 1));
        let kept = found(&samples, &roles(Overlap::Keep), false, 1 << 10);
        let leaving: Vec<u32> = (0..8).filter(|number| kept.has(*number)).collect();
        assert_eq!((leaving, kept.grouped[0].shared.validation, kept.grouped[0].shared.test), (vec![2], 1, 1));
    }

    proptest! {
        #[test]
        fn the_same_leave_however_little_memory_there_is(
            mut samples in prop::collection::vec((0_usize..4, 0_u64..20, 0_u64..30), 0..80),
            deduplicate: bool,
        ) {
            samples.sort_by_key(|(source, ..)| *source);
            // Hashes are spread evenly.
            let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            samples.iter_mut().for_each(|(_, prompt, row)| (*prompt, *row) = (spread(*prompt), spread(*row)));
            let held = SourceRole::Held(Side::Validation, Overlap::Remove);
            let roles = [SourceRole::Mixed, SourceRole::Mixed, held, SourceRole::Excluded];
            let gone: HashSet<u64> = samples.iter().filter(|(source, ..)| *source > 1).map(|sample| sample.1).collect();
            let mut rows = HashSet::new();
            let plain: Vec<bool> = samples
                .iter()
                .map(|(source, prompt, row)| *source < 2 && (gone.contains(prompt) || (deduplicate && !rows.insert(*row))))
                .collect();
            for bytes in [1 << 20, 100] {
                let leaving = found(&samples, &roles, deduplicate, bytes);
                let found: Vec<bool> = (0..samples.len() as u32).map(|number| leaving.has(number)).collect();
                prop_assert_eq!(&found, &plain);
            }
        }
    }
}
