//! Tests files made to break a reader: each yields rows, rejects or an error, in bounded memory, and never a panic.

use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, types::Int32Type};
use arrow_schema::Field;
use parquet::arrow::ArrowWriter;

use super::*;

const MIB: usize = 1 << 20;

/// Returns a row of `length` bytes between two normal ones.
fn around_long_row(format: RowFormat, length: usize) -> Vec<u8> {
    let (before, frame, after) = match format {
        RowFormat::Jsonl => ("{\"a\":1}\n", ["{\"a\":\"", "\"}"], "\n{\"a\":2}\n"),
        RowFormat::Json => ("[\n{\"a\":1},\n", ["{\"a\":\"", "\"}"], ",\n{\"a\":2}]\n"),
        _ => ("a\n1\n", ["\"", "\""], "\r\n2\r\n"),
    };
    let text = "],}{[ ".repeat(length / 6 + 1);
    let text = &text[..length - frame[0].len() - frame[1].len()];
    [before, frame[0], text, frame[1], after].concat().into_bytes()
}

#[test]
fn rows_over_the_limit_are_rejected_and_no_others() {
    for format in [RowFormat::Jsonl, RowFormat::Json, RowFormat::Csv] {
        for (length, reason) in [
            (MAX_ROW_BYTES, None),
            (MAX_ROW_BYTES + 1, Some(Reason::RowTooLong)),
            (MAX_ROW_BYTES + 2, Some(Reason::RowTooLong)),
            (MAX_ROW_BYTES + 3, Some(Reason::RowTooLong)),
            (MAX_ROW_BYTES + 300_000, Some(Reason::RowTooLong)),
            (3 * MAX_ROW_BYTES, Some(Reason::RowTooLong)),
        ] {
            let plain = around_long_row(format, length);
            let kind = kind(format, Compression::None);
            let chunks = chunks(kind, &plain).unwrap();
            assert_eq!(reasons(&chunks), [None, reason, None], "{format:?} {length}");
            check_places(&chunks, &plain);
            let lines: Vec<u64> = parsed(&chunks).iter().map(|(_, line)| *line).collect();
            let first = [0, 1][usize::from(format != RowFormat::Jsonl)];
            assert_eq!(lines, [first, first + 1, first + 2]);
            assert!(chunks.iter().all(|chunk| chunk.bytes.len() <= MAX_ROW_BYTES + 64));
            check_reread(&plain, kind, &chunks, |_| true);
            check_reread(&plain, kind, &chunks, |i| i > 0);
            let packed = pack(Compression::Zstd, &plain, 2);
            check_reread(&packed, FileKind { compression: Compression::Zstd, ..kind }, &chunks, |i| i != 1);
        }
    }
}

#[test]
fn columnar_rows_over_the_limit_are_rejected_and_no_others() {
    // The dictionary holds the long value once; expanded, the rows would take 60 GB.
    let long = "x".repeat(MAX_ROW_BYTES + 1);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["short", &long]));
    let keys: Vec<i32> = (0..4_000).map(|i| i32::from(i > 0)).collect();
    let array = DictionaryArray::<Int32Type>::new(keys.into(), values);
    let batch = RecordBatch::try_from_iter([("a", Arc::new(array) as ArrayRef)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch.slice(0, 2)).unwrap();
    let parquet = writer.into_inner().unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let arrow = writer.into_inner().unwrap();
    for (format, file, rows) in [(RowFormat::Parquet, parquet, 2), (RowFormat::Arrow, arrow, 4_000)] {
        let chunks = chunks(kind(format, Compression::None), &file).unwrap();
        let reasons = reasons(&chunks);
        assert_eq!((reasons.len(), reasons[0]), (rows, None));
        assert!(reasons[1..].iter().all(|reason| *reason == Some(Reason::RowTooLong)));
        assert!(chunks.iter().all(|chunk| chunk.bytes.len() < MIB));
        check_reread(&file, kind(format, Compression::None), &chunks, |_| true);
        assert_eq!(chunks[0].raw(chunks[0].spans()[1]), "");
    }
}

/// Returns a reader of a beginning, `length` equal bytes generated on the fly, and an end.
fn made_up(beginning: &'static str, byte: u8, length: u64, end: &'static str) -> impl Read + Send {
    beginning.as_bytes().chain(io::repeat(byte).take(length)).chain(end.as_bytes())
}

fn check_bounded(format: RowFormat, bytes: impl Read + Send + 'static, expected: &[Option<Reason>]) {
    let mut cutter = cut(Box::new(bytes), format, &Reading::default()).unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = cutter.next_chunk().unwrap() {
        assert!(chunk.bytes.len() <= MAX_ROW_BYTES + 1);
        chunks.push(chunk);
    }
    assert_eq!(reasons(&chunks), expected);
    // A vector grows by doubling, so at most half of this was needed.
    assert!(cutter.most_held() <= 2 * (MAX_ROW_BYTES + MIB), "{} bytes held", cutter.most_held());
}

#[test]
fn a_line_of_any_length_is_read_in_bounded_memory() {
    // Several times the limit.
    const LENGTH: u64 = 80 << 20;
    let overlong = Some(Reason::RowTooLong);
    for byte in [b'x', 0] {
        check_bounded(RowFormat::Jsonl, made_up("{}\n", byte, LENGTH, "\n{}\n"), &[None, overlong, None]);
        check_bounded(RowFormat::Jsonl, made_up("", byte, LENGTH, ""), &[overlong]);
        check_bounded(RowFormat::Json, made_up("[{},", byte, LENGTH, ",{}]"), &[None, overlong, None]);
        check_bounded(RowFormat::Json, made_up("[{\"a\":\"", byte, LENGTH, "\"},{}]"), &[overlong, None]);
        check_bounded(RowFormat::Csv, made_up("a\n1\n", byte, LENGTH, "\n2\n"), &[None, overlong, None]);
        check_bounded(RowFormat::Csv, made_up("a\n1\n\"", byte, LENGTH, "\"\"\n\n\"\n2\n"), &[None, overlong, None]);
    }
}

#[test]
fn a_header_of_any_length_is_an_error() {
    for end in ["", "\n1\n"] {
        let header = made_up("a,", b'x', 80 << 20, end);
        let error = cut(Box::new(header), RowFormat::Csv, &Reading::default()).err().unwrap().to_string();
        assert_eq!(error, "decode the file: its header is longer than 16 MiB");
    }
}

#[test]
fn a_zstd_bomb_is_one_long_row() {
    let bomb = zstd::encode_all(io::repeat(0).take(1 << 30), 1).unwrap();
    assert!(bomb.len() < 128 << 10);
    let bytes = Stream::decompress(Box::new(Cursor::new(bomb)), Compression::Zstd).unwrap();
    check_bounded(RowFormat::Jsonl, bytes.into_read(), &[Some(Reason::RowTooLong)]);
}

#[test]
fn damaged_rows_are_rejected_one_by_one() {
    use Reason::*;
    let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n)).into_bytes();
    let many = |same: bool| {
        let fields: Vec<String> =
            (0..1_000_000).map(|i| format!("\"{}\":0", if same { i % 999_999 } else { i })).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    };
    let cases: Vec<(Vec<u8>, Option<Reason>)> = vec![
        (b"{\"a\":\"\xff\"}".to_vec(), Some(InvalidUtf8)),
        (b"{\"a\":\"\xed\xa0\x80\"}".to_vec(), Some(InvalidUtf8)),
        (b"{\"a\":\"\0\"}".to_vec(), Some(InvalidJson)),
        (b"\0".to_vec(), Some(InvalidJson)),
        (b"{\"a\":\"\\u0000\"}".to_vec(), None),
        (b"{\"a\":\"\\ud800\"}".to_vec(), None),
        (b"{\"a\":\"\\ud800\\ud800\"}".to_vec(), None),
        (b"{\"a\":\"\\udc00\"}".to_vec(), None),
        (b"{\"a\":1,\"b\":2,\"a\":1}".to_vec(), Some(DuplicateKey)),
        (b"{\"a\":1,\"\\u0061\":1}".to_vec(), Some(DuplicateKey)),
        (b"{\"a\":NaN}".to_vec(), None),
        (b"{\"a\":1e999}".to_vec(), None),
        (b"\xef\xbb\xbf{}".to_vec(), Some(InvalidJson)),
        (b"{}".to_vec(), None),
        (deep(127), None),
        (deep(100_000), None),
        (many(false), None),
        (many(true), Some(DuplicateKey)),
    ];
    let (mut plain, mut expected) = (b"{\"a\":0}\n".to_vec(), vec![None]);
    for (row, reason) in cases {
        plain.extend_from_slice(&row);
        plain.extend_from_slice(b"\n{\"a\":0}\r\n");
        expected.extend([reason, None]);
    }
    let found = chunks(kind(RowFormat::Jsonl, Compression::None), &plain).unwrap();
    assert_eq!(reasons(&found), expected);
    let nested = String::from_utf8(deep(100_000)).unwrap();
    let row = datac_core::json::row(&nested).unwrap();
    assert_eq!(
        row.get("a"),
        Some(&Value::Json(nested[5..nested.len() - 1].into())),
        "depth is the converter's business"
    );

    let records = chunks(kind(RowFormat::Csv, Compression::None), b"a,b\n1,\xff\n\0,2\n1\n1,2,3\n1,\"cut o").unwrap();
    let wrong = Some(WrongFieldCount);
    assert_eq!(reasons(&records), [Some(InvalidUtf8), None, wrong, wrong, wrong]);
}

fn failure(format: RowFormat, plain: &[u8]) -> String {
    chunks(kind(format, Compression::None), plain).unwrap_err().to_string()
}

#[test]
fn json_files_that_are_not_rows_are_errors() {
    use RowFormat::Json;
    let unclosed = "decode the file: the JSON array is not closed at its end, byte";
    let cut_off = "; the file may be cut off";
    assert_eq!(failure(Json, b"[{},{}"), format!("{unclosed} 6{cut_off}"));
    assert_eq!(failure(Json, b"\n["), format!("{unclosed} 2{cut_off}"));
    assert_eq!(failure(Json, b"[{\"a\":\"]"), format!("{unclosed} 8{cut_off}"));
    let long = [&b"[\""[..], &vec![b'x'; 20 * MIB]].concat();
    assert_eq!(failure(Json, &long), format!("{unclosed} {}{cut_off}", 2 + 20 * MIB));
    assert_eq!(failure(Json, b"[{}] \n{}"), "decode the file: something follows the JSON array, at byte 6");
    assert_eq!(failure(Json, b"[]]"), "decode the file: something follows the JSON array, at byte 2");
    assert_eq!(
        failure(Json, b"\xef\xbb\xbf \"a\""),
        "decode the file: it is not JSON that has rows: it begins with neither `[` nor `{` but with `\"a\"`"
    );
    for pretty in ["{\n  \"a\": 1\n}", "{\"a\": [\n1]}", "{\"a\":1,\n\"b\":2}\n"] {
        let rows = chunks(kind(Json, Compression::None), pretty.as_bytes()).unwrap();
        assert_eq!(reasons(&rows), [None], "{pretty}");
    }
}

#[test]
fn csv_files_without_a_usable_header_are_errors() {
    assert_eq!(failure(RowFormat::Csv, b"a,\xff\n1,2\n"), "decode the file: byte 3 of the header is not UTF-8");
    assert_eq!(failure(RowFormat::Csv, b"a,\"b\n1,2\n"), "decode the file: the quotes in its header are not closed");
}

#[test]
fn empty_files_are_no_rows_or_an_error() {
    use RowFormat::*;
    let none =
        |format, plain: &[u8]| assert_eq!(chunks(kind(format, Compression::None), plain).unwrap(), [], "{plain:?}");
    for blank in ["", "\n", "\u{feff}", "\u{feff} \r\n\t\n"] {
        for format in [Jsonl, Json, Csv] {
            none(format, blank.as_bytes());
        }
    }
    none(Tsv, b"\r\n  \n");
    for array in ["[]", "\u{feff}\n[\n \r\n]\n\n"] {
        none(Json, array.as_bytes());
    }
    for header in ["a,b", "a,b\r\n", "\n\"a\n\",b\n\n\n"] {
        none(Csv, header.as_bytes());
        none(Tsv, header.as_bytes());
    }
    for format in [Parquet, Arrow] {
        assert!(failure(format, b"").starts_with("decode the file: "));
    }
    for compression in [Compression::Gzip, Compression::Zstd] {
        assert_eq!(chunks(kind(Jsonl, compression), &pack(compression, b"", 1)).unwrap(), []);
        let error = chunks(kind(Jsonl, compression), b"").unwrap_err().to_string();
        assert_eq!(error, "decode the file: it is empty");
        // What is called compressed and is text is read; what may be the beginning of a compressed file is not.
        assert_eq!(chunks(kind(Jsonl, compression), b"{\"a\":1}\n").unwrap()[0].rows, 1);
        assert!(chunks(kind(Jsonl, compression), b"BZh").is_err());
        assert!(chunks(kind(Parquet, compression), &pack(compression, b"", 1)).is_err());
    }
}

/// Returns rows that do not compress to almost nothing.
fn some_lines() -> Vec<u8> {
    let mut random = Random(5);
    (0..20_000).flat_map(|_| format!("{{\"a\":\"{:x}\"}}\n", random.next()).into_bytes()).collect()
}

#[test]
fn what_follows_the_last_gzip_member_is_padding_or_an_error() {
    let gz = kind(RowFormat::Jsonl, Compression::Gzip);
    let plain = some_lines();
    let file = pack(Compression::Gzip, &plain, 3);
    let with = |tail: &[u8]| chunks(gz, &[&file[..], tail].concat());
    for zeros in [0, 1, 512, 300_000] {
        let chunks = with(&vec![0; zeros]).unwrap();
        check_places(&chunks, &plain);
        assert_eq!(reasons(&chunks).len(), 20_000);
    }
    let at = file.len();
    for (tail, at) in [(&b"junk"[..], at), (b"\0\0junk", at + 2), (b"{\"a\":1}\n", at), (&file[1..], at)] {
        let error = with(tail).unwrap_err().to_string();
        let expected =
            format!("something that is not gzip follows the compressed rows, at byte {at} of the compressed file");
        assert!(error.ends_with(&expected), "{error}");
    }
    // A byte that could begin a member, but does not.
    let error = with(b"\x1f\x8c").unwrap_err().to_string();
    assert!(error.contains("gzip header") || error.contains("end of file"), "{error}");
}

#[test]
fn compressed_files_cut_short_are_errors_wherever_they_are_cut() {
    let plain = some_lines();
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2] {
        let file = pack(compression, &plain, 2);
        assert_eq!(
            chunks(kind(RowFormat::Jsonl, compression), &file).unwrap().iter().map(|chunk| chunk.rows).sum::<u32>(),
            20_000
        );
        let whole = pack(compression, &plain[..plain.len() / 2], 1).len();
        for length in (1..file.len()).step_by(file.len() / 97).chain([file.len() - 1, whole - 1, whole + 1]) {
            let error = chunks(kind(RowFormat::Jsonl, compression), &file[..length]).unwrap_err();
            let DecodeError::Read { reason, .. } = &error else { panic!("{error}") };
            assert!(reason.contains("of the compressed file") || reason.contains("that were read from"), "{error}");
        }
    }
}

/// Damages a file in many ways, and checks that whatever can be read has as many rows as stated.
fn check_damage(kind: FileKind, file: &[u8], times: usize) -> usize {
    let mut random = Random(6);
    let mut errors = 0;
    for _ in 0..times {
        let mut file = file.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(file.len());
            match random.below(4) {
                0 => file[at] = random.next() as u8,
                1 => file[at] ^= 1 << random.below(8),
                2 => file[at] = [0, 0xFF, 0x7F, 0x80][random.below(4)],
                _ => file.truncate(at.max(1)),
            }
        }
        match chunks(kind, &file) {
            Err(_) => errors += 1,
            Ok(chunks) => {
                for chunk in &chunks {
                    assert_eq!(chunk.rows as usize, chunk.spans().len());
                    chunk.for_each_row(|_, span, _| drop(chunk.raw(span)));
                }
            }
        }
    }
    errors
}

#[test]
fn damaged_compressed_files_are_errors_or_rows() {
    let plain = &some_lines()[..4_000];
    let errors = check_damage(kind(RowFormat::Jsonl, Compression::Gzip), &pack(Compression::Gzip, plain, 2), 2_000);
    assert!(errors > 1_800, "gzip has a checksum: {errors}");
    let errors = check_damage(kind(RowFormat::Jsonl, Compression::Zstd), &pack(Compression::Zstd, plain, 2), 2_000);
    assert!(errors > 100, "zstd has one only where its writer wants it: {errors}");
}

fn some_batch() -> RecordBatch {
    let text = StringArray::from_iter((0..60).map(|i| (i % 7 > 0).then(|| format!("row {}", i % 5))));
    let number = Int64Array::from_iter_values(0..60);
    let mut list = arrow_array::builder::ListBuilder::new(arrow_array::builder::Int32Builder::new());
    (0..60).for_each(|i| list.append_value((0..i % 4).map(Some)));
    RecordBatch::try_from_iter([
        ("text", Arc::new(text) as ArrayRef),
        ("number", Arc::new(number)),
        ("list", Arc::new(list.finish())),
    ])
    .unwrap()
}

#[test]
fn damaged_columnar_files_are_errors_or_rows() {
    let batch = some_batch();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch.slice(0, 30)).unwrap();
    writer.flush().unwrap();
    writer.write(&batch.slice(30, 30)).unwrap();
    let parquet = writer.into_inner().unwrap();
    assert!(check_damage(kind(RowFormat::Parquet, Compression::None), &parquet, 3_000) > 500);

    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let file = writer.into_inner().unwrap();
    assert!(check_damage(kind(RowFormat::Arrow, Compression::None), &file, 1_500) > 100);

    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let stream = writer.into_inner().unwrap();
    assert!(check_damage(kind(RowFormat::Arrow, Compression::None), &stream, 1_500) > 100);
}

#[test]
fn a_footer_that_claims_too_much_is_an_error() {
    let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(0..60)) as ArrayRef)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let file = writer.into_inner().unwrap();
    let length = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap()) as usize;
    let (pages, footer) = file[..file.len() - 8].split_at(file.len() - 8 - length);
    // 60 rows, as a footer writes numbers (zigzag), become 2^62 wherever the byte occurs, even if it means something
    // else.
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    let places: Vec<usize> = (0..footer.len()).filter(|at| footer[*at] == 120).collect();
    assert!(places.len() >= 3);
    let sets = places.iter().map(|at| vec![*at]).chain([places.clone()]);
    for places in sets {
        let mut claimed = pages.to_vec();
        for (at, byte) in footer.iter().enumerate() {
            if places.contains(&at) { claimed.extend_from_slice(&huge) } else { claimed.push(*byte) }
        }
        let length = (claimed.len() - pages.len()) as u32;
        claimed.extend_from_slice(&length.to_le_bytes());
        claimed.extend_from_slice(b"PAR1");
        match chunks(kind(RowFormat::Parquet, Compression::None), &claimed) {
            Ok(chunks) => assert!(reasons(&chunks).len() <= 60),
            Err(error) => assert!(matches!(error, DecodeError::Format(_)), "{error}"),
        }
    }
    let mut beyond = file.clone();
    let at = file.len() - 8;
    beyond[at..at + 4].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
    assert!(failure(RowFormat::Parquet, &beyond).starts_with("decode the file: "));
}

#[test]
fn columns_must_tell_rows_and_names_apart() {
    let write = |batch: &RecordBatch| {
        let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    };
    let number = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let field = |name| Field::new(name, arrow_schema::DataType::Int64, true);
    let schema = arrow_schema::Schema::new(vec![field("a"), field("b"), field("a")]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![number(), number(), number()]).unwrap();
    assert_eq!(failure(RowFormat::Arrow, &write(&batch)), "decode the file: it has two columns named `a`");
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(1 << 40));
    let none = Arc::new(arrow_schema::Schema::empty());
    let batch = RecordBatch::try_new_with_options(none, vec![], &options).unwrap();
    assert_eq!(failure(RowFormat::Arrow, &write(&batch)), "decode the file: it has no columns");
}

#[test]
fn a_file_that_changed_is_not_read_again() {
    let plain = some_lines();
    let kind = kind(RowFormat::Jsonl, Compression::None);
    let found = chunks(kind, &plain).unwrap();
    let chunk = found.last().unwrap();
    let places = [(chunk.place, chunk.rows)];
    let again = |bytes: &[u8]| reread(input(bytes), kind, (chunk.encoding, chunk.header.clone()), &places, |_, _| {});
    assert!(again(&plain).is_ok());
    assert!(matches!(again(&plain[..plain.len() - 1]), Err(DecodeError::Moved)));
    assert!(matches!(again(b""), Err(DecodeError::Moved)));
}

#[test]
fn a_panic_over_a_file_is_an_error_about_the_file() {
    let error = columnar::contain::<()>(|| panic!("index out of range")).unwrap_err();
    assert_eq!(error.to_string(), "decode the file: its contents are damaged (index out of range)");
}
