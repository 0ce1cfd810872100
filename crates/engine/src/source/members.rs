//! Which files of an archive are read: those that would be read of a folder.

use std::collections::HashMap;

use super::{
    SourceError,
    kind::{FileKind, RowFormat, judge},
    layout::{Files, files_of},
    local::{is_description, is_stray, rows_of},
};
use datac_core::failure::SourceFault;
use datac_decode::Member;

/// Returns the files of an archive that are not read and could be meant: neither hidden ones nor descriptions.
pub fn passed_over(members: &[Member], is_read: impl Fn(&Member) -> bool) -> Vec<&str> {
    let is_hidden = |path: &str| path.split('/').any(|part| part.starts_with('.') || part.starts_with("__"));
    let paths = members.iter().filter(|member| !is_read(member)).map(|member| member.path.as_str());
    paths.filter(|path| !is_hidden(path) && !is_description(path)).collect()
}

/// Finds the files of an archive that are read, in reading order.
///
/// `format` is that of the recipe, if it has one. `split` is the split whose files are wanted by the names within; with `None`,
/// the archive is of one split as a whole.
pub fn select<'m>(
    archive: &'m str,
    members: &'m [Member],
    format: Option<RowFormat>,
    split: Option<&str>,
) -> Result<Vec<(&'m Member, FileKind)>, SourceError> {
    let refused = |reason| SourceError::Layout { fault: SourceFault::NoRows, word: None, reason };
    let mut paths: Vec<&str> = members.iter().map(|member| member.path.as_str()).collect();
    if format.is_some() {
        let formats = rows_of(format.as_ref());
        paths.retain(|path| judge(path).format().is_some_and(|format| formats.contains(&format)));
    }
    if !paths.iter().all(|path| is_stray(path)) {
        paths.retain(|path| !is_stray(path));
    }
    if let (true, Some(format)) = (paths.is_empty(), format) {
        return Err(refused(format!("`{archive}` has no {} files", format.name())));
    }
    let by_path: HashMap<&str, &Member> = members.iter().map(|member| (member.path.as_str(), member)).collect();
    let wanted = split.map_or(Files::All, Files::OfSplit);
    let mut selected = Vec::new();
    for (path, kind) in files_of(archive, &paths, wanted)? {
        let Some(member) = by_path.get(path).copied() else { continue };
        if kind.format.is_archive() {
            return Err(refused(format!(
                "`{archive}` only contains archives, and one in another is not read: unpack it"
            )));
        }
        if let Some((reason, advice)) = member.packing.unreadable() {
            return Err(refused(format!("`{path}` in `{archive}` {reason}: {advice}")));
        }
        selected.push((member, kind));
    }
    Ok(selected)
}
