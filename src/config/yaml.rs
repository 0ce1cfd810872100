//! The YAML crate's only door: text to a tree without positions, quickly.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::tree::{Key, Node, Scalar, Value};

/// Keys whose value is text whatever it looks like, so that `version: 1.10` keeps its zero.
const TEXT_KEYS: &[&str] = &[
    "phase",
    "description",
    "version",
    "name",
    "source",
    "format",
    "text_field",
    "config_name",
    "revision",
    "converter",
    "type",
    "method",
    "strategy",
    "unit",
];

/// Why the YAML crate refused a text.
pub(super) struct Refusal {
    /// Its own words.
    pub(super) message: String,
    /// The byte it was at, if it says.
    pub(super) at: Option<usize>,
}

/// Parses one document; duplicate keys and tags are errors.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Refusal> {
    let deserializer = serde_yaml::Deserializer::from_str(text);
    Expect::Any
        .deserialize(deserializer)
        .map_err(|error| Refusal { at: error.location().map(|location| location.index()), message: error.to_string() })
}

/// What a plain scalar resolves to, by the same rules as in [`parse`].
pub(super) fn resolve(text: &str) -> Scalar {
    // Only a lone word of these characters can be more than text, and it cannot be read as a list or a mapping.
    let lone = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.~".contains(&b));
    let says_something = text == "~" || text.bytes().any(|b| b.is_ascii_alphanumeric());
    if text.is_empty() {
        return Scalar::Null;
    }
    if !lone || !says_something {
        return Scalar::Text;
    }
    match parse(text) {
        Ok(Node { value: Value::Scalar(scalar, _), .. }) => scalar,
        _ => Scalar::Text,
    }
}

/// What the next node is read as.
#[derive(Clone, Copy)]
enum Expect {
    /// Whatever it is.
    Any,
    /// Null, or a scalar by its spelling.
    Text,
    /// A mapping whose values are read as [`Expect::Text`].
    MapOfText,
}

impl<'de> DeserializeSeed<'de> for Expect {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        match self {
            Self::Text => deserializer.deserialize_option(TextVisitor),
            Self::Any => deserializer.deserialize_any(NodeVisitor { values: None }),
            Self::MapOfText => deserializer.deserialize_any(NodeVisitor { values: Some(Self::Text) }),
        }
    }
}

fn node<'de>(value: Value<'de>) -> Node<'de> {
    Node { span: 0..0, value }
}

fn text_node<'de>(text: Cow<'de, str>) -> Node<'de> {
    node(Value::Scalar(Scalar::Text, Some(text)))
}

fn number<'de>(scalar: Scalar) -> Node<'de> {
    node(Value::Scalar(scalar, None))
}

/// Reads null or the spelling of a scalar.
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_none<E>(self) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(text_node(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(text_node(Cow::Owned(text.to_owned())))
    }
}

/// Reads a key, which must be a scalar.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match deserializer.deserialize_str(TextVisitor)?.value {
            Value::Scalar(_, Some(name)) => Ok(name),
            _ => Err(D::Error::custom("a key must be text")),
        }
    }
}

/// Reads any node.
struct NodeVisitor {
    /// How the values of a mapping are read; `None`: by their keys.
    values: Option<Expect>,
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Null))
    }

    fn visit_none<E>(self) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Int(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Int(value.into())))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node<'de>, E> {
        // No key takes so much; the largest integer there is says the same.
        Ok(number(Scalar::Int(i128::try_from(value).unwrap_or(i128::MAX))))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Int(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(number(Scalar::Float(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(text_node(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(text_node(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Expect::Any)? {
            items.push(item);
        }
        Ok(node(Value::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut entries: Vec<(Key<'de>, Node<'de>)> = Vec::new();
        while let Some(name) = access.next_key_seed(KeySeed)? {
            // A valid mapping has a dozen keys: looking through them beats hashing.
            if entries.len() == super::spanned::MAX_KEYS {
                return Err(A::Error::custom("too many keys in one mapping"));
            }
            if entries.iter().any(|(key, _)| key.name == name) {
                return Err(A::Error::custom(format!("duplicate key `{name}`")));
            }
            let expect = match (self.values, name.as_ref()) {
                (Some(expect), _) => expect,
                (None, "options") => Expect::MapOfText,
                (None, name) if TEXT_KEYS.contains(&name) => Expect::Text,
                (None, _) => Expect::Any,
            };
            let value = access.next_value_seed(expect)?;
            entries.push((Key { span: 0..0, name }, value));
        }
        Ok(node(Value::Map(entries)))
    }
}
