//! Ids: one type for each kind of thing named by a digest, so that confusing two kinds does not compile.
//!
//! ```
//! use datac_core::id::{BlobId, ChunkId};
//!
//! fn score(_chunk: ChunkId, _rows: BlobId) {}
//! score(ChunkId::of(b"chunk"), BlobId::of(b"rows"));
//! ```
//!
//! ```compile_fail
//! use datac_core::id::{BlobId, ChunkId};
//!
//! fn score(_chunk: ChunkId, _rows: BlobId) {}
//! score(BlobId::of(b"rows"), ChunkId::of(b"chunk"));
//! ```

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::hash::Digest;

/// Defines id types, each wrapping a [`Digest`], after jj's macro of the same name.
macro_rules! id_type {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Returns the id of the thing with these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Digest::of(bytes))
            }

            /// Wraps a digest that is known to name such a thing.
            pub const fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// Wraps 32 bytes that are known to be such a digest.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Digest::from_bytes(bytes))
            }

            /// Parses 64 hexadecimal digits; returns `None` for any other text.
            pub fn from_hex(text: &str) -> Option<Self> {
                Digest::from_hex(text).map(Self)
            }

            /// Returns the digest.
            pub const fn digest(self) -> Digest {
                self.0
            }

            /// Returns the 32 bytes of the digest.
            pub fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// Returns the first eight hexadecimal digits, for display.
            pub fn short(&self) -> String {
                self.0.short()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.short())
            }
        }

        // In published schemas, all ids are digests.
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Digest::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Digest::json_schema(generator)
            }
        }
    )*};
}

id_type! {
    /// Names an action: digest of everything that decides its result.
    ActionKey;
    /// Names a blob of the cache: BLAKE3 of its bytes.
    BlobId;
    /// Names a chunk, independently of its position: BLAKE3 of its encoding, header and bytes.
    ChunkId;
    /// Names the content of a file outside the cache: BLAKE3 of its bytes.
    FileHash;
    /// Names everything besides a recipe's own text that its outputs may depend on: lock, hub and code.
    EnvironmentId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_digests() {
        let (digest, blob) = (Digest::of(b"rows"), BlobId::of(b"rows"));
        assert_eq!(blob, BlobId::new(digest));
        assert_eq!(postcard::to_stdvec(&blob).unwrap(), postcard::to_stdvec(&digest).unwrap());
        assert_eq!(serde_json::to_string(&blob).unwrap(), serde_json::to_string(&digest).unwrap());
        assert_eq!(blob.to_string(), digest.to_string());
    }
}
