//! Golden outputs: what every versioned piece of code yields for inputs that never change.
//!
//! No key holds the source of datac, so a comment or a test empties nobody's cache; but a result that changes under an
//! unchanged version would leave stale bytes in every cache. That fails here. `tests/fixtures/golden/versions.txt` says
//! which version yielded what; the converters have theirs in `tests/fixtures/formats/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use datac::{
    code::Component,
    config::Strategy,
    decode::{self, Compression, FileKind, Input, RowFormat},
    graph::code_versions,
    hash::Digest,
    mix::allot,
    outputs::{OutputKind, Side},
    quality::{SCORERS, ScoreColumn, ScoreKind, Scores},
    row::Value,
    workspace::{BuildManifest, MadeChunk},
};

use crate::space::{Space, entry, recipe, row, rows};

/// What one piece of code yields, as text: values, and digests of what is stored.
type Golden = BTreeMap<Component, String>;

const HISTORY: &str = "tests/fixtures/golden/versions.txt";

/// Where the version of a component is.
fn constant(component: &Component) -> String {
    match component {
        Component::Cutter => "`CUTTER_VERSION` in crates/decode/src/cutter.rs".to_owned(),
        Component::Decoder(_) => "`Decoder::version` in crates/core/src/format.rs".to_owned(),
        Component::Converter(name) => format!("`version` in crates/core/src/convert/{name}.rs"),
        Component::Samples => "`SAMPLES_VERSION` in crates/core/src/sample/mod.rs".to_owned(),
        Component::Rejects => "`REJECTS_VERSION` in crates/engine/src/graph/keys.rs".to_owned(),
        Component::Scorer(name) => format!("`VERSION` in crates/core/src/quality/{name}.rs"),
        Component::Scores => "`SCORES_VERSION` in crates/core/src/quality/scores.rs".to_owned(),
        Component::Selection => "`SELECT_VERSION` in crates/core/src/mix/select.rs".to_owned(),
        Component::Grouping => "`GROUP_VERSION` in crates/core/src/mix/group.rs".to_owned(),
        Component::Allotment => "`ALLOT_VERSION` in crates/core/src/mix/allot.rs".to_owned(),
        Component::Arrangement => "`ARRANGE_VERSION` in crates/core/src/mix/arrange.rs".to_owned(),
        Component::RowWriter => "`version` in crates/core/src/shape/native.rs".to_owned(),
        Component::Rules => "`RULES_VERSION` in crates/core/src/rules/mod.rs".to_owned(),
        Component::QuarantineWriter => "`QUARANTINE_WRITER_VERSION` in crates/engine/src/graph/keys.rs".to_owned(),
        Component::Shape(name) => format!("`version` of `{name}` in crates/core/src/shape/"),
        Component::Container => {
            "`ENCODE_VERSION` in crates/encode/src/lib.rs, or `CARD_VERSION` in crates/core/src/card/mod.rs".to_owned()
        }
        Component::Rendering => "`RENDERING_VERSION` in crates/engine/src/graph/keys.rs".to_owned(),
        Component::Packing => "`PACK_VERSION` in crates/core/src/pack.rs".to_owned(),
        Component::Tally => "`TALLY_VERSION` in crates/core/src/mix/tally.rs".to_owned(),
    }
}

#[test]
fn changed_results_have_a_new_version() {
    let history = std::fs::read_to_string(HISTORY).unwrap();
    let versions = code_versions();
    let goldens = goldens();
    let faults: Vec<String> = goldens
        .iter()
        .filter_map(|(component, text)| {
            guard(&history, component, versions.of(component), Digest::of(text.as_bytes())).err()
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let is_elsewhere = |component: &&Component| match component {
        Component::Converter(_) => true,
        // Without the feature there are none.
        Component::Scorer(name) => name == "tokens" && !cfg!(feature = "tokens"),
        _ => false,
    };
    let guarded: BTreeSet<&Component> = goldens.keys().collect();
    let all: BTreeSet<&Component> = versions.iter().map(|(component, _)| component).collect();
    let missing: Vec<_> = all.difference(&guarded).filter(|component| !is_elsewhere(component)).collect();
    assert!(missing.is_empty(), "without a golden output: {missing:?}");
}

/// Compares a result with the last line that the history has for its component; lines are `<version> <digest> <component>`.
fn guard(history: &str, component: &Component, version: u32, digest: Digest) -> Result<(), String> {
    let mut last: Option<(u32, Digest)> = None;
    for line in history.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let malformed = || format!("{HISTORY}: `{line}` is not `<version> <digest> <component>`");
        let [version, digest, of] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { return Err(malformed()) };
        if of != component.to_string() {
            continue;
        }
        let version: u32 = version.parse().map_err(|_| malformed())?;
        let digest = Digest::from_hex(digest).ok_or_else(malformed)?;
        if last.is_some_and(|(before, _)| version <= before) {
            return Err(format!("{HISTORY}: versions of `{component}` must rise; lines are added, never changed"));
        }
        last = Some((version, digest));
    }
    let add = |version: u32| format!("add this line to {HISTORY}:\n{version} {digest} {component}");
    match last {
        None => Err(format!("`{component}` has no recorded result; {}", add(version))),
        Some((recorded, same)) if recorded == version && same == digest => Ok(()),
        Some((recorded, _)) if recorded == version => Err(format!(
            "the results of `{component}` changed and its version did not (unless they did because of a component \
             above that changed, too): raise {} to {}, then {}",
            constant(component),
            version + 1,
            add(version + 1)
        )),
        Some((recorded, _)) if recorded < version => Err(format!("`{component}` has a new version; {}", add(version))),
        Some((recorded, _)) => {
            Err(format!("`{component}` is of version {version}, recorded is {recorded}: versions only rise"))
        }
    }
}

#[test]
fn the_guard_names_what_to_raise() {
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    let history = format!("# a comment\n\n1 {new} cutter\n1 {new} row writer\n2 {old} row writer\n");
    let of = |version, digest| guard(&history, &Component::RowWriter, version, digest);
    assert_eq!(of(2, old), Ok(()));
    let forgotten = of(2, new).unwrap_err();
    assert!(forgotten.contains("raise `version` in crates/core/src/shape/native.rs to 3"), "{forgotten}");
    assert!(forgotten.ends_with(&format!("\n3 {new} row writer")), "{forgotten}");
    assert!(of(3, new).unwrap_err().ends_with(&format!("\n3 {new} row writer")), "a raised version must be recorded");
    assert!(of(1, new).unwrap_err().contains("versions only rise"));
    assert!(guard(&history, &Component::Selection, 1, new).unwrap_err().contains("no recorded result"));
    assert!(guard("1 x", &Component::Cutter, 1, new).unwrap_err().contains("is not"));
}

/// What each rule makes of dialogues that break several, in each mode.
fn ruled() -> Vec<(&'static str, &'static str, String)> {
    use datac::{
        rules::{self, Mode, RULES},
        sample::{Message, Role, Sample},
        shape,
    };
    const TURNS: [(Role, &str); 9] = [
        (Role::System, "s"),
        (Role::Assistant, " hi\u{200b}"),
        (Role::User, "q"),
        (Role::User, " r"),
        (Role::Assistant, ""),
        (Role::System, "t"),
        (Role::User, "v"),
        (Role::Assistant, "a"),
        (Role::User, "bye"),
    ];
    let mut made = Vec::new();
    for (turns, rule, (word, mode)) in (1..=TURNS.len())
        .flat_map(|turns| RULES.iter().map(move |rule| (turns, *rule)))
        .flat_map(|(turns, rule)| Mode::ALL.iter().map(move |mode| (turns, rule, *mode)))
    {
        let messages = TURNS[..turns].iter().map(|(role, text)| Message::new(*role, *text)).collect();
        let (mut sample, mut broken) = (Sample::conversation(messages), Vec::new());
        let mut given: std::collections::BTreeMap<String, Mode> =
            RULES.iter().map(|rule| (rule.name.to_owned(), Mode::Warn)).collect();
        given.insert(rule.name.to_owned(), mode);
        let text = match rules::apply(&mut sample, &given, &mut broken) {
            Ok(()) => shape::row_of(&shape::native::Native, &sample, "s").unwrap(),
            Err(reject) => reject.reason.code().to_owned(),
        };
        let broken: Vec<String> = broken.iter().map(|broken| format!("{}{}", broken.rule, broken.places)).collect();
        made.push((rule.name, word, format!("{text} {}", broken.join(" "))));
    }
    made
}

/// What each shape makes of the samples of the native fixture, and what it puts beside them.
fn shaped() -> Vec<(&'static str, String)> {
    use datac::{
        encoded::{EncodedSample, Sequence, TrainedRun, WhyTrained},
        outputs::Target,
        shape::{self, SHAPES, Shape, Written, facts::Facts},
    };
    let fixture = std::fs::read_to_string("tests/fixtures/shapes/native.jsonl").unwrap();
    let samples: Vec<_> = fixture.lines().map(|line| shape::native::Native.read(line).unwrap().sample).collect();
    let mut made = Vec::new();
    for shape in SHAPES {
        let mut text = String::new();
        for sample in &samples {
            match shape::row_of(*shape, sample, "s") {
                Ok(row) => writeln!(text, "{row}").unwrap(),
                Err(unfit) => writeln!(text, "{unfit}").unwrap(),
            }
        }
        for kind in shape.kinds() {
            let (facts, target) = (Facts::default(), Target { shape: shape.name().to_owned(), ..Target::native() });
            let columns = shape.columns(*kind, &facts);
            let files =
                [(Side::Train, vec!["train.jsonl".to_owned()]), (Side::Validation, vec!["val.jsonl".to_owned()])];
            let written = Written {
                stem: "x",
                kind: *kind,
                facts: &facts,
                target: &target,
                columns: &columns,
                ids: None,
                files: &files,
            };
            writeln!(text, "{kind:?} {columns:?} {:?}", shape.beside(&written)).unwrap();
        }
        if shape.packed_columns().is_some() {
            let sample = |length: u32| {
                let run = TrainedRun { start: 0, length, why: WhyTrained::All, message: None, weight: 1.0 };
                EncodedSample { row_hash: 0, sequences: vec![Sequence { ids: (0..length).collect(), runs: vec![run] }] }
            };
            let mut row = Vec::new();
            shape.write_packed(&[sample(3), sample(2)], &mut row);
            text.push_str(&String::from_utf8(row).unwrap());
        }
        made.push((shape.name(), text));
    }
    made
}

/// What is counted of samples of which each has the prompt of every seventh, and every third is used twice.
fn tallied() -> String {
    use datac::{
        failure::FileError,
        mix::{Candidate, Candidates, SortMemory, tally::tally},
        system::ScratchFolder,
    };
    struct Numbers;
    impl Candidates for Numbers {
        type Error = FileError;
        fn count(&self) -> u64 {
            100
        }
        fn sizes(&self) -> Vec<u64> {
            vec![100]
        }
        fn side(&self, _: usize) -> Option<Side> {
            None
        }
        fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), FileError>) -> Result<(), FileError> {
            (0..100_u32).try_for_each(|number| {
                let (prompt_hash, folded_hash) = (u64::from(number % 7) << 40, u64::from(number % 5));
                let (units, continues) = (number, false);
                take(&Candidate { source: 0, number, row_hash: 0, prompt_hash, folded_hash, units, continues })
            })
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let scratch = ScratchFolder::at(folder.path());
    let rows = |take: &mut dyn FnMut(Side, u32) -> Result<(), FileError>| {
        (0..100).rev().try_for_each(|number| {
            let side = if number % 10 == 9 { Side::Validation } else { Side::Train };
            (0..=u32::from(number % 3 == 0)).try_for_each(|_| take(side, number))
        })
    };
    let of = |normalise| tally(&Numbers, &rows, normalise, SortMemory { scratch: &scratch, bytes: 1 << 20 }).unwrap();
    format!("{:?} {:?}", of(false), of(true))
}

/// The rows of samples of many lengths, some of which have one prompt.
fn packed() -> String {
    use datac::pack::{Item, key, pack};
    let mut items: Vec<Item> = (0..500_u32)
        .map(|number| Item {
            key: key((number % 450).into(), (number / 450).into()),
            tokens: 1 + number * number % 97,
            number,
        })
        .collect();
    items.sort_by_key(|item| item.key);
    let mut text = String::new();
    pack(items.into_iter().map(Ok), 128, |row| {
        writeln!(text, "{:?}", row.iter().map(|item| item.number).collect::<Vec<_>>()).unwrap();
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap();
    text
}

fn goldens() -> Golden {
    let mut goldens = Golden::new();
    let mut add = |component: Component, text: &str| {
        let golden: &mut String = goldens.entry(component).or_default();
        golden.push_str(text);
        golden.push('\n');
    };
    add(Component::Packing, &packed());
    for (rule, mode, text) in ruled() {
        add(Component::Rules, &format!("{rule} {mode} {text}"));
    }
    for (name, bytes, kind) in files() {
        let chunks = chunks(&bytes, kind);
        for chunk in &chunks {
            let place = chunk.place;
            let place = [place.first_row, place.first_line, place.offset, place.length, u64::from(place.overlong)];
            add(Component::Cutter, &format!("{name} {} {} {place:?}", chunk.digest(), chunk.rows));
        }
        let decoder = chunks[0].encoding.decoder();
        for chunk in &chunks {
            add(Component::Decoder(decoder.name().into()), &format!("{name}\n{}", read(chunk)));
        }
    }
    for (name, bytes, kind) in archives() {
        let bytes: &'static [u8] = Box::leak(bytes.into_boxed_slice());
        let members = decode::members(Input::Static(bytes), kind).unwrap();
        add(Component::Decoder("archive".into()), &format!("{name}\n{members:?}"));
    }
    for kind in SCORERS {
        let scorer = Component::Scorer(kind.name().into());
        // Without the feature there are no tokens.
        if *kind == ScoreKind::TOKENS && !cfg!(feature = "tokens") {
            continue;
        }
        let mut column = ScoreColumn::new(*kind);
        TEXTS.iter().for_each(|text| column.push(text));
        add(scorer, &scores(&column));
    }
    // One scorer of each scale, and scores that no version of a scorer will change.
    for name in ["length", "quality", "language", "deduplication"] {
        let mut column = ScoreColumn::new(datac::quality::by_name(name).unwrap());
        add(Component::Scores, &Digest::of(&column.encode()).to_string());
        if name == "length" {
            ["", "word"].iter().for_each(|text| column.push(text));
            add(Component::Scores, &Digest::of(&column.encode()).to_string());
        }
    }
    for strategy in [Strategy::Repeat, Strategy::Cut] {
        for (sizes, shares) in [(vec![100, 50, 7], vec![0.5, 0.3, 0.2]), (vec![1, 1000], vec![0.9, 0.1])] {
            for total in [None, Some(10), Some(10_001)] {
                let counts = allot::allot(&sizes, &shares, strategy, total).counts;
                add(Component::Allotment, &format!("{strategy:?} {sizes:?} {shares:?} {total:?}: {counts:?}"));
            }
        }
    }
    add(Component::Tally, &tallied());
    for (shape, text) in shaped() {
        add(Component::Shape(shape.into()), &text);
    }
    for manifest in built() {
        let name = &manifest.name;
        if name == "sft/shaped" {
            for file in manifest.files.iter().filter(|file| OutputKind::of(&file.name) != Some(OutputKind::Quarantine))
            {
                add(Component::Container, &format!("{} {} {}", file.name, file.meta.digest, file.meta.rows));
            }
            continue;
        }
        if name == "pretrain/ids" {
            for file in &manifest.files {
                // Files of bare ids are of one shape each.
                if let Some(shape @ ("megatron" | "olmo")) = file.name.split('/').nth(1) {
                    let golden = format!("{} {} {}", file.name, file.meta.digest, file.meta.rows);
                    add(Component::Shape(shape.to_owned().into()), &golden);
                }
            }
            continue;
        }
        if name == "sft/encoded" {
            for MadeChunk { encoded, rejects, .. } in manifest.sources.iter().flat_map(|source| &source.chunks) {
                let encoded = encoded.expect("the recipe has a model");
                let blobs = encoded.blobs().map(|blob| blob.to_string()).join(" ");
                add(Component::Rendering, &format!("{blobs} {rejects:?}"));
            }
            continue;
        }
        if manifest.sources.iter().any(|source| source.grouped.is_some()) {
            for source in &manifest.sources {
                add(Component::Grouping, &format!("{name} {} {:?}", source.selection, source.grouped));
            }
            continue;
        }
        for source in &manifest.sources {
            for MadeChunk { written, index, rejects, .. } in &source.chunks {
                add(Component::Samples, &format!("{name} {written} {index}"));
                rejects.iter().for_each(|rejects| add(Component::Rejects, &format!("{name} {rejects}")));
            }
            add(Component::Selection, &format!("{name} {}", source.selection));
        }
        let list = |side| manifest.lists.get(side).expect("both sides are written");
        let (train, validation) = (list(Side::Train), list(Side::Validation));
        add(Component::Arrangement, &format!("{name} {train} {validation}"));
        for file in &manifest.files {
            let is_quarantine = datac::outputs::is_quarantine(&file.name);
            let writer = if is_quarantine { Component::QuarantineWriter } else { Component::RowWriter };
            add(writer, &format!("{} {} {}", file.name, file.meta.digest, file.meta.rows));
        }
    }
    goldens
}

/// Texts that scorers tell apart.
const TEXTS: &[&str] = &[
    "",
    "word",
    "The quick brown fox jumps over the lazy dog. It does so every day, and nobody knows why.",
    "Der schnelle braune Fuchs springt über den faulen Hund, und niemand weiß, warum er das tut.",
    "Le renard brun et rapide saute par-dessus le chien paresseux, et personne ne sait pourquoi.",
    "这只敏捷的棕色狐狸跳过了那只懒狗。",
    "fn main() {\n    let x = 1;\n    println!(\"{x}\");\n}\n",
    "def f(x):\n    return [y for y in range(x) if y % 2 == 0]\n",
    "AAAA!!!! BUY NOW!!!! www.example.com www.example.com www.example.com",
    "one two three one two three one two three one two three one two three",
    "2 + 2 = 4; 3 * 7 = 21 – naïve café, zero\u{200b}width and \u{1f600}",
];

fn scores(column: &ScoreColumn) -> String {
    match column.scores() {
        Scores::Count(scores) => format!("{scores:?}"),
        Scores::Fraction(scores) => format!("{:?}", scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>()),
        Scores::Language(scores) => format!("{scores:?}"),
        Scores::Identity(scores) => format!("{scores:?}"),
        Scores::Value(values) => format!("{:?}", values.texts()),
        Scores::Number(_) => format!("{:?}", (0..column.len()).map(|at| column.score(at)).collect::<Vec<_>>()),
    }
}

/// Rows that are awkward in JSON.
const AWKWARD_LINES: &str = "\u{feff}{\"a\":1.0,\"b\":9007199254740993,\"c\":null,\"d\":true,\"e\":{\"k\":[1, 2]},\"f\":\"\\u00e9\\n\"}\r\n\
    \n{\"a\":\"\\ud83d\\ude00\",\"a\":2}\n[1]\n\"text\"\n{\"open\":\n{\"s\":\"\\ud800\"}\n{} \n{\"a\":-0,\"b\":1e400,\"c\":\"007\"}";

/// Records that are awkward in CSV.
const AWKWARD_RECORDS: &str =
    "a,b,c\r\n1,\"two\nlines\",\"q\"\"q\"\r\n,,\n1,2\n1,2,3,4\n\"x\"y,2,3\n 1 , 2 ,007\n\"open,2,3\n";

/// Source files of every format, some of several chunks.
fn files() -> Vec<(&'static str, Vec<u8>, FileKind)> {
    let kind = |format| FileKind { format, compression: Compression::None };
    let array = |numbers: std::ops::Range<u64>| {
        let rows: Vec<String> = numbers.map(|number| row(number, 60)).collect();
        format!("[\n{}\n]\n", rows.join(" ,\n"))
    };
    let table = |delimiter: char| {
        let mut table = format!("instruction{delimiter}output\n");
        for number in 0..3000 {
            writeln!(table, "\"Question, {number}?\"{delimiter}{}", "word ".repeat(60)).unwrap();
        }
        table
    };
    let sample = |path: &str| std::fs::read(format!("assets/sample/{path}")).unwrap();
    vec![
        ("lines.jsonl", rows(0..4000, 60).into_bytes(), kind(RowFormat::Jsonl)),
        ("awkward.jsonl", AWKWARD_LINES.into(), kind(RowFormat::Jsonl)),
        ("array.json", array(0..3000).into_bytes(), kind(RowFormat::Json)),
        ("lines.json", rows(0..10, 12).into_bytes(), kind(RowFormat::Json)),
        ("awkward.json", "[{\"a\":1.0} , [2], null\n,{\"a\":[{\"b\":\"]\"}]}]".into(), kind(RowFormat::Json)),
        ("table.csv", table(',').into_bytes(), kind(RowFormat::Csv)),
        ("awkward.csv", AWKWARD_RECORDS.into(), kind(RowFormat::Csv)),
        ("table.tsv", table('\t').into_bytes(), kind(RowFormat::Tsv)),
        ("semicolons.csv", table(';').into_bytes(), kind(RowFormat::Csv)),
        ("over_lines.json", b"{\n \"a\": 1\n}{\"a\": [2]}\n".into(), kind(RowFormat::Json)),
        ("within.json", b"{\"v\": 1, \"data\": [{\"a\": 1}, {\"a\": 2}]}".into(), kind(RowFormat::Json)),
        ("texts.jsonl", b"[\"one\", \"two\"]".into(), kind(RowFormat::Jsonl)),
        ("lines.txt", b"one\n\ntwo\r\nthree\rfour".into(), kind(RowFormat::Txt)),
        (
            "alpaca.parquet",
            sample("tatsu-lab/alpaca/data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"),
            kind(RowFormat::Parquet),
        ),
        ("gsm8k.parquet", sample("openai/gsm8k/main/test-00000-of-00001.parquet"), kind(RowFormat::Parquet)),
    ]
}

/// An archive of each kind.
fn archives() -> Vec<(&'static str, Vec<u8>, FileKind)> {
    let kind = |format| FileKind { format, compression: Compression::None };
    let zip = crate::zip::zip(&[("./a.jsonl", b"{}", 0), ("b\\c.jsonl", b"{}", 8), ("d/", b"", 0)]);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    tar.append_data(&mut header, "d/".repeat(80) + "a.jsonl", &b"{}"[..]).unwrap();
    vec![("a.zip", zip, kind(RowFormat::Zip)), ("a.tar", tar.into_inner().unwrap(), kind(RowFormat::Tar))]
}

fn chunks(bytes: &[u8], kind: FileKind) -> Vec<decode::Chunk> {
    let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
    let mut cutter = decode::open(Input::Static(bytes), kind).unwrap();
    std::iter::from_fn(|| cutter.next_chunk().unwrap()).collect()
}

/// The rows of a chunk as they are read, and what is wrong with those that are rejected.
fn read(chunk: &decode::Chunk) -> String {
    let mut text = String::new();
    chunk.for_each_row(|row, span, parsed| {
        write!(text, "{row} {}..{} {}:", span.start, span.end, span.line).unwrap();
        match parsed {
            Ok(parsed) => parsed.fields.iter().for_each(|(name, value)| {
                let (kind, value) = match value {
                    Value::Null => ("null", ""),
                    Value::Bool(value) => ("bool", if *value { "true" } else { "false" }),
                    Value::Number(text) => ("number", text.as_ref()),
                    Value::String(text) => ("string", text.as_ref()),
                    Value::Json(text) => ("json", text.as_ref()),
                    Value::Printed { text, .. } => ("printed", text.as_ref()),
                };
                write!(text, " {name} {kind} {value};").unwrap();
            }),
            Err(reject) => write!(text, " {} {}", reject.reason.code(), reject.detail).unwrap(),
        }
        text.push('\n');
    });
    text
}

/// What recipes over fixed sources are made of: both ways to split, both strategies, filters, rejects, and all kinds of rows.
fn built() -> Vec<BuildManifest> {
    let space = Space::new();
    space.write("data/a.jsonl", format!("{}{{broken\n{}", rows(0..3000, 60), rows(0..500, 60)));
    space.write("data/b.jsonl", format!("{}{{\"instruction\":\"\",\"output\":\"x\"}}\n", rows(9000..9300, 12)));
    let filters = "filters: [{ type: length, min_length: 10, max_length: 450 }, { type: deduplication }]";
    let entries =
        [entry("a", "data/a.jsonl", 0.8, &[filters, "max_samples: 2000"]), entry("b", "data/b.jsonl", 0.2, &[])];
    space.write("config/sft/exact.yaml", recipe(&entries, "validation: { ratio: 0.1, seed: 7, method: exact }\n"));
    let entries = [entry("a", "data/a.jsonl", 0.5, &[]), entry("b", "data/b.jsonl", 0.5, &[])];
    let more = "validation: { ratio: 0.05, seed: 42 }\nmix: { strategy: cut, unit: characters }\n";
    space.write("config/sft/hash.yaml", recipe(&entries, more));
    let more = "validation: { source: data/b.jsonl, format: jsonl, max_samples: 90 }\ntest: { source: data/a.jsonl, format: jsonl, sample: { rows: 100 } }\nmix: { deduplicate: prompt }\n";
    space.write("config/sft/compared.yaml", recipe(&entries, more));
    let more = "output: [{ shape: trl, shards: 2, id: true, layout: hub }, { shape: messages, container: arrow }, { shape: openrlhf, container: parquet }, { shape: axolotl, container: jsonl.zst }]\n";
    space.write("config/sft/shaped.yaml", recipe(&entries, more));
    let calls = r#"{"messages":[{"role":"user","content":"Where?"},{"role":"assistant","content":"","reasoning_content":"Look.","tool_calls":[{"id":"a","type":"function","function":{"name":"look","arguments":"{\"at\": 1}"}}]},{"role":"tool","content":"here","tool_call_id":"a"},{"role":"assistant","content":"Here."}],"tools":[{"type":"function","function":{"name":"look","parameters":{}}}]}"#;
    let plain = r#"{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello.","weight":0.5}]}"#;
    let refused = r#"{"messages":[{"role":"user","content":"<|end|>"},{"role":"assistant","content":"No."}]}"#;
    space.write("data/chat.jsonl", format!("{calls}\n{plain}\n{refused}\n"));
    let more = "model: { source: datac/sample, now: 2026-01-31 }\n";
    space.write("config/sft/encoded.yaml", recipe(&[entry("chat", "data/chat.jsonl", 1.0, &[])], more));
    space.write(
        "data/texts.jsonl",
        "{\"text\":\"One text.\"}\n{\"text\":\"Two\"}\n{\"text\":\"And a third one, longer.\"}\n",
    );
    let more = "model: datac/sample\noutput: [megatron, olmo]\n";
    let ids = recipe(&[entry("texts", "data/texts.jsonl", 1.0, &[])], more).replace("phase: sft", "phase: pretrain");
    space.write("config/pretrain/ids.yaml", ids);
    for (phase, source, extra) in [
        ("dpo", "Anthropic/hh-rlhf", "data_dir: harmless-base"),
        ("rlaif", "openai/gsm8k", "config_name: main, converter: prompts"),
        ("pretrain", "tatsu-lab/alpaca", "converter: text"),
    ] {
        let dataset = format!("{{ name: n, source: {source}, format: huggingface, mix_ratio: 1.0, {extra} }}");
        space.write(
            &format!("config/{phase}/hub.yaml"),
            format!("metadata: {{ phase: {phase} }}\ndatasets: [{dataset}]\n"),
        );
    }
    space.build();
    let workspace = space.workspace();
    let builds = workspace.history().runs().unwrap();
    let run = builds[0].0;
    let manifest = |build| workspace.history().manifest(&build).unwrap();
    workspace.history().builds(run).unwrap().into_iter().map(manifest).collect()
}
