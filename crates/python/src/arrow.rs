//! The rows of an output as Arrow streams.

use std::io::{BufRead, Read};

use datac_encode::{EncodeError, Encoder, Format};
use rayon::prelude::*;

use crate::errors::Fault;
use datac::{Workspace, shape::facts::Column, workspace::OutputTable};

/// Number of bytes of rows that one thread encodes at a time.
const BLOCK: u64 = 4 << 20;

/// Encodes lines of JSON as Arrow streams, on all threads, and no more at a time than these work on.
pub(crate) struct Streams {
    columns: Vec<Column>,
    lines: Box<dyn BufRead + Send>,
    is_begun: bool,
}

impl Streams {
    pub(crate) fn new(table: &OutputTable, workspace: &Workspace) -> Result<Self, Fault> {
        let columns = workspace.outputs().columns(&table.name)?;
        Ok(Self { columns, lines: table.lines()?, is_begun: false })
    }

    /// Returns the next rows, each part as a stream of its own, all with the same schema; nothing at the end. A table without rows
    /// is one stream without rows.
    pub(crate) fn next_streams(&mut self) -> Result<Vec<Vec<u8>>, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::action(format!("read rows: {error}"));
        let mut blocks = Vec::new();
        while blocks.len() < rayon::current_num_threads() {
            let mut block = Vec::new();
            self.lines.by_ref().take(BLOCK).read_to_end(&mut block).map_err(|error| failed(&error))?;
            if block.last().is_some_and(|last| *last != b'\n') {
                self.lines.read_until(b'\n', &mut block).map_err(|error| failed(&error))?;
            }
            if block.is_empty() && (self.is_begun || !blocks.is_empty()) {
                break;
            }
            self.is_begun = true;
            blocks.push(block);
        }
        let streams: Result<_, EncodeError> = blocks.par_iter().map(|block| stream(block, &self.columns)).collect();
        streams.map_err(|error| failed(&error))
    }
}

fn stream(lines: &[u8], columns: &[Column]) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::new(Vec::with_capacity(lines.len()), Vec::new(), Format::Arrow, columns)?;
    for group in encoder.append(lines) {
        encoder.add(group.encode()?)?;
    }
    Ok(encoder.finish()?.0)
}
