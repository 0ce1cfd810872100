//! Names the rows that a model was trained on in a step: from the ids in a log to source rows, for all ids of the step in one pass.

mod log;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use self::log::Logged;
use super::{
    history::read_manifest,
    trace::{At, Lineage, SampleOf, SourcePlace, Sources},
};
use crate::{
    cache::{Access, Build, RunId},
    site::{Site, WorkspaceError},
    system,
};
use datac_core::outputs::Side;

/// The rows that a model was trained on in a step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Blame {
    /// The step.
    pub step: u64,
    /// The rows, in the order of the logs; one that was trained on several times stands there once.
    pub rows: Vec<BlamedRow>,
}

/// A row that a model was trained on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BlamedRow {
    /// The `id` of the row.
    pub id: String,
    /// How often it was trained on in the step.
    pub times: u64,
    /// Path of the log that names it first.
    pub log: PathBuf,
    /// Line in that log, from 1.
    pub line: u64,
    /// The source rows that it was made of, by recipe; none if no build of the history has it, several of a recipe if source rows have
    /// the same content.
    pub made_of: Vec<MadeOf>,
}

/// A source row that a row was made of.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MadeOf {
    /// Name of the recipe.
    pub recipe: String,
    /// Path of the recipe.
    pub path: String,
    /// The run that built it.
    pub run: RunId,
    /// Whether that was its last build; an earlier one is named only if the row is in no last build.
    pub is_latest: bool,
    /// Name of the converter.
    pub converter: String,
    /// Version of the converter.
    pub converter_code: String,
    /// Which of the samples of its source row it is; `None` if the row yields only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleOf>,
    /// Location of the source row.
    pub source: SourcePlace,
}

/// Names the rows of a step of the logs.
pub(crate) fn blame(site: &Site, logs: &[PathBuf], step: u64) -> Result<Blame, WorkspaceError> {
    let logged = log::read(logs, step, &site.observer)?;
    let mut rows = Rows::new(&logged, logs);
    let record = site.cache.record(Access::Read)?;
    let store = || site.cache.store(&record);
    let open = |run: RunId, build: &Build| {
        Ok::<_, WorkspaceError>(Lineage::new(read_manifest(&store(), build)?, run, store()))
    };
    let mut last: HashSet<(RunId, String)> = HashSet::new();
    for (run, build) in
        record.latest_builds()?.iter().filter(|(_, build)| system::exists(&site.root().join(&build.path)))
    {
        last.insert((*run, build.path.clone()));
        let lineage = open(*run, build)?;
        let sources = Sources::new(site, &record, &lineage);
        rows.look_in(&lineage, &sources, true)?;
    }
    let mut earlier = record.all_builds()?;
    earlier.retain(|(run, build)| !last.contains(&(*run, build.path.clone())));
    earlier.sort_by_key(|(run, _)| std::cmp::Reverse(*run));
    for (run, build) in &earlier {
        if rows.is_complete() {
            break;
        }
        // What an earlier build was made of may have been evicted since.
        let Ok(lineage) = open(*run, build) else { continue };
        let sources = Sources::new(site, &record, &lineage);
        rows.look_in(&lineage, &sources, false).ok();
    }
    Ok(Blame { step, rows: rows.rows })
}

/// The rows that are looked for.
struct Rows {
    rows: Vec<BlamedRow>,
    /// The recipes that a row may be of, by the log; any if there are none.
    recipes: Vec<BTreeSet<String>>,
    /// Number of a row by the hash that its id stands for.
    by_hash: HashMap<u64, usize>,
}

impl Rows {
    fn new(logged: &[Logged], logs: &[PathBuf]) -> Self {
        let mut rows = Self { rows: Vec::new(), recipes: Vec::new(), by_hash: HashMap::new() };
        for one in logged {
            let number = *rows.by_hash.entry(one.hash).or_insert_with(|| {
                let (id, log) = (one.id.clone(), logs[one.log].clone());
                rows.rows.push(BlamedRow { id, times: 0, log, line: one.line, made_of: Vec::new() });
                rows.recipes.push(BTreeSet::new());
                rows.rows.len() - 1
            });
            rows.rows[number].times += 1;
            rows.recipes[number].extend(one.recipe.clone());
        }
        rows
    }

    fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| !row.made_of.is_empty())
    }

    /// Looks for rows in a build: in its last builds for all of them, in earlier ones for those that no build has.
    fn look_in(&mut self, lineage: &Lineage, sources: &Sources<'_>, is_latest: bool) -> Result<(), WorkspaceError> {
        let manifest = &lineage.manifest;
        let is_of = |number: &usize| {
            let recipes = &self.recipes[*number];
            let is_named = recipes.is_empty() || recipes.contains(&manifest.name) || recipes.contains(&manifest.path);
            is_named && (is_latest || self.rows[*number].made_of.is_empty())
        };
        let wanted: HashMap<u64, usize> =
            self.by_hash.iter().filter(|(_, number)| is_of(number)).map(|(hash, number)| (*hash, *number)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let chunks: Vec<(usize, usize)> = manifest
            .sources
            .iter()
            .enumerate()
            .flat_map(|(source, made)| (0..made.chunks.len()).map(move |chunk| (source, chunk)))
            .collect();
        let look = |(source, chunk): &(usize, usize)| {
            let index = lineage.index(*source, *chunk)?;
            let found = (0..index.len()).filter_map(|sample| {
                let number = *wanted.get(&index.row_hash[sample])?;
                let at = At { source: *source, chunk: *chunk, sample };
                Some((number, at, index.row[sample], SampleOf::among(&index, sample)))
            });
            Ok::<_, WorkspaceError>(found.collect::<Vec<_>>())
        };
        let mut found = chunks.par_iter().map(look).collect::<Result<Vec<_>, _>>()?.concat();
        if found.is_empty() {
            return Ok(());
        }
        let mut written: HashSet<u32> = HashSet::new();
        for side in Side::ALL {
            written.extend(lineage.order(side)?);
        }
        // A row that a filter of this recipe drops was not trained on from its outputs.
        let mut is_written = Vec::with_capacity(found.len());
        for (_, at, ..) in &found {
            is_written.push(lineage.number(*at)?.is_some_and(|number| written.contains(&number)));
        }
        let mut is_written = is_written.into_iter();
        found.retain(|_| is_written.next().unwrap_or(false));
        let places: Vec<(usize, usize, u32)> =
            found.iter().map(|(_, at, row, _)| (at.source, at.chunk, *row)).collect();
        let lines = sources.lines(lineage, &places);
        for (number, at, row, sample) in found {
            let made = &manifest.sources[at.source];
            let mut place = SourcePlace::new(made, &made.chunks[at.chunk], row);
            if let Some((line, offset)) = lines.get(&(at.source, at.chunk, row)) {
                (place.line, place.offset) = (Some(*line), Some(*offset));
            }
            self.rows[number].made_of.push(MadeOf {
                recipe: manifest.name.clone(),
                path: manifest.path.clone(),
                run: lineage.run,
                is_latest,
                converter: made.converter.clone(),
                converter_code: made.version.to_string(),
                sample,
                source: place,
            });
        }
        Ok(())
    }
}

impl Blame {
    /// Returns the rows that no build of the history has.
    pub fn unknown(&self) -> impl Iterator<Item = &BlamedRow> {
        self.rows.iter().filter(|row| row.made_of.is_empty())
    }

    /// Returns the recipes that the rows are of, each with the number of rows.
    pub fn recipes(&self) -> BTreeMap<&str, u64> {
        let mut recipes: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &self.rows {
            let of_row: BTreeSet<&str> = row.made_of.iter().map(|made| made.recipe.as_str()).collect();
            of_row.into_iter().for_each(|recipe| *recipes.entry(recipe).or_default() += 1);
        }
        recipes
    }
}
