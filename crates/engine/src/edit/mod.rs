//! Fast paths after an edit: what an earlier build left is taken over where it is proven to be the same.
//!
//! Nothing rests on them. Where there is nothing to take over, each entry point returns `None` and the slow path does the
//! whole work with the same result; property tests hold both to it.
//!
//! - [`reuse_chunks`]: the chunks of a local file that was cut before. An edited source of 24 MB takes 3 ms, not 18.
//! - [`reuse_output`]: the rows of an output in place, which are copied where they stay.

mod chunks;
mod output;

pub(crate) use chunks::{Part, ReusedChunks, pieces_of, reuse_chunks};
pub(crate) use output::reuse_output;
