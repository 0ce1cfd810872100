//! The Hub over HTTP.
//!
//! hf-hub knows the Hub's conventions: what a repository is called, which revision is meant where none is named and where
//! the token is. Its client is not used, for it brings Xet along and stores error pages as files. The token goes to the
//! configured address alone, listings are checked name by name (`listing`), failed requests are told apart
//! (`errors`) and repeated, and a file is admitted to the store only when its digest is the listed one
//! (`download`, `verify`). No other module names hf-hub, reqwest or tokio.

mod download;
mod endpoint;
mod errors;
mod greet;
mod listing;
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
pub use self::{
    greet::Greeting,
    token::{Token, default_endpoint, env_offline, find_token, find_token_and_place, has_bad_token},
    verify::holds,
};
use crate::source::{Bytes, Hub, Listing, RemoteFile, SourceError};

/// Receives what happens while something is fetched; called on the thread that asked, and not to be blocked for long.
pub type ProgressFn = Arc<dyn Fn(DownloadEvent) + Send + Sync>;

/// What a hub is made from.
#[derive(Clone)]
pub struct HubConfig {
    /// The Hub's address, see [`default_endpoint`].
    pub endpoint: String,
    /// The token shown to that address and no other, see [`find_token`].
    pub token: Option<Token>,
    /// Whether the network is out of bounds; stored files can still be opened.
    pub offline: bool,
    /// The folder that keeps downloaded bytes under their digests.
    pub store: PathBuf,
    /// Receives what happens while something is fetched.
    pub progress: ProgressFn,
    /// How patient to be.
    pub limits: Limits,
}

/// How patient a hub is with its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long connecting may take.
    pub connect: Duration,
    /// How long a server may keep silent, and the span over which it must be faster than `slowest`.
    pub idle: Duration,
    /// How long one answer other than a file may take as a whole.
    pub answer: Duration,
    /// The bytes a second below which a download is broken off and resumed.
    pub slowest: u64,
    /// How many times a request is made before its failure is final.
    pub attempts: u32,
    /// The wait after the first failure; each further one waits twice as long.
    pub base_delay: Duration,
    /// The longest wait, also when the server asks for more.
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

/// Something that happens while something is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadEvent {
    /// A file is asked for.
    Started {
        /// The file's path in its repository.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// How much of it was kept from an earlier attempt.
        kept: u64,
    },
    /// Bytes of a file arrived.
    Progress {
        /// The file's path in its repository.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// How much of it is here.
        received: u64,
    },
    /// A file is here, checked and stored.
    Finished {
        /// The file's path in its repository.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// Another process or thread is fetching the same bytes, and is waited for.
    Locked {
        /// The file's path in its repository.
        path: String,
    },
    /// A request failed and is going to be made again.
    Waiting {
        /// The file's path, or the repository.
        what: String,
        /// What happened.
        reason: String,
        /// How long is waited.
        wait: Duration,
        /// How long the server asked to be left alone, if it did.
        asked: Option<Duration>,
        /// How many times the request failed.
        failures: u32,
    },
    /// What arrived of a file was of no use and was thrown away.
    Restarted {
        /// The file's path in its repository.
        path: String,
        /// What was wrong with it.
        reason: String,
    },
    /// A stored file no longer holds its bytes and is fetched again.
    Damaged {
        /// The file's path in its repository.
        path: String,
        /// Where it is stored.
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
    /// Whether there is a way to the hub, or why not; empty until one of both is known.
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
    /// Makes a hub; nothing is sent yet. Fails if the address cannot be used.
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

    /// Returns the repository's own name and the commit a revision stands for.
    fn find(&self, repo: &str, revision: &str) -> Result<(String, String), SourceError> {
        let about = About { revision: Some(revision), ..self.about(repo) };
        let path = ["api", "datasets"].into_iter().chain(repo.split('/')).chain(["revision", revision]);
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
            return Err(malformed("what it names as the dataset is not `org/name`"));
        }
        Ok((found.id, commit))
    }

    /// Makes a request until it succeeds, or fails for good.
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

    /// Gives up without a request where no other came through.
    fn check_reached(&self, about: &About<'_>) -> Result<(), SourceError> {
        match self.reached.get() {
            Some(Err(reason)) => Err(about.unavailable(reason)),
            _ => Ok(()),
        }
    }

    /// Waits after there was no connection. A hub that was reached before may come back as any other; one that never
    /// was is most likely not there, or this machine has no network: it is tried once more, and then no longer.
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

impl Hub for HttpHub {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    fn resolve(&self, repo: &str, revision: Option<&str>) -> Result<Listing, SourceError> {
        let asked = match revision {
            Some(revision) => Repo::with_revision(repo.to_owned(), RepoType::Dataset, revision.to_owned()),
            None => Repo::dataset(repo.to_owned()),
        };
        let revision = asked.revision();
        if self.offline {
            return Err(SourceError::Offline { what: format!("the file list of `{repo}`") });
        }
        if !listing::is_repo_id(repo, true) {
            return Err(SourceError::NoRepo { repo: repo.to_owned(), hub: self.name() });
        }
        if !is_revision(revision) {
            return Err(SourceError::NoRevision { repo: repo.to_owned(), revision: revision.to_owned() });
        }
        let (id, commit) = self.find(repo, revision)?;
        let about = About { revision: Some(&commit), ..self.about(&id) };
        let mut files = Files::default();
        let mut url = self.endpoint.join(["api", "datasets"].into_iter().chain(id.split('/')).chain(["tree", &commit]));
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
        Ok(Listing { id, commit, files: files.finish() })
    }

    fn open(&self, repo: &str, commit: &str, file: &RemoteFile) -> Result<Bytes, SourceError> {
        let about = About { path: Some(&file.path), revision: Some(commit), ..self.about(repo) };
        // A lock file is text that anyone may have edited.
        if !listing::is_repo_id(repo, true) || !listing::is_commit(commit) || listing::check_path(&file.path).is_err() {
            return Err(SourceError::NoFile { repo: repo.to_owned(), path: file.path.clone() });
        }
        let (bytes, path) = Download { hub: self, about, commit, file }.admit()?;
        Ok(Bytes::File(bytes, path))
    }
}

/// The waits between attempts.
#[derive(Debug)]
struct Pauses {
    limits: Limits,
    failures: u32,
}

impl Limits {
    fn pauses(&self) -> Pauses {
        Pauses { limits: *self, failures: 0 }
    }
}

impl Pauses {
    /// Returns the wait after one more failure; `None` if that was the last attempt.
    fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.limits.attempts {
            return None;
        }
        let doubled = self.limits.base_delay.saturating_mul(1 << (self.failures - 1).min(16));
        Some(asked.unwrap_or(doubled).min(self.limits.max_wait))
    }
}

/// Returns whether this can be the name of a branch, tag or commit. It becomes part of an address, where dots would climb.
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
