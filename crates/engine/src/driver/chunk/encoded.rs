//! What the rows of a chunk come to for one model: samples as it sees them.

use super::{ActionError, Context, MOST_OF_CHUNK, MOST_OF_ROW, StoredReject, too_long};
use crate::{
    cache::Blobs,
    driver::models::{Fitted, ReadModel},
    graph::{EncodedChunk, RenderOutcome, ShortenedChunk},
};
use datac_core::{
    encoded::EncodedSamples,
    failure::Failure,
    quality::{ScoreColumn, ScoreKind},
    row::Reject,
    sample::{Sample, SampleIndex},
};

/// The samples of a chunk as a model sees them.
#[derive(Default)]
pub(super) struct Encoded {
    samples: EncodedSamples,
    /// The rows that the model refuses.
    pub(super) rejects: Vec<StoredReject>,
    /// Why it refuses the last row, until that is stored.
    pub(super) refusal: Option<Reject>,
    /// The samples as they are once they are short enough, if any are made shorter or split.
    shortened: Option<Shortened>,
    /// Number of samples with reasoning of which the template writes nothing.
    without_reasoning: u32,
    /// Why the model cannot be used for one of the samples.
    pub(super) failure: Option<Failure>,
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
    pub(super) fn new(model: &ReadModel) -> Self {
        Self { shortened: model.shortens().then(Shortened::default), ..Self::default() }
    }

    /// Adds the samples of a row; all of them are refused if one is. `scratch` is a buffer for reuse.
    pub(super) fn take<'s>(
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

    /// Stores what came of the chunk; `rejects` are those of its conversion.
    pub(super) fn store(self, context: &Context, rejects: &[StoredReject]) -> Result<RenderOutcome, ActionError> {
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

    fn store(self, context: &Context) -> Result<ShortenedChunk, ActionError> {
        let (bytes, index) = (self.rows.len() as u64, context.store.put(&self.index.encode())?);
        let (samples, count, split) = (self.index.len() as u32, self.count, self.split);
        context.indexes.keep_new(index, self.index.into());
        Ok(ShortenedChunk { rows: context.store.put_recent(self.rows)?, bytes, index, samples, count, split })
    }
}
