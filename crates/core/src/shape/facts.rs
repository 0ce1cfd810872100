//! What the samples of an output have, taken together: which columns its rows need, and of what types.
//!
//! Readers such as `datasets` fix the columns and types of a file by its first rows. So all rows of an output have the same
//! columns, those that any of its samples needs, and a row without a value there says `null`.

use std::{borrow::Cow, collections::BTreeMap};

use crate::sample::{Body, Content, Message, Quoted, SampleView};

/// A set of things that a sample may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u16);

impl Features {
    /// Tools that the model may call.
    pub const TOOLS: Self = Self(1);
    /// A final answer or ground truth.
    pub const ANSWER: Self = Self(1 << 1);
    /// A margin between two answers.
    pub const MARGIN: Self = Self(1 << 2);
    /// Messages that call tools.
    pub const CALLS: Self = Self(1 << 3);
    /// Messages with anything but a role and a string as content.
    pub const RICH: Self = Self(1 << 4);
    /// Content in parts.
    pub const PARTS: Self = Self(1 << 5);
    /// Prompts of more than one message of the user.
    pub const DIALOGUE: Self = Self(1 << 6);
    /// A system message.
    pub const SYSTEM: Self = Self(1 << 7);
    /// More than two answers.
    pub const RANKED: Self = Self(1 << 8);
    /// A label.
    pub const LABEL: Self = Self(1 << 9);
    /// Tools, even if there are none in the list.
    pub const TOOLS_KEY: Self = Self(1 << 11);
    /// Messages with reasoning.
    pub const REASONING: Self = Self(1 << 12);
    /// Messages that are results of calls, with the id of the call.
    pub const RESULTS: Self = Self(1 << 13);
    /// Messages with the name of who speaks.
    pub const NAMES: Self = Self(1 << 14);
    /// Messages that say whether they are trained on.
    pub const WEIGHTS: Self = Self(1 << 10);

    /// Whether all of `other` is in the set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn add(&mut self, other: Self, is_there: bool) {
        if is_there {
            self.0 |= other.0;
        }
    }
}

/// The JSON types of a column's values, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types(u8);

impl Types {
    const STRING: u8 = 1;
    const BOOL: u8 = 2;
    const INTEGER: u8 = 4;
    const NUMBER: u8 = 8;
    const OTHER: u8 = 16;

    fn of(json: &str) -> Self {
        Self(match json.as_bytes().first() {
            Some(b'"') => Self::STRING,
            Some(b't' | b'f') => Self::BOOL,
            Some(b'n') => 0,
            Some(b'{' | b'[') => Self::OTHER,
            // An integer that no 64 bits hold is kept as JSON, as is a number that would be read as another one.
            _ if json.parse::<i64>().is_ok() && json != "-0" => Self::INTEGER,
            _ if is_exact(json) => Self::NUMBER,
            _ => Self::OTHER,
        })
    }

    /// The one type that holds all values exactly.
    pub fn common(self) -> Type {
        match self.0 {
            0 | Self::STRING => Type::Text,
            Self::BOOL => Type::Bool,
            Self::INTEGER => Type::Integer,
            Self::NUMBER => Type::Number,
            _ => Type::Json,
        }
    }
}

/// Whether a number is written as its 64-bit float is: no digit is lost if it is stored as one.
fn is_exact(number: &str) -> bool {
    number.contains('.') && number.parse::<f64>().is_ok_and(|value| format!("{value:?}") == number)
}

/// The type of a column of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// An integer of 64 bits.
    Integer,
    /// A float of 64 bits.
    Number,
    /// Any JSON value, kept as text where a file has typed columns.
    Json,
    /// A list.
    List(Box<Type>),
    /// An object with these keys, all of them in each row.
    Struct(Vec<(&'static str, Type)>),
}

impl Type {
    /// A list of values of this type.
    pub fn list(self) -> Self {
        Self::List(Box::new(self))
    }

    /// A list of messages that have a role and a string as content, and nothing else.
    pub fn plain_messages() -> Self {
        Self::Struct(vec![("role", Self::Text), ("content", Self::Text)]).list()
    }
}

/// A column of the rows of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: Cow<'static, str>,
    /// The type of its values.
    pub of: Type,
}

impl Column {
    /// Creates a column.
    pub fn new(name: impl Into<Cow<'static, str>>, of: Type) -> Self {
        Self { name: name.into(), of }
    }
}

/// What the samples of an output have, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What at least one sample has.
    pub some: Features,
    /// Number of samples.
    pub samples: u64,
    /// The columns that the recipe keeps: names as they are written in JSON, without quotes.
    pub(super) kept: BTreeMap<Vec<u8>, Types>,
}

impl Facts {
    /// Adds a sample.
    pub fn add(&mut self, sample: &SampleView<'_>) {
        self.samples += 1;
        let some = &mut self.some;
        some.add(Features::TOOLS_KEY, sample.tools.is_some());
        some.add(Features::TOOLS, sample.tools.as_ref().is_some_and(|tools| !matches!(tools.as_str(), "[]" | "null")));
        some.add(Features::ANSWER, sample.answer.is_some());
        some.add(Features::MARGIN, sample.margin.is_some());
        some.add(Features::LABEL, sample.label.is_some());
        let mut each = |messages: &[Message<'_, Quoted<'_>>]| messages.iter().for_each(|message| some.message(message));
        match &sample.body {
            Body::Conversation { messages } | Body::Labelled { messages } => each(messages),
            Body::Prompt { messages } => {
                each(messages);
                some.add(Features::DIALOGUE, messages.len() > 1);
            }
            Body::Preference { prompt, ranked } => {
                each(prompt);
                ranked.iter().for_each(|answer| each(answer));
                some.add(Features::RANKED, ranked.len() > 2);
            }
            Body::Stepwise { prompt, .. } => each(prompt),
            Body::Text { .. } => {}
        }
        for (name, value) in &sample.columns {
            let types = Types::of(value.as_str());
            match self.kept.get_mut(name.inner()) {
                Some(known) => known.0 |= types.0,
                None => drop(self.kept.insert(name.inner().to_vec(), types)),
            }
        }
    }

    /// Adds the samples of another part of the output.
    pub fn join(&mut self, other: &Self) {
        self.samples += other.samples;
        self.some.0 |= other.some.0;
        for (name, types) in &other.kept {
            self.kept.entry(name.clone()).or_default().0 |= types.0;
        }
    }

    /// The type of a list of messages: typed if all messages are a role and a string, else JSON.
    pub(super) fn messages(&self) -> Type {
        let is_plain = !self.some.has(Features::RICH) && !self.some.has(Features::PARTS);
        if is_plain { Type::plain_messages() } else { Type::Json.list() }
    }

    /// The columns of a row: those of `own` that are there, those that the recipe keeps, and the source.
    pub(super) fn with_kept<const N: usize>(&self, own: [(bool, &'static str, Type); N]) -> Vec<Column> {
        let own = own.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, name, of)| Column::new(name, of));
        own.chain(self.kept_columns()).chain([Column::new("source", Type::Text)]).collect()
    }

    /// The columns that the recipe keeps, by name.
    fn kept_columns(&self) -> impl Iterator<Item = Column> {
        let name = |inner: &[u8]| {
            let quoted = [b"\"", inner, b"\""].concat();
            Quoted::new(&quoted).and_then(|name| Some(name.unescape()?.into_owned())).unwrap_or_default()
        };
        self.kept.iter().map(move |(inner, types)| Column::new(name(inner), types.common()))
    }
}

impl Features {
    fn message(&mut self, message: &Message<'_, Quoted<'_>>) {
        self.add(Self::CALLS, message.extras.as_ref().is_some_and(|extras| extras.tool_calls.is_some()));
        let extras = message.extras.as_deref();
        self.add(Self::REASONING, extras.is_some_and(|extras| extras.reasoning.is_some()));
        self.add(Self::RESULTS, extras.is_some_and(|extras| extras.tool_call_id.is_some()));
        self.add(Self::NAMES, extras.is_some_and(|extras| extras.name.is_some()));
        self.add(Self::WEIGHTS, extras.is_some_and(|extras| extras.weight.is_some() || extras.train.is_some()));
        self.add(Self::PARTS, matches!(message.content, Content::Parts(_)));
        self.add(Self::RICH, message.extras.is_some());
        self.add(Self::SYSTEM, message.role == crate::sample::Role::System);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_type_holds_every_value_exactly() {
        let common = |values: &[&str]| Types(values.iter().fold(0, |all, value| all | Types::of(value).0)).common();
        for (values, of) in [
            (&["\"a\"", "null"][..], Type::Text),
            (&["null"], Type::Text),
            (&["1", "9007199254740993", "null"], Type::Integer),
            (&["9223372036854775808"], Type::Json),
            (&["0.5", "1.0"], Type::Number),
            (&["1", "0.5"], Type::Json),
            (&["0.50"], Type::Json),
            (&["1e3"], Type::Json),
            (&["-0"], Type::Json),
            (&["true", "false"], Type::Bool),
            (&["true", "\"true\""], Type::Json),
            (&["[1]", "{}"], Type::Json),
        ] {
            assert_eq!(common(values), of, "{values:?}");
        }
    }
}
