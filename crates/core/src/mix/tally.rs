//! Counts what a recipe expects of its rows: their characters, and how many of the train side repeat a prompt.

use super::{Candidates, SortMemory};
use crate::{outputs::Side, sort::Sorter};

/// Version of the numbers, to be raised when the same rows yield others.
pub const TALLY_VERSION: u32 = 1;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Units of the rows of all sides.
    pub units: u64,
    /// Rows of the train side whose prompt an earlier row of that side has.
    pub repeated_prompts: u64,
}

/// Calls its argument with the side of each row and the number of its sample, in any order.
pub type Rows<'r, E> = dyn Fn(&mut dyn FnMut(Side, u32) -> Result<(), E>) -> Result<(), E> + 'r;

/// Counts `rows`, which are samples of `candidates`. Prompts are compared regardless of case and white space if `normalise` is set.
pub fn tally<C: Candidates>(
    candidates: &C,
    rows: &Rows<'_, C::Error>,
    normalise: bool,
    memory: SortMemory<'_>,
) -> Result<Tally, C::Error> {
    // Rows are in the order of the output, samples in that of their sources.
    let mut used: Sorter<2> = Sorter::new(memory.scratch, memory.bytes / 2, candidates.count());
    rows(&mut |side, sample| Ok(used.push([sample, side as u32])?))?;
    let used = used.finish()?;
    let mut used = used.records();
    let mut next = used.next().transpose()?;
    // Evenly distributed, as hashes are.
    let mut prompts: Sorter<2> = Sorter::new(memory.scratch, memory.bytes / 2, 1 << 32);
    // Parts of one text are no repeats of it.
    let (mut units, mut train_rows) = (0, 0);
    candidates.each(&mut |candidate| {
        let mut is_trained_on = false;
        while let Some([sample, side]) = next
            && sample == candidate.number
        {
            units += u64::from(candidate.units);
            if side == Side::Train as u32 && !candidate.continues {
                is_trained_on = true;
                train_rows += 1;
            }
            next = used.next().transpose()?;
        }
        if is_trained_on {
            let prompt = if normalise { candidate.folded_hash } else { candidate.prompt_hash };
            prompts.push([(prompt >> 32) as u32, prompt as u32])?;
        }
        Ok(())
    })?;
    let (mut before, mut distinct) = (None, 0_u64);
    prompts.finish()?.each(|prompt| {
        distinct += u64::from(before != Some(*prompt));
        before = Some(*prompt);
        Ok::<_, C::Error>(())
    })?;
    Ok(Tally { units, repeated_prompts: train_rows - distinct })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, io, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        failure::FileError,
        mix::Candidate,
        sort::{Scratch, ScratchFile},
    };

    #[derive(Debug)]
    struct InMemory;

    impl Scratch for InMemory {
        fn file(&self) -> Result<Box<dyn ScratchFile>, FileError> {
            Ok(Box::new(io::Cursor::new(Vec::new())))
        }

        fn error(&self, verb: &'static str, source: io::Error) -> FileError {
            FileError { verb, path: "scratch".into(), source }
        }
    }

    struct All(Vec<Candidate>);

    impl Candidates for All {
        type Error = FileError;

        fn count(&self) -> u64 {
            self.0.len() as u64
        }

        fn sizes(&self) -> Vec<u64> {
            vec![self.count()]
        }

        fn side(&self, _: usize) -> Option<Side> {
            None
        }

        fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), FileError>) -> Result<(), FileError> {
            self.0.iter().try_for_each(take)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_counted_is_what_a_set_counts(
            prompts in prop::collection::vec(0_u64..20, 1..50),
            rows in prop::collection::vec((0_usize..3, 0_usize..50), 0..200),
            normalise: bool,
            bytes in 0_usize..2000,
        ) {
            let candidate = |(number, prompt): (usize, &u64)| Candidate {
                source: 0,
                number: number as u32,
                row_hash: 0,
                prompt_hash: prompt.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                folded_hash: (prompt / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                units: number as u32 + 1,
                continues: number > 0 && *prompt > 16,
            };
            let all = All(prompts.iter().enumerate().map(candidate).collect());
            let rows: Vec<(Side, u32)> =
                rows.iter().map(|(side, sample)| (Side::ALL[*side], (sample % prompts.len()) as u32)).collect();
            let scratch: Arc<dyn Scratch> = Arc::new(InMemory);
            let each = |take: &mut dyn FnMut(Side, u32) -> Result<(), FileError>| {
                rows.iter().try_for_each(|(side, sample)| take(*side, *sample))
            };
            let found = tally(&all, &each, normalise, SortMemory { scratch: &scratch, bytes }).unwrap();
            let (mut seen, mut repeated) = (HashSet::new(), 0);
            for (_, sample) in rows.iter().filter(|(side, _)| *side == Side::Train) {
                let candidate = &all.0[*sample as usize];
                let prompt = if normalise { candidate.folded_hash } else { candidate.prompt_hash };
                repeated += u64::from(!candidate.continues && !seen.insert(prompt));
            }
            let units = rows.iter().map(|(_, sample)| u64::from(*sample) + 1).sum();
            prop_assert_eq!(found, Tally { units, repeated_prompts: repeated });
        }
    }
}
