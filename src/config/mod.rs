//! YAML to a validated [`Recipe`], or every fault in it with its place.
//!
//! [`load`] is pure: text in, recipe or [`Problem`]s out. The usual way is serde; only when something is wrong is the
//! text parsed again with positions, so that all faults of a file are reported at once, each at its line and column.

pub mod recipe;

pub use recipe::{
    Dataset, DeduplicationMethod, Filter, Format, MaxRejects, Metadata, Mix, Recipe, SplitMethod, Strategy, Unit,
    Validation,
};
