//! Computes the BLAKE3 of bytes from pieces, in any order and on several threads.
//!
//! BLAKE3 is a tree over chunks of 1 KiB. A piece of 2^n chunks at a multiple of its length is a subtree, whose
//! chaining value does not depend on its neighbours. See "Tree hashing" in the BLAKE3 paper, and `blake3::hazmat`.

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use super::Digest;

/// Size of a piece in bytes; the last piece may be shorter. It fits in the second-level cache of a processor.
pub const PIECE: usize = 512 << 10;

/// The hash of one piece.
#[derive(Clone, Copy, Debug)]
pub struct PieceHash {
    chaining: ChainingValue,
    /// Digest of the whole, if this is the only piece.
    alone: Digest,
}

/// The pieces that have been hashed so far.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Vec<Option<PieceHash>>);

impl PieceHash {
    /// Hashes the piece that begins at `number` × [`PIECE`]. The piece must not be empty.
    pub fn of(number: usize, bytes: &[u8]) -> Self {
        let mut hasher = PieceHasher::new(number);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Hashes a piece whose bytes are added in parts.
pub struct PieceHasher {
    number: usize,
    hasher: Hasher,
}

impl PieceHasher {
    /// Creates a hasher for the piece that begins at `number` × [`PIECE`].
    pub fn new(number: usize) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(number as u64 * PIECE as u64);
        Self { number, hasher }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Returns the hash. The piece must not be empty.
    pub fn finish(self) -> PieceHash {
        let chaining = self.hasher.finalize_non_root();
        // Only the first piece can be the only one, and only at offset 0 is a root allowed.
        let alone = if self.number == 0 { *self.hasher.finalize().as_bytes() } else { chaining };
        PieceHash { chaining, alone: Digest(alone) }
    }
}

impl Pieces {
    /// Adds the hash of a piece, by its number.
    pub fn add(&mut self, number: usize, hash: PieceHash) {
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        self.0[number] = Some(hash);
    }

    /// Returns the hashes of all pieces in order; `None` if any before the last is missing. Pieces with the same
    /// number and the same hash have the same bytes.
    pub fn hashes(&self) -> Option<Vec<Digest>> {
        self.0.iter().map(|piece| piece.map(|piece| Digest(piece.chaining))).collect()
    }

    /// Returns the digest of all bytes; `None` if any piece before the last is missing.
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

/// Returns the number of pieces in the left subtree: the largest power of two that is less than `pieces`.
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
