//! BLAKE3 of bytes that come in pieces, in whatever order and from several threads.
//!
//! BLAKE3 is a tree over chunks of 1 KiB: a piece of 2^n of them that stands at a multiple of its length is a subtree,
//! and its chaining value does not hang on what is beside it. See "Tree hashing" in the BLAKE3 paper, and `blake3::hazmat`.

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use super::Digest;

/// Bytes of every piece but the last, which may be shorter; a processor's second cache holds it.
pub const PIECE: usize = 512 << 10;

/// Hash state of one piece.
#[derive(Clone, Copy, Debug)]
pub struct PieceHash {
    chaining: ChainingValue,
    /// The digest, if it is all there is.
    alone: Digest,
}

/// The pieces that have come.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Vec<Option<PieceHash>>);

impl PieceHash {
    /// Hashes the piece that begins at `number` × [`PIECE`]; it is not empty.
    pub fn of(number: usize, bytes: &[u8]) -> Self {
        let mut hasher = PieceHasher::new(number);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Hashes a piece that comes bit by bit.
pub struct PieceHasher {
    number: usize,
    hasher: Hasher,
}

impl PieceHasher {
    /// Creates a hasher of the piece that begins at `number` × [`PIECE`].
    pub fn new(number: usize) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(number as u64 * PIECE as u64);
        Self { number, hasher }
    }

    /// Adds the bytes that follow.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Returns the hash; of a piece that is not empty.
    pub fn finish(self) -> PieceHash {
        let chaining = self.hasher.finalize_non_root();
        // Only the first one can be alone, and only there is a root allowed.
        let alone = if self.number == 0 { *self.hasher.finalize().as_bytes() } else { chaining };
        PieceHash { chaining, alone: Digest(alone) }
    }
}

impl Pieces {
    /// Adds a piece by its number.
    pub fn add(&mut self, number: usize, hash: PieceHash) {
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        self.0[number] = Some(hash);
    }

    /// What each piece hashes to, where it stands; `None` if one before the last has not come. Pieces at one place that
    /// hash alike hold the same bytes.
    pub fn hashes(&self) -> Option<Vec<Digest>> {
        self.0.iter().map(|piece| piece.map(|piece| Digest(piece.chaining))).collect()
    }

    /// Returns the digest of all bytes; `None` if a piece before the last has not come.
    pub fn digest(&self) -> Option<Digest> {
        let pieces: Vec<PieceHash> = self.0.iter().copied().collect::<Option<_>>()?;
        Some(match &*pieces {
            [] => Digest::of(b""),
            [piece] => piece.alone,
            several => {
                let (left, right) = several.split_at(left_of(several.len()));
                Digest(*merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).as_bytes())
            }
        })
    }
}

/// Returns the number of pieces in the left subtree: the largest power of two that leaves a remainder.
fn left_of(pieces: usize) -> usize {
    pieces.div_ceil(2).next_power_of_two()
}

fn merged(pieces: &[PieceHash]) -> ChainingValue {
    if let [piece] = pieces {
        return piece.chaining;
    }
    let (left, right) = pieces.split_at(left_of(pieces.len()));
    merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_any_order_hash_as_the_whole() {
        let bytes: Vec<u8> = (0..PIECE * 9 + 5).map(|i| ((i * i) >> 7) as u8).collect();
        for length in (0..=9).flat_map(|pieces| [pieces * PIECE, pieces * PIECE + 1, pieces * PIECE + 5]) {
            let bytes = &bytes[..length];
            let mut pieces = Pieces::default();
            for (number, piece) in bytes.chunks(PIECE).enumerate().collect::<Vec<_>>().into_iter().rev() {
                pieces.add(number, PieceHash::of(number, piece));
            }
            assert_eq!(pieces.digest(), Some(Digest::of(bytes)), "{length} bytes");
        }
        let mut gap = Pieces::default();
        gap.add(1, PieceHash::of(1, b"x"));
        assert_eq!(gap.digest(), None);
    }
}
