//! Sample to row: what a trainer reads, one file a shape.
//!
//! A shape is a pure function with a name and a version. To add one: a file here, a line in [`SHAPES`], and a fixture
//! under `tests/fixtures/shapes/` with rows of every kind that it has. How rows lie in a file is none of its business.

pub mod axolotl;
mod chat;
pub mod facts;
mod ids;
pub mod llama_factory;
pub mod megatron;
pub mod messages;
pub mod native;
pub mod nemo_rl;
mod of_tokens;
pub mod olmo;
pub mod openai;
pub mod openrlhf;
pub mod prime_rl;
mod read;
mod reward;
pub mod skyrl;
pub mod skyrl_tokens;
pub mod swift;
pub mod tokens;
pub mod trl;
pub mod verl;
mod write;

pub use chat::wrapped_tools;
use facts::{Column, Facts};
pub use ids::UNTRAINED;

use crate::{
    encoded::EncodedSample,
    outputs::{Container, IdType, Side, Target},
    row::write_string,
    sample::{self, Quoted, Sample, SampleKind, SampleView, append},
};

/// Every shape.
pub static SHAPES: &[&dyn Shape] = &[
    DEFAULT,
    &messages::Messages,
    &trl::TRL,
    &trl::PROMPT_COMPLETION,
    &trl::IMPLICIT_PROMPT,
    &openai::OpenAi,
    &axolotl::Axolotl,
    &llama_factory::LlamaFactory,
    &swift::Swift,
    &openrlhf::OpenRlhf,
    &verl::Verl,
    &nemo_rl::NemoRl,
    &prime_rl::PrimeRl,
    &skyrl::SkyRl,
    &tokens::Tokens,
    &skyrl_tokens::SkyRlTokens,
    &megatron::Megatron,
    &olmo::Olmo,
];

/// The shape of all outputs.
pub const DEFAULT: &dyn Shape = &native::Native;

/// Writes samples as rows of one trainer, and reads them back.
pub trait Shape: Sync {
    /// The name recipes use, which is also the name of its source file.
    fn name(&self) -> &'static str;

    /// Raised by hand whenever the same sample is written as another row.
    fn version(&self) -> u32;

    /// The kinds of samples that it has rows for.
    fn kinds(&self) -> &'static [SampleKind];

    /// The file format where a recipe names none.
    fn container(&self) -> Container {
        Container::Jsonl
    }

    /// The file formats that the trainer reads.
    fn containers(&self) -> Vec<Container> {
        Container::ALL.iter().map(|(_, container)| *container).filter(|container| !container.is_of_ids()).collect()
    }

    /// Whether names of files hold a part of their digest, because the trainer's own cache does not look at the bytes.
    fn has_digest_in_name(&self) -> bool {
        false
    }

    /// Whether its rows may have an `id`. A trainer that refuses columns that it does not know has none.
    fn has_ids(&self) -> bool {
        true
    }

    /// Returns what stands beside the rows, by name: how the trainer is told to read them.
    fn beside(&self, _: &Written<'_>) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The columns of the rows of samples of a kind, in order. A row without a value for a column has `null` there; native
    /// rows leave it out.
    fn columns(&self, kind: SampleKind, facts: &Facts) -> Vec<Column>;

    /// Appends a sample of `source` as one JSON object on one line, without a line's end. `facts` are those of all samples
    /// that stand together.
    ///
    /// A sample that the shape has no place for is not cut down: what was appended for it then is to be dropped.
    fn write(&self, sample: &SampleView<'_>, source: Quoted<'_>, facts: &Facts, out: &mut Vec<u8>)
    -> Result<(), Unfit>;

    /// Whether rows are made of token ids, so that the recipe needs a model. Then [`Shape::write_encoded`] writes them.
    fn is_of_tokens(&self) -> bool {
        false
    }

    /// Appends a sample as the recipe's model sees it, as [`Shape::write`] does one that is not encoded.
    fn write_encoded(&self, _: &EncodedSample, _: &mut Vec<u8>) -> Result<(), Unfit> {
        Err(Unfit("token ids"))
    }

    /// The columns of rows that several samples stand in; `None` if the trainer reads no such rows.
    fn packed_columns(&self) -> Option<Vec<Column>> {
        None
    }

    /// Whether [`Shape::write_packed`] has a place for a sample.
    fn check_packed(&self, _: &EncodedSample) -> Result<(), Unfit> {
        Err(Unfit("several samples in a row"))
    }

    /// Appends several samples, all of which there is a place for, as one row.
    fn write_packed(&self, _: &[EncodedSample], _: &mut Vec<u8>) {}

    /// Returns the part of a written row that is the sample's [identity text](sample::write_identity), if the row has such a
    /// part and is of this source: then rows that stay are copied from an output in place.
    fn identity<'r>(&self, _row: &'r [u8], _source: Quoted<'_>) -> Option<&'r [u8]> {
        None
    }

    /// Returns the source of a written row, where the row has an [identity](Shape::identity).
    fn source_of<'r>(&self, _row: &'r [u8]) -> Option<Quoted<'r>> {
        None
    }

    /// Reads a row that this shape wrote; `None` if it is none.
    fn read(&self, row: &str) -> Option<WrittenRow>;
}

/// The files of rows of an output, all of one recipe.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What the recipe's outputs are called: `<phase>_<recipe>`.
    pub stem: &'a str,
    /// The kind of the samples.
    pub kind: SampleKind,
    /// What the samples have.
    pub facts: &'a Facts,
    /// What was asked for.
    pub target: &'a Target,
    /// The columns of the rows.
    pub columns: &'a [Column],
    /// The type of the ids, in files of bare ids.
    pub ids: Option<IdType>,
    /// The names of the files of each side, in the order of the rows.
    pub files: &'a [(Side, Vec<String>)],
}

/// What a sample has that a shape has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shape has no place for {0}")]
pub struct Unfit(pub &'static str);

/// A row of an output, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenRow {
    /// The sample, as far as the shape keeps it.
    pub sample: Sample<'static>,
    /// The name of the sample's source, if the row has it.
    pub source: Option<String>,
}

/// Returns the shape that recipes call `name`.
pub fn by_name(name: &str) -> Option<&'static dyn Shape> {
    SHAPES.iter().copied().find(|shape| shape.name() == name)
}

/// Returns a sample as a row of `shape`, as it is where it stands alone.
pub fn row(shape: &dyn Shape, sample: &SampleView<'_>, source: &str) -> Result<Vec<u8>, Unfit> {
    let (mut name, mut row) = (Vec::new(), Vec::new());
    write_string(source, &mut name);
    shape.write(sample, Quoted::new(&name).expect("a string was written"), &Facts::of(sample), &mut row)?;
    Ok(row)
}

/// Returns a sample that was just converted as a row of `shape`.
pub fn row_of(shape: &dyn Shape, sample: &Sample<'_>, source: &str) -> Result<String, Unfit> {
    let mut stored = Vec::new();
    append(sample, &mut stored);
    let row = row(shape, &sample::read(&stored).expect("what was stored can be read"), source)?;
    Ok(String::from_utf8(row).expect("JSON is written as UTF-8"))
}

/// Reads a row that any shape wrote.
pub fn read(row: &str) -> Option<WrittenRow> {
    SHAPES.iter().find_map(|shape| shape.read(row))
}

#[cfg(test)]
mod tests;
