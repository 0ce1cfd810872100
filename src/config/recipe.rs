//! The types of a validated recipe. Whoever holds a [`Recipe`] holds one that can be built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{quality::Filter, row::SampleKind};

/// One validated recipe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// What it is for and what it yields.
    pub metadata: Metadata,
    /// The sources, in the recipe's order; names unique.
    pub datasets: Vec<Dataset>,
    /// How rows are divided into train and validation.
    pub validation: Validation,
    /// How sources are combined.
    pub mix: Mix,
    /// How many rows may be rejected before the build fails; `None`: any number.
    pub max_rejects: Option<MaxRejects>,
}

/// The `metadata` block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metadata {
    /// The phase as written; its beginning says what a sample is.
    pub phase: String,
    /// The sample kind that `phase` stands for.
    pub kind: SampleKind,
    /// Free text.
    pub description: Option<String>,
    /// A note for the trainer; datac does not act on it.
    pub total_tokens: Option<u64>,
    /// A note for the trainer; datac does not act on it.
    pub max_seq_length: Option<u64>,
    /// The recipe's own version, a note.
    pub version: Option<String>,
}

/// One entry of `datasets`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dataset {
    /// The `source` written into each row.
    pub name: String,
    /// A Hub id such as `tatsu-lab/alpaca`, or a path relative to the workspace.
    pub source: String,
    /// Where and in what form the rows are.
    pub format: Format,
    /// This source's share of the mixture, in (0, 1].
    pub mix_ratio: f64,
    /// The splits to read, concatenated in this order.
    pub splits: Vec<String>,
    /// The first N rows that pass the filters, in source order.
    pub max_samples: Option<u64>,
    /// What filters measure: a field of the converted sample, else a column of the source row.
    pub text_field: Option<String>,
    /// The Hub config.
    pub config_name: Option<String>,
    /// Folders of the repo to read, in this order; empty: as the repo's layout says.
    pub data_dir: Vec<String>,
    /// Branch, tag or commit; `None`: `main`.
    pub revision: Option<String>,
    /// The converter by name; `None`: by repo id, then by columns.
    pub converter: Option<String>,
    /// The converter's options.
    pub options: BTreeMap<String, String>,
    /// The filters, applied in this order.
    pub filters: Vec<Filter>,
}

/// The form of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A Hub repo; file types by their names.
    Huggingface,
    /// JSON values, one a line.
    Jsonl,
    /// One JSON array, or values one after another.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, file or stream.
    Arrow,
    /// Comma-separated values with a header.
    Csv,
}

impl Format {
    /// Every format by the word recipes use.
    pub const ALL: &[(&str, Format)] = &[
        ("huggingface", Self::Huggingface),
        ("jsonl", Self::Jsonl),
        ("json", Self::Json),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("csv", Self::Csv),
    ];

    /// The word recipes use.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

/// The `validation` block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The share of rows that go to validation, in [0, 1).
    pub ratio: f64,
    /// Seeds the split and the order of rows.
    pub seed: u64,
    /// With `exact`: each source gives its own share. With `hash` each source does so in expectation anyway.
    pub stratified: bool,
    /// How the side of a row is found.
    pub method: SplitMethod,
}

/// How the side of a row is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SplitMethod {
    /// By the prompt's hash alone: adding rows never moves old ones.
    Hash,
    /// Exactly floor(rows × ratio) rows, the lowest-ranked prompts.
    Exact,
}

impl SplitMethod {
    /// Every method by the word recipes use.
    pub const ALL: &[(&str, SplitMethod)] = &[("hash", Self::Hash), ("exact", Self::Exact)];
}

/// The `mix` block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// What happens when sizes and shares disagree.
    pub strategy: Strategy,
    /// How much the mixture holds, in `unit`; `None`: what the strategy says.
    pub total: Option<u64>,
    /// What shares count.
    pub unit: Unit,
}

/// What happens when sizes and shares disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// The total is the sum of the sizes; a short source repeats.
    Repeat,
    /// No row repeats; the total is what the scarcest source allows.
    Cut,
}

impl Strategy {
    /// Every strategy by the word recipes use.
    pub const ALL: &[(&str, Strategy)] = &[("repeat", Self::Repeat), ("cut", Self::Cut)];
}

/// What shares count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unit {
    /// Rows.
    Rows,
    /// Characters of the sample's text.
    Characters,
    /// Tokens of the sample's text.
    Tokens,
}

impl Unit {
    /// Every unit by the word recipes use.
    pub const ALL: &[(&str, Unit)] =
        &[("rows", Self::Rows), ("characters", Self::Characters), ("tokens", Self::Tokens)];
}

/// How many rows may be rejected before the build fails.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum MaxRejects {
    /// At most so many rows (an integer in the recipe).
    Count(u64),
    /// At most this share of the rows read (a fraction below 1, or `1%`).
    Share(f64),
}
