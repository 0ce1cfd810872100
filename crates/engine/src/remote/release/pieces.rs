//! Bytes in pieces: cut by content, named by their BLAKE3, compressed one by one.
//!
//! Where a file is cut depends on the bytes around the place alone, so that a file of which a part has changed shares the other pieces
//! with the one before. The cutters of `decode/` and the pages of Parquet do the same for rows and values; outputs come in six
//! formats, and a release must give back bytes. Nothing that is stored depends on how bytes were cut: the list of pieces names them.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use rayon::prelude::*;

use super::{FOLDER, ReleaseError, Stored};
use crate::{
    cache,
    remote::{
        Remote,
        objects::{Fault, Go, How, Put, Wanted},
    },
};
use datac_core::{
    hash::Hasher,
    id::{BlobId, FileHash},
};

/// Sizes of pieces in bytes: the least, but for the last one of a file, the one aimed at, and the most. A piece costs two requests when
/// it is made; smaller ones would share more with the release before.
const SIZES: [usize; 3] = [128 << 10, 512 << 10, 2 << 20];

/// Maximum size of a piece that is read, in bytes, however it was cut.
const LARGEST: u32 = 16 << 20;

/// Number of pieces in memory.
const AT_ONCE: usize = 32;

/// What a list of pieces begins with.
const LIST: &[u8] = b"datac-pieces/1\n";

/// Size of an entry of a list: the digest of a piece, and its length as four bytes, the lowest first.
const ENTRY: usize = 36;

/// A piece: its digest and its length.
type Piece = (BlobId, u32);

/// Returns the name of the object that holds a piece or a list of pieces.
pub(super) fn object(id: &BlobId) -> String {
    let digits = id.to_string();
    format!("{FOLDER}/piece/{}/{digits}.zst", &digits[..2])
}

/// Returns whether an object has the bytes of the piece that it is named after; `None` if it is named after none.
pub(crate) fn is_piece(name: &str, frame: &[u8]) -> Option<bool> {
    let digits = name.strip_prefix(FOLDER)?.strip_prefix("/piece/")?.rsplit('/').next()?.strip_suffix(".zst")?;
    Some(BlobId::from_hex(digits).is_some_and(|id| cache::is_frame_of(&id, frame)))
}

/// Stores bytes in pieces.
pub(crate) struct PieceWriter<'w> {
    remote: &'w Remote,
    /// Returns whether to stop.
    is_interrupted: &'w dyn Fn() -> bool,
    /// Called with the number of bytes that have been dealt with since the last call.
    on_bytes: &'w mut dyn FnMut(u64),
    /// Pieces that are there for sure.
    sound: HashSet<BlobId>,
    /// Number of pieces that were added.
    pub(crate) added: u64,
    /// Number of pieces that were there.
    pub(crate) shared: u64,
}

impl<'w> PieceWriter<'w> {
    /// Creates a writer of pieces.
    pub(crate) fn new(
        remote: &'w Remote,
        is_interrupted: &'w dyn Fn() -> bool,
        on_bytes: &'w mut dyn FnMut(u64),
    ) -> Self {
        Self { remote, is_interrupted, on_bytes, sound: HashSet::new(), added: 0, shared: 0 }
    }

    /// Stores the bytes that `source` gives; a few pieces are in memory at a time. They survive a power cut when this returns.
    ///
    /// `failed` makes the error of a source that cannot be read.
    pub(crate) fn put(
        &mut self,
        source: impl Read,
        failed: impl Fn(io::Error) -> ReleaseError,
    ) -> Result<Stored, ReleaseError> {
        let mut cutter = Cutter { source, buffer: Vec::new() };
        let (mut hasher, mut pieces, mut batch) = (Hasher::default(), Vec::new(), Vec::new());
        while let Some(piece) = cutter.next_piece().map_err(&failed)? {
            hasher.update(&piece);
            batch.push(piece);
            if batch.len() == AT_ONCE {
                pieces.extend(self.add(std::mem::take(&mut batch))?);
            }
        }
        pieces.extend(self.add(batch)?);
        let bytes = pieces.iter().map(|(_, length)| u64::from(*length)).sum();
        let list = match pieces[..] {
            [] | [_] => None,
            _ => Some(self.add(vec![encode(&pieces)])?[0].0),
        };
        Ok(Stored { bytes, blake3: FileHash::new(hasher.finish()), pieces: list })
    }

    /// Adds pieces that are not there, or not as they should be, so that whoever releases again repairs what was damaged.
    fn add(&mut self, batch: Vec<Vec<u8>>) -> Result<Vec<Piece>, ReleaseError> {
        if (self.is_interrupted)() {
            return Err(ReleaseError::Interrupted);
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("pieces and their lists are smaller than 4 GiB");
        let pieces: Vec<Piece> = batch.par_iter().map(|bytes| (BlobId::of(bytes), length(bytes))).collect();
        let mut seen = HashSet::new();
        let open: Vec<usize> = (0..pieces.len())
            .filter(|number| !self.sound.contains(&pieces[*number].0) && seen.insert(pieces[*number].0))
            .collect();
        let wanted: Vec<Wanted> =
            open.iter().map(|number| Wanted { name: object(&pieces[*number].0), range: None }).collect();
        let (mut missing, mut fault): (Vec<(usize, How)>, Option<Fault>) = (Vec::new(), None);
        self.remote.objects.read(&wanted, &mut |at, read| {
            let number = open[at];
            match read {
                Ok(Some(frame)) if cache::is_frame_of(&pieces[number].0, &frame) => {}
                Ok(Some(_)) => missing.push((number, How::Replace)),
                Ok(None) => missing.push((number, How::IfAbsent)),
                Err(error) => {
                    fault = Some(error);
                    return Go::Stop;
                }
            }
            Go::On
        });
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        self.shared += (open.len() - missing.len()) as u64;
        self.added += missing.len() as u64;
        let compressed = missing.par_iter().map(|(number, how)| {
            let name = object(&pieces[*number].0);
            let bytes =
                cache::frame_to_keep(&batch[*number]).map_err(|error| Fault(format!("compress a piece: {error}")))?;
            Ok(Put { name, bytes, how: *how })
        });
        let puts = compressed.collect::<Result<Vec<Put>, Fault>>()?;
        let names: Vec<String> = puts.iter().map(|put| put.name.clone()).collect();
        if !puts.is_empty() {
            self.remote.objects.write(puts)?;
            self.remote.objects.settle(&names)?;
        }
        self.sound.extend(open.iter().map(|number| pieces[*number].0));
        (self.on_bytes)(pieces.iter().map(|(_, length)| u64::from(*length)).sum());
        Ok(pieces)
    }
}

/// Cuts bytes by content, after FastCDC (Xia et al., 2016): where a hash of the last 64 bytes has zeros. More of them are asked for
/// before the size that is aimed at than behind it.
struct Cutter<R> {
    source: R,
    /// Bytes that were read and not cut.
    buffer: Vec<u8>,
}

impl<R: Read> Cutter<R> {
    /// Returns the next piece; `None` at the end.
    fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let [.., most] = SIZES;
        let lacking = (most - self.buffer.len()) as u64;
        self.source.by_ref().take(lacking).read_to_end(&mut self.buffer)?;
        let rest = self.buffer.split_off(cut(&self.buffer));
        let piece = std::mem::replace(&mut self.buffer, rest);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

/// Returns where the first piece of bytes ends, of which there are not more than the largest piece has.
fn cut(bytes: &[u8]) -> usize {
    let [least, aim, _] = SIZES;
    // The highest bits depend on the most bytes: of 20 and of 18 zeros, one place in a MiB and in a quarter of one.
    let (before, behind) = (u64::MAX << 44, u64::MAX << 46);
    let mut hash = 0_u64;
    for (at, byte) in bytes.iter().enumerate().skip(least) {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if hash & if at < aim { before } else { behind } == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// A random number for each byte (SplitMix64).
const GEAR: [u64; 256] = {
    let (mut gear, mut state, mut at) = ([0; 256], 0_u64, 0);
    while at < gear.len() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        gear[at] = z ^ (z >> 31);
        at += 1;
    }
    gear
};

fn encode(pieces: &[Piece]) -> Vec<u8> {
    let mut list = Vec::with_capacity(LIST.len() + ENTRY * pieces.len());
    list.extend_from_slice(LIST);
    for (id, length) in pieces {
        list.extend_from_slice(id.as_bytes());
        list.extend_from_slice(&length.to_le_bytes());
    }
    list
}

/// Decodes a list of pieces that come to `bytes` bytes.
fn decode(list: &[u8], bytes: u64) -> Option<Vec<Piece>> {
    let entries = list.strip_prefix(LIST)?.chunks(ENTRY);
    let pieces: Option<Vec<Piece>> = entries
        .map(|entry| {
            let (id, length) = entry.split_first_chunk::<32>()?;
            let length = u32::from_le_bytes(length.try_into().ok()?);
            (1..=LARGEST).contains(&length).then_some((BlobId::from_bytes(*id), length))
        })
        .collect();
    let sum = |pieces: &[Piece]| pieces.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
    pieces.filter(|pieces| sum(pieces) == bytes)
}

/// Calls `take` with the parts of stored bytes, each checked, in their order; a few pieces are in memory at a time.
///
/// The whole is checked at the end: if this fails, everything that `take` was given must be discarded.
pub(crate) fn each_part(
    remote: &Remote,
    stored: &Stored,
    is_interrupted: &dyn Fn() -> bool,
    take: &mut dyn FnMut(&[u8]) -> Result<(), ReleaseError>,
) -> Result<(), ReleaseError> {
    let mut hasher = Hasher::default();
    for some in of(remote, stored)?.chunks(AT_ONCE) {
        if is_interrupted() {
            return Err(ReleaseError::Interrupted);
        }
        for bytes in read(remote, some)? {
            hasher.update(&bytes);
            take(&bytes)?;
        }
    }
    if FileHash::new(hasher.finish()) == stored.blake3 { Ok(()) } else { Err(ReleaseError::Mixed) }
}

/// Returns the pieces of stored bytes, in their order.
pub(super) fn of(remote: &Remote, stored: &Stored) -> Result<Vec<Piece>, ReleaseError> {
    match stored.pieces {
        None if stored.bytes == 0 => Ok(Vec::new()),
        None => {
            let length = u32::try_from(stored.bytes).ok().filter(|length| *length <= LARGEST);
            Ok(vec![(BlobId::new(stored.blake3.digest()), length.ok_or(ReleaseError::Mixed)?)])
        }
        Some(list) => {
            // Even of the smallest pieces, there are not more bytes in the list than in what it lists.
            let most = u32::try_from(stored.bytes.saturating_add(LIST.len() as u64)).unwrap_or(u32::MAX);
            let list = read(remote, &[(list, most)])?.pop().ok_or(ReleaseError::Mixed)?;
            decode(&list, stored.bytes).ok_or(ReleaseError::Mixed)
        }
    }
}

/// Reads pieces, none of which is larger than stated.
fn read(remote: &Remote, pieces: &[Piece]) -> Result<Vec<Vec<u8>>, ReleaseError> {
    let wanted: Vec<Wanted> = pieces.iter().map(|(id, _)| Wanted { name: object(id), range: None }).collect();
    let mut found: Vec<Option<Vec<u8>>> = vec![None; pieces.len()];
    let mut error = None;
    remote.objects.read(&wanted, &mut |number, read| {
        let (id, length) = &pieces[number];
        let piece = |how| ReleaseError::Piece { piece: id.short(), how };
        let bytes = match read {
            Ok(Some(frame)) => cache::bytes_of(id, &frame, u64::from(*length)).ok_or_else(|| piece("damaged")),
            Ok(None) => Err(piece("missing")),
            Err(fault) => Err(fault.into()),
        };
        match bytes {
            Ok(bytes) => {
                found[number] = Some(bytes);
                Go::On
            }
            Err(why) => {
                error = Some(why);
                Go::Stop
            }
        }
    });
    match error {
        Some(error) => Err(error),
        None => found.into_iter().collect::<Option<_>>().ok_or(ReleaseError::Mixed),
    }
}
