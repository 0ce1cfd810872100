//! Pushes outputs to where others read them: a dataset repository of the Hub, a folder, or a bucket; and gets them back from the latter.

mod hub;
mod outputs;
mod pull;

pub use hub::Pushed;
pub use outputs::{PushedOutputs, PushedRecipe};
pub use pull::PulledOutputs;

pub(super) use pull::pull;

use schemars::JsonSchema;
use serde::Serialize;

use crate::site::{Site, WorkspaceError};
use datac_core::failure::{Failure, FailureKind};

/// Options of a push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// The branch of a repository; by default `main`.
    pub revision: Option<String>,
    /// What the commit in a repository is called; by default it names the recipe.
    pub message: Option<String>,
    /// The target that becomes a repository, by the name of its folder, if there are several.
    pub target: Option<String>,
    /// Whether to say what would be sent, and send nothing.
    pub dry_run: bool,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PushReport {
    /// Of a push to a dataset repository.
    Hub(Pushed),
    /// Of a push to a folder or a bucket.
    Outputs(PushedOutputs),
}

/// A file that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PushedFile {
    /// Path in the repository, or in the folder of the recipe.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// Whether it was not there, or had other bytes.
    pub is_new: bool,
}

/// Writes outputs to where `to` says.
pub(super) fn push(
    site: &Site,
    to: &str,
    selectors: &[String],
    options: &PushOptions,
) -> Result<PushReport, WorkspaceError> {
    if to.starts_with("hf://") {
        return hub::push(site, to, selectors, options).map(PushReport::Hub);
    }
    if !is_place(to) {
        let text = format!("`{to}` is neither an address nor the path of a folder");
        let hint = format!("write hf://{to} for a dataset repository, or ./{to} for a folder");
        return Err(Failure::plain(FailureKind::Config, text).hint(hint).into());
    }
    outputs::push(site, to, selectors, options).map(PushReport::Outputs)
}

/// Returns whether a text is an address, or a path that says that it is one: a folder must not be taken for a repository, or the other
/// way round.
pub(super) fn is_place(text: &str) -> bool {
    text.contains("://") || (!text.is_empty() && matches!(text.split('/').next(), Some("" | "." | "..")))
}
