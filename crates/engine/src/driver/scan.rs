//! Reads a file once: cuts it into chunks and converts and scores them, for all recipes that wait, while their bytes
//! are in memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    chunk::{self, ChunkOutcomes, Job, Task},
    context::Context,
    error::ActionError,
    external::BATCH,
    job::JobEnv,
    queue::Reading,
    work_queue::WorkQueue,
};
use crate::{
    edit::{Part, ReusedChunks, pieces_of, reuse_chunks},
    event::Event,
    graph::{
        Action, ChunkRef, Conversion, Follower, Measure, PinnedModel, ScanOutcome, ScanWork, ScannedChunk, Scoring,
        SourceFile, choose, text_of,
    },
    system::{self, ReadPosition},
};
use datac_core::{
    config::Program,
    failure::{Failure, FailureKind, SourceFault, THE_FILE},
    id::{ActionKey, ChunkId},
    survey::Survey,
};
use datac_decode as decode;
use datac_decode::{Chunk, Cutter, DecodeError, Decoder, Encoding, Input, Member};

/// The state of a follower during a scan.
struct Waiting {
    follower: Follower,
    conversion: Option<Conversion>,
    /// Number of rows that were cut for the follower; once a chunk is converted, its samples count instead.
    rows: u64,
    /// Whether its conversion has failed. The recipe of another follower may convert the same rows another way.
    has_failed: bool,
}

impl Waiting {
    fn all(work: &ScanWork) -> Vec<Self> {
        let waiting = |follower: &Follower| Self {
            follower: follower.clone(),
            conversion: follower.conversion.clone(),
            rows: 0,
            has_failed: false,
        };
        work.followers.iter().map(waiting).collect()
    }

    fn wants_more(&self) -> bool {
        // Without a converter, only the columns have to be found.
        let needs_rows = self.follower.samples.is_none_or(|samples| self.rows < samples);
        self.conversion.is_some() && needs_rows && !self.has_failed
    }

    /// Returns whether, at the end of this file, the follower needs samples from the next file.
    fn wants_another(&self) -> bool {
        self.follower.samples.is_some() && self.wants_more()
    }
}

/// The chunks of a file, one after another.
pub(crate) enum Chunks {
    /// All chunks are cut.
    Cut(Cutter),
    /// Some chunks are reused from an earlier version of the file.
    Reused(Box<ReusedChunks>),
}

impl Chunks {
    fn next(&mut self) -> Result<Option<Part>, DecodeError> {
        match self {
            Self::Cut(cutter) => Ok(cutter.next_chunk()?.map(Part::Cut)),
            Self::Reused(chunks) => chunks.next_part(),
        }
    }

    /// Adds the rows of a part that can be read to a survey.
    fn survey(&self, part: &Part, survey: &mut Survey) -> Result<(), DecodeError> {
        match (self, part) {
            (_, Part::Cut(chunk)) => chunk.survey(survey),
            (Self::Reused(chunks), Part::Reused(chunk)) => chunks.read(chunk)?.survey(survey),
            (Self::Cut(_), Part::Reused(_)) => {}
        }
        Ok(())
    }
}

/// Cuts as much of a file as its followers need, and at least one chunk more than is known.
///
/// Drops `reading` once everything needed has been read, while chunks are still being converted. Keeps it if a
/// follower is about to ask for the next file, which should be read before others.
pub(super) fn scan<'scope>(
    env: JobEnv<'_, 'scope>,
    key: &ActionKey,
    work: &ScanWork,
    reading: &mut Option<Reading>,
) -> Result<ScanOutcome, ActionError> {
    let context = env.context;
    let parked = context.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    let (input, guard) = context.sources.open(&work.file)?;
    let position = match &input {
        Input::File(file) => system::ReadPosition::of(file),
        Input::Static(_) | Input::Part(_) | Input::Forward(_) => None,
    };
    let path = context.sources.local(&work.file);
    let (mut chunks, mut outcome) = match parked {
        Some((chunks, outcome)) if outcome.chunks.len() == work.known as usize => (chunks, outcome),
        _ => {
            let reused = match &input {
                Input::File(file) => {
                    reuse_chunks(&context.record, &context.versions, |key| context.lookup(key), &path, work, file)
                }
                Input::Static(_) | Input::Part(_) | Input::Forward(_) => None,
            };
            match reused {
                Some(reused) => (Chunks::Reused(Box::new(reused)), nothing()),
                None => begin(&work.file, input, work.known)?,
            }
        }
    };
    let mut waiting = Waiting::all(work);
    let mut cut_any = false;
    while !outcome.complete && (!cut_any || waiting.iter().any(Waiting::wants_more)) {
        cut_any = true;
        pass(env, work, &mut chunks, &mut outcome, &mut waiting, reading, position.as_ref())?;
    }
    guard.check()?;
    if outcome.complete {
        outcome.pieces = pieces_of(&context.record, &path, &work.file);
    } else {
        context.parked.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, (chunks, outcome.clone()));
    }
    Ok(outcome)
}

/// Finds the files of an archive.
pub(super) fn list(context: &Context, archive: &SourceFile) -> Result<Vec<Member>, ActionError> {
    let (input, guard) = context.sources.open(archive)?;
    let members = decode::members(input, archive.kind).map_err(unreadable)?;
    guard.check()?;
    Ok(members)
}

fn begin(file: &SourceFile, input: decode::Input, known: u32) -> Result<(Chunks, ScanOutcome), ActionError> {
    let mut cutter = decode::open_as(input, file.kind, &file.reading).map_err(unreadable)?;
    let mut outcome = nothing();
    // Another process read the first part of the file. It is cut again to find where to continue, but its chunks need
    // no more work.
    for _ in 0..known {
        let Some(chunk) = cutter.next_chunk().map_err(unreadable)? else { break };
        note_shape(&mut outcome, &chunk);
        if !outcome.survey.is_full() {
            chunk.survey(&mut outcome.survey);
        }
        outcome.chunks.push(ScannedChunk { digest: chunk.digest(), rows: chunk.rows, place: chunk.place });
    }
    Ok((Chunks::Cut(cutter), outcome))
}

/// Returns the outcome of a scan that has not begun.
fn nothing() -> ScanOutcome {
    ScanOutcome {
        encoding: Encoding::JsonLines,
        header: Vec::new(),
        survey: Survey::default(),
        chunks: Vec::new(),
        complete: false,
        pieces: Vec::new(),
    }
}

fn note_shape(outcome: &mut ScanOutcome, chunk: &Chunk) {
    if outcome.chunks.is_empty() {
        outcome.encoding = chunk.encoding;
        outcome.header = chunk.header.to_vec();
    }
}

/// Cuts chunks until every follower has enough rows, while other threads convert them; then counts the samples.
fn pass<'scope>(
    env: JobEnv<'_, 'scope>,
    work: &ScanWork,
    chunks: &mut Chunks,
    outcome: &mut ScanOutcome,
    waiting: &mut [Waiting],
    reading: &mut Option<Reading>,
    position: Option<&ReadPosition>,
) -> Result<(), ActionError> {
    let context = env.context;
    let results = Arc::new(Results::default());
    let first = outcome.chunks.len();
    let mut rows_before = outcome.chunks.last().map_or(0, |chunk| chunk.place.first_row + u64::from(chunk.rows));
    let team = WorkQueue::new(env.scope, {
        let (results, outbox) = (results.clone(), env.outbox.clone());
        move |mut batch: Vec<Item>| {
            results.leave_out_failed(&mut batch);
            let digests: Vec<ChunkId> = batch.iter().map(|item| item.chunk.digest()).collect();
            let tasks = tasks(&batch, &digests);
            let done = chunk::run(context, &tasks, |at, done| {
                let Item { number, chunk, jobs } = &batch[at];
                results.note_failed(jobs, &done);
                outbox.send(done.outcomes);
                results.done(*number, Done::new(chunk, digests[at], jobs.clone(), &done.samples));
            });
            if let Err(stop) = done {
                results.stop(stop);
            }
        }
    });
    // The rows of the survey decide what converts them: until there are enough, parts wait.
    let mut held: VecDeque<Part> = VecDeque::new();
    let mut batch = Batch::default();
    let mut number = first;
    let mut read = || -> Result<(), ActionError> {
        let mut cut_any = false;
        loop {
            results.end_failed(waiting);
            let is_wanted = !cut_any || !outcome.survey.is_full() || waiting.iter().any(Waiting::wants_more);
            if results.is_stopped() || !is_wanted {
                return Ok(());
            }
            context.check()?;
            match chunks.next().map_err(unreadable)? {
                Some(part) => {
                    cut_any = true;
                    if !outcome.survey.is_full() {
                        chunks.survey(&part, &mut outcome.survey).map_err(unreadable)?;
                    }
                    held.push_back(part);
                }
                None => outcome.complete = true,
            }
            if !outcome.complete && !outcome.survey.is_full() {
                continue;
            }
            resolve(waiting, &outcome.survey);
            while let Some(part) = held.pop_front() {
                let jobs = jobs(Decoder::of(work.file.kind.format), waiting);
                let rows = match &part {
                    Part::Cut(chunk) => chunk.rows,
                    Part::Reused(chunk) => chunk.rows,
                };
                for waiting in waiting.iter_mut().filter(|waiting| waiting.wants_more()) {
                    waiting.rows += u64::from(rows);
                }
                rows_before += u64::from(rows);
                match part {
                    Part::Cut(chunk) => {
                        note_shape(outcome, &chunk);
                        batch.add(Item { number, chunk, jobs }, &team);
                    }
                    // What is wanted of it was made before, or the plan asks for it.
                    Part::Reused(scanned) => {
                        results.done(number, Done { scanned, jobs: Vec::new(), samples: Vec::new() });
                    }
                }
                number += 1;
                let bytes = position.map_or(0, ReadPosition::bytes);
                context.tell(Event::Reading { label: work.file.path.clone(), rows: rows_before, bytes });
            }
            if outcome.complete {
                return Ok(());
            }
        }
    };
    let read = read();
    batch.give(&team);
    if !waiting.iter().any(|waiting| outcome.complete && waiting.wants_another()) {
        drop(reading.take());
    }
    team.finish();
    read?;
    results.end_failed(waiting);
    for (_, done) in results.take()? {
        for waiting in waiting.iter_mut() {
            let own = done.jobs.iter().position(|job| Some(&job.conversion) == waiting.conversion.as_ref());
            if let Some(job) = own {
                let rows = waiting.rows + u64::from(done.samples[job]);
                waiting.rows = rows.saturating_sub(u64::from(done.scanned.rows));
            }
        }
        outcome.chunks.push(done.scanned);
    }
    Ok(())
}

/// A chunk to work on, for any free thread.
struct Item {
    number: usize,
    chunk: Chunk,
    /// What to do with the chunk.
    jobs: Vec<Job>,
}

fn tasks<'a>(batch: &'a [Item], digests: &[ChunkId]) -> Vec<Task<'a>> {
    let task = |(item, digest): (&'a Item, &ChunkId)| Task { chunk: &item.chunk, digest: *digest, jobs: &item.jobs };
    batch.iter().zip(digests).map(task).collect()
}

/// Chunks that are worked on together: one, or as many as a command takes at once.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Batch {
    /// Adds a chunk, and gives the batch out if it is large enough.
    fn add(&mut self, item: Item, team: &WorkQueue<'_, '_, Vec<Item>>) {
        self.bytes += item.chunk.bytes.len();
        let is_command = |job: &Job| matches!(job.conversion.options.program, Some(Program::Command(_)));
        let has_command = item.jobs.iter().any(is_command);
        self.items.push(item);
        if !has_command || self.bytes >= BATCH {
            self.give(team);
        }
    }

    fn give(&mut self, team: &WorkQueue<'_, '_, Vec<Item>>) {
        if !self.items.is_empty() {
            team.give(std::mem::take(&mut self.items));
            self.bytes = 0;
        }
    }
}

/// Results of a pass.
#[derive(Default)]
struct Results {
    done: Mutex<Vec<(usize, Done)>>,
    /// The error that stops the pass.
    stop: Mutex<Option<ActionError>>,
    /// The conversions whose command failed. It is not run on further chunks.
    failed: Mutex<Vec<Conversion>>,
    /// The functions that failed to score samples. They are called on no further chunks.
    failed_scoring: Mutex<Vec<Arc<Scoring>>>,
}

impl Results {
    fn done(&self, number: usize, done: Done) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((number, done));
    }

    fn stop(&self, stop: ActionError) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
    }

    fn is_stopped(&self) -> bool {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes note of the jobs of a chunk that made no samples because their command failed, and of functions that failed.
    fn note_failed(&self, jobs: &[Job], done: &ChunkOutcomes) {
        let failed = jobs.iter().zip(&done.samples).filter(|(_, samples)| samples.is_none());
        let failed = failed.map(|(job, _)| job.conversion.clone());
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
        let failed = done.failed.iter().cloned();
        self.failed_scoring.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
    }

    /// Removes the jobs whose conversion has failed on other chunks, and the measures whose function has.
    fn leave_out_failed(&self, batch: &mut [Item]) {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        batch.iter_mut().for_each(|item| item.jobs.retain(|job| !failed.contains(&job.conversion)));
        let failed = self.failed_scoring.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sound = |measure: &Measure| measure.scoring().is_none_or(|scoring| !failed.contains(scoring));
        let jobs = batch.iter_mut().flat_map(|item| &mut item.jobs);
        jobs.for_each(|job| job.measures.retain(is_sound));
    }

    /// Has the followers whose conversion has failed wait for nothing more.
    fn end_failed(&self, waiting: &mut [Waiting]) {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_failed = |conversion: &Conversion| failed.contains(conversion);
        for waiting in waiting.iter_mut().filter(|waiting| waiting.conversion.as_ref().is_some_and(is_failed)) {
            waiting.has_failed = true;
        }
    }

    /// Returns the results of all chunks in order, or the error that stopped the pass.
    fn take(&self) -> Result<Vec<(usize, Done)>, ActionError> {
        if let Some(stop) = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(stop);
        }
        let mut done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        done.sort_by_key(|(number, _)| *number);
        Ok(done)
    }
}

/// A chunk that has been cut, converted and scored.
struct Done {
    scanned: ScannedChunk,
    jobs: Vec<Job>,
    /// Number of samples that each job made of the chunk.
    samples: Vec<u32>,
}

impl Done {
    fn new(chunk: &Chunk, digest: ChunkId, jobs: Vec<Job>, samples: &[Option<u32>]) -> Self {
        let samples = samples.iter().map(|samples| samples.unwrap_or_default()).collect();
        Self { scanned: ScannedChunk { digest, rows: chunk.rows, place: chunk.place }, jobs, samples }
    }
}

/// Chooses converters for the followers whose converter depends on the columns. If none fits, the plan reports that.
fn resolve(waiting: &mut [Waiting], survey: &Survey) {
    for waiting in waiting.iter_mut().filter(|waiting| waiting.conversion.is_none()) {
        let follower = &waiting.follower;
        let mut options = follower.options.clone();
        if let Some(columns) = text_of(follower.kind, follower.text_field.as_deref(), Some(survey), &options) {
            options.columns = columns;
        }
        if let Ok(Some(converter)) = choose(None, "", follower.kind, Some(survey), &options) {
            let files = Vec::new();
            waiting.conversion = Some(Conversion { converter: converter.name(), options, files });
        }
    }
}

/// Returns the jobs for the next chunk. Followers with the same conversion share a job.
fn jobs(decoder: Decoder, waiting: &[Waiting]) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for waiting in waiting.iter().filter(|waiting| waiting.wants_more()) {
        let Some(conversion) = &waiting.conversion else { continue };
        add(&mut jobs, decoder, conversion, &waiting.follower.measures, waiting.follower.model.as_ref());
    }
    jobs
}

fn add(
    jobs: &mut Vec<Job>,
    decoder: Decoder,
    conversion: &Conversion,
    measures: &[Measure],
    model: Option<&Arc<PinnedModel>>,
) {
    let at = jobs.iter().position(|job| job.conversion == *conversion).unwrap_or_else(|| {
        jobs.push(Job { decoder, conversion: conversion.clone(), measures: Vec::new(), models: Vec::new() });
        jobs.len() - 1
    });
    for measure in measures {
        if !jobs[at].measures.contains(measure) {
            jobs[at].measures.push(measure.clone());
        }
    }
    if let Some(model) = model.filter(|model| !jobs[at].models.contains(model)) {
        jobs[at].models.push(model.clone());
    }
}

/// Known chunks of one file that have to be converted or scored.
pub(crate) struct Again {
    file: Arc<SourceFile>,
    chunks: Vec<(ChunkRef, Vec<Job>)>,
}

/// Groups single conversions and scorings by file, so that each file is read once; returns each group with its actions.
pub(crate) fn group(actions: Vec<Arc<Action>>) -> Vec<(Again, Vec<Arc<Action>>)> {
    use crate::graph::Work;
    let mut groups: Vec<(Again, Vec<Arc<Action>>)> = Vec::new();
    // A recipe of many files may lack an action of each.
    let mut places: HashMap<Arc<SourceFile>, (usize, HashMap<u32, usize>)> = HashMap::new();
    for action in actions {
        let (chunk, conversion, measure, model) = match &action.work {
            Work::Convert(chunk, conversion, _) => (chunk, conversion, None, None),
            Work::Score(chunk, conversion, _, measure) => (chunk, conversion, Some(measure.clone()), None),
            Work::Render(chunk, conversion, _, model) => (chunk, conversion, None, Some(model)),
            _ => continue,
        };
        let (number, chunks) = places.entry(chunk.file.clone()).or_insert_with(|| {
            groups.push((Again { file: chunk.file.clone(), chunks: Vec::new() }, Vec::new()));
            (groups.len() - 1, HashMap::new())
        });
        let (group, own) = &mut groups[*number];
        let at = *chunks.entry(chunk.number).or_insert_with(|| {
            group.chunks.push((chunk.clone(), Vec::new()));
            group.chunks.len() - 1
        });
        add(&mut group.chunks[at].1, chunk.encoding.decoder(), conversion, measure.as_slice(), model);
        own.push(action);
    }
    for (group, _) in &mut groups {
        group.chunks.sort_by_key(|(chunk, _)| chunk.number);
    }
    groups
}

impl Again {
    /// Returns a description of the group.
    pub(crate) fn label(&self) -> String {
        self.file.path.clone()
    }

    /// Reads the chunks again, and converts and scores them as far as that is not cached.
    pub(super) fn run<'scope>(
        self: &Arc<Self>,
        env: JobEnv<'_, 'scope>,
        reading: Option<Reading>,
    ) -> Result<(), ActionError> {
        let context = env.context;
        let Some((first, _)) = self.chunks.first() else { return Ok(()) };
        let (input, guard) = context.sources.open(&self.file)?;
        let places: Vec<_> = self.chunks.iter().map(|(chunk, _)| (chunk.place, chunk.rows)).collect();
        let results = Arc::new(Results::default());
        let team = WorkQueue::new(env.scope, {
            let (group, results, outbox) = (self.clone(), results.clone(), env.outbox.clone());
            move |mut batch: Vec<Item>| {
                results.leave_out_failed(&mut batch);
                let digests: Vec<ChunkId> = batch.iter().map(|item| item.chunk.digest()).collect();
                let has_moved = |(item, digest): (&Item, &ChunkId)| *digest != group.chunks[item.number].0.digest;
                let result = if batch.iter().zip(&digests).any(has_moved) {
                    Err(unreadable(DecodeError::Moved))
                } else {
                    let tasks = tasks(&batch, &digests);
                    let done = |at: usize, done: ChunkOutcomes| {
                        results.note_failed(&batch[at].jobs, &done);
                        outbox.send(done.outcomes);
                    };
                    context.check().and_then(|()| chunk::run(context, &tasks, done))
                };
                if let Err(stop) = result {
                    results.stop(stop);
                }
            }
        });
        let shape = (first.encoding, first.header.clone());
        let mut batch = Batch::default();
        let read = decode::reread(input, self.file.kind, shape, &places, |number, chunk| {
            batch.add(Item { number, chunk, jobs: self.chunks[number].1.clone() }, &team);
        });
        batch.give(&team);
        drop(reading);
        team.finish();
        read.map_err(unreadable)?;
        guard.check()?;
        results.take().map(drop)
    }
}

fn unreadable(error: DecodeError) -> ActionError {
    ActionError::Failure(decode_failure(&error))
}

/// Says why a file cannot be read, and what to do. Which file it is, whoever asks says: see [`SourceFile::told`].
pub(super) fn decode_failure(error: &DecodeError) -> Failure {
    let hint = error.hint(THE_FILE);
    let (kind, fault) = match error {
        DecodeError::LfsPointer => (FailureKind::Source, SourceFault::Unreadable),
        DecodeError::Archive(_) | DecodeError::Empty => (FailureKind::Action, SourceFault::Unreadable),
        _ if hint.is_some() => (FailureKind::Config, SourceFault::Format),
        _ => (FailureKind::Action, SourceFault::Unreadable),
    };
    let failure = Failure::new(kind, format!("read `{THE_FILE}`: {error}")).about(fault);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
