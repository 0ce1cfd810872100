//! Releases: outputs that a team has given a name, and gets back with the same bytes years later.
//!
//! Releases lie beside the folder of the shared cache and not in it. What is in that folder may be removed and is made again;
//! what a release names cannot be made again for sure. A datac that knows no releases never looks here, so it removes nothing.
//!
//! ```text
//! datac-releases-1/
//!   named/<name>/<version>.release   a signed document: recipes, and their files with digests
//!   piece/<2 digits>/<BLAKE3>.zst    a part of a file, or a list of such parts, compressed
//! ```
//!
//! Pieces come first, then the document, so that a release is there as a whole or not at all. A document is never replaced.

mod document;
mod error;
mod name;
mod pieces;
mod removal;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use document::fault_of;
pub(crate) use document::{SignedRelease, check_paths, decode};
pub use error::ReleaseError;
pub use name::ReleaseName;
pub(crate) use pieces::{PieceWriter, each_part, is_piece};
pub(crate) use removal::remove;

use super::{
    Remote,
    keys::{PrivateKey, PublicKey},
    objects::{Go, Wanted},
};
use datac_core::id::{BlobId, FileHash};

/// The folder of this format, beside that of the shared cache.
pub(super) const FOLDER: &str = "datac-releases-1";

/// The outputs of recipes under a name, as its document has them. Fields may be added; a reader ignores those that it does not
/// know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Name of the release.
    pub name: String,
    /// Version of the release.
    pub version: String,
    /// Time of the release: RFC 3339, UTC.
    pub created: String,
    /// The version of datac that made it.
    pub datac: String,
    /// The recipes, by path.
    pub recipes: Vec<ReleasedRecipe>,
}

/// A recipe of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasedRecipe {
    /// Name of the recipe, such as `sft/general`.
    pub name: String,
    /// Path of the recipe relative to its workspace.
    pub path: String,
    /// Text of the recipe.
    pub text: String,
    /// The pins of its sources: the text of a `datac.lock` that has no others.
    pub lock: Stored,
    /// The manifest of its build, by which rows are traced.
    pub manifest: Stored,
    /// Its output files, by path.
    pub files: Vec<ReleasedFile>,
}

/// An output file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasedFile {
    /// Path within the output folder.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Its bytes.
    #[serde(flatten)]
    pub stored: Stored,
}

/// Bytes that are stored in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// Number of bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes.
    pub blake3: FileHash,
    /// The list of the pieces that the bytes were cut into; none if they are one piece, which has their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<BlobId>,
}

impl Stored {
    /// Returns whether both stand for the same bytes, however these were cut.
    fn is_same_as(&self, other: &Self) -> bool {
        (self.bytes, self.blake3) == (other.bytes, other.blake3)
    }
}

impl Release {
    /// Returns its files.
    pub fn files(&self) -> impl Iterator<Item = &ReleasedFile> {
        self.recipes.iter().flat_map(|recipe| &recipe.files)
    }

    /// Returns in words where another release of the same name differs; nothing if both promise the same.
    ///
    /// When and by which datac it was made does not count, nor does the manifest: another datac may tell otherwise how the same
    /// bytes came about.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let of = |release: &Self, path: &str| release.recipes.iter().find(|recipe| recipe.path == path).cloned();
        for ours in &self.recipes {
            let Some(theirs) = of(other, &ours.path) else {
                found.push(format!("`{}` is not in it", ours.name));
                continue;
            };
            let before = found.len();
            for file in &ours.files {
                match theirs.files.iter().find(|other| other.path == file.path) {
                    None => found.push(format!("`{}` is not in it", file.path)),
                    Some(other) if !file.stored.is_same_as(&other.stored) => {
                        found.push(format!(
                            "`{}` is {} with {} rows in it, not {} with {} rows",
                            file.path,
                            other.stored.blake3.short(),
                            other.rows,
                            file.stored.blake3.short(),
                            file.rows
                        ));
                    }
                    Some(_) => {}
                }
            }
            let more = theirs.files.iter().filter(|file| !ours.files.iter().any(|own| own.path == file.path));
            found.extend(more.map(|file| format!("it also has `{}`", file.path)));
            // What follows from this has been told.
            if found.len() == before && (ours.text != theirs.text || ours.name != theirs.name) {
                found.push(format!("the text of `{}` differs", ours.path));
            }
            if found.len() == before && !ours.lock.is_same_as(&theirs.lock) {
                found.push(format!("the pins of `{}` differ", ours.name));
            }
        }
        let more = other.recipes.iter().filter(|recipe| of(self, &recipe.path).is_none());
        found.extend(more.map(|recipe| format!("it also has `{}`", recipe.name)));
        found
    }
}

/// Returns the bytes of the document of a release, which nobody has checked; `None` if there is no such release.
pub(crate) fn read(remote: &Remote, name: &ReleaseName) -> Result<Option<Vec<u8>>, ReleaseError> {
    let mut found = Ok(None);
    remote.objects.read(&[Wanted { name: name.object(), range: None }], &mut |_, read| {
        found = read;
        Go::On
    });
    Ok(found?)
}

/// Returns a release that a trusted key has signed; `None` if there is no such release.
pub(crate) fn find(
    remote: &Remote,
    name: &ReleaseName,
    is_trusted: impl Fn(&PublicKey) -> bool,
) -> Result<Option<SignedRelease>, ReleaseError> {
    read(remote, name)?.map(|bytes| decode(&bytes, name, is_trusted)).transpose()
}

/// Puts the document of a release in place, signed with `key`, unless there is one. Returns whether it did.
///
/// The pieces that it names must be there.
pub(crate) fn create(remote: &Remote, release: &Release, key: &PrivateKey) -> Result<bool, ReleaseError> {
    let name = ReleaseName::new(&release.name, &release.version)?;
    Ok(remote.objects.create(&name.object(), document::encode(release, key))?)
}

/// Returns the names of all releases, sorted.
pub(crate) fn list(remote: &Remote) -> Result<Vec<ReleaseName>, ReleaseError> {
    let mut found = Vec::new();
    remote.objects.list(&name::folder(), &mut |object| found.extend(ReleaseName::of_object(&object.name)))?;
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
