//! The types of a validated recipe. Every [`Recipe`] can be built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Expectation, Model, Options};
use crate::{
    format::{Reading, RowFormat},
    outputs::{BySide, Side, Target},
    quality::Filter,
    sample::SampleKind,
};

/// One validated recipe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// The purpose of the recipe and the kind of its samples.
    pub metadata: Metadata,
    /// The sources in the order of the recipe, first those that are mixed; their names are unique.
    pub datasets: Vec<Dataset>,
    /// The split of rows into train and validation.
    pub validation: Validation,
    /// The way sources are combined.
    pub mix: Mix,
    /// The number of rows that may be rejected before the build fails; `None` for any number.
    pub max_rejects: Option<Amount>,
    /// The model that rows are rendered and encoded for.
    pub model: Option<Model>,
    /// What rows are written as, at least one; no two with the same folder.
    pub outputs: Vec<Target>,
    /// The models of outputs that are not those of the recipe's, by the name of the output's folder.
    pub models: BTreeMap<String, Model>,
    /// What the result is expected to be like.
    pub expect: Vec<Expectation>,
}

impl Recipe {
    /// Returns whether the native rows are written as they are by default.
    pub fn writes_native(&self) -> bool {
        self.outputs.contains(&Target::native())
    }

    /// Returns all models: the recipe's own, and those of outputs.
    pub fn all_models(&self) -> impl Iterator<Item = &Model> {
        self.model.iter().chain(self.models.values())
    }

    /// Returns the outputs that have a folder of their own.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.outputs.iter().filter(|target| **target != Target::native())
    }
}

/// The `metadata` block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metadata {
    /// The phase as written; its first word says what a sample is.
    pub phase: String,
    /// The sample kind that `phase` stands for.
    pub kind: SampleKind,
    /// A free text; datac does not act on it.
    pub description: Option<String>,
    /// A note for the trainer; datac does not act on it.
    pub total_tokens: Option<u64>,
    /// A note for the trainer; datac does not act on it.
    pub max_seq_length: Option<u64>,
    /// The recipe's own version; datac does not act on it.
    pub version: Option<String>,
}

/// One entry of `datasets`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dataset {
    /// The name, which no other source of the recipe has.
    pub name: String,
    /// The `source` written into each row, if that is not the name.
    pub written_as: Option<String>,
    /// What becomes of the rows.
    pub role: SourceRole,
    /// The place that rows come from.
    pub location: Location,
    /// The format of the files; `None` leaves it to their names.
    pub format: Option<RowFormat>,
    /// How rows are read where the bytes of a file do not say it.
    pub reading: Reading,
    /// The share of this source in the mixture, in (0, 1]; 0 for one that is not mixed.
    pub mix_ratio: f64,
    /// The splits to read, concatenated in this order.
    pub splits: Vec<String>,
    /// How many of the samples that pass the filters are taken, and which.
    pub take: Take,
    /// The field that filters measure: of the converted sample, else a column of the source row.
    pub text_field: Option<String>,
    /// The config of the Hub repository.
    pub config_name: Option<String>,
    /// The licence of the rows as the recipe states it: identifiers, none if it does not.
    pub license: Vec<String>,
    /// The folders to read, in this order; without any, all that the layout of the repository has.
    pub data_dir: Vec<String>,
    /// The name of the converter; `None` chooses one by repository, then by columns.
    pub converter: Option<String>,
    /// How rows become samples.
    pub options: Options,
    /// The filters, applied in this order.
    pub filters: Vec<Filter>,
}

/// What becomes of the rows of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SourceRole {
    /// They are mixed with those of other sources, and divided among the sides.
    #[default]
    Mixed,
    /// All of them make up one side.
    Held(Side, Overlap),
    /// They are not written: rows with their prompts are left out of the mixture.
    Excluded,
}

/// What becomes of rows of the mixture whose prompts are also in a source that makes up a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Overlap {
    /// They are left out.
    #[default]
    Remove,
    /// They stay, and are counted.
    Keep,
    /// The recipe is refused if there are any.
    Fail,
}

impl Overlap {
    /// Every policy by the word recipes use.
    pub const ALL: &[(&str, Overlap)] = &[("remove", Self::Remove), ("keep", Self::Keep), ("fail", Self::Fail)];
}

impl Dataset {
    /// Returns the `source` that is written into each row.
    pub fn row_source(&self) -> &str {
        self.written_as.as_deref().unwrap_or(&self.name)
    }

    /// Returns whether the rows are mixed with those of other sources.
    pub fn is_mixed(&self) -> bool {
        self.role == SourceRole::Mixed
    }
}

impl SourceRole {
    /// Returns the side that the rows make up, if they are not divided among the sides.
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Held(side, _) => Some(side),
            Self::Mixed | Self::Excluded => None,
        }
    }

    /// Says what becomes of the rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Held(side, _) => side.word(),
            Self::Excluded => "excluded",
        }
    }
}

/// How many of a dataset's samples are taken, and which. Only samples that pass the filters count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Take {
    /// All of them.
    #[default]
    All,
    /// The first of them in source order, this many (`max_samples`).
    First(u64),
    /// Those whose rows have the lowest hashes (`sample`).
    Sample(Sampling),
}

/// The `sample` block of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sampling {
    /// The number of samples to take.
    pub rows: u64,
    /// The seed of the hash that decides which.
    pub seed: u64,
}

impl Take {
    /// Returns the number of samples with which reading can stop.
    pub fn first(self) -> Option<u64> {
        match self {
            Self::First(max) => Some(max),
            Self::All | Self::Sample(_) => None,
        }
    }

    /// Returns the `sample` block, if there is one.
    pub fn sampling(self) -> Option<Sampling> {
        match self {
            Self::Sample(sampling) => Some(sampling),
            Self::All | Self::First(_) => None,
        }
    }
}

/// The place that the rows of a dataset come from, apart from the format of its files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// A repository of the hub.
    Hub {
        /// The id, such as `tatsu-lab/alpaca`, as the recipe has it.
        repo: String,
        /// The branch, tag or commit; `None` for `main`.
        revision: Option<String>,
    },
    /// Files and folders of the workspace.
    Local {
        /// The `source` of the recipe; of a list, the items with commas between them.
        path: String,
        /// Paths relative to the workspace, with or without wildcards.
        paths: Vec<String>,
    },
    /// Objects of buckets.
    Bucket {
        /// The `source` of the recipe; of a list, the items with commas between them.
        address: String,
        /// Addresses of objects or of what their names begin with, with or without wildcards.
        addresses: Vec<String>,
    },
    /// Whatever has this name: what lies there in the workspace, or else a repository of the hub.
    Named {
        /// The `source` of the recipe.
        name: String,
        /// The branch, tag or commit; `None` for `main`.
        revision: Option<String>,
    },
}

impl Location {
    /// Returns the `source` of the recipe.
    pub fn source(&self) -> &str {
        match self {
            Self::Hub { repo, .. } => repo,
            Self::Local { path, .. } => path,
            Self::Bucket { address, .. } => address,
            Self::Named { name, .. } => name,
        }
    }

    /// Returns the `revision` of the recipe, which files of the workspace and objects of buckets have none of.
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Hub { revision, .. } | Self::Named { revision, .. } => revision.as_deref(),
            Self::Local { .. } | Self::Bucket { .. } => None,
        }
    }

    /// Returns whether rows can only come from files of the workspace.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
    }

    /// Returns the paths of the workspace that rows may come from.
    pub fn paths(&self) -> &[String] {
        match self {
            Self::Hub { .. } | Self::Bucket { .. } => &[],
            Self::Local { paths, .. } => paths,
            Self::Named { name, .. } => std::slice::from_ref(name),
        }
    }
}

/// The words that recipes use for `format`: the first stands for a repository of the hub, whose files say by their names
/// what they are, the others for files of the workspace.
pub const FORMATS: &[(&str, Option<RowFormat>)] = &[
    ("huggingface", None),
    ("jsonl", Some(RowFormat::Jsonl)),
    ("json", Some(RowFormat::Json)),
    ("parquet", Some(RowFormat::Parquet)),
    ("arrow", Some(RowFormat::Arrow)),
    ("csv", Some(RowFormat::Csv)),
    ("txt", Some(RowFormat::Txt)),
];

/// Returns the word that recipes use for a format.
pub fn format_word(format: Option<RowFormat>) -> &'static str {
    FORMATS.iter().find(|(_, known)| *known == format).map_or("csv", |(word, _)| word)
}

/// How rows of the mixture are divided and ordered: the `validation` block, and `ratio` of the `test` block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The share of rows for validation, in [0, 1).
    pub ratio: f64,
    /// The share of rows for the test side, in [0, 1).
    pub test_ratio: f64,
    /// The seed of the split and of the order of rows.
    pub seed: u64,
    /// Whether each source gives its own share with `exact`. With `hash` it does so in expectation anyway.
    pub stratified: bool,
    /// The way the side of a row is found.
    pub method: SplitMethod,
    /// Whether prompts that differ in case and white space alone are one prompt.
    pub normalise: bool,
}

impl Validation {
    /// Returns which sides are written: those that take a share of the mixture, or are made up by a source of these roles.
    pub fn sides(&self, roles: impl Iterator<Item = SourceRole> + Clone) -> BySide<bool> {
        let is_held = |side| roles.clone().any(|role| role.side() == Some(side));
        BySide {
            train: true,
            validation: self.ratio > 0.0 || is_held(Side::Validation),
            test: self.test_ratio > 0.0 || is_held(Side::Test),
        }
    }
}

impl Default for Validation {
    /// What a recipe has that says nothing about it.
    fn default() -> Self {
        Self { ratio: 0.05, test_ratio: 0.0, seed: 42, stratified: true, method: SplitMethod::Hash, normalise: false }
    }
}

/// The way the side of a row is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SplitMethod {
    /// The hash of the prompt decides alone, so adding rows never moves old ones.
    Hash,
    /// The lowest-ranked prompts are held out: exactly floor(rows × ratio) rows.
    Exact,
}

impl SplitMethod {
    /// Every method by the word recipes use.
    pub const ALL: &[(&str, SplitMethod)] = &[("hash", Self::Hash), ("exact", Self::Exact)];
}

/// The `mix` block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// The way out when sizes and shares disagree.
    pub strategy: Strategy,
    /// The size of the mixture in `unit`; `None` leaves it to the strategy.
    pub total: Option<u64>,
    /// The unit that shares count.
    pub unit: Unit,
    /// What may be in the mixture once only.
    pub deduplicate: Option<Deduplicate>,
}

impl Default for Mix {
    /// What a recipe has that says nothing about it.
    fn default() -> Self {
        Self { strategy: Strategy::Repeat, total: None, unit: Unit::Rows, deduplicate: None }
    }
}

/// What may be in a mixture once only: of several rows, the first source's first one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deduplicate {
    /// What is compared.
    pub by: Unique,
    /// Whether texts that differ in case and white space alone are the same.
    pub normalise: bool,
}

/// What is compared to tell whether rows are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unique {
    /// The prompt.
    Prompt,
    /// The whole row but its `source`.
    Row,
}

impl Unique {
    /// Every word by which recipes say what is compared.
    pub const ALL: &[(&str, Unique)] = &[("prompt", Self::Prompt), ("row", Self::Row)];
}

/// The way out when sizes and shares disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Short sources repeat; the total is the sum of the sizes.
    Repeat,
    /// No row repeats; the scarcest source sets the total.
    Cut,
}

impl Strategy {
    /// Every strategy by the word recipes use.
    pub const ALL: &[(&str, Strategy)] = &[("repeat", Self::Repeat), ("cut", Self::Cut)];
}

/// The unit that shares count.
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

/// Returns the word that recipes use for a unit.
pub fn unit_word(unit: Unit) -> &'static str {
    Unit::ALL.iter().find(|(_, known)| *known == unit).map_or("rows", |(word, _)| word)
}

/// A number of rows, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Amount {
    /// A number of rows (an integer in the recipe).
    Count(u64),
    /// A share of the rows read (a fraction below 1, or `1%`).
    Share(f64),
}
