//! Parquet and Arrow files as record batches, never more than one batch in memory.

use std::{
    fs::File,
    io::{BufReader, Cursor},
};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::{DecodeError, Input};

/// Rows a batch: the reader's own buffers grow with it, and chunks are cut from batches anyway.
const BATCH_ROWS: usize = 1024;

/// The batches of a columnar file in order.
pub(super) struct Batches {
    reader: Box<dyn RecordBatchReader + Send>,
}

impl Batches {
    /// Opens a Parquet file, leaving out the first `skip` rows.
    pub(super) fn parquet(input: Input, skip: u64) -> Result<Self, DecodeError> {
        fn build<R: parquet::file::reader::ChunkReader + 'static>(
            input: R,
            skip: u64,
        ) -> Result<Box<dyn RecordBatchReader + Send>, parquet::errors::ParquetError> {
            // The Arrow schema that writers embed is a hint the file could lie with; the Parquet schema is what is read.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let metadata = ArrowReaderMetadata::load(&input, options)?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            Ok(Box::new(builder.with_batch_size(BATCH_ROWS).with_offset(skip).build()?))
        }
        let reader = match input {
            Input::File(file) => build(file, skip),
            Input::Static(bytes) => build(parquet_bytes(bytes), skip),
        };
        Ok(Self { reader: reader.map_err(|error| DecodeError::Format(error.to_string()))? })
    }

    /// Opens an Arrow IPC file or stream, whichever it is.
    pub(super) fn arrow(input: Input) -> Result<Self, DecodeError> {
        const FILE_MAGIC: &[u8] = b"ARROW1";
        fn build<R: std::io::Read + std::io::Seek + Send + 'static>(
            mut input: R,
        ) -> Result<Box<dyn RecordBatchReader + Send>, arrow_schema::ArrowError> {
            let mut magic = [0; FILE_MAGIC.len()];
            let is_file = input.read_exact(&mut magic).is_ok() && magic == FILE_MAGIC;
            input.rewind()?;
            Ok(if is_file {
                Box::new(FileReader::try_new(input, None)?)
            } else {
                Box::new(StreamReader::try_new(input, None)?)
            })
        }
        let reader = match input {
            Input::File(file) => build(BufReader::new(file)),
            Input::Static(bytes) => build(Cursor::new(bytes)),
        };
        Ok(Self { reader: reader.map_err(|error| DecodeError::Format(error.to_string()))? })
    }

    /// The columns.
    pub(super) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    /// The next batch; `None` at the end.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        self.reader.next().transpose().map_err(|error| DecodeError::Format(error.to_string()))
    }
}

fn parquet_bytes(bytes: &'static [u8]) -> bytes::Bytes {
    bytes::Bytes::from_static(bytes)
}

impl From<File> for Input {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}
