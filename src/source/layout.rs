//! Which files of a repository a recipe means, and what each file is.
//!
//! Follows Hugging Face `datasets` 5.2: a card's `configs:` first, then file names. It differs where `datasets` would
//! do what nobody means: a file that fits a split twice is read (and counted) once, files that hold no rows (images, scripts,
//! licences) never decide which names are splits, `.csv` and `.tsv` side by side are each read with their own
//! separator, and a card's `**` may stand beside other characters.

use std::{cmp::Reverse, collections::BTreeMap};

pub use super::kind::{Compression, FileKind, RowFormat};
use super::{
    SourceError,
    card::{self, CardConfig},
    glob::{Glob, has_magic},
    kind::{Name, basename, judge},
    splits::{Scope, by_name},
};

/// What a recipe asks of a repository.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// The repository or local folder, for messages.
    pub repo: &'a str,
    /// The config asked for.
    pub config_name: Option<&'a str>,
    /// The folders asked for; empty: as the repository's layout says.
    pub data_dir: &'a [String],
    /// The splits asked for.
    pub splits: &'a [String],
    /// The config to take if none is asked for and the card names no default.
    pub default_config: Option<&'a str>,
}

/// A file to read, as part of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The split it belongs to.
    pub split: String,
    /// Its path in the repository.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
}

/// Finds the files of a repository that a recipe means, in reading order.
///
/// Splits come in the order asked for, within a split the folders in the order asked for, within those the files as
/// `datasets` sorts them. `files` are paths in the repository, `readme` is the text of its card.
pub fn resolve(files: &[&str], readme: Option<&str>, want: &Want<'_>) -> Result<Vec<Selected>, SourceError> {
    resolve_words(files, readme, want).map_err(|reason| SourceError::Layout { reason })
}

fn resolve_words(files: &[&str], readme: Option<&str>, want: &Want<'_>) -> Result<Vec<Selected>, String> {
    let repo = Repo::new(want.repo, files);
    if repo.rows.is_empty() {
        return Err(repo.why_no_rows());
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
        let first = selected.len();
        for scope in &scopes {
            for (path, kind) in scope.files_of(split)? {
                if !selected[first..].iter().any(|file| file.path == path) {
                    selected.push(Selected { split: split.clone(), path: path.to_owned(), kind });
                }
            }
        }
    }
    Ok(selected)
}

/// Where the files of a config are declared.
enum Config<'a> {
    None,
    Card(&'a CardConfig),
    Folder(&'a str),
}

fn pick_config<'a>(repo: &Repo<'a>, configs: &'a [CardConfig], want: &Want<'a>) -> Result<Config<'a>, String> {
    let named = |name: &str| configs.iter().find(|config| config.name == name);
    let names = || list(configs.iter().map(|config| config.name.as_str()));
    let name = match want.config_name {
        Some(name) if !configs.is_empty() => {
            return named(name).map(Config::Card).ok_or_else(|| {
                let close = closest(name, configs.iter().map(|config| config.name.as_str()));
                format!(
                    "no config `{name}` in `{}`: {}",
                    want.repo,
                    close.unwrap_or_else(|| format!("there are {}", names()))
                )
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
                ([], None) => Err(format!("`{}` has configs {}: say `config_name:`", want.repo, names())),
                (many, _) => Err(format!(
                    "`{}` has several default configs, {}: say `config_name:`",
                    want.repo,
                    list(many.iter().map(|config| config.name.as_str()))
                )),
            };
        }
    };
    if repo.has_folder(name) {
        return Ok(Config::Folder(name));
    }
    let close = closest(name, repo.folders().into_iter().filter(|folder| !folder.contains('/')));
    let hint = close.unwrap_or_else(|| "leave `config_name:` out".to_owned());
    Err(format!("no config `{name}` in `{}`, which declares none: {hint}", want.repo))
}

/// A repository's files, sorted by path.
struct Repo<'a> {
    name: &'a str,
    all: Vec<&'a str>,
    /// Those that hold rows, readable or not.
    rows: Vec<(&'a str, Name<'a>)>,
}

impl<'a> Repo<'a> {
    fn new(name: &'a str, files: &[&'a str]) -> Self {
        let mut all = files.to_vec();
        all.sort_unstable();
        all.dedup();
        let rows = all.iter().map(|path| (*path, judge(path))).filter(|(_, name)| *name != Name::Other).collect();
        Self { name, all, rows }
    }

    fn has_folder(&self, folder: &str) -> bool {
        self.all.iter().any(|path| below(path, folder).is_some())
    }

    /// Every folder that is not hidden.
    fn folders(&self) -> Vec<&'a str> {
        let mut folders: Vec<&str> =
            self.all.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
        folders.retain(|folder| visible(folder, ""));
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// The splits of a folder by the names in it; `base` is the folder it is in.
    fn folder(&self, base: &str, folder: &str) -> Result<Scope<'a>, String> {
        let inner = folder.trim_start_matches("./").trim_matches('/');
        if inner.split('/').any(|part| part == "..") {
            return Err(format!("folder `{folder}` leads out of `{}`", self.name));
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
                    format!("there are {}", list(top.into_iter()))
                }
            });
            return Err(format!("no folder `{path}` in `{}`: {hint}", self.name));
        }
        let inside: Vec<(&str, &str, Name<'_>)> = self
            .rows
            .iter()
            .filter_map(|(path_of, name)| Some((*path_of, below(path_of, &path)?, *name)))
            .filter(|(_, within, _)| visible(within, "") && !IGNORED.contains(&basename(within)))
            .collect();
        if inside.is_empty() {
            return Err(format!("no rows in {place}: {}", self.what_there_is(&path)));
        }
        Ok(Scope { place, splits: by_name(&inside) })
    }

    /// The splits of a config as the card declares them.
    fn card(&self, config: &CardConfig) -> Result<Scope<'a>, String> {
        let base = config.data_dir.as_deref().unwrap_or_default();
        let Some(splits) = &config.data_files else {
            let scope = self.folder("", base)?;
            return Ok(Scope { place: format!("config `{}` of `{}`", config.name, self.name), ..scope });
        };
        let place = format!("config `{}` of `{}`", config.name, self.name);
        let base = base.trim_start_matches("./").trim_matches('/');
        let mut found = Vec::new();
        for (split, patterns) in splits {
            let mut matched: Vec<(&str, Name<'_>)> = Vec::new();
            for pattern in patterns {
                let pattern = pattern.trim_start_matches("./");
                if pattern.contains("://") {
                    return Err(format!("{place} names `{pattern}`, which is not in the repository"));
                }
                if !has_magic(pattern) && !self.all.iter().any(|path| below(path, base) == Some(pattern)) {
                    return Err(format!("{place} names `{pattern}`, which is not there"));
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
            found.push((split.clone(), matched));
        }
        Ok(Scope { place, splits: found })
    }

    fn why_no_rows(&self) -> String {
        let name = self.name;
        let script = format!("{}.py", basename(name));
        if self.all.is_empty() {
            format!("`{name}` has no files")
        } else if self.all.contains(&script.as_str()) {
            format!(
                "`{name}` is a loading script (`{script}`), which datac does not run: its rows are nowhere in the repository"
            )
        } else {
            format!("no rows in `{name}`: {}", self.what_there_is(""))
        }
    }

    /// The kinds of files in a folder, for the case that none holds rows.
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
        let readable =
            "datac reads .jsonl, .json, .parquet, .arrow, .csv and .tsv, the text ones also with .gz or .zst";
        if kinds.is_empty() {
            return format!("there is nothing but its description; {readable}");
        }
        format!("there are files {}; {readable}", list(kinds.into_iter().map(|(kind, _)| kind)))
    }
}

/// Files that describe a repository and never hold its rows.
const IGNORED: &[&str] =
    &["README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json"];

/// The part of `path` below `folder`.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

/// Whether no part of a path is hidden (`.x`, or a folder `__x`) that the pattern does not ask for.
fn visible(path: &str, pattern: &str) -> bool {
    let hidden =
        |text: &str| text.split('/').filter(|part| part.starts_with('.') && !part.chars().all(|c| c == '.')).count();
    let special = |text: &str| {
        text.rsplit_once('/').map_or(0, |(folders, _)| folders.split('/').filter(|part| part.starts_with("__")).count())
    };
    hidden(path) == hidden(pattern) && special(path) == special(pattern)
}

/// `a, b, c`, cut after twelve.
pub(super) fn list<'t>(names: impl Iterator<Item = &'t str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0..=12 => names.join(", "),
        many => format!("{} and {} more", names[..12].join(", "), many - 12),
    }
}

/// The name most like `word`, as a question, if any is like it.
pub(super) fn closest<'t>(word: &str, names: impl Iterator<Item = &'t str>) -> Option<String> {
    let close = |name: &str| strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase());
    let best = names.max_by(|a, b| close(a).total_cmp(&close(b)))?;
    (close(best) > 0.8).then(|| format!("did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one test asks for; the rest is as a recipe that says nothing.
    #[derive(Clone, Copy, Default)]
    struct Ask<'a> {
        readme: Option<&'a str>,
        config: Option<&'a str>,
        folders: &'a [&'a str],
        splits: &'a [&'a str],
        default_config: Option<&'a str>,
    }

    fn ask(files: &[&str], ask: Ask<'_>) -> Result<Vec<String>, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let splits = if ask.splits.is_empty() { owned(&["train"]) } else { owned(ask.splits) };
        let want = Want {
            repo: "x/y",
            config_name: ask.config,
            data_dir: &owned(ask.folders),
            splits: &splits,
            default_config: ask.default_config,
        };
        resolve(files, ask.readme, &want)
            .map(|files| files.iter().map(|file| format!("{} {} {}", file.split, file.path, file.kind)).collect())
            .map_err(|error| error.to_string().trim_start_matches("find rows: ").to_owned())
    }

    fn plain(files: &[&str], splits: &[&str]) -> Result<Vec<String>, String> {
        ask(files, Ask { splits, ..Ask::default() })
    }

    const ALPACA: &[&str] = &[".gitattributes", "README.md", "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"];
    const GSM8K: &[&str] = &[
        ".gitattributes",
        "README.md",
        "main/test-00000-of-00001.parquet",
        "main/train-00000-of-00001.parquet",
        "socratic/test-00000-of-00001.parquet",
        "socratic/train-00000-of-00001.parquet",
    ];
    const GSM8K_CARD: &str = "---\nlicense: [mit]\nconfigs:\n\
        - config_name: main\n  data_files:\n  - split: train\n    path: main/train-*\n  - split: test\n    path: main/test-*\n\
        - config_name: socratic\n  data_files:\n  - split: train\n    path: socratic/train-*\n  - split: test\n    path: socratic/test-*\n\
        ---\n# GSM8K\n";
    const HH: &[&str] = &[
        "README.md",
        "harmless-base/test.jsonl.gz",
        "harmless-base/train.jsonl.gz",
        "helpful-base/test.jsonl.gz",
        "helpful-base/train.jsonl.gz",
        "helpful-online/test.jsonl.gz",
        "helpful-online/train.jsonl.gz",
        "red-team-attempts/red_team_attempts.jsonl.gz",
    ];

    #[test]
    fn alpaca() {
        let file = "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet";
        assert_eq!(plain(ALPACA, &[]), Ok(vec![format!("train {file} parquet")]));
        assert_eq!(plain(ALPACA, &["test"]), Err("no split `test` in `x/y`: there is train".into()));
        let config = ask(ALPACA, Ask { config: Some("default"), ..Ask::default() });
        assert_eq!(config, Ok(vec![format!("train {file} parquet")]));
    }

    #[test]
    fn code_alpaca() {
        let files = [".gitattributes", "README.md", "code_alpaca_20k.json"];
        assert_eq!(plain(&files, &[]), Ok(vec!["train code_alpaca_20k.json json".into()]));
    }

    #[test]
    fn gsm8k_by_its_card() {
        let card = Ask { readme: Some(GSM8K_CARD), ..Ask::default() };
        let main = Ok(vec!["train main/train-00000-of-00001.parquet parquet".to_owned()]);
        assert_eq!(ask(GSM8K, Ask { config: Some("main"), ..card }), main);
        assert_eq!(ask(GSM8K, Ask { default_config: Some("main"), ..card }), main);
        assert_eq!(ask(GSM8K, card), Err("`x/y` has configs main, socratic: say `config_name:`".into()));
        assert_eq!(
            ask(GSM8K, Ask { config: Some("socratic"), splits: &["test", "train"], ..card }),
            Ok(vec![
                "test socratic/test-00000-of-00001.parquet parquet".into(),
                "train socratic/train-00000-of-00001.parquet parquet".into()
            ])
        );
        assert_eq!(
            ask(GSM8K, Ask { config: Some("mian"), ..card }),
            Err("no config `mian` in `x/y`: did you mean `main`?".into())
        );
        assert_eq!(
            ask(GSM8K, Ask { config: Some("zzz"), ..card }),
            Err("no config `zzz` in `x/y`: there are main, socratic".into())
        );
        assert_eq!(
            ask(GSM8K, Ask { config: Some("main"), splits: &["val"], ..card }),
            Err("no split `val` in config `main` of `x/y`: there are train, test".into())
        );
    }

    #[test]
    fn gsm8k_without_its_card() {
        let main = Ok(vec!["train main/train-00000-of-00001.parquet parquet".to_owned()]);
        assert_eq!(ask(GSM8K, Ask { default_config: Some("main"), ..Ask::default() }), main);
        assert_eq!(ask(GSM8K, Ask { config: Some("main"), ..Ask::default() }), main);
        assert_eq!(plain(GSM8K, &[]).unwrap().len(), 2, "as in `datasets`, folders are no configs by themselves");
        assert_eq!(
            ask(GSM8K, Ask { config: Some("socrates"), ..Ask::default() }),
            Err("no config `socrates` in `x/y`, which declares none: did you mean `socratic`?".into())
        );
        assert_eq!(
            ask(GSM8K, Ask { config: Some("q"), ..Ask::default() }),
            Err("no config `q` in `x/y`, which declares none: leave `config_name:` out".into())
        );
    }

    #[test]
    fn a_folder_asked_for_needs_no_config_and_overrules_the_card() {
        let card = Ask { readme: Some(GSM8K_CARD), folders: &["socratic/"], ..Ask::default() };
        let socratic = Ok(vec!["train socratic/train-00000-of-00001.parquet parquet".to_owned()]);
        assert_eq!(ask(GSM8K, card), socratic);
        assert_eq!(ask(GSM8K, Ask { config: Some("main"), ..card }), socratic);
    }

    #[test]
    fn hh_rlhf_by_folder_in_the_order_asked() {
        assert_eq!(
            ask(
                HH,
                Ask { folders: &["helpful-online", "./helpful-base/"], splits: &["train", "test"], ..Ask::default() }
            ),
            Ok(vec![
                "train helpful-online/train.jsonl.gz jsonl.gz".into(),
                "train helpful-base/train.jsonl.gz jsonl.gz".into(),
                "test helpful-online/test.jsonl.gz jsonl.gz".into(),
                "test helpful-base/test.jsonl.gz jsonl.gz".into(),
            ])
        );
        assert_eq!(
            ask(HH, Ask { folders: &["red-team-attempts"], ..Ask::default() }),
            Ok(vec!["train red-team-attempts/red_team_attempts.jsonl.gz jsonl.gz".into()])
        );
        assert_eq!(plain(HH, &["test"]).unwrap().len(), 3, "all folders, but not the file that names no split");
        let missing = |folder| ask(HH, Ask { folders: &[folder], ..Ask::default() }).unwrap_err();
        assert_eq!(missing("harmless"), "no folder `harmless` in `x/y`: did you mean `harmless-base`?");
        assert_eq!(
            missing("zz"),
            "no folder `zz` in `x/y`: there are harmless-base, helpful-base, helpful-online, red-team-attempts"
        );
        assert_eq!(missing("../other"), "folder `../other` leads out of `x/y`");
    }

    #[test]
    fn a_folder_asked_for_twice_is_read_once() {
        let twice = Ask { folders: &["helpful-base", "helpful-base/"], ..Ask::default() };
        assert_eq!(ask(HH, twice).unwrap().len(), 1);
    }

    #[test]
    fn every_folder_must_have_the_split() {
        let asked = Ask { folders: &["helpful-base", "red-team-attempts"], splits: &["test"], ..Ask::default() };
        assert_eq!(
            ask(HH, asked),
            Err("no split `test` in folder `red-team-attempts` of `x/y`: there is train".into())
        );
    }

    #[test]
    fn words_of_file_names() {
        let split_of = |file: &str| {
            ["train", "validation", "test"].into_iter().find(|split| plain(&[file, "data/x"], &[split]).is_ok())
        };
        for (file, split) in [
            ("train.csv", "train"),
            ("my_training_set.csv", "train"),
            ("a-dev.jsonl", "validation"),
            ("val2.jsonl", "validation"),
            ("x/valid.json", "validation"),
            ("validation 1.json", "validation"),
            ("9test9.json", "test"),
            ("eval.tsv", "test"),
            ("evaluation.tsv.gz", "test"),
            ("trainer.json", "train"),
            ("latest.json", "train"),
            ("testtrain.json", "train"),
            ("developers.json", "train"),
        ] {
            assert_eq!(split_of(file), Some(split), "{file}");
        }
    }

    #[test]
    fn a_name_with_no_word_is_left_out_once_another_has_one() {
        assert_eq!(plain(&["extra.csv", "train.csv"], &[]), Ok(vec!["train train.csv csv".into()]));
        assert_eq!(plain(&["b.csv", "a.csv"], &[]), Ok(vec!["train a.csv csv".into(), "train b.csv csv".into()]));
    }

    #[test]
    fn folder_names_come_before_file_names() {
        let files = ["train/test.jsonl", "train/b/0.jsonl", "dev set/x.jsonl", "test.jsonl"];
        assert_eq!(
            plain(&files, &["validation", "train"]),
            Ok(vec![
                "validation dev set/x.jsonl jsonl".into(),
                "train train/b/0.jsonl jsonl".into(),
                "train train/test.jsonl jsonl".into()
            ])
        );
        assert_eq!(plain(&files, &["test"]), Err("no split `test` in `x/y`: there are train, validation".into()));
    }

    #[test]
    fn words_rank_before_names() {
        let files = ["val_a.json", "dev.json", "validation.json", "b_valid.json", "valid_c.json"];
        let order: Vec<_> = plain(&files, &["validation"]).unwrap();
        let order: Vec<_> = order.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert_eq!(order, ["validation.json", "valid_c.json", "b_valid.json", "dev.json", "val_a.json"]);
    }

    #[test]
    fn shards_under_data_may_have_any_split_name() {
        let files = [
            "data/train-00001-of-00002.parquet",
            "data/train-00000-of-00002.parquet",
            "data/train_sft-00000-of-00001-0123abcd.parquet",
            "data/test-00000-of-00001.parquet",
            "validation.parquet",
        ];
        assert_eq!(
            plain(&files, &["train_sft", "train"]),
            Ok(vec![
                "train_sft data/train_sft-00000-of-00001-0123abcd.parquet parquet".into(),
                "train data/train-00000-of-00002.parquet parquet".into(),
                "train data/train-00001-of-00002.parquet parquet".into()
            ])
        );
        assert_eq!(plain(&files, &["val"]), Err("no split `val` in `x/y`: there are train, test, train_sft".into()));
    }

    #[test]
    fn the_commonest_extension_decides_and_parquet_wins_a_draw() {
        assert_eq!(plain(&["a.json", "b.jsonl.gz", "c.parquet"], &[]), Ok(vec!["train c.parquet parquet".into()]));
        assert_eq!(
            plain(&["a.jsonl", "b.jsonl", "c.json", "d.parquet"], &[]),
            Ok(vec!["train a.jsonl jsonl".into(), "train b.jsonl jsonl".into(), "train c.json json".into()])
        );
        assert_eq!(plain(&["a.csv", "b.tsv"], &[]), Ok(vec!["train a.csv csv".into(), "train b.tsv tsv".into()]));
        assert_eq!(
            plain(&["a.geoparquet", "b.gpq"], &[]),
            Ok(vec!["train a.geoparquet parquet".into(), "train b.gpq parquet".into()])
        );
    }

    #[test]
    fn hidden_special_and_describing_files_are_left_out() {
        let files = [
            ".cache/a.json",
            "__x/b.json",
            "c.json",
            "config.json",
            "dataset_infos.json",
            "dataset_info.json",
            ".d.json",
        ];
        assert_eq!(plain(&files, &[]), Ok(vec!["train c.json json".into()]));
        let hidden = Ask { folders: &[".cache"], ..Ask::default() };
        assert_eq!(ask(&files, hidden), Ok(vec!["train .cache/a.json json".into()]));
    }

    #[test]
    fn files_without_rows_decide_nothing() {
        let files = ["images/test/a.png", "train.py", "LICENSE", "rows.jsonl"];
        assert_eq!(plain(&files, &[]), Ok(vec!["train rows.jsonl jsonl".into()]));
    }

    #[test]
    fn repositories_without_rows_say_what_they_have() {
        let reason = |files: &[&str]| plain(files, &[]).unwrap_err();
        assert_eq!(
            reason(&["README.md", "y.py"]),
            "`x/y` is a loading script (`y.py`), which datac does not run: its rows are nowhere in the repository"
        );
        assert!(
            reason(&["a.png", "b.png", "c.txt"])
                .starts_with("no rows in `x/y`: there are files .png, .txt; datac reads")
        );
        assert_eq!(reason(&[]), "`x/y` has no files");
        assert!(reason(&["README.md"]).contains("nothing but its description"));
        assert!(reason(&["rows.zip"]).contains("files .zip"));
        let inside = ask(&["a/b.png", "c.csv"], Ask { folders: &["a"], ..Ask::default() });
        assert!(inside.unwrap_err().starts_with("no rows in folder `a` of `x/y`: there are files .png"));
    }

    #[test]
    fn unread_wrappings_are_named() {
        assert_eq!(
            plain(&["train.jsonl.bz2"], &[]),
            Err("`train.jsonl.bz2` in `x/y` is compressed as .bz2: datac reads .gz and .zst".into())
        );
        assert_eq!(
            plain(&["a.parquet.gz"], &[]),
            Err("`a.parquet.gz` in `x/y` is compressed as .gz: columnar files are read unwrapped".into())
        );
        assert_eq!(plain(&["test.jsonl.xz", "train.jsonl"], &[]), Ok(vec!["train train.jsonl jsonl".into()]));
    }

    fn card(configs: &str) -> String {
        format!("---\nconfigs:\n{configs}\n---\n")
    }

    #[test]
    fn the_default_config_of_a_card() {
        let files = ["a/0.csv", "b/0.csv"];
        let pick = |configs: &str| ask(&files, Ask { readme: Some(&card(configs)), ..Ask::default() });
        let b = Ok(vec!["train b/0.csv csv".to_owned()]);
        assert_eq!(pick("- {config_name: b, data_files: b/*}"), b, "the only one");
        assert_eq!(pick("- {config_name: a, data_dir: a}\n- {config_name: default, data_dir: b}"), b, "by its name");
        assert_eq!(
            pick("- {config_name: a, data_dir: a}\n- {config_name: b, data_dir: b, default: true}"),
            b,
            "by its flag"
        );
        assert_eq!(
            pick("- {config_name: default, data_dir: a}\n- {config_name: b, data_dir: b, default: true}"),
            Err("`x/y` has several default configs, default, b: say `config_name:`".into())
        );
    }

    #[test]
    fn patterns_of_a_card_in_their_order() {
        let files = ["d/p1/b.jsonl", "d/p1/a.jsonl", "d/p2/a.jsonl", "d/p2/.h.jsonl", "d/p2/__s/x.jsonl", "e.jsonl"];
        let readme = card("- {config_name: c, data_dir: d, data_files: {all: [p2/**, '*/a.jsonl', p1/b.jsonl]}}");
        assert_eq!(
            ask(&files, Ask { readme: Some(&readme), splits: &["all"], ..Ask::default() }),
            Ok(vec!["all d/p2/a.jsonl jsonl".into(), "all d/p1/a.jsonl jsonl".into(), "all d/p1/b.jsonl jsonl".into()])
        );
        let readme = card("- {config_name: c, data_files: [d/p2/__s/*, d/p2/.h*]}");
        assert_eq!(
            ask(&files, Ask { readme: Some(&readme), ..Ask::default() }),
            Ok(vec!["train d/p2/__s/x.jsonl jsonl".into(), "train d/p2/.h.jsonl jsonl".into()])
        );
    }

    #[test]
    fn patterns_that_lead_nowhere() {
        let fault = |files: &str| {
            let readme = card(&format!("- {{config_name: c, data_files: {files}}}"));
            ask(&["a.csv", "pic.png"], Ask { readme: Some(&readme), ..Ask::default() }).unwrap_err()
        };
        assert_eq!(fault("b.csv"), "config `c` of `x/y` names `b.csv`, which is not there");
        assert_eq!(
            fault("'hf://datasets/o/p/a.csv'"),
            "config `c` of `x/y` names `hf://datasets/o/p/a.csv`, which is not in the repository"
        );
        assert_eq!(
            fault("b*"),
            "no file for split `train` in config `c` of `x/y`: its patterns match nothing that holds rows"
        );
        assert!(fault("[[x]]").starts_with("the card of `x/y` cannot be used: `data_files` of config `c`"));
    }

    #[test]
    fn a_describing_file_is_read_when_a_card_names_it() {
        let readme = card("- {config_name: c, data_files: config.json}");
        let files = ["config.json", "a.json"];
        assert_eq!(
            ask(&files, Ask { readme: Some(&readme), ..Ask::default() }),
            Ok(vec!["train config.json json".into()])
        );
    }

    #[test]
    fn listing_order_does_not_matter() {
        let mut files = HH.to_vec();
        let forward = plain(&files, &["train"]);
        files.reverse();
        assert_eq!(plain(&files, &["train"]), forward);
    }
}
