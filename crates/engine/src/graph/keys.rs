//! What the result of each stage depends on: one description per stage, from which its keys, its leaves and its part
//! of the environment follow.

use super::action::{
    ArrangeOutcome, Conversion, ConvertOutcome, ConvertedChunk, Grouping, Measure, Measured, ModelFile, PinnedFile,
    PinnedModel, SelectedSource, SourceFile, StoredSamples,
};
use crate::source::FileDigest;
use datac_core::{
    card::{About, CARD_VERSION},
    code::{CodeVersions, Component},
    config::{self, Program, SourceRole, Take, Unit, Validation},
    convert,
    encoded::ENCODED_VERSION,
    id::ChunkId,
    key::{Deciding, Encode, Encoder, KeyHasher, Keyed, Visitor},
    leaf::{Leaf, Setting, Value},
    license::License,
    mix::{
        Allotment, allot::ALLOT_VERSION, arrange::ARRANGE_VERSION, group::GROUP_VERSION, select::SELECT_VERSION,
        tally::TALLY_VERSION,
    },
    outputs::{OutputSet, Target},
    pack::PACK_VERSION,
    quality::{Filter, SCORERS, SCORES_VERSION},
    rules::RULES_VERSION,
    sample::SAMPLES_VERSION,
    shape::{self, SHAPES, Shape},
    stage::Stage,
};
use datac_decode::{CUTTER_VERSION, Decoder};

/// Version of the quarantine file's format, to be raised when the same rejects are written differently.
const QUARANTINE_WRITER_VERSION: u32 = 2;

/// Version of rendering, encoding and masking, to be raised when the same samples have other ids, or other ones are refused or
/// counted.
const RENDERING_VERSION: u32 = 6 + ENCODED_VERSION as u32;

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

/// The scan stage: cuts a file into chunks.
pub(crate) struct Scan<'a> {
    pub(crate) file: &'a SourceFile,
}

/// The convert stage: makes samples from the rows of a chunk.
pub(crate) struct Convert<'a> {
    pub(crate) conversion: &'a Conversion,
    pub(crate) decoder: Decoder,
}

/// The score stage: measures the samples of a chunk.
pub(crate) struct Score<'a> {
    pub(crate) measure: &'a Measure,
    pub(crate) decoder: Decoder,
}

/// Reading the files of a model.
pub(crate) struct ReadModel<'a> {
    pub(crate) model: &'a PinnedModel,
}

/// The render stage: renders and encodes the samples of a chunk for a model.
pub(crate) struct Render<'a> {
    pub(crate) model: &'a PinnedModel,
    pub(crate) decoder: Decoder,
}

/// Rendering and encoding samples that are stored, for the model of an output.
pub(crate) struct RenderStored<'a> {
    pub(crate) model: &'a PinnedModel,
}

/// The select stage: chooses the samples of a source.
pub(crate) struct Select<'a> {
    pub(crate) filters: &'a [Filter],
    pub(crate) take: Take,
}

/// Comparing the samples of all sources.
pub(crate) struct Group<'a> {
    pub(crate) grouping: &'a Grouping,
}

/// The arrange stage: mixes, splits and orders.
pub(crate) struct Arrange<'a> {
    pub(crate) unit: Unit,
    pub(crate) validation: &'a Validation,
}

/// The tally stage: counts what a recipe expects of its rows.
pub(crate) struct Tally<'a> {
    /// Whether prompts that differ in case and white space alone are one prompt.
    pub(crate) normalise: &'a bool,
    /// Whether tokens are counted.
    pub(crate) tokens: bool,
}

/// The output stage: writes the rows of both sides.
pub(crate) struct Output;

/// The output stage of a target: writes its folder.
pub(crate) struct Shaped<'a> {
    pub(crate) target: &'a Target,
    pub(crate) noted: &'a Noted,
}

/// What the card of a target quotes of the recipe and the sources, and nothing else depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Noted {
    /// The recipe's description.
    pub(crate) description: Option<String>,
    /// The licence of each source, with the source's name.
    pub(crate) licenses: Vec<(String, Option<License>)>,
}

/// The quarantine stage: writes the rejects of a recipe.
pub(crate) struct Quarantine;

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

impl Keyed for ReadModel<'_> {
    const STAGE: Stage = Stage::Render;
    type Inputs<'i> = ();

    fn decide(&self, visitor: &mut dyn Visitor) {
        self.model.decide(visitor);
    }

    fn feed(&self, (): &(), _: &mut KeyHasher<'_>) {}
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

impl Keyed for Select<'_> {
    const STAGE: Stage = Stage::Select;
    type Inputs<'i> = &'i [ConvertedChunk];

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Selection);
        config::decide_selection(self.filters, self.take, visitor);
    }

    fn feed(&self, chunks: &&[ConvertedChunk], key: &mut KeyHasher<'_>) {
        for chunk in *chunks {
            // Rows that make no sample and are no rejects stand in neither.
            key.input("count", &chunk.chunk.rows);
            key.input("index", &chunk.converted.index);
            key.input("rejected", &chunk.converted.rejected);
            key.input("scores", &chunk.scores);
            key.input("tokens", &chunk.tokens);
            if let Some(encoded) = &chunk.encoded {
                key.input("encoded", &encoded.index);
            }
        }
    }
}

impl Keyed for Group<'_> {
    const STAGE: Stage = Stage::Group;
    type Inputs<'i> = &'i [SelectedSource];

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Grouping);
        if let Some(deduplicate) = &self.grouping.deduplicate {
            visitor.setting(Setting::Deduplicate, deduplicate);
        }
        if self.grouping.normalise {
            visitor.setting(Setting::Normalise, &self.grouping.normalise);
        }
    }

    fn feed(&self, sources: &&[SelectedSource], key: &mut KeyHasher<'_>) {
        for source in *sources {
            feed_role(source, key);
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                key.input("index", &chunk.converted.index);
                key.input("tokens", &chunk.tokens);
                if self.grouping.reads_rows() {
                    key.input("rows", &chunk.converted.rows);
                }
            }
        }
    }
}

/// Names what becomes of the rows of a source that is not mixed. The leaves of the dataset hold it too.
fn feed_role(source: &SelectedSource, key: &mut KeyHasher<'_>) {
    if source.role != SourceRole::Mixed {
        key.input("role", &source.role);
    }
    if let SourceRole::Held(_, overlap) = source.role {
        key.input("overlap", &overlap);
    }
}

impl Keyed for Arrange<'_> {
    const STAGE: Stage = Stage::Arrange;
    type Inputs<'i> = (&'i [SelectedSource], &'i Allotment);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Allotment);
        visitor.code(Component::Arrangement);
        visitor.setting(Setting::Unit, &self.unit);
        self.validation.decide(visitor);
    }

    fn feed(&self, (sources, allotment): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        key.input("allotment", &allotment.counts);
        for source in *sources {
            feed_role(source, key);
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                key.input("index", &chunk.converted.index);
                key.input("tokens", &chunk.tokens);
            }
        }
    }
}

impl Keyed for Tally<'_> {
    const STAGE: Stage = Stage::Tally;
    type Inputs<'i> = (&'i [SelectedSource], &'i ArrangeOutcome);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Tally);
        if *self.normalise {
            visitor.setting(Setting::Normalise, self.normalise);
        }
        if self.tokens {
            visitor.derived("count", &Unit::Tokens);
        }
    }

    fn feed(&self, (sources, arranged): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        for (side, list) in arranged.lists.iter() {
            if let Some(list) = list {
                key.input(side.word(), list);
            }
        }
        for source in *sources {
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                key.input("index", &chunk.converted.index);
                if self.tokens {
                    key.input("tokens", &chunk.tokens);
                }
            }
        }
    }
}

impl Keyed for Output {
    const STAGE: Stage = Stage::Output;
    type Inputs<'i> = (&'i [SelectedSource], &'i ArrangeOutcome);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::RowWriter);
    }

    fn feed(&self, (sources, arranged): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        feed_rows(sources, arranged, key);
    }
}

fn feed_rows(sources: &[SelectedSource], arranged: &ArrangeOutcome, key: &mut KeyHasher<'_>) {
    for (side, list) in arranged.lists.iter() {
        if let Some(list) = list {
            key.input(side.word(), list);
        }
    }
    for source in sources {
        key.input("source", &source.name);
        key.input("selection", &source.selected.selection);
        for chunk in source.chunks.iter() {
            key.input("rows", &chunk.converted.rows);
            key.input("index", &chunk.converted.index);
        }
    }
}

impl Keyed for Shaped<'_> {
    const STAGE: Stage = Stage::Output;
    type Inputs<'i> = (&'i OutputSet, &'i [SelectedSource], &'i ArrangeOutcome, &'i About, Option<u64>);

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::Shape(self.target.shape.clone().into()));
        visitor.code(Component::Container);
        if self.target.pack.is_some() {
            visitor.code(Component::Packing);
        }
        visitor.setting(Setting::Output(self.target.folder().into_owned()), self.target);
        visitor.setting(Setting::Description, &self.noted.description);
        for (dataset, license) in &self.noted.licenses {
            visitor.source(Leaf::Dataset { dataset: dataset.clone(), setting: Setting::License }, license);
        }
    }

    /// Feeds the stem and what the card says too, which stand in the files beside the rows.
    fn feed(&self, (outputs, sources, arranged, about, max_tokens): &Self::Inputs<'_>, key: &mut KeyHasher<'_>) {
        key.input("stem", &outputs.stem().to_owned());
        key.input("card", &about.encoded());
        feed_rows(sources, arranged, key);
        if shape::by_name(&self.target.shape).is_some_and(<dyn Shape>::is_of_tokens) {
            let encoded = sources.iter().flat_map(|source| source.chunks.iter()).filter_map(|chunk| chunk.encoded);
            encoded.for_each(|encoded| key.input("ids", &encoded.ids));
            // Why samples have no ids stands in a file beside the rows.
            let refused = sources.iter().flat_map(|source| source.chunks.iter()).filter_map(|chunk| chunk.refused);
            refused.for_each(|refused| key.input("refused", &refused));
        }
        if let Some(max) = max_tokens {
            key.input("max_tokens", max);
        }
    }
}

impl Keyed for Quarantine {
    const STAGE: Stage = Stage::Quarantine;
    type Inputs<'i> = &'i [SelectedSource];

    fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.code(Component::QuarantineWriter);
    }

    /// Feeds the places of chunks too, because the quarantine file gives the location of each row.
    fn feed(&self, sources: &&[SelectedSource], key: &mut KeyHasher<'_>) {
        for source in *sources {
            key.input("source", &source.name);
            key.input("selection", &source.selected.selection);
            for chunk in source.chunks.iter() {
                if let Some(rejects) = &chunk.converted.rejects {
                    let file = &chunk.chunk.file;
                    key.input("repo", &file.origin.name());
                    key.input("commit", &file.origin.commit());
                    key.input("file", &file.path);
                    key.input("place", &chunk.chunk.place);
                    key.input("rejects", rejects);
                }
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ChunkRef, FileOrigin, Scoring, SelectOutcome};
    use crate::source::RemoteFile;
    use datac_core::format::Reading;
    use datac_core::license::Stated;
    use datac_core::mapping::{Entry, Mapping, Origin, Path, Template};
    use datac_core::row::Reason;
    use datac_core::sample::{SampleKind, Slot};
    use datac_core::{
        config::SplitMethod,
        function::{Function, Judge},
        id::{ActionKey, BlobId, FileHash},
        key::Versions,
        outputs::BySide,
        quality::{self, Bound, ScoreKind, Unknown},
    };
    use datac_decode::{Compression, Encoding, RowFormat};
    use datac_decode::{FileKind, Member, Packing, Place};

    /// Versions that never change, so that these keys only change if their encoding does.
    struct One;

    impl Versions for One {
        fn version(&self, _: &Component) -> u32 {
            1
        }
    }

    fn model() -> PinnedModel {
        let digest = FileDigest::Blake3(FileHash::of(b"tokenizer"));
        let file = RemoteFile { path: "tokenizer.json".to_owned(), size: 7, digest, etag: None };
        let text = b"metadata: { phase: sft }\ndatasets: [{ name: a, source: org/a }]\nmodel: { source: org/m, now: 2026-01-31, \
                     arguments: { a: 1 }, max_tokens: 9 }\n";
        let origin = FileOrigin { name: "models/org/m".into(), commit: Some("c".into()) };
        let recipe = config::load("config/a.yaml", text, &config::Vocabulary::default()).unwrap();
        PinnedModel {
            model: recipe.model.unwrap(),
            origin: origin.clone(),
            files: vec![PinnedFile { of: ModelFile::Tokenizer, origin, file }],
        }
    }

    fn converted() -> ConvertOutcome {
        let blob = |name: &str| BlobId::of(name.as_bytes());
        ConvertOutcome {
            rows: blob("rows"),
            index: blob("index"),
            rejects: Some(blob("rejects")),
            samples: 3,
            bytes: 100,
            rejected: vec![(1, Reason::InvalidJson)],
            joined_turns: 0,
            unused: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// The key of each stage, of a chunk of so many rows.
    fn keys(rows: u32) -> Vec<ActionKey> {
        let blob = |name: &str| BlobId::of(name.as_bytes());
        let file = SourceFile {
            origin: FileOrigin { name: "org/x".into(), commit: Some("c".into()) },
            path: "a.jsonl".to_owned(),
            size: 7,
            digest: FileDigest::Blake3(FileHash::of(b"file")),
            etag: None,
            kind: FileKind { format: RowFormat::Jsonl, compression: Compression::Gzip },
            reading: Reading::default(),
            inside: None,
        };
        let archive = FileKind { format: RowFormat::Zip, compression: Compression::None };
        let packing = Packing::Deflate;
        let member = Member { path: "b.jsonl".to_owned(), size: 9, offset: 1, length: 5, packing, crc: Some(3) };
        let member = SourceFile { kind: archive, ..file.clone() }.member(&member, file.kind);
        let options = convert::Options::from([("calculator".to_owned(), "strip".to_owned())]);
        let conversion = Conversion { converter: "gsm8k", options, files: Vec::new() };
        let scorer = |name| quality::by_name(name).unwrap();
        let measure = Measure { kind: scorer("length"), of: Measured::Field("text".to_owned()) };
        let chunk = ChunkId::of(b"chunk");
        let converted = converted();
        let place = Place { first_row: 1, first_line: 2, offset: 3, length: 4, overlong: true };
        let chunks = vec![ConvertedChunk {
            chunk: ChunkRef {
                file: file.clone().into(),
                number: 0,
                digest: chunk,
                rows,
                place,
                encoding: Encoding::JsonLines,
                header: [].into(),
            },
            converted: converted.clone(),
            scores: vec![blob("scores")],
            tokens: Some(blob("tokens")),
            encoded: None,
            shortened: 0,
            split: 0,
            without_reasoning: 0,
            refused: None,
        }];
        let filters = [
            ("length", Bound::Count { min: Some(1), max: None }),
            ("quality", Bound::Fraction { min: Some(0.25), max: None }),
            (
                "language",
                Bound::Language { languages: vec!["en".to_owned()], min_certainty: 0.2, unknown: Unknown::Keep },
            ),
            ("deduplication", Bound::Identity("exact".to_owned())),
        ]
        .map(|(name, bound)| Filter { scorer: scorer(name), bound });
        let select = Select { filters: &filters, take: Take::First(9) };
        let selected = SelectOutcome {
            selection: blob("selection"),
            kept: 3,
            characters: 30,
            tokens: 0,
            rows_read: 4,
            rows_without_samples: 0,
            filters: Vec::new(),
            rejects: Vec::new(),
            reached_max: false,
        };
        let sources = [SelectedSource {
            name: "x".to_owned(),
            role: SourceRole::Mixed,
            chunks: chunks.clone().into(),
            rows: Some(4),
            selected,
            grouped: None,
            ungrouped: None,
        }];
        let validation = Validation { ratio: 0.1, method: SplitMethod::Exact, ..Validation::default() };
        let allotment = Allotment { total: 3, counts: vec![3] };
        let lists = BySide { train: Some(blob("train")), validation: Some(blob("validation")), test: None };
        let arranged = ArrangeOutcome { lists, realised: Vec::new(), mingled: None, across: 0 };
        let model = model();
        let grouping = Grouping { deduplicate: None, normalise: false };
        let license = License::new(["mit".to_owned()], Stated::Card);
        let noted = Noted { description: Some("d".to_owned()), licenses: vec![("x".to_owned(), license)] };
        let about = About {
            phase: "sft".to_owned(),
            description: Some("d".to_owned()),
            kind: SampleKind::Conversation,
            unit: "rows",
            sources: Vec::new(),
            model: None,
        };
        vec![
            Scan { file: &file }.key(&(), &One),
            Convert { conversion: &conversion, decoder: Decoder::Json }.key(&&chunk, &One),
            Score { measure: &measure, decoder: Decoder::Json }.key(&(&chunk, &converted), &One),
            select.key(&chunks.as_slice(), &One),
            Arrange { unit: Unit::Rows, validation: &validation }.key(&(&sources, &allotment), &One),
            Tally { normalise: &false, tokens: false }.key(&(&sources, &arranged), &One),
            Output.key(&(&sources, &arranged), &One),
            Group { grouping: &grouping }.key(&sources.as_slice(), &One),
            Quarantine.key(&sources.as_slice(), &One),
            Shaped { target: &Target { shards: 2, ..Target::native() }, noted: &noted }
                .key(&(&OutputSet::new("sft_a"), &sources, &arranged, &about, None), &One),
            ReadModel { model: &model }.key(&(), &One),
            Render { model: &model, decoder: Decoder::Json }.key(&(&chunk, &converted), &One),
            Scan { file: &member }.key(&(), &One),
            RenderStored { model: &model }.key(&StoredSamples { rows: converted.rows, index: converted.index }, &One),
        ]
    }

    #[test]
    fn keys_are_made_up_as_their_version_says() {
        let keys: Vec<String> = keys(4).iter().map(ToString::to_string).collect();
        // If this fails, raise `KEY_VERSION` in crates/core/src/key.rs and update the keys here: a key that no longer
        // holds one of its inputs would find the outcome of another input.
        insta::assert_snapshot!(keys.join("\n"));
    }

    #[test]
    fn rows_that_make_no_sample_count_in_a_selection() {
        assert_ne!(keys(4)[3], keys(5)[3]);
    }

    #[test]
    fn a_column_and_a_template_of_one_spelling_are_converted_apart() {
        let from = |from| {
            let entries = vec![Entry { slot: Slot::User, word: "user".to_owned(), from }];
            let options = convert::Options { columns: Mapping { entries }, ..convert::Options::new() };
            let conversion = Conversion { converter: "columns (prompt)", options, files: Vec::new() };
            Convert { conversion: &conversion, decoder: Decoder::Json }.key(&&ChunkId::of(b"chunk"), &One)
        };
        let (path, template) = (Path::parse("q").unwrap(), Template::parse("q").unwrap());
        assert_ne!(from(Origin::Path(path)), from(Origin::Template(template)));
    }

    #[test]
    fn a_score_of_a_function_depends_on_all_that_decides_it_and_not_on_its_limits() {
        let key = |name: &str, judge: Judge, timeout: u64, files: &[(&str, &[u8])]| {
            let function = Function { module: "py/a.py".into(), name: name.into(), files: Vec::new(), timeout };
            let digest = |bytes: &[u8]| FileDigest::Blake3(FileHash::of(bytes));
            let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), digest(bytes))).collect();
            let of = Measured::Sample(Scoring { function, judge, files }.into());
            let measure = Measure { kind: ScoreKind::PYTHON, of };
            Score { measure: &measure, decoder: Decoder::Json }.key(&(&ChunkId::of(b"chunk"), &converted()), &One)
        };
        let module: &[(&str, &[u8])] = &[("py/a.py", b"1")];
        let plain = key("f", Judge::Scorer, 1, module);
        assert_eq!(plain, key("f", Judge::Scorer, 2, module), "the time that it may take decides no score");
        for other in [
            key("g", Judge::Scorer, 1, module),
            key("f", Judge::Filter, 1, module),
            key("f", Judge::Scorer, 1, &[("py/a.py", b"2")]),
            key("f", Judge::Scorer, 1, &[("py/b.py", b"1")]),
            key("f", Judge::Scorer, 1, &[("py/a.py", b"1"), ("py/b.py", b"1")]),
        ] {
            assert_ne!(plain, other);
        }
    }

    #[test]
    fn every_component_decides_something_and_has_a_version() {
        struct Named(std::sync::Mutex<std::collections::BTreeSet<Component>>);
        impl Versions for Named {
            fn version(&self, component: &Component) -> u32 {
                self.0.lock().unwrap().insert(component.clone());
                1
            }
        }
        let named = Named(std::sync::Mutex::default());
        let scan = |format| {
            let kind = FileKind { format, compression: Compression::None };
            let origin = FileOrigin { name: "d".into(), commit: None };
            let digest = FileDigest::Blake3(FileHash::of(b""));
            let (path, size, reading, inside) = (String::new(), 0, Reading::default(), None);
            let file = SourceFile { origin, path, size, digest, etag: None, kind, reading, inside };
            Scan { file: &file }.key(&(), &named);
        };
        [RowFormat::Jsonl, RowFormat::Csv, RowFormat::Arrow, RowFormat::Txt, RowFormat::Zip].into_iter().for_each(scan);
        for converter in convert::every() {
            let conversion =
                Conversion { converter: converter.name(), options: convert::Options::new(), files: Vec::new() };
            Convert { conversion: &conversion, decoder: Decoder::Json }.key(&&ChunkId::of(b""), &named);
        }
        let mut leaves = datac_core::key::LeafCollector::new(&named);
        for kind in SCORERS {
            let measure = Measure { kind: *kind, of: Measured::Field(String::new()) };
            Score { measure: &measure, decoder: Decoder::Json }.decide(&mut leaves);
        }
        Select { filters: &[], take: Take::All }.decide(&mut leaves);
        let validation = Validation { ratio: 0.1, ..Validation::default() };
        let grouping = Grouping { deduplicate: None, normalise: false };
        Group { grouping: &grouping }.decide(&mut leaves);
        Arrange { unit: Unit::Rows, validation: &validation }.decide(&mut leaves);
        Tally { normalise: &false, tokens: false }.decide(&mut leaves);
        Output.decide(&mut leaves);
        for shape in SHAPES {
            let pack = shape.packed_columns().map(|_| 4096);
            let target = Target { shape: shape.name().to_owned(), pack, ..Target::native() };
            Shaped { target: &target, noted: &Noted::default() }.decide(&mut leaves);
        }
        Quarantine.decide(&mut leaves);
        ReadModel { model: &model() }.decide(&mut leaves);
        let versions = code_versions();
        let table: std::collections::BTreeSet<Component> =
            versions.iter().map(|(component, _)| component.clone()).collect();
        assert_eq!(*named.0.lock().unwrap(), table, "what no stage depends on has no version, and the other way round");
    }
}
