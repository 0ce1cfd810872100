//! CSV and TSV. Every value is a string, exactly as written; types are never guessed.
//!
//! Quotes work as in the csv crate: they only count at the beginning of a field, a doubled quote is a quote, and text
//! after a closing quote belongs to the field. csv-core does the parsing; this module applies it to blocks and
//! chunks.

use std::{borrow::Cow, collections::HashSet};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::chunk::Span;
use datac_core::row::{RawRow, Reason, Reject, Value};

/// Returns the records of a chunk, without blank lines.
pub(super) fn spans(bytes: &[u8], delimiter: u8) -> Vec<Span> {
    let mut scanner = RecordScanner::new(delimiter);
    let (mut spans, mut start, mut line) = (Vec::new(), 0, 0);
    while start < bytes.len() {
        let end = scanner.end_of_record(&bytes[start..]).map(|length| start + length);
        let record = record(&bytes[start..end.unwrap_or(bytes.len())], end.is_some());
        if !is_blank(record, delimiter) {
            spans.push(Span { start, end: start + record.len(), line });
        }
        let next = end.unwrap_or(bytes.len());
        line += memchr::memchr_iter(b'\n', &bytes[start..next]).count() as u32;
        start = next;
    }
    spans
}

/// Returns a record without the byte that ended it. Only one byte ends a record: after CR, LF makes a blank line.
pub(super) fn record(bytes: &[u8], is_closed: bool) -> &[u8] {
    &bytes[..bytes.len() - usize::from(is_closed)]
}

/// Returns whether a record is a blank line. The delimiter separates fields, so it does not count as white space even
/// if it is a tab.
pub(super) fn is_blank(record: &[u8], delimiter: u8) -> bool {
    record.iter().all(|byte| byte.is_ascii_whitespace() && *byte != delimiter)
}

/// Finds the ends of records that span any number of blocks.
#[derive(Debug)]
pub(super) struct RecordScanner {
    reader: Reader,
    /// Whether the reader is inside a record.
    is_within: bool,
    /// Buffer for fields, which are not used.
    fields: Vec<u8>,
}

impl RecordScanner {
    /// Creates a scanner at the beginning of a record.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { reader: reader(delimiter), is_within: false, fields: vec![0; 16 << 10] }
    }

    /// Returns the length of `block` up to and including the byte that ends the record; `None` if the record
    /// continues after the block.
    pub(super) fn end_of_record(&mut self, block: &[u8]) -> Option<usize> {
        // csv-core counts blank lines as part of the record after them, which may be megabytes away.
        if !self.is_within && matches!(block.first(), Some(b'\n' | b'\r')) {
            return Some(1);
        }
        let mut at = 0;
        while at < block.len() {
            let (result, read, _, _) = self.reader.read_record(&block[at..], &mut self.fields, &mut [0; 64]);
            at += read;
            self.is_within = result != ReadRecordResult::Record;
            if !self.is_within {
                return Some(at);
            }
        }
        None
    }

    /// Begins a record.
    pub(super) fn reset(&mut self) {
        begin(&mut self.reader);
        self.is_within = false;
    }
}

/// Creates a parser at the beginning of a record. That takes as long as reading 30 KB; copying a parser instead is
/// not possible, because csv-core does not copy its tables.
fn reader(delimiter: u8) -> Reader {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    begin(&mut reader);
    reader
}

fn begin(reader: &mut Reader) {
    reader.reset();
    // Without this, csv-core would skip a byte order mark in the first bytes it reads, and a record is not always at
    // the beginning of a file.
    reader.read_record(b"\n", &mut [0], &mut [0]);
}

/// Splits records into fields.
#[derive(Debug)]
pub(super) struct FieldReader {
    delimiter: u8,
    /// Created for the first record that has quotes.
    reader: Option<Reader>,
}

impl FieldReader {
    /// Creates a reader for records with this delimiter.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, reader: None }
    }

    /// Returns the fields of a record; `None` if the last field has an opening quote without a closing one.
    pub(super) fn fields<'r>(&mut self, record: &'r str) -> Option<Vec<Cow<'r, str>>> {
        if memchr::memchr(b'"', record.as_bytes()).is_none() {
            return Some(record.split(char::from(self.delimiter)).map(Cow::Borrowed).collect());
        }
        let reader = self.reader.get_or_insert_with(|| reader(self.delimiter));
        begin(reader);
        // One byte and one end more than can be used, because csv-core takes a full buffer for one that is too small.
        let mut text = vec![0; record.len() + 1];
        let mut ends = vec![0; memchr::memchr_iter(self.delimiter, record.as_bytes()).count() + 2];
        let (_, _, length, before) = reader.read_record(record.as_bytes(), &mut text, &mut ends);
        let closing = reader.read_record(b"\n", &mut text[length..], &mut ends[before..]);
        let (ReadRecordResult::Record, _, _, last) = closing else { return None };
        text.truncate(length);
        let text =
            String::from_utf8(text).expect("what is taken off a text is quotes and delimiters, whole characters");
        let mut start = 0;
        let field = |end: &usize| Cow::Owned(text[std::mem::replace(&mut start, *end)..*end].to_owned());
        Some(ends[..before + last].iter().map(field).collect())
    }
}

/// Returns the names in a header, or what is wrong with it.
pub(super) fn names(header: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(header)
        .map_err(|error| format!("byte {} of the header is not UTF-8", error.valid_up_to() + 1))?;
    let fields = FieldReader::new(delimiter).fields(text).ok_or("the quotes in its header are not closed")?;
    let names: Vec<String> = fields.into_iter().map(Cow::into_owned).collect();
    Ok(told_apart(names))
}

/// Parses a record as a row.
pub(super) fn row<'a>(names: &'a [String], record: &'a str, reader: &mut FieldReader) -> Result<RawRow<'a>, Reject> {
    let Some(values) = reader.fields(record) else {
        // Only the last record of a file can have an open quote, and then the file was truncated there.
        return Err(Reject::new(Reason::WrongFieldCount, "the quotes of the last field are not closed"));
    };
    if values.len() != names.len() {
        let detail = format!("{} fields where the header has {}", values.len(), names.len());
        return Err(Reject::new(Reason::WrongFieldCount, detail));
    }
    let fields = names.iter().zip(values);
    Ok(RawRow::new(fields.map(|(name, value)| (Cow::Borrowed(name.as_str()), Value::String(value))).collect()))
}

/// Gives names that are empty or occur again a number, as pandas does: `Unnamed: 0`, `a`, `a.1`.
fn told_apart(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let named = names.into_iter().enumerate().map(|(at, name)| {
        let name = if name.is_empty() { format!("Unnamed: {at}") } else { name };
        let again = (1..).map(|number| format!("{name}.{number}"));
        let name = std::iter::once(name.clone()).chain(again).find(|name| !seen.contains(name)).unwrap_or(name);
        seen.insert(name.clone());
        name
    });
    named.collect()
}

/// Returns names as a header.
pub(super) fn header_of(names: &[String], delimiter: u8) -> Vec<u8> {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    quoted.join(&char::from(delimiter).to_string()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(names: &'a [String], record: &'a str, delimiter: u8) -> Result<RawRow<'a>, Reject> {
        row(names, record, &mut FieldReader::new(delimiter))
    }

    #[test]
    fn quoted_newlines_and_commas_belong_to_their_record() {
        let text = "1,\"a\nb, \"\"c\"\"\"\n\n2,x\r\n3,\"y\"";
        let found: Vec<_> = spans(text.as_bytes(), b',').iter().map(|s| (&text[s.start..s.end], s.line)).collect();
        assert_eq!(found, [("1,\"a\nb, \"\"c\"\"\"", 0), ("2,x", 3), ("3,\"y\"", 4)]);
        let header = ["n".to_owned(), "t".to_owned()];
        let parsed = read(&header, found[0].0, b',').unwrap();
        assert_eq!(parsed.get("t"), Some(&Value::String("a\nb, \"c\"".into())));
        assert_eq!(read(&header, "1", b',').unwrap_err().reason, Reason::WrongFieldCount);
    }

    #[test]
    fn values_stay_strings() {
        let header = ["v".to_owned()];
        for text in ["007", "2024-01-01", "1.0", "true", " padded ", "\u{feff}", "", "a\"b"] {
            assert_eq!(read(&header, text, b',').unwrap().get("v"), Some(&Value::String(text.into())));
        }
    }

    #[test]
    fn empty_fields_at_the_end_are_fields() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        for (text, delimiter) in [("x\t\t\r\n", b'\t'), ("\t\t\n", b'\t'), ("x,,\n", b','), ("x,, \n", b',')] {
            let spans = spans(text.as_bytes(), delimiter);
            let record = &text[spans[0].start..spans[0].end];
            assert_eq!(record, text.trim_end_matches(['\r', '\n']));
            assert!(read(&names, record, delimiter).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_record_cut_off_within_quotes_is_a_reject() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(read(&names, "1,\"to be contin", b',').unwrap_err().reason, Reason::WrongFieldCount);
        assert!(read(&names, "1,\"to be\"", b',').is_ok());
        assert!(read(&names, "1,to \"be", b',').is_ok(), "a quote within a field is text");
    }

    #[test]
    fn a_header_has_each_name_once() {
        assert_eq!(names(b"a,\"b,c\",", b','), Ok(vec!["a".into(), "b,c".into(), "Unnamed: 2".into()]));
        assert_eq!(names(b",a,a,a.1,", b',').unwrap(), ["Unnamed: 0", "a", "a.1", "a.1.1", "Unnamed: 4"]);
        assert_eq!(names(&header_of(&["a;\"".into(), "b".into()], b';'), b';').unwrap(), ["a;\"", "b"]);
        assert_eq!(names(b"a,\xff", b','), Err("byte 3 of the header is not UTF-8".into()));
    }
}
