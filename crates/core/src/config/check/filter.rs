//! Checks the entries of `filters` against the keys that each scorer declares.

use std::fmt::Display;

use super::{
    super::{
        problem::{self, Fault},
        tree::{Node, Scalar, Value, quoted},
    },
    Checker, filter_keys, filter_place,
    read::Fields,
    rules::{language_meant, list_of},
};
use crate::{
    mapping::Path,
    quality::{
        self, Bound, BoundSpec, Ends, Filter, FunctionKeys, MIN_CERTAINTY, Passing, ScoreKind, Unknown, ValueKeys, iso,
    },
};

impl Checker<'_> {
    pub(super) fn filters(&mut self, node: &Node<'_>) -> Option<Vec<Filter>> {
        let Value::List(items) = &node.value else {
            let hint = "begin each filter with `- type: …`, or `- python: …`".to_owned();
            self.wrong_type(node, "filters", "a list", Some(hint));
            return None;
        };
        // Every item is checked before any result is used, so that all faults are reported.
        let filters: Vec<Option<Filter>> = items.iter().map(|item| self.filter(item)).collect();
        filters.into_iter().collect()
    }

    fn filter(&mut self, node: &Node<'_>) -> Option<Filter> {
        let types: Vec<(&str, ScoreKind)> = quality::filters().map(|scorer| (scorer.name(), scorer)).collect();
        if let Value::Scalar(Scalar::Text, text) = &node.value
            && types.iter().any(|(name, _)| name == text)
        {
            self.wrong_type(node, "filters", "a list of mappings", Some(format!("write `{{ type: {text} }}`")));
            return None;
        }
        let given = |key| node.entry(key).map(|(_, node)| node).filter(|node| !node.is_null());
        // A function says by itself what the filter does.
        let by_function = || quality::filters().find_map(|scorer| Some((scorer, given(key_of_function(scorer)?)?)));
        let (scorer, type_node) = if let Some(type_node) = given("type") {
            // Reports call a bound of tokens by its unit.
            if let Value::Scalar(Scalar::Text, unit) = &type_node.value
                && matches!(&**unit, "tokens" | "trained_tokens" | "characters")
            {
                let message = format!("unknown `type` `{unit}`");
                let hint = format!("write `type: length` with `unit: {unit}`");
                self.report(Fault::new(problem::UNKNOWN_WORD, &type_node.span, message).label("unknown").hint(hint));
                return None;
            }
            (self.word(type_node, "type", &types)?, type_node)
        } else if let Some(found) = by_function() {
            found
        } else {
            // Without a type, no key is known to be wrong.
            let all: Vec<&str> = match &node.value {
                Value::Map(entries) => entries.iter().map(|(key, _)| key.name.as_ref()).collect(),
                _ => vec!["type"],
            };
            let fields = self.fields(node, None, "a filter", &all)?;
            let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
            self.required(&fields, "type", &format!("one of {}", list_of(&names)));
            return None;
        };
        let fields = self.fields(node, None, filter_place(scorer), &filter_keys(scorer))?;
        let bound = match scorer.bound() {
            BoundSpec::Count(ends) => {
                let (min, max) =
                    self.ends(&fields, type_node, scorer, ends, "20", |this, node, key| this.integer(node, key, 0))?;
                Bound::Count { min, max }
            }
            BoundSpec::Fraction(ends) => {
                let (min, max) = self.ends(&fields, type_node, scorer, ends, "0.2", |this, node, key| {
                    this.number_in(node, key, "from 0 to 1", |score| (0.0..=1.0).contains(&score))
                })?;
                Bound::Fraction { min, max }
            }
            BoundSpec::Language(keys) => {
                let key = keys.languages.name;
                let languages = self.required(&fields, key, &format!("such as `{key}: [en]`"));
                let languages = languages.and_then(|node| self.names(node, key, Self::language));
                let certainty = self.or_default(&fields, keys.min_certainty.name, MIN_CERTAINTY, |this, node, key| {
                    this.number_in(node, key, "from 0 to 1", |certainty| (0.0..=1.0).contains(&certainty))
                });
                let unknown = self.or_default(&fields, keys.unknown.name, Unknown::default(), |this, node, key| {
                    this.word(node, key, Unknown::ALL)
                });
                Bound::Language { languages: languages?, min_certainty: certainty?, unknown: unknown? }
            }
            BoundSpec::Identity(key, methods) => {
                let words: Vec<(&str, &str)> = methods.iter().map(|word| (*word, *word)).collect();
                let method =
                    self.or_default(&fields, key.name, methods[0], |this, node, key| this.word(node, key, &words))?;
                Bound::Identity(method.to_owned())
            }
            BoundSpec::Value(keys) => self.value(&fields, type_node, scorer, keys)?,
            BoundSpec::Function(keys) => self.by_function(&fields, type_node, keys)?,
        };
        let units: Vec<(&str, ScoreKind)> =
            scorer.units().iter().filter_map(|(word, name)| Some((*word, quality::by_name(name)?))).collect();
        let scorer = self.or_default(&fields, "unit", scorer, |this, node, key| {
            let scorer = this.word(node, key, &units)?;
            if scorer.needs_model() && !this.has_model {
                let message = "`unit: trained_tokens` counts what a model is trained on, and the recipe has no `model`";
                let fault = Fault::new(problem::MODEL, &node.span, message).label("of which model?");
                this.report(fault.hint("add `model: Qwen/Qwen3-8B`, or the folder of a tokenizer"));
                return None;
            }
            Some(scorer)
        })?;
        Some(Filter { scorer, bound })
    }

    /// Checks a filter by the value of a column: numbers within limits, or one of some values.
    fn value(
        &mut self,
        fields: &Fields<'_, '_>,
        type_node: &Node<'_>,
        scorer: ScoreKind,
        keys: ValueKeys,
    ) -> Option<Bound> {
        let column = self.required(fields, keys.column.name, &format!("such as `{}: score`", keys.column.name));
        let column = column.and_then(|node| {
            let text = self.name(node, keys.column.name)?;
            if let Err(why) = Path::parse(text) {
                let message = format!("{} {why}", quoted(text));
                let fault = Fault::new(problem::COLUMNS, &node.span, message).label("neither a column nor a path");
                self.report(fault.hint("write a column, or a path such as `meta.scores[0]`"));
                return None;
            }
            Some(text.to_owned())
        });
        let missing = self
            .or_default(fields, keys.missing.name, Unknown::Drop, |this, node, key| this.word(node, key, Unknown::ALL));
        let is = self.optional(fields, keys.is.name, |this, node, key| {
            this.name(node, key).map(|text| vec![spelling(node, text)])
        });
        let one_of = self.optional(fields, keys.one_of.name, |this, node, key| {
            this.names(node, key, |_, node, text| Some(spelling(node, text)))
        });
        let given = |key: quality::Key| fields.get(key.name);
        let values = given(keys.is).or(given(keys.one_of));
        let other = given(keys.min).or(given(keys.max)).or(given(keys.is).and(given(keys.one_of)));
        if let (Some(_), Some(other)) = (values, other) {
            let message = format!(
                "`{}` or `{}`, `{}` and `{}` exclude each other",
                keys.min.name, keys.max.name, keys.is.name, keys.one_of.name
            );
            self.report(Fault::new(problem::BOUNDS, &other.span, message).label("another bound").hint("leave out one"));
            return None;
        }
        let passing = match is?.or(one_of?) {
            Some(values) => Passing::OneOf(values),
            None => {
                let ends = Ends { min: Some(keys.min), max: Some(keys.max) };
                let (min, max) = self.ends(fields, type_node, scorer, ends, "4", |this, node, key| {
                    this.number_in(node, key, "a number", |_| true)
                })?;
                Passing::Numbers { min, max }
            }
        };
        Some(Bound::Value { column: column?, passing, missing: missing? })
    }

    /// Checks a filter by a function in Python, with or without limits.
    fn by_function(&mut self, fields: &Fields<'_, '_>, type_node: &Node<'_>, keys: FunctionKeys) -> Option<Bound> {
        let function = self.required(fields, keys.python.name, &format!("such as `{}: {SCORER}`", keys.python.name));
        let function = function.and_then(|node| self.function(node, fields, SCORER));
        let missing = self
            .or_default(fields, keys.missing.name, Unknown::Drop, |this, node, key| this.word(node, key, Unknown::ALL));
        let number = |this: &mut Self, node: &Node<'_>, key: &str| this.number_in(node, key, "a number", |_| true);
        let min = self.optional(fields, keys.min.name, number);
        let max = self.optional(fields, keys.max.name, number);
        let (min, max) = (min?, max?);
        if self.cross(fields, type_node, (keys.min, min), (keys.max, max)) {
            return None;
        }
        Some(Bound::Function { function: function?, min, max, missing: missing? })
    }

    /// Reports limits that no score can meet; `true` if there are such.
    fn cross<T: Copy + Display + PartialOrd>(
        &mut self,
        fields: &Fields<'_, '_>,
        type_node: &Node<'_>,
        (low, min): (quality::Key, Option<T>),
        (high, max): (quality::Key, Option<T>),
    ) -> bool {
        let (Some(least), Some(greatest)) = (min, max) else { return false };
        if least <= greatest {
            return false;
        }
        let message = format!("`{}` ({least}) is greater than `{}` ({greatest})", low.name, high.name);
        let span = fields.get(low.name).map_or(&type_node.span, |node| &node.span);
        let fault = Fault::new(problem::BOUNDS, span, message).label("no score can pass");
        self.report(fault.hint("swap the two"));
        true
    }

    /// Checks the lowest and the highest score that pass: the only one that has a key, or at least one of two.
    fn ends<T: Copy + Display + PartialOrd>(
        &mut self,
        fields: &Fields<'_, '_>,
        type_node: &Node<'_>,
        scorer: ScoreKind,
        ends: Ends,
        example: &str,
        mut read: impl FnMut(&mut Self, &Node<'_>, &str) -> Option<T>,
    ) -> Option<(Option<T>, Option<T>)> {
        let (Some(low), Some(high)) = (ends.min, ends.max) else {
            let mut end = |key: Option<quality::Key>| match key {
                None => Some(None),
                Some(key) => {
                    let node = self.required(fields, key.name, &format!("such as `{}: {example}`", key.name))?;
                    read(self, node, key.name).map(Some)
                }
            };
            return Some((end(ends.min)?, end(ends.max)?));
        };
        let min = self.optional(fields, low.name, &mut read);
        let max = self.optional(fields, high.name, &mut read);
        let (min, max) = (min?, max?);
        match (min, max) {
            // A key that is not known was reported, and may well be the bound that was meant.
            (None, None) if fields.has_other(&filter_keys(scorer)) => None,
            (None, None) => {
                let message = format!("no minimum or maximum for the `{}` filter", scorer.name());
                let fault = Fault::new(problem::BOUNDS, &type_node.span, message).label("no minimum or maximum");
                let others = match scorer.bound() {
                    BoundSpec::Value(keys) => format!(", or `{}` or `{}`", keys.is.name, keys.one_of.name),
                    _ => String::new(),
                };
                self.report(fault.hint(format!("add `{}`, `{}` or both{others}", low.name, high.name)));
                None
            }
            _ if self.cross(fields, type_node, (low, min), (high, max)) => None,
            _ => Some((min, max)),
        }
    }

    fn language(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        if iso::by_code(text).is_some() {
            return Some(text.to_owned());
        }
        let hint = match language_meant(text) {
            Some(code) => format!("did you mean `{code}`?"),
            None => "two letters of ISO 639-1, such as `en`".to_owned(),
        };
        let message = format!("{} is not a language code", quoted(text));
        self.report(Fault::new(problem::LANGUAGE, &node.span, message).label("unknown language").hint(hint));
        None
    }
}

/// An example of a function that scores samples.
const SCORER: &str = "scorers/tone.py:politeness";

/// Returns the key for the function, if a function scores the samples.
fn key_of_function(scorer: ScoreKind) -> Option<&'static str> {
    if let BoundSpec::Function(keys) = scorer.bound() { Some(keys.python.name) } else { None }
}

/// Returns a value as columns are compared with it: a flag in small letters, everything else as it is spelled.
fn spelling(node: &Node<'_>, text: &str) -> String {
    match node.value {
        Value::Scalar(Scalar::Bool(flag), _) => flag.to_string(),
        _ => text.to_owned(),
    }
}
