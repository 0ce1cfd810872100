//! `{% generation %}` … `{% endgeneration %}`: the tag of transformers around what the model generates.
//!
//! minijinja has no such tag, so each pair becomes a filter block around a scope: `{% filter __generation %}{% with %}` …
//! `{% endwith %}{% endfilter %}`. The scope is there because transformers compiles the block to a function, whose
//! assignments stay inside. Everything stays on its line, so that errors name the right one.

use std::ops::Range;

/// The filter that stands for the tag.
pub(super) const FILTER: &str = "__generation";

/// How the generation blocks of a template stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// There are none.
    None,
    /// All of them write straight to the output, where their places are known.
    Direct,
    /// Some stand inside a macro, a `set`, `filter` or `call` block, or another generation block, whose text the template
    /// writes later, or not at all.
    Captured,
}

/// Returns the source with its generation tags rewritten, and how they stand.
pub(super) fn rewrite(source: &str) -> (String, Marks) {
    let mut out = String::with_capacity(source.len() + 128);
    let mut marks = Marks::None;
    // How many blocks are open whose text does not go straight to the output.
    let mut captures = 0_usize;
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (text, tail) = rest.split_at(at);
        out.push_str(text);
        let length = match tail.as_bytes().get(1) {
            Some(b'#') => tail.find("#}").map_or(tail.len(), |end| end + 2),
            Some(b'{') => end_of_tag(tail, "}}"),
            Some(b'%') => end_of_tag(tail, "%}"),
            _ => 1,
        };
        let (tag, tail) = tail.split_at(length);
        rest = tail;
        let Some(tag) = Tag::new(tag) else {
            out.push_str(tag);
            continue;
        };
        match tag.word {
            "generation" => {
                marks = if captures > 0 { Marks::Captured } else { marks.max(Marks::Direct) };
                captures += 1;
                out.extend(["{%", tag.left, " filter ", FILTER, " %}{% with ", tag.right, "%}"]);
                continue;
            }
            "endgeneration" => {
                captures = captures.saturating_sub(1);
                out.extend(["{%", tag.left, " endwith %}{% endfilter ", tag.right, "%}"]);
                continue;
            }
            "raw" => {
                // In Jinja2 the newline behind this tag alone stays.
                let right = if tag.right.is_empty() { "+" } else { tag.right };
                out.extend(["{%", tag.left, " raw ", right, "%}"]);
                let end = rest.find("endraw").unwrap_or(rest.len());
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            "macro" | "call" | "filter" => captures += 1,
            // `{% set x %}`; `{% set x = 1 %}` has no body.
            "set" if !tag.inner.contains('=') => captures += 1,
            "endmacro" | "endcall" | "endfilter" | "endset" => captures = captures.saturating_sub(1),
            _ => {}
        }
        out.push_str(tag.whole);
    }
    out.push_str(rest);
    (out, marks)
}

impl Marks {
    fn max(self, other: Self) -> Self {
        if self == Self::Captured { self } else { other }
    }
}

/// The length of a tag that ends with `close`, which may also stand inside of a string of the tag.
fn end_of_tag(tag: &str, close: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in tag.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if tag[at..].starts_with(close) => return at + close.len(),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    tag.len()
}

/// A tag `{% … %}` in parts.
struct Tag<'t> {
    whole: &'t str,
    /// `-` or `+` after `{%`.
    left: &'t str,
    /// `-` or `+` before `%}`.
    right: &'t str,
    inner: &'t str,
    /// The first word.
    word: &'t str,
}

impl<'t> Tag<'t> {
    fn new(whole: &'t str) -> Option<Self> {
        let inner = whole.strip_prefix("{%")?.strip_suffix("%}")?;
        let (left, inner) = inner.split_at(usize::from(inner.starts_with(['-', '+'])));
        let (inner, right) = inner.split_at(inner.len() - usize::from(inner.ends_with(['-', '+'])));
        let word = inner.trim_start();
        let word = &word[..word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len())];
        Some(Self { whole, left, right, inner, word })
    }
}

/// Stands before what a generation block wrote, where texts are marked. Neither character is ever assigned.
const OPEN: char = '\u{10fffe}';
/// Stands behind it.
const CLOSE: char = '\u{10ffff}';

/// Returns what a generation block wrote with a mark on both sides.
pub(super) fn mark(text: &str) -> String {
    let mut marked = String::with_capacity(text.len() + 2 * OPEN.len_utf8());
    marked.extend([OPEN]);
    marked.push_str(text);
    marked.extend([CLOSE]);
    marked
}

/// Returns what of a text stands outside of marks; `None` if there are none, all of it if they do not pair.
pub(super) fn beside(marked: &str) -> Option<String> {
    if !marked.contains([OPEN, CLOSE]) {
        return None;
    }
    let Some((text, spans)) = take_out(marked) else { return Some(marked.to_owned()) };
    let starts = std::iter::once(0).chain(spans.iter().map(|span| span.end));
    let ends = spans.iter().map(|span| span.start).chain(std::iter::once(text.len()));
    Some(starts.zip(ends).map(|(start, end)| &text[start..end]).collect())
}

/// Takes the marks out of a text: returns the text, and the ranges in bytes that stood between outermost marks and are not
/// empty. `None` if marks do not pair.
pub(super) fn take_out(marked: &str) -> Option<(String, Vec<Range<usize>>)> {
    let mut text = String::with_capacity(marked.len());
    let mut spans = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    let mut rest = marked;
    while let Some(at) = rest.find([OPEN, CLOSE]) {
        text.push_str(&rest[..at]);
        if rest[at..].starts_with(OPEN) {
            if depth == 0 {
                start = text.len();
            }
            depth += 1;
        } else {
            depth = depth.checked_sub(1)?;
            if depth == 0 && start < text.len() {
                spans.push(start..text.len());
            }
        }
        rest = &rest[at + OPEN.len_utf8()..];
    }
    text.push_str(rest);
    (depth == 0).then_some((text, spans))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_rewritten_and_nothing_else() {
        let (source, marks) = rewrite("a{%- generation -%}b{% endgeneration +%}");
        assert_eq!(source, "a{%- filter __generation %}{% with -%}b{% endwith %}{% endfilter +%}");
        assert_eq!(marks, Marks::Direct);
        for source in [
            "{# {% generation %} #}{{ '{% generation %}' }}",
            "{% raw +%}{% generation %}{% endraw %}",
            "{% if '{% generation %}' %}{% endif %}",
            "{{ 'it\\'s %} }}' }} {",
            "{% generations %}",
            "{",
            "{%",
            "{{ 'open",
            "{#",
            "{% raw +%}",
        ] {
            assert_eq!(rewrite(source), (source.to_owned(), Marks::None));
        }
    }

    #[test]
    fn the_newline_behind_raw_is_kept() {
        assert_eq!(rewrite("{%- raw %}\n{{ }}{% endraw %}").0, "{%- raw +%}\n{{ }}{% endraw %}");
        assert_eq!(rewrite("{%raw-%}\n{% endraw %}").0, "{% raw -%}\n{% endraw %}");
    }

    #[test]
    fn blocks_that_are_captured_are_known() {
        for (source, marks) in [
            ("{% set x = 1 %}{% generation %}{% endgeneration %}", Marks::Direct),
            ("{% macro m() %}{% endmacro %}{% generation %}{% endgeneration %}", Marks::Direct),
            ("{% macro m() %}{% generation %}{% endgeneration %}{% endmacro %}", Marks::Captured),
            ("{% set x %}{% generation %}{% endgeneration %}{% endset %}", Marks::Captured),
            ("{% generation %}{% generation %}{% endgeneration %}{% endgeneration %}", Marks::Captured),
        ] {
            assert_eq!(rewrite(source).1, marks, "{source}");
        }
    }

    #[test]
    fn marks_are_taken_out() {
        let marked = format!("a{}c{}{}", mark("b"), mark(""), mark(&format!("d{}", mark("e"))));
        assert_eq!(take_out(&marked), Some(("abcde".to_owned(), vec![1..2, 3..5])));
        assert_eq!(take_out(&OPEN.to_string()), None);
        assert_eq!(take_out(&CLOSE.to_string()), None);
    }
}
