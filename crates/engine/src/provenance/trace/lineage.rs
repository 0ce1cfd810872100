//! Lineage: looks up which chunk and sample a line of a build was written from, and the reverse.
//!
//! Blobs are read on demand: the order of one file, the selection of one source, the index of one chunk.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use crate::{
    cache::{Miss, Record, RunId, Store},
    driver,
    graph::PackedRows,
    provenance::{history::read_manifest, manifest::BuildManifest},
    site::{Site, WorkspaceError},
};
use datac_core::{
    encoded::{EncodedIndex, EncodedSample, Notes},
    failure::{Failure, FailureKind},
    id::BlobId,
    mix::Selection,
    outputs::{BySide, Side},
    quality::{Filter, ScoreColumn},
    sample::{self, SampleIndex, SampleView},
    shape,
};

/// A sample of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Number of the source.
    pub(crate) source: usize,
    /// Number of the chunk within the source.
    pub(crate) chunk: usize,
    /// Number of the sample within the chunk.
    pub(crate) sample: usize,
}

/// A reject of a build.
#[derive(Clone, Debug)]
pub(crate) struct RejectAt {
    pub(crate) source: usize,
    pub(crate) chunk: usize,
    /// Number of the reject within its chunk.
    pub(crate) number: usize,
    /// Line in the quarantine file, from 1.
    pub(crate) line: u64,
}

/// A build and the blobs that it names.
pub(crate) struct Lineage {
    pub(crate) manifest: BuildManifest,
    pub(crate) run: RunId,
    store: Store,
    orders: BySide<OnceLock<Vec<u32>>>,
    selections: Vec<OnceLock<Selection>>,
}

/// Result of a lookup, which fails if a blob is missing or does not match the others.
type Lost<T> = Result<T, WorkspaceError>;

impl Lineage {
    pub(crate) fn new(manifest: BuildManifest, run: RunId, store: Store) -> Self {
        let selections = manifest.sources.iter().map(|_| OnceLock::new()).collect();
        Self { manifest, run, store, orders: BySide::new(|_| OnceLock::new()), selections }
    }

    /// Returns the last build of a recipe; `None` if there was none.
    pub(crate) fn latest(site: &Site, record: &Arc<Record>, path: &str) -> Lost<Option<Self>> {
        let Some((run, build)) = record.latest_build(path)? else { return Ok(None) };
        let store = site.cache.store(record);
        Ok(Some(Self::new(read_manifest(&store, &build)?, run, store)))
    }

    /// Returns the error for a blob that is missing or does not match.
    pub(crate) fn lost(&self, why: impl std::fmt::Display) -> WorkspaceError {
        let (name, path) = (&self.manifest.name, &self.manifest.path);
        let message = format!("trace the rows of `{name}`: {why}");
        Failure::new(FailureKind::Cache, message).hint(format!("`datac build --force {path}` recreates it")).into()
    }

    fn blob(&self, digest: &BlobId) -> Lost<Arc<Vec<u8>>> {
        let gone = |miss: Miss| self.lost(format!("artifact {}: {}", miss.digest.short(), miss.reason));
        self.store.peek(digest).map_err(gone)
    }

    /// Returns the rows of a side in order, as numbers of kept samples.
    pub(crate) fn order(&self, side: Side) -> Lost<&[u32]> {
        let slot = self.orders.get(side);
        let Some(digest) = self.manifest.lists.get(side) else { return Ok(&[]) };
        if let Some(order) = slot.get() {
            return Ok(order);
        }
        let bytes = self.blob(digest)?;
        let order = bytes.as_chunks().0.iter().map(|row| u32::from_le_bytes(*row)).collect();
        Ok(slot.get_or_init(|| order))
    }

    /// Returns the rows of a side that a target packs: all samples, as numbers of kept samples, and for each row how many
    /// stand before its end.
    pub(crate) fn packed(&self, rows: &PackedRows) -> Lost<(Vec<u32>, Vec<u32>)> {
        let numbers = |blob: &BlobId| -> Lost<Vec<u32>> {
            Ok(self.blob(blob)?.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number)).collect())
        };
        let (samples, ends) = (numbers(&rows.samples)?, numbers(&rows.ends)?);
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) as usize != samples.len() {
            return Err(self.lost("the rows of samples do not match each other"));
        }
        Ok((samples, ends))
    }

    /// Returns which samples of a source were selected.
    pub(crate) fn selection(&self, source: usize) -> Lost<&Selection> {
        if let Some(selection) = self.selections[source].get() {
            return Ok(selection);
        }
        let made = &self.manifest.sources[source];
        let selection: Selection =
            postcard::from_bytes(&self.blob(&made.selection)?).map_err(|error| self.lost(error))?;
        if selection.chunks() != made.chunks.len() || selection.rows_looked_at.len() != made.chunks.len() {
            return Err(self.lost("a selection does not match its chunks"));
        }
        Ok(self.selections[source].get_or_init(|| selection))
    }

    /// Returns which samples of a source were selected before sources were compared, if they were.
    pub(crate) fn ungrouped(&self, source: usize) -> Lost<Option<Selection>> {
        let Some(digest) = &self.manifest.sources[source].ungrouped else { return Ok(None) };
        postcard::from_bytes(&self.blob(digest)?).map(Some).map_err(|error| self.lost(error))
    }

    /// Returns the index of a chunk.
    pub(crate) fn index(&self, source: usize, chunk: usize) -> Lost<SampleIndex> {
        let made = &self.manifest.sources[source].chunks[chunk];
        let index = SampleIndex::decode(&self.blob(&made.index)?).map_err(|error| self.lost(error))?;
        if index.len() != made.samples as usize {
            return Err(self.lost("an index does not match its chunk"));
        }
        Ok(index)
    }

    /// Returns the scores of a chunk, whose index is given: one column for each filter.
    pub(crate) fn scores(&self, source: usize, chunk: usize, index: &SampleIndex) -> Lost<Vec<ScoreColumn>> {
        let of_source = &self.manifest.sources[source];
        let (made, wholes) = (&of_source.chunks[chunk], index.wholes());
        let column = |(filter, digest): (&Filter, &BlobId)| {
            let column = ScoreColumn::decode(filter.scorer, &self.blob(digest)?).map_err(|error| self.lost(error))?;
            let column = column.of_parts(wholes.as_deref()).filter(|column| column.len() == made.samples as usize);
            column.ok_or_else(|| self.lost("scores do not match samples"))
        };
        of_source.filters.iter().zip(&made.scores).map(column).collect()
    }

    /// Returns the rejects of a chunk, with their details.
    pub(crate) fn rejects(&self, source: usize, chunk: usize) -> Lost<Vec<driver::StoredReject>> {
        match &self.manifest.sources[source].chunks[chunk].rejects {
            Some(digest) => postcard::from_bytes(&self.blob(digest)?).map_err(|error| self.lost(error)),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the number of a source's first kept sample, counted over all sources.
    fn start(&self, source: usize) -> u64 {
        self.manifest.sources[..source].iter().map(|source| source.kept).sum()
    }

    /// Returns the numbers of a source's kept samples, counted over all sources.
    pub(crate) fn numbers(&self, source: usize) -> std::ops::Range<u64> {
        let start = self.start(source);
        start..start + self.manifest.sources[source].kept
    }

    /// Returns the kept sample that has this number.
    pub(crate) fn at(&self, number: u32) -> Lost<At> {
        let found = (0..self.manifest.sources.len()).find(|source| self.numbers(*source).contains(&u64::from(number)));
        let source = found.ok_or_else(|| self.lost("an order refers to a row that does not exist"))?;
        let selection = self.selection(source)?;
        let mut left = (u64::from(number) - self.start(source)) as usize;
        for chunk in 0..selection.chunks() {
            let own = selection.count(chunk);
            match selection.samples(chunk).nth(left) {
                Some(sample) if left < own => return Ok(At { source, chunk, sample: sample as usize }),
                _ => left -= own.min(left),
            }
        }
        Err(self.lost("a selection has fewer samples than it states"))
    }

    /// Returns the number of a sample, or `None` if it was not kept.
    pub(crate) fn number(&self, at: At) -> Lost<Option<u32>> {
        let selection = self.selection(at.source)?;
        let before: usize = (0..at.chunk).map(|chunk| selection.count(chunk)).sum();
        let within = selection.samples(at.chunk).position(|sample| sample as usize == at.sample);
        Ok(within.map(|within| (self.start(at.source) + (before + within) as u64) as u32))
    }

    /// Calls `take` with a sample as stored.
    fn with_sample<T>(&self, at: At, index: &SampleIndex, take: impl FnOnce(SampleView<'_>) -> Lost<T>) -> Lost<T> {
        let blob = self.blob(&self.manifest.sources[at.source].chunks[at.chunk].written)?;
        let place = if at.sample < index.len() { index.range(at.sample) } else { 0..0 };
        take(sample::at(&blob, place).map_err(|error| self.lost(error))?)
    }

    /// Returns the index of the ids of a chunk.
    pub(crate) fn encoded_index(&self, source: usize, chunk: usize) -> Lost<EncodedIndex> {
        let encoded = self.manifest.sources[source].chunks[chunk].encoded;
        let encoded = encoded.ok_or_else(|| self.lost("a chunk has no ids"))?;
        EncodedIndex::decode(&self.blob(&encoded.index)?).ok_or_else(|| self.lost("an index of ids cannot be read"))
    }

    /// Returns a sample as the model sees it for which `file` was written: that of its target, or else that of the recipe. `None` if
    /// there is none.
    pub(crate) fn encoded(&self, at: At, file: &str) -> Lost<Option<EncodedSample>> {
        let encoded = match self.manifest.own_of(file) {
            Some(own) => own.encoded.get(at.source).and_then(|chunks| *chunks.get(at.chunk)?),
            None => self.manifest.sources[at.source].chunks[at.chunk].encoded,
        };
        let Some(encoded) = &encoded else { return Ok(None) };
        let index = EncodedIndex::decode(&self.blob(&encoded.index)?).filter(|index| at.sample < index.len());
        let index = index.ok_or_else(|| self.lost("an index of ids does not match its chunk"))?;
        let ids = self.blob(&encoded.ids)?;
        let sample = ids.get(index.range(at.sample)).and_then(EncodedSample::read);
        sample.map(Some).ok_or_else(|| self.lost("the ids of a sample cannot be read"))
    }

    /// Returns for each sample of a chunk whether it is not all of what its row has; nothing if all are.
    pub(crate) fn shortened_samples(&self, at: At) -> Lost<Vec<bool>> {
        let shortens = self.manifest.model.as_ref().and_then(|model| model.shortened).is_some();
        if !shortens || self.manifest.sources[at.source].chunks[at.chunk].encoded.is_none() {
            return Ok(Vec::new());
        }
        let notes = self.encoded_index(at.source, at.chunk)?.notes;
        let is_less = |notes: Notes| notes.has(Notes::SHORTENED) || notes.has(Notes::PART);
        Ok(notes.into_iter().map(is_less).collect())
    }

    /// Returns what was left out of a sample so that it is not too long for the recipe's model, or which part of its text it is, in
    /// words. `index` is that of its chunk.
    pub(crate) fn shortened(&self, at: At, index: &SampleIndex) -> Lost<Option<String>> {
        let Some((overlong, max)) = self.manifest.model.as_ref().and_then(|model| model.shortened) else {
            return Ok(None);
        };
        let Some(encoded) = &self.manifest.sources[at.source].chunks[at.chunk].encoded else { return Ok(None) };
        let encoded = EncodedIndex::decode(&self.blob(&encoded.index)?);
        let notes = encoded.and_then(|encoded| encoded.notes.get(at.sample).copied());
        let notes = notes.ok_or_else(|| self.lost("an index of ids does not match its chunk"))?;
        if let (true, Some(wholes)) = (notes.has(Notes::PART), index.wholes()) {
            let text = wholes[at.sample];
            let first = wholes.partition_point(|whole| *whole < text);
            let parts = wholes.partition_point(|whole| *whole <= text) - first;
            let part = at.sample - first + 1;
            return Ok(Some(format!("part {part} of {parts} of its text, each of which has at most {max} tokens")));
        }
        let left_out = overlong.left_out().filter(|_| notes.has(Notes::SHORTENED));
        Ok(left_out.map(|left_out| format!("{left_out} left out, so that it has at most {max} tokens")))
    }

    /// Returns a row as written to its file, without the line feed.
    pub(crate) fn line(&self, at: At, index: &SampleIndex) -> Lost<Vec<u8>> {
        self.with_sample(at, index, |sample| {
            let source = &self.manifest.sources[at.source].name;
            shape::row(shape::DEFAULT, &sample, source).map_err(|unfit| self.lost(unfit))
        })
    }

    /// Returns the answer that is stored beside a sample.
    pub(crate) fn answer(&self, at: At, index: &SampleIndex) -> Lost<Option<String>> {
        self.with_sample(at, index, |sample| {
            let text = sample.answer.map(|answer| answer.unescape().ok_or_else(|| self.lost("an answer is no text")));
            Ok(text.transpose()?.map(Cow::into_owned))
        })
    }

    /// Returns every line that a kept sample is on: side and line, from 1.
    pub(crate) fn lines(&self, number: u32) -> Lost<Vec<(Side, u64)>> {
        let mut found = Vec::new();
        for side in Side::ALL {
            let order = self.order(side)?.iter().zip(1..);
            found.extend(order.filter(|(row, _)| **row == number).map(|(_, line)| (side, line)));
        }
        Ok(found)
    }

    /// Returns the rejects in the order of the quarantine file.
    pub(crate) fn quarantined(&self) -> Lost<Vec<RejectAt>> {
        let mut found = Vec::new();
        for (source, made) in self.manifest.sources.iter().enumerate() {
            if made.chunks.iter().all(|chunk| chunk.rejected.is_empty()) {
                continue;
            }
            let looked_at = &self.selection(source)?.rows_looked_at;
            for (chunk, (made, looked_at)) in made.chunks.iter().zip(looked_at).enumerate() {
                for (number, _) in made.rejected.iter().enumerate().filter(|(_, (row, _))| row < looked_at) {
                    found.push(RejectAt { source, chunk, number, line: found.len() as u64 + 1 });
                }
            }
        }
        Ok(found)
    }
}
