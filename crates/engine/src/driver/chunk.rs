//! Converts and scores one chunk, for all recipes that need it, in one pass over its rows.

mod encoded;
mod part;
mod text;
mod wanted;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{context::Context, error::ActionError, external::Lines};
use crate::{
    cache::Blobs,
    graph::{Conversion, ConvertOutcome, Measure, Outcome, PinnedModel, Scoring, keys},
    system::Stopwatch,
};
use datac_core::{
    config::{Command, Program},
    failure::Failure,
    id::{ActionKey, ChunkId},
    key::Keyed,
    quality::ScoreColumn,
    row::{Reason, Reject},
};
use datac_decode::{Chunk, Decoder};
use part::Part;
use wanted::Wanted;

/// A conversion of a chunk, with all the scores that are needed of its samples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// The decoder of the rows.
    pub(crate) decoder: Decoder,
    pub(crate) conversion: Conversion,
    pub(crate) measures: Vec<Measure>,
    /// The models that the samples are rendered and encoded for.
    pub(crate) models: Vec<Arc<PinnedModel>>,
}

impl Job {
    fn convert_key(&self, context: &Context, chunk: &ChunkId) -> ActionKey {
        keys::Convert { conversion: &self.conversion, decoder: self.decoder }.key(&chunk, &context.versions)
    }
}

fn score_key(
    context: &Context,
    decoder: Decoder,
    converted: (&ChunkId, &ConvertOutcome),
    measure: &Measure,
) -> ActionKey {
    keys::Score { measure, decoder }.key(&converted, &context.versions)
}

fn render_key(
    context: &Context,
    decoder: Decoder,
    converted: (&ChunkId, &ConvertOutcome),
    model: &PinnedModel,
) -> ActionKey {
    keys::Render { model, decoder }.key(&converted, &context.versions)
}

/// A rejected row as stored in the cache. Places are relative to the chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredReject {
    pub(crate) row: u32,
    pub(crate) line: u32,
    pub(crate) offset: u64,
    pub(crate) reject: Reject,
    pub(crate) raw: String,
}

/// Number of bytes kept of a row that was rejected for its length. Other rejected rows are kept whole.
const RAW_OF_OVERLONG: usize = 1024;

/// Number of bytes that the samples of one row may take: a row of many answers makes a sample of each two, with all of the prompt.
const MOST_OF_ROW: usize = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// Number of bytes that the samples of a chunk may take; their places are numbers of 32 bits.
const MOST_OF_CHUNK: usize = 1 << 30;

/// Returns the last position, at or before `at`, where a text can be cut.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The results of a chunk.
#[derive(Default)]
pub(crate) struct ChunkOutcomes {
    /// Number of samples that each job made of the chunk, in the order of the jobs; `None` if its program failed.
    pub(crate) samples: Vec<Option<u32>>,
    /// The functions that failed to score samples.
    pub(crate) failed: Vec<Arc<Scoring>>,
    /// Outcomes of all actions, for the driver to record.
    pub(crate) outcomes: Vec<ChunkOutcome>,
}

/// Outcome of a conversion or scoring, or why there is none.
pub(crate) struct ChunkOutcome {
    pub(crate) key: ActionKey,
    pub(crate) result: Result<Outcome, Failure>,
    /// Whether the action ran; if not, its outcome was cached.
    pub(crate) is_new: bool,
}

/// A chunk and what is wanted of it.
pub(crate) struct Task<'a> {
    pub(crate) chunk: &'a Chunk,
    pub(crate) digest: ChunkId,
    pub(crate) jobs: &'a [Job],
}

/// What a program wrote for a chunk, or why it wrote nothing.
type Written = Result<Lines, Failure>;

/// What a function said of the samples of a chunk, or why it said nothing.
type Said = Result<ScoreColumn, Failure>;

/// Runs what is missing of the jobs of several chunks, which share the runs of commands, and hands what came of each to `each`.
///
/// A program that fails is the failure of its own conversion: recipes that read the same rows another way go on.
pub(crate) fn run(
    context: &Context,
    tasks: &[Task<'_>],
    mut each: impl FnMut(usize, ChunkOutcomes),
) -> Result<(), ActionError> {
    let missing: Vec<Missing> =
        tasks.iter().map(|task| Missing::of(context, &task.digest, task.jobs)).collect::<Result<_, _>>()?;
    let mut written: Vec<Vec<Option<Written>>> =
        missing.iter().map(|missing| missing.wanted.iter().map(|_| None).collect()).collect();
    // The chunks that each command is to run on: chunk and number of what is wanted of it.
    let mut commands: Vec<(&Command, Vec<(usize, usize)>)> = Vec::new();
    for (at, missing) in missing.iter().enumerate() {
        for (number, wanted) in missing.wanted.iter().enumerate().filter(|(_, wanted)| wanted.has_to_run()) {
            let conversion = &wanted.job.conversion;
            match &conversion.options.program {
                None => {}
                Some(Program::Command(command)) => match commands.iter_mut().find(|(known, _)| *known == command) {
                    Some((_, places)) => places.push((at, number)),
                    None => commands.push((command, vec![(at, number)])),
                },
                Some(Program::Python(function)) => {
                    let (kind, chunk) = (wanted.converter.kind(), tasks[at].chunk);
                    let lines = context.functions.lines(context, (function, conversion), kind, chunk);
                    written[at][number] = Some(match lines {
                        Ok(lines) => Ok(lines),
                        Err(ActionError::Failure(failure)) => Err(failure),
                        Err(stop) => return Err(stop),
                    });
                }
            }
        }
    }
    for (command, places) in commands {
        let chunks: Vec<&Chunk> = places.iter().map(|(at, _)| tasks[*at].chunk).collect();
        let lines: Vec<Written> = match Lines::of(context, command, &chunks) {
            Ok(lines) => lines.into_iter().map(Ok).collect(),
            Err(ActionError::Failure(failure)) => chunks.iter().map(|_| Err(failure.clone())).collect(),
            Err(stop) => return Err(stop),
        };
        for ((at, number), lines) in places.into_iter().zip(lines) {
            written[at][number] = Some(lines);
        }
    }
    for (at, ((task, missing), written)) in tasks.iter().zip(&missing).zip(&written).enumerate() {
        let parts = missing.convert(task.chunk, written);
        let said = missing.call(context, task.chunk, &parts, written)?;
        each(at, missing.finish(context, &task.digest, (parts, said), written)?);
    }
    Ok(())
}

/// The jobs on a chunk, with what is cached of them.
struct Missing {
    wanted: Vec<Wanted>,
    begun: Stopwatch,
}

impl Missing {
    /// Looks up what is cached of `jobs` on the chunk with this digest.
    fn of(context: &Context, digest: &ChunkId, jobs: &[Job]) -> Result<Self, ActionError> {
        let begun = Stopwatch::start();
        let wanted = jobs.iter().map(|job| Wanted::new(context, digest, job)).collect::<Result<_, _>>()?;
        Ok(Self { wanted, begun })
    }

    /// Converts and scores the rows of the chunk, as far as that is not cached.
    fn convert(&self, chunk: &Chunk, written: &[Option<Written>]) -> Vec<Part> {
        // Samples rarely need more capacity than this. Unused capacity costs nothing, whereas growing would copy the
        // samples.
        let bytes = chunk.bytes.len() + chunk.bytes.len() / 2;
        let mut parts: Vec<Part> = self.wanted.iter().map(|wanted| Part::new(wanted, bytes)).collect();
        let runs =
            |(wanted, written): (&Wanted, &Option<Written>)| wanted.has_to_run() && !matches!(written, Some(Err(_)));
        let runs: Vec<bool> = self.wanted.iter().zip(written).map(runs).collect();
        if !runs.contains(&true) {
            return parts;
        }
        let mut written: Vec<_> = written.iter().map(|written| Some(written.as_ref()?.as_ref().ok()?.iter())).collect();
        let mut scratch = Vec::new();
        chunk.for_each_row(|row, span, parsed| {
            for (((wanted, part), lines), runs) in self.wanted.iter().zip(&mut parts).zip(&mut written).zip(&runs) {
                if !runs {
                    continue;
                }
                // The program was given the rows that can be read.
                let line = lines.as_mut().filter(|_| parsed.is_ok()).and_then(Iterator::next);
                let stored = |reject: Reject| {
                    let mut raw = chunk.raw(span).into_owned();
                    if reject.reason == Reason::RowTooLong && parsed.is_err() {
                        raw.truncate(char_boundary(&raw, RAW_OF_OVERLONG));
                    }
                    StoredReject { row, line: span.line, offset: span.start as u64, reject, raw }
                };
                match part.push(wanted, row, &parsed, line, &mut scratch) {
                    Ok(()) => part.encoded.iter_mut().for_each(|encoded| {
                        encoded.rejects.extend(encoded.refusal.take().map(&stored));
                    }),
                    Err(reject) => part.rejects.push(stored(reject)),
                }
            }
        });
        parts
    }

    /// Has functions score the samples of the chunk, as far as that is not cached.
    ///
    /// A function that fails is the failure of its own scores: the samples, and what else is measured of them, stay.
    fn call(
        &self,
        context: &Context,
        chunk: &Chunk,
        parts: &[Part],
        written: &[Option<Written>],
    ) -> Result<Vec<Vec<Said>>, ActionError> {
        let mut all = Vec::with_capacity(self.wanted.len());
        for ((wanted, part), written) in self.wanted.iter().zip(parts).zip(written) {
            let mut said = Vec::with_capacity(wanted.called.len());
            if !wanted.called.is_empty() && !matches!(written, Some(Err(_))) {
                let cached = match &wanted.known {
                    Some(known) => Some((context.store.get(&known.rows)?, context.indexes.get(&known.index)?)),
                    None => None,
                };
                let samples = match &cached {
                    Some((rows, index)) => (rows.as_slice(), &**index),
                    None => (part.rows.as_slice(), &part.index),
                };
                for (_, scoring) in &wanted.called {
                    said.push(match context.functions.scores(context, scoring, chunk, samples) {
                        Ok(column) => Ok(column),
                        Err(ActionError::Failure(failure)) => Err(failure),
                        Err(stop) => return Err(stop),
                    });
                }
            }
            all.push(said);
        }
        Ok(all)
    }

    /// Stores the results of all rows.
    fn finish(
        &self,
        context: &Context,
        digest: &ChunkId,
        (parts, said): (Vec<Part>, Vec<Vec<Said>>),
        written: &[Option<Written>],
    ) -> Result<ChunkOutcomes, ActionError> {
        let mut done = ChunkOutcomes::default();
        for (((wanted, part), said), written) in self.wanted.iter().zip(parts).zip(said).zip(written) {
            if let Some(Err(failure)) = written {
                let failed = |key: &ActionKey| ChunkOutcome { key: *key, result: Err(failure.clone()), is_new: true };
                done.outcomes.extend(wanted.at_stake.iter().map(failed));
                done.samples.push(None);
                continue;
            }
            let failed = wanted.called.iter().zip(&said).filter(|(_, said)| said.is_err());
            done.failed.extend(failed.map(|((_, scoring), _)| scoring.clone()));
            let converted = part.finish(context, digest, wanted, self.begun, said, &mut done.outcomes)?;
            done.samples.push(Some(converted.samples));
        }
        Ok(done)
    }
}

/// The reject of a row whose samples take more than `most` bytes.
fn too_long(most: usize) -> Reject {
    let most = most >> 20;
    Reject::new(Reason::RowTooLong, format!("the samples of the row, or of those around it, take more than {most} MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "xé€😀";
        let cuts: Vec<usize> = (0..=text.len() + 1).map(|at| char_boundary(text, at)).collect();
        assert_eq!(cuts, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10]);
    }
}
