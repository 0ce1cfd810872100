//! Reads a file once: cuts it into chunks and, while their bytes are at hand, converts and scores them for all who wait.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    chunk::{self, Job},
    step::{Context, Event, Stop},
};
use crate::{
    decode::{self, Chunk, Cutter, DecodeError, Encoding},
    graph::{
        Action, ChunkRef, Conversion, Failure, FailureKind, Follower, Measure, ScanOutcome, ScanWork, ScannedChunk,
        SourceFile, choose,
    },
    hash::Digest,
};

/// A follower as the scan sees it.
struct Waiting {
    follower: Follower,
    conversion: Option<Conversion>,
    /// Rows cut for it, rejects taken off where they are known.
    rows: u64,
}

impl Waiting {
    fn wants_more(&self) -> bool {
        // Without a converter there is nothing to do but find the columns.
        self.conversion.is_some() && self.follower.samples.is_none_or(|samples| self.rows < samples)
    }
}

/// Cuts as much of a file as its followers need, and at least one chunk more than is known.
pub(crate) fn scan(context: &Context, key: &Digest, work: &ScanWork) -> Result<ScanOutcome, Stop> {
    let parked = context.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    let (input, guard) = context.open(&work.file)?;
    let (mut cutter, mut outcome) = match parked {
        Some((cutter, outcome)) if outcome.chunks.len() == work.known as usize => (cutter, outcome),
        _ => begin(&work.file, input, work.known)?,
    };
    let mut waiting: Vec<Waiting> = work
        .followers
        .iter()
        .map(|follower| Waiting { follower: follower.clone(), conversion: follower.conversion.clone(), rows: 0 })
        .collect();
    let mut cut_any = false;
    while !outcome.complete && (!cut_any || waiting.iter().any(Waiting::wants_more)) {
        cut_any = true;
        pass(context, work, &mut cutter, &mut outcome, &mut waiting)?;
    }
    guard.check()?;
    if !outcome.complete {
        context.parked.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, (cutter, outcome.clone()));
    }
    Ok(outcome)
}

fn begin(file: &SourceFile, input: decode::Input, known: u32) -> Result<(Cutter, ScanOutcome), Stop> {
    let mut cutter = decode::open(input, file.kind).map_err(|error| decode_failure(file, &error))?;
    let mut outcome = ScanOutcome {
        encoding: Encoding::JsonLines,
        header: Vec::new(),
        columns: Vec::new(),
        chunks: Vec::new(),
        complete: false,
    };
    // A file that was read in part by another process is cut again up to there; its chunks need nothing else.
    for _ in 0..known {
        let Some(chunk) = cutter.next_chunk().map_err(|error| decode_failure(file, &error))? else { break };
        note_shape(&mut outcome, &chunk);
        outcome.chunks.push(ScannedChunk { digest: chunk.digest(), rows: chunk.rows, place: chunk.place });
    }
    Ok((cutter, outcome))
}

fn note_shape(outcome: &mut ScanOutcome, chunk: &Chunk) {
    if outcome.chunks.is_empty() {
        outcome.encoding = chunk.encoding;
        outcome.header = chunk.header.to_vec();
    }
    if outcome.columns.is_empty() {
        outcome.columns = chunk.columns().unwrap_or_default();
    }
}

/// Cuts until every follower has rows enough, with conversion running beside; then counts what came of them.
fn pass(
    context: &Context,
    work: &ScanWork,
    cutter: &mut Cutter,
    outcome: &mut ScanOutcome,
    waiting: &mut [Waiting],
) -> Result<(), Stop> {
    let in_flight = AtomicUsize::new(0);
    let limit = 2 * rayon::current_num_threads() + 1;
    let finished: Mutex<Vec<(usize, Done)>> = Mutex::default();
    let stopped: Mutex<Option<Stop>> = Mutex::default();
    let first = outcome.chunks.len();
    let mut rows_before = outcome.chunks.last().map_or(0, |chunk| chunk.place.first_row + u64::from(chunk.rows));
    rayon::in_place_scope(|scope| -> Result<(), Stop> {
        let mut number = first;
        while number == first || waiting.iter().any(Waiting::wants_more) {
            context.check()?;
            if stopped.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                return Ok(());
            }
            let Some(chunk) = cutter.next_chunk().map_err(|error| decode_failure(&work.file, &error))? else {
                outcome.complete = true;
                return Ok(());
            };
            note_shape(outcome, &chunk);
            resolve(waiting, &outcome.columns);
            let jobs = jobs(waiting);
            for waiting in waiting.iter_mut().filter(|waiting| waiting.wants_more()) {
                waiting.rows += u64::from(chunk.rows);
            }
            rows_before += u64::from(chunk.rows);
            // Chunks in flight bound the memory: past the limit the reader does the others' work.
            while in_flight.load(Ordering::Acquire) >= limit {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::yield_now();
                }
            }
            in_flight.fetch_add(1, Ordering::AcqRel);
            let (finished, stopped, in_flight) = (&finished, &stopped, &in_flight);
            let at = number;
            scope.spawn(move |_| {
                let digest = chunk.digest();
                match chunk::run(context, &chunk, &digest, &jobs) {
                    Ok(outcomes) => {
                        let rejected = outcomes.iter().map(|outcome| outcome.rejected.len() as u64).collect();
                        let scanned = ScannedChunk { digest, rows: chunk.rows, place: chunk.place };
                        finished
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((at, Done { scanned, jobs, rejected }));
                    }
                    Err(stop) => *stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop),
                }
                in_flight.fetch_sub(1, Ordering::AcqRel);
            });
            number += 1;
            context.tell(Event::Reading { label: work.file.file.path.clone(), rows: rows_before });
        }
        Ok(())
    })?;
    if let Some(stop) = stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(stop);
    }
    let mut finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    finished.sort_by_key(|(number, _)| *number);
    for (_, done) in finished {
        for waiting in waiting.iter_mut() {
            let own = done.jobs.iter().position(|job| Some(&job.conversion) == waiting.conversion.as_ref());
            if let Some(job) = own {
                waiting.rows = waiting.rows.saturating_sub(done.rejected[job]);
            }
        }
        outcome.chunks.push(done.scanned);
    }
    Ok(())
}

/// A chunk that was cut and worked on.
struct Done {
    scanned: ScannedChunk,
    jobs: Vec<Job>,
    /// For each job, how many rows were rejected.
    rejected: Vec<u64>,
}

/// Gives followers that go by columns their converter; one that none fits is the plan's to report.
fn resolve(waiting: &mut [Waiting], columns: &[String]) {
    for waiting in waiting.iter_mut().filter(|waiting| waiting.conversion.is_none()) {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let follower = &waiting.follower;
        if let Ok(Some(converter)) = choose(None, "", follower.kind, Some(&columns), &follower.options) {
            waiting.conversion = Some(Conversion {
                converter: converter.name(),
                code: crate::convert::code_version(converter),
                options: follower.options.clone(),
            });
        }
    }
}

/// What the next chunk is wanted for, conversions shared.
fn jobs(waiting: &[Waiting]) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for waiting in waiting.iter().filter(|waiting| waiting.wants_more()) {
        let Some(conversion) = &waiting.conversion else { continue };
        add(&mut jobs, conversion, &waiting.follower.measures);
    }
    jobs
}

fn add(jobs: &mut Vec<Job>, conversion: &Conversion, measures: &[Measure]) {
    let at = jobs.iter().position(|job| job.conversion == *conversion).unwrap_or_else(|| {
        jobs.push(Job { conversion: conversion.clone(), measures: Vec::new() });
        jobs.len() - 1
    });
    for measure in measures {
        if !jobs[at].measures.contains(measure) {
            jobs[at].measures.push(measure.clone());
        }
    }
}

/// Chunks of one file that are known but not converted or not scored.
pub(crate) struct Again {
    file: Arc<SourceFile>,
    chunks: Vec<(ChunkRef, Vec<Job>)>,
}

/// Groups single conversions and scorings by file, so that each file is read once.
pub(crate) fn group<'a>(actions: impl Iterator<Item = &'a Action>) -> Vec<Again> {
    use crate::graph::Work;
    let mut groups: Vec<Again> = Vec::new();
    for action in actions {
        let (chunk, conversion, measure) = match &action.work {
            Work::Convert(chunk, conversion, _) => (chunk, conversion, None),
            Work::Score(chunk, conversion, _, measure) => (chunk, conversion, Some(measure.clone())),
            _ => continue,
        };
        let group = match groups.iter().position(|group| group.file == chunk.file) {
            Some(at) => &mut groups[at],
            None => {
                groups.push(Again { file: chunk.file.clone(), chunks: Vec::new() });
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        let at = group.chunks.iter().position(|(known, _)| known.number == chunk.number).unwrap_or_else(|| {
            group.chunks.push((chunk.clone(), Vec::new()));
            group.chunks.len() - 1
        });
        add(&mut group.chunks[at].1, conversion, measure.as_slice());
    }
    for group in &mut groups {
        group.chunks.sort_by_key(|(chunk, _)| chunk.number);
    }
    groups
}

impl Again {
    /// Whether an action is one of the group's.
    pub(crate) fn holds(&self, action: &Action) -> bool {
        match &action.work {
            crate::graph::Work::Convert(chunk, ..) | crate::graph::Work::Score(chunk, ..) => chunk.file == self.file,
            _ => false,
        }
    }

    /// What it is, for people.
    pub(crate) fn label(&self) -> String {
        self.file.file.path.clone()
    }

    /// Reads the chunks again and runs what is missing of them.
    pub(crate) fn run(&self, context: &Context) -> Result<(), Stop> {
        let Some((first, _)) = self.chunks.first() else { return Ok(()) };
        let (input, guard) = context.open(&self.file)?;
        let places: Vec<_> = self.chunks.iter().map(|(chunk, _)| (chunk.place, chunk.rows)).collect();
        let stopped: Mutex<Option<Stop>> = Mutex::default();
        let in_flight = AtomicUsize::new(0);
        let limit = 2 * rayon::current_num_threads() + 1;
        rayon::in_place_scope(|scope| {
            let (stopped, in_flight) = (&stopped, &in_flight);
            decode::reread(input, self.file.kind, (first.encoding, first.header.clone()), &places, |i, chunk| {
                while in_flight.load(Ordering::Acquire) >= limit {
                    if rayon::yield_now() != Some(rayon::Yield::Executed) {
                        std::thread::yield_now();
                    }
                }
                in_flight.fetch_add(1, Ordering::AcqRel);
                let (known, jobs) = &self.chunks[i];
                scope.spawn(move |_| {
                    let digest = chunk.digest();
                    let result = if digest != known.digest {
                        Err(decode_failure(&self.file, &DecodeError::Moved))
                    } else {
                        context.check().and_then(|()| chunk::run(context, &chunk, &digest, jobs).map(drop))
                    };
                    if let Err(stop) = result {
                        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
                    }
                    in_flight.fetch_sub(1, Ordering::AcqRel);
                });
            })
        })
        .map_err(|error| decode_failure(&self.file, &error))?;
        guard.check()?;
        match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }
}

fn decode_failure(file: &SourceFile, error: &DecodeError) -> Stop {
    let place = if file.is_local { file.file.path.clone() } else { format!("{} of {}", file.file.path, file.repo) };
    Stop::Failure(Failure::new(FailureKind::Action, format!("read `{place}`: {error}")))
}
