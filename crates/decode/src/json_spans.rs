//! Locates rows in JSON text.

use super::chunk::Span;

/// Returns the lines that are not blank. White space around a line, such as a carriage return, is not part of the
/// row.
pub(super) fn line_spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(bytes.len() / 512 + 1);
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).chain((bytes.last() != Some(&b'\n')).then_some(bytes.len()));
    for (line, end) in (0..).zip(ends) {
        let row = bytes[start..end].trim_ascii();
        if !row.is_empty() {
            let start = start + (bytes[start..end].len() - bytes[start..end].trim_ascii_start().len());
            spans.push(Span { start, end: start + row.len(), line });
        }
        start = end + 1;
    }
    spans
}

/// Returns the elements of an array without its brackets.
pub(super) fn element_spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(bytes.len() / 512 + 1);
    let mut scanner = ElementScanner::default();
    let (mut at, mut line, mut counted) = (0, 0, 0);
    while let Some(start) = bytes[at..].iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b',') {
        let start = at + start;
        let end = scanner.end_of_element(&bytes[start..]).map_or(bytes.len(), |length| start + length);
        line += memchr::memchr_iter(b'\n', &bytes[counted..start]).count() as u32;
        counted = start;
        let end = start + bytes[start..end].trim_ascii_end().len();
        spans.push(Span { start, end, line });
        // A stray bracket is an empty element; stepping over it avoids an endless loop in a damaged chunk.
        at = end.max(start + 1);
        scanner = ElementScanner::default();
    }
    spans
}

/// A string that may go on from block to block.
#[derive(Clone, Debug, Default)]
struct JsonString {
    is_open: bool,
    is_escaped: bool,
}

impl JsonString {
    /// Passes over a part of an open string that ends with its quote or a backslash, or over the byte behind a backslash;
    /// returns its length, or `None` if the string goes on behind the block.
    fn pass(&mut self, block: &[u8]) -> Option<usize> {
        if std::mem::take(&mut self.is_escaped) {
            return Some(1);
        }
        let found = memchr::memchr2(b'"', b'\\', block)?;
        self.is_escaped = block[found] == b'\\';
        self.is_open = self.is_escaped;
        Some(found + 1)
    }
}

/// Finds the ends of array elements that span any number of blocks, looking only at structural characters.
#[derive(Clone, Debug, Default)]
pub(super) struct ElementScanner {
    depth: u32,
    string: JsonString,
}

impl ElementScanner {
    /// Returns the length of `block` before the comma or bracket that ends the element; `None` if the element
    /// continues after the block, in which case the next call takes the following block.
    pub(super) fn end_of_element(&mut self, block: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < block.len() {
            if self.string.is_open {
                at += self.string.pass(&block[at..])?;
                continue;
            }
            match block[at] {
                b'"' => self.string.is_open = true,
                b'{' | b'[' => self.depth += 1,
                b',' if self.depth == 0 => return Some(at),
                b']' if self.depth == 0 => return Some(at),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Returns the values that stand one after another, whatever lines they are on.
pub(super) fn value_spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(bytes.len() / 512 + 1);
    let (mut at, mut line, mut counted) = (0, 0, 0);
    while let Some(blanks) = bytes[at..].iter().position(|byte| !byte.is_ascii_whitespace()) {
        let start = at + blanks;
        let end = ValueScanner::default().end_of_value(&bytes[start..]).map_or(bytes.len(), |length| start + length);
        line += memchr::memchr_iter(b'\n', &bytes[counted..start]).count() as u32;
        counted = start;
        spans.push(Span { start, end: start + bytes[start..end].trim_ascii_end().len(), line });
        at = end.max(start + 1);
    }
    spans
}

/// Finds the ends of values that stand one after another, across blocks: objects and arrays end with their bracket, anything
/// else with its line.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueScanner {
    depth: u32,
    string: JsonString,
    /// Whether the value is neither an object nor an array.
    is_bare: bool,
}

impl ValueScanner {
    /// Returns the length of `block` up to the end of the value; `None` if the value continues after the block, with
    /// which the next call must begin.
    pub(super) fn end_of_value(&mut self, block: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < block.len() {
            if self.is_bare {
                return memchr::memchr(b'\n', &block[at..]).map(|end| at + end + 1);
            }
            if self.string.is_open {
                at += self.string.pass(&block[at..])?;
                continue;
            }
            match block[at] {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b'"' if self.depth > 0 => self.string.is_open = true,
                byte if self.depth == 0 && !byte.is_ascii_whitespace() => {
                    self.is_bare = true;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_whatever_ends_them() {
        let spans =
            |text: &str| line_spans(text.as_bytes()).iter().map(|s| (s.start, s.end, s.line)).collect::<Vec<_>>();
        assert_eq!(spans("{}\r\n\n {} \n{}"), [(0, 2, 0), (6, 8, 2), (10, 12, 3)]);
        assert_eq!(spans("\n\n"), []);
        assert_eq!(spans(""), []);
    }

    #[test]
    fn elements_are_found_through_strings_and_nesting() {
        let text = " {\"a\":\"},]\\\"\"},\n [1,2] ,3,\n{\"b\":{\"c\":[]}}";
        let found: Vec<_> = element_spans(text.as_bytes()).iter().map(|s| (&text[s.start..s.end], s.line)).collect();
        assert_eq!(found, [("{\"a\":\"},]\\\"\"}", 0), ("[1,2]", 1), ("3", 1), ("{\"b\":{\"c\":[]}}", 2)]);
    }

    #[test]
    fn scanner_goes_on_across_blocks() {
        let text = b"{\"a\":\"x\\\"},\",\"b\":[1,{}]},rest";
        for cut in 1..text.len() {
            let mut scanner = ElementScanner::default();
            let end = match scanner.end_of_element(&text[..cut]) {
                Some(end) => end,
                None => cut + scanner.end_of_element(&text[cut..]).unwrap(),
            };
            assert_eq!(end, 24, "cut at {cut}");
        }
    }

    #[test]
    fn values_are_found_whatever_lines_they_are_on() {
        let text = "{\"a\":\"}\\\"\"}{\n \"b\": [1]\n}\n oops {\n[2]";
        let found: Vec<_> = value_spans(text.as_bytes()).iter().map(|s| (&text[s.start..s.end], s.line)).collect();
        assert_eq!(found, [("{\"a\":\"}\\\"\"}", 0), ("{\n \"b\": [1]\n}", 0), ("oops {", 3), ("[2]", 4)]);
        for cut in 1..text.len() {
            let mut scanner = ValueScanner::default();
            let end = scanner.end_of_value(&text.as_bytes()[..cut]);
            let end = end.or_else(|| scanner.end_of_value(&text.as_bytes()[cut..]).map(|end| cut + end));
            assert_eq!(end, Some(11), "cut at {cut}");
        }
    }
}
