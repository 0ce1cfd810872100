//! Writes samples to output files: rows are encoded in their order, and a file is put in place atomically, if its
//! bytes differ.
//!
//! An output is an order of samples (`order.rs`). `rows.rs` cuts it into segments, which all threads encode (`encoder.rs`) in
//! any order from blobs in memory. If the blobs do not fit in memory, `spill.rs` first puts their samples in order on disk.
//! `file.rs` hashes the segments and appends them in order.

mod budget;
mod container;
mod encoder;
mod file;
mod load;
mod order;
mod rows;
mod share;
mod spill;

pub use budget::Budget;
pub use container::Layout;
pub use encoder::{Encoder, UnfitSample};
pub use file::{OutputFile, Told, Written};
pub use load::warm;
pub use order::Order;
pub use rows::{AtHand, Block, Fails, Found, OutputError, Rows, Slot, WantedRow, check_version};
pub use share::share;
