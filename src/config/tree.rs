//! The tree both parsers build and the one walk over it reads.

use std::{borrow::Cow, ops::Range};

/// A YAML node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'t> {
    /// Where it stands, in bytes; `0..0` in a tree without positions.
    pub(super) span: Range<usize>,
    /// What it is.
    pub(super) value: Value<'t>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'t> {
    /// A single value: what it resolves to, and its spelling if the parser kept it.
    Scalar(Scalar, Option<Cow<'t, str>>),
    /// A sequence.
    List(Vec<Node<'t>>),
    /// A mapping in the order of the text, keys unique.
    Map(Vec<(Key<'t>, Node<'t>)>),
    /// Something already reported, such as an alias; every reader passes over it.
    Refused,
}

/// What a single value resolves to under YAML's core schema.
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
    /// Where it stands, in bytes.
    pub(super) span: Range<usize>,
    /// Its spelling.
    pub(super) name: Cow<'t, str>,
}

impl<'t> Node<'t> {
    /// Whether it is there but says nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null, _))
    }

    /// The node under `name`, if this is a mapping that has one.
    pub(super) fn entry(&self, name: &str) -> Option<(&Key<'t>, &Node<'t>)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node)),
            _ => None,
        }
    }

    /// The items, if this is a sequence.
    pub(super) fn items(&self) -> &[Node<'t>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// What it is, in words for a message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(Scalar::Null, _) => "nothing".into(),
            Value::Scalar(Scalar::Bool(value), _) => format!("the boolean `{value}`"),
            Value::Scalar(Scalar::Int(_) | Scalar::Float(_), Some(text)) => format!("the number `{text}`"),
            Value::Scalar(Scalar::Int(_) | Scalar::Float(_), None) => "a number".into(),
            Value::Scalar(Scalar::Text, Some(text)) => format!("the text {}", quoted(text)),
            Value::Scalar(Scalar::Text, None) => "text".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Refused => "something refused".into(),
        }
    }
}

/// `text` between backticks, shortened and with control characters escaped, fit for one line of a message.
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
