//! Tests that the rows of any file are those that an independent reader finds.

use std::fmt;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::*;
use datac_core::json;

/// Runs the same cases in every run.
fn check_cases<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let config =
        ProptestConfig { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&strategy, |value| {
            check(value);
            Ok(())
        })
        .unwrap();
}

/// Returns a text of a given length and seed, with many characters that readers could mishandle.
fn text(length: usize, seed: u64) -> String {
    const PALETTE: &[&str] = &[
        "a", "b", "the", " ", " ", "\"", "\\", "\n", "\r", "\t", "{", "}", "[", "]", ",", ":", "'", "0", "-", "é",
        "😀", "\u{2028}", "\u{feff}", "\0", "\u{1f}", "\u{7f}", "/", "\r\n", "\\n", "\\u0041", "]}",
    ];
    let mut random = Random(seed);
    // Long runs of plain characters exercise the fast paths.
    let plain = random.below(3) == 0;
    let mut text = String::with_capacity(length + 4);
    while text.len() < length {
        text.push_str(if plain { "plain words " } else { PALETTE[random.below(PALETTE.len())] });
    }
    text
}

fn texts() -> impl Strategy<Value = String> {
    let length = prop_oneof![6 => 0..40_usize, 3 => 0..3_000_usize, 1 => 0..100_000_usize];
    (length, any::<u64>()).prop_map(|(length, seed)| text(length, seed))
}

#[derive(Clone, Copy, Debug)]
struct Packing {
    compression: Compression,
    parts: usize,
    picks: u64,
    drip: usize,
}

fn packings() -> impl Strategy<Value = Packing> {
    let compression = prop_oneof![Just(Compression::None), Just(Compression::Gzip), Just(Compression::Zstd)];
    (compression, 1..5_usize, any::<u64>(), prop_oneof![1 => Just(1_usize), 3 => 2..5_000_usize])
        .prop_map(|(compression, parts, picks, drip)| Packing { compression, parts, picks, drip })
}

/// Reads a text file in all possible ways, and checks that each gives `expected`.
fn check_text(format: RowFormat, plain: &[u8], packing: Packing, expected: &[Read_]) {
    let kind = kind(format, packing.compression);
    let file = pack(packing.compression, plain, packing.parts);
    let chunks = chunks(kind, &file).unwrap();
    check_places(&chunks, plain);
    let found = parsed(&chunks);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    check_reread(&file, kind, &chunks, |i| packing.picks >> (i % 64) & 1 == 1);
    let slow = Stream::decompress(Box::new(Drip(Cursor::new(file), packing.drip)), packing.compression).unwrap();
    let slow = streamed(format, Drip(slow.into_read(), packing.drip)).unwrap();
    assert!(slow == chunks, "chunks do not follow blocks");
}

/// The fields of an object, in order.
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Pairs)
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Objects that are no JSON for the sake of the value of `a`, with its kind and text.
const NO_JSON: &[(&str, &str, &str)] = &[
    ("{\"a\":NaN}", row::NO_NUMBER, "NaN"),
    ("{\"a\":\"\\ud800\"}", row::LONE_SURROGATE, "\\ud800"),
    ("{\"a\":\"\\ud83dx\"}", row::LONE_SURROGATE, "\\ud83dx"),
    ("{\"a\":\"\\ud83d\\u0041\"}", row::LONE_SURROGATE, "\\ud83d\\u0041"),
];

/// Parses a JSON object with serde_json alone.
fn reference(json: &str) -> Result<RawRow<'static>, Reason> {
    if let Some((_, kind, text)) = NO_JSON.iter().find(|(known, ..)| *known == json) {
        return Ok(RawRow::new(vec![("a".into(), Value::Printed { kind: (*kind).into(), text: (*text).into() })]));
    }
    let Pairs(pairs) = serde_json::from_str(json).map_err(|_| Reason::InvalidJson)?;
    let mut fields = Vec::new();
    for (name, raw) in pairs {
        let raw = raw.get().to_owned();
        let value = match raw.as_bytes()[0] {
            b'n' => Value::Null,
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'"' => Value::String(serde_json::from_str::<String>(&raw).map_err(|_| Reason::InvalidJson)?.into()),
            b'[' | b'{' => Value::Json(raw.into()),
            _ => Value::Number(raw.into()),
        };
        fields.push((name.into(), value));
    }
    let repeated = fields.iter().enumerate().any(|(i, (name, _))| fields[..i].iter().any(|(other, _)| other == name));
    if repeated { Err(Reason::DuplicateKey) } else { Ok(RawRow::new(fields)) }
}

/// Returns the rows of a JSONL file, by splitting it.
fn reference_lines(plain: &[u8]) -> Vec<Read_> {
    let text = std::str::from_utf8(plain).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(i, line)| (reference(line.trim_ascii()), i as u64)).collect()
}

/// Returns the rows of a JSON array, by serde_json.
fn reference_elements(plain: &[u8]) -> Vec<Read_> {
    let text = std::str::from_utf8(plain).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap();
    let line = |raw: &str| newlines(&text.as_bytes()[..raw.as_ptr() as usize - text.as_ptr() as usize]);
    let row = |element: &str| match serde_json::from_str::<String>(element) {
        Ok(text) => Ok(RawRow::new(vec![("text".into(), Value::String(text.into()))])),
        Err(_) => reference(element),
    };
    elements.into_iter().map(|element| (row(element.get()), line(element.get()))).collect()
}

/// Writes a JSON string, with more or fewer escapes depending on `style`.
fn json_string(text: &str, style: u8) -> String {
    match style % 3 {
        0 => serde_json::to_string(text).unwrap(),
        1 => {
            // As Python writes it: ASCII only, with surrogate pairs.
            let ascii = |c: char| match c {
                ' '..='~' if c != '"' && c != '\\' => c.to_string(),
                _ => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            };
            format!("\"{}\"", text.chars().map(ascii).collect::<String>())
        }
        _ => serde_json::to_string(text).unwrap().replace('/', "\\/"),
    }
}

fn json_values() -> impl Strategy<Value = String> {
    const OTHERS: &[&str] = &[
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1",
        "1e999",
        "-1E-7",
        "9007199254740993",
        "123456789012345678901",
        "[]",
        "{}",
        "[1, 2 ,{\"k\":\"]}\\\"\"}]",
        "{\"k\":{\"k\":[\"\\ud83d\\ude00\",null]},\"k\":2}",
        "[\"\\ud800\"]",
    ];
    prop_oneof![
        3 => (texts(), any::<u8>()).prop_map(|(text, style)| json_string(&text, style)),
        1 => prop::sample::select(OTHERS).prop_map(str::to_owned),
    ]
}

/// Generates JSON objects on one line, and lines that are not objects.
fn json_rows() -> impl Strategy<Value = String> {
    const BROKEN: &[&str] = &[
        "{",
        "}",
        "nul",
        "[1]",
        "1",
        "\"s\"",
        "{\"a\":NaN}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"a\":01}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":1}x",
        "{\"a\":1},",
        "{\"a\" 1}",
        "{,}",
        "{\"a\":1,}",
        "{\"a\":\"\\x\"}",
        "{\"a\":+1}",
        "{\"a\":\"\t\"}",
        "{\"a\":.5}",
        "{\"a\":truex}",
        "{\"a\":tru}",
        "{\"a\":-}",
        "{\"a\":\"\\u00g0\"}",
        "{\"a\":\"\\ud83dx\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{a:1}",
        "{\"a\":\"\\u+041\"}",
        "{\"a\":[1,2}",
        "{\"a",
        "{\"a\":\"\\",
        "{} {}",
    ];
    let names = prop::collection::vec(prop_oneof![4 => "[a-e]{1,3}", 1 => texts()], 0..6);
    let object =
        (names, prop::collection::vec(json_values(), 6), any::<u8>()).prop_map(|(mut names, values, style)| {
            if style % 8 > 0 {
                names.sort();
                names.dedup();
            }
            let blank = if style & 16 > 0 { " " } else { "" };
            let fields = names
                .iter()
                .zip(values)
                .map(|(name, value)| format!("{}{blank}:{blank}{value}", json_string(name, style)));
            format!("{{{blank}{}{blank}}}", fields.collect::<Vec<_>>().join(&format!("{blank},{blank}")))
        });
    prop_oneof![12 => object, 1 => prop::sample::select(BROKEN).prop_map(str::to_owned)]
}

#[test]
fn lines_are_rows() {
    let ends = prop::sample::select(&["\n", "\r\n", "\n\n", "\n \t\r\n", " \n"][..]);
    let rows = prop::collection::vec((json_rows(), ends), 0..60);
    check_cases(64, (rows, any::<bool>(), any::<bool>(), packings()), |(rows, mark, open, packing)| {
        let mut file = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (row, end) in &rows {
            file.push_str(row);
            file.push_str(end);
        }
        let file = if open { file.trim_end() } else { &file };
        check_text(RowFormat::Jsonl, file.as_bytes(), packing, &reference_lines(file.as_bytes()));
        let first = file.trim_start_matches('\u{feff}').trim_start().lines().next().unwrap_or_default();
        if first.starts_with('{') && first.trim_end().ends_with('}') {
            check_text(RowFormat::Json, file.as_bytes(), packing, &reference_lines(file.as_bytes()));
        }
    });
}

#[test]
fn elements_are_rows() {
    let rows = prop::collection::vec((json_rows(), any::<u8>()), 0..60);
    check_cases(64, (rows, any::<bool>(), packings()), |(rows, mark, packing)| {
        let mut elements = Vec::new();
        for (row, style) in &rows {
            // A broken element would break the reference; elements that are merely not objects stay.
            let Ok(raw) = serde_json::from_str::<&RawValue>(row) else { continue };
            let blanks = ["", " ", "\n", "\r\n  ", "\n\n\t"][usize::from(style % 5)];
            let pretty =
                serde_json::from_str(row).and_then(|value: serde_json::Value| serde_json::to_string_pretty(&value));
            let element = pretty.ok().filter(|_| style & 64 > 0).unwrap_or(raw.get().to_owned());
            elements.push(format!("{blanks}{element}{blanks}"));
        }
        let file = format!("{}\n [{}] \r\n", if mark { "\u{feff}" } else { "" }, elements.join(","));
        check_text(RowFormat::Json, file.as_bytes(), packing, &reference_elements(file.as_bytes()));
    });
}

/// Returns the records of a CSV file, by the csv crate.
fn reference_records(plain: &[u8], delimiter: u8) -> Vec<Read_> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(plain);
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.unwrap();
        let mut start = record.position().unwrap().byte() as usize;
        start += plain[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let written = plain[start..].split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap();
        // The csv crate only takes empty lines for blank.
        if record.len() == 1 && written.iter().all(|byte| matches!(byte, b' ' | b'\t' | 12)) {
            continue;
        }
        let row = if record.len() == names.len() {
            let field = |(name, value): (&String, &str)| (name.clone().into(), Value::String(value.to_owned().into()));
            Ok(RawRow::new(names.iter().zip(&record).map(field).collect()))
        } else {
            Err(Reason::WrongFieldCount)
        };
        rows.push((row, newlines(&plain[..start])));
    }
    rows
}

#[test]
fn records_are_rows() {
    let ends = prop::sample::select(&["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\n  \n"][..]);
    let row = (prop::collection::vec(texts(), 3), any::<u8>(), ends);
    let rows = prop::collection::vec(row, 0..50);
    check_cases(64, (rows, any::<bool>(), any::<bool>(), packings()), |(rows, mark, tabs, packing)| {
        let (format, delimiter) = if tabs { (RowFormat::Tsv, b'\t') } else { (RowFormat::Csv, b',') };
        let mut file = if mark { "\u{feff}".to_owned() } else { "\r\n\n".to_owned() };
        let between = char::from(delimiter).to_string();
        file.push_str(&["one", "\"two\"", "three\n"].join(&between));
        for (fields, style, end) in &rows {
            let write = |field: &String| {
                let special = |c| matches!(c, '"' | '\r' | '\n') || c == char::from(delimiter);
                if style & 1 > 0 || field.contains(special) || field.starts_with('\u{feff}') {
                    format!("\"{}\"", field.replace('"', "\"\""))
                } else {
                    field.clone()
                }
            };
            let count = if style & 0xF0 == 0 { 2 } else { 3 };
            file.push_str(&fields[..count].iter().map(write).collect::<Vec<_>>().join(&between));
            file.push_str(end);
        }
        let file = if tabs { &file } else { file.trim_end_matches(['\r', '\n']) };
        check_text(format, file.as_bytes(), packing, &reference_records(file.as_bytes(), delimiter));
    });
}

#[test]
fn any_text_is_cut_into_records_as_the_csv_crate_does() {
    let bytes = prop::collection::vec(prop::sample::select(&b"a,\"\"\r\n b\t"[..]), 0..80);
    let packing = Packing { compression: Compression::None, parts: 1, picks: 1, drip: 1 };
    check_cases(4_000, bytes, |body| {
        // Unclosed quotes at the end are treated differently, and have a test of their own.
        let plain = [&b"x,y\n"[..], &body].concat();
        let mut records = delimited::RecordScanner::new(b',');
        let mut at = 0;
        while let Some(length) = records.end_of_record(&plain[at..]) {
            at += length;
        }
        if delimited::FieldReader::new(b',').fields(std::str::from_utf8(&plain[at..]).unwrap()).is_some() {
            check_text(RowFormat::Csv, &plain, packing, &reference_records(&plain, b','));
        }
    });
}

#[test]
fn quick_and_careful_reading_agree_on_damaged_rows() {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), "[\\x00-\\x7f]|\\PC"), 0..4);
    check_cases(4_000, (json_rows(), edits), |(row, edits)| {
        let mut row: Vec<char> = row.chars().take(300).collect();
        for (at, edit) in edits {
            let at = at.index(row.len() + 1);
            row.splice(at..(at + edit.len() % 2).min(row.len()), edit.chars());
        }
        let row: String = row.into_iter().collect();
        match json::row(&row) {
            Ok(found) => match json::read(&row) {
                Ok(read) => assert_eq!(found.fields, read, "{row}"),
                Err(_) => assert!(["NaN", "Infinity", "\\ud"].iter().any(|word| row.contains(word)), "{row}"),
            },
            Err(reject) if reject.reason == Reason::InvalidJson => assert!(json::read(&row).is_err(), "{row}"),
            Err(_) => {}
        }
    });
}

/// A columnar table: a nullable string, an integer and a boolean per row.
type Table = Vec<(Option<String>, i64, bool)>;

fn batch(rows: &[(Option<String>, i64, bool)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("text", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0.as_deref()))) as ArrayRef, true),
        ("number", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))), false),
        ("flag", Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.2)))), false),
    ])
    .unwrap()
}

fn expected_table(table: &Table) -> Vec<Read_> {
    let row = |(text, number, flag): &(Option<String>, i64, bool)| {
        RawRow::new(vec![
            ("text".into(), text.clone().map_or(Value::Null, |text| Value::String(text.into()))),
            ("number".into(), Value::Number(number.to_string().into())),
            ("flag".into(), Value::Bool(*flag)),
        ])
    };
    table.iter().map(|it| (Ok(row(it)), 0)).collect()
}

fn check_columns(format: RowFormat, file: &[u8], expected: &[Read_], picks: u64) -> Vec<Chunk> {
    let kind = kind(format, Compression::None);
    let chunks = chunks(kind, file).unwrap();
    assert!(parsed(&chunks) == expected);
    let mut rows = 0;
    for chunk in &chunks {
        assert_eq!((chunk.place.first_row, chunk.place.length), (rows, u64::from(chunk.rows)));
        assert_eq!(chunk.rows as usize, chunk.spans().len());
        rows += u64::from(chunk.rows);
    }
    check_reread(file, kind, &chunks, |i| picks >> (i % 64) & 1 == 1);
    check_reread(file, kind, &chunks, |_| true);
    chunks
}

#[test]
fn rows_of_columnar_files_do_not_follow_groups_and_batches() {
    let row = (prop::option::weighted(0.9, texts()), any::<i64>(), any::<bool>());
    let table = prop::collection::vec(row, 0..80);
    check_cases(60, (table, 1..40_usize, 1..40_usize, any::<u64>()), |(table, group, size, picks)| {
        let expected = expected_table(&table);
        let batches: Vec<RecordBatch> = table.chunks(size).map(batch).collect();
        let schema = batch(&[]).schema();

        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let mut parquet = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).unwrap();
        let mut file = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &schema).unwrap();
        let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema).unwrap();
        for batch in &batches {
            parquet.write(batch).unwrap();
            file.write(batch).unwrap();
            stream.write(batch).unwrap();
        }
        let parquet = check_columns(RowFormat::Parquet, &parquet.into_inner().unwrap(), &expected, picks);
        let file = check_columns(RowFormat::Arrow, &file.into_inner().unwrap(), &expected, picks);
        let stream = check_columns(RowFormat::Arrow, &stream.into_inner().unwrap(), &expected, picks);
        assert!(parquet == file && file == stream, "the same rows are the same chunks, whatever file holds them");
    });
}
