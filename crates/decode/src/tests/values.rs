//! Tests that values are read as the source has them, and that columnar values have the form fixed here.

use std::sync::Arc;

use arrow_array::{builder::*, types::*, *};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;

use super::*;
use datac_core::survey::Survey;

#[test]
fn json_values_are_kept_exactly() {
    let strings = [
        ("2024-01-01", "\"2024-01-01\""),
        ("007", "\"007\""),
        ("a\u{2028}b", "\"a\u{2028}b\""),
        ("a\u{2028}b", "\"a\\u2028b\""),
        ("😀", "\"😀\""),
        ("😀", "\"\\ud83d\\uDE00\""),
        ("\u{8}\u{c}\n\r\t/\\\"\0", "\"\\b\\f\\n\\r\\t\\/\\\\\\\"\\u0000\""),
        ("", "\"\""),
        ("\u{ffff}\u{fffd}", "\"\\uffff\u{fffd}\""),
    ];
    let numbers = [
        "0",
        "-0",
        "1",
        "1.0",
        "1.00",
        "1e999",
        "-1E+2",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.1e-7",
    ];
    let nested = ["[]", "{}", "[1.0,  1]", "{\"b\":1,\"a\":[\"\\u0041\"]}", "[\"\\ud800\"]", "{\"k\":1,\"k\":2}"];
    let mut expected: Vec<(Value<'_>, &str)> = Vec::new();
    expected.extend(strings.iter().map(|(value, json)| (Value::String((*value).into()), *json)));
    expected.extend(numbers.iter().map(|json| (Value::Number((*json).into()), *json)));
    expected.extend(nested.iter().map(|json| (Value::Json((*json).into()), *json)));
    expected.extend([(Value::Null, "null"), (Value::Bool(true), "true"), (Value::Bool(false), "false")]);
    // A tab between values makes a row take the slow path, so each row is read in both ways.
    for blank in ["", " ", "\t"] {
        let fields: Vec<_> =
            expected.iter().enumerate().map(|(i, (_, json))| format!("{blank}\"z{}\":{blank}{json}", 99 - i)).collect();
        let line = format!("{{{}}}\n", fields.join(","));
        let chunks = streamed(RowFormat::Jsonl, Cursor::new(line.into_bytes())).unwrap();
        let rows = parsed(&chunks);
        let row = rows[0].0.as_ref().unwrap();
        assert_eq!(row.fields.len(), expected.len());
        for (i, (value, json)) in expected.iter().enumerate() {
            assert_eq!(row.fields[i], (format!("z{}", 99 - i).into(), value.clone()), "{json}");
        }
        assert_eq!(names_of(&chunks[0]).first().map(String::as_str), Some("z99"), "key order is the source's");
    }
}

/// Returns columns, each with the values its rows are read as. Nulls are tested in every column besides.
fn names_of(chunk: &Chunk) -> Vec<String> {
    let mut survey = Survey::default();
    chunk.survey(&mut survey);
    survey.names().into_iter().map(str::to_owned).collect()
}

fn columns() -> Vec<(&'static str, ArrayRef, Vec<Value<'static>>)> {
    let number = |text: &'static str| Value::Number(text.into());
    let string = |text: &'static str| Value::String(text.into());
    let json = |text: &'static str| Value::Json(text.into());
    let of = |kind: &'static str, text: &'static str| Value::Printed {
        kind: format!("a value of type {kind}").into(),
        text: text.into(),
    };
    let float = |text: &'static str| Value::Printed { kind: "a float that is no number".into(), text: text.into() };
    let bytes = |text: &'static str| Value::Printed { kind: row::BINARY.into(), text: text.into() };
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None, Some(-3)]);
    list.append_value([]);
    let mut large_list = LargeListBuilder::new(StringBuilder::new());
    large_list.append_value([Some("a\"b"), None]);
    large_list.append_value([Some("\u{2028}")]);
    let mut fixed = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    for pair in [[0.1, 1.0], [f32::NAN, -0.0]] {
        pair.iter().for_each(|value| fixed.values().append_value(*value));
        fixed.append(true);
    }
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.keys().append_value("k");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(true).unwrap();
    let people = StructArray::from(vec![
        (
            Arc::new(Field::new("role", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("user"), None])) as ArrayRef,
        ),
        (Arc::new(Field::new("at", DataType::Date32, true)), Arc::new(Date32Array::from(vec![0, 19_723])) as _),
    ]);
    let empty = StructArray::new_empty_fields(2, None);
    let dictionary: DictionaryArray<Int8Type> = ["x", "007"].into_iter().collect();
    let numbers = DictionaryArray::<Int32Type>::new(vec![1, 0].into(), Arc::new(Int64Array::from(vec![5, 6])));
    let lists = {
        let mut list = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new());
        list.values().append_value("d");
        list.append(true);
        list.append(true);
        list.finish()
    };
    vec![
        ("int8", Arc::new(Int8Array::from(vec![-128, 127])), vec![number("-128"), number("127")]),
        ("int16", Arc::new(Int16Array::from(vec![-32768, 0])), vec![number("-32768"), number("0")]),
        ("int32", Arc::new(Int32Array::from(vec![i32::MIN, 7])), vec![number("-2147483648"), number("7")]),
        (
            "int64",
            Arc::new(Int64Array::from(vec![9_007_199_254_740_993, i64::MIN])),
            vec![number("9007199254740993"), number("-9223372036854775808")],
        ),
        ("uint8", Arc::new(UInt8Array::from(vec![255, 0])), vec![number("255"), number("0")]),
        ("uint64", Arc::new(UInt64Array::from(vec![u64::MAX, 0])), vec![number("18446744073709551615"), number("0")]),
        (
            "float16",
            Arc::new(Float16Array::from_iter_values([half(0.1), half(65504.0)])),
            vec![number("0.099975586"), number("65504.0")],
        ),
        ("float32", Arc::new(Float32Array::from(vec![0.1, 1e30])), vec![number("0.1"), number("1e+30")]),
        ("float64", Arc::new(Float64Array::from(vec![0.1, 1.0])), vec![number("0.1"), number("1.0")]),
        ("float64s", Arc::new(Float64Array::from(vec![-0.0, 1e300])), vec![number("-0.0"), number("1e+300")]),
        ("nan", Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY])), vec![float("NaN"), float("inf")]),
        ("bool", Arc::new(BooleanArray::from(vec![true, false])), vec![Value::Bool(true), Value::Bool(false)]),
        (
            "utf8",
            Arc::new(StringArray::from(vec!["007", "a\u{2028}\"\\\0"])),
            vec![string("007"), string("a\u{2028}\"\\\0")],
        ),
        ("large_utf8", Arc::new(LargeStringArray::from(vec!["1.0", ""])), vec![string("1.0"), string("")]),
        (
            "utf8_view",
            Arc::new(StringViewArray::from(vec!["short", "longer than twelve bytes 😀"])),
            vec![string("short"), string("longer than twelve bytes 😀")],
        ),
        ("binary", Arc::new(BinaryArray::from(vec![&b"\xFF\0"[..], b""])), vec![bytes("ff00"), string("")]),
        (
            "binary_view",
            Arc::new(BinaryViewArray::from(vec![&b"\xFF\0"[..], b"thirteen bytes"])),
            vec![bytes("ff00"), string("thirteen bytes")],
        ),
        (
            "fixed_binary",
            Arc::new(FixedSizeBinaryArray::try_from_iter([[1, 2], [3, 0xAB]].iter()).unwrap()),
            vec![string("\u{1}\u{2}"), bytes("03ab")],
        ),
        (
            "date32",
            Arc::new(Date32Array::from(vec![19_723, -1])),
            vec![of("date32", "2024-01-01"), of("date32", "1969-12-31")],
        ),
        (
            "time64",
            Arc::new(Time64MicrosecondArray::from(vec![1, 86_399_000_000])),
            vec![of("time64[us]", "00:00:00.000001"), of("time64[us]", "23:59:59")],
        ),
        (
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![1_704_067_200_001, 0])),
            vec![of("timestamp[ms]", "2024-01-01T00:00:00.001"), of("timestamp[ms]", "1970-01-01T00:00:00")],
        ),
        (
            "timestamp_utc",
            Arc::new(TimestampMicrosecondArray::from(vec![1_704_067_200_000_000, -1]).with_timezone("UTC")),
            vec![
                of("timestamp[us, tz=UTC]", "2024-01-01T00:00:00Z"),
                of("timestamp[us, tz=UTC]", "1969-12-31T23:59:59.999999Z"),
            ],
        ),
        (
            "timestamp_zone",
            Arc::new(TimestampSecondArray::from(vec![1_704_067_200, 0]).with_timezone("Europe/Paris")),
            vec![
                of("timestamp[s, tz=Europe/Paris]", "2024-01-01T00:00:00Z"),
                of("timestamp[s, tz=Europe/Paris]", "1970-01-01T00:00:00Z"),
            ],
        ),
        (
            "timestamp_offset",
            Arc::new(TimestampSecondArray::from(vec![1_704_067_200, 0]).with_timezone("+01:00")),
            vec![
                of("timestamp[s, tz=+01:00]", "2024-01-01T01:00:00+01:00"),
                of("timestamp[s, tz=+01:00]", "1970-01-01T01:00:00+01:00"),
            ],
        ),
        (
            "decimal",
            Arc::new(Decimal128Array::from(vec![150, -1]).with_precision_and_scale(10, 2).unwrap()),
            vec![of("decimal(10, 2)", "1.50"), of("decimal(10, 2)", "-0.01")],
        ),
        ("null", Arc::new(NullArray::new(2)), vec![Value::Null, Value::Null]),
        ("list", Arc::new(list.finish()), vec![json("[1,null,-3]"), json("[]")]),
        ("large_list", Arc::new(large_list.finish()), vec![json("[\"a\\\"b\",null]"), json("[\"\\u2028\"]")]),
        (
            "fixed_list",
            Arc::new(fixed.finish()),
            vec![json("[0.1,1.0]"), json("[{\"\\u0000a float that is no number\":\"NaN\"},-0.0]")],
        ),
        ("map", Arc::new(map.finish()), vec![json("{\"k\":1,\"k\":null}"), json("{}")]),
        (
            "struct",
            Arc::new(people),
            vec![
                json("{\"role\":\"user\",\"at\":{\"\\u0000a value of type date32\":\"1970-01-01\"}}"),
                json("{\"role\":null,\"at\":{\"\\u0000a value of type date32\":\"2024-01-01\"}}"),
            ],
        ),
        ("no_fields", Arc::new(empty), vec![json("{}"), json("{}")]),
        ("dictionary", Arc::new(dictionary), vec![string("x"), string("007")]),
        ("number_dictionary", Arc::new(numbers), vec![number("6"), number("5")]),
        ("dictionary_list", Arc::new(lists), vec![json("[\"d\"]"), json("[]")]),
        (
            "duration",
            Arc::new(DurationSecondArray::from(vec![61, 0])),
            vec![of("duration[s]", "PT61S"), of("duration[s]", "P0D")],
        ),
    ]
}

fn half(value: f32) -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_f32(value)
}

fn check(name: &str, format: RowFormat, file: &[u8], expected: &[Value<'_>]) {
    let rows = parsed(&chunks(kind(format, Compression::None), file).unwrap());
    assert_eq!(rows.len(), expected.len(), "{name}");
    for ((row, _), expected) in rows.iter().zip(expected) {
        let row = row.as_ref().unwrap();
        assert_eq!(row.fields, [(name.to_owned().into(), expected.clone())], "{format:?}");
    }
}

fn write(format: RowFormat, batches: &[RecordBatch]) -> parquet::errors::Result<Vec<u8>> {
    let schema = batches[0].schema();
    if let RowFormat::Parquet = format {
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, None)?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        return writer.into_inner();
    }
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(writer.into_inner()?)
}

#[test]
fn columnar_values_have_one_form_each() {
    // Types that Parquet does not have are read as other types; asking for the Arrow types would mean trusting a
    // hint.
    const ARROW_ONLY: &[&str] = &["null", "no_fields", "duration", "timestamp_zone", "timestamp_offset"];
    for (name, array, mut expected) in columns() {
        let schema = Arc::new(Schema::new(vec![Field::new(name, array.data_type().clone(), true)]));
        let null = new_null_array(array.data_type(), 1);
        expected.push(Value::Null);
        let batches = [array, null].map(|array| RecordBatch::try_new(schema.clone(), vec![array]).unwrap());
        check(name, RowFormat::Arrow, &write(RowFormat::Arrow, &batches).unwrap(), &expected);
        if !ARROW_ONLY.contains(&name) {
            check(name, RowFormat::Parquet, &write(RowFormat::Parquet, &batches).unwrap(), &expected);
        }
    }
}

/// A field whose strings are JSON texts.
fn json_field(name: &str) -> Field {
    let metadata = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())];
    Field::new(name, DataType::Utf8, true).with_metadata(std::collections::HashMap::from(metadata))
}

#[test]
fn columns_of_json_texts_hold_the_values_that_these_write() {
    let texts = ["\"Hello\"", " [{\"type\":\"text\"}] ", "42", "null", "true", "{\"a\": 1}", "{broken"];
    let string = |text: &'static str| Value::String(text.into());
    let expected = [
        string("Hello"),
        Value::Json("[{\"type\":\"text\"}]".into()),
        Value::Number("42".into()),
        Value::Null,
        Value::Bool(true),
        Value::Json("{\"a\": 1}".into()),
        Value::Printed { kind: "invalid JSON".into(), text: "{broken".into() },
    ];
    let column = StringArray::from(texts.to_vec());
    let schema = Schema::new(vec![json_field("x")]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]).unwrap();
    check("x", RowFormat::Arrow, &write(RowFormat::Arrow, &[batch]).unwrap(), &expected);
}

#[test]
fn json_texts_in_lists_and_structs_are_values_too() {
    let item = Arc::new(json_field("item"));
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(item.clone());
    list.append_value([Some("{\"role\":\"user\"}"), None]);
    let list: ArrayRef = Arc::new(list.finish());
    let inner = json_field("content");
    let turn = StructArray::from(vec![
        (Arc::new(Field::new("role", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["user"])) as ArrayRef),
        (Arc::new(inner), Arc::new(StringArray::from(vec!["\"Hi\""])) as _),
    ]);
    let fields = [("list", list.data_type().clone()), ("turn", turn.data_type().clone())];
    let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec());
    let batch = RecordBatch::try_new(Arc::new(schema), vec![list, Arc::new(turn)]).unwrap();
    let file = write(RowFormat::Arrow, &[batch]).unwrap();
    let rows = parsed(&chunks(kind(RowFormat::Arrow, Compression::None), &file).unwrap());
    let row = rows[0].0.as_ref().unwrap();
    assert_eq!(row.get("list"), Some(&Value::Json("[{\"role\":\"user\"},null]".into())));
    assert_eq!(row.get("turn"), Some(&Value::Json("{\"role\":\"user\",\"content\":\"Hi\"}".into())));
}

#[test]
fn the_logical_type_of_parquet_marks_json_texts() {
    use parquet::{data_type::ByteArrayType, file::writer::SerializedFileWriter, schema::parser::parse_message_type};
    for logical in ["(JSON)", "(UTF8)", ""] {
        let schema = Arc::new(parse_message_type(&format!("message m {{ required binary x {logical}; }}")).unwrap());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[b"\"Hello\"".to_vec().into()], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let expected = if logical == "(JSON)" { "Hello" } else { "\"Hello\"" };
        let file = writer.into_inner().unwrap();
        check("x", RowFormat::Parquet, &file, &[Value::String(expected.into())]);
    }
}

#[test]
fn column_names_are_whatever_the_file_says() {
    let names = ["", "a\0b", "with \"quotes\"", "名"];
    let fields: Fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
    let arrays = names.iter().map(|_| Arc::new(Int64Array::from(vec![1])) as ArrayRef).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let file = write(RowFormat::Arrow, &[batch]).unwrap();
    let chunks = chunks(kind(RowFormat::Arrow, Compression::None), &file).unwrap();
    assert_eq!(names_of(&chunks[0]), names);
    let raw = chunks[0].raw(chunks[0].spans()[0]).into_owned();
    assert_eq!(raw, "{\"\":1,\"a\\u0000b\":1,\"with \\\"quotes\\\"\":1,\"名\":1}");
}

#[test]
fn a_timestamp_out_of_range_is_an_error_that_says_so() {
    let array = TimestampSecondArray::from(vec![i64::MAX]);
    assert_eq!(array.data_type(), &DataType::Timestamp(TimeUnit::Second, None));
    let batch = RecordBatch::try_from_iter([("at", Arc::new(array) as ArrayRef)]).unwrap();
    let file = write(RowFormat::Arrow, &[batch]).unwrap();
    let error = chunks(kind(RowFormat::Arrow, Compression::None), &file).unwrap_err().to_string();
    let expected =
        "decode the file: Compute error: a value of column `at`: Cast error: Failed to convert 9223372036854775807";
    assert!(error.starts_with(expected), "{error}");
}
