//! Whole builds in workspaces made for the purpose: what runs after which edit, whether bytes are always the same, what
//! becomes of faults, and who ends up on which side of the split.
#![expect(clippy::disallowed_methods, reason = "a test arranges and damages files from outside")]

mod determinism;
mod faults;
mod incremental;
mod space;
mod split;
