//! Dataset cards: what stands in the folder of a target for people and for programs that look for data.
//!
//! `README.md` (`readme.rs`) is what the Hub shows and what `load_dataset` reads; `croissant.json` (`croissant.rs`) is metadata after
//! the Croissant standard. Both say what a build is made of and nothing of when, where and by whom.

mod croissant;
mod readme;

use serde::Serialize;

use crate::{
    config::Unit,
    license::{License, Together, together},
    outputs::{BySide, Side, Target},
    sample::SampleKind,
    shape::facts::Column,
};

/// Version of what is written here, to be raised when the same facts are told otherwise.
pub const CARD_VERSION: u32 = 2;

/// Name of the card in the folder of a target.
pub const README: &str = "README.md";

/// Name of the metadata in the folder of a target.
pub const CROISSANT: &str = "croissant.json";

/// What a card says that is known before the files are written.
///
/// The key of the files holds all of it, so that a card is written anew whenever it would say something else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// The recipe's phase.
    pub phase: String,
    /// The recipe's description.
    pub description: Option<String>,
    /// The kind of the samples.
    pub kind: SampleKind,
    /// What the mixture counts.
    pub unit: &'static str,
    /// The sources, in the recipe's order.
    pub sources: Vec<AboutSource>,
    /// The model that rows are rendered and encoded for, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<AboutModel>,
}

/// What a card says of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AboutModel {
    /// The repository, or the folder of the workspace.
    pub from: String,
    /// The commit; `None` for a folder of the workspace.
    pub commit: Option<String>,
    /// What the recipe says of it, such as `train_on: last`.
    pub settings: Vec<String>,
    /// Number of ids that its tokenizer has, which decides how wide ids are in files of bare ids.
    pub vocabulary: u64,
}

/// What a card says of a source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AboutSource {
    /// The name in the recipe.
    pub name: String,
    /// The repository, or the path in the workspace.
    pub from: String,
    /// The commit; `None` for files of the workspace.
    pub commit: Option<String>,
    /// The config and the splits that were read.
    pub part: Vec<String>,
    /// What became of the rows.
    pub role: &'static str,
    /// The licence that is stated.
    pub license: Option<License>,
    /// Number of rows that were read.
    pub read: u64,
    /// Number of rejected rows, by the reason.
    pub rejects: Vec<(&'static str, u64)>,
    /// The filters, with the numbers of samples that came to them and that passed.
    pub filters: Vec<(String, u64, u64)>,
    /// Number of samples that left when sources were compared, by the reason.
    pub left: Vec<(&'static str, u64)>,
    /// Number of samples that were kept.
    pub kept: u64,
    /// The share asked for, if the source is mixed.
    pub share: Option<f64>,
    /// Number of units of the mixture that it gives, on all sides.
    pub units: u64,
    /// Number of its rows on each side.
    pub rows: BySide<u64>,
    /// Number of its rows that are repeats.
    pub repeats: u64,
}

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFile {
    /// The name in the folder.
    pub name: String,
    /// The side whose rows it holds.
    pub side: Side,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Everything that a card says.
#[derive(Clone, Copy, Debug)]
pub struct Card<'a> {
    /// What is known before the files are written.
    pub about: &'a About,
    /// What the recipe's outputs are called.
    pub stem: &'a str,
    /// The target.
    pub target: &'a Target,
    /// The columns of the rows.
    pub columns: &'a [Column],
    /// The files of rows, in order of their sides.
    pub files: &'a [CardFile],
    /// The samples that do not fit: name of the source, what there is no place for, and how many.
    pub unfit: &'a [(String, String, u64)],
}

impl About {
    /// Returns the whole as one text, for keys.
    pub fn encoded(&self) -> String {
        serde_json::to_string(self).expect("what a card says is plain data")
    }

    /// Returns what the licences of the sources whose rows are written come to together.
    pub fn licenses(&self) -> Together<'_> {
        let written = self.sources.iter().filter(|source| source.all_rows() > 0);
        let named: Vec<(&str, Option<&License>)> =
            written.map(|source| (source.name.as_str(), source.license.as_ref())).collect();
        together(&named)
    }
}

impl AboutSource {
    fn all_rows(&self) -> u64 {
        self.rows.values().sum()
    }
}

impl Card<'_> {
    /// Returns what stands beside the rows, by name.
    pub fn files(&self) -> [(&'static str, String); 2] {
        [(README, readme::readme(self)), (CROISSANT, croissant::croissant(self))]
    }

    /// Returns the sides that have files, with their files.
    fn sides(&self) -> impl Iterator<Item = (Side, Vec<&CardFile>)> {
        let of = |side| (side, self.files.iter().filter(|file| file.side == side).collect::<Vec<_>>());
        Side::ALL.into_iter().map(of).filter(|(_, files)| !files.is_empty())
    }

    fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    fn title(&self) -> String {
        format!("{} ({})", self.stem, self.target.folder())
    }
}

/// Returns the word that recipes use for a unit.
pub fn unit_word(unit: Unit) -> &'static str {
    Unit::ALL.iter().find(|(_, known)| *known == unit).map_or("rows", |(word, _)| word)
}

#[cfg(test)]
mod tests;
