//! Finds recipes and reads them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::{
    Workspace, WorkspaceError,
    select::{Selector, Term},
};
use crate::{
    config::MAX_BYTES,
    failure::{Failure, FailureKind},
    id::FileHash,
    outputs,
    system::{self, FileError},
};

/// The text of one recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeText {
    /// Its path relative to the workspace, with `/`.
    pub path: String,
    /// Its name: the last folder and the stem, `sft/general`.
    pub name: String,
    /// Its bytes; at most one more than a recipe may have.
    pub text: Vec<u8>,
    /// BLAKE3 of its bytes.
    pub digest: FileHash,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The recipes, sorted by path.
    pub recipes: Vec<RecipeText>,
    /// YAML files that are no recipes: they have neither `metadata` nor `datasets`.
    pub others: Vec<String>,
}

impl Workspace {
    /// Reads the recipes that `selectors` name; none: all below `config/`.
    ///
    /// [`Selector`] tells how they are written.
    pub fn find(&self, selectors: &[String]) -> Result<Found, WorkspaceError> {
        let root = &self.settings.root;
        let (mut paths, explicit) = self.selected(selectors)?;
        if !selectors.is_empty() {
            sort(&mut paths);
            paths.dedup();
        }
        // Thousands of them: whatever can be done for one alone is done here.
        let read: Vec<(RecipeText, bool)> = paths
            .into_par_iter()
            .with_min_len(64)
            .map(|path| {
                let text = system::read_up_to(&root.join(&path), MAX_BYTES as u64)?;
                let is_recipe = explicit.contains(&path) || looks_like_recipe(&text);
                let digest = FileHash::of(&text);
                let shown = path.to_string_lossy().replace('\\', "/");
                Ok((RecipeText { name: name_of(&path), path: shown, text, digest }, is_recipe))
            })
            .collect::<Result<_, FileError>>()?;
        let (recipes, others): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, is_recipe)| *is_recipe);
        let found = Found {
            recipes: recipes.into_iter().map(|(text, _)| text).collect(),
            others: others.into_iter().map(|(text, _)| text.path).collect(),
        };
        Ok(found)
    }

    /// The paths of the recipes that are meant, and those among them that were named as files.
    fn selected(&self, selectors: &[String]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), WorkspaceError> {
        let root = &self.settings.root;
        if selectors.is_empty() {
            return Ok((walk(root, Path::new("config"))?, Vec::new()));
        }
        let (mut paths, mut explicit, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for selector in selectors {
            match self.place(selector) {
                Some(Place::Folder(folder)) => paths.extend(walk(root, &folder)?),
                Some(Place::File(file)) => explicit.push(file),
                None => others.push(Selector::parse(selector)?),
            }
        }
        paths.extend_from_slice(&explicit);
        if !others.is_empty() {
            paths.extend(self.chosen(&others, &paths)?);
        }
        Ok((paths, explicit))
    }

    /// The recipes that selectors may come to mean, found without looking into any: for those that are no place, all.
    pub(super) fn candidates(&self, selectors: &[String]) -> Result<Vec<PathBuf>, WorkspaceError> {
        let mut paths = Vec::new();
        for place in self.searched(selectors) {
            match system::is_dir(&self.settings.root.join(&place)) {
                true => paths.extend(walk(&self.settings.root, &place)?),
                false => paths.push(place),
            }
        }
        sort(&mut paths);
        paths.dedup();
        Ok(paths)
    }

    /// The files and folders in which recipes are found that selectors may come to mean.
    pub(super) fn searched(&self, selectors: &[String]) -> Vec<PathBuf> {
        let place = |selector: &String| match self.place(selector) {
            Some(Place::File(path) | Place::Folder(path)) => path,
            None => "config".into(),
        };
        match selectors {
            [] => vec!["config".into()],
            selectors => selectors.iter().map(place).collect(),
        }
    }

    /// What is there by the name of a selector: whatever it is made of, it means just that.
    fn place(&self, selector: &str) -> Option<Place> {
        let given = relative(&self.settings.root, Path::new(selector));
        let path = self.settings.root.join(&given);
        if system::is_dir(&path) {
            return Some(Place::Folder(given));
        }
        // Outputs are named for the recipes that write them.
        (!outputs::looks_like_output(selector) && system::exists(&path)).then_some(Place::File(given))
    }

    /// The folders that were searched for recipes, relative to the workspace: those in which a new file would be found.
    pub(super) fn recipe_folders(&self, selectors: &[String]) -> Result<Vec<PathBuf>, WorkspaceError> {
        let root = &self.settings.root;
        let mut tops: Vec<PathBuf> = if selectors.is_empty() { vec!["config".into()] } else { Vec::new() };
        for selector in selectors {
            let selector = match self.place(selector) {
                Some(Place::Folder(folder)) => {
                    tops.push(folder);
                    continue;
                }
                Some(Place::File(_)) => continue,
                None => Selector::parse(selector)?,
            };
            match &selector.term {
                Term::Place(name) if !selector.reaches_on() => {
                    let wanted = name.trim_end_matches('/');
                    let found = self.chosen(std::slice::from_ref(&selector), &[])?;
                    // A recipe of that name stands for itself; a folder of that name for all that will be in it.
                    let folders = found.iter().filter(|path| !path.with_extension("").ends_with(wanted));
                    tops.extend(folders.flat_map(|path| {
                        path.ancestors().skip(1).filter(|above| above.ends_with(wanted)).map(Path::to_owned)
                    }));
                }
                // Any recipe that is written may come to fit.
                _ => tops.push("config".into()),
            }
        }
        let mut folders = Vec::new();
        for top in tops {
            let entries = WalkDir::new(root.join(top)).follow_links(true).into_iter();
            for entry in entries.filter_entry(|entry| entry.file_type().is_dir() && !is_hidden(entry)) {
                folders.push(relative(root, entry.map_err(unwalkable)?.path()));
            }
        }
        folders.sort();
        folders.dedup();
        Ok(folders)
    }
}

/// Sorts paths as [`Path`] compares them, part by part; comparing thousands of them so takes longer than reading them.
fn sort(paths: &mut [PathBuf]) {
    let key = |path: &PathBuf| {
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        bytes.map(|byte| if *byte == b'/' { 0 } else { *byte }).collect::<Vec<u8>>()
    };
    paths.sort_by_cached_key(key);
}

/// What a selector can be without being parsed.
enum Place {
    File(PathBuf),
    Folder(PathBuf),
}

/// The path relative to the workspace where it lies inside.
pub(super) fn relative(root: &Path, path: &Path) -> PathBuf {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

/// A recipe as it is called: its last folder and its stem.
pub(super) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.parent().and_then(Path::file_name) {
        Some(folder) => format!("{}/{stem}", folder.to_string_lossy()),
        None => stem.into_owned(),
    }
}

pub(super) fn walk(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let start = root.join(folder);
    if !system::exists(&start) {
        return Ok(Vec::new());
    }
    let (mut paths, base) = (Vec::new(), relative(root, &start));
    // Links are rare, and a walk that follows them stats every file to look for one: they are walked apart.
    let mut links = Vec::new();
    for entry in WalkDir::new(&start).into_iter().filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry.map_err(unwalkable)?;
        if entry.path_is_symlink() && entry.depth() > 0 {
            links.push(entry.into_path());
        } else if entry.file_type().is_file() && is_yaml(entry.path()) {
            let below = entry.path().strip_prefix(&start).ok().filter(|below| !below.as_os_str().is_empty());
            paths.push(below.map_or_else(|| base.clone(), |below| base.join(below)));
        }
    }
    for link in links {
        for entry in WalkDir::new(link).follow_links(true).into_iter().filter_entry(|entry| !is_hidden(entry)) {
            let entry = entry.map_err(unwalkable)?;
            if entry.file_type().is_file() && is_yaml(entry.path()) {
                paths.push(relative(root, entry.path()));
            }
        }
    }
    sort(&mut paths);
    Ok(paths)
}

fn is_hidden(entry: &walkdir::DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn unwalkable(error: walkdir::Error) -> Failure {
    Failure::new(FailureKind::Action, format!("look for recipes: {error}"))
}

/// Whether a YAML file that no one named is meant as a recipe; trainers keep their own files beside them.
pub(super) fn looks_like_recipe(text: &[u8]) -> bool {
    let is_key = |line: &[u8]| {
        ["metadata", "datasets", "\"metadata\"", "\"datasets\"", "'metadata'", "'datasets'"]
            .iter()
            .any(|key| line.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.trim_ascii_start().starts_with(b":")))
    };
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    // A file in flow style, `{metadata: …}`, or one that is empty or too large is reported, not passed over.
    text.trim_ascii_start().starts_with(b"{")
        || text.trim_ascii().is_empty()
        || text.split(|byte| *byte == b'\n').any(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Settings;

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
        let workspace = Workspace::open(Settings::new(folder.path()));
        let names = |selectors: &[&str]| {
            let selectors: Vec<String> = selectors.iter().map(|selector| (*selector).to_owned()).collect();
            workspace
                .find(&selectors)
                .map(|found| found.recipes.into_iter().map(|recipe| recipe.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["dpo/general", "sft/general"]);
        assert_eq!(workspace.find(&[]).unwrap().others, ["config/model/small.yaml"]);
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
