//! From a dataset entry to its pinned files and its converter.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    action::{Conversion, Outcome, ScanOutcome, SourceFile},
    inputs::{Known, PlannerDb, RecipeFile, Snapshot, SnapshotKey, VersionsIn, World},
    keys::Scan,
    queries::{dataset, in_entry, known},
};
use crate::source::{RemoteFile, Selection, SourceError, layout};
use datac_core::{
    config::Dataset,
    convert::{self, ChooseError, Converter},
    failure::{Failure, FailureKind, SourceFault},
    id::ActionKey,
    key::Keyed,
    sample::SampleKind,
};

/// Returns the key of the snapshot that a dataset entry depends on.
pub(crate) fn snapshot_key(dataset: &Dataset) -> SnapshotKey {
    let selection =
        || Selection { format: dataset.format, splits: dataset.splits.clone(), data_dir: dataset.data_dir.clone() };
    SnapshotKey {
        source: dataset.location.source().to_owned(),
        revision: dataset.location.revision().map(str::to_owned),
        selection: dataset.location.is_local().then(selection),
    }
}

/// Returns the files of a dataset entry, in reading order.
#[salsa::tracked]
pub(super) fn files(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Vec<Arc<SourceFile>>, Failure> {
    let Some((_, dataset)) = dataset(db, file, number) else {
        return Err(Failure::new(FailureKind::Config, "read the recipe"));
    };
    let key = snapshot_key(dataset);
    let state = World::get(db).snapshots(db).get(&key).and_then(|input| input.state(db).as_ref());
    let Some(snapshot) = state else {
        return Err(Failure::plain(FailureKind::Lock, format!("`{}` is not in datac.lock", dataset.location.source()))
            .about(SourceFault::NotPinned)
            .hint("run `datac lock` or `datac build`"));
    };
    let Snapshot { origin, card, files, selected } = &**snapshot.as_ref().map_err(Clone::clone)?;
    let source_file = |file: &RemoteFile, kind| {
        Arc::new(SourceFile {
            origin: origin.clone(),
            path: file.path.clone(),
            size: file.size,
            digest: file.digest,
            kind,
        })
    };
    if let Some(kinds) = selected {
        return Ok(files.iter().zip(kinds).map(|(file, kind)| source_file(file, *kind)).collect());
    }
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let want = layout::Want {
        repo: &origin.name,
        config_name: dataset.config_name.as_deref(),
        data_dir: &dataset.data_dir,
        splits: &dataset.splits,
        default_config: crate::source::known::default_config(&origin.name),
    };
    let selected = layout::resolve(&paths, card.as_deref(), &want).map_err(|error| match error {
        SourceError::Layout { fault, word, reason } => {
            word.into_iter().fold(Failure::plain(FailureKind::Config, reason).about(fault), Failure::at_word)
        }
        error => Failure::new(FailureKind::Config, error),
    })?;
    let by_path: BTreeMap<&str, &RemoteFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    let file = |selected: layout::Selected| Some(source_file(by_path.get(selected.path.as_str())?, selected.kind));
    Ok(selected.into_iter().filter_map(file).collect())
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
        Known::Failure(failure) => Err(failure.clone()),
        _ => Ok(None),
    }
}

/// Returns the converter of a dataset entry; `None` while it depends on columns that have not been read yet.
#[salsa::tracked]
pub(super) fn conversion(db: &dyn PlannerDb, file: RecipeFile, number: usize) -> Result<Option<Conversion>, Failure> {
    let Some((kind, dataset)) = dataset(db, file, number) else { return Ok(None) };
    let files = files(db, file, number).as_ref().map_err(Clone::clone)?;
    let repo = files.first().and_then(|file| file.origin.repo()).unwrap_or_default();
    let columns: Option<Vec<&str>> = match files.first().map(|file| scanned(db, file)) {
        Some(Ok(Some(scan))) if !scan.chunks.is_empty() => Some(scan.columns.iter().map(String::as_str).collect()),
        Some(Err(failure)) => return Err(failure),
        _ => None,
    };
    match choose(dataset.converter.as_deref(), repo, *kind, columns.as_deref(), &dataset.options) {
        Ok(Some(converter)) => Ok(Some(Conversion { converter: converter.name(), options: dataset.options.clone() })),
        Ok(None) => Ok(None),
        Err(failure) => Err(failure.hint(format!(
            "set `converter: …` for `{1}` in `{0}`; `docs/rows.md` lists the columns of each converter",
            file.path(db),
            dataset.name
        ))),
    }
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
    columns: Option<&[&str]>,
    options: &convert::Options,
) -> Result<Option<&'static dyn Converter>, Failure> {
    let refused = |fault, message| Failure::plain(FailureKind::Config, message).about(fault);
    let converter = match (convert::choose(explicit, repo, kind, columns.unwrap_or(&[])), columns) {
        (Ok(converter), _) => converter,
        (Err(_), None) if explicit.is_none() => return Ok(None),
        (Err(error @ ChooseError::Ambiguous { .. }), _) => {
            return Err(refused(SourceFault::SeveralConverters, error.to_string()));
        }
        (Err(error), _) => return Err(refused(SourceFault::NoConverter, error.to_string())),
    };
    for (name, value) in options.iter() {
        let Some(option) = converter.options().iter().find(|option| option.name == name) else {
            let message = format!("converter `{}` has no option `{name}`", converter.name());
            return Err(refused(SourceFault::NoConverter, message));
        };
        if !option.values.contains(&value.as_str()) {
            let message = format!("invalid option `{name}: {value}`; allowed: {}", option.values.join(", "));
            return Err(refused(SourceFault::NoConverter, message));
        }
    }
    Ok(Some(converter))
}
