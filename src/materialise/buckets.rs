//! Rows put in order by way of the files they belong to, where memory has no room for them.
//!
//! A bucket is a stretch of an output. Its rows are dealt into the very bytes that it will take up, in the order in which
//! they come; then each bucket is read, put in order and written over itself. So the system needs no more memory and no
//! more disk than the output takes. That works because a row with its head is no longer than a row with its ending.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    gather::{GatherError, Order},
    target::Target,
};
use crate::hash::PIECE;

/// The most buckets that all outputs have together; beyond some gigabytes they are larger instead.
const MOST: u64 = 1024;

/// Bytes of all buckets that wait to be written, while rows are dealt; and the most of one.
const BUFFERS: usize = 32 << 20;
const BUFFER: usize = 256 << 10;

/// What is written before a row: its position, its source and its length, 4 bytes each.
const HEAD: usize = 12;

/// The outputs that rows are put in order for. Positions in the second output follow those in the first.
pub(super) struct Buckets {
    buckets: Vec<Bucket>,
    outputs: Vec<Output>,
    /// For each source what closes its rows.
    endings: Vec<Vec<u8>>,
    /// Bytes of a bucket that are written at once.
    buffer: usize,
    /// Rooms that buckets were read into.
    rooms: Mutex<Vec<Vec<u8>>>,
}

struct Output {
    target: Arc<Target>,
    /// Its size.
    bytes: u64,
    /// Pieces that begin in one bucket and end in another, as far as they have come.
    seams: Mutex<HashMap<usize, Seam>>,
}

/// A piece of several buckets, and how many of its bytes are there.
#[derive(Default)]
struct Seam {
    bytes: Vec<u8>,
    there: usize,
}

/// Consecutive rows of an output.
struct Bucket {
    output: usize,
    positions: Range<u32>,
    /// Where they stand in the output.
    bytes: Range<u64>,
    dealt: Mutex<Dealt>,
}

/// What has been dealt into a bucket.
#[derive(Default)]
struct Dealt {
    /// Bytes that were handed to the file.
    handed: u64,
    /// Bytes behind them.
    buffer: Vec<u8>,
}

impl Buckets {
    /// Buckets for rows of a mean size, each of about so many bytes. How large they really are, `measure` says.
    pub(super) fn new(
        orders: &[Order],
        targets: Vec<Arc<Target>>,
        endings: Vec<Vec<u8>>,
        mean: u64,
        bytes: u64,
    ) -> Result<Self, GatherError> {
        let whole: u64 = orders.iter().map(|order| order.rows).sum();
        if whole > u64::from(u32::MAX) || endings.iter().any(|ending| ending.len() < HEAD) {
            return Err(GatherError::Mismatch);
        }
        let (mut buckets, mut first) = (Vec::new(), 0);
        for (output, order) in orders.iter().enumerate() {
            let most = (MOST * order.rows).div_ceil(whole.max(1));
            let count = (order.rows * mean).div_ceil(bytes).clamp(1, most.max(1)).min(order.rows);
            let bound = |number: u64| (first + order.rows * number / count) as u32;
            buckets.extend((0..count).map(|number| Bucket {
                output,
                positions: bound(number)..bound(number + 1),
                bytes: 0..0,
                dealt: Mutex::default(),
            }));
            first += order.rows;
        }
        let output = |target| Output { target, bytes: 0, seams: Mutex::default() };
        let outputs = targets.into_iter().map(output).collect();
        let buffer = (BUFFERS / buckets.len().max(1)).min(BUFFER);
        Ok(Self { buckets, outputs, endings, buffer, rooms: Mutex::default() })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    fn at(&self, position: u32) -> Result<usize, GatherError> {
        let bucket = self.buckets.partition_point(|bucket| bucket.positions.end <= position);
        if bucket < self.buckets.len() { Ok(bucket) } else { Err(GatherError::Mismatch) }
    }

    fn ending(&self, source: u32) -> Result<&[u8], GatherError> {
        self.endings.get(source as usize).map(Vec::as_slice).ok_or(GatherError::Mismatch)
    }

    /// Makes room for a row of so many bytes at a position; before any is dealt, for all of them.
    pub(super) fn measure(&mut self, position: u32, source: u32, length: usize) -> Result<(), GatherError> {
        let bytes = (length + self.ending(source)?.len()) as u64;
        let bucket = self.at(position)?;
        self.buckets[bucket].bytes.end += bytes;
        Ok(())
    }

    /// Places the buckets one behind another, once all rows are measured.
    pub(super) fn lay_out(&mut self) -> Result<(), GatherError> {
        for bucket in &mut self.buckets {
            let end = &mut self.outputs[bucket.output].bytes;
            bucket.bytes = *end..*end + bucket.bytes.end;
            *end = bucket.bytes.end;
        }
        Ok(self.outputs.iter().try_for_each(|output| output.target.reserve(output.bytes))?)
    }

    /// Takes the row at a position, from whatever thread.
    pub(super) fn deal(&self, position: u32, source: u32, row: &[u8]) -> Result<(), GatherError> {
        let bucket = &self.buckets[self.at(position)?];
        let mut dealt = bucket.dealt();
        if dealt.buffer.len() + HEAD + row.len() > self.buffer {
            self.hand_over(bucket, &mut dealt)?;
        }
        if dealt.buffer.capacity() == 0 {
            dealt.buffer.reserve_exact(self.buffer);
        }
        for number in [position, source, row.len() as u32] {
            dealt.buffer.extend_from_slice(&number.to_le_bytes());
        }
        dealt.buffer.extend_from_slice(row);
        Ok(())
    }

    fn hand_over(&self, bucket: &Bucket, dealt: &mut Dealt) -> Result<(), GatherError> {
        let target = &self.outputs[bucket.output].target;
        let mut room = target.room();
        room.clear();
        room.reserve_exact(self.buffer);
        let bytes = std::mem::replace(&mut dealt.buffer, room);
        if bytes.is_empty() {
            return Ok(());
        }
        let begin = bucket.bytes.start + dealt.handed;
        dealt.handed += bytes.len() as u64;
        // What is dealt beyond the bucket would be written over another's.
        if bucket.bytes.start + dealt.handed > bucket.bytes.end {
            return Err(GatherError::Mismatch);
        }
        target.put_aside(begin, bytes);
        Ok(())
    }

    /// Ends the dealing: all rows are in the files.
    pub(super) fn all_dealt(&self) -> Result<(), GatherError> {
        for bucket in &self.buckets {
            let mut dealt = bucket.dealt();
            self.hand_over(bucket, &mut dealt)?;
            dealt.buffer = Vec::new();
        }
        Ok(self.outputs.iter().try_for_each(|output| output.target.settle())?)
    }

    /// Puts the rows of a bucket in order and writes what it has all of; each bucket once, from whatever thread.
    pub(super) fn put_in_order(&self, number: usize) -> Result<(), GatherError> {
        let bucket = &self.buckets[number];
        let output = &self.outputs[bucket.output];
        let rooms = || self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        // A room that was used is there already, and whatever is in it is read over.
        let mut bytes = rooms().pop().unwrap_or_default();
        bytes.resize(bucket.dealt().handed as usize, 0);
        output.target.read_at(&mut bytes, bucket.bytes.start)?;
        let rows = in_order(&bytes, bucket.positions.clone()).ok_or(GatherError::Mismatch)?;
        let whole = |(source, row): &(u32, &[u8])| Ok((row.len() + self.ending(*source)?.len()) as u64);
        if rows.iter().map(whole).sum::<Result<u64, GatherError>>()? != bucket.bytes.end - bucket.bytes.start {
            return Err(GatherError::Mismatch);
        }
        let mut parts = Parts { output, at: bucket.bytes.start, part: output.target.room() };
        parts.part.clear();
        for (source, row) in rows {
            parts.push(row);
            parts.push(self.ending(source)?);
        }
        parts.give();
        rooms().push(bytes);
        Ok(())
    }
}

impl Bucket {
    fn dealt(&self) -> MutexGuard<'_, Dealt> {
        self.dealt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Consecutive bytes of an output, cut into its pieces.
struct Parts<'o> {
    output: &'o Output,
    /// Where the next byte belongs.
    at: u64,
    /// The bytes before it, of the same piece.
    part: Vec<u8>,
}

impl Parts<'_> {
    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (fitting, rest) = bytes.split_at(bytes.len().min(PIECE - self.at as usize % PIECE));
            self.part.extend_from_slice(fitting);
            self.at += fitting.len() as u64;
            bytes = rest;
            if self.at.is_multiple_of(PIECE as u64) {
                self.give();
            }
        }
    }

    /// Gives the piece to the file if all of it is there; else keeps it until others have brought the rest.
    fn give(&mut self) {
        if self.part.is_empty() {
            return;
        }
        let (target, begin) = (&self.output.target, self.at - self.part.len() as u64);
        let number = (begin / PIECE as u64) as usize;
        let piece = number as u64 * PIECE as u64;
        let whole = (self.output.bytes - piece).min(PIECE as u64) as usize;
        if self.part.len() == whole {
            let mut room = target.room();
            room.clear();
            room.reserve_exact(PIECE);
            return target.put(number, std::mem::replace(&mut self.part, room));
        }
        let mut seams = self.output.seams.lock().unwrap_or_else(PoisonError::into_inner);
        let seam = seams.entry(number).or_default();
        seam.bytes.resize(whole, 0);
        seam.bytes[(begin - piece) as usize..][..self.part.len()].copy_from_slice(&self.part);
        seam.there += self.part.len();
        self.part.clear();
        let done = if seam.there == whole { seams.remove(&number) } else { None };
        drop(seams);
        if let Some(seam) = done {
            target.put(number, seam.bytes);
        }
    }
}

/// The rows of a bucket by position, each with its source; `None` unless it has every position of its stretch once.
fn in_order(bytes: &[u8], stretch: Range<u32>) -> Option<Vec<(u32, &[u8])>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{materialise::Sink, system};

    /// Bytes that hang on a number alone: mostly a few, now and then more than two pieces.
    fn row(number: u32) -> Vec<u8> {
        let length = if number % 700 == 3 { PIECE * 5 / 2 } else { number as usize * 37 % 900 };
        (0..length).map(|at| (at as u32 ^ number) as u8).collect()
    }

    const ROWS: [u32; 3] = [3000, 0, 40];

    /// Writes outputs by buckets of about so many bytes; `deals` are positions with their rows as they are dealt.
    fn write(folder: &std::path::Path, bytes: u64, deals: &[(u32, Vec<u8>)]) -> Result<Vec<Vec<u8>>, GatherError> {
        let paths = [0, 1, 2].map(|number| folder.join(number.to_string()));
        let sinks = paths.each_ref().map(|path| Sink::new(path).unwrap());
        let order = |rows: u32| Order { list: crate::id::BlobId::of(b""), rows: rows.into() };
        let targets = sinks.iter().map(|sink| sink.target().clone()).collect();
        let endings = [b",\"source\":\"a\"}\n".to_vec(), b",\"source\":\"bcd\"}\n".to_vec()];
        let mut buckets = Buckets::new(&ROWS.map(order), targets, endings.into(), 450, bytes)?;
        for position in 0..ROWS.iter().sum() {
            buckets.measure(position, position % 2, row(position).len())?;
        }
        buckets.lay_out()?;
        std::thread::scope(|scope| {
            let halves = deals.chunks(deals.len().div_ceil(2)).map(|deals| {
                let deal = |(position, row): &(u32, Vec<u8>)| buckets.deal(*position, position % 2, row);
                let dealt = deals.iter().map(deal);
                scope.spawn(move || dealt.collect::<Result<Vec<()>, _>>())
            });
            halves.collect::<Vec<_>>().into_iter().try_for_each(|half| half.join().unwrap().map(drop))
        })?;
        buckets.all_dealt()?;
        // From both ends, so that neighbours come at very different times.
        let all = buckets.len();
        (0..all).map(|i| if i % 2 == 0 { i / 2 } else { all - 1 - i / 2 }).try_for_each(|i| buckets.put_in_order(i))?;
        let written = sinks.into_iter().zip(&paths).map(|(sink, path)| {
            let written = sink.finish()?.ok_or(GatherError::Mismatch)?;
            let digest = written.digest;
            written.put_in_place()?;
            let bytes = system::read(path)?;
            assert_eq!(crate::id::FileHash::of(&bytes), digest);
            Ok(bytes)
        });
        written.collect()
    }

    #[test]
    fn rows_come_in_order_whatever_the_size_of_buckets() {
        let folder = tempfile::tempdir().unwrap();
        let count: u32 = ROWS.iter().sum();
        let deals: Vec<_> = (0..count).map(|i| i * 1009 % count).map(|position| (position, row(position))).collect();
        let mut wanted = vec![Vec::new(); ROWS.len()];
        for position in 0..count {
            let ending: &[u8] = [b",\"source\":\"a\"}\n".as_slice(), b",\"source\":\"bcd\"}\n"][position as usize % 2];
            wanted[if position < ROWS[0] { 0 } else { 2 }].extend([&row(position), ending].concat());
        }
        for bytes in [1, 20_000, 700_000, 1 << 40] {
            assert!(write(folder.path(), bytes, &deals).unwrap() == wanted, "buckets of {bytes} bytes");
        }
        let is_found = |deals: &[(u32, Vec<u8>)]| {
            [1, 20_000, 1 << 40]
                .into_iter()
                .all(|bytes| matches!(write(folder.path(), bytes, deals), Err(GatherError::Mismatch)))
        };
        assert!(is_found(&deals[1..]), "a row is missing");
        assert!(is_found(&[&deals[..], &deals[..1]].concat()), "a row came twice");
        assert!(is_found(&[&[(deals[0].0, vec![0; deals[0].1.len() + 9000])], &deals[1..]].concat()), "a longer row");
        assert!(
            is_found(&[&deals[..1], &[(deals[1].0, vec![0; deals[1].1.len() - 1])], &deals[2..]].concat()),
            "a shorter one"
        );
        assert!(is_found(&[(count, Vec::new())]), "no such position");
    }
}
