//! Resolves selectors to recipes.
//!
//! Files, folders and names only need folder listings; outputs need the record, if there is one. Recipes are parsed
//! only for terms about their content, and assessed only for `state:` and `converter:`.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{Pattern, Selector, Term, one_of};
use crate::{
    cache::Access,
    graph::{choose, conversion_of},
    site::{OutputFolder, Site, WorkspaceError, local_sources, name_of, relative, walk},
    status::{
        State,
        assess::{Assessed, Depth, Looks, Session, assess},
    },
    system,
};
use datac_core::{
    config::{Dataset, Location, Recipe},
    convert,
    failure::{Failure, FailureKind},
};

/// A recipe, parsed for selectors that ask about its content.
struct KnownRecipe {
    path: PathBuf,
    /// The parsed recipe; `None` if it is invalid.
    recipe: Option<Recipe>,
}

impl KnownRecipe {
    /// Returns the paths of the recipe's outputs, relative to the workspace.
    fn outputs(&self, outputs: &OutputFolder) -> Vec<PathBuf> {
        let Some(recipe) = &self.recipe else { return Vec::new() };
        let names = recipe.output_names(&self.path.to_string_lossy());
        names.iter().map(|name| outputs.relative(name)).collect()
    }
}

/// Facts that are looked up at most once for all selectors of a call.
struct Lookups<'s> {
    site: &'s Site,
    /// All recipes below `config/`, and those elsewhere that other selectors name.
    all: Vec<PathBuf>,
    known: OnceCell<Vec<KnownRecipe>>,
    states: OnceCell<BTreeMap<PathBuf, State>>,
}

/// Returns the paths of the recipes that selectors match. `named` are paths that have already been selected.
pub(crate) fn chosen(site: &Site, selectors: &[Selector], named: &[PathBuf]) -> Result<Vec<PathBuf>, WorkspaceError> {
    let mut all = site.recipes.all()?;
    all.extend_from_slice(named);
    all.sort();
    all.dedup();
    let lookups = Lookups { site, all, known: OnceCell::new(), states: OnceCell::new() };
    let mut chosen = Vec::new();
    for selector in selectors {
        let mut paths = lookups.named(&selector.term)?;
        if selector.reaches_on() {
            paths = lookups.reached(selector, paths)?;
        }
        chosen.extend(paths);
    }
    Ok(chosen)
}

impl Lookups<'_> {
    /// Returns the recipes that a term matches.
    fn named(&self, term: &Term) -> Result<Vec<PathBuf>, WorkspaceError> {
        match term {
            Term::Place(name) => self.by_place(name),
            Term::Recipes(pattern) => self.by_glob(pattern),
            Term::Output(pattern) => self.by_output(pattern),
            Term::Source(pattern) => self.by_source(pattern),
            Term::Converter(pattern) => self.by_converter(pattern),
            Term::State(states) => {
                let all = self.states()?;
                // No recipe in a state is a valid answer, but not if there are no recipes at all.
                if all.is_empty() && !states.contains(&State::Orphan) {
                    return Err(self.no_recipe("no recipes below `config/`", ""));
                }
                let is_in = |(_, state): &(&PathBuf, &State)| states.contains(*state);
                Ok(all.iter().filter(is_in).map(|(path, _)| path.clone()).collect())
            }
        }
    }

    /// Returns the recipes with the name `name`; if there are none, those in folders with that name.
    fn by_place(&self, name: &str) -> Result<Vec<PathBuf>, WorkspaceError> {
        let root = self.site.root();
        let given = relative(root, Path::new(name));
        if system::is_dir(&root.join(&given)) {
            return walk(root, &given);
        }
        if system::exists(&root.join(&given)) {
            return Ok(vec![given]);
        }
        let wanted = name.trim_end_matches(".yaml").trim_end_matches(".yml").trim_end_matches('/');
        let is_called = |path: &Path| !wanted.is_empty() && path.ends_with(wanted);
        let by_stem = self.all.iter().filter(|path| is_called(&path.with_extension("")));
        let by_folder = self.all.iter().filter(|path| path.ancestors().skip(1).any(is_called));
        for meant in [by_stem.cloned().collect::<Vec<_>>(), by_folder.cloned().collect()] {
            if !meant.is_empty() {
                return Ok(meant);
            }
        }
        Err(self.no_recipe(&format!("no recipe, file or folder matches `{name}`"), wanted))
    }

    fn by_glob(&self, pattern: &Pattern) -> Result<Vec<PathBuf>, WorkspaceError> {
        let fits = |path: &&PathBuf| pattern.fits(&name_of(path)) || pattern.fits(&path.to_string_lossy());
        let meant: Vec<PathBuf> = self.all.iter().filter(fits).cloned().collect();
        match meant.is_empty() {
            false => Ok(meant),
            true => Err(self.no_recipe(&format!("no recipe matches `{pattern}`"), pattern.text())),
        }
    }

    fn no_recipe(&self, message: &str, wanted: &str) -> WorkspaceError {
        let names: Vec<String> = self.all.iter().map(|path| name_of(path)).collect();
        let failure = Failure::plain(FailureKind::Config, message);
        match names.is_empty() {
            true => failure
                .hint("there are no recipes below `config/`; are you in the workspace folder? `-C DIR` selects it"),
            false => failure.hint(one_of(wanted, names.iter().map(String::as_str))),
        }
        .into()
    }

    /// Returns the recipes that write, or would write, an output.
    fn by_output(&self, pattern: &Pattern) -> Result<Vec<PathBuf>, WorkspaceError> {
        let site = self.site;
        let given = relative(site.root(), Path::new(pattern.text()));
        let is_bare = !pattern.text().contains('/');
        // Matches the path, the name in the output folder, or the last part of that name.
        let fits = |output: &Path, name: &str| {
            let last = name.rsplit('/').next().unwrap_or(name);
            given == output
                || pattern.fits(&output.to_string_lossy())
                || pattern.fits(name)
                || (is_bare && pattern.fits(last))
        };
        if !pattern.is_glob() {
            let recorded = site.cache.record(Access::Read)?.recipes()?;
            let wrote = |(path, last): (String, crate::cache::FreshRecipe)| {
                let path = PathBuf::from(path);
                let own = last.outputs.iter().any(|output| fits(&site.outputs.relative(&output.name), &output.name));
                (own && system::exists(&site.root().join(&path))).then_some(path)
            };
            // A renamed recipe leaves an entry behind. If several match, take the first by path.
            if let Some(path) = recorded.into_iter().filter_map(wrote).min() {
                return Ok(vec![path]);
            }
        }
        let mut outputs = Vec::new();
        let mut meant = Vec::new();
        for known in self.known()? {
            let Some(recipe) = &known.recipe else { continue };
            let names = recipe.output_names(&known.path.to_string_lossy());
            if names.iter().any(|name| fits(&site.outputs.relative(name), name)) {
                meant.push(known.path.clone());
            }
            outputs.extend(names);
        }
        if !meant.is_empty() {
            return Ok(meant);
        }
        let failure = Failure::plain(FailureKind::Config, format!("no recipe writes the output `{pattern}`"));
        let last = pattern.text().rsplit('/').next().unwrap_or_default();
        let names: BTreeSet<&str> = outputs.iter().map(String::as_str).collect();
        Err(failure.hint(one_of(last, names.iter().copied())).into())
    }

    fn by_source(&self, pattern: &Pattern) -> Result<Vec<PathBuf>, WorkspaceError> {
        let (lock, _) = self.site.lock.read()?;
        let root = self.site.root();
        let given = relative(root, Path::new(pattern.text()));
        let (mut meant, mut names) = (Vec::new(), BTreeSet::new());
        for known in self.known()? {
            let datasets = known.recipe.iter().flat_map(|recipe| &recipe.datasets);
            let mut is_meant = false;
            for dataset in datasets {
                let source = dataset.location.source();
                let repo = match &dataset.location {
                    Location::Hub { repo: name, revision } | Location::Named { name, revision } => {
                        lock.find(name, revision.as_deref())
                    }
                    Location::Local { .. } | Location::Bucket { .. } => None,
                };
                let repo = repo.map(|pin| pin.repo.as_str());
                let is_path = dataset.location.paths().iter().any(|path| relative(root, Path::new(path)) == given);
                let short = source.rsplit('/').next().filter(|_| !dataset.location.is_local());
                let texts = [Some(source), Some(dataset.name.as_str()), repo, short];
                is_meant |= is_path || texts.into_iter().flatten().any(|text| pattern.fits(text));
                names.extend([source.to_owned(), dataset.name.clone()]);
            }
            if is_meant {
                meant.push(known.path.clone());
            }
        }
        if !meant.is_empty() {
            return Ok(meant);
        }
        let failure = Failure::plain(FailureKind::Config, format!("no recipe reads the source `{pattern}`"));
        Err(failure.hint(one_of(pattern.text(), names.iter().map(String::as_str))).into())
    }

    /// Returns the recipes that use a converter, as far as that is known without reading their sources.
    fn by_converter(&self, pattern: &Pattern) -> Result<Vec<PathBuf>, WorkspaceError> {
        let session = self.assessed(Looks { depth: Depth::Close, ..Looks::default() })?;
        let mut used = BTreeSet::new();
        let mut meant = BTreeSet::new();
        for assessed in &session.recipes {
            let (Some(file), Some(recipe)) = (assessed.file, &assessed.recipe) else {
                self.site.recipes.warn_left_out(Path::new(&assessed.text.path));
                continue;
            };
            for (number, dataset) in recipe.datasets.iter().enumerate() {
                let converter = conversion_of(&session.planner, file, number).map(|conversion| conversion.converter);
                let Some(converter) = converter.or_else(|| expected_converter(recipe, dataset)) else { continue };
                used.insert(converter);
                if pattern.fits(converter) {
                    meant.insert(PathBuf::from(&assessed.text.path));
                }
            }
        }
        if !meant.is_empty() {
            return Ok(meant.into_iter().collect());
        }
        let is_one = convert::CONVERTERS.iter().any(|converter| pattern.fits(converter.name()));
        let failure = match is_one {
            true => Failure::plain(FailureKind::Config, format!("no recipe uses the converter `{pattern}`")),
            false => Failure::plain(FailureKind::Config, format!("unknown converter `{pattern}`")),
        };
        let hint = match is_one {
            true if used.is_empty() => "the converters of recipes are not known yet; run `datac lock` first".to_owned(),
            true => format!("recipes use {}", used.into_iter().collect::<Vec<_>>().join(", ")),
            false => one_of(pattern.text(), convert::CONVERTERS.iter().map(|converter| converter.name())),
        };
        Err(failure.hint(hint).into())
    }

    /// Adds the recipes that `from` depends on, or that depend on it, directly or indirectly.
    fn reached(&self, selector: &Selector, from: Vec<PathBuf>) -> Result<Vec<PathBuf>, WorkspaceError> {
        let known = self.known()?;
        let needs = needs(self.site, known);
        let mut readers = vec![Vec::new(); known.len()];
        for (reader, needed) in needs.iter().enumerate() {
            needed.iter().for_each(|needed: &usize| readers[*needed].push(reader));
        }
        let start: Vec<usize> =
            from.iter().filter_map(|path| known.iter().position(|known| known.path == *path)).collect();
        let mut meant: BTreeSet<PathBuf> = from.into_iter().collect();
        for (wanted, edges) in [(selector.with_needed, &needs), (selector.with_readers, &readers)] {
            let mut seen = BTreeSet::new();
            let mut open = if wanted { start.clone() } else { Vec::new() };
            while let Some(at) = open.pop() {
                if seen.insert(at) {
                    meant.insert(known[at].path.clone());
                    open.extend(&edges[at]);
                }
            }
        }
        Ok(meant.into_iter().collect())
    }

    fn assessed(&self, looks: Looks) -> Result<Session, WorkspaceError> {
        assess(self.site, self.site.cache.record(Access::Read)?, || self.site.recipes.find_all(), looks)
    }

    fn states(&self) -> Result<&BTreeMap<PathBuf, State>, WorkspaceError> {
        if let Some(states) = self.states.get() {
            return Ok(states);
        }
        let session = self.assessed(Looks::default())?;
        let state = |assessed: Assessed| (PathBuf::from(assessed.text.path), assessed.status.state);
        let states = session.recipes.into_iter().map(state).collect();
        Ok(self.states.get_or_init(|| states))
    }

    fn known(&self) -> Result<&[KnownRecipe], WorkspaceError> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let site = self.site;
        let read = |path: &PathBuf| {
            let parsed = site.recipes.parse(path)?;
            Ok(parsed.map(|loaded| KnownRecipe { path: path.clone(), recipe: loaded.ok() }))
        };
        let read: Result<Vec<Option<KnownRecipe>>, system::FileError> = self.all.par_iter().map(read).collect();
        let known: Vec<KnownRecipe> = read?.into_iter().flatten().collect();
        known.iter().filter(|known| known.recipe.is_none()).for_each(|known| site.recipes.warn_left_out(&known.path));
        Ok(self.known.get_or_init(|| known))
    }
}

/// Returns, for each recipe, the other recipes that write a file it reads.
fn needs(site: &Site, known: &[KnownRecipe]) -> Vec<Vec<usize>> {
    let outputs = known
        .iter()
        .enumerate()
        .flat_map(|(at, known)| known.outputs(&site.outputs).into_iter().map(move |output| (output, at)));
    let writers = Writers::new(outputs);
    let needed = |(at, known): (usize, &KnownRecipe)| {
        let sources = known.recipe.iter().flat_map(local_sources);
        let found: BTreeSet<usize> = sources.flat_map(|source| writers.of(site.root(), source)).collect();
        found.into_iter().filter(|needed| *needed != at).collect()
    };
    known.iter().enumerate().map(needed).collect()
}

/// The recipes that write files, by path.
pub(crate) struct Writers<T> {
    by_path: BTreeMap<PathBuf, T>,
}

impl<T: Copy> Writers<T> {
    /// Takes the paths of outputs, relative to the workspace, with the writer of each.
    pub(crate) fn new(outputs: impl Iterator<Item = (PathBuf, T)>) -> Self {
        Self { by_path: outputs.collect() }
    }

    /// Returns the writers of a file, or of all files in a folder, that a recipe names as a source.
    pub(crate) fn of(&self, root: &Path, source: &str) -> Vec<T> {
        let source = relative(root, Path::new(source));
        let below = self.by_path.range(source.clone()..).take_while(|(path, _)| path.starts_with(&source));
        below.map(|(_, writer)| *writer).collect()
    }
}

/// Returns the converter of a source that has not been read yet, if the recipe or the repository's name determines
/// it.
pub(crate) fn expected_converter(recipe: &Recipe, dataset: &Dataset) -> Option<&'static str> {
    let repo = if dataset.location.is_local() { "" } else { dataset.location.source() };
    let chosen = choose(dataset.converter.as_deref(), repo, recipe.metadata.kind, None, &dataset.options);
    chosen.ok().flatten().map(|converter| converter.name())
}
