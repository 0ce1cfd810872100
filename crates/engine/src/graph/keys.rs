//! What the result of each stage depends on: one description per stage, from which its keys, its leaves and its part
//! of the environment follow. They are in files by what they make: samples of rows, a mixture of samples, files of a mixture.

use crate::source::FileDigest;
use datac_core::{
    card::CARD_VERSION,
    code::{CodeVersions, Component},
    convert,
    encoded::ENCODED_VERSION,
    key::{Deciding, Encode, Encoder, Visitor},
    leaf::Value,
    mix::{
        allot::ALLOT_VERSION, arrange::ARRANGE_VERSION, group::GROUP_VERSION, select::SELECT_VERSION,
        tally::TALLY_VERSION,
    },
    pack::PACK_VERSION,
    quality::{SCORERS, SCORES_VERSION},
    rules::RULES_VERSION,
    sample::SAMPLES_VERSION,
    shape::{self, SHAPES},
};
use datac_decode::{CUTTER_VERSION, Decoder};

mod files;
mod mix;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use files::{Noted, Output, Quarantine, Shaped};
pub(crate) use mix::{Arrange, Group, Select, Tally};
pub(crate) use rows::{Convert, ReadModel, Render, RenderStored, Scan, Score};

/// Version of the quarantine file's format, to be raised when the same rejects are written differently.
const QUARANTINE_WRITER_VERSION: u32 = 2;

/// Version of rendering, encoding and masking, to be raised when the same samples have other ids, or other ones are refused or
/// counted.
const RENDERING_VERSION: u32 = 7 + ENCODED_VERSION as u32;

/// Version of the encoding of rejects, to be raised when the same rejects are stored differently.
pub(crate) const REJECTS_VERSION: u32 = 1;

/// Version of the files of targets, to be raised when the same rows lie otherwise in files, other files stand beside them, or
/// what is recorded of them has another form. Either version raises it.
const CONTAINER_VERSION: u32 = 1 + datac_encode::ENCODE_VERSION + CARD_VERSION;

/// Returns the version of every component.
pub fn code_versions() -> CodeVersions {
    let decoders = Decoder::ALL.iter().map(|decoder| (decoder_component(*decoder), decoder.version()));
    let converters =
        convert::every().map(|converter| (Component::Converter(converter.name().into()), converter.version()));
    let scorers = SCORERS.iter().map(|scorer| (Component::Scorer(scorer.name().into()), scorer.version()));
    let stages = [
        (Component::Cutter, CUTTER_VERSION),
        (Component::Rules, RULES_VERSION),
        (Component::Samples, SAMPLES_VERSION.into()),
        (Component::Rejects, REJECTS_VERSION),
        (Component::Scores, SCORES_VERSION.into()),
        (Component::Selection, SELECT_VERSION),
        (Component::Grouping, GROUP_VERSION),
        (Component::Allotment, ALLOT_VERSION),
        (Component::Arrangement, ARRANGE_VERSION),
        (Component::RowWriter, shape::DEFAULT.version()),
        (Component::QuarantineWriter, QUARANTINE_WRITER_VERSION),
        (Component::Packing, PACK_VERSION),
        (Component::Tally, TALLY_VERSION),
        (Component::Rendering, RENDERING_VERSION),
        (Component::Container, CONTAINER_VERSION),
    ];
    let shapes = SHAPES.iter().map(|shape| (Component::Shape(shape.name().into()), shape.version()));
    decoders.chain(converters).chain(scorers).chain(shapes).chain(stages).collect()
}

pub(crate) fn decoder_component(decoder: Decoder) -> Component {
    Component::Decoder(decoder.name().into())
}

/// Names the components that decide how rows are read and samples stored, whatever the converter.
pub(crate) fn decide_storing(decoder: Decoder, visitor: &mut dyn Visitor) {
    visitor.code(decoder_component(decoder));
    visitor.code(Component::Samples);
    visitor.code(Component::Rejects);
}

impl Encode for FileDigest {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(&self.to_string());
    }
}

impl Deciding for FileDigest {
    fn shown(&self) -> Option<Value> {
        Some(Value::Hash(self.to_string()))
    }
}

/// A commit, shown as a hash.
pub(crate) struct Hashed<'a>(pub(crate) &'a str);

impl Encode for Hashed<'_> {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(self.0);
    }
}

impl Deciding for Hashed<'_> {
    fn shown(&self) -> Option<Value> {
        Some(Value::Hash(self.0.to_owned()))
    }
}
