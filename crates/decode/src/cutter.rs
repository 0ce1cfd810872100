//! Cuts a source file into chunks in one pass, in memory that does not grow with the file.
//!
//! Boundaries follow content: after a row whose hash falls below a threshold that grows with the row's length, so
//! chunks hold [`TARGET_BYTES`] on average and an edit moves no boundary but its own. A row appended to, edited in or
//! removed from a file therefore changes one chunk, or two where the edited row was a boundary.

use xxhash_rust::xxh3::xxh3_64;

use super::{DecodeError, chunk::Chunk, column_cutter::ColumnCutter, text_cutter::TextCutter};

/// Raised when the same file is cut elsewhere: it is part of every scan's key.
pub const CUTTER_VERSION: u32 = 1;

/// The average size of a chunk. Small enough that an edit costs little and two cores share a 4 MB source, large
/// enough that zstd has something to find and a 10 GB source makes no more than 20,000 records.
const TARGET_BYTES: u64 = 512 << 10;
/// No boundary before this, or files of tiny rows would make blobs of one row each.
const MIN_BYTES: usize = (TARGET_BYTES / 16) as usize;
/// A boundary at the latest here, whatever the rows hash to.
pub(super) const MAX_BYTES: usize = (TARGET_BYTES * 8) as usize;

/// Whether a chunk of `size` bytes ends after `row`.
pub(super) fn ends_after(row: &[u8], size: usize) -> bool {
    let threshold = (u64::MAX / TARGET_BYTES).saturating_mul(row.len() as u64);
    size >= MAX_BYTES || (size >= MIN_BYTES && xxh3_64(row) < threshold)
}

/// Yields the chunks of one file in order.
pub enum Cutter {
    /// Text formats.
    Text(Box<TextCutter>),
    /// Parquet and Arrow.
    Columns(Box<ColumnCutter>),
}

impl Cutter {
    /// The next chunk; `None` at the end of the file.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        match self {
            Self::Text(cutter) => cutter.next_chunk(),
            Self::Columns(cutter) => cutter.next_chunk(),
        }
    }
}
