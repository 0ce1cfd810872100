//! Where each row of an output begins, for access by number.

use std::{
    fs::File,
    io::{BufRead, Seek, Write},
    os::unix::fs::FileExt,
};

use crate::errors::Fault;
use datac::{outputs::Container, system, workspace::OutputTable};

/// The rows of an output as lines of JSON, by number.
///
/// Rows that do not lie in a file as lines are copied into a temporary file without a name. Lines are read at their offsets, so any
/// number of threads, and processes that were forked, may read at once; the file stays the same one if a build replaces it.
pub(crate) struct Index {
    file: File,
    /// Where each row begins, and at last where the file ends.
    begins: Vec<u64>,
}

impl Index {
    pub(crate) fn new(table: &OutputTable) -> Result<Self, Fault> {
        let failed = |error| Fault::action(format!("read `{}`: {error}", table.path.display()));
        let (mut file, mut copied) = match table.container {
            Container::Jsonl => (system::open(&table.path)?, None),
            _ => {
                let file = tempfile::tempfile().map_err(failed)?;
                let copy = file.try_clone().map_err(failed)?;
                (file, Some(std::io::BufWriter::with_capacity(1 << 20, copy)))
            }
        };
        let mut lines = table.lines()?;
        let (mut begins, mut at) = (vec![0], 0);
        loop {
            let block = lines.fill_buf().map_err(failed)?;
            let length = block.len();
            if length == 0 {
                break;
            }
            begins.extend(memchr::memchr_iter(b'\n', block).map(|end| at + end as u64 + 1));
            if let Some(copied) = &mut copied {
                copied.write_all(block).map_err(failed)?;
            }
            lines.consume(length);
            at += length as u64;
        }
        if let Some(mut copied) = copied {
            copied.flush().map_err(failed)?;
        }
        file.rewind().map_err(failed)?;
        if begins.len() as u64 - 1 != table.rows || begins.last() != Some(&at) {
            return Err(Fault::action(format!("read `{}`: it has other rows than were built", table.path.display())));
        }
        Ok(Self { file, begins })
    }

    /// Returns the rows of a range, which must be there, as lines.
    pub(crate) fn rows(&self, rows: std::ops::Range<usize>) -> Result<String, Fault> {
        let (begin, end) = (self.begins[rows.start], self.begins[rows.end]);
        let mut bytes = vec![0; (end - begin) as usize];
        let failed = |error: &dyn std::fmt::Display| Fault::action(format!("read a row: {error}"));
        self.file.read_exact_at(&mut bytes, begin).map_err(|error| failed(&error))?;
        String::from_utf8(bytes).map_err(|error| failed(&error))
    }
}
