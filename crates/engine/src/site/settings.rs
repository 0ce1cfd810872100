//! The settings that a workspace is opened with.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{event::Observer, graph::code_versions, remote::keys::Signing};
use datac_core::{code::CodeVersions, config::Defaults};

/// Locations of a workspace, and access options: one field each, since programs of others name those they set.
#[derive(Clone)]
pub struct Settings {
    /// The folder of the workspace.
    pub root: PathBuf,
    /// The cache folder; by default `cache` in the workspace.
    pub cache_dir: Option<PathBuf>,
    /// The output folder; by default `dataset` in the workspace.
    pub output_dir: Option<PathBuf>,
    /// A URL, a folder or `sample`; by default the public Hub.
    pub hub: Option<String>,
    /// Whether `datac.toml` alone names the hub: it may come from elsewhere with the workspace, so the token of whoever builds is not
    /// sent to a host that it names.
    pub is_hub_from_file: bool,
    /// The interpreter for functions in Python; by default that of the active virtual environment, or `python3`.
    pub python: Option<PathBuf>,
    /// The shared cache: a folder or an address; none by default.
    pub remote: Option<String>,
    /// What results that are added to the shared cache are signed with.
    pub signing: Signing,
    /// Whether the network is disabled.
    pub offline: bool,
    /// What holds for recipes that do not say otherwise.
    pub defaults: Defaults,
    /// Set when the user interrupts datac.
    pub interrupt: Arc<AtomicBool>,
    /// Receives all events.
    pub observer: Observer,
    /// Versions of the code that decides bytes; only tests change them.
    #[doc(hidden)]
    pub versions: CodeVersions,
}

impl Settings {
    /// Creates default settings for a workspace at `root`, with an observer that ignores all events.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cache_dir: None,
            output_dir: None,
            hub: None,
            is_hub_from_file: false,
            python: None,
            remote: None,
            signing: Signing::default(),
            offline: false,
            defaults: Defaults::default(),
            interrupt: Arc::default(),
            observer: Arc::new(|_| {}),
            versions: code_versions(),
        }
    }

    /// Returns whether datasets come from the sample data inside the binary.
    pub fn is_on_sample(&self) -> bool {
        self.hub.as_deref() == Some("sample")
    }
}
