//! The tracked queries. Each returns ids and small values; rows stay in the store.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    action::{
        self, Action, ArrangeOutcome, ChunkRef, Conversion, ConvertOutcome, ConvertedChunk, FileOutcome, Follower,
        Measure, Outcome, ScanOutcome, ScanWork, SelectOutcome, SelectedSource, SourceFile, Work,
    },
    inputs::{Failure, FailureKind, Known, PlannerDb, RecipeFile, Snapshot, SnapshotKey, World},
};
use crate::{
    config::{self, Dataset, Format, MaxRejects, Mix, Problem, Recipe, Unit, Validation},
    convert::{self, Converter},
    hash::Digest,
    mix::{Allotment, allot},
    quality::ScoreKind,
    row::SampleKind,
    source::{RemoteFile, layout},
};

/// A step of the plan: known, or waiting for actions, or impossible.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<T> {
    /// It is known.
    Ready(T),
    /// These must run first.
    Needs(Vec<Arc<Action>>),
    /// It cannot be.
    Failed(Failure),
}

/// Takes the value of a node, or returns what keeps it from being known.
macro_rules! ready {
    ($node:expr) => {
        match $node {
            Node::Ready(value) => value,
            Node::Needs(actions) => return Node::Needs(actions.clone()),
            Node::Failed(failure) => return Node::Failed(failure.clone()),
        }
    };
}

/// A recipe all of whose actions are known.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipePlan {
    /// The stem of its files, `<phase>_<stem>`.
    pub stem: String,
    /// Its sources as they were selected.
    pub sources: Arc<Vec<SelectedSource>>,
    /// How they are mixed and divided.
    pub arranged: ArrangeOutcome,
    /// What each source was to give.
    pub allotment: Allotment,
    /// The training file.
    pub train: FileOutcome,
    /// The validation file.
    pub validation: FileOutcome,
    /// The quarantine file, if a row was rejected.
    pub quarantine: Option<FileOutcome>,
}

/// The recipe, or everything that is wrong with it.
#[salsa::tracked]
pub(crate) fn parse(db: &dyn PlannerDb, file: RecipeFile) -> Result<Arc<Recipe>, Vec<Problem>> {
    let vocabulary = World::get(db).vocabulary(db);
    config::load(file.path(db), file.text(db), vocabulary).map(Arc::new)
}

// The next three stand between a recipe's text and what hangs on it: an edit to the seed changes none but the second.

#[salsa::tracked]
fn dataset(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Option<(SampleKind, Arc<Dataset>)> {
    let recipe = parse(db, file).as_ref().ok()?;
    Some((recipe.metadata.kind, Arc::new(recipe.datasets.get(number)?.clone())))
}

#[salsa::tracked]
fn validation(db: &dyn PlannerDb, file: RecipeFile) -> Option<Validation> {
    Some(parse(db, file).as_ref().ok()?.validation.clone())
}

#[salsa::tracked]
fn mixing(db: &dyn PlannerDb, file: RecipeFile) -> Option<(Mix, Vec<f64>, Option<MaxRejects>)> {
    let recipe = parse(db, file).as_ref().ok()?;
    let shares = recipe.datasets.iter().map(|dataset| dataset.mix_ratio).collect();
    Some((recipe.mix.clone(), shares, recipe.max_rejects))
}

/// The stem of a recipe's files.
#[salsa::tracked]
fn stem(db: &dyn PlannerDb, file: RecipeFile) -> Option<String> {
    Some(parse(db, file).as_ref().ok()?.output_stem(file.path(db)))
}

fn invalid<T>() -> Node<T> {
    Node::Failed(Failure::new(FailureKind::Config, "read the recipe"))
}

/// Which snapshot a dataset entry stands on.
pub(crate) fn snapshot_key(dataset: &Dataset) -> SnapshotKey {
    match dataset.format {
        Format::Huggingface => SnapshotKey::Hub { source: dataset.source.clone(), revision: dataset.revision.clone() },
        format => SnapshotKey::Local {
            source: dataset.source.clone(),
            format: format.name(),
            splits: dataset.splits.clone(),
            data_dir: dataset.data_dir.clone(),
        },
    }
}

/// The files a dataset entry reads, in order.
#[salsa::tracked]
pub(super) fn files(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Vec<Arc<SourceFile>>, Failure> {
    let Some((_, dataset)) = dataset(db, file, number) else {
        return Err(Failure::new(FailureKind::Config, "read the recipe"));
    };
    let key = snapshot_key(dataset);
    let state = World::get(db).snapshots(db).get(&key).and_then(|input| input.state(db).as_ref());
    let Some(snapshot) = state else {
        return Err(Failure::new(FailureKind::Lock, format!("find `{}` in datac.lock", dataset.source))
            .hint("run `datac lock` or `datac build`"));
    };
    match &**snapshot.as_ref().map_err(Clone::clone)? {
        Snapshot::Local(local) => Ok(local
            .iter()
            .map(|local| {
                Arc::new(SourceFile {
                    repo: dataset.source.as_str().into(),
                    commit: "".into(),
                    file: RemoteFile { path: local.path.clone(), size: local.size, digest: local.digest },
                    kind: local.kind,
                    is_local: true,
                })
            })
            .collect()),
        Snapshot::Hub { repo, commit, card, files } => {
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            let want = layout::Want {
                repo,
                config_name: dataset.config_name.as_deref(),
                data_dir: &dataset.data_dir,
                splits: &dataset.splits,
                default_config: crate::source::known::default_config(repo),
            };
            let selected = layout::resolve(&paths, card.as_deref(), &want)
                .map_err(|error| Failure::new(FailureKind::Config, error.to_string()))?;
            let (repo, commit): (Arc<str>, Arc<str>) = (repo.as_str().into(), commit.as_str().into());
            let by_path: BTreeMap<&str, &RemoteFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
            Ok(selected
                .into_iter()
                .filter_map(|selected| {
                    Some(Arc::new(SourceFile {
                        repo: repo.clone(),
                        commit: commit.clone(),
                        file: (*by_path.get(selected.path.as_str())?).clone(),
                        kind: selected.kind,
                        is_local: false,
                    }))
                })
                .collect())
        }
    }
}

fn known<'db>(db: &'db dyn PlannerDb, key: &Digest) -> &'db Known {
    db.cell(key).known(db)
}

/// The node of an action: what its cell holds, or the action itself.
fn node<T>(
    db: &dyn PlannerDb,
    key: Digest,
    take: impl Fn(&Outcome) -> Option<T>,
    work: impl FnOnce() -> Work,
) -> Node<T> {
    match known(db, &key) {
        Known::Outcome(outcome) => match take(outcome) {
            Some(value) => Node::Ready(value),
            // Another kind of outcome under this key cannot be, short of a damaged record: make it again.
            None => Node::Needs(vec![Arc::new(Action { key, work: work() })]),
        },
        Known::Nothing => Node::Needs(vec![Arc::new(Action { key, work: work() })]),
        Known::Failure(failure) => Node::Failed(failure.clone()),
    }
}

/// The part of a file's chunks that is known.
fn scanned<'db>(db: &'db dyn PlannerDb, file: &SourceFile) -> Result<Option<&'db Arc<ScanOutcome>>, Failure> {
    match known(db, &action::scan_key(file)) {
        Known::Outcome(Outcome::Scan(outcome)) => Ok(Some(outcome)),
        Known::Failure(failure) => Err(failure.clone()),
        _ => Ok(None),
    }
}

/// Which converter reads a dataset entry; `None` while that hangs on columns no one has seen yet.
#[salsa::tracked]
pub(super) fn conversion(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Option<Conversion>, Failure> {
    let Some((kind, dataset)) = dataset(db, file, number) else { return Ok(None) };
    let files = files(db, file, number).as_ref().map_err(Clone::clone)?;
    let repo = files.first().map_or("", |file| if file.is_local { "" } else { &*file.repo });
    let columns: Option<Vec<&str>> = match files.first().map(|file| scanned(db, file)) {
        Some(Ok(Some(scan))) if !scan.chunks.is_empty() => Some(scan.columns.iter().map(String::as_str).collect()),
        Some(Err(failure)) => return Err(failure),
        _ => None,
    };
    match choose(dataset.converter.as_deref(), repo, *kind, columns.as_deref(), &dataset.options) {
        Ok(Some(converter)) => {
            let code = World::get(db).converters(db).get(converter.name()).map(|code| code.version(db).clone());
            let code = code.unwrap_or_else(|| convert::code_version(converter));
            Ok(Some(Conversion { converter: converter.name(), code, options: dataset.options.clone() }))
        }
        Ok(None) => Ok(None),
        Err(message) => Err(Failure::new(FailureKind::Config, message).hint(format!(
            "name one in `{}`: `converter: …` for `{}`",
            file.path(db),
            dataset.name
        ))),
    }
}

/// Chooses a converter and checks the options it is given; `None` if columns are needed and not known.
pub(crate) fn choose(
    explicit: Option<&str>,
    repo: &str,
    kind: SampleKind,
    columns: Option<&[&str]>,
    options: &convert::Options,
) -> Result<Option<&'static dyn Converter>, String> {
    let converter = match (convert::choose(explicit, repo, kind, columns.unwrap_or(&[])), columns) {
        (Ok(converter), _) => converter,
        (Err(_), None) if explicit.is_none() => return Ok(None),
        (Err(error), _) => return Err(error.to_string()),
    };
    for (name, value) in options {
        let Some(option) = converter.options().iter().find(|option| option.name == name) else {
            return Err(format!("use option `{name}`: converter `{}` has no such option", converter.name()));
        };
        if !option.values.contains(&value.as_str()) {
            return Err(format!("use option `{name}: {value}`: it takes {}", option.values.join(", ")));
        }
    }
    Ok(Some(converter))
}

/// One chunk and what converts it.
#[salsa::interned]
struct Step<'db> {
    #[returns(ref)]
    chunk: ChunkRef,
    #[returns(ref)]
    conversion: Conversion,
    #[returns(copy)]
    kind: SampleKind,
}

#[salsa::tracked]
fn converted<'db>(db: &'db dyn PlannerDb, step: Step<'db>) -> Node<ConvertOutcome> {
    let (chunk, conversion) = (step.chunk(db), step.conversion(db));
    node(
        db,
        action::convert_key(&chunk.digest, conversion),
        |outcome| if let Outcome::Convert(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::Convert(chunk.clone(), conversion.clone(), step.kind(db)),
    )
}

/// The digests of a converted chunk's score columns.
#[salsa::tracked]
fn scored<'db>(db: &'db dyn PlannerDb, step: Step<'db>, measures: Vec<Measure>) -> Node<Vec<Digest>> {
    let converted = ready!(converted(db, step));
    let (chunk, conversion) = (step.chunk(db), step.conversion(db));
    let (mut digests, mut needs) = (Vec::new(), Vec::new());
    for measure in measures {
        let score = node(
            db,
            action::score_key(&chunk.digest, &converted.index, &converted.rows, &measure),
            |outcome| if let Outcome::Score(digest) = outcome { Some(*digest) } else { None },
            || Work::Score(chunk.clone(), conversion.clone(), step.kind(db), measure.clone()),
        );
        match score {
            Node::Ready(digest) => digests.push(digest),
            Node::Needs(actions) => needs.extend(actions),
            Node::Failed(failure) => return Node::Failed(failure),
        }
    }
    if needs.is_empty() { Node::Ready(digests) } else { Node::Needs(needs) }
}

/// What the filters of a dataset entry measure.
pub(super) fn measures(kind: SampleKind, dataset: &Dataset) -> Vec<Measure> {
    let field = dataset.text_field.as_deref().unwrap_or(kind.default_field());
    dataset
        .filters
        .iter()
        .filter_map(|filter| ScoreKind::from_type_name(filter.type_name()))
        .map(|kind| Measure { kind, field: field.to_owned() })
        .collect()
}

/// The chunks of a dataset entry that are known, and where more would come from.
struct Chunks<'db> {
    steps: Vec<Step<'db>>,
    /// The files with unknown chunks, and how many of each are known.
    unknown: Vec<(Arc<SourceFile>, u32)>,
}

fn chunks<'db>(
    db: &'db dyn PlannerDb,
    files: &[Arc<SourceFile>],
    conversion: Option<&Conversion>,
    kind: SampleKind,
) -> Result<Chunks<'db>, Failure> {
    let mut chunks = Chunks { steps: Vec::new(), unknown: Vec::new() };
    for file in files {
        let scan = scanned(db, file)?;
        // Chunks behind an unknown one cannot be numbered yet.
        if let (Some(scan), Some(conversion), true) = (scan, conversion, chunks.unknown.is_empty()) {
            let header: Arc<[u8]> = scan.header.as_slice().into();
            for (number, chunk) in scan.chunks.iter().enumerate() {
                let chunk = ChunkRef {
                    file: file.clone(),
                    number: number as u32,
                    digest: chunk.digest,
                    rows: chunk.rows,
                    place: chunk.place,
                    encoding: scan.encoding,
                    header: header.clone(),
                };
                chunks.steps.push(Step::new(db, chunk, conversion.clone(), kind));
            }
        }
        if scan.is_none_or(|scan| !scan.complete) {
            chunks.unknown.push((file.clone(), scan.map_or(0, |scan| scan.chunks.len() as u32)));
        }
    }
    Ok(chunks)
}

/// The selection from a dataset entry.
///
/// Without `max_samples` it is made from all chunks. With it, from the shortest prefix that holds enough samples, and
/// if filters leave too few, from a longer one whose length follows from the last selection alone: so the same chunks
/// are asked for whatever else has been read of the source.
#[salsa::tracked]
pub(super) fn selected(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Node<SelectedSource> {
    let Some((kind, dataset)) = dataset(db, file, number) else { return invalid() };
    let files = match files(db, file, number) {
        Ok(files) => files,
        Err(failure) => return Node::Failed(failure.clone()),
    };
    let conversion = match conversion(db, file, number) {
        Ok(conversion) => conversion.as_ref(),
        Err(failure) => return Node::Failed(failure.clone()),
    };
    let chunks = match chunks(db, files, conversion, *kind) {
        Ok(chunks) => chunks,
        Err(failure) => return Node::Failed(failure),
    };
    if let Some(failure) = unknown_text_field(db, files, *kind, dataset) {
        return Node::Failed(failure);
    }
    let request = Request { kind: *kind, conversion, measures: measures(*kind, dataset), dataset };
    let mut target = dataset.max_samples;
    loop {
        let prefix = ready!(prefix(db, &chunks, &request, target));
        let mut chosen = Vec::with_capacity(prefix);
        let mut needs = Vec::new();
        for step in &chunks.steps[..prefix] {
            let converted = ready!(converted(db, *step)).clone();
            match scored(db, *step, request.measures.clone()) {
                Node::Ready(scores) => {
                    chosen.push(ConvertedChunk { chunk: step.chunk(db).clone(), converted, scores: scores.clone() });
                }
                Node::Needs(actions) => needs.extend(actions.iter().cloned()),
                Node::Failed(failure) => return Node::Failed(failure.clone()),
            }
        }
        if !needs.is_empty() {
            return Node::Needs(needs);
        }
        let samples: u64 = chosen.iter().map(|chunk| u64::from(chunk.converted.samples)).sum();
        let chosen = Arc::new(chosen);
        let selected = ready!(node(
            db,
            action::select_key(&chosen, &dataset.filters, dataset.max_samples),
            |outcome| if let Outcome::Select(outcome) = outcome { Some(outcome.clone()) } else { None },
            || Work::Select { chunks: chosen.clone(), filters: dataset.filters.clone(), max: dataset.max_samples },
        ));
        let is_all = chunks.unknown.is_empty() && prefix == chunks.steps.len();
        match dataset.max_samples {
            Some(max) if !selected.reached_max && !is_all => target = Some(more(max, samples, selected.kept)),
            _ => {
                return Node::Ready(SelectedSource {
                    name: dataset.name.clone(),
                    chunks: chosen,
                    selected,
                    weights: Vec::new(),
                });
            }
        }
    }
}

/// Why filters cannot measure what the recipe says: neither samples nor source rows have such a field.
fn unknown_text_field(
    db: &dyn PlannerDb,
    files: &[Arc<SourceFile>],
    kind: SampleKind,
    dataset: &Dataset,
) -> Option<Failure> {
    let field = dataset.text_field.as_deref().filter(|field| !kind.fields().contains(field))?;
    let Ok(Some(scan)) = scanned(db, files.first()?) else { return None };
    if scan.columns.is_empty() || scan.columns.iter().any(|column| column == field) {
        return None;
    }
    let message = format!("measure `text_field: {field}` of `{}`: no such field", dataset.name);
    Some(Failure::new(FailureKind::Config, message).hint(format!(
        "samples have {}; rows of the source have {}",
        kind.fields().join(", "),
        scan.columns.join(", ")
    )))
}

/// How many samples to look at next when `kept` of `samples` passed and `max` are wanted: as many as the share that
/// passed suggests, and a sixteenth more.
fn more(max: u64, samples: u64, kept: u64) -> u64 {
    let missing = u128::from(max - kept) * u128::from(samples.max(1)) / u128::from(kept.max(1));
    let missing = u64::try_from(missing).unwrap_or(u64::MAX / 4);
    samples + missing + missing / 16 + 1
}

struct Request<'a> {
    kind: SampleKind,
    conversion: Option<&'a Conversion>,
    measures: Vec<Measure>,
    dataset: &'a Dataset,
}

/// How many chunks from the beginning hold `target` samples; all of them if it is `None` or there are not enough.
fn prefix(db: &dyn PlannerDb, chunks: &Chunks<'_>, request: &Request<'_>, target: Option<u64>) -> Node<usize> {
    let (mut needs, mut samples) = (Vec::new(), 0_u64);
    for (number, step) in chunks.steps.iter().enumerate() {
        if target.is_some_and(|target| samples >= target) {
            return if needs.is_empty() { Node::Ready(number) } else { Node::Needs(needs) };
        }
        match converted(db, *step) {
            Node::Ready(outcome) => samples += u64::from(outcome.samples),
            Node::Needs(actions) => {
                needs.extend(actions.iter().cloned());
                // No row makes more than one sample, so this many chunks are needed at least.
                samples += u64::from(step.chunk(db).rows);
            }
            Node::Failed(failure) => return Node::Failed(failure.clone()),
        }
    }
    if target.is_none_or(|target| samples < target) {
        // Which further files are needed is known only when this one is read, unless all are.
        let wanted = if request.dataset.max_samples.is_none() { chunks.unknown.len() } else { 1 };
        for (file, known) in chunks.unknown.iter().take(wanted) {
            let follower = Follower {
                conversion: request.conversion.cloned(),
                options: request.dataset.options.clone(),
                kind: request.kind,
                measures: request.measures.clone(),
                samples: target.map(|target| target - samples),
            };
            let scan = ScanWork { file: file.clone(), known: *known, followers: vec![follower] };
            needs.push(Arc::new(Action { key: action::scan_key(file), work: Work::Scan(scan) }));
        }
    }
    if needs.is_empty() { Node::Ready(chunks.steps.len()) } else { Node::Needs(needs) }
}

/// All selections of a recipe, and what each source is to give.
#[salsa::tracked]
fn mixed(db: &dyn PlannerDb, file: RecipeFile) -> Node<(Arc<Vec<SelectedSource>>, Allotment)> {
    let Some((mix, shares, max_rejects)) = mixing(db, file) else { return invalid() };
    let (mut sources, mut needs) = (Vec::new(), Vec::new());
    for number in 0..shares.len() {
        match selected(db, file, number) {
            Node::Ready(source) => sources.push(source.clone()),
            Node::Needs(actions) => needs.extend(actions.iter().cloned()),
            Node::Failed(failure) => return Node::Failed(failure.clone()),
        }
    }
    if !needs.is_empty() {
        return Node::Needs(needs);
    }
    if let Some(failure) = refusal(&sources, *max_rejects) {
        return Node::Failed(failure);
    }
    let sizes: Vec<u64> = sources
        .iter()
        .map(|source| match mix.unit {
            Unit::Rows => source.selected.kept,
            Unit::Characters | Unit::Tokens => source.selected.characters,
        })
        .collect();
    let allotment = allot(&sizes, shares, mix.strategy, mix.total);
    Node::Ready((Arc::new(sources), allotment))
}

/// Why what was selected must not be built: too many rejects, or a source that gives nothing.
fn refusal(sources: &[SelectedSource], max_rejects: Option<MaxRejects>) -> Option<Failure> {
    let total = |source: &SelectOutcome| source.rejects.iter().map(|(_, count)| count).sum::<u64>();
    let rejects: u64 = sources.iter().map(|source| total(&source.selected)).sum();
    let rows: u64 = sources.iter().map(|source| source.selected.rows_read).sum();
    let (too_many, allowed) = match max_rejects {
        Some(MaxRejects::Count(max)) => (rejects > max, max.to_string()),
        Some(MaxRejects::Share(max)) => (rejects as f64 > max * rows as f64, format!("{}%", max * 100.0)),
        None => (false, String::new()),
    };
    if too_many {
        let message = format!("accept {rejects} rejected rows of {rows}: `max_rejects` allows {allowed}");
        return Some(
            Failure::new(FailureKind::Policy, message)
                .hint("look at them in the quarantine file of the last build, or raise `max_rejects`"),
        );
    }
    let empty = sources.iter().find(|source| source.selected.kept == 0)?;
    let outcome = &empty.selected;
    let mut why: Vec<String> =
        outcome.rejects.iter().map(|(reason, count)| format!("{count} {}", reason.code())).collect();
    why.extend(
        outcome
            .filters
            .iter()
            .map(|filter| format!("{} let {} of {} pass", filter.filter, filter.rows_out, filter.rows_in)),
    );
    let why = if why.is_empty() { "there are none".to_owned() } else { why.join(", ") };
    let message = format!("use `{}`: none of its {} rows is left ({why})", empty.name, outcome.rows_read);
    Some(
        Failure::new(FailureKind::Policy, message).hint("check `text_field`, `filters` and `converter` of this source"),
    )
}

#[salsa::tracked]
fn arranged(db: &dyn PlannerDb, file: RecipeFile) -> Node<ArrangeOutcome> {
    let (sources, allotment) = ready!(mixed(db, file));
    let (Some(validation), Some((mix, _, _))) = (validation(db, file), mixing(db, file)) else { return invalid() };
    node(
        db,
        action::arrange_key(sources, allotment, mix.unit, validation),
        |outcome| if let Outcome::Arrange(outcome) = outcome { Some(outcome.clone()) } else { None },
        || Work::Arrange {
            sources: sources.to_vec(),
            allotment: allotment.clone(),
            unit: mix.unit,
            validation: validation.clone(),
        },
    )
}

#[salsa::tracked]
fn output(db: &dyn PlannerDb, file: RecipeFile) -> Node<(FileOutcome, FileOutcome)> {
    let arranged = ready!(arranged(db, file));
    let (sources, _) = ready!(mixed(db, file));
    let Some(stem) = stem(db, file) else { return invalid() };
    node(
        db,
        action::output_key(sources, arranged),
        |outcome| if let Outcome::Output(train, validation) = outcome { Some((*train, *validation)) } else { None },
        || Work::Output { stem: stem.clone(), sources: sources.to_vec(), arranged: arranged.clone() },
    )
}

#[salsa::tracked]
fn quarantine(db: &dyn PlannerDb, file: RecipeFile) -> Node<Option<FileOutcome>> {
    let (sources, _) = ready!(mixed(db, file));
    if sources.iter().all(|source| source.selected.rejects.is_empty()) {
        return Node::Ready(None);
    }
    let Some(stem) = stem(db, file) else { return invalid() };
    node(
        db,
        action::quarantine_key(sources),
        |outcome| if let Outcome::Quarantine(file) = outcome { Some(Some(*file)) } else { None },
        || Work::Quarantine { stem: stem.clone(), sources: sources.to_vec() },
    )
}

/// The whole of a recipe.
#[salsa::tracked]
pub(crate) fn plan(db: &dyn PlannerDb, file: RecipeFile) -> Node<RecipePlan> {
    let needs = match (output(db, file), quarantine(db, file)) {
        (Node::Failed(failure), _) | (_, Node::Failed(failure)) => return Node::Failed(failure.clone()),
        (Node::Ready((train, validation)), Node::Ready(quarantine)) => {
            let (sources, allotment) = ready!(mixed(db, file));
            let arranged = ready!(arranged(db, file));
            let Some(stem) = stem(db, file) else { return invalid() };
            return Node::Ready(RecipePlan {
                stem: stem.clone(),
                sources: sources.clone(),
                arranged: arranged.clone(),
                allotment: allotment.clone(),
                train: *train,
                validation: *validation,
                quarantine: *quarantine,
            });
        }
        // While selections are missing both ask for the same actions; the driver runs each key once.
        (Node::Needs(needs), Node::Needs(more)) => needs.iter().chain(more).cloned().collect(),
        (Node::Needs(needs), _) | (_, Node::Needs(needs)) => needs.clone(),
    };
    Node::Needs(needs)
}

/// For each stage of a recipe: its name, how many of its actions are known, and how many are missing; `None`: that
/// hangs on a stage before it.
pub(crate) fn stages(db: &dyn PlannerDb, file: RecipeFile) -> Vec<(&'static str, u64, Option<u64>)> {
    let sources = parse(db, file).as_ref().map_or(0, |recipe| recipe.datasets.len());
    let mut scan = (0, 0);
    let (mut convert, mut score) = ((0, Some(0)), (0, Some(0)));
    let mut select = (0, Some(0));
    for number in 0..sources {
        let Some((kind, dataset)) = dataset(db, file, number) else { continue };
        let (Ok(files), Ok(conversion)) = (files(db, file, number), conversion(db, file, number)) else { continue };
        for file in files {
            match scanned(db, file) {
                Ok(Some(_)) => scan.0 += 1,
                _ => scan.1 += 1,
            }
        }
        let Ok(chunks) = chunks(db, files, conversion.as_ref(), *kind) else { continue };
        // Files that need not be read any further do not count.
        if dataset.max_samples.is_some() && !chunks.steps.is_empty() {
            scan.1 = 0;
        }
        let is_unknown = scan.1 > 0;
        let mut samples = 0;
        for step in &chunks.steps {
            if dataset.max_samples.is_some_and(|max| samples >= max) {
                break;
            }
            match converted(db, *step) {
                Node::Ready(outcome) => {
                    convert.0 += 1;
                    samples += u64::from(outcome.samples);
                }
                _ => {
                    convert.1 = convert.1.map(|missing| missing + 1);
                    samples += u64::from(step.chunk(db).rows);
                }
            }
            let measures = measures(*kind, dataset);
            let wanted = measures.len() as u64;
            match scored(db, *step, measures) {
                Node::Ready(digests) => score.0 += digests.len() as u64,
                _ => score.1 = score.1.map(|missing| missing + wanted),
            }
        }
        if is_unknown {
            (convert.1, score.1) = (None, None);
        }
        match selected(db, file, number) {
            Node::Ready(_) => select.0 += 1,
            _ => select.1 = None,
        }
    }
    let last = |is_known: bool, before_is_known: bool| match (is_known, before_is_known) {
        (true, _) => (1, Some(0)),
        (false, true) => (0, Some(1)),
        (false, false) => (0, None),
    };
    let is_mixed = matches!(mixed(db, file), Node::Ready(_));
    let is_arranged = matches!(arranged(db, file), Node::Ready(_));
    let arrange = last(is_arranged, is_mixed);
    let output = last(matches!(output(db, file), Node::Ready(_)), is_arranged);
    vec![
        ("scan", scan.0, Some(scan.1)),
        ("convert", convert.0, convert.1),
        ("score", score.0, score.1),
        ("select", select.0, select.1),
        ("arrange", arrange.0, arrange.1),
        ("output", output.0, output.1),
    ]
}
