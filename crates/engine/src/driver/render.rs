//! Renders and encodes stored samples, for the model of an output.

use std::sync::Arc;

use super::{context::Context, error::ActionError, models::Fitted};
use crate::{
    cache::Blobs,
    graph::{EncodedChunk, PinnedModel, RefusedSamples, StoredOutcome, StoredSamples},
};
use datac_core::{
    encoded::EncodedSamples,
    failure::{Failure, FailureKind},
    quality::{ScoreColumn, ScoreKind},
    sample::{self, BadSample, Sample},
};

/// Number of samples after which an interrupt is looked for.
const CHECKED_AFTER: usize = 64;

/// Renders and encodes the stored samples of a chunk. A sample that the model refuses has no ids; the others stay.
pub(super) fn render(
    context: &Context,
    samples: &StoredSamples,
    model: &Arc<PinnedModel>,
) -> Result<StoredOutcome, ActionError> {
    let model = context.models.of(context, model)?;
    let (blob, index) = (context.store.get(&samples.rows)?, context.indexes.get(&samples.index)?);
    let (mut encoded, mut refused) = (EncodedSamples::default(), RefusedSamples::new());
    let damaged = |error: BadSample| ActionError::Failure(Failure::new(FailureKind::Cache, error.to_string()));
    for number in 0..index.len() {
        if number % CHECKED_AFTER == 0 {
            context.check()?;
        }
        let sample = sample::at(&blob, index.range(number)).and_then(Sample::try_from).map_err(damaged)?;
        if let Some(failure) = model.unusable_for(&sample) {
            return Err(ActionError::Failure(failure.clone()));
        }
        match model.fit(&sample) {
            Ok(fitted) => {
                let [Fitted { encoded: sample, notes, roles, .. }] = &fitted[..] else {
                    unreachable!("the model of an output splits no texts");
                };
                encoded.push(sample, *notes, *roles);
            }
            Err(reject) => {
                encoded.refuse();
                refused.push((number as u32, reject));
            }
        }
    }
    let column = |kind: ScoreKind, counts: &[u32]| {
        let mut column = ScoreColumn::new(kind);
        counts.iter().for_each(|count| column.push_count(u64::from(*count)));
        context.store.put(&column.encode())
    };
    let EncodedSamples { bytes: ids, index } = encoded;
    let (tokens, trained) =
        (column(ScoreKind::TOKENS, &index.tokens)?, column(ScoreKind::TRAINED_TOKENS, &index.trained)?);
    let (bytes, index) = (ids.len() as u64, context.store.put(&index.encode())?);
    let refused = match refused.is_empty() {
        true => None,
        false => Some(context.store.put(&postcard::to_stdvec(&refused).expect("rejects are plain data"))?),
    };
    let encoded = EncodedChunk { ids: context.store.put_recent(ids)?, bytes, index, tokens, trained };
    Ok(StoredOutcome { encoded, refused })
}
