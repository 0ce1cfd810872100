//! The states of recipes.

pub(crate) mod assess;
mod first_look;
pub(crate) mod pins;
pub(crate) mod plan_cache;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use datac_core::{config::Problem, failure::Failure, outputs::FileMeta, stage::Stage, stale::StaleReason};

/// The state of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The outputs are what a build would produce now.
    Fresh,
    /// Something that the outputs depend on has changed.
    Stale,
    /// The recipe has never been built.
    New,
    /// A file is missing, but can be written from the cache.
    Cached,
    /// An output was edited by hand.
    Edited,
    /// The recipe cannot be built in its current form.
    Invalid,
    /// The recipe was deleted, but its outputs exist.
    Orphan,
}

impl State {
    /// All states.
    pub const ALL: &[Self] =
        &[Self::Fresh, Self::Stale, Self::New, Self::Cached, Self::Edited, Self::Invalid, Self::Orphan];

    /// Returns the word that is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::New => "new",
            Self::Cached => "cached",
            Self::Edited => "edited",
            Self::Invalid => "invalid",
            Self::Orphan => "orphan",
        }
    }
}

/// The state of one output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// The file is as datac wrote it.
    Same,
    /// The file does not exist.
    Missing,
    /// The file has other bytes than datac wrote.
    Edited,
}

/// One output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileStatus {
    /// Name of the file in the output folder.
    pub name: String,
    /// State of the file compared with the last build.
    pub state: FileState,
    /// Digest, size and number of rows at the last build.
    #[serde(flatten)]
    pub meta: FileMeta,
}

/// The state of one recipe, with reasons.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RecipeStatus {
    /// Name of the recipe, such as `sft/general`.
    pub name: String,
    /// Path of the recipe relative to the workspace.
    pub path: String,
    /// State of the recipe.
    pub state: State,
    /// Reasons for the state.
    pub reasons: Vec<StaleReason>,
    /// Errors in the recipe itself.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// Another failure that keeps the recipe from being built.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// The files at the last build.
    pub files: Vec<FileStatus>,
    /// Number of actions known to be missing, by stage.
    pub missing: BTreeMap<Stage, usize>,
}

/// The states of the selected recipes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Assessment {
    /// The recipes, by path.
    pub recipes: Vec<RecipeStatus>,
    /// YAML files that are not recipes.
    pub others: Vec<String>,
}
