//! Writes the files of a recipe: both sides in one pass over its samples, and the quarantine file.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    chunk::StoredReject,
    context::Context,
    error::ActionError,
    select::{encoded_index, selection},
};
use crate::{
    cache::{Blobs, stat_cache},
    edit::reuse_output,
    event::Event,
    graph::{ArrangeOutcome, ChunkRef, ConvertedChunk, SelectedSource},
    system::{self, Stat, Synced},
    writer::{self, Block, Encoder, Order, OutputError, OutputFile, Rows, Written},
};
use datac_core::{
    encoded::Notes,
    failure::{Failure, FailureKind},
    id::FileHash,
    mix::Selection,
    outputs::{BySide, Destination, FileMeta, OutputKind, OutputSet, Side},
    row,
    shape::{self, facts::Facts},
};
use datac_decode::{Encoding, Place};

impl From<OutputError> for ActionError {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Missing(miss) => Self::Missing(miss),
            OutputError::File(error) => error.into(),
            OutputError::Mismatch => Self::Failure(Failure::new(FailureKind::Cache, error.to_string())),
            OutputError::Unfit(..) | OutputError::Encode { .. } => {
                Self::Failure(Failure::new(FailureKind::Action, error.to_string()))
            }
        }
    }
}

/// A file that has been written beside its destination, where there is no file or one with other bytes.
pub(super) struct Unplaced {
    written: Written,
    rows: u64,
}

/// The candidates of an output: the selected samples of all sources.
pub(super) struct Candidates<'a> {
    /// The blobs of samples.
    pub(super) blocks: Vec<Block>,
    sources: &'a [SelectedSource],
    /// Number of each block's chunk within its source.
    chunks: Vec<usize>,
    selections: Vec<Selection>,
    form: Form,
}

/// What packing needs of a sample.
pub(super) struct SampleSize {
    pub(super) prompt_hash: u64,
    pub(super) row_hash: u64,
    pub(super) tokens: u32,
    pub(super) notes: Notes,
}

/// What rows are written from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// From samples.
    Samples,
    /// From samples as the recipe's model sees them.
    Encoded,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(context: &Context, sources: &'a [SelectedSource], form: Form) -> Result<Self, ActionError> {
        let (mut blocks, mut chunks, mut selections) = (Vec::new(), Vec::new(), Vec::with_capacity(sources.len()));
        for (number, source) in sources.iter().enumerate() {
            let selection = selection(context, &source.selected)?;
            for (i, chunk) in source.chunks.iter().enumerate().take(selection.chunks()) {
                let (blob, bytes) = match (form, chunk.encoded) {
                    (Form::Encoded, Some(encoded)) => (encoded.ids, encoded.bytes),
                    // What is excluded is not encoded: its samples count, and none of them is written.
                    (Form::Encoded, None) => (chunk.converted.rows, 0),
                    (Form::Samples, _) => (chunk.converted.rows, chunk.converted.bytes),
                };
                let is_new = context.indexes.is_new(&chunk.converted.index);
                blocks.push(Block {
                    blob,
                    bytes,
                    source: number as u32,
                    candidates: selection.count(i) as u32,
                    is_new,
                });
                chunks.push(i);
            }
            selections.push(selection);
        }
        Ok(Self { blocks, sources, chunks, selections, form })
    }

    /// Returns the places of a block's candidates in its blob.
    pub(super) fn places(&self, context: &Context, block: usize) -> Result<Vec<writer::Slot>, ActionError> {
        context.check()?;
        let (source, chunk) = (self.blocks[block].source as usize, self.chunks[block]);
        let of = &self.sources[source].chunks[chunk];
        let index = context.indexes.of(of)?;
        let encoded = match (self.form, of.encoded) {
            (Form::Encoded, Some(encoded)) => Some(encoded_index(context, &encoded.index, index.len())?),
            _ => None,
        };
        let place = |sample: u32| {
            let range = match &encoded {
                Some(encoded) => encoded.range(sample as usize),
                None => index.range(sample as usize),
            };
            let row_hash = index.row_hash[sample as usize];
            writer::Slot { start: range.start as u32, end: range.end as u32, row_hash }
        };
        Ok(self.selections[source].samples(chunk).map(place).collect())
    }

    /// Returns what packing needs of a block's candidates, which a model has encoded.
    pub(super) fn sizes(&self, context: &Context, block: usize) -> Result<Vec<SampleSize>, ActionError> {
        context.check()?;
        let (source, chunk) = (self.blocks[block].source as usize, self.chunks[block]);
        let of = &self.sources[source].chunks[chunk];
        let index = context.indexes.of(of)?;
        let Some(encoded) = of.encoded else { return Err(OutputError::Mismatch.into()) };
        let encoded = encoded_index(context, &encoded.index, index.len())?;
        let size = |sample: usize| SampleSize {
            prompt_hash: index.prompt_hash[sample],
            row_hash: index.row_hash[sample],
            tokens: encoded.tokens[sample],
            notes: encoded.notes[sample],
        };
        Ok(self.selections[source].samples(chunk).map(|sample| size(sample as usize)).collect())
    }

    /// Returns the chunk of a block.
    pub(super) fn chunk(&self, block: usize) -> &'a ConvertedChunk {
        &self.sources[self.blocks[block].source as usize].chunks[self.chunks[block]]
    }

    /// Returns the numbers that a block's candidates have in its chunk.
    pub(super) fn samples(&self, block: usize) -> impl Iterator<Item = u32> + '_ {
        self.selections[self.blocks[block].source as usize].samples(self.chunks[block])
    }

    /// Returns what the candidates have, taken together: all that the sources of the recipe give, in whatever file.
    pub(super) fn facts(&self, context: &Context) -> Result<Facts, ActionError> {
        let mut facts = Facts::default();
        for (block, chunk) in self.blocks.iter().zip(&self.chunks) {
            context.check()?;
            let source = block.source as usize;
            let index = context.indexes.of(&self.sources[source].chunks[*chunk])?;
            let candidates = self.selections[source].samples(*chunk);
            index.makeups.of(candidates).for_each(|makeup| facts.add(makeup));
        }
        Ok(facts)
    }

    /// Returns whether most of the candidates were made by earlier builds.
    fn are_mostly_old(&self) -> bool {
        let candidates = |block: &Block| u64::from(block.candidates);
        let new: u64 = self.blocks.iter().filter(|block| block.is_new).map(candidates).sum();
        2 * new < self.blocks.iter().map(candidates).sum()
    }
}

/// Writes the rows of each side. Files that are already in place with the same bytes are left alone.
pub(super) fn output(
    context: &Context,
    outputs: &OutputSet,
    destination: Destination,
    sources: &[SelectedSource],
    arranged: &ArrangeOutcome,
) -> Result<(BySide<Option<FileMeta>>, Vec<Unplaced>), ActionError> {
    let candidates = Candidates::new(context, sources, Form::Samples)?;
    let dir = destination.folder(&context.outputs.dir);
    let mut sides: Vec<(Side, Order, PathBuf)> = Vec::new();
    for (side, list) in arranged.lists.iter() {
        if let Some(list) = list {
            let rows = arranged.realised.iter().map(|source| *source.rows.get(side)).sum();
            let path = dir.join(outputs.name(OutputKind::Rows(side)));
            sides.push((side, Order::whole(*list, rows), path));
        }
    }
    system::create_dir(&dir)?;
    // Wherever the files go, those in place have most of the rows.
    let in_place = |side: &Side| context.outputs.dir.join(outputs.name(OutputKind::Rows(*side)));
    let at_hand = || sides.iter().map(|(side, ..)| reuse_output(&in_place(side), shape::DEFAULT)).collect();
    let at_hand = candidates.are_mostly_old().then(at_hand).flatten();
    let rows = Rows {
        store: &context.store,
        blocks: candidates.blocks.clone(),
        encoder: Arc::new(Encoder::new(shape::DEFAULT, sources.iter().map(|source| source.name.as_str()))),
        places: &|block| candidates.places(context, block),
        interrupt: &context.control.interrupt,
        check: &|| context.check(),
    };
    let told = progress(context, outputs.stem().to_owned(), sides.iter().map(|(_, order, _)| order.rows()).sum());
    let begin = |output: usize| Ok(OutputFile::new(&sides[output].2)?.telling(told.clone()));
    let orders: Vec<Order> = sides.iter().map(|(_, order, _)| order.clone()).collect();
    let files = rows.write(&orders, &begin, at_hand, &context.outputs.memory, &context.outputs.scratch)?;
    let (mut written, mut unplaced) = (BySide::default(), Vec::new());
    for ((side, order, _), file) in sides.iter().zip(&files) {
        let file = file.finish()?;
        if file.rows != order.rows() {
            return Err(OutputError::Mismatch.into());
        }
        *written.get_mut(*side) = Some(finish(context, file, &mut unplaced)?);
    }
    Ok((written, unplaced))
}

/// Returns what tells the observer how far an output of `of` rows is.
pub(super) fn progress(context: &Context, label: String, of: u64) -> writer::Told {
    let (observer, so_far) = (context.control.observer.clone(), Mutex::new((0, 0)));
    Arc::new(move |more_rows, more_bytes| {
        let (rows, bytes) = {
            let mut so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner);
            *so_far = (so_far.0 + more_rows, so_far.1 + more_bytes);
            *so_far
        };
        observer(Event::Writing { label: label.clone(), rows, of, bytes });
    })
}

/// Writes the quarantine file: for each reject its source, file, row, line and byte offset, the reason, and the row.
pub(super) fn quarantine(
    context: &Context,
    outputs: &OutputSet,
    destination: Destination,
    sources: &[SelectedSource],
) -> Result<(FileMeta, Vec<Unplaced>), ActionError> {
    let path = destination.folder(&context.outputs.dir).join(outputs.name(OutputKind::Quarantine));
    system::create_dir(path.parent().expect("the quarantine file has a folder"))?;
    let mut file = OutputFile::new(&path)?;
    for source in sources {
        let selection = selection(context, &source.selected)?;
        for (chunk, looked_at) in source.chunks.iter().zip(&selection.rows_looked_at) {
            context.check()?;
            let Some(rejects) = chunk.converted.rejects else { continue };
            let stored: Vec<StoredReject> = postcard::from_bytes(&context.store.get(&rejects)?).map_err(|error| {
                ActionError::Failure(Failure::new(FailureKind::Cache, format!("read rejects: {error}")))
            })?;
            let place = quarantine_place(&source.name, &chunk.chunk);
            for stored in stored.iter().filter(|stored| stored.row < *looked_at) {
                let bytes = quarantine_line(&place, stored);
                file.write(&bytes)?;
            }
        }
    }
    let mut unplaced = Vec::new();
    Ok((finish(context, file.finish()?, &mut unplaced)?, unplaced))
}

/// Place of the chunk of a reject.
pub(crate) struct QuarantinePlace<'a> {
    /// Name of the source in the recipe.
    pub(crate) source: &'a str,
    /// The repository, or the local path.
    pub(crate) repo: &'a str,
    /// The pinned commit; empty for local files.
    pub(crate) commit: &'a str,
    /// Path of the file.
    pub(crate) file: &'a str,
    /// Place of the chunk in the file.
    pub(crate) place: &'a Place,
    /// Encoding of the chunk.
    pub(crate) encoding: Encoding,
}

/// Returns where a chunk stands, for its rejects; `source` is the source's name in the recipe.
pub(crate) fn quarantine_place<'a>(source: &'a str, chunk: &'a ChunkRef) -> QuarantinePlace<'a> {
    QuarantinePlace {
        source,
        repo: chunk.file.origin.name(),
        commit: chunk.file.origin.commit().unwrap_or_default(),
        file: &chunk.file.path,
        place: &chunk.place,
        encoding: chunk.encoding,
    }
}

impl QuarantinePlace<'_> {
    /// Returns the row's number in the file, from 0.
    pub(crate) fn row(&self, stored: &StoredReject) -> u64 {
        self.place.first_row + u64::from(stored.row)
    }

    /// Returns the line the row begins at, from 1; `None` in columnar files.
    pub(crate) fn line(&self, stored: &StoredReject) -> Option<u64> {
        (self.encoding != Encoding::Columns).then_some(self.place.first_line + u64::from(stored.line) + 1)
    }
}

/// Returns a reject as a line of the quarantine file, with its line feed.
pub(crate) fn quarantine_line(at: &QuarantinePlace<'_>, stored: &StoredReject) -> Vec<u8> {
    let has_lines = at.encoding != Encoding::Columns;
    let line = QuarantineRow {
        source: at.source,
        repo: at.repo,
        commit: at.commit,
        file: at.file,
        row: at.row(stored),
        line: at.line(stored),
        offset: has_lines.then_some(at.place.offset + stored.offset),
        reason: stored.reject.reason.code(),
        detail: &stored.reject.detail,
        raw: &stored.raw,
    };
    let mut bytes = Vec::new();
    row::write_json(&line, &mut bytes);
    bytes.push(b'\n');
    bytes
}

/// A line of the quarantine file.
#[derive(serde::Serialize)]
struct QuarantineRow<'a> {
    /// Name of the source in the recipe.
    source: &'a str,
    /// The repository, or the local path.
    repo: &'a str,
    /// The pinned commit; empty for local files.
    commit: &'a str,
    /// Path of the file.
    file: &'a str,
    /// Number of the row in the file, from 0.
    row: u64,
    /// Line that the row begins on, from 1; null for columnar files.
    line: Option<u64>,
    /// Byte offset of the row in the decompressed file; null for columnar files.
    offset: Option<u64>,
    /// Code of the reason.
    reason: &'a str,
    /// Details of the reason.
    detail: &'a str,
    /// The row as it is in the source.
    raw: &'a str,
}

/// Adds a file to `unplaced` unless a file with the same bytes is in place.
pub(super) fn finish(
    context: &Context,
    written: Written,
    unplaced: &mut Vec<Unplaced>,
) -> Result<FileMeta, ActionError> {
    let outcome = FileMeta { digest: written.digest, bytes: written.bytes, rows: written.rows };
    if digest_of(context, &written.destination, written.bytes)? != Some(written.digest) {
        unplaced.push(Unplaced { rows: written.rows, written });
    }
    Ok(outcome)
}

/// A file that was put in place.
pub(super) struct Placed {
    pub(super) path: PathBuf,
    /// Name in the output folder.
    pub(super) name: String,
    /// Stat of the file, and the time when it was taken: with a later time, a change in between would go unnoticed.
    pub(super) stat: Stat,
    pub(super) placed_ns: i64,
    pub(super) digest: FileHash,
}

/// A file that the disk has, beside its destination. It waits there for the other files of its recipe; if it is dropped, it leaves
/// nothing behind.
pub(super) struct Held {
    synced: Synced,
    path: PathBuf,
    digest: FileHash,
    bytes: u64,
    rows: u64,
}

impl Held {
    /// Returns where the file is to go.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the BLAKE3 of its bytes.
    pub(super) fn digest(&self) -> FileHash {
        self.digest
    }
}

/// Syncs files to the disk.
pub(super) fn sync(files: Vec<Unplaced>) -> Result<Vec<Held>, ActionError> {
    let hold = |Unplaced { written, rows }: Unplaced| {
        let (path, digest, bytes) = (written.destination.clone(), written.digest, written.bytes);
        Ok(Held { synced: written.synced()?, path, digest, bytes, rows })
    };
    files.into_iter().map(hold).collect()
}

/// Puts the files of a recipe in place. Each is added to `placed`, even if a later one fails.
pub(super) fn put_in_place(files: Vec<Held>, context: &Context, placed: &mut Vec<Placed>) -> Result<(), ActionError> {
    for Held { synced, path, digest, bytes, rows } in files {
        let stat = synced.put_in_place()?;
        let placed_ns = system::now_ns();
        context.tell(Event::Wrote { path: path.to_string_lossy().into_owned(), rows, bytes });
        let name = path.strip_prefix(&context.outputs.dir).unwrap_or(&path).to_string_lossy().into_owned();
        placed.push(Placed { path, name, stat, placed_ns, digest });
    }
    Ok(())
}

/// Returns the digest of the file at `path`, from the stat cache if possible; `None` if it does not exist or has
/// another size.
fn digest_of(context: &Context, path: &Path, bytes: u64) -> Result<Option<FileHash>, ActionError> {
    match system::stat(path) {
        Ok(stat) if stat.size == bytes => Ok(Some(stat_cache::digest(&context.record, path)?)),
        Ok(_) => Ok(None),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
