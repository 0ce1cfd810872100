//! The one walk from a tree to a [`Recipe`]; it never stops at the first fault.

mod dataset;
mod read;
mod recipe;
pub(super) mod rules;

use super::{Vocabulary, problem::Fault, recipe::Recipe, tree::Node};

pub(super) use recipe::PHASES;
pub(super) use rules::language_codes;

/// Keys by where they may stand, as messages name the place.
pub(super) const PLACES: &[(&str, &[&str])] = &[
    ("the recipe", RECIPE_KEYS),
    ("`metadata`", METADATA_KEYS),
    ("a dataset", DATASET_KEYS),
    ("`validation`", VALIDATION_KEYS),
    ("`mix`", MIX_KEYS),
    ("a `length` filter", LENGTH_KEYS),
    ("a `quality` filter", QUALITY_KEYS),
    ("a `code_quality` filter", CODE_QUALITY_KEYS),
    ("a `language` filter", LANGUAGE_KEYS),
    ("a `deduplication` filter", DEDUPLICATION_KEYS),
];

const RECIPE_KEYS: &[&str] = &["metadata", "datasets", "validation", "mix", "max_rejects"];
const METADATA_KEYS: &[&str] = &["phase", "description", "total_tokens", "max_seq_length", "version"];
const DATASET_KEYS: &[&str] = &[
    "name",
    "source",
    "format",
    "mix_ratio",
    "splits",
    "max_samples",
    "text_field",
    "config_name",
    "data_dir",
    "revision",
    "converter",
    "options",
    "filters",
];
const VALIDATION_KEYS: &[&str] = &["ratio", "seed", "stratified", "method"];
const MIX_KEYS: &[&str] = &["strategy", "total", "unit"];
const LENGTH_KEYS: &[&str] = &["type", "min_length", "max_length"];
const QUALITY_KEYS: &[&str] = &["type", "min_score"];
const CODE_QUALITY_KEYS: &[&str] = &["type", "min_code_ratio"];
const LANGUAGE_KEYS: &[&str] = &["type", "languages"];
const DEDUPLICATION_KEYS: &[&str] = &["type", "method"];

/// Walks a tree: the recipe if all of it is sound, and every fault.
///
/// Neither is there when the tree holds something its parser has refused.
pub(super) fn check(root: &Node<'_>, vocabulary: &Vocabulary) -> (Option<Recipe>, Vec<Fault>) {
    let mut checker = Checker { vocabulary, faults: Vec::new() };
    let recipe = checker.recipe(root);
    (recipe.filter(|_| checker.faults.is_empty()), checker.faults)
}

/// The faults found so far, and what the rest of the program knows.
struct Checker<'v> {
    vocabulary: &'v Vocabulary,
    faults: Vec<Fault>,
}
