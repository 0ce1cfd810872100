//! Reads typed values from nodes, and reports what they should have been.

use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use super::{
    super::{
        problem::{self, Fault},
        tree::{Key, Node, Scalar, Value, quoted},
    },
    Checker, places,
    rules::{did_you_mean, list_of, suggest},
};

/// The entries of a mapping whose keys have been checked.
pub(super) struct Fields<'n, 't> {
    entries: &'n [(Key<'t>, Node<'t>)],
    /// Span at which a missing key is reported.
    anchor: Range<usize>,
    /// Description of the mapping.
    place: Cow<'static, str>,
}

impl<'n, 't> Fields<'n, 't> {
    /// Returns the value under `name`; null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node<'t>> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node).filter(|node| !node.is_null())
    }
}

impl Fields<'_, '_> {
    /// Returns whether there is a key that is not among `known`.
    pub(super) fn has_other(&self, known: &[&str]) -> bool {
        self.entries.iter().any(|(key, _)| !known.contains(&key.name.as_ref()))
    }
}

impl Checker<'_> {
    pub(super) fn report(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Reads a mapping and reports keys that are not `known`; missing keys will be reported at `anchor`.
    pub(super) fn fields<'n, 't>(
        &mut self,
        node: &'n Node<'t>,
        anchor: Option<&Key<'_>>,
        place: impl Into<Cow<'static, str>>,
        known: &[&str],
    ) -> Option<Fields<'n, 't>> {
        let place = place.into();
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Refused => return None,
            _ => {
                let shown = known.first().map_or(String::new(), |key| format!("begin with `{key}: …`"));
                self.report(
                    Fault::new(
                        problem::WRONG_TYPE,
                        &node.span,
                        format!("{place} must be a mapping, found {}", node.describe()),
                    )
                    .label("not a mapping")
                    .hint(shown),
                );
                return None;
            }
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_ref())) {
            self.unknown_key(key, &place, known);
        }
        let first = entries.first().map_or(&node.span, |(key, _)| &key.span);
        Some(Fields { entries, anchor: anchor.map_or(first, |key| &key.span).clone(), place })
    }

    fn unknown_key(&mut self, key: &Key<'_>, place: &str, known: &[&str]) {
        let name = key.name.as_ref();
        let elsewhere = || {
            let mut others = places();
            others.retain(|(home, _)| *home != place);
            let exact = others.iter().find(|(_, keys)| keys.contains(&name)).map(|(home, _)| (name, home));
            let (meant, home) =
                exact.or_else(|| others.iter().find_map(|(home, keys)| Some((did_you_mean(name, keys)?, home))))?;
            Some(format!("`{meant}` belongs to {home}"))
        };
        // Lengths in tokens are lengths in another unit.
        let in_tokens = [("min_tokens", "min_length"), ("max_tokens", "max_length")];
        let in_tokens = in_tokens.iter().find(|(word, key)| *word == name && known.contains(key));
        let hint = in_tokens
            .map(|(_, key)| format!("write `{key}` with `unit: tokens`"))
            .or_else(|| did_you_mean(name, known).map(|word| format!("did you mean `{word}`?")))
            .or_else(elsewhere)
            .unwrap_or_else(|| format!("known keys of {place}: {}", list_of(known)));
        self.report(
            Fault::new(problem::UNKNOWN_KEY, &key.span, format!("unknown key {} in {place}", quoted(name)))
                .label("unknown key")
                .hint(hint),
        );
    }

    /// Returns the value under `name`, or reports that it is missing.
    pub(super) fn required<'n, 't>(&mut self, fields: &Fields<'n, 't>, name: &str, hint: &str) -> Option<&'n Node<'t>> {
        let node = fields.get(name);
        if node.is_none() {
            let nothing = fields.entries.iter().find(|(key, _)| key.name == name);
            let (span, label) = match nothing {
                Some((key, _)) => (&key.span, "has no value".to_owned()),
                None => (&fields.anchor, format!("no `{name}` here")),
            };
            self.report(
                Fault::new(problem::MISSING_KEY, span, format!("{} needs `{name}`", fields.place))
                    .label(label)
                    .hint(hint),
            );
        }
        node
    }

    pub(super) fn wrong_type(&mut self, node: &Node<'_>, key: &str, expected: &str, hint: Option<String>) {
        // The parser has reported what it refused.
        if node.value != Value::Refused {
            let message = format!("`{key}` must be {expected}, found {}", node.describe());
            self.report(
                Fault::new(problem::WRONG_TYPE, &node.span, message)
                    .label(format!("expected {expected}"))
                    .maybe_hint(hint),
            );
        }
    }

    /// Reads a scalar as it is spelled.
    pub(super) fn text<'n>(&mut self, node: &'n Node<'_>, key: &str) -> Option<&'n str> {
        if let Value::Scalar(Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Text, text) = &node.value {
            return Some(text);
        }
        self.wrong_type(node, key, "text", None);
        None
    }

    /// Reads a name: a text that is not empty and has no control characters.
    pub(super) fn name<'n>(&mut self, node: &'n Node<'_>, key: &str) -> Option<&'n str> {
        let text = self.text(node, key)?;
        if text.trim().is_empty() {
            self.report(Fault::new(problem::EMPTY_VALUE, &node.span, format!("`{key}` is empty")).label("empty"));
            return None;
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            let message = format!("`{key}` contains the control character `{}`", control.escape_default());
            self.report(Fault::new(problem::BAD_CHARACTER, &node.span, message).hint("remove it"));
            return None;
        }
        Some(text)
    }

    /// Reads an integer of at least `min`.
    pub(super) fn integer(&mut self, node: &Node<'_>, key: &str, min: u64) -> Option<u64> {
        // 2^53: from here on, a float does not determine an integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let found = match &node.value {
            Value::Scalar(Scalar::Int(value), _) => *value,
            Value::Scalar(Scalar::Float(value), _) if !value.is_finite() => {
                self.not_finite(node, key);
                return None;
            }
            Value::Scalar(Scalar::Float(value), _) if value.fract() == 0.0 && value.abs() <= EXACT => *value as i128,
            // An integer in YAML 1.1, text in YAML 1.2.
            Value::Scalar(Scalar::Text, text) if is_grouped(text) => text.replace('_', "").parse().unwrap_or(i128::MAX),
            Value::Scalar(Scalar::Text, text) => {
                let hint = match text.parse::<i128>() {
                    Ok(_) if text.starts_with('0') => Some("remove the leading zero".to_owned()),
                    Ok(_) => Some(format!("remove the quotes around `{text}`")),
                    Err(_) => grouped_by_commas(text).map(|plain| format!("write `{plain}`")),
                };
                self.wrong_type(node, key, "an integer", hint);
                return None;
            }
            _ => {
                self.wrong_type(node, key, "an integer", None);
                return None;
            }
        };
        match u64::try_from(found) {
            Ok(value) if value >= min => Some(value),
            _ => {
                let bound =
                    if found < i128::from(min) { format!("at least {min}") } else { format!("at most {}", u64::MAX) };
                let message = format!("`{key}` must be {bound}, found {}", spelled(node));
                self.report(Fault::new(problem::OUT_OF_RANGE, &node.span, message).label(bound));
                None
            }
        }
    }

    /// Reads a finite number.
    pub(super) fn number(&mut self, node: &Node<'_>, key: &str) -> Option<f64> {
        match &node.value {
            Value::Scalar(Scalar::Float(value), _) if !value.is_finite() => {
                self.not_finite(node, key);
                None
            }
            Value::Scalar(Scalar::Float(value), _) => Some(*value),
            Value::Scalar(Scalar::Int(value), _) => Some(*value as f64),
            Value::Scalar(Scalar::Text, text) => {
                let hint = if text.parse::<f64>().is_ok_and(f64::is_finite) {
                    Some(format!("remove the quotes around `{text}`"))
                } else if let Some(percent) = text.strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok()) {
                    Some(format!("write {text} as `{}`", super::rules::decimal(percent / 100.0)))
                } else if text.contains(',') {
                    Some("use a decimal point".to_owned())
                } else {
                    None
                };
                self.wrong_type(node, key, "a number", hint);
                None
            }
            _ => {
                self.wrong_type(node, key, "a number", None);
                None
            }
        }
    }

    /// Reads a number for which `allowed` holds; `bounds` describes the allowed numbers.
    pub(super) fn number_in(
        &mut self,
        node: &Node<'_>,
        key: &str,
        bounds: &str,
        allowed: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let value = self.number(node, key)?;
        if allowed(value) {
            // Minus zero equals zero, but would give another cache key.
            return Some(value + 0.0);
        }
        // A value below 5 may as well be another kind of mistake.
        let hint = ((5.0..=100.0).contains(&value) && allowed(value / 100.0))
            .then(|| format!("write {}% as `{}`", super::rules::decimal(value), super::rules::decimal(value / 100.0)));
        let message = format!("`{key}` must be {bounds}, found {}", spelled(node));
        self.report(
            Fault::new(problem::OUT_OF_RANGE, &node.span, message).label(format!("must be {bounds}")).maybe_hint(hint),
        );
        None
    }

    fn not_finite(&mut self, node: &Node<'_>, key: &str) {
        let message = format!("`{key}` must be a finite number, found {}", spelled(node));
        self.report(Fault::new(problem::NOT_FINITE, &node.span, message).label("not a finite number"));
    }

    pub(super) fn boolean(&mut self, node: &Node<'_>, key: &str) -> Option<bool> {
        let hint = match &node.value {
            Value::Scalar(Scalar::Bool(value), _) => return Some(*value),
            Value::Scalar(_, text) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "1" | "y" | "true" => Some("write `true`"),
                "no" | "off" | "0" | "n" | "false" => Some("write `false`"),
                _ => None,
            },
            _ => None,
        };
        self.wrong_type(node, key, "`true` or `false`", hint.map(str::to_owned));
        None
    }

    /// Reads one of the words in `table`.
    pub(super) fn word<T: Copy>(&mut self, node: &Node<'_>, key: &str, table: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, key)?;
        if let Some((_, value)) = table.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
        let message = format!("unknown `{key}` {}", quoted(text));
        self.report(
            Fault::new(problem::UNKNOWN_WORD, &node.span, message).label("unknown").hint(suggest(text, &words)),
        );
        None
    }

    /// Reads a name or a list of names, and applies `rule` to each; `None` if any is invalid.
    pub(super) fn names(
        &mut self,
        node: &Node<'_>,
        key: &str,
        mut rule: impl FnMut(&mut Self, &Node<'_>, &str) -> Option<String>,
    ) -> Option<Vec<String>> {
        let items = match &node.value {
            Value::List(items) if items.is_empty() => {
                let fault = Fault::new(problem::EMPTY_VALUE, &node.span, format!("`{key}` is an empty list"));
                self.report(fault.label("empty").hint("list at least one"));
                return None;
            }
            Value::List(items) => items.as_slice(),
            Value::Map(_) => {
                self.wrong_type(node, key, "a name or a list of names", None);
                return None;
            }
            Value::Scalar(..) | Value::Refused => std::slice::from_ref(node),
        };
        let mut names: Vec<String> = Vec::with_capacity(items.len());
        let mut seen = BTreeSet::new();
        let mut sound = true;
        for item in items {
            let Some(name) = self.name(item, key).and_then(|text| rule(self, item, text)) else {
                sound = false;
                continue;
            };
            if !seen.insert(name.clone()) {
                let message = format!("`{key}` lists {} twice", quoted(&name));
                self.report(
                    Fault::new(problem::DUPLICATE_NAME, &item.span, message).label("already listed").hint("remove one"),
                );
            }
            names.push(name);
        }
        sound.then_some(names)
    }
}

/// Returns a value as spelled, quoted for a message.
pub(super) fn spelled(node: &Node<'_>) -> String {
    match &node.value {
        Value::Scalar(_, text) => quoted(text),
        _ => node.describe(),
    }
}

/// Returns whether `text` consists of digits with underscores between them.
fn is_grouped(text: &str) -> bool {
    text.contains('_')
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// Rewrites `10,000` or `50k` as plain digits.
fn grouped_by_commas(text: &str) -> Option<String> {
    if let Some(thousands) = text.strip_suffix(['k', 'K']).and_then(|n| n.parse::<u64>().ok()) {
        return Some(format!("{thousands}000"));
    }
    let plain = text.replace([',', '\'', ' '], "");
    (plain != text && plain.bytes().all(|b| b.is_ascii_digit()) && !plain.is_empty()).then_some(plain)
}
