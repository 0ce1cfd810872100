//! The files that a recipe writes: their sides, their names in the output folder, and their digests and sizes.
//!
//! Everything that knows a suffix or folder of outputs is here, so that another side is a change to this file only.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::id::FileHash;

/// Folder of quarantine files, within the output folder.
pub const QUARANTINE: &str = "quarantine";

/// Folder of the files of results that are not as their recipes expect, within the output folder.
pub const UNEXPECTED: &str = "unexpected";

/// Name of the file in a target's folder that lists the samples which do not fit.
pub const UNFIT: &str = "unfit.jsonl";

/// How the name of a file begins that says which ids of another file are trained on.
const LABELS_MASK: &str = "labels_mask_";

/// What stands between the shape and the name in the name of a target's folder. No shape has it in its name.
const NAMED: char = '.';

/// Extension of all outputs.
const EXTENSION: &str = ".jsonl";

/// A side of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The training rows.
    Train,
    /// The rows held out for validation.
    Validation,
    /// The rows held out for tests.
    Test,
}

/// A value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BySide<T> {
    /// The value for training.
    pub train: T,
    /// The value for validation.
    pub validation: T,
    /// The value for tests.
    pub test: T,
}

/// The contents of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutputKind {
    /// The rows of one side.
    Rows(Side),
    /// The rejected rows.
    Quarantine,
    /// The rows of one side, or a part of them, in the folder of a [`Target`].
    Shard(Side),
    /// A file beside the rows in the folder of a [`Target`], such as a trainer's configuration.
    Beside,
}

/// Where the files of a recipe are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Destination {
    /// In the output folder.
    #[default]
    Place,
    /// In the folder of results that are not as expected.
    Unexpected,
}

/// One of the outputs that a recipe asks for: what rows look like, and how they lie in files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The name of the shape.
    pub shape: String,
    /// What tells it from other outputs of its shape.
    pub name: Option<String>,
    /// The file format.
    pub container: Container,
    /// The number of files of each side.
    pub shards: u32,
    /// How the files are laid out.
    pub layout: Layout,
    /// Whether each row has an `id`.
    pub id: bool,
    /// The largest number of tokens of a row that several samples stand in; `None` if each sample has a row of its own.
    pub pack: Option<u32>,
}

/// The format of an output's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Container {
    /// JSON Lines.
    Jsonl,
    /// JSON Lines, compressed with Zstandard.
    JsonlZst,
    /// Parquet.
    Parquet,
    /// An Arrow stream, as `datasets` keeps them.
    Arrow,
    /// An indexed dataset of Megatron-LM: token ids one after another, and in a file beside them where each sample ends.
    Bin,
    /// Arrays of OLMo-core: token ids one after another, and in files beside them which are trained on and where each sample ends.
    Npy,
}

/// The type of the numbers in a file of token ids. The lowest byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdType {
    /// Numbers of one byte.
    U8,
    /// Numbers of two bytes.
    U16,
    /// Numbers of four bytes.
    U32,
    /// Numbers of four bytes, with a sign.
    I32,
}

/// How the files of an output are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layout {
    /// A file for each side.
    Files,
    /// A folder that `load_dataset` opens, and that can be pushed to the Hub as it is.
    Hub,
}

/// The outputs of a recipe, given by the stem of their names: `<phase>_<file stem>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutputSet {
    stem: String,
}

/// Digest, size and number of rows of a written output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FileMeta {
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes.
    #[serde(rename = "blake3")]
    pub digest: FileHash,
}

/// A written output with its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NamedFile {
    /// Name in the output folder, such as `quarantine/sft_general.jsonl`.
    pub name: String,
    /// Digest, size and number of rows.
    pub meta: FileMeta,
}

impl Side {
    /// All sides, in the order in which files are named and written.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Returns the word that is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// Returns the end of the name of this side's file, before the extension.
    fn suffix(self) -> &'static str {
        match self {
            Self::Train => "_train",
            Self::Validation => "_val",
            Self::Test => "_test",
        }
    }
}

impl Container {
    /// Every format by the word recipes use.
    pub const ALL: &[(&str, Self)] = &[
        ("jsonl", Self::Jsonl),
        ("jsonl.zst", Self::JsonlZst),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("bin", Self::Bin),
        ("npy", Self::Npy),
    ];

    /// Returns the word recipes use, which is also the extension of its files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::JsonlZst => "jsonl.zst",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Bin => "bin",
            Self::Npy => "npy",
        }
    }

    /// Whether a file holds bare token ids: no columns, and nothing that `load_dataset` opens.
    pub fn is_of_ids(self) -> bool {
        matches!(self, Self::Bin | Self::Npy)
    }

    /// Returns the type of the numbers in a file of bare token ids, for a model with so many of them.
    pub fn id_type(self, vocabulary: u64) -> Option<IdType> {
        match self {
            // As `DType.optimal_dtype` of Megatron-LM chooses.
            Self::Bin => Some(if vocabulary < 65_500 { IdType::U16 } else { IdType::I32 }),
            // As `NumpyDatasetConfig.get_dtype` of OLMo-core chooses.
            Self::Npy => Some(match vocabulary {
                0..=256 => IdType::U8,
                257..=65_536 => IdType::U16,
                65_537.. => IdType::U32,
            }),
            Self::Jsonl | Self::JsonlZst | Self::Parquet | Self::Arrow => None,
        }
    }

    /// Returns the names of the files that belong to a file of rows, by its name.
    pub fn parts(self, name: &str) -> Vec<String> {
        let bare = name.strip_suffix(self.word()).unwrap_or(name);
        match self {
            Self::Bin => vec![format!("{bare}idx")],
            Self::Npy => vec![format!("{LABELS_MASK}{name}"), format!("{bare}csv.gz")],
            Self::Jsonl | Self::JsonlZst | Self::Parquet | Self::Arrow => Vec::new(),
        }
    }

    /// Returns the format of a file of rows by its name, if it is one of these.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name.starts_with(LABELS_MASK) {
            return None;
        }
        let is_it = |word: &str| name.strip_suffix(word).is_some_and(|rest| rest.ends_with('.'));
        Self::ALL.iter().find(|(word, _)| is_it(word)).map(|(_, container)| *container)
    }
}

impl IdType {
    /// Returns the name that NumPy has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
        }
    }

    /// Returns the number of bytes of an id.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 | Self::I32 => 4,
        }
    }
}

impl Layout {
    /// Every layout by the word recipes use.
    pub const ALL: &[(&str, Self)] = &[("files", Self::Files), ("hub", Self::Hub)];

    /// Returns the word recipes use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Hub => "hub",
        }
    }
}

impl Target {
    /// The output of a recipe that asks for none.
    pub fn native() -> Self {
        Self {
            shape: "native".to_owned(),
            name: None,
            container: Container::Jsonl,
            shards: 1,
            layout: Layout::Files,
            id: false,
            pack: None,
        }
    }

    /// Returns the name of its folder: that of the shape, with its own name behind it if it has one.
    pub fn folder(&self) -> Cow<'_, str> {
        match &self.name {
            None => Cow::Borrowed(&self.shape),
            Some(name) => format!("{}{NAMED}{name}", self.shape).into(),
        }
    }

    /// Returns the name of the shape of the rows in a folder.
    pub fn shape_of(folder: &str) -> &str {
        folder.split_once(NAMED).map_or(folder, |(shape, _)| shape)
    }

    /// Returns the number of files that the rows of a side are divided into. Loaders refuse files without rows.
    pub fn shards_of(&self, rows: u64) -> u32 {
        u32::try_from(rows.max(1)).map_or(self.shards, |rows| self.shards.min(rows))
    }

    /// Returns the name of a file of rows in the target's folder, one of `shards`.
    pub fn file_name(&self, side: Side, shard: u32, shards: u32) -> String {
        let extension = self.container.word();
        match self.layout {
            Layout::Files if shards == 1 => format!("{}.{extension}", &side.suffix()[1..]),
            Layout::Files => format!("{}-{shard:05}-of-{shards:05}.{extension}", &side.suffix()[1..]),
            Layout::Hub => format!("data/{}-{shard:05}-of-{shards:05}.{extension}", side.word()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape: _, name: _, container, shards, layout, id, pack } = self;
        write!(f, "{} ({}", self.folder(), container.word())?;
        if *shards > 1 {
            write!(f, ", {shards} shards")?;
        }
        if *layout == Layout::Hub {
            f.write_str(", hub")?;
        }
        if let Some(tokens) = pack {
            write!(f, ", packed to {tokens} tokens")?;
        }
        f.write_str(if *id { ", id)" } else { ")" })
    }
}

impl Destination {
    /// Returns the folder that files are put in, where `dir` is the output folder.
    pub fn folder(self, dir: &Path) -> PathBuf {
        match self {
            Self::Place => dir.to_owned(),
            Self::Unexpected => dir.join(UNEXPECTED),
        }
    }

    /// Returns the name of a file in the output folder that is `name` where it is put.
    pub fn name(self, name: &str) -> String {
        match self {
            Self::Place => name.to_owned(),
            Self::Unexpected => format!("{UNEXPECTED}/{name}"),
        }
    }
}

impl<T> BySide<T> {
    /// Creates a value for each side.
    pub fn new(mut make: impl FnMut(Side) -> T) -> Self {
        Self { train: make(Side::Train), validation: make(Side::Validation), test: make(Side::Test) }
    }

    /// Returns the value of one side.
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::Train => &self.train,
            Side::Validation => &self.validation,
            Side::Test => &self.test,
        }
    }

    /// Returns the value of one side, to be changed.
    pub fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Train => &mut self.train,
            Side::Validation => &mut self.validation,
            Side::Test => &mut self.test,
        }
    }

    /// Returns each side with its value, in the order of [`Side::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Side, &T)> {
        Side::ALL.into_iter().map(|side| (side, self.get(side)))
    }

    /// Returns the values in the order of [`Side::ALL`].
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
}

impl OutputKind {
    /// Returns the kinds of outputs that stand in the output folder itself, in the order in which files are named and listed.
    pub fn all() -> impl Iterator<Item = Self> {
        Side::ALL.into_iter().map(Self::Rows).chain([Self::Quarantine])
    }

    /// Returns the kind of the output with this name in the output folder.
    pub fn of(name: &str) -> Option<Self> {
        OutputSet::parse(name).map(|(_, kind)| kind)
    }

    /// Returns the word that is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rows(side) | Self::Shard(side) => side.word(),
            Self::Quarantine => QUARANTINE,
            Self::Beside => "other",
        }
    }

    /// Returns the side whose rows the output holds, if it holds rows for a trainer.
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Rows(side) | Self::Shard(side) => Some(side),
            Self::Quarantine | Self::Beside => None,
        }
    }
}

/// As the word that is printed.
impl Serialize for OutputKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl JsonSchema for OutputKind {
    fn schema_name() -> Cow<'static, str> {
        "OutputKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::all().chain([Self::Beside]).map(Self::word).collect();
        json_schema!({ "type": "string", "enum": words, "description": "Says what an output holds." })
    }
}

impl OutputSet {
    /// Creates the outputs whose names begin with `stem`.
    pub fn new(stem: impl Into<String>) -> Self {
        Self { stem: stem.into() }
    }

    /// Parses the name of an output in the output folder; `None` if no recipe writes files with such names.
    pub fn parse(name: &str) -> Option<(Self, OutputKind)> {
        let mut folders = name.splitn(3, '/');
        if let (Some(stem), Some(_), Some(rest)) = (folders.next(), folders.next(), folders.next()) {
            return Some((Self::new(stem), shaped_kind(rest)));
        }
        let bare = name.strip_suffix(EXTENSION)?;
        if let Some(stem) = bare.strip_prefix(QUARANTINE).and_then(|rest| rest.strip_prefix('/')) {
            return Some((Self::new(stem), OutputKind::Quarantine));
        }
        let side = |side: Side| Some((Self::new(bare.strip_suffix(side.suffix())?), OutputKind::Rows(side)));
        Side::ALL.into_iter().find_map(side)
    }

    /// Returns the stem of the names.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Returns the name of an output in the output folder.
    pub fn name(&self, kind: OutputKind) -> String {
        let stem = &self.stem;
        match kind {
            OutputKind::Rows(side) => format!("{stem}{}{EXTENSION}", side.suffix()),
            OutputKind::Quarantine => format!("{QUARANTINE}/{stem}{EXTENSION}"),
            // Each target has its own files there.
            OutputKind::Shard(_) | OutputKind::Beside => format!("{stem}/"),
        }
    }

    /// Returns the names of the outputs that stand in the output folder itself: the sides in order, then the quarantine file.
    pub fn names(&self) -> impl Iterator<Item = String> {
        OutputKind::all().map(|kind| self.name(kind))
    }

    /// Returns the folder of a target within the output folder.
    pub fn folder(&self, target: &Target) -> String {
        format!("{}/{}", self.stem, target.folder())
    }

    /// Returns the names of the files with rows for a trainer.
    pub fn row_names(&self, sides: BySide<bool>) -> impl Iterator<Item = String> {
        Side::ALL.into_iter().filter(move |side| *sides.get(*side)).map(|side| self.name(OutputKind::Rows(side)))
    }

    /// Returns whether the file at `path`, in any folder, has the name of one of these outputs.
    pub fn has(&self, path: &Path) -> bool {
        let is_it = |name: String| path.file_name() == Path::new(&name).file_name();
        self.names().any(is_it)
    }
}

/// Returns the `id` of a row whose sample's identity text has this hash. It never consists of digits alone, which some readers
/// would take for a number.
pub fn row_id(row_hash: u64) -> String {
    format!("row-{row_hash:016x}")
}

/// Returns the hash that an `id` stands for.
pub fn hash_of_id(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("row-").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|hash| row_id(*hash) == id)
}

/// Returns what a file in the folder of a target holds, by its name there.
fn shaped_kind(name: &str) -> OutputKind {
    let bare = name.strip_prefix("data/").unwrap_or(name);
    let is_rows = Container::of(Path::new(bare)).is_some();
    let begins = |word: &str| bare.strip_prefix(word).is_some_and(|rest| rest.starts_with(['.', '-']));
    let side = Side::ALL.into_iter().find(|side| begins(side.word()) || begins(&side.suffix()[1..]));
    side.filter(|_| is_rows).map_or(OutputKind::Beside, OutputKind::Shard)
}

/// Returns whether a file in the output folder is a quarantine file.
pub fn is_quarantine(name: &str) -> bool {
    OutputKind::of(name) == Some(OutputKind::Quarantine)
}

/// Returns whether a text that a user typed names an output rather than a recipe.
pub fn looks_like_output(text: &str) -> bool {
    Container::of(Path::new(text)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let set = OutputSet::new("sft_a_train");
        let names: Vec<String> = set.names().collect();
        assert_eq!(
            names,
            [
                "sft_a_train_train.jsonl",
                "sft_a_train_val.jsonl",
                "sft_a_train_test.jsonl",
                "quarantine/sft_a_train.jsonl"
            ]
        );
        for (name, kind) in names.iter().zip(OutputKind::all()) {
            assert_eq!(OutputSet::parse(name), Some((set.clone(), kind)));
            assert!(set.has(&Path::new("dataset").join(name)));
        }
        assert_eq!(OutputSet::parse("sft_a.jsonl"), None);
        assert_eq!(OutputSet::parse("sft_a_train.json"), None);
        assert!(!OutputSet::new("sft_a").has(Path::new("sft_a_train_val.jsonl")));
    }
}
