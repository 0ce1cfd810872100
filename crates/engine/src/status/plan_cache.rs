//! Keeps a plan from build to build, so that the next build only asks about what an edit affects.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{graph::Planner, system};

/// The plan of one build, kept for the next build of the same workspace. Both get it in
/// [`BuildOptions::kept`](crate::workspace::BuildOptions::kept).
///
/// The plan holds digests and small values. Every build compares files with the plan anew, and outcomes from the plan
/// are used like those from the cache: every byte is checked when it is read.
#[derive(Default)]
pub struct PlanCache {
    plan: Mutex<Option<(Planner, Option<u64>)>>,
}

impl PlanCache {
    /// Takes the plan out. Returns `None` if there is no plan, or if the record has been replaced since: the new
    /// record does not have the outcomes that the plan knows.
    pub(crate) fn take(&self, cache: &Path) -> Option<Planner> {
        let (planner, record) = self.plan.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (record == record_of(cache)).then_some(planner)
    }

    /// Keeps a plan for the next build.
    pub(crate) fn put(&self, planner: Planner, cache: &Path) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some((planner, record_of(cache)));
    }
}

/// Returns a number that identifies the record.
fn record_of(cache: &Path) -> Option<u64> {
    system::stat(&cache.join("record.sqlite")).ok().map(|stat| stat.inode)
}
