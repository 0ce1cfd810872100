//! The rows that the filters of a recipe drop, each with its score.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Passed, Twin,
    back::passed,
    source_row::{SampleOf, SourcePlace},
};
use crate::{
    cache::{Access, Store},
    graph::{conversion_of, leaves, sources_of},
    provenance::manifest::MadeSource,
    selector::{assess_selected, one_recipe},
    site::{Site, WorkspaceError},
    status::assess::{Depth, Looks},
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::BlobId,
    mix::{
        Selection,
        stops::{Stopped, Stops},
    },
    quality::{Filter, ScoreColumn},
    sample::{self, SampleIndex},
    shape,
};

/// A row that a filter dropped.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DroppedRow {
    /// Location of the source row.
    pub source: SourcePlace,
    /// Which of the samples of its source row it is; `None` if the row yields only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleOf>,
    /// The filter, what it measured, and the bound.
    pub by: Passed,
    /// For deduplication, the earlier row that has the same text.
    pub twin: Option<Twin>,
    /// The row, as it would be in the output.
    #[schemars(with = "serde_json::Value")]
    pub row: Box<RawValue>,
}

/// How many rows a filter dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedRows {
    /// Rows that the filter dropped.
    pub dropped: u64,
    /// Rows that were shown.
    pub shown: u64,
}

/// Calls `each` with up to `limit` rows that the filter dropped, until `each` returns false.
///
/// `target` is a recipe or one of its outputs; `filter` is the `type` of one of its filters, or `column:` with the column. The
/// recipe is taken as it is now, and must have been built, or refused, like that: the scores come from the cache.
pub(crate) fn dropped(
    site: &Site,
    target: &str,
    filter: &str,
    limit: u64,
    mut each: impl FnMut(DroppedRow) -> bool,
) -> Result<DroppedRows, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let path = one_recipe(site, target, &record)?;
    let looks = Looks { depth: Depth::Close, ..Looks::default() };
    let session = assess_selected(site, record.clone(), &[path], looks)?;
    let assessed = session.recipes.first();
    let Some((assessed, file, recipe)) =
        assessed.and_then(|assessed| Some((assessed, assessed.file?, assessed.recipe.as_ref()?)))
    else {
        let problems = assessed.map(|assessed| assessed.status.problems.clone()).unwrap_or_default();
        return Err(WorkspaceError::Problems(problems));
    };
    let name = &assessed.text.name;
    let filters = || recipe.datasets.iter().flat_map(|dataset| &dataset.filters);
    if !filters().any(|own| own.is_called(filter)) {
        let failure = Failure::plain(FailureKind::Config, format!("`{name}` has no filter `{filter}`"));
        let mut known: Vec<_> = filters().map(Filter::name).collect();
        known.sort_unstable();
        known.dedup();
        let hint =
            if known.is_empty() { "it has no filters".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(failure.hint(hint).into());
    }
    let Some(sources) = sources_of(&session.planner, file) else {
        let failure = Failure::plain(FailureKind::Config, format!("`{name}` has not been built as it is now"));
        return Err(failure.hint(format!("run `datac build {name}` first")).into());
    };
    let leaves = leaves(&session.planner, file);
    let store = site.cache.store(&record);
    let (mut counts, mut goes_on) = (DroppedRows { dropped: 0, shown: 0 }, true);
    for (number, (dataset, source)) in recipe.datasets.iter().zip(sources.iter()).enumerate() {
        if source.chunks.is_empty() || !dataset.filters.iter().any(|own| own.is_called(filter)) {
            continue;
        }
        let conversion = conversion_of(&session.planner, file, number);
        let made = MadeSource::new(recipe.metadata.kind, dataset, source, conversion.as_ref(), leaves);
        let reader = Reader { store: &store, made: &made };
        let selection = reader.selection()?;
        let (mut stops, mut rows): (_, Vec<Arc<SampleIndex>>) = (Stops::new(&made.filters), Vec::new());
        for (chunk, looked_at) in selection.rows_looked_at.iter().enumerate() {
            let index = Arc::new(reader.index(chunk)?);
            let wholes = index.wholes();
            let scores = reader.scores(chunk, wholes.as_deref())?;
            rows.push(index.clone());
            let samples = index.row.partition_point(|row| row < looked_at);
            let mut found: Vec<(usize, Stopped)> = Vec::new();
            let is_refused = |sample: usize| made.chunks[chunk].rejects(index.row[sample]);
            let added = stops.add(&scores, wholes.as_deref(), samples, is_refused, |sample, stopped| {
                if made.filters[stopped.filter].is_called(filter) {
                    found.push((sample, stopped));
                }
            });
            added.map_err(|error| reader.lost(error))?;
            counts.dropped += found.len() as u64;
            for (sample, stopped) in found {
                if counts.shown >= limit || !goes_on {
                    break;
                }
                let twin = stopped.twin.map(|(chunk, sample)| {
                    let place = SourcePlace::new(&made, &made.chunks[chunk], rows[chunk].row[sample]);
                    Twin { file: place.file, row: place.row }
                });
                counts.shown += 1;
                goes_on = each(DroppedRow {
                    source: SourcePlace::new(&made, &made.chunks[chunk], index.row[sample]),
                    sample: SampleOf::among(&index, sample),
                    by: passed(&made.filters[stopped.filter], &scores[stopped.filter], sample, &made.field),
                    twin,
                    row: reader.row(chunk, &index, sample)?,
                });
            }
        }
    }
    Ok(counts)
}

/// Reads what the cache holds of a source.
struct Reader<'s> {
    store: &'s Store,
    made: &'s MadeSource,
}

impl Reader<'_> {
    fn lost(&self, why: impl std::fmt::Display) -> WorkspaceError {
        let message = format!("read the rows of `{}`: {why}", self.made.name);
        Failure::new(FailureKind::Cache, message).hint("`datac build --force` recreates them").into()
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<Vec<u8>>, WorkspaceError> {
        let gone = |miss: crate::cache::Miss| self.lost(format!("artifact {}: {}", miss.digest.short(), miss.reason));
        self.store.peek(id).map_err(gone)
    }

    fn selection(&self) -> Result<Selection, WorkspaceError> {
        postcard::from_bytes(&self.blob(&self.made.selection)?).map_err(|error| self.lost(error))
    }

    fn index(&self, chunk: usize) -> Result<SampleIndex, WorkspaceError> {
        SampleIndex::decode(&self.blob(&self.made.chunks[chunk].index)?).map_err(|error| self.lost(error))
    }

    fn scores(&self, chunk: usize, wholes: Option<&[u32]>) -> Result<Vec<ScoreColumn>, WorkspaceError> {
        let column = |(filter, id): (&Filter, &BlobId)| {
            let column = ScoreColumn::decode(filter.scorer, &self.blob(id)?).map_err(|error| self.lost(error))?;
            column.of_parts(wholes).ok_or_else(|| self.lost("scores do not match samples"))
        };
        self.made.filters.iter().zip(&self.made.chunks[chunk].scores).map(column).collect()
    }

    fn row(&self, chunk: usize, index: &SampleIndex, sample: usize) -> Result<Box<RawValue>, WorkspaceError> {
        let blob = self.blob(&self.made.chunks[chunk].written)?;
        let sample = sample::at(&blob, index.range(sample)).map_err(|error| self.lost(error))?;
        let row = shape::row(shape::DEFAULT, &sample, &self.made.name).map_err(|unfit| self.lost(unfit))?;
        let row = String::from_utf8(row).map_err(|error| self.lost(error))?;
        RawValue::from_string(row).map_err(|error| self.lost(error))
    }
}
