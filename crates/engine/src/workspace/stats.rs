//! Statistics of outputs: rows, characters, words, turns, repeated prompts, lengths.
//!
//! Files are read in blocks, several at once, and rows are not kept. Memory: about forty bytes per row, for the
//! prompts seen so far and the median of the lengths.

use std::{
    collections::{BTreeMap, HashSet},
    io::{BufRead, Read},
    path::Path,
};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::token_stats::{SideTokens, token_stats};
use crate::{
    cache::Access,
    provenance::summary::{SourceSummary, Summary},
    selector::find,
    site::{Site, WorkspaceError, lines_of},
    system::{self, FileError},
};
use datac_core::{
    outputs::{OutputKind, Target},
    sample::Body,
    shape::{self, Shape, WrittenRow},
};

/// Statistics of the outputs of several recipes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stats {
    /// The recipes, by path.
    pub recipes: Vec<RecipeStats>,
}

/// Statistics of a recipe's outputs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RecipeStats {
    /// Name of the recipe.
    pub name: String,
    /// Path of the recipe.
    pub path: String,
    /// The files; none if the recipe was not built.
    pub files: Vec<FileStats>,
    /// Statistics of the tokens of each side for the recipe's model, at the last build; none without a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<SideTokens>,
    /// Why there are no statistics of tokens, if the cache has lost what they are made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_unknown: Option<String>,
    /// Summary of each source at the last build: shares asked for and realised, filters, rejects by reason.
    pub sources: Vec<SourceSummary>,
}

/// Statistics of an output.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FileStats {
    /// Name of the file in the output folder.
    pub output: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Statistics of all rows.
    pub all: Numbers,
    /// Statistics by source.
    pub sources: BTreeMap<String, Numbers>,
    /// Number of lines that are not rows as datac writes them.
    pub unreadable: u64,
}

/// Statistics of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Numbers {
    /// Number of rows.
    pub rows: u64,
    /// Number of characters in the texts; of preference pairs, in the preferred side.
    pub characters: u64,
    /// Number of words in the texts, separated by white space.
    pub words: u64,
    /// Number of messages; 0 for running text.
    pub turns: u64,
    /// Number of rows whose prompt occurred in an earlier row.
    pub repeated_prompts: u64,
    /// Characters of a row.
    #[serde(flatten)]
    pub lengths: Lengths,
    #[serde(skip)]
    prompts: HashSet<u64>,
}

/// How long rows are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Lengths {
    /// The median length.
    pub median: u64,
    /// The length of the longest row.
    pub longest: u64,
    /// Numbers of rows with a length of 0, 1, 2 to 3, 4 to 7, 8 to 15, and so on.
    pub lengths: Vec<u64>,
    #[serde(skip)]
    each: Vec<u32>,
}

impl Lengths {
    pub(super) fn add(&mut self, length: u32) {
        self.longest = self.longest.max(u64::from(length));
        let bucket = (u32::BITS - length.leading_zeros()) as usize;
        if self.lengths.len() <= bucket {
            self.lengths.resize(bucket + 1, 0);
        }
        self.lengths[bucket] += 1;
        self.each.push(length);
    }

    /// Computes the median, and frees the memory needed for it.
    pub(super) fn close(&mut self) {
        let middle = self.each.len() / 2;
        if !self.each.is_empty() {
            self.median = u64::from(*self.each.select_nth_unstable(middle).1);
        }
        self.each = Vec::new();
    }
}

impl Numbers {
    fn add(&mut self, row: &Measured) {
        self.rows += 1;
        self.characters += u64::from(row.characters);
        self.words += u64::from(row.words);
        self.turns += u64::from(row.turns);
        self.repeated_prompts += u64::from(!self.prompts.insert(row.prompt));
        self.lengths.add(row.characters);
    }

    /// Computes the median, and frees the memory needed for it.
    fn close(mut self) -> Self {
        self.lengths.close();
        self.prompts = HashSet::new();
        self
    }
}

/// Measurements of a row, kept until its block has been counted.
struct Measured {
    source: String,
    characters: u32,
    words: u32,
    turns: u32,
    prompt: u64,
}

fn measure(line: &[u8], shape: Option<&dyn Shape>) -> Option<Measured> {
    let line = std::str::from_utf8(line).ok()?;
    let WrittenRow { sample, source } = shape.map_or_else(|| shape::read(line), |shape| shape.read(line))?;
    let text = sample.field_text(sample.kind().default_field()).unwrap_or_default();
    let turns = match &sample.body {
        Body::Conversation { messages } | Body::Prompt { messages } | Body::Labelled { messages } => messages.len(),
        Body::Stepwise { prompt, steps } => prompt.len() + steps.len(),
        Body::Preference { prompt, ranked } => prompt.len() + ranked.first().map_or(0, Vec::len),
        Body::Text { .. } => 0,
    };
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(Measured {
        source: source.unwrap_or_default(),
        characters: narrow(text.chars().count()),
        words: narrow(text.split_whitespace().count()),
        turns: narrow(turns),
        prompt: sample.prompt_hash(),
    })
}

/// Number of bytes read before their lines are measured.
const BLOCK: u64 = 4 << 20;

/// Measures the outputs of the recipes that `selectors` match.
pub(crate) fn stats(site: &Site, selectors: &[String]) -> Result<Stats, WorkspaceError> {
    let record = site.cache.record(Access::Read)?;
    let last = record.recipes()?;
    let mut recipes = Vec::new();
    for text in find(site, selectors)?.recipes {
        let (files, tokens, sources) = (Vec::new(), Vec::new(), Vec::new());
        let mut stats = RecipeStats { name: text.name, path: text.path, files, tokens, tokens_unknown: None, sources };
        if let Some(last) = last.get(&stats.path) {
            let is_rows = |name: &str| OutputKind::of(name).is_some_and(|kind| kind.side().is_some());
            let rows = last.outputs.iter().filter(|output| is_rows(&output.name));
            let names: Vec<&str> = rows.map(|output| output.name.as_str()).collect();
            let measured = names.into_par_iter().map(|name| file_stats(&site.outputs.file(name), name));
            stats.files = measured.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            let detail = record.detail(&stats.path)?;
            let summary = detail.and_then(|detail| postcard::from_bytes::<Summary>(&detail.summary).ok());
            match token_stats(site, &record, &stats.path) {
                Ok(tokens) => stats.tokens = tokens,
                Err(error) => stats.tokens_unknown = Some(error.to_string()),
            }
            stats.sources = summary.map(|summary| summary.sources).unwrap_or_default();
        }
        recipes.push(stats);
    }
    Ok(Stats { recipes })
}

/// Returns the statistics of a file; `None` if it does not exist.
fn file_stats(path: &Path, name: &str) -> Result<Option<FileStats>, WorkspaceError> {
    let bytes = match system::stat(path) {
        Ok(stat) => stat.size,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut reader = lines_of(path)?;
    // The rows of a shape are in a folder of its name.
    let shape = name.split('/').nth(1).map(Target::shape_of).and_then(shape::by_name);
    // Rows of ids are counted; what the samples in them are is known from the build.
    let is_of_tokens = shape.is_some_and(<dyn Shape>::is_of_tokens);
    let failed = |source| FileError { verb: "read", path: path.to_owned(), source };
    let mut stats =
        FileStats { output: name.to_owned(), bytes, all: Numbers::default(), sources: BTreeMap::new(), unreadable: 0 };
    loop {
        // Read as many blocks as there are threads, each up to the end of a line.
        let mut blocks = Vec::new();
        for _ in 0..rayon::current_num_threads() {
            let mut block = Vec::new();
            reader.by_ref().take(BLOCK).read_to_end(&mut block).map_err(failed)?;
            if block.is_empty() {
                break;
            }
            if block.last() != Some(&b'\n') {
                reader.read_until(b'\n', &mut block).map_err(failed)?;
            }
            blocks.push(block);
        }
        if blocks.is_empty() {
            break;
        }
        let lines = |block: Vec<u8>| {
            let lines = block.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            lines.map(|line| measure(line, shape)).collect::<Vec<_>>()
        };
        let measured: Vec<Vec<Option<Measured>>> = blocks.into_par_iter().map(lines).collect();
        for row in measured.into_iter().flatten() {
            let Some(row) = row else {
                *(if is_of_tokens { &mut stats.all.rows } else { &mut stats.unreadable }) += 1;
                continue;
            };
            stats.all.add(&row);
            stats.sources.entry(row.source.clone()).or_default().add(&row);
        }
    }
    stats.all = stats.all.close();
    stats.sources = stats.sources.into_iter().map(|(name, numbers)| (name, numbers.close())).collect();
    Ok(Some(stats))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_kind_are_measured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let text = concat!(
            r#"{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"é a"}],"text":"q\né a","source":"s"}"#,
            "\n",
            r#"{"conversations":[{"role":"user","content":"q"}],"source":"p"}"#,
            "\n",
            r#"{"chosen":[{"role":"user","content":"x"},{"role":"assistant","content":"good"}],"rejected":[{"role":"user","content":"x"},{"role":"assistant","content":"bad"}],"source":"s"}"#,
            "\n",
            r#"{"text":"running \"text\" here","source":"s"}"#,
            "\nnot a row\n{}\n\n",
        );
        system::replace(&path, text.as_bytes()).unwrap();
        let stats = file_stats(&path, "a.jsonl").unwrap().unwrap();
        let all = &stats.all;
        assert_eq!((all.rows, all.characters, all.words, all.turns), (4, 5 + 1 + 6 + 19, 3 + 1 + 2 + 3, 5));
        let lengths = &all.lengths;
        assert_eq!((all.repeated_prompts, lengths.longest, lengths.median, stats.unreadable), (1, 19, 6, 2));
        assert_eq!(lengths.lengths, [0, 1, 0, 2, 0, 1], "1, then 5 and 6, then 19 characters");
        assert_eq!(stats.sources["s"].rows, 3);
        assert_eq!((stats.sources["p"].repeated_prompts, stats.bytes), (0, text.len() as u64));
        assert!(file_stats(&folder.path().join("none"), "none").unwrap().is_none());
    }
}
