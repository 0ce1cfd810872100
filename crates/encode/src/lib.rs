//! Rows as JSON lines to columnar files: Parquet, with pages cut by content, and Arrow streams.
//!
//! A file has the [columns](Column) of its shape. Values that have no one type, such as the arguments of tool calls, are JSON text,
//! and the file says so (Parquet's logical type JSON, Arrow's extension `arrow.json`): `datasets` 4.8 and later give them back as
//! objects, without the keys of other rows.

mod array;
mod schema;

use std::{io::Write, sync::Arc};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{CdcOptions, WriterProperties},
};

use array::Builder;
use datac_core::shape::facts::Column;

/// Raised by hand when the same rows are written as other bytes, which a new version of `parquet` may do, too.
pub const ENCODE_VERSION: u32 = 1;

/// Rows of a batch, and bytes of their JSON, whichever comes first.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;

/// Rows of a row group: few enough that a reader can take one at a time.
const GROUP_ROWS: usize = 100_000;

/// Sizes of Parquet's pages, in bytes before compression. Smaller than the defaults (256 KiB to 1 MiB): one changed row then
/// changes fewer bytes.
const PAGE_MIN: usize = 32 << 10;
const PAGE_MAX: usize = 128 << 10;

/// A columnar file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet, compressed with Zstandard.
    Parquet,
    /// An Arrow IPC stream, uncompressed, as `datasets` memory-maps it.
    Arrow,
}

/// Rows that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A row is not what its shape says: a bug of the shape.
    #[error("row {row} of a batch: {reason}")]
    Row {
        /// The row's number in its batch, from 0.
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

/// A columnar file that is being written.
pub struct Encoder<W: Write + Send> {
    file: File<W>,
    schema: Arc<Schema>,
    names: Vec<String>,
    builders: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

enum File<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<StreamWriter<W>>),
}

impl<W: Write + Send> Encoder<W> {
    /// Begins a file of these columns.
    pub fn new(out: W, format: Format, columns: &[Column]) -> Result<Self, EncodeError> {
        let schema = Arc::new(schema::schema(columns));
        let file = match format {
            Format::Parquet => {
                let pages = CdcOptions { min_chunk_size: PAGE_MIN, max_chunk_size: PAGE_MAX, norm_level: 0 };
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .set_content_defined_chunking(Some(pages))
                    .set_created_by("datac".to_owned())
                    .build();
                File::Parquet(Box::new(ArrowWriter::try_new(out, schema.clone(), Some(properties))?))
            }
            Format::Arrow => File::Arrow(Box::new(StreamWriter::try_new(out, &schema)?)),
        };
        let builders = columns.iter().map(|column| Builder::new(&column.of)).collect();
        let names = columns.iter().map(|column| column.name.clone().into_owned()).collect();
        Ok(Self { file, schema, names, builders, rows: 0, bytes: 0 })
    }

    /// Adds rows: JSON objects, one a line.
    pub fn append(&mut self, lines: &[u8]) -> Result<(), EncodeError> {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            array::row(line, &self.names, &mut self.builders)
                .map_err(|reason| EncodeError::Row { row: self.rows, reason })?;
            self.rows += 1;
            self.bytes += line.len();
            if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the file and returns what it was written to.
    pub fn finish(mut self) -> Result<W, EncodeError> {
        self.flush()?;
        Ok(match self.file {
            File::Parquet(writer) => writer.into_inner()?,
            File::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
        })
    }

    fn flush(&mut self) -> Result<(), EncodeError> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)?;
        (self.rows, self.bytes) = (0, 0);
        match &mut self.file {
            File::Parquet(writer) => writer.write(&batch)?,
            File::Arrow(writer) => writer.write(&batch)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
