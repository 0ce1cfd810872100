//! Parts: the outcomes of a scope with their small blobs, signed by whoever computed them.
//!
//! ```text
//! magic ‖ length of the body (4 bytes, little-endian) ‖ body ‖ public key (32) ‖ signature (64)
//! ```
//!
//! The signature covers the magic, which states the format, and the BLAKE3 of the body. The body names the scope and the key of
//! each action, so that a signed outcome cannot be passed off as that of another action, nor a part as that of another scope.

use serde::{Deserialize, Serialize};

use super::keys::{PrivateKey, PublicKey};
use crate::cache::CACHE_VERSION;
use datac_core::{
    hash::Digest,
    id::{ActionKey, BlobId},
};

const MAGIC: &[u8; 16] = b"datac-part/1    ";

/// Number of bytes around a body.
const AROUND: usize = MAGIC.len() + 4 + 32 + 64;

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// What the outcomes belong to.
    pub(crate) scope: Digest,
    /// Version of the cache that outcomes and frames are encoded for.
    version: String,
    /// Outcomes, by the keys of their actions.
    pub(crate) outcomes: Vec<(ActionKey, Vec<u8>)>,
    /// Compressed frames of small blobs.
    pub(crate) frames: Vec<(BlobId, Vec<u8>)>,
    /// Large blobs that the outcomes name, which are objects of their own.
    pub(crate) large: Vec<BlobId>,
}

/// Why a part is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is not signed, or not as it is.
    Unsigned,
    /// It is signed with a key that is not trusted.
    Untrusted,
    /// It belongs to something else.
    Misplaced,
}

impl Body {
    /// Creates an empty body.
    pub(crate) fn new(scope: Digest) -> Self {
        Self { scope, version: CACHE_VERSION.to_owned(), outcomes: Vec::new(), frames: Vec::new(), large: Vec::new() }
    }

    /// Returns the number of bytes that its outcomes and frames take.
    pub(crate) fn bytes(&self) -> usize {
        let outcomes = self.outcomes.iter().map(|(_, outcome)| outcome.len() + 34);
        let frames = self.frames.iter().map(|(_, frame)| frame.len() + 36);
        outcomes.chain(frames).sum::<usize>() + 32 * self.large.len()
    }

    /// Encodes and signs the body.
    pub(crate) fn signed(&self, key: &PrivateKey) -> Vec<u8> {
        let body = postcard::to_stdvec(self).expect("a part is plain data");
        let length = u32::try_from(body.len()).expect("parts are far smaller than 4 GiB");
        let mut part = Vec::with_capacity(body.len() + AROUND);
        part.extend_from_slice(MAGIC);
        part.extend_from_slice(&length.to_le_bytes());
        part.extend_from_slice(&body);
        part.extend_from_slice(key.public().as_bytes());
        part.extend_from_slice(&key.sign(&message(&body)));
        part
    }

    /// Decodes a part that is to be one of `scope`, if a trusted key has signed it.
    pub(crate) fn verified(
        part: &[u8],
        scope: &Digest,
        is_trusted: impl Fn(&PublicKey) -> bool,
    ) -> Result<Self, Doubt> {
        let body = Self::checked(part, is_trusted)?;
        if body.scope == *scope { Ok(body) } else { Err(Doubt::Misplaced) }
    }

    /// Decodes a part of any scope, if a trusted key has signed it.
    pub(crate) fn checked(part: &[u8], is_trusted: impl Fn(&PublicKey) -> bool) -> Result<Self, Doubt> {
        let (body, key, signature) = taken_apart(part).ok_or(Doubt::Unsigned)?;
        if !is_trusted(&key) {
            return Err(Doubt::Untrusted);
        }
        if !key.has_signed(&message(body), signature) {
            return Err(Doubt::Unsigned);
        }
        let body: Self = postcard::from_bytes(body).map_err(|_| Doubt::Unsigned)?;
        if body.version == CACHE_VERSION { Ok(body) } else { Err(Doubt::Misplaced) }
    }
}

fn taken_apart(part: &[u8]) -> Option<(&[u8], PublicKey, &[u8])> {
    let rest = part.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (key, signature) = rest.split_first_chunk::<32>()?;
    (signature.len() == 64).then_some((body, PublicKey::from_bytes(*key), signature))
}

fn message(body: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), Digest::of(body).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Body {
        let mut body = Body::new(Digest::of(b"scope"));
        body.outcomes.push((ActionKey::of(b"a"), b"outcome".to_vec()));
        body.frames.push((BlobId::of(b"b"), b"frame".to_vec()));
        body
    }

    #[test]
    fn a_part_is_read_by_whoever_trusts_its_signer() {
        let (key, other) = (PrivateKey::generate("a").unwrap(), PrivateKey::generate("b").unwrap());
        let part = body().signed(&key);
        let trusts = |key: PublicKey| move |other: &PublicKey| *other == key;
        assert_eq!(Body::verified(&part, &Digest::of(b"scope"), trusts(key.public())), Ok(body()));
        assert_eq!(Body::verified(&part, &Digest::of(b"scope"), trusts(other.public())), Err(Doubt::Untrusted));
        assert_eq!(Body::verified(&part, &Digest::of(b"other"), trusts(key.public())), Err(Doubt::Misplaced));
        assert_eq!(part, body().signed(&key), "equal parts have equal bytes");
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let key = PrivateKey::generate("a").unwrap();
        let part = body().signed(&key);
        let scope = Digest::of(b"scope");
        let is_trusted = |other: &PublicKey| *other == key.public();
        for bit in 0..part.len() * 8 {
            let mut changed = part.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Body::verified(&changed, &scope, is_trusted).is_err(), "bit {bit}");
        }
        for length in 0..part.len() {
            assert_eq!(Body::verified(&part[..length], &scope, is_trusted), Err(Doubt::Unsigned), "cut at {length}");
        }
        // Signed by a stranger in the name of a trusted key.
        let mut forged = body().signed(&PrivateKey::generate("b").unwrap());
        let at = forged.len() - 96;
        forged[at..at + 32].copy_from_slice(key.public().as_bytes());
        assert_eq!(Body::verified(&forged, &scope, is_trusted), Err(Doubt::Unsigned));
    }
}
