//! Runs a grouping: the hashes of all selected samples in, the selections of those that are left out.

use std::sync::Arc;

use super::{
    arrange::Selected,
    context::Context,
    error::ActionError,
    select::{selection, tokens},
};
use crate::{
    cache::{Blobs, Miss, MissReason},
    graph::{GroupedSource, Grouping, SelectedSource},
    system::ScratchFolder,
};
use datac_core::{
    config::{Deduplicate, SourceRole, Unique, Unit},
    mix::{
        Candidate, Candidates, Selection, SortMemory,
        group::{TakeMember, leaving},
    },
    sample::{self, SampleIndex, folded_row_hash},
};

/// Memory for sorting the hashes of one recipe's samples, in bytes: enough for some three million. More are sorted in
/// files.
const SORTED_BYTES: usize = 48 << 20;

/// Finds the samples that leave because of samples of other sources.
pub(crate) fn group(
    context: &Context,
    sources: &[SelectedSource],
    grouping: &Grouping,
) -> Result<Vec<GroupedSource>, ActionError> {
    let scratch = ScratchFolder::at(&context.outputs.scratch);
    let memory = SortMemory { scratch: &scratch, bytes: SORTED_BYTES };
    let selected = Selected { context, sources, unit: Unit::Rows };
    let each = |take: &mut TakeMember<'_, ActionError>| {
        let mut folded_rows = FoldedRows::new(context, sources, grouping);
        selected.each(&mut |candidate| {
            let same = match grouping.deduplicate {
                None => None,
                // The prompt of a text is all of it, so its parts stay or leave together.
                Some(Deduplicate { by: Unique::Prompt, .. }) if candidate.continues => None,
                Some(Deduplicate { by: Unique::Prompt, normalise: false }) => Some(candidate.prompt_hash),
                Some(Deduplicate { by: Unique::Prompt, normalise: true }) => Some(candidate.folded_hash),
                Some(Deduplicate { by: Unique::Row, normalise: false }) => Some(candidate.row_hash),
                Some(Deduplicate { by: Unique::Row, normalise: true }) => Some(folded_rows.next()?),
            };
            let prompt_hash = if grouping.normalise { candidate.folded_hash } else { candidate.prompt_hash };
            take(&Candidate { prompt_hash, ..*candidate }, same)
        })
    };
    let roles: Vec<SourceRole> = sources.iter().map(|source| source.role).collect();
    let leaving = leaving(selected.count(), &roles, grouping.deduplicate.is_some(), &each, memory)?;
    let (mut left, mut number) = (Vec::with_capacity(sources.len()), 0);
    for (source, grouped) in sources.iter().zip(&leaving.grouped) {
        let mut selection = selection(context, &source.selected)?;
        let mut columns: Option<(usize, Arc<SampleIndex>, Option<Vec<u32>>)> = None;
        selection.retain(|chunk, sample| {
            if columns.as_ref().is_none_or(|(at, ..)| *at != chunk) {
                let index = context.indexes.of(&source.chunks[chunk])?;
                let tokens =
                    source.chunks[chunk].tokens.map(|digest| tokens(context, &digest, index.len())).transpose()?;
                columns = Some((chunk, index, tokens));
            }
            number += 1;
            let (_, index, tokens) = columns.as_ref().expect("it was set");
            let sample = sample as usize;
            let tokens = tokens.as_ref().map_or(0, |tokens| tokens[sample]);
            Ok::<_, ActionError>((!leaving.has(number - 1)).then_some((index.characters[sample], tokens)))
        })?;
        let bytes = postcard::to_stdvec(&selection).expect("a selection is plain data");
        left.push(GroupedSource {
            selection: context.store.put(&bytes)?,
            kept: selection.kept,
            characters: selection.characters,
            tokens: selection.tokens,
            grouped: *grouped,
        });
    }
    Ok(left)
}

/// The hashes of folded rows, sample by sample as a grouping goes through them. They are in no index: few recipes ask for
/// them, and it takes all of a sample's text to make one.
struct FoldedRows<'a> {
    context: &'a Context,
    sources: &'a [SelectedSource],
    /// Source and chunk that come next.
    next: (usize, usize),
    /// The selection of that source, once it was asked for.
    selection: Option<Selection>,
    /// Hashes of the chunk before that, in reverse.
    hashes: Vec<u64>,
}

impl<'a> FoldedRows<'a> {
    fn new(context: &'a Context, sources: &'a [SelectedSource], grouping: &Grouping) -> Self {
        let sources = if grouping.reads_rows() { sources } else { &[] };
        Self { context, sources, next: (0, 0), selection: None, hashes: Vec::new() }
    }

    fn next(&mut self) -> Result<u64, ActionError> {
        loop {
            if let Some(hash) = self.hashes.pop() {
                return Ok(hash);
            }
            let (source, chunk) = self.next;
            // One past the last: there is no sample to be asked for.
            let Some(selected) = self.sources.get(source) else { return Ok(0) };
            let selection = match &mut self.selection {
                Some(selection) => selection,
                none => none.insert(selection(self.context, &selected.selected)?),
            };
            if chunk >= selection.chunks() {
                (self.next, self.selection) = ((source + 1, 0), None);
                continue;
            }
            self.next = (source, chunk + 1);
            let of_chunk = &selected.chunks[chunk];
            let index = self.context.indexes.of(of_chunk)?;
            let blob = self.context.store.get(&of_chunk.converted.rows)?;
            let miss = |why: String| Miss { digest: of_chunk.converted.rows, reason: MissReason::Damaged(why) };
            for at in selection.samples(chunk) {
                let sample = sample::at(&blob, index.range(at as usize)).map_err(|error| miss(error.to_string()))?;
                self.hashes.push(folded_row_hash(&sample));
            }
            self.hashes.reverse();
        }
    }
}
