//! Plain text, each line a row of the column `text`, as `datasets` reads it: empty lines are rows too, and a line ends with `\\n`,
//! `\\r\\n` or `\\r`.

use std::borrow::Cow;

use super::chunk::Span;
use datac_core::row::{RawRow, Value};

/// The column of the lines.
pub(super) const COLUMN: &str = "text";

/// Returns the lines of a chunk.
pub(super) fn spans(bytes: &[u8]) -> Vec<Span> {
    let (mut spans, mut start, mut line) = (Vec::with_capacity(bytes.len() / 64 + 1), 0, 0);
    while start < bytes.len() {
        let end = memchr::memchr2(b'\n', b'\r', &bytes[start..]).map_or(bytes.len(), |length| start + length);
        spans.push(Span { start, end, line });
        let is_pair = bytes[end..].starts_with(b"\r\n");
        line += u32::from(is_pair || bytes.get(end) == Some(&b'\n'));
        start = end + 1 + usize::from(is_pair);
    }
    spans
}

/// Returns the number of rows in a line that ends at its `\\n`, or at the end of the file.
pub(super) fn rows_in(line: &[u8]) -> u64 {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    1 + memchr::memchr_iter(b'\r', line).count() as u64
}

/// Returns a line as a row.
pub(super) fn row(line: &str) -> RawRow<'_> {
    RawRow::new(vec![(Cow::Borrowed(COLUMN), Value::String(Cow::Borrowed(line)))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_any_of_three() {
        for (text, lines) in [
            ("one\ntwo\n", &["one", "two"][..]),
            ("one\r\n\r\ntwo", &["one", "", "two"]),
            ("one\rtwo\r\n", &["one", "two"]),
            ("a\u{2028}b\n", &["a\u{2028}b"]),
            ("\n", &[""]),
            ("", &[]),
        ] {
            let found: Vec<&str> = spans(text.as_bytes()).iter().map(|span| &text[span.start..span.end]).collect();
            assert_eq!(found, lines, "{text:?}");
            let rows: u64 = text.split_inclusive('\n').map(|line| rows_in(line.as_bytes())).sum();
            assert_eq!(rows, lines.len() as u64, "{text:?}");
        }
    }
}
