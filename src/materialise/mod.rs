//! Artifacts to output files: rows are gathered in their order and put in place atomically, if the bytes differ.

mod buckets;
mod budget;
mod deal;
mod fill;
mod former;
mod gather;
mod load;
mod share;
mod sink;
mod target;

pub use budget::Budget;
pub use former::{Former, FormerRow, GONE, Stands};
pub use gather::{Block, Fails, GatherError, Order, Place, Rows};
pub use load::warm;
pub use share::share;
pub use sink::Sink;
pub use target::Written;
