//! Packs the samples of a side in rows, for a target that asks for that.

use std::sync::Arc;

use super::{context::Context, error::ActionError, output::Candidates};
use crate::{
    cache::Blobs,
    graph::PackedRows,
    system::ScratchFolder,
    writer::{Order, UnfitSample},
};
use datac_core::{
    encoded::{Notes, WEIGHTED},
    id::BlobId,
    pack::{self, Item, OVERLONG},
    sort::{Sorter, halves, whole},
};

/// Memory for sorting samples, in bytes; more of them are sorted in files.
const SORTED_BYTES: usize = 48 << 20;

/// Size of the parts in which a list is stored, in bytes.
const PART: usize = 64 << 10;

/// One more than the largest half of a hash.
const HALVES: u64 = 1 << 32;

/// The samples of a side in rows.
pub(super) struct PackedSide {
    pub(super) order: Order,
    pub(super) rows: PackedRows,
    /// The samples that have no place in a row.
    pub(super) unfit: Vec<UnfitSample>,
}

/// Packs the samples of a side, given by the blob that lists them, in rows of at most `room` tokens.
pub(super) fn pack(
    context: &Context,
    candidates: &Candidates<'_>,
    list: &BlobId,
    samples: u64,
    room: u32,
) -> Result<PackedSide, ActionError> {
    let scratch = ScratchFolder::at(&context.outputs.scratch);
    let mut uses = vec![0_u32; candidates.blocks.iter().map(|block| block.candidates as usize).sum()];
    context.store.each_part(list, |part| {
        for number in part.as_chunks().0 {
            uses[u32::from_le_bytes(*number) as usize] += 1;
        }
        Ok::<_, ActionError>(())
    })?;
    // Samples with one prompt stand together, in the order of their hashes.
    let mut of_prompts = Sorter::<6>::new(&scratch, SORTED_BYTES, HALVES);
    let (mut unfit, mut number, mut kept) = (Vec::new(), 0, 0_u64);
    for block in 0..candidates.blocks.len() {
        for sample in candidates.sizes(context, block)? {
            let uses = uses[number as usize];
            let what = match sample {
                _ if sample.tokens > room => Some(OVERLONG),
                _ if sample.notes.has(Notes::WEIGHTED) => Some(WEIGHTED),
                _ => None,
            };
            if let Some(what) = what {
                let source = candidates.blocks[block].source;
                let sample = UnfitSample { source, what, detail: None, row_hash: sample.row_hash };
                unfit.extend(std::iter::repeat_n(sample, uses as usize));
            } else {
                let ([a, b], [c, d]) = (halves(sample.prompt_hash), halves(sample.row_hash));
                (0..uses).try_for_each(|_| of_prompts.push([a, b, c, d, number, sample.tokens]))?;
                kept += u64::from(uses);
            }
            number += 1;
        }
    }
    debug_assert_eq!(kept + unfit.len() as u64, samples, "the list names the candidates");
    let mut items = Sorter::<4>::new(&scratch, SORTED_BYTES, HALVES);
    let (mut last, mut before) = (None, 0);
    of_prompts.finish()?.each(|[a, b, _, _, number, tokens]| {
        let prompt = whole([*a, *b]);
        before = if last.replace(prompt) == Some(prompt) { before + 1 } else { 0 };
        let [a, b] = halves(pack::key(prompt, before));
        items.push([a, b, *number, *tokens])?;
        Ok::<_, ActionError>(())
    })?;
    let (items, mut ends, mut end) = (items.finish()?, Vec::new(), 0);
    let samples = context.store.put_parts::<ActionError>(kept * 4, |push| {
        let mut part = Vec::with_capacity(PART);
        let records = items.records().map(|record| {
            let [a, b, number, tokens] = record?;
            Ok::<_, ActionError>(Item { key: whole([a, b]), tokens, number })
        });
        pack::pack(records, room, |row| {
            end += row.len() as u32;
            ends.push(end);
            row.iter().for_each(|item| part.extend_from_slice(&item.number.to_le_bytes()));
            if part.len() >= PART {
                push(&part)?;
                part.clear();
                context.check()?;
            }
            Ok(())
        })?;
        push(&part)
    })?;
    let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
    let rows = PackedRows { samples, ends: context.store.put(&bytes)? };
    Ok(PackedSide { order: Order::packed(samples, Arc::new(ends)), rows, unfit })
}
