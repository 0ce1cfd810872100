//! Converts and scores one chunk, for as many recipes as want it, in one pass over its rows.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::step::{Context, Event, Stop};
use crate::{
    convert::{self, Converter},
    decode::Chunk,
    graph::{Conversion, ConvertOutcome, Measure, Outcome, convert_key, score_key},
    hash::Digest,
    quality::ScoreColumn,
    row::{RawRow, Reason, Reject, Sample, Value},
    samples::SampleIndex,
    system::Stopwatch,
};

/// What is wanted of a chunk by those who share a conversion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) conversion: Conversion,
    pub(crate) measures: Vec<Measure>,
}

/// A rejected row as the cache holds it; places are relative to the chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredReject {
    pub(crate) row: u32,
    pub(crate) line: u32,
    pub(crate) offset: u64,
    pub(crate) reject: Reject,
    pub(crate) raw: String,
}

/// How much of a rejected row is kept: all of it, unless it was rejected for its length.
const RAW_OF_OVERLONG: usize = 1024;

/// The last place at or before `at` where a text can be cut.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Runs what is missing of `jobs` on a chunk; returns the outcome of each conversion.
pub(crate) fn run(
    context: &Context,
    chunk: &Chunk,
    digest: &Digest,
    jobs: &[Job],
) -> Result<Vec<ConvertOutcome>, Stop> {
    let watch = Stopwatch::start();
    let mut works = Vec::with_capacity(jobs.len());
    for job in jobs {
        works.push(Work::new(context, digest, job, chunk.bytes.len()));
    }
    if works.iter().any(Work::has_to_run) {
        chunk.for_each_row(|row, span, parsed| {
            let line = span.line;
            for work in works.iter_mut().filter(|work| work.has_to_run()) {
                match work.push(row as u32, &parsed) {
                    Ok(()) => {}
                    Err(reject) => {
                        let mut raw = chunk.raw(span).into_owned();
                        if reject.reason == Reason::RowTooLong {
                            raw.truncate(char_boundary(&raw, RAW_OF_OVERLONG));
                        }
                        work.rejects.push(StoredReject {
                            row: row as u32,
                            line,
                            offset: span.start as u64,
                            reject,
                            raw,
                        });
                    }
                }
            }
        });
    }
    works.into_iter().map(|work| work.finish(context, digest, watch)).collect()
}

/// Has at hand what is stored of a chunk for `jobs`; what cannot be had shows when it is asked for.
pub(crate) fn fetch(context: &Context, digest: &Digest, jobs: &[Job]) {
    for job in jobs {
        let Some(Outcome::Convert(known)) = context.lookup(&convert_key(digest, &job.conversion)) else { continue };
        context.indexes.get(&known.index).ok();
        for measure in &job.measures {
            let key = score_key(digest, &known.index, &known.rows, measure);
            if let Some(Outcome::Score(scores)) = context.lookup(&key) {
                context.store.get_recent(&scores).ok();
            }
        }
    }
}

/// One job under way.
struct Work<'j> {
    job: &'j Job,
    converter: &'static dyn Converter,
    /// The conversion's outcome, if it was known before.
    known: Option<ConvertOutcome>,
    /// The measures that are missing, each with the column being made; those of one field stand together.
    columns: Vec<(&'j Measure, ScoreColumn)>,
    rows: Vec<u8>,
    index: SampleIndex,
    rejects: Vec<StoredReject>,
    joined_turns: u32,
}

impl<'j> Work<'j> {
    fn new(context: &Context, digest: &Digest, job: &'j Job, bytes: usize) -> Self {
        let known = match context.lookup(&convert_key(digest, &job.conversion)) {
            Some(Outcome::Convert(outcome)) => Some(outcome),
            _ => None,
        };
        let is_missing = |measure: &&Measure| {
            known
                .as_ref()
                .is_none_or(|known| context.lookup(&score_key(digest, &known.index, &known.rows, measure)).is_none())
        };
        let missing = job.measures.iter().filter(is_missing);
        let mut columns: Vec<_> = missing.map(|measure| (measure, ScoreColumn::new(measure.kind))).collect();
        columns.sort_by_key(|(measure, _)| &measure.field);
        let converter = convert::by_name(job.conversion.converter).expect("conversions name registered converters");
        // Rows mostly take the room of what they are made of, and a little more.
        let rows = Vec::with_capacity(if known.is_none() { bytes + bytes / 4 } else { 0 });
        Self {
            job,
            converter,
            known,
            columns,
            rows,
            index: SampleIndex::default(),
            rejects: Vec::new(),
            joined_turns: 0,
        }
    }

    fn has_to_run(&self) -> bool {
        self.known.is_none() || !self.columns.is_empty()
    }

    fn push(&mut self, row: u32, parsed: &Result<RawRow<'_>, Reject>) -> Result<(), Reject> {
        let raw = parsed.as_ref().map_err(Clone::clone)?;
        let converted = self.converter.convert(raw, &self.job.conversion.options)?;
        // The text of a dialogue is put together: once for all that measure it.
        for of_field in self.columns.chunk_by_mut(|(a, _), (b, _)| a.field == b.field) {
            let (measure, _) = &of_field[0];
            let field = &measure.field;
            measured(&converted.sample, raw, field, |text| {
                of_field.iter_mut().for_each(|(_, column)| column.push(text))
            });
        }
        if self.known.is_none() {
            self.joined_turns += converted.joined_turns;
            self.index.push(row, &converted, &mut self.rows);
        }
        Ok(())
    }

    fn finish(self, context: &Context, digest: &Digest, watch: Stopwatch) -> Result<ConvertOutcome, Stop> {
        let tell = |kind, key, label, bytes, samples: u32| {
            context.tell(Event::Chunk { kind, key, label, took: watch.elapsed(), rows: u64::from(samples), bytes });
        };
        let outcome = match self.known {
            Some(known) => known,
            None => {
                let rejects = if self.rejects.is_empty() {
                    None
                } else {
                    let bytes = postcard::to_stdvec(&self.rejects).expect("rejects are plain data");
                    Some(context.store.put(&bytes)?)
                };
                let bytes = self.rows.len() as u64;
                let index = context.store.put(&self.index.encode())?;
                let samples = self.index.len() as u32;
                context.indexes.keep(index, self.index.into());
                let outcome = ConvertOutcome {
                    rows: context.store.put_recent(self.rows)?,
                    index,
                    rejects,
                    samples,
                    bytes,
                    rejected: self.rejects.iter().map(|stored| (stored.row, stored.reject.reason)).collect(),
                    joined_turns: self.joined_turns,
                };
                context.count("convert");
                context.made.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome.index);
                let key = convert_key(digest, &self.job.conversion);
                context.note(key, "convert", &Outcome::Convert(outcome.clone()));
                tell("convert", key, self.job.conversion.converter, bytes, outcome.samples);
                outcome
            }
        };
        for (measure, column) in &self.columns {
            let key = score_key(digest, &outcome.index, &outcome.rows, measure);
            let encoded = column.encode();
            let scores = context.store.put(&encoded)?;
            context.count("score");
            context.note(key, "score", &Outcome::Score(scores));
            tell("score", key, measure.kind.name(), encoded.len() as u64, outcome.samples);
        }
        Ok(outcome)
    }
}

/// Calls `take` with the text that filters measure: a field of the sample, else a column of the source row. A row
/// without that column measures as an empty text.
fn measured(sample: &Sample<'_>, raw: &RawRow<'_>, field: &str, take: impl FnOnce(&str)) {
    if let Some(text) = sample.field_text(field) {
        return take(&text);
    }
    match raw.get(field) {
        Some(Value::String(text) | Value::Number(text) | Value::Json(text)) => take(text),
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
}
