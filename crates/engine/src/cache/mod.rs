//! The cache: content-addressed blobs, the record of which action made which, and the ledger of runs.

mod codec;
mod contents;
mod database;
mod frames;
mod gc_schedule;
mod ledger;
mod recent;
mod record;
pub mod stat_cache;
mod store;
mod traits;
mod upkeep;

pub use contents::{CacheContents, DOWNLOADS, Held, LOCK, SCRATCH, SHARED};
pub use gc_schedule::GcSchedule;
pub use ledger::{Build, KEPT_RUNS, Noted, Run, RunId, RunOutcome};
pub use recent::Recent;
pub use record::{Access, BuiltDetail, FreshRecipe, OutputFile, Record, RecordError, Warn};
pub use store::{Miss, MissReason, Store, bytes_of, frame_to_keep, is_frame_of};
pub use traits::{Actions, Blobs};
pub use upkeep::{Gone, RecordedAction};

/// Version of everything below `cache/`. Each version has its own folder, so that versions never read each other's
/// files.
pub const CACHE_VERSION: &str = "v1";
