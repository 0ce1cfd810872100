//! An indexed dataset of Megatron-LM, as `megatron.core.datasets.indexed_dataset` of megatron-core 0.16 reads it.
//!
//! ```text
//! .bin   the ids of all documents, one after another
//! .idx   MMIDIDX\0\0, version 1 (u64), code of the ids' type (u8), number of sequences (u64), that of documents and 1 (u64);
//!        the length of each sequence in ids (i32), where it begins in the .bin in bytes (i64);
//!        for each document the number of sequences before it, and that of all (i64)
//! ```
//!
//! A row is a document of one sequence. All numbers have their lowest byte first.

use std::io::{self, BufWriter, Write};

use crate::ids::Ids;
use datac_core::outputs::IdType;

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const VERSION: u64 = 1;

/// An indexed dataset that is being written.
pub(crate) struct Indexed<W: Write> {
    ids: W,
    index: W,
    of: IdType,
    /// The index begins with numbers that are known at the end: four bytes are held for each row until then.
    lengths: Vec<u32>,
}

impl<W: Write> Indexed<W> {
    pub(crate) fn new(ids: W, index: W, of: IdType) -> Self {
        Self { ids, index, of, lengths: Vec::new() }
    }

    /// Adds the rows of a group.
    pub(crate) fn add(&mut self, ids: &Ids) -> io::Result<()> {
        self.lengths.extend_from_slice(&ids.lengths);
        self.ids.write_all(&ids.bytes)
    }

    /// Writes the index; returns what the ids and the index were written to.
    pub(crate) fn finish(self) -> io::Result<(W, W)> {
        let Self { ids, index, of, lengths } = self;
        let count = lengths.len() as u64;
        let mut index = BufWriter::with_capacity(1 << 20, index);
        index.write_all(MAGIC)?;
        index.write_all(&VERSION.to_le_bytes())?;
        index.write_all(&[code(of)])?;
        index.write_all(&count.to_le_bytes())?;
        index.write_all(&(count + 1).to_le_bytes())?;
        lengths.iter().try_for_each(|length| index.write_all(&length.to_le_bytes()))?;
        let mut begin = 0_u64;
        for length in &lengths {
            index.write_all(&begin.to_le_bytes())?;
            begin += u64::from(*length) * of.bytes() as u64;
        }
        (0..=count).try_for_each(|document| index.write_all(&document.to_le_bytes()))?;
        Ok((ids, index.into_inner().map_err(io::IntoInnerError::into_error)?))
    }
}

/// Returns the code of `DType` for a type that Megatron-LM chooses.
fn code(of: IdType) -> u8 {
    match of {
        IdType::U16 => 8,
        IdType::U8 | IdType::U32 | IdType::I32 => 4,
    }
}
