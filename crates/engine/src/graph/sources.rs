//! From a dataset entry to its pinned files and its converter.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    action::{Conversion, Outcome, ScanOutcome, SourceFile},
    inputs::{Known, PlannerDb, RecipeFile, Snapshot, SnapshotKey, VersionsIn, World},
    keys::Scan,
    queries::{dataset, in_entry, known},
};
use crate::source::{
    FileDigest, Purpose, RemoteFile, Selection, SourceError,
    layout::{self, Origin},
    members, splits,
};
use datac_core::{
    config::{Dataset, Function, Location, Program, did_you_mean},
    convert::{self, ChooseError, Converter},
    failure::{Failure, FailureKind, SourceFault},
    format::{FileKind, Reading, RowFormat},
    id::ActionKey,
    key::Keyed,
    license::{License, Stated},
    mapping::Mapping,
    sample::{SampleKind, Slot},
    survey::{SURVEYED, Survey},
};
use datac_decode::Member;

/// Returns the key of the snapshot that a dataset entry depends on.
///
/// `here` has the names that could be of repositories and are of files or folders of the workspace.
pub(crate) fn snapshot_key(dataset: &Dataset, here: &BTreeSet<String>) -> SnapshotKey {
    let selection = || Selection {
        format: dataset.format,
        splits: dataset.splits.clone(),
        data_dir: dataset.data_dir.clone(),
        paths: match &dataset.location {
            Location::Bucket { addresses, .. } => addresses.clone(),
            location => location.paths().to_vec(),
        },
        config_name: dataset.config_name.clone(),
        purpose: Purpose::Rows,
    };
    let is_selected = match &dataset.location {
        Location::Hub { .. } => false,
        Location::Local { .. } | Location::Bucket { .. } => true,
        Location::Named { name, .. } => here.contains(name),
    };
    SnapshotKey {
        source: dataset.location.source().to_owned(),
        revision: dataset.location.revision().map(str::to_owned),
        selection: is_selected.then(selection),
    }
}

/// Returns the keys of all snapshots that a dataset entry depends on: its rows, and the files of its program and its filters.
pub(crate) fn snapshot_keys(dataset: &Dataset, here: &BTreeSet<String>) -> Vec<SnapshotKey> {
    let of_program = dataset.options.program.iter().flat_map(program_files);
    let functions = dataset.filters.iter().filter_map(|filter| Some(filter.function()?.0));
    let files = of_program.chain(functions.flat_map(function_files));
    [snapshot_key(dataset, here)].into_iter().chain(files.map(|(_, key)| key)).collect()
}

/// Returns what decides what a program does: paths of the workspace, each with the key of the files that it stands for.
fn program_files(program: &Program) -> Vec<(&str, SnapshotKey)> {
    match program {
        Program::Command(command) => command.files.iter().map(|path| files_at(path, Purpose::Files)).collect(),
        Program::Python(function) => function_files(function),
    }
}

/// Returns what decides what a function does, as [`program_files`] does.
fn function_files(function: &Function) -> Vec<(&str, SnapshotKey)> {
    let files = function.files.iter().map(|path| {
        // A file in Python imports others, too.
        files_at(path, if path.ends_with(".py") { Purpose::Module } else { Purpose::Files })
    });
    [files_at(&function.module, Purpose::Module)].into_iter().chain(files).collect()
}

fn files_at(path: &str, purpose: Purpose) -> (&str, SnapshotKey) {
    let selection = Selection { paths: vec![path.to_owned()], purpose, ..Selection::default() };
    (path, SnapshotKey { source: path.to_owned(), revision: None, selection: Some(selection) })
}

/// Returns the digests of the files that decide what the program of a dataset entry does, by path.
fn digests_of_program(db: &dyn PlannerDb, dataset: &Dataset) -> Result<Vec<(String, FileDigest)>, Failure> {
    match &dataset.options.program {
        None => Ok(Vec::new()),
        Some(program @ Program::Command(_)) => {
            digests_of(db, program_files(program), SourceFault::Command, "the command")
        }
        Some(Program::Python(function)) => digests_of_function(db, function),
    }
}

/// Returns the digests of the files that decide what a function does, by path.
pub(super) fn digests_of_function(
    db: &dyn PlannerDb,
    function: &Function,
) -> Result<Vec<(String, FileDigest)>, Failure> {
    digests_of(db, function_files(function), SourceFault::Python, &format!("`{function}`"))
}

/// Returns the digests of files by path; `of` names what needs them.
fn digests_of(
    db: &dyn PlannerDb,
    files: Vec<(&str, SnapshotKey)>,
    fault: SourceFault,
    of: &str,
) -> Result<Vec<(String, FileDigest)>, Failure> {
    let mut digests = BTreeMap::new();
    for (path, key) in files {
        let missing =
            || Failure::plain(FailureKind::Config, format!("the file `{path}` of {of} does not exist")).about(fault);
        let input = World::get(db).snapshots(db).get(&key);
        match input.and_then(|input| input.state(db).as_ref()) {
            Some(Ok(snapshot)) if !snapshot.files.is_empty() => {
                digests.extend(snapshot.files.iter().map(|file| (file.path.clone(), file.digest)));
            }
            Some(Err(failure)) => return Err(failure.clone()),
            _ => return Err(missing()),
        }
    }
    Ok(digests.into_iter().collect())
}

/// Returns the files of a dataset entry, in reading order.
#[salsa::tracked]
pub(super) fn files(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Vec<Arc<SourceFile>>, Failure> {
    let format = dataset(db, file, number).as_ref().and_then(|(_, dataset)| dataset.format);
    expand(db, listed(db, file, number)?, format)
}

/// Returns the files of a dataset entry as their places list them, in reading order: archives stay whole. They are known
/// before anything has been read.
pub(crate) fn listed_files(
    db: &dyn PlannerDb,
    file: RecipeFile,
    number: usize,
) -> Result<Vec<Arc<SourceFile>>, Failure> {
    Ok(listed(db, file, number)?.into_iter().map(|listed| listed.file).collect())
}

fn listed(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Vec<Listed>, Failure> {
    let Some((_, dataset)) = dataset(db, file, number) else {
        return Err(Failure::new(FailureKind::Config, "read the recipe"));
    };
    let key = snapshot_key(dataset, World::get(db).here(db));
    let state = World::get(db).snapshots(db).get(&key).and_then(|input| input.state(db).as_ref());
    let Some(snapshot) = state else {
        return Err(Failure::plain(FailureKind::Lock, format!("`{}` is not in datac.lock", dataset.location.source()))
            .about(SourceFault::NotPinned)
            .hint("run `datac lock` or `datac build`"));
    };
    let Snapshot { origin, card, files, selected, .. } = &**snapshot.as_ref().map_err(Clone::clone)?;
    let source_file = |file: &RemoteFile, kind, reading: &Reading| {
        Arc::new(SourceFile {
            inside: None,
            origin: origin.clone(),
            path: file.path.clone(),
            size: file.size,
            digest: file.digest,
            etag: file.etag.clone(),
            kind,
            reading: dataset.reading.over(reading),
        })
    };
    if let Some(kinds) = selected {
        let file = |(file, kind): (&RemoteFile, &FileKind)| Listed {
            file: source_file(file, *kind, &Reading::default()),
            splits: if splits::is_said(&file.path) { Vec::new() } else { dataset.splits.clone() },
        };
        return Ok(files.iter().zip(kinds).map(file).collect());
    }
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let want = layout::Want {
        repo: &origin.name,
        config_name: dataset.config_name.as_deref(),
        data_dir: &dataset.data_dir,
        splits: &dataset.splits,
        default_config: crate::source::known::default_config(&origin.name),
    };
    let selected = layout::resolve(&paths, card.as_deref(), &want).map_err(refusal)?;
    let by_path: BTreeMap<&str, &RemoteFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    let file = |selected: layout::Selected| {
        Some(Listed {
            file: source_file(by_path.get(selected.path.as_str())?, selected.kind, &selected.reading),
            splits: if selected.origin == Origin::Said { Vec::new() } else { vec![selected.split] },
        })
    };
    Ok(selected.into_iter().filter_map(file).collect())
}

fn refusal(error: SourceError) -> Failure {
    match error {
        SourceError::Layout { fault, word, reason } => {
            word.into_iter().fold(Failure::plain(FailureKind::Config, reason).about(fault), Failure::at_word)
        }
        error => Failure::new(FailureKind::Config, error),
    }
}

/// A file as its place lists it.
struct Listed {
    file: Arc<SourceFile>,
    /// The splits whose files are wanted, if it is an archive and nothing says of which split it is as a whole.
    splits: Vec<String>,
}

/// Replaces archives by those of their files that are read. An archive whose files are not known yet stays.
fn expand(db: &dyn PlannerDb, listed: Vec<Listed>, format: Option<RowFormat>) -> Result<Vec<Arc<SourceFile>>, Failure> {
    let mut files = Vec::with_capacity(listed.len());
    // Not every archive need have files of each split, but one must.
    let mut lacking: BTreeMap<String, Failure> = BTreeMap::new();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for Listed { file, splits } in listed {
        if !file.kind.format.is_archive() {
            files.push(file);
            continue;
        }
        let Some(members) = listing(db, &file)? else {
            // Nothing can be said of splits before all archives are known.
            found.extend(splits);
            files.push(file);
            continue;
        };
        let wanted = if splits.is_empty() { vec![None] } else { splits.into_iter().map(Some).collect() };
        for split in wanted {
            match (members::select(&file.path, &members, format, split.as_deref()), split) {
                (Ok(selected), split) => {
                    files.extend(selected.into_iter().map(|(member, kind)| Arc::new(file.member(member, kind))));
                    found.extend(split);
                }
                (Err(error @ SourceError::Layout { fault: SourceFault::NoSplit, .. }), Some(split)) => {
                    lacking.entry(split).or_insert_with(|| refusal(error));
                }
                (Err(error), _) => return Err(refusal(error)),
            }
        }
    }
    match lacking.into_iter().find(|(split, _)| !found.contains(split)) {
        Some((_, failure)) => Err(failure),
        None => Ok(files),
    }
}

/// Returns the files of an archive; `None` if they are not known yet.
fn listing(db: &dyn PlannerDb, archive: &SourceFile) -> Result<Option<Arc<Vec<Member>>>, Failure> {
    match known(db, &scan_key(db, archive)) {
        Known::Outcome(Outcome::List(members)) => Ok(Some(members.clone())),
        Known::Failure(failure) => Err(archive.told(failure)),
        _ => Ok(None),
    }
}

/// An archive of which a dataset entry does not read all files.
pub(crate) struct PartlyRead {
    /// Its path.
    pub(crate) archive: String,
    /// Number of its files that are read.
    pub(crate) read: usize,
    /// The paths of those that are not, the path of the archive before them.
    pub(crate) passed_over: Vec<String>,
}

/// Returns the archives of a dataset entry of which it does not read all files.
pub(crate) fn partly_read(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Vec<PartlyRead> {
    let Ok(files) = files(db, file, number) else { return Vec::new() };
    let mut archives: BTreeMap<String, (SourceFile, BTreeSet<&str>)> = BTreeMap::new();
    for file in files {
        let (Some(archive), Some(inside)) = (file.archive(), &file.inside) else { continue };
        let (_, read) = archives.entry(archive.path.clone()).or_insert_with(|| (archive, BTreeSet::new()));
        read.insert(&inside.member.path);
    }
    let partly = |(archive, read): (SourceFile, BTreeSet<&str>)| {
        let members = listing(db, &archive).ok()??;
        let passed_over = members::passed_over(&members, |member| read.contains(member.path.as_str()));
        let passed_over: Vec<String> = passed_over.iter().map(|path| format!("{}/{path}", archive.path)).collect();
        (!passed_over.is_empty()).then_some(PartlyRead { archive: archive.path, read: read.len(), passed_over })
    };
    archives.into_values().filter_map(partly).collect()
}

/// Returns the licence of a dataset entry: the recipe's word, or else what the source states.
pub(crate) fn license(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Option<License> {
    let (_, dataset) = dataset(db, file, number).as_ref()?;
    if let Some(license) = License::new(dataset.license.iter().cloned(), Stated::Recipe) {
        return Some(license);
    }
    let key = snapshot_key(dataset, World::get(db).here(db));
    let snapshot = World::get(db).snapshots(db).get(&key)?.state(db).as_ref()?;
    snapshot.as_ref().ok()?.license.clone()
}

/// Returns the key of the action that cuts a file.
pub(super) fn scan_key(db: &dyn PlannerDb, file: &SourceFile) -> ActionKey {
    Scan { file }.key(&(), &VersionsIn(db))
}

/// Returns the chunks of a file that are known; `None` if the file has not been scanned.
pub(super) fn scanned<'db>(
    db: &'db dyn PlannerDb,
    file: &SourceFile,
) -> Result<Option<&'db Arc<ScanOutcome>>, Failure> {
    match known(db, &scan_key(db, file)) {
        Known::Outcome(Outcome::Scan(outcome)) => Ok(Some(outcome)),
        Known::Failure(failure) => Err(file.told(failure)),
        _ => Ok(None),
    }
}

/// Returns the converter of a dataset entry; `None` while it depends on columns that have not been read yet.
#[salsa::tracked]
pub(super) fn conversion(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Option<Conversion>, Failure> {
    let Some((kind, dataset)) = dataset(db, file, number) else { return Ok(None) };
    let files = files(db, file, number).as_ref().map_err(Clone::clone)?;
    let repo = files.first().and_then(|file| file.origin.repo()).unwrap_or_default();
    let survey = survey(db, files)?;
    let mut options = dataset.options.clone();
    if dataset.converter.is_none()
        && let Some(columns) = text_of(*kind, dataset.text_field.as_deref(), survey.as_ref(), &options)
    {
        options.columns = columns;
    }
    let chosen = choose(dataset.converter.as_deref(), repo, *kind, survey.as_ref(), &options)?;
    let files = digests_of_program(db, dataset)?;
    Ok(chosen.map(|converter| Conversion { converter: converter.name(), options, files }))
}

/// Returns the mapping of a text's column where `text_field` names one, and rows have no `text`.
pub(crate) fn text_of(
    kind: SampleKind,
    text_field: Option<&str>,
    survey: Option<&Survey>,
    options: &convert::Options,
) -> Option<Mapping> {
    let (survey, field) = (survey?, text_field?);
    let filled = |name: &str| survey.column(name).is_some_and(|column| column.filled > 0);
    (kind == SampleKind::Text && options.columns.is_empty() && filled(field) && !filled("text"))
        .then(|| Mapping::column(Slot::Text, field))
}

/// What is known of the first good rows of files.
pub(super) enum Surveyed {
    /// What they look like; `None` if there is no row.
    Known(Option<Survey>),
    /// Too few have been read: this file is next.
    Lacks(Arc<SourceFile>),
}

/// Returns what is known of the first good rows of files.
pub(super) fn surveyed(db: &dyn PlannerDb, files: &[Arc<SourceFile>]) -> Result<Surveyed, Failure> {
    let mut survey = Survey::default();
    let mut has_rows = false;
    for file in files {
        match scanned(db, file)? {
            Some(scan) if scan.complete || scan.survey.is_full() => {
                has_rows |= !scan.chunks.is_empty();
                survey.merge(&scan.survey);
            }
            _ => return Ok(Surveyed::Lacks(file.clone())),
        }
        if survey.is_full() {
            break;
        }
    }
    Ok(Surveyed::Known(has_rows.then_some(survey)))
}

/// Returns what the first good rows of files look like; `None` while too few of them have been read.
fn survey(db: &dyn PlannerDb, files: &[Arc<SourceFile>]) -> Result<Option<Survey>, Failure> {
    match surveyed(db, files)? {
        Surveyed::Known(survey) => Ok(survey),
        Surveyed::Lacks(_) => Ok(None),
    }
}

/// Returns what the first good rows of a dataset entry look like, if they have been read.
pub(crate) fn survey_of(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Option<Survey> {
    survey(db, files(db, file, number).as_ref().ok()?).ok()?
}

/// Returns the conversion of a dataset entry, if it is known.
pub(crate) fn conversion_of(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Option<Conversion> {
    conversion(db, file, number).as_ref().ok()?.clone()
}

/// Returns the files of a dataset entry, in reading order.
pub(crate) fn files_of(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<&[Arc<SourceFile>], Failure> {
    files(db, file, number).as_deref().map_err(|failure| in_entry(db, file, number, failure))
}

/// Returns the converter, after checking its options; `None` if the choice needs the columns and they are not known
/// yet.
pub(crate) fn choose(
    explicit: Option<&str>,
    repo: &str,
    kind: SampleKind,
    survey: Option<&Survey>,
    options: &convert::Options,
) -> Result<Option<&'static dyn Converter>, Failure> {
    let refused =
        |fault, message: String, hint: String| Failure::plain(FailureKind::Config, message).about(fault).hint(hint);
    let seen = survey.map(|survey| match options.ignore.is_empty() {
        true => Cow::Borrowed(survey),
        false => Cow::Owned(survey.without(|name| options.ignore.contains(name))),
    });
    let seen = seen.as_deref();
    let chosen = || match (convert::choose(explicit, repo, kind, seen.unwrap_or(&Survey::default())), seen) {
        (Ok(converter), _) => Ok(Some(converter)),
        (Err(_), None) if explicit.is_none() => Ok(None),
        (Err(error @ (ChooseError::Ambiguous { .. } | ChooseError::Doubtful { .. })), _) => {
            Err(refused(SourceFault::SeveralConverters, error.to_string(), error.hint()))
        }
        (Err(error), _) => Err(refused(SourceFault::NoConverter, error.to_string(), error.hint())),
    };
    let converter = if let Some(program) = &options.program {
        convert::external(kind, program)
    } else if options.columns.is_empty() {
        let Some(converter) = chosen()? else { return Ok(None) };
        converter
    } else {
        survey.map_or(Ok(()), |survey| has_columns(survey, &options.columns))?;
        convert::mapped(kind)
    };
    for (name, value) in options.iter() {
        let Some(option) = converter.options().iter().find(|option| option.name == name) else {
            let known: Vec<&str> = converter.options().iter().map(|option| option.name).collect();
            let hint = match known[..] {
                [] => "it has no options".to_owned(),
                _ => format!("its options: {}", known.join(", ")),
            };
            let message = format!("converter `{}` has no option `{name}`", converter.name());
            return Err(refused(SourceFault::NoConverter, message, hint));
        };
        if !option.values.contains(&value.as_str()) {
            let hint = format!("allowed: {}", option.values.join(", "));
            return Err(refused(SourceFault::NoConverter, format!("invalid option `{name}: {value}`"), hint));
        }
    }
    Ok(Some(converter))
}

/// Refuses a mapping of columns that no surveyed row has.
fn has_columns(survey: &Survey, mapping: &Mapping) -> Result<(), Failure> {
    let is_there = |name: &str| survey.column(name).is_some();
    // Of no rows nothing can be said.
    for entry in mapping.entries.iter().filter(|_| survey.rows > 0) {
        if let Some(missing) = entry.lacks(is_there) {
            let known = survey.names();
            let none = if survey.rows < SURVEYED {
                "no row has".to_owned()
            } else {
                format!("none of the first {} rows has", survey.rows)
            };
            let message = format!("{none} the column `{missing}`, which is the `{}`", entry.word);
            let hint = match did_you_mean(missing, &known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the columns are {}", known.join(", ")),
            };
            let failure = Failure::plain(FailureKind::Config, message).about(SourceFault::NoColumn);
            return Err(failure.at_word(entry.word.clone()).hint(hint));
        }
    }
    Ok(())
}
