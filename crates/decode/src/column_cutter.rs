//! Cuts the rows of Parquet and Arrow files into chunks, independently of row groups and batches.

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

/// Maximum number of rows encoded at a time; the size of batches is up to the file.
const PIECE_ROWS: u64 = 1024;

/// Cuts the rows of a columnar file.
pub struct ColumnCutter {
    batches: Batches,
    header: Arc<[u8]>,
    /// Rows that have been read but not encoded.
    batch: RecordBatch,
    /// Encoded rows of the next chunk, and their number.
    buffer: Vec<u8>,
    room: Room,
    rows: u64,
    /// Number of the first of those rows in the file.
    first_row: u64,
}

impl ColumnCutter {
    /// Creates a cutter for batches that begin at row `first_row` of the file.
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

    /// Calls `each` with the chunks at `places`, which must be in file order, instead of cutting.
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

    /// Returns the next chunk, see [`super::Cutter::next_chunk`].
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        while let Some(limit) = self.at_hand()? {
            if self.encode(limit, ends_after)? {
                return Ok(Some(self.give()));
            }
        }
        Ok((self.rows > 0).then(|| self.give()))
    }

    /// Returns the number of rows of the batch to encode next, after reading another batch if it is empty; `None` at
    /// the end of the file.
    fn at_hand(&mut self) -> Result<Option<u64>, DecodeError> {
        while self.batch.num_rows() == 0 {
            match self.batches.next_batch()? {
                Some(batch) => self.batch = batch,
                None => return Ok(None),
            }
        }
        Ok(Some((self.batch.num_rows() as u64).min(PIECE_ROWS)))
    }

    /// Removes `rows` rows from the batch.
    fn take(&mut self, rows: u64) -> RecordBatch {
        let rows = rows as usize;
        let taken = self.batch.slice(0, rows);
        self.batch = self.batch.slice(rows, self.batch.num_rows() - rows);
        taken
    }

    /// Encodes up to `limit` rows of the batch. Stops after the first row for which `is_end`, called with the row and
    /// the size of the buffer, returns true; returns whether there was one.
    fn encode(&mut self, limit: u64, is_end: impl Fn(&[u8], usize) -> bool) -> Result<bool, DecodeError> {
        let piece = self.batch.slice(0, limit as usize);
        let (buffer, mut encoded, mut ended) = (&mut self.buffer, 0, false);
        let meanings = self.batches.meanings();
        columnar::contain(|| {
            columns::for_each_row(&piece, meanings, |row| {
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
