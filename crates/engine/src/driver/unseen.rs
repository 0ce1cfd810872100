//! The samples that the model of an output refuses, or for which they are too long: they are left out of that output alone.

use super::{context::Context, error::ActionError, output::Candidates, select::encoded_index};
use crate::{cache::Blobs, graph::RefusedSamples, writer::UnfitSample};
use datac_core::{
    failure::{Failure, FailureKind},
    id::BlobId,
    row::Reason,
};

/// What there is no place for: a sample with more tokens than the model of the output takes.
const TOO_LONG: &str = "more tokens than `max_tokens`";

/// The candidates that are left out, by their numbers, in order.
pub(super) struct Unseen(Vec<(u32, UnfitSample)>);

impl Unseen {
    /// Finds the candidates that are left out of an output with a model of its own. Of others there are none.
    pub(super) fn of(
        context: &Context,
        candidates: &Candidates<'_>,
        max_tokens: Option<u64>,
    ) -> Result<Self, ActionError> {
        let (mut unseen, mut first) = (Vec::new(), 0);
        for block in 0..candidates.blocks.len() {
            let count = candidates.blocks[block].candidates;
            let chunk = candidates.chunk(block);
            let encoded = chunk.encoded.filter(|_| chunk.refused.is_some() || max_tokens.is_some());
            if let Some(encoded) = encoded {
                context.check()?;
                let refused: RefusedSamples = match &chunk.refused {
                    None => Vec::new(),
                    Some(blob) => postcard::from_bytes(&context.store.get(blob)?).map_err(|error| {
                        ActionError::Failure(Failure::new(FailureKind::Cache, format!("read refused samples: {error}")))
                    })?,
                };
                let index = context.indexes.of(chunk)?;
                let tokens = encoded_index(context, &encoded.index, index.len())?.tokens;
                for (number, sample) in (first..).zip(candidates.samples(block)) {
                    let refusal = refused.binary_search_by_key(&sample, |(refused, _)| *refused);
                    let (what, detail) = match refusal {
                        Ok(at) => (what(refused[at].1.reason), Some(refused[at].1.detail.clone())),
                        Err(_) if max_tokens.is_some_and(|max| u64::from(tokens[sample as usize]) > max) => {
                            (TOO_LONG, None)
                        }
                        Err(_) => continue,
                    };
                    let (source, row_hash) = (candidates.blocks[block].source, index.row_hash[sample as usize]);
                    unseen.push((number, UnfitSample { source, what, detail, row_hash }));
                }
            }
            first += count;
        }
        Ok(Self(unseen))
    }

    /// Returns whether no candidate is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the list of a side without what is left out, which is added to `unfit`, and the number of its samples.
    pub(super) fn fitting(
        &self,
        context: &Context,
        list: &BlobId,
        unfit: &mut Vec<UnfitSample>,
    ) -> Result<(BlobId, u64), ActionError> {
        let mut kept = Vec::new();
        context.store.each_part(list, |part| {
            for number in part.as_chunks().0 {
                match self.0.binary_search_by_key(&u32::from_le_bytes(*number), |(number, _)| *number) {
                    Ok(at) => unfit.push(self.0[at].1.clone()),
                    Err(_) => kept.extend_from_slice(number),
                }
            }
            Ok::<_, ActionError>(())
        })?;
        let samples = kept.len() as u64 / 4;
        Ok((context.store.put(&kept)?, samples))
    }
}

/// Says what a model refuses, as what there is no place for.
fn what(reason: Reason) -> &'static str {
    match reason {
        Reason::NothingTrained => "a sample of which nothing is trained on",
        Reason::SpecialToken => "a text that holds a control token",
        Reason::NotEncoded => "a text that the tokenizer changes",
        _ => "what the chat template does not write",
    }
}
