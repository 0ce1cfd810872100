//! The stats of all files that recipes depend on, and of the files that recipes write.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::{
    cache::{Access, FreshRecipe},
    site::{Site, local_sources, relative},
    source::local::fixed_part,
    system::{self, Stat},
};
use datac_core::config::Program;

/// Stats of files at one time, by path relative to the workspace; `None` for files that do not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchedFiles {
    /// Recipes, `datac.lock`, local sources, and the files of programs that convert rows.
    pub(super) inputs: BTreeMap<PathBuf, Option<Stat>>,
    /// Files that recipes write.
    pub(super) outputs: BTreeMap<PathBuf, Option<Stat>>,
    /// Folders in which changes show, with whether everything below them counts.
    pub(super) folders: Vec<(PathBuf, bool)>,
}

impl WatchedFiles {
    /// Adds the folder of a link's target, since changes of the target show there.
    fn follow(&mut self, path: &Path) {
        let target = system::link_target(path);
        self.folders.extend(target.as_deref().and_then(Path::parent).map(|folder| (folder.to_owned(), false)));
    }

    /// Returns the paths of files that have changed since `before`.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let differs =
            |now: &BTreeMap<PathBuf, Option<Stat>>, then: &BTreeMap<PathBuf, Option<Stat>>, path: &PathBuf| {
                now.get(path).copied().flatten() != then.get(path).copied().flatten()
            };
        let inputs = self.inputs.keys().chain(before.inputs.keys());
        let inputs = inputs.filter(|path| differs(&self.inputs, &before.inputs, path));
        // An output that was not known before has not changed.
        let outputs = before.outputs.keys().filter(|path| differs(&self.outputs, &before.outputs, path));
        let mut changed: Vec<PathBuf> = inputs.chain(outputs).cloned().collect();
        changed.sort();
        changed.dedup();
        changed
    }
}

/// Takes snapshots, and caches what recipes read until their files change.
#[derive(Default)]
pub(super) struct Looker {
    sources: HashMap<PathBuf, (Stat, Vec<String>)>,
    /// All outputs seen so far. An output that vanishes from the record has not changed.
    outputs: BTreeSet<PathBuf>,
}

impl Looker {
    /// Looks at the recipes that `selectors` may match: at all of them if selectors depend on the content of recipes.
    ///
    /// Files that cannot be looked at count as missing; a build reports what is wrong with them.
    pub(super) fn take(&mut self, site: &Site, selectors: &[String]) -> WatchedFiles {
        let root = site.root();
        let mut snapshot = WatchedFiles::default();
        let mut sources = Vec::new();
        let recipes = site.recipes.candidates(selectors).unwrap_or_default();
        for path in &recipes {
            let stat = system::stat(&root.join(path)).ok();
            snapshot.follow(&root.join(path));
            sources.extend(self.read_by(site, path, stat));
            snapshot.inputs.insert(path.clone(), stat);
        }
        self.sources.retain(|path, _| snapshot.inputs.contains_key(path));
        sources.sort();
        sources.dedup();
        for source in sources {
            self.see_source(root, &relative(root, Path::new(&source)), &mut snapshot);
        }
        snapshot.inputs.insert("datac.lock".into(), system::stat(&root.join("datac.lock")).ok());
        let recorded = site.cache.record(Access::Read).and_then(|record| Ok(record.recipes()?));
        let mut last = recorded.unwrap_or_default();
        for path in &recipes {
            let Some(FreshRecipe { outputs, locals, .. }) = last.remove(&*path.to_string_lossy()) else { continue };
            self.outputs.extend(outputs.iter().map(|output| site.outputs.relative(&output.name)));
            // The modules that a function imports are known once it has been built.
            for (path, _) in locals.into_iter().filter(|(path, _)| !system::is_dir(&root.join(path))) {
                self.see_source(root, &relative(root, Path::new(&path)), &mut snapshot);
            }
        }
        for path in &self.outputs {
            snapshot.outputs.insert(path.clone(), system::stat(&root.join(path)).ok());
        }
        for path in site.recipes.searched(selectors) {
            snapshot.folders.push((existing(&root.join(&path)), system::is_dir(&root.join(&path))));
        }
        for path in recipes.iter().chain(snapshot.outputs.keys()).chain([&PathBuf::from("datac.lock")]) {
            let folder = root.join(path).parent().map(Path::to_owned).unwrap_or_default();
            snapshot.folders.push((existing(&folder), false));
        }
        snapshot.folders.sort();
        snapshot.folders.dedup();
        snapshot
    }

    /// Returns the files and folders of the workspace that a recipe reads; none if the recipe is invalid.
    fn read_by(&mut self, site: &Site, path: &Path, stat: Option<Stat>) -> Vec<String> {
        let Some(stat) = stat else { return Vec::new() };
        if let Some((then, sources)) = self.sources.get(path)
            && *then == stat
        {
            return sources.clone();
        }
        let parsed = site.recipes.parse(path).ok().flatten();
        let recipe = parsed.and_then(Result::ok);
        let programs = recipe.iter().flat_map(|recipe| &recipe.datasets).filter_map(|dataset| {
            let program = dataset.options.program.as_ref()?;
            let module = if let Program::Python(function) = program { Some(&function.module) } else { None };
            Some(module.into_iter().chain(program.files()).map(|path| fixed_part(path)))
        });
        let filters = recipe.iter().flat_map(|recipe| &recipe.datasets).flat_map(|dataset| &dataset.filters);
        let functions = filters.filter_map(|filter| Some(filter.function()?.0));
        let of_functions = functions.flat_map(|of| of.files.iter().chain([&of.module])).map(|path| fixed_part(path));
        // Not all of the workspace for the sake of `*.txt`.
        let programs = programs.flatten().chain(of_functions).filter(|path| !path.is_empty());
        let sources: Vec<String> = recipe.iter().flat_map(local_sources).chain(programs).map(str::to_owned).collect();
        self.sources.insert(path.to_owned(), (stat, sources.clone()));
        sources
    }

    /// Adds a file, or a folder with everything in it.
    fn see_source(&self, root: &Path, source: &Path, snapshot: &mut WatchedFiles) {
        let place = root.join(source);
        if !system::is_dir(&place) {
            snapshot.inputs.insert(source.to_owned(), system::stat(&place).ok());
            snapshot.follow(&place);
            let folder = place.parent().map(Path::to_owned).unwrap_or_default();
            snapshot.folders.push((existing(&folder), false));
            return;
        }
        for entry in WalkDir::new(&place).follow_links(true).into_iter().flatten() {
            // Folders themselves are left out: their stat changes with every file created or removed in them, even
            // temporary ones.
            if entry.file_type().is_file() {
                snapshot.inputs.insert(relative(root, entry.path()), system::stat(entry.path()).ok());
                snapshot.follow(entry.path());
            }
        }
        snapshot.folders.push((place, true));
    }
}

/// Returns the folder itself if it exists, or its nearest existing parent.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|folder| system::is_dir(folder));
    found.filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}
