//! Timings of single stages, `cargo bench --bench stages`: what one thread does with a few megabytes of rows.
#![expect(clippy::disallowed_methods, reason = "a benchmark sets up its own folder")]

use std::{
    fs,
    hint::black_box,
    io::Write,
    path::Path,
    sync::{Arc, LazyLock},
};

use datac::{
    cache::{Access, Blobs, Record, Store},
    config::Validation,
    convert,
    decode::{self, Chunk, Compression, FileKind, Input, RowFormat},
    mix::{self, Allotment, Candidate, Candidates, SortMemory},
    outputs::Side,
    quality,
    sample::SampleIndex,
    system::{FileError, ScratchFolder},
    workspace::{BuildOptions, Settings, Workspace},
};
use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};

fn main() {
    divan::main();
}

/// Rows of hh-rlhf's shape, 8 MiB of them: no two alike, so that nothing is found twice.
static LINES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    const WORDS: [&str; 12] =
        ["the", "river", "answers", "slowly", "when", "asked", "\\n", "about", "“bread”,", "or", "why", "so."];
    let mut lines = Vec::new();
    let mut state = 1_u64;
    let mut words = |lines: &mut Vec<u8>, count: u64| {
        for _ in 0..count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(lines, "{} ", WORDS[(state >> 33) as usize % WORDS.len()]).expect("a Vec takes every write");
        }
    };
    while lines.len() < 8 << 20 {
        let mut prompt = br"\n\nHuman: ".to_vec();
        words(&mut prompt, 40);
        prompt.extend_from_slice(br"\n\nAssistant: ");
        for (head, tail) in [(r#"{"chosen":""#, r#"","#), (r#""rejected":""#, "\"}\n")] {
            lines.extend_from_slice(head.as_bytes());
            lines.extend_from_slice(&prompt);
            words(&mut lines, 90);
            lines.extend_from_slice(tail.as_bytes());
        }
    }
    lines
});

const JSONL: FileKind = FileKind { format: RowFormat::Jsonl, compression: Compression::None };

/// The rows as chunks.
static CHUNKS: LazyLock<Vec<Chunk>> = LazyLock::new(cut);

/// The texts of the rows, which is what filters look at.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut texts = Vec::new();
    for chunk in CHUNKS.iter() {
        chunk.for_each_row(|_, _, row| texts.push(row.expect("a good row").text("chosen").expect("a text").to_owned()));
    }
    texts
});

fn cut() -> Vec<Chunk> {
    let mut cutter = decode::open(Input::Static(&LINES), JSONL).expect("rows can be cut");
    std::iter::from_fn(|| cutter.next_chunk().expect("rows can be cut")).collect()
}

/// Calls `each` with every chunk, counted by the bytes of all.
fn per_chunk(bencher: Bencher<'_, '_>, mut each: impl FnMut(&Chunk)) {
    bencher.counter(BytesCount::new(LINES.len())).bench_local(|| CHUNKS.iter().for_each(&mut each));
}

/// Calls `score` with every text, counted by the bytes of all.
fn per_text<T>(bencher: Bencher<'_, '_>, score: impl Fn(&str) -> T) {
    let bytes: usize = TEXTS.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        TEXTS.iter().for_each(|text| {
            black_box(score(text));
        });
    });
}

#[divan::bench]
fn decode_cut(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::new(LINES.len())).bench_local(cut);
}

#[divan::bench]
fn decode_digest(bencher: Bencher<'_, '_>) {
    per_chunk(bencher, |chunk| {
        black_box(chunk.digest());
    });
}

#[divan::bench]
fn decode_parse(bencher: Bencher<'_, '_>) {
    per_chunk(bencher, |chunk| chunk.for_each_row(|_, _, row| drop(black_box(row))));
}

/// Parsing, converting and writing as samples are kept.
#[divan::bench]
fn convert_hh_rlhf(bencher: Bencher<'_, '_>) {
    let converter = convert::by_name("hh_rlhf").expect("a registered converter");
    per_chunk(bencher, |chunk| {
        let (mut index, mut blob, mut scratch) = (SampleIndex::default(), Vec::new(), Vec::new());
        chunk.for_each_row(|number, _, row| {
            let row = row.expect("a good row");
            let converted = converter.convert(&row, &convert::Options::new()).expect("a good row");
            for sample in converted.samples.as_slice() {
                index.push(number, sample, &mut blob, &mut scratch);
            }
        });
        black_box((index, blob));
    });
}

#[divan::bench]
fn score_length(bencher: Bencher<'_, '_>) {
    per_text(bencher, quality::length);
}

#[divan::bench]
fn score_quality(bencher: Bencher<'_, '_>) {
    per_text(bencher, quality::quality);
}

#[divan::bench]
fn score_code_quality(bencher: Bencher<'_, '_>) {
    per_text(bencher, quality::code_quality);
}

#[divan::bench]
fn score_deduplication(bencher: Bencher<'_, '_>) {
    per_text(bencher, quality::exact);
}

#[divan::bench(sample_count = 5)]
fn score_language(bencher: Bencher<'_, '_>) {
    per_text(bencher, quality::language);
}

/// A million rows of one source, two of each prompt.
struct Million;

impl Candidates for Million {
    type Error = FileError;

    fn count(&self) -> u64 {
        1_000_000
    }

    fn sizes(&self) -> Vec<u64> {
        vec![self.count()]
    }

    fn side(&self, _: usize) -> Option<Side> {
        None
    }

    fn each(&self, take: &mut dyn FnMut(&Candidate) -> Result<(), FileError>) -> Result<(), FileError> {
        let hash = |i: u32, salt: u64| (u64::from(i) + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (0..1_000_000).try_for_each(|number| {
            let (row_hash, prompt_hash) = (hash(number, 1), hash(number / 2, 7));
            let (folded_hash, units, continues) = (prompt_hash, 1, false);
            take(&Candidate { source: 0, number, row_hash, prompt_hash, folded_hash, units, continues })
        })
    }
}

/// Splitting and ordering a million rows, with room for them and without.
#[divan::bench(sample_count = 5, args = [64 << 20, 1 << 20])]
fn arrange_million(bencher: Bencher<'_, '_>, bytes: usize) {
    let allotment = Allotment { total: 1_000_000, counts: vec![1_000_000] };
    let validation = Validation { ratio: 0.1, ..Validation::default() };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let scratch = ScratchFolder::at(folder.path());
    let room = SortMemory { scratch: &scratch, bytes };
    bencher
        .counter(ItemsCount::new(Million.count()))
        .bench_local(|| mix::arrange(&Million, &allotment, &validation, room).expect("the disk takes it"));
}

/// A store below a folder, with a record of its own.
fn store(folder: &Path) -> Store {
    let record = Record::open(folder, Access::Write, Arc::new(|_| {})).expect("a record can be made");
    Store::new(folder, Arc::new(record))
}

/// Compressing, hashing and storing what is not there yet.
#[divan::bench(sample_count = 10)]
fn store_put(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::new(LINES.len()))
        .with_inputs(|| tempfile::tempdir().expect("a folder can be made"))
        .bench_local_refs(|folder| {
            let store = store(folder.path());
            CHUNKS.iter().for_each(|chunk| {
                black_box(store.put(&chunk.bytes).expect("the disk takes it"));
            });
        });
}

/// Reading, decompressing and checking.
#[divan::bench(sample_count = 10)]
fn store_get(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let store = store(folder.path());
    let digests: Vec<_> = CHUNKS.iter().map(|chunk| store.put(&chunk.bytes).expect("the disk takes it")).collect();
    bencher.counter(BytesCount::new(LINES.len())).bench_local(|| {
        digests.iter().for_each(|digest| drop(black_box(store.get(digest).expect("it was just stored"))));
    });
}

/// The eight recipes, asked about when outputs are gone: parse, pin and plan with everything in the cache.
#[divan::bench(sample_count = 20)]
fn plan_eight_recipes(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    copy_recipes(folder.path());
    let workspace = Workspace::open(Settings { hub: Some("sample".to_owned()), ..Settings::new(folder.path()) });
    workspace.build(&[], &BuildOptions::default()).expect("the sample builds");
    fs::remove_dir_all(workspace.outputs().dir()).expect("outputs were written");
    bencher.bench_local(|| black_box(workspace.status(&[]).expect("status needs nothing")));
}

fn copy_recipes(into: &Path) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in walkdir::WalkDir::new(project.join("config")) {
        let entry = entry.expect("the recipes can be listed");
        let to = into.join(entry.path().strip_prefix(project).expect("it is below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).expect("a folder can be made");
        } else {
            fs::copy(entry.path(), to).expect("a recipe can be copied");
        }
    }
}
