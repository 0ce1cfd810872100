//! The files of results that are not what their recipes expect: they lie apart, to be looked at.

use std::{collections::HashSet, path::Path};

use crate::{
    graph::RecipePlan,
    system::{self, EntryKind},
};
use datac_core::{
    failure::Failure,
    outputs::{Destination, OutputKind, OutputSet, UNEXPECTED},
};

/// Number of files that a failure names.
const NAMED: usize = 4;

/// Adds a note to the failure of a recipe whose result is not what it expects: where the files lie. `dir` is the output folder,
/// `root` the workspace.
pub(crate) fn with_files(failure: Failure, dir: &Path, root: &Path, plan: &RecipePlan) -> Failure {
    let folder = Destination::Unexpected.folder(dir);
    let shown = |name: &String| folder.strip_prefix(root).unwrap_or(&folder).join(name).display().to_string();
    let made = plan.named().filter(|(_, name, meta)| meta.is_some() && system::exists(&folder.join(name)));
    let names: Vec<String> = made.map(|(_, name, _)| format!("`{}`", shown(&name))).collect();
    if names.is_empty() {
        return failure;
    }
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let few = names[..names.len().min(NAMED)].join(", ");
    failure.note(format!("made, but not put in place: {few}{more}"))
}

/// Removes the files of a recipe among the unexpected ones, except those whose usual names are in `keep`.
///
/// A file that is left by mistake is in no one's way, so what goes wrong here is no error.
pub(crate) fn clear(dir: &Path, outputs: &OutputSet, keep: &HashSet<String>) {
    let folder = Destination::Unexpected.folder(dir);
    for name in files_of(&folder, outputs).iter().filter(|name| !keep.contains(*name)) {
        remove(&folder, outputs, name);
    }
}

/// Removes a file of a recipe from an output folder, with the recipe's own folders that are empty then. Returns whether the file
/// is gone.
pub(crate) fn remove(folder: &Path, outputs: &OutputSet, name: &str) -> bool {
    let is_gone = system::remove(&folder.join(name)).is_ok();
    let above = Path::new(name).ancestors().skip(1).filter(|above| above.starts_with(outputs.stem()));
    for above in above {
        system::remove_empty_dir(&folder.join(above));
    }
    is_gone
}

/// Removes the folder of unexpected files where nothing is left in it. No job may be running.
pub(crate) fn clear_folder(dir: &Path) {
    let folder = Destination::Unexpected.folder(dir);
    let quarantine = Path::new(&OutputSet::new("").name(OutputKind::Quarantine)).parent().map(|it| folder.join(it));
    for folder in quarantine.iter().chain([&folder]) {
        system::remove_empty_dir(folder);
    }
}

/// Returns the names of the files of a recipe that are in an output folder.
pub(crate) fn files_of(folder: &Path, outputs: &OutputSet) -> Vec<String> {
    let mut names: Vec<String> = outputs.names().filter(|name| system::exists(&folder.join(name))).collect();
    let mut folders = vec![outputs.stem().to_owned()];
    while let Some(within) = folders.pop() {
        for entry in system::entries(&folder.join(&within)).unwrap_or_default() {
            let name = format!("{within}/{}", entry.name);
            match entry.kind {
                // Programs keep what is theirs in hidden folders. Links are not followed: they may lead anywhere.
                EntryKind::Folder if entry.name.starts_with('.') => {}
                EntryKind::Folder => folders.push(name),
                EntryKind::File | EntryKind::Link | EntryKind::Other => names.push(name),
            }
        }
    }
    names
}

/// Returns the stems of the recipes that have files among the unexpected ones.
pub(crate) fn stems(dir: &Path) -> HashSet<String> {
    let list = |folder: &Path| system::list(folder).unwrap_or_default();
    let (mut stems, folder) = (HashSet::new(), dir.join(UNEXPECTED));
    for (name, is_folder) in list(&folder) {
        let names = match is_folder {
            true if datac_core::outputs::QUARANTINE == name => {
                list(&folder.join(&name)).into_iter().map(|(file, _)| format!("{name}/{file}")).collect()
            }
            true => vec![format!("{name}//")],
            false => vec![name],
        };
        stems.extend(names.iter().filter_map(|name| Some(OutputSet::parse(name)?.0.stem().to_owned())));
    }
    stems
}
