//! What a dataset entry says about its rows, apart from where they are and which of them are wanted.

use std::{collections::BTreeMap, ops::Deref};

use serde::{Deserialize, Serialize};

use crate::{key::Visitor, leaf::Setting, mapping::Mapping, sample::Role};

/// How the rows of a dataset entry become samples: all that the entry says beside the converter's name.
///
/// It is one value, so that whatever is added to it reaches every conversion, its key and the leaves of the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Options {
    /// The converter's own options, by name.
    pub of_converter: BTreeMap<String, String>,
    /// The columns that fill the slots of samples, where the recipe names them itself.
    pub columns: Mapping,
    /// The program that converts rows, where there is one.
    pub command: Option<Command>,
    /// The roles of words that converters do not know by themselves.
    pub roles: BTreeMap<String, Role>,
}

/// A program that converts rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The files that decide what it does, relative to the workspace.
    pub files: Vec<String>,
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
            visitor.setting(Setting::Column(entry.word.clone()), &entry.from.to_string());
        }
        if let Some(command) = &self.command {
            visitor.setting(Setting::Command, &command.command);
            visitor.setting(Setting::CommandFiles, &command.files);
        }
        for (word, role) in &self.roles {
            visitor.setting(Setting::Role(word.clone()), &role.name().to_owned());
        }
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
