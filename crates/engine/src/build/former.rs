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

/// A recipe that was just built.
pub(super) struct Rebuilt {
    /// Its number among the reports.
    pub(super) number: usize,
    /// What it wrote at its last build.
    pub(super) last: Vec<OutputFile>,
    /// What its files are called.
    pub(super) set: OutputSet,
}

/// Removes what recipes wrote at their last build and no recipe owns now, unless it was edited since, and what killed builds left
/// half-written. Returns a note for each recipe that has other files with names of its outputs: edited ones, and those of builds
/// whose record is lost. They may be the user's, so they stay.
///
/// What cannot be removed is named by the note. The caller must hold the build lock.
pub(super) fn tidy(
    site: &Site,
    record: &Record,
    rebuilt: &[Rebuilt],
    built: &[(String, FreshRecipe, BuiltDetail)],
) -> Result<Vec<(usize, Note)>, RecordError> {
    let names = |recipe: &FreshRecipe| recipe.outputs.iter().map(|output| output.name.clone()).collect::<Vec<_>>();
    let mut owned: HashSet<String> = built.iter().flat_map(|(_, fresh, _)| names(fresh)).collect();
    let mut there: Vec<Vec<String>> = rebuilt.iter().map(|recipe| files_there(site, &recipe.set)).collect();
    let is_former = rebuilt.iter().flat_map(|recipe| &recipe.last).any(|former| !owned.contains(&former.name));
    if !is_former && there.iter().flatten().all(|name| owned.contains(name)) {
        return Ok(Vec::new());
    }
    // Other recipes may own files of these names: one that took over the name of a recipe that was renamed.
    let own: HashSet<&str> = built.iter().map(|(path, ..)| path.as_str()).collect();
    let is_other = |path: &str| !own.contains(path) && system::exists(&site.root().join(path));
    owned.extend(record.recipes()?.iter().filter(|(path, _)| is_other(path)).flat_map(|(_, last)| names(last)));
    let former = rebuilt.iter().flat_map(|recipe| recipe.last.iter().map(|former| (&recipe.set, former)));
    for (set, former) in former.filter(|(_, former)| !owned.contains(&former.name)) {
        let is_untouched = system::stat(&site.outputs.file(&former.name)).is_ok_and(|stat| stat == former.stat);
        if is_untouched && unexpected::remove(site.outputs.dir(), set, &former.name) {
            there.iter_mut().for_each(|names| names.retain(|name| *name != former.name));
        }
    }
    let notes = rebuilt.iter().zip(there).filter_map(|(recipe, mut names)| {
        names.retain(|name| !owned.contains(name));
        Some((recipe.number, note(site, &names)?))
    });
    Ok(notes.collect())
}

/// Returns the names of the files of a recipe in the output folder, less what a killed build left, which is removed.
fn files_there(site: &Site, set: &OutputSet) -> Vec<String> {
    let mut names = unexpected::files_of(site.outputs.dir(), set);
    names.retain(|name| {
        let file = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        if system::Replacement::is_left_over(&file) {
            system::remove(&site.outputs.file(name)).ok();
        }
        !file.starts_with('.')
    });
    names.sort();
    names
}

fn note(site: &Site, names: &[String]) -> Option<Note> {
    let few: Vec<String> =
        names.iter().take(NAMED).map(|name| format!("`{}`", site.outputs.relative(name).display())).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| Note {
        about: NoteKind::Former,
        text: format!("not of this build, and not known to be of an earlier one: {}{more}", few.join(", ")),
        hint: Some("remove what you do not want to be read beside the outputs".to_owned()),
    })
}
