//! Sources that are files or folders of the workspace.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Asked, Bytes, FileDigest, Listing, RemoteFile, Selection, Source, SourceError,
    folder::{folders_below, walk},
    kind::{FileKind, Name, RowFormat, basename, compression_of, judge, why_sealed},
    layout::{Want, closest, resolve},
};
use crate::system::{self, FileError, Stat};
use datac_core::{config::format_word, failure::SourceFault, id::FileHash};

/// Function that returns the stat of a file and the digest of what it holds with that stat, possibly from a record of
/// unchanged files.
pub type HashFile = dyn Fn(&Path) -> Result<(Stat, FileHash), FileError> + Send + Sync;

/// The files of the workspace. Nothing pins them: they are looked at in each build.
pub struct LocalFiles {
    root: PathBuf,
    hash: Arc<HashFile>,
}

impl LocalFiles {
    /// Creates the source of the files below `root`.
    pub fn new(root: PathBuf, hash: Arc<HashFile>) -> Self {
        Self { root, hash }
    }
}

impl Source for LocalFiles {
    fn name(&self) -> String {
        "workspace".to_owned()
    }

    /// Lists what the selection wants of a file or folder, and hashes what has changed of that.
    fn resolve(&self, asked: &Asked<'_>) -> Result<Listing, SourceError> {
        let everything = Selection::default();
        let Selection { format, splits, data_dir } = asked.selection.unwrap_or(&everything);
        // Stats of folders come before their files: a file that comes in between then shows at the next look.
        let mut stood_on = Vec::new();
        for folder in folders(&self.root, asked.source)? {
            stood_on.push((folder.to_string_lossy().into_owned(), system::stat(&self.root.join(&folder))?));
        }
        let listed = list(&self.root, asked.source, *format, splits, data_dir)?;
        let (mut files, mut kinds) = (Vec::with_capacity(listed.len()), Vec::with_capacity(listed.len()));
        for (path, kind) in listed {
            let (stat, digest) = (self.hash)(&self.root.join(&path))?;
            let path = path.to_string_lossy().into_owned();
            stood_on.push((path.clone(), stat));
            files.push(RemoteFile { path, size: stat.size, digest: FileDigest::Blake3(digest) });
            kinds.push(kind);
        }
        Ok(Listing { id: asked.source.to_owned(), commit: None, files, selected: Some(kinds), stood_on })
    }

    fn open(&self, _: &str, _: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        let path = self.root.join(&file.path);
        Ok(Bytes::File(system::open(&path)?, path))
    }
}

/// Finds the files of a local source, in reading order, relative to the workspace `root`.
///
/// A file is used as it is, with the compression of its suffix. A folder is resolved as a repository is, by the names of
/// files and folders, among the files of the recipe's format alone; `data_dir` narrows it.
pub fn list(
    root: &Path,
    source: &str,
    format: Option<RowFormat>,
    splits: &[String],
    data_dir: &[String],
) -> Result<Vec<(PathBuf, FileKind)>, SourceError> {
    let place = root.join(source);
    if system::is_dir(&place) {
        folder(&place, source, format, splits, data_dir)
    } else {
        file(&place, source, format, splits, data_dir)
    }
}

/// Returns the folders of a local source, itself among them, relative to the workspace; none if it is a file.
///
/// Adding or removing a file changes only the stat of its folder.
pub fn folders(root: &Path, source: &str) -> Result<Vec<PathBuf>, SourceError> {
    let place = root.join(source);
    if !system::is_dir(&place) {
        return Ok(Vec::new());
    }
    Ok(folders_below(&place)?.into_iter().map(|folder| Path::new(source).join(folder)).collect())
}

fn layout_fault(reason: String) -> SourceError {
    layout_fault_of(SourceFault::NoRows, reason)
}

fn layout_fault_of(fault: SourceFault, reason: String) -> SourceError {
    SourceError::Layout { fault, word: None, reason }
}

fn file(
    place: &Path,
    source: &str,
    format: Option<RowFormat>,
    splits: &[String],
    data_dir: &[String],
) -> Result<Vec<(PathBuf, FileKind)>, SourceError> {
    if !system::exists(place) {
        let reason = format!("`{source}` does not exist{}", hint(place, source));
        return Err(layout_fault_of(SourceFault::NotFound, reason));
    }
    if !data_dir.is_empty() {
        let reason = format!("`{source}` is a file, so `data_dir:` cannot be used");
        return Err(layout_fault_of(SourceFault::NoFolder, reason));
    }
    let formats = rows_of(format.as_ref());
    let kind = match judge(source) {
        Name::Sealed { wrapping, .. } => {
            return Err(layout_fault(format!("`{source}` {}", why_sealed(wrapping, formats[0]))));
        }
        Name::Rows { kind, .. } if formats.contains(&kind.format) => kind,
        Name::Rows { kind, .. } if !is_alike(kind.format, formats[0]) => {
            let reason = format!(
                "`{source}` looks like {}, but the recipe says `format: {}`",
                kind.format.name(),
                format_word(format)
            );
            return Err(layout_fault_of(SourceFault::Format, reason));
        }
        // A name that says nothing, or the other JSON form: the recipe knows.
        _ => {
            let format = format.ok_or_else(|| {
                let reason = format!("cannot tell the format of `{source}` from its name; add `format:`");
                layout_fault_of(SourceFault::Format, reason)
            })?;
            FileKind { format, compression: compression_of(source) }
        }
    };
    for split in splits {
        // The name alone says which split it holds; one that says nothing holds `train`.
        let named = Want {
            repo: source,
            config_name: None,
            data_dir: &[],
            splits: std::slice::from_ref(split),
            default_config: None,
        };
        let name = format!("{}.{kind}", basename(source));
        if split != "train" && resolve(&[&name], None, &named).is_err() {
            let reason =
                format!("no split `{split}` in `{source}`: a local file is `train` unless its name says otherwise");
            return Err(SourceError::Layout { fault: SourceFault::NoSplit, word: Some(split.clone()), reason });
        }
    }
    Ok(vec![(PathBuf::from(source), kind)])
}

fn folder(
    place: &Path,
    source: &str,
    format: Option<RowFormat>,
    splits: &[String],
    data_dir: &[String],
) -> Result<Vec<(PathBuf, FileKind)>, SourceError> {
    let formats = rows_of(format.as_ref());
    let files = walk(place)?;
    let wanted: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|path| judge(path).format().is_some_and(|format| formats.contains(&format)))
        .collect();
    if wanted.is_empty() {
        return Err(layout_fault(format!("folder `{source}` has no {} files", format.map_or("data", RowFormat::name))));
    }
    let want = Want { repo: source, config_name: None, data_dir, splits, default_config: None };
    let selected = resolve(&wanted, None, &want)?;
    Ok(selected.into_iter().map(|file| (Path::new(source).join(file.path), file.kind)).collect())
}

/// Returns the row formats that file names of a recipe's format may suggest; the first is the default.
fn rows_of(format: Option<&RowFormat>) -> &[RowFormat] {
    match format {
        None => ANY,
        Some(RowFormat::Csv) => &[RowFormat::Csv, RowFormat::Tsv],
        Some(format) => std::slice::from_ref(format),
    }
}

/// The formats that a recipe without one leaves to the names of files.
const ANY: &[RowFormat] =
    &[RowFormat::Jsonl, RowFormat::Json, RowFormat::Parquet, RowFormat::Arrow, RowFormat::Csv, RowFormat::Tsv];

/// Returns whether a file named as one format may contain the other: `.json` files with one value per line are common.
fn is_alike(named: RowFormat, said: RowFormat) -> bool {
    matches!((named, said), (RowFormat::Json, RowFormat::Jsonl) | (RowFormat::Jsonl, RowFormat::Json))
}

/// Suggests a name similar to a missing one, from the same folder.
fn hint(place: &Path, source: &str) -> String {
    let siblings = place.parent().and_then(|folder| system::list(folder).ok()).unwrap_or_default();
    let names = siblings.iter().map(|(name, _)| name.as_str());
    closest(basename(source.trim_end_matches('/')), names).map_or_else(String::new, |close| format!(": {close}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            system::create_dir(path.parent().unwrap()).unwrap();
            system::replace(&path, b"{}").unwrap();
        }
        root
    }

    fn ask(
        root: &Path,
        source: &str,
        format: Option<RowFormat>,
        splits: &[&str],
        folders: &[&str],
    ) -> Result<Vec<String>, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        list(root, source, format, &owned(splits), &owned(folders))
            .map(|files| files.iter().map(|(path, kind)| format!("{} {kind}", path.display())).collect())
            .map_err(|error| error.to_string().trim_start_matches("find rows: ").to_owned())
    }

    fn one(name: &str, format: Option<RowFormat>, splits: &[&str]) -> Result<Vec<String>, String> {
        ask(workspace(&[name]).path(), name, format, splits, &[])
    }

    #[test]
    fn a_file_is_taken_as_it_is() {
        let train: &[&str] = &["train"];
        assert_eq!(one("d/rows.jsonl", Some(RowFormat::Jsonl), train), Ok(vec!["d/rows.jsonl jsonl".into()]));
        assert_eq!(one("test.jsonl.gz", Some(RowFormat::Jsonl), train), Ok(vec!["test.jsonl.gz jsonl.gz".into()]));
        assert_eq!(one("rows", Some(RowFormat::Csv), train), Ok(vec!["rows csv".into()]));
        assert_eq!(one("rows.tsv", Some(RowFormat::Csv), train), Ok(vec!["rows.tsv tsv".into()]));
        assert_eq!(one("rows.dump.zst", Some(RowFormat::Json), train), Ok(vec!["rows.dump.zst json.zst".into()]));
        assert_eq!(one("rows.json", Some(RowFormat::Jsonl), train), Ok(vec!["rows.json jsonl".into()]));
        assert_eq!(
            one("rows.csv", Some(RowFormat::Jsonl), train),
            Err("`rows.csv` looks like csv, but the recipe says `format: jsonl`".into())
        );
        assert_eq!(
            one("rows.jsonl.xz", Some(RowFormat::Jsonl), train),
            Err("`rows.jsonl.xz` is compressed as .xz: datac reads only .gz and .zst".into())
        );
        assert_eq!(one("rows.csv", None, train), Ok(vec!["rows.csv csv".into()]));
        assert_eq!(
            one("rows", None, train),
            Err("cannot tell the format of `rows` from its name; add `format:`".into())
        );
    }

    #[test]
    fn a_file_is_another_split_only_if_its_name_says_so() {
        assert_eq!(one("my.val.jsonl", Some(RowFormat::Jsonl), &["validation"]), Ok(vec!["my.val.jsonl jsonl".into()]));
        assert_eq!(
            one("rows.jsonl", Some(RowFormat::Jsonl), &["test"]),
            Err("no split `test` in `rows.jsonl`: a local file is `train` unless its name says otherwise".into())
        );
    }

    #[test]
    fn a_folder_is_resolved_like_a_repository() {
        let root =
            workspace(&["d/a/train.jsonl", "d/a/test.jsonl.zst", "d/b/train.jsonl", "d/a/train.csv", "d/x.parquet.gz"]);
        let folder = |splits: &[&str], folders: &[&str]| ask(root.path(), "d", Some(RowFormat::Jsonl), splits, folders);
        assert_eq!(
            folder(&["test", "train"], &["a"]),
            Ok(vec!["d/a/test.jsonl.zst jsonl.zst".into(), "d/a/train.jsonl jsonl".into()])
        );
        assert_eq!(
            folder(&["train"], &["b", "a"]),
            Ok(vec!["d/b/train.jsonl jsonl".into(), "d/a/train.jsonl jsonl".into()])
        );
        assert_eq!(folder(&["dev"], &[]), Err("no split `dev` in `d`; available: train, test".into()));
        assert_eq!(
            ask(root.path(), "d/", Some(RowFormat::Arrow), &["train"], &[]),
            Err("folder `d/` has no arrow files".into())
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = workspace(&["data/rows.jsonl"]);
        let missing = |source| ask(root.path(), source, Some(RowFormat::Jsonl), &["train"], &[]).unwrap_err();
        assert_eq!(missing("data/row.jsonl"), "`data/row.jsonl` does not exist: did you mean `rows.jsonl`?");
        assert_eq!(missing("other/rows.jsonl"), "`other/rows.jsonl` does not exist");
        let narrowed = ask(root.path(), "data/rows.jsonl", Some(RowFormat::Jsonl), &["train"], &["x"]).unwrap_err();
        assert!(narrowed.contains("is a file"), "{narrowed}");
    }
}
