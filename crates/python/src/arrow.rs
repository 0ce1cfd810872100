//! The rows of an output as Arrow streams.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
};

use arrow_array::{RecordBatch, RecordBatchReader, ffi_stream::FFI_ArrowArrayStream};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{StreamDecoder, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};
use datac_encode::{EncodeError, Encoder, Format};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rayon::prelude::*;

use crate::{
    errors::{Fault, caught},
    threads::on_threads,
};
use datac::{Workspace, outputs::Container, shape::facts::Column, system, workspace::OutputTable};

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

/// The rows of files that have the same columns, as record batches. A file is opened when its turn comes, and what has been given out
/// is kept no longer.
pub(crate) struct Batches {
    workspace: Workspace,
    tables: VecDeque<OutputTable>,
    open: Reader,
    /// Batches that were read and not given out yet.
    ready: VecDeque<RecordBatch>,
    schema: SchemaRef,
}

/// A file that is being read.
enum Reader {
    /// Lines of JSON, which are encoded on all threads.
    Lines(Streams),
    /// A columnar file.
    Columns(Box<dyn RecordBatchReader + Send>),
}

impl Batches {
    /// Opens the first of some files; there must be one.
    pub(crate) fn new(mut tables: VecDeque<OutputTable>, workspace: Workspace) -> Result<Self, Fault> {
        let Some(first) = tables.pop_front() else { return Err(Fault::action("read rows: there is no file")) };
        let mut open = Reader::new(&first, &workspace)?;
        let (schema, ready) = match &mut open {
            Reader::Columns(reader) => (reader.schema(), VecDeque::new()),
            // Even without rows there is one stream, which has the schema.
            Reader::Lines(streams) => {
                let (schema, batches) = decoded(on_threads(|| streams.next_streams())?).map_err(unreadable)?;
                (schema.ok_or_else(|| Fault::action("read rows: a stream has no schema"))?, batches)
            }
        };
        Ok(Self { workspace, tables, open, ready, schema })
    }

    /// Returns the batches as other libraries read them.
    pub(crate) fn into_stream(self) -> FFI_ArrowArrayStream {
        FFI_ArrowArrayStream::new(Box::new(self))
    }

    /// Returns the next batch; `None` at the end of the last file.
    fn read(&mut self) -> Result<Option<RecordBatch>, Fault> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            match &mut self.open {
                Reader::Columns(reader) => self.ready.extend(reader.next().transpose().map_err(unreadable)?),
                Reader::Lines(streams) => {
                    self.ready = decoded(on_threads(|| streams.next_streams())?).map_err(unreadable)?.1;
                }
            }
            if self.ready.is_empty() {
                let Some(table) = self.tables.pop_front() else { return Ok(None) };
                // Rows of two builds are no rows of an output.
                check_unchanged(&table, &self.workspace)?;
                self.open = Reader::new(&table, &self.workspace)?;
            }
        }
    }
}

/// Fails if a file has other bytes than when its output was opened.
pub(crate) fn check_unchanged(table: &OutputTable, workspace: &Workspace) -> Result<(), Fault> {
    if workspace.outputs().table(&table.name)?.digest != table.digest {
        return Err(Fault::action(format!("read `{}`: it was built again since it was opened", table.name)));
    }
    Ok(())
}

impl Reader {
    fn new(table: &OutputTable, workspace: &Workspace) -> Result<Self, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::action(format!("read `{}`: {error}", table.path.display()));
        Ok(match table.container {
            Container::Parquet => {
                let builder = ParquetRecordBatchReaderBuilder::try_new(system::open(&table.path)?)
                    .map_err(|error| failed(&error))?;
                Self::Columns(Box::new(builder.build().map_err(|error| failed(&error))?))
            }
            Container::Arrow => {
                let file = BufReader::new(system::open(&table.path)?);
                Self::Columns(Box::new(StreamReader::try_new(file, None).map_err(|error| failed(&error))?))
            }
            _ => Self::Lines(Streams::new(table, workspace)?),
        })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Whoever reads a C stream is told of an error by its text alone.
        caught(|| self.read()).map_err(|fault| ArrowError::ExternalError(fault.text().into())).transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Returns the batches of streams, which are as the encoder made them, and their schema; `None` if there are no streams.
fn decoded(streams: Vec<Vec<u8>>) -> Result<(Option<SchemaRef>, VecDeque<RecordBatch>), ArrowError> {
    let (mut schema, mut batches) = (None, VecDeque::new());
    for stream in streams {
        let (mut decoder, mut bytes) = (StreamDecoder::new(), Buffer::from_vec(stream));
        // The arrays of a batch stay where they are in the bytes.
        while let Some(batch) = decoder.decode(&mut bytes)? {
            batches.push_back(batch);
        }
        schema = decoder.schema().or(schema);
    }
    Ok((schema, batches))
}

fn unreadable(error: ArrowError) -> Fault {
    Fault::action(format!("read rows: {error}"))
}
