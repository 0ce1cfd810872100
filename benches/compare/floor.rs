//! What the bytes of the eight recipes cost at the least: a plain program that reads, unpacks, parses, hashes, compresses
//! and writes each of them once on one thread, with the libraries that datac uses, and decides nothing.

use std::{
    borrow::Cow,
    fs,
    io::{self, Read, Write},
    path::Path,
    process::Command,
};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

/// The folders and files of a full-size hub that the eight recipes read.
const NEEDED: &[&str] = &[
    "Anthropic/hh-rlhf/harmless-base",
    "Anthropic/hh-rlhf/helpful-base",
    "Anthropic/hh-rlhf/helpful-online",
    "Anthropic/hh-rlhf/helpful-rejection-sampled",
    "openai/gsm8k/main",
    "sahil2801/CodeAlpaca-20k",
    "tatsu-lab/alpaca/data",
];

/// The word that makes this program do the work itself.
const WORD: &str = "--floor";

/// A process of this program that does the work.
pub(crate) fn command(hub: &Path, outputs: &Path, to: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a process knows its program"));
    command.arg(WORD).arg(hub).arg(outputs).arg(to);
    command
}

/// Does the work if this process was started for it.
pub(crate) fn is_for_it() -> bool {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [word, hub, outputs, to] = words.as_slice() else { return false };
    if word != WORD {
        return false;
    }
    run(Path::new(hub), Path::new(outputs), Path::new(to)).expect("the floor's files can be read and written");
    true
}

fn run(hub: &Path, outputs: &Path, to: &Path) -> io::Result<()> {
    let mut cache = fs::File::create(to.join("cache"))?;
    for folder in NEEDED {
        for entry in fs::read_dir(hub.join(folder))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.contains("test") || !path.is_file() || name.ends_with(".md") {
                continue;
            }
            let bytes = fs::read(&path)?;
            std::hint::black_box(blake3::hash(&bytes));
            let text = if name.ends_with(".gz") { pairs(&bytes)? } else { bytes };
            if name.ends_with(".json") {
                std::hint::black_box(serde_json::from_slice::<Vec<Code<'_>>>(&text)?);
            }
            if name.ends_with(".parquet") {
                let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(text))
                    .and_then(|builder| builder.with_batch_size(4096).build())
                    .map_err(io::Error::other)?;
                for batch in reader {
                    std::hint::black_box(batch.map_err(io::Error::other)?);
                }
            }
        }
    }
    // What is written is hashed and kept compressed besides, as a cache has to.
    for entry in fs::read_dir(outputs)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path)?;
        std::hint::black_box(blake3::hash(&bytes));
        for block in bytes.chunks(512 << 10) {
            cache.write_all(&zstd::bulk::compress(block, -1)?)?;
        }
        fs::write(to.join(path.file_name().unwrap_or_default()), &bytes)?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is parsed is thrown away")]
struct Pair<'a> {
    #[serde(borrow)]
    chosen: Cow<'a, str>,
    #[serde(borrow)]
    rejected: Cow<'a, str>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is parsed is thrown away")]
struct Code<'a> {
    #[serde(borrow)]
    instruction: Cow<'a, str>,
    #[serde(borrow)]
    input: Cow<'a, str>,
    #[serde(borrow)]
    output: Cow<'a, str>,
}

/// Unpacks and parses a file of pairs.
fn pairs(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len() * 5);
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text)?;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        std::hint::black_box(serde_json::from_slice::<Pair<'_>>(line)?);
    }
    Ok(text)
}
