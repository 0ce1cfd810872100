//! Fast paths after an edit: results of an earlier build are reused where they are proven to be the same.
//!
//! Nothing depends on the fast paths. If there is nothing to reuse, each entry point returns `None` and the slow path
//! does all the work with the same result; property tests hold the fast paths to the slow ones.
//!
//! - [`reuse_chunks`]: the chunks of a local file that was cut before. An edited source of 24 MB takes 3 ms instead
//!   of 18.
//! - [`reuse_output`]: the rows of an output in place, which are copied if they stay.

mod chunks;
mod output;

pub(crate) use chunks::{Part, ReusedChunks, pieces_of, reuse_chunks};
pub(crate) use output::reuse_output;
