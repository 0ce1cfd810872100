//! Determines which files of a repository a recipe selects, and the format of each.
//!
//! Follows Hugging Face `datasets` 5.2: a card's `configs:` first, then file names. Differences, where `datasets`
//! would do what nobody wants: a file that belongs to a split twice is read (and counted) once; files without rows
//! (images, scripts, licences) never decide which names are splits; `.csv` and `.tsv` side by side are each read with
//! their own separator; and a card's `**` may be next to other characters.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

use super::{
    SourceError,
    card::{self, CardConfig},
    glob::{Glob, has_magic},
    kind::{Name, basename, is_closed, judge},
    splits::{Scope, by_name},
};
pub use super::{
    kind::{Compression, FileKind, RowFormat},
    splits::Origin,
};
use datac_core::{failure::SourceFault, format::Reading};

/// Request of a recipe to a repository.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// The repository or local folder, for messages.
    pub repo: &'a str,
    /// Requested config.
    pub config_name: Option<&'a str>,
    /// Requested folders; empty: as the repository's layout says.
    pub data_dir: &'a [String],
    /// Requested splits.
    pub splits: &'a [String],
    /// Config to use if none is requested and the card names no default.
    pub default_config: Option<&'a str>,
}

/// A file to read, as part of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Split of the file.
    pub split: String,
    /// Path of the file in the repository.
    pub path: String,
    /// Format and compression of the file.
    pub kind: FileKind,
    /// How the card says that its rows are read.
    pub reading: Reading,
    /// What says that the file is of that split.
    pub origin: Origin,
}

/// Finds the files of a repository that a recipe selects, in reading order.
///
/// Splits come in the order asked for, within a split the folders in the order asked for, within those the files as
/// `datasets` sorts them. `files` are paths in the repository, `readme` is the text of its card.
pub fn resolve(files: &[&str], readme: Option<&str>, want: &Want<'_>) -> Result<Vec<Selected>, SourceError> {
    resolve_words(files, readme, want).map_err(|Lacking { fault, word, reason }| SourceError::Layout {
        fault,
        word,
        reason,
    })
}

/// Which files of an archive are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Files<'s> {
    /// All with rows.
    All,
    /// Those of a split, by the names within.
    OfSplit(&'s str),
}

/// Finds the files with rows of an archive with files at `paths`, in reading order, as those of a folder.
pub(super) fn files_of<'p>(
    archive: &'p str,
    paths: &[&'p str],
    wanted: Files<'_>,
) -> Result<Vec<(&'p str, FileKind)>, SourceError> {
    let found = || {
        let repo = Repo::new(archive, paths);
        let inside = repo.inside("");
        let place = format!("`{archive}`");
        if inside.is_empty() {
            return Err(repo.why_no_rows().into());
        }
        let (splits, origin) = by_name(&inside);
        let (splits, split) = match wanted {
            Files::OfSplit(split) => (splits, split),
            Files::All => {
                let all = inside.iter().map(|(path, _, name)| (*path, *name)).collect();
                (vec![(ALL.to_owned(), all)], ALL)
            }
        };
        Scope { place, splits, origin, reading: Reading::default() }.files_of(split)
    };
    found().map_err(|Lacking { fault, word, reason }| SourceError::Layout { fault, word, reason })
}

/// The one split of an archive that is wanted as a whole.
const ALL: &str = "train";

/// Says why a repository of these files has no rows that can be read.
pub(crate) fn why_no_rows(repo: &str, files: &[&str]) -> String {
    Repo::new(repo, files).why_no_rows()
}

/// What a repository lacks of what a recipe requests.
pub(super) struct Lacking {
    fault: SourceFault,
    word: Option<String>,
    reason: String,
}

impl Lacking {
    pub(super) fn new(fault: SourceFault, word: &str, reason: String) -> Self {
        Self { fault, word: Some(word.to_owned()), reason }
    }
}

impl From<String> for Lacking {
    fn from(reason: String) -> Self {
        Self { fault: SourceFault::NoRows, word: None, reason }
    }
}

fn resolve_words(files: &[&str], readme: Option<&str>, want: &Want<'_>) -> Result<Vec<Selected>, Lacking> {
    let repo = Repo::new(want.repo, files);
    if repo.rows.is_empty() {
        return Err(repo.why_no_rows().into());
    }
    let configs = card::configs(readme.unwrap_or_default())
        .map_err(|reason| format!("the card of `{}` cannot be used: {reason}", want.repo))?;
    let config = pick_config(&repo, &configs, want)?;
    let mut scopes = Vec::new();
    match (want.data_dir, config) {
        // As in `datasets`, a folder asked for is taken by the names of its files, whatever the card says.
        ([_, ..], config) => {
            let base = if let Config::Folder(base) = config { base } else { "" };
            for folder in want.data_dir {
                scopes.push(repo.folder(base, folder)?);
            }
        }
        ([], Config::Card(config)) => scopes.push(repo.card(config)?),
        ([], Config::Folder(folder)) => scopes.push(repo.folder("", folder)?),
        ([], Config::None) => scopes.push(repo.folder("", "")?),
    }
    let mut selected: Vec<Selected> = Vec::new();
    for split in want.splits {
        let mut seen = HashSet::new();
        for scope in &scopes {
            for (path, kind) in scope.files_of(split)? {
                if seen.insert(path) {
                    selected.push(Selected {
                        split: split.clone(),
                        path: path.to_owned(),
                        kind,
                        reading: scope.reading.clone(),
                        origin: scope.origin,
                    });
                }
            }
        }
    }
    Ok(selected)
}

/// Origin of the declaration of a config.
enum Config<'a> {
    None,
    Card(&'a CardConfig),
    Folder(&'a str),
}

fn pick_config<'a>(repo: &Repo<'a>, configs: &'a [CardConfig], want: &Want<'a>) -> Result<Config<'a>, Lacking> {
    let lacking = |reason| Lacking { fault: SourceFault::NoConfig, word: None, reason };
    let named = |name: &str| configs.iter().find(|config| config.name == name);
    let names = || list(configs.iter().map(|config| config.name.as_str()));
    let name = match want.config_name {
        Some(name) if !configs.is_empty() => {
            return named(name).map(Config::Card).ok_or_else(|| {
                let close = closest(name, configs.iter().map(|config| config.name.as_str()));
                lacking(format!(
                    "no config `{name}` in `{}`; {}",
                    want.repo,
                    close.unwrap_or_else(|| format!("available: {}", names()))
                ))
            });
        }
        Some("default") => return Ok(Config::None),
        Some(name) => name,
        None if configs.is_empty() => match want.default_config {
            Some(name) if want.data_dir.is_empty() && repo.has_folder(name) => return Ok(Config::Folder(name)),
            _ => return Ok(Config::None),
        },
        None => {
            let defaults: Vec<&CardConfig> = configs
                .iter()
                .filter(|config| configs.len() == 1 || config.name == "default" || config.is_default)
                .collect();
            return match (&defaults[..], want.default_config.and_then(named)) {
                ([one], _) => Ok(Config::Card(one)),
                ([], Some(one)) => Ok(Config::Card(one)),
                // A folder asked for by name needs no config.
                _ if !want.data_dir.is_empty() => Ok(Config::None),
                ([], None) => Err(lacking(format!("`{}` has configs {}: set `config_name:`", want.repo, names()))),
                (many, _) => Err(lacking(format!(
                    "`{}` has several default configs, {}: set `config_name:`",
                    want.repo,
                    list(many.iter().map(|config| config.name.as_str()))
                ))),
            };
        }
    };
    if repo.has_folder(name) {
        return Ok(Config::Folder(name));
    }
    let close = closest(name, repo.folders().into_iter().filter(|folder| !folder.contains('/')));
    let hint = close.unwrap_or_else(|| "omit `config_name:`".to_owned());
    Err(lacking(format!("no config `{name}` in `{}`, which declares none: {hint}", want.repo)))
}

/// A repository's files, sorted by path.
struct Repo<'a> {
    name: &'a str,
    all: Vec<&'a str>,
    /// Files with rows, whether readable or not.
    rows: Vec<(&'a str, Name<'a>)>,
}

impl<'a> Repo<'a> {
    fn new(name: &'a str, files: &[&'a str]) -> Self {
        let mut all = files.to_vec();
        all.sort_unstable();
        all.dedup();
        let rows: Vec<_> =
            all.iter().map(|path| (*path, judge(path))).filter(|(_, name)| *name != Name::Other).collect();
        Self { name, all, rows }
    }

    fn has_folder(&self, folder: &str) -> bool {
        self.all.iter().any(|path| below(path, folder).is_some())
    }

    /// Returns every folder that is not hidden.
    fn folders(&self) -> Vec<&'a str> {
        let mut folders: Vec<&str> =
            self.all.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
        folders.retain(|folder| visible(folder, ""));
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// Returns the splits of a folder by the names in it; `base` is the folder it is in.
    fn folder(&self, base: &str, folder: &str) -> Result<Scope<'a>, Lacking> {
        let lacking = |reason| Lacking::new(SourceFault::NoFolder, folder, reason);
        let inner = folder.trim_start_matches("./").trim_matches('/');
        if inner.split('/').any(|part| part == "..") {
            return Err(lacking(format!("folder `{folder}` is outside `{}`", self.name)));
        }
        let inner = if inner == "." { "" } else { inner };
        let path =
            if base.is_empty() || inner.is_empty() { format!("{base}{inner}") } else { format!("{base}/{inner}") };
        let place =
            if path.is_empty() { format!("`{}`", self.name) } else { format!("folder `{path}` of `{}`", self.name) };
        if !self.has_folder(&path) {
            let folders = self.folders();
            let hint = closest(&path, folders.iter().copied()).unwrap_or_else(|| {
                let top: Vec<&str> = folders.into_iter().filter(|folder| !folder.contains('/')).collect();
                if top.is_empty() {
                    "it has no folders".to_owned()
                } else {
                    format!("available: {}", list(top.into_iter()))
                }
            });
            return Err(lacking(format!("no folder `{path}` in `{}`; {hint}", self.name)));
        }
        let inside = self.inside(&path);
        if inside.is_empty() {
            return Err(format!("no rows in {place}: {}", self.what_there_is(&path)).into());
        }
        let (splits, origin) = by_name(&inside);
        Ok(Scope { place, splits, origin, reading: Reading::default() })
    }

    /// Returns the files with rows below a folder: path, path within the folder, and kind.
    fn inside(&self, folder: &str) -> Vec<(&'a str, &'a str, Name<'a>)> {
        let within = |(path, name): &(&'a str, Name<'a>)| Some((*path, below(path, folder)?, *name));
        let inside = self.rows.iter().filter_map(within);
        let inside = inside.filter(|(_, within, _)| visible(within, "") && !IGNORED.contains(&basename(within)));
        without_notes(inside.collect(), |(_, _, name)| *name)
    }

    /// Returns the splits of a config as the card declares them.
    fn card(&self, config: &CardConfig) -> Result<Scope<'a>, Lacking> {
        let base = config.data_dir.as_deref().unwrap_or_default();
        let Some(splits) = &config.data_files else {
            let scope = self.folder("", base)?;
            let place = format!("config `{}` of `{}`", config.name, self.name);
            return Ok(Scope { place, reading: config.reading()?, ..scope });
        };
        let place = format!("config `{}` of `{}`", config.name, self.name);
        let base = base.trim_start_matches("./").trim_matches('/');
        let mut found = Vec::new();
        for (split, patterns) in splits {
            let mut matched: Vec<(&str, Name<'_>)> = Vec::new();
            for pattern in patterns {
                let pattern = pattern.trim_start_matches("./");
                if pattern.contains("://") {
                    return Err(format!("{place} names `{pattern}`, which is not in the repository").into());
                }
                if !has_magic(pattern) && !self.all.iter().any(|path| below(path, base) == Some(pattern)) {
                    let folder = pattern.trim_end_matches('/');
                    let is_folder = self.all.iter().filter_map(|path| below(path, base));
                    if is_folder.into_iter().any(|path| below(path, folder).is_some()) {
                        let reason = format!(
                            "{place} names `{pattern}`, which is a folder: a pattern such as `{folder}/**` would be its files; \
                             `data_dir: {folder}` reads it"
                        );
                        return Err(reason.into());
                    }
                    return Err(format!("{place} names `{pattern}`, which does not exist").into());
                }
                let glob = Glob::new(pattern);
                for (path, name) in &self.rows {
                    let Some(within) = below(path, base) else { continue };
                    let ignored = IGNORED.contains(&basename(within)) && basename(within) != basename(pattern);
                    let seen = matched.iter().any(|(known, _)| known == path);
                    if !ignored && !seen && glob.matches(within) && visible(within, pattern) {
                        matched.push((*path, *name));
                    }
                }
            }
            found.push((split.clone(), without_notes(matched, |(_, name)| *name)));
        }
        Ok(Scope { place, splits: found, origin: Origin::Said, reading: config.reading()? })
    }

    fn why_no_rows(&self) -> String {
        let name = self.name;
        let script = format!("{}.py", basename(name));
        if self.all.is_empty() {
            format!("`{name}` has no files")
        } else if self.all.contains(&script.as_str()) {
            format!(
                "`{name}` is a loading script (`{script}`), which datac does not run; the repository itself contains no rows"
            )
        } else {
            format!("no rows in `{name}`: {}", self.what_there_is(""))
        }
    }

    /// Returns the kinds of files in a folder, for the case that none holds rows.
    fn what_there_is(&self, folder: &str) -> String {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for within in self.all.iter().filter_map(|path| below(path, folder)) {
            let base = basename(within);
            if visible(within, "") && !IGNORED.contains(&base) {
                *kinds.entry(base.rfind('.').map_or(base, |dot| &base[dot..])).or_default() += 1;
            }
        }
        let mut kinds: Vec<(&str, usize)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| Reverse(*count));
        kinds.truncate(6);
        let archives = if self.all.iter().any(|path| is_closed(path)) {
            "archives of this kind are not unpacked: unpack them into a folder of the workspace, and name that as `source`; "
        } else {
            ""
        };
        let readable = "datac reads .jsonl, .json, .parquet, .arrow, .csv, .tsv and .txt, alone or in .zip or .tar archives; all but .parquet and .arrow may be compressed as .gz, .zst, .xz or .bz2";
        if kinds.is_empty() {
            return format!("it only contains a description; {readable}");
        }
        format!("it only contains {}; {archives}{readable}", list(kinds.into_iter().map(|(kind, _)| kind)))
    }
}

/// Leaves text files out where there are others with rows: they are notes about these.
fn without_notes<'n, T>(mut files: Vec<T>, name: impl Fn(&T) -> Name<'n>) -> Vec<T> {
    let is_text = |file: &T| name(file).format() == Some(RowFormat::Txt);
    let is_archive = |file: &T| name(file).format().is_some_and(RowFormat::is_archive);
    if !files.iter().all(|file| is_text(file) || is_archive(file)) {
        files.retain(|file| !is_text(file));
    }
    files
}

/// Files that describe a repository and never hold its rows.
pub(super) const IGNORED: &[&str] = &[
    "README.md",
    "config.json",
    "croissant.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dummy_data.zip",
    "dataset_dict.json",
];

/// Returns the part of `path` below `folder`.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

/// Returns whether no part of a path is hidden (`.x`, or a folder `__x`) that the pattern does not ask for.
fn visible(path: &str, pattern: &str) -> bool {
    let hidden =
        |text: &str| text.split('/').filter(|part| part.starts_with('.') && !part.chars().all(|c| c == '.')).count();
    let special = |text: &str| {
        text.rsplit_once('/').map_or(0, |(folders, _)| folders.split('/').filter(|part| part.starts_with("__")).count())
    };
    hidden(path) == hidden(pattern) && special(path) == special(pattern)
}

/// Formats names as `a, b, c`, cut after twelve.
pub(super) fn list<'t>(names: impl Iterator<Item = &'t str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0..=12 => names.join(", "),
        many => format!("{} and {} more", names[..12].join(", "), many - 12),
    }
}

/// Returns the name most like `word`, as a question, if any is like it.
pub(crate) fn closest<'t>(word: &str, names: impl Iterator<Item = &'t str>) -> Option<String> {
    let close = |name: &str| strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase());
    let best = names.max_by(|a, b| close(a).total_cmp(&close(b)))?;
    (close(best) > 0.8).then(|| format!("did you mean `{best}`?"))
}

#[cfg(test)]
mod tests;
