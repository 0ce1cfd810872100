//! Signals that something may have changed: file-system events, or a timer for polling.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

/// Interval at which a wait checks for an interrupt.
const GLANCE: Duration = Duration::from_millis(50);

/// Polling interval if file-system events are unavailable.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// A source of signals.
pub(super) struct FsEvents {
    inbox: Receiver<()>,
    /// Keeps the channel open even if there is no watcher.
    _outbox: Sender<()>,
    /// Polling interval; `None` to wait for events only.
    pub(super) poll: Option<Duration>,
    #[cfg(feature = "watch")]
    system: Option<system::Watcher>,
}

impl FsEvents {
    /// Starts to listen for events, or polls at the interval `poll`. If events are unavailable, the second value says
    /// why.
    pub(super) fn new(delay: Duration, poll: Option<Duration>) -> (Self, Option<String>) {
        let (outbox, inbox) = mpsc::channel();
        #[cfg(feature = "watch")]
        {
            let watcher = poll.is_none().then(|| system::Watcher::new(delay, outbox.clone()));
            let (system, error) = match watcher {
                Some(Ok(watcher)) => (Some(watcher), None),
                Some(Err(error)) => (None, Some(error)),
                None => (None, None),
            };
            let poll = poll.or(error.is_some().then_some(POLL));
            (Self { inbox, _outbox: outbox, poll, system }, error)
        }
        #[cfg(not(feature = "watch"))]
        {
            let _ = delay;
            let why = "this datac was built without the `watch` feature".to_owned();
            (Self { inbox, _outbox: outbox, poll: poll.or(Some(POLL)) }, poll.is_none().then_some(why))
        }
    }

    /// Listens to these folders only; the flag says whether everything below a folder counts. If a folder cannot be
    /// listened to, polls instead and returns why.
    pub(super) fn listen(&mut self, folders: Vec<(PathBuf, bool)>) -> Option<String> {
        #[cfg(feature = "watch")]
        if let Some(watcher) = &mut self.system
            && let Err(error) = watcher.listen(folders)
        {
            self.poll.get_or_insert(POLL);
            return Some(error);
        }
        #[cfg(not(feature = "watch"))]
        drop(folders);
        None
    }

    /// Waits for an event or the polling interval; returns false if `interrupt` is set.
    pub(super) fn wait(&self, interrupt: &Arc<AtomicBool>) -> bool {
        self.pause(interrupt, self.poll)
    }

    /// Waits for an event, or at most for a given time; returns false if `interrupt` is set.
    pub(super) fn pause(&self, interrupt: &Arc<AtomicBool>, at_most: Option<Duration>) -> bool {
        let mut waited = Duration::ZERO;
        while !interrupt.load(Ordering::Relaxed) {
            match self.inbox.recv_timeout(GLANCE) {
                Ok(()) => {
                    // One look covers all events that have arrived before it.
                    while self.inbox.try_recv().is_ok() {}
                    return true;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => waited += GLANCE,
            }
            if at_most.is_some_and(|at_most| waited >= at_most) {
                return true;
            }
        }
        false
    }
}

#[cfg(feature = "watch")]
mod system {
    use std::{
        collections::BTreeMap,
        path::{Path, PathBuf},
        sync::mpsc::Sender,
        time::Duration,
    };

    use notify_debouncer_full::{
        DebounceEventResult, Debouncer, NoCache, new_debouncer_opt,
        notify::{Config, RecommendedWatcher, RecursiveMode},
    };

    use crate::system;

    /// File-system events.
    pub(super) struct Watcher {
        debouncer: Debouncer<RecommendedWatcher, NoCache>,
        /// Watched folders, with whether the watch is recursive, and the inode, since a folder may be replaced.
        folders: BTreeMap<PathBuf, (bool, u64)>,
    }

    impl Watcher {
        pub(super) fn new(delay: Duration, outbox: Sender<()>) -> Result<Self, String> {
            let tell = move |told: DebounceEventResult| {
                // Recipes are read in every round, so read accesses are ignored.
                let is_news = told.map_or(true, |events| events.iter().any(|event| !event.kind.is_access()));
                if is_news {
                    outbox.send(()).ok();
                }
            };
            let debouncer = new_debouncer_opt(delay, None, tell, NoCache::new(), Config::default());
            debouncer.map(|debouncer| Self { debouncer, folders: BTreeMap::new() }).map_err(|error| error.to_string())
        }

        pub(super) fn listen(&mut self, folders: Vec<(PathBuf, bool)>) -> Result<(), String> {
            let mut wanted: BTreeMap<PathBuf, (bool, u64)> = BTreeMap::new();
            for (folder, is_deep) in folders {
                // If the folder has just been removed, its parent reports that.
                let Some(inode) = inode(&folder) else { continue };
                let entry = wanted.entry(folder).or_insert((is_deep, inode));
                entry.0 |= is_deep;
            }
            let gone = self.folders.iter().filter(|(folder, how)| wanted.get(*folder) != Some(how));
            for folder in gone.map(|(folder, _)| folder.clone()).collect::<Vec<_>>() {
                // The system has already stopped listening if the folder was removed.
                self.debouncer.unwatch(&folder).ok();
                self.folders.remove(&folder);
            }
            let mut failed = None;
            for (folder, (is_deep, inode)) in wanted {
                if self.folders.contains_key(&folder) {
                    continue;
                }
                let mode = if is_deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
                match self.debouncer.watch(&folder, mode) {
                    Ok(()) => drop(self.folders.insert(folder, (is_deep, inode))),
                    Err(error) => failed = Some(format!("{}: {error}", folder.display())),
                }
            }
            failed.map_or(Ok(()), Err)
        }
    }

    fn inode(folder: &Path) -> Option<u64> {
        system::stat(folder).ok().map(|stat| stat.inode)
    }
}
