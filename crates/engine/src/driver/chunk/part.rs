//! What the rows of a chunk come to for one job: samples, rejects and scores.

use super::{
    ActionError, ChunkOutcome, Context, MOST_OF_CHUNK, MOST_OF_ROW, Said, StoredReject,
    encoded::Encoded,
    render_key, score_key,
    text::{compared, measured, text_of},
    too_long,
    wanted::Wanted,
};
use crate::{
    cache::Blobs,
    event::Event,
    graph::{ConvertOutcome, Outcome},
    system::Stopwatch,
};
use datac_core::{
    convert::{self, Tally},
    id::ChunkId,
    quality::ScoreColumn,
    row::{RawRow, Reject},
    sample::{Converted, SampleIndex},
    stage::Stage,
};

/// The results of a chunk's rows for one job.
pub(super) struct Part {
    pub(super) rows: Vec<u8>,
    pub(super) index: SampleIndex,
    pub(super) rejects: Vec<StoredReject>,
    joined_turns: u32,
    tally: Tally,
    /// A score column for each measure.
    columns: Vec<ScoreColumn>,
    /// What the samples are for each model.
    pub(super) encoded: Vec<Encoded>,
}

impl Part {
    /// Creates an empty result with capacity for `bytes` bytes of samples.
    pub(super) fn new(wanted: &Wanted, bytes: usize) -> Self {
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
    pub(super) fn push(
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
            let seen = raw.without(|name| options.ignore.contains(name));
            let converted = convert::convert(wanted.converter, &seen, options, &mut self.tally)?;
            let taken = self.take(wanted, row, raw, std::slice::from_ref(&converted), scratch);
            if taken.is_err() {
                self.take_back(wanted, std::slice::from_ref(&seen));
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

    pub(super) fn finish(
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

#[cfg(test)]
mod tests {
    use super::super::Job;
    use super::*;
    use crate::graph::Conversion;
    use datac_core::row::Reason;
    use datac_decode::Decoder;

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
