//! Writes outputs piece by piece on all threads: rows out of blobs in memory, or out of the former file.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    former::{Finder, Former, Stands, Stretch},
    gather::{Fails, GatherError, Order, Rows},
    share::share,
    sink::Sink,
    target::Target,
};
use crate::hash::PIECE;

/// What is to be written where.
pub(super) struct Plan {
    /// Where each candidate's row stands.
    rows: Vec<RowAt>,
    /// The hash of each candidate's row; empty without a former file.
    hashes: Vec<u64>,
    /// For each block which ending its rows have.
    sources: Vec<u32>,
    endings: Vec<Vec<u8>>,
    outputs: Vec<Output>,
}

/// A row in a block.
struct RowAt {
    block: u32,
    start: u32,
    end: u32,
}

struct Output {
    /// Its rows by candidate, in order.
    list: Vec<u32>,
    /// For each piece, the row that holds its first byte, and where that row begins.
    begins: Vec<(u32, u64)>,
    bytes: u64,
    former: Option<Former>,
    /// What is to be copied from there.
    kept: Vec<Stretch>,
    /// Set if that is all of the output and all of the file.
    stands: Option<Stands>,
}

/// How filling can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// All pieces are written.
    All,
    /// A former file does not hold what it should: none of what was written is to be trusted.
    Stale,
}

/// A row that is not where it should be.
#[derive(Clone, Copy)]
enum Trouble {
    Stale,
    Mismatch,
}

impl Plan {
    /// The plan of outputs whose rows all come out of blobs.
    pub(super) fn new<E: Fails>(of: &Rows<'_, E>, orders: &[Order], hashed: bool) -> Result<Self, E> {
        let (mut rows, mut hashes) = (Vec::new(), Vec::new());
        for block in (0..of.blocks.len()).filter(|block| of.blocks[*block].candidates > 0) {
            let places = (of.places)(block)?;
            if places.len() != of.blocks[block].candidates as usize
                || places.iter().any(|place| place.end < place.start)
            {
                return Err(GatherError::Mismatch.into());
            }
            if hashed {
                hashes.extend(places.iter().map(|place| place.hash));
            }
            rows.extend(places.iter().map(|place| RowAt { block: block as u32, start: place.start, end: place.end }));
        }
        let sources: Vec<u32> = of.blocks.iter().map(|block| block.source).collect();
        if sources.iter().any(|source| of.endings.len() <= *source as usize) {
            return Err(GatherError::Mismatch.into());
        }
        let mut plan = Self { rows, hashes, sources, endings: of.endings.clone(), outputs: Vec::new() };
        for order in orders {
            let output = plan.output(of, order)?;
            plan.outputs.push(output);
        }
        Ok(plan)
    }

    fn output<E: Fails>(&self, of: &Rows<'_, E>, order: &Order) -> Result<Output, E> {
        let mut list = Vec::with_capacity(order.rows as usize);
        let (mut begins, mut at) = (Vec::new(), 0);
        of.each(order, |candidate| {
            let row = self.rows.get(candidate as usize).ok_or(GatherError::Mismatch)?;
            let end = at + self.length(row);
            while begins.len() as u64 * (PIECE as u64) < end {
                begins.push((list.len() as u32, at));
            }
            list.push(candidate);
            at = end;
            Ok(())
        })?;
        Ok(Output { list, begins, bytes: at, former: None, kept: Vec::new(), stands: None })
    }

    /// Bytes of a row with its ending.
    fn length(&self, row: &RowAt) -> u64 {
        u64::from(row.end - row.start) + self.ending(row).len() as u64
    }

    fn ending(&self, row: &RowAt) -> &[u8] {
        &self.endings[self.sources[row.block as usize] as usize]
    }

    /// Has rows copied from former files, one for each output, where these hold them in stretches.
    pub(super) fn keep(&mut self, formers: Vec<Option<Former>>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for (output, former) in outputs.iter_mut().zip(formers) {
            let Some(former) = former else { continue };
            let mut finder = Finder::new(&former.rows, self.rows.len());
            let mut at = 0;
            for (number, candidate) in output.list.iter().enumerate() {
                let length = self.length(&self.rows[*candidate as usize]);
                finder.next(number as u32, *candidate, at, length);
                at += length;
            }
            output.kept = finder.finish(output.bytes);
            let is_all = |stretch: &Stretch| stretch.from == 0 && stretch.bytes == (0, output.bytes);
            let stands = matches!(&*output.kept, [stretch] if is_all(stretch))
                && former.file.metadata().is_ok_and(|meta| meta.len() == output.bytes);
            output.stands = stands.then_some(Stands { digest: former.digest, bytes: output.bytes });
            output.former = Some(former);
        }
        self.outputs = outputs;
    }

    /// For each output the former file that holds it.
    pub(super) fn stands(&self) -> Vec<Option<Stands>> {
        self.outputs.iter().map(|output| output.stands).collect()
    }

    /// The blocks of rows that are not kept, or that what is kept is compared with.
    pub(super) fn needed(&self) -> Vec<usize> {
        let mut is_needed = vec![false; self.sources.len()];
        for output in &self.outputs {
            output.former.iter().flat_map(|former| &former.compared).for_each(|block| is_needed[*block] = true);
            let mut row = 0;
            let behind = [(output.list.len() as u32, 0)];
            for (first, end) in output.kept.iter().map(|stretch| stretch.rows).chain(behind) {
                for candidate in &output.list[row..first as usize] {
                    is_needed[self.rows[*candidate as usize].block as usize] = true;
                }
                row = end as usize;
            }
        }
        (0..is_needed.len()).filter(|block| is_needed[*block]).collect()
    }

    /// Writes all pieces, with the blocks of rows that are not kept. Of an output that stands already they are only
    /// checked.
    pub(super) fn fill<E: Fails>(self, of: &Rows<'_, E>, needed: &[usize], sinks: &mut [Sink]) -> Result<Filled, E> {
        let mut blocks = vec![Arc::default(); of.blocks.len()];
        needed.iter().zip(of.load(needed)?).for_each(|(block, bytes)| blocks[*block] = bytes);
        let targets: Vec<Arc<Target>> = sinks.iter().map(|sink| sink.target().clone()).collect();
        for (target, output) in targets.iter().zip(&self.outputs).filter(|(_, output)| output.stands.is_none()) {
            target.reserve(output.bytes)?;
        }
        let pieces: Vec<(usize, usize)> = self
            .outputs
            .iter()
            .enumerate()
            .flat_map(|(output, of)| (0..of.begins.len()).map(move |piece| (output, piece)))
            .collect();
        let filling = Filling { plan: self, blocks, interrupt: of.interrupt.clone(), trouble: Mutex::default() };
        let filling = Arc::new(filling);
        let (shared, written) = (filling.clone(), targets.clone());
        share(pieces.len(), move |item| {
            let (output, number) = pieces[item];
            let target = &written[output];
            // Room of one file is as good for another.
            let room = written.iter().find_map(|target| target.used_room()).unwrap_or_default();
            match shared.piece(output, number, room) {
                Some(piece) if shared.plan.outputs[output].stands.is_some() => target.take_back(piece),
                Some(piece) => target.put(number, piece),
                None => {}
            }
        });
        targets.iter().try_for_each(|target| target.check())?;
        (of.check)()?;
        let trouble = *filling.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            None => Ok(Filled::All),
            Some(Trouble::Stale) => Ok(Filled::Stale),
            Some(Trouble::Mismatch) => Err(GatherError::Mismatch.into()),
        }
    }
}

/// A plan under way.
struct Filling {
    plan: Plan,
    /// The bytes of blocks that are needed; of others none.
    blocks: Vec<Arc<Vec<u8>>>,
    interrupt: Arc<AtomicBool>,
    /// The first that was met; pieces after it are not filled.
    trouble: Mutex<Option<Trouble>>,
}

impl Filling {
    /// The bytes of a piece; `None` if there is no use in them.
    fn piece(&self, output: usize, number: usize, mut room: Vec<u8>) -> Option<Vec<u8>> {
        let trouble = || self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if self.interrupt.load(Ordering::Relaxed) || trouble().is_some() {
            return None;
        }
        let output = &self.plan.outputs[output];
        let begin = number as u64 * PIECE as u64;
        room.resize(PIECE.min((output.bytes - begin) as usize), 0);
        let filled = self.fill(output, number, &mut Piece { begin, bytes: &mut room });
        match filled {
            Ok(()) => Some(room),
            Err(met) => {
                trouble().get_or_insert(met);
                None
            }
        }
    }

    fn fill(&self, output: &Output, number: usize, piece: &mut Piece<'_>) -> Result<(), Trouble> {
        let (row, mut at) = output.begins[number];
        let mut row = row as usize;
        let mut kept = output.kept.partition_point(|stretch| stretch.rows.1 as usize <= row);
        while at < piece.end() {
            match output.kept.get(kept) {
                Some(stretch) if stretch.rows.0 as usize <= row => {
                    let former = output.former.as_ref().ok_or(Trouble::Mismatch)?;
                    self.copy(output, &former.file, stretch, piece, &mut row, &mut at)?;
                    kept += 1;
                }
                stretch => {
                    let stop = stretch.map_or(output.list.len(), |stretch| stretch.rows.0 as usize);
                    while row < stop && at < piece.end() {
                        let place = &self.plan.rows[output.list[row] as usize];
                        let block = &self.blocks[place.block as usize];
                        let bytes = block.get(place.start as usize..place.end as usize).ok_or(Trouble::Mismatch)?;
                        piece.put(at, bytes);
                        piece.put(at + bytes.len() as u64, self.plan.ending(place));
                        at += self.plan.length(place);
                        row += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Copies what a piece has of a stretch, and checks each row of it.
    fn copy(
        &self,
        output: &Output,
        former: &File,
        stretch: &Stretch,
        piece: &mut Piece<'_>,
        row: &mut usize,
        at: &mut u64,
    ) -> Result<(), Trouble> {
        let there = |at: u64| stretch.from + (at - stretch.bytes.0);
        let (first, last) = (stretch.bytes.0.max(piece.begin), stretch.bytes.1.min(piece.end()));
        let whole = piece.slice(first, last).ok_or(Trouble::Mismatch)?;
        former.read_exact_at(whole, there(first)).map_err(|_| Trouble::Stale)?;
        while *row < stretch.rows.1 as usize && *at < last {
            let stop = (*row + AT_ONCE).min(stretch.rows.1 as usize);
            let mut expected = [Expected::default(); AT_ONCE];
            expected.iter_mut().zip(&output.list[*row..stop]).for_each(|(to, row)| *to = self.expected(*row as usize));
            for expected in &expected[..stop - *row] {
                if *at >= last {
                    break;
                }
                let ending = &*self.plan.endings[expected.source as usize];
                let end = *at + u64::from(expected.bytes) + ending.len() as u64;
                if let Some(bytes) = piece.slice(*at, end) {
                    self.check(expected, bytes, ending)?;
                } else {
                    // It is in two pieces or more: what is checked is read anew, and what was checked is put.
                    let mut bytes = vec![0; (end - *at) as usize];
                    former.read_exact_at(&mut bytes, there(*at)).map_err(|_| Trouble::Stale)?;
                    self.check(expected, &bytes, ending)?;
                    piece.put(*at, &bytes);
                }
                *at = end;
                *row += 1;
            }
        }
        Ok(())
    }

    fn expected(&self, candidate: usize) -> Expected {
        let place = &self.plan.rows[candidate];
        let source = self.plan.sources[place.block as usize];
        let (block, start, bytes) = (place.block, place.start, place.end - place.start);
        Expected { block, start, bytes, source, hash: self.plan.hashes[candidate] }
    }

    /// Checks a row that was read, and the ending that it is to have.
    fn check(&self, expected: &Expected, bytes: &[u8], ending: &[u8]) -> Result<(), Trouble> {
        let (row, behind) = bytes.split_at_checked(expected.bytes as usize).ok_or(Trouble::Mismatch)?;
        let block = &self.blocks[expected.block as usize];
        let is_it = if block.is_empty() {
            xxh3_64(row) == expected.hash
        } else {
            block.get(expected.start as usize..).is_some_and(|bytes| bytes.starts_with(row))
        };
        if is_it && behind == ending { Ok(()) } else { Err(Trouble::Stale) }
    }
}

/// Rows whose places and hashes are looked up at once: they lie far apart in memory, and a processor that has several of
/// them to fetch waits for all as long as for one.
const AT_ONCE: usize = 16;

/// What a row of a former file has to be.
#[derive(Clone, Copy, Default)]
struct Expected {
    /// Its block, and where it begins there.
    block: u32,
    start: u32,
    /// How long it is without its ending.
    bytes: u32,
    /// Whose ending it has.
    source: u32,
    /// What it hashes to.
    hash: u64,
}

/// A piece of an output, and where it begins there.
struct Piece<'b> {
    begin: u64,
    bytes: &'b mut [u8],
}

impl Piece<'_> {
    fn end(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }

    /// The bytes from `first` to `end` of the output, if it has all of them.
    fn slice(&mut self, first: u64, end: u64) -> Option<&mut [u8]> {
        let first = first.checked_sub(self.begin)? as usize;
        self.bytes.get_mut(first..(end - self.begin) as usize)
    }

    /// Puts bytes that begin at `at` of the output, as far as they are its own.
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let (first, end) = (at.max(self.begin), (at + bytes.len() as u64).min(self.end()));
        if first < end {
            let own = &mut self.bytes[(first - self.begin) as usize..(end - self.begin) as usize];
            own.copy_from_slice(&bytes[(first - at) as usize..(end - at) as usize]);
        }
    }
}
