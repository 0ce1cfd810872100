//! Downloads a file of the Hub into the store (`store.rs`).
//!
//! Xet, the Hub's protocol for chunks, is never used: a plain request returns plain bytes, which are checked against
//! the listed digest.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Response, StatusCode, header};

use super::{
    DATASETS, DownloadEvent, HttpHub,
    endpoint::authorization,
    errors::{About, Fault},
    kind_and_name,
    store::Store,
    verify,
};
use crate::{
    source::{RemoteFile, SourceError},
    system::{self, FileError, Stopwatch},
};

/// Number of times that wrong bytes are discarded and requested again.
pub(in crate::source) const MOST_RESTARTS: u32 = 2;

/// A download of one file into the store.
pub(super) struct Download<'a> {
    pub(super) hub: &'a HttpHub,
    pub(super) about: About<'a>,
    pub(super) commit: &'a str,
    pub(super) file: &'a RemoteFile,
}

impl Download<'_> {
    /// Returns the stored file and its path, downloading the file first if it is not there.
    pub(super) fn admit(&self) -> Result<(File, PathBuf), SourceError> {
        let tell = |event| self.tell(event);
        let store = Store { folder: &self.hub.store, tell: &tell };
        if let Some(stored) = store.trusted(self.file)? {
            return Ok(stored);
        }
        if self.hub.offline {
            return Err(SourceError::Offline { what: format!("`{}` of `{}`", self.file.path, self.about.repo) });
        }
        store.admit(self.file, |part, path| self.fetch(part, path))
    }

    /// Downloads into the partial file until it has the listed bytes.
    fn fetch(&self, part: &mut File, path: &Path) -> Result<(), SourceError> {
        self.hub.check_reached(&self.about)?;
        let (mut pauses, mut restarts) = (self.hub.limits.pauses(), 0);
        loop {
            let mut kept = system::stat_file(part, path)?.size;
            if kept > self.file.size {
                part.set_len(0).map_err(failed("write", path))?;
                kept = 0;
            }
            self.tell(DownloadEvent::Started { path: self.file.path.clone(), size: self.file.size, kept });
            let received = self.hub.runtime.block_on(self.receive(part, path, kept));
            let outcome = match received {
                Ok(()) if verify::matches(part, self.file).map_err(failed("read", path))? => return Ok(()),
                Ok(()) => Err(Fault::spoiled("its bytes are not the listed ones")),
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Spoiled { .. }) if restarts == MOST_RESTARTS => {
                    part.set_len(0).map_err(failed("write", path))?;
                    return Err(SourceError::Changed {
                        repo: self.about.repo.to_owned(),
                        path: self.file.path.clone(),
                        expected: self.file.digest.to_string(),
                    });
                }
                Err(Fault::Spoiled { reason }) => {
                    restarts += 1;
                    part.set_len(0).map_err(failed("write", path))?;
                    self.tell(DownloadEvent::Restarted { path: self.file.path.clone(), reason });
                }
                Err(Fault::Unreachable { reason }) => {
                    self.hub.missed(&mut pauses, &self.about, &self.file.path, reason)?;
                }
                Err(Fault::Transient { reason, after }) => {
                    self.hub.pause(&mut pauses, &self.about, &self.file.path, reason, after)?;
                }
            }
        }
    }

    /// Requests what is missing after the first `kept` bytes, and appends it.
    async fn receive(&self, part: &mut File, path: &Path, kept: u64) -> Result<(), Fault> {
        if kept == self.file.size {
            return Ok(());
        }
        let (kind, name) = kind_and_name(self.about.repo);
        // Repositories of models have no such word before their names.
        let kind = Some(kind).filter(|kind| *kind == DATASETS);
        let segments = kind.into_iter().chain(name.split('/')).chain(["resolve", self.commit]);
        let url = self.about.endpoint.join(segments.chain(self.file.path.split('/')));
        let mut request = self.hub.client.get(url).headers(authorization(self.about.token));
        if kept > 0 {
            request = request.header(header::RANGE, format!("bytes={kept}-{}", self.file.size - 1));
        }
        let response = request.send().await.map_err(|error| self.about.transport(&error))?;
        self.append(part, path, self.about.success(response).await?, kept).await
    }

    /// Writes the body of a response, but never more bytes than listed.
    async fn append(&self, part: &mut File, path: &Path, mut answer: Response, kept: u64) -> Result<(), Fault> {
        let on_disk = |source| Fault::Final(failed("write", path)(source).into());
        // A server that does not support ranges responds to one with the whole file.
        let start = if answer.status() == StatusCode::PARTIAL_CONTENT { kept } else { 0 };
        let mut left = self.file.size - start;
        if answer.content_length().is_some_and(|length| length > left) {
            return Err(Fault::spoiled("the server has more bytes than listed"));
        }
        part.set_len(start).and_then(|()| part.seek(SeekFrom::Start(start))).map_err(on_disk)?;
        let mut pace = Pace::new(self.hub.limits.idle, self.hub.limits.slowest);
        while let Some(bytes) = answer.chunk().await.map_err(|error| self.about.transport(&error))? {
            let count = bytes.len() as u64;
            if count > left {
                return Err(Fault::spoiled("the server sent more bytes than listed"));
            }
            part.write_all(&bytes).map_err(on_disk)?;
            left -= count;
            self.tell(DownloadEvent::Progress {
                path: self.file.path.clone(),
                size: self.file.size,
                received: self.file.size - left,
            });
            if left > 0 && pace.is_too_slow(count) {
                return Err(Fault::transient("the server sends too slowly"));
            }
        }
        if left > 0 {
            return Err(Fault::transient(format!("the server stopped {left} bytes short")));
        }
        Ok(())
    }

    fn tell(&self, event: DownloadEvent) {
        (self.hub.progress)(event);
    }
}

/// Distinguishes a slow server from one that only sends enough to keep the connection open.
pub(in crate::source) struct Pace {
    window: Duration,
    least: u64,
    since: Stopwatch,
    received: u64,
}

impl Pace {
    pub(in crate::source) fn new(window: Duration, bytes_per_second: u64) -> Self {
        let least = window.as_secs().max(1).saturating_mul(bytes_per_second);
        Self { window, least, since: Stopwatch::start(), received: 0 }
    }

    pub(in crate::source) fn is_too_slow(&mut self, count: u64) -> bool {
        self.received += count;
        if self.since.elapsed() < self.window {
            return false;
        }
        let is_too_slow = self.received < self.least;
        (self.since, self.received) = (Stopwatch::start(), 0);
        is_too_slow
    }
}

pub(super) fn failed<'p>(verb: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> FileError + Copy + 'p {
    move |source| FileError { verb, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_too_slow_and_a_stream_is_not() {
        let mut drip = Pace::new(Duration::ZERO, 1024);
        assert!(drip.is_too_slow(1023));
        assert!(!drip.is_too_slow(1024));
        let mut young = Pace::new(Duration::from_secs(3600), 1024);
        assert!(!young.is_too_slow(1));
    }
}
