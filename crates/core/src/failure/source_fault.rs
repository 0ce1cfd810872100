//! What can be wrong with a source or the result of a recipe, and at which of its keys that is shown.

use crate::leaf::{Leaf, Setting};

/// Defines each fault once, with its code, its meaning and the words under the key that it is shown at.
macro_rules! faults {
    ($($name:ident = $code:literal, $meaning:literal, $label:literal;)*) => {
        /// A fault of a source, or of the result. The codes are explained by `datac explain` and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SourceFault {
            $(#[doc = $meaning] $name,)*
        }

        impl SourceFault {
            /// Every fault, by code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Returns the meaning in one line.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// Returns the words under the key.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

faults! {
    NotFound = "E0201", "the source does not exist in the workspace", "does not exist";
    NotOnHub = "E0202", "the hub does not have the dataset or the revision, or does not give access", "not available";
    NoRows = "E0203", "the source has no files that can be read", "no rows";
    NoSplit = "E0204", "the source has no such split", "no such split";
    NoConfig = "E0205", "the source has no such config, or one must be chosen", "no such config";
    NoFolder = "E0206", "the source has no such folder", "no such folder";
    Format = "E0207", "the format of a file is not the one the recipe names, or cannot be told", "another format";
    NoConverter = "E0208", "no converter reads the columns of the source", "no converter reads it";
    SeveralConverters = "E0209", "several converters read the columns of the source", "ambiguous";
    NoField = "E0210", "neither samples nor source rows have the field that filters measure", "no such field";
    Empty = "E0211", "the source has no rows", "no rows";
    NothingLeft = "E0212", "no rows of the source are left", "nothing is left";
    ManyRejects = "E0213", "more rows were rejected than the recipe allows", "exceeded";
    Unreadable = "E0214", "a file of the source cannot be read", "cannot be read";
    NotPinned = "E0215", "datac.lock does not allow the source", "not as pinned";
    Unreachable = "E0216", "the hub does not respond, or may not be contacted", "not reachable";
    NoColumn = "E0217", "no row of the source has a column that `columns` names", "no such column";
    Command = "E0218", "the command that converts rows failed", "failed";
    Unexpected = "E0219", "the result is not what the recipe expects", "not met";
    Model = "E0220", "the model cannot be used", "cannot be used";
    Python = "E0221", "a function in Python cannot be called, or failed", "failed";
    Unsteady = "E0222", "a function in Python returns other results for the same row", "not deterministic";
    Bucket = "E0223", "the bucket cannot be read", "cannot be read";
}

/// The part of a source that a failure is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AboutSource {
    /// What is wrong.
    pub fault: SourceFault,
    /// The word of the recipe that is wrong, where the key holds several.
    pub word: Option<String>,
    /// The key of the recipe, where the fault leaves that open.
    pub key: Option<Setting>,
    /// The dataset entry; `None` until the plan names it.
    pub dataset: Option<InRecipe>,
}

/// A dataset entry of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InRecipe {
    /// The path of the recipe.
    pub recipe: String,
    /// The name of the dataset.
    pub dataset: String,
}

impl AboutSource {
    /// Returns the keys that the failure may be shown at, the best first; a recipe need not have it.
    pub(crate) fn keys(&self) -> Vec<Leaf> {
        let Some(InRecipe { dataset, .. }) = &self.dataset else { return Vec::new() };
        let own = match self.fault {
            SourceFault::NoSplit => Some(Setting::Splits),
            SourceFault::NoConfig => Some(Setting::ConfigName),
            SourceFault::NoFolder => Some(Setting::DataDir),
            SourceFault::Format => Some(Setting::Format),
            SourceFault::NoConverter
            | SourceFault::SeveralConverters
            | SourceFault::Command
            | SourceFault::Python
            | SourceFault::Unsteady => Some(Setting::Converter),
            SourceFault::NoColumn => self.word.clone().map(Setting::Column),
            SourceFault::NoField => Some(self.key.clone().unwrap_or(Setting::TextField)),
            SourceFault::ManyRejects => match &self.key {
                Some(rule @ Setting::Rule(_)) => Some(rule.clone()),
                _ => return vec![Leaf::Recipe { setting: Setting::MaxRejects }],
            },
            SourceFault::Unexpected | SourceFault::Model => {
                return self.key.iter().map(|setting| Leaf::Recipe { setting: setting.clone() }).collect();
            }
            _ => None,
        };
        let leaf = |setting| Leaf::Dataset { dataset: dataset.clone(), setting };
        own.into_iter().chain([Setting::Source]).map(leaf).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(SourceFault::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }
}
