//! Runs a selection: reads indexes and score columns, and stores which samples are kept. Reads no text.

use super::{chunk::StoredReject, context::Context, error::ActionError};
use crate::{
    cache::Blobs,
    graph::{ConvertedChunk, Outcome, RefusedChunk, SelectOutcome},
    system::ScratchFolder,
    writer::warm,
};
use datac_core::{
    config::Take,
    encoded::{EncodedIndex, Notes},
    failure::{Failure, FailureKind},
    id::BlobId,
    mix::{
        SelectError, Selecting, Selection, SortMemory,
        select::{ChunkScores, RowRefused},
    },
    quality::{ColumnError, Filter, RefusedRow, ScoreColumn, ScoreKind, Scores},
    row::{Reason, Reject},
};

/// Number of chunks whose indexes and columns are loaded together, on all threads.
const TOGETHER: usize = 32;

/// Bytes of memory for the ranks of sampled rows: some two million of them. More go through files.
const SORTED_BYTES: usize = 48 << 20;

/// Selects the samples of `chunks` that pass the filters.
pub(crate) fn select(
    context: &Context,
    chunks: &[ConvertedChunk],
    filters: &[Filter],
    take: Take,
) -> Result<Outcome, ActionError> {
    let scratch = ScratchFolder::at(&context.outputs.scratch);
    let mut selecting = Selecting::new(filters, take, SortMemory { scratch: &scratch, bytes: SORTED_BYTES });
    let mut reads = None;
    for (number, chunk) in chunks.iter().enumerate() {
        context.check()?;
        if number % TOGETHER == 0 {
            drop(reads.take());
            reads = Some(context.record.together());
            let chunks = &chunks[number..chunks.len().min(number + TOGETHER)];
            context.indexes.warm(chunks.iter().map(|chunk| chunk.converted.index).collect());
            let columns = chunks.iter().flat_map(|chunk| chunk.scores.iter().chain(&chunk.tokens));
            warm(&context.store, columns.copied().collect());
        }
        let index = context.indexes.of(chunk)?;
        let wholes = index.wholes();
        let scores: Vec<ScoreColumn> = (filters.iter().zip(&chunk.scores))
            .map(|(filter, digest)| column(context, filter.scorer, digest, index.len(), wholes.as_deref()))
            .collect::<Result<_, ActionError>>()?;
        let tokens = chunk.tokens.map(|digest| tokens(context, &digest, index.len())).transpose()?;
        let refused = chunk.encoded.map(|encoded| refused(context, &encoded.index, index.len())).transpose()?;
        let scores = ChunkScores {
            count: chunk.chunk.rows,
            rows: &index.row,
            characters: &index.characters,
            row_hash: &index.row_hash,
            rejects: &chunk.converted.rejected,
            refused: refused.as_deref().unwrap_or_default(),
            scores: &scores,
            wholes: wholes.as_deref(),
            tokens: tokens.as_deref(),
        };
        selecting.add(&scores)?;
    }
    drop(reads);
    let selection = selecting.finish()?;
    let bytes = postcard::to_stdvec(&selection).expect("a selection is plain data");
    let outcome = SelectOutcome {
        selection: context.store.put(&bytes)?,
        kept: selection.kept,
        characters: selection.characters,
        tokens: selection.tokens,
        rows_read: selection.rows_read,
        rows_without_samples: selection.rows_without_samples,
        filters: selection.filters.clone(),
        rejects: selection.rejects.clone(),
        reached_max: selection.reached_max,
    };
    if selection.refused.is_empty() {
        return Ok(Outcome::Select(outcome));
    }
    let refused = selection.refused.into_iter().map(|(number, rows)| {
        let (rejects, rejected) = with_refused(context, &chunks[number], rows)?;
        Ok(RefusedChunk { chunk: number as u32, rejects, rejected })
    });
    Ok(Outcome::Refusing(outcome, refused.collect::<Result<_, ActionError>>()?))
}

/// Stores the rejects of a chunk with the rows that functions refuse.
fn with_refused(
    context: &Context,
    chunk: &ConvertedChunk,
    rows: Vec<RowRefused>,
) -> Result<(BlobId, Vec<(u32, Reason)>), ActionError> {
    let mut rejects: Vec<StoredReject> = match chunk.converted.rejects {
        None => Vec::new(),
        Some(rejects) => postcard::from_bytes(&context.store.get(&rejects)?).map_err(|error| {
            ActionError::Failure(Failure::new(FailureKind::Cache, format!("read rejects: {error}")))
        })?,
    };
    rejects.extend(rows.into_iter().map(|RowRefused { row, why, place: RefusedRow { line, offset, raw } }| {
        StoredReject { row, line, offset, reject: Reject::new(Reason::Refused, why), raw }
    }));
    rejects.sort_by_key(|stored| stored.row);
    let bytes = postcard::to_stdvec(&rejects).expect("rejects are plain data");
    let rejected = rejects.iter().map(|stored| (stored.row, stored.reject.reason)).collect();
    Ok((context.store.put(&bytes)?, rejected))
}

/// Returns the samples of a chunk that the model refuses.
fn refused(context: &Context, index: &BlobId, samples: usize) -> Result<Vec<u32>, ActionError> {
    let index = encoded_index(context, index, samples)?;
    let is_refused = |(sample, notes): (u32, &Notes)| notes.has(Notes::REFUSED).then_some(sample);
    Ok((0..).zip(&index.notes).filter_map(is_refused).collect())
}

/// Returns the index of encoded samples, after checking that it has an entry for every sample.
pub(crate) fn encoded_index(context: &Context, index: &BlobId, samples: usize) -> Result<EncodedIndex, ActionError> {
    let index = EncodedIndex::decode(&context.store.get(index)?).filter(|index| index.len() == samples);
    index.ok_or_else(|| {
        ActionError::Failure(Failure::new(FailureKind::Cache, "match ids to samples: their numbers differ"))
    })
}

/// Returns a score column, after checking that it has a score for every sample; `wholes` are the numbers of the samples' texts
/// where texts stand in parts.
fn column(
    context: &Context,
    scorer: ScoreKind,
    digest: &BlobId,
    samples: usize,
    wholes: Option<&[u32]>,
) -> Result<ScoreColumn, ActionError> {
    let column = ScoreColumn::decode(scorer, &context.store.get(digest)?).map_err(unusable)?;
    let column = column.of_parts(wholes).filter(|column| column.len() == samples);
    column.ok_or_else(|| {
        ActionError::Failure(Failure::new(FailureKind::Cache, "match scores to samples: their numbers differ"))
    })
}

/// Returns a column of token counts.
pub(crate) fn tokens(context: &Context, digest: &BlobId, samples: usize) -> Result<Vec<u32>, ActionError> {
    match column(context, ScoreKind::TOKENS, digest, samples, None)?.into_scores() {
        Scores::Count(tokens) => Ok(tokens),
        scores => Err(unusable(ColumnError::Scale(scores.scale()))),
    }
}

impl From<SelectError> for ActionError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::File(error) => error.into(),
            error => Self::Failure(Failure::new(FailureKind::Cache, error.to_string())),
        }
    }
}

fn unusable(error: ColumnError) -> ActionError {
    ActionError::Failure(Failure::new(FailureKind::Cache, error.to_string()))
}

/// Returns a stored selection.
pub(crate) fn selection(context: &Context, outcome: &SelectOutcome) -> Result<Selection, ActionError> {
    postcard::from_bytes(&context.store.get(&outcome.selection)?)
        .map_err(|error| ActionError::Failure(Failure::new(FailureKind::Cache, format!("read a selection: {error}"))))
}
