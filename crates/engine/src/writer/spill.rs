//! Samples put in order on disk, where memory has no room for them.
//!
//! A bucket is a stretch of an output. Each blob is read once, and its samples are dealt into buckets, which are parts of
//! one temporary file; then each bucket is read, put in order, and its rows are encoded as a segment of the output.

use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    file::OutputFile,
    rows::{Block, Encoder, Fails, Order, OutputError, Rows, Slot, check_version},
};
use crate::{
    cache::Blobs,
    system::{FileError, ScratchFolder},
};
use datac_core::{
    id::BlobId,
    sort::{Sorted, Sorter},
};

/// Bytes of memory that sorting may take.
const SORTED_BYTES: usize = 32 << 20;

/// Blocks whose samples are dealt before more are looked up: enough for threads to end at about the same time.
const WAVE: usize = 64;

/// The most buckets that all outputs have together; beyond some gigabytes they are larger instead.
const MOST: u64 = 1024;

/// Bytes of all buckets that wait to be written, while samples are dealt; and the most of one.
const BUFFERS: usize = 32 << 20;
const BUFFER: usize = 256 << 10;

/// What is written before a sample: its position, its source and its length, 4 bytes each.
const HEAD: usize = 12;

/// Samples on their way through a temporary file. Positions in the second output follow those in the first.
pub(super) struct Spill {
    files: Vec<Arc<OutputFile>>,
    encoder: Arc<Encoder>,
    scratch: PathBuf,
    dealing: Arc<Dealing>,
    /// The first bucket of each output.
    firsts: Vec<usize>,
}

/// Buckets, and the file that they are parts of.
struct Dealing {
    buckets: Vec<Bucket>,
    /// Bytes of a bucket that are written at once.
    buffer: usize,
    scratch: PathBuf,
    file: File,
    /// How many bytes of the file are taken.
    end: Mutex<u64>,
}

/// Consecutive rows of an output.
struct Bucket {
    output: usize,
    positions: Range<u32>,
    dealt: Mutex<Dealt>,
}

/// What has been dealt into a bucket.
#[derive(Default)]
struct Dealt {
    /// The parts of the file that it has.
    parts: Vec<Range<u64>>,
    /// Bytes behind them.
    buffer: Vec<u8>,
}

/// A sample that is wanted, and at which position.
struct Wanted {
    place: Slot,
    position: u32,
}

/// The samples that are wanted of a block.
struct WantedOf {
    blob: BlobId,
    source: u32,
    samples: Vec<Wanted>,
}

impl Spill {
    /// Buckets for samples of a mean size, each of about so many bytes.
    pub(super) fn new(
        orders: &[Order],
        files: &[Arc<OutputFile>],
        encoder: Arc<Encoder>,
        mean: u64,
        bytes: u64,
        scratch: &Path,
    ) -> Result<Self, OutputError> {
        let whole: u64 = orders.iter().map(|order| order.rows).sum();
        if whole > u64::from(u32::MAX) {
            return Err(OutputError::Mismatch);
        }
        let (mut buckets, mut firsts, mut first) = (Vec::new(), Vec::new(), 0);
        for (output, order) in orders.iter().enumerate() {
            firsts.push(buckets.len());
            let most = (MOST * order.rows).div_ceil(whole.max(1));
            let count = (order.rows * mean).div_ceil(bytes).clamp(1, most.max(1)).min(order.rows);
            let bound = |number: u64| (first + order.rows * number / count) as u32;
            buckets.extend((0..count).map(|number| Bucket {
                output,
                positions: bound(number)..bound(number + 1),
                dealt: Mutex::default(),
            }));
            first += order.rows;
        }
        let file = tempfile::tempfile_in(scratch).map_err(|source| failed("write", scratch, source))?;
        let buffer = (BUFFERS / buckets.len().max(1)).min(BUFFER);
        let dealing = Dealing { buckets, buffer, scratch: scratch.to_owned(), file, end: Mutex::new(0) };
        let (dealing, scratch) = (Arc::new(dealing), scratch.to_owned());
        Ok(Self { files: files.to_vec(), encoder, scratch, dealing, firsts })
    }

    /// Deals all samples into buckets, reading each block once, then encodes each bucket in order.
    pub(super) fn run<E: Fails>(self, rows: &Rows<'_, E>, candidates: u64, orders: &[Order]) -> Result<(), E> {
        // Positions by candidate, and so by block.
        let (mut wanted, mut position) =
            (Sorter::new(&ScratchFolder::at(&self.scratch), SORTED_BYTES, candidates), 0_u32);
        for order in orders {
            rows.each(order, |candidate| {
                wanted.push([candidate, position])?;
                position = position.checked_add(1).ok_or(OutputError::Mismatch)?;
                Ok(())
            })?;
        }
        let (mut wave, mut last) = (Vec::new(), None);
        each_wanted(rows, &wanted.finish()?, |block, sample| {
            if last.replace(block) != Some(block) {
                if wave.len() == WAVE {
                    self.deal(rows, std::mem::take(&mut wave))?;
                }
                let Block { blob, source, .. } = rows.blocks[block];
                wave.push(WantedOf { blob, source, samples: Vec::new() });
            }
            wave.last_mut().expect("one was added").samples.push(sample);
            Ok(())
        })?;
        self.deal(rows, wave)?;
        // What was made a moment ago is dealt: the buckets need the room.
        rows.store.let_go();
        let Self { files, encoder, dealing, firsts, .. } = self;
        let places = dealing.buckets.iter().enumerate();
        let places = places.map(|(number, bucket)| (bucket.output, number - firsts[bucket.output])).collect();
        rows.put_segments(&files, places, move |number, out| dealing.encode(number, &encoder, out))
    }

    /// Deals the samples that are wanted of some blocks.
    fn deal<E: Fails>(&self, rows: &Rows<'_, E>, wave: Vec<WantedOf>) -> Result<(), E> {
        let (store, dealing, count) = (rows.store.clone(), self.dealing.clone(), wave.len());
        let deal = move |number: usize| {
            let WantedOf { blob: digest, source, samples } = &wave[number];
            let blob = store.get(digest)?;
            check_version(digest, &blob)?;
            samples.iter().try_for_each(|Wanted { place, position }| {
                let sample = blob.get(place.start as usize..place.end as usize).ok_or(OutputError::Mismatch)?;
                dealing.deal(*position, *source, sample)
            })
        };
        rows.each_on_all_threads(count, deal, || {})
    }
}

/// Calls `take` with the block, the place and the position of each sample that is wanted, block by block.
fn each_wanted<E: Fails>(
    rows: &Rows<'_, E>,
    wanted: &Sorted<2>,
    mut take: impl FnMut(usize, Wanted) -> Result<(), E>,
) -> Result<(), E> {
    // The block, the numbers of its candidates, and where they stand, once one is asked for.
    let first = rows.blocks.first().map_or(0, |block| u64::from(block.candidates));
    let (mut block, mut end, mut places) = (0, first, None);
    wanted.each(|&[candidate, position]| {
        let candidate = u64::from(candidate);
        while candidate >= end {
            block += 1;
            end += u64::from(rows.blocks.get(block).ok_or(OutputError::Mismatch)?.candidates);
            places = None;
        }
        let places = match &mut places {
            Some(places) => places,
            none => none.insert((rows.places)(block)?),
        };
        let of_block = candidate + u64::from(rows.blocks[block].candidates) - end;
        let place = *places.get(of_block as usize).ok_or(OutputError::Mismatch)?;
        take(block, Wanted { place, position })
    })
}

impl Dealing {
    /// Takes the sample at a position, from whatever thread.
    fn deal(&self, position: u32, source: u32, sample: &[u8]) -> Result<(), OutputError> {
        let bucket = self.buckets.partition_point(|bucket| bucket.positions.end <= position);
        let bucket = self.buckets.get(bucket).ok_or(OutputError::Mismatch)?;
        let mut dealt = bucket.dealt.lock().unwrap_or_else(PoisonError::into_inner);
        if !dealt.buffer.is_empty() && dealt.buffer.len() + HEAD + sample.len() > self.buffer {
            let part = self.write(&dealt.buffer)?;
            dealt.parts.push(part);
            dealt.buffer.clear();
        }
        if dealt.buffer.capacity() == 0 {
            dealt.buffer.reserve_exact(self.buffer);
        }
        for number in [position, source, sample.len() as u32] {
            dealt.buffer.extend_from_slice(&number.to_le_bytes());
        }
        dealt.buffer.extend_from_slice(sample);
        Ok(())
    }

    /// Writes bytes behind all others; returns where they are.
    fn write(&self, bytes: &[u8]) -> Result<Range<u64>, FileError> {
        let begin = {
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            *end += bytes.len() as u64;
            *end - bytes.len() as u64
        };
        self.file.write_all_at(bytes, begin).map_err(|source| failed("write", &self.scratch, source))?;
        Ok(begin..begin + bytes.len() as u64)
    }

    /// Appends the rows of a bucket in order; each bucket once, from whatever thread.
    fn encode(&self, number: usize, encoder: &Encoder, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let bucket = &self.buckets[number];
        let Dealt { parts, buffer } = std::mem::take(&mut *bucket.dealt.lock().unwrap_or_else(PoisonError::into_inner));
        let written: u64 = parts.iter().map(|part| part.end - part.start).sum();
        let mut bytes = vec![0; written as usize];
        let mut at = 0;
        for part in parts {
            let length = (part.end - part.start) as usize;
            let read = self.file.read_exact_at(&mut bytes[at..at + length], part.start);
            read.map_err(|source| failed("read", &self.scratch, source))?;
            at += length;
        }
        bytes.extend_from_slice(&buffer);
        drop(buffer);
        for (source, sample) in in_order(&bytes, bucket.positions.clone()).ok_or(OutputError::Mismatch)? {
            encoder.append(sample, source, out)?;
        }
        Ok(())
    }
}

/// The samples of a bucket by position, each with its source; `None` unless it has every position of its stretch once.
fn in_order(bytes: &[u8], stretch: Range<u32>) -> Option<Vec<(u32, &[u8])>> {
    let mut samples: Vec<Option<(u32, &[u8])>> = vec![None; stretch.len()];
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
        let [position, source, length] = *head.as_chunks().0 else { return None };
        let (sample, after) = after.split_at_checked(u32::from_le_bytes(length) as usize)?;
        let at = u32::from_le_bytes(position).checked_sub(stretch.start)?;
        let before = samples.get_mut(at as usize)?.replace((u32::from_le_bytes(source), sample));
        if before.is_some() {
            return None;
        }
        rest = after;
    }
    rest.is_empty().then(|| samples.into_iter().collect()).flatten()
}

fn failed(verb: &'static str, scratch: &Path, source: std::io::Error) -> FileError {
    FileError { verb, path: scratch.to_owned(), source }
}
