//! Puts samples in order on disk if they do not fit in memory.
//!
//! Each output is divided into stretches of consecutive rows, and each stretch has a bucket. Every blob is read once,
//! and its samples are dealt into the buckets, which are parts of one temporary file. Then each bucket is read, put
//! in order, and its rows are encoded as a segment of the output.

use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    encoder::Encoder,
    file::OutputFile,
    order::Order,
    rows::{Block, Fails, OutputError, Rows, Slot, check_version},
};
use crate::{
    cache::Blobs,
    system::{FileError, ScratchFolder},
};
use datac_core::{
    id::BlobId,
    sort::{Sorted, Sorter},
};

/// Bytes of memory for sorting positions.
const SORTED_BYTES: usize = 32 << 20;

/// Number of blocks that are dealt together: enough for all threads to end at about the same time.
const WAVE: usize = 64;

/// Maximum number of buckets of all outputs together. If more would be needed, buckets are larger instead.
const MOST: u64 = 1024;

/// Maximum size, in bytes, of all buffers of samples waiting to be written, and of one of them.
const BUFFERS: usize = 32 << 20;
const BUFFER: usize = 256 << 10;

/// Size of a sample's header in bytes: its position, source and length, 4 bytes each.
const HEAD: usize = 12;

/// Samples on their way through a temporary file. Positions are counted over all outputs, one after the other.
pub(super) struct Spill {
    files: Vec<Arc<OutputFile>>,
    encoder: Arc<Encoder>,
    scratch: PathBuf,
    dealing: Arc<Dealing>,
    /// Number of the first bucket of each output.
    firsts: Vec<usize>,
    orders: Vec<Order>,
}

/// The buckets, and the file that they are parts of.
struct Dealing {
    buckets: Vec<Bucket>,
    /// Size of a bucket's buffer, which is written at once, in bytes.
    buffer: usize,
    scratch: PathBuf,
    file: File,
    /// Size of the file in bytes.
    end: Mutex<u64>,
}

/// A stretch of consecutive rows of an output.
struct Bucket {
    output: usize,
    positions: Range<u32>,
    /// The position of the first sample of the output.
    base: u32,
    dealt: Mutex<Dealt>,
}

/// The samples that have been dealt into a bucket.
#[derive(Default)]
struct Dealt {
    /// The parts of the file that belong to the bucket.
    parts: Vec<Range<u64>>,
    /// Bytes that follow those parts and are not written yet.
    buffer: Vec<u8>,
}

/// A wanted sample and its position.
struct Wanted {
    place: Slot,
    position: u32,
}

/// The wanted samples of a block.
struct WantedOf {
    blob: BlobId,
    source: u32,
    samples: Vec<Wanted>,
}

impl Spill {
    /// Creates buckets of about `bytes` bytes each, for samples that take `mean` bytes on average.
    pub(super) fn new(
        orders: &[Order],
        files: &[Arc<OutputFile>],
        encoder: Arc<Encoder>,
        mean: u64,
        bytes: u64,
        scratch: &Path,
    ) -> Result<Self, OutputError> {
        let whole: u64 = orders.iter().map(|order| order.samples).sum();
        if whole > u64::from(u32::MAX) {
            return Err(OutputError::Mismatch);
        }
        let (mut buckets, mut firsts, mut first) = (Vec::new(), Vec::new(), 0);
        for (output, order) in orders.iter().enumerate() {
            firsts.push(buckets.len());
            let most = (MOST * order.samples).div_ceil(whole.max(1));
            let count = (order.samples * mean).div_ceil(bytes).clamp(1, most.max(1)).min(order.samples);
            // The samples of a row are in one bucket.
            let bound = |number: u64| (first + order.next_row(order.samples * number / count)) as u32;
            buckets.extend((0..count).map(|number| Bucket {
                output,
                positions: bound(number)..bound(number + 1),
                base: first as u32,
                dealt: Mutex::default(),
            }));
            first += order.samples;
        }
        let file = tempfile::tempfile_in(scratch).map_err(|source| failed("write", scratch, source))?;
        let buffer = (BUFFERS / buckets.len().max(1)).min(BUFFER);
        let dealing = Dealing { buckets, buffer, scratch: scratch.to_owned(), file, end: Mutex::new(0) };
        let (dealing, scratch) = (Arc::new(dealing), scratch.to_owned());
        Ok(Self { files: files.to_vec(), encoder, scratch, dealing, firsts, orders: orders.to_vec() })
    }

    /// Deals all samples into buckets, reading each block once, and then encodes each bucket in order.
    pub(super) fn run<E: Fails>(self, rows: &Rows<'_, E>, candidates: u64, orders: &[Order]) -> Result<(), E> {
        // Sorted by candidate, positions are also sorted by block.
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
        // All samples are dealt, so the recent blobs are no longer needed, and the buckets need the memory.
        rows.store.let_go();
        let Self { files, encoder, dealing, firsts, orders, .. } = self;
        let places = dealing.buckets.iter().enumerate();
        let places = places.map(|(number, bucket)| (bucket.output, number - firsts[bucket.output])).collect();
        rows.put_segments(&files, places, move |number, out| {
            let order = &orders[dealing.buckets[number].output];
            dealing.encode(number, &encoder, order, out)
        })
    }

    /// Deals the wanted samples of some blocks.
    fn deal<E: Fails>(&self, rows: &Rows<'_, E>, wave: Vec<WantedOf>) -> Result<(), E> {
        let (store, dealing, count) = (rows.store.clone(), self.dealing.clone(), wave.len());
        let format = self.encoder.format();
        let deal = move |number: usize| {
            let WantedOf { blob: digest, source, samples } = &wave[number];
            let blob = store.get(digest)?;
            check_version(digest, &blob, format)?;
            samples.iter().try_for_each(|Wanted { place, position }| {
                let sample = blob.get(place.start as usize..place.end as usize).ok_or(OutputError::Mismatch)?;
                dealing.deal(*position, *source, sample)
            })
        };
        rows.each_on_all_threads(count, deal, || {})
    }
}

/// Calls `take` with each wanted sample and its block, block by block.
fn each_wanted<E: Fails>(
    rows: &Rows<'_, E>,
    wanted: &Sorted<2>,
    mut take: impl FnMut(usize, Wanted) -> Result<(), E>,
) -> Result<(), E> {
    // The current block, the number after its last candidate, and the places of its candidates, once one is wanted.
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
    /// Adds the sample at a position to its bucket. Any thread may call this.
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

    /// Appends bytes to the file and returns their range.
    fn write(&self, bytes: &[u8]) -> Result<Range<u64>, FileError> {
        let begin = {
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            *end += bytes.len() as u64;
            *end - bytes.len() as u64
        };
        self.file.write_all_at(bytes, begin).map_err(|source| failed("write", &self.scratch, source))?;
        Ok(begin..begin + bytes.len() as u64)
    }

    /// Appends the rows of a bucket in order. Any thread may call this, once per bucket.
    fn encode(&self, number: usize, encoder: &Encoder, order: &Order, out: &mut Vec<u8>) -> Result<(), OutputError> {
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
        let samples = in_order(&bytes, bucket.positions.clone()).ok_or(OutputError::Mismatch)?;
        let samples = samples.into_iter().map(|(source, sample)| Ok((sample, source)));
        encoder.append_rows(samples, order, u64::from(bucket.positions.start - bucket.base), out)
    }
}

/// Returns the samples of a bucket by position, with their sources; `None` unless every position of the stretch
/// occurs exactly once.
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
