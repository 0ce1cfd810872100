//! Builds whenever something changes that recipes depend on.
//!
//! Word from the system only wakes: what changed is told by the stats of files before and after, so that what a build
//! writes itself, and whatever else goes on in the same folders, starts nothing. Between rounds no lock is held.

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
    /// The time without changes before a round begins.
    pub delay: Duration,
    /// The interval at which all files are checked instead of using file-system events, for file systems without events.
    pub poll: Option<Duration>,
    /// The options of each build; the plan is kept in any case.
    pub build: BuildOptions,
}

/// One round of a watch.
pub struct Round {
    /// The changed files, relative to the workspace; empty in the first round.
    pub changed: Vec<PathBuf>,
    /// The result of the build.
    pub built: Result<BuildReport, WorkspaceError>,
}

/// Builds the recipes that `selectors` name, and again whenever one of their files, their sources, their outputs or
/// `datac.lock` changes, until the workspace is interrupted or `each` returns false.
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
        // Inputs as they are before the build reads them: what is edited while it runs has changed after this.
        let mut seen = looker.take(site, selectors);
        let why = events.listen(std::mem::take(&mut seen.folders));
        tell_of_polling(&site.observer, why, &events);
        let built = build_order(site, selectors, &build);
        if interrupt.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Outputs as they are once it has written them.
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
            // A file that is still being written is read when it is whole.
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

/// Warns that files are polled because there are no file-system events.
fn tell_of_polling(observer: &Observer, why: Option<String>, events: &FsEvents) {
    if let Some(why) = why {
        let every = events.poll.unwrap_or(fs_events::POLL).as_secs_f64();
        let text = format!("file-system events are unavailable ({why}); checking files every {every} s instead");
        observer(Event::Warning(text));
    }
}
