//! Exit codes: a stable interface.

use crate::failure::FailureKind;

/// Success, or everything is up to date.
pub const OK: u8 = 0;
/// A recipe failed, or `--check` or `--exit-code` found something out of date.
pub const FAILED: u8 = 1;
/// Incorrect usage, or an invalid recipe.
pub const USAGE: u8 = 2;
/// A source is unavailable.
pub const SOURCE: u8 = 3;
/// The lock forbids it, or a file does not match its pinned digest.
pub const LOCK: u8 = 4;
/// More rows were rejected than a recipe allows, or none are left.
pub const POLICY: u8 = 5;
/// The cache is damaged and rebuilding did not repair it.
pub const CACHE: u8 = 6;
/// Another process holds the lock, and `--no-wait` was given.
pub const LOCKED: u8 = 9;
/// A bug in datac.
pub const BUG: u8 = 70;
/// The user interrupted the process.
pub const INTERRUPTED: u8 = 130;

/// Returns the exit code of a failure.
pub fn of(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Action => FAILED,
        FailureKind::Config => USAGE,
        FailureKind::Source => SOURCE,
        FailureKind::Lock => LOCK,
        FailureKind::Policy => POLICY,
        FailureKind::Cache => CACHE,
        FailureKind::Interrupted => INTERRUPTED,
    }
}
