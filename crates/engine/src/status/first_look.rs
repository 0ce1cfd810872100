//! The first look: uses digests and stats alone, for thousands of recipes in a no-change build.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    path::Path,
};

use crate::{
    cache::{FreshRecipe, OutputFile},
    site::{OutputFolder, RecipeText},
    system::{self, Stat},
};
use datac_core::{
    id::EnvironmentId,
    outputs::{OutputKind, OutputSet, UNEXPECTED},
};

/// Returns the stats of all local files that recipes depend on. Each file is stat'ed once, since many recipes share
/// few files.
pub(crate) fn local_stats<'l>(
    root: &Path,
    last: impl Iterator<Item = &'l FreshRecipe>,
) -> HashMap<String, Option<Stat>> {
    let mut stats = HashMap::new();
    for (path, _) in last.flat_map(|last| &last.locals) {
        if !stats.contains_key(path) {
            stats.insert(path.clone(), system::stat(&root.join(path)).ok());
        }
    }
    stats
}

/// Returns whether everything that a recipe depends on is provably unchanged since the recipe was built.
pub(crate) fn first_look(
    folder: &OutputFolder,
    text: &RecipeText,
    last: &FreshRecipe,
    environment: EnvironmentId,
    locals: &HashMap<String, Option<Stat>>,
    strays: &Strays,
) -> bool {
    let same = |now: Option<Stat>, then: &Stat| !then.is_racy(last.built_ns) && now == Some(*then);
    text.digest == last.text
        && environment == last.environment
        && last.outputs.iter().all(|output| same(system::stat(&folder.file(&output.name)).ok(), &output.stat))
        && last
            .locals
            .iter()
            .all(|(path, stat)| same(Some(locals.get(path.as_str()).copied().flatten().unwrap_or(Stat::ABSENT)), stat))
        && strays.of(&last.outputs).is_none()
}

/// The files in the output folder that builds may have left which failed.
#[derive(Default)]
pub(crate) struct Strays {
    /// Names of the quarantine files.
    pub(crate) quarantined: HashSet<OsString>,
    /// Stems of the recipes that have files among the unexpected ones.
    pub(crate) unexpected: HashSet<String>,
}

impl Strays {
    /// Returns the name of what a failed build of a recipe has left, given the outputs of its last good one: a quarantine file
    /// that is none of these, or files among the unexpected ones.
    pub(crate) fn of(&self, outputs: &[OutputFile]) -> Option<String> {
        if self.quarantined.is_empty() && self.unexpected.is_empty() {
            return None;
        }
        let set = OutputSet::parse(&outputs.first()?.name)?.0;
        if self.unexpected.contains(set.stem()) {
            return Some(format!("{UNEXPECTED}/{}", set.stem()));
        }
        let quarantine = set.name(OutputKind::Quarantine);
        let is_there = self.quarantined.contains(Path::new(&quarantine).file_name()?);
        let is_own = || outputs.iter().any(|output| output.name == quarantine);
        (is_there && !is_own()).then_some(quarantine)
    }
}
