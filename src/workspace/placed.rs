//! What is recorded of outputs on disk: their stats and digests, so that the next look need not read them.

use std::collections::BTreeMap;

use super::{Workspace, WorkspaceError};
use crate::{
    artifact::{FreshRecipe, OutputFile, Record},
    driver::Context,
    graph::RecipePlan,
    system,
};

impl Workspace {
    /// The files of a recipe; those of this build with the stat that its own bytes had, whatever came since.
    pub(super) fn outputs(
        &self,
        plan: &RecipePlan,
        context: Option<&Context>,
    ) -> Result<Vec<OutputFile>, WorkspaceError> {
        let mut outputs = Vec::new();
        for (name, file) in plan.named() {
            if let Some(meta) = file {
                let stat = match context.and_then(|context| context.placed(&name)) {
                    Some((stat, _)) => stat,
                    None => system::stat(&self.output_dir.join(&name))?,
                };
                outputs.push(OutputFile { name, digest: meta.digest, bytes: meta.bytes, rows: meta.rows, stat });
            }
        }
        Ok(outputs)
    }

    /// Notes the digests of outputs at a time when their stats can be trusted.
    pub(super) fn note_digests(&self, record: &Record, outputs: &[OutputFile], now: i64) {
        for output in outputs {
            let path = self.output_dir.join(&output.name);
            if system::stat(&path).is_ok_and(|stat| stat == output.stat) {
                record.note_digest(&path.to_string_lossy(), &output.stat, &output.digest, now);
            }
        }
    }

    /// The latest stamp of local files and folders that changed a moment ago, of those where any later change shows
    /// nevertheless; 0 if there are none.
    pub(super) fn youngest_proven<'b>(&self, built: impl Iterator<Item = &'b FreshRecipe>) -> i64 {
        let now = system::now_ns();
        let young = built.flat_map(|fresh| &fresh.locals).filter(|(_, stat)| stat.is_racy(now));
        // Many recipes share few files.
        let young: BTreeMap<&str, i64> = young.map(|(path, stat)| (path.as_str(), stat.stamp_ns())).collect();
        let shows = |path: &str| system::stamps_each_change(&self.settings.root.join(path), &self.cache);
        young.into_iter().filter(|(path, _)| shows(path)).map(|(_, stamp)| stamp).max().unwrap_or(0)
    }

    /// Outputs with the stats that they have now.
    pub(super) fn restat(&self, mut outputs: Vec<OutputFile>) -> Vec<OutputFile> {
        for output in &mut outputs {
            if let Ok(stat) = system::stat(&self.output_dir.join(&output.name)) {
                output.stat = stat;
            }
        }
        outputs
    }
}

/// The youngest stamp of files, nanoseconds since 1970.
pub(super) fn youngest(outputs: &[OutputFile]) -> i64 {
    outputs.iter().map(|output| output.stat.stamp_ns()).max().unwrap_or(0)
}
