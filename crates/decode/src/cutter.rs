//! Cuts a source file into chunks in one pass, with memory independent of the size of the file.
//!
//! Boundaries depend on content: a chunk ends after a row whose hash is below a threshold, which grows with the
//! length of the row. Chunks therefore have [`TARGET_BYTES`] on average, and an edit only moves boundaries next to
//! it. Appending, editing or removing a row changes one chunk, or two if the row was a boundary.

use xxhash_rust::xxh3::xxh3_64;

use super::{DecodeError, chunk::Chunk, column_cutter::ColumnCutter, text_cutter::TextCutter};

/// Version of the cutter, which is part of the key of every scan. To be raised when the same file is cut elsewhere,
/// or when what a scan surveys of rows (`survey.rs` of the core) changes.
pub const CUTTER_VERSION: u32 = 5;

/// Average size of a chunk in bytes. Small enough that an edit costs little and two threads can share a 4 MB source;
/// large enough that zstd compresses well and a 10 GB source has no more than 20,000 chunks.
const TARGET_BYTES: u64 = 512 << 10;
/// Minimum size of a chunk; without it, files of tiny rows would have blobs of one row each.
const MIN_BYTES: usize = (TARGET_BYTES / 16) as usize;
/// Size at which a chunk ends whatever the hashes of its rows.
pub(super) const MAX_BYTES: usize = (TARGET_BYTES * 8) as usize;

/// Returns whether a chunk of `size` bytes ends after `row`.
pub(super) fn ends_after(row: &[u8], size: usize) -> bool {
    let threshold = (u64::MAX / TARGET_BYTES).saturating_mul(row.len() as u64);
    size >= MAX_BYTES || (size >= MIN_BYTES && xxh3_64(row) < threshold)
}

/// Cuts a file into chunks, in order.
pub enum Cutter {
    /// Text formats.
    Text(Box<TextCutter>),
    /// Parquet and Arrow.
    Columns(Box<ColumnCutter>),
}

impl Cutter {
    /// Returns the next chunk; `None` at the end of the file.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        match self {
            Self::Text(cutter) => cutter.next_chunk(),
            Self::Columns(cutter) => cutter.next_chunk(),
        }
    }
}
