//! The summary of a build: counts that are printed, recorded and given as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::{RecipePlan, SelectedSource};
use datac_core::{
    config::{Dataset, SourceRole},
    mapping::Path,
    mix::FilterCount,
    outputs::Side,
    rules::Mode,
};

/// Summary of a recipe's outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Number of training rows.
    pub train_rows: u64,
    /// Number of validation rows.
    pub validation_rows: u64,
    /// Number of test rows.
    pub test_rows: u64,
    /// Size of the files of all sides in bytes.
    pub bytes: u64,
    /// Number of rejected rows.
    pub rejects: u64,
    /// Summary of each source.
    pub sources: Vec<SourceSummary>,
}

/// Summary of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceSummary {
    /// Name of the source in the recipe.
    pub name: String,
    /// Whether its rows are mixed and divided; if not, they make up a side, or are excluded.
    pub mixed: bool,
    /// Number of its rows that were read.
    pub rows_read: u64,
    /// Number of those of which the converter made no sample, without a reason.
    #[serde(default)]
    pub rows_without_samples: u64,
    /// Number of samples that were kept.
    pub kept: u64,
    /// Number of rows before and after each filter, in order, then before and after comparing sources with each other.
    pub filters: Vec<FilterCount>,
    /// Rejected rows by reason code.
    pub rejects: BTreeMap<String, u64>,
    /// Number of turns that were joined to the turn before.
    pub joined_turns: u64,
    /// How many samples were made shorter, as `overlong` says.
    #[serde(default)]
    pub shortened: u64,
    /// How many texts were split, as `overlong` says.
    #[serde(default)]
    pub split: u64,
    /// Places where rules were broken and mended, by rule.
    #[serde(default)]
    pub repaired: BTreeMap<String, u64>,
    /// Places where rules were broken and nothing was done, by rule.
    #[serde(default)]
    pub warned: BTreeMap<String, u64>,
    /// Columns that were not used, with the number of rows in which they hold something.
    #[serde(default)]
    pub unused: BTreeMap<String, u64>,
    /// The share asked for, from 0 to 1. The shares of all sources add up to 1.
    pub asked: f64,
    /// The share it got, in the unit that the mixture counts.
    pub realised: f64,
    /// Number of rows on all sides.
    pub rows: u64,
    /// Number of those rows that are repeats.
    pub repeats: u64,
}

/// Summarises a recipe of these datasets all of whose actions have an outcome.
pub(crate) fn summarise(plan: &RecipePlan, datasets: &[Dataset]) -> Summary {
    let whole: f64 = datasets.iter().map(|dataset| dataset.mix_ratio).sum();
    let is_mixed = |source: &SelectedSource| source.role == SourceRole::Mixed;
    let mixed = plan.sources.iter().zip(&plan.arranged.realised).filter(|(source, _)| is_mixed(source));
    let units: u64 = mixed.map(|(_, realised)| realised.all_units()).sum();
    let sources: Vec<SourceSummary> = plan
        .sources
        .iter()
        .zip(&plan.arranged.realised)
        .zip(datasets)
        .map(|((source, realised), dataset)| SourceSummary {
            name: source.name.clone(),
            mixed: is_mixed(source),
            rows_read: source.selected.rows_read,
            rows_without_samples: source.selected.rows_without_samples,
            kept: source.selected.kept,
            filters: source.selected.filters.iter().cloned().chain(compared(source)).collect(),
            rejects: source.selected.rejects.iter().map(|(reason, count)| (reason.code().to_owned(), *count)).collect(),
            joined_turns: source.chunks.iter().map(|chunk| u64::from(chunk.converted.joined_turns)).sum(),
            shortened: source.chunks.iter().map(|chunk| u64::from(chunk.shortened)).sum(),
            split: source.chunks.iter().map(|chunk| u64::from(chunk.split)).sum(),
            repaired: broken(source, Mode::Repair),
            warned: broken(source, Mode::Warn),
            unused: unused(source, dataset),
            asked: dataset.mix_ratio / whole,
            realised: if units == 0 || !is_mixed(source) { 0.0 } else { realised.all_units() as f64 / units as f64 },
            rows: realised.all_rows(),
            repeats: realised.repeats,
        })
        .collect();
    let rows = |side| plan.rows(side);
    Summary {
        train_rows: rows(Side::Train),
        validation_rows: rows(Side::Validation),
        test_rows: rows(Side::Test),
        bytes: plan.named().filter(|(kind, ..)| kind.side().is_some()).filter_map(|(.., file)| Some(file?.bytes)).sum(),
        rejects: plan.quarantine.map_or(0, |file| file.rows),
        sources,
    }
}

/// Adds up the columns of a source that were not used: neither by its samples nor by a filter.
fn unused(source: &SelectedSource, dataset: &Dataset) -> BTreeMap<String, u64> {
    let filtered = dataset.filters.iter().filter_map(|filter| Path::parse(filter.column()?).ok());
    let filtered: Vec<Path> = filtered.collect();
    let is_unused = |column: &str| !filtered.iter().any(|path| path.is_in(|name| name == column));
    let mut unused = BTreeMap::new();
    let all = source.chunks.iter().flat_map(|chunk| &chunk.converted.unused);
    for (column, rows) in all.filter(|(column, _)| is_unused(column)) {
        *unused.entry(column.clone()).or_default() += u64::from(*rows);
    }
    unused
}

/// Adds up the places of a source where rules were broken, of those about which the same was done.
fn broken(source: &SelectedSource, mode: Mode) -> BTreeMap<String, u64> {
    let mut places = BTreeMap::new();
    let all = source.chunks.iter().flat_map(|chunk| &chunk.converted.broken);
    for broken in all.filter(|broken| broken.mode == mode) {
        *places.entry(broken.rule.to_string()).or_default() += u64::from(broken.places);
    }
    places
}

/// Returns the rows of a source before and after each comparison with other sources that rows left by.
fn compared(source: &SelectedSource) -> Vec<FilterCount> {
    let Some(grouped) = source.grouped else { return Vec::new() };
    let left = [
        ("exclude", grouped.excluded),
        ("test.overlap", grouped.held.test),
        ("validation.overlap", grouped.held.validation),
        ("mix.deduplicate", grouped.duplicates),
    ];
    let mut rows_in = source.selected.kept + left.iter().map(|(_, rows)| rows).sum::<u64>();
    let mut counts = Vec::new();
    for (filter, rows) in left.into_iter().filter(|(_, rows)| *rows > 0) {
        counts.push(FilterCount {
            filter: filter.to_owned(),
            rows_in,
            rows_out: rows_in - rows,
            ..FilterCount::default()
        });
        rows_in -= rows;
    }
    counts
}
