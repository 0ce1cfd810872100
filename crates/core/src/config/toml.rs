//! Parses `datac.toml`: turns a text into a tree with positions, or into faults.
//!
//! The TOML parser reports keys, values and headers in the order of the text; this module puts them together into tables, and finds
//! what stands twice.

use std::{borrow::Cow, collections::BTreeSet, iter::Peekable, ops::Range, vec::IntoIter};

use toml_parser::{
    ParseError, Source, Span,
    decoder::ScalarKind,
    parser::{Event, EventKind, RecursionGuard, parse_document},
};

use super::{
    problem::{self, Fault},
    tree::{Key, Node, Scalar, Value, quoted},
};

/// Maximum depth of nesting; settings have two levels.
const MAX_DEPTH: u32 = 32;

/// Parses a document, which must not begin with a byte order mark. Of a text that is not TOML, only the first fault is returned.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Vec<Fault>> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let (mut events, mut errors): (Vec<Event>, Vec<ParseError>) = (Vec::new(), Vec::new());
    parse_document(&tokens, &mut RecursionGuard::new(&mut events, MAX_DEPTH), &mut errors);
    let mut builder =
        Builder { source, errors, faults: Vec::new(), implicit: BTreeSet::new(), dotted: BTreeSet::new() };
    let root = builder.document(events);
    let at = |error: &ParseError| error.unexpected().or(error.context()).map_or(text.len(), |span| span.start());
    match builder.errors.iter().min_by_key(|error| at(error)) {
        Some(error) => Err(vec![syntax_fault(text, error)]),
        None if !builder.faults.is_empty() => Err(builder.faults),
        None => Ok(Node { span: 0..text.len(), value: Value::Map(root) }),
    }
}

fn syntax_fault(text: &str, error: &ParseError) -> Fault {
    let span = error.unexpected().or(error.context()).map_or(text.len()..text.len(), range);
    let span = span.start.min(text.len())..span.end.min(text.len());
    // Words of the parser such as "invalid unquoted value": those of TOML's own description.
    let fault = Fault::new(problem::NOT_TOML, &span, format!("`datac.toml` is not TOML: {}", error.description()));
    let expected: Vec<String> = error.expected().unwrap_or_default().iter().map(expectation).collect();
    match expected.as_slice() {
        [] => fault,
        words => fault.hint(format!("expected {}", words.join(" or "))),
    }
}

fn expectation(expected: &toml_parser::Expected) -> String {
    match expected {
        toml_parser::Expected::Literal("\n") => "a new line".to_owned(),
        toml_parser::Expected::Literal(literal) => quoted(literal),
        toml_parser::Expected::Description(words) => (*words).to_owned(),
        _ => "something else".to_owned(),
    }
}

fn range(span: Span) -> Range<usize> {
    span.start()..span.end()
}

type Entries<'t> = Vec<(Key<'t>, Node<'t>)>;

/// Names of the keys from the root to a table.
type Path = Vec<String>;

struct Builder<'t> {
    source: Source<'t>,
    errors: Vec<ParseError>,
    faults: Vec<Fault>,
    /// Tables that stand in the header of another one alone, and may still have their own.
    implicit: BTreeSet<Path>,
    /// Tables that dotted keys begin, and more dotted keys may go on with.
    dotted: BTreeSet<Path>,
}

impl<'t> Builder<'t> {
    fn document(&mut self, events: Vec<Event>) -> Entries<'t> {
        let is_blank = |event: &Event| {
            matches!(event.kind(), EventKind::Whitespace | EventKind::Comment | EventKind::Newline | EventKind::Error)
        };
        let events: Vec<Event> = events.into_iter().filter(|event| !is_blank(event)).collect();
        let mut events = events.into_iter().peekable();
        let (mut root, mut table) = (Entries::new(), Path::new());
        while let Some(event) = events.next() {
            match event.kind() {
                EventKind::StdTableOpen => {
                    let path = self.keys(&mut events);
                    table = path.iter().map(|key| key.name.to_string()).collect();
                    self.header(&mut root, &path);
                }
                EventKind::ArrayTableOpen => {
                    let path = self.keys(&mut events);
                    table = path.iter().map(|key| key.name.to_string()).collect();
                    if let (Some(first), Some(last)) = (path.first(), path.last()) {
                        let (name, span) = (table.join("."), first.span.start..last.span.end);
                        let fault =
                            Fault::new(problem::WRONG_TYPE, &span, format!("`[[{name}]]` begins a list of tables"));
                        self.faults.push(fault.hint(format!("write `[{name}]`")));
                    }
                }
                EventKind::SimpleKey => {
                    let mut path = vec![self.key(&event)];
                    path.extend(self.keys(&mut events));
                    if let Some(value) = self.value(&mut events) {
                        self.insert(&mut root, &table, path, value);
                    }
                }
                _ => {}
            }
        }
        root
    }

    fn key(&mut self, event: &Event) -> Key<'t> {
        let mut name = Cow::Borrowed("");
        if let Some(raw) = self.source.get(event) {
            raw.decode_key(&mut name, &mut self.errors);
        }
        Key { span: range(event.span()), name }
    }

    /// Reads the keys up to the end of a header, or up to the equals sign.
    fn keys(&mut self, events: &mut Peekable<IntoIter<Event>>) -> Vec<Key<'t>> {
        let mut keys = Vec::new();
        while let Some(event) = events.next_if(|event| {
            matches!(
                event.kind(),
                EventKind::SimpleKey
                    | EventKind::KeySep
                    | EventKind::KeyValSep
                    | EventKind::StdTableClose
                    | EventKind::ArrayTableClose
            )
        }) {
            match event.kind() {
                EventKind::SimpleKey => keys.push(self.key(&event)),
                EventKind::KeySep => {}
                _ => break,
            }
        }
        keys
    }

    fn value(&mut self, events: &mut Peekable<IntoIter<Event>>) -> Option<Node<'t>> {
        let event = events.next_if(|event| {
            matches!(event.kind(), EventKind::Scalar | EventKind::ArrayOpen | EventKind::InlineTableOpen)
        })?;
        let begin = event.span().start();
        Some(match event.kind() {
            EventKind::Scalar => self.scalar(&event),
            EventKind::ArrayOpen => {
                let mut items = Vec::new();
                loop {
                    if let Some(item) = self.value(events) {
                        items.push(item);
                        continue;
                    }
                    let event = events.next()?;
                    if event.kind() == EventKind::ArrayClose {
                        break Node { span: begin..event.span().end(), value: Value::List(items) };
                    }
                }
            }
            _ => {
                let mut entries = Entries::new();
                // Within braces, dotted keys have tables of their own.
                let mut within = BTreeSet::new();
                loop {
                    let event = events.next()?;
                    match event.kind() {
                        EventKind::SimpleKey => {
                            let mut path = vec![self.key(&event)];
                            path.extend(self.keys(events));
                            let value = self.value(events)?;
                            std::mem::swap(&mut self.dotted, &mut within);
                            self.insert(&mut entries, &[], path, value);
                            std::mem::swap(&mut self.dotted, &mut within);
                        }
                        EventKind::InlineTableClose => {
                            break Node { span: begin..event.span().end(), value: Value::Map(entries) };
                        }
                        _ => {}
                    }
                }
            }
        })
    }

    fn scalar(&mut self, event: &Event) -> Node<'t> {
        let mut text = Cow::Borrowed("");
        let kind = match self.source.get(event) {
            Some(raw) => raw.decode_scalar(&mut text, &mut self.errors),
            None => ScalarKind::String,
        };
        let scalar = match kind {
            ScalarKind::String => Scalar::Text,
            ScalarKind::Boolean(value) => Scalar::Bool(value),
            ScalarKind::DateTime => Scalar::Date,
            ScalarKind::Float => Scalar::Float(text.parse().unwrap_or(f64::NAN)),
            // An integer that no setting could hold is as good as the largest.
            ScalarKind::Integer(radix) => {
                let digits = text.trim_start_matches('+');
                Scalar::Int(i128::from_str_radix(digits, radix.value()).unwrap_or(i128::MAX))
            }
        };
        Node { span: range(event.span()), value: Value::Scalar(scalar, text) }
    }

    /// Begins the table of a header.
    fn header(&mut self, root: &mut Entries<'t>, path: &[Key<'t>]) {
        let Some((last, above)) = path.split_last() else { return };
        let mut so_far = Path::new();
        let mut entries = root;
        for key in above {
            so_far.push(key.name.to_string());
            let implicit = &mut self.implicit;
            let node = entry(entries, key, || {
                implicit.insert(so_far.clone());
            });
            let Value::Map(below) = &mut node.value else { return self.twice(key) };
            entries = below;
        }
        so_far.push(last.name.to_string());
        let is_new = entries.iter().all(|(key, _)| key.name != last.name);
        if !is_new && !self.implicit.remove(&so_far) {
            return self.twice(last);
        }
        entry(entries, last, || ());
    }

    /// Puts a value into a table, below the tables that dotted keys name.
    fn insert(&mut self, root: &mut Entries<'t>, table: &[String], path: Vec<Key<'t>>, value: Node<'t>) {
        let mut entries = root;
        for name in table {
            // A header that is at fault has no table.
            let below = entries.iter_mut().find(|(key, _)| key.name == name.as_str());
            let Some((_, Node { value: Value::Map(below), .. })) = below else { return };
            entries = below;
        }
        let mut so_far = table.to_vec();
        let mut path = path;
        let Some(last) = path.pop() else { return };
        for key in &path {
            so_far.push(key.name.to_string());
            let dotted = &mut self.dotted;
            let node = entry(entries, key, || {
                dotted.insert(so_far.clone());
            });
            let Value::Map(below) = &mut node.value else { return self.twice(key) };
            if !self.dotted.contains(&so_far) {
                return self.twice(key);
            }
            entries = below;
        }
        match entries.iter().any(|(key, _)| key.name == last.name) {
            true => self.twice(&last),
            false => entries.push((last, value)),
        }
    }

    fn twice(&mut self, key: &Key<'_>) {
        let message = format!("{} is given twice", quoted(&key.name));
        self.faults.push(Fault::new(problem::DUPLICATE_KEY, &key.span, message).label("again here").hint("remove one"));
    }
}

/// Returns the value under a key; a new table if there is none, which `begun` is told of.
fn entry<'e, 't>(entries: &'e mut Entries<'t>, key: &Key<'t>, begun: impl FnOnce()) -> &'e mut Node<'t> {
    let at = entries.iter().position(|(known, _)| known.name == key.name).unwrap_or_else(|| {
        begun();
        entries.push((key.clone(), Node { span: key.span.clone(), value: Value::Map(Vec::new()) }));
        entries.len() - 1
    });
    &mut entries[at].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a tree in short.
    fn shown(node: &Node<'_>) -> String {
        match &node.value {
            Value::Scalar(Scalar::Text, text) => format!("{text:?}"),
            Value::Scalar(_, text) => text.to_string(),
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, node)| format!("{}={}", key.name, shown(node))).collect();
                format!("{{{}}}", entries.join(" "))
            }
            Value::Refused => "refused".to_owned(),
        }
    }

    fn read(text: &str) -> String {
        match parse(text) {
            Ok(node) => shown(&node),
            Err(faults) => faults
                .iter()
                .map(|fault| format!("{} {:?}", fault.code, &text[fault.span.clone().unwrap_or(0..0)]))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    #[test]
    fn tables_and_dotted_keys_are_put_together() {
        assert_eq!(read(""), "{}");
        assert_eq!(read("# nothing\n\n"), "{}");
        assert_eq!(
            read("a = 1\n[b]\nc = 'x'\nd.e = true\nd.f = \"\\u00e9\"\n"),
            "{a=1 b={c=\"x\" d={e=true f=\"é\"}}}"
        );
        assert_eq!(read("[a.b]\nc = 1\n[a]\nd = [1, 'x', {y = 2}]\n"), "{a={b={c=1} d=[1 \"x\" {y=2}]}}");
        assert_eq!(read("a = {b = 1, c.d = 2, c.e = 3}\r\n'e f' = 1e3"), "{a={b=1 c={d=2 e=3}} e f=1e3}");
        assert_eq!(read("a = 2026-01-31\nb = '''\nx\ny'''\nc = 10_000"), "{a=2026-01-31 b=\"x\\ny\" c=10000}");
    }

    #[test]
    fn what_stands_twice_is_found() {
        assert_eq!(read("a = 1\na = 2"), "E0108 \"a\"");
        assert_eq!(read("[a]\n[b]\n[a]"), "E0108 \"a\"");
        assert_eq!(read("a = 1\n[a]\nb = 2"), "E0108 \"a\"");
        assert_eq!(read("a.b = 1\n[a]\nc = 2"), "E0108 \"a\"");
        assert_eq!(read("a = {b = 1}\na.c = 2"), "E0108 \"a\"");
        assert_eq!(read("a = {b = 1, b = 2}"), "E0108 \"b\"");
        assert_eq!(read("[[a.b]]\nc = 1"), "E0112 \"a.b\"");
    }

    #[test]
    fn other_texts_have_one_fault() {
        for text in [
            "a",
            "a = ",
            "= 1",
            "a = b",
            "[a",
            "a = \"x",
            "a = 1 b = 2",
            "a = [1",
            "a = {b",
            "\u{1}",
            "a = 1e",
            "a: 1\nb: 2",
        ] {
            let faults = parse(text).unwrap_err();
            assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["E0139"], "{text:?}");
        }
        let deep = format!("a = {}", "[".repeat(100_000));
        assert_eq!(parse(&deep).unwrap_err()[0].code, "E0139");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn no_text_is_too_much(text in "([a-c]|[\\PC\\n]| = |\\[|\\]|\\{|\\}|\\.|\"|'|,|\\n|#|1|true|2026-01-31){0,24}") {
            for fault in parse(&text).err().unwrap_or_default() {
                let span = fault.span.unwrap_or(0..0);
                prop_assert!(span.start <= span.end && span.end <= text.len());
            }
        }
    }
}
