//! Why a recipe is in its state, typed from where a reason arises to where it is shown.
//!
//! The words are only here, for the command, for JSON reports and for whatever else shows them. They are never
//! parsed.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::leaf::{Change, Leaf, Value};

/// A reason why a recipe is not up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum StaleReason {
    /// Something that outputs depend on has changed since the last build.
    Changed(Change),
    /// The recipe has never been built.
    NeverBuilt,
    /// The recipe has never been built here, but the cache has its results.
    NeverWritten,
    /// A source is not pinned.
    NotPinned {
        /// The source, as given in the recipe.
        source: String,
    },
    /// An output has other bytes than datac wrote.
    EditedByHand {
        /// Name of the output.
        file: String,
    },
    /// An output does not exist.
    Missing {
        /// Name of the output.
        file: String,
        /// Where its bytes can come from.
        from: Recovery,
    },
    /// A quarantine file was left by a build that was refused.
    LeftByRefusal {
        /// Name of the file.
        file: String,
    },
    /// The recipe was deleted, but its outputs exist.
    RecipeGone {
        /// Names of the outputs.
        left: Vec<String>,
    },
    /// The recipe cannot be built.
    Impossible {
        /// The failure.
        message: String,
    },
}

/// Where the bytes of a missing output can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recovery {
    /// The cache has everything that the output is made of.
    Cache,
    /// Actions have to run.
    Build,
}

/// A reason, as serialized to JSON.
#[derive(Serialize, JsonSchema)]
struct Shown<'a> {
    /// The reason in words, such as `mix_ratio of alpaca 1.0 -> 0.7`.
    text: String,
    /// The change, if the reason is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a Change>,
}

impl StaleReason {
    /// Returns the change, if the reason is one.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Changed(change) => Some(change),
            _ => None,
        }
    }
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(change) => change.fmt(f),
            Self::NeverBuilt => f.write_str("never built"),
            Self::NeverWritten => f.write_str("never written here; can be restored from the cache"),
            Self::NotPinned { source } => write!(f, "{source} is not in datac.lock"),
            Self::EditedByHand { file } => write!(f, "{file} was edited by hand"),
            Self::Missing { file, from: Recovery::Cache } => {
                write!(f, "{file} is missing; can be restored from the cache")
            }
            Self::Missing { file, from: Recovery::Build } => write!(f, "{file} is missing"),
            Self::LeftByRefusal { file } => write!(f, "{file} is from a failed build"),
            Self::RecipeGone { left } => write!(f, "the recipe is gone; remaining files: {}", left.join(", ")),
            Self::Impossible { message } => f.write_str(message),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: leaf, old, new } = self;
        match (leaf, old, new) {
            (Leaf::Converter { .. }, Some(old), Some(new)) => match (old, new) {
                (Value::Code { name, version }, Value::Code { name: same, version: now }) if name == same => {
                    write!(f, "converter {name} {version} -> {now}")
                }
                _ => write!(f, "converter {old} -> {new}"),
            },
            (Leaf::Converter { .. }, None, Some(new)) => write!(f, "converter {new}"),
            (Leaf::Converter { .. }, Some(old), None) => write!(f, "converter {old} no longer used"),
            (Leaf::Function { function, path }, ..) => changed_file(f, "converter", (function, path), (old, new)),
            (Leaf::FilterFunction { function, path }, ..) => changed_file(f, "filter", (function, path), (old, new)),
            (Leaf::Code(_), None, Some(new)) => write!(f, "{leaf} {new}"),
            (Leaf::Code(_), Some(old), None) => write!(f, "{leaf} {old} no longer used"),
            (_, Some(old), Some(new)) => write!(f, "{leaf} {} -> {}", old.short(), new.short()),
            (_, None, Some(new)) => write!(f, "{leaf} added: {}", new.short()),
            (_, Some(old), None) => write!(f, "{leaf} removed (was {})", old.short()),
            (_, None, None) => leaf.fmt(f),
        }
    }
}

/// Says what became of a file that decides what a function does; of its module, as the source of the function.
fn changed_file(
    f: &mut fmt::Formatter<'_>,
    of: &str,
    (function, path): (&str, &str),
    (old, new): (&Option<Value>, &Option<Value>),
) -> fmt::Result {
    let is_module = function.rsplit_once(':').is_some_and(|(module, _)| module == path);
    match (is_module, old, new) {
        (true, None, _) => write!(f, "{of} {function} added"),
        (true, Some(_), Some(_)) => write!(f, "{of} {function}: source changed"),
        (true, Some(_), None) => write!(f, "{of} {function} no longer used"),
        (false, None, _) => write!(f, "{of} {function}: depends on {path} now"),
        (false, Some(_), Some(_)) => write!(f, "{of} {function}: {path} changed"),
        (false, Some(_), None) => write!(f, "{of} {function}: no longer depends on {path}"),
    }
}

/// As words and the change in readable formats, as derived in binary ones.
impl Serialize for StaleReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Shown { text: self.to_string(), change: self.change() }.serialize(serializer);
        }
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for StaleReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl JsonSchema for StaleReason {
    fn schema_name() -> Cow<'static, str> {
        "Reason".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shown::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{code::Component, leaf::Setting};

    fn changed(name: Leaf, old: Option<Value>, new: Option<Value>) -> StaleReason {
        StaleReason::Changed(Change { name, old, new })
    }

    #[test]
    fn changes_are_told_in_the_words_of_a_recipe() {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let code = |name: &str, version| Some(Value::Code { name: name.to_owned(), version });
        let dataset = || "alpaca".to_owned();
        let ratio = || Leaf::Dataset { dataset: dataset(), setting: Setting::MixRatio };
        let converter = || Leaf::Converter { dataset: dataset() };
        let scorer = || Leaf::Code(Component::Scorer("length".into()));
        let commit = Leaf::Commit { repo: "tatsu-lab/alpaca".to_owned() };
        let hash = |hash: &str| Some(Value::Hash(hash.to_owned()));
        let of_function =
            |path: &str| Leaf::Function { function: "py/chat.py:to_sample".to_owned(), path: path.to_owned() };
        let reasons = [
            (changed(ratio(), text("1.0"), text("0.7")), "mix_ratio of alpaca 1.0 -> 0.7"),
            (changed(ratio(), None, text("0.7")), "mix_ratio of alpaca added: 0.7"),
            (changed(ratio(), text("1.0"), None), "mix_ratio of alpaca removed (was 1.0)"),
            (changed(converter(), code("alpaca", 1), code("alpaca", 2)), "converter alpaca 1 -> 2"),
            (changed(converter(), code("alpaca", 1), code("text", 1)), "converter alpaca 1 -> text 1"),
            (changed(converter(), None, code("text", 1)), "converter text 1"),
            (changed(converter(), code("text", 1), None), "converter text 1 no longer used"),
            (changed(scorer(), Some(Value::Version(1)), Some(Value::Version(2))), "scorer length 1 -> 2"),
            (changed(scorer(), None, Some(Value::Version(1))), "scorer length 1"),
            (changed(scorer(), Some(Value::Version(1)), None), "scorer length 1 no longer used"),
            (
                changed(of_function("py/chat.py"), hash("a"), hash("b")),
                "converter py/chat.py:to_sample: source changed",
            ),
            (
                changed(of_function("py/words.txt"), hash("a"), hash("b")),
                "converter py/chat.py:to_sample: py/words.txt changed",
            ),
            (
                changed(of_function("py/words.txt"), None, hash("b")),
                "converter py/chat.py:to_sample: depends on py/words.txt now",
            ),
            (
                changed(
                    Leaf::FilterFunction { function: "py/tone.py:tone".to_owned(), path: "py/tone.py".to_owned() },
                    hash("a"),
                    hash("b"),
                ),
                "filter py/tone.py:tone: source changed",
            ),
            (
                changed(commit, hash("0123456789abcdef0123456789abcdef01234567"), hash("blake3:aaaaaaaaaaaaaaaa")),
                "commit of tatsu-lab/alpaca 0123456789 -> aaaaaaaaaa",
            ),
        ];
        for (reason, words) in &reasons {
            assert_eq!(reason.to_string(), *words);
            let stored = postcard::to_stdvec(reason).unwrap();
            assert_eq!(postcard::from_bytes::<StaleReason>(&stored).unwrap(), *reason, "binary formats keep the type");
            assert_eq!(serde_json::to_value(reason).unwrap()["text"], *words, "readable ones have the words");
        }
    }
}
