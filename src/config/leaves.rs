//! What of a recipe decides its outputs, named as its author would name it.

use std::{fmt, ops::Range};

use super::{
    Dataset, MaxRejects, Recipe, SplitMethod, Strategy, Unit,
    check::rules::is_plain,
    format_word,
    problem::line_and_column,
    tree::{Key, Node},
    yaml,
};
use crate::hash::Manifest;

impl Recipe {
    /// Adds an entry for everything that decides the outputs; what the recipe leaves out has none.
    ///
    /// Notes such as `description` are not among them, nor is `stratified` where the split does not ask for it.
    pub fn leaves(&self, manifest: &mut Manifest) {
        manifest.push("metadata.phase", &self.metadata.phase);
        let names: Vec<&str> = self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        manifest.push("datasets", list(&names));
        for dataset in &self.datasets {
            dataset.leaves(manifest);
        }
        let validation = &self.validation;
        manifest.push("validation.ratio", number(validation.ratio));
        manifest.push("validation.seed", validation.seed);
        manifest.push("validation.method", word(SplitMethod::ALL, validation.method));
        if validation.method == SplitMethod::Exact {
            manifest.push("validation.stratified", validation.stratified);
        }
        manifest.push("mix.strategy", word(Strategy::ALL, self.mix.strategy));
        if let Some(total) = self.mix.total {
            manifest.push("mix.total", total);
        }
        manifest.push("mix.unit", word(Unit::ALL, self.mix.unit));
        if let Some(limit) = self.max_rejects {
            manifest.push("max_rejects", limit);
        }
    }
}

impl Dataset {
    /// Adds an entry for everything that decides which rows this source gives and what they look like.
    pub fn leaves(&self, manifest: &mut Manifest) {
        let name = &self.name;
        let mut push = |key: &str, value: String| {
            manifest.push(format!("{key} of {name}"), value);
        };
        push("source", self.location.source().to_owned());
        push("format", format_word(self.format).to_owned());
        push("mix_ratio", number(self.mix_ratio));
        push("splits", list(&self.splits));
        if let Some(rows) = self.max_samples {
            push("max_samples", rows.to_string());
        }
        let texts = [
            ("text_field", self.text_field.as_deref()),
            ("config_name", self.config_name.as_deref()),
            ("revision", self.location.revision()),
            ("converter", self.converter.as_deref()),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                push(key, text.to_owned());
            }
        }
        if !self.data_dir.is_empty() {
            push("data_dir", list(&self.data_dir));
        }
        for (option, value) in &self.options {
            push(&format!("options.{option}"), value.clone());
        }
        for (i, filter) in self.filters.iter().enumerate() {
            push(&format!("filters[{i}]"), filter.to_string());
        }
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(rows) => write!(f, "{rows} rows"),
            Self::Share(share) => write!(f, "share {}", number(*share)),
        }
    }
}

/// The shortest decimal that reads back as the same number.
fn number(value: f64) -> String {
    format!("{value:?}")
}

/// Items by commas; one that could be mistaken for several, or for none, is quoted.
fn list<S: AsRef<str>>(items: &[S]) -> String {
    let plain = |item: &str| item.split('/').all(is_plain);
    let shown = items.iter().map(AsRef::as_ref).map(|item| if plain(item) { item.into() } else { format!("{item:?}") });
    shown.collect::<Vec<_>>().join(", ")
}

fn word<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Finds the line and column of the key that a leaf was read from; `None` when the text leaves it to the default.
///
/// ```
/// let text = b"metadata: { phase: sft }\ndatasets:\n  - name: alpaca\n    mix_ratio: 1.0\n";
/// assert_eq!(datac::config::locate(text, "mix_ratio of alpaca"), Some((4, 5)));
/// assert_eq!(datac::config::locate(text, "splits of alpaca"), None);
/// ```
pub fn locate(text: &[u8], leaf_name: &str) -> Option<(usize, usize)> {
    let (plain, mark) = super::plain_text(text).ok()?;
    let root = yaml::parse(plain).root?;
    let (start, _) = find(&root, leaf_name)?;
    Some(line_and_column(text, start + mark))
}

/// The bytes of the value that a leaf was read from.
pub(super) fn value_span(text: &[u8], leaf_name: &str) -> Option<Range<usize>> {
    let (plain, mark) = super::plain_text(text).ok()?;
    let root = yaml::parse(plain).root?;
    let (_, node) = find(&root, leaf_name)?;
    Some(node.span.start + mark..node.span.end + mark)
}

/// Where a leaf's key begins (an item of a list: the item), and its value.
fn find<'n, 't>(root: &'n Node<'t>, leaf_name: &str) -> Option<(usize, &'n Node<'t>)> {
    let keyed = |(key, node): (&'n Key<'t>, &'n Node<'t>)| (key.span.start, node);
    // No key holds white space, so that the first ` of ` always ends it, whatever the dataset is called.
    let (path, within) = match leaf_name.split_once(" of ") {
        None => (leaf_name, root),
        Some((path, name)) => (path, root.entry("datasets")?.1.items().iter().find(|item| is_named(item, name))?),
    };
    if let Some(index) = path.strip_prefix("filters[").and_then(|rest| rest.strip_suffix(']')) {
        let item = within.entry("filters")?.1.items().get(index.parse::<usize>().ok()?)?;
        return Some((item.span.start, item));
    }
    match path.split_once('.') {
        None => within.entry(path).map(keyed),
        Some((block, key)) => within.entry(block)?.1.entry(key).map(keyed),
    }
}

fn is_named(item: &Node<'_>, name: &str) -> bool {
    use super::tree::Value;
    item.entry("name").is_some_and(|(_, node)| matches!(&node.value, Value::Scalar(_, text) if text == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Vocabulary, load};

    const TEXT: &str = "\
metadata:
  phase: sft
  description: not a leaf
datasets:
  - name: a of b
    source: x/y
    mix_ratio: 0.25
    options: {k: v}
    filters:
      - {type: length, min_length: 20}
      - type: language
        languages: [en, de]
  - {name: second, source: data/s.jsonl, format: jsonl, mix_ratio: 0.75, data_dir: [p, \"q, r\"]}
validation:
  seed: 7
max_rejects: 1%
";

    fn leaves(text: &str) -> Manifest {
        let mut manifest = Manifest::new();
        load("r.yaml", text.as_bytes(), &Vocabulary::default()).unwrap().leaves(&mut manifest);
        manifest
    }

    #[test]
    fn leaves_are_what_decides_and_can_be_found() {
        let manifest = leaves(TEXT);
        let shown: Vec<String> = manifest
            .entries()
            .iter()
            .map(|entry| format!("{} = {} @ {:?}", entry.name, entry.value, locate(TEXT.as_bytes(), &entry.name)))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert_eq!(locate(TEXT.as_bytes(), "filters[2] of a of b"), None);
        assert_eq!(locate(b": [", "datasets"), None);
    }

    #[test]
    fn notes_spelling_and_comments_decide_nothing() {
        let other = TEXT
            .replace("not a leaf", "still none")
            .replace("seed: 7", "seed: 7.0 # lucky\n  ratio: 5.0e-2")
            .replace("phase: sft", "\"phase\": 'sft'\n  total_tokens: 10_000\n  version: 3");
        assert_eq!(leaves(&other).digest(), leaves(TEXT).digest());
        assert_ne!(leaves(&TEXT.replace("seed: 7", "seed: 8")).digest(), leaves(TEXT).digest());
    }

    #[test]
    fn items_with_commas_are_told_from_two_items() {
        assert_eq!(list(&["a, b"]), "\"a, b\"");
        assert_eq!(list(&["a", "b/c"]), "a, b/c");
        assert_eq!(list(&[""]), "\"\"");
    }
}
