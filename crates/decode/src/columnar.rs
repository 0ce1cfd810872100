//! Reads Parquet and Arrow files as record batches, with at most one batch in memory.

use std::{
    fs::File,
    io::{self, BufReader, Cursor},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    basic::{ConvertedType, LogicalType},
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        reader::ChunkReader,
    },
};

use super::{DecodeError, Input, columns::Meaning};

/// Maximum number of rows per batch, and approximate maximum size of a batch in bytes.
const BATCH_ROWS: u64 = 1024;
const BATCH_BYTES: u64 = 8 << 20;

/// The batches of a columnar file, in order.
pub(super) struct Batches {
    reader: Box<dyn RecordBatchReader + Send>,
    meanings: Vec<Meaning>,
}

impl Batches {
    /// Opens a Parquet file, skipping the first `skip` rows.
    pub(super) fn parquet(input: Input, skip: u64) -> Result<Self, DecodeError> {
        fn build<R: ChunkReader + 'static>(input: R, skip: u64) -> parquet::errors::Result<(Reader, Vec<Meaning>)> {
            // The Arrow schema that writers embed is only a hint, which may be wrong; the Parquet schema is
            // authoritative.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let metadata = ArrowReaderMetadata::load(&input, options.clone())?;
            let meanings = json_of_parquet(&metadata);
            let options = options.with_schema(Arc::new(as_views(metadata.schema())));
            let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
            let batch_rows = batch_rows(metadata.metadata());
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            Ok((Box::new(builder.with_batch_size(batch_rows).with_offset(skip).build()?), meanings))
        }
        contain(|| {
            let reader = match input {
                Input::File(file) => build(file, skip),
                Input::Static(bytes) => build(bytes::Bytes::from_static(bytes), skip),
                Input::Part(part) => build(part, skip),
                Input::Forward(_) => return Err(format(FORWARD)),
            };
            let (reader, meanings) = reader.map_err(format)?;
            Ok(Self { reader, meanings })
        })
    }

    /// Opens an Arrow IPC file or stream.
    pub(super) fn arrow(input: Input) -> Result<Self, DecodeError> {
        const FILE_MAGIC: &[u8] = b"ARROW1";
        fn build<R: io::Read + io::Seek + Send + 'static>(mut input: R) -> Result<Reader, ArrowError> {
            let mut magic = [0; FILE_MAGIC.len()];
            let is_file = input.read_exact(&mut magic).is_ok() && magic == FILE_MAGIC;
            input.rewind()?;
            Ok(if is_file {
                Box::new(FileReader::try_new(input, None)?)
            } else {
                Box::new(StreamReader::try_new(input, None)?)
            })
        }
        contain(|| {
            let reader = match input {
                Input::File(file) => build(BufReader::new(file)),
                Input::Static(bytes) => build(Cursor::new(bytes)),
                Input::Part(part) => build(BufReader::new(part)),
                Input::Forward(_) => return Err(format(FORWARD)),
            };
            let reader = reader.map_err(format)?;
            let mut is_json = |field: &Field| field.metadata().get(EXTENSION).is_some_and(|name| name == "arrow.json");
            let meanings = reader.schema().fields().iter().map(|field| Meaning::of(field, &mut is_json)).collect();
            Ok(Self { reader, meanings })
        })
    }

    /// Returns the columns.
    pub(super) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    /// Returns which strings of each column are JSON texts.
    pub(super) fn meanings(&self) -> &[Meaning] {
        &self.meanings
    }

    /// Returns the next batch; `None` at the end.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        contain(|| self.reader.next().transpose().map_err(format))
    }
}

/// Why bytes that are unpacked while they are read cannot be columns; whoever opens them copies them to a file first.
const FORWARD: &str = "columns need random access";

type Reader = Box<dyn RecordBatchReader + Send>;

/// Returns the error for a file that cannot be decoded.
pub(super) fn format(error: impl ToString) -> DecodeError {
    DecodeError::Format(error.to_string())
}

/// Turns a panic about the contents of a file into an error about the file.
///
/// The columnar crates validate most of what they read and index into the rest, so a damaged file can make them
/// panic. For a build, that is just another file that cannot be read. The reader that panicked is dropped and never
/// used again.
pub(super) fn contain<T>(read: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|payload| {
        let reason = payload.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(DecodeError::Format(format!("its contents are damaged ({reason})")))
    })
}

/// The metadata of an Arrow field that names its extension type.
const EXTENSION: &str = "ARROW:extension:name";

/// Returns which strings of a Parquet file are JSON texts: those of the logical type JSON, which writers give them with and
/// without an Arrow schema.
fn json_of_parquet(metadata: &ArrowReaderMetadata) -> Vec<Meaning> {
    let leaves = metadata.parquet_schema().columns().iter();
    let mut leaves = leaves.map(|leaf| {
        matches!(leaf.logical_type_ref(), Some(LogicalType::Json)) || leaf.converted_type() == ConvertedType::JSON
    });
    // The innermost columns have the same order in Arrow and Parquet.
    let mut is_json = |_: &Field| leaves.next().unwrap_or(false);
    metadata.schema().fields().iter().map(|field| Meaning::of(field, &mut is_json)).collect()
}

/// Returns the schema with strings and binary values as views. With views, a long value that a page stores once is
/// kept once, however many rows refer to it.
fn as_views(schema: &Schema) -> Schema {
    let view = |field: &Arc<Field>| {
        let view = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            _ => return field.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(view))
    };
    Schema::new(schema.fields().iter().map(view).collect::<Vec<_>>())
}

/// Returns the number of rows per batch: fewer if rows are long, according to the footer.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let sum = |of: fn(&RowGroupMetaData) -> i64| {
        metadata.row_groups().iter().map(|group| u64::try_from(of(group)).unwrap_or(0)).fold(0, u64::saturating_add)
    };
    let (bytes, rows) = (sum(RowGroupMetaData::total_byte_size), sum(RowGroupMetaData::num_rows));
    (BATCH_BYTES / (bytes / rows.max(1)).max(1)).clamp(1, BATCH_ROWS) as usize
}

impl From<File> for Input {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}
