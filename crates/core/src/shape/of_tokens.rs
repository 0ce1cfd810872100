//! Shapes whose rows are made of token ids: what they have in common.

use super::{
    Shape, Unfit, Written, WrittenRow,
    facts::{Column, Facts, Type},
};
use crate::{
    encoded::EncodedSample,
    outputs::Container,
    sample::{Quoted, SampleKind, SampleView},
};

/// A [`Shape`] of token ids, which writes nothing that no model has encoded, and whose rows are not read back as samples.
pub trait TokenShape: Sync {
    /// See [`Shape::name`].
    const NAME: &'static str;

    /// See [`Shape::version`].
    const VERSION: u32;

    /// See [`Shape::container`].
    const CONTAINER: Container;

    /// See [`Shape::containers`].
    const CONTAINERS: &'static [Container] = &[Self::CONTAINER];

    /// The columns of its rows: their names, and the integers that each is a list of.
    const COLUMNS: &'static [(&'static str, Type)];

    /// The columns of packed rows; none if the trainer reads no such rows.
    const PACKED: &'static [(&'static str, Type)] = &[];

    /// See [`Shape::has_digest_in_name`].
    const HAS_DIGEST_IN_NAME: bool = false;

    /// See [`Shape::has_ids`].
    const HAS_IDS: bool = true;

    /// See [`Shape::beside`].
    fn files_beside(written: &Written<'_>) -> Vec<(&'static str, String)>;

    /// See [`Shape::write_encoded`].
    fn write_one(sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit>;

    /// See [`Shape::check_packed`].
    fn check_one_of_several(_: &EncodedSample) -> Result<(), Unfit> {
        Err(Unfit("several samples in a row"))
    }

    /// See [`Shape::write_packed`].
    fn write_several(_: &[EncodedSample], _: &mut Vec<u8>) {}
}

/// Ids and labels. `datasets` stores `input_ids` so itself, which are int64 elsewhere: twice the bytes.
pub(super) const IDS: Type = Type::Int32;

/// Zeros and ones, as `datasets` stores an `attention_mask`.
pub(super) const MASK: Type = Type::Int8;

fn lists(columns: &[(&'static str, Type)]) -> Vec<Column> {
    columns.iter().map(|(name, of)| Column::new(*name, of.clone().list())).collect()
}

impl<T: TokenShape> Shape for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn version(&self) -> u32 {
        T::VERSION
    }

    fn kinds(&self) -> &'static [SampleKind] {
        &[SampleKind::Conversation, SampleKind::Text]
    }

    fn container(&self) -> Container {
        T::CONTAINER
    }

    fn containers(&self) -> Vec<Container> {
        T::CONTAINERS.to_vec()
    }

    fn has_digest_in_name(&self) -> bool {
        T::HAS_DIGEST_IN_NAME
    }

    fn has_ids(&self) -> bool {
        T::HAS_IDS
    }

    fn beside(&self, written: &Written<'_>) -> Vec<(&'static str, String)> {
        T::files_beside(written)
    }

    fn columns(&self, _: SampleKind, _: &Facts) -> Vec<Column> {
        lists(T::COLUMNS)
    }

    fn write(&self, _: &SampleView<'_>, _: Quoted<'_>, _: &Facts, _: &mut Vec<u8>) -> Result<(), Unfit> {
        Err(Unfit("a sample that no model has encoded"))
    }

    fn is_of_tokens(&self) -> bool {
        true
    }

    fn write_encoded(&self, sample: &EncodedSample, out: &mut Vec<u8>) -> Result<(), Unfit> {
        T::write_one(sample, out)
    }

    fn packed_columns(&self) -> Option<Vec<Column>> {
        (!T::PACKED.is_empty()).then(|| lists(T::PACKED))
    }

    fn check_packed(&self, sample: &EncodedSample) -> Result<(), Unfit> {
        T::check_one_of_several(sample)
    }

    fn write_packed(&self, samples: &[EncodedSample], out: &mut Vec<u8>) {
        T::write_several(samples, out);
    }

    fn read(&self, _: &str) -> Option<WrittenRow> {
        None
    }
}
