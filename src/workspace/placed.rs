//! What is recorded of outputs on disk: their stats and digests, so that the next look need not read them.

use super::{Workspace, WorkspaceError};
use crate::{
    artifact::{OutputFile, Record},
    driver::{self, Context},
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
        let wanted = [Some(plan.train), Some(plan.validation), plan.quarantine];
        let mut outputs = Vec::new();
        for (name, outcome) in driver::file_names(&plan.stem).into_iter().zip(wanted) {
            if let Some(outcome) = outcome {
                let stat = match context.and_then(|context| context.placed(&name)) {
                    Some((stat, _)) => stat,
                    None => system::stat(&self.output_dir.join(&name))?,
                };
                outputs.push(OutputFile {
                    name,
                    digest: outcome.digest,
                    bytes: outcome.bytes,
                    rows: outcome.rows,
                    stat,
                });
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
