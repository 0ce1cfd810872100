//! The shared cache: outcomes and blobs of a team, in a place that many machines reach.
//!
//! A shared cache is a second tier beside the local one, never a replacement: what comes from it is checked and stored
//! locally before anything uses it, and whoever cannot reach it builds without it. It may lie, so nothing in it is believed:
//! a blob is what its BLAKE3 says, and an outcome is one that a trusted key has signed for the key of its action.
//!
//! ```text
//! datac-cache-1/
//!   state               the generation: changes when objects are removed
//!   index/<2 digits>    which scopes there are, and where: hints, not signed, replaced as a whole
//!   pack/<2>/<BLAKE3>   signed parts, one after another: the outcomes of a scope, with their small blobs
//!   blob/<2>/<BLAKE3>   a large blob, compressed
//! ```
//!
//! What lies beside that folder, `release/` describes.
//!
//! A *scope* is what is looked up together: a source file, the chunks of a file converted in one way, a model, a recipe. Whoever
//! builds one recipe therefore reads what belongs to it and not an index of everything, and whoever builds ten thousand
//! reads 256 objects of the index and the packs, not ten thousand objects.

mod bucket;
pub(crate) mod folder;
#[cfg(feature = "hub")]
mod http;
mod index;
pub mod keys;
mod objects;
mod part;
mod published;
pub(crate) mod pushed;
mod reader;
pub(crate) mod release;
mod report;
mod trust;
pub(crate) mod upkeep;
mod writer;

pub(crate) use objects::{Fault, Objects};
pub(crate) use published::Published;
pub use pushed::{CurrentFile, CurrentOutputs};
pub(crate) use reader::{Read, Reader};
pub use release::{Release, ReleaseError, ReleaseName, ReleasedFile, ReleasedRecipe, Stored};
pub use report::{Refused, Requests, SharedReport};
pub use trust::{KEYS_FILE, TrustError, Trusted};
pub use upkeep::{SharedCollected, SharedPart, SharedSize, SharedVerified};
pub(crate) use writer::{Gathered, Writer};

#[cfg(feature = "hub")]
use std::time::Duration;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{keys::Signing, objects::Counters};
#[cfg(feature = "hub")]
use crate::source::hub::Limits;
use crate::system;

/// The folder of this format within a shared cache. Another format has another folder, so that formats never read each other's
/// objects.
const FORMAT: &str = "datac-cache-1";

/// Maximum size of the compressed frame of a blob that travels within a part, in bytes. A request costs about as much as
/// receiving this many bytes.
const PACKED: usize = 64 << 10;

/// Size of a part, in bytes, at which the next one begins.
const PART: usize = 1 << 20;

/// Size of a pack, in bytes, at which the next one begins.
const PACK: usize = 4 << 20;

/// Maximum size of an object that is read, in bytes: one that is larger was not written by datac.
const LARGEST: u64 = 512 << 20;

/// A kind of shared cache.
pub(crate) trait RemoteKind: Sync {
    /// Returns whether `given` names a shared cache of this kind.
    fn is_meant(&self, given: &str) -> bool;

    /// Returns whether it is reached over a network.
    fn is_network(&self) -> bool;

    /// Opens the shared cache without a request. The error completes "failed to use the shared cache: …".
    fn open(&self, given: &str, root: &Path, counters: Arc<Counters>) -> Result<Arc<dyn Objects>, RemoteError>;
}

/// The kinds of shared caches; the first that `--remote` means is used.
const KINDS: &[&dyn RemoteKind] = &[
    #[cfg(feature = "hub")]
    &http::HttpRemote,
    &bucket::BucketRemote,
    &folder::FolderRemote(folder::Reading::Checked),
];

/// A name that does not lead to a shared cache.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is not a shared cache: {reason}")]
pub(crate) struct RemoteError {
    /// The name, without credentials.
    pub(crate) given: String,
    pub(crate) reason: String,
    /// What names shared caches have, if the name is what is wrong.
    pub(crate) hint: Option<&'static str>,
}

impl RemoteError {
    /// Creates the error for a name that is wrong in itself.
    fn new(given: &str, reason: impl Into<String>) -> Self {
        const HINT: &str =
            "`--remote` takes a folder, `file:///folder`, `https://address`, or a bucket such as `s3://bucket/folder`";
        let given = match given.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)),
            None => given.to_owned(),
        };
        Self { given, reason: reason.into(), hint: Some(HINT) }
    }

    /// Creates the error for a name that cannot be used here, whatever it is.
    fn unusable(given: &str, reason: impl Into<String>) -> Self {
        Self { hint: None, ..Self::new(given, reason) }
    }
}

/// The shared cache that the settings choose, not yet opened.
#[derive(Clone, Debug)]
pub(crate) struct RemoteAccess {
    given: Option<String>,
    root: PathBuf,
    offline: bool,
    /// What results are signed with.
    pub(crate) signing: Signing,
}

/// A shared cache that has been opened.
pub(crate) struct Remote {
    /// How people call it.
    pub(crate) name: String,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) counters: Arc<Counters>,
}

impl Remote {
    /// Fails if the shared cache cannot be read now.
    pub(crate) fn reach(&self) -> Result<(), Fault> {
        writer::read_one(self, &writer::state_name()).map(drop)
    }
}

impl RemoteAccess {
    /// Chooses the shared cache that `given` names; none for `None`. Folders are relative to `root`.
    pub(crate) fn new(given: Option<String>, root: &Path, offline: bool, signing: Signing) -> Self {
        Self { given: given.filter(|given| !given.trim().is_empty()), root: root.to_owned(), offline, signing }
    }

    /// Chooses no shared cache.
    pub(crate) fn none(root: &Path) -> Self {
        Self::new(None, root, true, Signing::Nothing)
    }

    /// Opens the shared cache, without a request. Returns `None` if the settings name none, or one on the network while the
    /// network is disabled.
    pub(crate) fn open(&self) -> Result<Option<Remote>, RemoteError> {
        let Some(given) = &self.given else { return Ok(None) };
        let given = given.trim();
        let Some(kind) = KINDS.iter().find(|kind| kind.is_meant(given)) else {
            let reason = "it is neither a folder nor an address that this datac knows; see docs/remote-cache.md";
            return Err(RemoteError::new(given, reason));
        };
        if self.offline && kind.is_network() {
            return Ok(None);
        }
        let counters = Arc::<Counters>::default();
        let objects = kind.open(given, &self.root, counters.clone())?;
        Ok(Some(Remote { name: given.trim_end_matches('/').to_owned(), objects, counters }))
    }

    /// Opens another place, in which programs read the outputs of recipes, without a request.
    pub(crate) fn open_outputs(&self, given: &str) -> Result<Remote, RemoteError> {
        static FOLDER: folder::FolderRemote = folder::FolderRemote(folder::Reading::Trusting);
        let given = given.trim();
        let mut kinds = KINDS.iter().filter(|kind| kind.is_network()).copied().chain([&FOLDER as &dyn RemoteKind]);
        let Some(kind) = kinds.find(|kind| kind.is_meant(given)) else {
            return Err(RemoteError::new(given, "it is neither a folder nor an address that this datac knows"));
        };
        if self.offline && kind.is_network() {
            return Err(RemoteError::unusable(given, "the network is disabled"));
        }
        let counters = Arc::<Counters>::default();
        let objects = kind.open(given, &self.root, counters.clone())?;
        Ok(Remote { name: given.trim_end_matches('/').to_owned(), objects, counters })
    }
}

/// Limits for requests to a shared cache: doing the work takes less time than waiting long. `patience` is the time without a byte after
/// which an attempt has failed.
#[cfg(feature = "hub")]
const fn limits(patience: Duration) -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        idle: patience,
        answer: patience,
        slowest: 16 << 10,
        attempts: 4,
        base_delay: Duration::from_millis(200),
        max_wait: Duration::from_secs(10),
    }
}

/// Returns the number of days since 1970, for the age of what is in the index.
fn today() -> u32 {
    const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;
    u32::try_from(system::now_ns() / DAY_NS).unwrap_or(0)
}

#[cfg(test)]
mod tests;
