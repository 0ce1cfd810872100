//! Finds the recipes that selectors match, and reads them.

use std::{path::PathBuf, sync::Arc};

use super::{Selector, Term, asks_for_state, resolve::chosen};
use crate::{
    cache::Record,
    site::{Found, NamedPath, Site, WorkspaceError},
    status::{
        State,
        assess::{Depth, Looks, Orphans, Session, assess},
    },
};

/// Reads the recipes that `selectors` match; without selectors, all recipes below `config/`.
///
/// [`Selector`] describes the syntax.
pub(crate) fn find(site: &Site, selectors: &[String]) -> Result<Found, WorkspaceError> {
    let (mut paths, explicit) = selected(site, selectors)?;
    if !selectors.is_empty() {
        paths.sort();
        paths.dedup();
    }
    site.recipes.read(paths, &explicit)
}

/// Assesses the recipes that `selectors` match; without selectors, all recipes, including deleted ones that left
/// outputs.
pub(crate) fn assess_selected(
    site: &Site,
    record: Arc<Record>,
    selectors: &[String],
    looks: Looks,
) -> Result<Session, WorkspaceError> {
    let wants_orphans = looks.depth != Depth::FirstLook
        && asks_for_state(selectors).is_some_and(|states| states.contains(&State::Orphan));
    let orphans = if selectors.is_empty() { Orphans::Wanted } else { Orphans::Ignored };
    let looks = Looks { orphans, ..looks };
    let mut session = assess(site, record, || find(site, selectors), looks)?;
    if wants_orphans {
        let looks = Looks { orphans: Orphans::Wanted, ..Looks::default() };
        session.orphans = assess(site, session.record.clone(), || site.recipes.find_all(), looks)?.orphans;
    }
    Ok(session)
}

/// Returns the paths of the selected recipes, and those among them that were named as files.
fn selected(site: &Site, selectors: &[String]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), WorkspaceError> {
    if selectors.is_empty() {
        return Ok((site.recipes.all()?, Vec::new()));
    }
    let (mut paths, mut explicit, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for selector in selectors {
        match site.recipes.named(selector) {
            Some(NamedPath::Folder(folder)) => paths.extend(crate::site::walk(site.root(), &folder)?),
            Some(NamedPath::File(file)) => explicit.push(file),
            None => others.push(Selector::parse(selector)?),
        }
    }
    paths.extend_from_slice(&explicit);
    if !others.is_empty() {
        paths.extend(chosen(site, &others, &paths)?);
    }
    Ok((paths, explicit))
}

/// Returns the folders that were searched for recipes, relative to the workspace: those in which a new file would be
/// found.
pub(crate) fn recipe_folders(site: &Site, selectors: &[String]) -> Result<Vec<PathBuf>, WorkspaceError> {
    let mut tops: Vec<PathBuf> = if selectors.is_empty() { vec!["config".into()] } else { Vec::new() };
    for selector in selectors {
        let selector = match site.recipes.named(selector) {
            Some(NamedPath::Folder(folder)) => {
                tops.push(folder);
                continue;
            }
            Some(NamedPath::File(_)) => continue,
            None => Selector::parse(selector)?,
        };
        match &selector.term {
            Term::Place(name) if !selector.reaches_on() => {
                let wanted = name.trim_end_matches('/');
                let found = chosen(site, std::slice::from_ref(&selector), &[])?;
                // The name of a recipe selects only that recipe; the name of a folder, everything that will be in it.
                let folders = found.iter().filter(|path| !path.with_extension("").ends_with(wanted));
                tops.extend(folders.flat_map(|path| {
                    path.ancestors().skip(1).filter(|above| above.ends_with(wanted)).map(std::path::Path::to_owned)
                }));
            }
            // Any recipe added below `config/` may match.
            _ => tops.push("config".into()),
        }
    }
    site.recipes.folders(tops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{site::Settings, system};

    #[test]
    fn recipes_are_found_by_file_folder_and_name() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("config/data/posttrain/sft/general.yaml", "metadata: {}\n"),
            ("config/data/posttrain/dpo/general.yml", "# c\ndatasets: []\n"),
            ("config/model/small.yaml", "layers: 12\n"),
            ("config/.hidden.yaml", "metadata: {}\n"),
        ] {
            let path = folder.path().join(path);
            system::create_dir(path.parent().unwrap()).unwrap();
            system::replace(&path, text.as_bytes()).unwrap();
        }
        let site = Site::new(&Settings::new(folder.path()));
        let names = |selectors: &[&str]| {
            let selectors: Vec<String> = selectors.iter().map(|selector| (*selector).to_owned()).collect();
            find(&site, &selectors).map(|found| found.recipes.into_iter().map(|recipe| recipe.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["dpo/general", "sft/general"]);
        assert_eq!(find(&site, &[]).unwrap().others, ["config/model/small.yaml"]);
        assert_eq!(names(&["config/data/posttrain/sft"]).unwrap(), ["sft/general"]);
        assert_eq!(names(&["sft/general"]).unwrap(), ["sft/general"]);
        assert_eq!(names(&["general"]).unwrap(), ["dpo/general", "sft/general"]);
        assert_eq!(names(&["dpo"]).unwrap(), ["dpo/general"]);
        assert_eq!(names(&["posttrain/"]).unwrap(), ["dpo/general", "sft/general"]);
        assert_eq!(names(&["config/model/small.yaml"]).unwrap(), ["model/small"], "what is named is taken as meant");
        let error = names(&["sft/genral"]).unwrap_err();
        let WorkspaceError::Failure(failure) = error else { panic!("{error}") };
        assert_eq!(failure.hint.as_deref(), Some("did you mean `sft/general`?"));
    }
}
