//! Leaves: everything that decides the outputs of a recipe, named in the author's terms.
//!
//! Leaves are recorded at a build and compared later, which tells whether a recipe is stale and why. They are typed
//! throughout; [`fmt::Display`] gives their printed form, which is never parsed.

use std::{borrow::Cow, collections::HashMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::code::Component;

/// A key of a recipe that decides outputs, in the order of the documentation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Setting {
    /// `metadata.phase`.
    Phase,
    /// Names of the `datasets`.
    Datasets,
    /// `source` of a dataset.
    Source,
    /// `format` of a dataset.
    Format,
    /// `delimiter` of a dataset.
    Delimiter,
    /// `field` of a dataset.
    Field,
    /// `mix_ratio` of a dataset.
    MixRatio,
    /// `splits` of a dataset.
    Splits,
    /// `max_samples` of a dataset.
    MaxSamples,
    /// `sample` of a dataset.
    Sample,
    /// `text_field` of a dataset.
    TextField,
    /// `config_name` of a dataset.
    ConfigName,
    /// `revision` of a dataset.
    Revision,
    /// `converter` of a dataset.
    Converter,
    /// `data_dir` of a dataset.
    DataDir,
    /// An entry of a dataset's `options`, by its name.
    Option(String),
    /// `converter.command` of a dataset.
    Command,
    /// `converter.files` of a dataset.
    CommandFiles,
    /// One of the `columns` of a dataset, by the part of the sample that it is.
    Column(String),
    /// An entry of a dataset's `roles`, by the word in the source.
    Role(String),
    /// An entry of a dataset's `rules`, by the rule.
    Rule(String),
    /// `keep` of a dataset.
    Keep,
    /// `ignore` of a dataset.
    Ignore,
    /// An entry of a dataset's `filters`, by its index.
    Filter(u32),
    /// The side that all rows of a dataset are on, or that they are excluded.
    Part,
    /// `overlap` of a dataset that makes up a side.
    Overlap,
    /// `validation.ratio`.
    Ratio,
    /// `validation.seed`.
    Seed,
    /// `validation.method`.
    Method,
    /// `validation.stratified`.
    Stratified,
    /// `validation.normalise`.
    Normalise,
    /// `test.ratio`.
    TestRatio,
    /// `mix.strategy`.
    Strategy,
    /// `mix.total`.
    Total,
    /// `mix.unit`.
    Unit,
    /// `mix.deduplicate`, with `mix.normalise`.
    Deduplicate,
    /// `max_rejects`.
    MaxRejects,
    /// The shapes of `output`.
    Outputs,
    /// One entry of `output`, by its shape.
    Output(String),
    /// An entry of `expect`, by its key.
    Expected(String),
    /// An entry of `expect.shares`, by the name of the source.
    ExpectedShare(String),
    // What was added later stands here, because stored leaves number their settings.
    /// `metadata.description`, which cards quote.
    Description,
    /// `license` of a dataset, or what its source states.
    License,
    /// A key of `model`.
    Model(String),
    /// An entry of `model.arguments`, by its name.
    ModelArgument(String),
    /// `converter.python` of a dataset.
    Python,
    /// A key of the `model` of an output, by the name of its folder.
    OutputModel(String, String),
    /// An entry of `arguments` of the `model` of an output, by the name of its folder.
    OutputModelArgument(String, String),
}

/// Something that outputs depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Leaf {
    /// A value of the recipe.
    Recipe {
        /// The setting.
        setting: Setting,
    },
    /// A value of one of the recipe's datasets.
    Dataset {
        /// Name of the dataset.
        dataset: String,
        /// The setting.
        setting: Setting,
    },
    /// The hub that a source was pinned from.
    Hub {
        /// The source, as given in recipes.
        source: String,
    },
    /// The pinned commit of a repository.
    Commit {
        /// The repository.
        repo: String,
    },
    /// A file of a source.
    File {
        /// The repository, or the local path as given in the recipe.
        source: String,
        /// Path of the file.
        path: String,
    },
    /// The converter of a dataset, and its version.
    Converter {
        /// Name of the dataset.
        dataset: String,
    },
    /// The version of another component.
    Code(Component),
    /// A file that decides what a function in Python makes of rows.
    Function {
        /// The function, as the recipe names it: `converters/chat.py:to_sample`.
        function: String,
        /// Path of the file.
        path: String,
    },
    /// A file that decides what a function in Python says of samples.
    FilterFunction {
        /// The function, as the recipe names it: `scorers/tone.py:politeness`.
        function: String,
        /// Path of the file.
        path: String,
    },
}

/// The value of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Value {
    /// A value as an author would write it.
    Text(String),
    /// A digest or a commit, preceded by its algorithm unless that is git's.
    Hash(String),
    /// A converter and its version.
    Code {
        /// Name of the converter.
        name: String,
        /// Version of the converter.
        version: u32,
    },
    /// A version of the component that the leaf names.
    Version(u32),
    /// A value that is unknown until a source is read.
    Unknown,
}

/// The leaves of a recipe, in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaves(Vec<(Leaf, Value)>);

/// A leaf and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// The leaf, such as `mix_ratio of alpaca`.
    pub name: Leaf,
    /// The value, as text.
    pub value: Value,
}

/// A leaf whose value has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The leaf, such as `mix_ratio of alpaca`.
    pub name: Leaf,
    /// The previous value, if there was one.
    pub old: Option<Value>,
    /// The present value, if there is one.
    pub new: Option<Value>,
}

/// Serializes types as their text in readable formats, and as derived in binary ones.
macro_rules! words_for_people {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { $name::serialize(self, serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $name::deserialize(deserializer)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    )*};
}
words_for_people!(Leaf, Value);

impl Setting {
    /// Returns the block of the recipe or dataset that contains the key, if any, with dots between nested ones.
    pub fn block(&self) -> Option<&'static str> {
        match self {
            Self::Phase | Self::Description => Some("metadata"),
            Self::Ratio | Self::Seed | Self::Method | Self::Stratified | Self::Normalise => Some("validation"),
            Self::TestRatio => Some("test"),
            Self::Strategy | Self::Total | Self::Unit | Self::Deduplicate => Some("mix"),
            Self::Option(_) => Some("options"),
            Self::Command | Self::CommandFiles | Self::Python => Some("converter"),
            Self::Column(_) => Some("columns"),
            Self::Role(_) => Some("roles"),
            Self::Rule(_) => Some("rules"),
            Self::Output(_) => Some("output"),
            Self::Expected(_) => Some("expect"),
            Self::ExpectedShare(_) => Some("expect.shares"),
            Self::Model(_) => Some("model"),
            Self::ModelArgument(_) => Some("model.arguments"),
            // Which output it is stands between, see `Display`.
            Self::OutputModel(..) | Self::OutputModelArgument(..) => Some("output"),
            _ => None,
        }
    }

    /// Returns the key within its block.
    pub fn key(&self) -> &str {
        match self {
            Self::Phase => "phase",
            Self::Description => "description",
            Self::Datasets => "datasets",
            Self::Source => "source",
            Self::Format => "format",
            Self::Delimiter => "delimiter",
            Self::Field => "field",
            Self::MixRatio => "mix_ratio",
            Self::Splits => "splits",
            Self::MaxSamples => "max_samples",
            Self::Sample => "sample",
            Self::TextField => "text_field",
            Self::ConfigName => "config_name",
            Self::Revision => "revision",
            Self::License => "license",
            Self::Converter => "converter",
            Self::DataDir => "data_dir",
            Self::Command => "command",
            Self::CommandFiles => "files",
            Self::Python => "python",
            Self::Option(name)
            | Self::Column(name)
            | Self::Role(name)
            | Self::Rule(name)
            | Self::Output(name)
            | Self::Expected(name)
            | Self::ExpectedShare(name)
            | Self::Model(name)
            | Self::ModelArgument(name)
            | Self::OutputModel(_, name)
            | Self::OutputModelArgument(_, name) => name,
            Self::Keep => "keep",
            Self::Ignore => "ignore",
            Self::Filter(_) => "filters",
            Self::Part => "part",
            Self::Overlap => "overlap",
            Self::Ratio | Self::TestRatio => "ratio",
            Self::Seed => "seed",
            Self::Method => "method",
            Self::Stratified => "stratified",
            Self::Strategy => "strategy",
            Self::Total => "total",
            Self::Unit => "unit",
            Self::Normalise => "normalise",
            Self::Deduplicate => "deduplicate",
            Self::MaxRejects => "max_rejects",
            Self::Outputs => "output",
        }
    }

    /// Returns a setting of a recipe's `model` as one of the `model` of an output, by the name of its folder; others as they are.
    pub fn of_output(self, folder: &str) -> Self {
        match self {
            Self::Model(key) => Self::OutputModel(folder.to_owned(), key),
            Self::ModelArgument(name) => Self::OutputModelArgument(folder.to_owned(), name),
            other => other,
        }
    }

    /// Returns the index in the list, if the setting is an entry of a list.
    pub fn index(&self) -> Option<u32> {
        match self {
            Self::Filter(index) => Some(*index),
            _ => None,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = self.block() {
            write!(f, "{block}.")?;
        }
        match self {
            Self::OutputModel(folder, _) => write!(f, "{folder}.model.")?,
            Self::OutputModelArgument(folder, _) => write!(f, "{folder}.model.arguments.")?,
            _ => {}
        }
        f.write_str(self.key())?;
        self.index().map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

impl Leaf {
    /// Returns the name of such leaves in keys.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Recipe { .. } | Self::Dataset { .. } => "setting",
            Self::Hub { .. } => "hub",
            Self::Commit { .. } => "commit",
            Self::File { .. } | Self::Function { .. } | Self::FilterFunction { .. } => "file",
            Self::Converter { .. } | Self::Code(_) => "code",
        }
    }

    /// Returns the position among the leaves of a recipe: first the recipe's text from top to bottom, then its
    /// sources and what reads them, then all other code. `datasets` numbers the datasets.
    fn rank(&self, datasets: &HashMap<&str, usize>) -> (u8, usize, Option<Setting>) {
        let number = |dataset: &str| datasets.get(dataset).copied().unwrap_or(usize::MAX);
        match self {
            Self::Recipe { setting: setting @ (Setting::Phase | Setting::Description | Setting::Datasets) } => {
                (0, 0, Some(setting.clone()))
            }
            Self::Dataset { dataset, setting } => (1, number(dataset), Some(setting.clone())),
            Self::Recipe { setting } => (2, 0, Some(setting.clone())),
            Self::Hub { .. } | Self::Commit { .. } | Self::File { .. } => (3, 0, None),
            Self::Function { .. } | Self::FilterFunction { .. } => (3, 0, None),
            Self::Converter { .. } => (3, 0, None),
            Self::Code(Component::Scorer(_)) => (3, 0, None),
            Self::Code(_) => (4, 0, None),
        }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe { setting } => setting.fmt(f),
            Self::Dataset { dataset, setting } => write!(f, "{setting} of {dataset}"),
            Self::Hub { source } => write!(f, "hub of {source}"),
            Self::Commit { repo } => write!(f, "commit of {repo}"),
            Self::File { source, path } => write!(f, "file {path} of {source}"),
            Self::Function { function, path } => write!(f, "file {path} of converter {function}"),
            Self::FilterFunction { function, path } => write!(f, "file {path} of filter {function}"),
            Self::Converter { dataset } => write!(f, "converter of {dataset}"),
            Self::Code(component) => component.fmt(f),
        }
    }
}

impl Value {
    /// Returns a short form for display, with digests shortened.
    pub fn short(&self) -> String {
        match self {
            Self::Hash(hash) => {
                let hex = hash.rsplit(':').next().unwrap_or(hash);
                hex.get(..10).unwrap_or(hex).to_owned()
            }
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Hash(text) => f.write_str(text),
            Self::Code { name, version } => write!(f, "{name} {version}"),
            Self::Version(version) => version.fmt(f),
            Self::Unknown => f.write_str("unknown before its source is read"),
        }
    }
}

impl Leaves {
    /// Orders leaves for display. Each leaf must occur once; `datasets` are the names of the recipe's datasets in
    /// order.
    pub fn in_order(mut leaves: Vec<(Leaf, Value)>, datasets: &[String]) -> Self {
        let numbers: HashMap<&str, usize> =
            datasets.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
        leaves.sort_by_cached_key(|(leaf, _)| leaf.rank(&numbers));
        Self(leaves)
    }

    /// Returns the leaves with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Leaf, &Value)> {
        self.0.iter().map(|(leaf, value)| (leaf, value))
    }

    /// Returns the value of a leaf.
    pub fn get(&self, leaf: &Leaf) -> Option<&Value> {
        self.iter().find(|(known, _)| *known == leaf).map(|(_, value)| value)
    }

    /// Returns the changes from `old` to `self`: leaves of `self` in order, then leaves that were removed. Leaves
    /// whose value is unknown are only included if nothing else has changed.
    pub fn changes_since(&self, old: &Self) -> Vec<Change> {
        let (before, now): (HashMap<_, _>, HashMap<_, _>) = (old.iter().collect(), self.iter().collect());
        let changed = self.iter().filter(|(leaf, value)| before.get(leaf) != Some(value)).map(|(leaf, value)| Change {
            name: leaf.clone(),
            old: before.get(leaf).map(|old| (*old).clone()),
            new: Some(value.clone()),
        });
        let gone = old.iter().filter(|(leaf, _)| !now.contains_key(leaf)).map(|(leaf, value)| Change {
            name: leaf.clone(),
            old: Some(value.clone()),
            new: None,
        });
        let all: Vec<Change> = changed.chain(gone).collect();
        let is_known = |change: &&Change| change.new != Some(Value::Unknown);
        if all.iter().any(|change| is_known(&change)) { all.iter().filter(is_known).cloned().collect() } else { all }
    }

    /// Returns the leaves that have the same value in `other`.
    pub fn same_as(&self, other: &Self) -> Vec<Entry> {
        let others: HashMap<_, _> = other.iter().collect();
        let same = self.iter().filter(|(leaf, value)| others.get(leaf) == Some(value));
        same.map(|(leaf, value)| Entry { name: leaf.clone(), value: value.clone() }).collect()
    }
}
