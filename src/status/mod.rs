//! The states of recipes, and reasons in words.

pub(crate) mod assess;
mod first_look;
pub(crate) mod pins;
pub(crate) mod plan_cache;

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{config::Problem, failure::Failure, hash::Change, id::FileHash};

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

/// One thing that makes a recipe what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// In words: `mix_ratio of alpaca 1.0 -> 0.7`.
    pub text: String,
    /// The value that changed, if the reason is a changed value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, change: None }
    }
}

impl From<Change> for Reason {
    fn from(change: Change) -> Self {
        Self { text: in_words(&change), change: Some(change) }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
    /// Number of rows at the last build.
    pub rows: u64,
    /// Size in bytes at the last build.
    pub bytes: u64,
    /// BLAKE3 of its bytes at the last build.
    pub blake3: FileHash,
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
    pub reasons: Vec<Reason>,
    /// Problems of the recipe itself.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// Any other failure that keeps the recipe from being built.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// Files of the recipe as of the last build.
    pub files: Vec<FileStatus>,
    /// The actions known to be missing, by kind.
    pub missing: BTreeMap<&'static str, usize>,
}

/// The states of all recipes that were asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Assessment {
    /// The recipes, by path.
    pub recipes: Vec<RecipeStatus>,
    /// YAML files that are no recipes.
    pub others: Vec<String>,
}

/// Returns a change as people say it.
fn in_words(change: &Change) -> String {
    let version = |value: &str| value.split('+').next().unwrap_or(value).to_owned();
    if change.name.starts_with("converter of ") || change.name.starts_with("scorer ") {
        let what = if change.name.starts_with("scorer ") { change.name.as_str() } else { "converter" };
        return match (&change.old, &change.new) {
            (Some(old), Some(new)) if version(old) == version(new) => {
                format!("the code of {what} {} changed", version(new))
            }
            (Some(old), Some(new)) => {
                let (old, new) = (version(old), version(new));
                match (old.split_once(' '), new.split_once(' ')) {
                    (Some((before, from)), Some((after, to))) if before == after => {
                        format!("{what} {before} {from} -> {to}")
                    }
                    _ => format!("{what} {old} -> {new}"),
                }
            }
            (None, Some(new)) => format!("{what} {}", version(new)),
            (Some(old), None) => format!("{what} {} no longer used", version(old)),
            (None, None) => what.to_owned(),
        };
    }
    let value = |value: &str| match value.rsplit_once(':') {
        Some((_, hex)) if hex.len() >= 40 => hex[..10].to_owned(),
        _ if value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => value[..10].to_owned(),
        _ => value.to_owned(),
    };
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("{} {} -> {}", change.name, value(old), value(new)),
        (None, Some(new)) => format!("{} added: {}", change.name, value(new)),
        (Some(old), None) => format!("{} removed (was {})", change.name, value(old)),
        (None, None) => change.name.clone(),
    }
}
