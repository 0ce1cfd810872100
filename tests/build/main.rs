//! Whole builds in workspaces made for the purpose: what runs after which edit, whether bytes are always the same, what
//! becomes of faults, and who ends up on which side of the split.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::type_complexity,
    reason = "tests arrange and damage files from outside, fail by panicking, say why they skip, and spell out tables"
)]

mod amounts;
mod archives;
mod bare_ids;
#[cfg(feature = "bucket")]
mod buckets;
mod cache;
mod card;
mod chained;
mod choice;
mod defaults;
mod determinism;
mod expected;
mod faults;
mod filtered;
mod golden;
mod harm;
mod incremental;
mod judged;
mod kept;
mod ledger;
mod models;
mod overlong;
mod own_models;
mod packed;
mod pushed;
mod python;
mod read_back;
mod remote;
#[cfg(feature = "bucket")]
#[path = "../support/bucket.rs"]
mod server;
mod shaped;
mod sides;
mod sources;
mod space;
mod split;
mod trace;
#[path = "../common/zip.rs"]
mod zip;
