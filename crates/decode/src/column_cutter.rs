//! Cuts the rows of Parquet and Arrow files, whatever groups and batches they are in.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::{
    DecodeError,
    chunk::{Chunk, Encoding, Place},
    columnar::{self, Batches},
    columns,
    cutter::ends_after,
    room::Room,
};

/// Rows that are looked at in one go; what a batch holds is the file's choice.
const PIECE_ROWS: u64 = 1024;

/// Cuts the rows of a columnar file.
pub struct ColumnCutter {
    batches: Batches,
    header: Arc<[u8]>,
    /// Rows that were read and not yet encoded.
    batch: RecordBatch,
    /// Encoded rows that were not yet given out, and how many they are.
    buffer: Vec<u8>,
    room: Room,
    rows: u64,
    /// The number of the first of them in the file.
    first_row: u64,
}

impl ColumnCutter {
    /// A cutter over batches, the first row of which is the file's row `first_row`.
    pub(super) fn new(batches: Batches, first_row: u64) -> Result<Self, DecodeError> {
        let schema = batches.schema();
        let header = columns::header(&schema).map_err(DecodeError::Format)?;
        Ok(Self {
            batches,
            header,
            batch: RecordBatch::new_empty(schema),
            buffer: Vec::new(),
            room: Room::default(),
            rows: 0,
            first_row,
        })
    }

    /// Yields the chunks at `places`, which are in file order, instead of cutting.
    pub(super) fn pick(
        mut self,
        places: &[(Place, u32)],
        mut each: impl FnMut(usize, Chunk),
    ) -> Result<(), DecodeError> {
        for (i, (place, _)) in places.iter().enumerate() {
            let mut before = place.first_row.checked_sub(self.first_row).ok_or(DecodeError::Moved)?;
            while before > 0 {
                let skipped = before.min(self.at_hand()?.ok_or(DecodeError::Moved)?);
                self.take(skipped);
                self.first_row += skipped;
                before -= skipped;
            }
            while self.rows < place.length {
                let limit = self.at_hand()?.ok_or(DecodeError::Moved)?.min(place.length - self.rows);
                self.encode(limit, |_, _| false)?;
            }
            each(i, self.give());
        }
        Ok(())
    }

    /// See [`super::Cutter::next_chunk`].
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        while let Some(limit) = self.at_hand()? {
            if self.encode(limit, ends_after)? {
                return Ok(Some(self.give()));
            }
        }
        Ok((self.rows > 0).then(|| self.give()))
    }

    /// The number of rows in the batch, another one being read if there are none; `None` at the end of the file.
    fn at_hand(&mut self) -> Result<Option<u64>, DecodeError> {
        while self.batch.num_rows() == 0 {
            match self.batches.next_batch()? {
                Some(batch) => self.batch = batch,
                None => return Ok(None),
            }
        }
        Ok(Some((self.batch.num_rows() as u64).min(PIECE_ROWS)))
    }

    /// Takes `rows` rows off the batch.
    fn take(&mut self, rows: u64) -> RecordBatch {
        let rows = rows as usize;
        let taken = self.batch.slice(0, rows);
        self.batch = self.batch.slice(rows, self.batch.num_rows() - rows);
        taken
    }

    /// Encodes up to `limit` rows of the batch, as many as it takes until `is_end` says of one, with the size of the
    /// buffer behind it, that it is the last; returns whether one was.
    fn encode(&mut self, limit: u64, is_end: impl Fn(&[u8], usize) -> bool) -> Result<bool, DecodeError> {
        let piece = self.batch.slice(0, limit as usize);
        let (buffer, mut encoded, mut ended) = (&mut self.buffer, 0, false);
        columnar::contain(|| {
            columns::for_each_row(&piece, |row| {
                buffer.extend_from_slice(row);
                encoded += 1;
                ended = is_end(row, buffer.len());
                !ended
            })
            .map_err(columnar::format)
        })?;
        self.take(encoded);
        self.rows += encoded;
        Ok(ended)
    }

    fn give(&mut self) -> Chunk {
        let place = Place { first_row: self.first_row, length: self.rows, ..Place::default() };
        let (bytes, rows) = (std::mem::replace(&mut self.buffer, self.room.take()), self.rows as u32);
        self.first_row += self.rows;
        self.rows = 0;
        Chunk { encoding: Encoding::Columns, header: self.header.clone(), bytes: self.room.lend(bytes), rows, place }
    }
}
