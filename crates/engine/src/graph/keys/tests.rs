use super::*;
use crate::{
    graph::{
        ArrangeOutcome, ChunkRef, Conversion, ConvertOutcome, ConvertedChunk, FileOrigin, Grouping, Measure, Measured,
        ModelFile, PinnedFile, PinnedModel, Scoring, SelectOutcome, SelectedSource, SourceFile, StoredSamples,
    },
    source::RemoteFile,
};
use datac_core::{
    card::About,
    config::{self, SourceRole, SplitMethod, Take, Unit, Validation},
    format::Reading,
    function::{Function, Judge},
    id::{ActionKey, BlobId, ChunkId, FileHash},
    key::{Keyed, Versions},
    license::{License, Stated},
    mapping::{Entry, Mapping, Origin, Path, Template},
    mix::Allotment,
    outputs::{BySide, OutputSet, Target},
    quality::{self, Bound, Filter, ScoreKind, Unknown},
    row::Reason,
    sample::{SampleKind, Slot},
};
use datac_decode::{Compression, Encoding, FileKind, Member, Packing, Place, RowFormat};

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
    let text =
        b"metadata: { phase: sft }\ndatasets: [{ name: a, source: org/a }]\nmodel: { source: org/m, now: 2026-01-31, \
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
        ("language", Bound::Language { languages: vec!["en".to_owned()], min_certainty: 0.2, unknown: Unknown::Keep }),
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
