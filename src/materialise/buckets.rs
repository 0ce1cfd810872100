//! Rows put in order on disk: dealt into files as they come, each a stretch of an output, and put in order file by file.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
    path::Path,
};

use super::{
    gather::{Fails, GatherError, Order},
    sink::Sink,
};
use crate::system::FileError;

/// Each bucket is an open file, and a process may have 1,024, of which others want some at the same time. Beyond some
/// gigabytes buckets are larger instead.
const MOST: u64 = 256;

/// What is written before a row: its position, its source and its length, 4 bytes each.
const HEAD: usize = 12;

/// The rows of several outputs, whose positions follow one another.
pub(super) struct Buckets<'s> {
    files: Vec<BufWriter<File>>,
    /// For each bucket the first position after it.
    ends: Vec<u32>,
    /// For each output the first bucket after it.
    outputs: Vec<usize>,
    scratch: &'s Path,
}

impl<'s> Buckets<'s> {
    /// Buckets for rows of a mean size, each of about so many bytes.
    pub(super) fn new(orders: &[Order], mean: u64, bytes: u64, scratch: &'s Path) -> Result<Self, GatherError> {
        let mut buckets = Self { files: Vec::new(), ends: Vec::new(), outputs: Vec::new(), scratch };
        let whole: u64 = orders.iter().map(|order| order.rows).sum();
        if whole > u64::from(u32::MAX) {
            return Err(GatherError::Mismatch);
        }
        let mut first = 0;
        for order in orders {
            let most = (MOST * order.rows).div_ceil(whole.max(1));
            let count = (order.rows * mean).div_ceil(bytes).clamp(1, most.max(1)).min(order.rows);
            for bucket in 1..=count {
                buckets.ends.push((first + order.rows * bucket / count) as u32);
                let file = tempfile::tempfile_in(scratch).map_err(|error| buckets.failed(error))?;
                buckets.files.push(BufWriter::with_capacity(64 << 10, file));
            }
            first += order.rows;
            buckets.outputs.push(buckets.files.len());
        }
        Ok(buckets)
    }

    fn failed(&self, source: io::Error) -> FileError {
        FileError { verb: "write", path: self.scratch.to_owned(), source }
    }

    /// Takes the row at a position.
    pub(super) fn take(&mut self, position: u32, source: u32, row: &[u8]) -> Result<(), GatherError> {
        let bucket = self.ends.partition_point(|end| *end <= position);
        let file = self.files.get_mut(bucket).ok_or(GatherError::Mismatch)?;
        let mut head = [0; HEAD];
        let numbers = [position, source, row.len() as u32];
        head.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(place, number)| *place = number.to_le_bytes());
        let written = file.write_all(&head).and_then(|()| file.write_all(row));
        Ok(written.map_err(|error| self.failed(error))?)
    }

    /// Gives the rows of each output in order, each closed by the ending of its source.
    pub(super) fn give<'e, E: Fails>(
        mut self,
        sinks: &mut [Sink],
        ending: impl Fn(u32) -> Option<&'e [u8]>,
        check: &dyn Fn() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut files = std::mem::take(&mut self.files).into_iter();
        let (mut bucket, mut begin) = (0, 0);
        for (end, sink) in self.outputs.iter().zip(sinks) {
            for file in files.by_ref().take(*end - bucket) {
                check()?;
                let bytes = self.read(file).map_err(GatherError::from)?;
                for (source, row) in in_order(&bytes, begin..self.ends[bucket]).ok_or(GatherError::Mismatch)? {
                    sink.write(row)?;
                    sink.write(ending(source).ok_or(GatherError::Mismatch)?)?;
                }
                begin = self.ends[bucket];
                bucket += 1;
            }
        }
        Ok(())
    }

    fn read(&self, file: BufWriter<File>) -> Result<Vec<u8>, FileError> {
        let read = || {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            let mut bytes = Vec::with_capacity(file.stream_position()? as usize + 1);
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error| self.failed(error))
    }
}

/// The rows of a bucket by position, each with its source; `None` unless it has every position of its stretch once.
fn in_order(bytes: &[u8], stretch: std::ops::Range<u32>) -> Option<Vec<(u32, &[u8])>> {
    let mut rows: Vec<Option<(u32, &[u8])>> = vec![None; stretch.len()];
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
        let [position, source, length] = *head.as_chunks().0 else { return None };
        let (row, after) = after.split_at_checked(u32::from_le_bytes(length) as usize)?;
        let at = u32::from_le_bytes(position).checked_sub(stretch.start)?;
        let before = rows.get_mut(at as usize)?.replace((u32::from_le_bytes(source), row));
        if before.is_some() {
            return None;
        }
        rest = after;
    }
    rows.into_iter().collect()
}
