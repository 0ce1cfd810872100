//! Sources that are files or folders of the workspace.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    Asked, Bytes, FileDigest, Listing, Purpose, RemoteFile, Selection, Source, SourceError, card,
    folder::{folders_below, walk, walk_to},
    glob::{Glob, has_magic},
    kind::{Compression, FileKind, Name, RowFormat, basename, compression_of, judge, why_sealed},
    layout::{IGNORED, Want, closest, resolve},
    python_imports::{Imports, imports_of},
};
use crate::system::{self, FileError, Stat};
use datac_core::{
    config::format_word,
    failure::SourceFault,
    id::FileHash,
    license::{License, Stated},
};

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
        let everything = Selection { paths: vec![asked.source.to_owned()], ..Selection::default() };
        let Selection { format, splits, data_dir, paths, config_name, purpose } =
            asked.selection.unwrap_or(&everything);
        // A repository of that name could have them.
        for (key, is_given) in [("revision", asked.revision.is_some()), ("config_name", config_name.is_some())] {
            if is_given {
                let reason = format!("`{}` is a path of the workspace, so `{key}:` cannot be used", asked.source);
                return Err(layout_fault(reason));
            }
        }
        // Stats of folders come before their files: a file that comes in between then shows at the next look.
        let mut stood_on = Vec::new();
        let mut found = Found::default();
        let license = if *purpose == Purpose::Rows { license(&self.root, paths, &mut stood_on)? } else { None };
        for path in paths {
            if *purpose != Purpose::Rows {
                found.add_exactly(&self.root, path, &mut stood_on)?;
                continue;
            }
            for folder in folders_to(&self.root, fixed_part(path), depth_of(path))? {
                stood_on.push((folder.to_string_lossy().into_owned(), system::stat(&self.root.join(&folder))?));
            }
            found.add(&self.root, path, *format, splits, data_dir)?;
        }
        if *purpose == Purpose::Module {
            found.add_imports(&self.root, &mut stood_on)?;
        }
        // A file that several paths stand for is read once.
        let mut known = HashSet::new();
        found.files.retain(|(path, _)| known.insert(path.clone()));
        // Each waits for the disk, and of thousands of files each is short.
        let hash = |(path, kind): (PathBuf, FileKind)| {
            let (stat, digest) = (self.hash)(&self.root.join(&path))?;
            let path = path.to_string_lossy().into_owned();
            Ok((RemoteFile { path, size: stat.size, digest: FileDigest::Blake3(digest), etag: None }, stat, kind))
        };
        let hashed: Vec<_> =
            found.files.into_par_iter().with_min_len(16).map(hash).collect::<Result<_, FileError>>()?;
        let (mut files, mut kinds) = (Vec::with_capacity(hashed.len()), Vec::with_capacity(hashed.len()));
        for (file, stat, kind) in hashed {
            stood_on.push((file.path.clone(), stat));
            files.push(file);
            kinds.push(kind);
        }
        let (id, selected, passed_over) = (asked.source.to_owned(), Some(kinds), found.passed_over);
        Ok(Listing { id, commit: None, files, selected, license, stood_on, passed_over })
    }

    fn open(&self, _: &str, _: Option<&str>, file: &RemoteFile) -> Result<Bytes, SourceError> {
        let path = self.root.join(&file.path);
        Ok(Bytes::File(system::open(&path)?, path))
    }
}

/// Files that may state the licence of the files beside them; a card goes first.
const STATING: &[&str] = &["README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"];

/// Returns the licence of paths of the workspace, as a file in the folder of each says it; `None` if one has no such file, or if
/// they say different things. The folder of the workspace itself is not looked at: what is there is about the project.
fn license(root: &Path, paths: &[String], stood_on: &mut Vec<(String, Stat)>) -> Result<Option<License>, SourceError> {
    let mut found: Vec<Option<License>> = Vec::new();
    let mut folders: Vec<&str> = Vec::new();
    for path in paths {
        let fixed = fixed_part(path).trim_start_matches("./").trim_end_matches('/');
        let is_folder = fixed.len() < path.trim_start_matches("./").trim_end_matches('/').len()
            || system::is_dir(&root.join(fixed));
        let folder = if is_folder { fixed } else { fixed.rsplit_once('/').map_or("", |(folder, _)| folder) };
        if !matches!(folder, "" | ".") && !folders.contains(&folder) {
            folders.push(folder);
            found.push(license_in(root, folder, stood_on)?);
        } else if matches!(folder, "" | ".") {
            found.push(None);
        }
    }
    let mut found = found.into_iter();
    let first = found.next().flatten();
    Ok(first.filter(|first| found.all(|other| other.is_some_and(|other| other.is_same(first)))))
}

fn license_in(root: &Path, folder: &str, stood_on: &mut Vec<(String, Stat)>) -> Result<Option<License>, SourceError> {
    let mut found = None;
    for name in STATING {
        let path = format!("{folder}/{name}");
        let place = root.join(&path);
        // A file that is not there yet is looked for as well, so that it is noticed when it comes.
        if !system::exists(&place) {
            stood_on.push((path, Stat::ABSENT));
            continue;
        }
        if system::is_dir(&place) {
            continue;
        }
        stood_on.push((path.clone(), system::stat(&place)?));
        if found.is_none() {
            let text = system::read(&place)?;
            let text = String::from_utf8_lossy(&text);
            found = match *name {
                "README.md" => card::license(&text, Stated::File(path)),
                _ => Some(License::of_text(&text, &path)),
            };
        }
    }
    Ok(found)
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

/// The files of a local source, and those beside them.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, FileKind)>,
    passed_over: Vec<String>,
}

impl Found {
    /// Adds the file at a path, or the files of a folder that match its last part. What is not there is for whoever asks to
    /// say.
    fn add_exactly(&mut self, root: &Path, path: &str, stood_on: &mut Vec<(String, Stat)>) -> Result<(), SourceError> {
        let kind = FileKind { format: RowFormat::Txt, compression: Compression::None };
        let is_there = system::exists(&root.join(path));
        if is_there || !has_magic(path) {
            match is_there {
                true => self.files.push((path.into(), kind)),
                // A file that comes later is noticed.
                false => stood_on.push((path.to_owned(), Stat::ABSENT)),
            }
            return Ok(());
        }
        let folder = fixed_part(path);
        let place = root.join(folder);
        if !system::is_dir(&place) {
            stood_on.push((folder.to_owned(), Stat::ABSENT));
            return Ok(());
        }
        stood_on.push((folder.to_owned(), system::stat(&place)?));
        let glob = Glob::new(path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/'));
        let all = walk_to(&place, depth_of(path))?;
        let matching = all.iter().filter(|path| glob.matches(path)).map(|path| Path::new(folder).join(path));
        self.files.extend(matching.map(|path| (path, kind)));
        Ok(())
    }

    /// Adds the files of the workspace that the modules found so far import, and those that they import. What is looked for and
    /// is not there is noticed when it comes.
    fn add_imports(&mut self, root: &Path, stood_on: &mut Vec<(String, Stat)>) -> Result<(), SourceError> {
        let kind = FileKind { format: RowFormat::Txt, compression: Compression::None };
        let modules: Vec<PathBuf> = self.files.iter().map(|(path, _)| path.clone()).collect();
        for module in modules {
            let Imports { files, absent } = imports_of(root, &module)?;
            self.files.extend(files.into_iter().map(|path| (path, kind)));
            stood_on.extend(absent.into_iter().map(|path| (path.to_string_lossy().into_owned(), Stat::ABSENT)));
        }
        Ok(())
    }

    /// Adds the files that a path stands for.
    fn add(
        &mut self,
        root: &Path,
        path: &str,
        format: Option<RowFormat>,
        splits: &[String],
        data_dir: &[String],
    ) -> Result<(), SourceError> {
        let place = root.join(path);
        // A name may have the characters of wildcards.
        if has_magic(path) && !system::exists(&place) {
            if !data_dir.is_empty() {
                let reason = format!("`{path}` is a pattern, so `data_dir:` cannot be used");
                return Err(layout_fault_of(SourceFault::NoFolder, reason));
            }
            return self.add_matching(root, path, format, splits);
        }
        let listed = list(root, path, format, splits, data_dir)?;
        if system::is_dir(&place) {
            let read: HashSet<&Path> = listed.iter().map(|(path, _)| path.as_path()).collect();
            let beside = walk(&place)?.into_iter().map(|within| Path::new(path).join(within));
            let beside = beside.filter(|path| !read.contains(path.as_path()));
            let beside = beside.map(|path| path.to_string_lossy().into_owned()).filter(|path| !is_description(path));
            self.passed_over.extend(beside);
        }
        self.files.extend(listed);
        Ok(())
    }

    /// Adds the files whose paths match a pattern, in the order of their paths.
    fn add_matching(
        &mut self,
        root: &Path,
        pattern: &str,
        format: Option<RowFormat>,
        splits: &[String],
    ) -> Result<(), SourceError> {
        let folder = fixed_part(pattern);
        let within = pattern.strip_prefix(folder).unwrap_or(pattern).trim_start_matches('/');
        let glob = Glob::new(within);
        let place = root.join(folder);
        let all = if system::is_dir(&place) { walk_to(&place, depth_of(pattern))? } else { Vec::new() };
        let matched: Vec<&String> = all.iter().filter(|path| glob.matches(path)).collect();
        if matched.is_empty() {
            let reason = format!("no file matches `{pattern}`");
            return Err(layout_fault_of(SourceFault::NotFound, reason));
        }
        for path in matched {
            let path = Path::new(folder).join(path).to_string_lossy().into_owned();
            self.files.extend(list(root, &path, format, splits, &[])?);
        }
        Ok(())
    }
}

/// Returns the folders of a path before its first wildcard; the whole path if it has none.
pub(crate) fn fixed_part(path: &str) -> &str {
    let Some(magic) = path.find(['*', '?', '[']) else { return path };
    path[..magic].rfind('/').map_or("", |end| &path[..end])
}

/// Returns how deep below [`fixed_part`] a path can lead: `*.jsonl` must not look at all that lies in a workspace.
fn depth_of(path: &str) -> usize {
    let within = path.strip_prefix(fixed_part(path)).unwrap_or(path).trim_matches('/');
    if within.is_empty() || within.contains("**") { usize::MAX } else { within.split('/').count() }
}

/// Returns the folders of a local source, itself among them, relative to the workspace; none if it is a file.
///
/// Adding or removing a file changes only the stat of its folder.
pub fn folders(root: &Path, source: &str) -> Result<Vec<PathBuf>, SourceError> {
    folders_to(root, source, usize::MAX)
}

fn folders_to(root: &Path, source: &str, depth: usize) -> Result<Vec<PathBuf>, SourceError> {
    let place = root.join(source);
    if !system::is_dir(&place) {
        return Ok(Vec::new());
    }
    Ok(folders_below(&place, depth)?.into_iter().map(|folder| Path::new(source).join(folder)).collect())
}

fn layout_fault(reason: String) -> SourceError {
    layout_fault_of(SourceFault::NoRows, reason)
}

pub(super) fn layout_fault_of(fault: SourceFault, reason: String) -> SourceError {
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
        let reason = match archive_around(place, source) {
            Some(archive) => format!("`{source}` does not exist: `{archive}` is an archive, and is named as a whole"),
            None => format!("`{source}` does not exist{}", hint(place, source)),
        };
        return Err(layout_fault_of(SourceFault::NotFound, reason));
    }
    named(source, format, splits, data_dir).map(|kind| vec![(PathBuf::from(source), kind)])
}

/// Returns the kind of a file, as its name and the recipe's `format` say it.
pub(crate) fn kind_as_named(path: &str, format: Option<RowFormat>) -> Result<FileKind, SourceError> {
    named(path, format, &[], &[])
}

/// Returns the kind of a file that a recipe names.
pub(super) fn named(
    source: &str,
    format: Option<RowFormat>,
    splits: &[String],
    data_dir: &[String],
) -> Result<FileKind, SourceError> {
    if !data_dir.is_empty() {
        let reason = format!("`{source}` is a file, so `data_dir:` cannot be used");
        return Err(layout_fault_of(SourceFault::NoFolder, reason));
    }
    let formats = rows_of(format.as_ref());
    let kind = match judge(source) {
        Name::Sealed { wrapping, .. } => {
            return Err(layout_fault(format!("`{source}` {}", why_sealed(wrapping, formats[0]))));
        }
        // The format is that of the files within.
        Name::Rows { kind, .. } if formats.contains(&kind.format) || kind.format.is_archive() => kind,
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
                let reason = format!(
                    "cannot tell the format of `{source}` from its name; if it is one that datac reads (jsonl, json, csv, tsv, \
                     txt, parquet, arrow), add `format:`"
                );
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
    Ok(kind)
}

fn folder(
    place: &Path,
    source: &str,
    format: Option<RowFormat>,
    splits: &[String],
    data_dir: &[String],
) -> Result<Vec<(PathBuf, FileKind)>, SourceError> {
    let files = walk(place)?;
    let selected = within(&files, source, format, splits, data_dir)?;
    Ok(selected.into_iter().map(|(path, kind)| (Path::new(source).join(path), kind)).collect())
}

/// Returns those of the files of a folder that a recipe reads, in reading order.
pub(super) fn within(
    files: &[String],
    source: &str,
    format: Option<RowFormat>,
    splits: &[String],
    data_dir: &[String],
) -> Result<Vec<(String, FileKind)>, SourceError> {
    let formats = rows_of(format.as_ref());
    let is_wanted =
        |path: &&str| judge(path).format().is_some_and(|format| formats.contains(&format) || format.is_archive());
    let mut wanted: Vec<&str> = files.iter().map(String::as_str).filter(is_wanted).collect();
    // What tools leave behind is read only where there is nothing else, or where the recipe names its folder.
    let is_stray = |path: &&str| {
        let named = data_dir.iter().find_map(|folder| path.strip_prefix(folder.as_str())?.strip_prefix('/'));
        is_stray(named.unwrap_or(path))
    };
    if !wanted.iter().all(is_stray) {
        wanted.retain(|path| !is_stray(path));
    }
    if wanted.is_empty() {
        return Err(layout_fault(format!("folder `{source}` has no {} files", format.map_or("data", RowFormat::name))));
    }
    let want = Want { repo: source, config_name: None, data_dir, splits, default_config: None };
    let selected = resolve(&wanted, None, &want)?;
    Ok(selected.into_iter().map(|file| (file.path, file.kind)).collect())
}

/// Returns whether a file describes a folder by its name and never holds rows.
pub(super) fn is_description(path: &str) -> bool {
    let base = basename(path);
    base.ends_with(".md") || IGNORED.contains(&base)
}

/// Folders of copies and of what training runs write.
const STRAY_FOLDERS: &[&str] = &[
    "old",
    "backup",
    "backups",
    "bak",
    "archive",
    "archived",
    "checkpoints",
    "tmp",
    "temp",
    "trash",
    "logs",
    "wandb",
    "runs",
];

/// Files that training runs write.
const STRAY_FILES: &[&str] =
    &["log", "logs", "metrics", "trainer_log", "trainer_state", "training_log", "eval_results"];

/// Returns whether a file of a folder is a copy or a record of a training run by its name, not one of its rows.
pub(super) fn is_stray(within: &str) -> bool {
    let is = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut parts = within.split('/');
    let base = parts.next_back().unwrap_or_default();
    is(STRAY_FILES, base.split('.').next().unwrap_or_default())
        || parts.any(|folder| is(STRAY_FOLDERS, folder) || folder.starts_with("checkpoint-"))
}

/// Returns the row formats that file names of a recipe's format may suggest; the first is the default.
pub(super) fn rows_of(format: Option<&RowFormat>) -> &[RowFormat] {
    match format {
        None => ANY,
        Some(RowFormat::Csv) => &[RowFormat::Csv, RowFormat::Tsv],
        Some(format) => std::slice::from_ref(format),
    }
}

/// The formats that a recipe without one leaves to the names of files.
const ANY: &[RowFormat] = &[
    RowFormat::Jsonl,
    RowFormat::Json,
    RowFormat::Parquet,
    RowFormat::Arrow,
    RowFormat::Csv,
    RowFormat::Tsv,
    RowFormat::Txt,
];

/// Returns whether a file named as one format may contain the other: `.json` files with one value per line are common.
fn is_alike(named: RowFormat, said: RowFormat) -> bool {
    // A `.txt` may hold anything that is text.
    matches!((named, said), (RowFormat::Json, RowFormat::Jsonl) | (RowFormat::Jsonl, RowFormat::Json))
        || named == RowFormat::Txt && !matches!(said, RowFormat::Parquet | RowFormat::Arrow)
}

/// Returns the path of the archive that a path leads into, if it leads into one.
fn archive_around<'s>(place: &Path, source: &'s str) -> Option<&'s str> {
    let mut above = place.ancestors().skip(1);
    let outer = std::iter::successors(source.rsplit_once('/'), |(outer, _)| outer.rsplit_once('/'));
    let mut outer = outer.map(|(outer, _)| outer);
    outer.find(|outer| {
        let is_file = above.next().is_some_and(|place| system::exists(place) && !system::is_dir(place));
        is_file && judge(outer).format().is_some_and(RowFormat::is_archive)
    })
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
            one("rows.jsonl.7z", Some(RowFormat::Jsonl), train),
            Err("`rows.jsonl.7z` is compressed as .7z: datac reads .gz, .zst, .xz and .bz2; unpack it".into())
        );
        assert_eq!(one("rows.csv", None, train), Ok(vec!["rows.csv csv".into()]));
        assert_eq!(
            one("rows", None, train),
            Err("cannot tell the format of `rows` from its name; if it is one that datac reads (jsonl, json, csv, tsv, txt, parquet, arrow), add `format:`"
                .into())
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
        let root = workspace(&["data/rows.zip"]);
        let missing = |source| ask(root.path(), source, None, &["train"], &[]).unwrap_err();
        assert_eq!(
            missing("data/rows.zip/d/train.jsonl"),
            "`data/rows.zip/d/train.jsonl` does not exist: `data/rows.zip` is an archive, and is named as a whole"
        );
    }
}
