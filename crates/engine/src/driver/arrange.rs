//! Runs an arrangement: reads the hashes of all selected samples, and stores two ordered lists.

use super::{
    context::Context,
    error::ActionError,
    select::{selection, tokens},
};
use crate::{
    cache::Store,
    graph::{ArrangeOutcome, SelectedSource},
    system::ScratchFolder,
};
use datac_core::{
    config::{Unit, Validation},
    failure::{Failure, FailureKind},
    id::BlobId,
    mix::{self, Allotment, Candidate, Candidates, SortMemory, arrange::AcrossSources},
    outputs::{BySide, Side},
    sort::Sorted,
};

/// Memory for sorting one recipe's rows, in bytes: enough for some four million. More rows are sorted in files.
const SORTED_BYTES: usize = 48 << 20;

/// Size of the parts in which a list is stored, in bytes.
const PART: usize = 64 << 10;

/// Mixes, splits and orders the samples of `sources`.
pub(crate) fn arrange(
    context: &Context,
    sources: &[SelectedSource],
    allotment: &Allotment,
    unit: Unit,
    validation: &Validation,
    sides: BySide<bool>,
) -> Result<ArrangeOutcome, ActionError> {
    let kept: u64 = sources.iter().map(|source| source.selected.kept).sum();
    if kept.max(allotment.total) > u64::from(u32::MAX) {
        let rows = kept.max(allotment.total);
        let message = format!("an output can have at most 4,294,967,295 rows, but {rows} were requested");
        return Err(ActionError::Failure(
            Failure::plain(FailureKind::Config, message).hint("set `max_samples` or `mix.total`"),
        ));
    }
    let scratch = ScratchFolder::at(&context.outputs.scratch);
    let memory = SortMemory { scratch: &scratch, bytes: SORTED_BYTES };
    let arranged = mix::arrange(&Selected { context, sources, unit }, allotment, validation, memory)?;
    let mut lists = BySide::default();
    let mut across = 0;
    for side in Side::ALL {
        if *sides.get(side) {
            let rows = arranged.realised.iter().map(|source| *source.rows.get(side)).sum();
            let mut repeats = AcrossSources::new(sources.iter().map(|source| source.selected.kept));
            *lists.get_mut(side) = Some(store(&context.store, arranged.rows.get(side), rows, &mut repeats)?);
            across += repeats.count;
        }
    }
    Ok(ArrangeOutcome { lists, realised: arranged.realised, mingled: arranged.mingled, across })
}

/// The selected samples of a recipe's sources. Each pass reads them from their indexes again.
pub(super) struct Selected<'a> {
    pub(super) context: &'a Context,
    pub(super) sources: &'a [SelectedSource],
    pub(super) unit: Unit,
}

impl Candidates for Selected<'_> {
    type Error = ActionError;

    fn count(&self) -> u64 {
        self.sources.iter().map(|source| source.selected.kept).sum()
    }

    fn sizes(&self) -> Vec<u64> {
        let size = |source: &SelectedSource| match self.unit {
            Unit::Rows => source.selected.kept,
            Unit::Characters => source.selected.characters,
            Unit::Tokens => source.selected.tokens,
        };
        self.sources.iter().map(size).collect()
    }

    fn side(&self, source: usize) -> Option<Side> {
        self.sources[source].role.side()
    }

    fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), ActionError>) -> Result<(), ActionError> {
        let mut number = 0;
        for (source, selected) in self.sources.iter().enumerate() {
            let selection = selection(self.context, &selected.selected)?;
            for (i, chunk) in selected.chunks.iter().enumerate().take(selection.chunks()) {
                self.context.check()?;
                let index = self.context.indexes.of(chunk)?;
                let tokens = match (self.unit, chunk.tokens) {
                    (Unit::Tokens, Some(digest)) => tokens(self.context, &digest, index.len())?,
                    (Unit::Tokens, None) => return Err(uncounted()),
                    _ => Vec::new(),
                };
                let wholes = index.wholes();
                let whole = |sample: usize| wholes.as_ref().map(|wholes| wholes[sample]);
                let mut before = None;
                for sample in selection.samples(i).map(|sample| sample as usize) {
                    let own = whole(sample);
                    take(&Candidate {
                        source,
                        number,
                        row_hash: index.row_hash[sample],
                        prompt_hash: index.prompt_hash[sample],
                        folded_hash: index.folded_hash[sample],
                        units: match self.unit {
                            Unit::Rows => 1,
                            Unit::Characters => index.characters[sample],
                            Unit::Tokens => tokens[sample],
                        },
                        continues: own.is_some() && std::mem::replace(&mut before, own) == own,
                    })?;
                    number += 1;
                }
            }
        }
        Ok(())
    }
}

fn uncounted() -> ActionError {
    ActionError::Failure(Failure::new(FailureKind::Cache, "count tokens: a chunk has no column of them"))
}

/// Stores a list of `rows` rows: the sample number of each as 4 bytes, little-endian. `repeats` sees each.
fn store(store: &Store, list: &Sorted<3>, rows: u64, repeats: &mut AcrossSources) -> Result<BlobId, ActionError> {
    store.put_parts(rows * 4, |push| {
        let mut part = Vec::with_capacity(PART);
        list.each(|row| {
            repeats.see(*row);
            let [_, _, sample] = row;
            part.extend_from_slice(&sample.to_le_bytes());
            if part.len() < PART {
                return Ok(());
            }
            push(&part)?;
            part.clear();
            Ok::<_, ActionError>(())
        })?;
        push(&part)
    })
}
