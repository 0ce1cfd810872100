//! Packs `assets/rows/` into the binary files of `assets/sample/`: `cargo run --release --example pack_sample`.
//!
//! The rows are text so that changes to them can be read; the packed files have the paths, formats and columns of the
//! repositories they stand in for. The same rows give the same bytes. `code_alpaca_20k.json` is text already and is
//! written by hand where it stands.

use std::{error::Error, io::Write, path::Path, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use datac::system;
use flate2::{Compression, GzBuilder};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression as Codec,
    file::properties::{EnabledStatistics, WriterProperties},
};
use serde_json::{Map, Value};

/// Small enough that each file has several.
const ROW_GROUP: usize = 100;

type Rows = Vec<Map<String, Value>>;

fn main() -> Result<(), Box<dyn Error>> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let (rows, sample) = (assets.join("rows"), assets.join("sample"));

    let mut alpaca = read(&rows.join("tatsu-lab/alpaca/data/train.jsonl"))?;
    for row in &mut alpaca {
        let text = alpaca_text(field(row, "instruction"), field(row, "input"), field(row, "output"));
        row.insert("text".to_owned(), text.into());
    }
    let columns = ["instruction", "input", "output", "text"];
    let path = sample.join("tatsu-lab/alpaca/data/train-00000-of-00001-a09b74b3ef9c3b56.parquet");
    write(&path, &parquet(&alpaca, &columns)?)?;

    for config in ["main", "socratic"] {
        for split in ["train", "test"] {
            let found = read(&rows.join(format!("openai/gsm8k/{config}/{split}.jsonl")))?;
            let path = sample.join(format!("openai/gsm8k/{config}/{split}-00000-of-00001.parquet"));
            write(&path, &parquet(&found, &["question", "answer"])?)?;
        }
    }

    for folder in ["helpful-base", "helpful-online", "helpful-rejection-sampled", "harmless-base"] {
        for split in ["train", "test"] {
            let text = system::read(&rows.join(format!("Anthropic/hh-rlhf/{folder}/{split}.jsonl")))?;
            let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
            gzip.write_all(&text)?;
            write(&sample.join(format!("Anthropic/hh-rlhf/{folder}/{split}.jsonl.gz")), &gzip.finish()?)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Rows, Box<dyn Error>> {
    let text = String::from_utf8(system::read(path)?)?;
    text.split_terminator('\n').map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    system::create_dir(path.parent().ok_or("a packed file is in a folder")?)?;
    system::replace(path, bytes)?;
    Ok(())
}

fn field<'r>(row: &'r Map<String, Value>, name: &str) -> &'r str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The `text` column: instruction, input and output in one template.
fn alpaca_text(instruction: &str, input: &str, output: &str) -> String {
    let given = if input.is_empty() { String::new() } else { format!("# Given\n{input}\n\n") };
    format!("Here is a task. Do it as well as you can.\n\n# Task\n{instruction}\n\n{given}# Answer\n{output}")
}

fn parquet(rows: &Rows, columns: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let column =
        |name: &str| -> ArrayRef { Arc::new(StringArray::from_iter(rows.iter().map(|row| row.get(name)?.as_str()))) };
    let batch = RecordBatch::try_from_iter_with_nullable(columns.iter().map(|name| (*name, column(name), true)))?;
    let properties = WriterProperties::builder()
        .set_compression(Codec::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        // The rows are long texts that hardly repeat.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by("datac pack_sample".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}
