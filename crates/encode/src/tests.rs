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
    let mut encoder = Encoder::new(Vec::new(), format, &columns()).unwrap();
    encoder.append(rows).unwrap();
    encoder.finish().unwrap()
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
        (r#"{"messages":1}"#, "`messages`: `1` is not a list"),
        (r#"{"n":"1"}"#, "`n`: `\"1\"` is not an integer"),
        (r#"{"text":"a","m":1}"#, "`m` is no column"),
        (r#"{"text":"a","text":"b"}"#, "a key twice"),
        (
            r#"{"prompt":[{"role":"user","content":"","name":"x"}]}"#,
            "`prompt`: an object has the key `name` that others have not",
        ),
    ] {
        let mut encoder = Encoder::new(Vec::new(), Format::Parquet, &columns()).unwrap();
        let error = encoder.append(format!("{row}\n").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("row 0 of a batch: {reason}"));
    }
}

#[test]
fn the_same_rows_are_the_same_bytes_however_they_are_cut() {
    let rows = ROWS.repeat(10_000);
    for format in [Format::Parquet, Format::Arrow] {
        let whole = written(format, rows.as_bytes());
        let mut encoder = Encoder::new(Vec::new(), format, &columns()).unwrap();
        for line in rows.as_bytes().split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>().chunks(777) {
            encoder.append(&line.concat()).unwrap();
        }
        assert!(encoder.finish().unwrap() == whole, "{format:?}");
    }
}
