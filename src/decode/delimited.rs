//! CSV and TSV: every value is the string that stands there, with no guess at its type.

use std::borrow::Cow;

use super::chunk::Span;
use crate::row::{RawRow, Reason, Reject, Value};

/// The records of a chunk, blank lines left out.
pub(super) fn spans(bytes: &[u8], delimiter: u8) -> Vec<Span> {
    let mut scanner = RecordScanner::new(delimiter);
    let (mut spans, mut at, mut line) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let end = scanner.end_of_record(&bytes[at..]).map_or(bytes.len(), |length| at + length);
        // The scanner skips blank lines, and the second half of a CRLF, on its way to the next record.
        let start = at + bytes[at..end].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let row = bytes[start..end].trim_ascii_end();
        line += memchr::memchr_iter(b'\n', &bytes[at..start]).count() as u32;
        // A record of blanks only is none; leading blanks of a record are part of its first field.
        if !row.trim_ascii_start().is_empty() {
            spans.push(Span { start, end: start + row.len(), line });
        }
        line += memchr::memchr_iter(b'\n', &bytes[start..end]).count() as u32;
        at = end;
    }
    spans
}

/// Finds record ends the way the csv crate does, across as many blocks as it takes.
#[derive(Debug)]
pub(super) struct RecordScanner {
    reader: csv_core::Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl RecordScanner {
    /// A scanner at the beginning of a record.
    pub(super) fn new(delimiter: u8) -> Self {
        let reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, fields: vec![0; 64 << 10], ends: vec![0; 64] }
    }

    /// The length of `block` up to and including the end of the record; `None` if the record goes on beyond it.
    pub(super) fn end_of_record(&mut self, block: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let (state, read, _, _) = self.reader.read_record(&block[at..], &mut self.fields, &mut self.ends);
            at += read;
            match state {
                // The field texts are not wanted here, so a full buffer is just used again.
                csv_core::ReadRecordResult::OutputFull | csv_core::ReadRecordResult::OutputEndsFull => {}
                csv_core::ReadRecordResult::Record => return Some(at),
                csv_core::ReadRecordResult::InputEmpty if at < block.len() => {}
                csv_core::ReadRecordResult::InputEmpty | csv_core::ReadRecordResult::End => return None,
            }
        }
    }
}

/// The fields of one record.
pub(super) fn fields(record: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).flexible(true).from_reader(record);
    let mut parsed = csv::ByteRecord::new();
    match reader.read_byte_record(&mut parsed) {
        Ok(true) => parsed.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect(),
        _ => Vec::new(),
    }
}

/// One record as a row.
pub(super) fn row<'a>(header: &'a [String], record: &'a str, delimiter: u8) -> Result<RawRow<'a>, Reject> {
    let values = fields(record.as_bytes(), delimiter);
    if values.len() != header.len() {
        let detail = format!("{} fields where the header has {}", values.len(), header.len());
        return Err(Reject::new(Reason::WrongFieldCount, detail));
    }
    let fields = header.iter().zip(values);
    Ok(RawRow {
        fields: fields.map(|(name, value)| (Cow::Borrowed(name.as_str()), Value::String(value.into()))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_newlines_and_commas_belong_to_their_record() {
        let text = "1,\"a\nb, \"\"c\"\"\"\n\n2,x\r\n3,\"y\"";
        let found: Vec<_> = spans(text.as_bytes(), b',').iter().map(|s| (&text[s.start..s.end], s.line)).collect();
        assert_eq!(found, [("1,\"a\nb, \"\"c\"\"\"", 0), ("2,x", 3), ("3,\"y\"", 4)]);
        let header = ["n".to_owned(), "t".to_owned()];
        let parsed = row(&header, found[0].0, b',').unwrap();
        assert_eq!(parsed.get("t"), Some(&Value::String("a\nb, \"c\"".into())));
        assert_eq!(row(&header, "1", b',').unwrap_err().reason, Reason::WrongFieldCount);
    }

    #[test]
    fn values_stay_strings() {
        let header = ["v".to_owned()];
        for text in ["007", "2024-01-01", "1.0", "true", " padded"] {
            assert_eq!(row(&header, text, b',').unwrap().get("v"), Some(&Value::String(text.into())));
        }
    }
}
