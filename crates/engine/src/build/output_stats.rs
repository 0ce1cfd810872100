//! Stats and digests of outputs on disk, recorded so that later looks need not read the files.

use std::{collections::BTreeMap, path::Path};

use crate::{
    cache::{FreshRecipe, OutputFile, Record},
    driver::RunReport,
    graph::RecipePlan,
    site::{OutputFolder, WorkspaceError},
    system,
};

/// Returns the files of a recipe. A file written by this build has the stat of what was written, even if it was
/// changed since.
pub(crate) fn outputs_in_place(
    folder: &OutputFolder,
    plan: &RecipePlan,
    ran: Option<&RunReport>,
) -> Result<Vec<OutputFile>, WorkspaceError> {
    let mut outputs = Vec::new();
    for (_, name, file) in plan.named() {
        if let Some(meta) = file {
            let stat = match ran.and_then(|ran| ran.placed(&name)) {
                Some((stat, _)) => stat,
                None => system::stat(&folder.file(&name))?,
            };
            outputs.push(OutputFile { name, meta, stat });
        }
    }
    Ok(outputs)
}

/// Records the digests of outputs, at a time when their stats can be trusted.
pub(crate) fn note_digests(folder: &OutputFolder, record: &Record, outputs: &[OutputFile], now: i64) {
    for output in outputs {
        let path = folder.file(&output.name);
        if system::stat(&path).is_ok_and(|stat| stat == output.stat) {
            record.note_digest(&path.to_string_lossy(), &output.stat, &output.meta.digest, now);
        }
    }
}

/// Returns the latest timestamp of local files and folders that changed very recently, if any later change to them is
/// certain to show in their stat; 0 if there are none.
pub(crate) fn youngest_proven<'b>(root: &Path, cache: &Path, built: impl Iterator<Item = &'b FreshRecipe>) -> i64 {
    let now = system::now_ns();
    let young = built.flat_map(|fresh| &fresh.locals).filter(|(_, stat)| stat.is_racy(now));
    // Many recipes share few files.
    let young: BTreeMap<&str, i64> = young.map(|(path, stat)| (path.as_str(), stat.stamp_ns())).collect();
    let shows = |path: &str| system::stamps_each_change(&root.join(path), cache);
    young.into_iter().filter(|(path, _)| shows(path)).map(|(_, stamp)| stamp).max().unwrap_or(0)
}

/// Returns outputs with their current stats.
pub(crate) fn restat(folder: &OutputFolder, mut outputs: Vec<OutputFile>) -> Vec<OutputFile> {
    for output in &mut outputs {
        if let Ok(stat) = system::stat(&folder.file(&output.name)) {
            output.stat = stat;
        }
    }
    outputs
}

/// Returns the latest timestamp of files, in nanoseconds since 1970.
pub(crate) fn youngest(outputs: &[OutputFile]) -> i64 {
    outputs.iter().map(|output| output.stat.stamp_ns()).max().unwrap_or(0)
}
