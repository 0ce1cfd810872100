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
    outputs::{OutputKind, OutputSet},
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
    quarantined: &HashSet<OsString>,
) -> bool {
    let same = |now: Option<Stat>, then: &Stat| !then.is_racy(last.built_ns) && now == Some(*then);
    text.digest == last.text
        && environment == last.environment
        && last.outputs.iter().all(|output| same(system::stat(&folder.file(&output.name)).ok(), &output.stat))
        && last
            .locals
            .iter()
            .all(|(path, stat)| same(Some(locals.get(path.as_str()).copied().flatten().unwrap_or(Stat::ABSENT)), stat))
        && stray(&last.outputs, quarantined).is_none()
}

/// Returns the name of an existing quarantine file that the last build did not write: a build that was refused has
/// left it.
pub(crate) fn stray(outputs: &[OutputFile], quarantined: &HashSet<OsString>) -> Option<String> {
    if quarantined.is_empty() {
        return None;
    }
    let quarantine = OutputSet::parse(&outputs.first()?.name)?.0.name(OutputKind::Quarantine);
    let is_there = quarantined.contains(Path::new(&quarantine).file_name()?);
    let is_own = || outputs.iter().any(|output| output.name == quarantine);
    (is_there && !is_own()).then_some(quarantine)
}
