//! Provenance: the manifest that each build leaves, and what can be derived from it.
//!
//! `manifest.rs` names everything that a row went through. `trace/` follows rows in both directions, `blame/` names those
//! of a step of training, `diff/` compares the rows of two builds, `history/` lists runs, what each did and why.

pub(crate) mod blame;
pub(crate) mod diff;
pub(crate) mod history;
pub(crate) mod manifest;
pub(crate) mod summary;
pub(crate) mod trace;
