//! Artifacts to output files: rows are gathered in their order and put in place atomically, if the bytes differ.

mod buckets;
mod budget;
mod gather;
mod load;
mod sink;
mod walk;

pub use budget::Budget;
pub use gather::{Block, Fails, GatherError, Order, Rows};
pub use sink::{Sink, Written};
