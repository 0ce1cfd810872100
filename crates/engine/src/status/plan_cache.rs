//! A plan that outlives a build, so that the next build asks only about what an edit touches.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{graph::Planner, system};

/// The plan of one build, kept for the next one of the same workspace; given to both in
/// [`BuildOptions::kept`](crate::workspace::BuildOptions::kept).
///
/// It holds digests and small values. What it says of files is compared with the files anew in every build, and outcomes
/// are used as those of the cache are: every byte is checked when it is read.
#[derive(Default)]
pub struct PlanCache {
    plan: Mutex<Option<(Planner, Option<u64>)>>,
}

impl PlanCache {
    /// Takes the plan out, unless there is none or another record has replaced the one from which the plan was made: what
    /// that record held is unknown to the new one.
    pub(crate) fn take(&self, cache: &Path) -> Option<Planner> {
        let (planner, record) = self.plan.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (record == record_of(cache)).then_some(planner)
    }

    /// Keeps a plan for the next build.
    pub(crate) fn put(&self, planner: Planner, cache: &Path) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some((planner, record_of(cache)));
    }
}

/// Returns what tells one record from another.
fn record_of(cache: &Path) -> Option<u64> {
    system::stat(&cache.join("record.sqlite")).ok().map(|stat| stat.inode)
}
