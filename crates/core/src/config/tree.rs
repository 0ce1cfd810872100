//! The tree that the parser builds and the checker walks.

use std::{borrow::Cow, ops::Range};

/// A YAML node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'t> {
    /// The bytes of the text that it spans.
    pub(super) span: Range<usize>,
    /// The value at that place.
    pub(super) value: Value<'t>,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'t> {
    /// A single value: what it resolves to, and its spelling.
    Scalar(Scalar, Cow<'t, str>),
    /// A sequence.
    List(Vec<Node<'t>>),
    /// A mapping in the order of the text, keys unique.
    Map(Vec<(Key<'t>, Node<'t>)>),
    /// Something already reported, such as an alias; every reader passes over it.
    Refused,
}

/// Value of a scalar under YAML's core schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer; 128 bits so that one too large for its key is told from one that is no number.
    Int(i128),
    /// Any other number, infinite and NaN among them.
    Float(f64),
    /// Everything else.
    Text,
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key<'t> {
    /// The bytes of the text that it spans.
    pub(super) span: Range<usize>,
    /// The key as it is spelled.
    pub(super) name: Cow<'t, str>,
}

impl<'t> Node<'t> {
    /// Returns whether this is a null: a key without a value counts as absent.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null, _))
    }

    /// Returns the entry under `name`, if this is a mapping that has one.
    pub(super) fn entry(&self, name: &str) -> Option<(&Key<'t>, &Node<'t>)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node)),
            _ => None,
        }
    }

    /// Returns the items of a sequence; none of any other node.
    pub(super) fn items(&self) -> &[Node<'t>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Describes the node in words for a message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(Scalar::Null, _) => "nothing".into(),
            Value::Scalar(Scalar::Bool(value), _) => format!("the boolean `{value}`"),
            Value::Scalar(Scalar::Int(_) | Scalar::Float(_), text) => format!("the number `{text}`"),
            Value::Scalar(Scalar::Text, text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Refused => "something refused".into(),
        }
    }
}

/// Puts `text` between backticks, shortened and with control characters escaped, fit for one line of a message.
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
