//! Builds whenever something changes that recipes depend on.
//!
//! File-system events only wake the watch. What has changed is determined by comparing the stats of files, so that
//! the files written by builds, and unrelated changes in the same folders, do not start a build. No lock is held
//! between builds.

mod fs_events;
mod snapshot;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use self::{fs_events::FsEvents, snapshot::Looker};
use crate::{
    build::{BuildOptions, BuildReport, order::build as build_order},
    event::{Event, Observer},
    site::{Site, WorkspaceError},
    status::plan_cache::PlanCache,
};

/// Options of `watch`.
pub struct WatchOptions {
    /// Time without changes before a build starts.
    pub delay: Duration,
    /// Interval at which all files are checked, instead of using file-system events, for file systems without them.
    pub poll: Option<Duration>,
    /// Options of each build. The plan is always kept from build to build.
    pub build: BuildOptions,
}

/// A round of a watch.
pub struct Round {
    /// The changed files, relative to the workspace; empty in the first round.
    pub changed: Vec<PathBuf>,
    /// Result of the build.
    pub built: Result<BuildReport, WorkspaceError>,
}

/// Builds the recipes that `selectors` match, and builds again whenever one of their files, their sources, their
/// outputs or `datac.lock` changes, until the workspace is interrupted or `each` returns false.
pub(super) fn watch(
    site: &Site,
    selectors: &[String],
    options: WatchOptions,
    mut each: impl FnMut(Round) -> bool,
) -> Result<(), WorkspaceError> {
    let WatchOptions { delay, poll, build } = options;
    let build = BuildOptions { kept: Some(Arc::new(PlanCache::default())), ..build };
    let interrupt = &site.interrupt;
    let (mut events, why) = FsEvents::new(delay, poll);
    tell_of_polling(&site.observer, why, &events);
    let mut looker = Looker::default();
    let mut changed = Vec::new();
    loop {
        // Inputs are recorded before the build reads them, so that an edit during the build counts as a change.
        let mut seen = looker.take(site, selectors);
        let why = events.listen(std::mem::take(&mut seen.folders));
        tell_of_polling(&site.observer, why, &events);
        let built = build_order(site, selectors, &build);
        if interrupt.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Outputs are recorded after the build has written them.
        let mut after = looker.take(site, selectors);
        let why = events.listen(std::mem::take(&mut after.folders));
        tell_of_polling(&site.observer, why, &events);
        seen.outputs = after.outputs;
        if !each(Round { changed, built }) {
            return Ok(());
        }
        loop {
            if !events.wait(interrupt) {
                return Ok(());
            }
            let mut now = looker.take(site, selectors);
            if now.changed_since(&seen).is_empty() {
                continue;
            }
            // A file that is still being written is only read once it is complete.
            loop {
                if !events.pause(interrupt, Some(delay)) {
                    return Ok(());
                }
                let later = looker.take(site, selectors);
                let is_settled = later.changed_since(&now).is_empty();
                now = later;
                if is_settled {
                    break;
                }
            }
            changed = now.changed_since(&seen);
            if !changed.is_empty() {
                break;
            }
        }
    }
}

/// Warns that files are polled because file-system events are unavailable.
fn tell_of_polling(observer: &Observer, why: Option<String>, events: &FsEvents) {
    if let Some(why) = why {
        let every = events.poll.unwrap_or(fs_events::POLL).as_secs_f64();
        let text = format!("file-system events are unavailable ({why}); checking files every {every} s instead");
        observer(Event::Warning(text));
    }
}
