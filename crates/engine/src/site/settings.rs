//! What a workspace is opened with.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{event::Observer, graph::code_versions};
use datac_core::code::CodeVersions;

/// Locations of a workspace, and access options.
#[derive(Clone)]
pub struct Settings {
    /// The workspace's folder.
    pub root: PathBuf,
    /// The cache; default `cache` in the workspace.
    pub cache_dir: Option<PathBuf>,
    /// Output folder; default `dataset` in the workspace.
    pub output_dir: Option<PathBuf>,
    /// A URL, a folder or `sample`; default: the public Hub.
    pub hub: Option<String>,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Set when the user wants to stop.
    pub interrupt: Arc<AtomicBool>,
    /// Told of everything that happens.
    pub observer: Observer,
    /// The versions of the code that decides bytes; for tests, which raise them.
    #[doc(hidden)]
    pub versions: CodeVersions,
}

impl Settings {
    /// Creates the defaults for a workspace at `root`, with no one watching.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cache_dir: None,
            output_dir: None,
            hub: None,
            offline: false,
            interrupt: Arc::default(),
            observer: Arc::new(|_| {}),
            versions: code_versions(),
        }
    }

    /// Returns whether datasets come from the sample inside the binary.
    pub fn is_on_sample(&self) -> bool {
        self.hub.as_deref() == Some("sample")
    }
}
