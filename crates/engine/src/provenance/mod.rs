//! What outputs are made of: the manifest that each build leaves, and what can be told from it.
//!
//! `manifest.rs` names all that a row went through. `trace/` follows rows back and forth, `diff/` compares the rows of two
//! builds, `history/` tells which runs there were, what each did and why.

pub(crate) mod diff;
pub(crate) mod history;
pub(crate) mod manifest;
pub(crate) mod summary;
pub(crate) mod trace;
