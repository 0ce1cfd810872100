//! CSV and TSV: every value is the string that stands there, with no guess at its type.
//!
//! Quotes are read as the csv crate reads them: they count at the beginning of a field only, two stand for one, and
//! text behind a closing quote belongs to the field.

use std::{borrow::Cow, collections::HashSet};

use super::chunk::Span;
use crate::row::{RawRow, Reason, Reject, Value};

/// The records of a chunk, blank lines left out.
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

/// A record without the line end that closed it. One byte closes a record: of CR LF the second makes a blank line.
pub(super) fn record(bytes: &[u8], is_closed: bool) -> &[u8] {
    &bytes[..bytes.len() - usize::from(is_closed)]
}

/// Whether a record is a blank line; the delimiter makes fields, so it is no blank even where it is a tab.
pub(super) fn is_blank(record: &[u8], delimiter: u8) -> bool {
    record.iter().all(|byte| byte.is_ascii_whitespace() && *byte != delimiter)
}

/// Finds record ends, across as many blocks as it takes.
#[derive(Clone, Debug)]
pub(super) struct RecordScanner {
    delimiter: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote that closes the field unless another follows.
    QuoteInQuoted,
}

impl RecordScanner {
    /// A scanner at the beginning of a record.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::FieldStart }
    }

    /// The length of `block` up to and including the byte that ends the record; `None` if the record goes on beyond it.
    pub(super) fn end_of_record(&mut self, block: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < block.len() {
            self.state = match self.state {
                State::FieldStart if block[at] == b'"' => {
                    at += 1;
                    State::Quoted
                }
                State::QuoteInQuoted if block[at] == b'"' => {
                    at += 1;
                    State::Quoted
                }
                State::FieldStart | State::QuoteInQuoted | State::Plain => {
                    let Some(found) = memchr::memchr3(self.delimiter, b'\n', b'\r', &block[at..]) else {
                        self.state = State::Plain;
                        return None;
                    };
                    at += found + 1;
                    if block[at - 1] != self.delimiter {
                        self.state = State::FieldStart;
                        return Some(at);
                    }
                    State::FieldStart
                }
                State::Quoted => {
                    at += memchr::memchr(b'"', &block[at..])? + 1;
                    State::QuoteInQuoted
                }
            };
        }
        None
    }

    /// Begins a record.
    pub(super) fn reset(&mut self) {
        self.state = State::FieldStart;
    }

    /// Whether what was read last ended within quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }
}

/// The fields of one record.
pub(super) fn fields(record: &str, delimiter: u8) -> Vec<Cow<'_, str>> {
    let mut fields = Vec::new();
    let mut rest = Some(record);
    while let Some(record) = rest {
        let (field, next) = match record.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, delimiter),
            None => {
                let (field, next) = split(record, delimiter);
                (Cow::Borrowed(field), next)
            }
        };
        fields.push(field);
        rest = next;
    }
    fields
}

/// A text up to the delimiter, and what follows it if there is one.
fn split(text: &str, delimiter: u8) -> (&str, Option<&str>) {
    match memchr::memchr(delimiter, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// A field whose opening quote was taken, and what follows it.
fn quoted_field(text: &str, delimiter: u8) -> (Cow<'_, str>, Option<&str>) {
    let mut field = Cow::Borrowed("");
    let mut rest = text;
    loop {
        let Some(at) = memchr::memchr(b'"', rest.as_bytes()) else {
            field += rest;
            return (field, None);
        };
        let behind = &rest[at + 1..];
        if !behind.starts_with('"') {
            field += &rest[..at];
            let (tail, next) = split(behind, delimiter);
            field += tail;
            return (field, next);
        }
        field += &rest[..=at];
        rest = &behind[1..];
    }
}

/// The names in a header, or what is wrong with it.
pub(super) fn names(header: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(header)
        .map_err(|error| format!("byte {} of the header is not UTF-8", error.valid_up_to() + 1))?;
    let names: Vec<String> = fields(text, delimiter).into_iter().map(Cow::into_owned).collect();
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(format!("the header names `{name}` twice")),
        None => Ok(names),
    }
}

/// One record as a row.
pub(super) fn row<'a>(names: &'a [String], record: &'a str, delimiter: u8) -> Result<RawRow<'a>, Reject> {
    // Only the last record of a file can be open, and then the file was cut off there.
    let mut scanner = RecordScanner::new(delimiter);
    if memchr::memchr(b'"', record.as_bytes()).is_some() {
        scanner.end_of_record(record.as_bytes());
    }
    if scanner.is_quoted() {
        return Err(Reject::new(Reason::WrongFieldCount, "the quotes of the last field are not closed"));
    }
    let values = fields(record, delimiter);
    if values.len() != names.len() {
        let detail = format!("{} fields where the header has {}", values.len(), names.len());
        return Err(Reject::new(Reason::WrongFieldCount, detail));
    }
    let fields = names.iter().zip(values);
    Ok(RawRow { fields: fields.map(|(name, value)| (Cow::Borrowed(name.as_str()), Value::String(value))).collect() })
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
        for text in ["007", "2024-01-01", "1.0", "true", " padded ", "\u{feff}", "", "a\"b"] {
            assert_eq!(row(&header, text, b',').unwrap().get("v"), Some(&Value::String(text.into())));
        }
    }

    #[test]
    fn empty_fields_at_the_end_are_fields() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        for (text, delimiter) in [("x\t\t\r\n", b'\t'), ("\t\t\n", b'\t'), ("x,,\n", b','), ("x,, \n", b',')] {
            let spans = spans(text.as_bytes(), delimiter);
            let record = &text[spans[0].start..spans[0].end];
            assert_eq!(record, text.trim_end_matches(['\r', '\n']));
            assert!(row(&names, record, delimiter).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_record_cut_off_within_quotes_is_a_reject() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(row(&names, "1,\"to be contin", b',').unwrap_err().reason, Reason::WrongFieldCount);
        assert!(row(&names, "1,\"to be\"", b',').is_ok());
        assert!(row(&names, "1,to \"be", b',').is_ok(), "a quote within a field is text");
    }

    #[test]
    fn a_header_has_each_name_once() {
        assert_eq!(names(b"a,\"b,c\",", b','), Ok(vec!["a".into(), "b,c".into(), "".into()]));
        assert_eq!(names(b"a,b,a", b','), Err("the header names `a` twice".into()));
        assert_eq!(names(b"a,\xff", b','), Err("byte 3 of the header is not UTF-8".into()));
    }
}
