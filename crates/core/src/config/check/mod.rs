//! The walk from a tree to a [`Recipe`], which never stops at the first fault.

mod columns;
mod dataset;
mod expect;
mod filter;
mod held;
mod model;
mod output;
mod read;
mod recipe;
pub(super) mod rules;

use std::borrow::Cow;

use super::{Vocabulary, problem::Fault, recipe::Recipe, tree::Node};
use crate::quality::{self, ScoreKind};

pub(super) use model::SET_BY_DATAC;
pub(super) use recipe::PHASES;
pub(super) use rules::language_codes;

/// The keys of each block of a recipe, by the name of the block in messages.
const BLOCKS: &[(&str, &[&str])] = &[
    ("the recipe", RECIPE_KEYS),
    ("`metadata`", METADATA_KEYS),
    ("a dataset", DATASET_KEYS),
    ("`validation`", VALIDATION_KEYS),
    ("`test`", TEST_KEYS),
    ("`mix`", MIX_KEYS),
    ("`sample`", SAMPLE_KEYS),
    ("an entry of `output`", OUTPUT_KEYS),
    ("`expect`", EXPECT_KEYS),
    ("`model`", MODEL_KEYS),
];

const RECIPE_KEYS: &[&str] =
    &["metadata", "datasets", "validation", "test", "exclude", "mix", "max_rejects", "model", "output", "expect"];
const METADATA_KEYS: &[&str] = &["phase", "description", "total_tokens", "max_seq_length", "version"];
const DATASET_KEYS: &[&str] = &[
    "name",
    "source",
    "format",
    "delimiter",
    "field",
    "mix_ratio",
    "splits",
    "max_samples",
    "sample",
    "text_field",
    "config_name",
    "data_dir",
    "revision",
    "license",
    "converter",
    "options",
    "columns",
    "roles",
    "keep",
    "ignore",
    "rules",
    "filters",
];
const VALIDATION_KEYS: &[&str] = &["ratio", "seed", "stratified", "method", "normalise", "split", "overlap"];
const TEST_KEYS: &[&str] = &["ratio", "split", "overlap"];
const MIX_KEYS: &[&str] = &["strategy", "total", "unit", "deduplicate", "normalise"];
const SAMPLE_KEYS: &[&str] = &["rows", "seed"];
const OUTPUT_KEYS: &[&str] = &["shape", "name", "model", "container", "shards", "layout", "id", "pack"];
const EXPECT_KEYS: &[&str] = &[
    "rows",
    "train_rows",
    "validation_rows",
    "test_rows",
    "rejects",
    "characters",
    "tokens",
    "repeated_prompts",
    "shares",
];
const MODEL_KEYS: &[&str] = &[
    "source",
    "revision",
    "template",
    "arguments",
    "now",
    "train_on",
    "reasoning",
    "end_of_turn",
    "special_tokens",
    "max_tokens",
    "overlong",
];
const LIMIT_KEYS: &[&str] = &["min", "max"];

/// Returns the keys of a source that is not mixed: those of a dataset but its share.
fn unmixed_keys() -> impl Iterator<Item = &'static str> {
    DATASET_KEYS.iter().copied().filter(|key| *key != "mix_ratio")
}

/// Returns the keys of a block that may name a source of its own.
fn held_keys(own: &[&'static str]) -> Vec<&'static str> {
    own.iter().copied().chain(unmixed_keys()).collect()
}

/// Returns the keys of all places: blocks of the recipe and filters. Blocks that may name a source have their own keys.
pub(super) fn places() -> Vec<(Cow<'static, str>, Vec<&'static str>)> {
    let blocks = BLOCKS.iter().map(|(place, keys)| ((*place).into(), keys.to_vec()));
    blocks.chain(quality::filters().map(|scorer| (filter_place(scorer).into(), filter_keys(scorer)))).collect()
}

/// Returns the keys of all places, those of a source included where one may be named.
#[cfg(test)]
pub(super) fn all_places() -> Vec<(Cow<'static, str>, Vec<&'static str>)> {
    let with_source = |(place, keys): (Cow<'static, str>, Vec<&'static str>)| match &*place {
        "`validation`" | "`test`" => (place, held_keys(&keys)),
        _ => (place, keys),
    };
    let excluded = ("an entry of `exclude`".into(), unmixed_keys().collect());
    places().into_iter().map(with_source).chain([excluded]).collect()
}

/// Returns the name of a filter in messages.
fn filter_place(scorer: ScoreKind) -> String {
    format!("a `{}` filter", scorer.name())
}

/// Returns the keys of a filter.
fn filter_keys(scorer: ScoreKind) -> Vec<&'static str> {
    let unit = (!scorer.units().is_empty()).then_some("unit");
    ["type"].into_iter().chain(scorer.bound().keys()).chain(unit).collect()
}

/// Checks a tree, and returns all faults and, if there are none, the recipe.
///
/// There may be neither, if the parser has already reported a fault in the tree.
pub(super) fn check(root: &Node<'_>, vocabulary: &Vocabulary) -> (Option<Recipe>, Vec<Fault>) {
    let mut checker = Checker { vocabulary, faults: Vec::new(), has_model: false, has_ids: false };
    let recipe = checker.recipe(root);
    (recipe.filter(|_| checker.faults.is_empty()), checker.faults)
}

/// The faults found so far, and the names that recipes may use.
struct Checker<'v> {
    vocabulary: &'v Vocabulary,
    faults: Vec<Fault>,
    /// Whether the recipe has a `model`, whatever is wrong with it.
    has_model: bool,
    /// Whether rows of an output have columns of the source, and an `id` that datac gives them.
    has_ids: bool,
}
