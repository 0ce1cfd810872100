//! Files of earlier builds that a recipe no longer writes: of a side that it no longer has, of a shape, of more shards.
//!
//! Whoever reads the whole folder reads them, too, and rows of a former validation side may be rows of the train side now.

use std::{collections::HashSet, path::Path};

use super::notes::{Note, NoteKind};
use crate::{
    cache::{BuiltDetail, FreshRecipe, OutputFile, Record, RecordError},
    driver::unexpected,
    site::Site,
    system,
};
use datac_core::outputs::OutputSet;

/// Number of files that a note names.
const NAMED: usize = 4;

/// Returns the names of the files that recipes own: those that were just built, and others that are still there.
pub(super) fn owned(
    site: &Site,
    record: &Record,
    built: &[(String, FreshRecipe, BuiltDetail)],
) -> Result<HashSet<String>, RecordError> {
    let names = |recipe: &FreshRecipe| recipe.outputs.iter().map(|output| output.name.clone()).collect::<Vec<_>>();
    let mut owned: HashSet<String> = built.iter().flat_map(|(_, fresh, _)| names(fresh)).collect();
    let is_other = |path: &String| built.iter().all(|(own, ..)| own != path) && system::exists(&site.root().join(path));
    owned.extend(record.recipes()?.iter().filter(|(path, _)| is_other(path)).flat_map(|(_, last)| names(last)));
    Ok(owned)
}

/// Removes the files that a recipe wrote at its last build and that no recipe owns now, unless they were edited since.
///
/// What cannot be removed is named by the note.
pub(super) fn remove(site: &Site, last: &[OutputFile], owned: &HashSet<String>) {
    for former in last.iter().filter(|former| !owned.contains(&former.name)) {
        let path = site.outputs.file(&former.name);
        if system::stat(&path).is_ok_and(|stat| stat == former.stat) {
            system::remove(&path).ok();
        }
    }
}

/// Returns a note of the files that have names of a recipe's outputs and are none of them: edited ones, and those of builds whose
/// record is lost. They may be the user's, so they stay. What killed builds left half-written is removed; the caller must hold
/// the build lock.
pub(super) fn note(site: &Site, set: &OutputSet, owned: &HashSet<String>) -> Option<Note> {
    let mut others = Vec::new();
    for name in unexpected::files_of(site.outputs.dir(), set) {
        let file = Path::new(&name).file_name().unwrap_or_default().to_string_lossy();
        if system::Replacement::is_left_over(&file) {
            system::remove(&site.outputs.file(&name)).ok();
        } else if !owned.contains(&name) && !file.starts_with('.') {
            others.push(format!("`{}`", site.outputs.relative(&name).display()));
        }
    }
    others.sort();
    let more = match others.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    others.truncate(NAMED);
    (!others.is_empty()).then(|| Note {
        about: NoteKind::Former,
        text: format!("not of this build, and not known to be of an earlier one: {}{more}", others.join(", ")),
        hint: Some("remove what you do not want to be read beside the outputs".to_owned()),
    })
}
