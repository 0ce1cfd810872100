//! The Hub over HTTP.
//!
//! hf-hub provides the Hub's conventions: names of repositories, the default revision, and the place of the token.
//! Its client is not used, since it depends on Xet and stores error pages as files. The token is sent to the
//! configured address only, listings are checked name by name (`listing`), failed requests are classified (`errors`)
//! and repeated, and a file is only admitted to the store if its digest is the listed one (`download`, `store`, `verify`). No
//! other module names hf-hub; `bucket` alone names reqwest and tokio, too.

mod download;
mod endpoint;
mod errors;
mod greet;
mod listing;
mod objects;
mod push;
mod store;
mod token;
mod verify;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hf_hub::{Repo, RepoType};
use tokio::runtime::{self, Runtime};

use self::{
    download::Download,
    endpoint::Endpoint,
    errors::{About, Fault},
    listing::{Files, Page},
};
#[cfg(feature = "bucket")]
pub(in crate::source) use self::{
    download::{MOST_RESTARTS, Pace},
    endpoint::{client, is_loopback},
    errors::{retry_after, root},
    store::Store,
    verify::matches,
};
pub use self::{
    greet::Greeting,
    objects::{AskedObject, ObjectServer, ReadObject},
    token::{Token, default_endpoint, env_offline, find_token, find_token_and_place, has_bad_token},
    verify::holds,
};
use crate::source::{
    Asked, Bytes, Listing, MODELS, PushedCommit, Pushing, RemoteFile, Source, SourceError, is_model_repo,
};

/// The word of the Hub for repositories of datasets.
const DATASETS: &str = "datasets";

/// Returns the Hub's word for a kind of repository, and the repository's name without it.
fn kind_and_name(repo: &str) -> (&'static str, &str) {
    match repo.strip_prefix(MODELS) {
        Some(name) if is_model_repo(repo) => ("models", name),
        _ => (DATASETS, repo),
    }
}

/// Receives download events. Called on the requesting thread, so it should return soon.
pub type ProgressFn = Arc<dyn Fn(DownloadEvent) + Send + Sync>;

/// Configuration of a hub.
#[derive(Clone)]
pub struct HubConfig {
    /// Address of the Hub, see [`default_endpoint`].
    pub endpoint: String,
    /// Token, which is only sent to that address, see [`find_token`].
    pub token: Option<Token>,
    /// Whether the network is disabled. Stored files can still be opened.
    pub offline: bool,
    /// Folder of downloaded files, named by their digests.
    pub store: PathBuf,
    /// Receives download events.
    pub progress: ProgressFn,
    /// Timeouts and retries.
    pub limits: Limits,
}

/// Timeouts and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum time to connect.
    pub connect: Duration,
    /// Maximum time without a byte from the server, and the period over which it must be faster than `slowest`.
    pub idle: Duration,
    /// Maximum time for a whole response other than a file.
    pub answer: Duration,
    /// Bytes per second below which a download is interrupted and resumed.
    pub slowest: u64,
    /// Number of attempts before a failure is final.
    pub attempts: u32,
    /// Wait after the first failure, doubled after each further failure.
    pub base_delay: Duration,
    /// Maximum wait, even if the server asks for more.
    pub max_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            slowest: 1024,
            attempts: 6,
            base_delay: Duration::from_millis(500),
            max_wait: Duration::from_secs(300),
        }
    }
}

/// An event of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadEvent {
    /// A file is requested.
    Started {
        /// Path in the repository.
        path: String,
        /// Size in bytes.
        size: u64,
        /// Number of bytes kept from an earlier attempt.
        kept: u64,
    },
    /// Bytes of a file arrived.
    Progress {
        /// Path in the repository.
        path: String,
        /// Size in bytes.
        size: u64,
        /// Number of bytes received so far.
        received: u64,
    },
    /// A file was checked and stored.
    Finished {
        /// Path in the repository.
        path: String,
        /// Size in bytes.
        size: u64,
    },
    /// Another process or thread is downloading the same file, and this one waits for it.
    Locked {
        /// Path in the repository.
        path: String,
    },
    /// A request failed and will be repeated.
    Waiting {
        /// Path of the file, or the repository.
        what: String,
        /// What happened.
        reason: String,
        /// Length of the wait.
        wait: Duration,
        /// The wait that the server asked for, if it did.
        asked: Option<Duration>,
        /// Number of failures so far.
        failures: u32,
    },
    /// The received bytes of a file were wrong and have been discarded.
    Restarted {
        /// Path in the repository.
        path: String,
        /// What was wrong.
        reason: String,
    },
    /// A stored file was damaged and is downloaded again.
    Damaged {
        /// Path in the repository.
        path: String,
        /// Path of the stored file.
        stored: PathBuf,
    },
}

/// A Hub over HTTP.
pub struct HttpHub {
    endpoint: Endpoint,
    token: Option<Token>,
    offline: bool,
    store: PathBuf,
    progress: ProgressFn,
    limits: Limits,
    client: reqwest::Client,
    runtime: Runtime,
    /// Whether the hub can be reached, or why not; empty until either is known.
    reached: OnceLock<Result<(), String>>,
}

impl fmt::Debug for HttpHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHub")
            .field("endpoint", &self.endpoint.name())
            .field("token", &self.token)
            .field("offline", &self.offline)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl HttpHub {
    /// Creates a hub without sending anything. Fails if the address is invalid.
    pub fn new(config: HubConfig) -> Result<Self, SourceError> {
        let HubConfig { endpoint, token, offline, store, progress, limits } = config;
        let endpoint = Endpoint::parse(&endpoint)?;
        let bad = |reason: String| SourceError::BadHub { hub: endpoint.name().to_owned(), reason };
        let client = endpoint.client(&limits).map_err(|error| bad(error.to_string()))?;
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(|error| bad(error.to_string()))?;
        Ok(Self { endpoint, token, offline, store, progress, limits, client, runtime, reached: OnceLock::new() })
    }

    fn about<'a>(&'a self, repo: &'a str) -> About<'a> {
        About { endpoint: &self.endpoint, token: self.token.as_ref(), repo, revision: None, path: None }
    }

    /// Returns the repository's own name, and the commit of a revision.
    fn find(&self, repo: &str, revision: &str) -> Result<(String, String), SourceError> {
        let about = About { revision: Some(revision), ..self.about(repo) };
        let (kind, name) = kind_and_name(repo);
        let path = ["api", kind].into_iter().chain(name.split('/')).chain(["revision", revision]);
        let url = self.endpoint.join(path);
        let found = self.persist(&about, async || listing::info(&self.client, &about, url.clone()).await)?;
        let malformed = |reason: &str| match about.malformed(reason) {
            Fault::Final(error) => error,
            _ => about.unavailable(reason),
        };
        let commit = found.sha.ok_or_else(|| malformed("it names no commit"))?;
        if !listing::is_commit(&commit) {
            return Err(malformed("what it names as the commit is none"));
        }
        if listing::is_commit(revision) && commit != revision {
            return Err(malformed("it names another commit than the one asked for"));
        }
        if !listing::is_repo_id(&found.id, false) {
            return Err(malformed("what it names as the repository is not `org/name`"));
        }
        let id = if is_model_repo(repo) { format!("{MODELS}{}", found.id) } else { found.id };
        Ok((id, commit))
    }

    /// Repeats a request until it succeeds or fails for good.
    fn persist<T>(
        &self,
        about: &About<'_>,
        mut request: impl AsyncFnMut() -> Result<T, Fault>,
    ) -> Result<T, SourceError> {
        self.check_reached(about)?;
        let mut pauses = self.limits.pauses();
        loop {
            let outcome = self.runtime.block_on(async {
                match tokio::time::timeout(self.limits.answer, request()).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Fault::transient("the answer took too long")),
                }
            });
            match outcome {
                Ok(answer) => {
                    self.reached.set(Ok(())).ok();
                    return Ok(answer);
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Unreachable { reason }) => self.missed(&mut pauses, about, about.repo, reason)?,
                Err(Fault::Transient { reason, after }) => {
                    self.pause(&mut pauses, about, about.repo, reason, after)?;
                }
                Err(Fault::Spoiled { reason }) => self.pause(&mut pauses, about, about.repo, reason, None)?,
            }
        }
    }

    /// Fails without a request if the hub could not be reached before.
    fn check_reached(&self, about: &About<'_>) -> Result<(), SourceError> {
        match self.reached.get() {
            Some(Err(reason)) => Err(about.unavailable(reason)),
            _ => Ok(()),
        }
    }

    /// Waits after a failed connection.
    ///
    /// A hub that was reached before is treated like any transient failure. One that was never reached probably does
    /// not exist, or this machine has no network, so it is tried only once more.
    fn missed(&self, pauses: &mut Pauses, about: &About<'_>, what: &str, reason: String) -> Result<(), SourceError> {
        if pauses.failures > 0 && !matches!(self.reached.get_or_init(|| Err(reason.clone())), Ok(())) {
            return Err(about.unavailable(&reason));
        }
        self.pause(pauses, about, what, reason, None)
    }

    /// Waits after a failed request, or gives up.
    fn pause(
        &self,
        pauses: &mut Pauses,
        about: &About<'_>,
        what: &str,
        reason: String,
        asked: Option<Duration>,
    ) -> Result<(), SourceError> {
        let Some(wait) = pauses.next(asked) else {
            let times = pauses.failures;
            return Err(about.unavailable(&format!("{reason} (tried {times} times)")));
        };
        let failures = pauses.failures;
        (self.progress)(DownloadEvent::Waiting { what: what.to_owned(), reason, wait, asked, failures });
        self.runtime.block_on(async { tokio::time::sleep(wait).await });
        Ok(())
    }
}

impl Source for HttpHub {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        let Asked { source: repo, revision, .. } = *asked;
        let asked = match revision {
            Some(revision) => Repo::with_revision(repo.to_owned(), RepoType::Dataset, revision.to_owned()),
            None => Repo::dataset(repo.to_owned()),
        };
        let revision = asked.revision();
        if self.offline {
            return Err(SourceError::Offline { what: format!("the file list of `{repo}`") });
        }
        let (kind, name) = kind_and_name(repo);
        if !listing::is_repo_id(name, kind == DATASETS) {
            return Err(SourceError::NoRepo { repo: repo.to_owned(), hub: self.name() });
        }
        if !is_revision(revision) {
            return Err(SourceError::NoRevision { repo: repo.to_owned(), revision: revision.to_owned() });
        }
        let (id, commit) = self.find(repo, revision)?;
        let about = About { revision: Some(&commit), ..self.about(&id) };
        let mut files = Files::default();
        let path = ["api", kind].into_iter().chain(kind_and_name(&id).1.split('/')).chain(["tree", &commit]);
        let mut url = self.endpoint.join(path);
        url.set_query(Some("recursive=true&expand=false"));
        let mut next = Some(url);
        while let Some(url) = next {
            let mut page: Page =
                self.persist(&about, async || listing::page(&self.client, &about, url.clone()).await)?;
            next = page.next.take();
            files.add(page).map_err(|reason| match about.malformed(&reason) {
                Fault::Final(error) => error,
                _ => about.unavailable(&reason),
            })?;
        }
        Ok(Listing { id, commit: Some(commit), files: files.finish(), ..Listing::default() })
    }

    fn open(&self, repo: &str, commit: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        let commit = commit.unwrap_or_default();
        let about = About { path: Some(&file.path), revision: Some(commit), ..self.about(repo) };
        // The values come from the lock file, which anyone may have edited.
        if !listing::is_repo_id(repo, true) || !listing::is_commit(commit) || listing::check_path(&file.path).is_err() {
            return Err(SourceError::NoFile { repo: repo.to_owned(), path: file.path.clone() });
        }
        let (bytes, path) = Download { hub: self, about, commit, file }.admit()?;
        Ok(Bytes::File(bytes, path))
    }

    fn push(&self, asked: &Pushing<'_>) -> Result<PushedCommit, SourceError> {
        self.commit(asked)
    }
}

/// The waits between attempts.
#[derive(Debug)]
pub(in crate::source) struct Pauses {
    limits: Limits,
    pub(in crate::source) failures: u32,
}

impl Limits {
    pub(in crate::source) fn pauses(&self) -> Pauses {
        Pauses { limits: *self, failures: 0 }
    }
}

impl Pauses {
    /// Returns the wait after another failure; `None` if that was the last attempt.
    pub(in crate::source) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.limits.attempts {
            return None;
        }
        let doubled = self.limits.base_delay.saturating_mul(1 << (self.failures - 1).min(16));
        Some(asked.unwrap_or(doubled).min(self.limits.max_wait))
    }
}

/// Returns whether a text can be the name of a branch, tag or commit. It becomes part of a URL, where `..` would lead
/// to another path.
fn is_revision(text: &str) -> bool {
    const LONGEST: usize = 255;
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control) && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_obey_the_server_and_end() {
        let limits = Limits {
            attempts: 5,
            base_delay: Duration::from_secs(1),
            max_wait: Duration::from_secs(6),
            ..Limits::default()
        };
        let mut pauses = limits.pauses();
        let waits: Vec<_> = [None, None, Some(3), Some(60), None]
            .map(|asked| pauses.next(asked.map(Duration::from_secs)).map(|wait| wait.as_secs()))
            .into();
        assert_eq!(waits, [Some(1), Some(2), Some(3), Some(6), None]);
    }

    #[test]
    fn revisions_cannot_climb() {
        for good in ["main", "v1.0", "refs/convert/parquet", "feature/x", "a..b"] {
            assert!(is_revision(good), "{good}");
        }
        for bad in ["", ".", "..", "a\nb", &"x".repeat(256)] {
            assert!(!is_revision(bad), "{bad:?}");
        }
    }
}
