//! Lists recipes, the sources they read and the outputs they write, each with its state.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::why::{Step, steps};
use crate::{
    cache::Access,
    graph::{Snapshot, conversion_of, files_of, snapshot_key},
    selector::{assess_selected, expected_converter},
    site::{OutputFolder, Site, WorkspaceError},
    status::{
        FileState, RecipeStatus, State,
        assess::{Assessed, Depth, Looks, Session},
    },
};
use datac_core::{config::Recipe, id::FileHash, outputs};

/// Recipes, their sources and their outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// The recipes, by path; last those that are gone and left files behind.
    pub recipes: Vec<ListedRecipe>,
    /// The sources that the recipes read, by id.
    pub sources: Vec<ListedSource>,
    /// The files that the recipes write, in the order of the recipes.
    pub outputs: Vec<ListedOutput>,
}

/// A recipe.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListedRecipe {
    /// The name of the recipe, `sft/general`.
    pub name: String,
    /// The state of the recipe.
    pub state: State,
    /// The phase of the recipe; `null`: the recipe is invalid or gone.
    pub phase: Option<String>,
    /// Rows of its train and validation files as they were last built.
    pub rows: Option<u64>,
    /// Bytes of the train and validation files.
    pub bytes: Option<u64>,
    /// The ids of the sources that the recipe reads, in its order.
    pub sources: Vec<String>,
    /// The path relative to the workspace.
    pub path: String,
    /// The sources that the recipe reads, by index in [`Inventory::sources`], and the converter of each, if known.
    #[serde(skip)]
    pub reads: Vec<(usize, Option<&'static str>)>,
    /// The files that the recipe writes, by index in [`Inventory::outputs`].
    #[serde(skip)]
    pub writes: Range<usize>,
    /// How far each stage of the recipe is known.
    #[serde(skip)]
    pub steps: Vec<Step>,
}

/// A source: a repository at a revision, or a file or folder of the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListedSource {
    /// The id of the repository, or the path.
    pub id: String,
    /// The branch, tag or commit that recipes ask for; `null`: the repository's default, or a local source.
    pub revision: Option<String>,
    /// The pinned commit; `null`: the source is not pinned, or local.
    pub commit: Option<String>,
    /// The number of files that these recipes read; `null`: unknown before the source is pinned.
    pub files: Option<u64>,
    /// The bytes of these files.
    pub bytes: Option<u64>,
    /// The names of the recipes that read the source.
    pub recipes: Vec<String>,
    /// Whether the source is a file or folder of the workspace.
    pub local: bool,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListedOutput {
    /// The path relative to the workspace.
    pub path: String,
    /// The name of the recipe that writes the output.
    pub recipe: String,
    /// `missing` or `edited` if the file itself is, else the state of the recipe.
    pub state: &'static str,
    /// The number of rows as last built; `null`: never built.
    pub rows: Option<u64>,
    /// The size as last built.
    pub bytes: Option<u64>,
    /// BLAKE3 of the bytes as last built.
    pub blake3: Option<FileHash>,
}

/// Lists the recipes that `selectors` name, what they read and what they write; starts no work, writes
/// nothing, needs no network.
pub(super) fn inventory(site: &Site, selectors: &[String]) -> Result<Inventory, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let mut session = assess_selected(site, record, selectors, Looks { depth: Depth::Close, ..Looks::default() })?;
    let assessed = std::mem::take(&mut session.recipes);
    let mut sources = SourceList::default();
    let mut inventory = Inventory { recipes: Vec::new(), sources: Vec::new(), outputs: Vec::new() };
    let mut add = |mut recipe: ListedRecipe, outputs: Vec<ListedOutput>| {
        let first = inventory.outputs.len();
        inventory.outputs.extend(outputs);
        recipe.writes = first..inventory.outputs.len();
        inventory.recipes.push(recipe);
    };
    for assessed in &assessed {
        let outputs = outputs_of(&site.outputs, &assessed.status, assessed.recipe.as_deref());
        add(listed(assessed, &session, &mut sources), outputs);
    }
    for orphan in &session.orphans {
        add(bare(orphan), outputs_of(&site.outputs, orphan, None));
    }
    inventory.sources = sources.in_order(&mut inventory.recipes);
    Ok(inventory)
}

fn outputs_of(folder: &OutputFolder, status: &RecipeStatus, recipe: Option<&Recipe>) -> Vec<ListedOutput> {
    let path = |name: &str| folder.relative(name).to_string_lossy().into_owned();
    let mut outputs: Vec<ListedOutput> = status
        .files
        .iter()
        .map(|file| ListedOutput {
            path: path(&file.name),
            recipe: status.name.clone(),
            state: match (file.state, status.state) {
                (FileState::Missing, _) => "missing",
                (FileState::Edited, _) => State::Edited.word(),
                // It is another file of the recipe that is missing or edited.
                (FileState::Same, State::Cached | State::Edited) => State::Fresh.word(),
                (FileState::Same, state) => state.word(),
            },
            rows: Some(file.meta.rows),
            bytes: Some(file.meta.bytes),
            blake3: Some(file.meta.digest),
        })
        .collect();
    // What would be written, beside what was.
    let rows = |recipe: &Recipe| recipe.outputs(&status.path).row_names().collect::<Vec<_>>();
    for name in recipe.map(rows).into_iter().flatten() {
        if !status.files.iter().any(|file| file.name == name) {
            let (state, recipe) = (status.state.word(), status.name.clone());
            outputs.push(ListedOutput { path: path(&name), recipe, state, rows: None, bytes: None, blake3: None });
        }
    }
    outputs
}

/// Returns what the status of a recipe tells about it.
fn bare(status: &RecipeStatus) -> ListedRecipe {
    let rows = || status.files.iter().filter(|file| !outputs::is_quarantine(&file.name));
    let was_built = rows().next().is_some();
    ListedRecipe {
        name: status.name.clone(),
        state: status.state,
        phase: None,
        rows: was_built.then(|| rows().map(|file| file.meta.rows).sum()),
        bytes: was_built.then(|| rows().map(|file| file.meta.bytes).sum()),
        sources: Vec::new(),
        path: status.path.clone(),
        reads: Vec::new(),
        writes: 0..0,
        steps: Vec::new(),
    }
}

fn listed(assessed: &Assessed, session: &Session, sources: &mut SourceList) -> ListedRecipe {
    let mut listed = bare(&assessed.status);
    let (Some(file), Some(recipe)) = (assessed.file, &assessed.recipe) else { return listed };
    listed.phase = Some(recipe.metadata.phase.clone());
    for (number, dataset) in recipe.datasets.iter().enumerate() {
        let local = dataset.location.is_local();
        let snapshot = session.snapshots.states.get(&snapshot_key(dataset));
        let pinned = match snapshot {
            Some(Some(Ok(snapshot))) => match &**snapshot {
                Snapshot::Hub { repo, commit, .. } => Some((repo.clone(), commit.clone())),
                Snapshot::Local(_) => None,
            },
            _ => None,
        };
        let (id, commit) =
            pinned.map_or((dataset.location.source().to_owned(), None), |(repo, commit)| (repo, Some(commit)));
        let revision = dataset.location.revision().map(str::to_owned);
        let key = (id, revision);
        let source = sources.by_key.entry(key.clone()).or_default();
        (source.commit, source.local) = (commit, local);
        source.recipes.insert((assessed.text.path.clone(), assessed.status.name.clone()));
        match files_of(&session.planner, file, number) {
            Ok(files) => {
                source.files.extend(files.iter().map(|file| (file.path.clone(), file.size)));
            }
            Err(_) => source.is_unknown = true,
        }
        let conversion = conversion_of(&session.planner, file, number).map(|conversion| conversion.converter);
        let converter = conversion.or_else(|| expected_converter(recipe, dataset));
        sources.reads.push((listed.path.clone(), key, converter));
    }
    listed.steps = steps(&session.planner, file);
    listed
}

/// A source by its id and the revision that is asked for.
type SourceKey = (String, Option<String>);

/// A source, gathered from all recipes that read it.
#[derive(Default)]
struct SourceUse {
    commit: Option<String>,
    local: bool,
    /// Sizes by path.
    files: BTreeMap<String, u64>,
    /// Whether a recipe's files are not known.
    is_unknown: bool,
    /// Path and name of each recipe.
    recipes: BTreeSet<(String, String)>,
}

#[derive(Default)]
struct SourceList {
    by_key: BTreeMap<SourceKey, SourceUse>,
    /// Which recipe, by path, reads what through which converter.
    reads: Vec<(String, SourceKey, Option<&'static str>)>,
}

impl SourceList {
    /// Returns the sources by id, and notes in each recipe the index of its own.
    fn in_order(self, recipes: &mut [ListedRecipe]) -> Vec<ListedSource> {
        let places: BTreeMap<&SourceKey, usize> = self.by_key.keys().enumerate().map(|(at, key)| (key, at)).collect();
        let numbers: BTreeMap<String, usize> =
            recipes.iter().enumerate().map(|(at, recipe)| (recipe.path.clone(), at)).collect();
        for (path, key, converter) in &self.reads {
            let at = *numbers.get(path).expect("only listed recipes read");
            let recipe = &mut recipes[at];
            recipe.sources.push(key.0.clone());
            recipe.reads.push((places[key], *converter));
        }
        let source = |((id, revision), gathered): (SourceKey, SourceUse)| {
            let count = gathered.files.len() as u64;
            let is_known = !gathered.is_unknown;
            ListedSource {
                id,
                revision,
                commit: gathered.commit,
                files: is_known.then_some(count),
                bytes: is_known.then(|| gathered.files.values().sum()),
                recipes: gathered.recipes.into_iter().map(|(_, name)| name).collect(),
                local: gathered.local,
            }
        };
        self.by_key.into_iter().map(source).collect()
    }
}
