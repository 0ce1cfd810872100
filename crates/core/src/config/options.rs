//! What a dataset entry says about its rows, apart from where they are and which of them are wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Deref,
};

use serde::{Deserialize, Serialize};

use crate::{function::Function, key::Visitor, leaf::Setting, mapping::Mapping, rules::Mode, sample::Role};

/// How the rows of a dataset entry become samples: all that the entry says beside the converter's name.
///
/// It is one value, so that whatever is added to it reaches every conversion, its key and the leaves of the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Options {
    /// The converter's own options, by name.
    pub of_converter: BTreeMap<String, String>,
    /// The columns that fill the slots of samples, where the recipe names them itself.
    pub columns: Mapping,
    /// The program of the user's that converts rows, where there is one.
    pub program: Option<Program>,
    /// The roles of words that converters do not know by themselves.
    pub roles: BTreeMap<String, Role>,
    /// The columns that samples keep.
    pub keep: Keep,
    /// The columns that the converter does not see, and names of what it leaves that are named no more.
    pub ignore: BTreeSet<String>,
    /// What is done where a rule is broken, by the rule; others do what they do by default.
    pub rules: BTreeMap<String, Mode>,
}

/// What datac calls the id that it gives a row.
pub(super) const ID: &str = "id";

/// What a source's own `id` is called beside it, if all columns are kept.
pub(super) const SOURCE_ID: &str = "source_id";

/// The columns of the source that samples keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keep {
    /// Whether every column is kept that nothing else uses.
    pub all: bool,
    /// The names that columns have in rows, by their names in the source.
    pub columns: BTreeMap<String, String>,
}

impl Keep {
    /// Whether `all` keeps a column under another name that the recipe does not give: there need be none.
    pub fn is_implied(&self, column: &str) -> bool {
        self.all && self.columns.get(column).is_some_and(|new| column == ID && new == SOURCE_ID)
    }

    /// Whether nothing is kept.
    pub fn is_none(&self) -> bool {
        !self.all && self.columns.is_empty()
    }
}

/// Spells the columns as a recipe would: `all`, `id`, `source as origin`.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all.then(|| "all".to_owned());
        let named = self.columns.iter().map(|(old, new)| {
            let (old, new) = (spelled(old), spelled(new));
            if old == new { old } else { format!("{old} as {new}") }
        });
        f.write_str(&all.into_iter().chain(named).collect::<Vec<_>>().join(", "))
    }
}

/// Returns a name as it is, or in quotes if what is around it could be taken for a part of it: two settings never look alike.
fn spelled(name: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.');
    if name != "all" && name.chars().all(is_plain) { name.to_owned() } else { json(name) }
}

fn json(name: &str) -> String {
    serde_json::to_string(name).expect("a string is always JSON")
}

/// A program of the user's that converts rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Program {
    /// A command.
    Command(Command),
    /// A function in Python.
    Python(Function),
}

/// A command that converts rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The files that decide what it does, relative to the workspace.
    pub files: Vec<String>,
}

impl Program {
    /// Returns the files that decide what it does, as the recipe names them; wildcards may stand for several.
    pub fn files(&self) -> &[String] {
        match self {
            Self::Command(command) => &command.files,
            Self::Python(function) => &function.files,
        }
    }
}

impl Options {
    /// Returns the options of an entry that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names everything here that decides samples.
    pub fn decide(&self, visitor: &mut dyn Visitor) {
        for (option, value) in &self.of_converter {
            visitor.setting(Setting::Option(option.clone()), value);
        }
        for entry in &self.columns.entries {
            visitor.setting(Setting::Column(entry.word.clone()), &entry.from);
        }
        match &self.program {
            Some(Program::Command(command)) => {
                visitor.setting(Setting::Command, &command.command);
                visitor.setting(Setting::CommandFiles, &command.files);
            }
            Some(Program::Python(function)) => {
                visitor.setting(Setting::Python, &function.to_string());
                visitor.setting(Setting::CommandFiles, &Some(&function.files).filter(|files| !files.is_empty()));
            }
            None => {}
        }
        for (word, role) in &self.roles {
            visitor.setting(Setting::Role(word.clone()), &role.name().to_owned());
        }
        visitor.setting(Setting::Keep, &Some(self.keep.to_string()).filter(|_| !self.keep.is_none()));
        let ignored: Vec<String> = self.ignore.iter().cloned().collect();
        for (rule, mode) in &self.rules {
            visitor.setting(Setting::Rule(rule.clone()), &mode.word().to_owned());
        }
        visitor.setting(Setting::Ignore, &Some(ignored).filter(|ignored| !ignored.is_empty()));
    }
}

/// The converter's own options.
impl Deref for Options {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.of_converter
    }
}

impl FromIterator<(String, String)> for Options {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(of_converter: I) -> Self {
        Self { of_converter: of_converter.into_iter().collect(), ..Self::default() }
    }
}

impl<const N: usize> From<[(String, String); N]> for Options {
    fn from(of_converter: [(String, String); N]) -> Self {
        Self { of_converter: of_converter.into(), ..Self::default() }
    }
}
