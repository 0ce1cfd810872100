//! The values of a recipe that decide its outputs, as its author would write them, and where they are in the text.

use std::{fmt, ops::Range};

use super::{
    Amount, Dataset, Deduplicate, Limits, Overlap, Recipe, Sampling, SourceRole, SplitMethod, Strategy, Take, Unique,
    Unit, Validation,
    check::rules::is_plain,
    format_word,
    model::OfOutput,
    problem::line_and_column,
    tree::{self, Node},
    yaml,
};
use crate::{
    key::{Deciding, Encode, Encoder, Visitor},
    leaf::{Leaf, Setting, Value},
    outputs::Target,
    quality::{Bound, Filter, Passing},
};

impl Recipe {
    /// Names the values that concern the recipe as a whole. The descriptions of the stages name what the stages
    /// depend on. Notes such as `description` decide nothing and are left out.
    pub fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.setting(Setting::Phase, &self.metadata.phase);
        let names: Vec<String> = self.datasets.iter().map(|dataset| dataset.name.clone()).collect();
        visitor.setting(Setting::Datasets, &names);
        visitor.setting(Setting::Strategy, &self.mix.strategy);
        visitor.setting(Setting::Total, &self.mix.total);
        visitor.setting(Setting::MaxRejects, &self.max_rejects);
        if let Some(model) = &self.model {
            model.decide_limit(visitor);
        }
        for (folder, model) in &self.models {
            model.decide_limit(&mut OfOutput { folder, visitor });
        }
        if self.outputs != [Target::native()] {
            let folders: Vec<String> = self.outputs.iter().map(|target| target.folder().into_owned()).collect();
            visitor.setting(Setting::Outputs, &folders);
        }
        for expectation in &self.expect {
            visitor.setting(expectation.of.setting(), &expectation.limits);
        }
    }
}

impl Dataset {
    /// Names the values that decide which files of the source are read, by which converter, and its share of the
    /// mixture.
    pub fn decide(&self, visitor: &mut dyn Visitor) {
        visitor.setting(Setting::Source, &self.location.source().to_owned());
        visitor.setting(Setting::Format, &format_word(self.format).to_owned());
        let delimiter = self.reading.delimiter.map(|byte| char::from(byte).to_string());
        visitor.setting(Setting::Delimiter, &delimiter);
        visitor.setting(Setting::Field, &self.reading.field);
        visitor.setting(Setting::MixRatio, &self.mix_ratio);
        visitor.setting(Setting::Splits, &self.splits);
        visitor.setting(Setting::TextField, &self.text_field);
        visitor.setting(Setting::ConfigName, &self.config_name);
        visitor.setting(Setting::Revision, &self.location.revision().map(str::to_owned));
        visitor.setting(Setting::Converter, &self.converter);
        visitor.setting(Setting::DataDir, &Some(&self.data_dir).filter(|folders| !folders.is_empty()));
    }
}

/// Names what decides which samples of a source are kept; `sample` only where a recipe has it.
pub fn decide_selection(filters: &[Filter], take: Take, visitor: &mut dyn Visitor) {
    visitor.setting(Setting::MaxSamples, &take.first());
    if let Some(sampling) = take.sampling() {
        visitor.setting(Setting::Sample, &sampling);
    }
    for (number, filter) in (0..).zip(filters) {
        visitor.setting(Setting::Filter(number), filter);
    }
}

/// Names what becomes of a source's rows, if they are not mixed.
pub fn decide_role(role: SourceRole, visitor: &mut dyn Visitor) {
    if role != SourceRole::Mixed {
        visitor.setting(Setting::Part, &role);
    }
    if let SourceRole::Held(_, overlap) = role {
        visitor.setting(Setting::Overlap, &overlap);
    }
}

impl Validation {
    /// Names what decides the side and position of each row; rarely used settings only if they decide something.
    pub fn decide(&self, visitor: &mut dyn Visitor) {
        let Self { ratio, test_ratio, seed, stratified, method, normalise } = self;
        visitor.setting(Setting::Ratio, ratio);
        visitor.setting(Setting::Seed, seed);
        visitor.setting(Setting::Method, method);
        if *method == SplitMethod::Exact {
            visitor.setting(Setting::Stratified, stratified);
        }
        if *normalise {
            visitor.setting(Setting::Normalise, normalise);
        }
        if *test_ratio > 0.0 {
            visitor.setting(Setting::TestRatio, test_ratio);
        }
    }
}

/// Defines how values are shown whose encoding is in [`crate::key`].
macro_rules! shown {
    ($($type:ty: $shown:expr;)*) => {$(
        impl Deciding for $type {
            fn shown(&self) -> Option<Value> {
                let shown: fn(&$type) -> String = $shown;
                Some(Value::Text(shown(self)))
            }
        }
    )*};
}
shown! {
    String: |text| text.clone();
    u64: u64::to_string;
    bool: bool::to_string;
    f64: |value| number(*value);
    Vec<String>: |items| list(items);
    Filter: Filter::to_string;
    Amount: Amount::to_string;
    Limits: Limits::to_string;
    Sampling: Sampling::to_string;
    SplitMethod: |method| word(SplitMethod::ALL, *method).to_owned();
    Strategy: |strategy| word(Strategy::ALL, *strategy).to_owned();
    Unit: |unit| word(Unit::ALL, *unit).to_owned();
    Overlap: |overlap| word(Overlap::ALL, *overlap).to_owned();
    SourceRole: |role| role.word().to_owned();
    Deduplicate: Deduplicate::to_string;
    Target: Target::to_string;
}

impl<T: Deciding> Deciding for Option<T> {
    fn shown(&self) -> Option<Value> {
        self.as_ref()?.shown()
    }
}

impl<T: Deciding> Deciding for &T {
    fn shown(&self) -> Option<Value> {
        (*self).shown()
    }
}

impl Encode for SplitMethod {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(word(Self::ALL, *self));
    }
}

impl Encode for Strategy {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(word(Self::ALL, *self));
    }
}

impl Encode for Unit {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(word(Self::ALL, *self));
    }
}

impl Encode for Overlap {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(word(Self::ALL, *self));
    }
}

impl Encode for SourceRole {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(self.word());
    }
}

impl Encode for Deduplicate {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(&self.to_string());
    }
}

impl Encode for Target {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(&self.to_string());
    }
}

impl Encode for Amount {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Count(rows) => encoder.integer(*rows),
            Self::Share(share) => encoder.float(*share),
        }
    }
}

impl Encode for Limits {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(&self.to_string());
    }
}

impl Encode for Sampling {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.list(2);
        encoder.integer(self.rows);
        encoder.integer(self.seed);
    }
}

impl Encode for Filter {
    fn encode(&self, encoder: &mut Encoder) {
        let mut filter = |bounds: &[&dyn Encode]| {
            encoder.list(1 + bounds.len());
            encoder.text(self.type_name());
            bounds.iter().for_each(|bound| bound.encode(encoder));
        };
        match &self.bound {
            Bound::Count { min, max } => filter(&[min, max]),
            Bound::Fraction { min, max } => filter(&[min, max]),
            Bound::Language { languages, min_certainty, unknown } => {
                filter(&[languages, min_certainty, &unknown.word().to_owned()])
            }
            Bound::Identity(method) => filter(&[method]),
            Bound::Value { column, passing, missing } => {
                let missing = missing.word().to_owned();
                match passing {
                    Passing::Numbers { min, max } => filter(&[column, min, max, &missing]),
                    Passing::OneOf(values) => filter(&[column, values, &missing]),
                }
            }
            Bound::Function { function, min, max, missing } => {
                filter(&[&function.to_string(), min, max, &missing.word().to_owned()])
            }
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, seed {}", self.rows, self.seed)
    }
}

impl fmt::Display for Deduplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let normalised = if self.normalise { ", normalised" } else { "" };
        write!(f, "{}{normalised}", word(Unique::ALL, self.by))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(rows) => write!(f, "{rows} rows"),
            Self::Share(share) => write!(f, "share {}", number(*share)),
        }
    }
}

/// Returns the shortest decimal that reads back as the same number.
fn number(value: f64) -> String {
    format!("{value:?}")
}

/// Lists items separated by commas; items that could be misread as several or none are quoted.
fn list<S: AsRef<str>>(items: &[S]) -> String {
    let plain = |item: &str| item.split('/').all(is_plain);
    let shown = items.iter().map(AsRef::as_ref).map(|item| if plain(item) { item.into() } else { format!("{item:?}") });
    shown.collect::<Vec<_>>().join(", ")
}

fn word<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Returns the line and column of the key that a leaf was read from; `None` if the recipe does not have the key, or
/// the leaf is not a value of the recipe.
///
/// ```
/// use datac_core::leaf::{Leaf, Setting};
///
/// let text = b"metadata: { phase: sft }\ndatasets:\n  - name: alpaca\n    mix_ratio: 1.0\n";
/// let of_alpaca = |setting| Leaf::Dataset { dataset: "alpaca".to_owned(), setting };
/// assert_eq!(datac_core::config::locate(text, &of_alpaca(Setting::MixRatio)), Some((4, 5)));
/// assert_eq!(datac_core::config::locate(text, &of_alpaca(Setting::Splits)), None);
/// ```
pub fn locate(text: &[u8], leaf: &Leaf) -> Option<(usize, usize)> {
    let (plain, mark) = super::plain_text(text).ok()?;
    let root = yaml::parse(plain).root?;
    let (start, _) = find(&root, leaf)?;
    Some(line_and_column(text, start + mark))
}

/// Returns the span of the value that a leaf was read from.
pub(super) fn value_span(text: &[u8], leaf: &Leaf) -> Option<Range<usize>> {
    let (plain, mark) = super::plain_text(text).ok()?;
    let root = yaml::parse(plain).root?;
    let (_, node) = find(&root, leaf)?;
    Some(node.span.start + mark..node.span.end + mark)
}

/// Returns the start of a leaf's key (or of the item, if the leaf is an item of a list), and its value.
pub(super) fn find<'n, 't>(root: &'n Node<'t>, leaf: &Leaf) -> Option<(usize, &'n Node<'t>)> {
    let (setting, within) = match leaf {
        Leaf::Recipe { setting } => (setting, root),
        Leaf::Dataset { dataset, setting } => {
            // A split of a dataset that makes up a side is read as the dataset is, but for the split.
            let other_split =
                HELD.iter().find_map(|block| Some((block, dataset.strip_suffix(&format!(" ({block})"))?)));
            if let (Some((block, _)), Setting::Splits) = (other_split, setting) {
                let (_, node) = root.entry(block)?;
                let (key, node) = node.entry("split").or_else(|| node.entry("splits"))?;
                return Some((key.span.start, node));
            }
            let dataset = other_split.map_or(dataset.as_str(), |(_, dataset)| dataset);
            let listed = |list: &str| root.entry(list)?.1.items().iter().find(|item| is_named(item, dataset));
            let held = || HELD.iter().find_map(|block| held_block(root, block, dataset));
            (setting, listed("datasets").or_else(held).or_else(|| listed("exclude"))?)
        }
        _ => return None,
    };
    let of_entry;
    let (setting, within) = match setting {
        Setting::OutputModel(folder, key) => {
            of_entry = Setting::Model(key.clone());
            (&of_entry, entry_of_output(root, folder)?)
        }
        Setting::OutputModelArgument(folder, name) => {
            of_entry = Setting::ModelArgument(name.clone());
            (&of_entry, entry_of_output(root, folder)?)
        }
        _ => (setting, within),
    };
    // `model: org/name` is short for a block that names nothing else.
    if let (Setting::Model(_), Some((key, node))) = (setting, within.entry("model"))
        && !matches!(node.value, super::tree::Value::Map(_))
    {
        return Some((key.span.start, node));
    }
    let blocks = setting.block().into_iter().flat_map(|block| block.split('.'));
    let block = blocks.into_iter().try_fold(within, |node, block| Some(node.entry(block)?.1))?;
    let (key, node) = block.entry(setting.key())?;
    match setting.index() {
        Some(index) => node.items().get(index as usize).map(|item| (item.span.start, item)),
        None => Some((key.span.start, node)),
    }
}

/// Returns the entry of `output` whose files are in a folder of this name.
fn entry_of_output<'n, 't>(root: &'n Node<'t>, folder: &str) -> Option<&'n Node<'t>> {
    let (_, node) = root.entry("output")?;
    let entries =
        if let tree::Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
    let word = |entry: &Node<'t>, key: &str| match entry.entry(key).map(|(_, node)| &node.value) {
        Some(tree::Value::Scalar(_, text)) => Some(text.to_string()),
        _ => None,
    };
    entries.iter().find(|entry| {
        let (shape, name) = (word(entry, "shape"), word(entry, "name"));
        shape.is_some_and(|shape| *Target { shape, name, ..Target::native() }.folder() == *folder)
    })
}

/// The blocks that may name a source of their own, which is called like the block unless it has a `name`.
pub(super) const HELD: [&str; 2] = ["validation", "test"];

fn held_block<'n, 't>(root: &'n Node<'t>, block: &str, dataset: &str) -> Option<&'n Node<'t>> {
    let (_, node) = root.entry(block)?;
    let is_meant = if node.entry("name").is_some() { is_named(node, dataset) } else { block == dataset };
    (is_meant && node.entry("source").is_some()).then_some(node)
}

fn is_named(item: &Node<'_>, name: &str) -> bool {
    use super::tree::Value;
    item.entry("name").is_some_and(|(_, node)| matches!(&node.value, Value::Scalar(_, text) if text == name))
}

/// Returns the leaves that are values of a recipe.
#[cfg(test)]
pub(super) fn settings(recipe: &Recipe) -> crate::leaf::Leaves {
    let versions = crate::code::CodeVersions::default();
    let mut leaves = crate::key::LeafCollector::new(&versions);
    recipe.decide(&mut leaves);
    for dataset in &recipe.datasets {
        leaves.within(&dataset.name, |leaves| {
            dataset.decide(leaves);
            dataset.options.decide(leaves);
            decide_role(dataset.role, leaves);
            decide_selection(&dataset.filters, dataset.take, leaves);
        });
    }
    recipe.validation.decide(&mut leaves);
    leaves.setting(Setting::Unit, &recipe.mix.unit);
    leaves.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Vocabulary, load},
        leaf::Leaves,
    };

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

    fn leaves(text: &str) -> Leaves {
        settings(&load("r.yaml", text.as_bytes(), &Vocabulary::default()).unwrap())
    }

    #[test]
    fn leaves_are_what_decides_and_can_be_found() {
        let leaves = leaves(TEXT);
        let shown: Vec<String> = leaves
            .iter()
            .map(|(leaf, value)| format!("{leaf} = {value} @ {:?}", locate(TEXT.as_bytes(), leaf)))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
        let filter = |number| Leaf::Dataset { dataset: "a of b".to_owned(), setting: Setting::Filter(number) };
        assert_eq!([0, 1].map(|number| locate(TEXT.as_bytes(), &filter(number))), [Some((10, 9)), Some((11, 9))]);
        assert_eq!(locate(TEXT.as_bytes(), &filter(2)), None);
        let option = Leaf::Dataset { dataset: "a of b".to_owned(), setting: Setting::Option("k".to_owned()) };
        assert_eq!(locate(TEXT.as_bytes(), &option), Some((8, 15)));
        assert_eq!(locate(b": [", &Leaf::Recipe { setting: Setting::Datasets }), None);
    }

    #[test]
    fn notes_spelling_and_comments_decide_nothing() {
        let other = TEXT
            .replace("not a leaf", "still none")
            .replace("seed: 7", "seed: 7.0 # lucky\n  ratio: 5.0e-2")
            .replace("phase: sft", "\"phase\": 'sft'\n  total_tokens: 10_000\n  version: 3");
        assert_eq!(leaves(&other), leaves(TEXT));
        assert_ne!(leaves(&TEXT.replace("seed: 7", "seed: 8")), leaves(TEXT));
    }

    #[test]
    fn items_with_commas_are_told_from_two_items() {
        assert_eq!(list(&["a, b"]), "\"a, b\"");
        assert_eq!(list(&["a", "b/c"]), "a, b/c");
        assert_eq!(list(&[""]), "\"\"");
    }
}
