//! Reads a [`Recipe`] from YAML, or reports every fault in it with its location; and the settings of a workspace from TOML.
//!
//! [`load`] is pure: it turns a text into a recipe or [`Problem`]s. `yaml` parses the text into a tree with
//! positions, and one walk (`check`) turns the tree into a recipe, so all faults of a file are reported together,
//! each with its line and column.

mod check;
mod defaults;
mod edit;
mod expect;
mod leaves;
pub mod model;
mod of_failure;
mod options;
mod pages;
mod problem;
pub mod recipe;
mod schema;
mod settings;
mod toml;
mod tree;
mod yaml;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    leaf::{Leaf, Setting},
    outputs::{BySide, OutputKind, OutputSet, Side},
    sample::SampleKind,
};

pub use check::rules::{did_you_mean, is_in_bucket};

use check::rules::{file_stem, stem_fault};
use problem::Fault;

pub use defaults::{Defaults, Taken};
pub use edit::add_dataset;
pub use expect::{Expectation, Expected, Found, Limits, percent};
pub use leaves::{decide_role, decide_selection, locate};
pub use model::Model;
pub use of_failure::{problem_of, problems_of};
pub use options::{Command, Keep, Options, Program};
pub use pages::{Example, Page, Part, pages};
pub use problem::{CODES, Problem};
pub use recipe::{
    Amount, Dataset, Deduplicate, FORMATS, Location, Metadata, Mix, Overlap, Recipe, Sampling, SourceRole, SplitMethod,
    Strategy, Take, Unique, Unit, Validation, format_word,
};
pub use schema::{RECIPE_SCHEMA, schema};
pub use settings::{
    Described, FoundSetting, MAX_JOBS, SETTINGS, SETTINGS_FILE, SETTINGS_SCHEMA, SettingKey, SettingKind, SettingValue,
    age, load_settings, settings_schema, size, switch,
};

pub use crate::{format::RowFormat, function::Function};

/// Maximum size of a recipe in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Maximum number of problems listed for one file; one more says how many were left out.
pub const MAX_PROBLEMS: usize = 100;

/// The names that other modules define and recipes may use, and what recipes need not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// The registered converters.
    pub converters: Vec<ConverterWord>,
    /// What holds for recipes that do not say otherwise.
    pub defaults: Defaults,
}

/// A converter, as far as recipes are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConverterWord {
    /// Name in recipes.
    pub name: String,
    /// Kind of samples that the converter makes.
    pub kind: SampleKind,
    /// Options with their allowed values; an option without values allows any.
    pub options: Vec<(String, Vec<String>)>,
}

/// Reads a recipe, or reports everything that is wrong with it in the order of the text.
///
/// ```
/// use datac_core::config::{Vocabulary, load};
///
/// let text = b"metadata: { phase: pretrain }\ndatasets:\n  - { name: wiki, source: org/wiki, mix_ratios: 1 }\n";
/// let problems = load("wiki.yaml", text, &Vocabulary::default()).unwrap_err();
/// assert_eq!((problems[0].line, problems[0].column), (3, 37));
/// assert_eq!(problems[0].hint.as_deref(), Some("did you mean `mix_ratio`?"));
/// ```
pub fn load(path: &str, text: &[u8], vocabulary: &Vocabulary) -> Result<Recipe, Vec<Problem>> {
    let stem = file_stem(path);
    let misnamed = stem_fault(stem).map(|what| {
        Fault::of_file(problem::FILE_NAME, format!("the file name {} {what}", tree::quoted(stem)))
            .hint("output files are named after it: use letters, digits, `.`, `_` and `-`")
    });
    let mut faults: Vec<Fault> = misnamed.into_iter().collect();
    match read(text, vocabulary) {
        Ok(recipe) if faults.is_empty() => return Ok(recipe),
        Ok(_) => {}
        Err(found) => faults.extend(found),
    }
    faults.sort_by_key(|fault| fault.span.as_ref().map(|span| (span.start, span.end)));
    let more = faults.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        faults.truncate(MAX_PROBLEMS);
        faults.push(Fault::of_file(problem::TOO_MANY, format!("and {more} more problems")));
    }
    let located = |mut fault: Fault| match vocabulary.defaults.text_of(&mut fault) {
        Some(defaults) => fault.locate(SETTINGS_FILE, defaults.as_bytes()),
        None => fault.locate(path, text),
    };
    Err(faults.into_iter().map(located).collect())
}

/// Returns a problem for each recipe that would write the outputs of an earlier one. Items are path, recipe and text.
///
/// Names are compared without regard to case, as on the file systems of macOS.
pub fn check_collisions(recipes: &[(&str, &Recipe, &[u8])]) -> Vec<Problem> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (path, recipe, text) in recipes {
        let stem = recipe.outputs(path).stem().to_lowercase();
        match first.get(&stem) {
            None => drop(first.insert(stem, path)),
            Some(other) => problems.push(collision(path, recipe, text, other)),
        }
    }
    problems
}

/// Returns the problem of a recipe that would write the outputs of the recipe at `other`.
pub fn collision(path: &str, recipe: &Recipe, text: &[u8], other: &str) -> Problem {
    let name = recipe.outputs(path).name(OutputKind::Rows(Side::Train));
    let fault = Fault::of_file(problem::COLLISION, format!("`{other}` also writes `{name}`"));
    let fault = Fault { span: leaves::value_span(text, &Leaf::Recipe { setting: Setting::Phase }), ..fault };
    let fault = fault.label("outputs are named after the phase and the file");
    fault.hint("rename one of the two files, or change its phase").locate(path, text)
}

impl Recipe {
    /// Returns the outputs of this recipe, whose file is at `path`. Their names begin with the phase and the stem of
    /// that file.
    pub fn outputs(&self, path: &str) -> OutputSet {
        OutputSet::new(format!("{}_{}", self.metadata.phase, file_stem(path)))
    }

    /// Returns the names that its files may have in the output folder, but for what stands beside the rows of a target.
    pub fn output_names(&self, path: &str) -> Vec<String> {
        let quarantine = self.outputs(path).name(OutputKind::Quarantine);
        self.row_names(path, BySide::new(|_| true)).into_iter().chain([quarantine]).collect()
    }

    /// Returns the names that its files of rows have in the output folder.
    pub fn row_names(&self, path: &str, sides: BySide<bool>) -> Vec<String> {
        let outputs = self.outputs(path);
        let native = self.writes_native().then(|| outputs.row_names(sides)).into_iter().flatten();
        let mut names: Vec<String> = native.collect();
        for target in self.targets() {
            let folder = outputs.folder(target);
            for side in Side::ALL.into_iter().filter(|side| *sides.get(*side)) {
                let name = |shard| format!("{folder}/{}", target.file_name(side, shard, target.shards));
                names.extend((0..target.shards).map(name));
            }
        }
        names
    }
}

/// Returns the kind of sample that a phase stands for; `None` if it begins with no known word.
pub fn kind_of(phase: &str) -> Option<SampleKind> {
    check::PHASES.iter().find(|(word, _)| phase.starts_with(word)).map(|(_, kind)| *kind)
}

/// Returns what is wrong with a part of a recipe's path, which outputs are named after.
pub fn file_name_fault(part: &str) -> Option<Cow<'static, str>> {
    stem_fault(part)
}

fn read(text: &[u8], vocabulary: &Vocabulary) -> Result<Recipe, Vec<Fault>> {
    let (text, mark) = plain_text(text).map_err(|fault| vec![fault])?;
    let mut parsed = yaml::parse(text);
    let mut faults = parsed.faults;
    let mut recipe = None;
    if let Some(root) = &mut parsed.root {
        vocabulary.defaults.put_into(root);
        let (valid, found) = check::check(root, vocabulary);
        recipe = valid;
        faults.extend(found);
    }
    match recipe {
        Some(recipe) if faults.is_empty() => Ok(recipe),
        _ => {
            for span in faults.iter_mut().filter_map(|fault| fault.span.as_mut()) {
                if !Defaults::have(span) {
                    *span = span.start + mark..span.end + mark;
                }
            }
            Err(faults)
        }
    }
}

/// Returns the text without its byte order mark, and the size of that mark in bytes.
fn plain_text(text: &[u8]) -> Result<(&str, usize), Fault> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; it may have up to {MAX_BYTES}", text.len());
        return Err(
            Fault::of_file(problem::TOO_LARGE, message).hint("is this a recipe? data goes into a file of its own")
        );
    }
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map_or((text, 0), |rest| (rest, '\u{feff}'.len_utf8()))),
        Err(error) => {
            let at = error.valid_up_to();
            let fault = Fault::new(problem::NOT_UTF8, &(at..at), "the file is not UTF-8");
            Err(fault.hint("save it as UTF-8"))
        }
    }
}
