//! Reads what is not mixed: `validation` and `test`, each a share of the mixture or a source of its own, and `exclude`.

use super::{
    super::{
        problem::{self, Fault},
        recipe::{Dataset, Overlap, SourceRole, SplitMethod, Take, Validation},
        tree::{Node, Scalar, Value, quoted},
    },
    Checker, TEST_KEYS, VALIDATION_KEYS, held_keys,
    read::Fields,
    unmixed_keys,
};
use crate::{outputs::Side, sample::SampleKind};

/// Where the rows of a side come from.
enum HeldOut {
    /// A share of the mixture.
    Share(f64),
    /// A source of its own.
    Source(Box<Dataset>),
    /// Other splits of each dataset.
    Splits(Vec<String>, Overlap),
}

/// The parts of a recipe that are not mixed.
#[derive(Default)]
pub(super) struct Unmixed {
    /// The sources that make up a side, and those that are excluded.
    pub(super) sources: Vec<Dataset>,
    /// The splits of each dataset that make up a side.
    splits: Vec<(Side, Vec<String>, Overlap)>,
}

impl Unmixed {
    /// Returns all sources of a recipe that mixes `mixed`.
    pub(super) fn with(self, mixed: Vec<Dataset>) -> Vec<Dataset> {
        let held = self.splits.into_iter().flat_map(|(side, splits, overlap)| {
            let of = |dataset: &Dataset| Dataset {
                name: format!("{} ({})", dataset.name, side.word()),
                written_as: Some(dataset.name.clone()),
                role: SourceRole::Held(side, overlap),
                mix_ratio: 0.0,
                splits: splits.clone(),
                take: Take::All,
                ..dataset.clone()
            };
            mixed.iter().map(of).collect::<Vec<_>>()
        });
        let held: Vec<Dataset> = held.collect();
        mixed.into_iter().chain(held).chain(self.sources).collect()
    }
}

impl Checker<'_> {
    /// Reads `validation`, `test` and `exclude` of a recipe whose samples are of `kind`.
    pub(super) fn held_out(
        &mut self,
        fields: &Fields<'_, '_>,
        root: &Node<'_>,
        kind: Option<SampleKind>,
    ) -> Option<(Validation, Unmixed)> {
        let mut unmixed = Unmixed::default();
        let mut validation = self.or_default(fields, "validation", Some(Validation::default()), |this, node, _| {
            this.validation(node, root, kind, &mut unmixed).map(Some)
        });
        let test = self.optional(fields, "test", |this, node, _| this.test(node, root, kind, &mut unmixed));
        let excluded = self.optional(fields, "exclude", |this, node, _| this.excluded(node, kind));
        if let (Some(Some(validation)), Some(test)) = (&mut validation, &test) {
            validation.test_ratio = test.unwrap_or(0.0);
        }
        test?;
        unmixed.sources.extend(excluded?.into_iter().flatten());
        Some((validation??, unmixed))
    }

    fn validation(
        &mut self,
        node: &Node<'_>,
        root: &Node<'_>,
        kind: Option<SampleKind>,
        unmixed: &mut Unmixed,
    ) -> Option<Validation> {
        let default = Validation::default();
        if self.is_none(node, "validation")? {
            return Some(Validation { ratio: 0.0, ..default });
        }
        let key = root.entry("validation").map(|(key, _)| key);
        let fields = self.fields(node, key, "`validation`", &held_keys(VALIDATION_KEYS))?;
        let seed = self.or_default(&fields, "seed", default.seed, |this, node, key| this.integer(node, key, 0));
        let stratified = self.or_default(&fields, "stratified", default.stratified, Self::boolean);
        let method = self
            .or_default(&fields, "method", default.method, |this, node, key| this.word(node, key, SplitMethod::ALL));
        let normalise = self.or_default(&fields, "normalise", default.normalise, Self::boolean);
        let ratio = self.side(&fields, Side::Validation, default.ratio, kind, unmixed);
        Some(Validation {
            ratio: ratio?,
            test_ratio: 0.0,
            seed: seed?,
            stratified: stratified?,
            method: method?,
            normalise: normalise?,
        })
    }

    /// Reads the `test` block; returns the share of the mixture.
    fn test(
        &mut self,
        node: &Node<'_>,
        root: &Node<'_>,
        kind: Option<SampleKind>,
        unmixed: &mut Unmixed,
    ) -> Option<f64> {
        if self.is_none(node, "test")? {
            return Some(0.0);
        }
        let key = root.entry("test").map(|(key, _)| key);
        let fields = self.fields(node, key, "`test`", &held_keys(TEST_KEYS))?;
        self.side(&fields, Side::Test, 0.05, kind, unmixed)
    }

    /// Returns whether a block is the word `none`; `None` if it is neither that nor a mapping.
    fn is_none(&mut self, node: &Node<'_>, key: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar(Scalar::Text, text) if text == "none" => Some(true),
            Value::Scalar(scalar, text) => {
                let is_path = *scalar == Scalar::Text && text.contains(['/', '.']);
                let hint = match is_path {
                    true => format!("write `{key}: {{ source: {} }}`", text.escape_debug()),
                    false => format!("write `{key}: none` to write no such file, or begin with `ratio: …`"),
                };
                self.wrong_type(node, key, "a mapping or `none`", Some(hint));
                None
            }
            _ => Some(false),
        }
    }

    /// Reads where the rows of a side come from; returns the share of the mixture, which is 0 beside a source.
    fn side(
        &mut self,
        fields: &Fields<'_, '_>,
        side: Side,
        ratio: f64,
        kind: Option<SampleKind>,
        unmixed: &mut Unmixed,
    ) -> Option<f64> {
        match self.held(fields, side, ratio, kind)? {
            HeldOut::Share(ratio) => return Some(ratio),
            HeldOut::Source(source) => unmixed.sources.push(*source),
            HeldOut::Splits(splits, overlap) => unmixed.splits.push((side, splits, overlap)),
        }
        Some(0.0)
    }

    fn held(&mut self, fields: &Fields<'_, '_>, side: Side, default: f64, kind: Option<SampleKind>) -> Option<HeldOut> {
        // Beside a source, `splits` are its own; without one they are those of each dataset, as `split` is.
        let split = if fields.get("source").is_some() || fields.get("split").is_some() { "split" } else { "splits" };
        let ways = ["ratio", "source", split];
        let given: Vec<&str> = ways.into_iter().filter(|key| fields.get(key).is_some()).collect();
        if let [first, second, ..] = given[..] {
            let span = fields.get(second).map_or(0..0, |node| node.span.clone());
            let message = format!("`{}` has both `{first}` and `{second}`", side.word());
            let fault = Fault::new(problem::CONTRADICTION, &span, message).label("rows come from one of them");
            self.report(fault.hint("keep one: `ratio` takes rows of the mixture, `source` and `split` name others"));
            return None;
        }
        let overlap = self.optional(fields, "overlap", |this, node, key| this.word(node, key, Overlap::ALL));
        if fields.get("source").is_some() {
            let name = self.held_name(fields, side.word());
            let dataset = self.entry(fields, kind, name, Some(0.0));
            let role = SourceRole::Held(side, overlap?.unwrap_or_default());
            return Some(HeldOut::Source(Box::new(Dataset { role, ..dataset? })));
        }
        if let Some(key) = unmixed_keys().find(|key| *key != split && fields.get(key).is_some()) {
            let span = fields.get(key).map_or(0..0, |node| node.span.clone());
            let message = format!("`{key}` in `{}` needs `source`", side.word());
            let fault = Fault::new(problem::MISSING_KEY, &span, message).label("of which source?");
            self.report(fault.hint("add the `source` that it is about"));
            return None;
        }
        if let Some(node) = fields.get(split) {
            let splits = self.names(node, split, Self::split);
            return Some(HeldOut::Splits(splits?, overlap?.unwrap_or_default()));
        }
        if let Some(node) = fields.get("overlap") {
            let message = "`overlap` needs `source` or `split`";
            let fault = Fault::new(problem::MISSING_KEY, &node.span, message).label("a share overlaps with nothing");
            self.report(fault.hint("remove it: rows with the same prompt are on one side anyway"));
            return None;
        }
        let ratio = self.or_default(fields, "ratio", default, |this, node, key| {
            this.number_in(node, key, "at least 0 and below 1", |ratio| (0.0..1.0).contains(&ratio))
        });
        ratio.map(HeldOut::Share)
    }

    fn held_name(&mut self, fields: &Fields<'_, '_>, default: &str) -> Option<String> {
        self.or_default(fields, "name", default.to_owned(), |this, node, key| this.name(node, key).map(str::to_owned))
    }

    /// Reads the sources whose prompts are left out.
    fn excluded(&mut self, node: &Node<'_>, kind: Option<SampleKind>) -> Option<Vec<Dataset>> {
        let Value::List(items) = &node.value else {
            self.wrong_type(node, "exclude", "a list", Some("begin each source with `- source: …`".to_owned()));
            return None;
        };
        let keys: Vec<&str> = unmixed_keys().collect();
        let mut entries = Vec::with_capacity(items.len());
        for (number, item) in (1..).zip(items) {
            let fields = self.fields(item, None, "an entry of `exclude`", &keys);
            entries.push(fields.and_then(|fields| {
                let name = self.held_name(&fields, &format!("exclude {number}"));
                Some(Dataset { role: SourceRole::Excluded, ..self.entry(&fields, kind, name, Some(0.0))? })
            }));
        }
        entries.into_iter().collect()
    }

    /// Reports sources that are not mixed and have the name of another one.
    pub(super) fn unique(&mut self, datasets: &[Dataset], root: &Node<'_>) {
        for (at, dataset) in datasets.iter().enumerate() {
            let is_taken = datasets[..at].iter().any(|other| other.name == dataset.name);
            if is_taken && !dataset.is_mixed() {
                let message = format!("two sources are named {}", quoted(&dataset.name));
                let block = dataset.role.side().map_or("exclude", Side::word);
                let span = root.entry(block).map_or(0..0, |(key, _)| key.span.clone());
                let fault = Fault::new(problem::DUPLICATE_NAME, &span, message).label("has a name that is taken");
                self.report(fault.hint("give it a `name` of its own"));
            }
        }
    }
}
