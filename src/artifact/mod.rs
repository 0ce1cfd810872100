//! The cache: content-addressed blobs, and the record of which action made which.

mod codec;
mod record;
mod store;

pub use record::{Access, BuiltDetail, FreshRecipe, OutputFile, Record, RecordError};
pub use store::{Miss, MissReason, Store};

/// The version of everything below `cache/`; another version is another folder, so neither reads the other's.
pub const CACHE_VERSION: &str = "v1";
