//! Runs an arrangement: the hashes of all selected samples in, two ordered lists out.

use super::{
    select::{index, selection, tokens},
    step::{Context, Stop},
};
use crate::{
    config::{Unit, Validation},
    graph::{ArrangeOutcome, Failure, FailureKind, Realised, SelectedSource},
    hash::Digest,
    mix::{self, Allotment, Candidates},
};

/// Arranges the samples of `sources`.
pub(crate) fn arrange(
    context: &Context,
    sources: &[SelectedSource],
    allotment: &Allotment,
    unit: Unit,
    validation: &Validation,
) -> Result<ArrangeOutcome, Stop> {
    let kept: u64 = sources.iter().map(|source| source.selected.kept).sum();
    if kept.max(allotment.total) > u64::from(u32::MAX) {
        let message = format!("arrange {} rows: an output holds 4,294,967,295 at most", kept.max(allotment.total));
        return Err(Stop::Failure(
            Failure::new(FailureKind::Config, message).hint("set `max_samples`, or `mix.total`"),
        ));
    }
    let mut candidates = Candidates {
        ends: Vec::with_capacity(sources.len()),
        row_hash: Vec::with_capacity(kept as usize),
        prompt_hash: Vec::with_capacity(kept as usize),
        units: (unit != Unit::Rows).then(|| Vec::with_capacity(kept as usize)),
    };
    for source in sources {
        let selection = selection(context, &source.selected)?;
        for (i, chunk) in source.chunks.iter().enumerate().take(selection.chunks()) {
            context.check()?;
            let index = index(context, chunk)?;
            let samples = || selection.samples(i).map(|sample| sample as usize);
            candidates.row_hash.extend(samples().map(|sample| index.row_hash[sample]));
            candidates.prompt_hash.extend(samples().map(|sample| index.prompt_hash[sample]));
            if let Some(units) = &mut candidates.units {
                let counted = match (unit, chunk.tokens) {
                    (Unit::Tokens, Some(digest)) => tokens(context, &digest, index.len())?,
                    _ => index.characters,
                };
                units.extend(samples().map(|sample| counted[sample]));
            }
        }
        candidates.ends.push(candidates.len());
    }
    let (samples, arranged) = (candidates.len(), mix::arrange(&mut candidates, allotment, validation));
    let mut realised = vec![Realised::default(); sources.len()];
    let mut seen = vec![false; samples];
    for (side, rows) in [(0, &arranged.train), (1, &arranged.validation)] {
        for sample in rows {
            let realised = &mut realised[candidates.source(*sample)];
            if side == 0 {
                realised.train += 1
            } else {
                realised.validation += 1
            }
            realised.units += candidates.units(*sample);
            realised.repeats += u64::from(std::mem::replace(&mut seen[*sample as usize], true));
        }
    }
    Ok(ArrangeOutcome {
        train: context.store.put(&encode(&arranged.train))?,
        validation: context.store.put(&encode(&arranged.validation))?,
        realised,
    })
}

/// A list of rows: each place in the list of candidates as 4 bytes, little-endian.
fn encode(rows: &[u32]) -> Vec<u8> {
    rows.iter().flat_map(|row| row.to_le_bytes()).collect()
}

/// A list of rows as it was stored.
pub(crate) fn list(context: &Context, digest: &Digest) -> Result<Vec<u32>, Stop> {
    Ok(context.store.get(digest)?.as_chunks().0.iter().map(|row| u32::from_le_bytes(*row)).collect())
}
