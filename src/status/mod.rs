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
    /// Its outputs are what they would be if they were built now.
    Fresh,
    /// Something its outputs stand on has changed.
    Stale,
    /// It was never built.
    New,
    /// A file is missing, and the cache has it.
    Cached,
    /// An output was changed by hand.
    Edited,
    /// It cannot be built as it is.
    Invalid,
    /// Its recipe is gone, its outputs are not.
    Orphan,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::Fresh, Self::Stale, Self::New, Self::Cached, Self::Edited, Self::Invalid, Self::Orphan];

    /// The word that is printed.
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
    /// What changed, where it is a value that changed.
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
    /// As it was written.
    Same,
    /// Not there.
    Missing,
    /// Other bytes than were written.
    Edited,
}

/// One output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileStatus {
    /// Its name in the output folder.
    pub name: String,
    /// Its state against the last build.
    pub state: FileState,
    /// Its rows at the last build.
    pub rows: u64,
    /// Its bytes at the last build.
    pub bytes: u64,
    /// BLAKE3 of its bytes at the last build.
    pub blake3: FileHash,
}

/// The state of one recipe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RecipeStatus {
    /// Its name, `sft/general`.
    pub name: String,
    /// Its path relative to the workspace.
    pub path: String,
    /// Its state.
    pub state: State,
    /// Why it is in that state.
    pub reasons: Vec<Reason>,
    /// What is wrong with the recipe itself.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// What else keeps it from being built.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// Its files as they were last built.
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

/// A change as people say it.
fn in_words(change: &Change) -> String {
    let version = |value: &str| value.split('+').next().unwrap_or(value).to_owned();
    if change.name.starts_with("converter of ") || change.name.starts_with("scorer ") {
        let what = if change.name.starts_with("scorer ") { change.name.as_str() } else { "converter" };
        return match (&change.old, &change.new) {
            (Some(old), Some(new)) if version(old) == version(new) => format!("{what} {} has other code", version(new)),
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
