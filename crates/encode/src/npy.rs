//! Arrays of OLMo-core, as `numpy_dataset` of ai2-olmo-core 3.0 reads them.
//!
//! ```text
//! <name>.npy               the ids of all documents, one after another, without the header that NumPy's own files have
//! labels_mask_<name>.npy   for each id a byte: 1 if it is trained on
//! <name>.csv.gz            a line for each document: where it begins and ends, in ids, and the id of its row if rows have one
//! ```

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};

use crate::ids::Ids;

/// Arrays that are being written.
pub(crate) struct Npy<W: Write> {
    ids: W,
    mask: W,
    documents: GzEncoder<W>,
    /// Number of ids so far.
    end: u64,
}

impl<W: Write> Npy<W> {
    pub(crate) fn new(ids: W, mask: W, documents: W) -> Self {
        Self { ids, mask, documents: GzEncoder::new(documents, Compression::default()), end: 0 }
    }

    /// Adds the rows of a group.
    pub(crate) fn add(&mut self, ids: &Ids) -> io::Result<()> {
        let mut lines = Vec::new();
        for (number, length) in ids.lengths.iter().enumerate() {
            let begin = self.end;
            self.end += u64::from(*length);
            write!(lines, "{begin},{}", self.end)?;
            if let Some(name) = ids.names.get(number) {
                write!(lines, ",{name}")?;
            }
            lines.push(b'\n');
        }
        self.documents.write_all(&lines)?;
        self.ids.write_all(&ids.bytes)?;
        self.mask.write_all(&ids.mask)
    }

    /// Ends the files; returns what they were written to.
    pub(crate) fn finish(self) -> io::Result<(W, [W; 2])> {
        Ok((self.ids, [self.mask, self.documents.finish()?]))
    }
}
