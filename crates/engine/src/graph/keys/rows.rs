//! Stages that make samples of rows, chunk by chunk.

use super::{decide_storing, decoder_component};
use crate::graph::action::{
    Conversion, ConvertOutcome, Measure, Measured, ModelFile, PinnedFile, PinnedModel, SourceFile, StoredSamples,
};
use datac_core::{
    code::Component,
    config::Program,
    id::ChunkId,
    key::{Encode, Encoder, KeyHasher, Keyed, Visitor},
    leaf::Leaf,
    stage::Stage,
};
use datac_decode::Decoder;

/// The scan stage: cuts a file into chunks.
pub(crate) struct Scan<'a> {
    pub(crate) file: &'a SourceFile,
}

impl Keyed for Scan<'_> {
    const STAGE: Stage = Stage::Scan;
    type Inputs<'i> = ();

    fn decide(&self, visitor: &mut dyn Visitor) {
        let SourceFile { origin, path, digest, kind, reading, inside, .. } = self.file;
        visitor.code(Component::Cutter);
        visitor.code(decoder_component(Decoder::of(kind.format)));
        // What people can change is the archive, so that is the leaf.
        let path = inside.as_ref().map_or(path, |inside| &inside.archive);
        visitor.source(Leaf::File { source: origin.name().to_owned(), path: path.clone() }, digest);
        visitor.derived("format", kind);
        if let Some(inside) = inside {
            visitor.code(decoder_component(Decoder::Archive));
            visitor.derived("archive", &inside.kind);
            visitor.derived("member", &inside.member);
        }
        if !reading.is_plain() {
            visitor.derived("reading", reading);
        }
    }

    fn feed(&self, (): &(), _: &mut KeyHasher<'_>) {}
}

/// The convert stage: makes samples from the rows of a chunk.
pub(crate) struct Convert<'a> {
    pub(crate) conversion: &'a Conversion,
    pub(crate) decoder: Decoder,
}

impl Keyed for Convert<'_> {
    const STAGE: Stage = Stage::Convert;
    type Inputs<'i> = &'i ChunkId;

    fn decide(&self, visitor: &mut dyn Visitor) {
        decide_storing(self.decoder, visitor);
        visitor.code(Component::Converter(self.conversion.converter.into()));
        visitor.code(Component::Rules);
        self.conversion.options.decide(visitor);
        for (path, digest) in &self.conversion.files {
            match &self.conversion.options.program {
                Some(Program::Python(function)) => {
                    // A function may look for files by what stands in a row.
                    visitor.derived("path", path);
                    let (function, path) = (function.to_string(), path.clone());
                    visitor.source(Leaf::Function { function, path }, digest);
                }
                _ => visitor.source(Leaf::File { source: path.clone(), path: path.clone() }, digest),
            }
        }
    }

    fn feed(&self, chunk: &&ChunkId, key: &mut KeyHasher<'_>) {
        key.input("chunk", *chunk);
    }
}

/// The score stage: measures the samples of a chunk.
pub(crate) struct Score<'a> {
    pub(crate) measure: &'a Measure,
    pub(crate) decoder: Decoder,
}

impl Keyed for Score<'_> {
    const STAGE: Stage = Stage::Score;
    type Inputs<'i> = (&'i ChunkId, &'i ConvertOutcome);

    fn decide(&self, visitor: &mut dyn Visitor) {
        let scorer = Component::Scorer(self.measure.kind.name().into());
        match &self.measure.of {
            Measured::Field(field) => {
                // The field may be one that only source rows have; reading it takes the decoder.
                visitor.code(decoder_component(self.decoder));
                visitor.code(scorer);
                visitor.code(Component::Scores);
                visitor.derived("field", field);
            }
            Measured::Sample(scoring) => {
                visitor.code(scorer);
                visitor.code(Component::Scores);
                let function = scoring.function.to_string();
                visitor.derived("function", &function);
                visitor.derived("judge", &scoring.judge.word().to_owned());
                for (path, digest) in &scoring.files {
                    // A function may look for files by what stands in a sample.
                    visitor.derived("path", path);
                    let (function, path) = (function.clone(), path.clone());
                    visitor.source(Leaf::FilterFunction { function, path }, digest);
                }
            }
        }
    }

    fn feed(&self, (chunk, converted): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        key.input("chunk", *chunk);
        key.input("index", &converted.index);
        key.input("rows", &converted.rows);
    }
}

impl PinnedModel {
    /// Names everything that decides how samples are rendered and encoded.
    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Rendering);
        self.model.decide(visitor);
        for PinnedFile { of, origin, file } in &self.files {
            visitor.derived("file of", of);
            let leaf = Leaf::File { source: origin.name().to_owned(), path: file.path.clone() };
            visitor.source(leaf, &file.digest);
        }
    }
}

impl Encode for ModelFile {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(match self {
            Self::Tokenizer => "tokenizer",
            Self::TokenizerConfig => "tokenizer config",
            Self::ChatTemplate => "chat template",
            Self::NamedTemplate(name) => name,
        });
    }
}

/// Reading the files of a model.
pub(crate) struct ReadModel<'a> {
    pub(crate) model: &'a PinnedModel,
}

impl Keyed for ReadModel<'_> {
    const STAGE: Stage = Stage::Render;
    type Inputs<'i> = ();

    fn decide(&self, visitor: &mut dyn Visitor) {
        self.model.decide(visitor);
    }

    fn feed(&self, (): &(), _: &mut KeyHasher<'_>) {}
}

/// The render stage: renders and encodes the samples of a chunk for a model.
pub(crate) struct Render<'a> {
    pub(crate) model: &'a PinnedModel,
    pub(crate) decoder: Decoder,
}

impl Keyed for Render<'_> {
    const STAGE: Stage = Stage::Render;
    type Inputs<'i> = (&'i ChunkId, &'i ConvertOutcome);

    fn decide(&self, visitor: &mut dyn Visitor) {
        // Rows that the model refuses are stored as they are in the source.
        decide_storing(self.decoder, visitor);
        visitor.code(Component::Scores);
        self.model.decide(visitor);
    }

    fn feed(&self, (chunk, converted): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        key.input("chunk", *chunk);
        key.input("index", &converted.index);
        key.input("rows", &converted.rows);
        key.input("rejects", &converted.rejects);
    }
}

/// Rendering and encoding samples that are stored, for the model of an output.
pub(crate) struct RenderStored<'a> {
    pub(crate) model: &'a PinnedModel,
}

impl Keyed for RenderStored<'_> {
    const STAGE: Stage = Stage::Render;
    type Inputs<'i> = StoredSamples;

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Scores);
        self.model.decide(visitor);
    }

    fn feed(&self, stored: &StoredSamples, key: &mut KeyHasher<'_>) {
        key.input("samples", &stored.rows);
        key.input("index", &stored.index);
    }
}
