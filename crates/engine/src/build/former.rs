//! Files of earlier builds that a recipe no longer writes: of a side that it no longer has, of a shape, of more shards.
//!
//! Whoever reads the whole folder reads them, too, and rows of a former validation side may be rows of the train side now.

use std::{collections::HashSet, path::Path};

use super::notes::{Note, NoteKind};
use crate::{
    cache::{FreshRecipe, OutputFile},
    driver::unexpected,
    site::Site,
    system,
};
use datac_core::outputs::OutputSet;

/// Number of files that a note names.
const NAMED: usize = 4;

/// Removes the files that a recipe wrote at its last build and no longer writes, unless they were edited since.
///
/// What cannot be removed is named by the note.
pub(super) fn remove(site: &Site, last: Option<&FreshRecipe>, outputs: &[OutputFile]) {
    for former in last.into_iter().flat_map(|last| &last.outputs) {
        let is_gone = outputs.iter().all(|output| output.name != former.name);
        let path = site.outputs.file(&former.name);
        if is_gone && system::stat(&path).is_ok_and(|stat| stat == former.stat) {
            system::remove(&path).ok();
        }
    }
}

/// Returns a note of the files that have names of a recipe's outputs and are none of them: edited ones, and those of builds whose
/// record is lost. They may be the user's, so they stay. What killed builds left half-written is removed; the caller must hold
/// the build lock.
pub(super) fn note(site: &Site, set: &OutputSet, outputs: &[OutputFile]) -> Option<Note> {
    let written: HashSet<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    let mut others = Vec::new();
    for name in unexpected::files_of(site.outputs.dir(), set) {
        let file = Path::new(&name).file_name().unwrap_or_default().to_string_lossy();
        if system::Replacement::is_left_over(&file) {
            system::remove(&site.outputs.file(&name)).ok();
        } else if !written.contains(name.as_str()) && !file.starts_with('.') {
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
