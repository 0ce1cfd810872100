//! Rows as JSON lines to columnar files: Parquet, with pages cut by content, and Arrow streams; and to files of bare token ids.
//!
//! A columnar file has the [columns](Column) of its shape. Values that have no one type, such as the arguments of tool calls, are JSON text,
//! and the file says so (Parquet's logical type JSON, Arrow's extension `arrow.json`): `datasets` 4.8 and later give them back as
//! objects, without the keys of other rows.

mod array;
mod group;
mod ids;
mod indexed;
mod npy;
mod numbers;
mod schema;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::writer::SerializedFileWriter};

use datac_core::{outputs::IdType, shape::facts::Column};
use group::{Cutter, Part, Plan};
use indexed::Indexed;
use npy::Npy;

pub use group::{Encoded, Group};

/// Raised by hand when the same rows are written as other bytes, which a new version of `parquet` may do, too.
pub const ENCODE_VERSION: u32 = 3;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet, compressed with Zstandard.
    Parquet,
    /// An Arrow IPC stream, uncompressed, as `datasets` memory-maps it.
    Arrow,
    /// An indexed dataset of Megatron-LM, with ids of a type.
    Indexed(IdType),
    /// Arrays of OLMo-core, with ids of a type.
    Npy(IdType),
}

/// Rows that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A row is not what its shape says: a bug of the shape.
    #[error("row {row} of a group: {reason}")]
    Row {
        /// The row's number in its group, from 0.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The columns could not be put together.
    #[error("encode rows: {0}")]
    Columns(String),
}

impl EncodeError {
    /// The error of a caller that does not give the files that a format has.
    fn wrong_files() -> Self {
        Self::Columns("the files of a format are not those that it has".to_owned())
    }
}

impl From<ParquetError> for EncodeError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(source) => match source.downcast::<std::io::Error>() {
                Ok(error) => Self::Io(*error),
                Err(other) => Self::Columns(other.to_string()),
            },
            other => Self::Columns(other.to_string()),
        }
    }
}

impl From<ArrowError> for EncodeError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Self::Io(error),
            other => Self::Columns(other.to_string()),
        }
    }
}

/// A file that is being written.
///
/// Rows are appended in order and cut into groups, which any threads [encode](Group::encode) and hand back in any order.
pub struct Encoder<W: Write + Send> {
    file: File<W>,
    plan: Arc<Plan>,
    cutter: Cutter,
    /// Number of the group to write next.
    next: usize,
    /// Groups that were handed back before their turn.
    early: BTreeMap<usize, Encoded>,
}

enum File<W: Write + Send> {
    Parquet(Box<SerializedFileWriter<W>>),
    Arrow(Box<StreamWriter<W>>),
    Indexed(Indexed<W>),
    Npy(Box<Npy<W>>),
}

impl<W: Write + Send> Encoder<W> {
    /// Begins a file of these columns, with the files that belong to it.
    pub fn new(out: W, beside: Vec<W>, format: Format, columns: &[Column]) -> Result<Self, EncodeError> {
        let plan = Arc::new(Plan::new(format, columns));
        let file = match format {
            Format::Parquet => {
                let writer = ArrowWriter::try_new(out, plan.schema().clone(), Some(group::properties(&[])?))?;
                File::Parquet(Box::new(writer.into_serialized_writer()?.0))
            }
            Format::Arrow => File::Arrow(Box::new(StreamWriter::try_new(out, plan.schema())?)),
            Format::Indexed(of) => {
                let [index] = <[W; 1]>::try_from(beside).map_err(|_| EncodeError::wrong_files())?;
                File::Indexed(Indexed::new(out, index, of))
            }
            Format::Npy(_) => {
                let [mask, documents] = <[W; 2]>::try_from(beside).map_err(|_| EncodeError::wrong_files())?;
                File::Npy(Box::new(Npy::new(out, mask, documents)))
            }
        };
        Ok(Self { file, plan, cutter: Cutter::default(), next: 0, early: BTreeMap::new() })
    }

    /// Adds rows, JSON objects, one a line. Returns the groups that are complete; each must be encoded and
    /// [added](Self::add).
    pub fn append(&mut self, lines: &[u8]) -> Vec<Group> {
        self.cutter.append(lines, &self.plan)
    }

    /// Returns the rows that are no complete group, once all rows were appended.
    pub fn rest(&mut self) -> Option<Group> {
        self.cutter.rest(&self.plan)
    }

    /// Number of the group to write next.
    pub fn next_group(&self) -> usize {
        self.next
    }

    /// Writes a group, or keeps it until those before it are there. Returns how many bytes the rows of the groups had that were
    /// written.
    pub fn add(&mut self, encoded: Encoded) -> Result<u64, EncodeError> {
        self.early.insert(encoded.number, encoded);
        let mut written = 0;
        while let Some(Encoded { part, bytes, .. }) = self.early.remove(&self.next) {
            match (&mut self.file, part) {
                (File::Parquet(writer), Part::Parquet(part)) => part.write(writer)?,
                (File::Arrow(writer), Part::Arrow(batches)) => {
                    batches.iter().try_for_each(|batch| writer.write(batch))?;
                }
                (File::Indexed(dataset), Part::Ids(ids)) => dataset.add(&ids)?,
                (File::Npy(arrays), Part::Ids(ids)) => arrays.add(&ids)?,
                _ => unreachable!("a group is of its file's format"),
            }
            self.next += 1;
            written += bytes;
        }
        Ok(written)
    }

    /// Ends the file, all groups of which were added, and returns what it and the files that belong to it were written to.
    pub fn finish(mut self) -> Result<(W, Vec<W>), EncodeError> {
        if let Some(rest) = self.rest() {
            self.add(rest.encode()?)?;
        }
        if !self.early.is_empty() || self.next != self.cutter.groups() {
            return Err(EncodeError::Io(io::Error::other("a group of rows was not written")));
        }
        Ok(match self.file {
            File::Parquet(writer) => (writer.into_inner()?, Vec::new()),
            File::Arrow(mut writer) => {
                writer.finish()?;
                (writer.into_inner()?, Vec::new())
            }
            File::Indexed(dataset) => {
                let (ids, index) = dataset.finish()?;
                (ids, vec![index])
            }
            File::Npy(arrays) => {
                let (ids, beside) = arrays.finish()?;
                (ids, beside.into())
            }
        })
    }
}

#[cfg(test)]
mod tests;
