//! Lists recipes, the sources they read and the outputs they write, with their states.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::why::{Step, steps};
use crate::{
    cache::Access,
    graph::{conversion_of, files_of, snapshot_key},
    selector::{assess_selected, expected_converter},
    site::{OutputFolder, Site, WorkspaceError},
    status::{
        FileState, RecipeStatus, State,
        assess::{Assessed, Depth, Looks, Session},
    },
};
use datac_core::{config::Recipe, id::FileHash, outputs};

/// The recipes of a workspace, their sources and their outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// The recipes, by path, followed by deleted recipes whose outputs exist.
    pub recipes: Vec<ListedRecipe>,
    /// The sources that the recipes read, by id.
    pub sources: Vec<ListedSource>,
    /// The files that the recipes write, in the order of the recipes.
    pub outputs: Vec<ListedOutput>,
}

/// A recipe in an inventory.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListedRecipe {
    /// Name of the recipe, such as `sft/general`.
    pub name: String,
    /// State of the recipe.
    pub state: State,
    /// Phase of the recipe; `null` if the recipe is invalid or deleted.
    pub phase: Option<String>,
    /// Number of rows in the training and validation files at the last build.
    pub rows: Option<u64>,
    /// Size of the training and validation files in bytes.
    pub bytes: Option<u64>,
    /// Ids of the sources that the recipe reads, in its order.
    pub sources: Vec<String>,
    /// Path relative to the workspace.
    pub path: String,
    /// The sources that the recipe reads, as indexes into [`Inventory::sources`], with their converters, if known.
    #[serde(skip)]
    pub reads: Vec<(usize, Option<&'static str>)>,
    /// The files that the recipe writes, as indexes into [`Inventory::outputs`].
    #[serde(skip)]
    pub writes: Range<usize>,
    /// Progress of the recipe's stages.
    #[serde(skip)]
    pub steps: Vec<Step>,
}

/// A source: a repository at a revision, or a file or folder of the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListedSource {
    /// Id of the repository, or path.
    pub id: String,
    /// The branch, tag or commit given in recipes; `null` for the default, or for a local source.
    pub revision: Option<String>,
    /// The pinned commit; `null` if the source is not pinned, or is local.
    pub commit: Option<String>,
    /// Number of files that these recipes read; `null` until the source is pinned.
    pub files: Option<u64>,
    /// Size of those files in bytes.
    pub bytes: Option<u64>,
    /// Names of the recipes that read the source.
    pub recipes: Vec<String>,
    /// Whether the source is a file or folder of the workspace.
    pub local: bool,
}

/// An output in an inventory.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListedOutput {
    /// Path relative to the workspace.
    pub path: String,
    /// Name of the recipe that writes the output.
    pub recipe: String,
    /// `missing` or `edited` if the file is; otherwise the state of the recipe.
    pub state: &'static str,
    /// Number of rows at the last build; `null` if the output was never built.
    pub rows: Option<u64>,
    /// Size in bytes at the last build.
    pub bytes: Option<u64>,
    /// BLAKE3 of the bytes at the last build.
    pub blake3: Option<FileHash>,
}

/// Lists the recipes that `selectors` match, what they read and what they write. Runs no actions, writes nothing and
/// needs no network.
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
                // Another file of the recipe is missing or edited, not this one.
                (FileState::Same, State::Cached | State::Edited) => State::Fresh.word(),
                (FileState::Same, state) => state.word(),
            },
            rows: Some(file.meta.rows),
            bytes: Some(file.meta.bytes),
            blake3: Some(file.meta.digest),
        })
        .collect();
    // Outputs that the recipe would write, but that were not built.
    let rows = |recipe: &Recipe| {
        let sides = recipe.validation.sides(recipe.datasets.iter().map(|dataset| dataset.role));
        recipe.row_names(&status.path, sides)
    };
    for name in recipe.map(rows).into_iter().flatten() {
        if !status.files.iter().any(|file| file.name == name) {
            let (state, recipe) = (status.state.word(), status.name.clone());
            outputs.push(ListedOutput { path: path(&name), recipe, state, rows: None, bytes: None, blake3: None });
        }
    }
    outputs
}

/// Returns the part of a listed recipe that its status contains.
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
        let key = snapshot_key(dataset, &session.snapshots.here);
        let local = !key.is_pinned();
        let snapshot = session.snapshots.states.get(&key);
        let pinned = match snapshot {
            Some(Some(Ok(snapshot))) => {
                snapshot.origin.commit().map(|commit| (snapshot.origin.name().to_owned(), commit.to_owned()))
            }
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

/// Id of a source, and the revision given in recipes.
type SourceKey = (String, Option<String>);

/// A source, with what all recipes that read it contribute.
#[derive(Default)]
struct SourceUse {
    commit: Option<String>,
    local: bool,
    /// Sizes of the source's files, by path.
    files: BTreeMap<String, u64>,
    /// Whether the files that some recipe reads are unknown.
    is_unknown: bool,
    /// Path and name of each recipe.
    recipes: BTreeSet<(String, String)>,
}

#[derive(Default)]
struct SourceList {
    by_key: BTreeMap<SourceKey, SourceUse>,
    /// Path of a recipe, the source it reads, and the converter.
    reads: Vec<(String, SourceKey, Option<&'static str>)>,
}

impl SourceList {
    /// Returns the sources ordered by id, and adds their indexes to the recipes.
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
