//! Converts and scores one chunk, for all recipes that need it, in one pass over its rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    context::Context,
    error::ActionError,
    external::Lines,
    models::{Fitted, ReadModel},
};
use crate::{
    cache::Blobs,
    event::Event,
    graph::{
        Conversion, ConvertOutcome, EncodedChunk, Measure, Measured, Outcome, PinnedModel, RenderOutcome, Scoring,
        ShortenedChunk, keys,
    },
    system::Stopwatch,
};
use datac_core::{
    config::{Command, Program},
    convert::{self, Converter, Tally},
    encoded::EncodedSamples,
    failure::Failure,
    id::{ActionKey, ChunkId},
    key::Keyed,
    mapping::{Path, borrowed},
    quality::{ScoreColumn, ScoreKind},
    row::{BINARY, LONE_SURROGATE, NO_NUMBER, RawRow, Reason, Reject, Value},
    sample::{Converted, Sample, SampleIndex},
    stage::Stage,
};
use datac_decode::{Chunk, Decoder};

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

/// A job, with what is cached of it.
struct Wanted {
    job: Job,
    converter: &'static dyn Converter,
    /// Outcome of the conversion, if cached.
    known: Option<ConvertOutcome>,
    /// Keys and outcomes of the scores that are cached.
    scores: Vec<(ActionKey, Outcome)>,
    /// The measures of texts that are not cached, those of one text next to each other.
    measures: Vec<Measure>,
    /// The measures by functions that are not cached. They are made of samples, whether these are new or cached.
    called: Vec<(Measure, Arc<Scoring>)>,
    /// Keys and outcomes of the renderings that are cached.
    rendered: Vec<(ActionKey, Outcome)>,
    /// The models for which there are none.
    models: Vec<(Arc<PinnedModel>, Arc<ReadModel>)>,
    /// Keys of the actions that fail if the program of the conversion does.
    at_stake: Vec<ActionKey>,
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

impl Wanted {
    fn new(context: &Context, digest: &ChunkId, job: &Job) -> Result<Self, ActionError> {
        let key = job.convert_key(context, digest);
        let known = match context.lookup(&key) {
            Some(Outcome::Convert(outcome)) => Some(outcome),
            _ => None,
        };
        let score = |measure: &Measure| {
            let known = known.as_ref()?;
            let key = score_key(context, job.decoder, (digest, known), measure);
            Some((key, context.lookup(&key)?))
        };
        let (mut scores, mut measures) = (Vec::new(), Vec::new());
        for measure in &job.measures {
            match score(measure) {
                Some(score) => scores.push(score),
                None => measures.push(measure.clone()),
            }
        }
        let render = |model: &Arc<PinnedModel>| {
            let known = known.as_ref()?;
            let key = render_key(context, job.decoder, (digest, known), model);
            Some((key, context.lookup(&key)?))
        };
        let (mut rendered, mut models) = (Vec::new(), Vec::new());
        for model in &job.models {
            match render(model) {
                Some(outcome) => rendered.push(outcome),
                None => models.push(model.clone()),
            }
        }
        let mut called = Vec::new();
        measures.retain(|measure| match measure.scoring() {
            Some(scoring) => {
                called.push((measure.clone(), scoring.clone()));
                false
            }
            None => true,
        });
        // If the conversion is cached, it is run again for the sake of these alone.
        let at_stake = match &known {
            None => vec![key],
            Some(known) => {
                let score = |measure| score_key(context, job.decoder, (digest, known), measure);
                let render = |model: &Arc<PinnedModel>| render_key(context, job.decoder, (digest, known), model);
                measures.iter().map(score).chain(models.iter().map(render)).collect()
            }
        };
        // A program may write something else when it runs again: what is scored must then be what is stored.
        let runs_again = job.conversion.options.program.is_some() && !(measures.is_empty() && models.is_empty());
        let known = known.filter(|_| !runs_again);
        if runs_again {
            (rendered, models) = (Vec::new(), job.models.clone());
            (scores, measures) = (Vec::new(), job.measures.clone());
            called =
                measures.iter().filter_map(|measure| Some((measure.clone(), measure.scoring()?.clone()))).collect();
            measures.retain(|measure| measure.scoring().is_none());
        }
        measures.sort_by(|a, b| text_of(a).cmp(&text_of(b)));
        let read = |model: Arc<PinnedModel>| context.models.of(context, &model).map(|read| (model, read));
        let models = models.into_iter().map(read).collect::<Result<_, _>>()?;
        let mut converters = convert::every();
        let converter = converters.find(|converter| converter.name() == job.conversion.converter);
        let converter = converter.expect("conversions name registered converters");
        Ok(Self { job: job.clone(), converter, known, scores, measures, called, rendered, models, at_stake })
    }

    fn has_to_run(&self) -> bool {
        self.known.is_none() || !self.measures.is_empty() || !self.models.is_empty()
    }
}

/// The results of a chunk's rows for one job.
struct Part {
    rows: Vec<u8>,
    index: SampleIndex,
    rejects: Vec<StoredReject>,
    joined_turns: u32,
    tally: Tally,
    /// A score column for each measure.
    columns: Vec<ScoreColumn>,
    /// What the samples are for each model.
    encoded: Vec<Encoded>,
}

/// The samples of a chunk as a model sees them.
#[derive(Default)]
struct Encoded {
    samples: EncodedSamples,
    /// The rows that the model refuses.
    rejects: Vec<StoredReject>,
    /// Why it refuses the last row, until that is stored.
    refusal: Option<Reject>,
    /// The samples as they are once they are short enough, if any are made shorter or split.
    shortened: Option<Shortened>,
    /// Number of samples with reasoning of which the template writes nothing.
    without_reasoning: u32,
    /// Why the model cannot be used for one of the samples.
    failure: Option<Failure>,
}

/// The samples of a chunk, some of them made shorter, or split.
#[derive(Default)]
struct Shortened {
    rows: Vec<u8>,
    index: SampleIndex,
    /// How many are shorter, and how many were split.
    count: u32,
    split: u32,
}

impl Encoded {
    fn new(model: &ReadModel) -> Self {
        Self { shortened: model.shortens().then(Shortened::default), ..Self::default() }
    }

    /// Adds the samples of a row; all of them are refused if one is. `scratch` is a buffer for reuse.
    fn take<'s>(
        &mut self,
        model: &ReadModel,
        row: u32,
        samples: impl Iterator<Item = &'s Sample<'s>> + Clone,
        scratch: &mut Vec<u8>,
    ) {
        if self.failure.is_none() {
            self.failure = samples.clone().find_map(|sample| model.unusable_for(sample)).cloned();
        }
        let fitted: Result<Vec<_>, Reject> = samples.clone().map(|sample| model.fit(sample)).collect();
        let fitted = fitted.and_then(|fitted| {
            if let Some(shortened) = &mut self.shortened {
                shortened.take(row, samples.clone().zip(&fitted), scratch)?;
            }
            Ok(fitted)
        });
        match fitted {
            Ok(fitted) => {
                let parts = || fitted.iter().flatten();
                self.without_reasoning += parts().filter(|part| part.lacks_reasoning).count() as u32;
                parts().for_each(|part| self.samples.push(&part.encoded, part.notes, part.roles));
            }
            Err(reject) => {
                for sample in samples {
                    self.samples.refuse();
                    if let Some(Shortened { rows, index, .. }) = &mut self.shortened {
                        index.push(row, sample, rows, scratch);
                    }
                }
                self.refusal = Some(reject);
            }
        }
    }
}

impl Shortened {
    /// Adds the samples of a row, each with what fits the model. Parts that take too much room, since each has the columns that
    /// are kept of the row, are no samples: their row is a reject.
    fn take<'s: 'f, 'f>(
        &mut self,
        row: u32,
        samples: impl Iterator<Item = (&'s Sample<'s>, &'f Vec<Fitted<'s>>)>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        let (before, start) = (self.index.len(), self.rows.len());
        let (mut count, mut split) = (0, 0);
        for (sample, parts) in samples {
            split += u32::from(parts.len() > 1);
            count += u32::from(parts.len() == 1 && parts[0].sample.is_some());
            for (number, part) in parts.iter().enumerate() {
                let own = part.sample.as_ref().unwrap_or(sample);
                match number {
                    0 => self.index.push(row, own, &mut self.rows, scratch),
                    _ => self.index.push_continued(row, own, &mut self.rows, scratch),
                }
                if part.sample.is_some() {
                    // Sides and exclusions go by the whole prompt: otherwise what is held out would be let in by a part of it.
                    self.index.set_prompt(sample, scratch);
                }
                let most = if self.rows.len() > MOST_OF_CHUNK { MOST_OF_CHUNK } else { MOST_OF_ROW };
                if parts.len() > 1 && (self.rows.len() > MOST_OF_CHUNK || self.rows.len() - start > MOST_OF_ROW) {
                    self.index.truncate(before, &mut self.rows);
                    return Err(too_long(most));
                }
            }
        }
        self.count += count;
        self.split += split;
        Ok(())
    }
}

/// The reject of a row whose samples take more than `most` bytes.
fn too_long(most: usize) -> Reject {
    let most = most >> 20;
    Reject::new(Reason::RowTooLong, format!("the samples of the row, or of those around it, take more than {most} MiB"))
}

impl Part {
    /// Creates an empty result with capacity for `bytes` bytes of samples.
    fn new(wanted: &Wanted, bytes: usize) -> Self {
        Self {
            rows: Vec::with_capacity(if wanted.known.is_none() { bytes } else { 0 }),
            index: SampleIndex::default(),
            rejects: Vec::new(),
            joined_turns: 0,
            tally: Tally::default(),
            columns: wanted.measures.iter().map(|measure| ScoreColumn::new(measure.kind)).collect(),
            encoded: wanted.models.iter().map(|(_, model)| Encoded::new(model)).collect(),
        }
    }

    /// Converts and scores a row. `scratch` is a buffer for reuse.
    fn push(
        &mut self,
        wanted: &Wanted,
        row: u32,
        parsed: &Result<RawRow<'_>, Reject>,
        line: Option<&str>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        let raw = parsed.as_ref().map_err(Clone::clone)?;
        let options = &wanted.job.conversion.options;
        let Some(line) = line else {
            let converted = convert::convert(wanted.converter, raw, options, &mut self.tally)?;
            let taken = self.take(wanted, row, raw, std::slice::from_ref(&converted), scratch);
            if taken.is_err() {
                self.take_back(wanted, std::slice::from_ref(raw));
            }
            return taken;
        };
        // The program was given all of the row.
        raw.use_all();
        let answers = convert::answers(line)?;
        let mut made = Vec::with_capacity(answers.len());
        let all = answers.iter().try_for_each(|answer| {
            made.push(convert::convert(wanted.converter, answer, options, &mut self.tally)?);
            Ok(())
        });
        let taken = all.and_then(|()| self.take(wanted, row, raw, &made, scratch));
        if taken.is_err() {
            self.take_back(wanted, &answers[..made.len()]);
        }
        taken
    }

    /// Takes back what was counted of rows that were converted, where their row is rejected after all.
    fn take_back(&mut self, wanted: &Wanted, rows: &[RawRow<'_>]) {
        let mut tally = Tally::default();
        for row in rows {
            drop(convert::convert(wanted.converter, row, &wanted.job.conversion.options, &mut tally));
        }
        self.tally.take_back(tally);
    }

    /// Adds what a row was converted to. Samples that take too much room are no samples: their row is a reject.
    fn take(
        &mut self,
        wanted: &Wanted,
        row: u32,
        raw: &RawRow<'_>,
        converted: &[Converted<'_>],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        let samples = || converted.iter().flat_map(|converted| converted.samples.as_slice());
        match &wanted.known {
            // What was found then is found again.
            Some(known) if known.rejected.iter().any(|(rejected, _)| *rejected == row) => {
                return Err(too_long(MOST_OF_ROW));
            }
            Some(_) => {}
            None => {
                let (before, start) = (self.index.len(), self.rows.len());
                for sample in samples() {
                    self.index.push(row, sample, &mut self.rows, scratch);
                    let most = if self.rows.len() > MOST_OF_CHUNK { MOST_OF_CHUNK } else { MOST_OF_ROW };
                    if self.rows.len() > MOST_OF_CHUNK || self.rows.len() - start > MOST_OF_ROW {
                        self.index.truncate(before, &mut self.rows);
                        return Err(too_long(most));
                    }
                }
                self.joined_turns += converted.iter().map(|converted| converted.joined_turns).sum::<u32>();
            }
        }
        for sample in samples() {
            // The text of a conversation is assembled once for all measures of that field.
            let mut columns = self.columns.as_mut_slice();
            for of_text in wanted.measures.chunk_by(|a, b| text_of(a) == text_of(b)) {
                let own;
                (own, columns) = columns.split_at_mut(of_text.len());
                let score = |text: &str| own.iter_mut().for_each(|column| column.push(text));
                match text_of(&of_text[0]) {
                    (true, column) => compared(sample, raw, column, score),
                    (false, field) => measured(sample, raw, field, score),
                }
            }
        }
        for (encoded, (_, model)) in self.encoded.iter_mut().zip(&wanted.models) {
            encoded.take(model, row, samples(), scratch);
        }
        Ok(())
    }

    fn finish(
        mut self,
        context: &Context,
        digest: &ChunkId,
        wanted: &Wanted,
        begun: Stopwatch,
        said: Vec<Said>,
        outcomes: &mut Vec<ChunkOutcome>,
    ) -> Result<ConvertOutcome, ActionError> {
        let key = wanted.job.convert_key(context, digest);
        let is_new = wanted.known.is_none();
        let tell = |stage, key, label, bytes, samples: u32| {
            context.tell(Event::Chunk { stage, key, label, took: begun.elapsed(), rows: u64::from(samples), bytes });
        };
        let outcome = match wanted.known.clone() {
            Some(known) => known,
            None => {
                let rejects = if self.rejects.is_empty() {
                    None
                } else {
                    let bytes = postcard::to_stdvec(&self.rejects).expect("rejects are plain data");
                    Some(context.store.put(&bytes)?)
                };
                let bytes = self.rows.len() as u64;
                self.rows.shrink_to_fit();
                let index = context.store.put(&self.index.encode())?;
                let samples = self.index.len() as u32;
                context.indexes.keep_new(index, self.index.into());
                let outcome = ConvertOutcome {
                    rows: context.store.put_recent(self.rows)?,
                    index,
                    rejects,
                    samples,
                    bytes,
                    rejected: self.rejects.iter().map(|stored| (stored.row, stored.reject.reason)).collect(),
                    joined_turns: self.joined_turns,
                    unused: self.tally.unused,
                    broken: self.tally.broken,
                };
                tell(Stage::Convert, key.digest(), wanted.job.conversion.converter, bytes, outcome.samples);
                outcome
            }
        };
        outcomes.push(ChunkOutcome { key, result: Ok(Outcome::Convert(outcome.clone())), is_new });
        let known = wanted.scores.iter().cloned();
        outcomes.extend(known.map(|(key, outcome)| ChunkOutcome { key, result: Ok(outcome), is_new: false }));
        let columns = std::mem::take(&mut self.columns).into_iter().map(Ok);
        let measured = wanted.measures.iter().zip(columns);
        for (measure, column) in measured.chain(wanted.called.iter().map(|(measure, _)| measure).zip(said)) {
            let key = score_key(context, wanted.job.decoder, (digest, &outcome), measure);
            let column = match column {
                Ok(column) => column,
                Err(failure) => {
                    outcomes.push(ChunkOutcome { key, result: Err(failure), is_new: true });
                    continue;
                }
            };
            let encoded = column.encode();
            let bytes = encoded.len() as u64;
            let scores = context.store.put(&encoded)?;
            outcomes.push(ChunkOutcome { key, result: Ok(Outcome::Score(scores)), is_new: true });
            tell(Stage::Score, key.digest(), measure.kind.name(), bytes, outcome.samples);
        }
        outcomes.extend(wanted.rendered.iter().cloned().map(|(key, outcome)| ChunkOutcome {
            key,
            result: Ok(outcome),
            is_new: false,
        }));
        for ((model, _), mut encoded) in wanted.models.iter().zip(std::mem::take(&mut self.encoded)) {
            let key = render_key(context, wanted.job.decoder, (digest, &outcome), model);
            if let Some(failure) = encoded.failure.take() {
                outcomes.push(ChunkOutcome { key, result: Err(failure), is_new: true });
                continue;
            }
            let rendered = encoded.store(context, &self.rejects)?;
            tell(Stage::Render, key.digest(), "render", rendered.encoded.bytes, outcome.samples);
            outcomes.push(ChunkOutcome { key, result: Ok(Outcome::Render(rendered)), is_new: true });
        }
        Ok(outcome)
    }
}

impl Encoded {
    /// Stores what came of the chunk; `rejects` are those of its conversion.
    fn store(self, context: &Context, rejects: &[StoredReject]) -> Result<RenderOutcome, ActionError> {
        let mut rejects: Vec<&StoredReject> = rejects.iter().chain(&self.rejects).collect();
        rejects.sort_by_key(|stored| stored.row);
        let column = |kind: ScoreKind, counts: &[u32]| {
            let mut column = ScoreColumn::new(kind);
            counts.iter().for_each(|count| column.push_count(u64::from(*count)));
            context.store.put(&column.encode())
        };
        let counts = &self.samples.index;
        let tokens = column(ScoreKind::TOKENS, &counts.tokens)?;
        let trained = column(ScoreKind::TRAINED_TOKENS, &counts.trained)?;
        let stored = match rejects.is_empty() {
            true => None,
            false => Some(context.store.put(&postcard::to_stdvec(&rejects).expect("rejects are plain data"))?),
        };
        let bytes = self.samples.bytes.len() as u64;
        let index = context.store.put(&self.samples.index.encode())?;
        let shortened = self.shortened.filter(|shortened| shortened.count + shortened.split > 0);
        let shortened = shortened.map(|shortened| shortened.store(context)).transpose()?;
        Ok(RenderOutcome {
            shortened,
            encoded: EncodedChunk { ids: context.store.put_recent(self.samples.bytes)?, bytes, index, tokens, trained },
            rejects: stored,
            rejected: rejects.iter().map(|stored| (stored.row, stored.reject.reason)).collect(),
            without_reasoning: self.without_reasoning,
        })
    }
}

impl Shortened {
    fn store(self, context: &Context) -> Result<ShortenedChunk, ActionError> {
        let (bytes, index) = (self.rows.len() as u64, context.store.put(&self.index.encode())?);
        let (samples, count, split) = (self.index.len() as u32, self.count, self.split);
        context.indexes.keep_new(index, self.index.into());
        Ok(ShortenedChunk { rows: context.store.put_recent(self.rows)?, bytes, index, samples, count, split })
    }
}

/// Returns what decides the text that is scored: whether it is the value of a column, and the field or column.
fn text_of(measure: &Measure) -> (bool, &str) {
    let field = match &measure.of {
        Measured::Field(field) => field,
        Measured::Sample(_) => unreachable!("functions are given samples, and no text"),
    };
    (measure.kind.is_value(), field)
}

/// Calls `take` with the value of a column as JSON: one that the sample keeps, a part of it, or else a column of the source row or
/// a value inside one. Of a row without a value that can be compared the text is empty.
fn compared(sample: &Sample<'_>, raw: &RawRow<'_>, column: &str, take: impl FnOnce(&str)) {
    let string = |text: &str| {
        if text.trim().is_empty() {
            String::new()
        } else {
            serde_json::to_string(text).expect("a string is always JSON")
        }
    };
    // A list or an object is no value that can be compared.
    let scalar = |json: &str| match json.as_bytes().first() {
        Some(b'[' | b'{') | None => String::new(),
        Some(b'"') => serde_json::from_str::<String>(json).map_or_else(|_| String::new(), |text| string(&text)),
        Some(_) if json == "null" => String::new(),
        Some(_) => json.to_owned(),
    };
    let of_sample = match column {
        "answer" => sample.answer.as_ref().map(|text| string(text)),
        "label" => sample.label.map(|label| label.to_string()),
        "margin" => sample.margin.as_ref().map(|json| scalar(json.as_str())),
        _ => sample.columns.iter().find(|(name, _)| name == column).map(|(_, json)| scalar(json.as_str())),
    };
    if let Some(json) = of_sample {
        return take(&json);
    }
    let path;
    let value = match raw.peek(column) {
        Some(value) => Some(borrowed(value)),
        None if column.contains(['.', '[']) => {
            path = Path::parse(column);
            path.as_ref().ok().and_then(|path| path.value(raw).ok().flatten())
        }
        None => None,
    };
    match value {
        Some(Value::Number(text)) => take(&text),
        Some(Value::String(text)) => take(&string(&text)),
        Some(Value::Bool(value)) => take(if value { "true" } else { "false" }),
        Some(Value::Printed { kind, text }) if !NO_VALUES.contains(&&*kind) => take(&string(&text)),
        Some(Value::Json(_) | Value::Printed { .. } | Value::Null) | None => take(""),
    }
}

/// Kinds of printed values that are nothing to be compared.
const NO_VALUES: [&str; 3] = [BINARY, NO_NUMBER, LONE_SURROGATE];

/// Calls `take` with the text that a filter measures: a field of the sample, or else a column of the source row. If
/// the row has no such column, the text is empty.
fn measured(sample: &Sample<'_>, raw: &RawRow<'_>, field: &str, take: impl FnOnce(&str)) {
    if let Some(text) = sample.field_text(field) {
        return take(&text);
    }
    match raw.peek(field) {
        Some(Value::String(text) | Value::Number(text) | Value::Json(text) | Value::Printed { text, .. }) => take(text),
        Some(Value::Bool(value)) => take(if *value { "true" } else { "false" }),
        Some(Value::Null) | None => take(""),
    }
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

    #[test]
    fn a_row_whose_samples_take_too_much_room_is_a_reject() {
        let options = convert::Options::from([("pairs".to_owned(), "all".to_owned())]);
        let conversion = Conversion { converter: "rankings", options, files: Vec::new() };
        let converter = convert::by_name("rankings").unwrap();
        let job = Job { decoder: Decoder::Json, conversion, measures: Vec::new(), models: Vec::new() };
        let (scores, rendered, models, at_stake) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut wanted = Wanted {
            job,
            converter,
            known: None,
            scores,
            measures: Vec::new(),
            called: Vec::new(),
            rendered,
            models,
            at_stake,
        };
        let answers: Vec<String> = (0..50).map(|rank| format!(r#"{{"text":"a{rank}","rank":{rank}}}"#)).collect();
        let pushed = |wanted: &Wanted, part: &mut Part, number: u32, length: usize| {
            let row = format!(r#"{{"prompt":"{}","answers":[{}]}}"#, "p".repeat(length), answers.join(","));
            part.push(wanted, number, &datac_core::json::row(&row), None, &mut Vec::new())
        };
        let mut part = Part::new(&wanted, 0);
        pushed(&wanted, &mut part, 0, 10).unwrap();
        let reject = pushed(&wanted, &mut part, 1, 10_000).unwrap_err();
        assert_eq!(reject.reason, Reason::RowTooLong);
        pushed(&wanted, &mut part, 2, 10).unwrap();
        let index = SampleIndex::decode(&part.index.encode()).unwrap();
        assert_eq!((index.len(), index.row.contains(&1)), (2 * 50 * 49 / 2, false));
        assert_eq!(part.rows.len(), index.end[index.len() - 1] as usize);
        // Scoring alone leaves out the same rows.
        wanted.known = Some(ConvertOutcome {
            rows: datac_core::id::BlobId::of(b""),
            index: datac_core::id::BlobId::of(b""),
            rejects: None,
            samples: 0,
            bytes: 0,
            rejected: vec![(1, Reason::RowTooLong)],
            joined_turns: 0,
            unused: Vec::new(),
            broken: Vec::new(),
        });
        let mut part = Part::new(&wanted, 0);
        pushed(&wanted, &mut part, 0, 10).unwrap();
        assert!(pushed(&wanted, &mut part, 1, 10_000).is_err());
    }
}
