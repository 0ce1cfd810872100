use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::LogicalType,
    file::reader::{FileReader, SerializedFileReader},
};

use super::*;
use arrow_array::{Array, cast::AsArray, types::Int64Type};
use datac_core::shape::facts::Type;

fn columns() -> Vec<Column> {
    vec![
        Column::new("messages", Type::Json.list()),
        Column::new("prompt", Type::plain_messages()),
        Column::new("n", Type::Integer),
        Column::new("text", Type::Text),
    ]
}

const ROWS: &str = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"function":{"arguments":{"zone":null,"n":0.30}}}]}],"prompt":[{"role":"user","content":"é\n"}],"n":9007199254740993,"text":"007"}
{"messages":[],"prompt":null,"text":null}
"#;

fn written(format: Format, rows: &[u8]) -> Vec<u8> {
    cut(format, &[rows])
}

/// Writes rows that come piece by piece; their groups are handed back two by two, the later one first.
fn cut(format: Format, pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), Vec::new(), format, &columns()).unwrap();
    let groups: Vec<Group> = pieces.iter().flat_map(|piece| encoder.append(piece)).collect();
    let mut encoded: Vec<Encoded> = groups.into_iter().map(|group| group.encode().unwrap()).collect();
    encoded.chunks_mut(2).for_each(<[Encoded]>::reverse);
    for group in encoded {
        encoder.add(group).unwrap();
    }
    encoder.finish().unwrap().0
}

#[test]
fn values_come_back_as_they_were() {
    let file = Bytes::from(written(Format::Parquet, ROWS.as_bytes()));
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    assert_eq!(schema.column(0).logical_type_ref(), Some(&LogicalType::Json), "as `datasets` wants it");
    let mut batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), 2);
    let messages = batch.column(0).as_list::<i32>().value(0);
    let call = messages.as_string::<i32>().value(1);
    assert_eq!(
        call,
        r#"{"role":"assistant","content":"","tool_calls":[{"function":{"arguments":{"zone":null,"n":0.30}}}]}"#
    );
    let prompt = batch.column(1).as_list::<i32>();
    assert_eq!(prompt.value(0).as_struct().column(1).as_string::<i32>().value(0), "é\n");
    assert!(prompt.is_null(1));
    assert_eq!(batch.column(2).as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
    assert_eq!((batch.column(3).as_string::<i32>().value(0), batch.column(3).is_null(1)), ("007", true));
}

#[test]
fn a_row_that_is_not_of_the_columns_is_refused() {
    for (row, reason) in [
        (r#"{"messages":1}"#, "invalid type: integer `1`, expected a list"),
        (r#"{"n":"1"}"#, "`\"1\"` is not an integer"),
        (r#"{"text":"a","m":1}"#, "`m` is no column, and no key that all have"),
        (r#"{"text":"a","text":"b"}"#, "`text` is there twice"),
        (r#"{"prompt":[{"role":"user","content":"","name":"x"}]}"#, "`name` is no column, and no key that all have"),
    ] {
        let mut encoder = Encoder::new(Vec::new(), Vec::new(), Format::Parquet, &columns()).unwrap();
        assert!(encoder.append(format!("{row}\n").as_bytes()).is_empty());
        let error = encoder.finish().unwrap_err().to_string();
        assert!(error.starts_with(&format!("row 0 of a group: {reason} at line 1")), "{error}");
    }
}

/// Rows of several groups.
fn many() -> Vec<String> {
    let long = |number: usize| "words ".repeat(40 + number % 7);
    (0..120_000).map(|number| format!("{{\"n\":{number},\"text\":\"{} {number}\"}}\n", long(number))).collect()
}

#[test]
fn the_same_rows_are_the_same_bytes_however_they_are_cut() {
    let rows = many();
    let whole = rows.concat();
    for format in [Format::Parquet, Format::Arrow] {
        let pieces: Vec<String> = rows.chunks(777).map(<[String]>::concat).collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
        assert!(cut(format, &pieces) == written(format, whole.as_bytes()), "{format:?}");
    }
}

#[test]
fn a_row_more_changes_one_group() {
    let mut rows = many();
    let groups = |rows: &[String]| -> Vec<Bytes> {
        let file = Bytes::from(written(Format::Parquet, rows.concat().as_bytes()));
        let reader = SerializedFileReader::new(file.clone()).unwrap();
        let whole = |group: &parquet::file::metadata::RowGroupMetaData| {
            let (first, size) = (group.column(0).byte_range().0 as usize, group.compressed_size() as usize);
            file.slice(first..first + size)
        };
        reader.metadata().row_groups().iter().map(whole).collect()
    };
    let before = groups(&rows);
    rows.insert(20_000, "{\"text\":\"one more\"}\n".to_owned());
    let after = groups(&rows);
    assert!(before.len() > 2 && before.len() == after.len());
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
}

#[test]
fn long_texts_have_no_dictionary_and_short_ones_do() {
    let row = |number: usize| {
        let long = "words ".repeat(20 + number % 3);
        format!("{{\"prompt\":[{{\"role\":\"user\",\"content\":\"{long}\"}}],\"text\":\"a\"}}\n")
    };
    let file = Bytes::from(written(Format::Parquet, (0..100).map(row).collect::<String>().as_bytes()));
    let reader = SerializedFileReader::new(file).unwrap();
    let column = |path: &str| {
        let columns = reader.metadata().row_group(0).columns();
        let found = columns.iter().find(|column| column.column_path().string() == path).unwrap();
        (found.dictionary_page_offset().is_some(), found.statistics().is_some())
    };
    assert_eq!(column("prompt.list.item.role"), (true, true));
    assert_eq!(column("prompt.list.item.content"), (false, false));
    assert_eq!(column("text"), (true, true));
}
