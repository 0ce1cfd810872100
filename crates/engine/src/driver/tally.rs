//! Runs a tally: reads the hashes of all selected samples beside the arranged lists, and no text.

use super::{arrange::Selected, context::Context, error::ActionError};
use crate::{
    graph::{ArrangeOutcome, SelectedSource, TallyOutcome},
    system::ScratchFolder,
};
use datac_core::{
    config::Unit,
    mix::{SortMemory, tally::tally},
    outputs::Side,
};

/// Memory for sorting one recipe's rows and prompts, in bytes: enough for some three million. More are sorted in files.
const SORTED_BYTES: usize = 48 << 20;

/// Counts what is expected of the rows of `arranged`.
pub(super) fn run(
    context: &Context,
    sources: &[SelectedSource],
    arranged: &ArrangeOutcome,
    normalise: bool,
    counts_tokens: bool,
) -> Result<TallyOutcome, ActionError> {
    let scratch = ScratchFolder::at(&context.outputs.scratch);
    let memory = SortMemory { scratch: &scratch, bytes: SORTED_BYTES };
    let rows = |take: &mut dyn FnMut(Side, u32) -> Result<(), ActionError>| {
        for (side, list) in arranged.lists.iter() {
            let Some(list) = list else { continue };
            context.store.each_part(list, |part| {
                part.as_chunks().0.iter().try_for_each(|sample| take(side, u32::from_le_bytes(*sample)))
            })?;
        }
        Ok(())
    };
    let selected = Selected { context, sources, unit: Unit::Characters };
    let found = tally(&selected, &rows, normalise, memory)?;
    let tokens = match counts_tokens {
        true => {
            let memory = SortMemory { scratch: &scratch, bytes: SORTED_BYTES };
            tally(&Selected { unit: Unit::Tokens, ..selected }, &rows, normalise, memory)?.units
        }
        false => 0,
    };
    Ok(TallyOutcome { characters: found.units, repeated_prompts: found.repeated_prompts, tokens })
}
