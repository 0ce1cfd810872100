//! Looks at a source before a recipe reads it: files, columns, rows, which converter reads them, and a recipe entry.
//!
//! Nothing is guessed here: recipes of one entry, one for each kind of sample, are built from the first rows of the source
//! into a temporary folder, so that what is reported is what a build does.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use super::template::scalar;
use crate::{
    build::{BuildOptions, BuildReport, RecipeReport, order},
    cache::{Access, SCRATCH},
    driver::{failure_of, input_of},
    graph::{FileOrigin, RecipeFile, SourceFile, conversion_of, files_of, partly_read, snapshot_key},
    selector::assess_selected,
    site::{Site, WorkspaceError},
    source::{folder, format_of, in_buckets::BUCKET},
    status::assess::{Depth, Looks, Session},
    system,
};
use datac_core::{
    config::{self, Location, Recipe, RowFormat, is_in_bucket},
    convert,
    failure::{Failure, FailureKind, SourceFault},
    outputs::OutputKind,
    row::Value,
};
use datac_decode as decode;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// A Hub id, a file or folder of the workspace, or the address of something in a bucket.
    pub source: String,
    /// The config to read.
    pub config_name: Option<String>,
    /// The splits to read; empty: `train`.
    pub splits: Vec<String>,
    /// The phase whose kind of samples is wanted; `None`: every kind is tried.
    pub phase: Option<String>,
    /// How many samples to convert.
    pub rows: u64,
}

impl Inspect {
    /// Asks for the `train` split of a source, and for every kind of sample.
    pub fn of(source: impl Into<String>) -> Self {
        Self { source: source.into(), config_name: None, splits: Vec::new(), phase: None, rows: LOOKED_AT }
    }
}

/// What was found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Inspection {
    /// The source as it was asked for.
    pub source: String,
    /// Where it comes from: `workspace`, or the hub's name.
    pub place: String,
    /// The repository, or the path in the workspace.
    pub repo: String,
    /// The commit, of a repository.
    pub commit: Option<String>,
    /// The files that a recipe reads, in order.
    pub files: Vec<InspectedFile>,
    /// Files of the source that are not read.
    pub passed_over: Vec<String>,
    /// Rows of the first file that were looked at for `columns`.
    pub rows: u64,
    /// Whether these are all rows of that file.
    pub is_whole: bool,
    /// The columns of these rows.
    pub columns: Vec<InspectedColumn>,
    /// Up to three of these rows, as they are in the file.
    pub examples: Vec<String>,
    /// Each kind of sample that was tried, the best first.
    pub kinds: Vec<InspectedKind>,
    /// The recipe entry for the best; `None` if no kind can be made.
    pub entry: Option<String>,
}

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InspectedFile {
    /// Its path.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Format and compression, as they are read.
    pub format: String,
}

/// A column of the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InspectedColumn {
    /// Its name.
    pub name: String,
    /// How many rows have a value of each type.
    pub types: BTreeMap<String, u64>,
    /// Rows in which it is null.
    pub nulls: u64,
    /// Rows that do not have it.
    pub missing: u64,
}

/// What becomes of the rows as one kind of sample.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InspectedKind {
    /// The phase.
    pub phase: String,
    /// The converter that reads the rows.
    pub converter: Option<String>,
    /// Why it was chosen, or why there is none.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Rows that were converted.
    pub rows: u64,
    /// Samples that came of them.
    pub samples: u64,
    /// Rows that are rejected, by reason, each with its first row as the quarantine file has it.
    pub rejects: Vec<InspectedReject>,
}

impl InspectedKind {
    /// Returns whether the samples have all that the rows say, and at least half of the rows can be used.
    pub(super) fn is_sure(&self) -> bool {
        self.samples > 0 && !self.leaves_answers_out() && 2 * self.samples >= self.rows
    }

    /// Returns whether the samples are without the answers and labels that rows may have.
    fn leaves_answers_out(&self) -> bool {
        WITHOUT_ANSWERS.contains(&self.phase.as_str())
    }

    /// Returns what kinds of sample are sorted by, the best first.
    ///
    /// How many rows can be used does not decide alone: an empty answer, or two that are the same, make a row unusable for
    /// training on answers, and leave it a prompt like any other.
    fn order(&self) -> impl Ord + use<> {
        let place = PHASES.iter().position(|phase| *phase == self.phase);
        let lacking = if self.is_sure() { 0 } else { 1000 - share(self.samples, self.rows).min(1000) };
        (self.samples == 0, self.leaves_answers_out(), !self.is_sure(), lacking, place)
    }
}

/// A reason for which rows are rejected.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InspectedReject {
    /// The reason code.
    pub reason: String,
    /// How many rows.
    pub rows: u64,
    /// The first of them: file, row, line, and what exactly.
    pub first: String,
}

/// The phases that are tried, one for each kind of sample. What needs most columns comes first.
const PHASES: &[&str] = &["dpo", "kto", "prm", "sft", "rlaif", "pretrain"];

/// The phases whose samples leave answers and labels out. Such samples can be made of almost any row.
const WITHOUT_ANSWERS: &[&str] = &["rlaif", "pretrain"];

/// Rows of the first file that are looked at for columns.
const LOOKED_AT: u64 = 1000;

/// Examples that are shown.
const EXAMPLES: usize = 3;

/// Looks at a source, in a temporary folder; the workspace stays as it is.
pub(super) fn inspect(site: &Site, asked: &Inspect) -> Result<Inspection, WorkspaceError> {
    let entry = Entry::of(site, asked)?;
    let folder = system::temporary_folder()?;
    let scratch = site.aside(folder.path())?;
    if !system::exists(&site.root().join(&entry.source)) {
        scratch.share_downloads(site, &entry.source)?;
    }
    let phases: Vec<&str> = match &asked.phase {
        Some(phase) => vec![phase.as_str()],
        None => PHASES.iter().copied().filter(|phase| config::kind_of(phase).is_some()).collect(),
    };
    let mut paths = Vec::new();
    for phase in &phases {
        let path = folder.path().join("config").join(format!("{phase}.yaml"));
        let max = format!("    max_samples: {}\n", asked.rows);
        let text = format!("metadata: {{ phase: {phase} }}\ndatasets:\n{}{max}", entry.text(None));
        system::create_dir(&folder.path().join("config"))?;
        system::replace(&path, text.as_bytes())?;
        paths.push(path.to_string_lossy().into_owned());
    }
    let report = order::build(&scratch, &paths, &BuildOptions::default())?;
    if let Some(failure) = report.recipes.iter().find_map(|recipe| recipe.failure.as_ref())
        && failure.kind == FailureKind::Interrupted
    {
        return Err(failure.clone().into());
    }
    let record = scratch.cache.record(Access::Read)?;
    let looks = Looks { depth: Depth::Close, ..Looks::default() };
    let session = assess_selected(&scratch, record, &paths, looks)?;
    let seen = Seen { scratch: &scratch, session: &session };
    seen.report(asked, &entry, &report)
}

/// A recipe entry for a source.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) format: Option<String>,
    pub(super) config_name: Option<String>,
    pub(super) splits: Vec<String>,
}

impl Entry {
    /// Makes the entry of a source, with a format if the recipe needs one.
    pub(super) fn of(site: &Site, asked: &Inspect) -> Result<Self, WorkspaceError> {
        let source = asked.source.trim_end_matches('/').to_owned();
        // Of a pattern, the folder around it has the better name.
        let named = source.rsplit('/').find(|part| !part.contains(['*', '?', '[']));
        let name = named.unwrap_or_default().to_owned();
        let name = name.split('.').next().filter(|name| !name.is_empty()).unwrap_or("source").to_owned();
        let mut entry =
            Self { name, source, format: None, config_name: asked.config_name.clone(), splits: asked.splits.clone() };
        let place = site.root().join(&entry.source);
        let is_here = system::exists(&place);
        let loaded = entry.load(site);
        // What is here is meant, even where its name could be that of a repository.
        let is_taken_for_hub = matches!(&loaded, Ok(recipe) if matches!(recipe.datasets[0].location, Location::Hub { .. } | Location::Named { .. }));
        if is_here && (loaded.is_err() || is_taken_for_hub) || !is_here && format_of(&entry.source).is_some() {
            let format = if system::is_dir(&place) { format_within(&place) } else { format_of(&entry.source) };
            entry.format = format.map(|format| config::format_word(Some(format)).to_owned());
        }
        entry.load(site).map_err(|problems| {
            let problem = problems.into_iter().next().expect("what is refused has a problem");
            let failure = Failure::plain(FailureKind::Config, format!("{} [{}]", problem.message, problem.code));
            problem.hint.into_iter().fold(failure, Failure::hint)
        })?;
        Ok(entry)
    }

    fn load(&self, site: &Site) -> Result<Recipe, Vec<config::Problem>> {
        let text = format!("metadata: {{ phase: pretrain }}\ndatasets:\n{}", self.text(None));
        site.recipes.load("config/source.yaml", text.as_bytes())
    }

    /// Returns the keys and values of the entry, in order.
    pub(super) fn pairs(&self, ratio: Option<f64>) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("name", scalar(&self.name)), ("source", scalar(&self.source))];
        pairs.extend(self.format.iter().map(|format| ("format", format.clone())));
        pairs.extend(self.config_name.iter().map(|name| ("config_name", scalar(name))));
        if !self.splits.is_empty() {
            let splits: Vec<String> = self.splits.iter().map(|split| scalar(split)).collect();
            pairs.push(("splits", format!("[{}]", splits.join(", "))));
        }
        pairs.extend(ratio.map(|ratio| ("mix_ratio", ratio.to_string())));
        pairs
    }

    /// Returns the entry as an item of a block list.
    pub(super) fn text(&self, ratio: Option<f64>) -> String {
        let line = |(at, (key, value)): (usize, (&str, String))| {
            let head = if at == 0 { "  - " } else { "    " };
            format!("{head}{key}: {value}\n")
        };
        self.pairs(ratio).into_iter().enumerate().map(line).collect()
    }
}

/// Returns the format of most files in a folder, by their names.
fn format_within(place: &Path) -> Option<RowFormat> {
    let mut counts: Vec<(RowFormat, usize)> = Vec::new();
    for format in folder::walk(place).ok()?.iter().filter_map(|path| format_of(path)) {
        match counts.iter_mut().find(|(known, _)| *known == format) {
            Some((_, count)) => *count += 1,
            None => counts.push((format, 1)),
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(format, _)| format)
}

/// What builds into the temporary folder left.
struct Seen<'s> {
    scratch: &'s Site,
    session: &'s Session,
}

impl Seen<'_> {
    fn report(&self, asked: &Inspect, entry: &Entry, report: &BuildReport) -> Result<Inspection, WorkspaceError> {
        let unread = || WorkspaceError::from(Failure::plain(FailureKind::Config, "the source cannot be read"));
        let assessed = self.session.recipes.first().ok_or_else(unread)?;
        let (file, recipe) = assessed.file.zip(assessed.recipe.as_ref()).ok_or_else(unread)?;
        // It was asked for by name, not by a recipe.
        let files = files_of(&self.session.planner, file, 0).map_err(|failure| {
            // What is not there cannot be pinned, whatever is run.
            let is_unpinned = failure.about.as_ref().is_some_and(|about| about.fault == SourceFault::NotPinned);
            let of_build = report.recipes.iter().find_map(|recipe| recipe.failure.clone()).filter(|_| is_unpinned);
            of_build.unwrap_or(failure).of_no_recipe()
        })?;
        let origin = files.first().map(|file| file.origin.clone());
        let is_local = origin.as_ref().is_none_or(FileOrigin::is_local);
        let (columns, rows, is_whole, examples) = match files.first() {
            Some(first) => self.columns(first)?,
            None => (Vec::new(), 0, true, Vec::new()),
        };
        let mut kinds: Vec<InspectedKind> = Vec::new();
        for recipe in &report.recipes {
            let assessed = self.session.recipes.iter().find(|assessed| assessed.text.path == recipe.before.path);
            kinds.push(self.kind(recipe, assessed.and_then(|assessed| assessed.file)));
        }
        kinds.sort_by_key(InspectedKind::order);
        let best = kinds.first().filter(|kind| kind.samples > 0);
        Ok(Inspection {
            source: asked.source.clone(),
            place: match &origin {
                Some(origin) if is_in_bucket(origin.name()) => BUCKET.to_owned(),
                _ if is_local => "workspace".to_owned(),
                _ => self.scratch.hub.name(),
            },
            repo: origin.as_ref().map_or_else(|| entry.source.clone(), |origin| origin.name().to_owned()),
            commit: origin.as_ref().and_then(|origin| origin.commit().map(str::to_owned)),
            passed_over: self.passed_over(recipe, file, files),
            files: files
                .iter()
                .map(|file| InspectedFile { path: file.path.clone(), bytes: file.size, format: file.kind.to_string() })
                .collect(),
            rows,
            is_whole,
            columns,
            examples,
            entry: best.map(|_| entry.text(Some(1.0))),
            kinds,
        })
    }

    /// Returns the files of the source that a recipe does not read.
    fn passed_over(&self, recipe: &Recipe, file: RecipeFile, files: &[Arc<SourceFile>]) -> Vec<String> {
        let source = recipe.datasets[0].location.source();
        let place = self.scratch.root().join(source);
        let key = snapshot_key(&recipe.datasets[0], &self.session.snapshots.here);
        let all: Vec<String> = match self.session.snapshots.states.get(&key) {
            Some(Some(Ok(snapshot))) if key.is_pinned() => {
                snapshot.files.iter().map(|file| file.path.clone()).collect()
            }
            _ if !key.is_pinned() && system::is_dir(&place) => {
                folder::walk(&place).unwrap_or_default().into_iter().map(|path| format!("{source}/{path}")).collect()
            }
            _ => Vec::new(),
        };
        let beside = all.into_iter().filter(|path| files.iter().all(|file| file.remote().path != *path));
        let inside = partly_read(&self.session.planner, file, 0).into_iter().flat_map(|archive| archive.passed_over);
        beside.chain(inside).collect()
    }

    /// Returns the columns of the first rows of a file, how many rows those are, whether they are all, and examples.
    fn columns(&self, file: &SourceFile) -> Result<(Vec<InspectedColumn>, u64, bool, Vec<String>), WorkspaceError> {
        let record = &self.session.record;
        let place = match file.origin.is_local() {
            true => self.scratch.workspace(record),
            false => self.scratch.hub.open_for([file.origin.name()], &self.scratch.cache, record)?,
        };
        let opened = place.open(file.origin.name(), file.origin.commit(), &file.remote());
        let opened = opened.map_err(|error| failure_of(&error))?;
        let input = input_of(file, opened, &self.scratch.cache.join(SCRATCH))?;
        let failed = |error: decode::DecodeError| {
            let message = format!("read `{}`: {error}", file.path);
            WorkspaceError::from(Failure::new(FailureKind::Action, message))
        };
        let mut cutter = decode::open_as(input, file.kind, &file.reading).map_err(failed)?;
        let (mut columns, mut rows, mut examples) = (Vec::<InspectedColumn>::new(), 0, Vec::new());
        let is_whole = loop {
            let Some(chunk) = cutter.next_chunk().map_err(failed)? else { break true };
            let mut is_over = false;
            chunk.for_each_row(|_, span, row| {
                is_over |= rows >= LOOKED_AT;
                if is_over {
                    return;
                }
                if examples.len() < EXAMPLES {
                    examples.push(chunk.raw(span).into_owned());
                }
                let Ok(row) = row else { return };
                for (name, value) in &row.fields {
                    let column = match columns.iter().position(|column| column.name == *name) {
                        Some(at) => &mut columns[at],
                        None => {
                            let types = BTreeMap::new();
                            columns.push(InspectedColumn { name: name.to_string(), types, nulls: 0, missing: rows });
                            columns.last_mut().expect("one was added")
                        }
                    };
                    match type_of(value) {
                        Some(kind) => *column.types.entry(kind.to_owned()).or_default() += 1,
                        None => column.nulls += 1,
                    }
                }
                rows += 1;
                for column in &mut columns {
                    column.missing = rows - column.nulls - column.types.values().sum::<u64>();
                }
            });
            if is_over {
                break false;
            }
        };
        Ok((columns, rows, is_whole, examples))
    }

    /// Says what became of the rows as one kind of sample.
    fn kind(&self, report: &RecipeReport, file: Option<RecipeFile>) -> InspectedKind {
        let phase = Path::new(&report.before.path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let planner = &self.session.planner;
        let conversion = file.and_then(|file| conversion_of(planner, file, 0));
        let converter = conversion.map(|conversion| conversion.converter.to_owned());
        let origin = file.and_then(|file| files_of(planner, file, 0).ok()?.first().map(|file| file.origin.clone()));
        let repo = origin.as_ref().filter(|origin| !origin.is_local()).map(FileOrigin::name);
        let is_own = |name: &str| {
            let own = convert::by_name(name).map(|converter| converter.repos()).unwrap_or_default();
            repo.is_some_and(|repo| own.iter().any(|id| id.eq_ignore_ascii_case(repo)))
        };
        let source = report.summary.as_ref().and_then(|summary| summary.sources.first());
        let why = match (&converter, &report.failure) {
            (_, Some(failure)) => failure.message.clone(),
            (Some(name), None) if is_own(name) => "known for this repository".to_owned(),
            (Some(_), None) => "reads these columns".to_owned(),
            (None, None) => "not built".to_owned(),
        };
        let quarantined = self.quarantined(&phase);
        let rejects = quarantined.into_iter().map(|(reason, (rows, first))| InspectedReject { reason, rows, first });
        InspectedKind {
            phase,
            converter,
            why,
            hint: report.failure.as_ref().and_then(|failure| failure.note.clone().or(failure.hint.clone())).map(
                |hint| {
                    // The recipe is gone when this is read.
                    hint.replace(&format!(" in `{}`", report.before.path), "").replace(&report.before.path, "RECIPE")
                },
            ),
            rows: source.map_or(0, |source| source.rows_read),
            samples: source.map_or(0, |source| source.kept),
            rejects: rejects.collect(),
        }
    }

    /// Reads the quarantine file of a phase: for each reason how many rows, and the first of them.
    fn quarantined(&self, phase: &str) -> BTreeMap<String, (u64, String)> {
        let name = datac_core::outputs::OutputSet::new(format!("{phase}_{phase}")).name(OutputKind::Quarantine);
        let text = system::read(&self.scratch.outputs.file(&name)).unwrap_or_default();
        let mut found: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(row) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
            let word = |name: &str| row.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            let number = |name: &str| row.get(name).and_then(serde_json::Value::as_u64);
            let first = || {
                let line = number("line").map_or_else(String::new, |line| format!(" (line {line})"));
                let row = number("row").unwrap_or_default();
                let detail = word("detail");
                let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
                format!("{}:{row}{line}{detail}", word("file"))
            };
            found.entry(word("reason").to_owned()).or_insert_with(|| (0, first())).0 += 1;
        }
        found
    }
}

/// Returns a share in thousandths, so that it can be compared.
fn share(part: u64, of: u64) -> u64 {
    (1000 * part).checked_div(of).unwrap_or(0)
}

/// Returns the type of a value; `None` for null.
fn type_of<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Json(text) if text.trim_start().starts_with('[') => "list",
        Value::Json(_) => "object",
        Value::Printed { kind, .. } => kind,
    })
}
