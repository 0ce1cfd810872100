//! Parses recipes: turns a text into a tree with positions, or into faults.
//!
//! The YAML parser returns scalars as text; [`resolve`] determines which are numbers, booleans and nulls.

use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{
    problem::{self, Fault},
    tree::{Key, Node, Scalar, Value, quoted},
};

/// Maximum depth of nesting; a valid recipe has five levels.
const MAX_DEPTH: usize = 32;

/// Maximum number of keys in a mapping; a valid one has about a dozen.
const MAX_KEYS: usize = 256;

/// The result of parsing: a tree, faults, or both.
pub(super) struct Parsed<'t> {
    /// The tree; `None` if the syntax is invalid.
    pub(super) root: Option<Node<'t>>,
    /// Syntax faults, and constructs that recipes do not support.
    pub(super) faults: Vec<Fault>,
}

/// Parses a document, which must not begin with a byte order mark.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    if let Some(fault) = absurd_nesting(text).or_else(|| ambiguous_character(text)) {
        return Parsed { root: None, faults: vec![fault] };
    }
    let mut builder = Builder { text, index: Index::new(text), parser: Parser::new_from_str(text), faults: Vec::new() };
    let root = match builder.document() {
        Ok(root) => Some(root),
        Err(error) => {
            let fault = syntax_fault(text, &builder.index, &error);
            builder.faults.push(fault);
            None
        }
    };
    Parsed { root, faults: builder.faults }
}

/// Resolves a plain scalar as `serde_yaml` does: by YAML's core schema, plus `0b` for binary integers.
fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        _ => number(text).unwrap_or(Scalar::Text),
    }
}

/// Parses an integer or a float, with or without a sign; `None` if the text is neither.
fn number(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    // `007` is text, and so is `+-1`, whose rest Rust would parse as a number.
    let leads_with_zero = unsigned.len() > 1 && unsigned.starts_with('0');
    if unsigned.starts_with(['+', '-']) || leads_with_zero && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_negative = text.starts_with('-');
    if let Some(integer) = integer(unsigned, is_negative) {
        return Some(Scalar::Int(integer));
    }
    let float = match unsigned {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        // Rust also parses `inf` and `nan` as numbers, and `1e999` as infinity; in YAML, all three are text.
        _ => unsigned.parse().ok().filter(|float: &f64| float.is_finite())?,
    };
    Some(Scalar::Float(if is_negative { -float } else { float }))
}

/// Parses an integer without its sign: decimal, or in the base given by `0x`, `0o` or `0b`.
fn integer(unsigned: &str, is_negative: bool) -> Option<i128> {
    let bases = [("0x", 16), ("0o", 8), ("0b", 2)];
    let based = bases.iter().find_map(|(prefix, base)| Some((unsigned.strip_prefix(prefix)?, *base)));
    let (digits, base) = based.unwrap_or((unsigned, 10));
    if digits.starts_with('+') {
        return None;
    }
    let value = u128::from_str_radix(digits, base).ok()?;
    if is_negative {
        return 0_i128.checked_sub_unsigned(value);
    }
    // No key allows numbers this large, so the largest integer does just as well.
    Some(i128::try_from(value).unwrap_or(i128::MAX))
}

/// Finds the first bracket that is nested more deeply than any recipe needs, before the parser spends quadratic time
/// on it.
fn absurd_nesting(text: &str) -> Option<Fault> {
    const ABSURD: usize = 512;
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' if open == ABSURD => {
                return Some(Fault::new(problem::TOO_DEEP, &(at..at + 1), "nested too deeply for a recipe"));
            }
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Finds the first invisible character that YAML 1.1 and 1.2 treat differently, as other tools therefore may.
fn ambiguous_character(text: &str) -> Option<Fault> {
    if text.is_ascii() {
        return None;
    }
    let (at, found) =
        text.char_indices().find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))?;
    let message = format!("invisible character U+{:04X}, which YAML parsers read differently", u32::from(found));
    let fault = Fault::new(problem::BAD_CHARACTER, &(at..at + found.len_utf8()), message);
    Some(fault.hint(r"remove it, or write it as `\u…` between double quotes"))
}

/// Maps character positions, which the parser counts, to byte positions.
struct Index {
    /// Offset of each character in bytes; `None` if all characters are single bytes.
    bytes: Option<Vec<usize>>,
    len: usize,
}

impl Index {
    fn new(text: &str) -> Self {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { bytes, len: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            None => character.min(self.len),
            Some(bytes) => bytes.get(character).copied().unwrap_or(self.len),
        }
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

struct Builder<'t> {
    text: &'t str,
    index: Index,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    faults: Vec<Fault>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), ScanError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.index.range(&span))),
            Some(Err(error)) => Err(error),
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn document(&mut self) -> Result<Node<'t>, ScanError> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    self.faults.push(
                        Fault::new(problem::MANY_DOCUMENTS, &span, "more than one YAML document in the file")
                            .label("the second starts here")
                            .hint("put each recipe into a file of its own"),
                    );
                    break;
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                _ => {}
            }
        }
        Ok(root.unwrap_or(Node { span: 0..0, value: Value::Scalar(Scalar::Null, Cow::Borrowed("")) }))
    }

    fn node(&mut self, event: Event<'t>, span: Range<usize>, depth: usize) -> Result<Node<'t>, ScanError> {
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.as_deref()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => (*anchor, tag.as_deref()),
            _ => (0, None),
        };
        if anchor > 0 {
            let place = self.property_before(&span, '&');
            self.refuse(problem::ALIAS, &place, "anchors are not supported in recipes", "write the value out");
        }
        if tag.is_some() {
            let place = self.property_before(&span, '!');
            self.refuse(problem::TAG, &place, "tags are not supported in recipes", "remove it");
        }
        if depth > MAX_DEPTH {
            self.faults.push(Fault::new(problem::TOO_DEEP, &span, "nested too deeply for a recipe"));
            self.skip(&event)?;
            return Ok(Node { span, value: Value::Refused });
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                let scalar = if style == ScalarStyle::Plain { resolve(&text) } else { Scalar::Text };
                Value::Scalar(scalar, text)
            }
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(_) => {
                self.refuse(problem::ALIAS, &span, "aliases are not supported in recipes", "write the value out");
                Value::Refused
            }
            _ => Value::Refused,
        };
        Ok(Node { span, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value<'t>, ScanError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::SequenceEnd | Event::StreamEnd => return Ok(Value::List(items)),
                event => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'t>, ScanError> {
        let mut entries: Vec<(Key<'t>, Node<'t>)> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            let Value::Scalar(_, name) = key.value else {
                if key.value != Value::Refused {
                    self.faults.push(Fault::new(
                        problem::WRONG_TYPE,
                        &key.span,
                        "a key must be text, not a list or a mapping",
                    ));
                }
                continue;
            };
            if !seen.insert(name.clone()) {
                self.faults.push(
                    Fault::new(problem::DUPLICATE_KEY, &key.span, format!("duplicate key {}", quoted(&name)))
                        .label("already defined above")
                        .hint("keep one of the two"),
                );
            } else if entries.len() < MAX_KEYS {
                entries.push((Key { span: key.span, name }, node));
            } else if entries.len() == MAX_KEYS {
                let message = format!("more than {MAX_KEYS} keys in one mapping");
                self.faults.push(Fault::new(problem::TOO_DEEP, &key.span, message));
                // One more than allowed, so that the next key does not report it again.
                entries.push((Key { span: key.span, name }, node));
            }
        }
    }

    /// Skips the nodes up to the end of what `event` opened.
    fn skip(&mut self, event: &Event<'t>) -> Result<(), ScanError> {
        let opens = |event: &Event<'_>| matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        let mut open = usize::from(opens(event));
        while open > 0 {
            let (event, _) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::SequenceEnd | Event::MappingEnd => open -= 1,
                event => open += usize::from(opens(&event)),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, code: &'static str, span: &Range<usize>, message: &str, hint: &str) {
        self.faults.push(Fault::new(code, span, message).hint(hint));
    }

    /// Returns the span of the anchor or tag before a node; if there is none, the span of the node.
    fn property_before(&self, node: &Range<usize>, sigil: char) -> Range<usize> {
        let before = &self.text[..node.start];
        // The span of a node may begin before or after its properties, depending on the kind of node.
        let start = if self.text[node.start..].starts_with(sigil) { Some(node.start) } else { before.rfind(sigil) };
        let Some(start) = start else { return node.clone() };
        let end = self.text[start..].find(char::is_whitespace).map_or(self.text.len(), |length| start + length);
        start..end
    }
}

/// Returns the fault for a syntax error, with a guess at its usual cause.
fn syntax_fault(text: &str, index: &Index, error: &ScanError) -> Fault {
    let at = index.byte(error.marker().index()).min(text.len());
    let at = if at == text.len() { text.trim_end().len() } else { at };
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let tab = indent.find('\t').map(|tab| line_start + tab);
    let at = tab.unwrap_or(at);
    let end = text[at..].chars().next().filter(|c| !c.is_whitespace()).map_or(at, |c| at + c.len_utf8());
    let info = error.info();
    let hint = if tab.is_some() {
        Some("indent with spaces: YAML does not allow tabs")
    } else if info.contains("mapping values are not allowed") {
        Some("is the line above indented the same way? a value that contains `: ` must be quoted")
    } else if info.contains("quoted scalar") || info.contains("quote") {
        Some("is a closing quote missing?")
    } else if line.trim_start().starts_with(['%', '@', '`']) || info.contains("cannot start any token") {
        Some("quote a value that starts with a special character")
    } else if info.contains("invalid indentation") {
        Some("indent lines between brackets further than the key before the brackets")
    } else if info.contains("flow") || info.contains("',' or") {
        Some("is a bracket or a comma missing?")
    } else if info.contains("expected") && info.contains("key") {
        Some("do all keys of this block start in the same column?")
    } else {
        None
    };
    Fault::new(problem::SYNTAX, &(at..end), format!("syntax: {info}")).maybe_hint(hint.map(str::to_owned))
}
