//! Writes samples to output files: rows are encoded in their order, and a file is put in place atomically, if its
//! bytes differ.
//!
//! An output is an order of samples. `rows.rs` cuts it into segments, which all threads encode in any order from
//! blobs in memory. If the blobs do not fit in memory, `spill.rs` first puts their samples in order on disk.
//! `file.rs` hashes the segments and appends them in order.

mod budget;
mod container;
mod file;
mod load;
mod rows;
mod share;
mod spill;

pub use budget::Budget;
pub use file::{OutputFile, Told, Written};
pub use load::warm;
pub use rows::{
    AtHand, Block, Encoder, Fails, Found, Order, OutputError, Rows, Slot, UnfitSample, WantedRow, check_version,
};
pub use share::share;
