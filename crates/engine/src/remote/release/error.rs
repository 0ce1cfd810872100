//! Why a release cannot be made, or is not used.

use super::ReleaseName;
use crate::{
    remote::{keys::PublicKey, objects::Fault},
    system::FileError,
};

/// Why a release cannot be made, or is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The text is not the name of a release.
    #[error("`{0}` is not the name of a release")]
    BadName(String),
    /// The document is cut off, altered, or was never signed.
    #[error("the release `{0}` is not used: its document is damaged, or not signed")]
    Unsigned(ReleaseName),
    /// The document is signed with a key that is not trusted.
    #[error("the release `{name}` is not used: it is signed with the key {key}, which this workspace does not trust")]
    Untrusted {
        /// The release.
        name: ReleaseName,
        /// The key.
        key: PublicKey,
    },
    /// The document is that of another release.
    #[error("the release `{name}` is not used: the document in its place is that of `{of}`")]
    Misplaced {
        /// The release.
        name: ReleaseName,
        /// The release whose document it is.
        of: String,
    },
    /// The document has a format that this datac does not know.
    #[error("the release `{0}` is not used: another version of datac made it, whose format this one does not read")]
    Unknown(ReleaseName),
    /// The document names a file that cannot be one of a recipe.
    #[error("the release `{name}` is not used: it names the file `{}`, {reason}", path.escape_debug())]
    BadPath {
        /// The release.
        name: ReleaseName,
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A piece is missing or damaged.
    #[error("the piece {piece} is {how} in the shared cache")]
    Piece {
        /// BLAKE3 of the piece.
        piece: String,
        /// `missing` or `damaged`.
        how: &'static str,
    },
    /// The pieces are not those of the file.
    #[error("its pieces are not those of its bytes")]
    Mixed,
    /// The shared cache cannot be used.
    #[error("{0}")]
    Fault(String),
    /// A file could not be read or written.
    #[error("failed to {0}")]
    File(#[from] FileError),
    /// The user interrupted datac.
    #[error("interrupted")]
    Interrupted,
}

impl From<Fault> for ReleaseError {
    fn from(Fault(reason): Fault) -> Self {
        Self::Fault(reason)
    }
}
