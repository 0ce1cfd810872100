//! The recipes of a workspace: where they are, how they are named and read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::WorkspaceError;
use crate::{
    event::{Event, Observer},
    source::local::fixed_part,
    system::{self, FileError},
};
use datac_core::{
    config::{self, Dataset, MAX_BYTES, Problem, Recipe, Taken, Vocabulary},
    failure::{Failure, FailureKind},
    id::FileHash,
    outputs,
};

/// The text of one recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeText {
    /// Path of the recipe relative to the workspace, with `/`.
    pub path: String,
    /// Name of the recipe: the last folder and the file stem, as in `sft/general`.
    pub name: String,
    /// Contents of the file, up to one byte beyond the size limit for recipes.
    pub text: Vec<u8>,
    /// BLAKE3 of its bytes.
    pub digest: FileHash,
}

/// Result of a search for recipes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The recipes, sorted by path.
    pub recipes: Vec<RecipeText>,
    /// YAML files that are not recipes: they have neither `metadata` nor `datasets`.
    pub others: Vec<String>,
}

/// The folder with the recipes of a workspace, and the words that recipes may use.
pub(crate) struct RecipeFolder {
    root: PathBuf,
    vocabulary: Arc<Vocabulary>,
    observer: Observer,
    /// Invalid recipes that selectors skipped, each of which is reported once.
    left_out: Mutex<BTreeSet<PathBuf>>,
}

/// A file or folder named by its path, relative to the workspace.
pub(crate) enum NamedPath {
    /// A file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

impl RecipeFolder {
    /// Creates a handle to the recipes of the workspace at `root`.
    pub(crate) fn new(root: PathBuf, vocabulary: Arc<Vocabulary>, observer: Observer) -> Self {
        Self { root, vocabulary, observer, left_out: Mutex::default() }
    }

    /// Returns the folder of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the words that recipes may use.
    pub(crate) fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// Returns the paths of all YAML files below `config/`, sorted.
    pub(crate) fn all(&self) -> Result<Vec<PathBuf>, WorkspaceError> {
        walk(&self.root, Path::new("config"))
    }

    /// Reads all recipes below `config/`.
    pub(crate) fn find_all(&self) -> Result<Found, WorkspaceError> {
        self.read(self.all()?, &[])
    }

    /// Parses and checks a recipe on its own.
    pub(crate) fn load(&self, path: &str, text: &[u8]) -> Result<Recipe, Vec<Problem>> {
        config::load(path, text, &self.vocabulary)
    }

    /// Returns the defaults of `datac.toml` that hold for a recipe.
    pub(crate) fn defaults_of(&self, text: &[u8]) -> Vec<Taken> {
        self.vocabulary.defaults.taken_by(text)
    }

    /// Reads and parses the YAML file at `path`; `None` if it is not a recipe and does not look like one.
    pub(crate) fn parse(&self, path: &Path) -> Result<Option<Result<Recipe, Vec<Problem>>>, FileError> {
        let text = system::read_up_to(&self.root.join(path), MAX_BYTES as u64)?;
        let loaded = self.load(&path.to_string_lossy(), &text);
        Ok((loaded.is_ok() || looks_like_recipe(&text)).then_some(loaded))
    }

    /// Reads the files at `paths`. Files in `explicit` count as recipes whatever their contents.
    pub(crate) fn read(&self, paths: Vec<PathBuf>, explicit: &[PathBuf]) -> Result<Found, WorkspaceError> {
        // There may be thousands of recipes, so everything that concerns one alone runs in parallel.
        let read: Vec<(RecipeText, bool)> = paths
            .into_par_iter()
            .with_min_len(64)
            .map(|path| {
                let text = system::read_up_to(&self.root.join(&path), MAX_BYTES as u64)?;
                let is_recipe = explicit.contains(&path) || looks_like_recipe(&text);
                let digest = FileHash::of(&text);
                let shown = path.to_string_lossy().replace('\\', "/");
                Ok((RecipeText { name: name_of(&path), path: shown, text, digest }, is_recipe))
            })
            .collect::<Result<_, FileError>>()?;
        let (recipes, others): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, is_recipe)| *is_recipe);
        Ok(Found {
            recipes: recipes.into_iter().map(|(text, _)| text).collect(),
            others: others.into_iter().map(|(text, _)| text.path).collect(),
        })
    }

    /// Returns the existing file or folder that has the path `text`, whatever characters the path contains.
    pub(crate) fn named(&self, text: &str) -> Option<NamedPath> {
        let given = relative(&self.root, Path::new(text));
        let path = self.root.join(&given);
        if system::is_dir(&path) {
            return Some(NamedPath::Folder(given));
        }
        // The path of an output selects the recipes that write it.
        (!outputs::looks_like_output(text) && system::exists(&path)).then_some(NamedPath::File(given))
    }

    /// Returns the recipes that the selectors may match, without reading any. A selector that is not a path may match
    /// all recipes.
    pub(crate) fn candidates(&self, selectors: &[String]) -> Result<Vec<PathBuf>, WorkspaceError> {
        let mut paths = Vec::new();
        for place in self.searched(selectors) {
            match system::is_dir(&self.root.join(&place)) {
                true => paths.extend(walk(&self.root, &place)?),
                false => paths.push(place),
            }
        }
        sort(&mut paths);
        paths.dedup();
        Ok(paths)
    }

    /// Returns the files and folders that contain all recipes the selectors may match.
    pub(crate) fn searched(&self, selectors: &[String]) -> Vec<PathBuf> {
        let place = |selector: &String| match self.named(selector) {
            Some(NamedPath::File(path) | NamedPath::Folder(path)) => path,
            None => "config".into(),
        };
        match selectors {
            [] => vec!["config".into()],
            selectors => selectors.iter().map(place).collect(),
        }
    }

    /// Returns the folders at and below `tops`, relative to the workspace, sorted. Any new recipe would be in one of
    /// them.
    pub(crate) fn folders(&self, tops: Vec<PathBuf>) -> Result<Vec<PathBuf>, WorkspaceError> {
        let mut folders = Vec::new();
        for top in tops {
            let entries = WalkDir::new(self.root.join(top)).follow_links(true).into_iter();
            for entry in entries.filter_entry(|entry| entry.file_type().is_dir() && !is_hidden(entry)) {
                folders.push(relative(&self.root, entry.map_err(unwalkable)?.path()));
            }
        }
        folders.sort();
        folders.dedup();
        Ok(folders)
    }

    /// Warns, once per recipe, that the recipe is invalid, so that selectors cannot know what it reads.
    pub(crate) fn warn_left_out(&self, path: &Path) {
        let mut told = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(path.to_owned()) {
            let path = path.display();
            let text = format!("`{path}` is invalid: its sources and outputs are unknown, so selectors skip it");
            (self.observer)(Event::Warning(text));
        }
    }
}

/// Returns the path relative to the workspace, if it is inside.
pub(crate) fn relative(root: &Path, path: &Path) -> PathBuf {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

/// Returns the name of a recipe: its last folder and its file stem.
pub(crate) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.parent().and_then(Path::file_name) {
        Some(folder) => format!("{}/{stem}", folder.to_string_lossy()),
        None => stem.into_owned(),
    }
}

/// Returns the YAML files in and below `folder` of the workspace at `root`, sorted; none if the folder does not
/// exist.
pub(crate) fn walk(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let start = root.join(folder);
    if !system::exists(&start) {
        return Ok(Vec::new());
    }
    let (mut paths, base) = (Vec::new(), relative(root, &start));
    // Following links makes a walk stat every file to find links. Links are rare, so they are walked separately.
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

/// Sorts paths as [`Path`] compares them, part by part: comparing thousands of them so would take longer than reading them.
fn sort(paths: &mut [PathBuf]) {
    let key = |path: &PathBuf| -> Vec<u8> {
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        bytes.map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
    };
    paths.sort_by_cached_key(key);
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

/// Returns whether a YAML file that was not named explicitly is meant as a recipe. Trainers keep files of their own
/// beside recipes.
pub(super) fn looks_like_recipe(text: &[u8]) -> bool {
    let is_key = |line: &[u8]| {
        ["metadata", "datasets", "\"metadata\"", "\"datasets\"", "'metadata'", "'datasets'"]
            .iter()
            .any(|key| line.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.trim_ascii_start().starts_with(b":")))
    };
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    // Files in flow style (`{metadata: …}`) and empty or oversized files count as recipes, so that they are reported
    // instead of skipped.
    text.trim_ascii_start().starts_with(b"{")
        || text.trim_ascii().is_empty()
        || text.split(|byte| *byte == b'\n').any(is_key)
}

/// Returns the local files and folders that a recipe reads, as the recipe names them.
pub(crate) fn local_sources(recipe: &Recipe) -> impl Iterator<Item = &str> {
    recipe.datasets.iter().flat_map(local_sources_of)
}

/// Returns the paths of the workspace that a dataset entry names as its source, without wildcards.
pub(crate) fn local_sources_of(dataset: &Dataset) -> impl Iterator<Item = &str> {
    dataset.location.paths().iter().map(|path| fixed_part(path))
}
