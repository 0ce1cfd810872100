//! The tree that the parser builds and the checker walks.

use std::{borrow::Cow, ops::Range};

/// A node of a YAML or TOML document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'t> {
    /// Span in the text, in bytes.
    pub(super) span: Range<usize>,
    /// Value of the node.
    pub(super) value: Value<'t>,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'t> {
    /// A single value: its meaning and its spelling.
    Scalar(Scalar, Cow<'t, str>),
    /// A sequence.
    List(Vec<Node<'t>>),
    /// A mapping in the order of the text, with unique keys.
    Map(Vec<(Key<'t>, Node<'t>)>),
    /// Something that has been reported, such as an alias; readers ignore it.
    Refused,
}

/// Value of a scalar under YAML's core schema, or in TOML.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 128 bits, so that one too large for its key is still known to be a number.
    Int(i128),
    /// Any other number, including infinity and NaN.
    Float(f64),
    /// A date or a time, which TOML has and YAML's core schema has not.
    Date,
    /// Everything else.
    Text,
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key<'t> {
    /// Span in the text, in bytes.
    pub(super) span: Range<usize>,
    /// The key as spelled.
    pub(super) name: Cow<'t, str>,
}

impl<'t> Node<'t> {
    /// Returns whether the node is null. A key without a value counts as absent.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null, _))
    }

    /// Returns the entry under `name`, if the node is a mapping that has it.
    pub(super) fn entry(&self, name: &str) -> Option<(&Key<'t>, &Node<'t>)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node)),
            _ => None,
        }
    }

    /// Returns the items of a sequence; none if the node is not a sequence.
    pub(super) fn items(&self) -> &[Node<'t>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Returns a description of the node for a message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(Scalar::Null, _) => "nothing".into(),
            Value::Scalar(Scalar::Bool(value), _) => format!("the boolean `{value}`"),
            Value::Scalar(Scalar::Int(_) | Scalar::Float(_), text) => format!("the number `{text}`"),
            Value::Scalar(Scalar::Date, text) => format!("the date `{text}`"),
            Value::Scalar(Scalar::Text, text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Refused => "something refused".into(),
        }
    }
}

/// Quotes `text` in backticks, shortened and with control characters escaped, for one line of a message.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(visible).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn visible(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}
