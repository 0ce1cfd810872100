//! Splits by the names of files and folders, as Hugging Face `datasets` finds them if a card declares none.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use datac_core::format::Reading;

use super::{
    glob::Glob,
    kind::{EXTENSIONS, FileKind, Name, RowFormat, basename, judge, why_sealed},
    layout::{Lacking, list},
};
use datac_core::failure::SourceFault;

/// Splits with their files in reading order.
pub(super) type Splits<'a> = Vec<(String, Vec<(&'a str, Name<'a>)>)>;

/// What says of which split a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The card, or a name.
    Said,
    /// Nothing: the only split is `train`, but of an archive the names within may say more.
    Unsaid,
}

/// The splits of one folder or config.
pub(super) struct Scope<'a> {
    /// Description of the folder or config, for messages.
    pub(super) place: String,
    /// Splits of the folder or config.
    pub(super) splits: Splits<'a>,
    /// What says of which split a file is.
    pub(super) origin: Origin,
    /// How the card says that rows are read.
    pub(super) reading: Reading,
}

impl<'a> Scope<'a> {
    /// Returns the readable files of a split, or why there are none.
    pub(super) fn files_of(&self, split: &str) -> Result<Vec<(&'a str, FileKind)>, Lacking> {
        let place = &self.place;
        let is_open = self.origin == Origin::Unsaid && self.splits.iter().all(|(_, files)| are_archives(files));
        let Some((_, files)) = self.splits.iter().find(|(name, _)| is_open || name == split) else {
            let names = list(self.splits.iter().map(|(name, _)| name.as_str()));
            // `dev.jsonl` holds the split `validation`.
            let called = KEYWORDS.iter().find(|(_, words)| words.contains(&split)).map(|(name, _)| *name);
            let meant = called.filter(|called| self.splits.iter().any(|(name, _)| name == called));
            let meant = meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            let reason = format!("no split `{split}` in {place}; available: {names}{meant}");
            return Err(Lacking::new(SourceFault::NoSplit, split, reason));
        };
        let Some(loader) = loader_of(files) else {
            let reason = format!("no file for split `{split}` in {place}: its patterns match no data files");
            return Err(Lacking::new(SourceFault::NoSplit, split, reason));
        };
        let mut readable = Vec::new();
        for (path, name) in files {
            match name {
                Name::Rows { kind, .. } if super::kind::loader(kind.format) == loader => readable.push((*path, *kind)),
                Name::Sealed { wrapping, extension } if super::kind::loader(EXTENSIONS[*extension].1) == loader => {
                    return Err(
                        format!("`{path}` in {place} {}", why_sealed(wrapping, EXTENSIONS[*extension].1)).into()
                    );
                }
                _ => {}
            }
        }
        Ok(readable)
    }
}

fn are_archives(files: &[(&str, Name<'_>)]) -> bool {
    files.iter().all(|(_, name)| name.format().is_some_and(RowFormat::is_archive))
}

/// Returns the loader of the commonest extension; that of archives only if there is nothing else, because what they hold is not
/// known before they are downloaded, and most hold media.
fn loader_of(files: &[(&str, Name<'_>)]) -> Option<&'static str> {
    let mut counts = [0_usize; EXTENSIONS.len()];
    let only_archives = are_archives(files);
    for (_, name) in files.iter().filter(|(_, name)| only_archives || !name.format().is_some_and(RowFormat::is_archive))
    {
        if let Name::Rows { extension, .. } | Name::Sealed { extension, .. } = name {
            counts[*extension] += 1;
        }
    }
    let commonest = (0..counts.len()).max_by_key(|at| (counts[*at], Reverse(*at)))?;
    (counts[commonest] > 0).then(|| super::kind::loader(EXTENSIONS[commonest].1))
}

/// Names of splits with the words for them, in the order in which `datasets` tries them.
const KEYWORDS: &[(&str, &[&str])] = &[
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// Returns the splits of a folder's files, given as path, path within the folder, and kind.
pub(super) fn by_name<'a>(files: &[(&'a str, &'a str, Name<'a>)]) -> (Splits<'a>, Origin) {
    let sharded = by_shards(files);
    if !sharded.is_empty() {
        return (sharded, Origin::Said);
    }
    for rank in [folder_rank, file_rank] {
        let mut splits = Splits::new();
        for (split, words) in KEYWORDS {
            let mut ranked: Vec<_> =
                files.iter().filter_map(|(path, within, name)| Some((rank(within, words)?, (*path, *name)))).collect();
            // `files` is sorted by path, and the sort keeps that order within a rank.
            ranked.sort_by_key(|(rank, _)| *rank);
            if !ranked.is_empty() {
                splits.push(((*split).to_owned(), ranked.into_iter().map(|(_, file)| file).collect()));
            }
        }
        if !splits.is_empty() {
            return (splits, Origin::Said);
        }
    }
    let all = files.iter().map(|(path, _, name)| (*path, *name)).collect();
    (vec![("train".to_owned(), all)], Origin::Unsaid)
}

/// Returns whether the name of a file, or one of its folders, says of which split it is.
pub(crate) fn is_said(path: &str) -> bool {
    by_name(&[(path, path, judge(path))]).1 == Origin::Said
}

/// Groups files named `data/{split}-00000-of-00001*.*` by split: train, validation, test, then by name.
fn by_shards<'a>(files: &[(&'a str, &'a str, Name<'a>)]) -> Splits<'a> {
    let shard = Glob::new("-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*");
    let mut splits: BTreeMap<(usize, &str), Vec<_>> = BTreeMap::new();
    for (path, within, name) in files {
        let Some(base) = within.strip_prefix("data/").filter(|base| !base.contains('/')) else { continue };
        // The last place where a shard number begins: `a-00000-of-00001` is a split too.
        let split = base.match_indices('-').rev().map(|(at, _)| at).find(|at| *at > 0 && shard.matches(&base[*at..]));
        if let Some(at) = split {
            let order = KEYWORDS.iter().position(|(known, _)| *known == &base[..at]).unwrap_or(KEYWORDS.len());
            splits.entry((order, &base[..at])).or_default().push((*path, *name));
        }
    }
    splits.into_iter().map(|((_, split), files)| (split.to_owned(), files)).collect()
}

/// Returns the names, without what follows their numbers, of files that are missing among those whose names number them, such as
/// `train-00001-of-00003`.
pub(crate) fn missing_shards<'p>(paths: impl Iterator<Item = &'p str>) -> Vec<String> {
    let mut series: BTreeMap<(&str, u32), BTreeSet<u32>> = BTreeMap::new();
    for path in paths {
        let numbered = path.rsplit_once("-of-").and_then(|(before, after)| {
            let (name, number) = before.rsplit_once('-')?;
            let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            let count = after.get(..5).filter(|count| is_number(count))?;
            is_number(number).then_some((name, number.parse().ok()?, count.parse().ok()?))
        });
        let Some((name, number, count)) = numbered else { continue };
        series.entry((name, count)).or_default().insert(number);
    }
    let missing = series.into_iter().flat_map(|((name, count), there)| {
        let absent = (0..count).filter(move |number| !there.contains(number));
        absent.map(move |number| format!("{name}-{number:05}-of-{count:05}"))
    });
    missing.collect()
}

/// Returns the index of the first folder-name pattern that matches a path.
fn folder_rank(within: &str, words: &[&str]) -> Option<usize> {
    let (folders, _) = within.rsplit_once('/')?;
    let forms = |folder: &str, word: &str| {
        [(true, true), (true, false), (false, true), (false, false)]
            .into_iter()
            .position(|(starts, ends)| stands_in(folder, word, starts, ends))
    };
    words.iter().enumerate().find_map(|(at, word)| {
        let form = folders.split('/').filter_map(|folder| forms(folder, word)).min()?;
        Some(at * 4 + form)
    })
}

/// Returns the index of the first file-name pattern that matches a path.
fn file_rank(within: &str, words: &[&str]) -> Option<usize> {
    let base = basename(within);
    words.iter().enumerate().find_map(|(at, word)| {
        let form = [true, false].into_iter().position(|starts| stands_in(base, word, starts, false))?;
        Some(at * 2 + form)
    })
}

/// Returns whether `word` occurs in `text` as a word: at its start or after a separator, and at its end or before
/// one.
fn stands_in(text: &str, word: &str, starts: bool, ends: bool) -> bool {
    let separator = |byte: u8| b"-._ 0123456789".contains(&byte);
    text.match_indices(word).any(|(at, _)| {
        let before = text.as_bytes()[..at].last().copied();
        let after = text.as_bytes().get(at + word.len()).copied();
        (if starts { before.is_none() } else { before.is_some_and(separator) })
            && (if ends { after.is_none() } else { after.is_some_and(separator) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_missing_are_found() {
        let missing = |paths: &[&str]| missing_shards(paths.iter().copied()).join(" ");
        assert_eq!(
            missing(&["d/train-00000-of-00003.parquet", "d/train-00002-of-00003.parquet"]),
            "d/train-00001-of-00003"
        );
        assert_eq!(
            missing(&["a-00000-of-00002-0a1b.parquet", "a-00001-of-00002-ffff.parquet", "b-00000-of-00001.jsonl.gz"]),
            ""
        );
        assert_eq!(
            missing(&["a-00001-of-00002.parquet", "b-00000-of-00002.parquet"]),
            "a-00000-of-00002 b-00001-of-00002"
        );
        assert_eq!(missing(&["a-1-of-3.jsonl", "out-of-order.jsonl", "a-00000-of-3.jsonl", "é-of-é.jsonl"]), "");
    }
}
