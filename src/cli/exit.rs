//! Exit codes: a stable interface.

use crate::failure::FailureKind;

/// Everything that was asked for was done, or is fresh.
pub const OK: u8 = 0;
/// A target failed; or, with `--check` and `--exit-code`, something is stale.
pub const FAILED: u8 = 1;
/// The call or a recipe is wrong.
pub const USAGE: u8 = 2;
/// A source cannot be had.
pub const SOURCE: u8 = 3;
/// The lock does not allow it, or bytes are not those that were locked.
pub const LOCK: u8 = 4;
/// More rows were rejected than a recipe allows, or none is left.
pub const POLICY: u8 = 5;
/// The cache is damaged and rebuilding did not mend it.
pub const CACHE: u8 = 6;
/// Another process holds the lock, and `--no-wait` was given.
pub const LOCKED: u8 = 9;
/// A bug in datac.
pub const BUG: u8 = 70;
/// The user stopped it.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a failure.
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
