//! Encodes samples, which are stored in source order, as rows in output order.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{budget::Budget, encoder::Encoder, file::OutputFile, load::load, order::Order, share::share, spill::Spill};
use crate::{
    cache::{Blobs, Miss, MissReason, Store},
    system::FileError,
};
use datac_core::{id::BlobId, sample::Quoted, shape::Unfit};

/// Size of the samples of a segment, in bytes. Their rows take about twice as much.
const SEGMENT: u64 = 512 << 10;

/// A blob of samples.
#[derive(Clone, Debug)]
pub struct Block {
    /// Digest of the blob.
    pub blob: BlobId,
    /// Size in bytes, uncompressed; 0 if nothing of it is written.
    pub bytes: u64,
    /// Number of the source that the samples come from.
    pub source: u32,
    /// Number of its samples that are candidates.
    pub candidates: u32,
    /// Whether this build made the blob.
    pub is_new: bool,
}

/// Position of a candidate in its block.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
    /// Hash of the sample's identity text.
    pub row_hash: u64,
}

/// Everything that outputs are written from. Candidates are numbered block by block.
pub struct Rows<'a, E> {
    /// The store of the blobs.
    pub store: &'a Store,
    /// The blobs of samples.
    pub blocks: Vec<Block>,
    /// Encoder of rows.
    pub encoder: Arc<Encoder>,
    /// Returns the positions of a block's candidates.
    pub places: &'a dyn Fn(usize) -> Result<Vec<Slot>, E>,
    /// Set when the user interrupts the build.
    pub interrupt: &'a Arc<AtomicBool>,
    /// Returns an error if the interrupt is set.
    pub check: &'a dyn Fn() -> Result<(), E>,
}

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A blob is unavailable.
    #[error(transparent)]
    Missing(#[from] Miss),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob is shorter than its index says, or an arrangement names a row that does not exist.
    #[error("write rows: the index and the samples of a chunk do not match")]
    Mismatch,
    /// The shape has no place for something that a sample has.
    #[error("write a sample of `{0}`: {1}")]
    Unfit(String, Unfit),
    /// A row that a shape wrote is not of the shape's columns.
    #[error("write `{}`: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The row, and what is wrong with it.
        reason: String,
    },
}

/// The errors that a caller's error type must convert from.
pub trait Fails: From<OutputError> + From<FileError> + From<Miss> {}

impl<E: From<OutputError> + From<FileError> + From<Miss>> Fails for E {}

/// Rows of an earlier output, in nearly the order in which they are wanted.
pub trait AtHand: Send {
    /// Looks for the next wanted row. `ahead` returns whether one of the wanted rows after it has a given hash.
    fn find(&mut self, wanted: WantedRow<'_>, ahead: &dyn Fn(u64) -> bool) -> Found<'_>;
}

/// A wanted row.
#[derive(Clone, Copy, Debug)]
pub struct WantedRow<'a> {
    /// Hash of the sample's identity text.
    pub row_hash: u64,
    /// Source of the sample.
    pub source: Quoted<'a>,
}

/// Result of looking for a wanted row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The row, with its line feed.
    Row(&'a [u8]),
    /// No such row was found.
    New,
    /// So many rows are missing that looking for them takes longer than encoding them.
    Useless,
}

/// Bytes of memory needed: for each candidate whose sample is in memory, for each candidate's hash if rows of an
/// earlier output are reused, and for each row of an output.
const A_CANDIDATE: u64 = size_of::<SampleAt>() as u64;
const A_HASH: u64 = 8;
const A_ROW: u64 = 4;

/// Number of samples that memory is asked for at once. An output's order leads from each sample to one at some other place, which is
/// in no cache of the processor. One after another, these waits took a tenth of the CPU of a build, and a quarter with an added shape.
const AT_ONCE: usize = 16;

/// Number of following wanted rows that a row at hand is compared with.
const AHEAD: usize = 64;

/// A sample in a block.
#[derive(Clone, Copy)]
struct SampleAt {
    block: u32,
    start: u32,
    end: u32,
}

/// The work of writing outputs, segment by segment.
struct Plan {
    /// Position of each candidate's sample.
    samples: Vec<SampleAt>,
    /// Hash of each candidate's identity text; empty if no rows are reused.
    hashes: Vec<u64>,
    /// The candidates of each output, in order.
    lists: Vec<Vec<u32>>,
    /// Output and candidates of each segment, ordered by output.
    segments: Vec<(usize, Range<usize>)>,
    /// Number of the first segment of each output.
    firsts: Vec<usize>,
}

/// What rows are encoded from: blobs, which are loaded on demand, and the encoder.
struct Samples {
    blobs: Vec<OnceLock<Result<Arc<Vec<u8>>, Miss>>>,
    blocks: Vec<Block>,
    store: Store,
    encoder: Arc<Encoder>,
}

impl Samples {
    /// Returns a sample with the number of its source.
    fn at(&self, at: SampleAt) -> Result<(&[u8], u32), OutputError> {
        let block = &self.blocks[at.block as usize];
        let blob = self.blobs[at.block as usize].get_or_init(|| {
            let blob = self.store.get(&block.blob)?;
            check_version(&block.blob, &blob, self.encoder.format()).map(|()| blob)
        });
        let sample = blob.as_ref().map_err(Clone::clone)?.get(at.start as usize..at.end as usize);
        Ok((sample.ok_or(OutputError::Mismatch)?, block.source))
    }

    /// Appends a sample as a line.
    fn append(&self, at: SampleAt, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let (sample, source) = self.at(at)?;
        self.encoder.append(sample, source, out)
    }

    /// Reads a byte of each line of these samples, as far as they are in memory: the processor waits for all of them at once.
    fn touch(&self, places: &[SampleAt]) {
        const LINE: usize = 64;
        let mut seen = 0;
        for at in places {
            let Some(Ok(blob)) = self.blobs[at.block as usize].get() else { continue };
            let sample = blob.get(at.start as usize..at.end as usize).unwrap_or_default();
            seen = sample.iter().step_by(LINE).fold(seen, |seen, byte| seen ^ byte);
        }
        std::hint::black_box(seen);
    }

    fn is_loaded(&self, block: u32) -> bool {
        self.blobs[block as usize].get().is_some()
    }
}

impl<E: Fails> Rows<'_, E> {
    /// Writes several outputs into files that `begin` creates.
    ///
    /// Rows come from earlier outputs (`at_hand`, one per output, for rows of one sample each) if that is useful; otherwise from samples in memory
    /// if the budget allows it; otherwise from samples sorted in a temporary file.
    pub fn write(
        &self,
        orders: &[Order],
        begin: &dyn Fn(usize) -> Result<OutputFile, OutputError>,
        at_hand: Option<Vec<Box<dyn AtHand>>>,
        budget: &Budget,
        scratch: &Path,
    ) -> Result<Vec<Arc<OutputFile>>, E> {
        let of_use = || self.blocks.iter().filter(|block| block.candidates > 0);
        let candidates: u64 = of_use().map(|block| u64::from(block.candidates)).sum();
        let samples: u64 = orders.iter().map(|order| order.samples).sum();
        let bytes: u64 = of_use().map(|block| block.bytes).sum();
        let beside = A_CANDIDATE * candidates + A_ROW * samples;
        let file = |output| begin(output).map(|file| Arc::new(file.ahead(budget.whole() / 8)));
        let files = || (0..orders.len()).map(file).collect::<Result<Vec<_>, _>>();
        // Limit on the blobs read for rows that are not at hand: those of this build, and few others.
        let few =
            bytes.min(of_use().filter(|block| block.is_new).map(|block| block.bytes).sum::<u64>() + budget.whole() / 8);
        if let Some(at_hand) = at_hand
            && let Some(_lease) = budget.take(beside + A_HASH * candidates + few)
        {
            let (plan, files) = (self.plan(orders, true)?, files()?);
            if self.write_reusing(plan, &files, at_hand, few)? {
                return Ok(files);
            }
        }
        let files = files()?;
        if let Some(_lease) = budget.take(bytes + beside) {
            self.write_from_memory(self.plan(orders, false)?, orders.to_vec(), &files)?;
            return Ok(files);
        }
        // Samples that are put in order at a time should fit in the processor's cache, so buckets are a small part of
        // the budget.
        let (mean, bucket) = (bytes / candidates.max(1), (budget.whole() / 64).max(1 << 20));
        Spill::new(orders, &files, self.encoder.clone(), mean, bucket, scratch)?.run(self, candidates, orders)?;
        Ok(files)
    }

    fn plan(&self, orders: &[Order], with_hashes: bool) -> Result<Plan, E> {
        let (mut samples, mut hashes) = (Vec::new(), Vec::new());
        for block in (0..self.blocks.len()).filter(|block| self.blocks[*block].candidates > 0) {
            let places = (self.places)(block)?;
            if places.len() != self.blocks[block].candidates as usize {
                return Err(OutputError::Mismatch.into());
            }
            if with_hashes {
                hashes.extend(places.iter().map(|place| place.row_hash));
            }
            let at = |place: Slot| SampleAt { block: block as u32, start: place.start, end: place.end };
            samples.extend(places.into_iter().map(at));
        }
        let (mut lists, mut segments, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for (output, order) in orders.iter().enumerate() {
            firsts.push(segments.len());
            let (mut list, mut begin, mut bytes) = (Vec::with_capacity(order.samples as usize), 0, 0);
            self.each(order, |candidate| {
                let sample: &SampleAt = samples.get(candidate as usize).ok_or(OutputError::Mismatch)?;
                list.push(candidate);
                bytes += u64::from(sample.end.saturating_sub(sample.start));
                if bytes >= SEGMENT && order.ends_row(list.len() as u64 - 1) {
                    segments.push((output, begin..list.len()));
                    (begin, bytes) = (list.len(), 0);
                }
                Ok(())
            })?;
            if begin < list.len() {
                segments.push((output, begin..list.len()));
            }
            lists.push(list);
        }
        Ok(Plan { samples, hashes, lists, segments, firsts })
    }

    fn samples(&self) -> Samples {
        let blobs = self.blocks.iter().map(|_| OnceLock::new()).collect();
        Samples { blobs, blocks: self.blocks.clone(), store: self.store.clone(), encoder: self.encoder.clone() }
    }

    fn write_from_memory(&self, plan: Plan, orders: Vec<Order>, files: &[Arc<OutputFile>]) -> Result<(), E> {
        let samples = self.samples();
        let is_needed = |block: &usize| self.blocks[*block].candidates > 0 && self.blocks[*block].bytes > 0;
        let needed: Vec<usize> = (0..self.blocks.len()).filter(is_needed).collect();
        let loaded = load(self.store, needed.iter().map(|block| self.blocks[*block].blob).collect())?;
        for (block, blob) in needed.into_iter().zip(loaded) {
            check_version(&self.blocks[block].blob, &blob, self.encoder.format())?;
            samples.blobs[block].set(Ok(blob)).ok();
        }
        let places = plan.segments.iter().enumerate();
        let places = places.map(|(number, (output, _))| (*output, number - plan.firsts[*output])).collect();
        self.put_segments(files, places, move |number, out| {
            let (output, rows) = &plan.segments[number];
            let samples = &samples;
            let wanted = plan.lists[*output][rows.clone()].chunks(AT_ONCE).flat_map(|candidates| {
                let places = candidates.iter().map(|candidate| plan.samples[*candidate as usize]);
                let places: Vec<SampleAt> = places.collect();
                samples.touch(&places);
                places.into_iter().map(|at| samples.at(at))
            });
            samples.encoder.append_rows(wanted, &orders[*output], rows.start as u64, out)
        })
    }

    /// Writes rows at hand and encodes the others; returns false if too many have to be encoded.
    ///
    /// One thread at a time reads the rows at hand, in order, while another one hashes and writes.
    fn write_reusing(
        &self,
        plan: Plan,
        files: &[Arc<OutputFile>],
        at_hand: Vec<Box<dyn AtHand>>,
        few: u64,
    ) -> Result<bool, E> {
        let (count, samples) = (plan.segments.len(), self.samples());
        let walk = Mutex::new(Walk { at_hand, next: 0, loaded: 0, few, is_over: false });
        let is_useless = Arc::new(AtomicBool::new(false));
        let (all, written, useless) = (files.to_vec(), files.to_vec(), is_useless.clone());
        let work = move |_| {
            let mut walk = walk.lock().unwrap_or_else(PoisonError::into_inner);
            if walk.is_over {
                written.iter().for_each(|file| file.abandon());
                return Ok(());
            }
            let number = walk.next;
            walk.next += 1;
            let output = plan.segments[number].0;
            let mut out = written[output].buffer();
            let encoded = walk.segment(&plan, number, &samples, &mut out);
            // After a failure the rows at hand are somewhere within this segment, so no later segment can be looked
            // for.
            walk.is_over = !matches!(encoded, Ok(true));
            drop(walk);
            let encoded = encoded.and_then(|is_done| {
                useless.fetch_or(!is_done, Ordering::Relaxed);
                if is_done { Ok(out) } else { Err(OutputError::Mismatch) }
            });
            written[output].put(number - plan.firsts[output], encoded)
        };
        let ended = self.each_on_all_threads(count, work, move || all.iter().for_each(|file| file.abandon()));
        if is_useless.load(Ordering::Relaxed) { Ok(false) } else { ended.map(|()| true) }
    }

    /// Encodes and writes segments on all free threads, and returns the first error; stops if interrupted. `places`
    /// gives the output of each segment and its number there.
    pub(super) fn put_segments(
        &self,
        files: &[Arc<OutputFile>],
        places: Vec<(usize, usize)>,
        encode: impl Fn(usize, &mut Vec<u8>) -> Result<(), OutputError> + Send + Sync + 'static,
    ) -> Result<(), E> {
        for of_output in places.chunk_by(|(a, _), (b, _)| a == b) {
            files[of_output[0].0].expect(of_output.len());
        }
        let (files, all, count) = (files.to_vec(), files.to_vec(), places.len());
        let work = move |number: usize| {
            let (output, at) = places[number];
            let mut out = files[output].buffer();
            files[output].put(at, encode(number, &mut out).map(|()| out))
        };
        // Threads that wait for a segment that will not be delivered must be woken.
        self.each_on_all_threads(count, work, move || all.iter().for_each(|file| file.abandon()))
    }

    /// Calls `work` with every number below `count` on all free threads, and returns the first error. After an error
    /// or an interrupt, `left_out` is called for each remaining number instead.
    pub(super) fn each_on_all_threads(
        &self,
        count: usize,
        work: impl Fn(usize) -> Result<(), OutputError> + Send + Sync + 'static,
        left_out: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), E> {
        let (interrupt, met) = (self.interrupt.clone(), Arc::new(Mutex::new(None)));
        let met_by_all = met.clone();
        share(count, move |number| {
            let met = || met_by_all.lock().unwrap_or_else(PoisonError::into_inner);
            if interrupt.load(Ordering::Relaxed) || met().is_some() {
                return left_out();
            }
            if let Err(error) = work(number) {
                met().get_or_insert(error);
            }
        });
        (self.check)()?;
        let met = met.lock().unwrap_or_else(PoisonError::into_inner).take();
        met.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Calls `take` with the candidate of each row of an order.
    pub(super) fn each(&self, order: &Order, mut take: impl FnMut(u32) -> Result<(), E>) -> Result<(), E> {
        let (mut rows, wanted) = (0, order.first..order.first + order.samples);
        self.store.each_part(&order.list, |part| {
            part.as_chunks().0.iter().try_for_each(|candidate| {
                rows += 1;
                if wanted.contains(&(rows - 1)) { take(u32::from_le_bytes(*candidate)) } else { Ok(()) }
            })
        })?;
        if rows == order.of { Ok(()) } else { Err(OutputError::Mismatch.into()) }
    }
}

/// State of the walk through the rows at hand.
struct Walk {
    at_hand: Vec<Box<dyn AtHand>>,
    /// Number of the next segment.
    next: usize,
    /// Bytes of blobs read so far, and the limit for them.
    loaded: u64,
    few: u64,
    /// Whether a segment failed, which ends the walk.
    is_over: bool,
}

impl Walk {
    /// Appends the rows of a segment; returns false if too few of them are at hand.
    fn segment(
        &mut self,
        plan: &Plan,
        number: usize,
        samples: &Samples,
        out: &mut Vec<u8>,
    ) -> Result<bool, OutputError> {
        let (output, rows) = &plan.segments[number];
        let list = &plan.lists[*output];
        for row in rows.clone() {
            let candidate = list[row] as usize;
            let at = plan.samples[candidate];
            let block = &samples.blocks[at.block as usize];
            let wanted = WantedRow { row_hash: plan.hashes[candidate], source: samples.encoder.source(block.source)? };
            let ahead =
                |hash| list[row + 1..].iter().take(AHEAD).any(|candidate| plan.hashes[*candidate as usize] == hash);
            match self.at_hand[*output].find(wanted, &ahead) {
                // Rows of new samples are encoded even if found: reading the blob proves the sample, a hash does not.
                Found::Row(line) if !block.is_new => out.extend_from_slice(line),
                Found::Row(_) | Found::New => {
                    self.loaded += if samples.is_loaded(at.block) { 0 } else { block.bytes };
                    if self.loaded > self.few {
                        return Ok(false);
                    }
                    samples.append(at, out)?;
                }
                Found::Useless => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Returns a miss if a blob holds samples of another version, so that they are made again.
pub fn check_version(digest: &BlobId, blob: &[u8], version: u8) -> Result<(), Miss> {
    match blob.first() {
        Some(found) if *found == version => Ok(()),
        _ => Err(Miss { digest: *digest, reason: MissReason::Damaged("it has another version".into()) }),
    }
}

#[cfg(test)]
mod tests;
