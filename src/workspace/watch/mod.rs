//! Builds whenever something changes that recipes hang on.
//!
//! Word from the system only wakes: what changed is told by the stats of files before and after, so that what a build
//! writes itself, and whatever else goes on in the same folders, starts nothing. Between rounds no lock is held.

mod look;
mod notices;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use self::{look::Look, notices::Notices};
use super::{BuildOptions, BuildReport, KeptPlan, Workspace, WorkspaceError};

use crate::event::Event;

/// How to watch.
pub struct WatchOptions {
    /// How long nothing must change before a round begins.
    pub delay: Duration,
    /// Looks at all files so often, rather than have the system tell of changes; for file systems that do not tell.
    pub poll: Option<Duration>,
    /// How to build; the plan is kept in any case.
    pub build: BuildOptions,
}

/// One round of a watch.
pub struct Round {
    /// What changed, by path relative to the workspace; nothing in the first round.
    pub changed: Vec<PathBuf>,
    /// What came of it.
    pub built: Result<BuildReport, WorkspaceError>,
}

impl Workspace {
    /// Builds the recipes that `selectors` name, and again whenever one of their files, their sources, their outputs or
    /// `datac.lock` changes, until the workspace is interrupted or `each` returns false.
    pub fn watch(
        &self,
        selectors: &[String],
        options: WatchOptions,
        mut each: impl FnMut(Round) -> bool,
    ) -> Result<(), WorkspaceError> {
        let WatchOptions { delay, poll, build } = options;
        let build = BuildOptions { kept: Some(Arc::new(KeptPlan::default())), ..build };
        let interrupt = &self.settings.interrupt;
        let (mut notices, why) = Notices::new(delay, poll);
        self.tell_of_polling(why, &notices);
        let mut look = Look::default();
        let mut changed = Vec::new();
        loop {
            // Inputs as they are before the build reads them: what is edited while it runs has changed after this.
            let mut seen = look.take(self, selectors);
            let why = notices.listen(std::mem::take(&mut seen.folders));
            self.tell_of_polling(why, &notices);
            let built = self.build(selectors, &build);
            if interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            // Outputs as they are once it has written them.
            let mut after = look.take(self, selectors);
            let why = notices.listen(std::mem::take(&mut after.folders));
            self.tell_of_polling(why, &notices);
            seen.outputs = after.outputs;
            if !each(Round { changed, built }) {
                return Ok(());
            }
            loop {
                if !notices.wait(interrupt) {
                    return Ok(());
                }
                let mut now = look.take(self, selectors);
                if now.changed_since(&seen).is_empty() {
                    continue;
                }
                // A file that is still being written is read when it is whole.
                loop {
                    if !notices.pause(interrupt, Some(delay)) {
                        return Ok(());
                    }
                    let later = look.take(self, selectors);
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

    /// Says that files are looked at for want of word from the system.
    fn tell_of_polling(&self, why: Option<String>, notices: &Notices) {
        if let Some(why) = why {
            let every = notices.poll.unwrap_or(notices::POLL).as_secs_f64();
            let text =
                format!("changes are not told by the system ({why}); files are looked at every {every} s instead");
            (self.settings.observer)(Event::Warning(text));
        }
    }

    /// Whether a path is of an output rather than of something that recipes read.
    pub fn is_output(&self, path: &Path) -> bool {
        path.starts_with(self.output_path(""))
    }
}
