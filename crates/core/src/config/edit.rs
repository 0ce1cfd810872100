//! Edits of a recipe's text that leave the rest of it, comments and layout among them, as it is.

use super::{
    tree::{Node, Value},
    yaml,
};

/// Returns the text with one more dataset, whose keys and values are `pairs`, behind the others.
///
/// With a `ratio`, the new dataset has that share and those of the others are scaled to the rest. Returns `None` if the text
/// has no list of datasets to add to.
///
/// ```
/// let text = "metadata: { phase: sft }\ndatasets:\n  - name: a # first\n    source: x/y\n";
/// let pairs = [("name", "b".to_owned()), ("source", "x/z".to_owned())];
/// assert_eq!(
///     datac_core::config::add_dataset(text, &pairs, 0.25).unwrap(),
///     "metadata: { phase: sft }\ndatasets:\n  - name: a # first\n    source: x/y\n    mix_ratio: 0.75\n  \
///      - name: b\n    source: x/z\n    mix_ratio: 0.25\n",
/// );
/// ```
pub fn add_dataset(text: &str, pairs: &[(&str, String)], ratio: f64) -> Option<String> {
    let text = &if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let root = yaml::parse(&text[mark..]).root?;
    let (_, list) = root.entry("datasets")?;
    let last = list.items().last()?;
    // Places and what is put there, the text between them untouched.
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let shares: Vec<f64> = list.items().iter().map(share_of).collect();
    for (item, share) in list.items().iter().zip(scaled(&shares, 1.0 - ratio)) {
        edits.push(with_share(&text[mark..], item, &share)?);
    }
    edits.push(match dash_of(&text[mark..], last) {
        Some(indent) => {
            let end = end_of_line(&text[mark..], end_of(&text[mark..], last));
            let line = |(at, (key, value)): (usize, (&str, String))| {
                let head = if at == 0 { format!("{indent}- ") } else { format!("{indent}  ") };
                format!("{head}{key}: {value}\n")
            };
            let all = pairs.iter().cloned().chain([("mix_ratio", number(ratio))]);
            let lines: String = all.enumerate().map(line).collect();
            (end..end, lines)
        }
        None => {
            let all = pairs.iter().cloned().chain([("mix_ratio", number(ratio))]);
            let pairs: Vec<String> = all.map(|(key, value)| format!("{key}: {value}")).collect();
            let end = end_of(&text[mark..], last);
            (end..end, format!(", {{ {} }}", pairs.join(", ")))
        }
    });
    // A stable sort: of two edits at one place, the share of the last dataset comes before the new one.
    edits.sort_by_key(|(span, _)| span.start);
    let mut edited = text.to_owned();
    for (span, new) in edits.into_iter().rev() {
        edited.replace_range(span.start + mark..span.end + mark, &new);
    }
    Some(edited)
}

fn share_of(item: &Node<'_>) -> f64 {
    let text = item.entry("mix_ratio").and_then(|(_, node)| match &node.value {
        Value::Scalar(_, text) => text.parse().ok(),
        _ => None,
    });
    text.unwrap_or(1.0)
}

/// Returns shares scaled to a sum of `whole`, each as it is written; the largest takes what rounding leaves.
fn scaled(shares: &[f64], whole: f64) -> Vec<String> {
    let sum: f64 = shares.iter().sum();
    let mut scaled: Vec<f64> = shares.iter().map(|share| rounded(share / sum * whole)).collect();
    let rest = rounded(whole - scaled.iter().sum::<f64>());
    if let Some(largest) = scaled.iter_mut().max_by(|a, b| a.total_cmp(b)) {
        *largest = rounded(*largest + rest);
    }
    scaled.into_iter().map(number).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn number(value: f64) -> String {
    rounded(value).to_string()
}

/// Returns the edit that gives a dataset its share.
fn with_share(text: &str, item: &Node<'_>, share: &str) -> Option<(std::ops::Range<usize>, String)> {
    if let Some((_, node)) = item.entry("mix_ratio") {
        return Some((node.span.clone(), share.to_owned()));
    }
    let is_in_brackets = text[item.span.start..].starts_with('{');
    let Some(indent) = dash_of(text, item).filter(|_| !is_in_brackets) else {
        let inside = text[..end_of(text, item)].strip_suffix('}')?;
        let end = inside.trim_end().len();
        let comma = if text[..end].ends_with(',') { "" } else { "," };
        return Some((end..end, format!("{comma} mix_ratio: {share}")));
    };
    // Behind the source, where one would look for it.
    let (_, source) = item.entry("source")?;
    let end = end_of_line(text, source.span.end);
    Some((end..end, format!("{indent}  mix_ratio: {share}\n")))
}

/// Returns the white space before the dash of an item in a block list; `None` if the item, or its list, is in brackets.
fn dash_of<'t>(text: &'t str, item: &Node<'_>) -> Option<&'t str> {
    let line = text[..item.span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let head = &text[line..item.span.start];
    let indent = head.trim_end().strip_suffix('-')?;
    indent.trim().is_empty().then_some(indent)
}

/// Returns where the text of a node ends: blank lines and comments behind it belong to what follows.
fn end_of(text: &str, node: &Node<'_>) -> usize {
    let start = node.span.start;
    // The parser tells where a mapping or list begins; it ends behind its last part, or behind its bracket.
    let last = match &node.value {
        Value::Map(entries) => entries.last().map(|(_, value)| end_of(text, value)),
        Value::List(items) => items.last().map(|item| end_of(text, item)),
        _ => return start + text[node.span.clone()].trim_end().len(),
    };
    let behind = |bracket: char| {
        let from = last.unwrap_or(start + 1);
        text[from..].find(bracket).map_or(from, |length| from + length + 1)
    };
    match text.as_bytes().get(start) {
        Some(b'{') => behind('}'),
        Some(b'[') => behind(']'),
        _ => last.unwrap_or(start),
    }
}

/// Returns the byte behind the line end that follows `at`, or the end of the text.
fn end_of_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Vocabulary, load};

    fn added(text: &str, ratio: f64) -> String {
        let pairs = [("name", "new".to_owned()), ("source", "org/new".to_owned())];
        let edited = add_dataset(text, &pairs, ratio).unwrap();
        load("config/a.yaml", edited.as_bytes(), &Vocabulary::default()).unwrap_or_else(|problems| {
            panic!("{edited}\n{problems:?}");
        });
        edited
    }

    #[test]
    fn comments_and_layout_stay() {
        let text = "\
# mine
metadata: { phase: sft }   # a phase
datasets:
    # the first
    - name: one
      source: org/one      # of the Hub
      mix_ratio: 0.6       # most
      filters:
        - { type: length, min_length: 3 }

    - { name: two, source: org/two, mix_ratio: 0.4 }

# the split
validation: { ratio: 0.1 }
";
        insta::assert_snapshot!(added(text, 0.5));
    }

    #[test]
    fn every_spelling_of_a_list_is_added_to() {
        let head = "metadata: { phase: sft }\n";
        for (text, wanted) in [
            (
                "datasets: [{ name: a, source: o/a }]",
                "datasets: [{ name: a, source: o/a, mix_ratio: 0.9 }, { name: new, source: org/new, mix_ratio: 0.1 }]\n",
            ),
            (
                "datasets: [{ name: a, source: o/a, splits: [train, test] } ] # all\n",
                "datasets: [{ name: a, source: o/a, splits: [train, test], mix_ratio: 0.9 }, \
                 { name: new, source: org/new, mix_ratio: 0.1 } ] # all\n",
            ),
            (
                "datasets:\n- name: a\n  source: o/a",
                "datasets:\n- name: a\n  source: o/a\n  mix_ratio: 0.9\n- name: new\n  source: org/new\n  mix_ratio: 0.1\n",
            ),
            (
                "datasets:\n  - {name: a, source: o/a}\n",
                "datasets:\n  - {name: a, source: o/a, mix_ratio: 0.9}\n  - name: new\n    source: org/new\n    mix_ratio: 0.1\n",
            ),
        ] {
            assert_eq!(added(&format!("{head}{text}"), 0.1), format!("{head}{wanted}"));
        }
    }

    #[test]
    fn shares_sum_to_one() {
        for shares in [&[1.0, 1.0, 1.0][..], &[0.7, 0.3], &[0.333333, 0.333333, 0.333334]] {
            for ratio in [0.1, 0.25, 0.3, 0.5] {
                let sum: f64 = scaled(shares, 1.0 - ratio).iter().map(|share| share.parse::<f64>().unwrap()).sum();
                assert!((sum + ratio - 1.0).abs() < 1e-9, "{shares:?} {ratio} {sum}");
            }
        }
    }

    #[test]
    fn a_text_without_datasets_is_left_alone() {
        assert_eq!(add_dataset("metadata: {}\n", &[], 0.5), None);
        assert_eq!(add_dataset("datasets: []\n", &[], 0.5), None);
        assert_eq!(add_dataset(": [", &[], 0.5), None);
    }
}
