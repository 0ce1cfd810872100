//! Groups of rows that lie together in a file: row groups of Parquet, batches of Arrow.
//!
//! Where a group ends is decided by the rows in it, not by their number: after a row is changed, added or taken away, the groups
//! after it are those of before, byte for byte, and whoever stores files by content stores only one group anew.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    column::writer::ColumnCloseResult,
    file::{
        metadata::ParquetMetaData,
        properties::{CdcOptions, EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    EncodeError, Format,
    array::{self, Builder},
    ids::Ids,
    numbers, schema,
};
use datac_core::shape::facts::Column;

/// Size of a group in bytes of JSON lines: at least, how much more there is on average, and at most, but for a longer row. A group
/// is in memory as a whole while it is encoded.
const GROUP_MIN: usize = 8 << 20;
const GROUP_MORE: u64 = 1 << 20;
const GROUP_MAX: usize = 16 << 20;

/// Most rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Level of Zstandard. Level 3 takes 1.8 times as long for files that are 0.9 times as large, and Snappy 0.7 times for 1.37.
const LEVEL: i32 = 1;

/// Mean length in bytes from which on the strings of a column are taken for texts.
const LONG: usize = 64;

/// Sizes of Parquet's pages, in bytes before compression. Smaller than the defaults (256 KiB to 1 MiB): one changed row then
/// changes fewer bytes.
const PAGE_MIN: usize = 32 << 10;
const PAGE_MAX: usize = 128 << 10;

/// What the groups of a file are encoded by.
pub(crate) struct Plan {
    format: Format,
    columns: Vec<Column>,
    names: Vec<String>,
    /// Whether rows are read as [`numbers`].
    is_of_numbers: bool,
    schema: Arc<Schema>,
}

impl Plan {
    pub(crate) fn new(format: Format, columns: &[Column]) -> Self {
        let names = columns.iter().map(|column| column.name.clone().into_owned()).collect();
        let schema = Arc::new(schema::schema(columns));
        Self { format, columns: columns.to_vec(), names, is_of_numbers: numbers::are_of(columns), schema }
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Returns the rows of a group as batches.
    fn batches(&self, lines: &[u8]) -> Result<Vec<RecordBatch>, EncodeError> {
        let mut builders: Vec<Builder> = self.columns.iter().map(|column| Builder::new(&column.of)).collect();
        let (mut batches, mut rows, mut before) = (Vec::new(), 0, 0);
        let mut close = |builders: &mut Vec<Builder>| -> Result<(), EncodeError> {
            let arrays = builders.iter_mut().map(Builder::finish).collect();
            batches.push(RecordBatch::try_new(self.schema.clone(), arrays)?);
            Ok(())
        };
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[begin..=end];
            begin = end + 1;
            let read = match self.is_of_numbers {
                true => numbers::row(line, &self.columns, &mut builders),
                false => array::row(line, &self.names, &mut builders),
            };
            read.map_err(|reason| EncodeError::Row { row: before + rows, reason })?;
            rows += 1;
            if rows == BATCH_ROWS {
                close(&mut builders)?;
                (rows, before) = (0, before + rows);
            }
        }
        if rows > 0 {
            close(&mut builders)?;
        }
        Ok(batches)
    }
}

/// Returns how Parquet is written. Columns of `texts` are neither put into a dictionary nor compared: no text of theirs is there
/// twice, and nobody looks for the least of them.
pub(crate) fn properties(texts: &[ColumnPath]) -> Result<WriterProperties, EncodeError> {
    let pages = CdcOptions { min_chunk_size: PAGE_MIN, max_chunk_size: PAGE_MAX, norm_level: 0 };
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_max_row_group_row_count(None)
        .set_content_defined_chunking(Some(pages))
        .set_created_by("datac".to_owned());
    let plain = |builder: WriterPropertiesBuilder, text: &ColumnPath| {
        let builder = builder.set_column_dictionary_enabled(text.clone(), false);
        builder.set_column_statistics_enabled(text.clone(), EnabledStatistics::None)
    };
    Ok(texts.iter().fold(builder, plain).build())
}

/// Adds the columns of strings in an array, at a path, that are long texts in these rows.
fn texts(array: &ArrayRef, path: &[String], found: &mut Vec<ColumnPath>) {
    match array.data_type() {
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            let bytes = strings.value_offsets().last().copied().unwrap_or_default() as usize;
            if bytes > LONG * strings.len() {
                found.push(ColumnPath::new(path.to_vec()));
            }
        }
        DataType::List(item) => {
            let inner = ["list".to_owned(), item.name().clone()];
            texts(array.as_list::<i32>().values(), &[path, &inner].concat(), found);
        }
        DataType::Struct(fields) => {
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                texts(column, &[path, &[field.name().clone()]].concat(), found);
            }
        }
        _ => {}
    }
}

/// Cuts lines, each with its line feed, into groups.
#[derive(Default)]
pub(crate) struct Cutter {
    lines: Vec<u8>,
    /// Number of groups so far.
    groups: usize,
}

impl Cutter {
    pub(crate) fn append(&mut self, lines: &[u8], plan: &Arc<Plan>) -> Vec<Group> {
        let mut complete = Vec::new();
        let (mut taken, mut begin) = (0, 0);
        for end in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[begin..=end];
            begin = end + 1;
            // A row ends its group with a probability that grows with its length.
            let is_end = || xxh3_64(line) < (u64::MAX / GROUP_MORE).saturating_mul(line.len() as u64);
            let size = self.lines.len() + begin - taken;
            if size >= GROUP_MAX || (size >= GROUP_MIN && is_end()) {
                self.lines.extend_from_slice(&lines[taken..begin]);
                taken = begin;
                complete.extend(self.rest(plan));
            }
        }
        self.lines.extend_from_slice(&lines[taken..]);
        complete
    }

    /// Takes the lines that are no complete group.
    pub(crate) fn rest(&mut self, plan: &Arc<Plan>) -> Option<Group> {
        if self.lines.is_empty() {
            return None;
        }
        let (lines, number) = (std::mem::take(&mut self.lines), self.groups);
        self.groups += 1;
        Some(Group { number, lines, plan: plan.clone() })
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups
    }
}

/// Rows that lie together in a file.
#[must_use]
pub struct Group {
    number: usize,
    lines: Vec<u8>,
    plan: Arc<Plan>,
}

/// A group as it lies in its file.
#[must_use]
pub struct Encoded {
    pub(crate) number: usize,
    /// Size of its rows as lines.
    pub(crate) bytes: u64,
    pub(crate) part: Part,
}

pub(crate) enum Part {
    Parquet(Box<RowGroup>),
    Arrow(Vec<RecordBatch>),
    Ids(Ids),
}

impl Group {
    /// Its number in the file.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Size of its rows in bytes.
    pub fn bytes(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Encodes the rows.
    pub fn encode(self) -> Result<Encoded, EncodeError> {
        let bytes = self.bytes();
        let Self { number, lines, plan } = self;
        let part = match plan.format {
            Format::Arrow => Part::Arrow(plan.batches(&lines)?),
            Format::Parquet => {
                let batches = plan.batches(&lines)?;
                drop(lines);
                Part::Parquet(Box::new(RowGroup::new(&batches, &plan)?))
            }
            Format::Indexed(of) | Format::Npy(of) => Part::Ids(Ids::read(&lines, of)?),
        };
        Ok(Encoded { number, bytes, part })
    }
}

/// A row group: a Parquet file of its own in memory, whose columns are copied into the file of all groups. `parquet` has no way to
/// cut pages by content in a row group that is encoded beside others.
pub(crate) struct RowGroup {
    bytes: Bytes,
    metadata: ParquetMetaData,
}

impl RowGroup {
    fn new(batches: &[RecordBatch], plan: &Plan) -> Result<Self, EncodeError> {
        let mut long = Vec::new();
        if let Some(batch) = batches.first() {
            for (name, column) in plan.names.iter().zip(batch.columns()) {
                texts(column, std::slice::from_ref(name), &mut long);
            }
        }
        let options = ArrowWriterOptions::new().with_properties(properties(&long)?).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), plan.schema.clone(), options)?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        let metadata = writer.finish()?;
        Ok(Self { bytes: std::mem::take(writer.inner_mut()).into(), metadata })
    }

    /// Copies the columns into the file of all groups.
    pub(crate) fn write<W: std::io::Write + Send>(
        &self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), EncodeError> {
        let pages = self.metadata.page_index();
        for (group, of) in self.metadata.row_groups().iter().enumerate() {
            let mut writer = file.next_row_group()?;
            for (number, column) in of.columns().iter().enumerate() {
                let closed = ColumnCloseResult {
                    bytes_written: column.compressed_size() as u64,
                    rows_written: of.num_rows() as u64,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: pages.and_then(|pages| pages.column_index(group, number)).cloned(),
                    offset_index: pages.and_then(|pages| pages.offset_index(group, number)).cloned(),
                };
                writer.append_column(&self.bytes, closed)?;
            }
            writer.close()?;
        }
        Ok(())
    }
}
