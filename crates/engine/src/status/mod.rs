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
    /// Something its outputs stand on has changed.
    Stale,
    /// The recipe was never built.
    New,
    /// A file is missing, and the cache has it.
    Cached,
    /// An output was changed by hand.
    Edited,
    /// The recipe cannot be built in its current form.
    Invalid,
    /// The recipe is gone, but the outputs exist.
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
    /// Other bytes than were written.
    Edited,
}

/// One output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileStatus {
    /// Name of the file in the output folder.
    pub name: String,
    /// State of the file compared with the last build.
    pub state: FileState,
    /// The file at the last build.
    #[serde(flatten)]
    pub meta: FileMeta,
}

/// The state of one recipe.
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
    /// Problems of the recipe itself.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// Any other failure that keeps the recipe from being built.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// Files of the recipe as of the last build.
    pub files: Vec<FileStatus>,
    /// The actions known to be missing, by stage.
    pub missing: BTreeMap<Stage, usize>,
}

/// The states of all recipes that were asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Assessment {
    /// The recipes, by path.
    pub recipes: Vec<RecipeStatus>,
    /// YAML files that are no recipes.
    pub others: Vec<String>,
}
