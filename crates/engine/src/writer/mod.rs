//! Samples to output files: rows are encoded in their order, and a file is put in place atomically, if its bytes differ.
//!
//! An output is an order over samples. `rows.rs` cuts it into segments, which all threads encode from blobs in memory in
//! whatever order; where blobs find no room there, `spill.rs` puts their samples in order on disk first. `file.rs` appends
//! segments in order, hashes and writes them.

mod budget;
mod file;
mod load;
mod rows;
mod share;
mod spill;

pub use budget::Budget;
pub use file::{OutputFile, Written};
pub use load::warm;
pub use rows::{AtHand, Block, Encoder, Fails, Found, Order, OutputError, Rows, Slot, WantedRow};
pub use share::share;
