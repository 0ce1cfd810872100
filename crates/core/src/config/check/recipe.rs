//! Checks the recipe as a whole: its blocks, and the conditions between datasets.

use std::collections::BTreeMap;

use super::{
    super::{
        model::Model,
        problem::{self, Fault},
        recipe::{Amount, Deduplicate, Metadata, Mix, Recipe, SourceRole, Strategy, Unique, Unit},
        tree::{Node, Scalar, Value, quoted},
    },
    Checker, METADATA_KEYS, MIX_KEYS, RECIPE_KEYS,
    dataset::CheckedDataset,
    output,
    read::{Fields, spelled},
    rules::{decimal, did_you_mean, is_plain, list_of, percentage},
};
use crate::{
    outputs::Target,
    quality::{Bound, Filter, ScoreKind},
    sample::SampleKind,
};

/// The first words of phases, with the kind of sample of each.
pub(in super::super) const PHASES: &[(&str, SampleKind)] = &[
    ("sft", SampleKind::Conversation),
    ("dpo", SampleKind::Preference),
    ("rlaif", SampleKind::Prompt),
    ("pretrain", SampleKind::Text),
    ("midtrain", SampleKind::Text),
    ("kto", SampleKind::Labelled),
    ("prm", SampleKind::Stepwise),
    ("reward", SampleKind::Preference),
];

/// Maximum difference between the sum of shares and 1.0, so that thirds may be written as 0.333.
const SUM_TOLERANCE: f64 = 1e-3;

impl Checker<'_> {
    pub(super) fn recipe(&mut self, root: &Node<'_>) -> Option<Recipe> {
        if root.is_null() {
            let fault = Fault::of_file(problem::EMPTY, "the file is empty");
            self.report(fault.hint("a recipe needs at least `metadata` and `datasets`; see `docs/recipes.md`"));
            return None;
        }
        let fields = self.fields(root, None, "the recipe", RECIPE_KEYS)?;
        self.has_model = fields.get("model").is_some();
        let metadata = self.required(&fields, "metadata", "add `metadata: { phase: sft }`");
        let metadata = metadata.and_then(|node| self.metadata(node, root));
        let default_max = metadata.as_ref().and_then(|metadata| metadata.max_seq_length).filter(|max| *max > 0);
        // What rows are written as decides which columns sources can keep.
        let outputs = self.outputs(&fields, metadata.as_ref().map(|m| m.kind), default_max);
        self.has_ids = outputs.as_deref().is_some_and(output::have_ids_beside_columns);
        let datasets = self.required(&fields, "datasets", "add `datasets:` with `- name: …` and `source: …` under it");
        let entries = datasets.and_then(|node| self.datasets(node, metadata.as_ref().map(|m| m.kind)));
        let held_out = self.held_out(&fields, root, metadata.as_ref().map(|m| m.kind));
        let mix = match fields.get("mix") {
            Some(node) => self.mix(node, root),
            None => Some(Mix::default()),
        };
        let max_rejects = self.optional(&fields, "max_rejects", Self::amount);
        let model = self.model(&fields, root, metadata.as_ref().map(|m| m.kind), default_max);
        let expect = self.expectations(&fields, root);
        if let (Some(None), Some(outputs)) = (&model, &outputs) {
            self.needs_model(&fields, outputs);
        }
        let (validation, unmixed) = held_out?;
        let mixed = entries?.into_iter().map(|entry| entry.dataset).collect::<Option<_>>()?;
        let mut datasets = unmixed.with(mixed);
        let model = model?;
        if let Some(max) = model.as_ref().and_then(|model| model.max_tokens) {
            let bound = Bound::Count { min: None, max: Some(max) };
            let filter = Filter { scorer: ScoreKind::TOKENS, bound };
            let written = datasets.iter_mut().filter(|dataset| dataset.role != SourceRole::Excluded);
            written.for_each(|dataset| dataset.filters.push(filter.clone()));
        }
        self.unique(&datasets, root);
        self.expected_of(root, &datasets, &validation);
        let mut models = BTreeMap::new();
        let mut own = |(target, model): (Target, Option<Model>)| {
            models.extend(model.map(|model| (target.folder().into_owned(), model)));
            target
        };
        let outputs = outputs?.into_iter().map(&mut own).collect();
        Some(Recipe {
            metadata: metadata?,
            datasets,
            validation,
            mix: mix?,
            max_rejects: max_rejects?,
            model,
            outputs,
            models,
            expect: expect?,
        })
    }

    /// Reads an optional key: `Some(None)` if it is absent, `None` if its value is invalid.
    pub(super) fn optional<'n, 't, T>(
        &mut self,
        fields: &Fields<'n, 't>,
        key: &str,
        read: impl FnOnce(&mut Self, &'n Node<'t>, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        match fields.get(key) {
            None => Some(None),
            Some(node) => read(self, node, key).map(Some),
        }
    }

    /// Reads an optional key with a default.
    pub(super) fn or_default<'n, 't, T>(
        &mut self,
        fields: &Fields<'n, 't>,
        key: &str,
        default: T,
        read: impl FnOnce(&mut Self, &'n Node<'t>, &str) -> Option<T>,
    ) -> Option<T> {
        self.optional(fields, key, read).map(|value| value.unwrap_or(default))
    }

    fn metadata(&mut self, node: &Node<'_>, root: &Node<'_>) -> Option<Metadata> {
        let key = root.entry("metadata").map(|(key, _)| key);
        let fields = self.fields(node, key, "`metadata`", METADATA_KEYS)?;
        let phase = self.required(
            &fields,
            "phase",
            "add `phase: sft`, or `dpo`, `kto`, `prm`, `reward`, `rlaif`, `pretrain`, `midtrain`",
        );
        let phase = phase.and_then(|node| self.phase(node));
        let description = self.optional(&fields, "description", Self::prose);
        let total_tokens = self.optional(&fields, "total_tokens", |this, node, key| this.integer(node, key, 0));
        let max_seq_length = self.optional(&fields, "max_seq_length", |this, node, key| this.integer(node, key, 0));
        let version = self.optional(&fields, "version", |this, node, key| this.name(node, key).map(str::to_owned));
        let (phase, kind) = phase?;
        Some(Metadata {
            phase,
            kind,
            description: description?,
            total_tokens: total_tokens?,
            max_seq_length: max_seq_length?,
            version: version?,
        })
    }

    fn phase(&mut self, node: &Node<'_>) -> Option<(String, SampleKind)> {
        const LONGEST: usize = 64;
        let phase = self.name(node, "phase")?;
        let words: Vec<&str> = PHASES.iter().map(|(word, _)| *word).collect();
        let Some((_, kind)) = PHASES.iter().find(|(word, _)| phase.starts_with(word)) else {
            let hint = match did_you_mean(phase, &words) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("a phase starts with one of {}", list_of(&words)),
            };
            let message = format!("unknown phase {}", quoted(phase));
            self.report(Fault::new(problem::PHASE, &node.span, message).label("unknown").hint(hint));
            return None;
        };
        if !is_plain(phase) || phase.len() > LONGEST {
            let message = format!("phase {} cannot be part of a file name", quoted(phase));
            let hint = format!("at most {LONGEST} letters, digits, `.`, `_` and `-`");
            self.report(Fault::new(problem::PHASE, &node.span, message).label("unsafe").hint(hint));
            return None;
        }
        Some((phase.to_owned(), *kind))
    }

    /// Reads free text. Only characters that would garble a terminal are refused.
    fn prose(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        let text = self.text(node, key)?;
        if let Some(control) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            let message = format!("`{key}` contains the control character `{}`", control.escape_default());
            self.report(Fault::new(problem::BAD_CHARACTER, &node.span, message).hint("remove it"));
            return None;
        }
        Some(text.to_owned())
    }

    fn datasets(&mut self, node: &Node<'_>, kind: Option<SampleKind>) -> Option<Vec<CheckedDataset>> {
        let items = match &node.value {
            Value::List(items) if items.is_empty() => {
                let fault = Fault::new(problem::EMPTY_VALUE, &node.span, "`datasets` is an empty list");
                self.report(fault.label("empty").hint("add at least one `- name: …` with `source: …`"));
                return None;
            }
            Value::List(items) => items,
            _ => {
                let hint =
                    matches!(node.value, Value::Map(_)).then(|| "begin each dataset with `- name: …`".to_owned());
                self.wrong_type(node, "datasets", "a list", hint);
                return None;
            }
        };
        let mut entries: Vec<CheckedDataset> = Vec::with_capacity(items.len());
        let mut firsts = BTreeMap::new();
        for (i, item) in items.iter().enumerate() {
            let entry = self.dataset(item, items.len(), kind);
            if let Some((name, span)) = &entry.name {
                let first = *firsts.entry(name.clone()).or_insert(i);
                if first != i {
                    let message = format!("two datasets are named {}", quoted(name));
                    self.report(
                        Fault::new(problem::DUPLICATE_NAME, span, message)
                            .label(format!("dataset {} has the same name", first + 1))
                            .hint(format!("rename one, for example to `{}_{}`", name, i + 1)),
                    );
                }
            }
            entries.push(entry);
        }
        self.ratio_sum(&entries);
        Some(entries)
    }

    fn ratio_sum(&mut self, entries: &[CheckedDataset]) {
        // An invalid share has been reported; a sum without it would only confuse.
        let Some(shares) = entries.iter().map(|entry| entry.ratio.clone()).collect::<Option<Vec<_>>>() else { return };
        let sum: f64 = shares.iter().map(|(ratio, _)| ratio).sum();
        // The slack allows for rounding, as in 0.333 × 3.
        if (sum - 1.0).abs() <= SUM_TOLERANCE + 1e-9 {
            return;
        }
        let largest = (0..shares.len()).fold(0, |best, i| if shares[i].0 > shares[best].0 { i } else { best });
        let (ratio, span) = &shares[largest];
        let name = |i: usize| match &entries[i].name {
            Some((name, _)) => quoted(name),
            None => format!("dataset {}", i + 1),
        };
        let fixed = ratio + 1.0 - sum;
        let hint = if shares.len() == 1 {
            "a single dataset needs `mix_ratio: 1.0`".to_owned()
        } else if fixed > 0.0 && fixed < 1.0 {
            let verb = if sum < 1.0 { "raise" } else { "lower" };
            format!("{verb} {} to {}", name(largest), decimal(fixed))
        } else {
            let parts: Vec<String> = (0..shares.len())
                .take(6)
                .map(|i| format!("{} {}", name(i), decimal(shares[i].0 / sum)))
                .chain((shares.len() > 6).then(|| "…".to_owned()))
                .collect();
            format!("divide each share by the sum: {}", parts.join(", "))
        };
        let message = format!("the shares sum to {}, expected 1.0", decimal(sum));
        self.report(Fault::new(problem::RATIO_SUM, span, message).label("the largest share").hint(hint));
    }

    fn mix(&mut self, node: &Node<'_>, root: &Node<'_>) -> Option<Mix> {
        let key = root.entry("mix").map(|(key, _)| key);
        let fields = self.fields(node, key, "`mix`", MIX_KEYS)?;
        let strategy = self
            .or_default(&fields, "strategy", Strategy::Repeat, |this, node, key| this.word(node, key, Strategy::ALL));
        let total = self.optional(&fields, "total", |this, node, key| this.integer(node, key, 1));
        let unit = self.or_default(&fields, "unit", Unit::Rows, |this, node, key| this.word(node, key, Unit::ALL));
        let by = self.optional(&fields, "deduplicate", |this, node, key| this.word(node, key, Unique::ALL));
        let normalise = self.or_default(&fields, "normalise", false, Self::boolean);
        let (by, normalise) = (by?, normalise?);
        if let (None, Some(node)) = (by, fields.get("normalise")) {
            let fault = Fault::new(problem::MISSING_KEY, &node.span, "`normalise` in `mix` needs `deduplicate`");
            self.report(fault.label("of what?").hint("add `deduplicate: prompt` or `deduplicate: row`"));
            return None;
        }
        let deduplicate = by.map(|by| Deduplicate { by, normalise });
        Some(Mix { strategy: strategy?, total: total?, unit: unit?, deduplicate })
    }

    /// Reads a count, a fraction below 1, or a percentage.
    pub(super) fn amount(&mut self, node: &Node<'_>, key: &str) -> Option<Amount> {
        match &node.value {
            Value::Scalar(Scalar::Float(value), _) if (0.0..1.0).contains(value) => {
                return Some(Amount::Share(value + 0.0));
            }
            Value::Scalar(Scalar::Float(value), _) if *value == 1.0 => {
                let message = format!("`{key}: {}` is ambiguous", decimal(*value));
                let fault = Fault::new(problem::MAX_REJECTS, &node.span, message).label("one row, or all rows?");
                self.report(fault.hint("write `1` for one row, or `100%` for all rows"));
                return None;
            }
            Value::Scalar(Scalar::Text, text) if percentage(text).is_some() => {
                return percentage(text).map(Amount::Share);
            }
            Value::Scalar(Scalar::Int(value), _) if *value >= 0 => {
                return self.integer(node, key, 0).map(Amount::Count);
            }
            Value::Scalar(Scalar::Float(value), _) if !value.is_finite() || (value.fract() == 0.0 && *value > 1.0) => {
                return self.integer(node, key, 0).map(Amount::Count);
            }
            Value::Scalar(Scalar::Text, text) if text.contains('_') => {
                return self.integer(node, key, 0).map(Amount::Count);
            }
            Value::Refused => return None,
            _ => {}
        }
        let message = format!("`{key}` must be a count or a share, found {}", spelled(node));
        let fault = Fault::new(problem::MAX_REJECTS, &node.span, message).label("neither a count nor a share");
        self.report(fault.hint("write `100` for a number of rows, or `0.01` or `1%` for a share of them"));
        None
    }
}
