//! Tests boundaries: what an edit may change, and how files are cut whose content gives no boundaries.

use std::collections::HashSet;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

use super::*;

use datac_core::id::ChunkId;

/// Number of rows, as many as in alpaca, and of the same size.
const ROWS: usize = 52_002;
const TARGET: usize = 512 << 10;
const LONGEST: usize = 8 * TARGET;

/// Returns rows of two texts, about 20 MB in all.
fn texts() -> Vec<[String; 2]> {
    some_texts(ROWS)
}

/// Returns the first of those rows: a dozen chunks, enough to see what an edit changes.
fn few_texts() -> Vec<[String; 2]> {
    some_texts(ROWS / 4)
}

fn some_texts(rows: usize) -> Vec<[String; 2]> {
    const WORDS: &[&str] = &["model", "answers", "the", "question", "with", "a", "\"quoted\"", "word,", "né", "line\n"];
    let mut random = Random(1);
    let mut text = |most: usize| {
        let words = 1 + random.below(most);
        (0..words).map(|_| WORDS[random.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    };
    (0..rows).map(|i| [format!("{i} {}", text(20)), text(110)]).collect()
}

fn object([instruction, output]: &[String; 2]) -> String {
    format!("{{\"instruction\":{},\"output\":{}}}", serde_json::json!(instruction), serde_json::json!(output))
}

fn record([instruction, output]: &[String; 2]) -> String {
    format!("\"{}\",\"{}\"", instruction.replace('"', "\"\""), output.replace('"', "\"\""))
}

/// Applies one of four edits, at a random position; appending has only one.
fn edit<T: Clone>(rows: &mut Vec<T>, number: usize, random: &mut Random, new: T) {
    let at = random.below(rows.len());
    match number % 4 {
        0 => rows.push(new),
        1 => rows[at] = new,
        2 => drop(rows.remove(at)),
        _ => rows.insert(at, new),
    }
}

fn digests(chunks: &[Chunk]) -> HashSet<ChunkId> {
    chunks.iter().map(Chunk::digest).collect()
}

fn check_average(chunks: &[Chunk]) {
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    let average = bytes / chunks.len();
    assert!((TARGET / 2..=TARGET * 2).contains(&average), "chunks of {average} bytes on average");
}

/// Edits rows, and checks that at most two chunks differ after each edit.
fn check_edits<T: Clone>(rows: &[T], new: impl Fn(usize) -> T, edits: usize, cut: impl Fn(&[T]) -> Vec<Chunk>) {
    let chunks = cut(rows);
    check_average(&chunks);
    let before = digests(&chunks);
    let mut random = Random(2);
    let mut touched = 0;
    for number in 0..edits {
        let mut rows = rows.to_vec();
        edit(&mut rows, number, &mut random, new(number));
        let changed = digests(&cut(&rows)).difference(&before).count();
        assert!(
            (1..=2).contains(&changed) || number % 4 == 2 && changed == 0,
            "edit {number} changed {changed} chunks"
        );
        touched += changed;
    }
    assert!(touched <= edits * 3 / 2, "most edits change one chunk: {touched} changed in {edits} edits");
}

fn new_texts(number: usize) -> [String; 2] {
    [format!("a new question, number {number}"), "and an answer\nof two lines".into()]
}

fn join(rows: &[String], between: &str) -> Vec<u8> {
    rows.join(between).into_bytes()
}

#[test]
fn an_edited_line_changes_two_chunks_at_most() {
    let rows: Vec<String> = few_texts().iter().map(object).collect();
    check_edits(
        &rows,
        |number| object(&new_texts(number)),
        240,
        |rows| streamed(RowFormat::Jsonl, Cursor::new(join(rows, "\n"))).unwrap(),
    );
}

#[test]
fn an_edited_element_changes_two_chunks_at_most() {
    let rows: Vec<String> = few_texts().iter().map(object).collect();
    check_edits(
        &rows,
        |number| object(&new_texts(number)),
        60,
        |rows| {
            let file = [&b"[\n  "[..], &join(rows, ",\n  "), b"\n]\n"].concat();
            streamed(RowFormat::Json, Cursor::new(file)).unwrap()
        },
    );
}

#[test]
fn an_edited_record_changes_two_chunks_at_most() {
    let rows: Vec<String> = texts().iter().map(record).collect();
    check_edits(
        &rows,
        |number| record(&new_texts(number)),
        60,
        |rows| {
            let file = [&b"instruction,output\r\n"[..], &join(rows, "\r\n")].concat();
            streamed(RowFormat::Csv, Cursor::new(file)).unwrap()
        },
    );
}

#[test]
fn an_edited_parquet_row_changes_two_chunks_at_most() {
    let rows = texts();
    check_edits(&rows, new_texts, 16, |rows| {
        let column = |i: usize| Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row[i]))) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("instruction", column(0)), ("output", column(1))]).unwrap();
        // An edit moves every later row to another position in its group, or to another group.
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(5_000)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        chunks(kind(RowFormat::Parquet, Compression::None), &writer.into_inner().unwrap()).unwrap()
    });
}

#[test]
fn equal_rows_make_chunks_of_bounded_size() {
    // All rows have the same text and so the same hash: either every row ends a chunk, or none does.
    for n in 0..20 {
        let row = format!("{{\"text\":\"{n} {}\"}}\n", "again ".repeat(n * 40));
        let plain = row.repeat((10 << 20) / row.len());
        let chunks = streamed(RowFormat::Jsonl, Cursor::new(plain.clone().into_bytes())).unwrap();
        check_places(&chunks, plain.as_bytes());
        assert!((3..=320).contains(&chunks.len()), "{} chunks", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.bytes.len() < LONGEST + row.len()));
    }
}

#[test]
fn tiny_rows_make_chunks_of_bounded_size() {
    let mut random = Random(3);
    let plain: Vec<u8> = (0..3_000_000).flat_map(|_| [b'0' + random.below(10) as u8, b'\n']).collect();
    let array = [&b"["[..], plain.strip_suffix(b"\n").unwrap(), b"]"].concat();
    let array: Vec<u8> = array.into_iter().map(|byte| if byte == b'\n' { b',' } else { byte }).collect();
    for (format, plain) in [(RowFormat::Jsonl, &plain), (RowFormat::Json, &array)] {
        let chunks = streamed(format, Cursor::new(plain.clone())).unwrap();
        check_places(&chunks, plain);
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).sum::<u32>(), 3_000_000);
        assert!((2..=200).contains(&chunks.len()), "{} chunks", chunks.len());
    }
}

#[test]
fn a_long_row_among_short_ones_costs_one_chunk() {
    let mut rows: Vec<String> = texts()[..10_000].iter().map(object).collect();
    let before = streamed(RowFormat::Jsonl, Cursor::new(join(&rows, "\n"))).unwrap();
    rows.insert(5_000, format!("{{\"instruction\":\"{}\"}}", "long ".repeat(1 << 20)));
    let plain = join(&rows, "\n");
    let after = streamed(RowFormat::Jsonl, Cursor::new(plain.clone())).unwrap();
    check_places(&after, &plain);
    assert!(digests(&after).difference(&digests(&before)).count() <= 2);
    assert!(reasons(&after).iter().all(Option::is_none));
}

#[test]
fn megabytes_of_blank_lines_are_not_held() {
    let row = b"{\"a\":1}\n";
    for blank in [&b"\n"[..], b" \r\n", b"                                        "] {
        for format in [RowFormat::Jsonl, RowFormat::Json] {
            let body = [row, &blank.repeat((24 << 20) / blank.len())[..], b"\n", row].concat();
            let mut cutter = cut(Box::new(Cursor::new(body.clone())), format, &Reading::default()).unwrap();
            let mut chunks = Vec::new();
            while let Some(chunk) = cutter.next_chunk().unwrap() {
                chunks.push(chunk);
            }
            check_places(&chunks, &body);
            assert_eq!(reasons(&chunks), [None, None]);
            assert!(cutter.most_held() <= 2 * (MAX_ROW_BYTES + TARGET), "{} bytes held", cutter.most_held());
        }
    }
    let body = [&b"a,b\n1,2\n"[..], &b"\r\n".repeat(12 << 20), b"3,4\n"].concat();
    let mut cutter = cut(Box::new(Cursor::new(body)), RowFormat::Csv, &Reading::default()).unwrap();
    let mut rows = 0;
    while let Some(chunk) = cutter.next_chunk().unwrap() {
        rows += chunk.rows;
    }
    assert_eq!(rows, 2);
    assert!(cutter.most_held() <= 2 * LONGEST, "{} bytes held", cutter.most_held());
}
